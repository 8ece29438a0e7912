/*
 * Transfers over a plain loopback connection. What a request must look like is
 * from RFC 9110 and 9112; what curl's proxy forms look like from RFC 9112 §3.2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "../../src/net/http_private.h"
#include "net/http.h"
#include "support/exchange.h"
#include "support/fail_alloc.h"
#include "support/local_server.h"

#define SECRET "not-a-real-secret"
#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/*
 * gzip of "three regions answered\n", made with python:
 * gzip.compress(b"three regions answered\n", mtime=0)
 */
#define GZIPPED                                                                \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\xc9\x28\x4a\x4d\x55\x28\x4a" \
    "\x4d\xcf\xcc\xcf\x2b\x56\x48\xcc\x2b\x2e\x4f\x2d\x4a\x4d\xe1\x02\x00\x2c" \
    "\xc8\xcf\xfd\x17\x00\x00\x00"
#define GZIP_HEAD OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 43\r\n\r\n"

static const char GZIP_ANSWER[] = GZIP_HEAD GZIPPED;
/* The tenth byte of the deflate data is another. */
static const char GZIP_BROKEN[] =
    GZIP_HEAD "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xff\xff\xff\xff\xff\xff"
              "0123456789012345678901234567";

static const struct local_answer ANSWERS[] = {
    {"/plain", OK_HEAD "Content-Length: 5\r\nX-One: 1\r\n\r\nhello", 0,
     LOCAL_KEEP},
    {"/empty", OK_HEAD "Content-Length: 0\r\n\r\n", 0, LOCAL_KEEP},
    {"/denied", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 0,
     LOCAL_KEEP},
    {"/twice", OK_HEAD "X-Two: a\r\nX-Two: b\r\nContent-Length: 0\r\n\r\n", 0,
     LOCAL_KEEP},
    {"/chunked",
     OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     0, LOCAL_KEEP},
    {"/moved",
     "HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n", 0,
     LOCAL_KEEP},
    {"/cookie", OK_HEAD "Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", 0,
     LOCAL_KEEP},
    {"/gzip", GZIP_ANSWER, sizeof(GZIP_ANSWER) - 1, LOCAL_KEEP},
    {"/gzip-broken", GZIP_BROKEN, sizeof(GZIP_BROKEN) - 1, LOCAL_KEEP},
    {"/gzip-more", OK_HEAD "Content-Encoding: gzip\r\n\r\n" GZIPPED "more",
     sizeof(OK_HEAD "Content-Encoding: gzip\r\n\r\n" GZIPPED "more") - 1,
     LOCAL_CLOSE},
    {"/short", OK_HEAD "Content-Length: 10\r\n\r\nhalf", 0, LOCAL_CLOSE},
    {"/reset", OK_HEAD "Content-Length: 10\r\n\r\nhalf", 0, LOCAL_RESET},
    {"/chunk-cut", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n9\r\nab", 0,
     LOCAL_CLOSE},
    {"/nothing", "", 0, LOCAL_CLOSE},
    {"/not-http", "SSH-2.0-OpenSSH_9.2\r\n", 0, LOCAL_CLOSE},
    {"/then-closed", OK_HEAD "Content-Length: 2\r\n\r\nok", 0, LOCAL_CLOSE},
    {"http://ec2.eu-test-1.example/",
     OK_HEAD "Content-Length: 7\r\n\r\nproxied", 0, LOCAL_KEEP},
};

struct world {
    struct local_server *server;
    struct http *http;
    char url[128];
    char proxy[64];
};

/* The URL of path on the server; good until the next call. */
static const char *url_of(struct world *w, const char *path)
{
    (void)snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u%s",
                   local_server_port(w->server), path);
    return w->url;
}

static void renew_http(struct world *w, const struct http_options *options)
{
    struct http_options own = *options;

    own.clock = &CLOCK_SYSTEM;
    http_free(w->http);
    w->http = NULL;
    assert_int_equal(http_new(&own, &w->http, NULL), ERR_OK);
}

static int set_up(void **state)
{
    static const struct local_server_options OPTIONS = {
        .answers = ANSWERS,
        .nanswers = sizeof(ANSWERS) / sizeof(ANSWERS[0]),
    };
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->server = local_server_start(&OPTIONS);
    (void)snprintf(w->proxy, sizeof(w->proxy), "http://127.0.0.1:%u",
                   local_server_port(w->server));
    renew_http(w, &(struct http_options){.user_agent = "ec2sweep/test",
                                         .max_connections = 16});
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    http_free(w->http);
    local_server_stop(w->server);
    free(w);
    return 0;
}

