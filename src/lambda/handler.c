#include "lambda/handler.h"

#include <stdlib.h>

#include <jansson.h>

#include "base/log.h"
#include "lambda/counters.h"
#include "lambda/event.h"
#include "survey/criteria.h"
#include "survey/question.h"
#include "survey/report.h"
#include "survey/scope.h"

/* An unknown region name may hold up the answer this long, no longer. */
#define REFRESH_MAX_MS 5000

/* Everything that lives for one invocation. */
struct visit {
    const struct handler *handler;
    int64_t began_ms;
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
    struct report_summary summary;
    struct ec2_stats refresh_stats;
};

static const struct aws_client_options *options_of(const struct visit *v)
{
    return aws_client_options(v->handler->client);
}

static int64_t mono_ms(const struct visit *v)
{
    return clock_mono_ms(options_of(v)->clock);
}

/*
 * Makes the body {"error": text}, a refusal that the envelope carries; an
 * array of it for 400, which tells of regions and so has their form.
 */
static enum err_code refuse(struct visit *v, int http_status, struct span text,
                            struct err *err)
{
    json_t *object = http_status == 400
                         ? json_pack("[{s:s%}]", "error", text.p, text.len)
                         : json_pack("{s:s%}", "error", text.p, text.len);
    char *json = object ? json_dumps(object, JSON_COMPACT) : NULL;
    enum err_code rc = ERR_OK;

    v->http_status = http_status;
    buf_reset(&v->body);
    if (json)
        buf_add_str(&v->body, json);
    else
        rc = err_nomem(err, "handler");
    free(json);
    json_decref(object);
    return rc ? rc : buf_check(&v->body, "handler", err);
}

static enum err_code refuse_path(struct visit *v, struct err *err)
{
    struct buf text = BUF_INIT((EVENT_PATH_MAX + 1024));
    size_t n;
    const struct question *table = question_table(&n);
    enum err_code rc;

    buf_add_str(&text, "api path \"");
    buf_add_span(&text, v->call.api_path);
    buf_add_str(&text, "\" not supported; there are ");
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%s%s", i ? ", " : "", table[i].api_path);
    rc = buf_check(&text, "handler", err);
    if (!rc)
        rc = refuse(v, 404, buf_span(&text), err);
    buf_release(&text);
    return rc;
}

static bool may_refresh(const struct visit *v)
{
    const struct atlas *atlas = v->handler->atlas;
    int64_t asked = atlas_asked_ms(atlas);

    return atlas_get_source(atlas) != ATLAS_CONFIGURED &&
           (asked == INT64_MIN || mono_ms(v) - asked > ATLAS_MIN_AGE_MS);
}

/* Names that are not in the list may be new: the account is asked again. */
static enum err_code resolve(struct visit *v, struct err *err)
{
    struct atlas *atlas = v->handler->atlas;
    int64_t until = mono_ms(v) + REFRESH_MAX_MS;
    enum err_code rc = scope_resolve(&v->scope, atlas, err);

    if (rc || scope_count(&v->scope, SCOPE_UNKNOWN) == 0 || !may_refresh(v))
        return rc;
    if (until > v->deadline_ms)
        until = v->deadline_ms;
    atlas_refresh(atlas, &v->refresh_stats, until);
    rc = http_run(options_of(v)->http, until, atlas_is_settled(atlas), err);
    atlas_cancel_refresh(atlas);
    return rc ? rc : scope_resolve(&v->scope, atlas, err);
}

static enum err_code make_sweep(struct visit *v, struct err *err)
{
    const struct handler *h = v->handler;
    const struct sweep_options options = {
        .client = h->client,
        .folds = v->question->folds,
        .nfolds = v->question->nfolds,
        .limits = h->limits,
        .criteria = &v->criteria,
        .include_managed = h->include_managed,
        .deadline_ms = v->deadline_ms,
        .on_progress = h->on_progress,
        .arg = h->arg,
    };
    size_t n = 0;

    v->names = calloc(v->scope.n ? v->scope.n : 1, sizeof(*v->names));
    if (!v->names)
        return err_nomem(err, "handler");
    for (size_t i = 0; i < v->scope.n; i++)
        if (v->scope.entries[i].kind == SCOPE_REGION)
            v->names[n++] = v->scope.entries[i].name;
    return sweep_new(&options, v->names, n, &v->sweep, err);
}

/* Asks all regions; a list of regions that has aged is renewed beside it. */
static enum err_code ask(struct visit *v, struct err *err)
{
    struct atlas *atlas = v->handler->atlas;
    struct err poll_err = {0};
    enum err_code rc = make_sweep(v, err);

    if (rc)
        return rc;
    if (sweep_nregions(v->sweep) &&
        atlas_is_older_than(atlas, ATLAS_MAX_AGE_MS) && may_refresh(v))
        atlas_refresh(atlas, &v->refresh_stats, v->deadline_ms);
    if (sweep_run(v->sweep, &poll_err))
        log_write(LOG_ERROR, "the poll failed",
                  LOG_FIELDS(LOG_STR("error", err_text(&poll_err))));
    atlas_cancel_refresh(atlas);
    return ERR_OK;
}

