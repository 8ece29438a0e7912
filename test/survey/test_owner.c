#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "support/fold_driver.h"

static void must_take(struct fold_driver *d, const char *text)
{
    struct err err = {0};

    if (drive_instance(d, text, &err))
        fail_msg("%s: %s", text, err.msg);
}

static void test_owner__is_any_tag_owner_with_a_value(void **state)
{
    static const struct {
        const char *text;
        bool owned;
    } cases[] = {
        {"i-1=running", false},
        {"i-1=running|Owner=ops", true},
        {"i-1=running|OWNER=ops", true},
        {"i-1=running|owner=ops", true},
        {"i-1=running|oWnEr=ops", true},
        {"i-1=running|Owner=", false},
        {"i-1=running|Owner=,owner=ops", true},
        {"i-1=running|owner=ops,Owner=", true},
        {"i-1=running|Owner= ", true},
        {"i-1=running|Owners=ops,Own=ops", false},
        {"i-1=running|team:Owner=ops", false},
        {"i-1=running| Owner=ops", false},
        {"i-1=running|Name=Owner", false},
        {"i-1=running|\xC3\x96wner=ops", false},
        {"i-1=terminated", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const texts[] = {cases[i].text, NULL};
        struct fold_driver d;

        fold_driver_init(&d, &FOLD_OWNER, ROOMY_LIMITS);
        drive_listing(&d, FOLD_INSTANCES, texts);
        if (d.fold->tally(d.state).nrows != (cases[i].owned ? 0 : 1))
            fail_msg("%s", cases[i].text);
        fold_driver_release(&d);
    }
}

static void test_owner__lists_by_id_each_once(void **state)
{
    static const char *const texts[] = {
        "i-3=stopped|Name=three",
        "i-1=running|name=one|sg-1",
        "i-2=running|Owner=ops",
        "i-3=stopped|Name=three",
        NULL,
    };
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_OWNER, ROOMY_LIMITS);
    drive_listing(&d, FOLD_INSTANCES, texts);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, "[{\"region\":\"r\",\"instanceId\":\"i-1\","
                    "\"instanceName\":\"one\",\"state\":\"running\"},"
                    "{\"region\":\"r\",\"instanceId\":\"i-3\","
                    "\"instanceName\":\"three\",\"state\":\"stopped\"}]");
    fold_driver_release(&d);
}

static void test_owner__keeps_to_the_criteria(void **state)
{
    static const char *const texts[] = {
        "i-1=running|CostCenter=7",
        "i-2=running|Owner=ops",
        "i-3=stopped|Owner=ops",
        "i-4=running|costcenter=8",
        NULL,
    };
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_OWNER, ROOMY_LIMITS);
    d.criteria.states = 1U << 1; /* running */
    d.criteria.tag_key = SPAN_LIT("CostCenter");
    d.criteria.tag_value = SPAN_LIT("7*");
    drive_listing(&d, FOLD_INSTANCES, texts);
    assert_rows(&d, "[{\"region\":\"r\",\"instanceId\":\"i-2\","
                    "\"instanceName\":\"\",\"state\":\"running\"},"
                    "{\"region\":\"r\",\"instanceId\":\"i-4\","
                    "\"instanceName\":\"\",\"state\":\"running\"}]");
    fold_driver_release(&d);
}

static void test_owner__ignores_other_listings(void **state)
{
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_OWNER, ROOMY_LIMITS);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    must_take(&d, "i-1=running");
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_RESTART);
    drive_event(&d, FOLD_GROUPS, FOLD_PAGE_ROLLBACK);
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    assert_int_equal(d.fold->tally(d.state).nrows, 1);
    fold_driver_release(&d);
}

enum op {
    OWNED,
    UNOWNED,
    COMMIT,
    ROLLBACK,
    RESTART,
    NOPS,
};
#define LENGTH 6
#define NSEQUENCES 15625 /* NOPS to the power of LENGTH */

/* The ids of instances without owner, one bit each. */
struct model {
    unsigned committed;
    unsigned fresh;
    unsigned next; /* number of the next instance */
};

static void take_numbered(struct fold_driver *d, struct model *m, bool owned)
{
    char text[64];
    /* Falling, so that the order of arrival is not the one expected. */
    unsigned number = LENGTH - m->next++;

    (void)snprintf(text, sizeof(text), "i-%u=running%s", number,
                   owned ? "|Owner=ops" : "");
    must_take(d, text);
    if (!owned)
        m->fresh |= 1U << number;
}

