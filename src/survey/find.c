/*
 * find.c - instances by id, name or address.
 */
#include "listing.h"

static enum err_code find_begin(const struct fold_options *options,
                                void **state, struct err *err)
{
    return listing_begin(options,
                         FINDINGS_NAMES | FINDINGS_PRIVATE | FINDINGS_PUBLIC |
                             FINDINGS_DETAILS,
                         state, err);
}

static enum err_code
find_instance(void *state, const struct ec2_instance *instance, struct err *err)
{
    struct listing *s = state;

    if (!criteria_matches_query(s->criteria, instance))
        return ERR_OK;
    return findings_add(&s->findings, instance, true, err);
}

/* Who looks for one instance wants to know all of it. */
static struct span find_row(const void *state, const struct fold_row *which,
                            struct buf *out)
{
    const struct fold_row all = {
        .region = which->region,
        .i = which->i,
        .full = true,
    };

    return listing_row(state, &all, out);
}

const struct fold FOLD_FIND = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES),
    .region_begin = find_begin,
    .region_free = listing_free,
    .instance = find_instance,
    .event = listing_event,
    .region_end = listing_end,
    .tally = listing_tally,
    .row = find_row,
};
