/*
 * ahead.h - asks EC2 before the question has come, while INIT has a whole CPU.
 *
 * Lambda starts a sandbox because an event waits. So INIT opens two
 * connections to each region with the very requests that the questions take,
 * for one small page, and the first event is answered from what came, if it
 * comes soon and asks nothing special. What a region did not say whole and at
 * once is asked again, on connections that stand.
 */
#ifndef SURVEY_AHEAD_H
#define SURVEY_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "base/err.h"
#include "survey/atlas.h"
#include "survey/criteria.h"
#include "survey/question.h"
#include "survey/sweep.h"

/* Instances or groups asked for in a region, which bounds time and memory: a
 * region with more is left to the question. */
#define AHEAD_PAGE_MAX 100

/* Everything is borrowed for the life of the struct ahead. */
struct ahead_options {
    struct aws_client *client;
    const struct atlas *atlas;
    struct fold_limits limits;        /* those of the questions */
    struct criteria_options criteria; /* what holds where a call is silent */
    bool include_managed;
    /* How long before an event its answer may have been asked for, by the
     * boot clock and by the time of day; 0: never, only connections are kept.
     */
    int64_t max_age_ms;
};

struct ahead;

/* ERR_NOMEM. */
NODISCARD enum err_code ahead_new(const struct ahead_options *options,
                                  struct ahead **out, struct err *err);
void ahead_free(struct ahead *ahead);

/*
 * Asks all regions that may be asked, and returns when all are connected to or
 * failed, at until_ms (mono) at the latest: what an event asks about near
 * regions shall not wait for the far ones' answers. These come in during every
 * later http_run(), until until_ms. Where regions have many instances, where
 * none has answered yet, or max_age_ms is 0, it waits for all, and nothing is
 * in flight afterwards. Regions that were not reached are noted as missed. For
 * the main line, once. As sweep_run(); ERR_LIMIT: too many regions.
 */
NODISCARD enum err_code ahead_run(struct ahead *ahead, int64_t until_ms,
                                  struct err *err);

/*
 * Gives sweep, which has not run, what is found for these criteria, if it is
 * not too old, and the connections for the rest; see sweep_adopt(). Only the
 * first call gives what is found. ahead must outlive sweep.
 */
void ahead_give(struct ahead *ahead, const struct criteria *criteria,
                struct sweep *sweep);

/* Between two questions: frees what the first one had, once all has ended. */
void ahead_tidy(struct ahead *ahead);

/* The time of day of which that tells, ms: when it was asked for. */
int64_t ahead_real_ms(const struct ahead *ahead);

#endif
