/*
 * report_failures.h - why regions have no answer, as the report tells it.
 */
#ifndef SURVEY_REPORT_FAILURES_H
#define SURVEY_REPORT_FAILURES_H

#include <stdbool.h>
#include <stddef.h>

#include "aws/failure.h"
#include "base/err.h"
#include "survey/report.h"

struct json_t;

struct report_failure {
    size_t entry; /* of the scope */
    char sentence[FAILURE_SENTENCE_MAX + 1];
    bool told;
};

/* Initialise to all zero. In the order of the scope. */
struct report_failures {
    const struct scope *scope;
    struct report_failure *v;
    size_t n;
};

/* ERR_NOMEM; release *out in any case. */
NODISCARD enum err_code report_failures_collect(const struct report_input *in,
                                                struct report_failures *out,
                                                struct err *err);
void report_failures_release(struct report_failures *failures);

/* {"region", "error"}; NULL: out of memory. */
NODISCARD struct json_t *
report_failure_json(const struct report_failures *failures, size_t i);

/* How many from the i-th on say the same and have not been told. */
size_t report_failures_alike(const struct report_failures *failures, size_t i);

/* {"regions", "error"} of the first n of those; NULL: out of memory. */
NODISCARD struct json_t *
report_failures_json(const struct report_failures *failures, size_t i,
                     size_t n);

/* Marks all alike as told. */
void report_failures_tell(struct report_failures *failures, size_t i);

#endif
