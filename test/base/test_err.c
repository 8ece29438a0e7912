#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/err.h"

static void test_err_set__fills_and_returns_the_code(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_PARSE, "module: what, %s %d", "x", 7),
                     ERR_PARSE);
    assert_int_equal(err.code, ERR_PARSE);
    assert_string_equal(err.msg, "module: what, x 7");
}

static void test_err_set__later_failures_leave_the_first(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_NET, "first"), ERR_NET);
    assert_int_equal(err_set(&err, ERR_IO, "second"), ERR_IO);
    assert_int_equal(err_nomem(&err, "third"), ERR_NOMEM);
    assert_int_equal(err.code, ERR_NET);
    assert_string_equal(err.msg, "first");
}

static void test_err_set__accepts_null(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_TIME, "%d", 1), ERR_TIME);
    assert_int_equal(err_nomem(NULL, "x"), ERR_NOMEM);
}

static void test_err_set__cuts_a_long_text(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_ARG, "%1000s", "end"), ERR_ARG);
    assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
    assert_null(strstr(err.msg, "end"));
}

static void test_err_nomem__names_who(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_nomem(&err, "sigv4: scope"), ERR_NOMEM);
    assert_string_equal(err.msg, "sigv4: scope: out of memory");
}

static void test_err_text__has_words_for_every_code(void **state)
{
    (void)state;
    for (int code = ERR_OK; code <= ERR_TIME; code++) {
        struct err err = {.code = (enum err_code)code};

        assert_true(err_text(&err)[0]);
        assert_string_not_equal(err_text(&err), "unknown error");
        for (int other = ERR_OK; other < code; other++) {
            struct err before = {.code = (enum err_code)other};

            assert_string_not_equal(err_text(&err), err_text(&before));
        }
    }
}

static void test_err_text__prefers_the_text(void **state)
{
    struct err err = {0};

    (void)state;
    assert_string_equal(err_text(&err), "no error");
    (void)err_set(&err, ERR_IO, "file: gone");
    assert_string_equal(err_text(&err), "file: gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_set__fills_and_returns_the_code),
        cmocka_unit_test(test_err_set__later_failures_leave_the_first),
        cmocka_unit_test(test_err_set__accepts_null),
        cmocka_unit_test(test_err_set__cuts_a_long_text),
        cmocka_unit_test(test_err_nomem__names_who),
        cmocka_unit_test(test_err_text__has_words_for_every_code),
        cmocka_unit_test(test_err_text__prefers_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
