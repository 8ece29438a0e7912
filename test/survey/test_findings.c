#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "support/records.h"
#include "survey/criteria.h"
#include "survey/findings.h"

#define ROOMY ((size_t)1024 * 1024)
#define EVERYTHING                                                             \
    (FINDINGS_NAMES | FINDINGS_PUBLIC | FINDINGS_PRIVATE | FINDINGS_GROUPS)

static const struct criteria ALL = {0};

static struct findings new_findings(size_t max_bytes, unsigned parts)
{
    const struct fold_options options = {.limits = {.rows_max = max_bytes},
                                         .criteria = &ALL};
    struct findings f;

    findings_init(&f, &options, parts);
    return f;
}

/* Adds what text says, from memory that is overwritten afterwards. */
static enum err_code add(struct findings *f, const char *text, struct err *err)
{
    struct instance_record record;
    char *copy = strdup(text);
    enum err_code rc;

    assert_non_null(copy);
    instance_record_init(&record, copy);
    rc = findings_add(f, &record.instance, true, err);
    memset(copy, '#', strlen(text));
    free(copy);
    return rc;
}

static void must_add(struct findings *f, const char *text)
{
    struct err err = {0};

    if (add(f, text, &err))
        fail_msg("%s: %s", text, err.msg);
}

static const char *text(const struct findings *f, size_t row,
                        enum finding_field which)
{
    return finding_text(&f->rows[row], which).p;
}

/* The ids of all rows, "i-1 i-2 ". */
static void assert_ids(const struct findings *f, const char *expected)
{
    char ids[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < f->nrows; i++) {
        struct span id = finding_text(&f->rows[i], FINDING_ID);

        assert_true(len + id.len + 2 < sizeof(ids));
        memcpy(ids + len, id.p, id.len);
        len += id.len;
        ids[len++] = ' ';
    }
    ids[len] = '\0';
    assert_string_equal(ids, expected);
}

/* The groups of row 0, "sg-1 sg-2 ". */
static void assert_groups(const struct findings *f, const char *expected)
{
    struct finding_groups groups = finding_groups(&f->rows[0]);
    char ids[64] = "";
    size_t len = 0;
    struct span id;

    while (finding_groups_next(&groups, &id))
        len += (size_t)snprintf(ids + len, sizeof(ids) - len, "%s ", id.p);
    assert_string_equal(ids, expected);
}

static void test_findings_add__copies_what_it_keeps(void **state)
{
    struct findings f = new_findings(ROOMY, EVERYTHING);

    (void)state;
    must_add(&f, "i-1=running|Name=web|sg-2 sg-1");
    assert_int_equal(f.nrows, 1);
    assert_string_equal(text(&f, 0, FINDING_ID), "i-1");
    assert_string_equal(text(&f, 0, FINDING_NAME), "web");
    assert_string_equal(text(&f, 0, FINDING_STATE), "running");
    assert_groups(&f, "sg-1 sg-2 ");
    findings_release(&f);
}

static void test_findings_add__keeps_each_group_once_and_sorted(void **state)
{
    struct findings f = new_findings(ROOMY, EVERYTHING);

    (void)state;
    must_add(&f, "i-1=running||sg-b sg-a sg-b sg-aa sg-a sg-b");
    assert_groups(&f, "sg-a sg-aa sg-b ");
    findings_release(&f);
}

static void test_findings_add__keeps_the_parts_that_are_wanted(void **state)
{
    struct findings f = new_findings(ROOMY, 0);

    (void)state;
    must_add(&f, "i-1=running|Name=web|sg-1");
    assert_groups(&f, "");
    assert_null(text(&f, 0, FINDING_NAME));
    assert_null(text(&f, 0, FINDING_PRIVATE_IP));
    assert_null(text(&f, 0, FINDING_PUBLIC_IP));
    assert_null(text(&f, 0, FINDING_IPV6));
    assert_non_null(text(&f, 0, FINDING_TYPE));
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
        struct findings f = new_findings(ROOMY, EVERYTHING);

        must_add(&f, cases[i].text);
        if (strcmp(text(&f, 0, FINDING_NAME), cases[i].name) != 0)
            fail_msg("%s: \"%s\"", cases[i].text, text(&f, 0, FINDING_NAME));
        findings_release(&f);
    }
}

