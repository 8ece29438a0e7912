#include "lambda/handler.h"

#include <stdlib.h>

#include "base/log.h"
#include "handler_private.h"
#include "lambda/refusal.h"

/* Longest text of a refusal, bytes: names, quotations, all questions. */
#define TEXT_MAX ((size_t)4096)

/* Digits of an account's number, and its place among the parts of an ARN. */
#define ACCOUNT_LEN 12
#define ACCOUNT_PART 4

static const struct aws_client_options *options_of(const struct visit *v)
{
    return aws_client_options(v->handler->client);
}

int64_t visit_mono_ms(const struct visit *v)
{
    return clock_mono_ms(options_of(v)->clock);
}

/* Whether the answer has the form of the program that this one replaces. */
static bool is_array(const struct visit *v)
{
    return v->call.envelope == ENVELOPE_API_SCHEMA &&
           !v->handler->always_object;
}

static enum err_code refuse(struct visit *v, const struct refusal *refusal,
                            struct err *err)
{
    v->http_status = refusal->http_status;
    return refusal_write(refusal, is_array(v), &v->body, err);
}

static enum err_code refuse_name(struct visit *v, struct err *err)
{
    bool is_path = v->call.envelope == ENVELOPE_API_SCHEMA;
    struct buf error = BUF_INIT(TEXT_MAX);
    struct buf hint = BUF_INIT(TEXT_MAX);
    struct refusal refusal = {.http_status = 404};
    enum err_code rc;

    buf_add_str(&error, is_path ? "api path \"" : "no question \"");
    buf_add_span(&error, v->call.name);
    buf_add_str(&error, is_path ? "\" not supported" : "\"");
    buf_add_str(&hint, "there are ");
    refusal_add_names(v->call.envelope, &hint);
    rc = buf_check(&error, "handler", err);
    if (!rc)
        rc = buf_check(&hint, "handler", err);
    refusal.error = buf_span(&error);
    refusal.hint = buf_span(&hint);
    if (!rc)
        rc = refuse(v, &refusal, err);
    buf_release(&hint);
    buf_release(&error);
    return rc;
}

/* What the caller can mend: cause says how. */
static enum err_code refuse_call(struct visit *v, const struct err *cause,
                                 struct err *err)
{
    const struct refusal refusal = {
        .http_status = 400,
        .error = span_of(err_text(cause)),
        .hint = SPAN_LIT("correct this and ask again"),
    };

    return refuse(v, &refusal, err);
}

static enum err_code refuse_size(struct visit *v, const struct err *cause,
                                 struct err *err)
{
    const struct refusal refusal = {
        .http_status = 400,
        .error = span_of(err_text(cause)),
        .hint = SPAN_LIT("ask for fewer regions"),
    };

    return refuse(v, &refusal, err);
}

/* What the operator of this function must mend. */
static enum err_code
refuse_credentials(struct visit *v, const struct err *cause, struct err *err)
{
    const struct refusal refusal = {
        .http_status = 500,
        .error = span_of(err_text(cause)),
        .hint = SPAN_LIT("no other question will be answered either, until "
                         "there are AWS credentials: tell the operator"),
    };

    return refuse(v, &refusal, err);
}

/* Trouble of our own. */
static enum err_code refuse_trouble(struct visit *v, const struct err *cause,
                                    struct err *err)
{
    const struct refusal refusal = {
        .http_status = 500,
        .error = span_of(err_text(cause)),
        .hint = SPAN_LIT("ask again; if that does not help, the log of this "
                         "function says more"),
        .is_retryable = true,
    };

    log_write(LOG_ERROR, "trouble",
              LOG_FIELDS(LOG_STR("error", err_text(cause))));
    return refuse(v, &refusal, err);
}

static bool may_refresh(const struct visit *v)
{
    const struct atlas *atlas = v->handler->atlas;
    int64_t asked = atlas_asked_ms(atlas);

    return atlas_get_source(atlas) != ATLAS_CONFIGURED &&
           (asked == INT64_MIN || visit_mono_ms(v) - asked > ATLAS_MIN_AGE_MS);
}

/* The account is asked for its regions when that was never done (a command,
 * or an INIT without network), and for names and patterns that may be new. */
static enum err_code resolve(struct visit *v, struct err *err)
{
    struct atlas *atlas = v->handler->atlas;
    int64_t now = visit_mono_ms(v);
    int64_t wait = v->handler->list_wait_ms;
    int64_t until = now + (wait ? wait : HANDLER_LIST_WAIT_MS);
    enum err_code rc = scope_resolve(&v->scope, atlas, err);

