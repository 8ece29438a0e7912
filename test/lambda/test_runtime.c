#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "lambda/event.h"
#include "lambda/runtime.h"
#include "support/fail_alloc.h"
#include "support/fake_clock.h"
#include "support/fake_http.h"

/*
 * Names, paths, statuses and forms are those of the Lambda developer guide,
 * "Using the Lambda runtime API", and of the Runtime Interface Emulator.
 */
#define API "127.0.0.1:9001"
#define BASE "http://127.0.0.1:9001/2018-06-01/runtime/"
#define ID "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
#define TRACE "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"
/* fake_clock_init(): 2030-01-02T03:04:05Z; date -ud 2030-01-02T03:04:05 +%s */
#define NOW_S "1893553445"

struct fixture {
    struct fake_clock fake;
    struct http *http;
    struct runtime *rt;
    struct invocation inv;
    struct err err;
    FILE *log;
    char *log_text;
    size_t log_len;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct http_options options = {.clock = &f->fake.clock};

    fake_clock_init(&f->fake);
    assert_int_equal(http_new(&options, &f->http, NULL), ERR_OK);
    assert_int_equal(runtime_new(f->http, &f->fake.clock, API, &f->rt, &f->err),
                     ERR_OK);
    invocation_init(&f->inv);
    f->log = open_memstream(&f->log_text, &f->log_len);
    log_setup(&(struct log_options){f->log, &f->fake.clock, LOG_TRACE, false});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    log_setup(&(struct log_options){0});
    (void)fclose(f->log);
    free(f->log_text);
    invocation_release(&f->inv);
    runtime_free(f->rt);
    http_free(f->http);
    free(f);
    return 0;
}

static const char *log_of(struct fixture *f)
{
    (void)fflush(f->log);
    return f->log_text;
}

/* Queues an event with these headers, of which name NULL is left out. */
static void queue_event(struct fixture *f, const char *name, const char *value)
{
    const struct http_header headers[] = {
        {"Lambda-Runtime-Aws-Request-Id", ID},
        {"lambda-runtime-deadline-ms", NOW_S "500"},
        {name, value},
    };

    fake_http_answer(f->http, &(struct fake_answer){
                                  .headers = headers,
                                  .nheaders = name ? 3 : 2,
                                  .body = "{\"actionGroup\":\"ec2\"}",
                                  .piece = 7,
                              });
}

/* Queues and takes an event. */
static void take_event(struct fixture *f, const char *name, const char *value)
{
    queue_event(f, name, value);
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_OK);
}

static const struct fake_request *last_request(const struct fixture *f)
{
    return fake_http_request(f->http, fake_http_nrequests(f->http) - 1);
}

static void test_runtime_new__refuses_what_is_no_host_and_port(void **state)
{
    static const char *const BAD[] = {
        "",         "a b",        "host:1/x",   "user@host:1", "host:1?q",
        "host:1#f", "host:1\r\n", "http://h:1", "h%41:1",
    };
    struct fixture *f = *state;
    char longer[300];

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct runtime *rt;
        struct err err = {0};

        if (runtime_new(f->http, &f->fake.clock, BAD[i], &rt, &err) !=
            ERR_CONFIG)
            fail_msg("%s", BAD[i]);
        assert_null(rt);
        assert_non_null(strstr(err.msg, "AWS_LAMBDA_RUNTIME_API"));
    }
    memset(longer, 'h', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(runtime_new(f->http, &f->fake.clock, longer,
                                 &(struct runtime *){0}, &f->err),
                     ERR_CONFIG);
}

static void test_runtime_next__asks_directly_and_without_time_out(void **state)
{
    struct fixture *f = *state;
    const struct fake_request *asked;

    take_event(f, NULL, NULL);
    asked = last_request(f);
    assert_string_equal(asked->method, "GET");
    assert_string_equal(asked->url, BASE "invocation/next");
    assert_int_equal(asked->route, HTTP_DIRECT);
    assert_int_equal(asked->connect_timeout_ms, 0);
    assert_int_equal(asked->nheaders, 0);
    assert_false(asked->gzip);
}

