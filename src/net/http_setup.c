#include "http_private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/wipe.h"
#include "net/trust.h"

/*
 * How long sent bytes may stay unacknowledged: ends kept connections whose
 * peer has vanished, which the library then replaces by itself.
 */
#define UNACKED_MAX_MS 3000

/*
 * The library judges its own time-outs before it reads, so a freeze would end
 * connections that stand. Ours are in http_transfer.c, these never come.
 */
#define LIBRARY_TIMEOUT_MS (24L * 60 * 60 * 1000)

/*
 * Requests to EC2 are a kilobyte or two, and all regions are asked at once; a
 * library that is not built with the release takes its own least, 16 kB. The
 * answer to Lambda may be 6 MB.
 */
#define UPLOAD_BUFFER_LEN (4L * 1024)
#define DIRECT_UPLOAD_BUFFER_LEN (64L * 1024)

/* Longest line of a request's header, bytes. */
#define HEADER_LINE_MAX ((size_t)64 * 1024)

_Static_assert(HTTP_DETAIL_MAX >= CURL_ERROR_SIZE, "curl writes that much");

/* How long a connection may have been idle, the library's own default. */
#define IDLE_MAX_S 118L

/* What is the same for every request. */
static const struct {
    CURLoption option;
    long value;
} FIXED[] = {
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
    {CURLOPT_FOLLOWLOCATION, 0},
    {CURLOPT_NETRC, CURL_NETRC_IGNORED},
    {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
    {CURLOPT_HEADEROPT, CURLHEADER_SEPARATE},
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_CONNECTTIMEOUT_MS, LIBRARY_TIMEOUT_MS},
    /* Or removing a handle waits for its lookup (threaded resolver, 7.88). */
    {CURLOPT_QUICK_EXIT, 1},
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size * n;

    /* Cancelled by a callback of this same call into the library. */
    if (t->in != &t->http->running)
        return CURL_WRITEFUNC_ERROR;
    if (!t->on_body)
        return len;
    t->stopped = !t->on_body(t->arg, data, len);
    return t->stopped ? CURL_WRITEFUNC_ERROR : len;
}

/* Whole lines; the last one is empty. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size * n;

    t->header_len += len;
    t->in_header = line[0] != '\r' && line[0] != '\n';
    return t->header_len <= HTTP_HEADER_MAX ? len : CURL_WRITEFUNC_ERROR;
}

void http_set_connecting(struct http_transfer *transfer, bool connecting)
{
    struct http *http = transfer->http;

    if (transfer->counted != connecting)
        http->nconnecting += connecting ? 1 : (size_t)-1;
    transfer->counted = connecting;
    http->all_connected = http->nconnecting == 0;
}

/* The connection stands and the request is about to be sent. */
static int on_connected(void *arg, char *peer_ip, char *own_ip, int peer_port,
                        int own_port)
{
    struct http_transfer *t = arg;

    (void)peer_ip;
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    if (t->in != &t->http->running)
        return CURL_PREREQFUNC_ABORT;
    if (t->fresh)
        t->http->stats.connections++;
    else
        t->http->stats.reused++;
    t->on_kept = !t->fresh;
    t->fresh = false;
    t->connected = true;
    http_set_connecting(t, false);
    /* If this kept connection turns out to be dead, so are the others that
     * were idle as long: the library is not to try them one by one. */
    (void)curl_easy_setopt(t->easy, CURLOPT_MAXAGE_CONN, 1L);
    t->sent_real_ms = clock_real_ms(t->http->options.clock);
    return CURL_PREREQFUNC_OK;
}

static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    struct http_transfer *t = arg;
    unsigned limit = UNACKED_MAX_MS;
    int on = 1;

    (void)purpose;
    t->fresh = true;
    /* A kept connection was dead, and the library opens a fresh one. */
    if (t->connected) {
        t->connected = false;
        t->connect_since_ms = t->http->waited_ms;
        http_set_connecting(t, true);
    }
    if (t->route == HTTP_DIRECT)
        return CURL_SOCKOPT_OK;
    /* Without these a dead peer is only found later. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    return CURL_SOCKOPT_OK;
}

static CURLcode on_tls(CURL *easy, void *ssl_ctx, void *arg)
{
    struct http *http = arg;

    (void)easy;
    http->stats.handshakes++;
    return trust_attach(http->trust, ssl_ctx) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

static int on_lookup(void *resolver, void *unused, void *arg)
{
    struct http *http = arg;

    (void)resolver;
    (void)unused;
    http->stats.lookups++;
    return 0;
}

/* CR and LF would let a value add headers of its own (RFC 9110 §5.5). */
static bool is_line(const char *s)
{
    return !s[strcspn(s, "\r\n")];
}

