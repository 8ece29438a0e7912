"""What a start and an answer cost: connections, handshakes, requests, keys.

The simulator's own count is the judge, beside what DEBUG=1 says.
"""

import os
import re
import time

import pytest

from conftest import REGIONS
from harness import TIMEOUT_S, Runtime, Sim, event, run_event
from relay import Relay

QUESTIONS = ["count", "owner", "exposure"]
# A slow machine does not make what was asked ahead too old.
PATIENT = {"SPECULATION_MAX_AGE_MS": "60000", "INIT_BUDGET_MS": "9000"}
# Without DescribeRegions no connection is there before the two of each region.
FIXED = {"REGIONS": ",".join(REGIONS)}


def counters(runtime, what="counters"):
    """The numbers of each line of that kind, once the runtime has ended."""
    lines = [line for line in runtime.output.text().splitlines()
             if f" {what} " in line]
    return [{name: int(n) for name, n in re.findall(r"(\w+)=(\d+)(?!\S)", line)}
            for line in lines]


@pytest.fixture
def fresh(sim):
    sim.control("POST", "/_sim/reset")
    return sim


def started(sim, **more):
    return Runtime(env={**sim.env, **PATIENT, **FIXED, "DEBUG": "1", **more})


def total(sim, what):
    """What the simulator counted in all regions."""
    regions = sim.stats()["regions"]
    return sum(regions[region][what] for region in REGIONS)


def nrequests(sim):
    regions = sim.stats()["regions"]
    return sum(sum(regions[r]["requests"].values()) for r in REGIONS)


def asked_ahead(sim):
    """The requests of INIT, once all have arrived: it does not wait for their
    answers."""
    end = time.monotonic() + TIMEOUT_S
    while nrequests(sim) < 2 * len(REGIONS) and time.monotonic() < end:
        time.sleep(0.01)
    assert nrequests(sim) == 2 * len(REGIONS)
    return 2 * len(REGIONS)


@pytest.mark.parametrize("question", QUESTIONS)
def test_first_event_finds_all_connections_there(fresh, question):
    with started(fresh, SPECULATION_MAX_AGE_MS="0") as runtime:
        runtime.wait_until_idle()
        assert total(fresh, "handshakes") == 2 * len(REGIONS)
        before = nrequests(fresh)
        assert runtime.ask(event(question)).body == fresh.answers(question)
        assert nrequests(fresh) > before
        assert total(fresh, "handshakes") == 2 * len(REGIONS)
        assert total(fresh, "connections") == 2 * len(REGIONS)
    line, = counters(runtime)
    assert line["connections"] == line["handshakes"] == line["lookups"] == 0


@pytest.mark.parametrize("question", QUESTIONS)
def test_first_event_is_answered_from_what_was_asked_ahead(fresh, question):
    with started(fresh) as runtime:
        runtime.wait_until_idle()
        before = asked_ahead(fresh)
        assert runtime.ask(event(question)).body == fresh.answers(question)
        assert nrequests(fresh) == before
        # The second one is asked for anew.
        assert runtime.ask(event(question)).body == fresh.answers(question)
        assert nrequests(fresh) > before


def test_first_event_about_one_region_is_answered_too(fresh):
    with started(fresh) as runtime:
        runtime.wait_until_idle()
        before = asked_ahead(fresh)
        reply = runtime.ask(event("count", "eu-west-1"))
        assert reply.body == fresh.answers("count", "eu-west-1")
        assert nrequests(fresh) == before


def test_regions_that_were_denied_ahead_are_asked_again(sim_with):
    sim = sim_with("--fault", "eu-west-1/DescribeInstances=throttle:1")
    sim.control("POST", "/_sim/reset")
    with started(sim) as runtime:
        runtime.wait_until_idle()
        before = asked_ahead(sim)
        assert runtime.ask(event("count")).body == sim.answers("count")
        assert nrequests(sim) == before + 1


# --- answers that are on their way when the event comes ---------------------


@pytest.fixture(scope="module")
def far():
    """(Sim, Relay): what answers slowly is set by the test. So few instances
    that INIT does not wait for the answers."""
    with Sim("--plain", "--regions", ",".join(REGIONS), "--instances", "12") \
            as sim, Relay(sim.port, REGIONS) as network:
        yield sim, network


def started_far(far, kind, arg=None, times=None, **more):
    """eu-west-1 is near, ap-southeast-2 answers as told, and us-east-1 is
    connected to so late that the near one has answered."""
    sim, network = far
    sim.control("POST", "/_sim/reset")
    network.clear()
    network.set_fault("ap-southeast-2", kind, arg, times=times)
    network.set_fault("us-east-1", "slow-handshake", 0.6)
    return started(sim, **network.env, **more)


