#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "survey/question.h"

/* The paths of the program that this one replaces. */
static const struct {
    const char *path;
    const char *name;
    const struct fold *fold;
    unsigned params;
    bool in_place;
} EXPECTED[] = {
    {"/count/{regions}", "count_instances", &FOLD_COUNT,
     QUESTION_REGIONS | QUESTION_STATES, true},
    {"/check-without-owner/{regions}", "instances_without_tag", &FOLD_OWNER,
     QUESTION_REGIONS | QUESTION_STATES | QUESTION_TAG | QUESTION_AFTER, false},
    {"/check-open-permission/{regions}", "exposed_instances", &FOLD_EXPOSURE,
     QUESTION_REGIONS | QUESTION_STATES | QUESTION_PORT | QUESTION_AFTER,
     false},
    {"/summary/{regions}", "summarize_instances", &FOLD_KINDS,
     QUESTION_REGIONS | QUESTION_STATES, false},
    {"/find/{regions}", "find_instances", &FOLD_FIND,
     QUESTION_REGIONS | QUESTION_QUERY | QUESTION_AFTER, false},
};
#define NEXPECTED (sizeof(EXPECTED) / sizeof(EXPECTED[0]))

static void test_question_by_path__finds_each_question(void **state)
{
    (void)state;
    for (size_t i = 0; i < NEXPECTED; i++) {
        const struct question *q = question_by_path(span_of(EXPECTED[i].path));

        if (!q)
            fail_msg("%s: not found", EXPECTED[i].path);
        assert_string_equal(q->api_path, EXPECTED[i].path);
        assert_string_equal(q->name, EXPECTED[i].name);
        assert_ptr_equal(q->folds[0], EXPECTED[i].fold);
        assert_int_equal(q->params, EXPECTED[i].params);
        assert_int_equal(q->failures_in_place, EXPECTED[i].in_place);
    }
}

static void test_question_by_path__finds_nothing_for_other_paths(void **state)
{
    static const struct span paths[] = {
        {NULL, 0},
        {"", 0},
        {"/count/{regions}", 15},
        {"/count/{regions}\0", 17},
        {"/COUNT/{regions}", 16},
        {"/count/{region}", 15},
        {"count_instances", 15},
        {" /count/{regions}", 17},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (question_by_path(paths[i]))
            fail_msg("path %zu is found", i);
}

static void
test_question_by_name__takes_the_name_alone_or_at_the_end(void **state)
{
    static const struct {
        const char *text;
        const char *name; /* NULL: there is none */
    } cases[] = {
        {"count_instances", "count_instances"},
        {"ec2___count_instances", "count_instances"},
        {"ec2__exposed_instances", "exposed_instances"},
        {"a__b___instances_without_tag", "instances_without_tag"},
        {"____count_instances", "count_instances"},
        {"ec2_count_instances", NULL},
        {"count_instances__", NULL},
        {"count_instances__x", NULL},
        {"Count_Instances", NULL},
        {"__", NULL},
        {"_", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct question *q = question_by_name(span_of(cases[i].text));
        const char *name = q ? q->name : NULL;

        if (!name != !cases[i].name ||
            (name && strcmp(name, cases[i].name) != 0))
            fail_msg("%s: %s", cases[i].text, name ? name : "none");
    }
}

static void test_question_table__holds_all_questions(void **state)
{
    size_t n = 0;
    const struct question *table = question_table(&n);

    (void)state;
    assert_int_equal(n, NEXPECTED);
    for (size_t i = 0; i < n; i++)
        assert_ptr_equal(question_by_path(span_of(table[i].api_path)),
                         &table[i]);
}

/* The sweep calls group() when groups are needed, and never looks first. */
static void
test_question_table__has_folds_that_take_what_they_need(void **state)
{
    size_t n = 0;
    const struct question *table = question_table(&n);

    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < table[i].nfolds; k++) {
            const struct fold *fold = table[i].folds[k];

            assert_true(fold->needs & FOLD_NEEDS(FOLD_INSTANCES));
            assert_false(fold->needs & FOLD_NEEDS(FOLD_FOLLOW_UP));
            assert_true(!(fold->needs & FOLD_NEEDS(FOLD_GROUPS)) ||
                        fold->group);
            assert_true(fold->region_begin && fold->region_free &&
                        fold->instance);
            assert_true(fold->event && fold->region_end && fold->tally);
            /* Only a fold that no row is asked of may have none. */
            assert_true(fold->row || k > 0 || table[i].summarize);
            fold->region_free(NULL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_by_path__finds_each_question),
        cmocka_unit_test(test_question_by_path__finds_nothing_for_other_paths),
        cmocka_unit_test(
            test_question_by_name__takes_the_name_alone_or_at_the_end),
        cmocka_unit_test(test_question_table__holds_all_questions),
        cmocka_unit_test(
            test_question_table__has_folds_that_take_what_they_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
