#include "survey/findings.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_text.h"
#include "survey/match.h"

/* The lowest bit of a counted hash tells why its instance has no row. */
#define BEYOND ((uint64_t)1)

void findings_init(struct findings *f, const struct fold_options *options,
                   unsigned parts)
{
    size_t max = options->limits.rows_max;

    *f = (struct findings){
        .arena = ARENA_INIT(max * 2 + FINDINGS_PAGE_MAX +
                            options->limits.pending_max),
        .options = *options,
        .parts = parts,
    };
    if (options->criteria->names_off)
        f->parts &= ~(unsigned)FINDINGS_NAMES;
    if (!options->criteria->brief)
        f->parts |= FINDINGS_DETAILS;
}

void findings_release(struct findings *f)
{
    free(f->counted);
    free(f->groups);
    free(f->rows);
    arena_release(&f->arena);
    *f = (struct findings){0};
}

static enum err_code no_room(const struct findings *f, struct err *err)
{
    if (arena_total(&f->arena) >= f->arena.max - FINDINGS_PAGE_MAX / 2)
        return err_set(err, ERR_LIMIT,
                       "findings: one page takes more than %zu bytes",
                       FINDINGS_PAGE_MAX);
    return err_nomem(err, "findings");
}

/* Room for one more row with so many groups, and for counting all rows. */
static enum err_code grow(struct findings *f, size_t ngroups, struct err *err)
{
    void *p;

    if (f->nrows == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;

        p = realloc(f->rows, cap * sizeof(*f->rows));
        if (!p)
            return err_nomem(err, "findings");
        f->rows = p;
        f->cap = cap;
    }
    if (f->ncounted + f->nrows >= f->counted_cap) {
        size_t cap = f->counted_cap ? f->counted_cap * 2 : 64;

        p = realloc(f->counted, cap * sizeof(*f->counted));
        if (!p)
            return err_nomem(err, "findings");
        f->counted = p;
        f->counted_cap = cap;
    }
    if (ngroups > f->groups_cap) {
        /* No overflow: the instance has them in such an array. */
        p = realloc(f->groups, ngroups * sizeof(*f->groups));
        if (!p)
            return err_nomem(err, "findings");
        f->groups = p;
        f->groups_cap = ngroups;
    }
    return ERR_OK;
}

/* Never fails: grow() made room. */
static void count(struct findings *f, struct span id, uint64_t why)
{
    f->counted[f->ncounted++] = (hash_of(id) & ~BEYOND) | why;
}

/* Whether an instance was told in an earlier part of the answer. */
static bool is_before(const struct findings *f, struct span id)
{
    return criteria_is_before(f->options.criteria, f->options.position, id);
}

