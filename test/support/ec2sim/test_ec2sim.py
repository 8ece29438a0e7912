"""The simulator itself: what it refuses, how it pages, how it misbehaves.

Requests are signed here with the standard library, from AWS's description of
Signature Version 4, so that a wrong check in the simulator shows.
"""

import datetime
import email.utils
import gzip
import hashlib
import hmac
import http.client
import json
import re
import socket
import ssl
import urllib.parse
import xml.etree.ElementTree

import pytest

import harness

KEY, SECRET, TOKEN = "TESTKEY", "not-a-real-secret", "not-a-real-token"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
VERSION = {"Version": "2016-11-15"}
INSTANCES = {"Action": "DescribeInstances", **VERSION, "MaxResults": "20"}
GROUPS = {"Action": "DescribeSecurityGroups", **VERSION, "MaxResults": "1000"}
REGIONS = {"Action": "DescribeRegions", **VERSION}
REFUSED = (401, "AuthFailure")
FINE = (200, "")


@pytest.fixture(scope="module")
def running():
    options = ["--regions", "us-east-1,eu-west-1", "--disabled", "xx-off-1",
               "--instances", "60", "--groups", "300", "--page", "20",
               "--token", TOKEN]
    with harness.Sim(*options) as sim:
        yield sim


@pytest.fixture
def sim(running):
    """The simulator without faults and with its counters at 0."""
    control(running, "POST", "/_sim/faults", "")
    control(running, "POST", "/_sim/reset")
    return running


def exchange(sim, host, head, body=""):
    """Status, headers and text of the answer to these very bytes."""
    tls = ssl.create_default_context(cafile=sim.ca)
    plain = socket.create_connection(("127.0.0.1", sim.port), timeout=20)
    with tls.wrap_socket(plain, server_hostname=host) as connection:
        connection.sendall((head + "\r\n" + body).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        data = answer.read()
    if answer.getheader("content-encoding") == "gzip":
        data = gzip.decompress(data)
    return answer.status, answer.headers, data.decode()


def head_of(method, path, headers):
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}"


def control(sim, method, path, body=""):
    headers = {"host": "localhost", "content-length": len(body)}
    return exchange(sim, "localhost", head_of(method, path, headers), body)


def set_faults(sim, *rules):
    assert control(sim, "POST", "/_sim/faults", "\n".join(rules))[0] == 200


