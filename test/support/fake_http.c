#include "support/fake_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/fake_clock.h"

/* Events in one http_run(): more is a loop without end. */
#define EVENTS_MAX 1000000

/* Memory that lives as long as the struct http. */
struct kept {
    struct kept *next;
    max_align_t data[];
};

struct queued {
    struct fake_answer answer;
    unsigned left;
    struct queued *next;
};

struct record {
    struct fake_request request;
    struct record *next;
};

struct http_transfer {
    struct http *http;
    struct http_transfer *next;
    struct record *record;
    struct fake_answer answer;
    http_body_fn on_body;
    http_done_fn on_done;
    void *arg;
    size_t given;         /* bytes of the body */
    int64_t due_ms;       /* of the next piece or the end */
    int64_t connected_ms; /* CLOCK_NEVER: it will not be */
    int64_t sent_real_ms;
    bool over; /* done or cancelled: freed at the end of the turn */
};

struct http {
    struct http_options options;
    struct fake_clock *fake;
    struct kept *kept;
    struct queued *queue;
    struct record *records;
    struct record **records_end;
    struct http_transfer *transfers; /* in the order started */
    struct http_transfer **transfers_end;
    struct http_timer *timers;
    fake_answer_fn answer_with;
    void *answer_arg;
    int64_t run_fails_at_ms; /* CLOCK_NEVER: it does not */
    enum err_code run_failure;
    int64_t waited_ms;
    int64_t patient_until_ms;
    int64_t patient_most_ms;
    bool all_connected;
    struct http_stats stats;
};

/* Not malloc(): fail_alloc.h is to hit the code under test, not the double. */
static void *must_allocate(size_t size)
{
    void *p = NULL;

    if (posix_memalign(&p, _Alignof(max_align_t), size ? size : 1) != 0)
        fail_msg("fake_http: out of memory");
    return p;
}

static void *keep(struct http *http, const void *p, size_t len)
{
    struct kept *kept = must_allocate(sizeof(*kept) + len + 1);

    if (len)
        memcpy(kept->data, p, len);
    ((char *)kept->data)[len] = '\0';
    kept->next = http->kept;
    http->kept = kept;
    return kept->data;
}

static const char *keep_str(struct http *http, const char *s)
{
    return s ? keep(http, s, strlen(s)) : NULL;
}

static const struct http_header *
keep_headers(struct http *http, const struct http_header *from, size_t n)
{
    struct http_header *headers = keep(http, from, n * sizeof(*from));

    for (size_t i = 0; i < n; i++) {
        headers[i].name = keep_str(http, from[i].name);
        headers[i].value = keep_str(http, from[i].value);
    }
    return headers;
}

enum err_code http_new(const struct http_options *options, struct http **out,
                       struct err *err)
{
    struct http *http = calloc(1, sizeof(*http));

    if (!http)
        return err_nomem(err, "http");
    http->options = *options;
    http->records_end = &http->records;
    http->transfers_end = &http->transfers;
    http->run_fails_at_ms = CLOCK_NEVER;
    http->all_connected = true;
    http->fake = options->clock->arg;
    assert_ptr_equal(&http->fake->clock, options->clock);
    *out = http;
    return ERR_OK;
}

/* Frees the transfers that are over, or all of them. */
static void reap(struct http *http, bool all)
{
    struct http_transfer **link = &http->transfers;

    while (*link) {
        struct http_transfer *t = *link;

        if (!all && !t->over) {
            link = &t->next;
            continue;
        }
        *link = t->next;
        free(t);
    }
    http->transfers_end = link;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    reap(http, true);
    while (http->kept) {
        struct kept *next = http->kept->next;

        free(http->kept);
        http->kept = next;
    }
    free(http);
}

static struct fake_answer copy_answer(struct http *http,
                                      const struct fake_answer *from)
{
    struct fake_answer answer = *from;

    if (answer.body && answer.body_len == 0)
        answer.body_len = strlen(answer.body);
    answer.body = keep(http, answer.body, answer.body_len);
    answer.host = keep_str(http, answer.host);
    answer.body_has = keep_str(http, answer.body_has);
    answer.detail =
        keep_str(http, answer.detail ? answer.detail : "scripted failure");
    answer.headers = keep_headers(http, answer.headers, answer.nheaders);
    return answer;
}

