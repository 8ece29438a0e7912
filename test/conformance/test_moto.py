"""The three questions asked of moto, another implementation of EC2, which
checks signatures and IAM policies; the right answers come from boto3.

moto has no filter network-interface.group-id, so the second listing of the
exposure cannot be judged here: test_signing.py and the simulator see to it."""

import json
import subprocess
import sys

import boto3
import botocore.config
import botocore.exceptions
import pytest

import harness
from judge import Judge, free_port, wait_for_port

REGIONS = ["us-east-1", "eu-west-1", "ap-northeast-1"]
MANY = "eu-west-1"
# moto's pages count reservations, and our requests ask for 1,000.
NRESERVATIONS = 1010
IMAGE = "ami-12c6146b"  # one of those that moto knows
ALL_V4, ALL_V6 = [{"CidrIp": "0.0.0.0/0"}], [{"CidrIpv6": "::/0"}]
RULES = {
    "closed": [("tcp", 22, 22, [{"CidrIp": "10.0.0.0/8"}], [])],
    "half": [("tcp", 22, 22, [{"CidrIp": "0.0.0.0/1"}], [])],
    "ssh": [("tcp", 22, 22, ALL_V4 + [{"CidrIp": "192.0.2.0/24"}], [])],
    "web": [("tcp", 8000, 8080, ALL_V4, ALL_V6), ("tcp", 443, 443, [], ALL_V6),
            ("udp", 443, 443, ALL_V4, [])],
    "any": [("-1", None, None, ALL_V4, ALL_V6)],
    "ping": [("icmp", 8, -1, ALL_V4, []), ("icmpv6", -1, -1, [], ALL_V6)],
}
POLICIES = {
    "admin": ["*"],
    "counter": ["ec2:DescribeRegions", "ec2:DescribeInstances"],
    "nobody": ["s3:ListAllMyBuckets"],
}


def policy(actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": actions, "Resource": "*"}]})


class Moto:
    """A moto server; users[name] has the credentials of each user."""

    # Each user takes three calls, made before moto checks anything.
    NFREE = 3 * len(POLICIES)

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = dict(harness.base_environment(),
                   INITIAL_NO_AUTH_ACTION_COUNT=str(self.NFREE),
                   MOTO_EC2_LOAD_DEFAULT_AMIS="false")  # a second a region
        self.process = harness.start(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1",
             "-p", str(self.port)], env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)
        self.users = {"anybody": ("AKIAIOSFODNN7EXAMPLE", "anything", None)}
        for name, actions in POLICIES.items():
            self._make_user(name, actions)
        self._make_session()

    def client(self, service, region, user):
        key_id, secret, token = self.users[user]
        return boto3.session.Session().client(
            service, region_name=region, endpoint_url=self.url,
            aws_access_key_id=key_id, aws_secret_access_key=secret,
            aws_session_token=token,
            config=botocore.config.Config(proxies={}))

    def _make_user(self, name, actions):
        iam = self.client("iam", "us-east-1", "anybody")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        iam.put_user_policy(UserName=name, PolicyName="p",
                            PolicyDocument=policy(actions))
        self.users[name] = (key["AccessKeyId"], key["SecretAccessKey"], None)

    def _make_session(self):
        """Temporary credentials, with a session token, of a role."""
        iam = self.client("iam", "us-east-1", "admin")
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole",
             "Principal": {"AWS": "*"}}]}
        role = iam.create_role(RoleName="sweep",
                               AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName="sweep", PolicyName="p",
                            PolicyDocument=policy(["ec2:Describe*"]))
        got = self.client("sts", "us-east-1", "admin").assume_role(
            RoleArn=role["Role"]["Arn"], RoleSessionName="sweep")["Credentials"]
        self.users["session"] = (got["AccessKeyId"], got["SecretAccessKey"],
                                 got["SessionToken"])

    def env(self, user="admin", **more):
        key_id, secret, token = self.users[user]
        return harness.environment(AWS_ENDPOINT_URL_EC2=self.url,
                                   AWS_ACCESS_KEY_ID=key_id,
                                   AWS_SECRET_ACCESS_KEY=secret,
                                   AWS_SESSION_TOKEN=token,
                                   INIT_BUDGET_MS="9000",  # moto is slow at
                                   REGION_TIMEOUT_MS="60000",  # first
                                   **more)


