/*
 * The Runtime API's answers through runtime_next(), and the answers or
 * failures sent back: ids fit for a URL, deadlines in their bounds.
 *
 * Input: answers, one behind the other, each ended by \x1e: a byte for how the
 * transfer ends, one for the length of its pieces, header lines "name: value",
 * an empty line, the body. When all are used up the sandbox is finished (410).
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lambda/event.h"
#include "lambda/runtime.h"
#include "support/stage.h"

#define HEADERS_MAX 16
#define EVENTS_MAX 64
#define RECORD_END '\x1e'

/* Answers that are scripted, and the last one given. */
struct server {
    struct span rest;
    struct http_header headers[HEADERS_MAX];
    size_t nheaders;
    struct buf body;
};

static void forget_headers(struct server *server)
{
    for (size_t i = 0; i < server->nheaders; i++) {
        free((void *)(uintptr_t)server->headers[i].name);
        free((void *)(uintptr_t)server->headers[i].value);
    }
    server->nheaders = 0;
}

static void read_headers(struct server *server, struct span *record)
{
    while (record->len && server->nheaders < HEADERS_MAX) {
        struct span line = fuzz_until(record, '\n');
        struct span name = fuzz_until(&line, ':');

        if (name.len == 0)
            break;
        server->headers[server->nheaders++] = (struct http_header){
            .name = fuzz_string(name),
            .value = fuzz_string(line),
        };
    }
}

static bool answer_next(void *arg, const struct fake_request *request,
                        struct fake_answer *out)
{
    static const struct {
        long status;
        enum http_failure failure;
    } ENDS[] = {
        {200, HTTP_OK},    {202, HTTP_OK},     {400, HTTP_OK},
        {403, HTTP_OK},    {410, HTTP_OK},     {413, HTTP_OK},
        {500, HTTP_OK},    {200, HTTP_BROKEN}, {0, HTTP_CONNECT},
        {0, HTTP_RESOLVE}, {0, HTTP_NOMEM},    {200, HTTP_OTHER},
    };
    struct server *server = arg;
    struct span record = fuzz_until(&server->rest, RECORD_END);
    bool is_end = record.len == 0;
    size_t how = fuzz_byte(&record) % (sizeof(ENDS) / sizeof(ENDS[0]));

    FUZZ_CHECK(
        strncmp(request->url, "http://127.0.0.1:9001/2018-06-01/runtime/",
                strlen("http://127.0.0.1:9001/2018-06-01/runtime/")) == 0);
    FUZZ_CHECK(request->route == HTTP_DIRECT);
    *out = (struct fake_answer){
        .status = is_end ? 410 : ENDS[how].status,
        .failure = is_end ? HTTP_OK : ENDS[how].failure,
        .piece = fuzz_byte(&record),
    };
    forget_headers(server);
    read_headers(server, &record);
    buf_reset(&server->body);
    buf_add_span(&server->body, record);
    out->headers = server->headers;
    out->nheaders = server->nheaders;
    out->body = server->body.data;
    out->body_len = server->body.len;
    return true;
}

static bool is_id(const struct buf *id)
{
    return id->len > 0 &&
           strspn(id->data, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                            "XYZ0123456789-") == id->len;
}

static void check_invocation(const struct invocation *inv, int64_t now)
{
    const struct buf *const texts[] = {&inv->request_id, &inv->invocation_id,
                                       &inv->trace_id, &inv->function_arn,
                                       &inv->client_context};
    const char *trace = getenv("_X_AMZN_TRACE_ID");

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        FUZZ_CHECK(texts[i]->len <= RUNTIME_HEADER_MAX && !texts[i]->failed);
    FUZZ_CHECK(is_id(&inv->request_id));
    FUZZ_CHECK(!fuzz_has_control(buf_span(&inv->invocation_id)));
    FUZZ_CHECK(inv->deadline_ms - now >= RUNTIME_DEADLINE_MIN_MS);
    FUZZ_CHECK(inv->deadline_ms - now <= RUNTIME_DEADLINE_MAX_MS);
    if (inv->trace_id.len)
        FUZZ_CHECK(trace && strcmp(trace, inv->trace_id.data) == 0);
    else
        FUZZ_CHECK(!trace);
}

/* What was sent names the invocation, and echoes its second id. */
static void check_sent(const struct stage *stage, const struct invocation *inv)
{
    size_t n = fake_http_nrequests(stage->http);
    const struct fake_request *sent = fake_http_request(stage->http, n - 1);
    const char *id = fake_request_header(sent, "Lambda-Runtime-Invocation-Id");

    FUZZ_CHECK(strcmp(sent->method, "POST") == 0);
    FUZZ_CHECK(strstr(sent->url, inv->request_id.data));
    FUZZ_CHECK(!id == !inv->invocation_id.len);
    FUZZ_CHECK(!id || strcmp(id, inv->invocation_id.data) == 0);
    for (size_t i = 0; i < sent->nheaders; i++)
        FUZZ_CHECK(!strpbrk(sent->headers[i].value, "\r\n"));
}

/* Answers the event, or fails it with the event's own bytes as the message. */
static enum err_code reply(struct stage *stage, struct runtime *rt,
                           const struct invocation *inv)
{
    char *message = fuzz_string(buf_span(&inv->event));
    struct err err = {0};
    enum err_code rc;

    if (inv->event.len % 2)
        rc = runtime_respond(rt, inv, SPAN_LIT("{}"), &err);
    else
        rc = runtime_fail(rt, inv, "Function.InvalidEvent", message, &err);
    FUZZ_CHECK(rc == err.code);
    FUZZ_CHECK(rc == ERR_OK || rc == ERR_NET || rc == ERR_NOMEM);
    check_sent(stage, inv);
    free(message);
    return rc;
}

static void serve(struct stage *stage, struct server *server,
                  struct runtime *rt)
{
    struct invocation inv;
    enum err_code rc = ERR_OK;

    invocation_init(&inv);
    for (size_t i = 0; i < EVENTS_MAX && !rc; i++) {
        struct err err = {0};

        rc = runtime_next(rt, &inv, &err);
        FUZZ_CHECK(rc == err.code);
        FUZZ_CHECK(fake_http_in_flight(stage->http) == 0);
        if (rc) {
            FUZZ_CHECK(rc == ERR_NET || rc == ERR_NOMEM);
            FUZZ_CHECK(inv.request_id.len == 0 || is_id(&inv.request_id));
            break;
        }
        check_invocation(&inv, stage->fake.mono_ms);
        FUZZ_CHECK(span_eq(buf_span(&inv.event), buf_span(&server->body)));
        rc = reply(stage, rt, &inv);
    }
    invocation_release(&inv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct server server = {
        .rest = fuzz_input(data, len),
        .body = BUF_INIT(EVENT_SIZE_MAX),
    };
    struct stage stage;
    struct runtime *rt = NULL;

    stage_init(&stage);
    fake_http_answer_with(stage.http, answer_next, &server);
    FUZZ_CHECK(runtime_new(stage.http, &stage.fake.clock, "127.0.0.1:9001", &rt,
                           NULL) == ERR_OK);
    serve(&stage, &server, rt);
    fuzz_check_log(stage_log(&stage));
    runtime_free(rt);
    stage_release(&stage);
    forget_headers(&server);
    buf_release(&server.body);
    (void)unsetenv("_X_AMZN_TRACE_ID");
    return 0;
}
