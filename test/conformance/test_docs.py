"""The commands in the documents: each `aws` command held against the model of
its operation, each `sam` and `make` command against what the program knows."""

import functools
import json
import re
import shlex
import subprocess

import botocore.session
import pytest
from botocore import xform_name

import harness

ROOT = harness.ROOT
SAM = ROOT / "build" / "sam-venv" / "bin" / "sam"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"),
                    *(ROOT / "events").glob("*.md")])
# Options of the AWS CLI itself, which are no parameters of an operation.
OF_THE_CLI = {"cli-binary-format", "output", "query", "region", "profile"}
session = botocore.session.get_session()


def commands(program):
    """(document, words) of each command line in an indented block."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\\\n\s*", "", text)
        # What a shell would run first is one word here.
        text = re.sub(r'"\$\(.*?\)"', "SUBSTITUTED", text, flags=re.S)
        for line in re.findall(rf"^ {{4,}}({program} .*)$", text, re.M):
            for part in line.split(" && "):
                words = shlex.split(part, comments=True)
                if words[0] == program:
                    yield path.name, words


def named(cases):
    cases = list(cases)
    return {"argvalues": cases,
            "ids": [f"{name}: {' '.join(words[:3])}" for name, words in cases]}


@pytest.mark.parametrize("document,words", **named(commands("aws")))
def test_aws_command__fits_its_operation(document, words):
    _, service, command, *rest = words
    if (service, command) == ("configure", "export-credentials"):
        return  # of the CLI alone
    model = session.get_service_model(service)
    operation, = [name for name in model.operation_names
                  if xform_name(name, "-") == command]
    shape = model.operation_model(operation).input_shape
    members = {xform_name(name, "-"): name for name in shape.members}
    # Lambda's invoke takes the file for the answer as it stands.
    given = [word[2:] for word in rest if word.startswith("--")]
    unknown = set(given) - set(members) - OF_THE_CLI
    assert not unknown, f"{document}: {command} has no {sorted(unknown)}"
    needed = {name for name, api in members.items()
              if api in shape.required_members}
    assert needed <= set(given), f"{document}: {command} needs {needed}"


@functools.lru_cache
def options_of(*names):
    told = subprocess.run(
        [SAM, *names, "--help"], capture_output=True, text=True, check=True,
        env=harness.environment(SAM_CLI_TELEMETRY="0", COLUMNS="200",
                                HOME=str(ROOT / "build"))).stdout
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told))


@pytest.mark.parametrize("document,words", **named(commands("sam")))
def test_sam_command__is_one(document, words):
    options = {word.split("=")[0] for word in words if word.startswith("-")}
    names = [word for word in words[1:3] if re.fullmatch("[a-z-]+", word)]
    known = options_of(*names[:2 if names[0] == "local" else 1])
    assert options <= known, f"{document}: no such option: {options - known}"


@pytest.mark.parametrize("document,words", **named(commands("make")))
def test_make_command__has_a_target(document, words):
    text = "".join(path.read_text() for path in (
        ROOT / "Makefile", *ROOT.glob("*/*.mk"), *ROOT.glob("*/*/*.mk")))
    for target in words[1:]:
        if "=" not in target and not target.startswith("-"):
            assert re.search(rf"^{target}:", text, re.M), (document, target)


def test_documents__name_files_that_there_are():
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / target).exists(), (path.name, target)


def logged():
    """The lines of one answer, by message; and its metrics."""
    env = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    with harness.Sim("--regions", "eu-west-1,us-east-1", "--instances", 5,
                     "--fault", "us-east-1=denied") as sim, \
            harness.Runtime(env=sim.env | env) as runtime:
        runtime.ask(harness.event())
        runtime.wait_until_idle()
    lines = [json.loads(line) for line in (
        runtime.output.text("stdout") + runtime.output.text()).splitlines()]
    return {line.get("message", "metrics"): line for line in lines}


def test_operations__tell_of_the_lines_that_are_written():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    lines = logged()
    sample, = re.findall(r'^ {4}(\{"timestamp".*?\})$', text, re.M | re.S)
    assert list(json.loads(sample)) == list(lines["answered"])
    for message, fields in {"answered": "ms retries regionsFailed question",
                            "region failed": "ec2Text region error"}.items():
        assert f'filter message = "{message}"' in text
        for field in fields.split():
            assert field in lines[message] and field in text
    directive, = lines["metrics"]["_aws"]["CloudWatchMetrics"]
    for metric in directive["Metrics"]:
        assert f"`{metric['Name']}`" in text
    for name in re.findall(r"--namespace ec2sweep --metric-name (\w+)", text):
        assert name in [metric["Name"] for metric in directive["Metrics"]]
    assert f"--namespace {directive['Namespace']} " in text


def test_gateway__tells_of_the_object_that_is_answered():
    text = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    sample, = re.findall(r'^ {4}(\{"account".*?\]\})$', text, re.M | re.S)
    with harness.Sim("--regions", "eu-west-1,us-east-1", "--instances", 5,
                     "--fault", "us-east-1=denied") as sim, \
            harness.Runtime(env=sim.env) as runtime:
        answer = runtime.invoke(harness.plain_event()).json
    told = json.loads(sample)
    assert [k for k in told if k != "account"] == \
        [k for k in answer if k != "account"]
    assert list(told["items"][0]) == list(answer["items"][0])
    assert list(told["failed"][0]) == list(answer["failed"][0])