def make_groups(ec2):
    """One group of each kind in the default VPC, and "ssh" in another too."""
    default = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    groups = {}
    for name, vpc in [*((n, default) for n in RULES), ("ssh", other)]:
        made = ec2.create_security_group(GroupName=name, Description="d",
                                         VpcId=vpc)["GroupId"]
        groups[name if vpc == default else name + "-other"] = made
        permissions = []
        for protocol, low, high, v4, v6 in RULES[name]:
            one = {"IpProtocol": protocol, "IpRanges": v4, "Ipv6Ranges": v6}
            if low is not None:
                one.update(FromPort=low, ToPort=high)
            permissions.append(one)
        ec2.authorize_security_group_ingress(GroupId=made,
                                             IpPermissions=permissions)
    return groups, other


def run(ec2, n=1, tags=None, **options):
    if tags is not None:
        options["TagSpecifications"] = [
            {"ResourceType": "instance",
             "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]
    made = ec2.run_instances(ImageId=IMAGE, MinCount=n, MaxCount=n, **options)
    return [i["InstanceId"] for i in made["Instances"]]


def make_fleet(ec2, few):
    groups, other = make_groups(ec2)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    run(ec2, few, {"Name": "web & <mail> ü", "Owner": "me"})
    run(ec2, 2, {"name": "lower", "OWNER": ""}, SecurityGroupIds=[groups["ssh"]])
    run(ec2, 2, {"NAME": "upper", "Name": "exact", "oWnEr": "x"},
        SecurityGroupIds=[groups["web"], groups["ssh"], groups["closed"]])
    run(ec2, 1, {"Owners": "no"}, SecurityGroupIds=[groups["half"]])
    run(ec2, 1, SecurityGroupIds=[groups["any"], groups["ping"]])
    stopped = run(ec2, 2, SecurityGroupIds=[groups["ping"]])
    gone = run(ec2, 1, {"Name": "gone"}, SecurityGroupIds=[groups["any"]])
    ec2.stop_instances(InstanceIds=stopped)
    ec2.terminate_instances(InstanceIds=gone)
    # Open through the second interface alone.
    run(ec2, 1, {"Name": "two interfaces"}, NetworkInterfaces=[
        {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [groups["closed"]]},
        {"DeviceIndex": 1, "SubnetId": subnet, "Groups": [groups["web"]]}])
    apart = ec2.create_subnet(VpcId=other, CidrBlock="10.9.1.0/24")
    run(ec2, 1, {"Owner": "x"}, SubnetId=apart["Subnet"]["SubnetId"],
        SecurityGroupIds=[groups["ssh-other"]])


@pytest.fixture(scope="module")
def moto():
    made = Moto()
    try:
        for i, region in enumerate(REGIONS):
            make_fleet(made.client("ec2", region, "admin"), i + 1)
        ec2 = made.client("ec2", MANY, "admin")
        before = len(reservations(ec2))
        for _ in range(before, NRESERVATIONS):
            run(ec2)
        yield made
    finally:
        harness.stop(made.process)


@pytest.fixture(scope="module")
def judge(moto):
    return Judge(moto.env())


def reservations(ec2):
    pages = ec2.get_paginator("describe_instances").paginate()
    return [r for page in pages for r in page["Reservations"]]


def test_moto__has_a_fleet_with_something_to_find(moto, judge):
    """Guards the other tests against comparing nothing with nothing."""
    first = moto.client("ec2", MANY, "admin").describe_instances(MaxResults=1000)
    assert first.get("NextToken"), "one page only"
    count = judge.answer("count", REGIONS)
    assert all(e["totalInstances"] > e["runningInstances"] > 0 for e in count)
    owners = judge.answer("owner", REGIONS)
    assert {e["instanceName"] for e in owners} >= {"lower", "", "two interfaces"}
    assert {e["state"] for e in owners} >= {"running", "stopped", "terminated"}
    found = judge.answer("exposure", REGIONS)
    assert "two interfaces" in {e["instanceName"] for e in found}
    permissions = [p for e in found for p in e["permissions"]]
    assert {p["cidr"] for p in permissions} == {"0.0.0.0/0", "::/0"}
    assert {p["ports"] for p in permissions} == {
        "22", "443", "8000-8080", "all traffic", "ICMP type 8", "all ICMPv6"}
    # Two groups of one name, in two VPCs.
    assert len({p["groupId"] for p in permissions
                if p["allowFrom"] == "ssh"}) == 2 * len(REGIONS)


@pytest.mark.parametrize("user", ["admin", "session"])
@pytest.mark.parametrize("question", ["count", "owner", "exposure"])
def test_answer__equals_that_of_boto3(moto, judge, question, user):
    reply = harness.run_event(harness.event(question, ",".join(REGIONS)),
                              env=moto.env(user))
    assert reply.status == 200
    assert reply.body == judge.answer(question, REGIONS)


def test_answer__for_all_has_every_enabled_region(moto, judge):
    reply = harness.run_event(harness.event("count", "all"), env=moto.env())
    every = moto.client("ec2", "us-east-1", "admin").describe_regions()["Regions"]
    enabled = sorted(r["RegionName"] for r in every
                     if r["OptInStatus"] != "not-opted-in")
    assert set(REGIONS) < set(enabled)
    assert [e["region"] for e in reply.body] == enabled
    # moto lists the regions of other partitions, but this user is not theirs.
    foreign = [r for r in enabled if r.startswith(("cn-", "us-gov-"))]
    assert [e for e in reply.body if "error" in e] == [
        {"region": r, "error": "AuthFailure: region is not enabled in this "
                               "account"} for r in foreign]
    assert [e for e in reply.body if e.get("totalInstances")] == \
        judge.answer("count", sorted(REGIONS))


def all_errors(reply):
    assert reply.status == 502
    assert [e["region"] for e in reply.body] == REGIONS
    errors = {e["error"] for e in reply.body}
    assert len(errors) == 1
    return errors.pop()


@pytest.mark.parametrize("change", [
    {"AWS_SECRET_ACCESS_KEY": "wrong"},
    {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPL0"},
], ids=["wrong-secret", "unknown-key"])
def test_answer__names_a_refused_signature(moto, change):
    reply = harness.run_event(harness.event("count", ",".join(REGIONS)),
                              env=moto.env() | change)
    assert all_errors(reply) == "AuthFailure: credentials were not accepted"


def test_answer__names_a_wrong_session_token(moto):
    reply = harness.run_event(harness.event("count", ",".join(REGIONS)),
                              env=moto.env("session") | {
                                  "AWS_SESSION_TOKEN": "wrong"})
    assert all_errors(reply).endswith("credentials were not accepted")


def refusal(moto, user, operation):
    """Our sentence, with the code that boto3 gets."""
    ec2 = moto.client("ec2", REGIONS[0], user)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        getattr(ec2, operation)()
    code = refused.value.response["Error"]["Code"]
    return f"{code}: access denied, possibly by a service control policy"


def test_answer__names_a_missing_permission(moto):
    reply = harness.run_event(harness.event("owner", ",".join(REGIONS)),
                              env=moto.env("nobody"))
    assert all_errors(reply) == refusal(moto, "nobody", "describe_instances")


def test_answer__needs_only_the_permissions_of_its_question(moto, judge):
    env = moto.env("counter")
    counted = harness.run_event(harness.event("count", ",".join(REGIONS)),
                                env=env)
    assert counted.body == judge.answer("count", REGIONS)
    exposed = harness.run_event(harness.event("exposure", ",".join(REGIONS)),
                                env=env)
    assert all_errors(exposed) == refusal(moto, "counter",
                                          "describe_security_groups")
