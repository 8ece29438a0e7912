/*
 * handler.h - one event, from its bytes to the bytes of its answer.
 *
 * Picks the question, resolves the regions, sets the time budget, runs the
 * sweep, and has the report put into the caller's envelope. All memory of the
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
#include "survey/atlas.h"
#include "survey/criteria.h"
#include "survey/fold.h"
#include "survey/sweep.h"

/* All borrowed for each call. */
struct handler {
    struct aws_client *client;
    struct atlas *atlas;
    int64_t answer_margin_ms; /* kept free before the deadline, to answer in */
    struct fold_limits limits;
    struct criteria_options criteria; /* what holds where a call is silent */
    bool include_managed; /* instances too that other services manage */
    size_t answer_max;    /* bytes of the whole answer; out->max is no less */
    bool raw_body;        /* body as a value, not as a string */
    bool debug;           /* log the whole answer, and what it cost */
    void (*on_progress)(void *arg, size_t ended, size_t asked,
                        const struct ec2_stats *stats); /* NULL: none */
    void *arg;
};

/*
 * Answers event within deadline_ms (mono) less the margin; empties *out and
 * writes the answer. Failures that an envelope can carry are answers, and
 * ERR_OK. ERR_PARSE: the event fits no envelope; any other code: no answer
 * could be built.
 */
NODISCARD enum err_code handler_answer(const struct handler *handler,
                                       struct span event, int64_t deadline_ms,
                                       struct buf *out, struct err *err);

#endif
