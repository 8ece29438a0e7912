#include "support/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define PATIENCE_MS 10000

static bool on_body(void *arg, const char *data, size_t len)
{
    struct exchange *exchange = arg;

    buf_add(&exchange->body, data, len);
    exchange->npieces++;
    if (exchange->in_body)
        exchange->in_body(exchange);
    return !exchange->refuses_body;
}

static void on_done(void *arg, const struct http_result *result)
{
    struct exchange *exchange = arg;

    exchange->result = *result;
    (void)snprintf(exchange->detail, sizeof(exchange->detail), "%s",
                   result->detail);
    exchange->result.detail = exchange->detail;
    exchange->ndone++;
    exchange->ended = true;
    if (exchange->in_done)
        exchange->in_done(exchange);
    exchange->transfer = NULL;
}

enum err_code exchange_start(struct exchange *exchange, struct http *http,
                             const struct http_request *request)
{
    struct http_request own = *request;

    own.on_body = on_body;
    own.on_done = on_done;
    own.arg = exchange;
    exchange->http = http;
    exchange->ended = false;
    buf_release(&exchange->body);
    exchange->body = buf_of(16 * 1024 * 1024);
    return http_start(http, &own, &exchange->transfer, NULL);
}

void exchange_finish(struct exchange *exchange)
{
    int64_t until = clock_mono_ms(&CLOCK_SYSTEM) + PATIENCE_MS;

    assert_int_equal(http_run(exchange->http, until, &exchange->ended, NULL),
                     ERR_OK);
    assert_true(exchange->ended);
}

void exchange_get(struct exchange *exchange, struct http *http, const char *url)
{
    const struct http_request request = {.method = "GET", .url = url};

    assert_int_equal(exchange_start(exchange, http, &request), ERR_OK);
    exchange_finish(exchange);
}

void exchange_release(struct exchange *exchange)
{
    buf_release(&exchange->body);
}
