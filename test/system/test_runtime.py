"""bootstrap as a Lambda runtime, held against a strict Runtime API."""

import json

import pytest

import harness
from harness import Reply, Runtime, event


@pytest.mark.valgrind
@pytest.mark.foreign
def test_answers_one_event_after_another_on_one_connection(sim):
    with Runtime(env=sim.env) as runtime:
        for question in ("count", "owner", "exposure", "count"):
            assert runtime.ask(event(question)).body == sim.answers(question)
        runtime.wait_until_idle()
        assert runtime.api.connections == 1


def connections(sim):
    """Those of the regions; asking for it opens one that is of none."""
    return {name: region["connections"]
            for name, region in sim.stats()["regions"].items()}


def test_connections_to_ec2_are_kept_between_events(sim_with):
    sim = sim_with("--page", "6")
    with Runtime(env=sim.env) as runtime:
        runtime.ask(event("exposure"))
        before = connections(sim)
        # One a region is enough for these; how many the exposure opened,
        # one or two, depends on which listing was faster.
        runtime.ask(event("owner"))
        runtime.ask(event("count"))
        assert connections(sim) == before


@pytest.mark.parametrize("options", [
    {"invocation_id": None}, {"trace_id": None}, {"client_context": {"a": 1}},
    {"headers": {"Lambda-Runtime-Unheard-Of": "x"}},
    {"deadline_ms": -5_000}, {"deadline_ms": 10**15},
], ids=repr)
def test_headers_of_the_invocation(sim, options):
    with Runtime(env=sim.env) as runtime:
        reply = runtime.ask(event("count"), **options)
        assert reply.status == 200 or options.get("deadline_ms", 0) < 0


def test_event_without_a_length(sim):
    with Runtime(env=sim.env, chunked=True) as runtime:
        long_event = event("count", inputText="x" * 20_000)
        assert runtime.ask(long_event).body == sim.answers("count")


def test_proxy_is_never_used_for_the_runtime_api(sim):
    nowhere = "http://127.0.0.1:9"
    env = dict(sim.env, http_proxy=nowhere, HTTP_PROXY=nowhere,
               ALL_PROXY=nowhere, all_proxy=nowhere, NO_PROXY=".localhost",
               no_proxy=".localhost")
    with Runtime(env=env) as runtime:
        assert runtime.invoke(event("count")).kind == "response"


def test_envelope_echoes_what_came(sim):
    with Runtime(env=sim.env) as runtime:
        reply = runtime.ask(event(
            "count", actionGroup="Grüße \"ec2\"", httpMethod="gEt",
            sessionAttributes={"a": "1", "ü": "\u2603"},
            promptSessionAttributes={"today": "Monday"}, unheardOf=[1, {}]))
        assert reply.response["actionGroup"] == "Grüße \"ec2\""
        assert reply.response["apiPath"] == "/count/{regions}"
        assert reply.response["httpMethod"] == "gEt"
        assert reply.whole["sessionAttributes"] == {"a": "1", "ü": "\u2603"}
        assert reply.whole["promptSessionAttributes"] == {"today": "Monday"}


def test_envelope_has_no_attributes_when_none_came(sim):
    with Runtime(env=sim.env) as runtime:
        reply = runtime.ask({"actionGroup": "ec2", "apiPath": "/count/{regions}"})
        assert reply.body == sim.answers("count")
        assert set(reply.whole) == {"messageVersion", "response"}


def test_raw_body(sim):
    with Runtime(env=dict(sim.env, RESPONSE_BODY="raw")) as runtime:
        assert runtime.ask(event("count")).raw == sim.answers("count")


@pytest.mark.parametrize("path", ["/nothing", "", "/count", "/count/us-east-1"])
def test_unknown_path_is_404_and_names_the_paths_there_are(sim, path):
    with Runtime(env=sim.env) as runtime:
        reply = runtime.ask(event(path))
        assert reply.status == 404
        text = json.dumps(reply.body)
        assert f'api path \\"{path}\\" not supported' in text
        for known in ("/count/{regions}", "/check-without-owner/{regions}",
                      "/check-open-permission/{regions}"):
            assert known in text


@pytest.mark.valgrind
@pytest.mark.foreign
@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"apiPath":"/x"}',
                                  b"\xff", b"[" * 100_000], ids=range(6))
def test_event_that_is_none_is_an_error_and_the_next_is_answered(sim, body):
    with Runtime(env=sim.env) as runtime:
        answer = runtime.invoke(body)
        assert answer.kind == "error"
        assert answer.json["errorType"] == "Function.InvalidEvent"
        assert runtime.ask(event("count")).body == sim.answers("count")


@pytest.mark.parametrize("status", [400, 403, 410, 413])
def test_refused_answer_is_not_posted_again(sim, status):
    with Runtime(env=sim.env) as runtime:
        runtime.invoke(event("count"), answer_status=status)
        runtime.wait_until_idle()
        assert runtime.ask(event("count")).body == sim.answers("count")


def test_container_error_ends_the_runtime(sim):
    with Runtime(env=sim.env) as runtime:
        runtime.invoke(event("count"), answer_status=500)
        assert runtime.wait_exit() != 0


def test_container_error_on_next_ends_the_runtime(sim):
    with Runtime(env=sim.env, next_status=[500]) as runtime:
        assert runtime.wait_exit() != 0


@pytest.mark.parametrize("name, value", [("AWS_MAX_ATTEMPTS", "many"),
                                         ("AWS_CA_BUNDLE", "/no/such.pem")])
def test_broken_configuration_is_an_init_error(sim, name, value):
    with Runtime(env=dict(sim.env, **{name: value})) as runtime:
        assert runtime.wait_exit() != 0
        error = runtime.api.init_error
        assert error is not None
        assert error.json["errorType"] == "Function.InvalidConfiguration"
        assert name in error.json["errorMessage"]
        assert runtime.api.next_requests == 0


def test_missing_credentials_are_an_answer_not_a_crash(sim):
    env = dict(sim.env)
    del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    with Runtime(env=env) as runtime:
        answer = runtime.invoke(event("count"))
        assert answer.kind == "response"
        assert Reply(answer.json).status >= 400
        assert "AWS_ACCESS_KEY_ID" in answer.body.decode()


def test_session_token_is_sent_and_signed(sim_with):
    sim = sim_with("--token", harness.TOKEN)
    env = dict(sim.env, AWS_SESSION_TOKEN=harness.TOKEN, DEBUG="1",
               AWS_LAMBDA_LOG_LEVEL="TRACE")
    with Runtime(env=env) as runtime:
        assert runtime.ask(event("count")).body == sim.answers("count")


def test_wrong_secret_is_told_by_ec2s_code(sim):
    env = dict(sim.env, AWS_SECRET_ACCESS_KEY="another-secret")
    with Runtime(env=env) as runtime:
        reply = runtime.ask(event("count", "us-east-1,eu-west-1"))
        assert reply.status == 502
        assert [e["error"] for e in reply.body] == [
            "AuthFailure: credentials were not accepted"] * 2