    if (rc || !may_refresh(v))
        return rc;
    if (scope_count(&v->scope, SCOPE_UNKNOWN) == 0 &&
        scope_count(&v->scope, SCOPE_NO_MATCH) == 0 &&
        (atlas_asked_ms(atlas) != INT64_MIN ||
         scope_count(&v->scope, SCOPE_REGION) == 0))
        return ERR_OK;
    /* The other half is for the regions that are known. */
    if (until > now + (v->deadline_ms - now) / 2)
        until = now + (v->deadline_ms - now) / 2;
    atlas_refresh(atlas, &v->refresh_stats, until);
    rc = http_run(options_of(v)->http, until, atlas_is_settled(atlas), err);
    atlas_cancel_refresh(atlas);
    return rc ? rc : scope_resolve(&v->scope, atlas, err);
}

static enum err_code make_sweep(struct visit *v, struct err *err)
{
    const struct handler *h = v->handler;
    struct sweep_options options = {
        .client = h->client,
        .folds = v->question->folds,
        .nfolds = v->question->nfolds,
        .limits = h->limits,
        .nparallel = h->nparallel,
        .criteria = &v->criteria,
        .include_managed = h->include_managed,
        .deadline_ms = v->deadline_ms,
        .on_progress = h->on_progress,
        .arg = h->arg,
    };
    size_t n = 0;

    /* Who sums up needs no rows, only how many there are. */
    if (v->question->summarize)
        options.limits.rows_max = 0;
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
    if (v->handler->ahead)
        ahead_give(v->handler->ahead, &v->criteria, v->sweep);
    if (sweep_nregions(v->sweep) &&
        atlas_is_older_than(atlas, ATLAS_MAX_AGE_MS) && may_refresh(v))
        atlas_refresh(atlas, &v->refresh_stats, v->deadline_ms);
    if (v->handler->on_progress)
        v->handler->on_progress(v->handler->arg, 0, sweep_nregions(v->sweep),
                                sweep_stats(v->sweep));
    if (sweep_run(v->sweep, &poll_err))
        log_write(LOG_ERROR, "the poll failed",
                  LOG_FIELDS(LOG_STR("error", err_text(&poll_err))));
    atlas_cancel_refresh(atlas);
    v->nahead = sweep_nadopted(v->sweep);
    if (v->nahead)
        v->as_of_ms = ahead_real_ms(v->handler->ahead);
    return ERR_OK;
}

/* Bytes that the body may take in the envelope of this call. */
static enum err_code body_budget(const struct visit *v, struct buf *out,
                                 size_t *budget, struct err *err)
{
    /* The status with the longest envelope. */
    const struct event_answer empty = {
        .http_status = 400,
        .raw_body = v->handler->raw_body,
    };
    const struct handler *h = v->handler;
    enum err_code rc = event_render(&v->call, &empty, out, err);
    size_t most = h->answer_max > out->len ? h->answer_max - out->len : 0;
    size_t wanted = h->budget > out->len ? h->budget - out->len : 0;

    if (wanted < HANDLER_BODY_MIN)
        wanted = HANDLER_BODY_MIN;
    *budget = h->budget && wanted < most ? wanted : most;
    return rc;
}

/* The account in the ARN of a function; empty when it has none. */
static struct span account_of(struct span arn)
{
    struct span part = {NULL, 0};

    for (int i = 0; i <= ACCOUNT_PART; i++)
        if (!span_split(&arn, ':', &part))
            return (struct span){NULL, 0};
    for (size_t i = 0; i < part.len; i++)
        if (part.p[i] < '0' || part.p[i] > '9')
            return (struct span){NULL, 0};
    return part.len == ACCOUNT_LEN ? part : (struct span){NULL, 0};
}

/* "2026-08-30T12:34:56Z": the question's moment, for people. */
static struct span second_of(int64_t real_ms, char text[CLOCK_RFC3339_LEN + 1])
{
    size_t len = sizeof("2026-08-30T12:34:56") - 1;

    clock_utc_rfc3339(real_ms, text);
    text[len++] = 'Z';
    return (struct span){text, len};
}