/* Bytes that the body may take in the envelope of this call. */
static enum err_code body_budget(const struct visit *v, struct buf *out,
                                 size_t *budget, struct err *err)
{
    const struct event_answer empty = {.http_status = 200};
    enum err_code rc = event_render(&v->call, &empty, out, err);

    if (!rc)
        *budget = v->handler->answer_max > out->len
                      ? v->handler->answer_max - out->len
                      : 0;
    return rc;
}

static enum err_code report(struct visit *v, struct buf *out, struct err *err)
{
    struct report_input input = {
        .question = v->question,
        .scope = &v->scope,
        .sweep = v->sweep,
        .atlas = v->handler->atlas,
        .criteria = &v->criteria,
        .in_string = true,
    };
    size_t nasked = scope_count(&v->scope, SCOPE_REGION);
    enum err_code rc = body_budget(v, out, &input.budget, err);

    if (!rc)
        rc = report_render(&input, &v->body, &v->summary, err);
    if (nasked == 0)
        v->http_status = 400;
    else
        v->http_status = sweep_nfailed(v->sweep) == nasked ? 502 : 200;
    return rc;
}

/* Fills body and status; ERR_OK also for refusals. */
static enum err_code answer_call(struct visit *v, struct buf *out,
                                 struct err *err)
{
    struct err cause = {0};
    enum err_code rc;

    v->question = question_by_path(v->call.api_path);
    if (!v->question)
        return refuse_path(v, err);
    rc = criteria_parse(&v->handler->criteria, v->question,
                        &(struct criteria_text){0}, &v->criteria, &cause);
    if (!rc)
        rc = scope_parse(v->call.regions, &v->scope, &cause);
    if (rc == ERR_LIMIT || rc == ERR_ARG)
        return refuse(v, 400, span_of(err_text(&cause)), err);
    if (rc)
        return err_set(err, rc, "%s", err_text(&cause));
    rc =
        aws_client_load_credentials(v->handler->client, v->deadline_ms, &cause);
    if (rc == ERR_AUTH)
        return refuse(v, 500, span_of(err_text(&cause)), err);
    if (rc)
        return err_set(err, rc, "%s", err_text(&cause));
    rc = resolve(v, err);
    if (!rc)
        rc = criteria_place(&v->criteria, &v->scope, &cause);
    if (rc == ERR_ARG)
        return refuse(v, 400, span_of(err_text(&cause)), err);
    if (!rc)
        rc = ask(v, err);
    return rc ? rc : report(v, out, err);
}

static void log_summary(const struct visit *v, const struct buf *out)
{
    const struct ec2_stats *stats =
        v->sweep ? sweep_stats(v->sweep) : &v->refresh_stats;

    log_write(LOG_INFO, "answered",
              LOG_FIELDS(
                  LOG_STR("question", v->question ? v->question->name : "none"),
                  LOG_INT("status", v->http_status),
                  LOG_INT("regionsAsked", (int64_t)v->scope.n),
                  LOG_INT("regionsFailed", (int64_t)v->summary.nfailed),
                  LOG_INT("requests", (int64_t)stats->requests),
                  LOG_INT("retries", (int64_t)stats->retries),
                  LOG_INT("pages", (int64_t)stats->pages),
                  LOG_INT("instances",
                          v->sweep ? (int64_t)sweep_ninstances(v->sweep) : 0),
                  LOG_INT("rows", (int64_t)v->summary.total),
                  LOG_INT("ms", mono_ms(v) - v->began_ms),
                  LOG_INT("bytes", (int64_t)out->len)));
}

static enum err_code render(struct visit *v, struct buf *out, struct err *err)
{
    const struct event_answer answer = {
        .http_status = v->http_status,
        .body = buf_span(&v->body),
        .raw_body = v->handler->raw_body,
    };
    enum err_code rc = event_render(&v->call, &answer, out, err);

    if (rc)
        return rc;
    log_summary(v, out);
    if (!v->handler->debug)
        return ERR_OK;
    log_write(LOG_INFO, "response",
              LOG_FIELDS(LOG_WHOLE("response", buf_span(out))));
    counters_log("counters", v->handler->client, &v->before);
    return ERR_OK;
}

enum err_code handler_answer(const struct handler *handler, struct span event,
                             int64_t deadline_ms, struct buf *out,
                             struct err *err)
{
    struct visit v = {
        .handler = handler,
        .deadline_ms = deadline_ms - handler->answer_margin_ms,
        .scope = SCOPE_INIT,
        .body = BUF_INIT(handler->answer_max),
    };
    enum err_code rc;

    v.began_ms = mono_ms(&v);
    v.before = counters_read(handler->client);
    buf_reset(out);
    rc = event_parse(event, &v.call, err);
    if (!rc)
        rc = answer_call(&v, out, err);
    if (!rc)
        rc = render(&v, out, err);
    sweep_free(v.sweep);
    free(v.names);
    scope_release(&v.scope);
    buf_release(&v.body);
    call_release(&v.call);
    return rc;
}
