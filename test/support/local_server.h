/*
 * local_server.h - a server on a loopback port that answers with given bytes.
 *
 * It runs in a thread of the test and speaks as much HTTP as it takes to see
 * where a request ends. Answers are bytes, so that they can be as broken as a
 * test wants. With a certificate it speaks TLS.
 */
#ifndef SUPPORT_LOCAL_SERVER_H
#define SUPPORT_LOCAL_SERVER_H

#include <stddef.h>

#include "support/certificate.h"

struct local_server;

#define LOCAL_LATE_MS 3

enum local_end {
    LOCAL_KEEP,  /* the connection stays open for the next request */
    LOCAL_LATE,  /* the same, but it comes after LOCAL_LATE_MS */
    LOCAL_CLOSE, /* closed in order */
    LOCAL_RESET, /* closed with a TCP reset */
    LOCAL_HANG,  /* nothing more is sent or read */
};

/* One answer, for every request whose target is path. */
struct local_answer {
    const char *path;
    const char *bytes; /* status line and all */
    size_t len;        /* 0: bytes is a string */
    enum local_end end;
};

/* All borrowed until the server stops. A path that is missing gets a 404. */
struct local_server_options {
    const struct local_answer *answers;
    size_t nanswers;
    /*
     * NULL: no TLS. The first handshake uses certificates[0], the second the
     * next and so on; the last serves all that follow.
     */
    const struct certificate *certificates;
    size_t ncertificates;
};

/* Listens when it returns. Fails the test when it cannot. */
struct local_server *
local_server_start(const struct local_server_options *options);

/* Closes all connections and frees everything. NULL is accepted. */
void local_server_stop(struct local_server *server);

unsigned local_server_port(const struct local_server *server);

/* Connections accepted, requests read and answers sent so far. */
size_t local_server_connections(struct local_server *server);
size_t local_server_requests(struct local_server *server);
size_t local_server_answers(struct local_server *server);

/* Head and body of the i-th request, terminated; good until the stop. */
const char *local_server_request(struct local_server *server, size_t i);

#endif
