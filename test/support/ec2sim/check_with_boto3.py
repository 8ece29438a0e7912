#!/usr/bin/env python3
"""Answers the three questions with boto3 and compares.

A second opinion that shares nothing with the program or the simulator: boto3
signs, pages and parses; the answers are computed here from what it returns.
Each FILE holds a JSON array as `ec2sim --print-answers QUESTION` prints it or
as the program's body has it. Differences are printed, and the exit status is
1 if there is any.

    check_with_boto3.py --endpoint 'https://ec2.{region}.localhost:8443' \\
        --ca DIR/ca.pem --regions eu-west-1,us-east-1 \\
        --answer count=count.json --answer owner=owner.json

Without --answer it prints the answer to --question. Credentials come from
AWS_ACCESS_KEY_ID and its like; where they are not set, the simulator's
defaults are used. Needs boto3 from PyPI.
"""

import argparse
import concurrent.futures
import json
import os
import socket
import sys
import unicodedata

import boto3
import botocore.config

ANYWHERE = ("0.0.0.0/0", "::/0")
MAX_SHOWN = 20


def resolve_localhost():
    """Lets every name below localhost mean loopback, as curl does."""
    resolve = socket.getaddrinfo

    def patched(host, *args, **kwargs):
        if isinstance(host, str) and host.endswith(".localhost"):
            host = "127.0.0.1"
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = patched


class Account:
    """What boto3 sees of one account, each region listed once."""

    def __init__(self, endpoint, ca, page_size):
        self.endpoint = endpoint
        self.ca = ca
        self.page_size = page_size
        self.instances = {}
        self.groups = {}

    def client(self, region):
        return boto3.session.Session().client(
            "ec2",
            region_name=region,
            endpoint_url=self.endpoint.replace("{region}", region),
            verify=self.ca or True,
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "TESTKEY"),
            aws_secret_access_key=os.environ.get(
                "AWS_SECRET_ACCESS_KEY", "not-a-real-secret"
            ),
            aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
            config=botocore.config.Config(proxies={}),
        )

    def regions(self, home):
        answer = self.client(home).describe_regions()
        return sorted(r["RegionName"] for r in answer["Regions"])

    def _all(self, client, operation, key):
        pages = client.get_paginator(operation).paginate(
            PaginationConfig={"PageSize": self.page_size}
        )
        return [item for page in pages for item in page.get(key, [])]

    def load(self, region):
        client = self.client(region)
        reservations = self._all(client, "describe_instances", "Reservations")
        self.instances[region] = sorted(
            (i for r in reservations for i in r["Instances"]),
            key=lambda i: i["InstanceId"],
        )
        self.groups[region] = {
            g["GroupId"]: g
            for g in self._all(
                client, "describe_security_groups", "SecurityGroups"
            )
        }


def lower(text):
    """ASCII letters alone, unlike str.lower()."""
    return text.encode().lower().decode()


def name_of(instance):
    tags = instance.get("Tags", [])
    exact = [t["Value"] for t in tags if t["Key"] == "Name"]
    other = [t["Value"] for t in tags if lower(t["Key"]) == "name"]
    return told((exact + other + [""])[0])


def told(name):
    """Free text as an answer tells it: what is seen of it, in 128 characters.
    """
    seen = "".join(c for c in name if unicodedata.category(c)
                   not in ("Cc", "Cf", "Zl", "Zp")
                   and not 0xFE00 <= ord(c) <= 0xFE0F)
    return seen if len(seen) <= 128 else seen[:127] + "\u2026"


def addresses_of(instance):
    """The public IPv4 and the IPv6 address: the instance's own, else the first
    of an interface."""
    nics = instance.get("NetworkInterfaces", [])
    public = [instance.get("PublicIpAddress")]
    ipv6 = [instance.get("Ipv6Address")]
    for nic in nics:
        ipv6 += [a["Ipv6Address"] for a in nic.get("Ipv6Addresses", [])]
        for where in [nic, *nic.get("PrivateIpAddresses", [])]:
            public.append(where.get("Association", {}).get("PublicIp"))
    return {"publicIp": next(filter(None, public), ""),
            "ipv6": next(filter(None, ipv6), "")}


