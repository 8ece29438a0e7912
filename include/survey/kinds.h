/*
 * kinds.h - how many instances of a region there are of each state and type:
 * a fold, and what it has counted.
 */
#ifndef SURVEY_KINDS_H
#define SURVEY_KINDS_H

#include <stddef.h>

#include "base/span.h"

/* Most different types told apart in one region; further ones, states that are
 * none of EC2's and what cannot be a type's name are counted as "other". */
#define KINDS_TYPES_MAX ((size_t)4096)

struct kinds;

struct kinds_entry {
    struct span name;
    size_t n;         /* instances, with those of the page being read */
    size_t committed; /* of them in whole pages */
};

/* The states, and the types in the order of arrival; state is FOLD_KINDS's. */
const struct kinds_entry *kinds_states(const void *state, size_t *n);
const struct kinds_entry *kinds_types(const void *state, size_t *n);

#endif