static void test_findings_add__reports_every_failed_allocation(void **state)
{
    struct findings f = new_findings(ROOMY, EVERYTHING);
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
        f = new_findings(ROOMY, EVERYTHING);
    }
    /* The rows, the numbers for those without, the groups being sorted, and a
     * block for the texts. */
    assert_int_equal(n, 4);
    assert_ids(&f, "i-1 ");
    findings_release(&f);
}

/* One page past all reason, in an arena that a test can fill. */
static void test_findings_add__bounds_one_page(void **state)
{
    struct findings f = new_findings(0, EVERYTHING);
    char *groups = malloc(300000);
    struct err err = {0};
    size_t len;
    int n;

    (void)state;
    len = (size_t)snprintf(groups, 300000, "i-1=running||");
    memset(groups + len, 'g', 280000);
    groups[len + 280000] = '\0';
    findings_begin(&f);
    for (n = 0; n < 1000 && !add(&f, groups, &err); n++)
        ;
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.msg,
                        "findings: one page takes more than 16777216 bytes");
    assert_in_range(n, 50, 60);
    assert_int_equal(f.nrows, n);
    free(groups);
    findings_release(&f);
}

static void test_findings_rollback__drops_the_rows_since_a_commit(void **state)
{
    struct findings f = new_findings(ROOMY, EVERYTHING);
    size_t bytes;

    (void)state;
    findings_begin(&f);
    must_add(&f, "i-1=running|Name=web|sg-1");
    findings_commit(&f);
    bytes = findings_bytes(&f);
    for (int i = 0; i < 200; i++)
        must_add(&f, "i-2=running|Name=other|sg-1 sg-2 sg-3");
    findings_rollback(&f);
    assert_int_equal(findings_bytes(&f), bytes);
    must_add(&f, "i-3=stopped");
    findings_commit(&f);
    assert_ids(&f, "i-1 i-3 ");
    assert_string_equal(text(&f, 0, FINDING_NAME), "web");
    findings_begin(&f);
    must_add(&f, "i-4=stopped");
    findings_commit(&f);
    findings_restart(&f);
    assert_ids(&f, "i-1 i-3 ");
    findings_reset(&f);
    assert_ids(&f, "");
    assert_int_equal(findings_bytes(&f), 0);
    findings_release(&f);
}

static void test_findings_end__sorts_and_drops_repeated_ids(void **state)
{
    struct findings f = new_findings(ROOMY, EVERYTHING);

    (void)state;
    findings_end(&f);
    assert_ids(&f, "");
    must_add(&f, "i-b=running");
    must_add(&f, "i-aa=running");
    must_add(&f, "i-b=running");
    must_add(&f, "i-B=running");
    must_add(&f, "i-a=running");
    must_add(&f, "i-b=running");
    findings_end(&f);
    assert_ids(&f, "i-B i-a i-aa i-b ");
    findings_release(&f);
}

/* --- the limit, and where the answer goes on ------------------------------ */

/* Instances, in an order of arrival of their own each time, some twice. */
#define NUMBERS 60

