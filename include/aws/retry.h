/*
 * retry.h - whether and when a failed request is tried again; pure.
 *
 * The AWS SDKs' standard mode as of 2026 (SDK reference guide, "Retry
 * behavior"; aws-sdk-go-v2#3416): full jitter over base x 2^i, capped at 20 s,
 * base 50 ms for transient failures and 1 s for throttling; a token quota per
 * region, of which an empty one ends retrying and never delays a first
 * attempt. Chance comes in as a number.
 */
#ifndef AWS_RETRY_H
#define AWS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "aws/failure.h"

#define RETRY_QUOTA_MAX 500
#define RETRY_COST_TRANSIENT 14
#define RETRY_COST_THROTTLE 5
#define RETRY_DELAY_MAX_MS 20000
/* x-amz-retry-after may lengthen a delay by at most this much. */
#define RETRY_AFTER_EXTRA_MS 5000
#define RETRY_DEFAULT_ATTEMPTS 10

enum retry_class {
    RETRY_NEVER,
    RETRY_TRANSIENT,
    RETRY_THROTTLE,
};

/* What class of retry a failure belongs to. */
enum retry_class retry_classify(const struct failure *failure);

/* One per region; lives as long as the process. */
struct retry_quota {
    int tokens;
};
void retry_quota_init(struct retry_quota *quota);

struct retry_input {
    enum retry_class class;
    unsigned attempt;       /* made so far, at least 1 */
    unsigned max_attempts;  /* first call included */
    uint32_t random;        /* uniform over all values */
    int64_t retry_after_ms; /* x-amz-retry-after; negative: none or bad */
};

struct retry_decision {
    bool again;
    int64_t delay_ms; /* before the next attempt */
    int cost;         /* taken from the quota, for retry_refund() */
};

/* Decides, and takes the cost from the quota when it says again. */
struct retry_decision retry_decide(const struct retry_input *input,
                                   struct retry_quota *quota);

/*
 * After a success: gives back the cost of the last retry (0 when there was
 * none: then 1 token comes back), never past RETRY_QUOTA_MAX.
 */
void retry_refund(struct retry_quota *quota, int cost);

#endif
