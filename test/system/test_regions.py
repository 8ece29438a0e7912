"""Which regions are asked, and what an answer says of those that fail."""

import pytest

import harness
from conftest import REGIONS
from harness import event, run_event


def regions_of(reply):
    return [element["region"] for element in reply.body]


# --- the list in the event --------------------------------------------------

LISTS = {
    "one": ("eu-west-1", ["eu-west-1"]),
    "order-as-asked": ("us-east-1,ap-southeast-2",
                       ["us-east-1", "ap-southeast-2"]),
    "blanks": (" us-east-1 ,\teu-west-1 ", ["us-east-1", "eu-west-1"]),
    "duplicates": ("us-east-1,eu-west-1,us-east-1", ["us-east-1", "eu-west-1"]),
    "empty-entries": (",us-east-1,,eu-west-1,", ["us-east-1", "eu-west-1"]),
    "all": ("all", REGIONS),
    "all-in-another-case": ("ALL", REGIONS),
    "all-among-others": ("us-east-1, All", REGIONS),
    "nothing": ("", REGIONS),
    "only-commas": (" , ,", REGIONS),
}


@pytest.mark.parametrize("name", LISTS)
def test_list_of_regions(sim, name):
    value, expected = LISTS[name]
    reply = run_event(event("count", value), env=sim.env)
    assert reply.status == 200
    assert regions_of(reply) == expected
    assert reply.body == sim.answers("count", ",".join(expected))


@pytest.mark.parametrize("parameters", [None, []])
def test_no_list_means_every_region(sim, parameters):
    reply = run_event(event("count", parameters=parameters), env=sim.env)
    assert regions_of(reply) == REGIONS


def test_unknown_region_stands_in_its_place_with_the_nearest_known(sim):
    reply = run_event(event("count", "eu-west-1,us-east-l,us-east-1"),
                      env=sim.env)
    assert reply.status == 200
    assert regions_of(reply) == ["eu-west-1", "us-east-l", "us-east-1"]
    wrong = reply.body[1]
    assert set(wrong) == {"region", "error"}
    assert "us-east-1" in wrong["error"]
    good = [reply.body[0], reply.body[2]]
    assert good == sim.answers("count", "eu-west-1,us-east-1")


ILL_FORMED = ["us-east-1.evil.example", "us-east-1/", "localhost", "..",
              "us-east-1\r\nHost: x", "us-east-1@evil.example", "x" * 300,
              "us-east-1#", "\u00fcs-east-1", "-us-east-1"]


@pytest.mark.parametrize("name", ILL_FORMED, ids=range(len(ILL_FORMED)))
def test_ill_formed_region_is_named_and_the_others_answer(sim, name):
    reply = run_event(event("owner", f"{name},us-east-1"), env=sim.env)
    assert reply.status == 200
    assert "error" in reply.body[0]
    assert reply.body[1:] == sim.answers("owner", "us-east-1")


@pytest.mark.parametrize("value", ["nowhere-1", "nowhere-1,..", "x y z"])
def test_400_when_nothing_valid_is_left(sim, value):
    reply = run_event(event("count", value), env=sim.env)
    assert reply.status == 400


def test_configured_regions_bound_everything(sim):
    env = dict(sim.env, REGIONS="us-east-1, eu-west-1")
    assert sorted(regions_of(run_event(event("count"), env=env))) == [
        "eu-west-1", "us-east-1"]
    reply = run_event(event("count", "us-east-1,ap-southeast-2"), env=env)
    assert regions_of(reply) == ["us-east-1", "ap-southeast-2"]
    assert "error" in reply.body[1]


def test_compiled_in_list_is_used_when_describe_regions_is_denied():
    with harness.Sim("--instances", "2", "--fault",
                     "*/DescribeRegions=denied") as sim:
        done = run_event(event("count"), env=sim.env)
        assert [e for e in done.body if "error" not in e] == sim.answers("count")


# --- regions that fail ------------------------------------------------------

# A fault of eu-west-1 -> what its sentence must hold. All are final at once.
FINAL = {
    "denied": "UnauthorizedOperation",
    "auth-failure": "AuthFailure",
    "opt-in": "OptInRequired",
    "repeat-token": "",
    "doctype": "",
}