static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

/* --- requests --------------------------------------------------------------*/

static void test_http_start__get_brings_status_body_and_header(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_int_equal(x.result.status, 200);
    assert_string_equal(x.detail, "");
    assert_string_equal(x.body.data, "hello");
    assert_int_equal(x.ndone, 1);
    exchange_get(&x, w->http, url_of(w, "/denied"));
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_int_equal(x.result.status, 403);
    assert_string_equal(x.body.data, "no");
    exchange_get(&x, w->http, url_of(w, "/chunked"));
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_string_equal(x.body.data, "abc");
    exchange_release(&x);
}

static void test_http_start__post_sends_what_is_named_and_no_more(void **state)
{
    const struct http_header headers[] = {
        {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
        {"X-Amz-Date", "20300102T030405Z"},
        {"X-Empty", ""},
    };
    struct world *w = *state;
    struct exchange x = {0};
    struct http_request request = {.method = "POST",
                                   .url = url_of(w, "/plain"),
                                   .headers = headers,
                                   .nheaders = 3,
                                   .body = "Action=A&B=C",
                                   .body_len = 12};
    const char *sent;
    char host[64];

    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    exchange_finish(&x);
    assert_int_equal(x.result.failure, HTTP_OK);
    sent = local_server_request(w->server, 0);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n",
                   local_server_port(w->server));
    assert_int_equal(strncmp(sent, "POST /plain HTTP/1.1\r\n", 22), 0);
    assert_int_equal(occurrences(sent, host), 1);
    assert_int_equal(occurrences(sent, "\r\nContent-Type: "), 1);
    assert_non_null(strstr(sent, "urlencoded; charset=utf-8\r\n"));
    assert_non_null(strstr(sent, "\r\nX-Amz-Date: 20300102T030405Z\r\n"));
    assert_non_null(strstr(sent, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(sent, "\r\nUser-Agent: ec2sweep/test\r\n"));
    assert_non_null(strstr(sent, "\r\nAccept: */*\r\n"));
    assert_non_null(strstr(sent, "\r\nContent-Length: 12\r\n"));
    assert_non_null(strstr(sent, "\r\n\r\nAction=A&B=C"));
    /* Request line, seven headers, the empty line. */
    assert_int_equal(occurrences(sent, "\r\n"), 1 + 7 + 1);
    exchange_release(&x);
}

static void test_http_start__post_without_body_has_length_zero(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    struct http_request request = {.method = "POST",
                                   .url = url_of(w, "/empty")};
    const char *sent;

    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    exchange_finish(&x);
    assert_int_equal(x.result.status, 200);
    assert_int_equal(x.body.len, 0);
    sent = local_server_request(w->server, 0);
    assert_non_null(strstr(sent, "\r\nContent-Length: 0\r\n"));
    assert_null(strstr(sent, "Content-Type"));
    exchange_release(&x);
}

/* curl would ask first from 1 MB on. */
static void test_http_start__never_sends_expect(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    size_t len = (size_t)1200 * 1024;
    char *body = malloc(len);
    struct http_request request = {.method = "POST",
                                   .url = url_of(w, "/plain"),
                                   .body = body,
                                   .body_len = len};

    assert_non_null(body);
    memset(body, 'x', len);
    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    exchange_finish(&x);
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_null(strstr(local_server_request(w->server, 0), "Expect"));
    exchange_release(&x);
    free(body);
}

static void test_http_start__copies_all_but_the_body(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    char method[] = "GET";
    char name[] = "X-Name";
    char value[] = "value";
    struct http_header header = {name, value};
    struct http_request request = {.method = method,
                                   .url = url_of(w, "/plain"),
                                   .headers = &header,
                                   .nheaders = 1};

    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    memset(method, '#', 3);
    memset(name, '#', 6);
    memset(value, '#', 5);
    memset(w->url, '#', sizeof(w->url) - 1);
    header = (struct http_header){NULL, NULL};
    exchange_finish(&x);
    assert_int_equal(x.result.status, 200);
    assert_non_null(
        strstr(local_server_request(w->server, 0), "\r\nX-Name: value\r\n"));
    exchange_release(&x);
}

static void test_http_start__refuses_what_is_no_request(void **state)
{
    static const struct {
        const char *what;
        const char *method;
        const char *url;
        struct http_header header;
    } rows[] = {
        {"method", "PUT", "http://127.0.0.1/", {"a", "b"}},
        {"empty URL", "GET", "", {"a", "b"}},
        {"no scheme", "GET", "127.0.0.1/", {"a", "b"}},
        {"another scheme", "GET", "ftp://127.0.0.1/", {"a", "b"}},
        {"file", "GET", "file:///etc/passwd", {"a", "b"}},
        {"no host", "GET", "http://", {"a", "b"}},
        {"blank in host", "GET", "http://a b/", {"a", "b"}},
        {"port", "GET", "http://127.0.0.1:99999/", {"a", "b"}},
        {"user", "GET", "http://u:p@127.0.0.1/", {"a", "b"}},
        {"LF in value", "GET", "http://127.0.0.1/", {"a", "b\nX: y"}},
        {"CR in value", "GET", "http://127.0.0.1/", {"a", "b\rX: y"}},
        {"LF in name", "GET", "http://127.0.0.1/", {"a\n", "b"}},
        {"no name", "GET", "http://127.0.0.1/", {"", "b"}},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct exchange x = {0};
        struct http_request request = {.method = rows[i].method,
                                       .url = rows[i].url,
                                       .headers = &rows[i].header,
                                       .nheaders = 1};

        if (exchange_start(&x, w->http, &request) != ERR_ARG)
            fail_msg("%s: not refused", rows[i].what);
        exchange_release(&x);
    }
    assert_int_equal(http_get_stats(w->http).requests, 0);
}

static void test_http_start__follows_no_redirect_keeps_no_cookie(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    exchange_get(&x, w->http, url_of(w, "/moved"));
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_int_equal(x.result.status, 302);
    exchange_get(&x, w->http, url_of(w, "/cookie"));
    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(local_server_requests(w->server), 3);
    assert_null(strstr(local_server_request(w->server, 2), "Cookie"));
    exchange_release(&x);
}

static void test_http_start__tells_when_it_went_out(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    int64_t before = clock_real_ms(&CLOCK_SYSTEM);

    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_in_range(x.result.sent_real_ms, before,
                    clock_real_ms(&CLOCK_SYSTEM));
    exchange_release(&x);
}

/* The loopback's round trip is short, but the kernel measures it. */
static void test_http_start__tells_how_far_it_is(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_in_range(x.result.rtt_us, 1, 1000000);
    exchange_get(&x, w->http, url_of(w, "/then-closed"));
    exchange_get(&x, w->http, "http://127.0.0.1:1/");
    assert_int_equal(x.result.failure, HTTP_CONNECT);
    assert_int_equal(x.result.rtt_us, 0);
    exchange_release(&x);
}

/* --- gzip ------------------------------------------------------------------*/

static void get_gzip(struct world *w, struct exchange *x, const char *path)
{
    struct http_request request = {
        .method = "GET", .url = url_of(w, path), .gzip = true};

    assert_int_equal(exchange_start(x, w->http, &request), ERR_OK);
    exchange_finish(x);
}

static void test_http_start__decodes_gzip_when_asked_to(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    get_gzip(w, &x, "/gzip");
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_string_equal(x.body.data, "three regions answered\n");
    assert_non_null(strstr(local_server_request(w->server, 0),
                           "\r\nAccept-Encoding: gzip\r\n"));
    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_null(strstr(local_server_request(w->server, 1), "Accept-Encoding"));
    exchange_release(&x);
}

/* The library's handles are kept, and each kind of request gets its own. */
static void test_http_start__has_nothing_of_the_request_before(void **state)
{
    static const struct http_header header = {"x-test", SECRET};
    struct world *w = *state;
    struct http_request kinds[] = {
        {.method = "GET", .route = HTTP_VIA_PROXY, .gzip = true},
        {.method = "POST",
         .route = HTTP_VIA_PROXY,
         .headers = &header,
         .nheaders = 1,
         .body = "abc",
         .body_len = 3},
        {.method = "GET", .route = HTTP_VIA_PROXY},
        {.method = "POST", .route = HTTP_DIRECT},
        {.method = "GET",
         .route = HTTP_VIA_PROXY,
         .headers = &header,
         .nheaders = 1,
         .ipv4_only = true},
    };
    const size_t n = sizeof(kinds) / sizeof(kinds[0]);
    struct exchange x = {0};

    for (size_t i = 0; i < 4 * n; i++) {
        kinds[i % n].url = url_of(w, i % 2 ? "/gzip" : "/plain");
        assert_int_equal(exchange_start(&x, w->http, &kinds[i % n]), ERR_OK);
        exchange_finish(&x);
        assert_int_equal(x.result.failure, HTTP_OK);
        if (i % 2 == 0)
            assert_string_equal(x.body.data, "hello");
    }
    for (size_t i = 2 * n; i < 4 * n; i++)
        assert_string_equal(local_server_request(w->server, i),
                            local_server_request(w->server, i - 2 * n));
    /* What asks for IPv4 has one of its own. */
    assert_int_equal(local_server_connections(w->server), 2);
    exchange_release(&x);
}

static size_t count_handles(const struct http *http)
{
    size_t n = 0;

    for (const struct http_transfer *t = http->idle.first; t; t = t->next)
        n += t->easy != NULL;
    return n;
}

/* One round of three at once, and then one to Lambda. */
static void ask_three(struct world *w, const char *path)
{
    struct exchange x[3] = {{0}};
    const struct http_request request = {
        .method = "GET", .url = url_of(w, path), .route = HTTP_VIA_PROXY};

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(exchange_start(&x[i], w->http, &request), ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        exchange_finish(&x[i]);
        exchange_release(&x[i]);
    }
    exchange_get(&x[0], w->http, url_of(w, "/plain"));
    exchange_release(&x[0]);
}

static void test_http_start__handles_are_kept_where_all_went_well(void **state)
{
    struct world *w = *state;

    renew_http(w, &(struct http_options){.max_connections = 64});
    ask_three(w, "/plain");
    assert_int_equal(count_handles(w->http), 0);
    for (int i = 0; i < 3; i++) {
        ask_three(w, "/plain");
        assert_int_equal(count_handles(w->http), 3);
    }
    ask_three(w, "/short");
    assert_int_equal(count_handles(w->http), 0);
}

static void test_http_start__gzip_that_is_none_is_broken(void **state)
{
    static const char *const paths[] = {"/gzip-broken", "/gzip-more"};
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        struct exchange x = {0};

        get_gzip(w, &x, paths[i]);
        if (x.result.failure != HTTP_BROKEN || !x.detail[0])
            fail_msg("%s: %d %s", paths[i], (int)x.result.failure, x.detail);
        exchange_release(&x);
    }
}

