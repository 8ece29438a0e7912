#include "net/http_transfer.h"

#include <assert.h>
#include <stdio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <curl/curl.h>
#include <openssl/x509_vfy.h>

#include "http_private.h"
#include "net/trust.h"

/* The library's verdicts in ours; others are HTTP_OTHER. */
static const struct {
    CURLcode code;
    enum http_failure failure;
} CLASSES[] = {
    {CURLE_OK, HTTP_OK},
    {CURLE_COULDNT_RESOLVE_HOST, HTTP_RESOLVE},
    {CURLE_COULDNT_CONNECT, HTTP_CONNECT},
    {CURLE_COULDNT_RESOLVE_PROXY, HTTP_PROXY},
    {CURLE_PROXY, HTTP_PROXY},
    {CURLE_SSL_CONNECT_ERROR, HTTP_TLS},
    {CURLE_SSL_CIPHER, HTTP_TLS},
    {CURLE_SSL_SHUTDOWN_FAILED, HTTP_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, HTTP_CERTIFICATE},
    {CURLE_SSL_ISSUER_ERROR, HTTP_CERTIFICATE},
    {CURLE_SSL_INVALIDCERTSTATUS, HTTP_CERTIFICATE},
    {CURLE_SEND_ERROR, HTTP_BROKEN},
    {CURLE_RECV_ERROR, HTTP_BROKEN},
    {CURLE_GOT_NOTHING, HTTP_BROKEN},
    {CURLE_PARTIAL_FILE, HTTP_BROKEN},
    {CURLE_WEIRD_SERVER_REPLY, HTTP_BROKEN},
    {CURLE_UNSUPPORTED_PROTOCOL, HTTP_BROKEN}, /* HTTP/0.9, or HTTP/7 */
    {CURLE_BAD_CONTENT_ENCODING, HTTP_BROKEN},
    {CURLE_WRITE_ERROR, HTTP_BROKEN}, /* bytes after the end of gzip */
    {CURLE_OUT_OF_MEMORY, HTTP_NOMEM},
};

/* One line that is longer than the library takes, or all of them together. */
static bool is_header_too_long(const struct http_transfer *t, CURLcode code)
{
    if (t->header_len > HTTP_HEADER_MAX)
        return true;
#if LIBCURL_VERSION_NUM >= 0x080600
    return code == CURLE_TOO_LARGE;
#else
    /* Its word for both (seen with 7.88, whose longest line is 100 kB). */
    return code == CURLE_OUT_OF_MEMORY && t->in_header;
#endif
}

static enum http_failure classify(const struct http_transfer *t, CURLcode code)
{
    long proxy_status = 0;

    if (t->stopped)
        return HTTP_STOPPED;
    if (is_header_too_long(t, code))
        return HTTP_LIMIT;
    (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (code && !t->connected && proxy_status >= 300)
        return HTTP_PROXY;
    /* Not ours: the kernel gave up, on the handshake or for lack of ACKs. */
    if (code == CURLE_OPERATION_TIMEDOUT)
        return t->connected ? HTTP_BROKEN : HTTP_CONNECT_TIMEOUT;
    for (size_t i = 0; i < sizeof(CLASSES) / sizeof(CLASSES[0]); i++)
        if (CLASSES[i].code == code)
            return CLASSES[i].failure;
    return HTTP_OTHER;
}

static void drop_handle(struct http_transfer *t)
{
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
    t->set = false;
}

/* Its handle has what such a request needs, but for what differs in each. */
static bool is_fit_for(const struct http_transfer *t,
                       const struct http_request *request)
{
    return t->easy && t->route == request->route && t->gzip == request->gzip &&
           t->ipv4_only == request->ipv4_only;
}

/* One that fits, else one without a handle; NULL: neither. */
static struct http_transfer *find_idle(const struct http *http,
                                       const struct http_request *request)
{
    struct http_transfer *bare = NULL;

    for (struct http_transfer *t = http->idle.first; t; t = t->next) {
        if (is_fit_for(t, request))
            return t;
        if (!t->easy)
            bare = t;
    }
    return bare;
}

static struct http_transfer *transfer_new(struct http *http,
                                          const struct http_request *request)
{
    struct http_transfer *t = find_idle(http, request);

    if (!t) {
        t = calloc(1, sizeof(*t));
        if (!t)
            return NULL;
        t->http = http;
        http_list_move(t, &http->idle);
    }
    if (!t->easy)
        t->easy = curl_easy_init();
    if (!t->easy)
        return NULL;
    t->route = request->route;
    t->gzip = request->gzip;
    t->ipv4_only = request->ipv4_only;
    http_list_move(t, NULL);
    return t;
}

/*
 * Whether its handle may serve another request. Only where all went well, and
 * nothing was looked up or connected to, are the options all that counts in it.
 * Requests to Lambda are few, and what they sent would stay in it.
 */
static bool is_worth_keeping(const struct http_transfer *t, bool well)
{
    return well && t->on_kept && t->route == HTTP_VIA_PROXY;
}

/* The handle points at nothing that ends with the request; false: it may. */
static bool let_go(CURL *easy)
{
    return !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL) &&
           !curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
}

