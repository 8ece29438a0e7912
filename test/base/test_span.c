#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/span.h"

static void test_span_of__null_is_empty(void **state)
{
    struct span s = span_of(NULL);

    (void)state;
    assert_int_equal(s.len, 0);
    assert_null(s.p);
    assert_int_equal(span_of("abc").len, 3);
    assert_int_equal(SPAN_LIT("a\0b").len, 3);
}

static void test_span_eq__compares_bytes(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN_LIT("abc"), SPAN_LIT("abc")));
    assert_true(span_eq((struct span){NULL, 0}, SPAN_LIT("")));
    assert_false(span_eq(SPAN_LIT("abc"), SPAN_LIT("abd")));
    assert_false(span_eq(SPAN_LIT("abc"), SPAN_LIT("ab")));
    assert_false(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
    assert_true(span_eq_str(SPAN_LIT("abc"), "abc"));
    assert_false(span_eq_str(SPAN_LIT("abc"), "abcd"));
}

static void test_span_eq_nocase__folds_ascii_alone(void **state)
{
    (void)state;
    assert_true(span_eq_nocase(SPAN_LIT("oWnEr"), SPAN_LIT("OwNeR")));
    assert_true(span_eq_nocase(SPAN_LIT("AZaz"), SPAN_LIT("azAZ")));
    assert_true(span_eq_nocase(SPAN_LIT(""), SPAN_LIT("")));
    assert_false(span_eq_nocase(SPAN_LIT("owner"), SPAN_LIT("owners")));
    /* Neighbours of the letters in ASCII differ by the same bit. */
    assert_false(span_eq_nocase(SPAN_LIT("@["), SPAN_LIT("`{")));
    assert_false(span_eq_nocase(SPAN_LIT("\xC3\x84"), SPAN_LIT("\xC3\xA4")));
}

static void test_span_starts_with__tells_prefixes(void **state)
{
    (void)state;
    assert_true(span_starts_with(SPAN_LIT("https://x"), "https://"));
    assert_true(span_starts_with(SPAN_LIT("x"), "x"));
    assert_true(span_starts_with(SPAN_LIT("x"), ""));
    assert_true(span_starts_with((struct span){NULL, 0}, ""));
    assert_false(span_starts_with(SPAN_LIT("http"), "https"));
    assert_false(span_starts_with(SPAN_LIT("xhttp"), "http"));
}

static void test_span_cmp__orders_as_memcmp(void **state)
{
    static const struct span sorted[] = {
        {"", 0},     {"\0", 1},   {"A", 1},        {"a", 1},
        {"a\0", 2},  {"aa", 2},   {"ab", 2},       {"b", 1},
        {"\x7f", 1}, {"\x80", 1}, {"\xff\xff", 2},
    };
    size_t n = sizeof(sorted) / sizeof(sorted[0]);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(span_cmp(sorted[i], sorted[i]), 0);
        for (size_t j = i + 1; j < n; j++) {
            assert_true(span_cmp(sorted[i], sorted[j]) < 0);
            assert_true(span_cmp(sorted[j], sorted[i]) > 0);
        }
    }
}

static void test_span_trim__takes_blanks_off_both_ends(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"", ""},      {" ", ""},        {" \t\r\n", ""},
        {"a", "a"},    {" a b ", "a b"}, {"\r\n\ta", "a"},
        {"a \n", "a"}, {"\va", "\va"},   {"\xC2\xA0", "\xC2\xA0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!span_eq_str(span_trim(span_of(rows[i].in)), rows[i].out))
            fail_msg("row %zu", i);
    assert_int_equal(span_trim((struct span){NULL, 0}).len, 0);
}

/* Joins the parts with '|', so that empty ones show. */
static void split_all(struct span rest, char out[64])
{
    struct span part;
    size_t len = 0;

    while (span_split(&rest, ',', &part)) {
        if (part.len)
            memcpy(out + len, part.p, part.len);
        len += part.len;
        out[len++] = '|';
    }
    out[len] = '\0';
}

static void test_span_split__gives_every_part(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"", "|"},         {",", "||"},   {"a", "a|"},   {"a,b", "a|b|"},
        {"a,,b", "a||b|"}, {",a", "|a|"}, {"a,", "a||"}, {" a , b", " a | b|"},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        split_all(span_of(rows[i].in), out);
        if (strcmp(out, rows[i].out) != 0)
            fail_msg("\"%s\": %s", rows[i].in, out);
    }
    split_all((struct span){NULL, 0}, out);
    assert_string_equal(out, "");
}

