#include "lambda/runtime.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "lambda/event.h"

/* Longest AWS_LAMBDA_RUNTIME_API and longest URL without an id, bytes. */
#define API_MAX ((size_t)255)
#define URL_MAX ((size_t)512)
/* Room for an id before there is one: Lambda's have 36 bytes. */
#define ID_LEN ((size_t)63)
/* What is kept of the body of a refusal, bytes, for the log. */
#define REPLY_MAX ((size_t)512)

#define TRACE_VARIABLE "_X_AMZN_TRACE_ID"

struct runtime {
    struct http *http;
    const struct clock *clock;
    struct buf base;  /* "http://host:port/2018-06-01/runtime/" */
    struct buf next;  /* the same and "invocation/next" */
    struct buf trace; /* "_X_AMZN_TRACE_ID=…", part of the environment */
};

/* One request and what became of it. */
struct exchange {
    struct runtime *rt;
    const char *what;       /* for texts: "next", "response", "error" */
    struct invocation *inv; /* filled from the answer; NULL: no event comes */
    struct http_transfer *transfer; /* NULL: not in flight */
    bool done;
    enum http_failure failure;
    long status;
    struct buf detail; /* the library's sentence, or the refusal's body */
};

void invocation_init(struct invocation *inv)
{
    *inv = (struct invocation){
        .request_id = BUF_INIT(RUNTIME_HEADER_MAX),
        .invocation_id = BUF_INIT(RUNTIME_HEADER_MAX),
        .trace_id = BUF_INIT(RUNTIME_HEADER_MAX),
        .function_arn = BUF_INIT(RUNTIME_HEADER_MAX),
        .client_context = BUF_INIT(RUNTIME_HEADER_MAX),
        .event = BUF_INIT(EVENT_SIZE_MAX),
    };
}

void invocation_release(struct invocation *inv)
{
    buf_release(&inv->event);
    buf_release(&inv->client_context);
    buf_release(&inv->function_arn);
    buf_release(&inv->trace_id);
    buf_release(&inv->invocation_id);
    buf_release(&inv->request_id);
    inv->deadline_ms = 0;
}

/* Letters, digits and others, at least one. */
static bool is_word(struct span s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!is_letter && !(c >= '0' && c <= '9') && (!c || !strchr(others, c)))
            return false;
    }
    return s.len > 0;
}

static bool is_printable(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7E)
            return false;
    return true;
}

enum err_code runtime_new(struct http *http, const struct clock *clock,
                          const char *api, struct runtime **out,
                          struct err *err)
{
    struct span host = span_of(api);
    struct runtime *rt;
    enum err_code rc;

    *out = NULL;
    if (host.len > API_MAX || !is_word(host, ".-:[]"))
        return err_set(err, ERR_CONFIG,
                       "AWS_LAMBDA_RUNTIME_API=\"%.80s\": expected host:port",
                       api);
    rt = malloc(sizeof(*rt));
    if (!rt)
        return err_nomem(err, "runtime");
    *rt =
        (struct runtime){http, clock, BUF_INIT(URL_MAX), BUF_INIT(URL_MAX),
                         BUF_INIT(sizeof(TRACE_VARIABLE) + RUNTIME_HEADER_MAX)};
    buf_addf(&rt->base, "http://%s/2018-06-01/runtime/", api);
    rc = buf_check(&rt->base, "runtime", err);
    buf_addf(&rt->next, "%sinvocation/next", rt->base.data);
    if (!rc)
        rc = buf_check(&rt->next, "runtime", err);
    /* All room at once: the environment will point at it. */
    buf_reserve(&rt->trace, rt->trace.max);
    if (!rc)
        rc = buf_check(&rt->trace, "runtime", err);
    if (rc)
        runtime_free(rt);
    else
        *out = rt;
    return rc;
}

void runtime_free(struct runtime *rt)
{
    if (!rt)
        return;
    (void)unsetenv(TRACE_VARIABLE);
    buf_release(&rt->trace);
    buf_release(&rt->next);
    buf_release(&rt->base);
    free(rt);
}

/* Copies a header's value; *out is empty when there is none of use. */
static void take_header(const struct http_transfer *transfer, const char *name,
                        struct buf *out)
{
    struct span value;

