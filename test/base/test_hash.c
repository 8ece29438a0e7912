#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"

/* From draft-eastlake-fnv, appendix C, "FNV-1a 64-bit". */
static void test_hash_of__equals_the_published_numbers(void **state)
{
    (void)state;
    assert_true(hash_of(SPAN_LIT("")) == 0xcbf29ce484222325U);
    assert_true(hash_of(SPAN_LIT("a")) == 0xaf63dc4c8601ec8cU);
    assert_true(hash_of(SPAN_LIT("foobar")) == 0x85944171f73967e8U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_of__equals_the_published_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
