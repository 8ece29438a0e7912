#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

#define MENDED_MAX 64

/* Texts and what becomes of them; Python's bytes.decode("utf-8", "replace")
 * marks whole runs, here each byte is marked. R is U+FFFD. */
#define R "\xEF\xBF\xBD"

static const struct {
    const char *text;
    const char *mended; /* NULL: is valid as it is */
} CASES[] = {
    {"", NULL},
    {"plain", NULL},
    {"\x7F", NULL},
    {"\xC2\x80", NULL},
    {"\xDF\xBF", NULL},
    {"\xE0\xA0\x80", NULL},
    {"\xED\x9F\xBF", NULL},
    {"\xEE\x80\x80", NULL},
    {"\xEF\xBF\xBF", NULL},
    {"\xF0\x90\x80\x80", NULL},
    {"\xF4\x8F\xBF\xBF", NULL},
    {"a\xE2\x98\x83z", NULL},
    {"\x80", R},
    {"\xBF"
     "a",
     R "a"},
    {"\xC0\x80", R R},
    {"\xC1\xBF", R R},
    {"\xE0\x9F\xBF", R R R},
    {"\xED\xA0\x80", R R R},
    {"\xED\xBF\xBF", R R R},
    {"\xF0\x8F\xBF\xBF", R R R R},
    {"\xF4\x90\x80\x80", R R R R},
    {"\xF5\x80\x80\x80", R R R R},
    {"\xF8\x88\x80\x80\x80", R R R R R},
    {"\xFE", R},
    {"\xFF", R},
    {"\xC3", R},
    {"\xE2\x98", R R},
    {"\xF0\x90\x80", R R R},
    {"a\xC3z", "a" R "z"},
    {"a\xE2\x98\xC3\xA9", "a" R R "\xC3\xA9"},
};
#define NCASES (sizeof(CASES) / sizeof(CASES[0]))

static void test_utf8_is_valid__takes_what_unicode_defines(void **state)
{
    (void)state;
    for (size_t i = 0; i < NCASES; i++)
        if (utf8_is_valid(span_of(CASES[i].text)) != !CASES[i].mended)
            fail_msg("case %zu", i);
}

static void test_utf8_mend__marks_each_byte_that_is_of_no_use(void **state)
{
    (void)state;
    for (size_t i = 0; i < NCASES; i++) {
        const char *expected =
            CASES[i].mended ? CASES[i].mended : CASES[i].text;
        char out[MENDED_MAX];

        assert_int_equal(utf8_mend(span_of(CASES[i].text), out),
                         strlen(expected));
        assert_string_equal(out, expected);
        assert_true(utf8_is_valid(span_of(out)));
    }
}

static void test_utf8_read__gives_length_and_number(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        uint32_t number;
    } cases[] = {
        {"a", 1, 0x61},
        {"\xC3\xA9x", 2, 0xE9},
        {"\xE2\x80\xAEx", 3, 0x202E},
        {"\xF3\xA0\x80\x81x", 4, 0xE0001},
        {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
        {"\x80", 0, 7},
        {"", 0, 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t number = 7;

        assert_int_equal(utf8_read(span_of(cases[i].text), &number),
                         cases[i].len);
        assert_int_equal(number, cases[i].number);
    }
    assert_int_equal(utf8_read(SPAN_LIT("\0"), NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_valid__takes_what_unicode_defines),
        cmocka_unit_test(test_utf8_mend__marks_each_byte_that_is_of_no_use),
        cmocka_unit_test(test_utf8_read__gives_length_and_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