static enum err_code add_line(struct http_transfer *t, struct buf *line,
                              struct err *err)
{
    struct curl_slist *longer;
    enum err_code rc = buf_check(line, "http: header", err);

    if (rc)
        return rc;
    longer = curl_slist_append(t->headers, line->data);
    if (!longer)
        return err_nomem(err, "http: header");
    t->headers = longer;
    return ERR_OK;
}

static enum err_code add_header(struct http_transfer *t,
                                const struct http_header *header,
                                struct err *err)
{
    struct buf line = BUF_INIT(HEADER_LINE_MAX);
    enum err_code rc;

    if (!header->name[0] || !is_line(header->name) || !is_line(header->value))
        return err_set(err, ERR_ARG, "http: a header is not one line");
    /* One allocation, so that no stale copy of a secret is left behind. */
    buf_reserve(&line, strlen(header->name) + strlen(header->value) + 2);
    buf_add_str(&line, header->name);
    /* "name;" is how the library is told to send an empty value. */
    buf_add_str(&line, header->value[0] ? ": " : ";");
    buf_add_str(&line, header->value);
    rc = add_line(t, &line, err);
    buf_wipe(&line);
    return rc;
}

/* "name:" keeps the library from sending its own. */
static enum err_code suppress(struct http_transfer *t, const char *name,
                              struct err *err)
{
    struct buf line = BUF_INIT(HEADER_LINE_MAX);
    enum err_code rc;

    buf_add_str(&line, name);
    buf_add_char(&line, ':');
    rc = add_line(t, &line, err);
    buf_release(&line);
    return rc;
}

static enum err_code add_headers(struct http_transfer *t,
                                 const struct http_request *request,
                                 struct err *err)
{
    bool has_type = false;
    enum err_code rc = suppress(t, "Expect", err);

    for (size_t i = 0; !rc && i < request->nheaders; i++) {
        struct span name = span_of(request->headers[i].name);

        has_type |= span_eq_nocase(name, SPAN_LIT("content-type"));
        rc = add_header(t, &request->headers[i], err);
    }
    if (!rc && !has_type)
        rc = suppress(t, "Content-Type", err);
    return rc;
}

void http_drop_headers(struct http_transfer *transfer)
{
    for (struct curl_slist *h = transfer->headers; h; h = h->next)
        wipe(h->data, strlen(h->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

struct pointer_option {
    CURLoption option;
    const void *value;
};

static CURLcode set_pointers(CURL *easy, const struct pointer_option *pointers,
                             size_t n)
{
    CURLcode code = CURLE_OK;

    for (size_t i = 0; !code && i < n; i++)
        code = curl_easy_setopt(easy, pointers[i].option, pointers[i].value);
    return code;
}

static CURLcode set_numbers(struct http_transfer *t)
{
    long resolve = t->ipv4_only ? CURL_IPRESOLVE_V4 : CURL_IPRESOLVE_WHATEVER;
    long upload =
        t->route == HTTP_DIRECT ? DIRECT_UPLOAD_BUFFER_LEN : UPLOAD_BUFFER_LEN;
    CURLcode code = curl_easy_setopt(t->easy, CURLOPT_IPRESOLVE, resolve);

    if (!code)
        code = curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, upload);
    for (size_t i = 0; !code && i < sizeof(FIXED) / sizeof(FIXED[0]); i++)
        code = curl_easy_setopt(t->easy, FIXED[i].option, FIXED[i].value);
    return code;
}

static CURLcode set_functions(CURL *easy)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);

    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls);
    if (!code)
        code =
            curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, on_lookup);
    return code;
}

