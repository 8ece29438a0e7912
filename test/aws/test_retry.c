#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aws/retry.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define HALF 0x80000000u

/*
 * Expected values are worked out by hand from the SDK reference guide, "Retry
 * behavior": rand(0,1) x min(base x 2^i, 20 s), base 50 ms or 1 s; quota 500,
 * a retry costs 14, of a throttled request 5.
 */

static struct retry_quota full_quota(void)
{
    struct retry_quota quota;

    retry_quota_init(&quota);
    return quota;
}

static void test_retry_classify__knows_every_kind(void **state)
{
    static const struct {
        enum failure_kind kind;
        long status;
        enum retry_class expected;
    } ROWS[] = {
        {FAILURE_NONE, 200, RETRY_NEVER},
        {FAILURE_DENIED, 403, RETRY_NEVER},
        {FAILURE_AUTH, 401, RETRY_NEVER},
        {FAILURE_NOT_ENABLED, 403, RETRY_NEVER},
        {FAILURE_EXPIRED, 400, RETRY_NEVER},
        {FAILURE_CLOCK, 400, RETRY_NEVER},
        {FAILURE_THROTTLED, 503, RETRY_THROTTLE},
        {FAILURE_THROTTLED, 400, RETRY_THROTTLE},
        {FAILURE_BUSY, 500, RETRY_TRANSIENT},
        {FAILURE_BUSY, 502, RETRY_TRANSIENT},
        {FAILURE_BUSY, 503, RETRY_TRANSIENT},
        {FAILURE_BUSY, 504, RETRY_TRANSIENT},
        {FAILURE_BUSY, 400, RETRY_TRANSIENT}, /* RequestTimeout */
        {FAILURE_BUSY, 501, RETRY_NEVER},
        {FAILURE_BUSY, 505, RETRY_NEVER},
        {FAILURE_TOKEN, 400, RETRY_NEVER},
        {FAILURE_REJECTED, 400, RETRY_NEVER},
        {FAILURE_REDIRECT, 302, RETRY_NEVER},
        {FAILURE_RESOLVE, 0, RETRY_TRANSIENT},
        {FAILURE_CONNECT, 0, RETRY_TRANSIENT},
        {FAILURE_CONNECT_TIMEOUT, 0, RETRY_TRANSIENT},
        {FAILURE_TLS, 0, RETRY_TRANSIENT},
        {FAILURE_CERTIFICATE, 0, RETRY_NEVER},
        {FAILURE_PROXY, 0, RETRY_TRANSIENT},
        {FAILURE_PROXY, 407, RETRY_NEVER},
        {FAILURE_BROKEN, 200, RETRY_TRANSIENT},
        {FAILURE_MALFORMED, 200, RETRY_TRANSIENT},
        {FAILURE_REPEATED, 200, RETRY_NEVER},
        {FAILURE_LIMIT, 200, RETRY_NEVER},
        {FAILURE_SILENT, 0, RETRY_NEVER},
        {FAILURE_DEADLINE, 0, RETRY_NEVER},
        {FAILURE_NOMEM, 0, RETRY_NEVER},
        {FAILURE_INTERNAL, 0, RETRY_NEVER},
    };
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct failure failure = {
            .kind = ROWS[i].kind,
            .status = ROWS[i].status,
        };

        if (retry_classify(&failure) != ROWS[i].expected)
            fail_msg("%s, status %ld", failure_kind_name(ROWS[i].kind),
                     ROWS[i].status);
        seen |= 1u << ROWS[i].kind;
    }
    assert_int_equal(seen, (1u << (FAILURE_INTERNAL + 1)) - 1);
}

static void test_retry_decide__waits_with_full_jitter_up_to_the_cap(void **s)
{
    static const struct {
        enum retry_class class;
        unsigned attempt;
        uint32_t random;
        int64_t delay_ms;
    } ROWS[] = {
        {RETRY_TRANSIENT, 1, 0, 0},
        {RETRY_TRANSIENT, 1, HALF, 25},
        {RETRY_TRANSIENT, 1, UINT32_MAX, 49},
        {RETRY_TRANSIENT, 2, HALF, 50},
        {RETRY_TRANSIENT, 3, HALF, 100},
        {RETRY_TRANSIENT, 9, HALF, 6400},
        {RETRY_TRANSIENT, 10, HALF, 10000}, /* 25.6 s, capped at 20 s */
        {RETRY_TRANSIENT, 4000000000u, HALF, 10000},
        {RETRY_THROTTLE, 1, HALF, 500},
        {RETRY_THROTTLE, 2, HALF, 1000},
        {RETRY_THROTTLE, 5, HALF, 8000},
        {RETRY_THROTTLE, 6, HALF, 10000}, /* 32 s, capped at 20 s */
        {RETRY_THROTTLE, 6, UINT32_MAX, 19999},
    };

    (void)s;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct retry_input input = {
            .class = ROWS[i].class,
            .attempt = ROWS[i].attempt,
            .max_attempts = UINT32_MAX,
            .random = ROWS[i].random,
            .retry_after_ms = -1,
        };
        struct retry_quota quota = full_quota();
        struct retry_decision decision = retry_decide(&input, &quota);

        if (!decision.again || decision.delay_ms != ROWS[i].delay_ms)
            fail_msg("row %zu: %lld ms", i, (long long)decision.delay_ms);
    }
}

