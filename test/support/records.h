/*
 * records.h - EC2's records for tests, written as short texts.
 *
 *     instance  "i-1=running|Name=web,Owner=|sg-1 sg-2|t3.micro|own 10.0.0.4"
 *     group     "sg-1=web|tcp 22 22 0.0.0.0/0 ::/0|-1 - - 10.0.0.0/8"
 *
 * Addresses: "own" before those of the instance itself; those with ':' are
 * IPv6, those that begin with "10." private. Bars may be left out from the
 * right. "-" for a port: EC2 gave none. All
 * spans point into the text and none is terminated.
 */
#ifndef SUPPORT_RECORDS_H
#define SUPPORT_RECORDS_H

#include "aws/ec2_types.h"

#define RECORD_TAGS_MAX 8
#define RECORD_GROUPS_MAX 16
#define RECORD_ADDRESSES_MAX 8
#define RECORD_PERMISSIONS_MAX 8
#define RECORD_CIDRS_MAX 32

/* Points into itself: do not copy. */
struct instance_record {
    struct ec2_instance instance;
    struct ec2_tag tags[RECORD_TAGS_MAX];
    struct span group_ids[RECORD_GROUPS_MAX];
    struct ec2_address addresses[RECORD_ADDRESSES_MAX];
};
void instance_record_init(struct instance_record *out, const char *text);

struct group_record {
    struct ec2_group group;
    struct ec2_permission permissions[RECORD_PERMISSIONS_MAX];
    struct span cidrs[RECORD_CIDRS_MAX];
};
void group_record_init(struct group_record *out, const char *text);

/* "tcp 22 22", what describes a rule alone. */
struct ec2_permission permission_of(const char *text);

#endif