/* --- failures --------------------------------------------------------------*/

static void test_http_start__answer_cut_short_is_broken(void **state)
{
    static const struct {
        const char *path;
        const char *body;
        long status;
    } rows[] = {
        {"/short", "half", 200},   {"/reset", "half", 200},
        {"/chunk-cut", "ab", 200}, {"/nothing", "", 0},
        {"/not-http", "", 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct exchange x = {0};

        exchange_get(&x, w->http, url_of(w, rows[i].path));
        if (x.result.failure != HTTP_BROKEN || !x.detail[0] ||
            x.result.status != rows[i].status)
            fail_msg("%s: %d %ld %s", rows[i].path, (int)x.result.failure,
                     x.result.status, x.detail);
        /* A reset may overtake the bytes before it. */
        if (x.body.len)
            assert_string_equal(x.body.data, rows[i].body);
        exchange_release(&x);
    }
}

/* An answer whose header has len bytes, in lines of line_len. */
static char *answer_with_header(size_t len, size_t line_len)
{
    char *text = malloc(len + 1);
    size_t at = sizeof(OK_HEAD "Content-Length: 0\r\n") - 1;

    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, OK_HEAD "Content-Length: 0\r\n", at);
    while (at < len - 2) {
        size_t n = len - 2 - at;

        if (n > line_len + 8)
            n = line_len;
        memcpy(text + at, "X: ", 3);
        at += n;
        memcpy(text + at - 2, "\r\n", 2);
    }
    memcpy(text + len - 2, "\r\n", 3);
    return text;
}

