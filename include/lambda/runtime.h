/*
 * runtime.h - client of the Lambda Runtime API, version 2018-06-01.
 *
 * Plain HTTP on the loopback, never through a proxy, kept alive; no time-out
 * on the next event, since the sandbox may be frozen for hours in between.
 * Source: Lambda developer guide, "Using the Lambda runtime API", and the
 * Runtime Interface Emulator where the guide is silent. Events and answers
 * are never logged here.
 */
#ifndef LAMBDA_RUNTIME_H
#define LAMBDA_RUNTIME_H

#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http.h"

/* Longest header value taken from the Runtime API, bytes. */
#define RUNTIME_HEADER_MAX ((size_t)16 * 1024)
/* A deadline is brought into these bounds; without a readable one it is the
 * later of them, for then nobody is known to wait for less. */
#define RUNTIME_DEADLINE_MIN_MS 1000
#define RUNTIME_DEADLINE_MAX_MS 900000
/* GET …/next: tries when the connection fails, before giving up, and the
 * time before the second; it doubles. */
#define RUNTIME_NEXT_TRIES 3
#define RUNTIME_NEXT_DELAY_MS 100

struct runtime;

/* One invocation; reused from event to event. A value that did not come, or
 * is longer than RUNTIME_HEADER_MAX, is empty. */
struct invocation {
    struct buf request_id;    /* only [A-Za-z0-9-] */
    struct buf invocation_id; /* echoed when it came; printable ASCII */
    struct buf trace_id;
    struct buf function_arn;
    struct buf client_context;
    struct buf event;
    int64_t deadline_ms; /* mono, clamped */
};
void invocation_init(struct invocation *inv);
void invocation_release(struct invocation *inv);

/* api is the value of AWS_LAMBDA_RUNTIME_API, "host:port"; http and clock are
 * borrowed. ERR_NOMEM, ERR_CONFIG. */
NODISCARD enum err_code runtime_new(struct http *http,
                                    const struct clock *clock, const char *api,
                                    struct runtime **out, struct err *err);
void runtime_free(struct runtime *rt);

/*
 * Waits for the next event and fills *inv; sets the process's variable
 * _X_AMZN_TRACE_ID, or removes it. ERR_NET: the Runtime API cannot be
 * reached, says that this sandbox is finished, or is none: leave the loop. A
 * connection that fails, and memory that is full before the id is known, are
 * reasons to ask again, RUNTIME_NEXT_TRIES times in all.
 * ERR_LIMIT: the event is larger than EVENT_SIZE_MAX, or what stands before it
 * than HTTP_HEADER_MAX; ERR_NOMEM: no room for it. After these two *inv has the
 * id, if it is not empty, to be failed.
 */
NODISCARD enum err_code runtime_next(struct runtime *rt, struct invocation *inv,
                                     struct err *err);

/*
 * Sends the answer. A refusal that concerns this invocation alone (400, 403,
 * 410, 413) is logged and ERR_OK: go on to the next event, send nothing else
 * for this one. ERR_NET as runtime_next(), ERR_NOMEM.
 */
NODISCARD enum err_code runtime_respond(struct runtime *rt,
                                        const struct invocation *inv,
                                        struct span body, struct err *err);

/*
 * Reports that there is no answer; type is "Function.InvalidEvent" or alike
 * (the service knows only Runtime.… and Function.…). Bytes of message that
 * are not UTF-8 are replaced. As runtime_respond().
 */
NODISCARD enum err_code runtime_fail(struct runtime *rt,
                                     const struct invocation *inv,
                                     const char *type, const char *message,
                                     struct err *err);

/* Reports that initialisation failed; the process must end after it. */
NODISCARD enum err_code runtime_init_fail(struct runtime *rt, const char *type,
                                          const char *message, struct err *err);

#endif
