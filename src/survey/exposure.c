/*
 * exposure.c - instances in a security group that lets the whole internet in.
 *
 * Instances and groups are listed at the same time. Instances that come
 * before all groups are known wait as compact candidates. When these take
 * more than pending_max bytes they are dropped, and once the groups are known
 * the instances are listed again, only those in an open group. The filter is
 * used from the start only where a region was seen to be large: in any other
 * it would cost round trips.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "survey/findings.h"
#include "survey/fold.h"
#include "survey/label.h"
#include "survey/match.h"
#include "survey/ports.h"

/* Most bytes of open groups and their permissions in one region. */
#define GROUPS_MAX ((size_t)16 * 1024 * 1024)

/*
 * Together they find an instance by any of its groups: those of each network
 * interface, and its own list, which also one without interfaces may have
 * (EC2 API reference, DescribeInstances, "Filters"). Filters are ANDed, so
 * each needs a listing; who comes in both is told once.
 */
static const char *const FILTERS[] = {"network-interface.group-id",
                                      "instance.group-id"};
#define NFILTERS (sizeof(FILTERS) / sizeof(FILTERS[0]))

/* One rule with one range that is the whole internet. */
struct opening {
    struct ec2_permission rule; /* its protocol is in the arena */
    struct span cidr;
};

struct open_group {
    struct span id;
    struct span name;
    const struct opening *openings; /* sorted, each once */
    size_t nopenings;
};

struct exposure_state {
    const struct criteria *criteria;
    size_t pending_max;
    struct findings findings;
    bool dropped;    /* the candidates took too much room */
    size_t nfilters; /* of FILTERS, still to be asked with */

    struct arena arena; /* what groups points at */
    struct open_group *groups;
    size_t ngroups;
    size_t cap;
    struct arena_mark arena_committed;
    size_t ngroups_committed;
    bool groups_known;

    const char **filter_values; /* ids of groups, for the follow-up */
};

static void drop_candidates(struct exposure_state *s)
{
    s->dropped = true;
    s->nfilters = NFILTERS;
    findings_reset(&s->findings);
}

/*
 * Whether the region was seen to be so large that asking thrice, for the groups
 * and by each filter, is less than its pages; and, where it is known how many
 * instances that brings, that these are no more than half of all.
 */
static bool pays_by_group(const struct fold_options *options)
{
    return options->limits.by_group_min > 0 &&
           options->ninstances >= options->limits.by_group_min &&
           options->nfollowed <= options->ninstances / 2;
}

static enum err_code exposure_begin(const struct fold_options *options,
                                    void **state, struct err *err)
{
    struct exposure_state *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, "exposure");
    s->criteria = options->criteria;
    s->pending_max = options->limits.pending_max;
    findings_init(&s->findings, options,
                  FINDINGS_NAMES | FINDINGS_PUBLIC | FINDINGS_GROUPS);
    s->arena = (struct arena)ARENA_INIT(GROUPS_MAX);
    if (pays_by_group(options))
        drop_candidates(s);
    *state = s;
    return ERR_OK;
}

static void exposure_free(void *state)
{
    struct exposure_state *s = state;

    if (!s)
        return;
    free(s->filter_values);
    free(s->groups);
    arena_release(&s->arena);
    findings_release(&s->findings);
    free(s);
}

static bool is_whole_internet(struct span cidr)
{
    return span_eq(cidr, SPAN_LIT("0.0.0.0/0")) ||
           span_eq(cidr, SPAN_LIT("::/0"));
}

static int compare_numbers(int32_t a, int32_t b)
{
    return (a > b) - (a < b);
}

static int compare_openings(const void *a, const void *b)
{
    const struct opening *x = a;
    const struct opening *y = b;
    int order = span_cmp(x->rule.protocol, y->rule.protocol);

    if (!order)
        order = compare_numbers(x->rule.from_port, y->rule.from_port);
    if (!order)
        order = compare_numbers(x->rule.to_port, y->rule.to_port);
    return order ? order : span_cmp(x->cidr, y->cidr);
}

