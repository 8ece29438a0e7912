#include "support/local_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/span.h"

#define CONNECTIONS_MAX 32
#define REQUESTS_MAX 64
#define REQUEST_LEN_MAX ((size_t)2 * 1024 * 1024)

struct connection {
    struct local_server *server;
    pthread_t thread;
    int fd;
    SSL *ssl; /* NULL: plain */
};

/* Shared with the threads: under lock, but for what never changes. */
struct local_server {
    struct local_server_options options;
    int fd;
    int stop[2]; /* pipe: closing its write end ends everything */
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct connection connections[CONNECTIONS_MAX];
    size_t nconnections;
    char *requests[REQUESTS_MAX];
    size_t nrequests;
    size_t nanswers;
};

/* Waits until fd can be read; false when the server is to stop. */
static bool readable(struct local_server *server, int fd)
{
    struct pollfd fds[] = {
        {.fd = fd, .events = POLLIN},
        {.fd = server->stop[0], .events = POLLIN},
    };

    return poll(fds, 2, -1) > 0 && fds[1].revents == 0;
}

static size_t receive(struct connection *c, char *to, size_t len)
{
    ssize_t got;

    if (!(c->ssl && SSL_pending(c->ssl)) && !readable(c->server, c->fd))
        return 0;
    got = c->ssl ? SSL_read(c->ssl, to, (int)len) : recv(c->fd, to, len, 0);
    return got > 0 ? (size_t)got : 0;
}

