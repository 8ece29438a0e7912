/*
 * owner.c - instances without a tag: none of the key asked for ("Owner", in
 * any letter case) has a value, or one that fits the pattern asked for.
 */
#include "listing.h"

static enum err_code owner_begin(const struct fold_options *options,
                                 void **state, struct err *err)
{
    return listing_begin(options, FINDINGS_NAMES, state, err);
}

static enum err_code owner_instance(void *state,
                                    const struct ec2_instance *instance,
                                    struct err *err)
{
    struct listing *s = state;

    if (!criteria_wants_state(s->criteria, instance->state) ||
        criteria_has_tag(s->criteria, instance))
        return ERR_OK;
    return findings_add(&s->findings, instance, true, err);
}

const struct fold FOLD_OWNER = {
    .needs = FOLD_NEEDS(FOLD_INSTANCES),
    .region_begin = owner_begin,
    .region_free = listing_free,
    .instance = owner_instance,
    .event = listing_event,
    .region_end = listing_end,
    .tally = listing_tally,
    .row = listing_row,
};