static size_t count_openings(const struct exposure_state *s,
                             const struct ec2_group *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->npermissions; i++) {
        const struct ec2_permission *p = &group->permissions[i];

        for (size_t k = 0; k < p->ncidrs && criteria_covers(s->criteria, p);
             k++)
            n += is_whole_internet(group->cidrs[p->first_cidr + k]);
    }
    return n;
}

/* Copies the openings of one rule to the end of out[n]; false: no room. */
static bool copy_openings(struct exposure_state *s,
                          const struct ec2_group *group,
                          const struct ec2_permission *p, struct opening *out,
                          size_t *n)
{
    for (size_t k = 0; k < p->ncidrs; k++) {
        struct span cidr = group->cidrs[p->first_cidr + k];
        struct opening *o = &out[*n];

        if (!is_whole_internet(cidr))
            continue;
        o->rule = *p;
        o->rule.protocol = arena_copy(&s->arena, p->protocol);
        o->cidr = arena_copy(&s->arena, cidr);
        if (!o->rule.protocol.p || !o->cidr.p)
            return false;
        (*n)++;
    }
    return true;
}

/* The group's openings, sorted and each once; NULL: no room. */
static struct opening *new_openings(struct exposure_state *s,
                                    const struct ec2_group *group, size_t max,
                                    size_t *n)
{
    struct opening *all = arena_alloc(&s->arena, max * sizeof(*all));
    size_t ncopied = 0;

    if (!all)
        return NULL;
    for (size_t i = 0; i < group->npermissions; i++)
        if (criteria_covers(s->criteria, &group->permissions[i]) &&
            !copy_openings(s, group, &group->permissions[i], all, &ncopied))
            return NULL;
    qsort(all, ncopied, sizeof(*all), compare_openings);
    *n = 0;
    for (size_t i = 0; i < ncopied; i++)
        if (*n == 0 || compare_openings(&all[*n - 1], &all[i]) != 0)
            all[(*n)++] = all[i];
    return all;
}

static enum err_code no_room(const struct exposure_state *s, struct err *err)
{
    if (arena_total(&s->arena) > GROUPS_MAX / 2)
        return err_set(err, ERR_LIMIT,
                       "exposure: open groups take more than %zu bytes",
                       GROUPS_MAX);
    return err_nomem(err, "exposure");
}

static enum err_code grow_groups(struct exposure_state *s, struct err *err)
{
    size_t cap = s->cap ? s->cap * 2 : 16;
    struct open_group *groups;

    if (s->ngroups < s->cap)
        return ERR_OK;
    groups = realloc(s->groups, cap * sizeof(*groups));
    if (!groups)
        return err_nomem(err, "exposure");
    s->groups = groups;
    s->cap = cap;
    return ERR_OK;
}

static enum err_code exposure_group(void *state, const struct ec2_group *group,
                                    struct err *err)
{
    struct exposure_state *s = state;
    struct open_group open = {0};
    size_t max = count_openings(s, group);
    enum err_code rc;

    if (max == 0)
        return ERR_OK;
    rc = grow_groups(s, err);
    if (rc)
        return rc;
    open.id = arena_copy(&s->arena, group->id);
    open.name = label_copy(&s->arena, group->name);
    open.openings = new_openings(s, group, max, &open.nopenings);
    if (!open.id.p || !open.name.p || !open.openings)
        return no_room(s, err);
    s->groups[s->ngroups++] = open;
    return ERR_OK;
}

static int compare_groups(const void *a, const void *b)
{
    return span_cmp(((const struct open_group *)a)->id,
                    ((const struct open_group *)b)->id);
}

