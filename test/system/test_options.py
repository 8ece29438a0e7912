"""What a question may be narrowed to, and answers that come in parts, held
against what the simulator's fleet says itself."""

import json

import pytest

import harness
from conftest import REGIONS
from harness import event, run_event


def asked(question, regions="all", **parameters):
    """An event with more parameters than regions."""
    parameters = {"regions": regions, **parameters}
    return event(question, parameters=[
        {"name": name, "type": "string", "value": value}
        for name, value in parameters.items()])


def as_object(env):
    return dict(env, ANSWER="object")


# --- states -----------------------------------------------------------------

@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
@pytest.mark.parametrize("states", ["running", "stopped,terminated"])
def test_states_are_those_asked_for(sim, question, states):
    reply = run_event(asked(question, states=states), env=sim.env)
    assert reply.body == sim.answers(question, states=states)


def test_states_may_be_written_in_any_case(sim):
    reply = run_event(asked("count", states=" Running , STOPPED"), env=sim.env)
    assert reply.body == sim.answers("count", states="running,stopped")


@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
def test_default_states_hold_where_none_are_asked_for(sim, question):
    states = "pending,running,stopping,stopped"
    env = dict(sim.env, DEFAULT_STATES=states)
    assert run_event(event(question), env=env).body == sim.answers(
        question, states=states)
    assert run_event(asked(question, states="all"), env=env).body == \
        sim.answers(question)


def test_unknown_state_is_refused_with_those_there_are(sim):
    reply = run_event(asked("count", states="halted"), env=sim.env)
    assert reply.status == 400
    assert "halted" in reply.raw
    for state in ("pending", "running", "shutting-down", "terminated",
                  "stopping", "stopped"):
        assert state in reply.raw


# --- tag and port -----------------------------------------------------------

@pytest.mark.parametrize("tag", ["CostCenter", "costcenter", "note",
                                 "Owner=*@example.com", "owner=ALICE"])
def test_tag_is_the_one_asked_for(sim, tag):
    found = run_event(asked("owner", tag=tag), env=sim.env).body
    assert found == sim.answers("owner", tag=tag)
    assert found != sim.answers("owner")


@pytest.mark.parametrize("port", ["22", "443/tcp", "443", "53/udp", "53/tcp",
                                  "8000-8080", "8010", "1-65535/udp", "icmp",
                                  "icmpv6"])
def test_port_is_the_one_asked_for(sim_with, port):
    sim = sim_with("--groups", "40")
    found = run_event(asked("exposure", port=port), env=sim.env).body
    assert found and found == sim.answers("exposure", port_asked=port)
    assert found != sim.answers("exposure")


def test_port_that_is_none_is_refused(sim):
    reply = run_event(asked("exposure", port="ssh"), env=sim.env)
    assert reply.status == 400
    assert "ssh" in reply.raw and "8000-8080" in reply.raw


# --- find_instances ---------------------------------------------------------

def queries(sim):
    """Queries of every kind for instances of this fleet."""
    rows = sim.answers("find", query="*")
    public = next(r["publicIp"] for r in rows if r["publicIp"])
    ipv6 = next(r["ipv6"] for r in rows if r["ipv6"])
    name = next(r["instanceName"] for r in rows
                if r["instanceName"].startswith("web-"))
    return {"id": rows[3]["instanceId"], "id-pattern": "i-00*",
            "name": name, "name-in-capitals": name.upper(),
            "name-pattern": "web-*", "private": rows[0]["privateIp"],
            "private-pattern": "10.*", "public": public, "ipv6": ipv6,
            "ipv6-otherwise": ipv6.replace("2001:db8:", "2001:0DB8:"),
            "nothing": "no such thing", "all": "*"}


@pytest.mark.parametrize("kind", ["id", "id-pattern", "name",
                                  "name-in-capitals", "name-pattern",
                                  "private", "private-pattern", "public",
                                  "ipv6", "ipv6-otherwise", "nothing", "all"])
def test_find_tells_all_of_what_it_finds(sim, kind):
    query = queries(sim)[kind]
    # Whatever the states are that other questions look at.
    env = dict(sim.env, DEFAULT_STATES="running")
    found = run_event(asked("find", query=query), env=env).body
    assert found == sim.answers("find", query=query)
    assert bool(found) == (kind != "nothing")


