/*
 * fleet.c - instances as a function of seed, region and index.
 */
#include "fleet.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NVPCS 3U

/* The longest run of instances that share a reservation. */
#define RESERVATION_MAX 5U

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

static const struct {
    enum fleet_state state;
    int code;
    const char *name;
    uint32_t percent;
} STATES[] = {
    {FLEET_PENDING, 0, "pending", 2},
    {FLEET_RUNNING, 16, "running", 70},
    {FLEET_SHUTTING_DOWN, 32, "shutting-down", 2},
    {FLEET_TERMINATED, 48, "terminated", 4},
    {FLEET_STOPPING, 64, "stopping", 2},
    {FLEET_STOPPED, 80, "stopped", 20},
};

static const char *const TYPES[] = {
    "t3.micro",   "t3.medium",   "t4g.small",   "m6i.large",
    "m7g.xlarge", "c7i.2xlarge", "r6g.4xlarge", "g5.12xlarge",
};

/* A value of the greatest length that EC2 takes, in characters. */
#define X16 "0123456789abcdef"
#define X256 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16

static const char *const ODD_NAMES[] = {
    "Z\u00fcrich web",
    "\u6570\u636e\u5e93-01",
    "\u0441\u0435\u0440\u0432\u0435\u0440",
    "\U0001f680 launcher",
    "a & b <c> \"d\" 'e'",
    "]]> &amp; <![CDATA[",
    "C:\\temp\\new",
    "  padded  ",
    FLEET_TRICKY_NAME,
    X256,
};

static const char *const NAME_KEYS[] = {"name", "NAME", "nAmE"};
static const char *const OWNER_KEYS[] = {"Owner", "Owner", "owner", "OWNER",
                                         "oWnEr"};
static const char *const NEAR_OWNER_KEYS[] = {
    "Owners", "Owner ", "ownerId", "aws:owner", "\u00d6wner", "own\u0435r",
};
static const char *const OWNERS[] = {
    "alice", "team-a", "bob@example.com", "R&D", " ", "\u5c71\u7530",
};

static const struct fleet_tag OTHER_TAGS[] = {
    {"Environment", "prod"},
    {"CostCenter", "4711"},
    {"Project", "ph\u0153nix"},
    {"aws:autoscaling:groupName", "web-asg-1"},
    {"aws:cloudformation:stack-name", "prod-web"},
    {"kubernetes.io/cluster/main", "owned"},
    {"backup", "daily=true"},
    {"note", ""},
};

void fleet_id(struct rng *rng, const char *prefix, char out[FLEET_ID_MAX])
{
    static const char hex[] = "0123456789abcdef";
    size_t len = strlen(prefix);
    uint64_t bits = rng_next(rng);

    assert(len + 18 <= FLEET_ID_MAX);
    memcpy(out, prefix, len);
    out[len++] = '0';
    for (int i = 0; i < 16; i++)
        out[len++] = hex[bits >> (60 - 4 * i) & 15];
    out[len] = '\0';
}

const char *fleet_state_name(enum fleet_state state)
{
    return STATES[state].name;
}

uint32_t fleet_vpcs(const struct fleet *fleet)
{
    return fleet->ngroups < NVPCS ? fleet->ngroups : NVPCS;
}

void fleet_vpc_id(const struct fleet *fleet, const char *region, uint32_t vpc,
                  char out[FLEET_ID_MAX])
{
    struct rng rng = rng_for(fleet->seed, region, "vpc", vpc);

    fleet_id(&rng, "vpc-", out);
}

/* Keeps formatted text in the instance's store; "" when that is full. */
__attribute__((format(printf, 3, 4))) static const char *
keep(struct fleet_instance *in, size_t *used, const char *fmt, ...)
{
    size_t room = sizeof(in->store) - *used;
    char *at = in->store + *used;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(at, room, fmt, ap);
    va_end(ap);
    if (len < 0 || (size_t)len >= room)
        return "";
    *used += (size_t)len + 1;
    return at;
}