    if (!http_response_header(transfer, name, &value))
        return;
    buf_add_span(out, span_trim(value));
    if (out->failed == ERR_LIMIT) {
        log_write(LOG_WARN, "Runtime API: header ignored, too long",
                  LOG_FIELDS(LOG_STR("header", name)));
        buf_reset(out);
    }
}

/* What is left of the deadline, an instant of real time in ms as text. */
static int64_t remaining_ms(struct span deadline, int64_t real_ms)
{
    int64_t at_ms;

    if (!span_int64(deadline, &at_ms)) {
        log_write(LOG_WARN, "Runtime API: no readable deadline",
                  LOG_FIELDS(LOG_SPAN("deadline", deadline)));
        return RUNTIME_DEADLINE_MAX_MS;
    }
    if (at_ms < real_ms)
        return RUNTIME_DEADLINE_MIN_MS;
    at_ms -= real_ms;
    if (at_ms < RUNTIME_DEADLINE_MIN_MS)
        return RUNTIME_DEADLINE_MIN_MS;
    return at_ms > RUNTIME_DEADLINE_MAX_MS ? RUNTIME_DEADLINE_MAX_MS : at_ms;
}

static void take_headers(const struct runtime *rt,
                         const struct http_transfer *transfer,
                         struct invocation *inv)
{
    struct span deadline = {NULL, 0};

    take_header(transfer, "Lambda-Runtime-Aws-Request-Id", &inv->request_id);
    take_header(transfer, "Lambda-Runtime-Invocation-Id", &inv->invocation_id);
    take_header(transfer, "Lambda-Runtime-Trace-Id", &inv->trace_id);
    take_header(transfer, "Lambda-Runtime-Invoked-Function-Arn",
                &inv->function_arn);
    take_header(transfer, "Lambda-Runtime-Client-Context",
                &inv->client_context);
    if (!is_printable(buf_span(&inv->invocation_id)))
        buf_reset(&inv->invocation_id);

    (void)http_response_header(transfer, "Lambda-Runtime-Deadline-Ms",
                               &deadline);
    inv->deadline_ms =
        clock_add(clock_mono_ms(rt->clock),
                  remaining_ms(span_trim(deadline), clock_real_ms(rt->clock)));
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct exchange *ex = arg;
    size_t room = REPLY_MAX - ex->detail.len;

    if (ex->inv) {
        buf_add(&ex->inv->event, data, len);
        return !ex->inv->event.failed;
    }
    buf_add(&ex->detail, data, len < room ? len : room);
    return true;
}

static void on_done(void *arg, const struct http_result *result)
{
    struct exchange *ex = arg;

    if (ex->inv && result->status == 200)
        take_headers(ex->rt, ex->transfer, ex->inv);
    if (result->failure != HTTP_OK) {
        buf_reset(&ex->detail);
        buf_add_str(&ex->detail, result->detail);
    }
    ex->failure = result->failure;
    ex->status = result->status;
    ex->transfer = NULL;
    ex->done = true;
}

/* The end of a request that there was no memory to begin with. */
static void fail_unsent(struct exchange *ex)
{
    ex->failure = HTTP_NOMEM;
    ex->status = 0;
    buf_reset(&ex->detail);
    buf_add_str(&ex->detail, "out of memory");
}

/* Sends request and waits for its end, however long that takes. */
static enum err_code run(struct exchange *ex, struct http_request *request,
                         struct err *err)
{
    struct err unsent = {0};
    enum err_code rc;

    request->route = HTTP_DIRECT;
    request->on_body = on_body;
    request->on_done = on_done;
    request->arg = ex;
    ex->done = false;
    buf_reset(&ex->detail);
    rc = http_start(ex->rt->http, request, &ex->transfer, &unsent);
    if (rc == ERR_NOMEM) {
        fail_unsent(ex);
        return ERR_OK;
    }
    if (rc)
        return err_set(err, rc, "%s", err_text(&unsent));
    rc = http_run(ex->rt->http, CLOCK_NEVER, &ex->done, err);
    if (ex->transfer) {
        http_cancel(ex->transfer);
        ex->transfer = NULL;
    }
    return rc;
}