/* What is kept is a matter of the ids alone. */
static void test_findings_end__keeps_the_smallest_ids_that_fit(void **state)
{
    (void)state;
    for (size_t max = 0; max < NUMBERS * 35; max += 245) {
        /* A row: 19 bytes of texts and 16 to find them. */
        size_t expected = max / 35;

        for (unsigned seed = 1; seed < 40; seed++) {
            struct findings f = new_findings(max, FINDINGS_NAMES);
            struct fold_tally tally;

            findings_begin(&f);
            for (unsigned i = NUMBERS; i-- > 0;) {
                char text[64];
                unsigned number = (i * 7 + seed) % NUMBERS;

                (void)snprintf(text, sizeof(text), "i-%02u=running|Name=n%02u",
                               number, number);
                must_add(&f, text);
                if ((seed + i) % 4 == 0)
                    must_add(&f, text);
                if ((seed * i) % 3 == 0) {
                    findings_commit(&f);
                    if (findings_are_over(&f))
                        findings_trim(&f);
                }
            }
            findings_commit(&f);
            findings_end(&f);
            tally = findings_tally(&f);
            assert_int_equal(tally.nrows, expected);
            assert_int_equal(tally.nrows + tally.nbeyond, NUMBERS);
            for (size_t i = 0; i < f.nrows; i++) {
                char id[32];
                char name[32];

                (void)snprintf(id, sizeof(id), "i-%02zu", i);
                (void)snprintf(name, sizeof(name), "n%02zu", i);
                assert_string_equal(text(&f, i, FINDING_ID), id);
                assert_string_equal(text(&f, i, FINDING_NAME), name);
            }
            findings_release(&f);
        }
    }
}

/* Else nobody could go on after it; but who wants no rows gets none. */
static void test_findings_end__keeps_one_row_of_any_size(void **state)
{
    (void)state;
    for (size_t max = 0; max < 2; max++) {
        struct findings f = new_findings(max, EVERYTHING);

        findings_begin(&f);
        must_add(&f, "i-2=running");
        must_add(&f, "i-1=running|Name=web|sg-1 sg-2");
        must_add(&f, "i-3=running");
        findings_commit(&f);
        findings_trim(&f);
        must_add(&f, "i-0=running");
        findings_commit(&f);
        findings_end(&f);
        assert_ids(&f, max ? "i-0 " : "");
        assert_int_equal(findings_tally(&f).nbeyond, max ? 3 : 4);
        findings_release(&f);
    }
}

/* A page that is void leaves no trace in what is counted either. */
static void test_findings_rollback__takes_back_what_was_counted(void **state)
{
    struct findings f = new_findings(0, 0);
    struct fold_tally tally;

    (void)state;
    findings_begin(&f);
    must_add(&f, "i-5=running");
    findings_commit(&f);
    findings_trim(&f);
    must_add(&f, "i-6=running");
    must_add(&f, "i-7=running");
    findings_rollback(&f);
    must_add(&f, "i-8=running");
    findings_commit(&f);
    findings_end(&f);
    tally = findings_tally(&f);
    assert_int_equal(tally.nrows, 0);
    assert_int_equal(tally.nbeyond, 2);
    findings_release(&f);
}

static void add_numbered(struct findings *f, int first, int end)
{
    for (int i = first; i < end; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "i-%02d=running", i);
        must_add(f, text);
    }
}

/* After a trim the rows of a listing cannot be told from older ones; what the
 * listing repeats is the same instances. */
static void test_findings_restart__keeps_what_was_trimmed(void **state)
{
    struct findings f = new_findings(190, 0);
    struct fold_tally tally;

    (void)state;
    findings_begin(&f);
    add_numbered(&f, 0, 5);
    findings_commit(&f);
    findings_begin(&f);
    add_numbered(&f, 5, 20);
    findings_commit(&f);
    assert_true(findings_are_over(&f));
    findings_trim(&f);
    findings_restart(&f);
    add_numbered(&f, 5, 20);
    findings_commit(&f);
    findings_end(&f);
    tally = findings_tally(&f);
    assert_int_equal(tally.nrows, 6);
    assert_int_equal(tally.nrows + tally.nbeyond, 20);
    findings_release(&f);
}

/* Of the first listing all can be taken back, whatever a summary has trimmed:
 * it must not tell more findings than instances. */
