/*
 * ec2_types.h - what EC2 tells about an instance, a security group and a
 * region, as far as this program asks.
 *
 * A record and everything it points at is borrowed for one call of a
 * callback. A span that EC2 did not give is empty.
 */
#ifndef AWS_EC2_TYPES_H
#define AWS_EC2_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum ec2_action {
    EC2_DESCRIBE_REGIONS,
    EC2_DESCRIBE_INSTANCES,
    EC2_DESCRIBE_SECURITY_GROUPS,
};
#define EC2_NACTIONS 3

/* "DescribeInstances" */
const char *ec2_action_name(enum ec2_action action);

struct ec2_tag {
    struct span key;
    struct span value;
};

enum ec2_address_kind {
    EC2_PRIVATE_IP,
    EC2_PUBLIC_IP,
    EC2_IPV6,
};

struct ec2_address {
    struct span text;
    enum ec2_address_kind kind;
    bool own; /* the instance's, not that of one of its interfaces */
};

struct ec2_instance {
    struct span id;
    struct span state;       /* "running" */
    struct span type;        /* "t3.micro" */
    struct span launch_time; /* "2026-08-30T12:34:56.000Z" */
    const struct ec2_tag *tags;
    size_t ntags;
    /*
     * Ids of the security groups of the instance and of every network
     * interface. An id may stand more than once: the instance's own list is
     * that of its primary interface.
     */
    const struct span *group_ids;
    size_t ngroup_ids;
    /* Of the instance and of every network interface; one may stand more than
     * once, none is empty. */
    const struct ec2_address *addresses;
    size_t naddresses;
};

/* One ingress rule; its address ranges are cidrs[first_cidr …] of the group. */
struct ec2_permission {
    struct span protocol; /* "tcp", "-1", "50" */
    int32_t from_port;    /* 0 when absent; ICMP: type, -1 is all */
    int32_t to_port;      /* 0 when absent; ICMP: code, -1 is all */
    bool has_ports;       /* EC2 gave both */
    size_t first_cidr;
    size_t ncidrs; /* IPv4 and IPv6 */
};

struct ec2_group {
    struct span id;
    struct span name;
    const struct ec2_permission *permissions; /* ingress only */
    size_t npermissions;
    const struct span *cidrs;
    size_t ncidrs;
};

struct ec2_region {
    struct span name;
    struct span opt_in_status;
};

/*
 * Who takes the records; a NULL callback takes none of its kind. Anything but
 * ERR_OK ends the listing with that failure.
 */
struct ec2_records {
    enum err_code (*instance)(void *arg, const struct ec2_instance *instance,
                              struct err *err);
    enum err_code (*group)(void *arg, const struct ec2_group *group,
                           struct err *err);
    enum err_code (*region)(void *arg, const struct ec2_region *region,
                            struct err *err);
};

/*
 * The value of the tag key: the exact key first, else the first that differs
 * in letter case alone, else the empty span.
 */
struct span ec2_instance_tag(const struct ec2_instance *instance,
                             const char *key);

/* The instance's own address of that kind, else the first of an interface,
 * else the empty span. */
struct span ec2_instance_address(const struct ec2_instance *instance,
                                 enum ec2_address_kind kind);

#endif
