"""Requests of the program, recorded by a small HTTP server, held against
botocore: its signature of the same bytes, and the body that it would send."""

import datetime
import http.server
import json
import random
import string
import subprocess
import threading
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import pytest

import harness

REGIONS = ["us-east-1", "ap-southeast-3", "us-gov-west-1", "cn-north-1",
           "eusc-de-east-1"]
XMLNS = 'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'
# Written by hand after the EC2 API reference: one group, open, and one
# instance in it, on two pages.
ANSWERS = {
    "DescribeRegions": f"""<DescribeRegionsResponse {XMLNS}>
 <requestId>r-1</requestId><regionInfo><item>
  <regionName>us-east-1</regionName><optInStatus>opt-in-not-required</optInStatus>
 </item></regionInfo></DescribeRegionsResponse>""",
    "DescribeSecurityGroups": f"""<DescribeSecurityGroupsResponse {XMLNS}>
 <requestId>r-2</requestId><securityGroupInfo><item>
  <groupId>sg-0a</groupId><groupName>web &amp; mail</groupName><ipPermissions>
  <item><ipProtocol>tcp</ipProtocol><fromPort>25</fromPort><toPort>25</toPort>
   <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>
  </ipPermissions></item></securityGroupInfo></DescribeSecurityGroupsResponse>""",
    "DescribeInstances": f"""<DescribeInstancesResponse {XMLNS}>
 <requestId>r-3</requestId><reservationSet><item><instancesSet><item>
  <instanceId>i-0a</instanceId><instanceState><name>running</name></instanceState>
  <groupSet><item><groupId>sg-0a</groupId></item></groupSet>
  </item></instancesSet></item></reservationSet>
 <nextToken>eyJ2IjoiMiIs/+=&amp;~ ü</nextToken></DescribeInstancesResponse>""",
    "DescribeInstances, next": f"""<DescribeInstancesResponse {XMLNS}>
 <requestId>r-4</requestId><reservationSet/></DescribeInstancesResponse>""",
}
THROTTLED = """<Response><Errors><Error><Code>RequestLimitExceeded</Code>
 <Message>m</Message></Error></Errors><RequestID>r-5</RequestID></Response>"""
