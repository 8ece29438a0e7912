"""The four envelopes, and what stands beside the answers."""

import json
import time

import pytest

import harness
from harness import Runtime, event, function_event, plain_event, tool_context

BAD = "states: \"dead\" is no state of an instance; use a comma list of " \
      "pending, running, shutting-down, terminated, stopping, stopped, or \"all\""


def text_of(answer):
    """The text for the model and the state, of a function's answer."""
    assert answer.kind == "response"
    response = answer.json["response"]
    what = response["functionResponse"]
    (kind, content), = what["responseBody"].items()
    assert kind == "TEXT" and isinstance(content["body"], str)
    assert set(response) == {"actionGroup", "function", "functionResponse"}
    return json.loads(content["body"]), what.get("responseState")


def refusal(answer):
    assert set(answer) == {"error", "hint", "retryable"}
    return answer["error"]


def test_a_function_is_reprompted_for_a_mistake(sim):
    with Runtime(env=sim.env) as runtime:
        for question, parameters, error in (
                ("count", {"states": "dead"}, BAD),
                ("count", {"region": "x"}, "region: count_instances takes no "
                 "such parameter; it takes regions, states"),
                ("drop_all", {}, "no question \"drop_all\"")):
            body, state = text_of(
                runtime.invoke(function_event(question, **parameters)))
            assert state == "REPROMPT"
            assert refusal(body) == error


def test_a_function_is_never_failed(sim):
    env = dict(sim.env, AWS_SECRET_ACCESS_KEY="wrong")
    with Runtime(env=env) as runtime:
        assert text_of(runtime.invoke(function_event("count")))[1] is None
    env.pop("AWS_SECRET_ACCESS_KEY")
    with Runtime(env=env) as runtime:
        body, state = text_of(runtime.invoke(function_event("count")))
        assert state is None
        assert "AWS_SECRET_ACCESS_KEY" in refusal(body)


def test_a_gateway_never_gets_an_error_of_the_function(sim):
    with Runtime(env=sim.env) as runtime:
        assert refusal(runtime.call("count", states=["running", "dead"])) == BAD
        wrong = runtime.call("drop_all")
        assert refusal(wrong) == "no question \"ec2___drop_all\""
        assert "count_instances, instances_without_tag" in wrong["hint"]
        for bad in (b"[]", b"7", b"not JSON", b""):
            answer = runtime.invoke(bad, client_context=tool_context("count"))
            assert answer.kind == "response"
            assert refusal(answer.json)
            assert answer.json["retryable"] is False


@pytest.mark.parametrize("bad", [{}, {"apiPath": "/count/{regions}"},
                                 {"tool": 7}, {"arguments": {}}], ids=str)
def test_an_event_that_fits_none_is_an_error(sim, bad):
    with Runtime(env=sim.env) as runtime:
        answer = runtime.invoke(bad)
        assert answer.kind == "error"
        assert answer.json["errorType"] == "Function.InvalidEvent"
        assert "actionGroup" in answer.json["errorMessage"]
        assert "{\"tool\": \"count_instances\"" in answer.json["errorMessage"]


# --- metrics and ids --------------------------------------------------------

METRICS = {"Duration": "Milliseconds", "RegionsFailed": "Count",
           "Retries": "Count", "Throttles": "Count", "Instances": "Count"}


def check_emf(line):
    """The rules of AWS's "Specification: Embedded metric format"."""
    head = line["_aws"]
    assert set(head) == {"Timestamp", "CloudWatchMetrics"}
    assert abs(head["Timestamp"] / 1000 - time.time()) < 600
    directive, = head["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert 1 <= len(directive["Namespace"]) <= 1024
    for dimensions in directive["Dimensions"]:
        assert len(dimensions) <= 30
        for name in dimensions:
            assert isinstance(line[name], str) and 1 <= len(line[name]) <= 1024
    assert {m["Name"]: m["Unit"] for m in directive["Metrics"]} == METRICS
    for name in METRICS:
        assert isinstance(line[name], (int, float))


@pytest.mark.parametrize("log_format", ["JSON", "Text"])
def test_metrics_are_one_line_an_answer(sim_with, log_format):
    sim = sim_with("--fault", "eu-west-1=denied")
    env = dict(sim.env, AWS_LAMBDA_LOG_FORMAT=log_format)
    with Runtime(env=env) as runtime:
        runtime.invoke(event("count"))
        runtime.invoke({}, client_context=tool_context("none"))
        runtime.wait_until_idle()
        first, second = runtime.metrics()
    for line in (first, second):
        check_emf(line)
        assert line["FunctionName"] == "ec2sweep"
    assert first["question"] == "count_instances"
    assert first["RegionsFailed"] == 1
    assert first["regionsAsked"] == 3
    assert first["Instances"] == 46
    assert (second["question"], second["status"]) == ("none", 404)
    assert first["requestId"] != second["requestId"]


def test_metrics_can_be_left_out(sim):
    with Runtime(env=dict(sim.env, METRICS="off")) as runtime:
        runtime.invoke(event("count"))
        runtime.wait_until_idle()
        assert "_aws" not in runtime.output.text()
    done = harness.run("--event", "-", stdin=json.dumps(event()).encode(),
                       env=dict(sim.env, AWS_LAMBDA_LOG_LEVEL="TRACE"))
    assert "_aws" not in done.stderr + done.stdout


def test_the_trace_id_stands_in_every_line_of_the_log(sim_with):
    sim = sim_with("--fault", "eu-west-1=denied")
    env = dict(sim.env, AWS_LAMBDA_LOG_FORMAT="JSON",
               AWS_LAMBDA_LOG_LEVEL="TRACE", METRICS="off", DEBUG="1")
    with Runtime(env=env) as runtime:
        runtime.wait_until_idle()
        before = len(runtime.output.text().splitlines())
        runtime.invoke(event("exposure"), trace_id="Root=1-first;Sampled=1")
        runtime.invoke(event("exposure"), trace_id=None)
        runtime.wait_until_idle()
        lines = [json.loads(line) for line
                 in runtime.output.text().splitlines()[before:]]
    traced = [line for line in lines if "traceId" in line]
    assert {line["traceId"] for line in traced} == {"Root=1-first;Sampled=1"}
    assert all(line["requestId"] for line in lines)
    # The second has as many lines of its own, and no trace.
    assert len(lines) == 2 * len(traced) >= 6