/* The block has no byte more than the span, for the sanitizer to watch. */
static void test_span_split__reads_no_further_than_the_span(void **state)
{
    char *exact = malloc(3);
    struct span rest = {exact, 3};
    struct span part;

    (void)state;
    assert_non_null(exact);
    memcpy(exact, "a,b", 3);
    assert_true(span_split(&rest, ',', &part));
    assert_true(span_split(&rest, ',', &part));
    assert_true(span_eq_str(part, "b"));
    assert_false(span_split(&rest, ',', &part));
    free(exact);
}

static void test_span_int64__reads_whole_decimal_numbers(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"007", 7},
        {"65535", 65535},
        {"-1", -1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 99;

        if (!span_int64(span_of(rows[i].text), &value) ||
            value != rows[i].value)
            fail_msg("%s", rows[i].text);
    }
}

static void test_span_int64__refuses_everything_else(void **state)
{
    static const char *const rows[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "1a",
        "0x10",
        "1.0",
        "1e3",
        "--1",
        "1-",
        "\xC2\xB2",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 99;

        if (span_int64(span_of(rows[i]), &value))
            fail_msg("%s: %lld", rows[i], (long long)value);
        assert_int_equal(value, 99);
    }
    assert_false(span_int64((struct span){"1\0", 2}, &(int64_t){0}));
}

static void test_span_int64__reads_no_further_than_the_span(void **state)
{
    char *exact = malloc(2);
    int64_t value = 0;

    (void)state;
    assert_non_null(exact);
    memcpy(exact, "42", 2);
    assert_true(span_int64((struct span){exact, 2}, &value));
    assert_int_equal(value, 42);
    free(exact);
}

static void test_span_fits__takes_stars_in_any_letter_case(void **state)
{
    static const struct {
        const char *text;
        const char *pattern;
        bool fits;
    } cases[] = {
        {"", "", true},          {"", "*", true},
        {"", "**", true},        {"a", "", false},
        {"", "a", false},        {"a", "a", true},
        {"A", "a", true},        {"a", "A", true},
        {"a", "b", false},       {"abc", "*", true},
        {"abc", "a*", true},     {"abc", "*c", true},
        {"abc", "a*c", true},    {"abc", "a**c", true},
        {"abc", "a*b", false},   {"abc", "*b*", true},
        {"abc", "abc*", true},   {"abc", "*abc", true},
        {"abc", "abcd*", false}, {"abc", "?bc", false},
        {"a*c", "a*c", true},    {"mississippi", "m*iss*ip*i", true},
        {"abab", "*ab", true},   {"aab", "*a*b*b", false},
        {"x.y", "x.y", true},    {"xzy", "x.y", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (span_fits(span_of(cases[i].text), span_of(cases[i].pattern)) !=
            cases[i].fits)
            fail_msg("%s in %s", cases[i].text, cases[i].pattern);
}

/* The worst that a pattern can do is length times length. */
static void test_span_fits__does_not_explode(void **state)
{
    char text[512];
    char pattern[512];

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[sizeof(pattern) - 1] = 'b';
    assert_false(span_fits((struct span){text, sizeof(text)},
                           (struct span){pattern, sizeof(pattern)}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span_fits__takes_stars_in_any_letter_case),
        cmocka_unit_test(test_span_fits__does_not_explode),
        cmocka_unit_test(test_span_of__null_is_empty),
        cmocka_unit_test(test_span_eq__compares_bytes),
        cmocka_unit_test(test_span_eq_nocase__folds_ascii_alone),
        cmocka_unit_test(test_span_starts_with__tells_prefixes),
        cmocka_unit_test(test_span_cmp__orders_as_memcmp),
        cmocka_unit_test(test_span_trim__takes_blanks_off_both_ends),
        cmocka_unit_test(test_span_split__gives_every_part),
        cmocka_unit_test(test_span_split__reads_no_further_than_the_span),
        cmocka_unit_test(test_span_int64__reads_whole_decimal_numbers),
        cmocka_unit_test(test_span_int64__refuses_everything_else),
        cmocka_unit_test(test_span_int64__reads_no_further_than_the_span),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
