/*
 * filter.c - the filters of Describe requests.
 */
#include "filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct subject {
    const struct fleet *fleet;
    const char *region;
    const struct fleet_instance *in;
};

typedef bool (*instance_fn)(const struct filter *f, const struct subject *s);
typedef bool (*group_fn)(const struct filter *f, const struct fleet_group *g);

static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL;
    const char *retry = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern == '?') {
            pattern++;
            text++;
        } else if (pattern[pattern[0] == '\\' && pattern[1]] == *text) {
            pattern += *pattern == '\\' && pattern[1] ? 2 : 1;
            text++;
        } else if (star) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void filter_prepare(struct filter *f)
{
    f->nliterals = 0;
    for (size_t i = 0; i < f->nvalues; i++) {
        const char *value = f->values[i];

        if (strpbrk(value, "*?\\"))
            continue;
        f->values[i] = f->values[f->nliterals];
        f->values[f->nliterals++] = value;
    }
    if (f->nliterals > 0)
        qsort(f->values, f->nliterals, sizeof(*f->values), compare);
}

bool filter_text(const struct filter *f, const char *text)
{
    if (f->nliterals > 0 &&
        bsearch(&text, f->values, f->nliterals, sizeof(*f->values), compare))
        return true;
    for (size_t i = f->nliterals; i < f->nvalues; i++) {
        if (matches(f->values[i], text))
            return true;
    }
    return false;
}

static bool by_state(const struct filter *f, const struct subject *s)
{
    return filter_text(f, fleet_state_name(s->in->state));
}

static bool any_group(const struct filter *f, const struct subject *s,
                      const uint32_t *groups, size_t n)
{
    char id[FLEET_ID_MAX];

    for (size_t i = 0; i < n; i++) {
        fleet_group_id(s->fleet, s->region, groups[i], id);
        if (filter_text(f, id))
            return true;
    }
    return false;
}

static bool by_instance_group(const struct filter *f, const struct subject *s)
{
    return any_group(f, s, s->in->groups, s->in->ngroups);
}

static bool by_nic_group(const struct filter *f, const struct subject *s)
{
    for (size_t i = 0; i < s->in->nnics; i++) {
        const struct fleet_nic *nic = &s->in->nics[i];

        if (any_group(f, s, nic->groups, nic->ngroups))
            return true;
    }
    return false;
}

static bool by_id(const struct filter *f, const struct subject *s)
{
    return filter_text(f, s->in->id);
}

static bool by_zone(const struct filter *f, const struct subject *s)
{
    char zone[64];

    snprintf(zone, sizeof(zone), "%s%c", s->region, s->in->zone);
    return filter_text(f, zone);
}

static bool by_tag_key(const struct filter *f, const struct subject *s)
{
    for (size_t i = 0; i < s->in->ntags; i++) {
        if (filter_text(f, s->in->tags[i].key))
            return true;
    }
    return false;
}

static bool by_private_ip(const struct filter *f, const struct subject *s)
{
    return *s->in->private_ip && filter_text(f, s->in->private_ip);
}

static bool by_public_ip(const struct filter *f, const struct subject *s)
{
    return *s->in->public_ip && filter_text(f, s->in->public_ip);
}

static bool by_type(const struct filter *f, const struct subject *s)
{
    return filter_text(f, s->in->type);
}

static bool by_vpc(const struct filter *f, const struct subject *s)
{
    return *s->in->vpc && filter_text(f, s->in->vpc);
}

static const struct {
    const char *name;
    instance_fn match;
} INSTANCE_FILTERS[] = {
    {"instance-state-name", by_state},
    {"instance.group-id", by_instance_group},
    {"network-interface.group-id", by_nic_group},
    {"instance-id", by_id},
    {"availability-zone", by_zone},
    {"tag-key", by_tag_key},
    {"private-ip-address", by_private_ip},
    {"ip-address", by_public_ip},
    {"instance-type", by_type},
    {"vpc-id", by_vpc},
};

#define NINSTANCE_FILTERS                                                      \
    (sizeof(INSTANCE_FILTERS) / sizeof(INSTANCE_FILTERS[0]))

static bool by_range(const struct filter *f, const struct fleet_group *g,
                     bool v6)
{
    for (size_t i = 0; i < g->nperms; i++) {
        const char *const *range = v6 ? g->perms[i]->v6 : g->perms[i]->v4;

        for (size_t k = 0; k < FLEET_MAX_RANGES && range[k]; k++) {
            if (filter_text(f, range[k]))
                return true;
        }
    }
    return false;
}

static bool by_cidr(const struct filter *f, const struct fleet_group *g)
{
    return by_range(f, g, false);
}

static bool by_cidr6(const struct filter *f, const struct fleet_group *g)
{
    return by_range(f, g, true);
}

static bool by_group_id(const struct filter *f, const struct fleet_group *g)
{
    return filter_text(f, g->id);
}

static bool by_group_name(const struct filter *f, const struct fleet_group *g)
{
    return filter_text(f, g->name);
}

static bool by_group_vpc(const struct filter *f, const struct fleet_group *g)
{
    return filter_text(f, g->vpc);
}

static const struct {
    const char *name;
    group_fn match;
} GROUP_FILTERS[] = {
    {"ip-permission.cidr", by_cidr}, {"ip-permission.ipv6-cidr", by_cidr6},
    {"group-id", by_group_id},       {"group-name", by_group_name},
    {"vpc-id", by_group_vpc},
};

#define NGROUP_FILTERS (sizeof(GROUP_FILTERS) / sizeof(GROUP_FILTERS[0]))

bool filter_knows_instance(const char *name)
{
    for (size_t i = 0; i < NINSTANCE_FILTERS; i++) {
        if (strcmp(INSTANCE_FILTERS[i].name, name) == 0)
            return true;
    }
    return strncmp(name, "tag:", 4) == 0 && name[4];
}

bool filter_knows_group(const char *name)
{
    for (size_t i = 0; i < NGROUP_FILTERS; i++) {
        if (strcmp(GROUP_FILTERS[i].name, name) == 0)
            return true;
    }
    return false;
}

bool filter_knows_region(const char *name)
{
    return strcmp(name, "region-name") == 0;
}

/* tag:KEY, for the one tag of exactly that key. */
static bool by_tag(const struct filter *f, const struct fleet_instance *in)
{
    const char *key = f->name + strlen("tag:");

    for (size_t i = 0; i < in->ntags; i++) {
        if (strcmp(in->tags[i].key, key) == 0 &&
            filter_text(f, in->tags[i].value))
            return true;
    }
    return false;
}

bool filter_instance(const struct filter *f, const struct fleet *fleet,
                     const char *region, const struct fleet_instance *in)
{
    struct subject s = {.fleet = fleet, .region = region, .in = in};

    for (size_t i = 0; i < NINSTANCE_FILTERS; i++) {
        if (strcmp(INSTANCE_FILTERS[i].name, f->name) == 0)
            return INSTANCE_FILTERS[i].match(f, &s);
    }
    return by_tag(f, in);
}

bool filter_group(const struct filter *f, const struct fleet_group *group)
{
    for (size_t i = 0; i < NGROUP_FILTERS; i++) {
        if (strcmp(GROUP_FILTERS[i].name, f->name) == 0)
            return GROUP_FILTERS[i].match(f, group);
    }
    return false;
}
