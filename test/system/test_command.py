"""bootstrap as a command: --event, --help, --version, what it says of errors."""

import json
import os
import pty
import re
import subprocess

import pytest

import relay
from harness import (BOOTSTRAP, ROOT, TIMEOUT_S, WRAPPER, Sim, environment, event,
                     run, run_event, start)


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
    for word in ("--event", "--question", "--format", "--help", "--version"):
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
    "AWS_USE_DUALSTACK_ENDPOINT": "maybe",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "maybe",
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


def test_command_waits_for_a_list_of_regions_that_is_slow():
    """Longer than a function, whose waiting is paid for, does."""
    regions = ["eu-west-1", "us-east-1"]
    with Sim("--plain", "--regions", ",".join(regions)) as sim:
        with relay.Relay(sim.port, regions) as network:
            network.set_fault("us-east-1", "slow-first-byte", 3,
                              action="DescribeRegions")
            reply = run_event(event(), env=dict(sim.env, **network.env))
        assert reply.body == sim.answers("count")


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


# --- a question by options --------------------------------------------------


def ask(question, *options, env):
    return run("--question", question, *options, env=env)


def test_question_prints_the_object(sim):
    done = ask("count_instances", "--regions", "us-east-1,eu-west-1",
               "--states=running", env=sim.env)
    assert done.returncode == 0 and done.stderr == ""
    answer = json.loads(done.stdout)
    assert answer["items"] == sim.answers("count", "us-east-1,eu-west-1",
                                          states="running")
    assert "account" not in answer


@pytest.mark.parametrize("question,options,asked", [
    ("instances_without_tag", ["--tag", "CostCenter"], {"tag": "CostCenter"}),
    ("exposed_instances", ["--port=22"], {"port_asked": "22"}),
    ("find_instances", ["--query", "*1*"], {"query": "*1*"}),
    ("summarize_instances", [], {}),
])
def test_question_takes_its_options(sim, question, options, asked):
    word = {"instances_without_tag": "owner", "exposed_instances": "exposure",
            "find_instances": "find", "summarize_instances": "summary"}[question]
    done = ask(question, *options, env=sim.env)
    assert done.returncode == 0, done.stderr
    right = sim.answers(word, full=True, **asked)
    for item, known in zip(json.loads(done.stdout)["items"], right, strict=True):
        assert item | known == item  # a summary has more


def test_question_goes_on_where_it_was_told_to(sim):
    right = sim.answers("owner", full=True)
    third = right[2]
    done = ask("instances_without_tag", "--after",
               f"{third['region']}/{third['instanceId']}", env=sim.env)
    assert json.loads(done.stdout)["items"] == right[3:]


def test_table_is_aligned_and_ends_in_failures(sim_with):
    sim = sim_with("--fault", "eu-west-1=denied")
    done = ask("count_instances", "--format", "table", env=sim.env)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    rows = sim.answers("count", "ap-southeast-2,us-east-1")
    assert lines[0] == "REGION          TOTAL-INSTANCES  RUNNING-INSTANCES"
    for line, row in zip(lines[1:], rows):
        assert line == "%-14s  %15d  %17d" % (
            row["region"], row["totalInstances"], row["runningInstances"])
    assert lines[3] == ""
    assert "regions asked: 3" in lines and "regions answered: 2" in lines
    assert lines[-1] == ("failed: eu-west-1: UnauthorizedOperation: access "
                         "denied, possibly by a service control policy")
    assert "\x1b" not in done.stdout


def test_table_of_exposures_has_a_line_for_each_rule(sim):
    done = ask("exposed_instances", "--regions", "us-east-1", "--format=table",
               env=sim.env)
    right = sim.answers("exposure", "us-east-1", full=True)
    for row in right:
        assert row["instanceId"] in done.stdout
        for rule in row["permissions"]:
            assert (f"{rule['ipProtocol']} {rule['ports']} from {rule['cidr']}"
                    f" ({rule['groupId']}") in done.stdout


@pytest.mark.parametrize("arguments,line", [
    (["drop_all"], 'no question "drop_all"; there are count_instances, '),
    (["count_instances", "--states", "dead"], 'states: "dead" is no state'),
    (["count_instances", "--port", "22"],
     "port: count_instances takes no such parameter"),
    (["find_instances"], "query: missing"),
    (["count_instances", "--regions", b"caf\xe9"], "not UTF-8"),
])
def test_question_that_cannot_be_answered(sim, arguments, line):
    done = run("--question", *[a if isinstance(a, str) else a.decode(
        "utf-8", "surrogateescape") for a in arguments], env=sim.env)
    assert done.returncode == 1
    assert refused(done).startswith("bootstrap: ")
    assert line in refused(done)
    assert len(done.stderr.splitlines()) == 1


def test_question_that_no_region_answers(sim):
    env = dict(sim.env, AWS_SECRET_ACCESS_KEY="wrong")
    done = ask("count_instances", env=env)
    assert done.returncode == 1
    assert json.loads(done.stdout)["regionsAnswered"] == 0
    assert last_line(done.stderr) == "bootstrap: no region has answered"


@pytest.mark.parametrize("arguments", [
    ["--help"], ["--version"], ["--question", "count_instances"],
    ["--question", "count_instances", "--format", "table"], ["--event", "-"]],
    ids=str)
def test_output_that_cannot_be_written_is_an_error(sim, arguments):
    with open("/dev/full", "wb") as full:
        done = run(*arguments, stdin=json.dumps(event()).encode(), env=sim.env,
                   stdout=full)
    assert done.returncode == 1
    assert last_line(done.stderr) == ("bootstrap: cannot write standard output: "
                                      "No space left on device")


def test_debug_is_heard_with_an_event(sim):
    done = run("--event", "-", stdin=json.dumps(event()).encode(),
               env=dict(sim.env, DEBUG="1", AWS_LAMBDA_LOG_LEVEL="ERROR"))
    assert done.returncode == 0
    assert " response response=" in done.stderr


# --- on a terminal ----------------------------------------------------------


def on_terminal(arguments, env):
    """Standard output and error of a run are one terminal; what it shows."""
    leader, follower = pty.openpty()
    process = start([*WRAPPER, str(BOOTSTRAP), *arguments], env=env,
                    stdin=subprocess.DEVNULL, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while True:
            part = os.read(leader, 65536)
            if not part:
                break
            shown += part
    except OSError:  # EIO: nobody has it open any more
        pass
    os.close(leader)
    assert process.wait(TIMEOUT_S) == 0
    return shown.decode()


TABLE = ["--question", "count_instances", "--format", "table"]


def test_colours_are_for_terminals(sim_with):
    sim = sim_with("--fault", "eu-west-1=denied")
    shown = on_terminal(TABLE, sim.env)
    assert "\x1b[1mREGION" in shown
    assert "\x1b[31mfailed: eu-west-1" in shown
    for off in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_terminal(TABLE, dict(sim.env, **off))
        assert "REGION" in shown
        assert "\x1b[1m" not in shown and "\x1b[31m" not in shown


def test_progress_is_shown_from_the_start(sim):
    shown = on_terminal(TABLE, sim.env)
    assert shown.startswith("\r\x1b[K0 of 3 regions")
    before, _, after = shown.rpartition("\r\x1b[K")
    assert "2 of 3 regions" in before
    assert "REGION" in after and "regions\r" not in after
