/*
 * fleet.h - the simulated account: instances and security groups.
 *
 * Pure: an instance is a function of the fleet's settings, the region and its
 * index, and of nothing else. Nothing is stored, so that a fleet may be of any
 * size. Both the XML side and the right answers are made from here.
 */
#ifndef EC2SIM_FLEET_H
#define EC2SIM_FLEET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

#define FLEET_ID_MAX 32
#define FLEET_MAX_NICS 3
#define FLEET_MAX_NIC_GROUPS 5
#define FLEET_MAX_TAGS 16
#define FLEET_MAX_PERMS 8
#define FLEET_MAX_RANGES 4
#define FLEET_NO_PORT INT_MIN
#define FLEET_ACCOUNT "123456789012"
/* With a mark of direction, no-width space and hidden tag: seen "payroll". */
#define FLEET_TRICKY_NAME "pay\u202eroll\u200b\U000e0041"

struct fleet {
    uint64_t seed;
    uint32_t ngroups;      /* security groups per region, at least 1 */
    uint32_t open_percent; /* of groups made open to the whole internet */
};

enum fleet_state {
    FLEET_PENDING,
    FLEET_RUNNING,
    FLEET_SHUTTING_DOWN,
    FLEET_TERMINATED,
    FLEET_STOPPING,
    FLEET_STOPPED,
};

/* Both point at constants or into the store of their instance. */
struct fleet_tag {
    const char *key;
    const char *value;
};

struct fleet_nic {
    char id[FLEET_ID_MAX];
    uint32_t groups[FLEET_MAX_NIC_GROUPS]; /* indices, see fleet_group */
    size_t ngroups;
    char private_ip[16];
    char public_ip[16]; /* "" for none */
    char ipv6[40];      /* "" for none */
};

/* Not to be copied: tags point into store. */
struct fleet_instance {
    char id[FLEET_ID_MAX];
    char reservation[FLEET_ID_MAX];
    enum fleet_state state;
    int state_code; /* the high byte means nothing and may be set */
    const char *type;
    char zone;              /* 'a', 'b' or 'c' after the region's name */
    int64_t launched;       /* seconds since 1970 */
    bool managed;           /* run by another AWS service */
    char vpc[FLEET_ID_MAX]; /* "" for a terminated instance, as all below */
    uint32_t groups[FLEET_MAX_NIC_GROUPS]; /* of the primary interface */
    size_t ngroups;
    char private_ip[16];
    char public_ip[16];
    struct fleet_nic nics[FLEET_MAX_NICS];
    size_t nnics;
    struct fleet_tag tags[FLEET_MAX_TAGS];
    size_t ntags;
    struct rng rest; /* where its further, meaningless details come from */
    char store[256];
};

/* One entry of ipPermissions. */
struct fleet_perm {
    const char *protocol;
    int from; /* FLEET_NO_PORT where EC2 gives none */
    int to;
    const char *v4[FLEET_MAX_RANGES]; /* up to the first NULL */
    const char *v6[FLEET_MAX_RANGES];
    bool from_group;  /* a group pair */
    bool from_prefix; /* a prefix list */
};

struct fleet_group {
    char id[FLEET_ID_MAX];
    char vpc[FLEET_ID_MAX];
    char name[64]; /* repeats in other VPCs */
    const struct fleet_perm *perms[FLEET_MAX_PERMS];
    size_t nperms;
};

/* An id as EC2 makes them: prefix and 17 hex digits. */
void fleet_id(struct rng *rng, const char *prefix, char out[FLEET_ID_MAX]);

void fleet_instance(const struct fleet *fleet, const char *region, uint32_t i,
                    struct fleet_instance *out);
void fleet_group(const struct fleet *fleet, const char *region, uint32_t g,
                 struct fleet_group *out);

/* Alone, since it is wanted far more often than the whole group. */
void fleet_group_id(const struct fleet *fleet, const char *region, uint32_t g,
                    char out[FLEET_ID_MAX]);
void fleet_vpc_id(const struct fleet *fleet, const char *region, uint32_t vpc,
                  char out[FLEET_ID_MAX]);

/* Group g is in VPC g % fleet_vpcs(). */
uint32_t fleet_vpcs(const struct fleet *fleet);

const char *fleet_state_name(enum fleet_state state);

#endif