static enum err_code report(struct visit *v, struct buf *out, struct err *err)
{
    char as_of[CLOCK_RFC3339_LEN + 1];
    struct report_input input = {
        .form = is_array(v) ? REPORT_ARRAY : REPORT_OBJECT,
        .question = v->question,
        .scope = &v->scope,
        .sweep = v->sweep,
        .atlas = v->handler->atlas,
        .criteria = &v->criteria,
        .account = account_of(v->event->function_arn),
        .as_of = second_of(v->as_of_ms, as_of),
        .in_string = event_escapes_body(&v->call, v->handler->raw_body),
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

/* Reads the parameters. ERR_ARG, ERR_LIMIT: the caller can mend it. */
static enum err_code read_parameters(struct visit *v, struct err *err)
{
    /* With an API schema, as the program that this one replaces. */
    bool ignores_unknown = v->call.envelope == ENVELOPE_API_SCHEMA;
    enum err_code rc;

    if (v->call.unknown.len && !ignores_unknown)
        return criteria_refuse(v->question, v->call.unknown, err);
    rc = criteria_parse(&v->handler->criteria, v->question, &v->call.parameters,
                        &v->criteria, err);
    v->criteria.brief = is_array(v);
    return rc ? rc : scope_parse(v->call.parameters.regions, &v->scope, err);
}

/* Asks EC2 and makes the body; *cause and its code are why there is none. */
static enum err_code find_out(struct visit *v, struct buf *out,
                              struct err *cause)
{
    enum err_code rc = resolve(v, cause);

    if (!rc)
        rc = criteria_place(&v->criteria, &v->scope, cause);
    if (!rc)
        rc = ask(v, cause);
    return rc ? rc : report(v, out, cause);
}

/* Fills body and status, with a refusal if nothing else. */
static enum err_code answer_call(struct visit *v, struct buf *out,
                                 struct err *err)
{
    struct err cause = {0};
    enum err_code rc;

    v->question = v->call.envelope == ENVELOPE_API_SCHEMA
                      ? question_by_path(v->call.name)
                      : question_by_name(v->call.name);
    if (!v->question)
        return refuse_name(v, err);
    rc = read_parameters(v, &cause);
    if (rc == ERR_ARG || rc == ERR_LIMIT)
        return refuse_call(v, &cause, err);
    if (!rc) {
        rc = aws_client_load_credentials(v->handler->client, v->deadline_ms,
                                         &cause);
        if (rc == ERR_AUTH || rc == ERR_LIMIT)
            return refuse_credentials(v, &cause, err);
    }
    if (!rc)
        rc = find_out(v, out, &cause);
    if (rc == ERR_ARG)
        return refuse_call(v, &cause, err);
    if (rc == ERR_LIMIT)
        return refuse_size(v, &cause, err);
    return rc ? refuse_trouble(v, &cause, err) : ERR_OK;
}

static enum err_code render(struct visit *v, struct buf *out, struct err *err)
{
    const struct event_answer answer = {
        .http_status = v->http_status,
        .body = buf_span(&v->body),
        .raw_body = v->handler->raw_body,
    };
    enum err_code rc = event_render(&v->call, &answer, out, err);

    if (!rc && out->len > v->handler->answer_max)
        rc = err_set(err, ERR_LIMIT, "handler: the answer passes %zu bytes",
                     v->handler->answer_max);
    if (rc)
        return rc;
    visit_log(v, out);
    if (!v->handler->debug)
        return ERR_OK;
    log_write(LOG_INFO, "response",
              LOG_FIELDS(LOG_WHOLE("response", buf_span(out))));
    counters_log("counters", v->handler->client, &v->before);
    return ERR_OK;
}

enum err_code handler_answer(const struct handler *handler,
                             const struct handler_event *event, struct buf *out,
                             struct err *err)
{
    struct visit v = {
        .handler = handler,
        .event = event,
        .deadline_ms = event->deadline_ms - handler->answer_margin_ms,
        .scope = SCOPE_INIT,
        .body = BUF_INIT(handler->answer_max),
    };
    struct err cause = {0};
    enum err_code rc;

    v.began_ms = visit_mono_ms(&v);
    v.began_real_ms = clock_real_ms(options_of(&v)->clock);
    v.as_of_ms = v.began_real_ms;
    v.before = counters_read(handler->client);
    buf_reset(out);
    rc = event_parse(&event->source, &v.call, &cause);
    if (rc == ERR_ARG)
        rc = refuse_call(&v, &cause, err);
    else if (rc)
        (void)err_set(err, rc, "%s", err_text(&cause));
    else
        rc = answer_call(&v, out, err);
    if (!rc)
        rc = render(&v, out, err);
    sweep_free(v.sweep);
    if (handler->ahead)
        ahead_tidy(handler->ahead);
    free(v.names);
    scope_release(&v.scope);
    buf_release(&v.body);
    call_release(&v.call);
    return rc;
}
