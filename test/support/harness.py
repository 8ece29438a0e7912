"""Starts what the system tests and the demo need, and leaves nothing running.

    with Sim("--instances", "20") as sim:
        sim.answers("count")                     the right answer
        run_event(event, env=sim.env)            bootstrap as a command
        with Runtime(env=sim.env) as runtime:    bootstrap as a Lambda runtime
            runtime.invoke(event)
"""

import base64
import ctypes
import hmac
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from runtime_api import RuntimeApi

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("EC2SWEEP_BUILD", "build/asan")
BOOTSTRAP = ROOT / os.environ.get("EC2SWEEP_BOOTSTRAP", BUILD / "bootstrap")
WRAPPER = shlex.split(os.environ.get("EC2SWEEP_WRAPPER", ""))
# Patience, not expectation: valgrind is some 30 times slower, qemu 10.
TIMEOUT_S = 300 if WRAPPER else 60
DEADLINE_MS = 120_000 if WRAPPER else 30_000  # of an event, unless it says
PATIENCE = {"INIT_BUDGET_MS": "9000"} if WRAPPER else {}

# Exit statuses that no program of ours uses.
SANITIZER_EXIT, VALGRIND_EXIT = 99, 98

KEY_ID, SECRET, TOKEN = "TESTKEY", "not-a-real-secret", "not-a-real-token/+=="

printed = []  # (test, output) of every run


def base_environment():
    """A clean environment that is the same on every machine."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:detect_leaks=1:"
                        "handle_segv=2:handle_abort=2:"
                        "detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:"
                         f"exitcode={SANITIZER_EXIT}",
    }


def environment(**more):
    """base_environment() with test credentials; None removes a variable."""
    env = base_environment()
    env.update(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET,
               AWS_REGION="us-east-1", **PATIENCE)
    env.update(more)
    return {name: value for name, value in env.items() if value is not None}


def record(output):
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    printed.append((test, output))


def signing_keys(region, date):
    """The keys that are derived from SECRET one after another (Signature
    Version 4, "Calculate a signature")."""
    key = ("AWS4" + SECRET).encode()
    for part in (date, region, "ec2", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
        yield key


def all_secrets():
    """What must not be printed, in the forms that it could have."""
    now = time.time()
    plain = {SECRET.encode(), TOKEN.encode()}
    for day in (now - 86_400, now):
        date = time.strftime("%Y%m%d", time.gmtime(day))
        for region in ("us-east-1", "eu-west-1", "ap-southeast-2"):
            plain.update(signing_keys(region, date))
    for secret in plain:
        yield from (secret, secret.hex().encode(),
                    base64.b64encode(secret).rstrip(b"="))


# What stands in an Authorization header and nowhere else.
SIGNATURE = re.compile(rb"Signature=[0-9a-f]{8}|AWS4-HMAC-SHA256 Credential=")


def check_no_secret_was_printed():
    secrets = list(all_secrets())
    leaks = {test for test, output in printed if SIGNATURE.search(output)
             or any(secret in output for secret in secrets)}
    assert not leaks, f"a secret was printed in: {sorted(leaks)}"


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start(argv, **options):
    # Only from the main thread: the signal comes when the thread ends.
    return subprocess.Popen(argv, preexec_fn=_die_with_parent, **options)


def stop(process, patience_s=10):
    """SIGTERM, then SIGKILL; the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def is_readable(pipe, timeout_ms):
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(timeout_ms))


class Output:
    """Collects what a process writes to its pipes while it runs."""

    def __init__(self, process):
        self._parts = {"stdout": [], "stderr": []}
        self._pipes = {name: getattr(process, name) for name in self._parts}
        self._lock = threading.Lock()
        self._threads = []
        for name in self._parts:
            thread = threading.Thread(target=self._read, args=(name,),
                                      daemon=True)
            thread.start()
            self._threads.append(thread)

    def _read(self, name):
        pipe = self._pipes[name]
        while self._take(name):
            is_readable(pipe, None)
        with self._lock:
            pipe.close()

    def _take(self, name):
        """What is in the pipe by now; false at its end."""
        pipe = self._pipes[name]
        with self._lock:
            while not pipe.closed and is_readable(pipe, 0):
                part = os.read(pipe.fileno(), 65536)
                if not part:
                    return False
                self._parts[name].append(part)
        return True

    def text(self, name="stderr"):
        """All that was written before this call, and perhaps a little more."""
        self._take(name)
        return b"".join(self._parts[name]).decode("utf-8", "replace")

    def end(self):
        for thread in self._threads:
            thread.join(5)
        record(b"".join(self._parts["stdout"] + self._parts["stderr"]))


# --- the EC2 simulator ------------------------------------------------------

FLEET_OPTIONS = {"--regions": 1, "--regions-file": 1, "--instances": 1,
                 "--instances-in": 1, "--seed": 1, "--groups": 1,
                 "--open": 1, "--disabled": 1,
                 "--hide-managed": 0}