static void test_findings_restart__forgets_a_first_listing(void **state)
{
    (void)state;
    for (size_t max = 0; max <= 200; max += 100) {
        struct findings f = new_findings(max, 0);
        struct fold_tally tally;

        findings_begin(&f);
        add_numbered(&f, 0, 20);
        findings_commit(&f);
        findings_trim(&f);
        findings_restart(&f);
        add_numbered(&f, 30, 32);
        findings_commit(&f);
        findings_end(&f);
        tally = findings_tally(&f);
        assert_int_equal(tally.nrows + tally.nbeyond, 2);
        assert_ids(&f, max ? "i-30 i-31 " : "");
        findings_release(&f);
    }
}

/* Without memory for it a trim still cuts, and all else goes on. */
static void test_findings_trim__needs_no_memory_to_cut(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct findings f = new_findings(200, EVERYTHING);
        bool failed;

        findings_begin(&f);
        for (int i = 19; i >= 0; i--) {
            char text[64];

            (void)snprintf(text, sizeof(text), "i-%02d=running|Name=x|sg-1", i);
            must_add(&f, text);
        }
        findings_commit(&f);
        fail_alloc_at(n);
        findings_trim(&f);
        failed = fail_alloc_stop();
        must_add(&f, "i-99=running");
        must_add(&f, "i-001=running");
        findings_commit(&f);
        findings_end(&f);
        assert_string_equal(text(&f, 0, FINDING_ID), "i-00");
        assert_string_equal(text(&f, 1, FINDING_ID), "i-001");
        assert_int_equal(findings_tally(&f).nrows + findings_tally(&f).nbeyond,
                         22);
        findings_release(&f);
        if (!failed)
            break;
    }
}

static void test_findings_end__begins_after_an_instance(void **state)
{
    static const struct {
        size_t position; /* of the region that is read; "after" is in 1 */
        bool is_there;
        const char *ids;
        size_t nbefore;
    } cases[] = {
        {0, true, "", 4},
        {1, true, "i-30 i-40 ", 2},
        {1, false, "i-10 i-20 i-30 i-40 ", 0},
        {2, true, "i-10 i-20 i-30 i-40 ", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int certain = 0; certain < 2; certain++) {
            const struct criteria after = {
                .after_region = SPAN_LIT("us-east-1"),
                .after_id = SPAN_LIT("i-25"),
                .after_position = 1,
                .after_is_there = cases[i].is_there,
            };
            const struct fold_options options = {
                .limits = {.rows_max = ROOMY},
                .criteria = &after,
                .position = cases[i].position,
            };
            static const char *const texts[] = {"i-40=running", "i-20=running",
                                                "i-10=running", "i-20=running",
                                                "i-30=running"};
            struct findings f;

            findings_init(&f, &options, 0);
            findings_begin(&f);
            for (size_t k = 0; k < 5; k++) {
                struct instance_record record;

                instance_record_init(&record, texts[k]);
                assert_int_equal(
                    findings_add(&f, &record.instance, certain, NULL), ERR_OK);
            }
            findings_commit(&f);
            findings_end(&f);
            assert_ids(&f, cases[i].ids);
            assert_int_equal(findings_tally(&f).nbefore, cases[i].nbefore);
            assert_int_equal(findings_tally(&f).nbeyond, 0);
            findings_release(&f);
        }
}

/* --- rows ----------------------------------------------------------------- */

static void assert_row(unsigned parts, bool full, const char *expected)
{
    static const struct ec2_tag tags[] = {
        {{"Name", 4}, {"\"\xC3\xBC\" \\ \xF0\x9F\x98\x80", 12}}};
    static const struct ec2_address addresses[] = {
        {{"10.0.0.5", 8}, EC2_PRIVATE_IP, false},
        {{"10.0.0.4", 8}, EC2_PRIVATE_IP, true},
        {{"198.51.100.7", 12}, EC2_PUBLIC_IP, false},
    };
    const struct ec2_instance instance = {
        .id = SPAN_LIT("i-1"),
        .state = SPAN_LIT("running"),
        .type = SPAN_LIT("t3.micro"),
        .launch_time = SPAN_LIT("2026-08-30T12:34:56.000Z"),
        .tags = tags,
        .ntags = 1,
        .addresses = addresses,
        .naddresses = 3,
    };
    const struct fold_row which = {.region = "eu-west-1", .full = full};
    struct findings f = new_findings(ROOMY, parts);
    struct buf row = BUF_INIT(1000);

    assert_int_equal(findings_add(&f, &instance, true, NULL), ERR_OK);
    assert_true(span_eq_str(findings_begin_row(&f, &which, &row), "i-1"));
    assert_string_equal(row.data, expected);
    buf_release(&row);
    findings_release(&f);
}

static void test_findings_init__keeps_no_details_where_brief(void **state)
{
    static const struct criteria brief = {.brief = true};
    const struct fold_options options = {.limits = {.rows_max = ROOMY},
                                         .criteria = &brief};
    const unsigned cases[] = {0, FINDINGS_DETAILS};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct fold_row which = {.region = "r", .full = true};
        struct findings f;
        struct buf row = BUF_INIT(1000);

        findings_init(&f, &options, cases[i]);
        must_add(&f, "i-1=running||sg-1|t3.micro");
        (void)findings_begin_row(&f, &which, &row);
        assert_int_equal(strstr(row.data, "instanceType") != NULL, i);
        assert_int_equal(strstr(row.data, "launchTime") != NULL, i);
        buf_release(&row);
        findings_release(&f);
    }
}