def test_find_needs_a_query(sim):
    reply = run_event(asked("find"), env=sim.env)
    assert reply.status == 400
    assert "query: missing" in reply.raw


# --- summarize_instances ----------------------------------------------------

def summary(sim, nregions, nfailed=0, **more):
    """The row that the fleet gives: the ten most frequent types, by number."""
    right, = sim.answers("summary", **more)
    types = sorted(right["byType"].items(), key=lambda t: (-t[1], t[0]))
    return dict(right, byType=dict(types[:10]),
                otherTypes=sum(n for _, n in types[10:]),
                regionsAsked=nregions, regionsFailed=nfailed)


def test_summary_sums_up_all_regions(sim):
    reply = run_event(event("summary"), env=sim.env)
    assert reply.body == [summary(sim, 3)]
    assert len(reply.raw) < 1000


@pytest.mark.parametrize("pending", ["0", "1048576"])
def test_summary_takes_one_sweep(sim_with, pending):
    """One listing of each kind in a region, and those of the open groups if
    there was no room for candidates, which come before the groups here."""
    sim = sim_with("--groups", "9", "--fault",
                   "us-east-1/DescribeSecurityGroups=throttle:1:300")
    sim.control("POST", "/_sim/reset")
    env = dict(sim.env, EXPOSURE_PENDING_MAX=pending)
    reply = run_event(asked("summary", "us-east-1", states="running"), env=env)
    assert reply.body == [summary(sim, 1, regions="us-east-1",
                                  states="running")]
    counts = sim.stats()["regions"]["us-east-1"]["requests"]
    assert counts["DescribeSecurityGroups"] == 2
    assert counts["DescribeInstances"] == (1 if pending != "0" else 3)


def test_summary_says_how_many_regions_failed(sim_with):
    sim = sim_with("--fault", "eu-west-1=denied")
    failed, row = run_event(event("summary"), env=sim.env).body
    assert failed["region"] == "eu-west-1" and "error" in failed
    assert row == summary(sim, 3, 1, regions="ap-southeast-2,us-east-1")


# --- regions ----------------------------------------------------------------

PATTERNS = {
    "us-*": ["us-east-1"],
    "*-1": ["eu-west-1", "us-east-1"],
    "*-1,*-2": ["eu-west-1", "us-east-1", "ap-southeast-2"],
    "us-east-1,*": REGIONS,
    "all,!eu-west-1": ["ap-southeast-2", "us-east-1"],
    "!*-1": ["ap-southeast-2"],
    "us-east-1,eu-west-1,!eu-*": ["us-east-1"],
}


@pytest.mark.parametrize("value", PATTERNS)
def test_regions_by_patterns_and_exclusions(sim, value):
    reply = run_event(event("count", value), env=sim.env)
    assert reply.status == 200
    assert reply.body == sim.answers("count", ",".join(PATTERNS[value]))


def test_pattern_that_fits_no_region_is_told(sim):
    reply = run_event(event("count", "xx-*,us-east-1"), env=sim.env)
    assert reply.body[0]["region"] == "xx-*" and "error" in reply.body[0]
    assert reply.body[1:] == sim.answers("count", "us-east-1")
    assert run_event(event("count", "us-*,!us-*"), env=sim.env).status == 400


def test_regions_allowed_bound_what_is_asked(sim):
    sim.control("POST", "/_sim/reset")
    env = dict(sim.env, REGIONS_ALLOWED="us-*, eu-west-1")
    reply = run_event(event("count"), env=env)
    assert reply.body == sim.answers("count", "eu-west-1,us-east-1")
    reply = run_event(event("count", "ap-southeast-2,us-east-1"), env=env)
    assert reply.body[0] == {"region": "ap-southeast-2", "error":
                             "not allowed: outside REGIONS_ALLOWED"}
    regions = sim.stats()["regions"]
    assert regions["us-east-1"]["requests"]["DescribeRegions"] > 0
    assert not sum(regions["ap-southeast-2"]["requests"].values())


def test_regions_allowed_that_is_no_pattern_ends_the_start(sim):
    done = harness.run("--event", "-", stdin=json.dumps(event()).encode(),
                       env=dict(sim.env, REGIONS_ALLOWED="eu-*,nowhere"))
    assert done.returncode == 1
    assert 'REGIONS_ALLOWED: "nowhere"' in done.stderr


# --- managed instances, names -----------------------------------------------

