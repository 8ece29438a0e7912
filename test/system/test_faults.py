"""Every fault of docs/faults.md, made and held against its row there.

Most faults are told apart by their region: one sweep asks many regions, each
with another fault, and some without any. Faults that concern more than their
region are scenarios, each with a test of its own.
"""

import collections
import concurrent.futures
import contextlib
import copy
import importlib
import json
import re
import time

import pytest

import fault_table
import harness
import relay
from harness import Reply, event

QUESTIONS = ["count", "owner", "exposure"]
ROWS = fault_table.read()
HEALTHY = ["eu-west-1", "us-east-1"]
NINSTANCES, PAGE = 12, 5
NPAGES = 3


def region_of(fault):
    """A region's name that tells of the fault: http-500 is us-http-500."""
    number = re.sub(r"\D", "", fault) or "1"
    return f"us-{re.sub('[^a-z]', '', fault)}-{number}"


# --- the faults, each in a region of its own ------------------------------

NAMESPACE = b"http://ec2.amazonaws.com/doc/2016-11-15/"
BEGIN = (b'<DescribeInstancesResponse xmlns="%b"><reservationSet>' % NAMESPACE)
DEEP = BEGIN + b"<item><instancesSet>"
INSTANCE = b"<item><instanceId>i-0123456789abcdef0</instanceId>"
MB = 1 << 20


class BySim:
    """A fault of ec2sim; `once` is its spec for a fault that passes."""

    def __init__(self, always, once=None, right=None):
        self.always, self.once, self.right = always, once, right

    def lines(self, region, once):
        return [f"{region}={self.once if once else self.always}"]

    def prepare(self, network, region, once):
        pass


class ByRelay:
    """A fault of the relay; right: what the right answer is then."""

    def __init__(self, kind, arg=None, right=None, **when):
        self.kind, self.arg, self.right, self.when = kind, arg, right, when

    def lines(self, region, once):
        return []

    def prepare(self, network, region, once):
        when = dict(self.when, times=1) if once else self.when
        network.set_fault(region, self.kind, self.arg, **when)


def instead(*parts):
    """A page that is these (bytes, times), as gzip."""
    return ByRelay("gzip-instead", relay.gzip_of(*parts),
                   action="DescribeInstances")


def stream(first, again):
    return ByRelay("stream-instead", (first, again),
                   action="DescribeInstances")


def replaced(old, new, right=None, **when):
    """Pages with other bytes in them, which must have been there."""
    def change(page):
        return page.replace(old, new)

    return ByRelay("edit", change, right=right, **when)


def cut(page):
    return page[:page.rindex(b"<item>") + 3]


def with_doctype(page):
    return page.replace(b"?>", b'?><!DOCTYPE x [<!ENTITY x SYSTEM '
                               b'"file:///etc/hostname">]>', 1).replace(
                                   b"<requestId>", b"<requestId>&x;", 1)


def in_state(state):
    """The answer when all that run are in this state instead."""
    def change(elements):
        for element in elements:
            if element.get("state") == "running":
                element["state"] = state
            if "runningInstances" in element:
                element["runningInstances"] = 0
        return elements

    return change


def with_protocol(name):
    def change(elements):
        for element in elements:
            for permission in element.get("permissions", ()):
                if permission["ipProtocol"] == "tcp":
                    permission["ipProtocol"] = name
                    permission["ports"] = f"all of protocol {name}"
            if "permissions" in element:
                element["permissions"].sort(key=lambda p: [p[key] for key in (
                    "groupId", "ipProtocol", "fromPort", "toPort", "cidr")])
        return elements

    return change


NAME = b"<key>Name</key><value>"

