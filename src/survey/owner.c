/*
 * owner.c - instances without a tag: none of the key asked for ("Owner", in
 * any letter case) has a value, or one that fits the pattern asked for.
 */
#include <stdlib.h>

#include <jansson.h>

#include "survey/criteria.h"
#include "survey/findings.h"
#include "survey/fold.h"

struct owner_state {
    const struct criteria *criteria;
    struct findings findings;
    struct findings_mark committed;
};

static enum err_code owner_begin(const struct fold_options *options,
                                 void **state, struct err *err)
{
    struct owner_state *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, "owner");
    s->criteria = options->criteria;
    s->findings = (struct findings)FINDINGS_INIT(options->limits.rows_max);
    *state = s;
    return ERR_OK;
}

static void owner_free(void *state)
{
    struct owner_state *s = state;

    if (s)
        findings_release(&s->findings);
    free(s);
}

static enum err_code owner_instance(void *state,
                                    const struct ec2_instance *instance,
                                    struct err *err)
{
    struct owner_state *s = state;

    if (!criteria_wants_state(s->criteria, instance->state) ||
        criteria_has_tag(s->criteria, instance))
        return ERR_OK;
    return findings_add(&s->findings, instance, false, err);
}

static void owner_event(void *state, enum fold_listing listing,
                        enum fold_event event)
{
    struct owner_state *s = state;

    if (listing != FOLD_INSTANCES)
        return;
    switch (event) {
    case FOLD_LISTING_BEGIN:
    case FOLD_PAGE_COMMIT:
        s->committed = findings_mark(&s->findings);
        break;
    case FOLD_PAGE_ROLLBACK:
        findings_rollback(&s->findings, s->committed);
        break;
    case FOLD_LISTING_RESTART:
        s->committed = (struct findings_mark){0};
        findings_rollback(&s->findings, s->committed);
        break;
    case FOLD_LISTING_END:
        findings_sort_unique(&s->findings);
        break;
    }
}

static enum err_code owner_end(void *state, struct fold_follow_up *out,
                               struct err *err)
{
    (void)state;
    (void)out;
    (void)err;
    return ERR_OK;
}

static size_t owner_nrows(const void *state)
{
    const struct owner_state *s = state;

    return s->findings.nrows;
}

static enum err_code owner_row(const void *state, const char *region, size_t i,
                               json_t **out, struct err *err)
{
    const struct owner_state *s = state;

    *out = findings_row_json(&s->findings.rows[i], region);
    return *out ? ERR_OK : err_nomem(err, "owner");
}

const struct fold FOLD_OWNER = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES),
    .region_begin = owner_begin,
    .region_free = owner_free,
    .instance = owner_instance,
    .event = owner_event,
    .region_end = owner_end,
    .nrows = owner_nrows,
    .row = owner_row,
};
