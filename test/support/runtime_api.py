"""A double of the Lambda Runtime API (version 2018-06-01), strict about it.

    with RuntimeApi() as api:
        start a runtime with AWS_LAMBDA_RUNTIME_API=api.endpoint
        answer = api.invoke({"actionGroup": ...})

It hands out one invocation at a time, as Lambda does, with the headers that
Lambda sends, and judges each request: what a runtime must not do is written
to `violations`, one line each.
"""

import collections
import http.server
import json
import re
import select
import socket
import threading
import time
import uuid

PREFIX = "/2018-06-01/runtime"
MAX_PAYLOAD = 6 * 1024 * 1024 + 100
UNANSWERED = "next asked for before an answer was posted"
ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
JSON_TYPES = ("application/json", "application/vnd.aws.lambda.error+json")
REASONS = {202: "Accepted", 400: "InvalidRequestID",
           403: "InvalidStateTransition", 410: "InvokeTimeout",
           413: "RequestEntityTooLarge", 500: "ContainerError"}


class Answer:
    """What the runtime posted: kind is response, error or init/error."""

    def __init__(self, kind, body, headers):
        self.kind = kind
        self.body = body
        self.headers = headers
        self.at = time.monotonic()

    @property
    def json(self):
        return json.loads(self.body)


class Invocation:
    def __init__(self, event, options):
        self.id = str(uuid.uuid4())
        self.body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.invocation_id = options.pop("invocation_id", str(uuid.uuid4()))
        self.deadline_ms = options.pop("deadline_ms", 30_000)
        self.client_context = options.pop("client_context", None)
        self.status = options.pop("answer_status", 202)
        self.headers = options.pop("headers", {})
        self.trace_id = options.pop(
            "trace_id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
        if options:
            raise TypeError(f"unknown options: {sorted(options)}")
        self.answer = None
        self.done = threading.Event()

    def response_headers(self):
        yield "Content-Type", "application/json"
        yield "Lambda-Runtime-Aws-Request-Id", self.id
        deadline = int(time.time() * 1000) + self.deadline_ms
        yield "Lambda-Runtime-Deadline-Ms", str(deadline)
        yield ("Lambda-Runtime-Invoked-Function-Arn",
               "arn:aws:lambda:us-east-1:123456789012:function:ec2sweep")
        if self.trace_id:
            yield "Lambda-Runtime-Trace-Id", self.trace_id
        if self.invocation_id:
            yield "Lambda-Runtime-Invocation-Id", self.invocation_id
        if self.client_context is not None:
            yield "Lambda-Runtime-Client-Context", json.dumps(self.client_context)
        yield from self.headers.items()


class RuntimeApi:
    """The server, as a context manager. `chunked`: /next has no length, as
    with the Runtime Interface Emulator. `next_status`: answers to the first
    requests for /next instead of an event, e.g. [500]."""

    def __init__(self, *, chunked=False, next_status=()):
        self.chunked = chunked
        self.next_status = collections.deque(next_status)
        self.violations = []
        self.init_error = None
        self.connections = 0
        self.next_requests = 0
        self.changed = threading.Condition()
        self._waiting = collections.deque()
        self._current = None
        self._past = set()
        self._closed = False
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.02})

    @property
    def endpoint(self):
        return "127.0.0.1:%d" % self._server.server_address[1]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def post(self, event, **options):
        """Queues an event (bytes as they are, else made JSON)."""
        invocation = Invocation(event, options)
        with self.changed:
            self._waiting.append(invocation)
            self.changed.notify_all()
        return invocation

    def invoke(self, event, timeout=30, alive=lambda: True, **options):
        """Queues an event and waits for its Answer.

        Options: deadline_ms (from now), client_context, invocation_id,
        trace_id, headers, answer_status (what the runtime's POST is told).
        """
        invocation = self.post(event, **options)
        end = time.monotonic() + timeout
        while not invocation.done.wait(0.02):
            if not alive():
                if invocation.done.wait(0.2):
                    break
                raise AssertionError("the runtime ended without an answer")
            if time.monotonic() > end:
                raise AssertionError(f"no answer within {timeout} s")
        return invocation.answer

    def wait_until_idle(self, timeout=30, alive=lambda: True):
        """Waits until the runtime asks for its next event."""
        end = time.monotonic() + timeout
        with self.changed:
            while not (self._asking and not self._waiting):
                if not alive() or time.monotonic() > end:
                    raise AssertionError("the runtime does not ask for an event")
                self.changed.wait(0.05)

    _asking = 0

    def violation(self, text):
        self.violations.append(text)

    # What the handler calls, on the thread of its connection.

    def take(self, gone):
        """The next invocation, or None if closed or if gone() says so;
        PermissionError while one waits for its answer, as in the emulator."""
        with self.changed:
            self.next_requests += 1
            if self._current:
                self.violation(UNANSWERED)
                raise PermissionError
            self._asking += 1
            self.changed.notify_all()
            try:
                while not self._waiting:
                    if self._closed or gone():
                        return None
                    self.changed.wait(0.1)
                self._current = self._waiting.popleft()
                return self._current
            finally:
                self._asking -= 1

    def finish(self, request_id, answer):
        """The status for a posted answer."""
        with self.changed:
            current = self._current
            if current is None or current.id != request_id:
                known = request_id in self._past
                self.violation(f"{answer.kind} for "
                               f"{'an answered' if known else 'an unknown'} id")
                return 403 if known else 400
            self._judge_invocation_id(current, answer)
            self._current = None
            self._past.add(request_id)
            status = current.status
            if status == 202 and len(answer.body) > MAX_PAYLOAD:
                status = 413
            answer.status = status
            current.answer = answer
            current.done.set()
            return status

    def _judge_invocation_id(self, current, answer):
        echoed = answer.headers.get("Lambda-Runtime-Invocation-Id")
        if echoed != (current.invocation_id or None):
            self.violation(f"{answer.kind}: Invocation-Id {echoed!r}, "
                           f"not {current.invocation_id!r}")

    def fail_init(self, answer):
        with self.changed:
            if self.next_requests:
                self.violation("init/error after next")
                return 403
            self.init_error = answer
            return 202


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def api(self):
        return self.server.api

    def setup(self):
        super().setup()
        with self.api.changed:
            self.api.connections += 1

    def log_message(self, *args):
        pass

    def handle_expect_100(self):
        self.api.violation("Expect: header sent")
        return super().handle_expect_100()

    def _judge_request(self):
        if not self.path.startswith("/"):
            self.api.violation(f"sent as to a proxy: {self.path}")
        if self.headers.get("Host") != self.api.endpoint:
            self.api.violation(f"Host: {self.headers.get('Host')}")
        if self.headers.get("Proxy-Connection"):
            self.api.violation("Proxy-Connection: header sent")

    def do_GET(self):
        self._judge_request()
        if self.path != PREFIX + "/invocation/next":
            self.api.violation(f"GET {self.path}")
            self._reply(404, {})
            return
        if self.api.next_status:
            self.api.next_requests += 1
            self._reply(self.api.next_status.popleft(), {})
            return
        try:
            invocation = self.api.take(self._client_is_gone)
        except PermissionError:
            self._reply(403, {"errorType": REASONS[403]})
            return
        if invocation is None:
            self.close_connection = True
            return
        self._send_event(invocation)

    def _client_is_gone(self):
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _send_event(self, invocation):
        self.send_response(200)
        for name, value in invocation.response_headers():
            self.send_header(name, value)
        body = invocation.body
        if not self.api.chunked:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 700):
            part = body[start:start + 700]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        self._judge_request()
        body = self._body()
        parts = self.path.removeprefix(PREFIX).split("/")
        if self.path == PREFIX + "/init/error":
            answer = Answer("init/error", body, self.headers)
            self._judge_error(answer)
            status = self.api.fail_init(answer)
        elif len(parts) == 4 and parts[1] == "invocation" and parts[3] in (
                "response", "error"):
            answer = Answer(parts[3], body, self.headers)
            if answer.kind == "error":
                self._judge_error(answer)
            else:
                self._judge_json(answer)
            status = self.api.finish(parts[2], answer)
        else:
            self.api.violation(f"POST {self.path}")
            status = 404
        self._reply(status, {"status": "OK"} if status == 202 else
                    {"errorType": REASONS.get(status, "Unknown"),
                     "errorMessage": f"told to answer {status}"})

    def _body(self):
        if self.headers.get("Content-Length") is None:
            self.api.violation("POST without Content-Length")
            return b""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _judge_json(self, answer):
        kind = (answer.headers.get("Content-Type") or "").split(";")[0].strip()
        if kind not in JSON_TYPES:
            self.api.violation(f"{answer.kind}: Content-Type {kind!r}")
        try:
            return answer.json
        except ValueError as bad:
            self.api.violation(f"{answer.kind}: not JSON: {bad}")
            return None

    def _judge_error(self, answer):
        what = self._judge_json(answer)
        kind = answer.headers.get("Lambda-Runtime-Function-Error-Type", "")
        if not ERROR_TYPE.fullmatch(kind):
            self.api.violation(f"{answer.kind}: error type {kind!r}")
        if not isinstance(what, dict):
            return
        if what.get("errorType") != kind:
            self.api.violation(f"{answer.kind}: errorType differs from header")
        if not what.get("errorMessage"):
            self.api.violation(f"{answer.kind}: no errorMessage")
        if not isinstance(what.get("stackTrace", []), list):
            self.api.violation(f"{answer.kind}: stackTrace is not a list")

    def _reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status, REASONS.get(status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
