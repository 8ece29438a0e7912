/*
 * handler_private.h - what the parts of lambda/handler share.
 */
#ifndef LAMBDA_HANDLER_PRIVATE_H
#define LAMBDA_HANDLER_PRIVATE_H

#include "base/clock.h"
#include "lambda/counters.h"
#include "lambda/handler.h"
#include "survey/question.h"
#include "survey/report.h"
#include "survey/scope.h"

/* Everything that lives for one invocation. */
struct visit {
    const struct handler *handler;
    const struct handler_event *event;
    int64_t began_ms;
    int64_t began_real_ms;
    int64_t as_of_ms; /* the oldest that the answer tells is of that time */
    struct counters before;
    int64_t deadline_ms; /* less the margin */
    struct call call;
    const struct question *question;
    struct criteria criteria;
    struct scope scope;
    const char **names; /* the regions to ask, into scope */
    struct sweep *sweep;
    struct buf body;
    int http_status;
    size_t nahead; /* regions answered by what was asked in INIT */
    struct report_summary summary;
    struct ec2_stats refresh_stats;
};

int64_t visit_mono_ms(const struct visit *v);

/* Writes the log's line of summary, and the line of metrics if wanted. */
void visit_log(const struct visit *v, const struct buf *answer);

#endif
