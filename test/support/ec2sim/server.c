/*
 * server.c - the simulator on a port, by libmicrohttpd.
 *
 * Bodies are sent from shared memory; nothing here knows what they say.
 */
#include "server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tls.h"

#define MAX_BODY ((size_t)4 * 1024 * 1024)
#define MAX_CONNECTIONS 8192u
#define BACKLOG 1024u
#define CONNECTION_MEMORY ((size_t)64 * 1024)

struct server {
    struct service *service;
    const struct server_options *options;
    struct MHD_Daemon *daemon;
};

/* A connection, told apart by whether it has asked for anything yet. */
struct peer {
    bool seen;
};

/* One request while it comes in. */
struct exchange {
    char *uri; /* raw, query included */
    struct text body;
    bool begun;
    bool too_big;
};

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
    struct exchange *exchange = must_calloc(1, sizeof(*exchange));

    (void)cls;
    (void)c;
    exchange->uri = must_copy(uri, strlen(uri));
    return exchange;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **req_cls,
                         enum MHD_RequestTerminationCode how)
{
    struct exchange *exchange = *req_cls;

    (void)cls;
    (void)c;
    (void)how;
    if (!exchange)
        return;
    free(exchange->uri);
    text_release(&exchange->body);
    free(exchange);
    *req_cls = NULL;
}

/* Or the second record of a TLS handshake waits for the first one's ACK, a
 * round trip that EC2 does not cost. */
static void send_at_once(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    int on = 1;

    if (info)
        (void)setsockopt(info->connect_fd, IPPROTO_TCP, TCP_NODELAY, &on,
                         sizeof(on));
}

static void on_connection(void *cls, struct MHD_Connection *c,
                          void **socket_cls,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *server = cls;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        send_at_once(c);
        stats_connection(server->service->stats);
        *socket_cls = must_calloc(1, sizeof(struct peer));
    } else {
        free(*socket_cls);
        *socket_cls = NULL;
    }
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind,
                                 const char *name, const char *value)
{
    struct request *req = cls;

    (void)kind;
    if (req->nheaders == REQUEST_MAX_HEADERS)
        return MHD_NO;
    req->headers[req->nheaders++] =
        (struct header){.name = name, .value = value ? value : ""};
    return MHD_YES;
}

static void add_header(struct MHD_Response *response, const char *name,
                       const char *value)
{
    if (value && MHD_add_response_header(response, name, value) != MHD_YES)
        fprintf(stderr, "ec2sim: cannot add header %s\n", name);
}

static void add_date(struct MHD_Response *response, long skew)
{
    time_t now = time(NULL) + skew;
    char text[64];
    struct tm tm;

    if (gmtime_r(&now, &tm) &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
        add_header(response, "Date", text);
}

static void add_headers(const struct server *server,
                        struct MHD_Response *response,
                        const struct reply *reply)
{
    char number[32];

    add_header(response, "Content-Type", reply->type);
    add_header(response, "Server", "AmazonEC2");
    add_header(response, "Cache-Control", "no-cache, no-store");
    add_header(response, "Vary", "accept-encoding");
    add_header(response, "Location", reply->location);
    add_header(response, "x-ec2sim-reason", reply->reason);
    if (reply->gzip)
        add_header(response, "Content-Encoding", "gzip");
    if (!reply->no_date)
        add_date(response, reply->clock_skew);
    if (reply->retry_after_ms) {
        snprintf(number, sizeof(number), "%ld", reply->retry_after_ms);
        add_header(response, "x-amz-retry-after", number);
    }
    if (server->options->close_each)
        add_header(response, "Connection", "close");
}

/* Takes the reply's body over. */
static enum MHD_Result send_reply(const struct server *server,
                                  struct MHD_Connection *c, struct reply *reply)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(
            reply->body->len, reply->body->p, blob_unref, reply->body);
    enum MHD_Result result;

    if (!response) {
        blob_unref(reply->body);
        return MHD_NO;
    }
    add_headers(server, response, reply);
    result = MHD_queue_response(c, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static void note_region(struct server *server, struct MHD_Connection *c,
                        const struct region *region)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *peer = info ? info->socket_context : NULL;

    if (!region || !peer || peer->seen)
        return;
    peer->seen = true;
    stats_connection_of(server->service->stats, region);
}

static enum MHD_Result answer(struct server *server, struct MHD_Connection *c,
                              const struct exchange *exchange,
                              const char *method)
{
    size_t path_len = strcspn(exchange->uri, "?");
    struct request req = {
        .method = method,
        .path = exchange->uri,
        .path_len = path_len,
        .query = exchange->uri + path_len + (exchange->uri[path_len] == '?'),
        .body = exchange->body.p ? exchange->body.p : "",
        .body_len = exchange->body.len,
    };
    struct reply reply;

    MHD_get_connection_values(c, MHD_HEADER_KIND, on_header, &req);
    service_answer(server->service, &req, time(NULL), &reply);
    note_region(server, c, reply.region);
    return send_reply(server, c, &reply);
}

/* NOLINTNEXTLINE(readability-function-size): MHD's parameters */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *len, void **req_cls)
{
    struct exchange *exchange = *req_cls;

    (void)url;
    (void)version;
    if (!exchange->begun) {
        exchange->begun = true;
        return MHD_YES;
    }
    if (*len > 0) {
        exchange->too_big |= exchange->body.len + *len > MAX_BODY;
        if (!exchange->too_big)
            text_add(&exchange->body, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (exchange->too_big)
        return MHD_NO;
    return answer(cls, c, exchange, method);
}

static struct MHD_Daemon *start_daemon(struct server *server,
                                       struct sockaddr_in *address)
{
    const struct server_options *options = server->options;
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUPPRESS_DATE_NO_CLOCK;

    if (!options->plain)
        flags |= MHD_USE_TLS;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)address, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, BACKLOG, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)options->threads,
        options->plain ? MHD_OPTION_END : MHD_OPTION_HTTPS_CERT_CALLBACK,
        tls_choose, MHD_OPTION_END);
}

struct server *server_start(struct service *service,
                            const struct server_options *options)
{
    struct server *server = must_calloc(1, sizeof(*server));
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)options->port),
    };

    server->service = service;
    server->options = options;
    if (inet_pton(AF_INET, options->listen, &address.sin_addr) == 1)
        server->daemon = start_daemon(server, &address);
    if (!server->daemon) {
        fprintf(stderr, "ec2sim: cannot listen on %s port %ld\n",
                options->listen, options->port);
        free(server);
        return NULL;
    }
    return server;
}

int server_port(const struct server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);

    return info ? info->port : 0;
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}
