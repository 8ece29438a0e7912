#include "survey/count.h"

#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/json_text.h"
#include "survey/fold.h"
#include "survey/match.h"

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

static struct fold_tally count_tally(const void *state)
{
    (void)state;
    return (struct fold_tally){.nrows = 1};
}

static struct span count_row(const void *state, const struct fold_row *which,
                             struct buf *out)
{
    const struct count_state *s = state;

    buf_add_char(out, '{');
    json_text_member(out, "region", span_of(which->region));
    json_text_int(out, "totalInstances", (int64_t)s->committed.total);
    json_text_int(out, "runningInstances", (int64_t)s->committed.running);
    buf_add_char(out, '}');
    return (struct span){NULL, 0};
}

bool count_totals(const struct sweep *sweep, json_t *object)
{
    struct tally sum = {0};

    for (size_t i = 0; i < sweep_nregions(sweep); i++) {
        const struct sweep_region *region = sweep_get_region(sweep, i);
        const struct count_state *s = region->states[0];

        if (region->failure.kind != FAILURE_NONE)
            continue;
        sum.total += s->committed.total;
        sum.running += s->committed.running;
    }
    return !json_object_set_new(object, "totalInstances",
                                json_integer((json_int_t)sum.total)) &&
           !json_object_set_new(object, "runningInstances",
                                json_integer((json_int_t)sum.running));
}

const struct fold FOLD_COUNT = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES),
    .region_begin = count_begin,
    .region_free = free,
    .instance = count_instance,
    .event = count_event,
    .region_end = count_end,
    .tally = count_tally,
    .row = count_row,
};
