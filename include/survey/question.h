/*
 * question.h - the table of the questions that can be asked.
 */
#ifndef SURVEY_QUESTION_H
#define SURVEY_QUESTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "survey/fold.h"

struct question {
    const char *name;     /* operationId, e.g. "count_instances" */
    const char *api_path; /* "/count/{regions}" */
    const struct fold *fold;
    /* A failed region stands in its place, else before the findings. */
    bool failures_in_place;
};

const struct question *question_table(size_t *n);

/* The question with this apiPath, NULL when there is none. */
const struct question *question_by_path(struct span api_path);

#endif