TOKEN_OF_PAGE = "eyJ2IjoiMiIs/+=&~ ü"


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        self.server.seen.append((self.path, self.headers.items(), body, form))
        region = self.headers["Authorization"].split("/")[2]
        action = form["Action"]
        if action == "DescribeSecurityGroups" and self.server.holds(region):
            self.reply(503, THROTTLED, {"x-amz-retry-after": "100"})
            return
        if "NextToken" in form:
            action += ", next"
        self.reply(200, ANSWERS[action], {})
        if action == "DescribeInstances":
            self.server.listed(region)

    def reply(self, status, text, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class Server(http.server.ThreadingHTTPServer):
    """Records what comes. When told to, it throttles each region's groups
    until that region's instances are on their way: then the instances are read
    before the groups are known, whatever the speed of this machine."""

    def begin(self, groups_last):
        self.seen = []
        self._listed = {}
        self._throttled = set()
        self._groups_last = groups_last

    def _event(self, region):
        return self._listed.setdefault(region, threading.Event())

    def listed(self, region):
        self._event(region).set()

    def holds(self, region):
        if not self._groups_last or region in self._throttled:
            return False
        self._throttled.add(region)
        assert self._event(region).wait(harness.TIMEOUT_S)
        return True


@pytest.fixture(scope="module")
def server():
    made = Server(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=made.serve_forever,
                              kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def endpoint(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def record(server, question, token=None, **more):
    """What the program sends for a question. It may keep no candidates, so
    the instances are asked for a second time, with a filter."""
    server.begin(groups_last=True)
    env = harness.environment(AWS_ENDPOINT_URL_EC2=endpoint(server),
                              AWS_SESSION_TOKEN=token, EXPOSURE_PENDING_MAX="0",
                              **more)
    reply = harness.run_event(harness.event(question), env=env)
    assert reply.status == 200, reply.raw
    assert not [e for e in reply.body if "error" in e], reply.body
    return list(server.seen)


def authorization_by_botocore(server, region, token, seen):
    """The Authorization header for the recorded bytes."""
    path, headers, body, _ = seen
    sent = {name.lower(): value for name, value in headers}
    names = ["content-type", "x-amz-date"] + ["x-amz-security-token"] * bool(token)
    request = botocore.awsrequest.AWSRequest(
        method="POST", url=endpoint(server) + path, data=body,
        headers={name: sent[name] for name in names})
    request.context["timestamp"] = sent["x-amz-date"]
    signer = botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(harness.KEY_ID, harness.SECRET, token),
        "ec2", region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return (f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
            f"SignedHeaders={signed}, "
            f"Signature={signer.signature(to_sign, request)}")


@pytest.mark.parametrize("token", [None, harness.TOKEN, "t" * 3000],
                         ids=["no-token", "token", "long-token"])
def test_authorization__equals_botocores_for_the_same_bytes(server, token):
    checked = set()
    for one in record(server, "exposure", token, REGIONS=",".join(REGIONS)):
        sent = {name.lower(): value for name, value in one[1]}
        region = sent["authorization"].split("/")[2]
        assert sent.get("x-amz-security-token") == token
        assert sent["authorization"] == authorization_by_botocore(
            server, region, token, one)
        checked.add((region, one[3]["Action"], "NextToken" in one[3],
                     "Filter.1.Name" in one[3]))
    assert {c[0] for c in checked} == set(REGIONS)
    assert {c[1:] for c in checked} == {
        ("DescribeSecurityGroups", False, False),
        ("DescribeInstances", False, False),
        ("DescribeInstances", False, True), ("DescribeInstances", True, True)}


NCASES = 1_000
SIGNER = harness.BUILD / "sign"


def random_signing(rng):
    """(timestamp, region, secret, token, body)"""
    words = string.ascii_letters + string.digits + "/+="
    date = datetime.datetime.fromtimestamp(rng.randrange(1 << 32),
                                           datetime.timezone.utc)
    return (date.strftime("%Y%m%dT%H%M%SZ"),
            "-".join([rng.choice(["us", "eu", "ap", "us-gov", "cn", "eusc-de"]),
                      rng.choice(["east", "west", "north", "southeast"]),
                      str(rng.randrange(1, 20))]),
            "".join(rng.choices(words, k=rng.choice([1, 16, 40, 64, 128]))),
            "".join(rng.choices(words, k=rng.choice([0, 0, 1, 300, 3000]))),
            rng.randbytes(rng.choice([0, 1, 55, 64, 1000, 8000])))


def signed_by_botocore(timestamp, region, secret, token, body):
    headers = {"content-type": "application/x-www-form-urlencoded; "
                               "charset=utf-8", "x-amz-date": timestamp}
    if token:
        headers["x-amz-security-token"] = token
    request = botocore.awsrequest.AWSRequest(
        method="POST", url=f"https://ec2.{region}.amazonaws.com/", data=body,
        headers=headers)
    request.context["timestamp"] = timestamp
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(
        harness.KEY_ID, secret, token or None), "ec2", region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return (f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
            f"SignedHeaders={signed}, "
            f"Signature={signer.signature(to_sign, request)}")


def test_sigv4_sign__equals_botocore_in_random_cases():
    rng = random.Random(20300102)
    cases = [random_signing(rng) for _ in range(NCASES)]
    stdin = b"".join("\n".join([*case[:4], str(len(case[4])), ""]).encode()
                     + case[4] + b"\n" for case in cases)
    done = subprocess.run([SIGNER], input=stdin, capture_output=True,
                          timeout=60, check=True)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == NCASES
    for case, line in zip(cases, lines):
        assert line == signed_by_botocore(*case), case


def sent_by_botocore(server, operation, **parameters):
    """Path, body and content type of boto3's request."""
    server.begin(groups_last=False)
    client = boto3.session.Session().client(
        "ec2", region_name="us-east-1", endpoint_url=endpoint(server),
        aws_access_key_id=harness.KEY_ID,
        aws_secret_access_key=harness.SECRET,
        config=botocore.config.Config(proxies={}))
    getattr(client, operation)(**parameters)
    (path, headers, _, form), = server.seen
    kind = {n.lower(): v for n, v in headers}["content-type"]
    return path, form, kind


def test_requests__are_those_of_botocore(server):
    theirs = [
        sent_by_botocore(server, "describe_regions"),
        sent_by_botocore(server, "describe_security_groups", MaxResults=1000),
        sent_by_botocore(server, "describe_instances", MaxResults=1000),
    ]
    # The groups of interfaces, then those of instances that have none.
    for name in ("network-interface.group-id", "instance.group-id"):
        named = {"Filters": [{"Name": name, "Values": ["sg-0a"]}],
                 "MaxResults": 1000}
        theirs.append(sent_by_botocore(server, "describe_instances", **named))
        theirs.append(sent_by_botocore(server, "describe_instances", **named,
                                       NextToken=TOKEN_OF_PAGE))
    ours = []
    for path, headers, _, form in record(server, "exposure"):
        kind = {n.lower(): v for n, v in headers}["content-type"]
        ours.append((path, form, kind))
    again = next(r for r in ours if r[1]["Action"] == "DescribeSecurityGroups")
    ours.remove(again)  # it was throttled once

    def by_text(requests):
        return sorted(json.dumps(r, sort_keys=True) for r in requests)

    assert by_text(ours) == by_text(theirs)