static void test_runtime_next__fills_the_invocation(void **state)
{
    const struct http_header headers[] = {
        {"lambda-runtime-aws-request-id", ID},
        {"LAMBDA-RUNTIME-DEADLINE-MS", NOW_S "500"},
        {"Lambda-Runtime-Trace-Id", TRACE},
        {"Lambda-Runtime-Invoked-Function-Arn",
         "arn:aws:lambda:x:1:function:f"},
        {"Lambda-Runtime-Client-Context", "{\"custom\":{}}"},
        {"Lambda-Runtime-Invocation-Id", "inv-1"},
    };
    struct fixture *f = *state;

    fake_http_answer(f->http, &(struct fake_answer){
                                  .headers = headers,
                                  .nheaders = 6,
                                  .body = "{\"a\":\"\0\"}",
                                  .body_len = 9,
                                  .piece = 1,
                                  .after_ms = 86400000,
                              });
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_OK);
    assert_string_equal(f->inv.request_id.data, ID);
    assert_string_equal(f->inv.trace_id.data, TRACE);
    assert_string_equal(f->inv.function_arn.data,
                        "arn:aws:lambda:x:1:function:f");
    assert_string_equal(f->inv.client_context.data, "{\"custom\":{}}");
    assert_string_equal(f->inv.invocation_id.data, "inv-1");
    assert_int_equal(f->inv.event.len, 9);
    assert_memory_equal(f->inv.event.data, "{\"a\":\"\0\"}", 9);
    assert_string_equal(log_of(f), "");
}

static void test_runtime_next__keeps_nothing_of_the_last_event(void **state)
{
    struct fixture *f = *state;

    take_event(f, "Lambda-Runtime-Invocation-Id", "inv-1");
    take_event(f, NULL, NULL);
    assert_string_equal(f->inv.invocation_id.data, "");
    assert_string_equal(f->inv.event.data, "{\"actionGroup\":\"ec2\"}");
}

static void test_runtime_next__clamps_the_deadline(void **state)
{
    static const struct {
        const char *deadline; /* NULL: none */
        int64_t after_ms;
        bool warned;
    } ROWS[] = {
        {NOW_S "000", 1000, false},
        {"1893553475000", 30000, false},
        {" 1893553475000 ", 30000, false},
        {"1893553445999", 1000, false},
        {"1893553446001", 1001, false},
        {"1893554345000", 900000, false},
        {"1893554345001", 900000, false},
        {"9223372036854775807", 900000, false},
        {"0", 1000, false},
        {"-9223372036854775808", 1000, false},
        {"99999999999999999999", 900000, true},
        {"", 900000, true},
        {"soon", 900000, true},
        {"1893553475000.5", 900000, true},
        {NULL, 900000, true},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct http_header headers[] = {
            {"Lambda-Runtime-Aws-Request-Id", ID},
            {"Lambda-Runtime-Deadline-Ms", ROWS[i].deadline},
        };
        size_t before = strlen(log_of(f));

        fake_http_answer(f->http, &(struct fake_answer){
                                      .headers = headers,
                                      .nheaders = ROWS[i].deadline ? 2 : 1,
                                      .body = "{}",
                                  });
        assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_OK);
        if (f->inv.deadline_ms != f->fake.mono_ms + ROWS[i].after_ms)
            fail_msg("%s: %lld ms", ROWS[i].deadline,
                     (long long)(f->inv.deadline_ms - f->fake.mono_ms));
        if (ROWS[i].warned != (strlen(log_of(f)) > before))
            fail_msg("%s: %s", ROWS[i].deadline, log_of(f) + before);
    }
}

static void test_runtime_next__sets_and_removes_the_trace_variable(void **state)
{
    struct fixture *f = *state;

    take_event(f, "Lambda-Runtime-Trace-Id", TRACE);
    assert_string_equal(getenv("_X_AMZN_TRACE_ID"), TRACE);
    take_event(f, NULL, NULL);
    assert_null(getenv("_X_AMZN_TRACE_ID"));
}

static void test_runtime_next__refuses_an_id_unfit_for_a_url(void **state)
{
    static const char *const BAD[] = {
        "", " ", "a/b", "../next", "a b", "a%2Fb", "\xC3\xA9", "a?b", "a.b",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        const struct http_header header = {"Lambda-Runtime-Aws-Request-Id",
                                           BAD[i]};
        struct err err = {0};

        fake_http_answer(f->http, &(struct fake_answer){
                                      .headers = &header,
                                      .nheaders = 1,
                                      .body = "{}",
                                  });
        if (runtime_next(f->rt, &f->inv, &err) != ERR_NET)
            fail_msg("%s", BAD[i]);
        assert_string_equal(err.msg, "runtime: next: no usable request id");
        assert_string_equal(f->inv.request_id.data, "");
    }
}

