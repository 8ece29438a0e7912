/*
 * atlas.h - which regions are enabled in the account.
 *
 * Asked of EC2 (DescribeRegions in the home region), or configured, or, while
 * neither worked, the list of the partition that was built in. Lives as long
 * as the process.
 */
#ifndef SURVEY_ATLAS_H
#define SURVEY_ATLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "aws/ec2.h"
#include "base/err.h"
#include "base/span.h"

/* A list from the account older than this is refreshed beside a sweep. */
#define ATLAS_MAX_AGE_MS ((int64_t)15 * 60 * 1000)
/* An unknown name causes at most one refresh in this time. */
#define ATLAS_MIN_AGE_MS ((int64_t)60 * 1000)
/* Most regions in a list. */
#define ATLAS_REGIONS_MAX 256

enum atlas_source {
    ATLAS_BUILT_IN,   /* DescribeRegions has not worked so far */
    ATLAS_ACCOUNT,    /* what DescribeRegions said last */
    ATLAS_CONFIGURED, /* REGIONS: final, EC2 is not asked */
};

/* All borrowed for the life of the atlas. */
struct atlas_options {
    struct aws_client *client;
    const char *home_region; /* well-formed */
    const char *configured;  /* comma list of region names; NULL: none */
    const char *allowed;     /* comma list of names and patterns; NULL: all */
};

struct atlas;

/* ERR_CONFIG (names REGIONS or REGIONS_ALLOWED and the entry that is of no
 * use), ERR_NOMEM. */
NODISCARD enum err_code atlas_new(const struct atlas_options *options,
                                  struct atlas **out, struct err *err);
void atlas_free(struct atlas *atlas);

enum atlas_source atlas_get_source(const struct atlas *atlas);

/* The names, sorted; borrowed until the next refresh ends. */
const char *const *atlas_regions(const struct atlas *atlas, size_t *n);
/* Whether the region may be asked at all, be it known or not. */
bool atlas_allows(const struct atlas *atlas, struct span name);
bool atlas_knows(const struct atlas *atlas, struct span name);

/* Whether EC2 should be asked: not configured, and never asked with success
 * or the answer older than max_age_ms. */
bool atlas_is_older_than(const struct atlas *atlas, int64_t max_age_ms);

/*
 * Starts DescribeRegions unless one is running, and does not wait. A failure,
 * now or later, is logged and leaves the list as it is.
 */
void atlas_refresh(struct atlas *atlas, struct ec2_stats *stats,
                   int64_t deadline_ms);

/* Points at true while no refresh is running: the stop flag for http_run(). */
const bool *atlas_is_settled(const struct atlas *atlas);

/* Ends a running refresh. */
void atlas_cancel_refresh(struct atlas *atlas);

/* A refresh that was ended before its answer came counts as never asked: for a
 * start that had no more time to wait, while an event will have. */
void atlas_ask_again(struct atlas *atlas);

/* Mono time of the last refresh's start, INT64_MIN: none yet. */
int64_t atlas_asked_ms(const struct atlas *atlas);

#endif
