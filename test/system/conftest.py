"""What the system tests share: simulators that are started once."""

import pytest

import harness

# Three regions from near and far, sorted by name.
REGIONS = ["ap-southeast-2", "eu-west-1", "us-east-1"]
SMALL = ("--regions", ",".join(REGIONS), "--instances", "23", "--seed", "7")


@pytest.fixture(scope="session")
def sim_with():
    """sim_with(option, ...): a running Sim of the small fleet with these
    options too; equal options give the same one."""
    running = {}

    def get(*options):
        if options not in running:
            running[options] = harness.Sim(*SMALL, *options)
            running[options].__enter__()
        return running[options]

    yield get
    for sim in running.values():
        sim.__exit__(None, None, None)


@pytest.fixture
def sim(sim_with):
    """The small fleet, without faults or odd shapes."""
    return sim_with()