static void test_runtime_next__ignores_headers_that_are_too_long(void **state)
{
    struct fixture *f = *state;
    char *value = malloc(RUNTIME_HEADER_MAX + 2);

    memset(value, 'x', RUNTIME_HEADER_MAX + 1);
    value[RUNTIME_HEADER_MAX + 1] = '\0';
    take_event(f, "Lambda-Runtime-Trace-Id", value);
    assert_string_equal(f->inv.trace_id.data, "");
    assert_null(getenv("_X_AMZN_TRACE_ID"));
    assert_non_null(strstr(log_of(f), "Lambda-Runtime-Trace-Id"));

    value[RUNTIME_HEADER_MAX] = '\0';
    take_event(f, "Lambda-Runtime-Client-Context", value);
    assert_int_equal(f->inv.client_context.len, RUNTIME_HEADER_MAX);
    free(value);
}

static void test_runtime_next__header_that_is_too_long_is_limit(void **state)
{
    const struct http_header header = {"Lambda-Runtime-Aws-Request-Id", ID};
    struct fixture *f = *state;

    fake_http_answer(f->http, &(struct fake_answer){
                                  .headers = &header,
                                  .nheaders = 1,
                                  .status = 200,
                                  .failure = HTTP_LIMIT,
                                  .detail = "header too long",
                              });
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_LIMIT);
    assert_string_equal(f->err.msg, "event: header too long");
    assert_string_equal(f->inv.request_id.data, ID);
}

static void test_runtime_next__stops_reading_too_large_an_event(void **state)
{
    const struct http_header header = {"Lambda-Runtime-Aws-Request-Id", ID};
    struct fixture *f = *state;
    char *body = malloc(EVENT_SIZE_MAX + 100000);

    memset(body, ' ', EVENT_SIZE_MAX + 100000);
    fake_http_answer(f->http, &(struct fake_answer){
                                  .headers = &header,
                                  .nheaders = 1,
                                  .body = body,
                                  .body_len = EVENT_SIZE_MAX + 100000,
                                  .piece = 65536,
                                  .hangs = true,
                              });
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_LIMIT);
    assert_string_equal(f->err.msg, "event: longer than 6291556 bytes");
    assert_string_equal(f->inv.request_id.data, ID);

    fake_http_answer(f->http, &(struct fake_answer){
                                  .headers = &header,
                                  .nheaders = 1,
                                  .body = body,
                                  .body_len = EVENT_SIZE_MAX,
                                  .piece = 65536,
                              });
    f->err = (struct err){0};
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_OK);
    assert_int_equal(f->inv.event.len, EVENT_SIZE_MAX);
    free(body);
}

static void
test_runtime_next__asks_again_after_a_failed_connection(void **state)
{
    struct fixture *f = *state;
    int64_t start_ms = f->fake.mono_ms;

    fake_http_answer(f->http, &(struct fake_answer){.failure = HTTP_CONNECT});
    /* Half of an event must not stay in front of the whole one. */
    fake_http_answer(f->http, &(struct fake_answer){.body = "{\"acti",
                                                    .failure = HTTP_BROKEN});
    take_event(f, NULL, NULL);
    assert_int_equal(fake_http_nrequests(f->http), 3);
    assert_string_equal(f->inv.event.data, "{\"actionGroup\":\"ec2\"}");
    assert_int_equal(f->fake.mono_ms - start_ms,
                     RUNTIME_NEXT_DELAY_MS + 2 * RUNTIME_NEXT_DELAY_MS);
}

static void
test_runtime_next__asks_again_after_an_event_without_id(void **state)
{
    struct fixture *f = *state;

    fake_http_answer(
        f->http, &(struct fake_answer){.failure = HTTP_NOMEM, .status = 200});
    take_event(f, NULL, NULL);
    assert_int_equal(fake_http_nrequests(f->http), 2);
}

static void test_runtime_next__event_without_room_keeps_its_id(void **state)
{
    const struct http_header header = {"Lambda-Runtime-Aws-Request-Id", ID};
    struct fixture *f = *state;

    fake_http_answer(f->http, &(struct fake_answer){
                                  .headers = &header,
                                  .nheaders = 1,
                                  .status = 200,
                                  .failure = HTTP_NOMEM,
                              });
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_NOMEM);
    assert_string_equal(f->inv.request_id.data, ID);
    assert_int_equal(fake_http_nrequests(f->http), 1);
}

