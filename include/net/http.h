/*
 * http.h - every transfer of the program, over curl multi and one poll.
 *
 * Requests are in net/http_transfer.h, due times in net/http_timer.h.
 * Callbacks run inside http_run() and may start, cancel and set timers, but
 * never call http_run() or http_free(). Redirects are never followed: a signed
 * request goes to no other host. No proxy variable, .netrc or cookie is ever
 * read; a certificate is always checked.
 *
 * Time-outs are judged only after everything that waited in the sockets has
 * been read, so that neither a freeze of the process nor a slow CPU makes a
 * healthy peer look dead. While four transfers or more run and none is
 * connecting, what comes is gathered for a millisecond, or longer where nothing
 * is urgent, and read in one turn.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http_timer.h"
#include "net/http_transfer.h"

/*
 * All borrowed for the life of the struct http. A proxy that is reached over
 * TLS is held to the same roots as every other peer.
 */
struct http_options {
    const struct clock *clock;
    const char *ca_bundle;  /* PEM file that replaces the built-in roots */
    const char *proxy;      /* for routes HTTP_VIA_PROXY; NULL: none */
    const char *no_proxy;   /* hosts reached without it; NULL: none */
    const char *user_agent; /* NULL: none */
    /* Kept open between requests, about so many: they are shared out over eight
     * lanes, in which hosts come together, at least one to each. 0: the
     * library's choice. */
    long max_connections;
};

/*
 * ERR_NOMEM, ERR_CONFIG (ca_bundle unreadable or without a certificate),
 * ERR_CRYPTO (the built-in roots cannot be read), ERR_NET (no libcurl). The
 * process should ignore SIGPIPE.
 */
NODISCARD enum err_code http_new(const struct http_options *options,
                                 struct http **out, struct err *err);

/* Cancels what is in flight, closes all connections. NULL is accepted. */
void http_free(struct http *http);

/*
 * Runs transfers and timers until *stop is true or the clock reaches
 * until_ms (CLOCK_NEVER: no limit). For the main line only. What waits in the
 * sockets is read at least once, and at the end once more if time is over.
 * ERR_NET when the library's loop itself fails, ERR_NOMEM.
 */
NODISCARD enum err_code http_run(struct http *http, int64_t until_ms,
                                 const bool *stop, struct err *err);

/*
 * Nothing that comes before until_ms, by the same clock, is urgent: till then
 * what comes is gathered for half of what is left, up to 25 ms. 0: it is urgent
 * from now on.
 */
void http_be_patient(struct http *http, int64_t until_ms);

/*
 * True while no transfer is on its way to a connection: each that was started
 * has one, if perhaps a kept one that is dead, or has ended. To stop http_run()
 * by.
 */
const bool *http_all_connected(const struct http *http);

/*
 * Milliseconds spent waiting in the poll so far: the clock for "no answer",
 * which stands still while this process is busy with what did come.
 */
int64_t http_waited_ms(const struct http *http);

/* Counters since http_new(). */
struct http_stats {
    uint64_t requests;    /* transfers started */
    uint64_t connections; /* opened for them, handshakes done */
    uint64_t reused;      /* requests sent on a connection that was kept */
    uint64_t handshakes;  /* TLS, begun */
    uint64_t lookups;     /* of host names; not those answered from memory */
    uint64_t roots;       /* certificates read into the trust store */
};
struct http_stats http_get_stats(const struct http *http);

/*
 * The time an HTTP date names (RFC 9110 §5.6.7), ms since 1970. False, and
 * *out as it was, when text is none.
 */
NODISCARD bool http_date_ms(struct span text, int64_t *out);

#endif