static void add_tag(struct fleet_instance *in, const char *key,
                    const char *value)
{
    if (in->ntags < FLEET_MAX_TAGS)
        in->tags[in->ntags++] = (struct fleet_tag){key, value};
}

/* Mostly a tag "Name"; else another letter case, both, or none at all. */
static void add_name(struct fleet_instance *in, struct rng *rng, uint32_t i,
                     size_t *used)
{
    uint32_t dice = rng_below(rng, 100);
    const char *name = keep(in, used, "web-%u-%05u", rng_below(rng, 9), i);

    if (dice < 12)
        name = ODD_NAMES[rng_below(rng, COUNT(ODD_NAMES))];
    if (dice < 80)
        add_tag(in, "Name", name);
    else if (dice < 82)
        add_tag(in, "Name", "");
    else if (dice < 92)
        add_tag(in, NAME_KEYS[rng_below(rng, COUNT(NAME_KEYS))], name);
    if (dice >= 76 && dice < 80)
        add_tag(in, "name", "not this one");
    else if (dice >= 90 && dice < 92)
        add_tag(in, "naME", "second of its kind");
}

static void add_owner(struct fleet_instance *in, struct rng *rng)
{
    uint32_t dice = rng_below(rng, 100);
    const char *key = OWNER_KEYS[rng_below(rng, COUNT(OWNER_KEYS))];

    if (dice < 60)
        add_tag(in, key, OWNERS[rng_below(rng, COUNT(OWNERS))]);
    else if (dice < 76)
        add_tag(in, key, "");
    else if (dice < 88)
        add_tag(in, NEAR_OWNER_KEYS[rng_below(rng, COUNT(NEAR_OWNER_KEYS))],
                "nobody");
    /* A second key that differs in case only decides for three of these. */
    if (dice >= 73 && dice < 76)
        add_tag(in, strcmp(key, "OWNER") == 0 ? "Owner" : "OWNER", "carol");
}

static void make_tags(struct fleet_instance *in, struct rng *rng, uint32_t i)
{
    uint32_t nothers = rng_below(rng, COUNT(OTHER_TAGS) + 1);
    uint32_t again = rng_below(rng, COUNT(OTHER_TAGS) + 1);
    size_t used = 0;

    in->ntags = 0;
    if (rng_chance(rng, 3))
        return;
    add_name(in, rng, i, &used);
    add_owner(in, rng);
    nothers = again < nothers ? again : nothers; /* more often few than many */
    for (uint32_t k = 0; k < nothers; k++)
        in->tags[in->ntags++] = OTHER_TAGS[k];
    for (size_t k = in->ntags; k > 1; k--) {
        size_t other = rng_below(rng, (uint32_t)k);
        struct fleet_tag tag = in->tags[k - 1];

        in->tags[k - 1] = in->tags[other];
        in->tags[other] = tag;
    }
}

/* One to five different groups of one VPC. */
static size_t pick_groups(const struct fleet *fleet, struct rng *rng,
                          uint32_t vpc, uint32_t out[FLEET_MAX_NIC_GROUPS])
{
    uint32_t nvpcs = fleet_vpcs(fleet);
    uint32_t have = (fleet->ngroups - vpc + nvpcs - 1) / nvpcs;
    uint32_t want = rng_chance(rng, 5) ? 5 : 1 + rng_below(rng, 3);
    uint32_t first = rng_below(rng, have);
    uint32_t step = 1 + rng_below(rng, 3);
    size_t n = 0;

    /* Steps past the end would meet the first ones again. */
    for (uint32_t k = 0; k < want && k * step < have; k++)
        out[n++] = (first + k * step) % have * nvpcs + vpc;
    return n;
}

