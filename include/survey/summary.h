/*
 * summary.h - totals over all regions, from one sweep.
 */
#ifndef SURVEY_SUMMARY_H
#define SURVEY_SUMMARY_H

#include "base/err.h"
#include "survey/sweep.h"

/* Types that are named; the others are counted together. */
#define SUMMARY_TYPES_MAX 10

struct json_t;

/*
 * The one row {"totalInstances", "runningInstances", "byState", "byType",
 * "otherTypes", "withoutOwner", "exposed"} over the regions that answered, of
 * a sweep with the folds FOLD_KINDS, FOLD_OWNER and FOLD_EXPOSURE. byState has
 * the states that occur, byType the most frequent types. ERR_NOMEM.
 */
NODISCARD enum err_code summary_row(const struct sweep *sweep,
                                    struct json_t **out, struct err *err);

#endif
