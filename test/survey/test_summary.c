#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "support/fail_alloc.h"
#include "support/fold_driver.h"
#include "survey/kinds.h"
#include "survey/summary.h"

#define NREGIONS_MAX 3
#define NFOLDS 3

/* A double: regions that have ended. sweep.o is then not linked in. */
struct sweep {
    struct sweep_region regions[NREGIONS_MAX];
    size_t n;
    struct fold_driver drivers[NREGIONS_MAX][NFOLDS];
};

size_t sweep_nregions(const struct sweep *sweep)
{
    return sweep->n;
}

const struct sweep_region *sweep_get_region(const struct sweep *sweep, size_t i)
{
    return &sweep->regions[i];
}

static const struct fold *const FOLDS[NFOLDS] = {&FOLD_KINDS, &FOLD_OWNER,
                                                 &FOLD_EXPOSURE};

/* A region in which the folds kept no rows, as they do for a summary. */
static void add_region(struct sweep *sweep, const char *const *instances,
                       const char *const *groups)
{
    size_t at = sweep->n++;

    sweep->regions[at].name = "r";
    for (size_t k = 0; k < NFOLDS; k++) {
        struct fold_driver *d = &sweep->drivers[at][k];

        fold_driver_init(d, FOLDS[k],
                         (struct fold_limits){.pending_max = 1 << 20});
        drive_listing(d, FOLD_INSTANCES, instances);
        if (FOLDS[k]->needs & FOLD_NEEDS(FOLD_GROUPS))
            drive_listing(d, FOLD_GROUPS, groups);
        while (drive_end(d).filter)
            drive_listing(d, FOLD_FOLLOW_UP, instances);
        sweep->regions[at].states[k] = d->state;
    }
}

static void release(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n; i++)
        for (size_t k = 0; k < NFOLDS; k++)
            fold_driver_release(&sweep->drivers[i][k]);
}

static void assert_summary(const struct sweep *sweep, const char *expected)
{
    json_t *row = NULL;
    char *text;

    assert_int_equal(summary_row(sweep, &row, NULL), ERR_OK);
    text = json_dumps(row, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(row);
}

static const char *const OPEN[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
static const char *const HERE[] = {
    "i-1=running|Owner=a|sg-1|t3.micro", "i-2=running||sg-1|t3.micro",
    "i-3=stopped||sg-2|m6i.large", "i-4=odd", NULL};
static const char *const THERE[] = {"i-5=running|owner=|sg-1|m6i.large",
                                    "i-6=running|OWNER=b||m6i.large",
                                    "i-6=running|OWNER=b||t3.micro", NULL};

static void test_summary_row__sums_up_all_regions(void **state)
{
    struct sweep sweep = {0};

    (void)state;
    add_region(&sweep, HERE, OPEN);
    add_region(&sweep, THERE, OPEN);
    assert_summary(
        &sweep, "{\"totalInstances\":7,\"runningInstances\":5,\"byState\":"
                "{\"running\":5,\"other\":1,\"stopped\":1},\"byType\":"
                "{\"m6i.large\":3,\"t3.micro\":3,\"other\":1},\"otherTypes\":0,"
                "\"withoutOwner\":4,\"exposed\":3}");
    /* What a region had before it failed is of no use. */
    sweep.regions[0].failure.kind = FAILURE_DEADLINE;
    assert_summary(&sweep,
                   "{\"totalInstances\":3,\"runningInstances\":3,\"byState\":"
                   "{\"running\":3},\"byType\":{\"m6i.large\":2,"
                   "\"t3.micro\":1},\"otherTypes\":0,\"withoutOwner\":1,"
                   "\"exposed\":1}");
    release(&sweep);
}

static void test_summary_row__is_all_zero_without_instances(void **state)
{
    static const char *const none[] = {NULL};
    struct sweep sweep = {0};

    (void)state;
    add_region(&sweep, none, none);
    assert_summary(&sweep, "{\"totalInstances\":0,\"runningInstances\":0,"
                           "\"byState\":{},\"byType\":{},\"otherTypes\":0,"
                           "\"withoutOwner\":0,\"exposed\":0}");
    release(&sweep);
}

/* Type k of 1 … 12 has k instances: two are too rare to be named. */
static void test_summary_row__names_the_ten_most_frequent_types(void **state)
{
    static const char *const none[] = {NULL};
    char texts[78][32];
    const char *instances[79] = {0};
    struct sweep sweep = {0};
    json_t *row = NULL;
    const json_t *types;
    size_t n = 0;

    (void)state;
    for (int type = 1; type <= 12; type++)
        for (int k = 0; k < type; k++, n++) {
            (void)snprintf(texts[n], sizeof(texts[n]), "i-%zu=running|||t%02d",
                           n, type);
            instances[n] = texts[n];
        }
    add_region(&sweep, instances, none);
    assert_int_equal(summary_row(&sweep, &row, NULL), ERR_OK);
    types = json_object_get(row, "byType");
    assert_int_equal(json_object_size(types), 10);
    assert_int_equal(json_integer_value(json_object_get(types, "t12")), 12);
    assert_int_equal(json_integer_value(json_object_get(types, "t03")), 3);
    assert_null(json_object_get(types, "t02"));
    assert_int_equal(json_integer_value(json_object_get(row, "otherTypes")), 3);
    json_decref(row);
    release(&sweep);
}

static void test_summary_row__reports_every_failed_allocation(void **state)
{
    struct sweep sweep = {0};

    (void)state;
    add_region(&sweep, HERE, OPEN);
    for (size_t n = 0;; n++) {
        json_t *row = NULL;
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = summary_row(&sweep, &row, &err);
        if (!fail_alloc_stop()) {
            assert_int_equal(rc, ERR_OK);
            json_decref(row);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(row);
    }
    release(&sweep);
}

/* --- the fold that counts them ---------------------------------------------
 */

static size_t count_of(const struct fold_driver *d, const char *type)
{
    size_t n;
    const struct kinds_entry *types = kinds_types(d->state, &n);

    for (size_t i = 0; i < n; i++)
        if (span_eq_str(types[i].name, type))
            return types[i].n;
    return 0;
}

static void take(struct fold_driver *d, const char *text)
{
    assert_int_equal(drive_instance(d, text, NULL), ERR_OK);
}

static void test_kinds__keep_to_what_was_committed(void **state)
{
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_KINDS, ROOMY_LIMITS);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    take(&d, "i-1=running|||a");
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    take(&d, "i-2=running|||a");
    take(&d, "i-3=running|||b");
    drive_event(&d, FOLD_GROUPS, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_ROLLBACK);
    assert_int_equal(count_of(&d, "a"), 1);
    assert_int_equal(count_of(&d, "b"), 0);
    take(&d, "i-3=running|||b");
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    assert_int_equal(count_of(&d, "b"), 1);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_RESTART);
    assert_int_equal(count_of(&d, "a") + count_of(&d, "b"), 0);
    take(&d, "i-3=running|||b");
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    assert_int_equal(count_of(&d, "a"), 0);
    assert_int_equal(count_of(&d, "b"), 1);
    assert_int_equal(FOLD_KINDS.tally(d.state).nrows, 0);
    fold_driver_release(&d);
}

static void test_kinds__keep_to_the_states_that_are_wanted(void **state)
{
    static const char *const instances[] = {"i-1=running|||a",
                                            "i-2=stopped|||a", NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_KINDS, ROOMY_LIMITS);
    d.criteria.states = 1U << 5; /* stopped */
    drive_listing(&d, FOLD_INSTANCES, instances);
    assert_int_equal(count_of(&d, "a"), 1);
    fold_driver_release(&d);
}

/* A flood of types must not take the memory. */
static void test_kinds__tell_so_many_types_apart_and_no_more(void **state)
{
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_KINDS, ROOMY_LIMITS);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    for (size_t i = 0; i < KINDS_TYPES_MAX + 7; i++) {
        char text[48];

        (void)snprintf(text, sizeof(text), "i-1=running|||t%zu", i);
        take(&d, text);
    }
    assert_int_equal(count_of(&d, "t0"), 1);
    assert_int_equal(count_of(&d, "t4095"), 1);
    assert_int_equal(count_of(&d, "t4096"), 0);
    assert_int_equal(count_of(&d, "other"), 7);
    fold_driver_release(&d);
}