static void test_http_start__header_has_a_limit(void **state)
{
    const struct {
        const char *path;
        size_t len;
        size_t line_len;
        enum http_failure failure;
    } rows[] = {
        {"/at-limit", HTTP_HEADER_MAX, 1000, HTTP_OK},
        {"/past-it", HTTP_HEADER_MAX + 1, 1000, HTTP_LIMIT},
        {"/in-one-line", HTTP_HEADER_MAX, HTTP_HEADER_MAX, HTTP_OK},
        {"/past-it-in-one-line", HTTP_HEADER_MAX + 1, HTTP_HEADER_MAX,
         HTTP_LIMIT},
        {"/line-past-curls-limit", 1000000, 1000000, HTTP_LIMIT},
        {"/many-lines", 1000000, 20, HTTP_LIMIT},
        {"/at-limit-again", HTTP_HEADER_MAX, 1000, HTTP_OK},
    };
    enum {
        NROWS = sizeof(rows) / sizeof(rows[0])
    };
    struct local_answer answers[NROWS];
    const struct local_server_options options = {answers, NROWS, NULL, 0};
    struct world *w = *state;

    for (size_t i = 0; i < NROWS; i++)
        answers[i] = (struct local_answer){
            rows[i].path, answer_with_header(rows[i].len, rows[i].line_len),
            rows[i].len, LOCAL_KEEP};
    local_server_stop(w->server);
    w->server = local_server_start(&options);
    for (size_t i = 0; i < NROWS; i++) {
        struct exchange x = {0};

        exchange_get(&x, w->http, url_of(w, rows[i].path));
        if (x.result.failure != rows[i].failure || x.result.status != 200)
            fail_msg("%s: %d %ld %s", rows[i].path, (int)x.result.failure,
                     x.result.status, x.detail);
        assert_string_equal(x.detail,
                            x.result.failure ? "header too long" : "");
        exchange_release(&x);
    }
    local_server_stop(w->server);
    w->server = NULL;
    for (size_t i = 0; i < NROWS; i++)
        free((void *)(uintptr_t)answers[i].bytes);
}

