#include "lambda/counters.h"

#include "base/log.h"

struct counters counters_read(const struct aws_client *client)
{
    return (struct counters){
        .http = http_get_stats(aws_client_options(client)->http),
        .nkeys = aws_client_nkeys(client),
    };
}

static int64_t added(uint64_t now, uint64_t then)
{
    return (int64_t)(now - then);
}

void counters_log(const char *msg, const struct aws_client *client,
                  const struct counters *since)
{
    struct counters now = counters_read(client);
    const struct http_stats *a = &now.http;
    const struct http_stats *b = &since->http;

    log_write(LOG_INFO, msg,
              LOG_FIELDS(
                  LOG_INT("requests", added(a->requests, b->requests)),
                  LOG_INT("connections", added(a->connections, b->connections)),
                  LOG_INT("reused", added(a->reused, b->reused)),
                  LOG_INT("handshakes", added(a->handshakes, b->handshakes)),
                  LOG_INT("lookups", added(a->lookups, b->lookups)),
                  LOG_INT("keys", added(now.nkeys, since->nkeys)),
                  LOG_INT("roots", added(a->roots, b->roots))));
}
