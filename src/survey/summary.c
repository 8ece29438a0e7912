#include "survey/summary.h"

#include <stdlib.h>

#include <jansson.h>

#include "aws/failure.h"
#include "survey/kinds.h"

/* Folds in the order of the question's table. */
enum {
    KINDS,
    OWNER,
    EXPOSURE
};

/* Entries of all regions together; names are the regions'. */
struct sums {
    struct kinds_entry *entries;
    size_t n;
    size_t cap;
};

static enum err_code add_one(struct sums *sums, const struct kinds_entry *entry,
                             struct err *err)
{
    size_t cap = sums->cap ? sums->cap * 2 : 64;
    struct kinds_entry *entries = sums->entries;

    for (size_t i = 0; i < sums->n; i++) {
        if (!span_eq(entries[i].name, entry->name))
            continue;
        entries[i].n += entry->n;
        return ERR_OK;
    }
    if (sums->n == sums->cap) {
        entries = realloc(sums->entries, cap * sizeof(*entries));
        if (!entries)
            return err_nomem(err, "summary");
        sums->entries = entries;
        sums->cap = cap;
    }
    sums->entries[sums->n++] = *entry;
    return ERR_OK;
}

static enum err_code add_all(struct sums *sums,
                             const struct kinds_entry *entries, size_t n,
                             struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        enum err_code rc =
            entries[i].n ? add_one(sums, &entries[i], err) : ERR_OK;

        if (rc)
            return rc;
    }
    return ERR_OK;
}

static size_t total_of(struct fold_tally tally)
{
    return tally.nrows + tally.nbefore + tally.nbeyond;
}

/* What the row is made of. */
struct totals {
    struct sums states;
    struct sums types;
    size_t nwithout_owner;
    size_t nexposed;
};

static enum err_code
add_region(struct totals *t, const struct sweep_region *region, struct err *err)
{
    size_t n;
    const struct kinds_entry *entries = kinds_states(region->states[KINDS], &n);
    enum err_code rc = add_all(&t->states, entries, n, err);

    if (rc)
        return rc;
    entries = kinds_types(region->states[KINDS], &n);
    t->nwithout_owner += total_of(FOLD_OWNER.tally(region->states[OWNER]));
    t->nexposed += total_of(FOLD_EXPOSURE.tally(region->states[EXPOSURE]));
    return add_all(&t->types, entries, n, err);
}

/* The most frequent first, then by name. */
static int compare_entries(const void *a, const void *b)
{
    const struct kinds_entry *x = a;
    const struct kinds_entry *y = b;

    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return span_cmp(x->name, y->name);
}

/* {"name": n, …} of the first entries; NULL: no memory. */
static json_t *sums_json(struct sums *sums, size_t max, size_t *nother)
{
    json_t *object = json_object();

    if (sums->n)
        qsort(sums->entries, sums->n, sizeof(*sums->entries), compare_entries);
    *nother = 0;
    for (size_t i = 0; object && i < sums->n; i++) {
        const struct kinds_entry *e = &sums->entries[i];

        if (i >= max) {
            *nother += e->n;
        } else if (json_object_setn_new(object, e->name.p, e->name.len,
                                        json_integer((json_int_t)e->n))) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

static json_t *totals_json(struct totals *t)
{
    size_t ntotal = 0;
    size_t nrunning = 0;
    size_t nother;
    size_t nnone;
    json_t *states = sums_json(&t->states, SIZE_MAX, &nnone);
    json_t *types = sums_json(&t->types, SUMMARY_TYPES_MAX, &nother);
    json_t *row = NULL;

    for (size_t i = 0; i < t->states.n; i++) {
        ntotal += t->states.entries[i].n;
        if (span_eq_str(t->states.entries[i].name, "running"))
            nrunning = t->states.entries[i].n;
    }
    if (states && types)
        row = json_pack("{s:I, s:I, s:O, s:O, s:I, s:I, s:I}", "totalInstances",
                        (json_int_t)ntotal, "runningInstances",
                        (json_int_t)nrunning, "byState", states, "byType",
                        types, "otherTypes", (json_int_t)nother, "withoutOwner",
                        (json_int_t)t->nwithout_owner, "exposed",
                        (json_int_t)t->nexposed);
    json_decref(states);
    json_decref(types);
    return row;
}

enum err_code summary_row(const struct sweep *sweep, json_t **out,
                          struct err *err)
{
    struct totals t = {0};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; !rc && i < sweep_nregions(sweep); i++) {
        const struct sweep_region *region = sweep_get_region(sweep, i);

        if (region->failure.kind == FAILURE_NONE)
            rc = add_region(&t, region, err);
    }
    if (!rc) {
        *out = totals_json(&t);
        rc = *out ? ERR_OK : err_nomem(err, "summary");
    }
    free(t.states.entries);
    free(t.types.entries);
    return rc;
}
