/*
 * ask.c - what a request asks for, once its parameters have been checked.
 */
#include "ask.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "2016-11-15"
#define MAX_IDS 1000

static const char *const ACTION_NAMES[ACTION_COUNT] = {
    [ACTION_INSTANCES] = "DescribeInstances",
    [ACTION_GROUPS] = "DescribeSecurityGroups",
    [ACTION_REGIONS] = "DescribeRegions",
};

/* '#' stands for a number from 1. */
static const char *const PARAMS[ACTION_COUNT][9] = {
    [ACTION_INSTANCES] = {"Filter.#.Name", "Filter.#.Value.#", "MaxResults",
                          "NextToken", "InstanceId.#",
                          "IncludeManagedResources"},
    [ACTION_GROUPS] = {"Filter.#.Name", "Filter.#.Value.#", "MaxResults",
                       "NextToken", "GroupId.#", "GroupName.#"},
    [ACTION_REGIONS] = {"Filter.#.Name", "Filter.#.Value.#", "RegionName.#",
                        "AllRegions"},
};
static const char *const COMMON[] = {"Action", "Version", "DryRun", NULL};

const char *action_name(enum action action)
{
    return ACTION_NAMES[action];
}

enum action action_find(const char *name)
{
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(ACTION_NAMES[i], name) == 0)
            return (enum action)i;
    }
    return ACTION_COUNT;
}

