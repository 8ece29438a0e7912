#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "support/fail_alloc.h"
#include "support/records.h"
#include "survey/findings.h"

#define ROOMY ((size_t)1024 * 1024)

/* Adds what text says, from memory that is overwritten afterwards. */
static enum err_code add(struct findings *f, const char *text, bool with_groups,
                         struct err *err)
{
    struct instance_record record;
    char *copy = strdup(text);
    enum err_code rc;

    assert_non_null(copy);
    instance_record_init(&record, copy);
    rc = findings_add(f, &record.instance, with_groups, err);
    memset(copy, '#', strlen(text));
    free(copy);
    return rc;
}

static void must_add(struct findings *f, const char *text)
{
    struct err err = {0};

    if (add(f, text, true, &err))
        fail_msg("%s: %s", text, err.msg);
}

/* The ids of all rows, "i-1 i-2 ". */
static void assert_ids(const struct findings *f, const char *expected)
{
    char ids[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < f->nrows; i++) {
        struct span id = f->rows[i].id;

        assert_true(len + id.len + 2 < sizeof(ids));
        memcpy(ids + len, id.p, id.len);
        len += id.len;
        ids[len++] = ' ';
    }
    ids[len] = '\0';
    assert_string_equal(ids, expected);
}

static void test_findings_add__copies_what_it_keeps(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    const struct finding *row;

    (void)state;
    must_add(&f, "i-1=running|Name=web|sg-2 sg-1");
    row = &f.rows[0];
    assert_int_equal(f.nrows, 1);
    assert_true(span_eq_str(row->id, "i-1"));
    assert_true(span_eq_str(row->name, "web"));
    assert_true(span_eq_str(row->state, "running"));
    assert_int_equal(row->ngroup_ids, 2);
    assert_string_equal(row->group_ids[0].p, "sg-1");
    assert_string_equal(row->group_ids[1].p, "sg-2");
    findings_release(&f);
}

static void test_findings_add__keeps_each_group_once_and_sorted(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    const struct finding *row;

    (void)state;
    must_add(&f, "i-1=running||sg-b sg-a sg-b sg-aa sg-a sg-b");
    row = &f.rows[0];
    assert_int_equal(row->ngroup_ids, 3);
    assert_string_equal(row->group_ids[0].p, "sg-a");
    assert_string_equal(row->group_ids[1].p, "sg-aa");
    assert_string_equal(row->group_ids[2].p, "sg-b");
    findings_release(&f);
}

static void test_findings_add__leaves_groups_out_when_not_wanted(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    struct err err = {0};

    (void)state;
    assert_int_equal(add(&f, "i-1=running||sg-1", false, &err), ERR_OK);
    assert_int_equal(f.rows[0].ngroup_ids, 0);
    findings_release(&f);
}

/* The key in its exact case first, else in another case, else "". */
static void test_findings_add__picks_the_name_tag(void **state)
{
    static const struct {
        const char *text;
        const char *name;
    } cases[] = {
        {"i-1=running", ""},
        {"i-1=running|name=low", "low"},
        {"i-1=running|name=low,Name=exact", "exact"},
        {"i-1=running|Name=exact,NAME=high", "exact"},
        {"i-1=running|NAME=high,name=low", "high"},
        {"i-1=running|Name=,name=low", ""},
        {"i-1=running|Names=no,Na=no", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct findings f = FINDINGS_INIT(ROOMY);

        must_add(&f, cases[i].text);
        if (!span_eq_str(f.rows[0].name, cases[i].name))
            fail_msg("%s: \"%s\"", cases[i].text, f.rows[0].name.p);
        findings_release(&f);
    }
}

static void test_findings_add__ends_at_the_limit(void **state)
{
    struct findings f = FINDINGS_INIT((size_t)4096);
    struct err err = {0};
    size_t bytes = 0;
    size_t n;

    (void)state;
    for (n = 0; n < 1000; n++) {
        bytes = findings_bytes(&f);
        if (add(&f, "i-1=running|Name=web|sg-1 sg-2", true, &err))
            break;
    }
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.msg,
                        "findings: more than 4096 bytes in one region");
    /* What a row has is 10 words or more, and far from a whole kilobyte. */
    assert_in_range(n, 4, 4096 / 80);
    assert_int_equal(f.nrows, n);
    assert_int_equal(findings_bytes(&f), bytes);
    findings_release(&f);
}

