/*
 * fleet_groups.c - security groups as a function of seed, region and index.
 */
#include "fleet.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define ANY4 "0.0.0.0/0"
#define ANY6 "::/0"
#define NONE FLEET_NO_PORT

/* Open to the whole internet by IPv4, by IPv6 or by both. */
static const struct fleet_perm OPEN[] = {
    {.protocol = "tcp", .from = 22, .to = 22, .v4 = {ANY4}},
    {.protocol = "tcp",
     .from = 443,
     .to = 443,
     .v4 = {"10.0.0.0/8", ANY4},
     .v6 = {ANY6}},
    {.protocol = "-1", .from = NONE, .to = NONE, .v4 = {ANY4}},
    {.protocol = "-1", .from = NONE, .to = NONE, .v6 = {ANY6}},
    {.protocol = "icmp", .from = -1, .to = -1, .v4 = {ANY4}},
    {.protocol = "icmp", .from = 8, .to = -1, .v4 = {ANY4}},
    {.protocol = "icmp", .from = 3, .to = 4, .v4 = {ANY4}},
    {.protocol = "icmpv6", .from = -1, .to = -1, .v6 = {ANY6}},
    {.protocol = "icmpv6", .from = 128, .to = 0, .v6 = {ANY6}},
    {.protocol = "icmpv6", .from = 135, .to = -1, .v6 = {ANY6}},
    {.protocol = "50", .from = NONE, .to = NONE, .v4 = {ANY4}, .v6 = {ANY6}},
    {.protocol = "41", .from = NONE, .to = NONE, .v6 = {ANY6}},
    {.protocol = "tcp", .from = 0, .to = 65535, .v4 = {ANY4}},
    {.protocol = "udp", .from = 0, .to = 65535, .v6 = {ANY6}},
    {.protocol = "udp",
     .from = 8000,
     .to = 8080,
     .v4 = {"192.0.2.0/24", ANY4, "198.51.100.0/24"},
     .v6 = {"2001:db8::/32"}},
    {.protocol = "udp",
     .from = 53,
     .to = 53,
     .v4 = {"203.0.113.7/32"},
     .v6 = {"2001:db8::/32", ANY6}},
    {.protocol = "tcp", .from = 0, .to = 0, .v4 = {ANY4}},
    {.protocol = "tcp",
     .from = 3389,
     .to = 3389,
     .v4 = {ANY4},
     .from_group = true,
     .from_prefix = true},
};

/* Not open, though some come near. */
static const struct fleet_perm CLOSED[] = {
    {.protocol = "tcp",
     .from = 443,
     .to = 443,
     .v4 = {"10.0.0.0/8", "172.16.0.0/12"}},
    {.protocol = "tcp", .from = 5432, .to = 5432, .from_group = true},
    {.protocol = "tcp",
     .from = 80,
     .to = 80,
     .v4 = {"0.0.0.0/1", "128.0.0.0/1"}},
    {.protocol = "tcp",
     .from = 25,
     .to = 25,
     .v4 = {"0.0.0.0/8", "0.0.0.0/32"},
     .v6 = {"::/1", "::/128"}},
    {.protocol = "udp", .from = 123, .to = 123, .v6 = {"fd00::/8"}},
    {.protocol = "tcp", .from = 8443, .to = 8443, .from_prefix = true},
    {.protocol = "-1", .from = NONE, .to = NONE, .from_group = true},
    {.protocol = "icmp", .from = -1, .to = -1, .v4 = {"10.0.0.0/8"}},
    {.protocol = "tcp",
     .from = 22,
     .to = 22,
     .v4 = {"198.51.100.23/32"},
     .v6 = {"2001:db8:1234::/48"}},
};

static const char *const NAMES[] = {
    "default",     "web-prod",        "ssh from office", "db & cache",
    "k8s/node(a)", "launch-wizard-1", "lb#public",       "bastion",
};

void fleet_group_id(const struct fleet *fleet, const char *region, uint32_t g,
                    char out[FLEET_ID_MAX])
{
    struct rng rng = rng_for(fleet->seed, region, "group", g);

    fleet_id(&rng, "sg-", out);
}

/* EC2 keeps one permission for each protocol and pair of ports. */
static void add_perm(struct fleet_group *group, const struct fleet_perm *perm)
{
    for (size_t i = 0; i < group->nperms; i++) {
        const struct fleet_perm *have = group->perms[i];

        if (strcmp(have->protocol, perm->protocol) == 0 &&
            have->from == perm->from && have->to == perm->to)
            return;
    }
    group->perms[group->nperms++] = perm;
}

void fleet_group(const struct fleet *fleet, const char *region, uint32_t g,
                 struct fleet_group *out)
{
    struct rng rng = rng_for(fleet->seed, region, "permissions", g);
    uint32_t nvpcs = fleet_vpcs(fleet);
    uint32_t name = g / nvpcs;
    bool open = rng_chance(&rng, fleet->open_percent);
    uint32_t nopen = open ? 1 + rng_below(&rng, 3) : 0;
    uint32_t nclosed = rng_below(&rng, 5);

    fleet_group_id(fleet, region, g, out->id);
    fleet_vpc_id(fleet, region, g % nvpcs, out->vpc);
    if (name < COUNT(NAMES))
        snprintf(out->name, sizeof(out->name), "%s", NAMES[name]);
    else
        snprintf(out->name, sizeof(out->name), "service-%u", name);
    out->nperms = 0;
    for (uint32_t k = 0; k < nopen; k++)
        add_perm(out, &OPEN[rng_below(&rng, COUNT(OPEN))]);
    for (uint32_t k = 0; k < nclosed; k++)
        add_perm(out, &CLOSED[rng_below(&rng, COUNT(CLOSED))]);
}
