"""The sample events, each sent as events/README.md says, under the Lambda
Runtime Interface Emulator: every one is answered, and rightly."""

import base64
import json

import pytest

import harness
from test_emulator import Lambda, emulator  # pylint: disable=unused-import

EVENTS = harness.ROOT / "events"
REGIONS = "ap-northeast-1,eu-west-1,us-east-1"
# The events are named after the questions; these are the simulator's names.
QUESTIONS = {"count": "count", "owner": "owner", "exposed": "exposure"}
ALL = sorted(path for path in EVENTS.glob("**/*.json")
             if not path.name.endswith(".context.json"))


@pytest.fixture(scope="module")
def sim():
    with harness.Sim("--regions", REGIONS, "--instances", 30) as made:
        yield made


@pytest.fixture(scope="module")
def function(emulator, sim):
    made = Lambda(emulator, sim.env)
    try:
        yield made
    finally:
        made.end()


def ask(function, path):
    context = path.with_name(path.stem + ".context.json")
    headers = {}
    if context.exists():
        headers["X-Amz-Client-Context"] = base64.b64encode(
            context.read_bytes()).decode()
    return function.invoke(path.read_bytes(), headers)


def body_of(path, whole):
    """What the caller's agent would read."""
    if path.parent.name in ("gateway", "plain"):
        return whole
    response = whole["response"]
    if path.parent.name == "function":
        assert "responseState" not in response["functionResponse"], response
        return json.loads(
            response["functionResponse"]["responseBody"]["TEXT"]["body"])
    assert response["httpStatusCode"] == 200, response
    return harness.Reply(whole).body


def rows_of(body):
    """The rows of either form, as far as both have the same."""
    rows = body["items"] if isinstance(body, dict) else body
    return [(row["region"], row.get("instanceId", row.get("totalInstances")))
            for row in rows]


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(EVENTS)))
def test_event__is_answered(function, sim, path):
    whole = ask(function, path)
    if path.name == "unknown-path.json":
        assert whole["response"]["httpStatusCode"] == 404
        return
    body = body_of(path, whole)
    question = QUESTIONS.get(path.stem)
    if question == "exposure" and path.parent != EVENTS:
        assert rows_of(body)  # port 22 alone
        assert set(rows_of(body)) <= set(rows_of(sim.answers(question)))
    elif question:
        assert rows_of(body) == rows_of(sim.answers(question))
    else:
        assert "error" not in body, body


def test_events__are_there_for_every_caller_and_question():
    tools = json.loads((harness.ROOT / "schema" / "tools.json").read_text())
    for folder in ("function", "plain", "gateway", "."):
        texts = [path.read_text() for path in (EVENTS / folder).glob("*.json")]
        paths = [t["name"] for t in tools]
        if folder == ".":
            paths = ["/count/", "/check-without-owner/",
                     "/check-open-permission/", "/summary/", "/find/"]
        for name in paths:
            assert [t for t in texts if name in t], (folder, name)
