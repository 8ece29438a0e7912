"""Memory that is full: of one whole invocation each allocation fails once, our
own as well as those of the libraries, one event after another.

The chosen one fails in a library that is preloaded (preload/fail_alloc.c), so
this needs a program without sanitizers: `make test-release` tries some of them,
`make test-long` all. The distribution's jansson would write past a buffer here;
third_party/build.sh amends it.
"""

import collections
import mmap
import os
import signal
import struct

import pytest

import harness
import runtime_api
from harness import Reply, event

PRELOADED = harness.ROOT / "build/dev/fail_alloc.so"
QUESTIONS = ["count", "owner", "exposure"]
# The connections stand, or each request makes its own.
NETWORKS = {
    "warm": ("--regions", "eu-west-1,us-east-1", "--page", "5"),
    "cold": ("--regions", "us-east-1", "--h-close"),
}
# Prime numbers, so that every part of an invocation gets some.
SOME = {"warm": 11, "cold": 37}

# An event whose id could not be read cannot be failed: the process leaves, as
# the Runtime API tells it to. So few allocations come before the id is known.
NO_ID_MAX = 20
# What may be kept more in the end than in the first half, blocks, by so many
# answers at least.
KEPT_MAX = 10
KEPT_AFTER = 12
# What the connections of two regions come to, of which each has a few; 16 seen.
FILES_MAX = 32
# OpenSSL 3.5 goes on when a connection's record layer could not be made, for
# SSL_set_connect_state() cannot say so: a few allocations of each handshake.
# A question about exposure opens a second connection now and then.
CRASHES_MAX = {"warm": 1 / 1000, "cold": 1 / 100}


class Allocations:
    """What is shared with the preloaded library: nth, seen, failed, live."""

    FORM = struct.Struct("QQQq")

    def __init__(self, path):
        path.write_bytes(bytes(self.FORM.size))
        self.env = {"LD_PRELOAD": str(PRELOADED), "FAIL_ALLOC_FILE": str(path)}
        with open(path, "r+b") as file:
            self._shared = mmap.mmap(file.fileno(), self.FORM.size)

    def fail(self, nth):
        """From now on the nth fails; 0: none."""
        self._shared[:24] = struct.pack("QQQ", nth, 0, 0)

    def start_anew(self):
        self._shared[:] = bytes(self.FORM.size)

    @property
    def failed(self):
        return self.FORM.unpack(self._shared[:])[2] != 0

    @property
    def live(self):
        return self.FORM.unpack(self._shared[:])[3]


class Sufferer:
    """A runtime, started again when it had to leave."""

    def __init__(self, sim, question, allocations):
        self.question, self.allocations = question, allocations
        self.right = sim.answers(question)
        # A library that forgets a transfer when memory is full is waited for.
        self.env = {**sim.env, **allocations.env, "REGION_TIMEOUT_MS": "1000"}
        self.nleft = self.ncrashed = self.ncompared = 0
        # Blocks that are kept after an answer, by the open files: a connection
        # keeps some hundreds, and how many there are is a matter of timing.
        self.live = collections.defaultdict(list)
        self.runtime = None

    def __enter__(self):
        self.allocations.start_anew()
        self.runtime = harness.Runtime(env=self.env)
        self.runtime.__enter__()
        self.ask_in_peace()
        self.live.clear()
        return self

    def __exit__(self, *failure):
        self.allocations.fail(0)
        violations = self.runtime.api.violations
        # What was told of the answer, or what is to be sent back, was lost.
        violations[:] = [text for text in violations if not text.startswith(
            ("error: Invocation-Id None", "error for an answered id"))]
        self.runtime.__exit__(*failure)

    def ask_in_peace(self):
        self.allocations.fail(0)
        assert self.runtime.ask(event(self.question)).body == self.right
        self.runtime.wait_until_idle()

    def suffer(self, nth):
        """One event whose nth allocation fails; False: it has not as many."""
        self.runtime.wait_until_idle()
        self.allocations.fail(nth)
        invocation = self.runtime.api.post(event(self.question))
        while not invocation.done.wait(0.001) and self.runtime.alive:
            pass
        if not invocation.answer:
            self._replace()
            return True
        self._judge(invocation.answer)
        self.runtime.wait_until_idle()
        failed = self.allocations.failed
        self.ask_in_peace()
        self.live[self._nfiles()].append(self.allocations.live)
        return failed

    def _nfiles(self):
        return len(os.listdir(f"/proc/{self.runtime.process.pid}/fd"))

    def _judge(self, answer):
        if answer.kind == "error":
            assert answer.json["errorType"] == "Function.OutOfMemory"
            return
        reply = Reply(answer.json)
        if reply.status == 500:
            assert reply.body["error"].endswith("out of memory")
            return
        for element in reply.body:
            assert element in self.right or set(element) == {"region", "error"}

    def _replace(self):
        """The process has left, for it had no id to fail."""
        status = self.runtime.wait_exit()
        self.runtime.output.end()
        if status == -signal.SIGSEGV:
            self.ncrashed += 1
            self.runtime.process.returncode = 1
        else:
            self.nleft += 1
            assert status == 1
            assert "next: answered 403" in self.runtime.output.text()
            self.runtime.api.violations.remove(runtime_api.UNANSWERED)
        self._compare()
        self.__exit__(None, None, None)
        self.__enter__()

    def _compare(self):
        """Of one process: it does not keep more and more."""
        assert max(self.live, default=0) <= FILES_MAX
        for kept in self.live.values():
            if len(kept) < KEPT_AFTER:
                continue
            half, quarter = len(kept) // 2, len(kept) // 4
            assert min(kept[-quarter:]) <= max(kept[:half]) + KEPT_MAX
            self.ncompared += 1

    def check(self, ntried, crashes_max):
        assert self.nleft <= NO_ID_MAX
        assert self.ncrashed <= ntried * crashes_max
        self._compare()
        assert self.ncompared > 0


def check(tmp_path, question, network, first, step):
    allocations = Allocations(tmp_path / "allocations")
    with harness.Sim("--instances", "8", "--seed", "5",
                     *NETWORKS[network]) as sim:
        with Sufferer(sim, question, allocations) as sufferer:
            nth = first
            while sufferer.suffer(nth):
                nth += step
    # So many that not only the beginning was tried.
    assert nth > 500
    sufferer.check(nth, CRASHES_MAX[network])


@pytest.mark.large
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_some_failed_allocations_are_survived(tmp_path, network, question):
    # Not the same ones for each question.
    check(tmp_path, question, network, 1 + len(question), SOME[network])


@pytest.mark.long
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_failed_allocation_is_survived(tmp_path, network, question):
    check(tmp_path, question, network, 1, 1)
