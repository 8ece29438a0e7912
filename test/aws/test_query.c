#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aws/query.h"
#include "support/fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_query_encode__encodes_all_but_unreserved_bytes(void **state)
{
    /* Python: urllib.parse.quote(text, safe="-_.~") */
    static const struct {
        const char *plain;
        size_t len;
        const char *encoded;
    } ROWS[] = {
        {"", 0, ""},
        {"azAZ09-_.~", 10, "azAZ09-_.~"},
        {"tag:Owner", 9, "tag%3AOwner"},
        {"*?", 2, "%2A%3F"},
        {" a+b&c=d/e%", 11, "%20a%2Bb%26c%3Dd%2Fe%25"},
        {"Zust\xc3\xa4ndig \xe2\x82\xac\xf0\x9f\x98\x80", 18,
         "Zust%C3%A4ndig%20%E2%82%AC%F0%9F%98%80"},
        {"\0\x7f\xff\n", 4, "%00%7F%FF%0A"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct buf out = BUF_INIT(256);

        query_encode(&out, (struct span){ROWS[i].plain, ROWS[i].len});
        assert_int_equal(buf_check(&out, "test", NULL), ERR_OK);
        assert_string_equal(out.data, ROWS[i].encoded);
        buf_release(&out);
    }
}

static void test_query_begin__names_action_and_version(void **state)
{
    struct buf body = BUF_INIT(256);

    (void)state;
    query_begin(&body, "DescribeRegions");
    assert_string_equal(body.data, "Action=DescribeRegions&Version=2016-11-15");
    buf_release(&body);
}

static void test_query_begin__forgets_text_and_failure(void **state)
{
    struct buf body = BUF_INIT(64);

    (void)state;
    query_begin(&body, "A");
    for (size_t i = 0; i < 10; i++)
        query_add_int(&body, "MaxResults", 1000);
    assert_int_equal(buf_check(&body, "test", NULL), ERR_LIMIT);
    query_begin(&body, "B");
    assert_int_equal(buf_check(&body, "test", NULL), ERR_OK);
    assert_string_equal(body.data, "Action=B&Version=2016-11-15");
    buf_release(&body);
}

static void test_query_add__appends_name_and_encoded_value(void **state)
{
    struct buf body = BUF_INIT(256);

    (void)state;
    query_add(&body, "NextToken", SPAN_LIT("eyJ2+/=="));
    query_add(&body, "Empty", (struct span){NULL, 0});
    assert_string_equal(body.data, "&NextToken=eyJ2%2B%2F%3D%3D&Empty=");
    buf_release(&body);
}

static void test_query_add_int__writes_whole_range(void **state)
{
    struct buf body = BUF_INIT(256);

    (void)state;
    query_add_int(&body, "A", 0);
    query_add_int(&body, "B", INT64_MAX);
    query_add_int(&body, "C", INT64_MIN);
    assert_string_equal(body.data, "&A=0&B=9223372036854775807"
                                   "&C=-9223372036854775808");
    buf_release(&body);
}

/* EC2 API Reference, "Query requests": Filter.1.Name=…&Filter.1.Value.1=… */
static void test_query_add_filter__numbers_from_1(void **state)
{
    static const char *const GROUPS[] = {"sg-1", "sg-2", "a b"};
    struct buf body = BUF_INIT(512);

    (void)state;
    query_add_filter(&body, 1, "network-interface.group-id", GROUPS, 3);
    query_add_filter(&body, 12, "tag:Owner", GROUPS, 1);
    query_add_filter(&body, 3, "none", NULL, 0);
    assert_string_equal(body.data, "&Filter.1.Name=network-interface.group-id"
                                   "&Filter.1.Value.1=sg-1"
                                   "&Filter.1.Value.2=sg-2"
                                   "&Filter.1.Value.3=a%20b"
                                   "&Filter.12.Name=tag%3AOwner"
                                   "&Filter.12.Value.1=sg-1"
                                   "&Filter.3.Name=none");
    buf_release(&body);
}

static void build(struct buf *body)
{
    static const char *const VALUES[] = {"running", "*"};

    query_begin(body, "DescribeInstances");
    query_add_int(body, "MaxResults", 1000);
    query_add(body, "NextToken", SPAN_LIT("abc+"));
    query_add_filter(body, 1, "instance-state-name", VALUES, 2);
}

static void test_query_add__leaves_failed_allocations_to_buf_check(void **state)
{
    enum err_code rc;

    (void)state;
    for (size_t n = 0;; n++) {
        struct buf body = BUF_INIT(512);
        bool failed;

        fail_alloc_at(n);
        build(&body);
        failed = fail_alloc_stop();
        rc = buf_check(&body, "test", NULL);
        buf_release(&body);
        if (!failed)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    assert_int_equal(rc, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_encode__encodes_all_but_unreserved_bytes),
        cmocka_unit_test(test_query_begin__names_action_and_version),
        cmocka_unit_test(test_query_begin__forgets_text_and_failure),
        cmocka_unit_test(test_query_add__appends_name_and_encoded_value),
        cmocka_unit_test(test_query_add_int__writes_whole_range),
        cmocka_unit_test(test_query_add_filter__numbers_from_1),
        cmocka_unit_test(
            test_query_add__leaves_failed_allocations_to_buf_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
