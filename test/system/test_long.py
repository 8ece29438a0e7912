"""A long life: thousands of invocations in one process, with all sorts of
faults, leave nothing behind.

`make test-release` has a short one, `make test-long` 20,000 invocations.
"""

import itertools
import json
import os
import pathlib

import pytest

import harness
import relay
from harness import Reply, event

FINE = ["eu-west-1", "us-east-1"]
# At fault by turns, in what they answer and in how they send it.
SIMULATED, RELAYED = "ap-south-1", "sa-east-1"
REGIONS = [SIMULATED, *FINE, RELAYED]
OF_THE_SIMULATOR = [
    "denied", "opt-in", "expired", "auth-failure", "internal:1", "error:502:1",
    "error-empty:503:1", "html200:1", "empty200:1", "doctype", "repeat-token",
    "expire-token:2", "truncate-xml:2:1", "throttle:1:20", "redirect"]
OF_THE_RELAY = [
    ("reset-mid-page", None, {"after": 1, "times": 1}),
    ("reset-after-header", None, {"times": 1}),
    ("reset-before-last-chunk", None, {"times": 1}),
    ("close-after-answer", None, {}),
    ("connection-close", None, {}),
    ("length-too-long", None, {"times": 1}),
    ("length-too-short", None, {"times": 1}),
    ("gzip-cut", None, {"times": 1}),
    ("header-huge", 200_000, {}),
    ("redirect", None, {}),
    ("accept-close", None, {"times": 1}),
    ("cert-other-host", None, {})]
TURN = 20  # invocations until there are other faults
EVENTS = [event("count"), event("owner"), event("exposure"),
          event("count", FINE[0]), event("count", "nowhere-1,all"),
          event("/nothing"), b"{", event("exposure", RELAYED)]

WARM_UP = 500  # invocations until everything that is kept has been needed
# What allocators give and take; a block of 100 bytes that is lost each time
# would be 2 MB after 20,000.
RSS_GROWTH_MAX_KB = 1024
# Listings of a region at once, so many connections are kept; and /next.
POOL_MAX = 2 * len(REGIONS) + 1


class Process:
    """What the kernel knows of it."""

    def __init__(self, pid):
        self._proc = pathlib.Path(f"/proc/{pid}")

    @property
    def rss_kb(self):
        status = (self._proc / "status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def descriptors(self):
        """(sockets, others by what they are)"""
        there = [os.readlink(fd) for fd in (self._proc / "fd").iterdir()]
        sockets = [name for name in there if name.startswith("socket:")]
        return len(sockets), sorted(set(there) - set(sockets))


class World:
    def __init__(self, sim, network):
        self.sim, self.network = sim, network
        self.right = {name: sim.answers(name)
                      for name in ("count", "owner", "exposure")}
        self._faults = zip(itertools.cycle(OF_THE_SIMULATOR),
                           itertools.cycle(OF_THE_RELAY))

    def turn(self):
        """Other faults from now on."""
        simulated, (kind, arg, when) = next(self._faults)
        self.network.clear()
        self.network.set_fault(RELAYED, kind, arg, **when)
        self.sim.set_faults(f"{SIMULATED}={simulated}")

    def check(self, what, answer):
        if what == b"{":
            assert answer.kind == "error"
            return
        reply = Reply(answer.json)
        if what["apiPath"] == "/nothing":
            assert reply.status == 404
            return
        right = self.right[{"/count/{regions}": "count",
                            "/check-without-owner/{regions}": "owner"}.get(
                                what["apiPath"], "exposure")]
        for element in reply.body:
            # Nothing that is wrong, and of the healthy regions no error.
            assert element in right or "error" in element, element
            assert element in right or element["region"] not in FINE, element


def live(sim, network, ntotal):
    world = World(sim, network)
    env = {**sim.env, **network.env, "AWS_MAX_ATTEMPTS": "2",
           "AWS_LAMBDA_LOG_LEVEL": "FATAL"}
    seen = []
    with harness.Runtime(env=env) as runtime:
        process = Process(runtime.process.pid)
        runtime.wait_until_idle()
        _, others = process.descriptors()
        for n, what in zip(range(ntotal), itertools.cycle(EVENTS)):
            if n % TURN == 0:
                world.turn()
            world.check(what, runtime.invoke(what))
            if n % WARM_UP == WARM_UP - 1:
                runtime.wait_until_idle()
                seen.append(process.rss_kb)
        runtime.wait_until_idle()
        nsockets, others_now = process.descriptors()
    print(json.dumps({"invocations": ntotal, "rssKb": seen,
                      "sockets": nsockets}))
    assert max(seen[1:]) - seen[0] <= RSS_GROWTH_MAX_KB, seen
    assert others_now == others
    assert nsockets <= POOL_MAX


@pytest.fixture
def place():
    with harness.Sim("--plain", "--regions", ",".join(REGIONS), "--seed", "5",
                     "--instances", "12", "--page", "5") as sim:
        with relay.Relay(sim.port, REGIONS) as network:
            yield sim, network


@pytest.mark.large
def test_a_thousand_invocations_leave_nothing_behind(place):
    live(*place, 1_000)


@pytest.mark.long
def test_twenty_thousand_invocations_leave_nothing_behind(place):
    live(*place, 20_000)
