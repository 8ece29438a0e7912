#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/records.h"
#include "survey/ports.h"

/* By hand, from the EC2 API reference, IpPermission. */
static const struct {
    const char *rule;
    const char *words;
} CASES[] = {
    {"-1 - -", "all traffic"},
    {"-1 22 22", "all traffic"},
    {"tcp 22 22", "22"},
    {"tcp 8000 8080", "8000-8080"},
    {"tcp 0 0", "0"},
    {"tcp 0 65534", "0-65534"},
    {"tcp 1 65535", "1-65535"},
    {"tcp 0 65535", "all ports"},
    {"tcp - -", "all ports"},
    {"tcp 22 -", "all ports"},
    {"udp 53 53", "53"},
    {"udp 0 65535", "all ports"},
    {"6 443 443", "443"},
    {"17 123 123", "123"},
    {"icmp -1 -1", "all ICMP"},
    {"icmp - -", "all ICMP"},
    {"icmp 8 -1", "ICMP type 8"},
    {"icmp 0 0", "ICMP type 0 code 0"},
    {"icmp 3 4", "ICMP type 3 code 4"},
    {"1 8 -1", "ICMP type 8"},
    {"icmpv6 -1 -1", "all ICMPv6"},
    {"icmpv6 128 0", "ICMPv6 type 128 code 0"},
    {"58 - -", "all ICMPv6"},
    {"50 - -", "all of protocol 50"},
    {"50 0 0", "all of protocol 50"},
    {"tcpx 22 22", "all of protocol tcpx"},
    {"tcp -2147483648 2147483647", "all ports"},
    {"icmpv6 -2147483648 -2147483648",
     "ICMPv6 type -2147483648 code -2147483648"},
};

static void test_ports_describe__says_it_in_plain_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct ec2_permission rule = permission_of(CASES[i].rule);
        char out[PORTS_TEXT_MAX + 1];

        memset(out, '#', sizeof(out));
        ports_describe(&rule, out);
        if (strcmp(out, CASES[i].words) != 0)
            fail_msg("%s: \"%s\"", CASES[i].rule, out);
    }
}

static void test_ports_describe__bounds_a_long_protocol(void **state)
{
    char name[200];
    struct ec2_permission rule = {.protocol = {name, sizeof(name)}};
    char out[PORTS_TEXT_MAX + 1];

    (void)state;
    memset(name, '7', sizeof(name));
    ports_describe(&rule, out);
    assert_string_equal(out,
                        "all of protocol 77777777777777777777777777777777");
}

static void test_ports_describe__cuts_between_characters(void **state)
{
    char name[] = "1234567890123456789012345678901\xC3\xBC";
    struct ec2_permission rule = {.protocol = span_of(name)};
    char out[PORTS_TEXT_MAX + 1];

    (void)state;
    ports_describe(&rule, out);
    assert_string_equal(out, "all of protocol 1234567890123456789012345678901");
}

static void test_ports_describe__accepts_a_missing_protocol(void **state)
{
    struct ec2_permission rule = {0};
    char out[PORTS_TEXT_MAX + 1];

    (void)state;
    ports_describe(&rule, out);
    assert_string_equal(out, "all of protocol ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports_describe__says_it_in_plain_words),
        cmocka_unit_test(test_ports_describe__bounds_a_long_protocol),
        cmocka_unit_test(test_ports_describe__cuts_between_characters),
        cmocka_unit_test(test_ports_describe__accepts_a_missing_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