static bool send_all(struct connection *c, const char *p, size_t len)
{
    while (len) {
        ssize_t sent = c->ssl ? SSL_write(c->ssl, p, (int)len)
                              : send(c->fd, p, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        p += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* The first byte of a TLS handshake record (RFC 8446 §5.1). */
#define TLS_HANDSHAKE '\x16'

/*
 * Length of the whole request that text begins with; 0: not all there. A
 * peer that speaks TLS without being asked to gets its answer at once.
 */
static size_t request_len(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "\r\nContent-Length: ");
    size_t head;
    int64_t body = 0;

    if (text[0] == TLS_HANDSHAKE)
        return strlen(text);
    if (!end)
        return 0;
    head = (size_t)(end - text) + 4;
    if (length && length < end) {
        length += strlen("\r\nContent-Length: ");
        if (!span_int64((struct span){length, strcspn(length, "\r")}, &body))
            return head;
    }
    return strlen(text + head) >= (size_t)body ? head + (size_t)body : 0;
}

/*
 * Reads one request into the list; NULL when the peer or we have ended. Not
 * malloc(): fail_alloc.h is to hit the code under test, not this thread.
 */
static const char *read_request(struct connection *c)
{
    struct local_server *server = c->server;
    char *text = reallocarray(NULL, 1, REQUEST_LEN_MAX + 1);
    size_t len = 0;
    bool whole = false;

    while (text && !whole && len < REQUEST_LEN_MAX) {
        size_t got = receive(c, text + len, REQUEST_LEN_MAX - len);

        if (got == 0)
            break;
        len += got;
        text[len] = '\0';
        whole = request_len(text) > 0;
    }
    (void)pthread_mutex_lock(&server->lock);
    if (whole && server->nrequests < REQUESTS_MAX)
        server->requests[server->nrequests++] = text;
    else
        whole = false;
    (void)pthread_mutex_unlock(&server->lock);
    if (whole)
        return text;
    free(text);
    return NULL;
}

static const struct local_answer *find_answer(const struct local_server *server,
                                              const char *request)
{
    static const struct local_answer NONE = {
        .bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    };
    const char *target = strchr(request, ' ');
    struct span asked = {"", 0};

    if (target)
        asked = (struct span){target + 1, strcspn(target + 1, " \r")};
    for (size_t i = 0; i < server->options.nanswers; i++)
        if (span_eq_str(asked, server->options.answers[i].path))
            return &server->options.answers[i];
    return &NONE;
}

/* Answers one request; false when the connection is to be closed. */
static bool serve(struct connection *c)
{
    const char *request = read_request(c);
    const struct local_answer *answer;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (!request)
        return false;
    answer = find_answer(c->server, request);
    if (answer->end == LOCAL_LATE)
        (void)poll(NULL, 0, LOCAL_LATE_MS);
    if (!send_all(c, answer->bytes,
                  answer->len ? answer->len : strlen(answer->bytes)))
        return false;
    (void)pthread_mutex_lock(&c->server->lock);
    c->server->nanswers++;
    (void)pthread_mutex_unlock(&c->server->lock);
    switch (answer->end) {
    case LOCAL_KEEP:
    case LOCAL_LATE:
        return true;
    case LOCAL_CLOSE:
        return false;
    case LOCAL_RESET:
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        return false; /* close() sends the reset */
    case LOCAL_HANG:
        (void)readable(c->server, c->server->stop[0]);
        return false;
    }
    return false;
}

static SSL *shake_hands(struct connection *c, size_t number)
{
    const struct local_server_options *o = &c->server->options;
    size_t which = number < o->ncertificates ? number : o->ncertificates - 1;
    const struct certificate *certificate = &o->certificates[which];
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = NULL;

    if (ctx && SSL_CTX_use_certificate(ctx, certificate->x509) == 1 &&
        SSL_CTX_use_PrivateKey(ctx, certificate->key) == 1)
        ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (ssl && SSL_set_fd(ssl, c->fd) == 1 && SSL_accept(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

static void *run_connection(void *arg)
{
    struct connection *c = arg;
    size_t number = (size_t)(c - c->server->connections);
    bool tls = c->server->options.ncertificates > 0;

    if (tls)
        c->ssl = shake_hands(c, number);
    if (c->ssl || !tls)
        while (serve(c))
            continue;
    if (c->ssl)
        (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    (void)close(c->fd);
    return NULL;
}

static void count_connection(struct local_server *server, bool up)
{
    (void)pthread_mutex_lock(&server->lock);
    if (up)
        server->nconnections++;
    else
        server->nconnections--;
    (void)pthread_mutex_unlock(&server->lock);
}

/* Counted before it is served, so that a peer with an answer finds it so. */
static void add_connection(struct local_server *server, int fd)
{
    struct connection *c = &server->connections[server->nconnections];

    *c = (struct connection){.server = server, .fd = fd};
    count_connection(server, true);
    if (pthread_create(&c->thread, NULL, run_connection, c) != 0) {
        count_connection(server, false);
        (void)close(fd);
    }
}

static void *run_server(void *arg)
{
    struct local_server *server = arg;

    while (server->nconnections < CONNECTIONS_MAX &&
           readable(server, server->fd)) {
        int fd = accept(server->fd, NULL, NULL);

        if (fd >= 0)
            add_connection(server, fd);
    }
    return NULL;
}

struct local_server *
local_server_start(const struct local_server_options *options)
{
    struct local_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof(address);

    assert_non_null(server);
    server->options = *options;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->fd, CONNECTIONS_MAX), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &len),
                     0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, run_server, server),
                     0);
    return server;
}

void local_server_stop(struct local_server *server)
{
    if (!server)
        return;
    (void)close(server->stop[1]);
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->nconnections; i++)
        (void)pthread_join(server->connections[i].thread, NULL);
    (void)close(server->stop[0]);
    (void)close(server->fd);
    for (size_t i = 0; i < server->nrequests; i++)
        free(server->requests[i]);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

unsigned local_server_port(const struct local_server *server)
{
    return server->port;
}

static size_t locked(struct local_server *server, const size_t *count)
{
    size_t n;

    (void)pthread_mutex_lock(&server->lock);
    n = *count;
    (void)pthread_mutex_unlock(&server->lock);
    return n;
}

size_t local_server_connections(struct local_server *server)
{
    return locked(server, &server->nconnections);
}

size_t local_server_requests(struct local_server *server)
{
    return locked(server, &server->nrequests);
}

size_t local_server_answers(struct local_server *server)
{
    return locked(server, &server->nanswers);
}

const char *local_server_request(struct local_server *server, size_t i)
{
    assert_true(i < local_server_requests(server));
    return server->requests[i];
}
