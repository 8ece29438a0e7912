/*
 * metrics.h - one answer as CloudWatch metrics: a line of the embedded metric
 * format (Amazon CloudWatch user guide, "Specification: Embedded metric
 * format"). Pure.
 *
 * Written to the log, CloudWatch makes metrics of it, without a call. There is
 * one dimension only, since each value of one is paid for as a metric of its
 * own; the question, the status and the request id stand beside the metrics
 * for Logs Insights.
 */
#ifndef LAMBDA_METRICS_H
#define LAMBDA_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define METRICS_NAMESPACE "ec2sweep"

/* Spans are borrowed for the call; of the names what is not UTF-8 is "?". */
struct metrics {
    int64_t real_ms;           /* when it was answered */
    struct span function_name; /* the dimension; empty: "ec2sweep" */
    struct span request_id;    /* empty: left out */
    const char *question;
    int http_status;
    int64_t duration_ms;
    int64_t regions_asked;
    int64_t regions_failed;
    int64_t retries;
    int64_t throttles;
    int64_t instances;
};

/* Empties *out and writes the line, without a line feed. ERR_NOMEM,
 * ERR_LIMIT. */
NODISCARD enum err_code metrics_write(const struct metrics *m, struct buf *out,
                                      struct err *err);

#endif
