#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "support/fail_alloc.h"
#include "support/fold_driver.h"

static void must_take(struct fold_driver *d, const char *text)
{
    struct err err = {0};

    if (drive_instance(d, text, &err))
        fail_msg("%s: %s", text, err.msg);
}

static void test_count__counts_all_and_those_that_run(void **state)
{
    /* Every state that EC2 has; only the exact name counts as running. */
    static const char *const instances[] = {
        "i-1=pending", "i-2=running",  "i-3=shutting-down", "i-4=terminated",
        "i-5=stopped", "i-6=stopping", "i-7=running",       "i-8=Running",
        "i-9=",        "i-10=run",     "i-11=running2",     NULL,
    };
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_COUNT, ROOMY_LIMITS);
    drive_listing(&d, FOLD_INSTANCES, instances);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, "[{\"region\":\"r\",\"totalInstances\":11,"
                    "\"runningInstances\":2}]");
    fold_driver_release(&d);
}

static void test_count__is_zero_in_an_empty_region(void **state)
{
    static const char *const none[] = {NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_COUNT, ROOMY_LIMITS);
    drive_listing(&d, FOLD_INSTANCES, none);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, "[{\"region\":\"r\",\"totalInstances\":0,"
                    "\"runningInstances\":0}]");
    fold_driver_release(&d);
}

static void test_count__ignores_other_listings(void **state)
{
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_COUNT, ROOMY_LIMITS);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    must_take(&d, "i-1=running");
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_RESTART);
    drive_event(&d, FOLD_FOLLOW_UP, FOLD_LISTING_BEGIN);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    assert_rows(&d, "[{\"region\":\"r\",\"totalInstances\":1,"
                    "\"runningInstances\":1}]");
    fold_driver_release(&d);
}

/* What may happen to a listing, and what it means for the records so far. */
enum op {
    STOPPED,
    RUNNING,
    COMMIT,
    ROLLBACK,
    RESTART,
    NOPS,
};
#define LENGTH 6
#define NSEQUENCES 15625 /* NOPS to the power of LENGTH */

struct model {
    unsigned total, running;         /* committed */
    unsigned new_total, new_running; /* since then */
};

static void do_op(enum op op, struct fold_driver *d, struct model *m)
{
    switch (op) {
    case STOPPED:
        must_take(d, "i-1=stopped");
        m->new_total++;
        break;
    case RUNNING:
        must_take(d, "i-2=running");
        m->new_total++;
        m->new_running++;
        break;
    case COMMIT:
        drive_event(d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
        m->total += m->new_total;
        m->running += m->new_running;
        m->new_total = 0;
        m->new_running = 0;
        break;
    case ROLLBACK:
        drive_event(d, FOLD_INSTANCES, FOLD_PAGE_ROLLBACK);
        m->new_total = 0;
        m->new_running = 0;
        break;
    case RESTART:
    case NOPS:
        drive_event(d, FOLD_INSTANCES, FOLD_LISTING_RESTART);
        *m = (struct model){0};
        break;
    }
}

static void test_count__keeps_to_what_was_committed(void **state)
{
    (void)state;
    for (unsigned sequence = 0; sequence < NSEQUENCES; sequence++) {
        struct fold_driver d;
        struct model m = {0};
        unsigned rest = sequence;
        char expected[128];

        fold_driver_init(&d, &FOLD_COUNT, ROOMY_LIMITS);
        drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
        for (int i = 0; i < LENGTH; i++, rest /= NOPS)
            do_op((enum op)(rest % NOPS), &d, &m);
        (void)snprintf(expected, sizeof(expected),
                       "[{\"region\":\"r\",\"totalInstances\":%u,"
                       "\"runningInstances\":%u}]",
                       m.total, m.running);
        assert_rows(&d, expected);
        fold_driver_release(&d);
    }
}

static void test_count__counts_the_states_that_are_wanted(void **state)
{
    static const char *const texts[] = {"i-1=running", "i-2=stopped",
                                        "i-3=terminated", "i-4=odd", NULL};
    static const struct {
        unsigned states;
        const char *rows;
    } cases[] = {
        {0, "[{\"region\":\"r\",\"totalInstances\":4,"
            "\"runningInstances\":1}]"},
        {1U << 5, "[{\"region\":\"r\",\"totalInstances\":1,"
                  "\"runningInstances\":0}]"},
        {1U << 5 | 1U << 1, "[{\"region\":\"r\",\"totalInstances\":2,"
                            "\"runningInstances\":1}]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fold_driver d;

        fold_driver_init(&d, &FOLD_COUNT, ROOMY_LIMITS);
        d.criteria.states = cases[i].states;
        drive_listing(&d, FOLD_INSTANCES, texts);
        assert_rows(&d, cases[i].rows);
        fold_driver_release(&d);
    }
}

static void test_count__reports_every_failed_allocation(void **state)
{
    const struct criteria all = {0};
    const struct fold_options options = {.limits = ROOMY_LIMITS,
                                         .criteria = &all};
    struct err err = {0};
    void *count = NULL;
    size_t n;

    (void)state;
    fail_alloc_at(0);
    assert_int_equal(FOLD_COUNT.region_begin(&options, &count, &err),
                     ERR_NOMEM);
    assert_true(fail_alloc_stop());
    assert_string_equal(err.msg, "count: out of memory");

    assert_int_equal(FOLD_COUNT.region_begin(&options, &count, NULL), ERR_OK);
    for (n = 0;; n++) {
        struct buf row = BUF_INIT(1000);
        bool failed;

        fail_alloc_at(n);
        (void)FOLD_COUNT.row(count, &FIRST_ROW, &row);
        failed = fail_alloc_stop();
        assert_int_equal(row.failed, failed ? ERR_NOMEM : ERR_OK);
        buf_release(&row);
        if (!failed)
            break;
    }
    assert_true(n > 0);
    FOLD_COUNT.region_free(count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count__counts_all_and_those_that_run),
        cmocka_unit_test(test_count__is_zero_in_an_empty_region),
        cmocka_unit_test(test_count__ignores_other_listings),
        cmocka_unit_test(test_count__keeps_to_what_was_committed),
        cmocka_unit_test(test_count__counts_the_states_that_are_wanted),
        cmocka_unit_test(test_count__reports_every_failed_allocation),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
