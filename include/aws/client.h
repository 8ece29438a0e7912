/*
 * client.h - what sending to EC2 needs and outlives a request: credentials, and
 * per region endpoint, signing key, clock skew, retry quota and distance.
 *
 * Credentials come from the environment at each load, else from the container
 * endpoint. Secrets and keys are wiped and never logged.
 */
#ifndef AWS_CLIENT_H
#define AWS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "aws/client_region.h"
#include "aws/credentials.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http.h"

/* Connection set-up (DNS, TCP, TLS) to EC2: the SDKs' "standard" value. */
#define AWS_CONNECT_TIMEOUT_MS 3100
/* A difference of clocks that explains a refusal (SDKs' rule of 2026). */
#define AWS_CLOCK_SKEW_MS ((int64_t)4 * 60 * 1000)

/* All borrowed for the life of the client. */
struct aws_client_options {
    struct http *http;
    const struct clock *clock;
    credentials_lookup_fn lookup;
    struct region_endpoint_options endpoint;
    unsigned max_attempts;  /* of one request, first call included */
    int64_t no_progress_ms; /* without a byte; a refusal's do not count */
};

struct aws_client;

/* ERR_NOMEM. */
NODISCARD enum err_code aws_client_new(const struct aws_client_options *options,
                                       struct aws_client **out,
                                       struct err *err);
void aws_client_free(struct aws_client *client);

const struct aws_client_options *aws_client_options(const struct aws_client *c);

/*
 * Gets credentials for the next requests: from the environment, or, when it
 * has none, from the container endpoint if those at hand expire within ten
 * minutes; where it gives none, those at hand are used until they expire. Runs
 * http until deadline_ms at most, so it is for the main line only. ERR_AUTH
 * with a text that says what was looked for, ERR_LIMIT (a value or an answer
 * longer than credentials.h allows), ERR_NOMEM, as http_start() and http_run().
 */
NODISCARD enum err_code aws_client_load_credentials(struct aws_client *client,
                                                    int64_t deadline_ms,
                                                    struct err *err);

/* The region called name, made at first. Errors as region_endpoint(). */
NODISCARD enum err_code aws_client_region(struct aws_client *client,
                                          struct span name,
                                          struct aws_region **out,
                                          struct err *err);

#define AWS_SIGNED_HEADERS 4
/* The headers of one signed POST. */
struct aws_signed {
    struct http_header headers[AWS_SIGNED_HEADERS]; /* point into the rest */
    size_t nheaders;
    char stamp[CLOCK_BASIC_LEN + 1];
    int64_t skew_ms; /* correction that is in the stamp */
    struct buf authorization;
};

/*
 * Signs a POST of body to the region at the present time, corrected by the
 * region's skew. The caller releases *out after the request has started, and
 * before credentials are loaded again. ERR_AUTH (none loaded), and as
 * sigv4_sign().
 */
NODISCARD enum err_code
aws_client_sign(struct aws_client *client, struct aws_region *region,
                struct span body, struct aws_signed *out, struct err *err);
void aws_signed_release(struct aws_signed *s);

/*
 * Learns the region's clock from an answer's Date header (ignored beside an
 * Age header, and when the answer took over 15 minutes). True when the clock
 * that the request was signed with, as corrected by used_skew_ms, was off by
 * more than AWS_CLOCK_SKEW_MS: then a refusal is worth a new attempt.
 */
bool aws_client_observe_clock(struct aws_client *client,
                              struct aws_region *region,
                              const struct http_transfer *transfer,
                              int64_t sent_real_ms, int64_t used_skew_ms);

/* Notes that EC2 accepted or refused the present credentials in a region; are
 * they good: accepted somewhere, and nowhere refused after that? */
void aws_client_accepted(struct aws_client *client, struct aws_region *region);
void aws_client_refused(struct aws_client *client,
                        const struct aws_region *region);
bool aws_client_is_proven(const struct aws_client *client);

/* Signing keys derived since the client was made. */
unsigned aws_client_nkeys(const struct aws_client *client);

#endif
