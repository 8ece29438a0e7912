"""The program under AWS's own Runtime Interface Emulator, the program that
`sam local` and the Lambda images use in Lambda's place.

It starts the runtime with the first invocation, serves one invocation at a
time, and prints what the runtime logs."""

import http.server
import json
import os
import pathlib
import platform
import subprocess
import threading
import urllib.request

import pytest

import harness
from judge import free_port, wait_for_port

ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
INVOKE = "/2015-03-31/functions/function/invocations"


@pytest.fixture(scope="module")
def emulator():
    """The emulator that comes with SAM."""
    name = "aws-lambda-rie-" + ARCHITECTURE[platform.machine()]
    path, = (harness.ROOT / "build" / "sam-venv").glob(
        f"lib/python*/site-packages/samcli/local/rapid/{name}")
    path.chmod(0o755)
    return path


class Lambda:
    def __init__(self, emulator, env):
        self.port = free_port()
        self.process = harness.start(
            [str(emulator), "--log-level", "error",
             "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
             "--runtime-api-address", f"127.0.0.1:{free_port()}",
             str(harness.BOOTSTRAP)],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.output = harness.Output(self.process)
        wait_for_port(self.port, self.process)

    def invoke(self, event, headers=None):
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{INVOKE}", data, headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=harness.TIMEOUT_S) as answer:
            assert answer.status == 200
            return json.loads(answer.read())

    def runtimes(self):
        """Process ids of what the emulator started."""
        found = []
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            if f"\nPPid:\t{self.process.pid}\n" in text:
                found.append(int(status.parent.name))
        return found

    def end(self):
        runtimes = self.runtimes()
        harness.stop(self.process, 3)
        for pid in runtimes:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.output.end()


@pytest.fixture(scope="module")
def sim():
    with harness.Sim("--regions", "eu-west-1,us-east-1,us-west-2",
                     "--instances", 30) as made:
        yield made


@pytest.fixture
def function(emulator, sim):
    made = Lambda(emulator, sim.env)
    try:
        yield made
    finally:
        made.end()


def test_emulator__gets_the_three_answers(function, sim):
    for question in ("count", "owner", "exposure"):
        reply = harness.Reply(function.invoke(harness.event(question)))
        assert reply.status == 200
        assert reply.body == sim.answers(question)


def test_emulator__gets_an_error_and_then_answers_again(function, sim):
    for event in (b"not JSON", b"{}", b"[1]"):
        failed = function.invoke(event)
        assert failed["errorType"] == "Function.InvalidEvent"
        assert failed["errorMessage"]
    reply = harness.Reply(function.invoke(harness.event("count")))
    assert reply.body == sim.answers("count")


def test_emulator__gets_500_answers_from_one_process(function, sim):
    right = sim.answers("count")
    function.invoke(harness.event("count"))
    first = function.runtimes()
    for _ in range(500):
        reply = harness.Reply(function.invoke(harness.event("count")))
        assert reply.body == right
    assert len(first) == 1 and function.runtimes() == first


@pytest.mark.parametrize("size", [65_000, 66_000, 1_000_000, 6_000_000])
def test_emulator__gets_an_answer_to_a_large_event(function, sim, size):
    event = harness.event("count", inputText="x" * size)
    reply = harness.Reply(function.invoke(event))
    assert reply.body == sim.answers("count")
    assert reply.whole["sessionAttributes"] == event["sessionAttributes"]


class Ec2(http.server.BaseHTTPRequestHandler):
    """No instances in any region, and never an answer from us-west-2."""

    protocol_version = "HTTP/1.1"
    answer = (b'<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/'
              b'2016-11-15/"><requestId>r</requestId><reservationSet/>'
              b'</DescribeInstancesResponse>')

    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if "/us-west-2/" in self.headers["Authorization"]:
            self.server.over.wait(harness.TIMEOUT_S)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)


@pytest.fixture
def silent_ec2():
    """Its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ec2)
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever,
                              kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_emulator__gets_an_answer_before_its_time_is_over(emulator, silent_ec2):
    env = harness.environment(AWS_ENDPOINT_URL_EC2=silent_ec2,
                              REGIONS="us-east-1,us-west-2",
                              AWS_LAMBDA_FUNCTION_TIMEOUT="3")
    function = Lambda(emulator, env)
    try:
        reply = harness.Reply(function.invoke(harness.event("count")))
    finally:
        function.end()
    assert reply.status == 200
    assert [e["region"] for e in reply.body if "error" in e] == ["us-west-2"]
