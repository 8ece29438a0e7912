/*
 * exchange.h - one request over net/http and all that came of it.
 */
#ifndef SUPPORT_EXCHANGE_H
#define SUPPORT_EXCHANGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/http.h"

/* Begin with {0} and what the test sets; end with exchange_release(). */
struct exchange {
    /* Set by the test: what is done in the callbacks besides keeping notes. */
    bool refuses_body;
    void (*in_body)(struct exchange *exchange);
    void (*in_done)(struct exchange *exchange);
    void *arg;
    /* Notes. */
    struct http *http;
    struct http_transfer *transfer; /* NULL: not in flight */
    struct buf body;
    struct http_result result; /* detail points at a copy */
    char detail[256];
    unsigned npieces;
    unsigned ndone;
    bool ended;
};

/* Starts it; url, headers, body and options come from request. */
NODISCARD enum err_code exchange_start(struct exchange *exchange,
                                       struct http *http,
                                       const struct http_request *request);

/* Runs until it has ended, which must take less than ten seconds. */
void exchange_finish(struct exchange *exchange);

/* Both, for a GET of url; fails the test when it cannot be started. */
void exchange_get(struct exchange *exchange, struct http *http,
                  const char *url);

void exchange_release(struct exchange *exchange);

#endif