/*
 * Ready to be used again. Resetting a handle would do for those that are not
 * kept, but it allocates and keeps to itself that it could not: a handle that
 * is half reset then writes past its buffers (curl 7.88).
 */
static void recycle(struct http_transfer *t, bool well)
{
    http_set_connecting(t, false);
    if (!is_worth_keeping(t, well) || !let_go(t->easy))
        drop_handle(t);
    http_drop_headers(t);
    http_list_move(t, &t->http->idle);
}

/* Takes it out of the library's hands. */
static void take_back(struct http_transfer *t)
{
    http_lane_remove(t->lane, t->easy);
}

/* Makes it new as far as connecting goes, and has it started. */
static void line_up(struct http_transfer *t)
{
    t->connect_since_ms = t->http->waited_ms;
    t->fresh = false;
    t->connected = false;
    t->on_kept = false;
    http_set_connecting(t, true);
    t->sent_real_ms = 0;
    t->rtt_us = 0;
    t->in_header = false;
    t->header_len = 0;
    t->detail[0] = '\0';
    http_list_move(t, &t->http->starting);
}

enum err_code http_start(struct http *http, const struct http_request *request,
                         struct http_transfer **out, struct err *err)
{
    struct http_transfer *t = transfer_new(http, request);
    enum err_code rc;

    if (!t)
        return err_nomem(err, "http: transfer");
    t->on_body = request->on_body;
    t->on_done = request->on_done;
    t->arg = request->arg;
    t->connect_timeout_ms = request->connect_timeout_ms;
    t->stopped = false;
    rc = http_setup(t, request, err);
    if (!rc)
        rc = http_lanes_find(http->lanes, request->url, request->apart,
                             &t->lane, err);
    if (rc) {
        recycle(t, false);
        return rc;
    }
    line_up(t);
    http->stats.requests++;
    if (out)
        *out = t;
    return ERR_OK;
}

void http_cancel(struct http_transfer *transfer)
{
    struct http *http = transfer->http;

    assert(transfer->in != &http->idle);
    if (transfer->in == &http->starting) {
        recycle(transfer, false);
    } else if (transfer->in == &http->running) {
        http_list_move(transfer, &http->cancelled);
        if (!http->in_library)
            http_transfers_sweep(http);
    }
}

void http_transfers_sweep(struct http *http)
{
    while (http->cancelled.first) {
        struct http_transfer *t = http->cancelled.first;

        take_back(t);
        recycle(t, false);
    }
}

bool http_is_connected(const struct http_transfer *transfer)
{
    return transfer->connected;
}

bool http_response_header(const struct http_transfer *transfer,
                          const char *name, struct span *out)
{
    struct curl_header *header;
    size_t last;

    /* A kept handle still has those of the request before. */
    if (!transfer->connected)
        return false;
    if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header))
        return false;
    last = header->amount - 1;
    if (last > 0 &&
        curl_easy_header(transfer->easy, name, last, CURLH_HEADER, -1, &header))
        return false;
    *out = span_of(header->value);
    return true;
}

/* The end of a transfer that the library no longer holds. */
static void finish(struct http_transfer *t, enum http_failure failure)
{
    struct http_result result = {
        .failure = failure,
        .detail = failure ? t->detail : "",
        .sent_real_ms = t->sent_real_ms,
        .rtt_us = t->rtt_us,
    };

    if (failure == HTTP_PROXY)
        (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE,
                                &result.status);
    else if (t->connected)
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE,
                                &result.status);
    http_list_move(t, NULL);
    t->on_done(t->arg, &result);
    recycle(t, failure == HTTP_OK);
}

/* The library quotes a proxy's URL that it dislikes, password included. */
static void hide_proxy(struct http_transfer *t)
{
    if (t->http->options.proxy && strchr(t->detail, '@'))
        t->detail[0] = '\0';
}

