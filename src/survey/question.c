#include "survey/question.h"

#include "survey/count.h"
#include "survey/summary.h"

static const struct question QUESTIONS[] = {
    {
        .name = "count_instances",
        .api_path = "/count/{regions}",
        .params = QUESTION_REGIONS | QUESTION_STATES,
        .folds = {&FOLD_COUNT},
        .nfolds = 1,
        .totals = count_totals,
        .failures_in_place = true,
    },
    {
        .name = "instances_without_tag",
        .api_path = "/check-without-owner/{regions}",
        .params =
            QUESTION_REGIONS | QUESTION_STATES | QUESTION_TAG | QUESTION_AFTER,
        .folds = {&FOLD_OWNER},
        .nfolds = 1,
    },
    {
        .name = "exposed_instances",
        .api_path = "/check-open-permission/{regions}",
        .params =
            QUESTION_REGIONS | QUESTION_STATES | QUESTION_PORT | QUESTION_AFTER,
        .folds = {&FOLD_EXPOSURE},
        .nfolds = 1,
    },
    {
        .name = "summarize_instances",
        .api_path = "/summary/{regions}",
        .params = QUESTION_REGIONS | QUESTION_STATES,
        .folds = {&FOLD_KINDS, &FOLD_OWNER, &FOLD_EXPOSURE},
        .nfolds = 3,
        .summarize = summary_row,
    },
    {
        .name = "find_instances",
        .api_path = "/find/{regions}",
        .params = QUESTION_REGIONS | QUESTION_QUERY | QUESTION_AFTER,
        .folds = {&FOLD_FIND},
        .nfolds = 1,
    },
};

#define NQUESTIONS (sizeof(QUESTIONS) / sizeof(QUESTIONS[0]))

const struct question *question_table(size_t *n)
{
    *n = NQUESTIONS;
    return QUESTIONS;
}

const struct question *question_by_path(struct span api_path)
{
    for (size_t i = 0; i < NQUESTIONS; i++)
        if (span_eq_str(api_path, QUESTIONS[i].api_path))
            return &QUESTIONS[i];
    return NULL;
}

/* What follows the last "__" of text, else all of it. */
static struct span bare_name(struct span text)
{
    for (size_t i = text.len; i >= 2; i--)
        if (text.p[i - 1] == '_' && text.p[i - 2] == '_')
            return (struct span){text.p + i, text.len - i};
    return text;
}

const struct question *question_by_name(struct span text)
{
    struct span name = bare_name(text);

    for (size_t i = 0; i < NQUESTIONS; i++)
        if (span_eq_str(name, QUESTIONS[i].name))
            return &QUESTIONS[i];
    return NULL;
}
