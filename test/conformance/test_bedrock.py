"""Our sample events and our envelopes held against Powertools for AWS Lambda,
which has models of what Bedrock sends and a resolver that answers it."""

import copy
import json

import pytest
from aws_lambda_powertools.event_handler import (
    BedrockAgentFunctionResolver, BedrockAgentResolver)
from aws_lambda_powertools.event_handler.api_gateway import BedrockResponse
from aws_lambda_powertools.event_handler.bedrock_agent_function import (
    BedrockFunctionResponse)
from aws_lambda_powertools.utilities.data_classes import (
    BedrockAgentEvent, BedrockAgentFunctionEvent)
from aws_lambda_powertools.utilities.parser.models import (
    BedrockAgentEventModel, BedrockAgentFunctionEventModel)

import harness

PATHS = ("/count/{regions}", "/check-without-owner/{regions}",
         "/check-open-permission/{regions}")
REGIONS = ["eu-west-1", "us-east-1", "us-west-2"]


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


# One is for people who type it in: what Bedrock sends always has an agent.
EVENTS = [path for path in sorted((harness.ROOT / "events").glob("*.json"))
          if "agent" in load(path)]


@pytest.fixture(scope="module")
def sim():
    with harness.Sim("--regions", ",".join(REGIONS), "--instances", 20) as made:
        yield made


def test_events__cover_the_three_questions():
    assert {load(path)["apiPath"] for path in EVENTS} >= set(PATHS)


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.name)
def test_event__is_one_to_powertools(path):
    event = load(path)
    model = BedrockAgentEventModel.model_validate(event)
    data = BedrockAgentEvent(copy.deepcopy(event))
    assert model.message_version == data.message_version == "1.0"
    assert model.api_path == data.api_path == event["apiPath"]
    assert model.http_method == data.http_method == event["httpMethod"]
    assert model.action_group == data.action_group == event["actionGroup"]
    assert model.agent.name == data.agent.name
    for parameter in data.parameters:
        assert parameter.name and parameter.type
        assert isinstance(parameter.value, str)


def answer_by_powertools(event, status, found):
    """The envelope of a function written with Powertools that found this."""
    app = BedrockAgentResolver(enable_validation=False)

    def answer():
        return BedrockResponse(
            body=found, status_code=status,
            session_attributes=event.get("sessionAttributes"),
            prompt_session_attributes=event.get("promptSessionAttributes"))

    app.get(event["apiPath"], description="d")(answer)
    return app.resolve(copy.deepcopy(event), None)


def normal(envelope):
    """An envelope whose body is compared as what it says, not by its blanks;
    empty session attributes are like none."""
    whole = copy.deepcopy(envelope)
    content = whole["response"]["responseBody"]["application/json"]
    assert isinstance(content["body"], str)
    content["body"] = json.loads(content["body"])
    for name in ("sessionAttributes", "promptSessionAttributes"):
        if whole.get(name) == {}:
            del whole[name]
    return whole


SESSIONS = {
    "no-attributes": {"sessionAttributes": {}, "promptSessionAttributes": {}},
    "attributes": {"sessionAttributes": {"team": "blue", "ü": "\"\\\n"},
                   "promptSessionAttributes": {"tone": "short"}},
}


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("method", ["GET", "get"])
@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
def test_envelope__equals_that_of_powertools(sim, question, method, session):
    event = harness.event(question, httpMethod=method, **session)
    ours = harness.run_event(event, env=sim.env).whole
    theirs = answer_by_powertools(event | {"httpMethod": "GET"}, 200,
                                  sim.answers(question))
    theirs["response"]["httpMethod"] = method  # echoed as it came
    assert normal(ours) == normal(theirs)


@pytest.mark.parametrize("regions,status", [("mars-north-1", 400),
                                            ("us-east-1", 502)])
def test_envelope__of_a_failure_equals_that_of_powertools(sim, regions, status):
    event = harness.event("count", regions)
    env = dict(sim.env, AWS_SECRET_ACCESS_KEY="wrong")
    reply = harness.run_event(event, env=env)
    assert reply.status == status
    theirs = answer_by_powertools(event, status, reply.body)
    assert normal(reply.whole) == normal(theirs)


def test_envelope__of_an_unknown_path_has_the_status_of_powertools(sim):
    event = harness.event("/no/such/path")
    app = BedrockAgentResolver(enable_validation=False)
    theirs = app.resolve(copy.deepcopy(event), None)
    ours = harness.run_event(event, env=sim.env).whole
    assert ours["response"]["httpStatusCode"] == \
        theirs["response"]["httpStatusCode"] == 404
    for name in ("actionGroup", "apiPath", "httpMethod"):
        assert ours["response"][name] == theirs["response"][name]
    assert set(ours["response"]) == set(theirs["response"])


# --- function details -------------------------------------------------------

FUNCTION_EVENTS = sorted((harness.ROOT / "events" / "function").glob("*.json"))


@pytest.mark.parametrize("path", FUNCTION_EVENTS, ids=lambda path: path.name)
def test_function_event__is_one_to_powertools(path):
    event = load(path)
    model = BedrockAgentFunctionEventModel.model_validate(event)
    data = BedrockAgentFunctionEvent(copy.deepcopy(event))
    assert model.function == data.function == event["function"]
    assert model.action_group == data.action_group == event["actionGroup"]
    assert model.message_version == data.message_version == "1.0"
    assert len(data.parameters) == len(event.get("parameters", []))
    for parameter in data.parameters:
        assert isinstance(parameter.value, str)


def run_function(event, env):
    done = harness.run("--event", "-", stdin=json.dumps(event).encode(),
                       env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def function_answer_by_powertools(event, body, state=None):
    """The envelope of a function written with Powertools that answers this."""
    app = BedrockAgentFunctionResolver()

    def answer():
        return BedrockFunctionResponse(body=body, response_state=state)

    app.tool(name=event["function"], description="d")(answer)
    return app.resolve(copy.deepcopy(event), None)


def normal_function(envelope):
    """As normal(); the envelope apart from the body, and the body."""
    whole = copy.deepcopy(envelope)
    content = whole["response"]["functionResponse"]["responseBody"]["TEXT"]
    assert isinstance(content["body"], str)
    body = json.loads(content.pop("body"))
    for name in ("sessionAttributes", "promptSessionAttributes"):
        if whole.get(name) == {}:
            del whole[name]
    return whole, body


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
def test_function_envelope__equals_that_of_powertools(sim, question, session):
    event = harness.function_event(question, regions="all") | session
    ours = normal_function(run_function(event, sim.env))
    assert ours[1]["items"] == sim.answers(question, full=True)
    assert ours == normal_function(
        function_answer_by_powertools(event, ours[1]))


@pytest.mark.parametrize("parameters", [{"states": "dead"}, {"zone": "a"},
                                        {"regions": "mars-north-1"}], ids=str)
def test_function_envelope__of_a_mistake_equals_that_of_powertools(
        sim, parameters):
    event = harness.function_event("count", **parameters)
    ours = normal_function(run_function(event, sim.env))
    assert ours == normal_function(
        function_answer_by_powertools(event, ours[1], "REPROMPT"))


def test_function_envelope__of_failed_regions_has_no_state(sim):
    event = harness.function_event("count")
    env = dict(sim.env, AWS_SECRET_ACCESS_KEY="wrong")
    ours = normal_function(run_function(event, env))
    assert ours[1]["regionsAnswered"] == 0
    assert ours == normal_function(
        function_answer_by_powertools(event, ours[1]))
