#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json_text.h"
#include "support/fail_alloc.h"

/* Writes s; jansson, which escapes by the same section, must agree. */
static void assert_string(struct span s)
{
    struct buf out = BUF_INIT(1000);
    json_t *string = json_stringn(s.p ? s.p : "", s.len);
    char *expected = json_dumps(string, JSON_ENCODE_ANY);

    assert_non_null(expected);
    json_text_string(&out, s);
    assert_int_equal(out.failed, ERR_OK);
    assert_int_equal(out.len, strlen(expected));
    assert_string_equal(out.data, expected);
    assert_int_equal(json_text_string_len(s), out.len - 2);
    free(expected);
    json_decref(string);
    buf_release(&out);
}

static void test_json_text_string__writes_each_character(void **state)
{
    char text[] = "a?z";

    (void)state;
    for (int c = 0; c < 0x80; c++) {
        text[1] = (char)c;
        assert_string((struct span){text, 3});
        assert_string((struct span){text + 1, 1});
        assert_string((struct span){text, 2});
    }
    assert_string(SPAN_LIT(""));
    assert_string((struct span){NULL, 0});
    assert_string(SPAN_LIT("\xC3\xBC \xE2\x80\xA8 \xEF\xBF\xBF \xF4\x8F\xBF\xBF"
                           "\"\\/"));
    assert_string(SPAN_LIT("[{\"a\":\"b\\\"c\"}]"));
}

/* Escapes are counted in blocks, so what needs one is tried at each place. */
static void test_json_text_string__is_right_at_each_place(void **state)
{
    static const char NEEDY[] = {'"', '\\', '\n', '\x1F', '\0'};
    char text[100];

    (void)state;
    for (size_t len = 30; len <= sizeof(text); len++) {
        memset(text, 'x', len);
        for (size_t i = 0; i < len; i++) {
            text[i] = NEEDY[(i + len) % sizeof(NEEDY)];
            assert_string((struct span){text, len});
            text[i] = 'x';
        }
    }
    memset(text, '"', sizeof(text));
    assert_string((struct span){text, sizeof(text)});
    memset(text, '\x7F', sizeof(text));
    assert_string((struct span){text, sizeof(text)});
}

/* Either form is allowed; section 7 names the short ones. */
static void test_json_text_string__prefers_short_escapes(void **state)
{
    struct buf out = BUF_INIT(100);

    (void)state;
    json_text_string(&out, SPAN_LIT("\b\t\n\f\r\"\\\x1F"));
    assert_string_equal(out.data, "\"\\b\\t\\n\\f\\r\\\"\\\\\\u001F\"");
    buf_release(&out);
}

static void test_json_text_member__puts_commas_between(void **state)
{
    struct buf out = BUF_INIT(1000);

    (void)state;
    buf_add_str(&out, "{");
    json_text_member(&out, "a", SPAN_LIT("{"));
    json_text_int(&out, "b", -1);
    json_text_key(&out, "c");
    buf_add_str(&out, "{");
    json_text_member(&out, "d", SPAN_LIT(""));
    buf_add_str(&out, "}");
    json_text_key(&out, "e");
    buf_add_str(&out, "[]}");
    assert_string_equal(out.data,
                        "{\"a\":\"{\",\"b\":-1,\"c\":{\"d\":\"\"},\"e\":[]}");
    buf_release(&out);
}

static void test_json_text__tells_what_does_not_fit(void **state)
{
    struct buf out = BUF_INIT(8);

    (void)state;
    json_text_string(&out, SPAN_LIT("123456"));
    assert_int_equal(out.failed, ERR_OK);
    buf_reset(&out);
    json_text_string(&out, SPAN_LIT("12345\""));
    assert_int_equal(out.failed, ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_reset(&out);
    json_text_key(&out, "12345");
    assert_int_equal(out.failed, ERR_OK);
    json_text_key(&out, "");
    assert_int_equal(out.failed, ERR_LIMIT);
    assert_string_equal(out.data, "\"12345\":");
    buf_release(&out);
}

static void test_json_text__reports_failed_allocations(void **state)
{
    struct buf out = BUF_INIT(100);

    (void)state;
    fail_alloc_from(0);
    json_text_key(&out, "a");
    json_text_string(&out, SPAN_LIT("b"));
    assert_true(fail_alloc_stop());
    assert_int_equal(out.failed, ERR_NOMEM);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_text_string__writes_each_character),
        cmocka_unit_test(test_json_text_string__is_right_at_each_place),
        cmocka_unit_test(test_json_text_string__prefers_short_escapes),
        cmocka_unit_test(test_json_text_member__puts_commas_between),
        cmocka_unit_test(test_json_text__tells_what_does_not_fit),
        cmocka_unit_test(test_json_text__reports_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