# From the second page on where pages are what it is about: then the first one
# has been counted already.
FAULTS = {
    "denied": BySim("denied"),
    "auth-one-region": BySim("auth-failure"),
    "opt-in": BySim("opt-in"),
    "expired": BySim("expired"),
    "clock-ahead": BySim("clock-skew:3600"),
    "clock-behind": BySim("clock-skew:-3600"),
    "throttled": BySim("throttle", "throttle:1"),
    "throttled-with-advice": BySim("throttle:9:200", "throttle:1:200"),
    "internal-error": BySim("internal", "internal:1"),
    "http-500": BySim("error:500", "error:500:1"),
    "http-502": BySim("error:502", "error:502:1"),
    "http-503": BySim("error-empty:503", "error-empty:503:1"),
    "http-504": BySim("error:504", "error:504:1"),
    "redirect": ByRelay("redirect"),
    "accept-close": ByRelay("accept-close"),
    "tls-hang": ByRelay("tls-hang"),
    "cert-other-host": ByRelay("cert-other-host"),
    "cert-expired": ByRelay("cert-expired"),
    "cert-self-signed": ByRelay("cert-self-signed"),
    "cert-unknown-root": ByRelay("cert-unknown-root"),
    "slow-first-byte": ByRelay("slow-first-byte", 1, times=1),
    "byte-a-second": ByRelay("byte-a-second"),
    "never-answers": ByRelay("never-answers"),
    "reset-after-header": ByRelay("reset-after-header", after=1),
    "reset-mid-page": ByRelay("reset-mid-page", after=1),
    "reset-before-last-chunk": ByRelay("reset-before-last-chunk", after=1),
    "reset-after-last-byte": ByRelay("reset-after-last-byte"),
    "close-after-answer": ByRelay("close-after-answer"),
    "connection-close": ByRelay("connection-close"),
    "length-too-long": ByRelay("length-too-long", after=1),
    "length-too-short": ByRelay("length-too-short", after=1),
    "header-huge": ByRelay("header-huge", MB),
    "gzip-cut": ByRelay("gzip-cut", after=1),
    "gzip-and-more": ByRelay("gzip-and-more", after=1),
    "gzip-bomb": instead((BEGIN, 1), (b" " * MB, 300)),
    "xml-cut": ByRelay("edit", cut, after=1),
    "xml-malformed": replaced(b"</item>", b"<item>", after=1),
    "html": BySim("html200", "html200:1"),
    "empty": BySim("empty200", "empty200:1"),
    "entities-nested": BySim("doctype", "doctype:1"),
    "entity-external": ByRelay("edit", with_doctype),
    "levels": instead((BEGIN, 1), (b"<a>", 100_000)),
    "text-huge": instead((DEEP + INSTANCE + b"<tagSet><item>" + NAME, 1),
                         (b"x" * MB, 50)),
    "text-huge-unknown": replaced(
        b"<requestId>", b"<new>" + b"x" * (50 * MB) + b"</new><requestId>",
        action="DescribeInstances", times=1),
    "tag-endless": stream(DEEP + b"<item", b" " * 65536),
    "items-endless": stream(DEEP + INSTANCE, b"</item>" + INSTANCE),
    "token-repeats": BySim("repeat-token"),
    "token-expires": BySim("expire-token:2"),
    "token-expires-always": BySim("expire-token:2:9"),
    "state-unknown": replaced(b"<name>running</name>",
                              b"<name>hibernating</name>",
                              right=in_state("hibernating")),
    "protocol-unknown": replaced(b">tcp<", b">hyperspace<",
                                 right=with_protocol("hyperspace")),
    "number-unread": replaced(b"<code>", b"<code>99999999999999999999"),
    "port-overflow": replaced(b"<fromPort>",
                              b"<fromPort>99999999999999999999"),
    "name-control": replaced(NAME, NAME + b"&#x7f;&#x85;&#x9b;&#xa;&#x9;"),
    "utf8-invalid": replaced(NAME, NAME + b"\xff\xfe"),
    "nul-bytes": replaced(NAME, NAME + b"\0"),
}

# Faults that concern more than their region: tests of their own, here and in
# the modules named.
SCENARIOS = {}
SCENARIO_MODULES = ["test_time"]