static int compare_spans(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* The instance's group ids, sorted, each once, in f->groups: how many. */
static size_t sort_groups(struct findings *f,
                          const struct ec2_instance *instance)
{
    size_t n = 0;

    if (instance->ngroup_ids == 0)
        return 0;
    memcpy(f->groups, instance->group_ids,
           instance->ngroup_ids * sizeof(*f->groups));
    qsort(f->groups, instance->ngroup_ids, sizeof(*f->groups), compare_spans);
    for (size_t i = 0; i < instance->ngroup_ids; i++)
        if (n == 0 || !span_eq(f->groups[n - 1], f->groups[i]))
            f->groups[n++] = f->groups[i];
    return n;
}

/* The texts that findings with these parts have. */
static unsigned texts_of(unsigned parts)
{
    unsigned texts = FINDING_ALWAYS;

    if (parts & FINDINGS_DETAILS)
        texts |= 1U << FINDING_TYPE | 1U << FINDING_LAUNCH_TIME;
    if (parts & FINDINGS_NAMES)
        texts |= 1U << FINDING_NAME;
    if (parts & FINDINGS_PRIVATE)
        texts |= 1U << FINDING_PRIVATE_IP;
    if (parts & FINDINGS_PUBLIC)
        texts |= 1U << FINDING_PUBLIC_IP | 1U << FINDING_IPV6;
    return texts;
}

static struct span id_of(const struct finding *row)
{
    return finding_text(row, FINDING_ID);
}

enum err_code findings_add(struct findings *f,
                           const struct ec2_instance *instance, bool certain,
                           struct err *err)
{
    struct arena_mark mark = arena_mark(&f->arena);
    bool groups = f->parts & FINDINGS_GROUPS;
    struct finding row;
    enum err_code rc = grow(f, groups ? instance->ngroup_ids : 0, err);

    if (rc)
        return rc;
    if (!finding_pack(&f->arena, instance, texts_of(f->parts), f->groups,
                      groups ? sort_groups(f, instance) : 0, &row))
        return no_room(f, err);
    if (certain && is_before(f, id_of(&row))) {
        count(f, id_of(&row), 0);
    } else if (certain && f->limit.p && span_cmp(id_of(&row), f->limit) >= 0) {
        count(f, id_of(&row), BEYOND);
    } else {
        f->rows[f->nrows++] = row;
        return ERR_OK;
    }
    arena_rollback(&f->arena, mark);
    return ERR_OK;
}

static struct findings_mark mark_now(const struct findings *f)
{
    return (struct findings_mark){arena_mark(&f->arena), f->nrows, f->ncounted};
}

static void roll_back_to(struct findings *f, struct findings_mark mark)
{
    arena_rollback(&f->arena, mark.arena);
    f->nrows = mark.nrows;
    f->ncounted = mark.ncounted;
}

void findings_begin(struct findings *f)
{
    f->begun = mark_now(f);
    f->committed = f->begun;
    f->trimmed = false;
}

void findings_commit(struct findings *f)
{
    f->committed = mark_now(f);
}

void findings_rollback(struct findings *f)
{
    roll_back_to(f, f->committed);
}

void findings_restart(struct findings *f)
{
    if (f->trimmed && f->begun.nrows == 0 && f->begun.ncounted == 0) {
        /* All there is came of this listing. */
        findings_reset(f);
        return;
    }
    if (!f->trimmed)
        f->committed = f->begun;
    roll_back_to(f, f->committed);
}

void findings_reset(struct findings *f)
{
    f->begun = (struct findings_mark){0};
    f->committed = f->begun;
    f->trimmed = false;
    f->limit = (struct span){NULL, 0};
    roll_back_to(f, f->begun);
}

void findings_filter(struct findings *f,
                     bool (*keep)(const void *arg, struct finding *row),
                     const void *arg)
{
    size_t n = 0;

    for (size_t i = 0; i < f->nrows; i++)
        if (keep(arg, &f->rows[i]))
            f->rows[n++] = f->rows[i];
    f->nrows = n;
    f->committed.nrows = n;
}

static int compare_rows(const void *a, const void *b)
{
    return finding_compare(a, b);
}

static void sort_unique(struct findings *f)
{
    size_t n = 0;

    if (f->nrows)
        qsort(f->rows, f->nrows, sizeof(*f->rows), compare_rows);
    for (size_t i = 0; i < f->nrows; i++)
        if (n == 0 || compare_rows(&f->rows[n - 1], &f->rows[i]) != 0)
            f->rows[n++] = f->rows[i];
    f->nrows = n;
}

/*
 * Keeps of the rows, in order of id, what is behind "after" and fits. A row
 * that belongs to the final answer fits among fewer rows all the more, so it
 * does not matter how often this was done before.
 */
static void settle(struct findings *f)
{
    size_t rows_max = f->options.limits.rows_max;
    size_t first = 0;
    size_t end;
    size_t bytes = 0;

    sort_unique(f);
    while (first < f->nrows && is_before(f, id_of(&f->rows[first])))
        count(f, id_of(&f->rows[first++]), 0);
    for (end = first; end < f->nrows; end++) {
        /* What it says, not how it is kept. */
        bytes += sizeof(f->rows[end]) + finding_size(&f->rows[end]);
        /* One row always, or there would be no place to go on from. */
        if (bytes > rows_max && (end > first || rows_max == 0))
            break;
    }
    if (end < f->nrows)
        f->limit = id_of(&f->rows[end]);
    for (size_t i = end; i < f->nrows; i++)
        count(f, id_of(&f->rows[i]), BEYOND);
    f->nrows = end - first;
    if (first)
        memmove(f->rows, f->rows + first, f->nrows * sizeof(*f->rows));
}

/* Moves what the rows say to an arena without gaps, if there is memory. */
static void compact(struct findings *f)
{
    struct arena arena = ARENA_INIT(f->arena.max);
    struct finding *rows = calloc(f->nrows + 1, sizeof(*rows));
    struct span limit = f->limit;
    bool ok = rows != NULL;

    if (ok && limit.p) {
        limit = arena_copy(&arena, limit);
        ok = limit.p != NULL;
    }
    if (ok && f->nrows)
        memcpy(rows, f->rows, f->nrows * sizeof(*rows));
    for (size_t i = 0; ok && i < f->nrows; i++)
        ok = finding_move(&arena, &rows[i]);
    if (ok) {
        arena_release(&f->arena);
        free(f->rows);
        f->arena = arena;
        f->rows = rows;
        f->cap = f->nrows + 1;
        f->limit = limit;
    } else {
        arena_release(&arena);
        free(rows);
    }
}

bool findings_are_over(const struct findings *f)
{
    return findings_bytes(f) > f->options.limits.rows_max * 2;
}

void findings_trim(struct findings *f)
{
    settle(f);
    compact(f);
    f->trimmed = true;
    f->committed = mark_now(f);
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void findings_end(struct findings *f)
{
    settle(f);
    f->tally = (struct fold_tally){.nrows = f->nrows};
    if (f->ncounted)
        qsort(f->counted, f->ncounted, sizeof(*f->counted), compare_hashes);
    for (size_t i = 0; i < f->ncounted; i++) {
        if (i && f->counted[i] == f->counted[i - 1])
            continue;
        if (f->counted[i] & BEYOND)
            f->tally.nbeyond++;
        else
            f->tally.nbefore++;
    }
}

struct fold_tally findings_tally(const struct findings *f)
{
    return f->tally;
}

struct span findings_begin_row(const struct findings *f,
                               const struct fold_row *which, struct buf *out)
{
    static const struct {
        const char *name;
        enum finding_field text;
        bool full; /* only where all is told */
    } MEMBERS[] = {
        {"instanceId", FINDING_ID, false},
        {"instanceName", FINDING_NAME, false},
        {"state", FINDING_STATE, false},
        {"instanceType", FINDING_TYPE, true},
        {"launchTime", FINDING_LAUNCH_TIME, true},
        {"privateIp", FINDING_PRIVATE_IP, false},
        {"publicIp", FINDING_PUBLIC_IP, false},
        {"ipv6", FINDING_IPV6, false},
    };
    const struct finding *row = &f->rows[which->i];

    buf_add_char(out, '{');
    json_text_member(out, "region", span_of(which->region));
    for (size_t i = 0; i < sizeof(MEMBERS) / sizeof(MEMBERS[0]); i++) {
        struct span text = finding_text(row, MEMBERS[i].text);

        if (text.p && (which->full || !MEMBERS[i].full))
            json_text_member(out, MEMBERS[i].name, text);
    }
    return id_of(row);
}

size_t findings_bytes(const struct findings *f)
{
    return arena_total(&f->arena) + f->nrows * sizeof(*f->rows);
}
