"""schema/openapi.yaml held against the OpenAPI specification and the rules of
Bedrock, and our answers held against it."""

import json
import re

import pytest
import yaml
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

import harness

REGIONS = ["eu-west-1", "us-east-1", "us-west-2"]
QUESTIONS = ("count", "owner", "exposure", "summary", "find")
STATUSES = {"200", "400", "404", "500", "502"}  # all that the program has
METHODS = ("get", "put", "post", "delete", "patch")


@pytest.fixture(scope="module")
def schema():
    path = harness.ROOT / "schema" / "openapi.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sim():
    with harness.Sim("--regions", ",".join(REGIONS), "--instances", 40,
                     "--fault", "us-west-2=denied") as made:
        yield made


def operations(schema):
    return [(path, method, item[method]) for path, item in
            schema["paths"].items() for method in METHODS if method in item]


def walk(value):
    yield value
    children = value.values() if isinstance(value, dict) else \
        value if isinstance(value, list) else ()
    for child in children:
        yield from walk(child)


def test_schema__is_openapi(schema):
    OpenAPIV30SpecValidator(schema).validate()


def test_schema__keeps_the_rules_of_bedrock(schema):
    """Bedrock user guide, "Define OpenAPI schemas for your agent's action
    groups in Amazon Bedrock"."""
    assert schema["openapi"] == "3.0.0"
    for word in ("enum", "default", "pattern", "oneOf"):
        assert not [v for v in walk(schema) if isinstance(v, dict) and word in v]
    ids = [o["operationId"] for _, _, o in operations(schema)]
    assert len(set(ids)) == len(ids) == 5
    for path, method, operation in operations(schema):
        assert path.startswith("/")
        assert re.fullmatch(r"[A-Za-z0-9_-]+", operation["operationId"])
        assert operation["description"] and operation["responses"]
        assert method != "get" or "requestBody" not in operation
        # Five are all that function details can have.
        assert 1 <= len(operation["parameters"]) <= 5
        for parameter in operation["parameters"]:
            assert parameter["name"] and parameter["description"]
            assert parameter["schema"] == {"type": "string"}
        assert set(operation["responses"]) == STATUSES
        for response in operation["responses"].values():
            assert all(c["schema"] for c in response["content"].values())


def event(question, regions="all", **parameters):
    if question == "find":
        parameters = {"query": "web-*", **parameters}
    whole = harness.event(question, regions)
    whole["parameters"] += [{"name": name, "type": "string", "value": value}
                            for name, value in parameters.items()]
    return whole


def judge(schema, reply):
    """Validates an answer against the response that the schema promises."""
    response = reply.response
    operation = schema["paths"][response["apiPath"]][
        response["httpMethod"].lower()]
    promised = operation["responses"][str(reply.status)]
    validator = OAS30Validator({
        **schema, "allOf": [promised["content"]["application/json"]["schema"]]})
    return [f"{e.json_path}: {e.message}"
            for e in validator.iter_errors(reply.body)]


CASES = {
    "all": ("all", {}, 200),
    "cut": ("all", {"RESPONSE_BUDGET_BYTES": "2000"}, 200),
    "denied-and-unknown": ("us-west-2,mars-north-1,us-east-1", {}, 200),
    "all-failed": ("us-west-2", {}, 502),
    "no-region": ("mars-north-1,not a region", {}, 400),
    "too-many": (",".join(f"xx-east-{i}" for i in range(300)), {}, 400),
    "no-credentials": ("all", {"AWS_ACCESS_KEY_ID": None}, 500),
}


@pytest.mark.parametrize("regions,change,status", CASES.values(), ids=CASES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_answer__is_what_the_schema_promises(schema, sim, question, regions,
                                             change, status):
    env = {k: v for k, v in (sim.env | change).items() if v is not None}
    with harness.Runtime(env=env) as runtime:
        reply = runtime.ask(event(question, regions))
    assert reply.status == status, reply.raw
    assert judge(schema, reply) == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_answer__to_a_bad_parameter_is_what_the_schema_promises(schema, sim,
                                                                question):
    bad = {"query": ""} if question == "find" else {"states": "asleep"}
    reply = harness.run_event(event(question, **bad), env=sim.env)
    assert reply.status == 400
    assert judge(schema, reply) == []


def test_schema__does_not_promise_just_anything(schema, sim):
    """A field more, a field less in kind, must be told."""
    reply = harness.run_event(harness.event("count"), env=sim.env)
    for wrong in ({}, [1], [{"region": 1}], [{"totalInstances": "many"}]):
        reply.raw = json.dumps(wrong)
        assert judge(schema, reply), wrong


@pytest.mark.parametrize("question", QUESTIONS)
def test_schema__names_every_field_of_the_answers(schema, sim, question):
    """Models are told of a field only by the schema."""
    seen = set()
    for budget in ("", "2000"):
        reply = harness.run_event(event(question, "all,mars-north-1"), env=dict(
            sim.env, RESPONSE_BUDGET_BYTES=budget))
        seen |= {name for value in walk(reply.body) for name in fields(value)}
    named = {name for v in walk(operation_of(schema, reply))
             if isinstance(v, dict) for name in fields(v.get("properties"))}
    assert seen <= named
    assert named - seen <= {"error", "omitted", "total", "shown", "failures",
                            "next"}


def fields(value):
    """Names that are fields; states and types of instances are data."""
    if not isinstance(value, dict) or set(value) & {"running", "t4g.small"}:
        return set()
    return set(value)


def operation_of(schema, reply):
    """The operation with what it refers to."""
    found = [schema["paths"][reply.response["apiPath"]]]
    for value in (v for f in found for v in walk(f)):
        if isinstance(value, dict) and "$ref" in value:
            target = schema
            for step in value["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            if target not in found:
                found.append(target)
    return found
