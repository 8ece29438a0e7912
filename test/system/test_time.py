"""Time: never past the deadline; neither a freeze nor a slow CPU makes a
healthy region look dead."""

import contextlib
import os
import pathlib
import re
import signal
import time

import pytest

import fault_table
import harness
import relay
# The fixtures among them are used by name.
from test_faults import (  # noqa: F401
    HEALTHY, QUESTIONS, Scene, fine_weather, network, right, runtime_for,
    scenario, sim, timed)

DEADLINE_MS = 3_000


@pytest.fixture(scope="module")
def world():
    """(Sim, Relay) of all commercial regions."""
    with harness.Sim("--plain", "--instances", "20", "--page", "15") as sim:
        regions = [e["region"] for e in sim.answers("count")]
        with relay.Relay(sim.port, regions) as network:
            yield sim, network, regions


def check_unanswered(element):
    assert set(element) == {"region", "error"}
    waited = re.fullmatch(r"no answer in ([0-9.]+) s", element["error"])
    assert waited, element
    assert 0 < float(waited[1]) <= (DEADLINE_MS - 500) / 1000


# --- the deadline -------------------------------------------------------------


def test_every_region_hangs_from_the_start(world):
    sim, network, regions = world
    settings = fault_table.Settings(deadline_ms=DEADLINE_MS)
    network.clear()
    for i, region in enumerate(regions):
        network.set_fault(region, "tls-hang" if i % 2 else "never-answers")
    with runtime_for(sim, network, settings) as runtime:
        reply, seconds = timed(runtime, settings, "exposure", ["all"])
    assert seconds < DEADLINE_MS / 1000
    assert reply.status == 502
    assert [element["region"] for element in reply.body] == regions
    for element in reply.body:
        check_unanswered(element)


def test_some_regions_answer_and_some_hang(world):
    sim, network, regions = world
    settings = fault_table.Settings(deadline_ms=DEADLINE_MS)
    network.clear()
    with runtime_for(sim, network, settings) as runtime:
        runtime.wait_until_idle()
        hang = [region for region in regions if region.startswith("ap-")]
        for i, region in enumerate(hang):
            # Also on the second page, so that the first has been counted.
            network.set_fault(region, "never-answers", after=i % 2)
        reply, seconds = timed(runtime, settings, "count", ["all"])
    assert seconds < DEADLINE_MS / 1000
    assert reply.status == 200
    right = sim.answers("count")
    for element, expected in zip(reply.body, right):
        if expected["region"] in hang:
            check_unanswered(element)
        else:
            assert element == expected
    assert len(reply.body) == len(right)


# --- freezes ------------------------------------------------------------------


@contextlib.contextmanager
def frozen(*runtimes):
    for runtime in runtimes:
        runtime.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for runtime in runtimes:
            runtime.process.send_signal(signal.SIGCONT)


FREEZE_S = 3


@scenario("frozen-closed")
def test_freeze_with_all_connections_closed(sim, network, right):  # noqa: F811
    with Scene("frozen-closed", sim, network, right) as scene:
        with frozen(*scene.runtimes.values()):
            assert network.drop_idle() >= len(HEALTHY) * len(QUESTIONS)
            time.sleep(FREEZE_S)
        scene.ask()
    scene.check()


@scenario("frozen-black-hole")
def test_freeze_with_all_connections_dead(sim, network, right):  # noqa: F811
    with Scene("frozen-black-hole", sim, network, right) as scene:
        with frozen(*scene.runtimes.values()):
            assert network.black_hole_idle() >= len(HEALTHY) * len(QUESTIONS)
            time.sleep(FREEZE_S)
        scene.ask()
    scene.check()


# Where the freeze finds the regions: what they are slow at, for a second.
MOMENTS = {"answers-under-way": "slow-first-byte",
           "handshakes-under-way": "slow-handshake"}


@pytest.mark.parametrize("moment", [
    "answers-under-way",
    "handshakes-under-way"])
def test_freeze_while_regions_are_asked(world, moment):
    sim, network, regions = world
    settings = fault_table.Settings(region_timeout_ms=2_000)
    network.clear()
    with runtime_for(sim, network, settings) as runtime:
        runtime.wait_until_idle()
        network.drop_idle()
        for region in regions:
            network.set_fault(region, MOMENTS[moment], 1, times=1)
        asked = runtime.api.post(harness.event("count"),
                                 deadline_ms=settings.deadline_ms)
        time.sleep(0.5)
        with frozen(runtime):
            # What the regions say meanwhile waits in the sockets.
            time.sleep(10)
        assert asked.done.wait(harness.TIMEOUT_S)
    reply = harness.Reply(asked.answer.json)
    assert reply.status == 200
    assert reply.body == sim.answers("count")


# --- a slow CPU ---------------------------------------------------------------

CPU_PERCENT = 7  # what 128 MB get in Lambda


class SlowCpu:
    """A control group (version 1 or 2) with a small share of one CPU."""

    PERIOD_US = 100_000

    def __init__(self, percent):
        self._quota_us = self.PERIOD_US * percent // 100
        root = pathlib.Path("/sys/fs/cgroup")
        self._is_v2 = (root / "cgroup.controllers").exists()
        self._group = ((root if self._is_v2 else root / "cpu")
                       / f"ec2sweep-test-{os.getpid()}")

    def __enter__(self):
        try:
            self._group.mkdir()
            self._limit(self._quota_us)
        except OSError as denied:
            self.__exit__()
            pytest.skip(f"no control group with a CPU quota: {denied}")
        return self

    def _limit(self, quota_us):
        if self._is_v2:
            (self._group / "cpu.max").write_text(
                f"{quota_us or 'max'} {self.PERIOD_US}")
        else:
            (self._group / "cpu.cfs_period_us").write_text(str(self.PERIOD_US))
            (self._group / "cpu.cfs_quota_us").write_text(str(quota_us or -1))

    @contextlib.contextmanager
    def slow(self, process):
        """The process is slow within; afterwards it may end quickly."""
        (self._group / "cgroup.procs").write_text(str(process.pid))
        try:
            yield
        finally:
            self._limit(None)

    def __exit__(self, *exc):
        if self._group.exists():
            self._group.rmdir()


def test_slow_cpu_is_no_timeout():
    settings = fault_table.Settings(region_timeout_ms=1_000,
                                    deadline_ms=120_000)
    with harness.Sim("--instances", "200", "--page", "100", "--warm") as sim, \
            SlowCpu(CPU_PERCENT) as cpu:
        with harness.Runtime(env={**sim.env, **settings.env}) as runtime:
            runtime.wait_until_idle()
            with cpu.slow(runtime.process):
                reply, seconds = timed(runtime, settings, "exposure", ["all"])
        assert reply.status == 200
        assert reply.body == sim.answers("exposure")
        # Else the CPU was not slow enough to show anything.
        assert seconds > settings.region_timeout_s
