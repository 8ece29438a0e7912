#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/wipe.h"

static void test_wipe__zeroes_exactly_what_it_is_told(void **state)
{
    char text[] = "abcdef";

    (void)state;
    wipe(text + 1, 3);
    assert_memory_equal(text, "a\0\0\0ef", 7);
}

static void test_wipe__accepts_nothing(void **state)
{
    char text[] = "a";

    (void)state;
    wipe(NULL, 0);
    wipe(text, 0);
    assert_string_equal(text, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wipe__zeroes_exactly_what_it_is_told),
        cmocka_unit_test(test_wipe__accepts_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
