/*
 * http_transfer.h - one request and what became of it; see net/http.h.
 *
 * Not here: what a request means, retries, signing. A transfer ends exactly
 * once, in on_done, unless it was cancelled. Header values and bodies may hold
 * secrets: they are never logged, and the copies made here are wiped.
 */
#ifndef NET_HTTP_TRANSFER_H
#define NET_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct http;
struct http_transfer;

/* Most bytes of a response's header, all its lines together. */
#define HTTP_HEADER_MAX ((size_t)64 * 1024)

/* What became of a transfer, by what a caller can do about it. */
enum http_failure {
    HTTP_OK,              /* a whole answer came, whatever its status */
    HTTP_RESOLVE,         /* the host name has no address */
    HTTP_CONNECT,         /* refused or unreachable, the proxy as well */
    HTTP_CONNECT_TIMEOUT, /* no connection in connect_timeout_ms */
    HTTP_TLS,             /* the handshake failed */
    HTTP_CERTIFICATE,     /* the peer's certificate is not acceptable */
    HTTP_PROXY,           /* the proxy failed or refused */
    HTTP_BROKEN,          /* reset, cut short, or not HTTP or gzip */
    HTTP_STOPPED,         /* on_body returned false */
    HTTP_LIMIT,           /* a header past HTTP_HEADER_MAX */
    HTTP_NOMEM,
    HTTP_OTHER,
};

struct http_result {
    enum http_failure failure;
    long status;          /* 0: no status line; HTTP_PROXY: the proxy's */
    const char *detail;   /* the library's sentence; "" for HTTP_OK */
    int64_t sent_real_ms; /* time of day it went out; 0: it did not */
    int64_t rtt_us;       /* the path's round trip, of the kernel; 0: unknown */
};

struct http_header {
    const char *name;
    const char *value;
};

enum http_route {
    HTTP_DIRECT,    /* never through a proxy: Runtime API, credentials */
    HTTP_VIA_PROXY, /* through the configured proxy, if there is one */
};

/*
 * False ends the transfer with HTTP_STOPPED. Bytes are decoded (gzip); that a
 * gzip body is whole is for the reader of its contents to tell, because the
 * library takes one that was cut for a complete one (seen with curl 7.88).
 */
typedef bool (*http_body_fn)(void *arg, const char *data, size_t len);

/*
 * The transfer has ended; result and the transfer are good until the return.
 * http_response_header() still works here.
 */
typedef void (*http_done_fn)(void *arg, const struct http_result *result);

/*
 * url, headers and method are copied by http_start(); body is borrowed until
 * on_done or http_cancel(). Only the headers named here are sent, plus Host,
 * Content-Length, Accept, User-Agent and Accept-Encoding.
 */
struct http_request {
    const char *method; /* "GET" or "POST" */
    const char *url;    /* http or https, no user name in it */
    const struct http_header *headers;
    size_t nheaders;
    const void *body; /* POST only */
    size_t body_len;
    enum http_route route;
    bool gzip;      /* ask for and decode gzip */
    bool ipv4_only; /* look up no AAAA records */
    /* For many long answers from one host at the same time: requests that
     * differ in it may be read, and keep connections, apart from each other. */
    unsigned apart;
    int64_t connect_timeout_ms; /* DNS, TCP and TLS together; 0: none */
    http_body_fn on_body;       /* NULL: the body is of no interest */
    http_done_fn on_done;
    void *arg;
};

/*
 * Starts a transfer; *out (may be NULL) names it until on_done or cancel.
 * ERR_NOMEM, ERR_ARG (method, URL or header that is none), ERR_NET (the
 * library lacks what is needed); then no callback comes.
 */
NODISCARD enum err_code http_start(struct http *http,
                                   const struct http_request *request,
                                   struct http_transfer **out, struct err *err);

/*
 * Ends the transfer without a callback; its connection is closed. Does
 * nothing for the transfer whose on_done is running.
 */
void http_cancel(struct http_transfer *transfer);

/* Whether the connection stands; false before the request has gone out. */
bool http_is_connected(const struct http_transfer *transfer);

/*
 * The last value of a response header, name in any case; false when absent.
 * Good until the callback returns.
 */
bool http_response_header(const struct http_transfer *transfer,
                          const char *name, struct span *out);

#endif
