"""PAGES_PARALLEL=on: the same answers, whatever happens on the way.

The simulated fleet says what is right. 400 instances a region, 20 on a page:
20 plain pages, or the first one and then two or so in each of 16 parts.
"""

import json

import pytest

import harness
from harness import event, run_event

QUESTIONS = ["count", "owner", "exposure"]
REGIONS = ["ap-southeast-2", "eu-west-1", "us-east-1"]
FLEET = ("--regions", ",".join(REGIONS), "--instances", "400", "--page", "20",
         "--seed", "11")
SHAPES = {"plain": (), "token-first": ("--token-first", "--shuffle"),
          "empty-pages": ("--empty-pages",), "closing": ("--h-close",)}
GIVEN_UP = "a listing in parts was given up"


@pytest.fixture(scope="module")
def running():
    sims = {}

    def get(*options):
        if options not in sims:
            sims[options] = harness.Sim(*FLEET, *options)
            sims[options].__enter__()
        return sims[options]

    yield get
    for sim in sims.values():
        sim.__exit__(None, None, None)


@pytest.fixture
def sim(running):
    """The fleet without faults, and with its counters at 0."""
    sim = running()
    sim.set_faults()
    sim.control("POST", "/_sim/reset")
    return sim


def on(sim, **more):
    return dict(sim.env, PAGES_PARALLEL="on", **more)


def requests(sim, region="us-east-1"):
    return sim.stats()["regions"][region]["requests"]["DescribeInstances"]


def reasons(output):
    """Why the log says parts were given up, each reason once."""
    lines = [line for line in output.splitlines() if GIVEN_UP in line]
    return {json.loads(line)["why"] for line in lines}


def ask(env, question, regions="all"):
    """The answer, and why parts were given up on the way to it."""
    env = dict(env, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
    done = harness.run("--event", "-", env=env,
                       stdin=json.dumps(event(question, regions)).encode())
    assert done.returncode == 0, done.stderr
    return harness.Reply(json.loads(done.stdout)).body, reasons(done.stderr)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_answer_equals_the_fleet(running, shape, question):
    sim = running(*SHAPES[shape])
    assert ask(on(sim), question) == (sim.answers(question), set())


def test_the_listing_goes_in_parts_only_when_it_may(sim):
    run_event(event("count", "us-east-1"), env=sim.env)
    assert requests(sim) == 400 // 20
    sim.control("POST", "/_sim/reset")
    run_event(event("count", "us-east-1"), env=on(sim))
    # Each part of some 25 instances has one page, two or three.
    assert requests(sim) in range(1 + 16, 1 + 3 * 16 + 1)
    assert requests(sim) != 400 // 20


# What goes wrong with the pages of instances, and the reason in the log;
# None: it is borne.
FAULTS = {
    "throttled": ("throttle-page:2:6", "throttled"),
    "throttled-a-little": ("throttle-page:2:2", None),
    "throttled-before": ("throttle:2", None),
    "broken": ("truncate-xml:2:3", "a page broke off"),
    "expired-token": ("expire-token:2:1", "a page token expired"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_change_nothing(sim, fault, question):
    what, why = FAULTS[fault]
    sim.set_faults(*(f"{region}/DescribeInstances={what}"
                     for region in REGIONS))
    body, given_up = ask(on(sim), question)
    assert body == sim.answers(question)
    assert given_up == ({why} if why else set())


@pytest.mark.parametrize("question", QUESTIONS)
def test_parts_are_given_up_where_pages_are_cut_before_filtering(running,
                                                                 question):
    sim = running("--late-filter")
    assert ask(on(sim), question) == (sim.answers(question), {"sparse pages"})


def test_parts_that_were_given_up_are_not_tried_again(running):
    sim = running("--late-filter")
    with harness.Runtime(env=on(sim)) as runtime:
        runtime.ask(event("count", "us-east-1"))
        sim.control("POST", "/_sim/reset")
        reply = runtime.ask(event("count", "us-east-1"))
        assert requests(sim) == 400 // 20
        assert reply.body == sim.answers("count", "us-east-1")


def test_candidates_that_found_no_room_are_listed_again(sim):
    env = on(sim, EXPOSURE_PENDING_MAX="0")
    assert ask(env, "exposure") == (sim.answers("exposure"), set())


def test_a_failure_of_the_region_stays_one(sim):
    sim.set_faults("eu-west-1/DescribeInstances=denied")
    body, _ = ask(on(sim), "count")
    right = {r["region"]: r for r in sim.answers("count")}
    assert [r for r in body if r["region"] != "eu-west-1"] == [
        right["ap-southeast-2"], right["us-east-1"]]
    failed, = (r for r in body if r["region"] == "eu-west-1")
    assert failed["error"].startswith("UnauthorizedOperation")


@pytest.mark.large
def test_a_large_region_begins_in_parts_once_it_is_known():
    with harness.Sim("--regions", "us-east-1", "--instances", "5000") as sim:
        # What INIT asks ahead would be counted too.
        env = on(sim, RESPONSE_BUDGET_BYTES="6291556", INIT_BUDGET_MS="0")
        with harness.Runtime(env=env) as runtime:
            first = runtime.ask(event("count"))
            assert requests(sim) == 1 + 16
            second = runtime.ask(event("owner"))
            assert requests(sim) == 1 + 16 + 16
        assert first.body == sim.answers("count")
        assert second.body == sim.answers("owner")
