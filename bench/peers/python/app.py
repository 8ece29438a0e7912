"""The three questions in tuned Python: a thread for each region, pages of 1,000,
all boto3 clients and DescribeRegions in INIT. Without ::/0."""
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Lock

import boto3
from botocore.config import Config

CONFIG = Config(retries={"mode": "standard", "max_attempts": 10}, max_pool_connections=4)
PAGES = {"PageSize": 1000}
session = boto3.Session()
pool = ThreadPoolExecutor(34)
clients, lock = {}, Lock()


def client(region):
    with lock:  # creating clients is not thread-safe
        if region not in clients:
            clients[region] = session.client("ec2", region_name=region, config=CONFIG)
        return clients[region]


# In init, where the CPU is whole: the regions, and a client for each.
REGIONS = [r["RegionName"] for r in client(session.region_name).describe_regions()["Regions"]]
for r in REGIONS:
    client(r)


def tag(key, tags):
    return next((t["Value"] for t in tags or () if t["Key"].lower() == key), "")


def instances(region, filters=()):
    for page in client(region).get_paginator("describe_instances").paginate(Filters=list(filters), PaginationConfig=PAGES):
        for r in page["Reservations"]:
            yield from r["Instances"]


def count(region):
    total = running = 0
    for i in instances(region):
        total += 1
        running += i["State"]["Name"] == "running"
    return [{"region": region, "totalInstances": total, "runningInstances": running}]


def without_owner(region):
    return [{"region": region, "instanceId": i["InstanceId"], "instanceName": tag("name", i.get("Tags")),
             "state": i["State"]["Name"]} for i in instances(region) if not tag("owner", i.get("Tags"))]


def open_groups(region):
    groups = {}
    pages = client(region).get_paginator("describe_security_groups").paginate(
        Filters=[{"Name": "ip-permission.cidr", "Values": ["0.0.0.0/0"]}], PaginationConfig=PAGES)
    for page in pages:
        for g in page["SecurityGroups"]:
            groups[g["GroupId"]] = [
                {"ipProtocol": p["IpProtocol"], "fromPort": p.get("FromPort", 0), "toPort": p.get("ToPort", 0),
                 "allowFrom": g["GroupName"]}
                for p in g["IpPermissions"] for r in p["IpRanges"] if r["CidrIp"] == "0.0.0.0/0"]
    return groups


def open_permission(region):
    groups = open_groups(region)
    ids, found = sorted(groups), {}
    for k in range(0, len(ids), 200):
        for i in instances(region, [{"Name": "instance.group-id", "Values": ids[k:k + 200]}]):
            found[i["InstanceId"]] = {
                "region": region, "instanceId": i["InstanceId"], "instanceName": tag("name", i.get("Tags")),
                "state": i["State"]["Name"],
                "permissions": [p for g in i["SecurityGroups"] for p in groups.get(g["GroupId"], ())]}
    return list(found.values())


PATHS = {"/count/{regions}": count, "/check-without-owner/{regions}": without_owner,
         "/check-open-permission/{regions}": open_permission}


def handler(event, context):
    regions = next((p["value"] for p in event.get("parameters", ()) if p["name"] == "regions"), "all")
    regions = REGIONS if regions == "all" else regions.split(",")
    body = list(chain.from_iterable(pool.map(PATHS[event["apiPath"]], regions)))
    return {"messageVersion": "1.0", "response": {
        "actionGroup": event.get("actionGroup"), "apiPath": event["apiPath"], "httpMethod": event.get("httpMethod"),
        "httpStatusCode": 200, "responseBody": {"application/json": {"body": body}}}}
