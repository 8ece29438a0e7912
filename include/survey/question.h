/*
 * question.h - the table of the questions that can be asked.
 */
#ifndef SURVEY_QUESTION_H
#define SURVEY_QUESTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "survey/fold.h"

/* Most folds of one question. */
#define QUESTION_FOLDS_MAX 3

/* The parameters that a question takes; see criteria.h for their meaning. */
enum question_param {
    QUESTION_REGIONS = 1U << 0,
    QUESTION_STATES = 1U << 1,
    QUESTION_TAG = 1U << 2,
    QUESTION_PORT = 1U << 3,
    QUESTION_QUERY = 1U << 4,
    QUESTION_AFTER = 1U << 5,
};

struct json_t;
struct sweep;

struct question {
    const char *name;     /* operationId, function and tool at once */
    const char *api_path; /* "/count/{regions}" */
    /* The first has the rows; all run in one sweep. */
    const struct fold *folds[QUESTION_FOLDS_MAX];
    size_t nfolds;
    /* Adds sums over all regions to the object form; NULL: there are none.
     * False: out of memory. */
    bool (*totals)(const struct sweep *sweep, struct json_t *object);
    /* One row over all regions, in place of the first fold's; NULL: none. */
    enum err_code (*summarize)(const struct sweep *sweep, struct json_t **out,
                               struct err *err);
    unsigned params; /* QUESTION_REGIONS | … */
    /* A failed region stands in its place, else before the findings. */
    bool failures_in_place;
};

const struct question *question_table(size_t *n);

/* The question with this apiPath, NULL when there is none. */
const struct question *question_by_path(struct span api_path);

/*
 * The question that text names: all of it, or what follows its last "__"
 * (a gateway writes "target___name"). NULL when there is none.
 */
const struct question *question_by_name(struct span text);

#endif