static void make_nic(const struct fleet *fleet, struct rng *rng, uint32_t vpc,
                     uint32_t i, struct fleet_nic *nic)
{
    uint32_t low = rng_below(rng, 250);

    fleet_id(rng, "eni-", nic->id);
    nic->ngroups = pick_groups(fleet, rng, vpc, nic->groups);
    snprintf(nic->private_ip, sizeof(nic->private_ip), "10.%u.%u.%u",
             vpc + 3 * rng_below(rng, 64), i / 250 % 256, i % 250 + 4);
    nic->public_ip[0] = nic->ipv6[0] = '\0';
    if (rng_chance(rng, 40))
        snprintf(nic->public_ip, sizeof(nic->public_ip), "198.51.%u.%u",
                 rng_below(rng, 256), low);
    if (rng_chance(rng, 30))
        snprintf(nic->ipv6, sizeof(nic->ipv6), "2001:db8:%x:%x::%x",
                 rng_below(rng, 65536), vpc + 1, i + 1);
}

/* Everything that a terminated instance has lost. */
static void make_network(const struct fleet *fleet, const char *region,
                         struct rng *rng, uint32_t i,
                         struct fleet_instance *out)
{
    uint32_t vpc = rng_below(rng, fleet_vpcs(fleet));
    uint32_t dice = rng_below(rng, 100);

    out->vpc[0] = out->private_ip[0] = out->public_ip[0] = '\0';
    out->ngroups = 0;
    out->nnics = 0;
    if (out->state == FLEET_TERMINATED)
        return;
    fleet_vpc_id(fleet, region, vpc, out->vpc);
    out->nnics = dice < 2 ? 0 : dice < 75 ? 1 : dice < 93 ? 2 : 3;
    for (size_t k = 0; k < out->nnics; k++)
        make_nic(fleet, rng, vpc, i, &out->nics[k]);
    if (out->nnics == 0) {
        out->ngroups = pick_groups(fleet, rng, vpc, out->groups);
        return;
    }
    out->ngroups = out->nics[0].ngroups;
    memcpy(out->groups, out->nics[0].groups, sizeof(out->groups));
    memcpy(out->private_ip, out->nics[0].private_ip, sizeof(out->private_ip));
    if (out->state != FLEET_STOPPED)
        memcpy(out->public_ip, out->nics[0].public_ip, sizeof(out->public_ip));
}

/* A reservation begins at every fifth index and by chance in between. */
static uint32_t reservation_start(const struct fleet *fleet, const char *region,
                                  uint32_t i)
{
    while (i % RESERVATION_MAX != 0) {
        struct rng rng = rng_for(fleet->seed, region, "start", i);

        if (rng_chance(&rng, 55))
            break;
        i--;
    }
    return i;
}

static void pick_state(struct rng *rng, struct fleet_instance *out)
{
    uint32_t dice = rng_below(rng, 100);
    size_t s = 0;

    while (dice >= STATES[s].percent)
        dice -= STATES[s++].percent;
    out->state = STATES[s].state;
    out->state_code = STATES[s].code + (rng_chance(rng, 1) ? 256 : 0);
}

void fleet_instance(const struct fleet *fleet, const char *region, uint32_t i,
                    struct fleet_instance *out)
{
    struct rng rng = rng_for(fleet->seed, region, "instance", i);
    struct rng reservation = rng_for(fleet->seed, region, "reservation",
                                     reservation_start(fleet, region, i));

    fleet_id(&rng, "i-", out->id);
    fleet_id(&reservation, "r-", out->reservation);
    pick_state(&rng, out);
    out->type = TYPES[rng_below(&rng, COUNT(TYPES))];
    out->zone = (char)('a' + rng_below(&rng, 3));
    out->launched = 1609459200 + (int64_t)rng_below(&rng, 157680000);
    out->managed = rng_chance(&rng, 2);
    make_network(fleet, region, &rng, i, out);
    make_tags(out, &rng, i);
    out->rest = (struct rng){rng_next(&rng)};
}