void fake_http_answer(struct http *http, const struct fake_answer *answer)
{
    struct queued queued = {
        .answer = copy_answer(http, answer),
        .left = answer->times ? answer->times : 1,
    };
    struct queued **end = &http->queue;

    while (*end)
        end = &(*end)->next;
    *end = keep(http, &queued, sizeof(queued));
}

void fake_http_answer_with(struct http *http, fake_answer_fn fn, void *arg)
{
    http->answer_with = fn;
    http->answer_arg = arg;
}

static bool fits(const struct fake_answer *answer,
                 const struct fake_request *request)
{
    if (answer->host && strcmp(answer->host, request->host) != 0)
        return false;
    return !answer->body_has || strstr(request->body, answer->body_has);
}

static struct fake_answer find_answer(struct http *http,
                                      const struct fake_request *request)
{
    struct fake_answer answer = {0};

    if (http->answer_with &&
        http->answer_with(http->answer_arg, request, &answer))
        return copy_answer(http, &answer);
    for (struct queued *q = http->queue; q; q = q->next) {
        if (q->left == 0 || !fits(&q->answer, request))
            continue;
        if (q->left != FAKE_ALWAYS)
            q->left--;
        return q->answer;
    }
    fail_msg("fake_http: no answer for %s %s %s", request->method, request->url,
             request->body);
    return answer;
}

static const char *keep_host(struct http *http, const char *url)
{
    const char *host = strstr(url, "://");

    host = host ? host + strlen("://") : url;
    return keep(http, host, strcspn(host, ":/?"));
}

static struct record *add_record(struct http *http,
                                 const struct http_request *request)
{
    struct record record = {
        .request =
            {
                .method = keep_str(http, request->method),
                .url = keep_str(http, request->url),
                .host = keep_host(http, request->url),
                .headers =
                    keep_headers(http, request->headers, request->nheaders),
                .nheaders = request->nheaders,
                .body = keep(http, request->body, request->body_len),
                .body_len = request->body_len,
                .route = request->route,
                .gzip = request->gzip,
                .ipv4_only = request->ipv4_only,
                .connect_timeout_ms = request->connect_timeout_ms,
                .started_ms = http->fake->mono_ms,
                .ended_ms = CLOCK_NEVER,
            },
    };
    struct record *kept = keep(http, &record, sizeof(record));

    *http->records_end = kept;
    http->records_end = &kept->next;
    return kept;
}

/* False for failures of a request that never went out. */
static bool goes_out(enum http_failure failure)
{
    switch (failure) {
    case HTTP_RESOLVE:
    case HTTP_CONNECT:
    case HTTP_CONNECT_TIMEOUT:
    case HTTP_TLS:
    case HTTP_CERTIFICATE:
    case HTTP_PROXY:
        return false;
    case HTTP_OK:
    case HTTP_BROKEN:
    case HTTP_STOPPED:
    case HTTP_LIMIT:
    case HTTP_NOMEM:
    case HTTP_OTHER:
        break;
    }
    return true;
}

static bool has_connection(enum http_failure failure)
{
    return failure != HTTP_RESOLVE && failure != HTTP_CONNECT &&
           failure != HTTP_CONNECT_TIMEOUT;
}

static void set_script(struct http_transfer *t,
                       const struct http_request *request)
{
    struct fake_answer *answer = &t->answer;

    *answer = find_answer(t->http, &t->record->request);
    if (answer->failure == HTTP_CONNECT_TIMEOUT && answer->after_ms == 0)
        answer->after_ms = request->connect_timeout_ms;
    if (!goes_out(answer->failure))
        answer->body_len = 0;
    else
        t->sent_real_ms = t->http->fake->real_ms;
    if (answer->status == 0 && (answer->failure == HTTP_OK || answer->body_len))
        answer->status = 200;
    t->due_ms = clock_add(t->http->fake->mono_ms, answer->after_ms);
    t->connected_ms =
        has_connection(answer->failure)
            ? clock_add(t->http->fake->mono_ms, answer->connect_ms)
            : CLOCK_NEVER;
}

