#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

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

/* From the Unicode code charts and Bidi_Control, Default_Ignorable_Code_Point
 * of DerivedCoreProperties.txt 15.0. */
static void test_label_copy__leaves_out_what_is_not_seen(void **state)
{
    static const char *const unseen[] = {
        "\xC2\xAD",         /* U+00AD soft hyphen */
        "\xD8\x9C",         /* U+061C Arabic letter mark */
        "\xE1\xA0\x8E",     /* U+180E Mongolian vowel separator */
        "\xE2\x80\x8B",     /* U+200B zero width space */
        "\xE2\x80\x8D",     /* U+200D zero width joiner */
        "\xE2\x80\x8E",     /* U+200E left-to-right mark */
        "\xE2\x80\x8F",     /* U+200F right-to-left mark */
        "\xE2\x80\xA8",     /* U+2028 line separator */
        "\xE2\x80\xAA",     /* U+202A left-to-right embedding */
        "\xE2\x80\xAE",     /* U+202E right-to-left override */
        "\xE2\x81\xA0",     /* U+2060 word joiner */
        "\xE2\x81\xA6",     /* U+2066 left-to-right isolate */
        "\xE2\x81\xA9",     /* U+2069 pop directional isolate */
        "\xEF\xB8\x8F",     /* U+FE0F variation selector 16 */
        "\xEF\xBB\xBF",     /* U+FEFF zero width no-break space */
        "\xF3\xA0\x80\x80", /* U+E0000 */
        "\xF3\xA0\x81\x81", /* U+E0041 tag A */
        "\xF3\xA0\x81\xBF", /* U+E007F cancel tag */
        "\xF3\xA0\x84\x80", /* U+E0100 variation selector 17 */
        "\xF3\xA0\x87\xB0", /* U+E01F0, reserved */
        "\xCD\x8F",         /* U+034F combining grapheme joiner */
        "\xE1\x85\xA0",     /* U+1160 Hangul jungseong filler */
        "\xE1\x9E\xB4",     /* U+17B4 Khmer vowel inherent aq */
        "\xE3\x85\xA4",     /* U+3164 Hangul filler */
        "\xEF\xBE\xA0",     /* U+FFA0 halfwidth Hangul filler */
        "\xEF\xBF\xB0",     /* U+FFF0, reserved */
        "\xF0\x9B\xB2\xA0", /* U+1BCA0 shorthand format letter overlap */
        "\xF0\x9D\x85\xB3", /* U+1D173 musical symbol begin beam */
    };
    static const char *const seen[] = {
        "\xE2\x80\x8A",     /* U+200A hair space */
        "\xE2\x80\x90",     /* U+2010 hyphen */
        "\xE2\x80\xA7",     /* U+2027 hyphenation point */
        "\xE2\x80\xAF",     /* U+202F narrow no-break space */
        "\xE2\x81\xB0",     /* U+2070 superscript zero */
        "\xEF\xB7\xBF",     /* U+FDFF */
        "\xEF\xB8\x90",     /* U+FE10 */
        "\xF3\xA1\x80\x80", /* U+E1000 */
    };
    struct arena arena = ARENA_INIT(8192);

    (void)state;
    for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++) {
        char text[16];

        (void)snprintf(text, sizeof(text), "a%sz", unseen[i]);
        if (strcmp(label_copy(&arena, span_of(text)).p, "az") != 0)
            fail_msg("unseen %zu", i);
    }
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
        if (strcmp(label_copy(&arena, span_of(seen[i])).p, seen[i]) != 0)
            fail_msg("seen %zu", i);
    arena_release(&arena);
}

/* A text of n characters, one in four of them of four bytes. */
static size_t write_characters(char *out, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        const char *c = i % 4 ? "x" : "\xF0\x9F\x98\x80";

        memcpy(out + len, c, strlen(c));
        len += strlen(c);
    }
    return len;
}

static void test_label_copy__cuts_at_128_characters(void **state)
{
    struct arena arena = ARENA_INIT(8192);
    char text[1024];
    char expected[1024];
    size_t len;
    struct span copy;

    (void)state;
    len = write_characters(text, 128);
    copy = label_copy(&arena, (struct span){text, len});
    assert_true(span_eq(copy, (struct span){text, len}));

    len = write_characters(text, 129);
    copy = label_copy(&arena, (struct span){text, len});
    len = write_characters(expected, 127);
    memcpy(expected + len, "\xE2\x80\xA6", 4);
    assert_string_equal(copy.p, expected);

    /* What is left out does not count. */
    len = write_characters(text, 128);
    memcpy(text + len, "\n\n\xE2\x80\x8B", 5);
    copy = label_copy(&arena, (struct span){text, len + 5});
    assert_true(span_eq(copy, (struct span){text, len}));
    arena_release(&arena);
}

/* A long name must not cost more than what is kept of it. */
static void test_label_copy__needs_no_room_for_what_is_cut(void **state)
{
    struct arena arena = ARENA_INIT(1024);
    char text[4096];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(label_copy(&arena, (struct span){text, sizeof(text)}).len,
                     127 + 3);
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
        cmocka_unit_test(test_label_copy__leaves_out_what_is_not_seen),
        cmocka_unit_test(test_label_copy__cuts_at_128_characters),
        cmocka_unit_test(test_label_copy__needs_no_room_for_what_is_cut),
        cmocka_unit_test(test_label_copy__fails_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