/* A loopback port on which nobody listens. */
static int closed_port(unsigned *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void test_http_start__refused_connection_is_connect(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    char url[64];
    unsigned port;
    int fd = closed_port(&port);

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    exchange_get(&x, w->http, url);
    assert_int_equal(x.result.failure, HTTP_CONNECT);
    assert_int_equal(x.result.status, 0);
    assert_int_equal(x.result.sent_real_ms, 0);
    assert_true(x.detail[0]);
    exchange_release(&x);
    (void)close(fd);
}

/* Handles are used again: nothing of the last transfer may be left in one. */
static void test_http_start__forgets_the_transfer_before(void **state)
{
    struct world *w = *state;
    struct exchange x = {.refuses_body = true};
    char url[64];
    unsigned port;
    int fd = closed_port(&port);

    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_STOPPED);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    exchange_get(&x, w->http, url);
    assert_int_equal(x.result.failure, HTTP_CONNECT);
    assert_int_equal(x.result.status, 0);
    assert_int_equal(x.result.sent_real_ms, 0);
    exchange_release(&x);
    (void)close(fd);
}

/* A label of more than 63 bytes is no name, so no server is ever asked. */
static void test_http_start__name_without_address_is_resolve(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    char url[128];

    (void)snprintf(url, sizeof(url), "http://%070d.invalid/", 0);
    exchange_get(&x, w->http, url);
    assert_int_equal(x.result.failure, HTTP_RESOLVE);
    exchange_release(&x);
}

/* --- reading the answer ----------------------------------------------------*/

static void see_headers(struct exchange *x)
{
    static const char *const names[] = {"x-one", "X-TWO", "x-three"};
    char *seen = x->arg;

    seen[0] = '\0';
    for (size_t i = 0; i < 3; i++) {
        struct span value = {"-", 1};

        (void)http_response_header(x->transfer, names[i], &value);
        (void)snprintf(seen + strlen(seen), 64 - strlen(seen), "%.*s ",
                       SPAN_ARG(value));
    }
}

static void test_http_response_header__gives_the_last_value(void **state)
{
    struct world *w = *state;
    char in_body[64] = "";
    char in_done[64] = "";
    struct exchange x = {.in_body = see_headers, .arg = in_body};
    struct exchange y = {.in_done = see_headers, .arg = in_done};

    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_string_equal(in_body, "1 - - ");
    exchange_get(&y, w->http, url_of(w, "/twice"));
    assert_string_equal(in_done, "- b - ");
    /* Nothing of an answer shows in the next one. */
    exchange_get(&y, w->http, url_of(w, "/empty"));
    assert_string_equal(in_done, "- - - ");
    exchange_release(&x);
    exchange_release(&y);
}

static void test_http_start__body_that_is_refused_ends_stopped(void **state)
{
    struct world *w = *state;
    struct exchange x = {.refuses_body = true};

    exchange_get(&x, w->http, url_of(w, "/chunked"));
    assert_int_equal(x.result.failure, HTTP_STOPPED);
    assert_int_equal(x.npieces, 1);
    x.refuses_body = false;
    exchange_get(&x, w->http, url_of(w, "/chunked"));
    assert_int_equal(x.result.failure, HTTP_OK);
    get_gzip(w, &x, "/gzip");
    assert_int_equal(x.result.failure, HTTP_OK);
    x.refuses_body = true;
    get_gzip(w, &x, "/gzip");
    assert_int_equal(x.result.failure, HTTP_STOPPED);
    exchange_release(&x);
}