/* What is no type's name goes into no answer, however often it comes. */
static void test_kinds__take_only_what_may_be_a_type(void **state)
{
    static const char *const NO_TYPES[] = {
        "i-1=running|||T3.MICRO",         "i-2=running|||t3 micro",
        "i-3=running|||t3\xE2\x80\x8B.x", "i-4=running|||t3\x07.x",
        "i-5=running|||t3\x07.x",
    };
    char text[24 + 65 + 1] = "i-6=running|||";
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_KINDS, ROOMY_LIMITS);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    for (size_t i = 0; i < sizeof(NO_TYPES) / sizeof(NO_TYPES[0]); i++)
        take(&d, NO_TYPES[i]);
    memset(text + strlen(text), 'x', 65);
    take(&d, text);
    assert_int_equal(count_of(&d, "other"), 6);
    text[strlen(text) - 1] = '\0';
    take(&d, text);
    assert_int_equal(count_of(&d, "other"), 6);
    fold_driver_release(&d);
}

static void test_kinds__report_every_failed_allocation(void **state)
{
    const struct criteria all = {0};
    const struct fold_options options = {.limits = ROOMY_LIMITS,
                                         .criteria = &all};

    (void)state;
    for (size_t n = 0;; n++) {
        struct fold_driver d = {.fold = &FOLD_KINDS};
        struct err err = {0};
        enum err_code rc;
        bool failed;

        fail_alloc_at(n);
        rc = FOLD_KINDS.region_begin(&options, &d.state, &err);
        for (int i = 0; !rc && i < 40; i++) {
            char text[48];

            (void)snprintf(text, sizeof(text), "i-1=running|||t%d", i);
            rc = drive_instance(&d, text, &err);
        }
        failed = fail_alloc_stop();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (failed)
            assert_string_equal(err.msg, "kinds: out of memory");
        FOLD_KINDS.region_free(d.state);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary_row__sums_up_all_regions),
        cmocka_unit_test(test_summary_row__is_all_zero_without_instances),
        cmocka_unit_test(test_summary_row__names_the_ten_most_frequent_types),
        cmocka_unit_test(test_summary_row__reports_every_failed_allocation),
        cmocka_unit_test(test_kinds__keep_to_what_was_committed),
        cmocka_unit_test(test_kinds__keep_to_the_states_that_are_wanted),
        cmocka_unit_test(test_kinds__tell_so_many_types_apart_and_no_more),
        cmocka_unit_test(test_kinds__take_only_what_may_be_a_type),
        cmocka_unit_test(test_kinds__report_every_failed_allocation),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
