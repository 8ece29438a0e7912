#include "aws/retry.h"

#define BASE_TRANSIENT_MS 50
#define BASE_THROTTLE_MS 1000

/* Which 5xx may pass by itself; 501 and 505, say, will not. */
static bool is_passing_status(long status)
{
    return status < 500 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

enum retry_class retry_classify(const struct failure *failure)
{
    switch (failure->kind) {
    case FAILURE_THROTTLED:
        return RETRY_THROTTLE;
    case FAILURE_BUSY:
        return is_passing_status(failure->status) ? RETRY_TRANSIENT
                                                  : RETRY_NEVER;
    case FAILURE_PROXY:
        /* One that answered has made up its mind. */
        return failure->status ? RETRY_NEVER : RETRY_TRANSIENT;
    case FAILURE_RESOLVE:
    case FAILURE_CONNECT:
    case FAILURE_CONNECT_TIMEOUT:
    case FAILURE_TLS:
    case FAILURE_BROKEN:
    case FAILURE_MALFORMED:
        return RETRY_TRANSIENT;
    case FAILURE_NONE:
    case FAILURE_DENIED:
    case FAILURE_AUTH:
    case FAILURE_NOT_ENABLED:
    case FAILURE_EXPIRED:
    case FAILURE_CLOCK:
    case FAILURE_TOKEN:
    case FAILURE_REJECTED:
    case FAILURE_REDIRECT:
    case FAILURE_CERTIFICATE:
    case FAILURE_REPEATED:
    case FAILURE_LIMIT:
    case FAILURE_SILENT:
    case FAILURE_DEADLINE:
    case FAILURE_NOMEM:
    case FAILURE_INTERNAL:
        return RETRY_NEVER;
    }
    return RETRY_NEVER;
}

void retry_quota_init(struct retry_quota *quota)
{
    quota->tokens = RETRY_QUOTA_MAX;
}

/* base x 2^(attempt - 1), capped before chance shortens it. */
static int64_t delay_bound(int64_t base_ms, unsigned attempt)
{
    int64_t bound = base_ms;

    for (unsigned i = 1; i < attempt && bound < RETRY_DELAY_MAX_MS; i++)
        bound *= 2;
    return bound < RETRY_DELAY_MAX_MS ? bound : RETRY_DELAY_MAX_MS;
}

/* No shorter than computed, no more than RETRY_AFTER_EXTRA_MS longer. */
static int64_t heed_server(int64_t computed_ms, int64_t asked_ms)
{
    if (asked_ms <= computed_ms)
        return computed_ms;
    if (asked_ms - computed_ms > RETRY_AFTER_EXTRA_MS)
        return computed_ms + RETRY_AFTER_EXTRA_MS;
    return asked_ms;
}

/* Order of the checks: SDK reference guide, "Retry behavior". */
struct retry_decision retry_decide(const struct retry_input *input,
                                   struct retry_quota *quota)
{
    const struct retry_decision no = {.again = false};
    bool throttled = input->class == RETRY_THROTTLE;
    int cost = throttled ? RETRY_COST_THROTTLE : RETRY_COST_TRANSIENT;
    int64_t bound;

    if (input->class == RETRY_NEVER || input->attempt >= input->max_attempts ||
        quota->tokens < cost)
        return no;
    quota->tokens -= cost;
    bound = delay_bound(throttled ? BASE_THROTTLE_MS : BASE_TRANSIENT_MS,
                        input->attempt);
    return (struct retry_decision){
        .again = true,
        /* random / 2^32 of the bound */
        .delay_ms = heed_server(bound * (int64_t)input->random >> 32,
                                input->retry_after_ms),
        .cost = cost,
    };
}

void retry_refund(struct retry_quota *quota, int cost)
{
    int tokens = quota->tokens + (cost > 0 ? cost : 1);

    quota->tokens = tokens < RETRY_QUOTA_MAX ? tokens : RETRY_QUOTA_MAX;
}
