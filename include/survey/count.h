/*
 * count.h - how many instances, and how many of them run: a fold, and the
 * sums over all regions.
 */
#ifndef SURVEY_COUNT_H
#define SURVEY_COUNT_H

#include <stdbool.h>

#include "survey/sweep.h"

struct json_t;

/* Adds "totalInstances" and "runningInstances" of the regions that answered,
 * in a sweep whose first fold is FOLD_COUNT. False: out of memory. */
bool count_totals(const struct sweep *sweep, struct json_t *object);

#endif