static void do_op(enum op op, struct fold_driver *d, struct model *m)
{
    switch (op) {
    case OWNED:
        take_numbered(d, m, true);
        break;
    case UNOWNED:
        take_numbered(d, m, false);
        break;
    case COMMIT:
        drive_event(d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
        m->committed |= m->fresh;
        m->fresh = 0;
        break;
    case ROLLBACK:
        drive_event(d, FOLD_INSTANCES, FOLD_PAGE_ROLLBACK);
        m->fresh = 0;
        break;
    case RESTART:
    case NOPS:
        drive_event(d, FOLD_INSTANCES, FOLD_LISTING_RESTART);
        m->committed = 0;
        m->fresh = 0;
        break;
    }
}

static void assert_numbers(const struct fold_driver *d, unsigned numbers)
{
    char expected[1024] = "[";
    size_t len = 1;

    for (unsigned i = 0; i <= LENGTH; i++) {
        if (!(numbers & 1U << i))
            continue;
        len += (size_t)snprintf(expected + len, sizeof(expected) - len,
                                "%s{\"region\":\"r\",\"instanceId\":\"i-%u\","
                                "\"instanceName\":\"\",\"state\":\"running\"}",
                                len > 1 ? "," : "", i);
    }
    (void)snprintf(expected + len, sizeof(expected) - len, "]");
    assert_rows(d, expected);
}

static void test_owner__keeps_to_what_was_committed(void **state)
{
    (void)state;
    for (unsigned sequence = 0; sequence < NSEQUENCES; sequence++) {
        struct fold_driver d;
        struct model m = {0};
        unsigned rest = sequence;

        fold_driver_init(&d, &FOLD_OWNER, ROOMY_LIMITS);
        drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
        for (int i = 0; i < LENGTH; i++, rest /= NOPS)
            do_op((enum op)(rest % NOPS), &d, &m);
        do_op(sequence % 2 ? COMMIT : ROLLBACK, &d, &m);
        drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
        assert_numbers(&d, m.committed);
        fold_driver_release(&d);
    }
}

static void test_owner__counts_what_is_past_the_limit(void **state)
{
    struct fold_driver d;
    struct fold_tally tally;

    (void)state;
    fold_driver_init(&d, &FOLD_OWNER,
                     (struct fold_limits){.pending_max = 1, .rows_max = 200});
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    for (int i = 99; i >= 0; i--) {
        char text[64];

        (void)snprintf(text, sizeof(text), "i-%02d=running", i);
        must_take(&d, text);
        must_take(&d, "i-00=running|Owner=ops");
        drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    }
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    tally = d.fold->tally(d.state);
    /* A row: 16 bytes of texts and 16 to find them. */
    assert_int_equal(tally.nrows, 200 / 32);
    assert_int_equal(tally.nrows + tally.nbeyond, 100);
    assert_int_equal(tally.nbefore, 0);
    fold_driver_release(&d);
}

/* One region from begin to the last row. */
static enum err_code run_region(struct err *err)
{
    const struct criteria all = {0};
    const struct fold_options options = {.limits = ROOMY_LIMITS,
                                         .criteria = &all};
    struct fold_driver d = {.fold = &FOLD_OWNER};
    struct buf row = BUF_INIT(1000);
    enum err_code rc = FOLD_OWNER.region_begin(&options, &d.state, err);

    if (!rc)
        drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    if (!rc)
        rc = drive_instance(&d, "i-1=running|Name=web", err);
    if (!rc) {
        drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
        drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
        (void)FOLD_OWNER.row(d.state, &FIRST_ROW, &row);
        rc = buf_check(&row, "row", err);
    }
    buf_release(&row);
    FOLD_OWNER.region_free(d.state);
    return rc;
}

static void test_owner__reports_every_failed_allocation(void **state)
{
    size_t n;

    (void)state;
    for (n = 0;; n++) {
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = run_region(&err);
        if (!fail_alloc_stop()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_non_null(strstr(err.msg, "out of memory"));
    }
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner__is_any_tag_owner_with_a_value),
        cmocka_unit_test(test_owner__lists_by_id_each_once),
        cmocka_unit_test(test_owner__keeps_to_the_criteria),
        cmocka_unit_test(test_owner__ignores_other_listings),
        cmocka_unit_test(test_owner__keeps_to_what_was_committed),
        cmocka_unit_test(test_owner__counts_what_is_past_the_limit),
        cmocka_unit_test(test_owner__reports_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
