#include "handler_private.h"

#include "base/log.h"
#include "lambda/metrics.h"

/* Longest line of metrics, bytes: two names and some numbers. */
#define METRICS_MAX ((size_t)4096)

/* All that was asked of EC2 for this answer. */
static struct ec2_stats all_stats(const struct visit *v)
{
    struct ec2_stats all = v->refresh_stats;

    if (v->sweep) {
        const struct ec2_stats *swept = sweep_stats(v->sweep);

        all.requests += swept->requests;
        all.retries += swept->retries;
        all.pages += swept->pages;
        all.unchanged += swept->unchanged;
        all.throttles += swept->throttles;
    }
    return all;
}

static void write_metrics(const struct metrics *m)
{
    struct buf line = BUF_INIT(METRICS_MAX);
    struct err err = {0};

    if (metrics_write(m, &line, &err))
        log_write(LOG_WARN, "no metrics",
                  LOG_FIELDS(LOG_STR("error", err_text(&err))));
    else
        log_raw(buf_span(&line));
    buf_release(&line);
}

void visit_log(const struct visit *v, const struct buf *answer)
{
    const struct ec2_stats stats = all_stats(v);
    const struct metrics m = {
        .real_ms = v->began_real_ms,
        .function_name = span_of(v->handler->function_name),
        .request_id = v->event->request_id,
        .question = v->question ? v->question->name : "none",
        .http_status = v->http_status,
        .duration_ms = visit_mono_ms(v) - v->began_ms,
        .regions_asked = (int64_t)v->scope.n,
        .regions_failed = (int64_t)v->summary.nfailed,
        .retries = (int64_t)stats.retries,
        .throttles = (int64_t)stats.throttles,
        .instances = v->sweep ? (int64_t)sweep_ninstances(v->sweep) : 0,
    };

    log_write(LOG_INFO, "answered",
              LOG_FIELDS(LOG_STR("question", m.question),
                         LOG_INT("status", m.http_status),
                         LOG_INT("regionsAsked", m.regions_asked),
                         LOG_INT("regionsFailed", m.regions_failed),
                         LOG_INT("regionsAhead", (int64_t)v->nahead),
                         LOG_INT("requests", (int64_t)stats.requests),
                         LOG_INT("retries", m.retries),
                         LOG_INT("pages", (int64_t)stats.pages),
                         LOG_INT("unchanged", (int64_t)stats.unchanged),
                         LOG_INT("instances", m.instances),
                         LOG_INT("rows", (int64_t)v->summary.total),
                         LOG_INT("ms", m.duration_ms),
                         LOG_INT("bytes", (int64_t)answer->len)));
    if (v->handler->has_metrics)
        write_metrics(&m);
}
