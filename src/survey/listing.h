/*
 * listing.h - what the folds share that list instances by what each one says
 * of itself: all but the choice.
 */
#ifndef SURVEY_LISTING_H
#define SURVEY_LISTING_H

#include "survey/findings.h"
#include "survey/fold.h"
#include "survey/match.h"

/* The state of such a fold. */
struct listing {
    const struct criteria *criteria;
    struct findings findings;
};

/* As struct fold's region_begin, with what is to be kept. ERR_NOMEM. */
NODISCARD enum err_code listing_begin(const struct fold_options *options,
                                      unsigned parts, void **state,
                                      struct err *err);

/* Functions of struct fold; region_end wants no follow-up. */
void listing_free(void *state);
void listing_event(void *state, enum fold_listing listing,
                   enum fold_event event);
NODISCARD enum err_code listing_end(void *state, struct fold_follow_up *out,
                                    struct err *err);
struct fold_tally listing_tally(const void *state);
struct span listing_row(const void *state, const struct fold_row *which,
                        struct buf *out);

#endif
