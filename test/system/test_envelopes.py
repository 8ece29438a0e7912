"""The four envelopes, and what stands beside the answers."""

import calendar
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


def found(answer):
    """An object without its moment, which is checked."""
    asked = calendar.timegm(time.strptime(answer["asOf"], "%Y-%m-%dT%H:%M:%SZ"))
    assert abs(asked - time.time()) < 600
    return {key: value for key, value in answer.items() if key != "asOf"}


def right_answer(sim, question, regions=None, **asked):
    """The items of the object, where the simulator tells of all."""
    if "port" in asked:
        asked["port_asked"] = asked.pop("port")
    return sim.answers(question, regions, full=True, **asked)


def known_part(items, right):
    """The members that the simulator tells of, too; a summary has more."""
    return [{key: item[key] for key in known}
            for item, known in zip(items, right, strict=True)]


# What each question is asked for, by name.
ASKED = {"count": {}, "owner": {"tag": "CostCenter"}, "exposure": {"port": "22"},
         "summary": {}, "find": {"query": "*-1*"}}


@pytest.mark.parametrize("question", ASKED)
def test_all_envelopes_hold_one_object(sim, question):
    asked = dict(ASKED[question], regions="us-east-1,eu-west-1")
    right = right_answer(sim, question, "us-east-1,eu-west-1",
                         **ASKED[question])
    with Runtime(env=sim.env) as runtime:
        tool = runtime.call(question, **asked)
        body, state = text_of(
            runtime.invoke(function_event(question, **asked)))
        plain = runtime.invoke(plain_event(question, **asked)).json
    assert known_part(tool["items"], right) == right
    assert tool["total"] == tool["shown"] == len(right)
    assert (tool["regionsAsked"], tool["regionsAnswered"]) == (2, 2)
    assert tool["account"] == "123456789012"
    assert "next" not in tool and not tool.get("failed")
    assert state is None
    assert found(tool) == found(body) == found(plain)


def test_an_api_schema_gets_the_object_if_that_is_wanted(sim):
    env = dict(sim.env, ANSWER="object")
    with Runtime(env=env) as runtime:
        reply = runtime.ask(event("count"))
        assert reply.status == 200
        assert found(reply.body) == found(runtime.call("count"))
        assert refusal(runtime.ask(event("/none")).body)


def test_failures_are_told_apart_from_instances(sim_with):
    sim = sim_with("--fault", "eu-west-1=denied",
                   "--fault", "ap-southeast-2=denied")
    with Runtime(env=sim.env) as runtime:
        answer = runtime.call("count", regions="all")
        assert answer["regionsAsked"] == 3
        assert answer["regionsAnswered"] == len(answer["items"]) == 1
        assert answer["failed"] == [{
            "regions": ["ap-southeast-2", "eu-west-1"],
            "error": "UnauthorizedOperation: access denied, possibly by a "
                     "service control policy"}]


@pytest.mark.parametrize("regions", [
    ["us-east-1", "eu-west-1"], '["us-east-1", "eu-west-1"]',
    "[us-east-1, eu-west-1]", "us-east-1, eu-west-1",
    "<item>us-east-1</item><item>eu-west-1</item>",
    "['us-east-1','eu-west-1']", '"us-east-1","eu-west-1"'], ids=str)
def test_lists_in_every_encoding(sim, regions):
    right = sim.answers("count", "us-east-1,eu-west-1")
    with Runtime(env=sim.env) as runtime:
        assert runtime.call("count", regions=regions)["items"] == right
        body, _ = text_of(
            runtime.invoke(function_event("count", regions=regions)))
        assert body["items"] == right
        assert runtime.ask(event("count", regions)).body == right


def test_parameters_in_a_request_body(sim):
    properties = [{"name": "regions", "type": "string", "value": "us-east-1"},
                  {"name": "states", "type": "string", "value": "running"}]
    body = {"content": {"application/json": {"properties": properties}}}
    with Runtime(env=sim.env) as runtime:
        reply = runtime.ask(event("count", parameters=[], httpMethod="POST",
                                  requestBody=body))
        assert reply.body == sim.answers("count", "us-east-1", states="running")


def test_numbers_and_booleans_are_text_too(sim):
    right = right_answer(sim, "exposure", port="22")
    with Runtime(env=sim.env) as runtime:
        for port in (22, 22.0, "22", " 22 "):
            assert runtime.call("exposure", port=port)["items"] == right
        assert "query: \"true\"" not in str(runtime.call("find", query=True))
        wrong = runtime.call("exposure", port=True)
        assert refusal(wrong).startswith("port: \"true\" is no port")


