"""The Runtime API double itself: a good runtime passes, each sin is seen."""

import http.client
import json
import threading
import time

import pytest

import harness
from runtime_api import PREFIX, RuntimeApi

EVENT = {"hello": "world"}


class Client:
    """A tiny runtime, with one sin at a time."""

    def __init__(self, api):
        self.host = api.endpoint
        self.link = http.client.HTTPConnection(*api.endpoint.split(":"), timeout=5)

    def next(self):
        self.link.request("GET", PREFIX + "/invocation/next")
        response = self.link.getresponse()
        return response.headers, response.read()

    def post(self, path, body, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Content-Type", "application/json")
        self.link.request("POST", PREFIX + path, body, headers)
        response = self.link.getresponse()
        response.read()
        return response.status

    def answer(self, head, body=b"{}", **headers):
        headers.setdefault("Lambda_Runtime_Invocation_Id",
                           head["Lambda-Runtime-Invocation-Id"])
        path = f"/invocation/{head['Lambda-Runtime-Aws-Request-Id']}/response"
        return self.post(path, body, **headers)


@pytest.fixture(params=[False, True], ids=["length", "chunked"])
def api(request):
    with RuntimeApi(chunked=request.param) as running:
        yield running


def serve_one(api, act):
    """Posts EVENT, lets act(client, head) answer it: the Answer."""
    def runtime():
        client = Client(api)
        head, body = client.next()
        assert json.loads(body) == EVENT
        act(client, head)

    thread = threading.Thread(target=runtime)
    thread.start()
    try:
        return api.invoke(EVENT, timeout=5, alive=thread.is_alive)
    finally:
        thread.join()


def test_good_runtime_has_no_violations(api):
    answer = serve_one(api, lambda c, head: c.answer(head, b'{"ok":1}'))
    assert answer.json == {"ok": 1} and answer.kind == "response"
    assert api.violations == []


SINS = {
    "invocation-id-not-echoed":
        lambda c, head: c.answer(head, Lambda_Runtime_Invocation_Id="other"),
    "answer-twice":
        lambda c, head: (c.answer(head), c.answer(head)),
    "unknown-id":
        lambda c, head: (c.post("/invocation/0/response", b"{}"), c.answer(head)),
    "next-before-answer":
        lambda c, head: (_next_and_leave(c), c.answer(head)),
    "not-json": lambda c, head: c.answer(head, b"{"),
    "content-type": lambda c, head: c.answer(head, Content_Type="text/html"),
    "expect": lambda c, head: c.answer(head, Expect="100-continue"),
    "error-type":
        lambda c, head: (c.post("/init/error", b'{"errorMessage":"x"}'),
                         c.answer(head)),
    "other-path": lambda c, head: (c.post("/nowhere", b"{}"), c.answer(head)),
}


def _next_and_leave(client):
    other = http.client.HTTPConnection(client.host, timeout=5)
    other.request("GET", PREFIX + "/invocation/next")
    assert other.getresponse().status == 403
    other.close()


@pytest.mark.parametrize("sin", SINS)
def test_each_sin_is_a_violation(api, sin):
    serve_one(api, SINS[sin])
    assert api.violations


def test_too_large_answer_is_413(api):
    statuses = []
    serve_one(api, lambda c, head: statuses.append(
        c.answer(head, b'"' + b"x" * 6_300_000 + b'"')))
    assert statuses == [413] and api.violations == []


@pytest.mark.parametrize("text", [
    harness.SECRET.encode(), harness.TOKEN.encode(),
    harness.SECRET.encode().hex().encode(), b"bm90LWEtcmVhbC1zZWNyZXQ",
    next(harness.signing_keys("eu-west-1", time.strftime(
        "%Y%m%d", time.gmtime()))),
    b"Authorization: AWS4-HMAC-SHA256 Credential=TESTKEY",
    b"Signature=f26da5e69b9e"])
def test_printed_secret_is_seen(monkeypatch, text):
    monkeypatch.setattr(harness, "printed", [("a test", b"{" + text + b"}")])
    with pytest.raises(AssertionError):
        harness.check_no_secret_was_printed()
