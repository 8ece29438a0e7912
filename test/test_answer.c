#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer.h"
#include "support/fail_alloc.h"

static void read(const char *json, struct answer *out)
{
    struct err err = {0};

    if (answer_read(span_of(json), out, &err))
        fail_msg("%s", err.msg);
}

static void check_table(const char *json, bool has_colours,
                        const char *expected)
{
    struct answer answer = {0};
    struct buf out = BUF_INIT(1 << 20);

    read(json, &answer);
    buf_add_str(&out, "left over");
    assert_int_equal(answer_write_table(&answer, has_colours, &out, NULL),
                     ERR_OK);
    assert_string_equal(out.data, expected);
    buf_release(&out);
    answer_release(&answer);
}

#define COUNTED                                                                \
    "{\"account\":\"123456789012\",\"asOf\":\"2026-08-30T12:34:56Z\","         \
    "\"regionsAsked\":4,\"regionsAnswered\":2,\"states\":[\"running\","        \
    "\"stopped\"],\"total\":2,\"shown\":2,\"items\":["                         \
    "{\"region\":\"ap-southeast-2\",\"totalInstances\":12,"                    \
    "\"runningInstances\":9},"                                                 \
    "{\"region\":\"eu-west-1\",\"totalInstances\":1234,"                       \
    "\"runningInstances\":0}],\"failed\":[{\"regions\":[\"me-south-1\","       \
    "\"us-east-1\"],\"error\":\"no answer\"}]}"

static void test_answer_write_table__aligns_and_puts_failures_last(void **state)
{
    (void)state;
    check_table(COUNTED, false,
                "REGION          TOTAL-INSTANCES  RUNNING-INSTANCES\n"
                "ap-southeast-2               12                  9\n"
                "eu-west-1                  1234                  0\n"
                "\n"
                "account: 123456789012\n"
                "as of: 2026-08-30T12:34:56Z\n"
                "regions asked: 4\n"
                "regions answered: 2\n"
                "states: running, stopped\n"
                "total: 2\n"
                "shown: 2\n"
                "failed: me-south-1, us-east-1: no answer\n");
}

static void test_answer_write_table__colours_if_that_is_wanted(void **state)
{
    (void)state;
    check_table("{\"items\":[{\"region\":\"a\"}],\"failed\":[{\"regions\":"
                "[\"b\"],\"error\":\"x\"}]}",
                true,
                "\033[1mREGION\033[0m\n"
                "a\n"
                "\n"
                "\033[31mfailed: b: x\033[0m\n");
}

static void test_answer_write_table__puts_lists_below_one_another(void **state)
{
    (void)state;
    check_table(
        "{\"items\":["
        "{\"instanceId\":\"i-1\",\"permissions\":["
        "{\"ipProtocol\":\"tcp\",\"fromPort\":22,\"toPort\":22,"
        "\"allowFrom\":\"ssh\",\"groupId\":\"sg-1\",\"cidr\":\"0.0.0.0/0\","
        "\"ports\":\"22\"},"
        "{\"ipProtocol\":\"-1\",\"fromPort\":0,\"toPort\":0,\"allowFrom\":\"\","
        "\"groupId\":\"sg-2\",\"cidr\":\"::/0\",\"ports\":\"all\"}],"
        "\"ipv6\":[\"2001:db8::1\"]},"
        "{\"instanceId\":\"i-20\",\"permissions\":[],\"publicIp\":"
        "\"192.0.2.7\"}],\"next\":\"us-east-1/i-20\"}",
        false,
        "INSTANCE-ID  PERMISSIONS                       IPV6         "
        "PUBLIC-IP\n"
        "i-1          tcp 22 from 0.0.0.0/0 (sg-1 ssh)  2001:db8::1\n"
        "             -1 all from ::/0 (sg-2)\n"
        "i-20                                                        "
        "192.0.2.7\n"
        "\n"
        "there is more: --after us-east-1/i-20\n");
}

static void test_answer_write_table__leaves_out_empty_columns(void **state)
{
    (void)state;
    check_table("{\"items\":[{\"a\":\"\",\"b\":1,\"c\":[]},"
                "{\"a\":\"\",\"b\":2,\"c\":[]}]}",
                false,
                "B\n"
                "1\n"
                "2\n"
                "\n");
}

static void test_answer_write_table__shows_members_of_objects(void **state)
{
    (void)state;
    check_table("{\"items\":[{\"totalInstances\":7,\"byState\":{\"running\":4,"
                "\"stopped\":3},\"byType\":[{\"type\":\"t3.micro\",\"n\":7}]}],"
                "\"byType\":{\"t3.micro\":4},\"rows\":[{\"a\":1}],\"ok\":true,"
                "\"share\":0.5}",
                false,
                "TOTAL-INSTANCES  BY-STATE   BY-TYPE\n"
                "              7  running 4  type t3.micro, n 7\n"
                "                 stopped 3\n"
                "\n"
                "by type: t3.micro 4\n"
                "rows:\n"
                "A\n"
                "1\n"
                "ok: yes\n"
                "share: 0.5\n");
}

static void test_answer_write_table__has_no_table_without_items(void **state)
{
    (void)state;
    check_table("{\"regionsAsked\":34,\"total\":0,\"items\":[]}", false,
                "regions asked: 34\n"
                "total: 0\n");
    check_table("{}", false, "");
}

