#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aws/ec2_types.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_ec2_action_name__is_the_one_on_the_wire(void **state)
{
    static const struct {
        enum ec2_action action;
        const char *name;
    } ROWS[] = {
        {EC2_DESCRIBE_REGIONS, "DescribeRegions"},
        {EC2_DESCRIBE_INSTANCES, "DescribeInstances"},
        {EC2_DESCRIBE_SECURITY_GROUPS, "DescribeSecurityGroups"},
    };

    (void)state;
    assert_int_equal(COUNT(ROWS), EC2_NACTIONS);
    for (size_t i = 0; i < COUNT(ROWS); i++)
        assert_string_equal(ec2_action_name(ROWS[i].action), ROWS[i].name);
}

#define TAG(k, v)                                                              \
    {                                                                          \
        {(k), sizeof(k) - 1}, {(v), sizeof(v) - 1},                            \
    }

#define SPAN_OF(s)                                                             \
    {                                                                          \
        (s), sizeof(s) - 1                                                     \
    }

static void test_ec2_instance_tag__prefers_the_exact_key(void **state)
{
    static const struct ec2_tag TAGS[] = {
        TAG("name", "lower"), TAG("NAME", "upper"),  TAG("Name", "exact"),
        TAG("Name", "again"), TAG("owner", "first"), TAG("OWNER", "second"),
        TAG("Empty", ""),     TAG("EMPTY", "full"),  TAG("Team ", "blank"),
        TAG("\xc3\x84", "A"),
    };
    static const struct {
        const char *key;
        const char *value; /* NULL: none */
    } ROWS[] = {
        {"Name", "exact"},  {"NAME", "upper"}, {"nAME", "lower"},
        {"Owner", "first"}, {"Empty", ""},     {"empty", ""},
        {"Na", NULL},       {"Names", NULL},   {"Team", NULL},
        {"\xc3\xa4", NULL}, /* another case only beyond ASCII */
    };
    const struct ec2_instance instance = {.tags = TAGS, .ntags = COUNT(TAGS)};

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct span value = ec2_instance_tag(&instance, ROWS[i].key);

        if (!span_eq_str(value, ROWS[i].value ? ROWS[i].value : ""))
            fail_msg("%s: \"%.*s\"", ROWS[i].key, SPAN_ARG(value));
        assert_true(ROWS[i].value || value.len == 0);
    }
}

static void test_ec2_instance_tag__is_empty_without_tags(void **state)
{
    const struct ec2_instance instance = {.ntags = 0};

    (void)state;
    assert_int_equal(ec2_instance_tag(&instance, "Name").len, 0);
}

static void test_ec2_instance_address__prefers_the_instances_own(void **state)
{
    static const struct ec2_address ADDRESSES[] = {
        {SPAN_OF("10.0.0.5"), EC2_PRIVATE_IP, false},
        {SPAN_OF("10.0.0.4"), EC2_PRIVATE_IP, true},
        {SPAN_OF("2001:db8::1"), EC2_IPV6, false},
        {SPAN_OF("2001:db8::2"), EC2_IPV6, false},
    };
    const struct ec2_instance instance = {
        .addresses = ADDRESSES,
        .naddresses = COUNT(ADDRESSES),
    };

    (void)state;
    assert_true(span_eq_str(ec2_instance_address(&instance, EC2_PRIVATE_IP),
                            "10.0.0.4"));
    assert_true(
        span_eq_str(ec2_instance_address(&instance, EC2_IPV6), "2001:db8::1"));
    assert_int_equal(ec2_instance_address(&instance, EC2_PUBLIC_IP).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ec2_action_name__is_the_one_on_the_wire),
        cmocka_unit_test(test_ec2_instance_tag__prefers_the_exact_key),
        cmocka_unit_test(test_ec2_instance_tag__is_empty_without_tags),
        cmocka_unit_test(test_ec2_instance_address__prefers_the_instances_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