def scenario(*names):
    def keep(test):
        SCENARIOS.update(dict.fromkeys(names, test))
        return test
    return keep


def test_every_row_has_a_test_and_every_fault_a_row():
    for module in SCENARIO_MODULES:
        importlib.import_module(module)
    assert not set(FAULTS) & set(SCENARIOS)
    assert set(FAULTS) | set(SCENARIOS) == set(ROWS)


# --- sweeps ---------------------------------------------------------------

# Which runs there are: the settings, and which of the faults.
RUNS = {
    "quick": (fault_table.Settings(), ["at once", "back-off"]),
    "T": (fault_table.Settings(region_timeout_ms=4_000), ["T"]),
    "D": (fault_table.Settings(deadline_ms=4_000), ["D"]),
    "passing": (fault_table.Settings(), ["at once", "back-off", "T", "D"]),
}


def passes(fault):
    """Whether the fault can happen once, so that a retry gets over it."""
    if isinstance(FAULTS[fault], BySim) and not FAULTS[fault].once:
        return False
    return ROWS[fault].again == "yes" and "`" in ROWS[fault].says


def faults_of(run):
    return [fault for fault in FAULTS if fault in ROWS
            and ROWS[fault].limit in RUNS[run][1]
            and (run != "passing" or passes(fault))]


class Log:
    """What the runtime's log says of its answers, one after another."""

    def __init__(self, runtime):
        self.retries, self.summaries = [], []  # of each answer
        retries = collections.Counter()
        for line in runtime.output.text().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("message") == "request failed, trying again":
                retries[said["region"]] += 1
            elif said.get("message") == "answered":
                self.retries.append(retries)
                self.summaries.append(said)
                retries = collections.Counter()


def runtime_for(sim, network, settings):
    # Without network in INIT, so that the event meets the faults, not INIT.
    env = dict(sim.env, AWS_LAMBDA_LOG_FORMAT="JSON",
               AWS_LAMBDA_LOG_LEVEL="DEBUG", INIT_BUDGET_MS="0", **network.env)
    return harness.Runtime(env={**env, **settings.env})


def timed(runtime, settings, question, regions):
    """(Reply, seconds) of one event."""
    runtime.wait_until_idle()
    begin = time.monotonic()
    answer = runtime.invoke(event(question, ",".join(regions)),
                            deadline_ms=settings.deadline_ms)
    assert answer.kind == "response", answer.body
    return Reply(answer.json), answer.at - begin


class Sweep:
    """One answer about all regions of a run, and how it came about."""

    def __init__(self, run, question, sim, network):
        self.settings = RUNS[run][0]
        self.faults = faults_of(run)
        network.clear()
        lines = []
        for fault in self.faults:
            region, once = region_of(fault), run == "passing"
            FAULTS[fault].prepare(network, region, once)
            lines += FAULTS[fault].lines(region, once)
        sim.set_faults(*lines)
        sim.control("POST", "/_sim/reset")
        regions = [HEALTHY[0], *map(region_of, self.faults), HEALTHY[1]]
        with runtime_for(sim, network, self.settings) as runtime:
            self.reply, self.seconds = timed(runtime, self.settings, question,
                                             regions)
        log = Log(runtime)
        (self.retries,), (self.summary,) = log.retries, log.summaries
        self.requests = collections.Counter(network.requests)
        self.strayed = network.connections[relay.OTHER_HOST]

    def elements(self, region):
        return [e for e in self.reply.body if e["region"] == region]


@pytest.fixture(scope="module")
def sim():
    regions = [*HEALTHY, *map(region_of, ROWS)]
    with harness.Sim("--plain", "--regions", ",".join(regions), "--seed", "5",
                     "--instances", NINSTANCES, "--page", PAGE) as running:
        yield running


@pytest.fixture(scope="module")
def network(sim):
    with relay.Relay(sim.port, [*HEALTHY, *map(region_of, ROWS)]) as running:
        yield running