/* What a handle keeps from one request to the next that is like it. */
static CURLcode set_once(struct http_transfer *t)
{
    const struct http_options *o = &t->http->options;
    const char *proxy = o->proxy ? o->proxy : "";
    const char *no_proxy = o->no_proxy ? o->no_proxy : "";
    bool direct = t->route == HTTP_DIRECT;
    const struct pointer_option pointers[] = {
        {CURLOPT_PROTOCOLS_STR, "http,https"},
        /* Not NULL: then the library would read the environment. */
        {CURLOPT_PROXY, direct ? "" : proxy},
        {CURLOPT_NOPROXY, direct ? "*" : no_proxy},
        {CURLOPT_USERAGENT, o->user_agent},
        {CURLOPT_ACCEPT_ENCODING, t->gzip ? "gzip" : NULL},
        /* The store of trust_attach() alone; Debian compiles in both. */
        {CURLOPT_CAINFO, NULL},
        {CURLOPT_CAPATH, NULL},
        {CURLOPT_SHARE, t->http->share},
        {CURLOPT_ERRORBUFFER, t->detail},
        {CURLOPT_PRIVATE, t},
        {CURLOPT_WRITEDATA, t},
        {CURLOPT_HEADERDATA, t},
        {CURLOPT_PREREQDATA, t},
        {CURLOPT_SOCKOPTDATA, t},
        {CURLOPT_SSL_CTX_DATA, t->http},
        {CURLOPT_RESOLVER_START_DATA, t->http},
    };
    CURLcode code = set_numbers(t);

    if (!code)
        code = set_functions(t->easy);
    if (!code)
        code = set_pointers(t->easy, pointers,
                            sizeof(pointers) / sizeof(pointers[0]));
    t->set = code == CURLE_OK;
    return code;
}

static CURLcode set_body(CURL *easy, const struct http_request *request)
{
    const char *body = request->body_len ? request->body : "";
    CURLcode code;

    if (strcmp(request->method, "POST") != 0)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t)request->body_len);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    return code;
}

/* What on_connected() sets is undone here. */
static CURLcode set_each(struct http_transfer *t,
                         const struct http_request *request)
{
    const struct pointer_option pointers[] = {
        {CURLOPT_URL, request->url},
        {CURLOPT_HTTPHEADER, t->headers},
    };
    CURLcode code = curl_easy_setopt(t->easy, CURLOPT_MAXAGE_CONN, IDLE_MAX_S);

    if (!code)
        code = set_pointers(t->easy, pointers,
                            sizeof(pointers) / sizeof(pointers[0]));
    return code ? code : set_body(t->easy, request);
}

/* The URL stays out of the text: it may come from a stranger. */
static enum err_code check_request(struct http *http,
                                   const struct http_request *request,
                                   struct err *err)
{
    struct span url = span_of(request->url);

    if (strcmp(request->method, "GET") != 0 &&
        strcmp(request->method, "POST") != 0)
        return err_set(err, ERR_ARG, "http: method is neither GET nor POST");
    if (!span_starts_with(url, "http://") && !span_starts_with(url, "https://"))
        return err_set(err, ERR_ARG, "http: URL is neither http nor https");
    switch (curl_url_set(http->url, CURLUPART_URL, request->url,
                         CURLU_DISALLOW_USER)) {
    case CURLUE_OK:
        return ERR_OK;
    case CURLUE_OUT_OF_MEMORY:
        return err_nomem(err, "http: URL");
    default:
        return err_set(err, ERR_ARG, "http: URL is malformed");
    }
}

enum err_code http_setup(struct http_transfer *transfer,
                         const struct http_request *request, struct err *err)
{
    CURLcode code;
    enum err_code rc;

    rc = check_request(transfer->http, request, err);
    if (rc)
        return rc;
    rc = add_headers(transfer, request, err);
    if (rc)
        return rc;
    code = transfer->set ? CURLE_OK : set_once(transfer);
    if (!code)
        code = set_each(transfer, request);
    if (code == CURLE_OUT_OF_MEMORY)
        return err_nomem(err, "http: request");
    if (code)
        return err_set(err, ERR_NET, "http: libcurl lacks an option, %s",
                       curl_easy_strerror(code));
    return ERR_OK;
}
