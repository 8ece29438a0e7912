"""The release binary where it will live: beside glibc alone, on one thread.

Run by `make test-release`, which builds build/release/bootstrap first.
"""

import json
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import harness
from conftest import REGIONS
from harness import event

pytestmark = pytest.mark.large

RELEASE = harness.ROOT / "build/release/bootstrap"
CHROOT = harness.ROOT / "test/system/chroot-run.sh"
QUESTIONS = ["count", "owner", "exposure"]
# Each of these system calls starts a thread or a process.
FORKING = "clone,clone3,fork,vfork"


@pytest.fixture
def root(tmp_path):
    """An empty root, with a resolver that nobody answers."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    return tmp_path


def test_release_binary_needs_glibc_alone():
    subprocess.run([harness.ROOT / "scripts/check-release.sh", RELEASE],
                   check=True)


def test_empty_root_answers_under_the_runtime_api(sim, root):
    shutil.copy(sim.ca, root / "ca.pem")
    env = dict(sim.env, AWS_CA_BUNDLE="/ca.pem")
    with harness.Runtime(env=env, program=[CHROOT, root, RELEASE]) as runtime:
        for question in QUESTIONS:
            assert runtime.ask(event(question)).body == sim.answers(question)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_one_thread_resolves_and_asks(sim, root):
    trace = root / "trace"
    shutil.copy(sim.ca, root / "ca.pem")
    (root / "event.json").write_text(
        json.dumps(event("count", "us-east-1,eu-west-1")))
    for endpoint in (sim.env["AWS_ENDPOINT_URL_EC2"],
                     "https://ec2.{region}.example:1"):
        env = dict(sim.env, AWS_CA_BUNDLE="/ca.pem",
                   AWS_ENDPOINT_URL_EC2=endpoint, AWS_MAX_ATTEMPTS="1")
        done = subprocess.run(
            ["strace", "-f", "-qq", "-e", f"trace=execve,{FORKING},sendto,"
             "sendmmsg,connect", "-o", trace, CHROOT, root, RELEASE,
             "--event", "/event.json"],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            check=True)
        harness.record(done.stdout + done.stderr)
        lines = trace.read_text().splitlines()
        # Only what comes after the start of the binary is the binary's.
        begin = max(i for i, line in enumerate(lines) if "execve(" in line)
        mine = lines[begin + 1:]
        assert not [line for line in mine if any(
            f"{call}(" in line for call in FORKING.split(","))]
        resolver = [line for line in mine if "htons(53)" in line]
        assert bool(resolver) == ("example" in endpoint)


class SlowResolver:
    """A name server that answers no one until it was asked for so many names,
    and then everyone, with 127.0.0.1."""

    # Not 127.0.0.1, where a machine may have a server of its own.
    ADDRESS = "127.9.9.9"

    def __init__(self, nnames):
        self.nnames, self.names, self.waiting = nnames, set(), []
        self.nqueries = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((self.ADDRESS, 53))
        except PermissionError:
            pytest.skip("only root may be a name server")

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(512)
            except OSError:
                return
            self.nqueries += 1
            end = query.index(0, 12) + 5  # the name, its type and its class
            self.names.add(query[12:end - 4].lower())
            self.waiting.append((query, end, peer))
            if len(self.names) >= self.nnames:
                for waiting in self.waiting:
                    self._answer(*waiting)
                self.waiting = []

    def _answer(self, query, end, peer):
        """RFC 1035: the question, and for type A (1) one address."""
        is_a = query[end - 4:end - 2] == b"\0\1"
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, is_a, 0, 0)
        address = (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4)
                   + socket.inet_aton("127.0.0.1"))
        self.socket.sendto(head + query[12:end] + (address if is_a else b""),
                           peer)


def test_names_are_looked_up_all_at_once_and_before_the_event(sim_with, root):
    sim = sim_with("--plain")
    (root / "etc/resolv.conf").write_text(
        f"nameserver {SlowResolver.ADDRESS}\n")
    where = f"http://ec2.{{region}}.simulated.example:{sim.port}"
    env = dict(sim.env, AWS_ENDPOINT_URL_EC2=where, REGIONS=",".join(REGIONS),
               INIT_BUDGET_MS="9000", SPECULATION_MAX_AGE_MS="0")
    with SlowResolver(len(REGIONS)) as resolver, \
            harness.Runtime(env=env, program=[CHROOT, root, RELEASE]) as runtime:
        runtime.wait_until_idle()
        asked = resolver.nqueries
        assert len(resolver.names) == len(REGIONS)
        assert runtime.ask(event("exposure")).body == sim.answers("exposure")
        assert resolver.nqueries == asked
