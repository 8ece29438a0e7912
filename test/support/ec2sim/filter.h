/*
 * filter.h - the filters of Describe requests.
 *
 * Values of one filter are alternatives, filters must all match. Values may
 * hold the wildcards * and ?, which a backslash makes ordinary.
 */
#ifndef EC2SIM_FILTER_H
#define EC2SIM_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "fleet.h"

#define FILTER_MAX 50
#define FILTER_MAX_VALUES 200
#define FILTER_MAX_VALUE_LEN 255

/* Strings are borrowed from the form. */
struct filter {
    long number; /* the N of Filter.N */
    const char *name;
    const char **values;
    size_t nvalues;
    size_t nliterals; /* of values: without wildcards and sorted, in front */
};

/* Whether the name is one that the action knows. */
bool filter_knows_instance(const char *name);
bool filter_knows_group(const char *name);
bool filter_knows_region(const char *name);

/* Puts literals in front and sorts them; needed once before matching. */
void filter_prepare(struct filter *f);

/* Whether one text matches one of the values. */
bool filter_text(const struct filter *f, const char *text);

bool filter_instance(const struct filter *f, const struct fleet *fleet,
                     const char *region, const struct fleet_instance *in);
bool filter_group(const struct filter *f, const struct fleet_group *group);

#endif
