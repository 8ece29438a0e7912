"""Answers that are as they were are not parsed again, and nobody can tell: by
the simulator's right answers, and by the log's `unchanged`."""

import re

import pytest

from conftest import REGIONS
from harness import Runtime, Sim, event
from relay import Relay

QUESTIONS = ["count", "owner", "exposure"]
# So few that the answers are short.
FEW = ("--regions", ",".join(REGIONS), "--instances", "8")
ENV = {"REGIONS": ",".join(REGIONS), "INIT_BUDGET_MS": "0"}


def pages(runtime):
    """How many there were and how many were unchanged, in each answer."""
    return [tuple(int(n) for n in found) for found in re.findall(
        r" answered .*\bpages=(\d+) unchanged=(\d+)\b", runtime.output.text())]


@pytest.mark.parametrize("restless", [False, True])
def test_unchanged_pages_are_not_parsed_again(restless):
    n = len(REGIONS)
    rounds = 3
    with Sim(*FEW, *["--restless"] * restless) as sim, \
            Runtime(env=dict(sim.env, **ENV)) as runtime:
        for _ in range(rounds):
            for question in QUESTIONS:
                assert runtime.ask(event(question)).body == sim.answers(question)
    # Owner asks for what count asked for, and exposure for the groups too.
    first = [(n, 0), (n, n), (2 * n, n)]
    later = [(n, n), (n, n), (2 * n, 2 * n)] * (rounds - 1)
    expected = first + later
    if restless:
        expected = [(asked, 0) for asked, _ in expected]
    assert pages(runtime) == expected


def stopped(page):
    assert b"<name>running</name>" in page
    return page.replace(b"<code>16</code><name>running</name>",
                        b"<code>80</code><name>stopped</name>")


def with_none_running(elements, region):
    for element in elements:
        if element["region"] == region:
            element["runningInstances"] = 0
    return elements


def test_what_has_changed_is_told():
    n = len(REGIONS)
    with Sim("--plain", *FEW) as sim, Relay(sim.port, REGIONS) as relay, \
            Runtime(env={**sim.env, **relay.env, **ENV}) as runtime:
        right = sim.answers("count")
        other = with_none_running(sim.answers("count"), REGIONS[1])
        assert right != other
        for change in (False, False, True, True, False):
            relay.clear()
            if change:
                relay.set_fault(REGIONS[1], "edit", stopped)
            assert runtime.ask(event("count")).body == (
                other if change else right)
    assert pages(runtime) == [(n, 0), (n, n), (n, n - 1), (n, n), (n, n - 1)]