/* All groups are known: by id, one of those that pages gave twice. */
static void finish_groups(struct exposure_state *s)
{
    size_t n = 0;

    if (s->ngroups)
        qsort(s->groups, s->ngroups, sizeof(*s->groups), compare_groups);
    for (size_t i = 0; i < s->ngroups; i++)
        if (n == 0 || compare_groups(&s->groups[n - 1], &s->groups[i]) != 0)
            s->groups[n++] = s->groups[i];
    s->ngroups = n;
    s->groups_known = true;
}

static const struct open_group *find_group(const struct exposure_state *s,
                                           struct span id)
{
    const struct open_group key = {.id = id};

    if (s->ngroups == 0)
        return NULL;
    return bsearch(&key, s->groups, s->ngroups, sizeof(key), compare_groups);
}

static bool any_open(const struct exposure_state *s, const struct span *ids,
                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (find_group(s, ids[i]))
            return true;
    return false;
}

static enum err_code exposure_instance(void *state,
                                       const struct ec2_instance *instance,
                                       struct err *err)
{
    struct exposure_state *s = state;
    enum err_code rc;

    if (s->dropped || !criteria_wants_state(s->criteria, instance->state))
        return ERR_OK;
    if (s->groups_known &&
        !any_open(s, instance->group_ids, instance->ngroup_ids))
        return ERR_OK;
    rc = findings_add(&s->findings, instance, s->groups_known, err);
    if (!rc && !s->groups_known &&
        findings_bytes(&s->findings) > s->pending_max)
        drop_candidates(s);
    return rc;
}

static void groups_event(struct exposure_state *s, enum fold_event event)
{
    switch (event) {
    case FOLD_LISTING_BEGIN:
        break;
    case FOLD_PAGE_COMMIT:
        s->arena_committed = arena_mark(&s->arena);
        s->ngroups_committed = s->ngroups;
        break;
    case FOLD_LISTING_RESTART:
        s->arena_committed = (struct arena_mark){0};
        s->ngroups_committed = 0;
        arena_rollback(&s->arena, s->arena_committed);
        s->ngroups = s->ngroups_committed;
        break;
    case FOLD_PAGE_ROLLBACK:
        arena_rollback(&s->arena, s->arena_committed);
        s->ngroups = s->ngroups_committed;
        break;
    case FOLD_LISTING_END:
        finish_groups(s);
        break;
    }
}

static bool is_open(const void *state, struct span id)
{
    return find_group(state, id) != NULL;
}

/* Closed groups are not told, so they take no room among the rows either. */
static bool is_exposed(const void *state, struct finding *row)
{
    finding_filter_groups(row, is_open, state);
    return row->ngroup_ids > 0;
}

/* Before the groups are known pending_max is the limit, see above. */
static void keep_to_limit(struct exposure_state *s)
{
    if (!s->groups_known || !findings_are_over(&s->findings))
        return;
    findings_filter(&s->findings, is_exposed, s);
    findings_trim(&s->findings);
}

static void instances_event(struct exposure_state *s, enum fold_event event)
{
    switch (event) {
    case FOLD_LISTING_BEGIN:
        s->dropped = false;
        findings_begin(&s->findings);
        break;
    case FOLD_PAGE_COMMIT:
        findings_commit(&s->findings);
        keep_to_limit(s);
        break;
    case FOLD_LISTING_RESTART:
        /* The listing has a second chance, so no follow-up is due. */
        if (s->dropped)
            s->nfilters = 0;
        s->dropped = false;
        findings_restart(&s->findings);
        break;
    case FOLD_PAGE_ROLLBACK:
        findings_rollback(&s->findings);
        break;
    case FOLD_LISTING_END:
        break;
    }
}

static void exposure_event(void *state, enum fold_listing listing,
                           enum fold_event event)
{
    struct exposure_state *s = state;

    if (listing == FOLD_GROUPS) {
        groups_event(s, event);
        return;
    }
    /* They are listed, if only for another fold: no follow-up is due. */
    if (listing == FOLD_INSTANCES && event == FOLD_LISTING_BEGIN)
        s->nfilters = 0;
    instances_event(s, event);
}

