/*
 * count.c - how many instances, and how many of them run.
 */
#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "survey/criteria.h"
#include "survey/fold.h"

struct tally {
    uint64_t total;
    uint64_t running;
};

struct count_state {
    const struct criteria *criteria;
    struct tally now;
    struct tally committed;
};

static enum err_code count_begin(const struct fold_options *options,
                                 void **state, struct err *err)
{
    struct count_state *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, "count");
    s->criteria = options->criteria;
    *state = s;
    return ERR_OK;
}

static enum err_code count_instance(void *state,
                                    const struct ec2_instance *instance,
                                    struct err *err)
{
    struct count_state *s = state;

    (void)err;
    if (!criteria_wants_state(s->criteria, instance->state))
        return ERR_OK;
    s->now.total++;
    if (span_eq_str(instance->state, "running"))
        s->now.running++;
    return ERR_OK;
}

static void count_event(void *state, enum fold_listing listing,
                        enum fold_event event)
{
    struct count_state *s = state;

    if (listing != FOLD_INSTANCES)
        return;
    switch (event) {
    case FOLD_LISTING_BEGIN:
    case FOLD_LISTING_RESTART:
        *s = (struct count_state){.criteria = s->criteria};
        break;
    case FOLD_PAGE_COMMIT:
        s->committed = s->now;
        break;
    case FOLD_PAGE_ROLLBACK:
        s->now = s->committed;
        break;
    case FOLD_LISTING_END:
        break;
    }
}

static enum err_code count_end(void *state, struct fold_follow_up *out,
                               struct err *err)
{
    (void)state;
    (void)out;
    (void)err;
    return ERR_OK;
}

static size_t count_nrows(const void *state)
{
    (void)state;
    return 1;
}

static enum err_code count_row(const void *state, const char *region, size_t i,
                               json_t **out, struct err *err)
{
    const struct count_state *s = state;

    (void)i;
    *out = json_pack("{s:s, s:I, s:I}", "region", region, "totalInstances",
                     (json_int_t)s->committed.total, "runningInstances",
                     (json_int_t)s->committed.running);
    return *out ? ERR_OK : err_nomem(err, "count");
}

const struct fold FOLD_COUNT = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES),
    .region_begin = count_begin,
    .region_free = free,
    .instance = count_instance,
    .event = count_event,
    .region_end = count_end,
    .nrows = count_nrows,
    .row = count_row,
};
