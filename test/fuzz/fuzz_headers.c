/*
 * Headers that steer time: Date and x-amz-retry-after, and what is decided
 * from them.
 *
 * Input: lines. The first is a date; each one after it is a byte for the class
 * of a failure, one for the attempt, four for chance, then x-amz-retry-after.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aws/retry.h"
#include "base/clock.h"
#include "net/http.h"

#define ATTEMPTS_MAX 12

/* RFC 9110's own form of seconds since 1970. */
static void format_date(int64_t seconds, char *out, size_t size)
{
    time_t when = (time_t)seconds;
    struct tm tm;

    FUZZ_CHECK(gmtime_r(&when, &tm));
    FUZZ_CHECK(strftime(out, size, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
}

/* What a date was read as must be read back from the date written anew. */
static void check_date(struct span text)
{
    int64_t ms = -1;
    int64_t again = -1;
    char date[64];

    if (!http_date_ms(text, &ms)) {
        FUZZ_CHECK(ms == -1);
        return;
    }
    FUZZ_CHECK(ms >= 0 && ms % 1000 == 0);
    format_date(ms / 1000, date, sizeof(date));
    FUZZ_CHECK(http_date_ms(span_of(date), &again));
    FUZZ_CHECK(again == ms);
}

static int64_t number_of(struct span text)
{
    int64_t n = INT64_MIN;
    bool minus = text.len && text.p[0] == '-';

    if (!span_int64(text, &n)) {
        FUZZ_CHECK(n == INT64_MIN);
        return -1;
    }
    FUZZ_CHECK(text.len > (minus ? 1U : 0U));
    for (size_t i = minus; i < text.len; i++)
        FUZZ_CHECK(text.p[i] >= '0' && text.p[i] <= '9');
    FUZZ_CHECK(minus ? n <= 0 : n >= 0);
    return n;
}

static void check_retry(struct span line, struct retry_quota *quota)
{
    static const enum retry_class CLASSES[] = {RETRY_NEVER, RETRY_TRANSIENT,
                                               RETRY_THROTTLE};
    struct retry_input input = {
        .class = FUZZ_PICK(&line, CLASSES),
        .attempt = 1 + fuzz_byte(&line) % ATTEMPTS_MAX,
        .max_attempts = ATTEMPTS_MAX,
    };
    int before = quota->tokens;
    struct retry_decision decision;

    for (int i = 0; i < 4; i++)
        input.random = input.random << 8 | fuzz_byte(&line);
    input.retry_after_ms = number_of(line);
    decision = retry_decide(&input, quota);
    FUZZ_CHECK(quota->tokens >= 0 && quota->tokens <= RETRY_QUOTA_MAX);
    FUZZ_CHECK(decision.delay_ms >= 0);
    FUZZ_CHECK(decision.delay_ms <= RETRY_DELAY_MAX_MS + RETRY_AFTER_EXTRA_MS);
    FUZZ_CHECK(before - quota->tokens == decision.cost);
    if (decision.again) {
        FUZZ_CHECK(input.class != RETRY_NEVER && decision.cost > 0);
        FUZZ_CHECK(input.attempt < input.max_attempts);
        (void)clock_add(INT64_MAX - 10, decision.delay_ms);
    } else {
        retry_refund(quota, decision.cost);
        FUZZ_CHECK(quota->tokens > 0 && quota->tokens <= RETRY_QUOTA_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *block = fuzz_block(fuzz_input(data, len));
    struct span in = {block, len};
    struct retry_quota quota;

    retry_quota_init(&quota);
    check_date(fuzz_until(&in, '\n'));
    while (in.len)
        check_retry(fuzz_until(&in, '\n'), &quota);
    free(block);
    return 0;
}
