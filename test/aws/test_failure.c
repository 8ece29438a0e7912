#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <string.h>

#include "aws/failure.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define NKINDS (FAILURE_INTERNAL + 1)

/* EC2 API Reference, "Error codes"; botocore, retries/standard.py. */
static const struct {
    const char *code;
    long status;
    enum failure_kind kind;
} CLASSIFIED[] = {
    {"UnauthorizedOperation", 403, FAILURE_DENIED},
    {"AccessDenied", 403, FAILURE_DENIED},
    {"AuthFailure", 401, FAILURE_AUTH},
    {"SignatureDoesNotMatch", 403, FAILURE_AUTH},
    {"InvalidClientTokenId", 403, FAILURE_AUTH},
    {"MissingAuthenticationToken", 403, FAILURE_AUTH},
    {"OptInRequired", 403, FAILURE_NOT_ENABLED},
    {"OptInRequired", 401, FAILURE_NOT_ENABLED},
    {"RequestExpired", 400, FAILURE_EXPIRED},
    {"ExpiredToken", 403, FAILURE_EXPIRED},
    {"RequestTimeTooSkewed", 403, FAILURE_CLOCK},
    {"RequestLimitExceeded", 503, FAILURE_THROTTLED},
    {"EC2ThrottledException", 503, FAILURE_THROTTLED},
    {"Throttling", 400, FAILURE_THROTTLED},
    {"ThrottlingException", 400, FAILURE_THROTTLED},
    {"ThrottledException", 400, FAILURE_THROTTLED},
    {"RequestThrottled", 400, FAILURE_THROTTLED},
    {"RequestThrottledException", 400, FAILURE_THROTTLED},
    {"TooManyRequestsException", 429, FAILURE_THROTTLED},
    {"ProvisionedThroughputExceededException", 400, FAILURE_THROTTLED},
    {"TransactionInProgressException", 400, FAILURE_THROTTLED},
    {"BandwidthLimitExceeded", 509, FAILURE_THROTTLED},
    {"LimitExceededException", 400, FAILURE_THROTTLED},
    {"SlowDown", 503, FAILURE_THROTTLED},
    {"PriorRequestNotComplete", 400, FAILURE_THROTTLED},
    {"InternalError", 500, FAILURE_BUSY},
    {"InternalFailure", 500, FAILURE_BUSY},
    {"ServerInternal", 500, FAILURE_BUSY},
    {"ServiceUnavailable", 503, FAILURE_BUSY},
    {"Unavailable", 503, FAILURE_BUSY},
    {"RequestTimeout", 400, FAILURE_BUSY},
    {"RequestTimeoutException", 408, FAILURE_BUSY},
    {"InvalidPaginationToken", 400, FAILURE_TOKEN},
    {"InvalidParameterValue", 400, FAILURE_REJECTED},
    {"Blocked", 403, FAILURE_REJECTED},
    {"NewKindOfDenial", 403, FAILURE_DENIED},
    {"unauthorizedoperation", 400, FAILURE_REJECTED},
    {"NewKindOfTrouble", 500, FAILURE_BUSY},
    {"", 500, FAILURE_BUSY},
    {"", 503, FAILURE_BUSY},
    {"", 401, FAILURE_AUTH},
    {"", 403, FAILURE_DENIED},
    {"", 404, FAILURE_REJECTED},
    {"", 407, FAILURE_PROXY},
    {"", 429, FAILURE_REJECTED},
    {"", 301, FAILURE_REDIRECT},
    {"", 307, FAILURE_REDIRECT},
    {"", 200, FAILURE_MALFORMED},
    {"", 0, FAILURE_MALFORMED},
};

static void test_failure_classify__tells_code_before_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CLASSIFIED); i++) {
        enum failure_kind kind =
            failure_classify(span_of(CLASSIFIED[i].code), CLASSIFIED[i].status);

        if (kind != CLASSIFIED[i].kind)
            fail_msg("%s, %ld: %s", CLASSIFIED[i].code, CLASSIFIED[i].status,
                     failure_kind_name(kind));
    }
}

