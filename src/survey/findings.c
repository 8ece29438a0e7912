#include "survey/findings.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/hash.h"
#include "survey/label.h"
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
}

void findings_release(struct findings *f)
{
    free(f->counted);
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

/* Room for one more row, and for counting all of them without it. */
static enum err_code grow(struct findings *f, struct err *err)
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

/* Copies the instance's group ids, sorted, each once; false: no room. */
static bool copy_groups(struct findings *f, const struct ec2_instance *instance,
                        struct finding *row)
{
    size_t size = instance->ngroup_ids * sizeof(struct span);
    struct span *ids;
    size_t n = 0;

    if (size == 0)
        return true;
    ids = arena_alloc(&f->arena, size);
    if (!ids)
        return false;
    memcpy(ids, instance->group_ids, size);
    qsort(ids, instance->ngroup_ids, sizeof(*ids), compare_spans);
    for (size_t i = 0; i < instance->ngroup_ids; i++) {
        if (n && span_eq(ids[n - 1], ids[i]))
            continue;
        ids[n] = arena_copy(&f->arena, ids[i]);
        if (!ids[n++].p)
            return false;
    }
    row->group_ids = ids;
    row->ngroup_ids = n;
    return true;
}

static bool copy_row(struct findings *f, const struct ec2_instance *instance,
                     struct finding *row)
{
    const struct {
        struct span *to;
        struct span text;
        unsigned part; /* 0: always kept */
    } texts[] = {
        {&row->id, instance->id, 0},
        {&row->state, instance->state, 0},
        {&row->type, instance->type, 0},
        {&row->launch_time, instance->launch_time, 0},
        {&row->name, ec2_instance_tag(instance, "Name"), FINDINGS_NAMES},
        {&row->private_ip, ec2_instance_address(instance, EC2_PRIVATE_IP),
         FINDINGS_PRIVATE},
        {&row->public_ip, ec2_instance_address(instance, EC2_PUBLIC_IP),
         FINDINGS_PUBLIC},
        {&row->ipv6, ec2_instance_address(instance, EC2_IPV6), FINDINGS_PUBLIC},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].part && !(f->parts & texts[i].part))
            continue;
        *texts[i].to = label_copy(&f->arena, texts[i].text);
        if (!texts[i].to->p)
            return false;
    }
    return !(f->parts & FINDINGS_GROUPS) || copy_groups(f, instance, row);
}

enum err_code findings_add(struct findings *f,
                           const struct ec2_instance *instance, bool certain,
                           struct err *err)
{
    struct arena_mark mark = arena_mark(&f->arena);
    struct finding row = {0};
    enum err_code rc = grow(f, err);

