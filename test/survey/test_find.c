#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "support/fail_alloc.h"
#include "support/fold_driver.h"

static const char *const INSTANCES[] = {
    "i-2=stopped|Name=web-2|sg-1|m6i.large|10.0.0.5 198.51.100.7",
    "i-1=terminated|Name=web-1|sg-1|t3.micro|2001:db8::1 own 10.0.0.4",
    "i-3=running|Name=db|sg-1|t3.micro|10.0.0.6",
    NULL,
};

/* Also where other questions are brief. */
static void test_find__tells_all_of_what_fits(void **state)
{
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_FIND, ROOMY_LIMITS);
    fold_driver_release(&d);
    d.criteria.brief = true;
    assert_int_equal(FOLD_FIND.region_begin(&d.options, &d.state, NULL),
                     ERR_OK);
    d.criteria.query = SPAN_LIT("web-*");
    drive_listing(&d, FOLD_INSTANCES, INSTANCES);
    assert_null(drive_end(&d).filter);
    assert_rows(&d,
                "[{\"region\":\"r\",\"instanceId\":\"i-1\",\"instanceName\":"
                "\"web-1\",\"state\":\"terminated\",\"instanceType\":"
                "\"t3.micro\",\"launchTime\":\"\",\"privateIp\":\"10.0.0.4\","
                "\"publicIp\":\"\",\"ipv6\":\"2001:db8::1\"},"
                "{\"region\":\"r\",\"instanceId\":\"i-2\",\"instanceName\":"
                "\"web-2\",\"state\":\"stopped\",\"instanceType\":"
                "\"m6i.large\",\"launchTime\":\"\",\"privateIp\":\"10.0.0.5\","
                "\"publicIp\":\"198.51.100.7\",\"ipv6\":\"\"}]");
    fold_driver_release(&d);
}

static void test_find__finds_nothing_in_other_instances(void **state)
{
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_FIND, ROOMY_LIMITS);
    d.criteria.query = SPAN_LIT("10.0.0.7");
    drive_listing(&d, FOLD_INSTANCES, INSTANCES);
    assert_rows(&d, "[]");
    fold_driver_release(&d);
}

/* What is common to it and FOLD_OWNER is tested there: pages, restarts. */
static void test_find__reports_every_failed_allocation(void **state)
{
    const struct criteria any = {.query = SPAN_LIT("*")};
    const struct fold_options options = {.limits = ROOMY_LIMITS,
                                         .criteria = &any};

    (void)state;
    for (size_t n = 0;; n++) {
        struct fold_driver d = {.fold = &FOLD_FIND};
        struct err err = {0};
        struct buf row = BUF_INIT(1000);
        enum err_code rc;
        bool failed;

        fail_alloc_at(n);
        rc = FOLD_FIND.region_begin(&options, &d.state, &err);
        if (!rc) {
            drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
            rc = drive_instance(&d, INSTANCES[0], &err);
        }
        if (!rc) {
            drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
            (void)FOLD_FIND.row(d.state, &FIRST_ROW, &row);
            rc = buf_check(&row, "row", &err);
        }
        failed = fail_alloc_stop();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        buf_release(&row);
        FOLD_FIND.region_free(d.state);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find__tells_all_of_what_fits),
        cmocka_unit_test(test_find__finds_nothing_in_other_instances),
        cmocka_unit_test(test_find__reports_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