/* U+2603 takes one column, U+65E5 two, and U+0301 none. */
static void test_answer_write_table__counts_columns_not_bytes(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    check_table("{\"items\":[{\"a\":\"\xE2\x98\x83\",\"b\":1},"
                "{\"a\":\"\xE6\x97\xA5\xE6\x9C\xAC\",\"b\":2},"
                "{\"a\":\"e\xCC\x81\",\"b\":3},{\"a\":\"abcd\",\"b\":4}]}",
                false,
                "A     B\n"
                "\xE2\x98\x83     1\n"
                "\xE6\x97\xA5\xE6\x9C\xAC  2\n"
                "e\xCC\x81     3\n"
                "abcd  4\n"
                "\n");
    assert_non_null(setlocale(LC_CTYPE, "C"));
}

static void
test_answer_write_table__lets_nothing_steer_the_terminal(void **state)
{
    (void)state;
    check_table("{\"items\":[{\"a\":\"\\u001b[2J\\n\\u0000\\u007f\\u009b1m\"}],"
                "\"failed\":[{\"regions\":[\"x\\r\"],\"error\":\"\\u001b\"}],"
                "\"next\":\"\\u0007\"}",
                false,
                "A\n"
                "?[2J????1m\n"
                "\n"
                "there is more: --after ?\n"
                "failed: x?: ?\n");
}

static void test_answer_write_table__survives_odd_shapes(void **state)
{
    (void)state;
    check_table("{\"items\":[1,[],{}],\"failed\":{},\"total\":null,"
                "\"next\":[1]}",
                false,
                "\n"
                "total: \n"
                "there is more: --after \n");
}

static void test_answer_write_table__says_when_there_is_no_room(void **state)
{
    struct answer answer = {0};
    struct buf out = BUF_INIT(40);
    struct err err = {0};

    (void)state;
    read(COUNTED, &answer);
    assert_int_equal(answer_write_table(&answer, false, &out, &err), ERR_LIMIT);
    buf_release(&out);
    answer_release(&answer);
}

static void test_answer_read__tells_refusals_and_failures(void **state)
{
    struct answer answer = {0};
    struct span error;
    struct span hint;

    (void)state;
    read("{\"error\":\"no \\\"x\\\"\",\"hint\":\"there are a\","
         "\"retryable\":false}",
         &answer);
    assert_true(answer_is_refusal(&answer, &error, &hint));
    assert_true(span_eq_str(error, "no \"x\""));
    assert_true(span_eq_str(hint, "there are a"));
    assert_false(answer_has_regions(&answer));
    answer_release(&answer);
    read(COUNTED, &answer);
    assert_false(answer_is_refusal(&answer, &error, &hint));
    assert_true(answer_has_regions(&answer));
    answer_release(&answer);
    read("{\"regionsAnswered\":0}", &answer);
    assert_false(answer_has_regions(&answer));
    answer_release(&answer);
    answer_release(&answer);
}

static void test_answer_read__refuses_what_is_no_object(void **state)
{
    static const char *const texts[] = {"", "[]", "7", "{", "{} x"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct answer answer = {0};
        struct err err = {0};

        assert_int_equal(answer_read(span_of(texts[i]), &answer, &err),
                         ERR_PARSE);
        assert_null(answer.root);
    }
}

/*
 * jansson 2.14 does not tell of one: when there is no room for a longer text
 * (src/load.c, lex_save()) it loses a character of it, and reading a number
 * sets errno anew.
 */
static void test_answer__reports_every_failed_allocation(void **state)
{
    bool failed = true;
    size_t nunseen = 0;
    size_t n = 0;

    (void)state;
    for (; failed; n++) {
        struct answer answer = {0};
        struct buf out = BUF_INIT(1 << 20);
        enum err_code rc;

        fail_alloc_at(n);
        rc = answer_read(span_of(COUNTED), &answer, NULL);
        if (!rc)
            rc = answer_write_table(&answer, false, &out, NULL);
        failed = fail_alloc_stop();
        assert_true(rc == ERR_NOMEM || rc == ERR_OK);
        assert_true(failed || rc == ERR_OK);
        nunseen += failed && !rc;
        buf_release(&out);
        answer_release(&answer);
    }
    assert_true(n > 40);
    assert_true(nunseen <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_answer_write_table__aligns_and_puts_failures_last),
        cmocka_unit_test(test_answer_write_table__colours_if_that_is_wanted),
        cmocka_unit_test(test_answer_write_table__puts_lists_below_one_another),
        cmocka_unit_test(test_answer_write_table__leaves_out_empty_columns),
        cmocka_unit_test(test_answer_write_table__shows_members_of_objects),
        cmocka_unit_test(test_answer_write_table__has_no_table_without_items),
        cmocka_unit_test(test_answer_write_table__counts_columns_not_bytes),
        cmocka_unit_test(
            test_answer_write_table__lets_nothing_steer_the_terminal),
        cmocka_unit_test(test_answer_write_table__survives_odd_shapes),
        cmocka_unit_test(test_answer_write_table__says_when_there_is_no_room),
        cmocka_unit_test(test_answer_read__tells_refusals_and_failures),
        cmocka_unit_test(test_answer_read__refuses_what_is_no_object),
        cmocka_unit_test(test_answer__reports_every_failed_allocation),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
