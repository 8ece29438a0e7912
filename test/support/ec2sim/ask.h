/*
 * ask.h - what a request asks for, once its parameters have been checked.
 *
 * As strict as EC2: a parameter, an action or a filter that is not known is
 * an error, and so is a number out of its range.
 */
#ifndef EC2SIM_ASK_H
#define EC2SIM_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "filter.h"
#include "problem.h"
#include "request.h"

#define ASK_MIN_RESULTS 5
#define ASK_MAX_RESULTS 1000

enum action {
    ACTION_INSTANCES,
    ACTION_GROUPS,
    ACTION_REGIONS,
    ACTION_COUNT,
};

/* Strings are borrowed from the form. */
struct ask {
    enum action action;
    bool dry_run;
    bool all_regions;
    bool managed;
    long max_results;  /* 0: not said */
    const char *token; /* NULL: the first page */
    struct filter *filters;
    size_t nfilters;
    struct filter ids;   /* nvalues 0: none */
    struct filter names; /* GroupName.N and RegionName.N */
};

const char *action_name(enum action action);

/* ACTION_COUNT where there is no such action. */
enum action action_find(const char *name);

/*
 * On false problem says what EC2 would. *ask is always good for
 * ask_release(), and lives no longer than the form.
 */
bool ask_parse(const struct form *form, struct ask *ask,
               struct problem *problem);
void ask_release(struct ask *ask);

#endif