static void test_findings_begin_row__has_what_was_kept(void **state)
{
    (void)state;
    assert_row(0, false,
               "{\"region\":\"eu-west-1\",\"instanceId\":\"i-1\","
               "\"state\":\"running\"");
    assert_row(FINDINGS_NAMES, false,
               "{\"region\":\"eu-west-1\",\"instanceId\":\"i-1\","
               "\"instanceName\":"
               "\"\\\"\xC3\xBC\\\" \\\\ \xF0\x9F\x98\x80\","
               "\"state\":\"running\"");
    assert_row(EVERYTHING, true,
               "{\"region\":\"eu-west-1\",\"instanceId\":\"i-1\","
               "\"instanceName\":"
               "\"\\\"\xC3\xBC\\\" \\\\ \xF0\x9F\x98\x80\","
               "\"state\":\"running\",\"instanceType\":\"t3.micro\","
               "\"launchTime\":\"2026-08-30T12:34:56.000Z\","
               "\"privateIp\":\"10.0.0.4\",\"publicIp\":\"198.51.100.7\","
               "\"ipv6\":\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_add__copies_what_it_keeps),
        cmocka_unit_test(test_findings_add__keeps_each_group_once_and_sorted),
        cmocka_unit_test(test_findings_add__keeps_the_parts_that_are_wanted),
        cmocka_unit_test(test_findings_add__picks_the_name_tag),
        cmocka_unit_test(test_findings_add__reports_every_failed_allocation),
        cmocka_unit_test(test_findings_add__bounds_one_page),
        cmocka_unit_test(test_findings_rollback__drops_the_rows_since_a_commit),
        cmocka_unit_test(test_findings_end__sorts_and_drops_repeated_ids),
        cmocka_unit_test(test_findings_end__keeps_the_smallest_ids_that_fit),
        cmocka_unit_test(test_findings_end__keeps_one_row_of_any_size),
        cmocka_unit_test(test_findings_rollback__takes_back_what_was_counted),
        cmocka_unit_test(test_findings_restart__keeps_what_was_trimmed),
        cmocka_unit_test(test_findings_restart__forgets_a_first_listing),
        cmocka_unit_test(test_findings_trim__needs_no_memory_to_cut),
        cmocka_unit_test(test_findings_end__begins_after_an_instance),
        cmocka_unit_test(test_findings_init__keeps_no_details_where_brief),
        cmocka_unit_test(test_findings_begin_row__has_what_was_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