    if (rc)
        return rc;
    if (!copy_row(f, instance, &row)) {
        rc = no_room(f, err);
        arena_rollback(&f->arena, mark);
        return rc;
    }
    if (certain && is_before(f, row.id)) {
        count(f, row.id, 0);
    } else if (certain && f->limit.p && span_cmp(row.id, f->limit) >= 0) {
        count(f, row.id, BEYOND);
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
                     bool (*keep)(const void *arg, const struct finding *row),
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
    return span_cmp(((const struct finding *)a)->id,
                    ((const struct finding *)b)->id);
}

static void sort_unique(struct findings *f)
{
    size_t n = 0;

    if (f->nrows)
        qsort(f->rows, f->nrows, sizeof(*f->rows), compare_rows);
    for (size_t i = 0; i < f->nrows; i++)
        if (n == 0 || !span_eq(f->rows[n - 1].id, f->rows[i].id))
            f->rows[n++] = f->rows[i];
    f->nrows = n;
}

/* What a row counts towards the limit: what it says, not how it is kept. */
static size_t row_bytes(const struct finding *row)
{
    size_t n = sizeof(*row) + row->id.len + row->name.len + row->state.len +
               row->type.len + row->launch_time.len + row->private_ip.len +
               row->public_ip.len + row->ipv6.len;

    for (size_t i = 0; i < row->ngroup_ids; i++)
        n += sizeof(row->group_ids[i]) + row->group_ids[i].len;
    return n;
}

/*
 * Keeps of the rows, in order of id, what is behind "after" and fits. A row
 * that belongs to the final answer fits among fewer rows all the more, so it
 * does not matter how often this was done before.
 */
static void settle(struct findings *f)
{
    size_t first = 0;
    size_t end;
    size_t bytes = 0;

    sort_unique(f);
    while (first < f->nrows && is_before(f, f->rows[first].id))
        count(f, f->rows[first++].id, 0);
    for (end = first; end < f->nrows; end++) {
        bytes += row_bytes(&f->rows[end]);
        if (bytes > f->options.limits.rows_max)
            break;
    }
    if (end < f->nrows)
        f->limit = f->rows[end].id;
    for (size_t i = end; i < f->nrows; i++)
        count(f, f->rows[i].id, BEYOND);
    f->nrows = end - first;
    if (first)
        memmove(f->rows, f->rows + first, f->nrows * sizeof(*f->rows));
}

static bool move_text(struct arena *to, struct span *text)
{
    if (text->p)
        *text = arena_copy(to, *text);
    else
        return true;
    return text->p != NULL;
}

static bool move_groups(struct arena *to, struct finding *row)
{
    struct span *ids;

    if (row->ngroup_ids == 0)
        return true;
    ids = arena_alloc(to, row->ngroup_ids * sizeof(*ids));
    if (!ids)
        return false;
    memcpy(ids, row->group_ids, row->ngroup_ids * sizeof(*ids));
    row->group_ids = ids;
    for (size_t i = 0; i < row->ngroup_ids; i++)
        if (!move_text(to, &ids[i]))
            return false;
    return true;
}

static bool move_row(struct arena *to, struct finding *row)
{
    return move_text(to, &row->id) && move_text(to, &row->name) &&
           move_text(to, &row->state) && move_text(to, &row->type) &&
           move_text(to, &row->launch_time) &&
           move_text(to, &row->private_ip) && move_text(to, &row->public_ip) &&
           move_text(to, &row->ipv6) && move_groups(to, row);
}

/* Moves what the rows say to an arena without gaps, if there is memory. */
static void compact(struct findings *f)
{
    struct arena arena = ARENA_INIT(f->arena.max);
    struct finding *rows = calloc(f->nrows + 1, sizeof(*rows));
    struct span limit = f->limit;
    bool ok = rows && move_text(&arena, &limit);

    if (ok && f->nrows)
        memcpy(rows, f->rows, f->nrows * sizeof(*rows));
    for (size_t i = 0; ok && i < f->nrows; i++)
        ok = move_row(&arena, &rows[i]);
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

json_t *findings_row_json(const struct findings *f,
                          const struct fold_row *which)
{
    const struct finding *row = &f->rows[which->i];
    const struct {
        const char *key;
        struct span text;
        bool full; /* only where all is told */
    } members[] = {
        {"instanceId", row->id, false},
        {"instanceName", row->name, false},
        {"state", row->state, false},
        {"instanceType", row->type, true},
        {"launchTime", row->launch_time, true},
        {"privateIp", row->private_ip, false},
        {"publicIp", row->public_ip, false},
        {"ipv6", row->ipv6, false},
    };
    json_t *object = json_pack("{s:s}", "region", which->region);

    for (size_t i = 0; object && i < sizeof(members) / sizeof(members[0]);
         i++) {
        struct span text = members[i].text;

        if (!text.p || (members[i].full && !which->full))
            continue;
        if (json_object_set_new(object, members[i].key,
                                json_stringn(text.p, text.len))) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

size_t findings_bytes(const struct findings *f)
{
    return arena_total(&f->arena) + f->nrows * sizeof(*f->rows);
}
