/*
 * counters.h - what a stretch of work cost: connections, handshakes, lookups.
 *
 * DEBUG=1 logs them for INIT and for each event. In a warm event all but
 * requests and reused are 0: whatever costs time is kept from before.
 */
#ifndef LAMBDA_COUNTERS_H
#define LAMBDA_COUNTERS_H

#include "aws/client.h"
#include "net/http.h"

struct counters {
    struct http_stats http;
    unsigned nkeys; /* signing keys derived */
};

/* All since the client and its struct http were made. */
struct counters counters_read(const struct aws_client *client);

/* Logs, at INFO, what was added since then. */
void counters_log(const char *msg, const struct aws_client *client,
                  const struct counters *since);

#endif