@pytest.mark.parametrize("name", ["count_instances", "t___count_instances",
                                  "a__b___count_instances",
                                  "t__count_instances"])
def test_a_tool_is_known_with_and_without_its_target(sim, name):
    context = {"custom": {"bedrockAgentCoreToolName": name}}
    with Runtime(env=sim.env) as runtime:
        answer = runtime.invoke({}, client_context=context).json
        assert answer["items"] == sim.answers("count")


# --- answers that fit -------------------------------------------------------


@pytest.fixture(scope="module")
def large_sim():
    with harness.Sim("--regions", "eu-west-1,us-east-1", "--instances",
                     "200") as made:
        yield made


@pytest.mark.parametrize("make", [event, function_event, plain_event, None],
                         ids=["api", "function", "plain", "gateway"])
@pytest.mark.parametrize("budget", [None, 2000, 5000])
def test_the_whole_answer_keeps_the_budget(large_sim, make, budget):
    sim = large_sim
    env = dict(sim.env, RESPONSE_BUDGET_BYTES=str(budget or ""))
    with Runtime(env=env) as runtime:
        if make:
            what = make("exposure")
            for name in ("sessionAttributes", "promptSessionAttributes"):
                what.pop(name, None)
            answer = runtime.invoke(what)
        else:
            answer = runtime.invoke({}, client_context=tool_context("exposure"))
    assert answer.kind == "response" and answer.json
    most = budget or 24_000
    assert most - 1500 < len(answer.body) <= most


def test_the_command_has_no_budget_unless_it_is_set(sim):
    whole = harness.run_event(event("exposure"), env=sim.env).body
    assert whole == sim.answers("exposure")
    env = dict(sim.env, RESPONSE_BUDGET_BYTES="3000")
    done = harness.run("--event", "-", env=env,
                       stdin=json.dumps(event("exposure")).encode())
    assert len(done.stdout.strip()) <= 3000
    body = harness.Reply(json.loads(done.stdout)).body
    assert body[-1]["omitted"]["total"] == len(whole)
    assert body[:-1] == whole[:len(body) - 1]


def rows_of_array(answer):
    """Rows, total and next of an answer to an API schema."""
    body = harness.Reply(answer.json).body
    if "omitted" not in body[-1]:
        return body, None, None
    return body[:-1], body[-1]["omitted"]["total"], body[-1]["omitted"]["next"]


def rows_of_object(body):
    return body["items"], body["total"], body.get("next")


def ask_api(runtime, **after):
    parameters = [{"name": name, "type": "string", "value": value}
                  for name, value in {"regions": "all", **after}.items()]
    return rows_of_array(runtime.invoke(event(
        "owner", parameters=parameters, sessionAttributes=None,
        promptSessionAttributes=None)))


def ask_function(runtime, **after):
    what = function_event("owner", **after)
    del what["sessionAttributes"], what["promptSessionAttributes"]
    return rows_of_object(text_of(runtime.invoke(what))[0])


def ask_gateway(runtime, **after):
    return rows_of_object(runtime.call("owner", **after))


@pytest.mark.parametrize("budget", [2000, 7001])
@pytest.mark.parametrize("ask,full", [(ask_api, False), (ask_function, True),
                                      (ask_gateway, True)])
def test_after_goes_on_where_an_answer_was_cut(large_sim, ask, full, budget):
    asked = {"full": True} if full else {}
    right = large_sim.answers("owner", **asked)
    rows, after = [], {}
    env = dict(large_sim.env, RESPONSE_BUDGET_BYTES=str(budget))
    with Runtime(env=env) as runtime:
        while True:
            some, total, place = ask(runtime, **after)
            assert some and total in (len(right), None)
            rows += some
            if place is None:
                break
            after = {"after": place}
    assert rows == right
    assert len(right) > 100


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


def test_arguments_beside_the_tool_are_not_passed_over(sim):
    done = harness.run("--event", "-", env=sim.env, stdin=json.dumps(
        {"tool": "count_instances", "regions": "us-east-1"}).encode())
    assert done.returncode == 0
    assert refusal(json.loads(done.stdout)).startswith(
        'regions stands beside "tool"; put it into "arguments"')
    # What else an event holds is its sender's.
    answer = harness.run("--event", "-", env=sim.env, stdin=json.dumps(
        {"tool": "count_instances", "step": 1}).encode())
    assert json.loads(answer.stdout)["regionsAnswered"] == 3


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
