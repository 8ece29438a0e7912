/*
 * stage.h - an AWS client whose clock and EC2 are scripted, and its log.
 *
 * For tests that are linked with fake_http.o. Regions have their ordinary
 * hosts ("ec2.us-east-1.amazonaws.com").
 */
#ifndef SUPPORT_STAGE_H
#define SUPPORT_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "aws/client.h"
#include "support/fake_clock.h"
#include "support/fake_http.h"

/* A region silent for longer is given up. */
#define STAGE_NO_PROGRESS_MS 8000

struct stage {
    struct fake_clock fake;
    struct http *http;
    struct aws_client *client;
    FILE *log;
    char *log_text;
    size_t log_len;
};

/* With credentials loaded and an empty log, from level INFO on, as JSON. */
void stage_init(struct stage *s);
void stage_release(struct stage *s);

/* What the next load of credentials finds. */
void stage_have_credentials(bool there);

/* Queues an answer of one region; its host is filled in. */
void stage_answer(struct stage *s, const char *region,
                  struct fake_answer answer);

/* Requests to a region (NULL: any) with body_has in their body. */
size_t stage_nrequests(const struct stage *s, const char *region,
                       const char *body_has);

/* All that was logged; good until the next line is. */
const char *stage_log(struct stage *s);

/* EC2's XML, shaped by hand after the EC2 API reference's examples. */
#define XML_NS " xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\""
#define XML_TOKEN(token) "<nextToken>" token "</nextToken>"
#define XML_INSTANCES(items)                                                   \
    "<DescribeInstancesResponse" XML_NS "><requestId>r-1</requestId>"          \
    "<reservationSet><item><instancesSet>" items                               \
    "</instancesSet></item></reservationSet></DescribeInstancesResponse>"
#define XML_INSTANCES_PAGE(items, token)                                       \
    "<DescribeInstancesResponse" XML_NS "><requestId>r-1</requestId>"          \
    "<reservationSet><item><instancesSet>" items                               \
    "</instancesSet></item></reservationSet>" XML_TOKEN(                       \
        token) "</DescribeInstancesResponse>"
/* A running instance; refs are XML_GROUP_REF(…). */
#define XML_INSTANCE(id, refs)                                                 \
    "<item><instanceId>" id "</instanceId><instanceState><code>16</code>"      \
    "<name>running</name></instanceState><groupSet>" refs "</groupSet></item>"
#define XML_GROUP_REF(id)                                                      \
    "<item><groupId>" id "</groupId><groupName>n</groupName></item>"
#define XML_GROUPS(items)                                                      \
    "<DescribeSecurityGroupsResponse" XML_NS "><requestId>r-2</requestId>"     \
    "<securityGroupInfo>" items                                                \
    "</securityGroupInfo></DescribeSecurityGroupsResponse>"
/* A group with one ingress rule for SSH. */
#define XML_GROUP(id, cidr)                                                    \
    "<item><groupId>" id "</groupId><groupName>g</groupName><ipPermissions>"   \
    "<item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort>"                \
    "<toPort>22</toPort><ipRanges><item><cidrIp>" cidr                         \
    "</cidrIp></item></ipRanges></item></ipPermissions></item>"
#define XML_REGIONS(items)                                                     \
    "<DescribeRegionsResponse" XML_NS "><requestId>r-3</requestId>"            \
    "<regionInfo>" items "</regionInfo></DescribeRegionsResponse>"
#define XML_REGION(name, opt_in)                                               \
    "<item><regionName>" name "</regionName><regionEndpoint>ec2." name         \
    ".amazonaws.com</regionEndpoint><optInStatus>" opt_in                      \
    "</optInStatus></item>"
#define XML_ERROR(code, message)                                               \
    "<Response><Errors><Error><Code>" code "</Code><Message>" message          \
    "</Message></Error></Errors><RequestID>r-4</RequestID></Response>"

#endif
