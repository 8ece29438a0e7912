"""What a start and a warm answer cost: connections, handshakes, keys."""

import re

from conftest import REGIONS
from harness import Runtime, event

QUESTIONS = ["count", "owner", "exposure"]


def counters(runtime, what="counters"):
    """The numbers of each line of that kind, once the runtime has ended."""
    lines = [line for line in runtime.output.text().splitlines()
             if f" {what} " in line]
    return [{name: int(n) for name, n in re.findall(r"(\w+)=(\d+)(?!\S)", line)}
            for line in lines]


def test_keys_and_roots_are_made_once(sim):
    with Runtime(env={**sim.env, "DEBUG": "1"}) as runtime:
        for question in QUESTIONS:
            runtime.ask(event(question))
    lines = counters(runtime, "initialised") + counters(runtime)
    assert sum(line["keys"] for line in lines) == len(REGIONS)
    # The simulator's root is the only one in its bundle.
    assert [line["roots"] for line in lines] == [1, 0, 0, 0]