static enum err_code transfer_error(const struct exchange *ex, struct err *err)
{
    if (ex->failure == HTTP_NOMEM)
        return err_nomem(err, "runtime");
    return err_set(err, ERR_NET, "runtime: %s: %s", ex->what, ex->detail.data);
}

/*
 * No event has come, or none that could be failed. If one was handed out all
 * the same, the Runtime API refuses the next (403), which ends the process.
 */
static bool is_unreached(const struct exchange *ex)
{
    return ex->failure == HTTP_RESOLVE || ex->failure == HTTP_CONNECT ||
           ex->failure == HTTP_CONNECT_TIMEOUT || ex->failure == HTTP_BROKEN ||
           (ex->failure == HTTP_NOMEM && !ex->inv->request_id.len);
}

/* Asks once, with room for the ids: an event without them cannot be failed. */
static enum err_code ask_once(struct exchange *ex, struct err *err)
{
    struct http_request request = {
        .method = "GET",
        .url = ex->rt->next.data,
    };
    struct invocation *inv = ex->inv;

    invocation_release(inv);
    buf_reserve(&inv->request_id, ID_LEN);
    buf_reserve(&inv->invocation_id, ID_LEN);
    if (!inv->request_id.failed && !inv->invocation_id.failed)
        return run(ex, &request, err);
    buf_reset(&inv->request_id);
    fail_unsent(ex);
    return ERR_OK;
}

static enum err_code ask_next(struct exchange *ex, struct err *err)
{
    int64_t delay_ms = RUNTIME_NEXT_DELAY_MS;
    const bool never = false;
    enum err_code rc = ERR_OK;

    for (int tries = 1; !rc; tries++) {
        rc = ask_once(ex, err);
        if (rc || !is_unreached(ex) || tries == RUNTIME_NEXT_TRIES)
            break;
        log_write(LOG_WARN, "Runtime API: asking again for the next event",
                  LOG_FIELDS(LOG_STR("failure", ex->detail.data)));
        rc = http_run(ex->rt->http,
                      clock_add(clock_mono_ms(ex->rt->clock), delay_ms), &never,
                      err);
        delay_ms *= 2;
    }
    return rc;
}

/* What the end of a GET next means. */
static enum err_code judge_next(const struct exchange *ex, struct err *err)
{
    const struct invocation *inv = ex->inv;

    if (ex->failure == HTTP_LIMIT)
        return err_set(err, ERR_LIMIT, "event: %s", ex->detail.data);
    if (ex->failure != HTTP_OK && ex->failure != HTTP_STOPPED)
        return transfer_error(ex, err);
    if (ex->status != 200)
        return err_set(err, ERR_NET, "runtime: next: answered %ld", ex->status);
    if (inv->request_id.failed || inv->invocation_id.failed ||
        inv->trace_id.failed || inv->function_arn.failed ||
        inv->client_context.failed)
        return err_nomem(err, "runtime");
    /* The id becomes part of a URL. */
    if (!is_word(buf_span(&inv->request_id), "-"))
        return err_set(err, ERR_NET, "runtime: next: no usable request id");
    return buf_check(&inv->event, "event", err);
}

/* Custom runtimes set the variable themselves, anew for each event. */
static void publish_trace(struct runtime *rt, const struct buf *trace_id)
{
    (void)unsetenv(TRACE_VARIABLE);
    if (!trace_id->len)
        return;
    /* Not setenv(): glibc keeps each different value for ever. */
    buf_reset(&rt->trace);
    buf_addf(&rt->trace, TRACE_VARIABLE "=%s", trace_id->data);
    if (!rt->trace.failed)
        (void)putenv(rt->trace.data);
}

enum err_code runtime_next(struct runtime *rt, struct invocation *inv,
                           struct err *err)
{
    struct exchange ex = {
        .rt = rt,
        .what = "next",
        .inv = inv,
        .detail = BUF_INIT(REPLY_MAX),
    };
    enum err_code rc;

    /* Nothing of the last event may be taken for this one's. */
    invocation_release(inv);
    rc = ask_next(&ex, err);
    if (!rc)
        rc = judge_next(&ex, err);
    if (rc && !is_word(buf_span(&inv->request_id), "-"))
        buf_reset(&inv->request_id);
    publish_trace(rt, &inv->trace_id);
    buf_release(&ex.detail);
    return rc;
}

