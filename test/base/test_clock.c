#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "support/fake_clock.h"

/* Expected stamps: date -u -d @SECONDS +%Y%m%dT%H%M%SZ. */
static void test_clock_utc__writes_both_forms(void **state)
{
    static const struct {
        int64_t ms;
        const char *basic;
        const char *rfc3339;
    } rows[] = {
        {0, "19700101T000000Z", "1970-01-01T00:00:00.000Z"},
        {1893553445678, "20300102T030405Z", "2030-01-02T03:04:05.678Z"},
        {1709164799999, "20240228T235959Z", "2024-02-28T23:59:59.999Z"},
        {1709164800000, "20240229T000000Z", "2024-02-29T00:00:00.000Z"},
        {4107542400000, "21000301T000000Z", "2100-03-01T00:00:00.000Z"},
        {-1, "19691231T235959Z", "1969-12-31T23:59:59.999Z"},
        {-62135596800000, "00010101T000000Z", "0001-01-01T00:00:00.000Z"},
        {-1000, "19691231T235959Z", "1969-12-31T23:59:59.000Z"},
        {253402300799000, "99991231T235959Z", "9999-12-31T23:59:59.000Z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char basic[CLOCK_BASIC_LEN + 1];
        char rfc3339[CLOCK_RFC3339_LEN + 1];

        clock_utc_basic(rows[i].ms, basic);
        clock_utc_rfc3339(rows[i].ms, rfc3339);
        assert_string_equal(basic, rows[i].basic);
        assert_string_equal(rfc3339, rows[i].rfc3339);
    }
}

static void test_clock_utc__times_far_off_keep_the_form(void **state)
{
    static const int64_t rows[] = {INT64_MIN, -62167219200001, 253402300800000,
                                   INT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char basic[CLOCK_BASIC_LEN + 1];
        char rfc3339[CLOCK_RFC3339_LEN + 1];

        clock_utc_basic(rows[i], basic);
        clock_utc_rfc3339(rows[i], rfc3339);
        assert_int_equal(strlen(basic), CLOCK_BASIC_LEN);
        assert_int_equal(strlen(rfc3339), CLOCK_RFC3339_LEN);
        assert_memory_equal(basic, rows[i] < 0 ? "0000" : "9999", 4);
    }
}

static void test_clock_add__saturates(void **state)
{
    (void)state;
    assert_int_equal(clock_add(5, 7), 12);
    assert_int_equal(clock_add(-5, 7), 2);
    assert_int_equal(clock_add(CLOCK_NEVER, 0), CLOCK_NEVER);
    assert_int_equal(clock_add(CLOCK_NEVER, 1), CLOCK_NEVER);
    assert_int_equal(clock_add(CLOCK_NEVER - 1, 2), CLOCK_NEVER);
    assert_int_equal(clock_add(1, CLOCK_NEVER), CLOCK_NEVER);
    assert_int_equal(clock_add(CLOCK_NEVER - 2, 1), CLOCK_NEVER - 1);
}

static void test_clock__asks_the_clock_it_is_given(void **state)
{
    struct fake_clock fake;

    (void)state;
    fake_clock_init(&fake);
    fake.random = 77;
    assert_int_equal(clock_mono_ms(&fake.clock), 1000000);
    assert_int_equal(clock_boot_ms(&fake.clock), 1000000);
    assert_int_equal(clock_real_ms(&fake.clock), 1893553445000);
    assert_int_equal(clock_random(&fake.clock), 77);
    fake_clock_advance(&fake, 3);
    assert_int_equal(clock_mono_ms(&fake.clock), 1000003);
    assert_int_equal(clock_boot_ms(&fake.clock), 1000003);
    assert_int_equal(clock_real_ms(&fake.clock), 1893553445003);
}

/* After 2024-01-01, never back, and chance that is not one value. */
static void test_clock_system__is_plausible(void **state)
{
    int64_t before = clock_mono_ms(&CLOCK_SYSTEM);
    uint32_t first = clock_random(&CLOCK_SYSTEM);
    bool differs = false;

    (void)state;
    assert_true(clock_real_ms(&CLOCK_SYSTEM) > 1704067200000);
    for (int i = 0; i < 20; i++)
        differs |= clock_random(&CLOCK_SYSTEM) != first;
    assert_true(differs);
    assert_true(clock_mono_ms(&CLOCK_SYSTEM) >= before);
    /* Suspended time is counted on top. */
    assert_true(clock_boot_ms(&CLOCK_SYSTEM) >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_utc__writes_both_forms),
        cmocka_unit_test(test_clock_utc__times_far_off_keep_the_form),
        cmocka_unit_test(test_clock_add__saturates),
        cmocka_unit_test(test_clock__asks_the_clock_it_is_given),
        cmocka_unit_test(test_clock_system__is_plausible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
