"""bootstrap as a command: --event, --help, --version, what it says of errors."""

import json
import re

import pytest

from harness import ROOT, environment, event, run, run_event


def last_line(text):
    return text.strip().splitlines()[-1] if text.strip() else ""


def refused(done):
    """Ended with one clear line on standard error, and nothing else; the line."""
    assert done.returncode != 0
    assert done.stdout == ""
    return last_line(done.stderr)


def test_help():
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for word in ("--event", "--help", "--version"):
        assert word in done.stdout


def test_version_is_that_of_the_makefile():
    version = re.search(r"^VERSION := (\S+)", (ROOT / "Makefile").read_text(),
                        re.M).group(1)
    done = run("--version")
    assert done.returncode == 0
    assert version in done.stdout.split()


@pytest.mark.parametrize("arguments", [[], ["--event"], ["--nonsense"],
                                       ["--event", "-", "more"]])
def test_wrong_arguments(arguments):
    done = run(*arguments)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "--" in done.stderr


def test_event_from_a_file_and_from_standard_input(sim, tmp_path):
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event("count")))
    from_file = run("--event", file, env=sim.env)
    assert from_file.returncode == 0
    from_stdin = run("--event", "-", stdin=file.read_bytes(), env=sim.env)
    assert json.loads(from_file.stdout) == json.loads(from_stdin.stdout)


def test_missing_file_is_named():
    assert "/no/such/file" in refused(run("--event", "/no/such/file"))


BAD_EVENTS = {
    "not-json": b"{",
    "empty": b"",
    "not-an-object": b"[]",
    "no-action-group": b'{"apiPath":"/count/{regions}"}',
    "action-group-not-text": b'{"actionGroup":7,"apiPath":"/count/{regions}"}',
    "not-utf-8": b'{"actionGroup":"\xff","apiPath":"/count/{regions}"}',
    "nul": b'{"actionGroup":"a"}\0',
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_bad_event_is_refused(name):
    line = refused(run("--event", "-", stdin=BAD_EVENTS[name]))
    assert line


def test_missing_credentials_say_how_to_get_them(sim):
    env = dict(sim.env)
    del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    line = refused(run("--event", "-", stdin=json.dumps(event()).encode(),
                       env=env))
    for words in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                  "aws configure export-credentials --format env"):
        assert words in line


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_credentials_set_to_nothing_are_missing(sim, name):
    env = dict(sim.env, **{name: ""})
    line = refused(run("--event", "-", stdin=json.dumps(event()).encode(),
                       env=env))
    assert name in line


def test_placeholder_credentials_of_sam_local(sim):
    env = dict(sim.env, AWS_SAM_LOCAL="true", AWS_ACCESS_KEY_ID="defaultkey",
               AWS_SECRET_ACCESS_KEY="defaultsecret")
    done = run("--event", "-", stdin=json.dumps(event()).encode(), env=env)
    assert "no AWS credentials reached sam local" in done.stdout + done.stderr


BROKEN_CONFIGURATION = {
    "AWS_MAX_ATTEMPTS": "many",
    "REGION_TIMEOUT_MS": "-5",
    "AWS_CA_BUNDLE": "/no/such/bundle.pem",
    "AWS_ENDPOINT_URL_EC2": "not a url",
    "AWS_REGION": "us-east-1.evil.example",
}


@pytest.mark.parametrize("name", BROKEN_CONFIGURATION)
def test_broken_configuration_names_the_variable(sim, name):
    env = dict(sim.env, **{name: BROKEN_CONFIGURATION[name]})
    done = run("--event", "-", stdin=json.dumps(event()).encode(), env=env)
    assert name in refused(done)


def test_variables_set_to_nothing_count_as_unset(sim):
    env = dict(sim.env, AWS_REGION="", AWS_DEFAULT_REGION="us-east-1",
               AWS_ENDPOINT_URL="", AWS_MAX_ATTEMPTS="", REGIONS="",
               AWS_SESSION_TOKEN="", HTTPS_PROXY="")
    assert run_event(event(), env=env).body == sim.answers("count")


def test_general_endpoint_is_used_when_there_is_none_for_ec2(sim):
    env = dict(sim.env)
    env["AWS_ENDPOINT_URL"] = env.pop("AWS_ENDPOINT_URL_EC2")
    assert run_event(event(), env=env).body == sim.answers("count")


def test_json_log_lines_are_objects_with_level_and_timestamp(sim):
    env = dict(sim.env, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="DEBUG",
               DEBUG="1")
    done = run("--event", "-", stdin=json.dumps(event()).encode(), env=env)
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines
    for line in lines:
        assert {"level", "timestamp"} <= set(line)


def test_unreachable_endpoint_fails_every_region():
    # Port 1 of the loopback: refused at once.
    env = environment(REGIONS="us-east-1", AWS_MAX_ATTEMPTS="1",
                      AWS_ENDPOINT_URL_EC2="https://ec2.{region}.localhost:1")
    reply = run_event(event(), env=env)
    assert reply.status == 502
    assert reply.body[0]["region"] == "us-east-1" and reply.body[0]["error"]


def test_certificate_of_a_stranger_is_refused(sim):
    env = dict(sim.env, REGIONS="us-east-1", AWS_MAX_ATTEMPTS="1")
    del env["AWS_CA_BUNDLE"]
    reply = run_event(event(), env=env)
    assert reply.status == 502
    assert "certificate" in reply.body[0]["error"]