static void test_runtime_next__gives_up_after_the_last_try(void **state)
{
    struct fixture *f = *state;

    fake_http_answer(f->http, &(struct fake_answer){
                                  .failure = HTTP_CONNECT,
                                  .detail = "connection refused",
                                  .times = FAKE_ALWAYS,
                              });
    assert_int_equal(runtime_next(f->rt, &f->inv, &f->err), ERR_NET);
    assert_string_equal(f->err.msg, "runtime: next: connection refused");
    assert_int_equal(fake_http_nrequests(f->http), RUNTIME_NEXT_TRIES);
}

static void test_runtime_next__leaves_at_any_other_status(void **state)
{
    static const long STATUSES[] = {500, 400, 403, 404, 410, 204, 302};
    const struct http_header header = {"Lambda-Runtime-Aws-Request-Id", ID};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(STATUSES) / sizeof(STATUSES[0]); i++) {
        struct err err = {0};

        fake_http_answer(f->http, &(struct fake_answer){
                                      .status = STATUSES[i],
                                      .headers = &header,
                                      .nheaders = 1,
                                      .body = "{}",
                                  });
        if (runtime_next(f->rt, &f->inv, &err) != ERR_NET)
            fail_msg("%ld", STATUSES[i]);
        assert_non_null(strstr(err.msg, "runtime: next: answered "));
        assert_string_equal(f->inv.request_id.data, "");
    }
    assert_int_equal(fake_http_nrequests(f->http),
                     sizeof(STATUSES) / sizeof(STATUSES[0]));
}

static void queue_status(struct fixture *f, long status)
{
    fake_http_answer(f->http, &(struct fake_answer){
                                  .status = status,
                                  .body = "{\"errorMessage\":\"because\"}",
                              });
}

static void test_runtime_respond__posts_the_answer(void **state)
{
    struct fixture *f = *state;
    const struct fake_request *asked;

    take_event(f, NULL, NULL);
    queue_status(f, 202);
    assert_int_equal(
        runtime_respond(f->rt, &f->inv, SPAN_LIT("{\"x\":\0}"), &f->err),
        ERR_OK);
    asked = last_request(f);
    assert_string_equal(asked->method, "POST");
    assert_string_equal(asked->url, BASE "invocation/" ID "/response");
    assert_int_equal(asked->body_len, 7);
    assert_memory_equal(asked->body, "{\"x\":\0}", 7);
    assert_int_equal(asked->route, HTTP_DIRECT);
    assert_int_equal(asked->nheaders, 1);
    assert_string_equal(fake_request_header(asked, "Content-Type"),
                        "application/json");
    assert_string_equal(log_of(f), "");
}

static void test_runtime_respond__echoes_the_invocation_id(void **state)
{
    struct fixture *f = *state;

    take_event(f, "Lambda-Runtime-Invocation-Id", "inv-1");
    queue_status(f, 202);
    assert_int_equal(runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err),
                     ERR_OK);
    assert_string_equal(
        fake_request_header(last_request(f), "Lambda-Runtime-Invocation-Id"),
        "inv-1");
    queue_status(f, 202);
    assert_int_equal(
        runtime_fail(f->rt, &f->inv, "Function.InvalidEvent", "x", &f->err),
        ERR_OK);
    assert_string_equal(
        fake_request_header(last_request(f), "Lambda-Runtime-Invocation-Id"),
        "inv-1");
}

static void test_runtime_respond__echoes_no_unprintable_id(void **state)
{
    struct fixture *f = *state;

    take_event(f, "Lambda-Runtime-Invocation-Id", "a\tb\x01");
    queue_status(f, 202);
    assert_int_equal(runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err),
                     ERR_OK);
    assert_null(
        fake_request_header(last_request(f), "Lambda-Runtime-Invocation-Id"));
}

