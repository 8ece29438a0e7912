/*
 * The three forms of RFC 9110 §5.6.7; the numbers are date(1)'s:
 * date -u -d "Sun, 06 Nov 1994 08:49:37 GMT" +%s
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "net/http.h"

static void test_http_date_ms__reads_the_forms_of_the_rfc(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
        {"Sun Nov  6 08:49:37 1994", 784111777000},
        {"Sun, 29 Feb 2032 23:59:59 GMT", 1961711999000},
        {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648000},
        {"  Sun, 06 Nov 1994 08:49:37 GMT ", 784111777000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = 0;

        if (!http_date_ms(span_of(rows[i].text), &ms) || ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
}

static void test_http_date_ms__reads_no_further_than_the_span(void **state)
{
    static const char DATE[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    size_t len = sizeof(DATE) - 1;
    char *exact = malloc(len);
    int64_t ms = 0;

    (void)state;
    assert_non_null(exact);
    memcpy(exact, DATE, len);
    assert_true(http_date_ms((struct span){exact, len}, &ms));
    assert_int_equal(ms, 784111777000);
    free(exact);
}

static void test_http_date_ms__refuses_what_is_no_date(void **state)
{
    static const char LONG[] = "Sun, 06 Nov 1994 08:49:37 GMT            "
                               "                                        .";
    static const struct span rows[] = {
        {"", 0},
        {NULL, 0},
        {"   ", 3},
        {"soon", 4},
        {"Sun, 06 Nov 1994 08:49:37\0GMT", 29},
        {"Sun, 99 Nov 1994 08:49:37 GMT", 29},
        {LONG, sizeof(LONG) - 1},
        {"Sat, 01 Jan 10000 00:00:00 GMT", 30},
        {"Jan2 888958955", 14}, /* more milliseconds than fit */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = 7;

        if (http_date_ms(rows[i], &ms))
            fail_msg("row %zu: %lld", i, (long long)ms);
        assert_int_equal(ms, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_date_ms__reads_the_forms_of_the_rfc),
        cmocka_unit_test(test_http_date_ms__reads_no_further_than_the_span),
        cmocka_unit_test(test_http_date_ms__refuses_what_is_no_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