static void test_findings_add__reports_every_failed_allocation(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    size_t n;

    (void)state;
    for (n = 0;; n++) {
        struct instance_record record;
        struct err err = {0};
        enum err_code rc;

        instance_record_init(&record, "i-1=running|Name=web|sg-1 sg-2");
        fail_alloc_at(n);
        rc = findings_add(&f, &record.instance, true, &err);
        if (!fail_alloc_stop())
            break;
        assert_int_equal(rc, ERR_NOMEM);
        assert_string_equal(err.msg, "findings: out of memory");
        assert_int_equal(f.nrows, 0);
        assert_int_equal(findings_bytes(&f), 0);
        findings_release(&f);
    }
    assert_int_equal(n, 2); /* the rows, and a block for the texts */
    assert_ids(&f, "i-1 ");
    findings_release(&f);
}

static void test_findings_rollback__drops_the_rows_since_the_mark(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    struct findings_mark none = findings_mark(&f);
    struct findings_mark one;
    size_t bytes;

    (void)state;
    must_add(&f, "i-1=running|Name=web|sg-1");
    one = findings_mark(&f);
    bytes = findings_bytes(&f);
    for (int i = 0; i < 200; i++)
        must_add(&f, "i-2=running|Name=other|sg-1 sg-2 sg-3");
    findings_rollback(&f, one);
    assert_int_equal(findings_bytes(&f), bytes);
    must_add(&f, "i-3=stopped");
    assert_ids(&f, "i-1 i-3 ");
    assert_string_equal(f.rows[0].name.p, "web");
    findings_rollback(&f, none);
    assert_ids(&f, "");
    assert_int_equal(findings_bytes(&f), 0);
    findings_release(&f);
}

static void
test_findings_sort_unique__sorts_and_drops_repeated_ids(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);

    (void)state;
    findings_sort_unique(&f);
    assert_ids(&f, "");
    must_add(&f, "i-b=running");
    must_add(&f, "i-aa=running");
    must_add(&f, "i-b=running");
    must_add(&f, "i-B=running");
    must_add(&f, "i-a=running");
    must_add(&f, "i-b=running");
    findings_sort_unique(&f);
    assert_ids(&f, "i-B i-a i-aa i-b ");
    findings_release(&f);
}

static void test_findings_row_json__writes_the_four_fields(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    json_t *row;
    char *text;

    (void)state;
    must_add(&f, "i-1=running|Name=\"\xC3\xBC\" \\ \xF0\x9F\x98\x80");
    row = findings_row_json(&f.rows[0], "eu-west-1");
    text = json_dumps(row, JSON_COMPACT);
    assert_string_equal(text, "{\"region\":\"eu-west-1\","
                              "\"instanceId\":\"i-1\","
                              "\"instanceName\":"
                              "\"\\\"\xC3\xBC\\\" \\\\ \xF0\x9F\x98\x80\","
                              "\"state\":\"running\"}");
    free(text);
    json_decref(row);
    findings_release(&f);
}

static void
test_findings_row_json__reports_every_failed_allocation(void **state)
{
    struct findings f = FINDINGS_INIT(ROOMY);
    size_t n;

    (void)state;
    must_add(&f, "i-1=running|Name=web");
    for (n = 0;; n++) {
        json_t *row;

        fail_alloc_at(n);
        row = findings_row_json(&f.rows[0], "eu-west-1");
        if (!fail_alloc_stop()) {
            assert_non_null(row);
            json_decref(row);
            break;
        }
        assert_null(row);
    }
    assert_true(n > 4);
    findings_release(&f);
}

static void
test_findings_release__leaves_findings_that_can_be_used(void **state)
{
    struct findings f = FINDINGS_INIT((size_t)256);
    struct err err = {0};

    (void)state;
    findings_release(&f);
    must_add(&f, "i-1=running");
    findings_release(&f);
    assert_int_equal(f.nrows, 0);
    assert_int_equal(findings_bytes(&f), 0);
    must_add(&f, "i-2=running");
    assert_ids(&f, "i-2 ");
    while (!add(&f, "i-3=running", true, &err))
        assert_true(f.nrows < 100);
    assert_int_equal(err.code, ERR_LIMIT);
    findings_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_add__copies_what_it_keeps),
        cmocka_unit_test(test_findings_add__keeps_each_group_once_and_sorted),
        cmocka_unit_test(test_findings_add__leaves_groups_out_when_not_wanted),
        cmocka_unit_test(test_findings_add__picks_the_name_tag),
        cmocka_unit_test(test_findings_add__ends_at_the_limit),
        cmocka_unit_test(test_findings_add__reports_every_failed_allocation),
        cmocka_unit_test(test_findings_rollback__drops_the_rows_since_the_mark),
        cmocka_unit_test(
            test_findings_sort_unique__sorts_and_drops_repeated_ids),
        cmocka_unit_test(test_findings_row_json__writes_the_four_fields),
        cmocka_unit_test(
            test_findings_row_json__reports_every_failed_allocation),
        cmocka_unit_test(
            test_findings_release__leaves_findings_that_can_be_used),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