@pytest.fixture(scope="module")
def right(sim):
    """right(question, region, ...): the right elements."""
    answers = {question: sim.answers(question) for question in QUESTIONS}

    def get(question, *regions):
        return [copy.deepcopy(element)
                for region in regions for element in answers[question]
                if element["region"] == region]

    return get


@pytest.fixture(autouse=True)
def fine_weather(sim, network):
    """Scenarios begin without faults of another test."""
    network.clear()
    sim.set_faults()


@pytest.fixture(scope="module")
def sweep_of(sim, network):
    """sweep_of(run, question): made when first asked for."""
    made = {}

    def get(run, question):
        if (run, question) not in made:
            made[run, question] = Sweep(run, question, sim, network)
        return made[run, question]

    return get


def right_with(fault, elements):
    change = FAULTS[fault].right
    return change(elements) if change else elements


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("run", RUNS)
def test_sweep_is_in_time_and_leaves_healthy_regions_alone(
        sweep_of, right, run, question):
    sweep = sweep_of(run, question)
    assert sweep.reply.status == 200
    for region in HEALTHY:
        assert sweep.elements(region) == right(question, region)
        assert sweep.retries[region] == 0
    nfailed = sum("error" in element for element in sweep.reply.body)
    assert sweep.summary["regionsFailed"] == nfailed
    assert sweep.summary["retries"] == sum(sweep.retries.values())
    longest = max(sweep.settings.longest_s(limit) for limit in (
        RUNS[run][1] if run != "passing" else ["back-off"]))
    assert sweep.seconds < longest
    assert sweep.strayed == 0


def each_of(runs):
    return [pytest.param(run, fault, question, id=f"{run}-{fault}-{question}")
            for run in runs for fault in faults_of(run)
            for question in QUESTIONS]


@pytest.mark.parametrize("run, fault, question", each_of(["quick", "T", "D"]))
def test_fault_ends_as_the_table_says(sweep_of, right, run, fault, question):
    sweep, row = sweep_of(run, question), ROWS[fault]
    region = region_of(fault)
    row.check_element(question, sweep.settings, sweep.elements(region),
                      right_with(fault, right(question, region)))
    row.check_retries(question, sweep.retries[region])
    if row.again == "the listing, once" and row.is_right(question):
        # Of one of the listings pages were asked for again.
        pages = [sweep.requests[region, action] for action in (
            "DescribeInstances", "DescribeSecurityGroups")]
        assert max(pages) > NPAGES


@pytest.mark.parametrize("run, fault, question", each_of(["passing"]))
def test_fault_that_passes_leaves_no_trace(sweep_of, right, run, fault,
                                           question):
    sweep, region = sweep_of(run, question), region_of(fault)
    assert sweep.elements(region) == right(question, region)
    ROWS[fault].check_retries(question, sweep.retries[region])


# --- scenarios ------------------------------------------------------------


