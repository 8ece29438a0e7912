/*
 * answers.c - the right answers to the three questions, without XML.
 */
#include "answers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_MAX 256

/* One permission that lets the internet in; strings are borrowed. */
struct open_perm {
    char group_id[FLEET_ID_MAX];
    char group_name[64];
    const struct fleet_perm *perm;
    const char *cidr;
};

struct row {
    char id[FLEET_ID_MAX];
    json_t *json;
};

struct rows {
    struct row *v;
    size_t n;
};

static void add_row(struct rows *rows, const char *id, json_t *json)
{
    if (rows->n % 1024 == 0)
        rows->v = must_resize(rows->v, rows->n + 1024, sizeof(*rows->v));
    snprintf(rows->v[rows->n].id, FLEET_ID_MAX, "%s", id);
    rows->v[rows->n++].json = json;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->id, ((const struct row *)b)->id);
}

/* The rows in order of id go to the end of array. */
static void flush_rows(struct rows *rows, json_t *array)
{
    if (rows->n > 0)
        qsort(rows->v, rows->n, sizeof(*rows->v), compare_rows);
    for (size_t i = 0; i < rows->n; i++)
        json_array_append_new(array, rows->v[i].json);
    free(rows->v);
    *rows = (struct rows){0};
}

static const char *name_of(const struct fleet_instance *in)
{
    const char *other = NULL;

    for (size_t i = 0; i < in->ntags; i++) {
        if (strcmp(in->tags[i].key, "Name") == 0)
            return in->tags[i].value;
        if (!other && text_same_nocase(in->tags[i].key, "name"))
            other = in->tags[i].value;
    }
    return other ? other : "";
}

static bool has_owner(const struct fleet_instance *in)
{
    for (size_t i = 0; i < in->ntags; i++) {
        if (text_same_nocase(in->tags[i].key, "owner") && *in->tags[i].value)
            return true;
    }
    return false;
}

static json_t *finding(const char *region, const struct fleet_instance *in)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "region", region, "instanceId",
                     in->id, "instanceName", name_of(in), "state",
                     fleet_state_name(in->state));
}

static void count(const struct world *world, const struct region *region,
                  json_t *array)
{
    struct fleet_instance in;
    json_int_t running = 0;

    for (uint32_t i = 0; i < region->instances; i++) {
        fleet_instance(&world->fleet, region->name, i, &in);
        running += in.state == FLEET_RUNNING;
    }
    json_array_append_new(array, json_pack("{s:s, s:I, s:I}", "region",
                                           region->name, "totalInstances",
                                           (json_int_t)region->instances,
                                           "runningInstances", running));
}

static void owner(const struct world *world, const struct region *region,
                  json_t *array)
{
    struct rows rows = {0};
    struct fleet_instance in;

    for (uint32_t i = 0; i < region->instances; i++) {
        fleet_instance(&world->fleet, region->name, i, &in);
        if (!has_owner(&in))
            add_row(&rows, in.id, finding(region->name, &in));
    }
    flush_rows(&rows, array);
}

static void icmp_words(const struct fleet_perm *perm, const char *name,
                       char *out, size_t cap)
{
    if (perm->from == -1)
        snprintf(out, cap, "all %s", name);
    else if (perm->to == -1)
        snprintf(out, cap, "%s type %d", name, perm->from);
    else
        snprintf(out, cap, "%s type %d code %d", name, perm->from, perm->to);
}

static void port_words(const struct fleet_perm *perm, char *out, size_t cap)
{
    if (strcmp(perm->protocol, "-1") == 0)
        snprintf(out, cap, "all traffic");
    else if (strcmp(perm->protocol, "icmp") == 0)
        icmp_words(perm, "ICMP", out, cap);
    else if (strcmp(perm->protocol, "icmpv6") == 0)
        icmp_words(perm, "ICMPv6", out, cap);
    else if (strcmp(perm->protocol, "tcp") != 0 &&
             strcmp(perm->protocol, "udp") != 0)
        snprintf(out, cap, "all of protocol %s", perm->protocol);
    else if (perm->from == 0 && perm->to == 65535)
        snprintf(out, cap, "all ports");
    else if (perm->from == perm->to)
        snprintf(out, cap, "%d", perm->from);
    else
        snprintf(out, cap, "%d-%d", perm->from, perm->to);
}

static int known_port(int port)
{
    return port == FLEET_NO_PORT ? 0 : port;
}

static int compare_perms(const void *pa, const void *pb)
{
    const struct open_perm *a = pa;
    const struct open_perm *b = pb;
    int from_a = known_port(a->perm->from);
    int from_b = known_port(b->perm->from);
    int to_a = known_port(a->perm->to);
    int to_b = known_port(b->perm->to);
    int order = strcmp(a->group_id, b->group_id);

    if (!order)
        order = strcmp(a->perm->protocol, b->perm->protocol);
    if (!order)
        order = (from_a > from_b) - (from_a < from_b);
    if (!order)
        order = (to_a > to_b) - (to_a < to_b);
    return order ? order : strcmp(a->cidr, b->cidr);
}

static const char *find_range(const char *const ranges[FLEET_MAX_RANGES],
                              const char *cidr)
{
    for (size_t i = 0; i < FLEET_MAX_RANGES && ranges[i]; i++) {
        if (strcmp(ranges[i], cidr) == 0)
            return ranges[i];
    }
    return NULL;
}