@pytest.mark.parametrize("question", ["count", "owner", "exposure", "find"])
def test_managed_instances_are_told_of_when_wanted(question):
    with harness.Sim("--regions", ",".join(REGIONS), "--instances", "200",
                     "--hide-managed", "--page", "70") as sim:
        what = asked(question, **({"query": "*"} if question == "find" else {}))
        more = {"query": "*"} if question == "find" else {}
        without = run_event(what, env=sim.env).body
        assert without == sim.answers(question, **more)
        found = run_event(what, env=dict(sim.env, INCLUDE_MANAGED="1")).body
        assert found == sim.answers(question, with_managed=True, **more)
        assert found != without


def test_managed_instances_are_left_out_where_ec2_does_not_know_of_them():
    with harness.Sim("--regions", "us-east-1", "--instances", "60",
                     "--old-api", "--page", "20") as sim:
        reply = run_event(event("count"),
                          env=dict(sim.env, INCLUDE_MANAGED="1"))
        assert reply.status == 200 and reply.body == sim.answers("count")


@pytest.mark.parametrize("question", ["owner", "exposure", "find"])
def test_names_stay_out_where_they_are_off(sim, question):
    more = {"query": "*"} if question == "find" else {}
    found = run_event(asked(question, **more),
                      env=dict(sim.env, NAMES="off")).body
    right = sim.answers(question, **more)
    for row in right:
        del row["instanceName"]
        for permission in row.get("permissions", []):
            del permission["allowFrom"]
    assert found == right


def test_names_are_told_as_they_are_seen():
    """The fleet has one with a mark of direction and hidden characters, and
    one of 256 characters."""
    with harness.Sim("--regions", "us-east-1", "--instances", "400") as sim:
        names = [r["instanceName"] for r in run_event(
            asked("find", query="*"), env=sim.env).body]
    assert "payroll" in names
    assert max(map(len, names)) == 128
    assert not any(c in "".join(names) for c in "\u202e\u200b\U000e0041")


# --- the object -------------------------------------------------------------

@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
def test_object_has_the_rows_of_the_array_and_more(sim_with, question):
    sim = sim_with("--fault", "eu-west-1=denied")
    reply = run_event(event(question, "us-east-1,eu-west-1,xx-nowhere-1"),
                      env=as_object(sim.env))
    body = reply.body
    right = sim.answers(question, "us-east-1", **(
        {} if question == "count" else {"full": True}))
    assert body["items"] == right
    assert (body["regionsAsked"], body["regionsAnswered"]) == (3, 1)
    assert body["total"] == body["shown"] == len(right)
    assert "next" not in body
    assert len(body["states"]) == 6
    assert [f["regions"] for f in body["failed"]] == [["eu-west-1"],
                                                      ["xx-nowhere-1"]]
    if question == "count":
        assert body["totalInstances"] == right[0]["totalInstances"]


def test_object_says_which_states_were_looked_at(sim):
    env = dict(as_object(sim.env), DEFAULT_STATES="stopped,running")
    assert run_event(event("owner"), env=env).body["states"] == [
        "running", "stopped"]


@pytest.mark.parametrize("question", ["count", "summary"])
def test_nothing_is_summed_up_where_no_region_answered(sim_with, question):
    sim = sim_with("--fault", "*/DescribeInstances=denied")
    body = run_event(event(question), env=as_object(sim.env)).body
    assert body["failed"][0]["regions"] == REGIONS
    assert (body["total"], body["items"]) == (0, [])
    assert "totalInstances" not in body
    reply = run_event(event(question), env=sim.env)
    assert reply.status == 502
    assert [set(e) for e in reply.body] == [{"region", "error"}] * 3


def test_object_groups_equal_errors(sim_with):
    sim = sim_with("--fault", "*/DescribeInstances=denied", "--fault",
                   "*/DescribeSecurityGroups=denied")
    body = run_event(event("exposure"), env=as_object(sim.env)).body
    assert body["items"] == [] and body["regionsAnswered"] == 0
    group, = body["failed"]
    assert group["regions"] == REGIONS
    assert "UnauthorizedOperation" in group["error"]


# --- answers in parts -------------------------------------------------------

MANY = ("--regions", ",".join(REGIONS), "--instances", "1700", "--groups",
        "30", "--open", "80")


@pytest.fixture(scope="module")
def crowd():
    with harness.Sim(*MANY, "--warm") as sim:
        yield sim


