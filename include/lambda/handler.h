/*
 * handler.h - one event, from its bytes to the bytes of its answer.
 *
 * Picks the question, resolves the regions, sets the time budget, runs the
 * sweep, and has the report put into the caller's envelope: an array for an
 * action group with an API schema, an object for the others. All memory of the
 * invocation is released before it returns.
 */
#ifndef LAMBDA_HANDLER_H
#define LAMBDA_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "lambda/event.h"
#include "survey/ahead.h"
#include "survey/atlas.h"
#include "survey/criteria.h"
#include "survey/fold.h"
#include "survey/report.h"
#include "survey/sweep.h"

/* Bytes that a body may always take, however long the rest of the envelope
 * is, which holds what the caller sent. */
#define HANDLER_BODY_MIN REPORT_BUDGET_MIN

/* How long a function waits for the account's list of regions, where a sweep
 * needs it: half of the time there is, and no longer than this. */
#define HANDLER_LIST_WAIT_MS 2000

/* All borrowed for each call. */
struct handler {
    struct aws_client *client;
    struct atlas *atlas;
    struct ahead *ahead;      /* NULL: nothing was asked ahead */
    int64_t answer_margin_ms; /* kept free before the deadline, to answer in */
    int64_t list_wait_ms;     /* instead of HANDLER_LIST_WAIT_MS; 0: that */
    struct fold_limits limits;
    size_t nparallel;                 /* as in struct sweep_options */
    struct criteria_options criteria; /* what holds where a call is silent */
    bool include_managed; /* instances too that other services manage */
    size_t answer_max;    /* bytes of the whole answer; out->max is no less */
    size_t budget;        /* bytes that it should not pass; 0: answer_max */
    bool always_object;   /* the object, with an API schema too */
    bool raw_body;        /* body as a value, not as a string */
    bool debug;           /* log the whole answer, and what it cost */
    bool has_metrics;     /* write a line of metrics for each answer */
    const char *function_name; /* for the metrics; NULL: none */
    /* Called at the start, and when a region has ended; NULL: none. */
    void (*on_progress)(void *arg, size_t ended, size_t asked,
                        const struct ec2_stats *stats);
    void *arg;
};

/* One event as it came; borrowed for the call. */
struct handler_event {
    struct event_source source;
    struct span request_id;   /* empty: none */
    struct span function_arn; /* tells the account; empty: not known */
    int64_t deadline_ms;      /* mono */
};

/*
 * Answers event within its deadline less the margin; empties *out and writes
 * the answer. Failures are answers too, and ERR_OK: bad parameters are 400, no
 * such question 404, no credentials or trouble of our own 500, no region that
 * answered 502. ERR_PARSE: the event fits no envelope; ERR_LIMIT, ERR_NOMEM:
 * not even a refusal could be built.
 */
NODISCARD enum err_code handler_answer(const struct handler *handler,
                                       const struct handler_event *event,
                                       struct buf *out, struct err *err);

#endif