/* --- connections -----------------------------------------------------------*/

static void test_http_start__connections_are_kept(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    for (int i = 0; i < 5; i++)
        exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(http_get_stats(w->http).requests, 5);
    assert_int_equal(http_get_stats(w->http).connections, 1);
    assert_int_equal(http_get_stats(w->http).reused, 4);
    assert_int_equal(http_get_stats(w->http).handshakes, 0);
    assert_int_equal(local_server_connections(w->server), 1);
    exchange_release(&x);
}

/* The library repeats what a dead kept connection swallowed. */
static void test_http_start__dead_connection_is_replaced(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    for (int i = 0; i < 5; i++) {
        exchange_get(&x, w->http, url_of(w, "/then-closed"));
        assert_int_equal(x.result.failure, HTTP_OK);
        assert_string_equal(x.body.data, "ok");
    }
    assert_int_equal(local_server_connections(w->server), 5);
    assert_int_equal(http_get_stats(w->http).connections, 5);
    exchange_release(&x);
}

/* Names that the library finds in its memory are not looked up again, whichever
 * lane asks. */
static void test_http_get_stats__counts_lookups(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    char url[64];

    (void)snprintf(url, sizeof(url), "http://a.localhost:%u/then-closed",
                   local_server_port(w->server));
    for (unsigned i = 0; i < 3; i++) {
        const struct http_request request = {
            .method = "GET", .url = url, .apart = i / 2};

        assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
        exchange_finish(&x);
        assert_int_equal(x.result.failure, HTTP_OK);
    }
    assert_int_equal(http_get_stats(w->http).connections, 3);
    assert_int_equal(http_get_stats(w->http).lookups, 1);
    exchange_release(&x);
}

/* More hosts than there are lanes, so that two of them share one. */
#define HOSTS 10

static void get_from_all_hosts(struct world *w)
{
    struct exchange x = {0};
    char url[64];

    for (int i = 0; i < HOSTS; i++) {
        (void)snprintf(url, sizeof(url), "http://%c.localhost:%u/plain",
                       'a' + i, local_server_port(w->server));
        exchange_get(&x, w->http, url);
        assert_int_equal(x.result.failure, HTTP_OK);
    }
    exchange_release(&x);
}

static void test_http_new__keeps_as_many_connections_as_told(void **state)
{
    struct world *w = *state;

    renew_http(w, &(struct http_options){.max_connections = 10 * HOSTS});
    get_from_all_hosts(w);
    get_from_all_hosts(w);
    assert_int_equal(http_get_stats(w->http).connections, HOSTS);
    renew_http(w, &(struct http_options){.max_connections = 1});
    get_from_all_hosts(w);
    get_from_all_hosts(w);
    assert_true(http_get_stats(w->http).connections > HOSTS);
}

/* Sockets of this process with a limit of 3 s for unacknowledged data. */
static unsigned limited_sockets(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++) {
        unsigned limit = 0;
        socklen_t len = sizeof(limit);

        if (getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, &len) == 0)
            n += limit == 3000;
    }
    return n;
}

static void test_http_start__only_far_peers_have_an_ack_limit(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};
    struct http_request request = {
        .method = "GET", .url = url_of(w, "/plain"), .route = HTTP_VIA_PROXY};

    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(limited_sockets(), 0);
    renew_http(w, &(struct http_options){.max_connections = 4});
    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    exchange_finish(&x);
    assert_int_equal(limited_sockets(), 1);
    exchange_release(&x);
}

/* --- proxies ---------------------------------------------------------------*/

static void via_proxy(struct world *w, struct exchange *x, const char *url)
{
    struct http_request request = {
        .method = "GET", .url = url, .route = HTTP_VIA_PROXY};

    assert_int_equal(exchange_start(x, w->http, &request), ERR_OK);
    exchange_finish(x);
}

static void test_http_start__reads_no_proxy_variable(void **state)
{
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    struct world *w = *state;
    struct exchange x = {0};

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(setenv(names[i], "http://127.0.0.1:1", 1), 0);
    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_OK);
    via_proxy(w, &x, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(unsetenv(names[i]), 0);
    /* Nor the one that says what needs no proxy. */
    assert_int_equal(setenv("no_proxy", "*", 1), 0);
    renew_http(w, &(struct http_options){.proxy = w->proxy});
    via_proxy(w, &x, "http://ec2.eu-test-1.example/");
    assert_string_equal(x.body.data, "proxied");
    assert_int_equal(unsetenv("no_proxy"), 0);
    exchange_release(&x);
}