static void test_runtime_respond__goes_on_after_a_refusal(void **state)
{
    static const long REFUSED[] = {400, 403, 410, 413};
    struct fixture *f = *state;

    take_event(f, NULL, NULL);
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        size_t before = strlen(log_of(f));
        char status[16];

        queue_status(f, REFUSED[i]);
        if (runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err))
            fail_msg("%ld: %s", REFUSED[i], f->err.msg);
        (void)snprintf(status, sizeof(status), "%ld", REFUSED[i]);
        assert_non_null(strstr(log_of(f) + before, status));
        assert_non_null(strstr(log_of(f) + before, "WARN"));
        assert_non_null(strstr(log_of(f) + before, "because"));
    }
    /* One request each: nothing follows a refusal, no POST …/error either. */
    assert_int_equal(fake_http_nrequests(f->http),
                     1 + sizeof(REFUSED) / sizeof(REFUSED[0]));
}

static void test_runtime_respond__leaves_when_the_sandbox_is_over(void **state)
{
    static const long STATUSES[] = {500, 502, 404, 302};
    struct fixture *f = *state;

    take_event(f, NULL, NULL);
    for (size_t i = 0; i < sizeof(STATUSES) / sizeof(STATUSES[0]); i++) {
        struct err err = {0};

        queue_status(f, STATUSES[i]);
        if (runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &err) != ERR_NET)
            fail_msg("%ld", STATUSES[i]);
    }
    fake_http_answer(f->http, &(struct fake_answer){.failure = HTTP_BROKEN,
                                                    .detail = "reset"});
    assert_int_equal(runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err),
                     ERR_NET);
    assert_string_equal(f->err.msg, "runtime: response: reset");
}

static void test_runtime_respond__believes_a_status_that_broke_off(void **state)
{
    struct fixture *f = *state;

    take_event(f, NULL, NULL);
    fake_http_answer(
        f->http, &(struct fake_answer){.status = 202, .failure = HTTP_NOMEM});
    assert_int_equal(runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err),
                     ERR_OK);
    fake_http_answer(f->http, &(struct fake_answer){.failure = HTTP_NOMEM});
    assert_int_equal(runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err),
                     ERR_NOMEM);
}

static void test_runtime_respond__keeps_little_of_a_long_refusal(void **state)
{
    struct fixture *f = *state;
    char body[4000];
    const char *kept;

    memset(body, 'x', sizeof(body));
    take_event(f, NULL, NULL);
    fake_http_answer(f->http, &(struct fake_answer){
                                  .status = 400,
                                  .body = body,
                                  .body_len = sizeof(body),
                                  .piece = 300,
                              });
    assert_int_equal(runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &f->err),
                     ERR_OK);
    kept = strstr(log_of(f), "xxx");
    assert_non_null(kept);
    assert_int_equal(strspn(kept, "x"), 512);
}

/* The body that was posted last, as JSON. */
static json_t *last_body(const struct fixture *f)
{
    const struct fake_request *asked = last_request(f);
    json_t *body = json_loadb(asked->body, asked->body_len, 0, NULL);

    assert_non_null(body);
    return body;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void test_runtime_fail__posts_the_error(void **state)
{
    struct fixture *f = *state;
    const struct fake_request *asked;
    json_t *body;

    take_event(f, NULL, NULL);
    queue_status(f, 202);
    assert_int_equal(runtime_fail(f->rt, &f->inv, "Function.InvalidEvent",
                                  "event: not JSON \"\xC3\xA9\"\n", &f->err),
                     ERR_OK);
    asked = last_request(f);
    assert_string_equal(asked->url, BASE "invocation/" ID "/error");
    assert_string_equal(
        fake_request_header(asked, "Lambda-Runtime-Function-Error-Type"),
        "Function.InvalidEvent");
    assert_string_equal(fake_request_header(asked, "Content-Type"),
                        "application/json");
    body = last_body(f);
    assert_string_equal(text_at(body, "errorMessage"),
                        "event: not JSON \"\xC3\xA9\"\n");
    assert_string_equal(text_at(body, "errorType"), "Function.InvalidEvent");
    assert_int_equal(json_array_size(json_object_get(body, "stackTrace")), 0);
    assert_true(json_is_array(json_object_get(body, "stackTrace")));
    assert_int_equal(json_object_size(body), 3);
    json_decref(body);
}

static void test_runtime_fail__replaces_what_is_not_utf_8(void **state)
{
    struct fixture *f = *state;
    json_t *body;

    take_event(f, NULL, NULL);
    queue_status(f, 202);
    assert_int_equal(runtime_fail(f->rt, &f->inv, "Function.InvalidEvent",
                                  "cut in \xE2\x98", &f->err),
                     ERR_OK);
    body = last_body(f);
    assert_string_equal(text_at(body, "errorMessage"), "cut in ??");
    json_decref(body);
}

static void test_runtime_init_fail__posts_to_its_own_path(void **state)
{
    struct fixture *f = *state;
    json_t *body;

    queue_status(f, 202);
    assert_int_equal(runtime_init_fail(f->rt, "Runtime.InvalidConfiguration",
                                       "AWS_REGION is not set", &f->err),
                     ERR_OK);
    assert_string_equal(last_request(f)->url, BASE "init/error");
    assert_string_equal(fake_request_header(last_request(f),
                                            "Lambda-Runtime-Function-Error-"
                                            "Type"),
                        "Runtime.InvalidConfiguration");
    body = last_body(f);
    assert_string_equal(text_at(body, "errorMessage"), "AWS_REGION is not set");
    json_decref(body);
}

static void test_runtime_new__reports_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    struct runtime *rt;
    enum err_code rc;
    size_t n;

    for (n = 0;; n++) {
        struct err err = {0};

        fail_alloc_at(n);
        rc = runtime_new(f->http, &f->fake.clock, API, &rt, &err);
        if (!fail_alloc_stop())
            break;
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(rt);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n >= 2);
    runtime_free(rt);
}