def walk(sim, question, budget, answer, **more):
    """All rows of an answer, by its parts, and how many parts there were."""
    env = dict(sim.env, RESPONSE_BUDGET_BYTES=str(budget), ANSWER=answer)
    rows, parts, total, after = [], 0, None, {}
    with harness.Runtime(env=env) as runtime:
        while True:
            got = runtime.invoke(asked(question, **more, **after))
            assert got.kind == "response"
            assert len(got.body) <= budget
            body = harness.Reply(got.json).body
            parts += 1
            if answer == "object":
                items, end = body["items"], body
            else:
                items, end = body, {}
                if "omitted" in body[-1]:
                    items, end = body[:-1], body[-1]["omitted"]
            rows += items
            assert total in (None, end.get("total", total))
            total = end.get("total", total)
            if "next" not in end:
                return rows, parts, len(rows) if total is None else total
            assert items and end["shown"] == len(items)
            after = {"after": end["next"]}


@pytest.mark.parametrize("answer", [
    "object", pytest.param("array", marks=pytest.mark.large)])
def test_walk_over_5000_findings_tells_each_once(crowd, answer):
    right = crowd.answers("find", query="*")
    assert len(right) == 5100
    rows, parts, total = walk(crowd, "find", 250_000, answer, query="*")
    assert rows == right and total == len(right) and parts > 5


@pytest.mark.parametrize("answer,budget", [
    pytest.param("array", 2000, marks=pytest.mark.long),
    pytest.param("object", 5000, marks=pytest.mark.long),
    pytest.param("object", 8000, marks=pytest.mark.long),
    pytest.param("array", 9999, marks=pytest.mark.long),
    pytest.param("array", 24_000, marks=pytest.mark.large),
    pytest.param("object", 24_000, marks=pytest.mark.large)])
def test_walk_over_5000_findings_keeps_any_budget(crowd, answer, budget):
    full = {"full": True} if answer == "object" else {}
    right = crowd.answers("owner", tag="Nobody", **full)
    assert len(right) == 5100
    rows, parts, total = walk(crowd, "owner", budget, answer, tag="Nobody")
    assert rows == right and total == len(right)
    assert parts > 5100 * 100 // budget


@pytest.mark.parametrize("question", ["owner", "exposure"])
@pytest.mark.parametrize("budget", [2000, 3333, 24_000])
def test_walk_under_any_budget_tells_each_once(question, budget):
    with harness.Sim("--regions", ",".join(REGIONS), "--instances", "40",
                     "--groups", "20", "--open", "60") as sim:
        for answer in ("array", "object"):
            rows, parts, total = walk(sim, question, budget, answer)
            right = sim.answers(question, **(
                {"full": True} if answer == "object" else {}))
            assert [r["instanceId"] for r in rows] == [
                r["instanceId"] for r in right]
            assert total == len(right)
            # Rows that had no room for all their permissions say so.
            for row, whole in zip(rows, right):
                n = row.pop("permissionsOmitted", 0)
                if n:
                    assert len(row["permissions"]) + n == len(
                        whole["permissions"])
                    row["permissions"] = whole["permissions"]
                assert row == whole


def test_count_of_34_regions_fits_the_default_budget():
    with harness.Sim("--instances", "3") as sim:
        with harness.Runtime(env=sim.env) as runtime:
            body = runtime.ask(event("count")).body
        assert body == sim.answers("count") and len(body) == 34


def test_walk_goes_on_where_an_instance_has_vanished(sim):
    right = sim.answers("owner")
    behind = [r for r in right if (REGIONS.index(r["region"]), r["instanceId"])
              > (1, "i-07")]
    reply = run_event(asked("owner", after="eu-west-1/i-07"), env=sim.env)
    assert reply.body == behind
    # A region that "all" does not hold is where its name would be.
    reply = run_event(asked("owner", after="eu-south-2/i-07"), env=sim.env)
    assert reply.body == [r for r in right if r["region"] > "eu-south-2"]


@pytest.mark.parametrize("after", ["i-07", "eu-west-1", "eu-west-1/",
                                   "us-east-1/i-07"])
def test_place_that_is_none_is_refused(sim, after):
    reply = run_event(asked("owner", "eu-west-1", after=after), env=sim.env)
    assert reply.status == 400
    assert "after: " in reply.raw