def test_first_event_about_a_near_region_waits_for_no_far_one(far):
    sim, network = far
    began = time.monotonic()
    with started_far(far, "never-answers",
                     REGION_TIMEOUT_MS="60000") as runtime:
        reply = runtime.ask(event("count", "eu-west-1"))
        # Else INIT has waited until its time was over.
        assert time.monotonic() - began < int(PATIENT["INIT_BUDGET_MS"]) / 1000
        assert reply.body == sim.answers("count", "eu-west-1")
        assert asked_ahead(sim) == sum(network.requests.values())
        # What still hangs is in no other question's way.
        network.clear()
        reply = runtime.ask(event("count", "us-east-1"))
        assert reply.body == sim.answers("count", "us-east-1")


@pytest.mark.parametrize("question", QUESTIONS)
def test_first_event_takes_answers_that_are_on_their_way(far, question):
    sim, _ = far
    with started_far(far, "slow-first-byte", 2) as runtime:
        assert runtime.ask(event(question)).body == sim.answers(question)
        assert nrequests(sim) == 2 * len(REGIONS)


def test_first_event_waits_for_connections_that_are_in_use(far):
    sim, network = far
    with started_far(far, "slow-first-byte", 2, times=1,
                     SPECULATION_MAX_AGE_MS="1") as runtime:
        assert runtime.ask(event("exposure")).body == sim.answers("exposure")
        assert sum(network.connections.values()) == 2 * len(REGIONS)
        assert nrequests(sim) == 4 * len(REGIONS)


def test_answers_that_do_not_come_are_asked_for_again(far):
    sim, _ = far
    with started_far(far, "never-answers", times=1,
                     INIT_BUDGET_MS="3000") as runtime:
        assert runtime.ask(event("exposure")).body == sim.answers("exposure")


# --- when nothing is asked ahead, or it may not be taken ---------------------


ASKED_ANEW = {
    "too-old": {"SPECULATION_MAX_AGE_MS": "1"},
    "switched-off": {"SPECULATION_MAX_AGE_MS": "0"},
    "no-event-waits": {
        "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"},
}


@pytest.mark.parametrize("why", ASKED_ANEW)
def test_first_event_is_asked_anew(fresh, why):
    with started(fresh, **ASKED_ANEW[why]) as runtime:
        runtime.wait_until_idle()
        before = asked_ahead(fresh)
        assert runtime.ask(event("count")).body == fresh.answers("count")
        assert nrequests(fresh) == before + len(REGIONS)


def test_no_budget_is_no_network_before_the_first_event(fresh):
    env = {**fresh.env, "INIT_BUDGET_MS": "0", "DEBUG": "1"}
    with Runtime(env=env) as runtime:
        runtime.wait_until_idle()
        assert total(fresh, "handshakes") == 0
        assert runtime.ask(event("count")).body == fresh.answers("count")
    line, = counters(runtime, "initialised")
    assert line["requests"] == line["lookups"] == 0


def test_a_command_opens_no_connection_ahead(fresh):
    reply = run_event(event("count"), env=fresh.env)
    assert reply.body == fresh.answers("count")
    assert total(fresh, "handshakes") == len(REGIONS)


def test_connections_that_end_are_let_go(sim_with):
    sim = sim_with("--h-close", "--regions", "us-east-1")

    def nfiles(runtime):
        runtime.wait_until_idle()
        return len(os.listdir(f"/proc/{runtime.process.pid}/fd"))

    with Runtime(env=sim.env) as runtime:
        runtime.ask(event("exposure"))
        before = nfiles(runtime)
        for _ in range(100):
            runtime.ask(event("exposure"))
        # Those of the last answer may still say goodbye.
        assert nfiles(runtime) <= before + 2


def test_warm_rounds_rebuild_nothing(fresh):
    rounds = 10
    with started(fresh) as runtime:
        runtime.ask(event("count"))
        for _ in range(rounds):
            for question in QUESTIONS:
                assert runtime.ask(event(question)).body == fresh.answers(
                    question)
        assert total(fresh, "handshakes") == 2 * len(REGIONS)
        assert total(fresh, "connections") == 2 * len(REGIONS)
    warm = counters(runtime)[1:]
    assert len(warm) == rounds * len(QUESTIONS)
    for line in warm:
        assert line["reused"] == line["requests"] >= len(REGIONS)
        for what in ("connections", "handshakes", "lookups", "keys", "roots"):
            assert line[what] == 0, line


def test_keys_and_roots_are_made_once(sim):
    with Runtime(env={**sim.env, "DEBUG": "1"}) as runtime:
        for question in QUESTIONS:
            runtime.ask(event(question))
    lines = counters(runtime, "initialised") + counters(runtime)
    assert sum(line["keys"] for line in lines) == len(REGIONS)
    # The simulator's root is the only one in its bundle.
    assert [line["roots"] for line in lines] == [1, 0, 0, 0]