/* An event to every GET, 202 to every POST. */
static bool answer_by_method(void *arg, const struct fake_request *request,
                             struct fake_answer *out)
{
    static const struct http_header HEADERS[] = {
        {"Lambda-Runtime-Aws-Request-Id", ID},
        {"Lambda-Runtime-Deadline-Ms", NOW_S "500"},
        {"Lambda-Runtime-Invocation-Id", "inv-1"},
    };

    (void)arg;
    if (strcmp(request->method, "GET") == 0)
        *out = (struct fake_answer){
            .headers = HEADERS, .nheaders = 3, .body = "{}"};
    else
        *out = (struct fake_answer){.status = 202};
    return true;
}

/* Failures to copy the message, or to ask, are made up for by another try. */
static void test_runtime__reports_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    size_t n = 0;
    size_t nmended = 0;
    bool failed = true;

    fake_http_answer_with(f->http, answer_by_method, NULL);
    for (; failed; n++) {
        struct err err = {0};
        bool asked_again;
        enum err_code rc;

        fail_alloc_at(n);
        rc = runtime_next(f->rt, &f->inv, &err);
        asked_again = !rc && fail_alloc_count() > n;
        if (!rc)
            rc = runtime_respond(f->rt, &f->inv, SPAN_LIT("[]"), &err);
        if (!rc)
            rc = runtime_fail(f->rt, &f->inv, "Function.Failed", "x", &err);
        failed = fail_alloc_stop();
        if (failed && !rc)
            nmended += !asked_again;
        else if (rc != (failed ? ERR_NOMEM : ERR_OK))
            fail_msg("allocation %zu: %d %s", n, (int)rc, err.msg);
    }
    assert_true(n > 10);
    assert_true(nmended <= 2);
}

static const struct CMUnitTest TESTS[] = {
    cmocka_unit_test_setup_teardown(
        test_runtime_new__refuses_what_is_no_host_and_port, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__asks_directly_and_without_time_out, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_runtime_next__fills_the_invocation,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__keeps_nothing_of_the_last_event, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_runtime_next__clamps_the_deadline,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__sets_and_removes_the_trace_variable, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__refuses_an_id_unfit_for_a_url, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__ignores_headers_that_are_too_long, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__header_that_is_too_long_is_limit, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__stops_reading_too_large_an_event, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__asks_again_after_a_failed_connection, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__asks_again_after_an_event_without_id, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__event_without_room_keeps_its_id, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_respond__believes_a_status_that_broke_off, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__gives_up_after_the_last_try, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_next__leaves_at_any_other_status, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_runtime_respond__posts_the_answer,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_respond__echoes_the_invocation_id, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_respond__echoes_no_unprintable_id, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_respond__goes_on_after_a_refusal, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_respond__leaves_when_the_sandbox_is_over, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_respond__keeps_little_of_a_long_refusal, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_runtime_fail__posts_the_error, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_fail__replaces_what_is_not_utf_8, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_init_fail__posts_to_its_own_path, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime_new__reports_every_failed_allocation, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_runtime__reports_every_failed_allocation, set_up, tear_down),
};

int main(void)
{
    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