class Scene:
    """Three runtimes whose connections to the healthy regions stand, one for
    each question, so that they wait at the same time."""

    def __init__(self, name, sim, network, right, settings=None):
        self.name, self._right = name, right
        self.settings = settings or fault_table.Settings()
        self.region = region_of(name)
        self.runtimes = {question: runtime_for(sim, network, self.settings)
                         for question in QUESTIONS}
        self._asked = []  # (row, {question: (Reply, seconds)})

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for runtime in self.runtimes.values():
                stack.enter_context(runtime)
            # It asks all there is to ask, and so opens all connections.
            for runtime in self.runtimes.values():
                reply, _ = timed(runtime, self.settings, "exposure", HEALTHY)
                assert reply.body == self._right("exposure", *HEALTHY)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        return self._stack.__exit__(*failure)

    def _ask(self, regions):
        with concurrent.futures.ThreadPoolExecutor(len(QUESTIONS)) as pool:
            asked = {question: pool.submit(timed, runtime, self.settings,
                                           question, regions)
                     for question, runtime in self.runtimes.items()}
        return {question: done.result() for question, done in asked.items()}

    def ask(self, faulty=False, row=None):
        """Asks the healthy regions, and one that none was connected to."""
        regions = [*HEALTHY, self.region] if faulty else HEALTHY
        self._asked.append((ROWS[row or self.name], self._ask(regions)))

    def check_recovery(self):
        for question, (reply, _) in self._ask([self.region]).items():
            assert reply.status == 200
            assert reply.body == self._right(question, self.region)

    def check(self):
        """After the `with`: holds each answer against its row."""
        for question in QUESTIONS:
            # The first answer is that of __enter__.
            retries = Log(self.runtimes[question]).retries[1:]
            for (row, got), again in zip(self._asked, retries):
                self._check(row, question, *got[question])
                row.check_retries(question, sum(again.values()))

    def _check(self, row, question, reply, seconds):
        ours = [e for e in reply.body if e["region"] == self.region]
        rest = [e for e in reply.body if e["region"] != self.region]
        assert rest == self._right(question, *HEALTHY)
        if ours or not row.is_right(question):
            row.check_element(question, self.settings, ours, [])
        assert seconds < self.settings.longest_s(row.limit)


@scenario("auth-everywhere")
@pytest.mark.parametrize("question", QUESTIONS)
def test_bad_keys_are_told_from_a_region_that_is_not_enabled(sim, network,
                                                             question):
    row, settings = ROWS["auth-everywhere"], fault_table.Settings()
    sim.set_faults("*=auth-failure")
    with runtime_for(sim, network, settings) as runtime:
        reply, seconds = timed(runtime, settings, question, HEALTHY)
    assert reply.status == 502
    assert [element["region"] for element in reply.body] == HEALTHY
    for element in reply.body:
        row.check_element(question, settings, [element], [])
    row.check_retries(question, sum(Log(runtime).retries[0].values()))
    assert seconds < settings.longest_s(row.limit)


@scenario("refused")
def test_refused_connection_and_its_recovery(sim, network, right):
    with Scene("refused", sim, network, right) as scene:
        network.refuse()
        try:
            scene.ask(faulty=True)
        finally:
            network.listen_again()
        # One that has answered again has all its attempts again.
        sim.set_faults(f"{scene.region}=throttle:1:50")
        scene.check_recovery()
    scene.check()


@scenario("dials-vanish", "dials-vanish-again")
def test_connection_that_nobody_answers_and_its_recovery(sim, network, right):
    settings = fault_table.Settings(region_timeout_ms=4_000)
    with Scene("dials-vanish", sim, network, right, settings) as scene:
        network.swallow_dials()
        try:
            scene.ask(faulty=True)
            scene.ask(faulty=True, row="dials-vanish-again")
        finally:
            network.listen_again()
        scene.check_recovery()
    scene.check()


@scenario("kept-closed")
def test_kept_connections_that_were_closed(sim, network, right):
    with Scene("kept-closed", sim, network, right) as scene:
        assert network.drop_idle() >= len(HEALTHY) * len(QUESTIONS)
        scene.ask()
    scene.check()


@scenario("kept-black-hole")
def test_kept_connections_that_are_black_holes(sim, network, right):
    with Scene("kept-black-hole", sim, network, right) as scene:
        assert network.black_hole_idle() >= len(HEALTHY) * len(QUESTIONS)
        scene.ask()
    scene.check()


@scenario("empty-pages")
def test_empty_pages_between_others(right):
    with harness.Sim("--plain", "--regions", ",".join(HEALTHY), "--seed", "5",
                     "--instances", NINSTANCES, "--page", PAGE,
                     "--empty-pages") as sim:
        with relay.Relay(sim.port, HEALTHY) as network:
            with Scene("empty-pages", sim, network, right) as scene:
                scene.ask()
    scene.check()