@pytest.mark.parametrize("fault", FINAL)
def test_failed_region_is_named_and_the_others_answer(sim_with, fault):
    sim = sim_with("--page", "10", "--fault", f"eu-west-1/DescribeInstances={fault}")
    reply = run_event(event("count", "us-east-1,eu-west-1,ap-southeast-2"),
                      env=sim.env)
    assert reply.status == 200
    failed = reply.body[1]
    assert failed["region"] == "eu-west-1" and set(failed) == {"region", "error"}
    assert FINAL[fault] in failed["error"]
    assert len(failed["error"]) <= 160
    assert "arn:" not in failed["error"] and "\n" not in failed["error"]
    assert [reply.body[0], reply.body[2]] == sim.answers(
        "count", "us-east-1,ap-southeast-2")


@pytest.mark.parametrize("question", ["owner", "exposure"])
def test_failed_regions_come_before_the_findings(sim_with, question):
    sim = sim_with("--fault", "eu-west-1=denied")
    reply = run_event(event(question), env=sim.env)
    assert reply.status == 200
    assert reply.body[0]["region"] == "eu-west-1"
    assert "error" in reply.body[0]
    assert reply.body[1:] == sim.answers(question, "ap-southeast-2,us-east-1")


@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
def test_502_when_every_region_fails(sim_with, question):
    sim = sim_with("--fault", "*/DescribeInstances=denied", "--fault",
                   "*/DescribeSecurityGroups=denied")
    reply = run_event(event(question), env=sim.env)
    assert reply.status == 502
    assert regions_of(reply) == REGIONS
    assert all("UnauthorizedOperation" in e["error"] for e in reply.body)


# Faults that a second or third try gets over.
PASSING = ["throttle:1:50", "error:503:1", "error:500:2", "internal:1",
           "truncate-xml:2:1", "expire-token:2", "clock-skew:1200"]


@pytest.mark.parametrize("fault", PASSING)
def test_passing_fault_leaves_a_whole_answer(fault):
    with harness.Sim("--regions", "eu-west-1,us-east-1", "--instances", "23",
                     "--page", "10", "--fault", f"eu-west-1={fault}") as sim:
        for question in ("count", "exposure"):
            reply = run_event(event(question), env=sim.env)
            assert reply.status == 200
            assert reply.body == sim.answers(question)
            sim.control("POST", "/_sim/reset")


def test_throttled_region_does_not_outlast_the_deadline(sim_with):
    sim = sim_with("--fault", "eu-west-1/DescribeInstances=throttle")
    with harness.Runtime(env=sim.env) as runtime:
        reply = runtime.ask(event("count"), deadline_ms=3_000, timeout=30)
    assert reply.status == 200
    by_region = {e["region"]: e for e in reply.body}
    assert "error" in by_region["eu-west-1"]
    assert "error" not in by_region["us-east-1"]


def test_region_alone_that_is_not_enabled_is_told_from_wrong_keys():
    """DescribeRegions was refused, but by someone who knew the key."""
    with harness.Sim("--regions", "us-east-1", "--disabled",
                     "ap-east-2", "--fault",
                     "us-east-1/DescribeRegions=denied") as sim:
        reply = run_event(event("count", "ap-east-2"), env=sim.env)
        assert reply.status == 502
        assert reply.body == [{
            "region": "ap-east-2",
            "error": "AuthFailure: region is not enabled in this account"}]
        wrong = dict(sim.env, AWS_SECRET_ACCESS_KEY="another-secret")
        reply = run_event(event("count", "ap-east-2"), env=wrong)
        assert reply.body == [{
            "region": "ap-east-2",
            "error": "AuthFailure: credentials were not accepted"}]


@pytest.mark.skipif(bool(harness.WRAPPER),
                    reason="under valgrind the second time is too short too")
def test_list_that_did_not_come_in_time_for_the_start_is_asked_for_again():
    with harness.Sim("--regions", "us-east-1,xx-new-1") as sim:
        env = dict(sim.env, INIT_BUDGET_MS="2")
        with harness.Runtime(env=env) as runtime:
            runtime.wait_until_idle()
            assert "built-in region list" in runtime.output.text()
            reply = runtime.ask(event("count", "xx-new-1"))
        assert reply.body == sim.answers("count", "xx-new-1")
