#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "survey/label.h"

static void test_label_copy__leaves_out_control_characters(void **state)
{
    /* By hand, from the Unicode code charts C0 and C1. */
    const struct {
        struct span text;
        const char *expected;
    } rows[] = {
        {SPAN_LIT(""), ""},
        {SPAN_LIT("web-1"), "web-1"},
        {SPAN_LIT("a\tb\r\nc"), "abc"},
        {SPAN_LIT("a\0b"), "ab"},
        {SPAN_LIT("\x1b[31mred\x7f"), "[31mred"},
        {SPAN_LIT("\xc2\x80x\xc2\x9fy"), "xy"},
        {SPAN_LIT("\xc2\xa0\xc3\x9f\xe2\x82\xac"),
         "\xc2\xa0\xc3\x9f\xe2\x82\xac"},
        {SPAN_LIT("\n\n"), ""},
    };
    struct arena arena = ARENA_INIT(4096);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span copy = label_copy(&arena, rows[i].text);

        assert_non_null(copy.p);
        assert_string_equal(copy.p, rows[i].expected);
        assert_int_equal(copy.len, span_of(rows[i].expected).len);
    }
    arena_release(&arena);
}

static void test_label_copy__fails_without_room(void **state)
{
    struct arena arena = ARENA_INIT(8);

    (void)state;
    assert_null(label_copy(&arena, SPAN_LIT("longer than that")).p);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label_copy__leaves_out_control_characters),
        cmocka_unit_test(test_label_copy__fails_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
