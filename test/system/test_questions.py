"""The questions, held against what the simulator's fleet says itself."""

import pytest

import harness
from harness import event, run_event

QUESTIONS = ["count", "owner", "exposure"]
SHAPES = {
    "plain": [],
    "pages-of-5": ["--page", "5"],
    "token-first": ["--page", "5", "--token-first"],
    "shuffled": ["--page", "7", "--shuffle"],
    "pretty": ["--page", "7", "--pretty"],
    "empty-pages": ["--page", "9", "--empty-pages"],
    "not-gzipped": ["--no-gzip"],
    "closing": ["--page", "9", "--h-close"],
    "rsa": ["--rsa"],
    "all-of-it": ["--page", "5", "--shuffle", "--pretty", "--token-first"],
}


@pytest.mark.foreign
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_answer_equals_the_fleet(sim_with, shape, question):
    sim = sim_with(*SHAPES[shape])
    reply = run_event(event(question), env=sim.env)
    assert reply.status == 200
    assert reply.body == sim.answers(question)


@pytest.mark.valgrind
@pytest.mark.foreign
@pytest.mark.parametrize("question", QUESTIONS)
def test_several_pages(sim_with, question):
    sim = sim_with("--page", "10")
    reply = run_event(event(question, "us-east-1,eu-west-1"), env=sim.env)
    assert reply.body == sim.answers(question, "us-east-1,eu-west-1")


@pytest.mark.parametrize("question", QUESTIONS)
def test_fleet_without_instances_gives_an_array(sim_with, question):
    sim = sim_with("--instances", "0")
    reply = run_event(event(question), env=sim.env)
    assert reply.status == 200
    assert reply.body == sim.answers(question)
    if question != "count":
        assert reply.raw.strip() == "[]"


@pytest.mark.parametrize("question", QUESTIONS)
def test_many_groups_and_pages_of_groups(sim_with, question):
    sim = sim_with("--groups", "600", "--page", "100")
    assert run_event(event(question), env=sim.env).body == sim.answers(question)


def test_count_has_exactly_the_documented_fields(sim):
    for element in run_event(event("count"), env=sim.env).body:
        assert set(element) == {"region", "totalInstances", "runningInstances"}


def test_owner_has_exactly_the_documented_fields(sim):
    body = run_event(event("owner"), env=sim.env).body
    assert body
    for element in body:
        assert set(element) == {"region", "instanceId", "instanceName", "state"}


def test_exposure_has_exactly_the_documented_fields(sim):
    body = run_event(event("exposure"), env=sim.env).body
    assert body
    for element in body:
        assert set(element) == {"region", "instanceId", "instanceName",
                                "state", "publicIp", "ipv6", "permissions"}
        for permission in element["permissions"]:
            assert set(permission) == {"ipProtocol", "fromPort", "toPort",
                                       "allowFrom", "groupId", "cidr", "ports"}
            assert permission["cidr"] in ("0.0.0.0/0", "::/0")


def test_every_default_region_is_asked():
    with harness.Sim("--instances", "3") as sim:
        body = run_event(event("count"), env=sim.env).body
        assert len(body) == 34
        assert body == sim.answers("count")


@pytest.mark.large
@pytest.mark.parametrize("question", QUESTIONS)
def test_34_regions_of_2500_instances(question):
    with harness.Sim("--instances", "2500", "--warm") as sim:
        reply = run_event(event(question), env=sim.env, timeout=300)
        assert reply.body == sim.answers(question)


@pytest.mark.large
def test_counting_needs_no_more_memory_for_more_instances():
    peak = {}
    for size in (10, 2500):
        with harness.Sim("--instances", str(size), "--warm") as sim:
            with harness.Runtime(env=sim.env) as runtime:
                runtime.ask(event("count"), deadline_ms=300_000, timeout=300)
                peak[size] = runtime.peak_own_kb
                assert runtime.peak_rss_kb < 14 * 1024
    assert peak[2500] - peak[10] < 2048, peak


@pytest.mark.parametrize("groups", ["12", "450"])
def test_a_region_known_to_be_large_is_asked_by_group(sim_with, groups):
    """Some of the fleet's instances have groups but no interfaces."""
    sim = sim_with("--groups", groups, "--instances", "300", "--page", "50")
    env = dict(sim.env, EXPOSURE_BY_GROUP_MIN="300",
               RESPONSE_BUDGET_BYTES="6291556")
    with harness.Runtime(env=env) as runtime:
        runtime.ask(event("count"))
        before = sim.stats()["regions"]["us-east-1"]["requests"]
        reply = runtime.ask(event("exposure"))
        after = sim.stats()["regions"]["us-east-1"]["requests"]
    assert reply.body == sim.answers("exposure")
    filtered = after["DescribeInstances"] - before["DescribeInstances"]
    exposed = len([row for row in reply.body if row["region"] == "us-east-1"])
    # By two filters, with their pages; all would be six pages.
    assert filtered in (2 * -(-exposed // 50), 2 * -(-exposed // 50) - 1)


@pytest.mark.parametrize("groups", ["12", "450"])
def test_candidates_that_found_no_room_are_listed_again(sim_with, groups):
    """Some of the fleet's instances have groups but no interfaces."""
    sim = sim_with("--groups", groups, "--instances", "300", "--page", "50")
    env = dict(sim.env, EXPOSURE_PENDING_MAX="0")
    reply = run_event(event("exposure"), env=env)
    assert reply.body == sim.answers("exposure")