static void note_connected(struct http *http)
{
    http->all_connected = true;
    for (struct http_transfer *t = http->transfers; t; t = t->next)
        if (!t->over && !http_is_connected(t))
            http->all_connected = false;
}

enum err_code http_start(struct http *http, const struct http_request *request,
                         struct http_transfer **out, struct err *err)
{
    struct http_transfer *t = calloc(1, sizeof(*t));

    if (!t)
        return err_nomem(err, "http: transfer");
    t->http = http;
    t->on_body = request->on_body;
    t->on_done = request->on_done;
    t->arg = request->arg;
    *http->transfers_end = t;
    http->transfers_end = &t->next;
    t->record = add_record(http, request);
    set_script(t, request);
    note_connected(http);
    http->stats.requests++;
    http->stats.connections++;
    if (out)
        *out = t;
    return ERR_OK;
}

static void set_over(struct http_transfer *t)
{
    t->over = true;
    t->record->request.ended_ms = t->http->fake->mono_ms;
}

void http_cancel(struct http_transfer *transfer)
{
    if (transfer->over)
        return;
    set_over(transfer);
    transfer->record->request.cancelled = true;
}

bool http_is_connected(const struct http_transfer *transfer)
{
    return transfer->connected_ms <= transfer->http->fake->mono_ms;
}

const bool *http_all_connected(const struct http *http)
{
    return &http->all_connected;
}

bool http_response_header(const struct http_transfer *transfer,
                          const char *name, struct span *out)
{
    for (size_t i = transfer->answer.nheaders; i > 0; i--) {
        const struct http_header *h = &transfer->answer.headers[i - 1];

        if (span_eq_nocase(span_of(h->name), span_of(name))) {
            *out = span_of(h->value);
            return true;
        }
    }
    return false;
}

static void finish(struct http_transfer *t, enum http_failure failure)
{
    struct http_result result = {
        .failure = failure,
        .status = t->answer.status,
        .detail = failure ? t->answer.detail : "",
        .sent_real_ms = t->sent_real_ms,
        .rtt_us = t->answer.rtt_us,
    };

    set_over(t);
    t->on_done(t->arg, &result);
}

/*
 * Gives the next piece from a block of its own size, so that a reader that
 * goes too far is seen. False when the transfer is over.
 */
static bool give_piece(struct http_transfer *t)
{
    size_t left = t->answer.body_len - t->given;
    size_t len =
        t->answer.piece && t->answer.piece < left ? t->answer.piece : left;
    char *piece = must_allocate(len);
    bool wanted;

    memcpy(piece, t->answer.body + t->given, len);
    t->given += len;
    wanted = !t->on_body || t->on_body(t->arg, piece, len);
    free(piece);
    t->record->request.stopped = !wanted;
    if (!t->over && !wanted)
        finish(t, HTTP_STOPPED);
    return !t->over;
}

static void step(struct http_transfer *t)
{
    while (t->given < t->answer.body_len) {
        if (!give_piece(t))
            return;
        if (t->given < t->answer.body_len && t->answer.gap_ms > 0) {
            t->due_ms += t->answer.gap_ms;
            return;
        }
    }
    if (t->answer.hangs)
        t->due_ms = CLOCK_NEVER;
    else
        finish(t, t->answer.failure);
}

static size_t deliver(struct http *http)
{
    size_t events = 0;

    for (struct http_transfer *t = http->transfers; t; t = t->next) {
        if (t->over || t->due_ms > http->fake->mono_ms)
            continue;
        step(t);
        events++;
    }
    return events;
}

void http_timer_init(struct http_timer *timer, void (*fn)(void *arg), void *arg)
{
    *timer = (struct http_timer){.due_ms = CLOCK_NEVER, .fn = fn, .arg = arg};
}

void http_timer_cancel(struct http *http, struct http_timer *timer)
{
    for (struct http_timer **at = &http->timers; *at; at = &(*at)->next) {
        if (*at == timer) {
            *at = timer->next;
            break;
        }
    }
    timer->next = NULL;
    timer->due_ms = CLOCK_NEVER;
}

