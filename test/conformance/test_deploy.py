"""The templates held against cfn-lint and SAM, and what they would send held
against the models of AWS's own client: cfn-lint sees nothing in a tool schema
beside a reference."""

import hashlib
import json
import re
import subprocess
import sys

import botocore.session
import botocore.validate
import pytest
import yaml

import harness
import render

ROOT = harness.ROOT
SAM = ROOT / "build" / "sam-venv" / "bin"
TEMPLATES = ["template.yaml", "stack.yaml", "deploy/gateway.yaml",
             "deploy/harness.yaml", "deploy/agent.yaml"]
FUNCTION_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:ec2sweep-a-B1"
GATEWAY_ARN = ("arn:aws:bedrock-agentcore:eu-west-1:123456789012:gateway/"
               "ec2sweep-0123456789")
ROLE_ARN = "arn:aws:iam::123456789012:role/ec2sweep"
# The names that every limit allows; the longest is one of them.
NAMES = ["ec2sweep", "a", "a" * 40]
TOOL_NAME_MAX = 64  # of a gateway's prefixed tool, as models take them


# --- the schemas ------------------------------------------------------------


def load_yaml(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def load_json(name):
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


def operations():
    return [item["get"] for item in load_yaml("schema/openapi.yaml")[
        "paths"].values()]


def test_schemas__are_what_the_openapi_document_makes():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "schemas.py", "--check"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_schemas__tell_of_one_another():
    """By another way than the script's: names, texts and parameters."""
    told = {o["operationId"]: (o["description"], {
        p["name"]: p["description"] for p in o["parameters"]})
        for o in operations()}
    assert len(told) == 5
    assert told == {f["name"]: (f["description"], {
        name: p["description"] for name, p in f["parameters"].items()})
        for f in load_json("schema/functions.json")}
    assert told == {t["name"]: (t["description"], {
        name: p["description"]
        for name, p in t["inputSchema"]["properties"].items()})
        for t in load_json("schema/tools.json")}


def test_schemas__need_a_query_and_nothing_else():
    for function in load_json("schema/functions.json"):
        needed = [n for n, p in function["parameters"].items() if p["required"]]
        assert needed == (["query"] if function["name"] == "find_instances"
                          else [])
    for tool in load_json("schema/tools.json"):
        assert tool["inputSchema"].get("required", []) == (
            ["query"] if tool["name"] == "find_instances" else [])
        assert set(tool) == {"name", "description", "inputSchema"}


# --- the linters ------------------------------------------------------------


def sam(*arguments):
    env = dict(harness.environment(), SAM_CLI_TELEMETRY="0",
               AWS_DEFAULT_REGION="us-east-1", HOME=str(ROOT / "build"))
    return subprocess.run(list(map(str, arguments)), env=env, cwd=ROOT,
                          capture_output=True, text=True, check=False)


def test_templates__satisfy_cfn_lint():
    done = sam(SAM / "cfn-lint", *TEMPLATES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("template", TEMPLATES[:2])
def test_template__satisfies_sam(template):
    done = sam(SAM / "sam", "validate", "--lint", "-t", template)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the function -----------------------------------------------------------


def function_template(**parameters):
    return render.Template(ROOT / "template.yaml", {
        "Ec2SweepRole.Arn": ROLE_ARN,
        "Ec2SweepLogs": "logs", "Ec2SweepLogs.Arn": "arn:logs"}, **parameters)


def test_function__declares_every_setting():
    """sam local overrides only variables that the template names."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set()
    for row in re.findall(r"^\| (`[A-Z].*?) \|", text, re.M):
        documented |= set(re.findall(r"`([A-Z][A-Z0-9_]+)`", row))
    by_lambda = {n for n in documented if n in {
        "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
        or n.startswith(("AWS_CONTAINER_", "AWS_LAMBDA_"))}
    function = function_template().resources()["Ec2SweepFunction"]
    declared = set(function["Properties"]["Environment"]["Variables"])
    assert documented - by_lambda <= declared
    assert len(declared) > 15


def statements(resources):
    return {s["Sid"]: s for p in resources["Ec2SweepRole"]["Properties"][
        "Policies"] for s in p["PolicyDocument"]["Statement"] if "Sid" in s}


def test_function__may_do_no_more_than_it_does():
    made = statements(function_template().resources())
    actions = [a for s in made.values() for a in (
        s["Action"] if isinstance(s["Action"], list) else [s["Action"]])]
    assert sorted(actions) == ["ec2:DescribeInstances", "ec2:DescribeRegions",
                               "ec2:DescribeSecurityGroups"]
    assert "Condition" not in made["AskEc2"]


def test_function__binds_regions_in_its_role_too():
    resources = function_template(
        RegionsAllowed="us-east-1,eu-*").resources()
    assert statements(resources)["AskEc2"]["Condition"] == {
        "StringLike": {"aws:RequestedRegion": ["us-east-1", "eu-*"]}}
    variables = resources["Ec2SweepFunction"]["Properties"]["Environment"][
        "Variables"]
    assert variables["REGIONS_ALLOWED"] == "us-east-1,eu-*"


# --- what would be sent -----------------------------------------------------

session = botocore.session.get_session()


def shape_of(service, operation):
    return session.get_service_model(service).operation_model(
        operation).input_shape


def in_api_spelling(shape, value, names):
    """CloudFormation's Properties as members of the API's shape; names are those
    that differ in more than the first letter."""
    if shape.type_name == "structure":
        assert isinstance(value, dict), (shape.name, value)
        sent = {}
        for name, item in value.items():
            api = names.get(name, name[0].lower() + name[1:])
            assert api in shape.members, f"{shape.name} has no {api}"
            sent[api] = in_api_spelling(shape.members[api], item, names)
        return sent
    if shape.type_name == "list":
        return [in_api_spelling(shape.member, item, names) for item in value]
    if shape.type_name == "map":
        return {n: in_api_spelling(shape.value, i, names)
                for n, i in value.items()}
    return value


def faults(shape, value, path="request"):
    """What botocore leaves to the service: patterns, lengths, enumerations."""
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from faults(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        yield from out_of_range(shape, len(value), path)
        for item in value:
            yield from faults(shape.member, item, f"{path}[]")
    elif shape.type_name == "map":
        yield from out_of_range(shape, len(value), path)
        for name, item in value.items():
            yield from faults(shape.key, name, f"{path}.{name}")
            yield from faults(shape.value, item, f"{path}.{name}")
    elif shape.type_name == "string":
        yield from out_of_range(shape, len(value), path)
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path}: {value!r} is not {pattern}"
        if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum}"
    elif shape.type_name in ("integer", "long", "float"):
        yield from out_of_range(shape, value, path)


def out_of_range(shape, size, path):
    if size < shape.metadata.get("min", size) or \
            size > shape.metadata.get("max", size):
        yield f"{path}: {size} is out of range {shape.metadata}"


def judge(service, operation, properties, names=None, **more):
    """The request that these Properties lead to, once it is found right."""
    shape = shape_of(service, operation)
    sent = in_api_spelling(shape, properties, names or {}) | more
    report = botocore.validate.ParamValidator().validate(sent, shape)
    assert not report.has_errors(), report.generate_report()
    assert list(faults(shape, sent)) == []
    return sent


def properties(template):
    return {name: r["Properties"] for name, r in template.resources().items()}


def gateway(**parameters):
    return properties(render.Template(
        ROOT / "deploy" / "gateway.yaml", {
            "GatewayRole.Arn": ROLE_ARN,
            "Gateway.GatewayIdentifier": "ec2sweep-0123456789"},
        FunctionArn=FUNCTION_ARN, **parameters))


@pytest.mark.parametrize("name", NAMES)
def test_gateway__is_one_to_its_api(name):
    sent = judge("bedrock-agentcore-control", "CreateGateway",
                 gateway(Name=name)["Gateway"])
    assert sent["authorizerType"] == "AWS_IAM"
    assert "authorizerConfiguration" not in sent


JWT = "https://issuer.example.com/.well-known/openid-configuration"


def test_gateway__takes_tokens_when_told_their_issuer():
    sent = judge("bedrock-agentcore-control", "CreateGateway", gateway(
        Name="ec2sweep", JwtDiscoveryUrl=JWT, JwtClients="a,b")["Gateway"],
        {"CustomJWTAuthorizer": "customJWTAuthorizer"})
    assert sent["authorizerType"] == "CUSTOM_JWT"
    assert sent["authorizerConfiguration"]["customJWTAuthorizer"] == {
        "discoveryUrl": JWT, "allowedClients": ["a", "b"]}


def test_gateway__is_never_open_to_all():
    template = render.Template(
        ROOT / "deploy" / "gateway.yaml", Name="a", FunctionArn=FUNCTION_ARN,
        JwtDiscoveryUrl=JWT)
    assert len(template.failed_rules()) == 1
    text = (ROOT / "deploy" / "gateway.yaml").read_text(encoding="utf-8")
    assert "NONE" not in text


def test_target__is_one_to_its_api():
    made = gateway(Name="ec2sweep")["Target"]
    sent = judge("bedrock-agentcore-control", "CreateGatewayTarget", made)
    function = sent["targetConfiguration"]["mcp"]["lambda"]
    assert function["toolSchema"]["inlinePayload"] == \
        load_json("schema/tools.json")
    assert sent["credentialProviderConfigurations"] == [
        {"credentialProviderType": "GATEWAY_IAM_ROLE"}]


def test_target__has_prefixed_names_that_models_take():
    target = gateway(Name="ec2sweep")["Target"]
    for tool in load_json("schema/tools.json"):
        name = f"{target['Name']}___{tool['name']}"
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", name)
        assert len(name) <= TOOL_NAME_MAX


def test_gateway_role__may_invoke_the_function_before_there_is_a_target():
    policy, = gateway(Name="ec2sweep")["GatewayRole"]["Policies"]
    statement, = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"] == FUNCTION_ARN


@pytest.mark.parametrize("name", NAMES)
def test_harness__is_one_to_its_api(name):
    made = properties(render.Template(
        ROOT / "deploy" / "harness.yaml", {"HarnessRole.Arn": ROLE_ARN},
        Name=name, GatewayArn=GATEWAY_ARN, ModelId="vendor.model-1:0"))
    sent = judge("bedrock-agentcore-control", "CreateHarness", made["Harness"])
    tool, = sent["tools"]
    assert sent["allowedTools"] == ["@" + tool["name"]]
    assert sent["memory"] == {"disabled": {}}


def agent(name="ec2sweep", model="vendor.model-1:0"):
    return properties(render.Template(
        ROOT / "deploy" / "agent.yaml", {
            "AgentRole.Arn": ROLE_ARN, "Agent.AgentId": "AGENT12345",
            "Agent.AgentArn":
                "arn:aws:bedrock:eu-west-1:123456789012:agent/AGENT12345"},
        Name=name, FunctionArn=FUNCTION_ARN, ModelId=model))


@pytest.mark.parametrize("name", NAMES)
def test_agent__is_one_to_its_api(name):
    made = dict(agent(name)["Agent"])
    group, = made.pop("ActionGroups")
    assert made.pop("AutoPrepare") is True
    made.pop("SkipResourceInUseCheckOnDelete")
    judge("bedrock-agent", "CreateAgent", made)
    sent = judge("bedrock-agent", "CreateAgentActionGroup", group,
                 agentId="AGENT12345", agentVersion="DRAFT")
    assert yaml.safe_load(sent["apiSchema"]["payload"]) == \
        load_yaml("schema/openapi.yaml")


def test_agent_alias__changes_with_the_schema_and_the_model():
    model = "region.vendor.model-of-a-long-name-20260101-v1:0"
    made = agent(model=model)
    sent = judge("bedrock-agent", "CreateAgentAlias", made["Alias"])
    group, = made["Agent"]["ActionGroups"]
    digest = hashlib.sha256(group["ApiSchema"]["Payload"].encode()).hexdigest()
    assert sent["description"] == f"schema {digest[:16]}, {model}"


def test_agent__alone_may_invoke_the_function():
    permission = agent()["AgentInvokesFunction"]
    assert permission["Principal"] == "bedrock.amazonaws.com"
    assert permission["SourceAccount"] == render.ACCOUNT
    assert permission["SourceArn"].endswith(":agent/AGENT12345")


def test_function_schema__is_one_to_the_api():
    judge("bedrock-agent", "CreateAgentActionGroup", {},
          agentId="AGENT12345", agentVersion="DRAFT", actionGroupName="ec2",
          functionSchema={"functions": load_json("schema/functions.json")})


# --- the stack --------------------------------------------------------------


def stack(**parameters):
    return render.Template(ROOT / "stack.yaml", {
        f"{stack}.Outputs.{name}": "arn" for stack, name in (
            ("Function", "FunctionArn"), ("Gateway", "GatewayArn"))},
        **parameters)


@pytest.mark.parametrize("parameters,wanted", [
    ({}, {"Function", "Gateway"}),
    ({"CreateGateway": "no"}, {"Function"}),
    ({"CreateHarness": "yes", "ModelId": "m"},
     {"Function", "Gateway", "Harness"}),
    ({"CreateGateway": "no", "CreateAgent": "yes", "ModelId": "m"},
     {"Function", "Agent"}),
], ids=["default", "function", "harness", "agent"])
def test_stack__has_what_is_asked_for(parameters, wanted):
    made = stack(**parameters)
    assert set(made.resources()) == wanted
    assert made.failed_rules() == []


@pytest.mark.parametrize("parameters", [
    {"CreateHarness": "yes"},
    {"CreateHarness": "yes", "ModelId": "m", "CreateGateway": "no"},
    {"CreateHarness": "yes", "ModelId": "m", "JwtDiscoveryUrl": JWT},
    {"CreateAgent": "yes"},
], ids=["harness-no-model", "harness-no-gateway", "harness-tokens",
        "agent-no-model"])
def test_stack__refuses_what_cannot_work(parameters):
    assert len(stack(**parameters).failed_rules()) == 1


def test_stack__hands_on_what_its_parts_take():
    for name, resource in stack().body["Resources"].items():
        where = resource["Properties"]
        path = where.get("Location") or where["TemplateURL"]
        part = render.load(ROOT / path)["Parameters"]
        assert set(where["Parameters"]) == set(part), name
        for parameter in set(part) & set(stack().body["Parameters"]):
            assert stack().body["Parameters"][parameter]["Type"] == \
                part[parameter]["Type"]
            if "Default" in part[parameter]:
                assert stack().body["Parameters"][parameter]["Default"] == \
                    part[parameter]["Default"]