static void test_failure_sentence__says_what_and_what_to_do(void **state)
{
    static const struct {
        struct failure failure;
        const char *sentence;
    } ROWS[] = {
        {{.kind = FAILURE_DENIED,
          .status = 403,
          .attempts = 3,
          .code = "UnauthorizedOperation"},
         "UnauthorizedOperation: access denied, possibly by a service control "
         "policy"},
        {{.kind = FAILURE_THROTTLED,
          .status = 503,
          .attempts = 4,
          .code = "RequestLimitExceeded"},
         "RequestLimitExceeded: throttled, gave up after 4 attempts"},
        {{.kind = FAILURE_THROTTLED,
          .status = 503,
          .attempts = 1,
          .code = "RequestLimitExceeded"},
         "RequestLimitExceeded: throttled"},
        {{.kind = FAILURE_AUTH, .status = 401, .code = "AuthFailure"},
         "AuthFailure: credentials were not accepted"},
        {{.kind = FAILURE_BUSY, .status = 503, .attempts = 10},
         "503: EC2 failed, gave up after 10 attempts"},
        {{.kind = FAILURE_NOT_ENABLED},
         "region is not enabled in this account"},
        {{.kind = FAILURE_REJECTED, .status = 404},
         "404: EC2 rejected the request"},
        {{.kind = FAILURE_REDIRECT, .status = 302},
         "302: redirects are not followed, check the endpoint URL"},
        {{.kind = FAILURE_SILENT, .attempts = 1, .waited_ms = 8000},
         "no answer in 8 s"},
        {{.kind = FAILURE_SILENT, .attempts = 3, .waited_ms = 8040},
         "no answer in 8 s"},
        {{.kind = FAILURE_DEADLINE, .status = 200, .waited_ms = 29512},
         "no answer in 29.5 s"},
        {{.kind = FAILURE_CONNECT_TIMEOUT, .attempts = 1, .waited_ms = 3100},
         "could not connect in 3.1 s"},
        {{.kind = FAILURE_CONNECT_TIMEOUT, .attempts = 2, .waited_ms = 1500},
         "could not connect in 1.5 s, gave up after 2 attempts"},
        {{.kind = FAILURE_CONNECT, .attempts = 10},
         "could not connect, gave up after 10 attempts"},
        {{.kind = FAILURE_CERTIFICATE, .attempts = 1},
         "certificate not acceptable"},
        {{.kind = FAILURE_MALFORMED, .status = 200, .attempts = 2},
         "the answer was not EC2's XML, gave up after 2 attempts"},
        {{.kind = FAILURE_DEADLINE,
          .waited_ms = 4000,
          .code = "RequestLimitExceeded"},
         "RequestLimitExceeded: no answer in 4 s"},
        {{.kind = FAILURE_SILENT, .waited_ms = -500}, "no answer in 0 s"},
        {{.kind = FAILURE_NONE}, "no failure"},
    };
    char out[FAILURE_SENTENCE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        failure_sentence(&ROWS[i].failure, out);
        assert_string_equal(out, ROWS[i].sentence);
    }
}

/* The longest that each kind can become is not cut. */
static void test_failure_sentence__keeps_to_160_bytes_for_every_kind(void **s)
{
    struct failure failure = {
        .status = LONG_MAX,
        .attempts = UINT_MAX,
        .waited_ms = 900000,
    };
    char out[FAILURE_SENTENCE_MAX + 2];

    (void)s;
    memset(failure.code, 'C', FAILURE_CODE_MAX);
    for (unsigned kind = 0; kind < NKINDS; kind++) {
        failure.kind = (enum failure_kind)kind;
        memset(out, '#', sizeof(out));
        failure_sentence(&failure, out);
        assert_true(strlen(out) < FAILURE_SENTENCE_MAX);
        assert_int_equal(out[FAILURE_SENTENCE_MAX + 1], '#');
        if (strstr(out, "unknown"))
            fail_msg("kind %u has no sentence", kind);
    }
}