void http_timer_set(struct http *http, struct http_timer *timer, int64_t due_ms)
{
    struct http_timer **at = &http->timers;

    http_timer_cancel(http, timer);
    if (due_ms == CLOCK_NEVER)
        return;
    while (*at && (*at)->due_ms <= due_ms)
        at = &(*at)->next;
    timer->due_ms = due_ms;
    timer->next = *at;
    *at = timer;
}

/* One at a time: what a callback sets for now fires in the same turn. */
static size_t fire(struct http *http)
{
    struct http_timer *timer = http->timers;

    if (!timer || timer->due_ms > http->fake->mono_ms)
        return 0;
    http_timer_cancel(http, timer);
    timer->fn(timer->arg);
    return 1;
}

static int64_t next_event(const struct http *http, int64_t until_ms)
{
    int64_t next = until_ms;

    if (http->timers && http->timers->due_ms < next)
        next = http->timers->due_ms;
    for (struct http_transfer *t = http->transfers; t; t = t->next) {
        if (t->over)
            continue;
        if (t->due_ms < next)
            next = t->due_ms;
        if (!http_is_connected(t) && t->connected_ms < next)
            next = t->connected_ms;
    }
    return next;
}

/* Everything that is due now. Returns how much that was. */
static size_t take_turn(struct http *http)
{
    size_t events = 0;
    size_t more;

    do {
        more = deliver(http);
        if (more == 0)
            more = fire(http);
        reap(http, false);
        events += more;
    } while (more && events < EVENTS_MAX);
    note_connected(http);
    return events;
}

enum err_code http_run(struct http *http, int64_t until_ms, const bool *stop,
                       struct err *err)
{
    size_t events = 0;

    for (;;) {
        int64_t next;

        events += take_turn(http);
        if (http->run_fails_at_ms <= http->fake->mono_ms)
            return err_set(err, http->run_failure, "http: scripted failure");
        if (events >= EVENTS_MAX)
            fail_msg("fake_http: %d events, a loop without end", EVENTS_MAX);
        if (*stop || http->fake->mono_ms >= until_ms)
            return ERR_OK;
        next = next_event(http, until_ms);
        if (next > http->run_fails_at_ms)
            next = http->run_fails_at_ms;
        if (next == CLOCK_NEVER)
            fail_msg("fake_http: http_run() waits for nothing, %zu in flight",
                     fake_http_in_flight(http));
        http->waited_ms += next - http->fake->mono_ms;
        fake_clock_advance(http->fake, next - http->fake->mono_ms);
    }
}

void fake_http_fail_run(struct http *http, int64_t after_ms, enum err_code rc)
{
    http->run_fails_at_ms = http->fake->mono_ms + after_ms;
    http->run_failure = rc;
}

void http_be_patient(struct http *http, int64_t until_ms)
{
    http->patient_until_ms = until_ms;
    if (until_ms > http->patient_most_ms)
        http->patient_most_ms = until_ms;
}

int64_t fake_http_patient_most(const struct http *http)
{
    return http->patient_most_ms;
}

int64_t fake_http_patient_until(const struct http *http)
{
    return http->patient_until_ms;
}

int64_t http_waited_ms(const struct http *http)
{
    return http->waited_ms;
}

struct http_stats http_get_stats(const struct http *http)
{
    return http->stats;
}

size_t fake_http_nrequests(const struct http *http)
{
    return (size_t)http->stats.requests;
}

const struct fake_request *fake_http_request(const struct http *http, size_t i)
{
    struct record *record = http->records;

    assert_true(i < http->stats.requests);
    while (i-- > 0)
        record = record->next;
    return &record->request;
}

const char *fake_request_header(const struct fake_request *request,
                                const char *name)
{
    for (size_t i = 0; i < request->nheaders; i++)
        if (span_eq_nocase(span_of(request->headers[i].name), span_of(name)))
            return request->headers[i].value;
    return NULL;
}

size_t fake_http_in_flight(const struct http *http)
{
    size_t n = 0;

    for (struct http_transfer *t = http->transfers; t; t = t->next)
        n += !t->over;
    return n;
}

const struct http_options *fake_http_options(const struct http *http)
{
    return &http->options;
}