static void test_http_start__proxy_is_for_one_route_only(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    renew_http(w, &(struct http_options){.proxy = w->proxy});
    /* More than once: a handle that was kept is not for the other route. */
    for (int i = 0; i < 3; i++) {
        via_proxy(w, &x, "http://ec2.eu-test-1.example/");
        assert_int_equal(x.result.failure, HTTP_OK);
        assert_string_equal(x.body.data, "proxied");
    }
    assert_int_equal(count_handles(w->http), 1);
    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_string_equal(x.body.data, "hello");
    renew_http(w, &(struct http_options){.proxy = "http://127.0.0.1:1"});
    exchange_get(&x, w->http, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_OK);
    via_proxy(w, &x, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_CONNECT);
    exchange_release(&x);
}

static void test_http_start__no_proxy_hosts_are_reached_directly(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    renew_http(w, &(struct http_options){.proxy = "http://127.0.0.1:1",
                                         .no_proxy = "a.example,127.0.0.1"});
    via_proxy(w, &x, url_of(w, "/plain"));
    assert_int_equal(x.result.failure, HTTP_OK);
    assert_string_equal(x.body.data, "hello");
    exchange_release(&x);
}

/* The server has no answer for CONNECT and says 404. */
static void test_http_start__tunnel_that_is_refused_is_proxy(void **state)
{
    struct world *w = *state;
    struct exchange x = {0};

    renew_http(w, &(struct http_options){.proxy = w->proxy});
    via_proxy(w, &x, "https://ec2.eu-test-1.example/");
    assert_int_equal(x.result.failure, HTTP_PROXY);
    assert_int_equal(x.result.status, 404);
    assert_int_equal(x.result.sent_real_ms, 0);
    assert_int_equal(strncmp(local_server_request(w->server, 0),
                             "CONNECT ec2.eu-test-1.example:443 ", 34),
                     0);
    exchange_release(&x);
}

/* --- out of memory ---------------------------------------------------------*/