/* max(t, min(asked, t + 5 s)) for a computed t of 500 ms */
static void test_retry_decide__heeds_the_server_within_5_s(void **state)
{
    static const struct {
        int64_t asked_ms;
        int64_t delay_ms;
    } ROWS[] = {
        {-1, 500},     {INT64_MIN, 500},  {0, 500},     {499, 500},
        {500, 500},    {501, 501},        {5500, 5500}, {5501, 5500},
        {99999, 5500}, {INT64_MAX, 5500},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct retry_input input = {
            .class = RETRY_THROTTLE,
            .attempt = 1,
            .max_attempts = 2,
            .random = HALF,
            .retry_after_ms = ROWS[i].asked_ms,
        };
        struct retry_quota quota = full_quota();

        assert_int_equal(retry_decide(&input, &quota).delay_ms,
                         ROWS[i].delay_ms);
    }
}

static void test_retry_decide__says_no_without_touching_the_quota(void **state)
{
    static const struct {
        const char *name;
        enum retry_class class;
        unsigned attempt;
        unsigned max_attempts;
        int tokens;
    } ROWS[] = {
        {"not retryable", RETRY_NEVER, 1, 10, 500},
        {"attempts used up", RETRY_TRANSIENT, 10, 10, 500},
        {"more attempts than allowed", RETRY_TRANSIENT, 11, 10, 500},
        {"one attempt only", RETRY_THROTTLE, 1, 1, 500},
        {"quota too small, transient", RETRY_TRANSIENT, 1, 10, 13},
        {"quota too small, throttle", RETRY_THROTTLE, 1, 10, 4},
        {"quota empty", RETRY_THROTTLE, 1, 10, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct retry_input input = {
            .class = ROWS[i].class,
            .attempt = ROWS[i].attempt,
            .max_attempts = ROWS[i].max_attempts,
            .random = HALF,
            .retry_after_ms = 1000,
        };
        struct retry_quota quota = {.tokens = ROWS[i].tokens};
        struct retry_decision decision = retry_decide(&input, &quota);

        if (decision.again || decision.cost || decision.delay_ms ||
            quota.tokens != ROWS[i].tokens)
            fail_msg("%s", ROWS[i].name);
    }
}

/* How many retries of class a full quota pays for. */
static unsigned count_retries(enum retry_class class, int expected_cost)
{
    const struct retry_input input = {
        .class = class,
        .attempt = 1,
        .max_attempts = 2,
        .retry_after_ms = -1,
    };
    struct retry_quota quota = full_quota();
    struct retry_decision decision;
    unsigned n = 0;

    while ((decision = retry_decide(&input, &quota)).again) {
        assert_int_equal(decision.cost, expected_cost);
        n++;
    }
    return n;
}

static void
test_retry_decide__quota_pays_35_transient_or_100_throttled(void **s)
{
    (void)s;
    assert_int_equal(count_retries(RETRY_TRANSIENT, 14), 35);
    assert_int_equal(count_retries(RETRY_THROTTLE, 5), 100);
}

static void test_retry_refund__gives_back_the_cost_or_one(void **state)
{
    static const struct {
        int tokens;
        int cost;
        int after;
    } ROWS[] = {
        {0, 0, 1},     {0, 14, 14},   {100, 5, 105},
        {499, 0, 500}, {500, 0, 500}, {490, 14, 500},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct retry_quota quota = {.tokens = ROWS[i].tokens};

        retry_refund(&quota, ROWS[i].cost);
        assert_int_equal(quota.tokens, ROWS[i].after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_classify__knows_every_kind),
        cmocka_unit_test(
            test_retry_decide__waits_with_full_jitter_up_to_the_cap),
        cmocka_unit_test(test_retry_decide__heeds_the_server_within_5_s),
        cmocka_unit_test(test_retry_decide__says_no_without_touching_the_quota),
        cmocka_unit_test(
            test_retry_decide__quota_pays_35_transient_or_100_throttled),
        cmocka_unit_test(test_retry_refund__gives_back_the_cost_or_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