/* Pages of instances are of no use once they were dropped, or when it is
 * known that no group is open. */
static bool exposure_wants_more(const void *state, enum fold_listing listing)
{
    const struct exposure_state *s = state;

    return listing == FOLD_GROUPS ||
           (!s->dropped && !(s->groups_known && s->ngroups == 0));
}

static size_t count_found(const struct exposure_state *s)
{
    struct fold_tally tally = findings_tally(&s->findings);

    return tally.nrows + tally.nbefore + tally.nbeyond;
}

static enum err_code exposure_end(void *state, struct fold_follow_up *out,
                                  struct err *err)
{
    struct exposure_state *s = state;

    if (s->nfilters == 0 || s->ngroups == 0) {
        findings_filter(&s->findings, is_exposed, s);
        findings_end(&s->findings);
        out->nspared = count_found(s) * NFILTERS + 1;
        return ERR_OK;
    }
    free(s->filter_values);
    s->filter_values = calloc(s->ngroups, sizeof(*s->filter_values));
    if (!s->filter_values)
        return err_nomem(err, "exposure");
    for (size_t i = 0; i < s->ngroups; i++)
        s->filter_values[i] = s->groups[i].id.p;
    *out = (struct fold_follow_up){
        .filter = FILTERS[NFILTERS - s->nfilters--],
        .values = s->filter_values,
        .nvalues = s->ngroups,
    };
    return ERR_OK;
}

static struct fold_tally exposure_tally(const void *state)
{
    return findings_tally(&((const struct exposure_state *)state)->findings);
}

/* The group's name is left out where names are. */
static void add_opening(const struct exposure_state *s,
                        const struct open_group *group, const struct opening *o,
                        struct buf *out)
{
    char ports[PORTS_TEXT_MAX + 1];

    ports_describe(&o->rule, ports);
    buf_add_char(out, '{');
    json_text_member(out, "ipProtocol", o->rule.protocol);
    json_text_int(out, "fromPort", o->rule.from_port);
    json_text_int(out, "toPort", o->rule.to_port);
    if (!s->criteria->names_off)
        json_text_member(out, "allowFrom", group->name);
    json_text_member(out, "groupId", group->id);
    json_text_member(out, "cidr", o->cidr);
    json_text_member(out, "ports", span_of(ports));
    buf_add_char(out, '}');
}

static struct span exposure_row(const void *state, const struct fold_row *which,
                                struct buf *out)
{
    const struct exposure_state *s = state;
    struct finding_groups groups = finding_groups(&s->findings.rows[which->i]);
    struct span instance = findings_begin_row(&s->findings, which, out);
    struct span id;
    size_t n = 0;

    json_text_key(out, "permissions");
    buf_add_char(out, '[');
    /* Both lists are sorted by group, so the result is too. */
    while (finding_groups_next(&groups, &id)) {
        const struct open_group *group = find_group(s, id);

        for (size_t i = 0; group && i < group->nopenings; i++, n++) {
            if (n >= which->list_max)
                continue;
            if (n)
                buf_add_char(out, ',');
            add_opening(s, group, &group->openings[i], out);
        }
    }
    buf_add_char(out, ']');
    if (n > which->list_max)
        json_text_int(out, "permissionsOmitted",
                      (int64_t)(n - which->list_max));
    buf_add_char(out, '}');
    return instance;
}

const struct fold FOLD_EXPOSURE = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES) | FOLD_NEEDS(FOLD_GROUPS),
    .region_begin = exposure_begin,
    .region_free = exposure_free,
    .instance = exposure_instance,
    .group = exposure_group,
    .event = exposure_event,
    .wants_more = exposure_wants_more,
    .region_end = exposure_end,
    .tally = exposure_tally,
    .row = exposure_row,
};