def finding(region, instance):
    return {
        "region": region,
        "instanceId": instance["InstanceId"],
        "instanceName": name_of(instance),
        "state": instance["State"]["Name"],
    }


def count(account, region):
    states = [i["State"]["Name"] for i in account.instances[region]]
    return [
        {
            "region": region,
            "totalInstances": len(states),
            "runningInstances": states.count("running"),
        }
    ]


def owner(account, region):
    return [
        finding(region, i)
        for i in account.instances[region]
        if not any(
            lower(t["Key"]) == "owner" and t["Value"]
            for t in i.get("Tags", [])
        )
    ]


def words(protocol, low, high):
    """The ports in plain words."""
    if protocol == "-1":
        return "all traffic"
    if protocol in ("icmp", "icmpv6"):
        name = {"icmp": "ICMP", "icmpv6": "ICMPv6"}[protocol]
        if low == -1:
            return "all " + name
        code = "" if high == -1 else f" code {high}"
        return f"{name} type {low}{code}"
    if protocol not in ("tcp", "udp"):
        return "all of protocol " + protocol
    if (low, high) == (0, 65535):
        return "all ports"
    return str(low) if low == high else f"{low}-{high}"


def open_permissions(group):
    for p in group.get("IpPermissions", []):
        cidrs = [r["CidrIp"] for r in p.get("IpRanges", [])]
        cidrs += [r["CidrIpv6"] for r in p.get("Ipv6Ranges", [])]
        low, high = p.get("FromPort", 0), p.get("ToPort", 0)
        for cidr in cidrs:
            if cidr in ANYWHERE:
                yield {
                    "ipProtocol": p["IpProtocol"],
                    "fromPort": low,
                    "toPort": high,
                    "allowFrom": told(group["GroupName"]),
                    "groupId": group["GroupId"],
                    "cidr": cidr,
                    "ports": words(p["IpProtocol"], low, high),
                }


def exposure(account, region):
    order = ("groupId", "ipProtocol", "fromPort", "toPort", "cidr")
    found = []
    for instance in account.instances[region]:
        ids = {g["GroupId"] for g in instance.get("SecurityGroups", [])}
        for nic in instance.get("NetworkInterfaces", []):
            ids |= {g["GroupId"] for g in nic.get("Groups", [])}
        unique = {
            tuple(p[k] for k in order): p
            for i in ids
            for p in open_permissions(account.groups[region].get(i, {}))
        }
        if unique:
            row = finding(region, instance) | addresses_of(instance)
            row["permissions"] = [unique[k] for k in sorted(unique)]
            found.append(row)
    return found


QUESTIONS = {"count": count, "owner": owner, "exposure": exposure}


def answer(account, question, regions):
    return [row for r in regions for row in QUESTIONS[question](account, r)]


def report(question, ours, theirs):
    """Prints how they differ; the number of differences."""
    differ = 0
    for at in range(max(len(ours), len(theirs))):
        here = ours[at] if at < len(ours) else None
        there = theirs[at] if at < len(theirs) else None
        if here != there:
            differ += 1
            if differ <= MAX_SHOWN:
                print(f"{question}[{at}]:")
                print("  boto3:", json.dumps(here, sort_keys=True))
                print("  given:", json.dumps(there, sort_keys=True))
    print(f"{question}: {len(ours)} elements, {differ} differences")
    return differ


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--endpoint", required=True, metavar="URL")
    parser.add_argument("--ca", metavar="FILE")
    parser.add_argument("--regions", metavar="A,B,…", help="default: all")
    parser.add_argument("--home", default="us-east-1", metavar="REGION")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--question", choices=QUESTIONS, default="count")
    parser.add_argument(
        "--answer", action="append", default=[], metavar="QUESTION=FILE"
    )
    return parser.parse_args()


def main():
    args = parse_arguments()
    resolve_localhost()
    account = Account(args.endpoint, args.ca, args.page_size)
    regions = (
        args.regions.split(",") if args.regions else account.regions(args.home)
    )
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(account.load, regions))
    if not args.answer:
        print(json.dumps(answer(account, args.question, regions)))
        return 0
    differ = 0
    for pair in args.answer:
        question, _, path = pair.partition("=")
        with open(path, encoding="utf-8") as file:
            given = json.load(file)
        differ += report(question, answer(account, question, regions), given)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
