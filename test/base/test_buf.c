#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "support/fail_alloc.h"

static void assert_text(const struct buf *buf, const char *text)
{
    assert_int_equal(buf->failed, ERR_OK);
    assert_int_equal(buf->len, strlen(text));
    assert_string_equal(buf->data, text);
}

static void test_buf_init__is_empty_and_terminated(void **state)
{
    struct buf buf = BUF_INIT(10);
    struct buf other = buf_of(10);

    (void)state;
    assert_text(&buf, "");
    assert_text(&other, "");
    assert_int_equal(buf_check(&buf, "x", NULL), ERR_OK);
    assert_int_equal(buf_span(&buf).len, 0);
    buf_release(&buf);
    assert_text(&buf, "");
}

static void test_buf_add__appends_every_kind(void **state)
{
    struct buf buf = BUF_INIT(100);

    (void)state;
    buf_add(&buf, "abc", 2);
    buf_add(&buf, NULL, 0);
    buf_add_str(&buf, "-str");
    buf_add_span(&buf, SPAN_LIT("-span"));
    buf_add_span(&buf, (struct span){NULL, 0});
    buf_add_char(&buf, '!');
    buf_addf(&buf, "%s %d %%", "fmt", -7);
    buf_addf(&buf, "%s", "");
    assert_text(&buf, "ab-str-span!fmt -7 %");
    assert_true(span_eq_str(buf_span(&buf), "ab-str-span!fmt -7 %"));
    buf_release(&buf);
}

static void test_buf_add_int__writes_every_size(void **state)
{
    static const int64_t numbers[] = {0,     1,         -1,        9,
                                      10,    -10,       65535,     INT32_MIN,
                                      99999, INT64_MAX, INT64_MIN, -90};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct buf out = BUF_INIT(100);
        char expected[64];

        (void)snprintf(expected, sizeof(expected), "%" PRId64, numbers[i]);
        buf_add_int(&out, numbers[i]);
        assert_text(&out, expected);
        buf_release(&out);
    }
}

static void test_buf_extend__gives_room_to_write(void **state)
{
    struct buf buf = BUF_INIT(10);
    char *at;

    (void)state;
    buf_add_str(&buf, "ab");
    at = buf_extend(&buf, 3);
    assert_ptr_equal(at, buf.data + 2);
    memcpy(at, "cde", 3);
    assert_text(&buf, "abcde");
    assert_null(buf_extend(&buf, 6));
    assert_int_equal(buf.failed, ERR_LIMIT);
    assert_string_equal(buf.data, "abcde");
    buf_release(&buf);
}

static void test_buf_add__keeps_nul_bytes(void **state)
{
    struct buf buf = BUF_INIT(100);

    (void)state;
    buf_add(&buf, "a\0b", 3);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "a\0b", 4);
    buf_release(&buf);
}

static void test_buf_add__grows_over_many_appends(void **state)
{
    struct buf buf = BUF_INIT(100000);

    (void)state;
    for (int i = 0; i < 10000; i++)
        buf_addf(&buf, "%04d,", i);
    assert_int_equal(buf.failed, ERR_OK);
    assert_int_equal(buf.len, 50000);
    assert_memory_equal(buf.data + 49995, "9999,", 6);
    assert_true(buf.cap <= buf.max + 1);
    buf_release(&buf);
}

static void test_buf_add__stops_at_the_maximum(void **state)
{
    struct buf buf = BUF_INIT(5);
    struct err err = {0};

    (void)state;
    buf_add_str(&buf, "12345");
    assert_text(&buf, "12345");
    assert_int_equal(buf.cap, 6);
    buf_add_char(&buf, '6');
    assert_string_equal(buf.data, "12345");
    assert_int_equal(buf_check(&buf, "module: text", &err), ERR_LIMIT);
    assert_string_equal(err.msg, "module: text: longer than 5 bytes");
    buf_release(&buf);
}

/* One row for each way to append; all or nothing, then nothing more. */
static void test_buf_add__is_all_or_nothing(void **state)
{
    (void)state;
    for (int way = 0; way < 5; way++) {
        struct buf buf = BUF_INIT(4);

        buf_add_str(&buf, "12");
        switch (way) {
        case 0:
            buf_add(&buf, "345", 3);
            break;
        case 1:
            buf_add_str(&buf, "345");
            break;
        case 2:
            buf_add_span(&buf, SPAN_LIT("345"));
            break;
        case 3:
            buf_addf(&buf, "%d", 345);
            break;
        default:
            buf_reserve(&buf, 3);
            break;
        }
        buf_add_char(&buf, '3');
        assert_string_equal(buf.data, "12");
        assert_int_equal(buf.len, 2);
        assert_int_equal(buf_check(&buf, "x", NULL), ERR_LIMIT);
        buf_release(&buf);
    }
}