static size_t add_open(const struct fleet_group *group, struct open_perm *out,
                       size_t n)
{
    for (size_t i = 0; i < group->nperms; i++) {
        const struct fleet_perm *perm = group->perms[i];
        const char *cidrs[] = {find_range(perm->v4, "0.0.0.0/0"),
                               find_range(perm->v6, "::/0")};

        for (size_t k = 0; k < 2; k++) {
            if (!cidrs[k] || n == OPEN_MAX)
                continue;
            memcpy(out[n].group_id, group->id, sizeof(group->id));
            memcpy(out[n].group_name, group->name, sizeof(group->name));
            out[n].perm = perm;
            out[n++].cidr = cidrs[k];
        }
    }
    return n;
}

/* What the instance's groups and those of all its interfaces let in. */
static size_t collect_open(const struct world *world, const char *region,
                           const struct fleet_instance *in,
                           struct open_perm *out)
{
    struct fleet_group group;
    size_t n = 0;

    for (size_t g = 0; g < in->ngroups; g++) {
        fleet_group(&world->fleet, region, in->groups[g], &group);
        n = add_open(&group, out, n);
    }
    for (size_t i = 0; i < in->nnics; i++) {
        for (size_t g = 0; g < in->nics[i].ngroups; g++) {
            fleet_group(&world->fleet, region, in->nics[i].groups[g], &group);
            n = add_open(&group, out, n);
        }
    }
    return n;
}

static json_t *open_json(const struct open_perm *open)
{
    char words[64];

    port_words(open->perm, words, sizeof(words));
    return json_pack(
        "{s:s, s:i, s:i, s:s, s:s, s:s, s:s}", "ipProtocol",
        open->perm->protocol, "fromPort", known_port(open->perm->from),
        "toPort", known_port(open->perm->to), "allowFrom", open->group_name,
        "groupId", open->group_id, "cidr", open->cidr, "ports", words);
}

static void exposure(const struct world *world, const struct region *region,
                     json_t *array)
{
    struct open_perm open[OPEN_MAX];
    struct rows rows = {0};
    struct fleet_instance in;

    for (uint32_t i = 0; i < region->instances; i++) {
        json_t *permissions;
        json_t *json;
        size_t n;

        fleet_instance(&world->fleet, region->name, i, &in);
        n = collect_open(world, region->name, &in, open);
        if (n == 0)
            continue;
        qsort(open, n, sizeof(open[0]), compare_perms);
        permissions = json_array();
        for (size_t k = 0; k < n; k++) {
            if (k == 0 || compare_perms(&open[k - 1], &open[k]) != 0)
                json_array_append_new(permissions, open_json(&open[k]));
        }
        json = finding(region->name, &in);
        json_object_set_new(json, "permissions", permissions);
        add_row(&rows, in.id, json);
    }
    flush_rows(&rows, array);
}

typedef void (*question_fn)(const struct world *world,
                            const struct region *region, json_t *array);

static const struct {
    const char *name;
    question_fn answer;
} QUESTIONS[] = {
    {"count", count},
    {"owner", owner},
    {"exposure", exposure},
};

static int compare_names(const void *a, const void *b)
{
    const struct region *const *ra = a;
    const struct region *const *rb = b;

    return strcmp((*ra)->name, (*rb)->name);
}

/* The enabled regions by name; returns how many. */
static size_t all_regions(const struct world *world, const struct region **out)
{
    size_t n = 0;

    for (size_t i = 0; i < world->nregions; i++) {
        if (!world->regions[i].disabled)
            out[n++] = &world->regions[i];
    }
    qsort(out, n, sizeof(const struct region *), compare_names);
    return n;
}

static size_t asked_regions(const struct world *world, const char *list,
                            const struct region **out)
{
    size_t n = 0;

    while (*list && n < world->nregions) {
        size_t len = strcspn(list, ",");

        out[n] = world_region(world, list, len);
        if (!out[n]) {
            fprintf(stderr, "ec2sim: no region %.*s\n", (int)len, list);
            return 0;
        }
        n++;
        list += len + (list[len] == ',');
    }
    return n;
}

static bool print(json_t *array)
{
    bool ok = json_dumpf(array, stdout, JSON_COMPACT) == 0 &&
              putchar('\n') != EOF && fflush(stdout) == 0;

    json_decref(array);
    return ok;
}

bool answers_print(const struct world *world, const char *question,
                   const char *regions)
{
    const struct region **asked = must_calloc(world->nregions, sizeof(void *));
    size_t n = regions ? asked_regions(world, regions, asked)
                       : all_regions(world, asked);
    bool ok = false;

    for (size_t q = 0; q < sizeof(QUESTIONS) / sizeof(QUESTIONS[0]); q++) {
        json_t *array;

        if (strcmp(QUESTIONS[q].name, question) != 0)
            continue;
        array = json_array();
        for (size_t i = 0; i < n; i++)
            QUESTIONS[q].answer(world, asked[i], array);
        ok = print(array) && n > 0;
    }
    if (!ok)
        fprintf(stderr, "ec2sim: cannot answer %s\n", question);
    free(asked);
    return ok;
}