def sign(headers, body, *, method="POST", query="", region="us-east-1",
         service="ec2", key=KEY, secret=SECRET, date=None, unsigned=()):
    """The value of Authorization."""
    stamp = headers["x-amz-date"]
    scope = f"{date or stamp[:8]}/{region}/{service}/aws4_request"
    names = sorted(set(headers) - set(unsigned))
    args = sorted((a.split("=", 1) for a in query.split("&") if a))
    canonical = "\n".join([
        method, "/", "&".join("=".join(a) for a in args),
        "".join(f"{n}:{' '.join(headers[n].split())}\n" for n in names),
        ";".join(names), hashlib.sha256(body.encode()).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    derived = ("AWS4" + secret).encode()
    for part in [*scope.split("/"), text]:
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return (f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders="
            f"{';'.join(names)}, Signature={derived.hex()}")


def stamp_at(minutes=0):
    now = datetime.datetime.now(datetime.timezone.utc)
    at = now + datetime.timedelta(minutes=minutes)
    return at.strftime("%Y%m%dT%H%M%SZ")


def ask(sim, params, *, at="us-east-1", method="POST", minutes=0, **how):
    """One request signed now or minutes later; how is headers (None: without)
    and sign()'s."""
    host = f"ec2.{at}.localhost"
    text = params if isinstance(params, str) else urllib.parse.urlencode(
        params, quote_via=urllib.parse.quote)
    body, query = ("", text) if method == "GET" else (text, "")
    headers = {"host": host, "x-amz-date": stamp_at(minutes),
               "content-type": FORM, "x-amz-security-token": TOKEN}
    headers.update(how.pop("headers", {}))
    headers = {n: v for n, v in headers.items() if v is not None}
    how = {"region": at, **how}
    authorization = sign(headers, body, method=method, query=query, **how)
    headers["authorization"] = authorization
    headers["accept-encoding"] = "gzip"
    headers["content-length"] = str(len(body))
    path = "/?" + query if query else "/"
    return exchange(sim, host, head_of(method, path, headers), body)


def verdict(answer):
    code = re.search(r"<Error><Code>(.*?)</Code>", answer[2])
    return answer[0], code.group(1) if code else ""


def next_token(answer):
    token = re.search(r"<nextToken>(.+?)</nextToken>", answer[2])
    return token and token.group(1)


def listing(sim, params, item):
    """All matches of item, page by page, and the number of pages."""
    found, pages, token = [], 0, None
    while pages == 0 or token:
        more = {"NextToken": token} if token else {}
        answer = ask(sim, {**params, **more})
        assert verdict(answer) == FINE
        found += re.findall(item, answer[2])
        pages, token = pages + 1, next_token(answer)
    return found, pages


def filters(*pairs):
    params = {}
    for n, (name, values) in enumerate(pairs, 1):
        params[f"Filter.{n}.Name"] = name
        for m, value in enumerate(values, 1):
            params[f"Filter.{n}.Value.{m}"] = value
    return params


# --- signatures ---------------------------------------------------------------

GOOD = {
    "post": {},
    "get": {"method": "GET", "headers": {"content-type": None}},
    "14-minutes-old": {"minutes": -14},
    "blanks-in-a-value": {"headers": {"x-amz-meta": "  a   b "}},
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_signature_is_taken(sim, case):
    params = {**INSTANCES, **filters(("tag-key", ["*"] * 11))}
    assert verdict(ask(sim, params, **GOOD[case])) == FINE


BAD = {
    "secret": ({"secret": "x"}, "the signature differs"),
    "key": ({"key": "NOKEY"}, "unknown key id"),
    "region": ({"region": "eu-west-1"}, "scope region is not the host's"),
    "service": ({"service": "s3"}, "scope service is not ec2"),
    "date": ({"date": "20200101"}, "scope date is not that of x-amz-date"),
    "no-token": ({"headers": {"x-amz-security-token": None}},
                 "wrong session token"),
    "token": ({"headers": {"x-amz-security-token": "x"}},
              "wrong session token"),
    "token-unsigned": ({"unsigned": ["x-amz-security-token"]},
                       "a header that must be signed is not"),
    "type-unsigned": ({"unsigned": ["content-type"]},
                      "a header that must be signed is not"),
    "host-unsigned": ({"unsigned": ["host"]}, "host not signed"),
    "stamp-unsigned": ({"unsigned": ["x-amz-date"]}, "x-amz-date not signed"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_signature_is_refused(sim, case):
    how, reason = BAD[case]
    answer = ask(sim, INSTANCES, **how)
    assert verdict(answer) == REFUSED
    assert answer[1]["x-ec2sim-reason"] == reason


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_stamp_that_is_far_off_has_expired(sim, minutes):
    answer = ask(sim, INSTANCES, minutes=minutes)
    assert verdict(answer) == (400, "RequestExpired")


def test_a_request_without_a_signature_is_refused(sim):
    host = "ec2.us-east-1.localhost"
    answer = exchange(sim, host, head_of("GET", "/", {"host": host}))
    assert verdict(answer) == (400, "MissingAuthenticationToken")


def test_a_region_that_is_not_enabled_refuses_good_keys(sim):
    assert verdict(ask(sim, INSTANCES, at="xx-off-1")) == REFUSED


# --- parameters ---------------------------------------------------------------

STRICT = {
    "action": ({**INSTANCES, "Action": "Nope"}, "InvalidAction"),
    "no-action": (VERSION, "MissingAction"),
    "version": ({**INSTANCES, "Version": "2014-01-01"}, "NoSuchVersion"),
    "parameter": ({**INSTANCES, "Bar": "1"}, "UnknownParameter"),
    "letter-case": ({**VERSION, "Action": "DescribeInstances",
                     "maxResults": "20"}, "UnknownParameter"),
    "too-few": ({**INSTANCES, "MaxResults": "4"}, "InvalidParameterValue"),
    "too-many": ({**INSTANCES, "MaxResults": "1001"}, "InvalidParameterValue"),
    "token": ({**INSTANCES, "NextToken": "abc"}, "InvalidPaginationToken"),
    "filter": ({**INSTANCES, **filters(("nope", ["1"]))},
               "InvalidParameterValue"),
    "filter-0": ({**INSTANCES, "Filter.0.Name": "tag-key"},
                 "UnknownParameter"),
    "201-values": ({**INSTANCES, **filters(("instance-id", ["i-1"] * 201))},
                   "FilterLimitExceeded"),
    "51-filters": ({**INSTANCES, **filters(*[("tag-key", ["*"])] * 51)},
                   "FilterLimitExceeded"),
    "id-and-max": ({**INSTANCES, "InstanceId.1": "i-1"},
                   "InvalidParameterCombination"),
    "unknown-region": ({**REGIONS, "RegionName.1": "nope-1"},
                       "InvalidParameterValue"),
    "half-encoded": ("Action=%4", "MalformedQueryString"),
}


@pytest.mark.parametrize("case", STRICT)
def test_a_bad_parameter_is_an_error(sim, case):
    params, code = STRICT[case]
    assert verdict(ask(sim, params)) == (400, code)


def test_limits_themselves_are_allowed(sim):
    for pairs in [("instance-id", ["i-1"] * 200)], [("tag-key", ["*"])] * 50:
        assert verdict(ask(sim, {**INSTANCES, **filters(*pairs)})) == FINE


def test_describe_regions_lists_what_is_enabled(sim):
    for more, names in [
        ({}, ["us-east-1", "eu-west-1"]),
        ({"AllRegions": "true"}, ["us-east-1", "eu-west-1", "xx-off-1"]),
        ({"RegionName.1": "eu-west-1"}, ["eu-west-1"]),
    ]:
        found, _ = listing(sim, {**REGIONS, **more},
                           "<regionName>(.*?)</regionName>")
        assert found == names


# --- pages --------------------------------------------------------------------

INSTANCE = "<item><instanceId>(.*?)</instanceId>"
GROUP = "<ownerId>[0-9]*</ownerId><groupId>(.*?)</groupId>"


def test_pages_hold_every_item_once(sim):
    for params, item, n in (INSTANCES, INSTANCE, 60), (GROUPS, GROUP, 300):
        found, pages = listing(sim, params, item)
        assert (len(found), len(set(found)), pages) == (n, n, n // 20)


def without(tag, text):
    return re.sub(f"<{tag}>[^<]*</{tag}>", "", text, count=1)


def test_an_answer_has_its_own_request_id(sim):
    answers = [ask(sim, INSTANCES)[2] for _ in range(3)]
    ids = {re.search("<requestId>([^<]+)<", text).group(1) for text in answers}
    assert len(ids) == 3
    assert len({without("requestId", text) for text in answers}) == 1


@pytest.mark.parametrize("zipped", [[], ["--no-gzip"]])
def test_restless_answers_differ(zipped):
    with harness.Sim("--restless", "--token", TOKEN, *zipped) as sim:
        answers = [without("requestId", ask(sim, INSTANCES)[2])
                   for _ in range(2)]
    assert answers[0] != answers[1]
    assert len({without("revision", text) for text in answers}) == 1
    assert "revision" not in without("revision", answers[0])


def test_a_token_belongs_to_its_listing(sim):
    token = {"NextToken": next_token(ask(sim, INSTANCES))}
    bad = (400, "InvalidPaginationToken")
    assert verdict(ask(sim, {**INSTANCES, **token})) == FINE
    assert verdict(ask(sim, {**INSTANCES, **token}, at="eu-west-1")) == bad
    narrow = filters(("tag-key", ["Name"]))
    assert verdict(ask(sim, {**INSTANCES, **token, **narrow})) == bad


def groups_of_interfaces(sim):
    """Instance id -> ids of all groups of all its interfaces."""
    found, token = {}, None
    ns = {"": "http://ec2.amazonaws.com/doc/2016-11-15/"}
    path = "networkInterfaceSet/item/groupSet/item/groupId"
    while not found or token:
        more = {"NextToken": token} if token else {}
        answer = ask(sim, {**INSTANCES, **more})
        root = xml.etree.ElementTree.fromstring(answer[2])
        for item in root.iterfind("reservationSet/item/instancesSet/item", ns):
            name = item.find("instanceId", ns).text
            found[name] = {g.text for g in item.iterfind(path, ns)}
        token = next_token(answer)
    return found


def test_a_filter_by_group_looks_at_all_interfaces(sim):
    groups, _ = listing(sim, GROUPS, GROUP)
    attached = groups_of_interfaces(sim)
    for some in groups[:200], groups[200:]:
        narrow = filters(("network-interface.group-id", some))
        found, _ = listing(sim, {**INSTANCES, **narrow}, INSTANCE)
        assert set(found) == {i for i in attached if attached[i] & set(some)}


def test_filters_must_all_match(sim):
    both = filters(("instance-state-name", ["sto??ed", "run*"]),
                   ("availability-zone", ["us-east-1?"]))
    found, _ = listing(sim, {**INSTANCES, **both},
                       "<instanceState><code>[0-9]*</code><name>(.*?)</name>")
    assert set(found) == {"running", "stopped"}


def test_a_late_filter_leaves_gaps_in_the_pages():
    found = {}
    narrow = filters(("instance-id", ["i-*3", "i-*a"]))
    for late in [], ["--late-filter"]:
        with harness.Sim("--instances", "60", "--page", "20", "--token", TOKEN,
                         "--regions", "us-east-1", *late) as sim:
            found[bool(late)] = listing(sim, {**INSTANCES, **narrow}, INSTANCE)
    assert found[False][0] == found[True][0]
    assert all(i[-1] in "3a" for i in found[True][0])
    assert (found[False][1], found[True][1]) == (1, 3)


# --- faults -------------------------------------------------------------------

FAULTS = {
    "denied": (403, "UnauthorizedOperation"),
    "auth-failure": REFUSED,
    "opt-in": (403, "OptInRequired"),
    "expired": (400, "RequestExpired"),
    "throttle": (503, "RequestLimitExceeded"),
    "internal": (500, "InternalError"),
    "error:502": (502, ""),
    "error-empty:504": (504, ""),
    "html200": FINE,
    "empty200": FINE,
    "doctype": FINE,
    "redirect": (302, ""),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_stays_in_its_region(sim, rule):
    set_faults(sim, "eu-west-1=" + rule)
    answer = ask(sim, INSTANCES, at="eu-west-1")
    assert verdict(answer) == FAULTS[rule]
    assert "</DescribeInstancesResponse>" not in answer[2] or rule == "doctype"
    good = ask(sim, INSTANCES)
    assert verdict(good) == FINE and "<instanceId>" in good[2]


def test_rules_of_a_region_act_in_order(sim):
    set_faults(sim, "*=throttle:2:150",
               "us-east-1/DescribeInstances=internal:1",
               "us-east-1/DescribeRegions=denied")
    answers = [ask(sim, INSTANCES) for _ in range(4)]
    assert [a[0] for a in answers] == [503, 503, 500, 200]
    assert answers[0][1]["x-amz-retry-after"] == "150"
    assert ask(sim, REGIONS)[0] == 403
    control(sim, "POST", "/_sim/reset")
    assert ask(sim, INSTANCES)[0] == 503


def test_a_skewed_clock_judges_and_dates(sim):
    set_faults(sim, "us-east-1=clock-skew:3600")
    answer = ask(sim, INSTANCES)
    assert verdict(answer) == (400, "RequestExpired")
    date = email.utils.parsedate_to_datetime(answer[1]["date"])
    now = datetime.datetime.now(datetime.timezone.utc)
    assert abs((date - now).total_seconds() - 3600) < 60
    assert verdict(ask(sim, INSTANCES, minutes=60)) == FINE


def test_no_date_leaves_the_header_out(sim):
    assert ask(sim, INSTANCES)[1]["date"]
    set_faults(sim, "us-east-1=no-date")
    assert ask(sim, INSTANCES)[1]["date"] is None


def test_page_faults_wait_for_their_page(sim):
    set_faults(sim, "us-east-1=truncate-xml:2:1", "us-east-1=expire-token:2",
               "us-east-1=throttle-page:2:1")
    first = ask(sim, INSTANCES)
    second = {**INSTANCES, "NextToken": next_token(first)}
    broken = ask(sim, second)
    assert broken[0] == 200 and re.search("<[^>]*$", broken[2])
    assert verdict(ask(sim, second)) == (400, "InvalidPaginationToken")
    assert verdict(ask(sim, second)) == (503, "RequestLimitExceeded")
    whole = ask(sim, second)
    for answer in first, whole:
        assert answer[2].endswith("</DescribeInstancesResponse>")


def test_repeat_token_gives_one_token(sim):
    set_faults(sim, "us-east-1=repeat-token")
    token = next_token(ask(sim, INSTANCES))
    assert next_token(ask(sim, {**INSTANCES, "NextToken": token})) == token


@pytest.mark.parametrize("rule", ["us-east-1", "us-east-1=nope", "x=error:200",
                                  "x/Nope=denied", "x=denied:1:2"])
def test_a_bad_rule_changes_nothing(sim, rule):
    set_faults(sim, "us-east-1=denied")
    assert control(sim, "POST", "/_sim/faults", rule)[0] == 400
    assert ask(sim, INSTANCES)[0] == 403


def test_statistics_count_requests_and_answers(sim):
    ask(sim, INSTANCES)
    ask(sim, REGIONS, secret="x")
    stats = json.loads(control(sim, "GET", "/_sim/stats")[2])
    region = stats["regions"]["us-east-1"]
    assert region["requests"] == {"DescribeInstances": 1, "DescribeRegions": 1}
    assert region["answers"] == {"200": 1, "401": 1}
    assert region["connections"] == 2
    assert region["handshakes"] == 2