/* What the end of a POST means (RIE: internal/lambda/rapi/handler). */
static enum err_code judge_post(const struct exchange *ex, struct err *err)
{
    /* Who gives a status has taken the request, whatever came after it. */
    if (!ex->status)
        return transfer_error(ex, err);
    if (ex->status / 100 == 2)
        return ERR_OK;
    switch (ex->status) {
    case 400: /* finished or unknown invocation */
    case 403: /* not in a state to take this */
    case 410: /* it timed out and its answer is stale */
    case 413: /* too large; the service has failed the invocation already */
        log_write(LOG_WARN, "Runtime API: refused",
                  LOG_FIELDS(LOG_STR("call", ex->what),
                             LOG_INT("status", ex->status),
                             LOG_SPAN("text", buf_span(&ex->detail))));
        return ERR_OK;
    default:
        return err_set(err, ERR_NET, "runtime: %s: answered %ld", ex->what,
                       ex->status);
    }
}

/* POSTs body below path; type (may be NULL) is what kind of error it is. */
static enum err_code post(struct exchange *ex, const char *path,
                          const struct invocation *inv, const char *type,
                          struct span body, struct err *err)
{
    struct http_header headers[3] = {{"Content-Type", "application/json"}};
    size_t nheaders = 1;
    struct buf url = BUF_INIT(RUNTIME_HEADER_MAX + URL_MAX);
    struct http_request request;
    enum err_code rc;

    if (type)
        headers[nheaders++] =
            (struct http_header){"Lambda-Runtime-Function-Error-Type", type};
    if (inv && inv->invocation_id.len)
        headers[nheaders++] = (struct http_header){
            "Lambda-Runtime-Invocation-Id", inv->invocation_id.data};
    buf_add_span(&url, buf_span(&ex->rt->base));
    if (inv)
        buf_addf(&url, "invocation/%s/", inv->request_id.data);
    buf_add_str(&url, path);
    rc = buf_check(&url, "runtime: url", err);
    if (rc)
        goto out;
    request = (struct http_request){
        .method = "POST",
        .url = url.data,
        .headers = headers,
        .nheaders = nheaders,
        .body = body.p,
        .body_len = body.len,
    };
    rc = run(ex, &request, err);
    if (rc)
        goto out;
    rc = judge_post(ex, err);

out:
    buf_release(&url);
    buf_release(&ex->detail);
    return rc;
}

enum err_code runtime_respond(struct runtime *rt, const struct invocation *inv,
                              struct span body, struct err *err)
{
    struct exchange ex = {
        .rt = rt,
        .what = "response",
        .detail = BUF_INIT(REPLY_MAX),
    };

    return post(&ex, "response", inv, NULL, body, err);
}

/* A JSON string of text; what is not ASCII is replaced if it is not UTF-8. */
static json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy;

    if (value)
        return value;
    copy = strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p > 0x7E)
            *p = '?';
    value = copy ? json_string(copy) : NULL;
    free(copy);
    return value;
}

static enum err_code report(struct runtime *rt, const struct invocation *inv,
                            const char *type, const char *message,
                            struct err *err)
{
    struct exchange ex = {
        .rt = rt,
        .what = inv ? "error" : "init/error",
        .detail = BUF_INIT(REPLY_MAX),
    };
    json_t *body =
        json_pack("{s:o, s:s, s:[]}", "errorMessage", json_text(message),
                  "errorType", type, "stackTrace");
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    enum err_code rc;

    if (text)
        rc = post(&ex, ex.what, inv, type, span_of(text), err);
    else
        rc = err_nomem(err, "runtime");
    free(text);
    json_decref(body);
    return rc;
}

enum err_code runtime_fail(struct runtime *rt, const struct invocation *inv,
                           const char *type, const char *message,
                           struct err *err)
{
    return report(rt, inv, type, message, err);
}

enum err_code runtime_init_fail(struct runtime *rt, const char *type,
                                const char *message, struct err *err)
{
    return report(rt, NULL, type, message, err);
}