class Sim:
    """An ec2sim with these options, until the end of the `with`."""

    def __init__(self, *options, build=None):
        self.program = str((build or BUILD) / "ec2sim")
        self.options = [str(o) for o in options]
        self.process = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="ec2sim.")
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def _start(self):
        self.process = start(
            [self.program, "--port", "0", "--dir", self.dir, "--stdin-lease",
             *self.options],
            env=base_environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ready = self.process.stdout.readline().decode().split()
        self.output = Output(self.process)
        if ready[:2] != ["ec2sim", "ready"]:
            self.process.wait(10)
            self.output.end()
            raise AssertionError(f"ec2sim: {ready} {self.output.text()}")
        said = dict(word.split("=", 1) for word in ready[2:])
        self.port, self.ca = int(said["port"]), said.get("ca")

    def _end(self):
        status = None
        if self.process:
            self.process.stdin.close()
            status = stop(self.process)
            self.output.end()
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    def __exit__(self, kind, *rest):
        status = self._end()
        if kind is None and status != 0:
            raise AssertionError(f"ec2sim: status {status}\n"
                                 + self.output.text())

    @property
    def plain(self):
        return "--plain" in self.options

    @property
    def env(self):
        """The variables that lead a bootstrap here, and test credentials."""
        scheme = "http" if self.plain else "https"
        where = f"{scheme}://ec2.{{region}}.localhost:{self.port}"
        return environment(AWS_ENDPOINT_URL_EC2=where,
                           AWS_CA_BUNDLE=None if self.plain else self.ca)

    def _fleet(self):
        options, kept = iter(self.options), []
        for option in options:
            if option in FLEET_OPTIONS:
                kept += [option] + [next(options)
                                    for _ in range(FLEET_OPTIONS[option])]
        return kept

    def answers(self, question, regions=None, **asked):
        """The right answer, computed from the fleet (a list); asked are
        further options, such as states="running" or full=True."""
        argv = [self.program, "--print-answers", question, *self._fleet()]
        if regions:
            argv += ["--regions-asked", regions]
        for name, value in asked.items():
            option = "--" + name.replace("_", "-")
            argv += [option] if value is True else [option, value]
        done = subprocess.run(argv, env=base_environment(), timeout=TIMEOUT_S,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def control(self, method, path, body=""):
        """One request to /_sim/..., its answer as text."""
        host = "localhost"  # no region, so that none counts it
        request = (f"{method} {path} HTTP/1.1\r\nHost: {host}:{self.port}\r\n"
                   f"Content-Length: {len(body)}\r\nConnection: close\r\n"
                   f"\r\n{body}").encode()
        with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
            link = plain
            if not self.plain:
                context = ssl.create_default_context(cafile=self.ca)
                link = context.wrap_socket(plain, server_hostname=host)
            with link:
                link.sendall(request)
                answer = link.makefile("rb").read()
        head, _, text = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 2"), answer
        return text.decode()

    def stats(self):
        return json.loads(self.control("GET", "/_sim/stats"))

    def set_faults(self, *lines):
        self.control("POST", "/_sim/faults", "\n".join(lines))


# --- the program under test -------------------------------------------------


def event(question="count", regions="all", **more):
    """A Bedrock agent's event; question is a word or a whole apiPath."""
    paths = {"count": "/count/{regions}",
             "owner": "/check-without-owner/{regions}",
             "exposure": "/check-open-permission/{regions}",
             "summary": "/summary/{regions}", "find": "/find/{regions}"}
    whole = {
        "messageVersion": "1.0",
        "agent": {"name": "ops", "id": "AGENTID", "alias": "TSTALIASID",
                  "version": "DRAFT"},
        "inputText": "how many instances do we run?",
        "sessionId": "123456789012",
        "actionGroup": "ec2",
        "apiPath": paths.get(question, question),
        "httpMethod": "GET",
        "parameters": [{"name": "regions", "type": "string", "value": regions}],
        "sessionAttributes": {"team": "blue"},
        "promptSessionAttributes": {},
    }
    whole.update(more)
    return {name: value for name, value in whole.items() if value is not None}


NAMES = {"count": "count_instances", "owner": "instances_without_tag",
         "exposure": "exposed_instances", "summary": "summarize_instances",
         "find": "find_instances"}


def function_event(question="count", **parameters):
    """A Bedrock agent's event for an action group with function details."""
    whole = event()
    del whole["apiPath"], whole["httpMethod"]
    whole["function"] = NAMES.get(question, question)
    whole["parameters"] = [{"name": name, "type": "string", "value": value}
                           for name, value in parameters.items()]
    return whole


def plain_event(question="count", **arguments):
    return {"tool": NAMES.get(question, question), "arguments": arguments}


def tool_context(question="count", target="ec2"):
    """The client context by which an AgentCore Gateway names its tool."""
    name = NAMES.get(question, question)
    return {"custom": {"bedrockAgentCoreToolName": f"{target}___{name}",
                       "bedrockAgentCoreGatewayId": "ec2-gateway-1",
                       "bedrockAgentCoreTargetId": "TARGET1"}}


def run(*arguments, stdin=b"", env=None, timeout=None, stdout=subprocess.PIPE):
    """Runs bootstrap to its end: CompletedProcess with str outputs."""
    argv = [*WRAPPER, str(BOOTSTRAP), *map(str, arguments)]
    process = start(argv, env=env if env is not None else environment(),
                    stdin=subprocess.PIPE, stdout=stdout,
                    stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(stdin, timeout or TIMEOUT_S)
        out = out or b""
    finally:
        process.kill()
        process.wait()
    record(out + err)
    assert process.returncode not in (SANITIZER_EXIT, VALGRIND_EXIT), err.decode()
    assert process.returncode >= 0, f"signal {-process.returncode}\n{err.decode()}"
    return subprocess.CompletedProcess(argv, process.returncode, out.decode(),
                                       err.decode())


class Reply:
    """The envelope that answers an event, taken apart."""

    def __init__(self, whole):
        assert whole["messageVersion"] == "1.0"
        self.whole = whole
        self.response = whole["response"]
        self.status = self.response["httpStatusCode"]
        (kind, content), = self.response["responseBody"].items()
        assert kind == "application/json"
        self.raw = content["body"]

    @property
    def body(self):
        assert isinstance(self.raw, str), "body must be a JSON string"
        return json.loads(self.raw)


def run_event(what, env=None, **options):
    """Runs `bootstrap --event -`, expects success: a Reply."""
    data = what if isinstance(what, bytes) else json.dumps(what).encode()
    done = run("--event", "-", stdin=data, env=env, **options)
    assert done.returncode == 0, done.stderr
    return Reply(json.loads(done.stdout))


class Runtime:
    """A bootstrap under the Runtime API double, until the end of the `with`.

    program is another command line; options are those of RuntimeApi. Violations
    of the protocol fail the test at the end. Answers are whole, for comparing,
    unless env has RESPONSE_BUDGET_BYTES; "" is as if it were not set.
    """

    def __init__(self, env=None, program=None, **options):
        self.api = RuntimeApi(**options)
        self.env = dict(env if env is not None else environment())
        self.env.setdefault("RESPONSE_BUDGET_BYTES", "6291556")
        self.argv = [*WRAPPER, str(BOOTSTRAP)]
        if program:
            self.argv = [str(word) for word in program]
        self.process = None

    def __enter__(self):
        self.api.__enter__()
        try:
            self.env.update(
                AWS_LAMBDA_RUNTIME_API=self.api.endpoint, _HANDLER="bootstrap",
                LAMBDA_TASK_ROOT=str(BUILD), AWS_LAMBDA_FUNCTION_NAME="ec2sweep",
                AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128")
            self.process = start(self.argv, env=self.env,
                                 stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.output = Output(self.process)
        except BaseException:
            self.api.__exit__()
            raise
        return self

    def __exit__(self, kind, *rest):
        ended_by_itself = self.process.poll()
        # The end of the API wakes a runtime that waits in /next, so that its
        # own exit (and with it the leak check) is seen.
        self.api.__exit__()
        try:
            self.process.wait(2 if not WRAPPER else 20)
        except subprocess.TimeoutExpired:
            pass
        status = stop(self.process)
        self.output.end()
        if kind is None:
            crashed = status in (SANITIZER_EXIT, VALGRIND_EXIT) or (
                status < 0 and status != -signal.SIGTERM)
            assert not crashed, f"status {status}\n{self.output.text()}"
            assert ended_by_itself is None or self.may_end, (
                f"the runtime ended with {status}\n{self.output.text()}")
            assert not self.api.violations, self.api.violations

    may_end = False

    @property
    def alive(self):
        return self.process.poll() is None

    def invoke(self, what, **options):
        """The Answer to an event (see RuntimeApi.invoke)."""
        options.setdefault("timeout", TIMEOUT_S)
        options.setdefault("deadline_ms", DEADLINE_MS)
        try:
            return self.api.invoke(what, alive=lambda: self.alive, **options)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.output.text()}") from late

    def ask(self, what, **options):
        """The Reply to an event that must be answered by a response."""
        answer = self.invoke(what, **options)
        assert answer.kind == "response", answer.body
        return Reply(answer.json)

    def call(self, question="count", **arguments):
        """The JSON that a tool of an AgentCore Gateway gets."""
        answer = self.invoke(arguments, client_context=tool_context(question))
        assert answer.kind == "response", answer.body
        return answer.json

    def metrics(self):
        """The lines of metrics so far."""
        lines = self.output.text().splitlines()
        return [json.loads(line) for line in lines if '"_aws"' in line]

    def wait_until_idle(self):
        self.api.wait_until_idle(TIMEOUT_S, lambda: self.alive)

    def wait_exit(self):
        """Waits until the runtime ends by itself; its exit status."""
        self.may_end = True
        return self.process.wait(TIMEOUT_S)

    def _memory_kb(self, what):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{what}:")[1].split()[0])

    @property
    def peak_rss_kb(self):
        return self._memory_kb("VmHWM")

    @property
    def peak_own_kb(self):
        """Without pages of files: how many of those come in with each one that
        is touched is the page cache's affair."""
        return self._memory_kb("VmHWM") - self._memory_kb("RssFile")
