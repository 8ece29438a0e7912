/*
 * answers.c - the right answers to the questions, without XML.
 */
#include "answers.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

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

/* What an answer is made for: one region after another. */
struct scene {
    const struct world *world;
    const struct answers_ask *ask;
    const struct region *region;
    json_t *array;
    json_t *totals; /* over all regions; NULL: not wanted */
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

/* A name as an answer tells it: in 128 characters, of which all are seen. The
 * fleet's longest name is plain ASCII. */
static const char *told_name(const struct fleet_instance *in, char out[160])
{
    const char *name = name_of(in);

    if (strcmp(name, FLEET_TRICKY_NAME) == 0)
        return "payroll";
    if (strlen(name) <= 128)
        return name;
    snprintf(out, 160, "%.127s\u2026", name);
    return out;
}

/* Whether text fits a pattern with '*', letter case apart; by recursion. */
static bool fits(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return fits(pattern + 1, text) || (*text && fits(pattern, text + 1));
    if (*text == '\0')
        return *pattern == '\0';
    return tolower((unsigned char)*pattern) == tolower((unsigned char)*text) &&
           fits(pattern + 1, text + 1);
}

/* A tag "KEY" or "KEY=PATTERN". */
static bool has_tag(const struct fleet_instance *in, const char *tag)
{
    size_t len = strcspn(tag, "=");

    for (size_t i = 0; i < in->ntags; i++) {
        const char *key = in->tags[i].key;

        if (strlen(key) == len && strncasecmp(key, tag, len) == 0 &&
            *in->tags[i].value &&
            (!tag[len] || fits(tag + len + 1, in->tags[i].value)))
            return true;
    }
    return false;
}

/* Whether the comma list has the word. */
static bool is_in_list(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list) {
        size_t part = strcspn(list, ",");

        if (part == len && strncmp(list, word, len) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

/* The first public address, that of the primary interface first. */
static const char *public_ip_of(const struct fleet_instance *in)
{
    for (size_t i = 0; i < in->nnics && in->state != FLEET_STOPPED; i++) {
        if (*in->nics[i].public_ip)
            return in->nics[i].public_ip;
    }
    return "";
}

static const char *ipv6_of(const struct fleet_instance *in)
{
    for (size_t i = 0; i < in->nnics; i++) {
        if (*in->nics[i].ipv6)
            return in->nics[i].ipv6;
    }
    return "";
}

static void set_text(json_t *json, const char *key, const char *value)
{
    json_object_set_new(json, key, json_string(value));
}

/* full: with the fields that only the object form of an answer has. */
static json_t *finding(const char *region, const struct fleet_instance *in,
                       bool full)
{
    char name[160];
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s}", "region", region, "instanceId",
                  in->id, "instanceName", told_name(in, name), "state",
                  fleet_state_name(in->state));
    time_t launched = (time_t)in->launched;
    struct tm tm;
    char text[40] = "";

    if (!full)
        return json;
    if (gmtime_r(&launched, &tm))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    set_text(json, "instanceType", in->type);
    set_text(json, "launchTime", text);
    return json;
}

/* Whether the program is told of it, and is to tell of it. */
static bool is_wanted(const struct scene *s, const struct fleet_instance *in)
{
    if (in->managed && s->world->hide_managed && !s->ask->with_managed)
        return false;
    return !s->ask->states ||
           is_in_list(s->ask->states, fleet_state_name(in->state));
}

static void count(struct scene *s)
{
    struct fleet_instance in;
    json_int_t total = 0;
    json_int_t running = 0;

    for (uint32_t i = 0; i < s->region->instances; i++) {
        fleet_instance(&s->world->fleet, s->region->name, i, &in);
        if (!is_wanted(s, &in))
            continue;
        total++;
        running += in.state == FLEET_RUNNING;
    }
    json_array_append_new(s->array,
                          json_pack("{s:s, s:I, s:I}", "region",
                                    s->region->name, "totalInstances", total,
                                    "runningInstances", running));
}

static void owner(struct scene *s)
{
    const char *tag = s->ask->tag ? s->ask->tag : "Owner";
    struct rows rows = {0};
    struct fleet_instance in;

    for (uint32_t i = 0; i < s->region->instances; i++) {
        fleet_instance(&s->world->fleet, s->region->name, i, &in);
        if (is_wanted(s, &in) && !has_tag(&in, tag))
            add_row(&rows, in.id, finding(s->region->name, &in, s->ask->full));
    }
    flush_rows(&rows, s->array);
}

static bool is_address(const char *address, const char *query)
{
    unsigned char a[16];
    unsigned char b[16];

    if (*address && fits(query, address))
        return true;
    return inet_pton(AF_INET6, address, a) == 1 &&
           inet_pton(AF_INET6, query, b) == 1 && memcmp(a, b, 16) == 0;
}

static bool is_meant(const struct fleet_instance *in, const char *query)
{
    bool meant = fits(query, in->id) || fits(query, name_of(in)) ||
                 is_address(in->private_ip, query) ||
                 is_address(in->public_ip, query);

    for (size_t i = 0; i < in->nnics; i++) {
        const struct fleet_nic *nic = &in->nics[i];

        meant =
            meant || is_address(nic->private_ip, query) ||
            is_address(nic->ipv6, query) ||
            (in->state != FLEET_STOPPED && is_address(nic->public_ip, query));
    }
    return meant;
}

static void find(struct scene *s)
{
    const char *query = s->ask->query ? s->ask->query : "";
    struct rows rows = {0};
    struct fleet_instance in;

    for (uint32_t i = 0; i < s->region->instances; i++) {
        json_t *json;

        fleet_instance(&s->world->fleet, s->region->name, i, &in);
        if (!is_wanted(s, &in) || !is_meant(&in, query))
            continue;
        json = finding(s->region->name, &in, true);
        set_text(json, "privateIp", in.private_ip);
        set_text(json, "publicIp", public_ip_of(&in));
        set_text(json, "ipv6", ipv6_of(&in));
        add_row(&rows, in.id, json);
    }
    flush_rows(&rows, s->array);
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

/* Whether a rule lets in what "22", "443/tcp", "8000-8080" or "icmp" means. */
static bool covers(const struct fleet_perm *perm, const char *port)
{
    char protocol[8] = "";
    int from = 0;
    int to = 65535;

    if (!port || strcmp(perm->protocol, "-1") == 0)
        return true;
    if (strncmp(port, "icmp", 4) == 0)
        return strncmp(perm->protocol, port, strlen(port)) == 0;
    if (sscanf(port, "%d-%d/%7s", &from, &to, protocol) < 2) {
        sscanf(port, "%d/%7s", &from, protocol);
        to = from;
    }
    if (*protocol ? strcmp(perm->protocol, protocol) != 0
                  : strcmp(perm->protocol, "tcp") != 0 &&
                        strcmp(perm->protocol, "udp") != 0)
        return false;
    return perm->from <= to && from <= perm->to;
}

static size_t add_open(const struct scene *s, const struct fleet_group *group,
                       struct open_perm *out, size_t n)
{
    for (size_t i = 0; i < group->nperms; i++) {
        const struct fleet_perm *perm = group->perms[i];
        const char *cidrs[] = {find_range(perm->v4, "0.0.0.0/0"),
                               find_range(perm->v6, "::/0")};

        for (size_t k = 0; k < 2; k++) {
            if (!cidrs[k] || n == OPEN_MAX || !covers(perm, s->ask->port))
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
static size_t collect_open(const struct scene *s,
                           const struct fleet_instance *in,
                           struct open_perm *out)
{
    const struct fleet *fleet = &s->world->fleet;
    const char *region = s->region->name;
    struct fleet_group group;
    size_t n = 0;

    for (size_t g = 0; g < in->ngroups; g++) {
        fleet_group(fleet, region, in->groups[g], &group);
        n = add_open(s, &group, out, n);
    }
    for (size_t i = 0; i < in->nnics; i++) {
        for (size_t g = 0; g < in->nics[i].ngroups; g++) {
            fleet_group(fleet, region, in->nics[i].groups[g], &group);
            n = add_open(s, &group, out, n);
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

static json_t *exposed_row(const struct scene *s,
                           const struct fleet_instance *in,
                           const struct open_perm *open, size_t n)
{
    json_t *json = finding(s->region->name, in, s->ask->full);
    json_t *permissions = json_array();

    for (size_t k = 0; k < n; k++) {
        if (k == 0 || compare_perms(&open[k - 1], &open[k]) != 0)
            json_array_append_new(permissions, open_json(&open[k]));
    }
    set_text(json, "publicIp", public_ip_of(in));
    set_text(json, "ipv6", ipv6_of(in));
    json_object_set_new(json, "permissions", permissions);
    return json;
}

static void exposure(struct scene *s)
{
    struct open_perm open[OPEN_MAX];
    struct rows rows = {0};
    struct fleet_instance in;

    for (uint32_t i = 0; i < s->region->instances; i++) {
        size_t n;

        fleet_instance(&s->world->fleet, s->region->name, i, &in);
        n = is_wanted(s, &in) ? collect_open(s, &in, open) : 0;
        if (n == 0)
            continue;
        qsort(open, n, sizeof(open[0]), compare_perms);
        add_row(&rows, in.id, exposed_row(s, &in, open, n));
    }
    flush_rows(&rows, s->array);
}

static void add_to(json_t *object, const char *key, json_int_t n)
{
    json_int_t have = json_integer_value(json_object_get(object, key));

    json_object_set_new(object, key, json_integer(have + n));
}

/* Sums; byType has all types, which the test cuts to the most frequent. */
static void summary(struct scene *s)
{
    struct open_perm open[OPEN_MAX];
    struct fleet_instance in;

    if (!s->totals)
        s->totals =
            json_pack("{s:i, s:i, s:{}, s:{}, s:i, s:i}", "totalInstances", 0,
                      "runningInstances", 0, "byState", "byType",
                      "withoutOwner", 0, "exposed", 0);
    for (uint32_t i = 0; i < s->region->instances; i++) {
        fleet_instance(&s->world->fleet, s->region->name, i, &in);
        if (!is_wanted(s, &in))
            continue;
        add_to(s->totals, "totalInstances", 1);
        add_to(s->totals, "runningInstances", in.state == FLEET_RUNNING);
        add_to(json_object_get(s->totals, "byState"),
               fleet_state_name(in.state), 1);
        add_to(json_object_get(s->totals, "byType"), in.type, 1);
        add_to(s->totals, "withoutOwner", !has_tag(&in, "Owner"));
        add_to(s->totals, "exposed", collect_open(s, &in, open) > 0);
    }
}

static const struct {
    const char *name;
    void (*answer)(struct scene *s);
} QUESTIONS[] = {
    {"count", count},     {"owner", owner}, {"exposure", exposure},
    {"summary", summary}, {"find", find},
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
                   const struct answers_ask *ask)
{
    const struct region **asked = must_calloc(world->nregions, sizeof(void *));
    size_t n = ask->regions ? asked_regions(world, ask->regions, asked)
                            : all_regions(world, asked);
    bool ok = false;

    for (size_t q = 0; q < sizeof(QUESTIONS) / sizeof(QUESTIONS[0]); q++) {
        struct scene s = {.world = world, .ask = ask};

        if (strcmp(QUESTIONS[q].name, question) != 0)
            continue;
        s.array = json_array();
        for (size_t i = 0; i < n; i++) {
            s.region = asked[i];
            QUESTIONS[q].answer(&s);
        }
        if (s.totals)
            json_array_append_new(s.array, s.totals);
        ok = print(s.array) && n > 0;
    }
    if (!ok)
        fprintf(stderr, "ec2sim: cannot answer %s\n", question);
    free(asked);
    return ok;
}
