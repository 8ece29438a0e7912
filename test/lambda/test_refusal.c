#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/refusal.h"
#include "support/fail_alloc.h"

static struct refusal refusal_of(int http_status, bool is_retryable)
{
    return (struct refusal){
        .http_status = http_status,
        .error = SPAN_LIT("no \"x\"\n\xE2\x98\x83"),
        .hint = SPAN_LIT("there are a, b"),
        .is_retryable = is_retryable,
    };
}

static void check(const struct refusal *refusal, bool is_array,
                  const char *expected)
{
    struct buf out = BUF_INIT(1024);

    buf_add_str(&out, "left over");
    assert_int_equal(refusal_write(refusal, is_array, &out, NULL), ERR_OK);
    assert_string_equal(out.data, expected);
    buf_release(&out);
}

static void test_refusal_write__is_an_object_of_three(void **state)
{
    const struct refusal bad = refusal_of(404, false);
    const struct refusal busy = refusal_of(500, true);

    (void)state;
    check(&bad, false,
          "{\"error\":\"no \\\"x\\\"\\n\xE2\x98\x83\","
          "\"hint\":\"there are a, b\",\"retryable\":false}");
    check(&busy, false,
          "{\"error\":\"no \\\"x\\\"\\n\xE2\x98\x83\","
          "\"hint\":\"there are a, b\",\"retryable\":true}");
}

static void test_refusal_write__keeps_the_forms_beside_arrays(void **state)
{
    const struct refusal bad = refusal_of(400, false);
    const struct refusal unknown = refusal_of(404, false);
    const struct refusal busy = refusal_of(500, true);

    (void)state;
    check(&bad, true, "[{\"error\":\"no \\\"x\\\"\\n\xE2\x98\x83\"}]");
    check(&unknown, true,
          "{\"error\":\"no \\\"x\\\"\\n\xE2\x98\x83; there are a, b\"}");
    check(&busy, true, "{\"error\":\"no \\\"x\\\"\\n\xE2\x98\x83\"}");
}

static void test_refusal_write__says_when_there_is_no_room(void **state)
{
    const struct refusal bad = refusal_of(400, false);
    struct buf out = BUF_INIT(20);

    (void)state;
    assert_int_equal(refusal_write(&bad, false, &out, NULL), ERR_LIMIT);
    buf_release(&out);
}

static void test_refusal_write__reports_every_failed_allocation(void **state)
{
    const struct refusal unknown = refusal_of(404, false);

    (void)state;
    for (int is_array = 0; is_array < 2; is_array++) {
        bool failed = true;
        size_t n = 0;

        for (; failed; n++) {
            struct buf out = BUF_INIT(1024);
            enum err_code rc;

            fail_alloc_at(n);
            rc = refusal_write(&unknown, is_array, &out, NULL);
            failed = fail_alloc_stop();
            assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
            buf_release(&out);
        }
        assert_true(n > 4);
    }
}

static void
test_refusal_add_names__gives_what_the_envelope_asks_by(void **state)
{
    struct buf out = BUF_INIT(1024);

    (void)state;
    refusal_add_names(ENVELOPE_API_SCHEMA, &out);
    assert_ptr_equal(
        strstr(out.data, "/count/{regions}, /check-without-owner/{regions}, "),
        out.data);
    for (int envelope = ENVELOPE_FUNCTION; envelope <= ENVELOPE_PLAIN;
         envelope++) {
        buf_reset(&out);
        refusal_add_names((enum envelope)envelope, &out);
        assert_ptr_equal(
            strstr(out.data, "count_instances, instances_without_tag, "),
            out.data);
    }
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal_write__is_an_object_of_three),
        cmocka_unit_test(test_refusal_write__keeps_the_forms_beside_arrays),
        cmocka_unit_test(test_refusal_write__says_when_there_is_no_room),
        cmocka_unit_test(test_refusal_write__reports_every_failed_allocation),
        cmocka_unit_test(
            test_refusal_add_names__gives_what_the_envelope_asks_by),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