static void test_buf_add__length_that_would_overflow_is_a_limit(void **state)
{
    struct buf buf = BUF_INIT(SIZE_MAX - 1);

    (void)state;
    buf_add_str(&buf, "x");
    buf_reserve(&buf, SIZE_MAX);
    assert_int_equal(buf.failed, ERR_LIMIT);
    assert_string_equal(buf.data, "x");
    buf_release(&buf);
}

static void test_buf_add__maximum_of_zero_takes_nothing(void **state)
{
    struct buf buf = BUF_INIT(0);

    (void)state;
    buf_add_str(&buf, "");
    assert_text(&buf, "");
    buf_add_char(&buf, 'x');
    assert_int_equal(buf.failed, ERR_LIMIT);
    assert_string_equal(buf.data, "");
    buf_release(&buf);
}

static void test_buf_reserve__keeps_appends_in_place(void **state)
{
    struct buf buf = BUF_INIT(1000);
    const char *before;

    (void)state;
    buf_reserve(&buf, 500);
    assert_text(&buf, "");
    before = buf.data;
    for (int i = 0; i < 500; i++)
        buf_add_char(&buf, 'x');
    assert_ptr_equal(buf.data, before);
    assert_int_equal(buf.len, 500);
    buf_release(&buf);
}

static void test_buf_truncate__cuts_and_never_adds(void **state)
{
    struct buf buf = BUF_INIT(100);

    (void)state;
    buf_truncate(&buf, 0);
    buf_add_str(&buf, "abcdef");
    buf_truncate(&buf, 3);
    assert_text(&buf, "abc");
    buf_truncate(&buf, 3);
    buf_truncate(&buf, 9);
    assert_text(&buf, "abc");
    buf_add_str(&buf, "x");
    assert_text(&buf, "abcx");
    buf_release(&buf);
}

static void test_buf_reset__forgets_a_failure_and_keeps_memory(void **state)
{
    struct buf buf = BUF_INIT(5);
    const char *before;

    (void)state;
    buf_add_str(&buf, "12345");
    before = buf.data;
    buf_add_str(&buf, "6");
    buf_reset(&buf);
    assert_text(&buf, "");
    buf_add_str(&buf, "abcde");
    assert_text(&buf, "abcde");
    assert_ptr_equal(buf.data, before);
    buf_release(&buf);
}

static void test_buf_release__leaves_it_usable(void **state)
{
    struct buf buf = BUF_INIT(5);

    (void)state;
    buf_add_str(&buf, "123456");
    buf_release(&buf);
    assert_text(&buf, "");
    assert_int_equal(buf.max, 5);
    buf_add_str(&buf, "abc");
    assert_text(&buf, "abc");
    buf_wipe(&buf);
    assert_text(&buf, "");
    buf_wipe(&buf);
    assert_string_equal(buf_empty, "");
}

static void test_buf__failed_allocations_change_nothing(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct buf buf = BUF_INIT(1000);
        struct err err = {0};

        fail_alloc_at(n);
        for (int i = 0; i < 50; i++)
            buf_addf(&buf, "%09d,", i);
        if (!fail_alloc_stop()) {
            assert_int_equal(buf_check(&buf, "x", &err), ERR_OK);
            assert_int_equal(buf.len, 500);
            buf_release(&buf);
            assert_true(n > 1);
            return;
        }
        assert_int_equal(buf_check(&buf, "module: text", &err), ERR_NOMEM);
        assert_string_equal(err.msg, "module: text: out of memory");
        /* What was there stands, whole records of it, terminated. */
        assert_int_equal(buf.len % 10, 0);
        assert_int_equal(strlen(buf.data), buf.len);
        /* Only buf_reset() makes it take text again. */
        buf_add_char(&buf, 'x');
        assert_int_equal(buf.len % 10, 0);
        buf_reset(&buf);
        buf_add_char(&buf, 'x');
        assert_text(&buf, "x");
        buf_release(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_init__is_empty_and_terminated),
        cmocka_unit_test(test_buf_add__appends_every_kind),
        cmocka_unit_test(test_buf_add_int__writes_every_size),
        cmocka_unit_test(test_buf_extend__gives_room_to_write),
        cmocka_unit_test(test_buf_add__keeps_nul_bytes),
        cmocka_unit_test(test_buf_add__grows_over_many_appends),
        cmocka_unit_test(test_buf_add__stops_at_the_maximum),
        cmocka_unit_test(test_buf_add__is_all_or_nothing),
        cmocka_unit_test(test_buf_add__length_that_would_overflow_is_a_limit),
        cmocka_unit_test(test_buf_add__maximum_of_zero_takes_nothing),
        cmocka_unit_test(test_buf_reserve__keeps_appends_in_place),
        cmocka_unit_test(test_buf_truncate__cuts_and_never_adds),
        cmocka_unit_test(test_buf_reset__forgets_a_failure_and_keeps_memory),
        cmocka_unit_test(test_buf_release__leaves_it_usable),
        cmocka_unit_test(test_buf__failed_allocations_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