static void test_failure_kind_name__gives_each_kind_a_word(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NKINDS; i++) {
        const char *name = failure_kind_name((enum failure_kind)i);

        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(name));
        assert_string_not_equal(name, "unknown");
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(name,
                                    failure_kind_name((enum failure_kind)j));
    }
    assert_string_equal(failure_kind_name(FAILURE_DENIED), "denied");
    assert_string_equal(failure_kind_name(FAILURE_THROTTLED), "throttled");
}

static void test_failure_set_code__keeps_only_plain_characters(void **state)
{
    struct failure f = {0};

    (void)state;
    failure_set_code(&f, SPAN_LIT("Client.Invalid-Group_x:9"));
    assert_string_equal(f.code, "Client.Invalid-Group_x:9");
    failure_set_code(&f, SPAN_LIT("A <b>\n\"c\"\0\xc3\xa4 d/e"));
    assert_string_equal(f.code, "Abcde");
    failure_set_code(&f, (struct span){NULL, 0});
    assert_string_equal(f.code, "");
}

static void test_failure_of_error__gives_a_kind_to_each_code(void **state)
{
    static const struct {
        enum err_code code;
        enum failure_kind kind;
    } rows[] = {
        {ERR_NOMEM, FAILURE_NOMEM},  {ERR_LIMIT, FAILURE_LIMIT},
        {ERR_AUTH, FAILURE_AUTH},    {ERR_PARSE, FAILURE_MALFORMED},
        {ERR_ARG, FAILURE_INTERNAL}, {ERR_CRYPTO, FAILURE_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(failure_of_error(rows[i].code), rows[i].kind);
}

static void test_failure_set_code__cuts_to_size(void **state)
{
    struct failure f = {0};
    char longer[FAILURE_TEXT_MAX * 2];

    (void)state;
    memset(longer, 'x', sizeof(longer));
    failure_set_code(&f, (struct span){longer, sizeof(longer)});
    failure_set_request_id(&f, (struct span){longer, sizeof(longer)});
    failure_set_text(&f, (struct span){longer, sizeof(longer)});
    assert_int_equal(strlen(f.code), FAILURE_CODE_MAX);
    assert_int_equal(strlen(f.request_id), FAILURE_ID_MAX);
    assert_int_equal(strlen(f.text), FAILURE_TEXT_MAX);
}

static void test_failure_set_request_id__keeps_only_plain_characters(void **s)
{
    struct failure f = {0};

    (void)s;
    failure_set_request_id(&f, SPAN_LIT("59dbff89-35bd-4eac\r\nX: y"));
    assert_string_equal(f.request_id, "59dbff89-35bd-4eacX:y");
}

static void test_failure_set_text__cuts_between_characters(void **state)
{
    struct failure f = {0};
    struct buf text = BUF_INIT((size_t)4 * FAILURE_TEXT_MAX);

    (void)state;
    /* 1023 bytes end within the character that begins at byte 1020. */
    for (size_t i = 0; i < 300; i++)
        buf_add_str(&text, "\xf0\x9f\x98\x80");
    failure_set_text(&f, buf_span(&text));
    assert_int_equal(strlen(f.text), 1020);
    failure_set_text(&f, SPAN_LIT("a\0b\xc3\xa4"));
    assert_string_equal(f.text, "a b\xc3\xa4");
    failure_set_text(&f, (struct span){NULL, 0});
    assert_string_equal(f.text, "");
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_classify__tells_code_before_status),
        cmocka_unit_test(test_failure_sentence__says_what_and_what_to_do),
        cmocka_unit_test(
            test_failure_sentence__keeps_to_160_bytes_for_every_kind),
        cmocka_unit_test(test_failure_kind_name__gives_each_kind_a_word),
        cmocka_unit_test(test_failure_set_code__keeps_only_plain_characters),
        cmocka_unit_test(test_failure_of_error__gives_a_kind_to_each_code),
        cmocka_unit_test(test_failure_set_code__cuts_to_size),
        cmocka_unit_test(
            test_failure_set_request_id__keeps_only_plain_characters),
        cmocka_unit_test(test_failure_set_text__cuts_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