/* Whether name fits the pattern; *last is then its last number, if any. */
static bool fits(const char *pattern, const char *name, long *last)
{
    while (*pattern) {
        if (*pattern == '#') {
            size_t len = strspn(name, "0123456789");

            if (!text_number(name, len, 1, INT_MAX, last))
                return false;
            name += len;
            pattern++;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return *name == '\0';
}

static bool is_known(const char *const *patterns, const char *name)
{
    long number;

    for (; *patterns; patterns++) {
        if (fits(*patterns, name, &number))
            return true;
    }
    return false;
}

static bool check_names(const struct form *form, enum action action,
                        struct problem *problem)
{
    for (size_t i = 0; i < form->n; i++) {
        const char *name = form->v[i].name;

        if (!is_known(COMMON, name) && !is_known(PARAMS[action], name))
            return problem_set(problem, 400, "UnknownParameter",
                               "The parameter %.100s is not recognized", name);
    }
    return true;
}

static bool check_action(const struct form *form, enum action *action,
                         struct problem *problem)
{
    const char *name = form_get(form, "Action");
    const char *version = form_get(form, "Version");

    if (!name || !*name)
        return problem_set(problem, 400, "MissingAction",
                           "The request is missing an action parameter.");
    if (!version || strcmp(version, VERSION) != 0)
        return problem_set(problem, 400, "NoSuchVersion",
                           "The requested version (%.40s) of service %s does "
                           "not exist",
                           version ? version : "", "AmazonEC2");
    *action = action_find(name);
    if (*action == ACTION_COUNT)
        return problem_set(problem, 400, "InvalidAction",
                           "The action %.100s is not valid for this web "
                           "service.",
                           name);
    return true;
}

static bool read_switch(const struct form *form, const char *name, bool *out,
                        struct problem *problem)
{
    const char *value = form_get(form, name);

    *out = value && strcmp(value, "true") == 0;
    if (value && !*out && strcmp(value, "false") != 0)
        return problem_set(problem, 400, "InvalidParameterValue",
                           "Invalid value '%.100s' for boolean parameter %s",
                           value, name);
    return true;
}

static void add_value(struct filter *f, const char *value)
{
    if (f->nvalues % 32 == 0)
        f->values = must_resize(f->values, f->nvalues + 32, sizeof(*f->values));
    f->values[f->nvalues++] = value;
}

/* The filter of that number, made at its first mention; NULL: too many. */
static struct filter *filter_of(struct ask *ask, long number)
{
    for (size_t i = 0; i < ask->nfilters; i++) {
        if (ask->filters[i].number == number)
            return &ask->filters[i];
    }
    if (ask->nfilters == FILTER_MAX)
        return NULL;
    if (!ask->filters)
        ask->filters = must_calloc(FILTER_MAX, sizeof(*ask->filters));
    ask->filters[ask->nfilters].number = number;
    return &ask->filters[ask->nfilters++];
}

static bool read_filter_param(struct ask *ask, const struct param *param,
                              struct problem *problem)
{
    static const char prefix[] = "Filter.";
    const char *at = param->name + sizeof(prefix) - 1;
    size_t len = strspn(at, "0123456789");
    struct filter *f;
    long number = 0;

    if (!text_number(at, len, 1, INT_MAX, &number))
        return true; /* check_names() let only good ones through */
    f = filter_of(ask, number);
    if (!f || f->nvalues == FILTER_MAX_VALUES)
        return problem_set(problem, 400, "FilterLimitExceeded",
                           "The maximum number of %s specified in the filter "
                           "is exceeded.",
                           f ? "filter values" : "filters");
    if (strcmp(at + len, ".Name") == 0) {
        f->name = param->value;
        return true;
    }
    if (strlen(param->value) > FILTER_MAX_VALUE_LEN)
        return problem_set(problem, 400, "InvalidParameterValue",
                           "A filter value is longer than 255 characters.");
    add_value(f, param->value);
    return true;
}

static bool knows_filter(enum action action, const char *name)
{
    switch (action) {
    case ACTION_INSTANCES:
        return filter_knows_instance(name);
    case ACTION_GROUPS:
        return filter_knows_group(name);
    case ACTION_REGIONS:
    case ACTION_COUNT:
        break;
    }
    return filter_knows_region(name);
}

static bool check_filters(struct ask *ask, struct problem *problem)
{
    for (size_t i = 0; i < ask->nfilters; i++) {
        struct filter *f = &ask->filters[i];

        if (!f->name)
            return problem_set(problem, 400, "MissingParameter",
                               "The request must contain the parameter "
                               "Filter.%ld.Name",
                               f->number);
        if (!knows_filter(ask->action, f->name))
            return problem_set(problem, 400, "InvalidParameterValue",
                               "The filter '%.100s' is invalid", f->name);
        if (f->nvalues == 0)
            return problem_set(problem, 400, "InvalidParameterValue",
                               "The filter '%.100s' has no value", f->name);
        filter_prepare(f);
    }
    return true;
}

static bool read_lists(const struct form *form, struct ask *ask,
                       struct problem *problem)
{
    long number;

    for (size_t i = 0; i < form->n; i++) {
        const struct param *param = &form->v[i];
        const char *name = param->name;

        if (fits("InstanceId.#", name, &number) ||
            fits("GroupId.#", name, &number))
            add_value(&ask->ids, param->value);
        else if (fits("GroupName.#", name, &number) ||
                 fits("RegionName.#", name, &number))
            add_value(&ask->names, param->value);
        else if (strncmp(name, "Filter.", 7) == 0 &&
                 !read_filter_param(ask, param, problem))
            return false;
    }
    if (ask->ids.nvalues > MAX_IDS)
        return problem_set(problem, 400, "InvalidParameterValue",
                           "Too many ids in one request.");
    filter_prepare(&ask->ids);
    filter_prepare(&ask->names);
    return check_filters(ask, problem);
}

static bool read_paging(const struct form *form, struct ask *ask,
                        struct problem *problem)
{
    const char *max = form_get(form, "MaxResults");

    ask->token = form_get(form, "NextToken");
    if (max && !text_number_str(max, ASK_MIN_RESULTS, ASK_MAX_RESULTS,
                                &ask->max_results))
        return problem_set(problem, 400, "InvalidParameterValue",
                           "Value ( %.40s ) for parameter maxResults is "
                           "invalid. Expecting a value between %d and %d.",
                           max, ASK_MIN_RESULTS, ASK_MAX_RESULTS);
    if (max && ask->ids.nvalues > 0)
        return problem_set(problem, 400, "InvalidParameterCombination",
                           "The parameter MaxResults cannot be used together "
                           "with a list of ids.");
    return true;
}

bool ask_parse(const struct form *form, struct ask *ask,
               struct problem *problem)
{
    *ask = (struct ask){0};
    return check_action(form, &ask->action, problem) &&
           check_names(form, ask->action, problem) &&
           read_switch(form, "DryRun", &ask->dry_run, problem) &&
           read_switch(form, "AllRegions", &ask->all_regions, problem) &&
           read_switch(form, "IncludeManagedResources", &ask->managed,
                       problem) &&
           read_lists(form, ask, problem) && read_paging(form, ask, problem);
}

void ask_release(struct ask *ask)
{
    for (size_t i = 0; i < ask->nfilters; i++)
        free(ask->filters[i].values);
    free(ask->filters);
    free(ask->ids.values);
    free(ask->names.values);
    *ask = (struct ask){0};
}