static void set_detail(struct http_transfer *t, const char *text)
{
    if (!t->detail[0])
        (void)snprintf(t->detail, sizeof(t->detail), "%s", text);
}

void http_transfers_start(struct http *http)
{
    struct http_transfer *last = http->starting.last;
    struct http_transfer *t;

    /* What the callbacks of those that fail start waits for the next call. */
    do {
        int code;

        t = http->starting.first;
        if (!t)
            return;
        t->roots_round = http->roots_round;
        code = http_lane_add(t->lane, t->easy);
        if (!code) {
            http_list_move(t, &http->running);
        } else {
            set_detail(t, curl_multi_strerror((CURLMcode)code));
            finish(t, code == CURLM_OUT_OF_MEMORY ? HTTP_NOMEM : HTTP_OTHER);
        }
    } while (t != last);
}

static bool is_unknown_issuer(CURL *easy)
{
    const CURLINFO verdicts[] = {CURLINFO_SSL_VERIFYRESULT,
                                 CURLINFO_PROXY_SSL_VERIFYRESULT};

    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        long verdict = X509_V_OK;

        (void)curl_easy_getinfo(easy, verdicts[i], &verdict);
        if (verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
            verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
            verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN)
            return true;
    }
    return false;
}

/*
 * True when roots that this transfer's handshake did not know are in the
 * store by now, added for it or for another.
 */
static bool can_try_again(struct http_transfer *t, CURLcode code)
{
    struct http *http = t->http;

    if (code != CURLE_PEER_FAILED_VERIFICATION || !is_unknown_issuer(t->easy))
        return false;
    if (trust_add_system(http->trust))
        http->roots_round++;
    return t->roots_round < http->roots_round;
}

/* Of the connection that was used, while the library still knows it. */
static int64_t round_trip_us(CURL *easy)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) ||
        fd == CURL_SOCKET_BAD ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        return 0;
    return info.tcpi_rtt;
}

void http_transfers_complete(struct http_lane *lane)
{
    struct http_lane_end end;

    while (http_lane_ended(lane, &end)) {
        CURLcode code = (CURLcode)end.code;
        struct http_transfer *t = NULL;
        enum http_failure failure;
        bool again;

        (void)curl_easy_getinfo(end.easy, CURLINFO_PRIVATE, &t);
        again = can_try_again(t, code);
        /* Else a handle that was kept would tell of the last one's. */
        t->rtt_us = t->connected ? round_trip_us(t->easy) : 0;
        take_back(t);
        if (again) {
            line_up(t);
            continue;
        }
        failure = classify(t, code);
        if (failure == HTTP_LIMIT)
            (void)snprintf(t->detail, sizeof(t->detail), "header too long");
        hide_proxy(t);
        set_detail(t, curl_easy_strerror(code));
        finish(t, failure);
    }
}

static bool is_connecting(const struct http_transfer *t)
{
    return !t->connected && t->connect_timeout_ms > 0;
}

/* Of the waiting that it was given to connect; 0 or less: over. */
static int64_t left_to_connect(const struct http_transfer *t)
{
    return t->connect_timeout_ms - (t->http->waited_ms - t->connect_since_ms);
}

static struct http_transfer *first_late(const struct http *http)
{
    for (struct http_transfer *t = http->running.first; t; t = t->next)
        if (is_connecting(t) && left_to_connect(t) <= 0)
            return t;
    return NULL;
}

void http_transfers_judge(struct http *http)
{
    struct http_transfer *t;

    /* From the front each time, for on_done may cancel any other. */
    while ((t = first_late(http)) != NULL) {
        (void)snprintf(t->detail, sizeof(t->detail), "no connection in %lld ms",
                       (long long)t->connect_timeout_ms);
        take_back(t);
        finish(t, HTTP_CONNECT_TIMEOUT);
    }
}

int64_t http_transfers_due(const struct http *http)
{
    int64_t due = CLOCK_NEVER;

    if (http->nconnecting == 0)
        return due;
    for (struct http_transfer *t = http->running.first; t; t = t->next)
        if (is_connecting(t) && left_to_connect(t) < due)
            due = left_to_connect(t);
    return due;
}

void http_transfers_free(struct http *http)
{
    struct http_transfer *t;

    /* Cancelled ones are kept to be used again, like all others. */
    while (http->running.first)
        http_cancel(http->running.first);
    while (http->starting.first)
        http_cancel(http->starting.first);
    t = http->idle.first;
    while (t) {
        struct http_transfer *next = t->next;

        drop_handle(t);
        free(t);
        t = next;
    }
}