static void test_http__our_failed_allocations_are_reported(void **state)
{
    const struct http_header header = {"Authorization", SECRET};
    const struct http_options options = {.clock = &CLOCK_SYSTEM};
    struct http_request request = {.method = "GET",
                                   .url = "http://127.0.0.1:1/",
                                   .headers = &header,
                                   .nheaders = 1};
    enum err_code rc = ERR_OK;

    (void)state;
    for (size_t n = 0;; n++) {
        struct http *http = NULL;
        struct exchange x = {0};

        fail_alloc_at(n);
        rc = http_new(&options, &http, NULL);
        if (!rc)
            rc = exchange_start(&x, http, &request);
        if (!fail_alloc_stop())
            assert_int_equal(rc, ERR_OK);
        http_free(http);
        exchange_release(&x);
        if (!rc)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
}

/* The library's allocations: one of them fails, secrets in them are seen. */
static struct {
    size_t left; /* allocations until the one that fails */
    bool on;
    bool failed;
    char *copy;        /* the last copy of a text with SECRET in it */
    unsigned nsecrets; /* copies given back with it still in them */
} lib;

static bool lib_must_fail(void)
{
    if (!lib.on || lib.left-- > 0)
        return false;
    lib.on = false;
    lib.failed = true;
    return true;
}

static void *lib_malloc(size_t size)
{
    return lib_must_fail() ? NULL : malloc(size);
}

static void *lib_realloc(void *p, size_t size)
{
    return lib_must_fail() ? NULL : realloc(p, size);
}

static void *lib_calloc(size_t n, size_t size)
{
    return lib_must_fail() ? NULL : calloc(n, size);
}

static char *lib_strdup(const char *s)
{
    char *copy = lib_must_fail() ? NULL : strdup(s);

    if (copy && strstr(s, SECRET))
        lib.copy = copy;
    return copy;
}

static void lib_free(void *p)
{
    if (p && p == lib.copy) {
        lib.nsecrets += strstr(lib.copy, SECRET) != NULL;
        lib.copy = NULL;
    }
    free(p);
}

static void use_lib(struct world *w)
{
    http_free(w->http);
    w->http = NULL;
    memset(&lib, 0, sizeof(lib));
    assert_int_equal(curl_global_init_mem(CURL_GLOBAL_DEFAULT, lib_malloc,
                                          lib_free, lib_realloc, lib_strdup,
                                          lib_calloc),
                     CURLE_OK);
}

/* Cancelled before the library copies headers into what it sends. */
static void test_http_cancel__wipes_the_headers(void **state)
{
    const struct http_header header = {"X-Amz-Security-Token", SECRET};
    struct world *w = *state;
    struct exchange x = {0};
    struct http_request request = {.method = "GET",
                                   .url = url_of(w, "/plain"),
                                   .headers = &header,
                                   .nheaders = 1};
    struct curl_slist *list;

    use_lib(w);
    renew_http(w, &(struct http_options){0});
    assert_int_equal(exchange_start(&x, w->http, &request), ERR_OK);
    assert_non_null(lib.copy);
    http_cancel(x.transfer);
    assert_null(lib.copy);
    assert_int_equal(lib.nsecrets, 0);
    /* It would have been seen. */
    list = curl_slist_append(NULL, "Authorization: " SECRET);
    curl_slist_free_all(list);
    assert_int_equal(lib.nsecrets, 1);
    exchange_release(&x);
    http_free(w->http);
    w->http = NULL;
    curl_global_cleanup();
}

/* One POST; false when the n-th allocation was never asked for. */
static bool post_with_failure(struct world *w, size_t n)
{
    const struct http_header header = {"X-Name", "value"};
    const struct http_options options = {.clock = &CLOCK_SYSTEM};
    struct http_request request = {.method = "POST",
                                   .url = url_of(w, "/plain"),
                                   .headers = &header,
                                   .nheaders = 1,
                                   .body = "a=b",
                                   .body_len = 3};
    struct http *http = NULL;
    struct exchange x = {0};
    enum err_code rc;

    lib.left = n;
    lib.failed = false;
    lib.on = true;
    rc = http_new(&options, &http, NULL);
    if (!rc)
        rc = exchange_start(&x, http, &request);
    if (!rc)
        rc =
            http_run(http, clock_mono_ms(&CLOCK_SYSTEM) + 5000, &x.ended, NULL);
    lib.on = false;
    if (!lib.failed || (!rc && x.ended && x.result.failure == HTTP_OK))
        assert_string_equal(x.body.data, "hello");
    else if (rc != ERR_NOMEM && !(x.ended && x.result.failure != HTTP_OK))
        fail_msg("allocation %zu: rc %d, ended %d", n, (int)rc, x.ended);
    http_free(http);
    exchange_release(&x);
    return lib.failed;
}

static void test_http__the_librarys_failed_allocations_are_borne(void **state)
{
    static const struct local_server_options OPTIONS = {
        .answers = ANSWERS,
        .nanswers = sizeof(ANSWERS) / sizeof(ANSWERS[0]),
    };
    struct world *w = *state;
    bool more = true;

    use_lib(w);
    for (size_t n = 0; more; n++) {
        if (n % 16 == 15) {
            local_server_stop(w->server);
            w->server = local_server_start(&OPTIONS);
        }
        more = post_with_failure(w, n);
    }
    curl_global_cleanup();
}

static const struct CMUnitTest TESTS[] = {
    cmocka_unit_test_setup_teardown(
        test_http_start__get_brings_status_body_and_header, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__post_sends_what_is_named_and_no_more, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__post_without_body_has_length_zero, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__never_sends_expect, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__copies_all_but_the_body,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__refuses_what_is_no_request,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__follows_no_redirect_keeps_no_cookie, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__tells_when_it_went_out,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__tells_how_far_it_is,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__decodes_gzip_when_asked_to,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__gzip_that_is_none_is_broken, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__answer_cut_short_is_broken,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__refused_connection_is_connect, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__header_has_a_limit, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__forgets_the_transfer_before, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__name_without_address_is_resolve, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_response_header__gives_the_last_value, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__body_that_is_refused_ends_stopped, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__has_nothing_of_the_request_before, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__handles_are_kept_where_all_went_well, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_http_get_stats__counts_lookups, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__connections_are_kept,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__dead_connection_is_replaced, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_new__keeps_as_many_connections_as_told, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__only_far_peers_have_an_ack_limit, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_start__reads_no_proxy_variable,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__proxy_is_for_one_route_only, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__no_proxy_hosts_are_reached_directly, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_http_start__tunnel_that_is_refused_is_proxy, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_http__our_failed_allocations_are_reported, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_http_cancel__wipes_the_headers, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(
        test_http__the_librarys_failed_allocations_are_borne, set_up,
        tear_down),
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
