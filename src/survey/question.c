#include "survey/question.h"

static const struct question QUESTIONS[] = {
    {
        .name = "count_instances",
        .api_path = "/count/{regions}",
        .fold = &FOLD_COUNT,
        .failures_in_place = true,
    },
    {
        .name = "instances_without_tag",
        .api_path = "/check-without-owner/{regions}",
        .fold = &FOLD_OWNER,
    },
    {
        .name = "exposed_instances",
        .api_path = "/check-open-permission/{regions}",
        .fold = &FOLD_EXPOSURE,
    },
};

const struct question *question_table(size_t *n)
{
    *n = sizeof(QUESTIONS) / sizeof(QUESTIONS[0]);
    return QUESTIONS;
}

const struct question *question_by_path(struct span api_path)
{
    for (size_t i = 0; i < sizeof(QUESTIONS) / sizeof(QUESTIONS[0]); i++)
        if (span_eq_str(api_path, QUESTIONS[i].api_path))
            return &QUESTIONS[i];
    return NULL;
}
