#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json_text.h"
#include "support/fail_alloc.h"
#include "survey/report.h"

#define ROOMY ((size_t)1024 * 1024)
#define NREGIONS_MAX 16

/*
 * Doubles: a sweep that has ended, an atlas with a list, a fold whose rows are
 * texts. The program's own sweep.o and atlas.o are then not linked in.
 */
struct sweep {
    struct sweep_region regions[NREGIONS_MAX];
};

struct atlas {
    enum atlas_source source;
    const char *const *names;
    size_t n;
};

const struct sweep_region *sweep_get_region(const struct sweep *sweep, size_t i)
{
    assert_true(i < NREGIONS_MAX && sweep->regions[i].name);
    return &sweep->regions[i];
}

enum atlas_source atlas_get_source(const struct atlas *atlas)
{
    return atlas->source;
}

size_t sweep_nregions(const struct sweep *sweep)
{
    size_t n = 0;

    while (n < NREGIONS_MAX && sweep->regions[n].name)
        n++;
    return n;
}

bool atlas_knows(const struct atlas *atlas, struct span name)
{
    (void)atlas;
    (void)name;
    return true;
}

bool atlas_allows(const struct atlas *atlas, struct span name)
{
    (void)atlas;
    (void)name;
    return true;
}

const char *const *atlas_regions(const struct atlas *atlas, size_t *n)
{
    *n = atlas->n;
    return atlas->names;
}

/* Rows end with NULL. */
struct rows {
    const char *const *texts;
    size_t nbefore;
    size_t nbeyond;
    size_t list_len; /* of the list in each row; 0: no list */
};

static struct fold_tally rows_tally(const void *state)
{
    const struct rows *rows = state;
    struct fold_tally tally = {0, rows->nbefore, rows->nbeyond};

    while (rows->texts[tally.nrows])
        tally.nrows++;
    return tally;
}

/* {"region", "v"} with the text, and with a list of "entry" if it has one;
 * "instanceId" instead of "v" for texts that begin with "i-". */
static struct span rows_row(const void *state, const struct fold_row *which,
                            struct buf *out)
{
    const struct rows *rows = state;
    const char *text = rows->texts[which->i];
    bool is_id = strncmp(text, "i-", 2) == 0;

    buf_addf(out, "{\"region\":\"%s\",\"%s\":", which->region,
             is_id ? "instanceId" : "v");
    json_text_string(out, span_of(text));
    if (rows->list_len)
        buf_add_str(out, ",\"list\":[");
    for (size_t i = 0; i < rows->list_len && i < which->list_max; i++)
        buf_addf(out, "%s\"entry\"", i ? "," : "");
    if (rows->list_len)
        buf_add_char(out, ']');
    buf_add_str(out, which->full ? ",\"full\":true}" : "}");
    return is_id ? span_of(text) : (struct span){NULL, 0};
}

static const struct fold ROWS_FOLD = {.tally = rows_tally, .row = rows_row};
static const struct question LIST = {.folds = {&ROWS_FOLD}, .nfolds = 1};
static const struct question IN_PLACE = {
    .folds = {&ROWS_FOLD},
    .nfolds = 1,
    .failures_in_place = true,
};

static const char *const KNOWN[] = {"eu-west-1", "eu-west-2", "us-east-1",
                                    "us-east-2"};
static const struct criteria EVERYTHING = {0};
static const struct atlas ATLAS = {ATLAS_ACCOUNT, KNOWN, 4};

/* Everything that a report is made from. */
struct setting {
    struct sweep sweep;
    struct scope_entry entries[NREGIONS_MAX];
    struct scope scope;
    size_t nasked;
};

static void add_entry(struct setting *s, const char *name, enum scope_kind kind)
{
    struct scope_entry *entry = &s->entries[s->scope.n++];

    assert_true(s->scope.n <= NREGIONS_MAX);
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->kind = kind;
    s->scope.entries = s->entries;
}

static void add_rows(struct setting *s, const char *name, struct rows *rows)
{
    add_entry(s, name, SCOPE_REGION);
    s->sweep.regions[s->nasked++] =
        (struct sweep_region){.name = name, .ended = true, .states = {rows}};
}

static void add_failure(struct setting *s, const char *name,
                        enum failure_kind kind, const char *code)
{
    struct sweep_region *region = &s->sweep.regions[s->nasked++];

    add_entry(s, name, SCOPE_REGION);
    *region = (struct sweep_region){.name = name, .ended = true};
    region->failure.kind = kind;
    failure_set_code(&region->failure, span_of(code));
}

static struct report_input input_for(const struct setting *s,
                                     const struct question *question,
                                     size_t budget)
{
    return (struct report_input){
        .question = question,
        .scope = &s->scope,
        .sweep = &s->sweep,
        .atlas = &ATLAS,
        .criteria = &EVERYTHING,
        .account = SPAN_LIT("123456789012"),
        .as_of = SPAN_LIT("2026-08-30T12:34:56Z"),
        .budget = budget,
        .in_string = true,
    };
}

/* NOLINTNEXTLINE(readability-function-size): all that a report has */
static enum err_code render_as(const struct setting *s,
                               const struct question *question, size_t budget,
                               enum report_form form, struct buf *out,
                               struct report_summary *summary, struct err *err)
{
    struct report_input input = input_for(s, question, budget);

    input.form = form;
    return report_render(&input, out, summary, err);
}

static enum err_code render(const struct setting *s,
                            const struct question *question, size_t budget,
                            struct buf *out, struct report_summary *summary,
                            struct err *err)
{
    return render_as(s, question, budget, REPORT_ARRAY, out, summary, err);
}

static void assert_rendered(const struct setting *s,
                            const struct question *question, size_t budget,
                            enum report_form form, const char *expected)
{
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;

    assert_int_equal(render_as(s, question, budget, form, &out, &summary, NULL),
                     ERR_OK);
    assert_string_equal(out.data, expected);
    buf_release(&out);
}

static void assert_report(const struct setting *s,
                          const struct question *question, const char *expected,
                          struct report_summary summary)
{
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary got = {0};
    struct err err = {0};

    buf_add_str(&out, "left over");
    if (render(s, question, ROOMY, &out, &got, &err))
        fail_msg("report_render: %s", err.msg);
    assert_string_equal(out.data, expected);
    assert_int_equal(got.nfailed, summary.nfailed);
    assert_int_equal(got.total, summary.total);
    assert_int_equal(got.shown, summary.shown);
    buf_release(&out);
}

static struct rows NO_ROWS = {.texts = (const char *const[]){NULL}};
static struct rows ROWS_A = {.texts = (const char *const[]){"a1", "a2", NULL}};
static struct rows ROWS_B = {.texts = (const char *const[]){"b1", NULL}};

static void test_report_render__is_an_array_when_nothing_is_found(void **state)
{
    struct setting s = {0};

    (void)state;
    assert_report(&s, &LIST, "[]", (struct report_summary){0});
    assert_report(&s, &IN_PLACE, "[]", (struct report_summary){0});
    add_rows(&s, "us-east-1", &NO_ROWS);
    assert_report(&s, &LIST, "[]", (struct report_summary){0});
}

static void test_report_render__keeps_the_order_asked_for(void **state)
{
    struct setting s = {0};

    (void)state;
    add_rows(&s, "us-east-1", &ROWS_B);
    add_rows(&s, "af-south-1", &NO_ROWS);
    add_rows(&s, "eu-west-1", &ROWS_A);
    assert_report(&s, &LIST,
                  "[{\"region\":\"us-east-1\",\"v\":\"b1\"},"
                  "{\"region\":\"eu-west-1\",\"v\":\"a1\"},"
                  "{\"region\":\"eu-west-1\",\"v\":\"a2\"}]",
                  (struct report_summary){0, 3, 3});
}

#define DENIED_ELEMENT                                                         \
    "{\"region\":\"us-east-1\",\"error\":\"UnauthorizedOperation: access "     \
    "denied, possibly by a service control policy\"}"
#define UNKNOWN_ELEMENT                                                        \
    "{\"region\":\"us-east-9\",\"error\":\"unknown, or not enabled in this "   \
    "account; nearest: us-east-1, us-east-2\"}"

static void fill_mixed(struct setting *s)
{
    add_rows(s, "eu-west-1", &ROWS_A);
    add_failure(s, "us-east-1", FAILURE_DENIED, "UnauthorizedOperation");
    add_entry(s, "us-east-9", SCOPE_UNKNOWN);
    add_rows(s, "eu-west-2", &ROWS_B);
}

static void test_report_render__puts_failures_before_findings(void **state)
{
    struct setting s = {0};

    (void)state;
    fill_mixed(&s);
    assert_report(&s, &LIST,
                  "[" DENIED_ELEMENT "," UNKNOWN_ELEMENT ","
                  "{\"region\":\"eu-west-1\",\"v\":\"a1\"},"
                  "{\"region\":\"eu-west-1\",\"v\":\"a2\"},"
                  "{\"region\":\"eu-west-2\",\"v\":\"b1\"}]",
                  (struct report_summary){2, 3, 3});
}

static void test_report_render__puts_failures_in_their_place(void **state)
{
    struct setting s = {0};

    (void)state;
    fill_mixed(&s);
    assert_report(&s, &IN_PLACE,
                  "[{\"region\":\"eu-west-1\",\"v\":\"a1\"},"
                  "{\"region\":\"eu-west-1\",\"v\":\"a2\"}," DENIED_ELEMENT
                  "," UNKNOWN_ELEMENT ","
                  "{\"region\":\"eu-west-2\",\"v\":\"b1\"}]",
                  (struct report_summary){2, 3, 3});
}

/* A region that failed may have rows from before its failure. */
static void test_report_render__leaves_out_rows_of_a_failed_region(void **state)
{
    struct setting s = {0};

    (void)state;
    add_failure(&s, "us-east-1", FAILURE_DENIED, "UnauthorizedOperation");
    s.sweep.regions[0].states[0] = &ROWS_A;
    assert_report(&s, &LIST, "[" DENIED_ELEMENT "]",
                  (struct report_summary){1, 0, 0});
    assert_report(&s, &IN_PLACE, "[" DENIED_ELEMENT "]",
                  (struct report_summary){1, 0, 0});
}

static void test_report_render__says_why_a_name_was_not_asked(void **state)
{
    static const struct {
        enum atlas_source source;
        const char *name;
        enum scope_kind kind;
        const char *error;
    } cases[] = {
        {ATLAS_ACCOUNT, "evil.example", SCOPE_ILL_FORMED, "not a region name"},
        {ATLAS_ACCOUNT, "useast1", SCOPE_ILL_FORMED,
         "not a region name; nearest: us-east-1, us-east-2"},
        {ATLAS_ACCOUNT, "eu-west-3", SCOPE_UNKNOWN,
         "unknown, or not enabled in this account; nearest: eu-west-1, "
         "eu-west-2"},
        {ATLAS_CONFIGURED, "xx-nowhere-1", SCOPE_UNKNOWN,
         "not among the regions this function may ask"},
        {ATLAS_BUILT_IN, "eu-east-1", SCOPE_UNKNOWN,
         "unknown region; nearest: eu-west-1, us-east-1, eu-west-2"},
        {ATLAS_ACCOUNT, "\xE2\x98\x83", SCOPE_ILL_FORMED, "not a region name"},
        {ATLAS_ACCOUNT, "us-east-1", SCOPE_NOT_ALLOWED,
         "not allowed: outside REGIONS_ALLOWED"},
        {ATLAS_ACCOUNT, "xx-*", SCOPE_NO_MATCH,
         "no region that may be asked has such a name"},
        {ATLAS_ACCOUNT, "us-*", SCOPE_EXCLUDED,
         "the list excludes every region that it names"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct atlas atlas = {cases[i].source, KNOWN, 4};
        struct setting s = {0};
        const struct report_input input = {
            .question = &LIST,
            .scope = &s.scope,
            .sweep = &s.sweep,
            .atlas = &atlas,
            .criteria = &EVERYTHING,
            .budget = ROOMY,
            .in_string = true,
        };
        struct report_summary summary;
        struct buf out = BUF_INIT(ROOMY);
        char expected[256];

        add_entry(&s, cases[i].name, cases[i].kind);
        (void)snprintf(expected, sizeof(expected),
                       "[{\"region\":\"%s\",\"error\":\"%s\"}]", cases[i].name,
                       cases[i].error);
        assert_int_equal(report_render(&input, &out, &summary, NULL), ERR_OK);
        assert_string_equal(out.data, expected);
        assert_int_equal(summary.nfailed, 1);
        buf_release(&out);
    }
}

static void test_report_render__keeps_sentences_within_their_limit(void **state)
{
    static const char *const longest[] = {
        "aaaaaaaaaaaaaaaaaaaaaaa-bbbbb-1",
        "aaaaaaaaaaaaaaaaaaaaaaa-bbbbb-2",
        "aaaaaaaaaaaaaaaaaaaaaaa-bbbbb-3",
    };
    const struct atlas atlas = {ATLAS_CONFIGURED, longest, 3};
    struct setting s = {0};
    const struct report_input input = {
        .question = &LIST,
        .scope = &s.scope,
        .sweep = &s.sweep,
        .atlas = &atlas,
        .criteria = &EVERYTHING,
        .budget = ROOMY,
        .in_string = true,
    };
    struct report_summary summary;
    struct buf out = BUF_INIT(ROOMY);
    json_t *array;
    const json_t *error;

    (void)state;
    add_entry(&s, "aaaaaaaaaaaaaaaaaaaaaaa-bbbbb-4", SCOPE_UNKNOWN);
    assert_int_equal(report_render(&input, &out, &summary, NULL), ERR_OK);
    array = json_loads(out.data, 0, NULL);
    error = json_object_get(json_array_get(array, 0), "error");
    /* 43 of its own, 11 more and three names of 31 with two separators. */
    assert_int_equal(json_string_length(error), 43 + 11 + 3 * 31 + 2 * 2);
    json_decref(array);
    buf_release(&out);
}

/* Bytes that text takes as a JSON string, by another implementation. */
static size_t string_len(const struct buf *text)
{
    json_t *string = json_stringn(text->data, text->len);
    char *dumped = json_dumps(string, JSON_ENCODE_ANY);
    size_t len;

    assert_non_null(dumped);
    len = strlen(dumped) - 2; /* the quotes */
    free(dumped);
    json_decref(string);
    return len;
}

/* Names as people tag them: all that JSON escapes, and what it need not. So
 * many of each that the room kept for the end does not hide a wrong sum. */
#define TIMES_8(s) s s s s s s s s
static struct rows ODD_ROWS = {
    .texts =
        (const char *const[]){"plain", TIMES_8(TIMES_8("\"\"")),
                              TIMES_8(TIMES_8("\\\\\\")),
                              TIMES_8("tab\tline\ncr\rbell\x07"),
                              "\x7F \xC3\xBC \xE2\x80\xA8 \xF0\x9F\x98\x80",
                              "</script>", "", "\\\"\\\"\x01\\\"", NULL},
};
#define NODD 8

static void check_budget(const struct setting *s, size_t budget,
                         const json_t *whole, size_t *shown)
{
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary = {0};
    json_t *array;
    const json_t *omitted;

    if (render(s, &LIST, budget, &out, &summary, NULL)) {
        assert_int_equal(*shown, 0);
        buf_release(&out);
        return;
    }
    array = json_loadb(out.data, out.len, 0, NULL);
    assert_non_null(array);
    assert_true(string_len(&out) <= budget);
    assert_int_equal(summary.total, NODD);
    assert_true(summary.shown >= *shown);
    *shown = summary.shown;
    for (size_t i = 0; i < summary.shown; i++)
        assert_true(
            json_equal(json_array_get(array, i), json_array_get(whole, i)));
    omitted = json_object_get(json_array_get(array, summary.shown), "omitted");
    assert_int_equal(json_array_size(array),
                     summary.shown + (summary.shown < NODD ? 1 : 0));
    if (summary.shown < NODD) {
        assert_int_equal(json_integer_value(json_object_get(omitted, "total")),
                         NODD);
        assert_int_equal(json_integer_value(json_object_get(omitted, "shown")),
                         (json_int_t)summary.shown);
    }
    json_decref(array);
    buf_release(&out);
}

static void
test_report_render__cuts_at_a_whole_row_within_the_budget(void **state)
{
    struct setting s = {0};
    struct buf whole = BUF_INIT(ROOMY);
    struct report_summary summary;
    size_t len;
    size_t shown = 0;
    json_t *array;

    (void)state;
    add_rows(&s, "us-east-1", &ODD_ROWS);
    assert_int_equal(render(&s, &LIST, ROOMY, &whole, &summary, NULL), ERR_OK);
    array = json_loadb(whole.data, whole.len, 0, NULL);
    assert_int_equal(json_array_size(array), NODD);
    len = string_len(&whole);
    for (size_t budget = 0; budget < len + 200; budget++)
        check_budget(&s, budget, array, &shown);
    assert_int_equal(shown, NODD);
    json_decref(array);
    buf_release(&whole);
}

/* The room is used: a budget that is enough for all is not cut. */
static void test_report_render__wastes_little_of_the_budget(void **state)
{
    struct setting s = {0};
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;
    size_t len;

    (void)state;
    add_rows(&s, "us-east-1", &ODD_ROWS);
    assert_int_equal(render(&s, &LIST, ROOMY, &out, &summary, NULL), ERR_OK);
    len = string_len(&out);
    assert_int_equal(render(&s, &LIST, len + 200, &out, &summary, NULL),
                     ERR_OK);
    assert_int_equal(summary.shown, NODD);
    buf_release(&out);
}

static void
test_report_render__shows_no_row_after_one_that_did_not_fit(void **state)
{
    static char big[5000];
    struct rows rows = {.texts =
                            (const char *const[]){"first", big, "last", NULL}};
    struct setting s = {0};
    struct buf out = BUF_INIT((size_t)1000);
    struct report_summary summary;

    (void)state;
    memset(big, '"', sizeof(big) - 1);
    add_rows(&s, "us-east-1", &rows);
    add_rows(&s, "us-east-2", &ROWS_A);
    /* The row is longer than the buffer itself. */
    assert_int_equal(render(&s, &IN_PLACE, 1000, &out, &summary, NULL), ERR_OK);
    assert_string_equal(out.data, "[{\"region\":\"us-east-1\",\"v\":\"first\"},"
                                  "{\"omitted\":{\"total\":5,\"shown\":1}}]");
    buf_release(&out);
}

static void test_report_render__tells_failures_after_it_is_full(void **state)
{
    static char big[5000];
    struct rows rows = {.texts = (const char *const[]){big, NULL}};
    struct setting s = {0};
    struct buf out = BUF_INIT((size_t)1000);
    struct report_summary summary;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    add_rows(&s, "us-east-2", &rows);
    add_failure(&s, "us-east-1", FAILURE_DENIED, "UnauthorizedOperation");
    assert_int_equal(render(&s, &IN_PLACE, 1000, &out, &summary, NULL), ERR_OK);
    assert_string_equal(out.data, "[" DENIED_ELEMENT
                                  ",{\"omitted\":{\"total\":1,\"shown\":0}}]");
    buf_release(&out);
}

/* Rows do not take the room of failures that stand behind them. */
static void test_report_render__keeps_room_for_failures_in_place(void **state)
{
    const char *texts[60];
    struct rows rows = {.texts = texts};
    struct setting s = {0};
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;

    (void)state;
    for (size_t i = 0; i < 59; i++)
        texts[i] = "a text of some length";
    texts[59] = NULL;
    add_rows(&s, "us-east-1", &rows);
    add_entry(&s, "xx-nowhere-1", SCOPE_NOT_ALLOWED);
    add_failure(&s, "us-east-2", FAILURE_DENIED, "UnauthorizedOperation");
    add_entry(&s, "yy-nowhere-1", SCOPE_NOT_ALLOWED);
    assert_int_equal(render(&s, &IN_PLACE, 2000, &out, &summary, NULL), ERR_OK);
    assert_true(string_len(&out) <= 2000);
    assert_true(summary.shown > 10 && summary.shown < 59);
    assert_non_null(strstr(
        out.data,
        "\"a text of some length\"},"
        "{\"region\":\"xx-nowhere-1\",\"error\":\"not allowed: outside "
        "REGIONS_ALLOWED\"},"
        "{\"region\":\"us-east-2\",\"error\":\"UnauthorizedOperation: access "
        "denied, possibly by a service control policy\"},"
        "{\"region\":\"yy-nowhere-1\",\"error\":\"not allowed: outside "
        "REGIONS_ALLOWED\"},"
        "{\"omitted\":{\"total\":59,\"shown\":"));
    assert_null(strstr(out.data, "\"failures\""));
    buf_release(&out);
}

static void test_report_render__counts_failures_that_do_not_fit(void **state)
{
    struct setting s = {0};

    (void)state;
    add_failure(&s, "us-east-1", FAILURE_DENIED, "UnauthorizedOperation");
    add_entry(&s, "us-east-9", SCOPE_UNKNOWN);
    assert_rendered(&s, &LIST, 200, REPORT_ARRAY,
                    "[{\"omitted\":{\"total\":0,\"shown\":0,"
                    "\"failures\":2}}]");
    assert_rendered(&s, &IN_PLACE, 200, REPORT_ARRAY,
                    "[{\"omitted\":{\"total\":0,\"shown\":0,"
                    "\"failures\":2}}]");
    assert_rendered(&s, &LIST, 300, REPORT_ARRAY,
                    "[" DENIED_ELEMENT ",{\"omitted\":{\"total\":0,\"shown\":0,"
                    "\"failures\":1}}]");
}

/* --- the object ----------------------------------------------------------- */

#define STATES                                                                 \
    "\"states\":[\"pending\",\"running\",\"shutting-down\",\"terminated\","    \
    "\"stopping\",\"stopped\"]"

static void test_report_render__makes_an_object(void **state)
{
    struct setting s = {0};

    (void)state;
    fill_mixed(&s);
    assert_rendered(
        &s, &LIST, ROOMY, REPORT_OBJECT,
        "{\"account\":\"123456789012\",\"asOf\":\"2026-08-30T12:34:56Z\","
        "\"regionsAsked\":4,\"regionsAnswered\":2," STATES ",\"total\":3,"
        "\"shown\":3,\"items\":["
        "{\"region\":\"eu-west-1\",\"v\":\"a1\",\"full\":true},"
        "{\"region\":\"eu-west-1\",\"v\":\"a2\",\"full\":true},"
        "{\"region\":\"eu-west-2\",\"v\":\"b1\",\"full\":true}],"
        "\"failed\":[{\"regions\":[\"us-east-1\"],\"error\":"
        "\"UnauthorizedOperation: access denied, possibly by a service control "
        "policy\"},{\"regions\":[\"us-east-9\"],\"error\":\"unknown, or not "
        "enabled in this account; nearest: us-east-1, us-east-2\"}]}");
}

static void test_report_render__says_that_nothing_was_found(void **state)
{
    struct setting s = {0};

    (void)state;
    add_rows(&s, "us-east-1", &NO_ROWS);
    add_rows(&s, "us-east-2", &NO_ROWS);
    assert_rendered(
        &s, &LIST, ROOMY, REPORT_OBJECT,
        "{\"account\":\"123456789012\",\"asOf\":\"2026-08-30T12:34:56Z\","
        "\"regionsAsked\":2,\"regionsAnswered\":2," STATES
        ",\"total\":0,\"shown\":0,\"items\":[],\"failed\":[]}");
}

static void test_report_render__leaves_out_what_is_not_known(void **state)
{
    struct setting s = {0};
    const struct criteria some = {.states = 1U << 1 | 1U << 5};
    struct report_input input = input_for(&s, &IN_PLACE, ROOMY);
    struct report_summary summary;
    struct buf out = BUF_INIT(ROOMY);

    (void)state;
    add_rows(&s, "us-east-1", &NO_ROWS);
    input.form = REPORT_OBJECT;
    input.account = (struct span){NULL, 0};
    input.as_of = (struct span){NULL, 0};
    input.criteria = &some;
    assert_int_equal(report_render(&input, &out, &summary, NULL), ERR_OK);
    assert_string_equal(out.data,
                        "{\"regionsAsked\":1,\"regionsAnswered\":1,"
                        "\"states\":[\"running\",\"stopped\"],\"total\":0,"
                        "\"shown\":0,\"items\":[],\"failed\":[]}");
    buf_release(&out);
}

static void test_report_render__groups_equal_failures(void **state)
{
    struct setting s = {0};
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;

    (void)state;
    add_failure(&s, "us-east-1", FAILURE_DENIED, "UnauthorizedOperation");
    add_entry(&s, "xx-nowhere-1", SCOPE_NOT_ALLOWED);
    add_failure(&s, "us-east-2", FAILURE_DENIED, "UnauthorizedOperation");
    add_entry(&s, "yy-nowhere-1", SCOPE_NOT_ALLOWED);
    assert_int_equal(
        render_as(&s, &LIST, ROOMY, REPORT_OBJECT, &out, &summary, NULL),
        ERR_OK);
    assert_non_null(strstr(
        out.data,
        "\"failed\":[{\"regions\":[\"us-east-1\",\"us-east-2\"],\"error\":"
        "\"UnauthorizedOperation: access denied, possibly by a service control "
        "policy\"},{\"regions\":[\"xx-nowhere-1\",\"yy-nowhere-1\"],\"error\":"
        "\"not allowed: outside REGIONS_ALLOWED\"}]}"));
    assert_int_equal(summary.nfailed, 4);
    /* Too many names for one group are cut, and counted. */
    assert_int_equal(
        render_as(&s, &LIST, 700, REPORT_OBJECT, &out, &summary, NULL), ERR_OK);
    assert_non_null(strstr(out.data, ",\"failuresOmitted\":"));
    buf_release(&out);
}

static bool add_sum(const struct sweep *sweep, json_t *object)
{
    return !json_object_set_new(
        object, "sum", json_integer((json_int_t)sweep_nregions(sweep)));
}

static enum err_code sum_up(const struct sweep *sweep, json_t **out,
                            struct err *err)
{
    *out = json_pack("{s:i}", "sum", (int)sweep_nregions(sweep));
    return *out ? ERR_OK : err_nomem(err, "sum");
}

static void test_report_render__has_sums_over_all_regions(void **state)
{
    const struct question with_totals = {
        .folds = {&ROWS_FOLD}, .nfolds = 1, .totals = add_sum};
    const struct question summarized = {
        .folds = {&ROWS_FOLD}, .nfolds = 1, .summarize = sum_up};
    struct setting s = {0};
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;

    (void)state;
    add_rows(&s, "us-east-1", &ROWS_B);
    add_entry(&s, "xx-nowhere-1", SCOPE_NOT_ALLOWED);
    assert_int_equal(
        render_as(&s, &with_totals, ROOMY, REPORT_OBJECT, &out, &summary, NULL),
        ERR_OK);
    assert_non_null(strstr(out.data, "\"total\":1,\"shown\":1,\"sum\":1,"));
    assert_rendered(&s, &summarized, ROOMY, REPORT_ARRAY,
                    "[{\"region\":\"xx-nowhere-1\",\"error\":\"not allowed: "
                    "outside REGIONS_ALLOWED\"},"
                    "{\"sum\":1,\"regionsAsked\":2,\"regionsFailed\":1}]");
    /* Where no region has answered, 0 would be a lie. */
    s = (struct setting){0};
    add_entry(&s, "xx-nowhere-1", SCOPE_NOT_ALLOWED);
    add_failure(&s, "us-east-1", FAILURE_DENIED, "UnauthorizedOperation");
    assert_int_equal(
        render_as(&s, &with_totals, ROOMY, REPORT_OBJECT, &out, &summary, NULL),
        ERR_OK);
    assert_null(strstr(out.data, "sum"));
    assert_int_equal(
        render_as(&s, &summarized, ROOMY, REPORT_OBJECT, &out, &summary, NULL),
        ERR_OK);
    assert_non_null(strstr(out.data, "\"total\":0,\"shown\":0,\"items\":[],"));
    buf_release(&out);
}

/* --- going on ------------------------------------------------------------- */

static const struct question WALK = {
    .params = QUESTION_REGIONS | QUESTION_AFTER,
    .folds = {&ROWS_FOLD},
    .nfolds = 1,
};

static void test_report_render__says_where_to_go_on(void **state)
{
    struct rows few = {.texts = (const char *const[]){"i-1", "i-2", NULL},
                       .nbefore = 3,
                       .nbeyond = 4};
    struct setting s = {0};
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;

    (void)state;
    add_rows(&s, "us-east-1", &few);
    add_rows(&s, "us-east-2", &ROWS_A);
    /* Cut where a region kept no more, though there is room. */
    assert_rendered(&s, &WALK, ROOMY, REPORT_ARRAY,
                    "[{\"region\":\"us-east-1\",\"instanceId\":\"i-1\"},"
                    "{\"region\":\"us-east-1\",\"instanceId\":\"i-2\"},"
                    "{\"omitted\":{\"total\":11,\"shown\":2,"
                    "\"next\":\"us-east-1/i-2\"}}]");
    assert_int_equal(
        render_as(&s, &WALK, ROOMY, REPORT_OBJECT, &out, &summary, NULL),
        ERR_OK);
    assert_non_null(strstr(out.data, "\"total\":11,\"shown\":2,"));
    assert_non_null(
        strstr(out.data, "\"failed\":[],\"next\":\"us-east-1/i-2\"}"));
    few.nbeyond = 0;
    assert_int_equal(
        render_as(&s, &WALK, ROOMY, REPORT_OBJECT, &out, &summary, NULL),
        ERR_OK);
    assert_null(strstr(out.data, "next"));
    buf_release(&out);
}

/* An id that "after" would not take is no place to go on from. */
static void test_report_render__names_no_place_that_is_none(void **state)
{
    struct rows odd = {.texts = (const char *const[]){"i-\"1", NULL},
                       .nbeyond = 1};
    struct setting s = {0};

    (void)state;
    add_rows(&s, "us-east-1", &odd);
    assert_rendered(&s, &WALK, ROOMY, REPORT_ARRAY,
                    "[{\"region\":\"us-east-1\",\"instanceId\":\"i-\\\"1\"},"
                    "{\"omitted\":{\"total\":2,\"shown\":1}}]");
}

#define NWALK 12

/* The ids of a region from begin on, as a fold would keep them. */
static struct rows rows_from(const char *ids[NWALK + 1], size_t begin)
{
    return (struct rows){
        .texts = ids + begin, .nbefore = begin, .list_len = 200};
}

/* Asks again and again behind the last row; counts the rows, which must come
 * in order, each once. */
static size_t walk(const char *ids[NWALK + 1], enum report_form form,
                   size_t budget, bool in_string)
{
    size_t seen = 0;

    for (size_t calls = 0; calls <= 2 * NWALK; calls++) {
        struct rows first = rows_from(ids, seen < NWALK ? seen : NWALK);
        struct rows second = rows_from(ids, seen < NWALK ? 0 : seen - NWALK);
        struct setting s = {0};
        struct buf out = BUF_INIT(budget);
        struct report_summary summary;
        struct report_input input;

        add_rows(&s, "us-east-1", &first);
        add_failure(&s, "us-east-9", FAILURE_DENIED, "UnauthorizedOperation");
        add_rows(&s, "us-east-2", &second);
        /* More failures than the least budget has room for. */
        for (int i = 0; i < 12; i++) {
            char name[32];

            (void)snprintf(name, sizeof(name), "us-east-%d", 10 + i);
            add_entry(&s, name, SCOPE_UNKNOWN);
        }
        input = input_for(&s, &WALK, budget);
        input.form = form;
        input.in_string = in_string;
        assert_int_equal(report_render(&input, &out, &summary, NULL), ERR_OK);
        assert_true((in_string ? string_len(&out) - 2 : out.len) <= budget);
        assert_int_equal(summary.total, 2 * NWALK);
        assert_true(summary.shown > 0);
        for (size_t i = seen; i < seen + summary.shown; i++) {
            char want[64];

            (void)snprintf(want, sizeof(want),
                           "{\"region\":\"us-east-%d\",\"instanceId\":\"%s\"",
                           i < NWALK ? 1 : 2, ids[i % NWALK]);
            assert_non_null(strstr(out.data, want));
        }
        seen += summary.shown;
        assert_int_equal(strstr(out.data, "\"next\"") != NULL,
                         seen < 2 * (size_t)NWALK);
        buf_release(&out);
        if (seen == 2 * (size_t)NWALK)
            return calls + 1;
    }
    fail_msg("%zu of %d rows under %zu bytes", seen, 2 * NWALK, budget);
    return 0;
}

static void test_report_render__gets_on_under_any_budget(void **state)
{
    char texts[NWALK][32];
    const char *ids[NWALK + 1] = {0};

    (void)state;
    for (size_t i = 0; i < NWALK; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "i-%017zu", i);
        ids[i] = texts[i];
    }
    for (size_t budget = REPORT_BUDGET_MIN; budget < 24000;
         budget += budget / 23) {
        (void)walk(ids, REPORT_ARRAY, budget, true);
        (void)walk(ids, REPORT_ARRAY, budget, false);
        (void)walk(ids, REPORT_OBJECT, budget, true);
        (void)walk(ids, REPORT_OBJECT, budget, false);
    }
}

static void
test_report_render__fails_when_omissions_cannot_be_told(void **state)
{
    struct setting s = {0};
    struct buf out = BUF_INIT(ROOMY);
    struct report_summary summary;
    struct err err = {0};

    (void)state;
    add_rows(&s, "us-east-1", &ROWS_A);
    assert_int_equal(render(&s, &LIST, 10, &out, &summary, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "report: no room in 10 bytes");
    buf_release(&out);
}

/* jansson 2.14 does without some of its memory: then all must be there. */
static void report_every_failed_allocation(const struct setting *s,
                                           enum report_form form,
                                           const char *has)
{
    struct buf out = BUF_INIT(ROOMY);
    struct buf whole = BUF_INIT(ROOMY);
    struct report_summary summary;
    bool failed = true;
    size_t n;

    assert_int_equal(render_as(s, &LIST, 440, form, &whole, &summary, NULL),
                     ERR_OK);
    assert_non_null(strstr(whole.data, has));
    for (n = 0; failed; n++) {
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = render_as(s, &LIST, 440, form, &out, &summary, &err);
        failed = fail_alloc_stop();
        if (rc) {
            assert_true(failed);
            assert_int_equal(rc, ERR_NOMEM);
            assert_non_null(strstr(err.msg, "out of memory"));
        } else {
            assert_string_equal(out.data, whole.data);
        }
        buf_release(&out);
    }
    assert_true(n > 30);
    buf_release(&whole);
}

static void test_report_render__reports_every_failed_allocation(void **state)
{
    struct setting s = {0};

    (void)state;
    fill_mixed(&s);
    report_every_failed_allocation(&s, REPORT_ARRAY, "omitted");
    report_every_failed_allocation(&s, REPORT_OBJECT, "failuresOmitted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_render__makes_an_object),
        cmocka_unit_test(test_report_render__says_that_nothing_was_found),
        cmocka_unit_test(test_report_render__leaves_out_what_is_not_known),
        cmocka_unit_test(test_report_render__groups_equal_failures),
        cmocka_unit_test(test_report_render__has_sums_over_all_regions),
        cmocka_unit_test(test_report_render__says_where_to_go_on),
        cmocka_unit_test(test_report_render__names_no_place_that_is_none),
        cmocka_unit_test(test_report_render__gets_on_under_any_budget),
        cmocka_unit_test(test_report_render__is_an_array_when_nothing_is_found),
        cmocka_unit_test(test_report_render__keeps_the_order_asked_for),
        cmocka_unit_test(test_report_render__puts_failures_before_findings),
        cmocka_unit_test(test_report_render__puts_failures_in_their_place),
        cmocka_unit_test(
            test_report_render__leaves_out_rows_of_a_failed_region),
        cmocka_unit_test(test_report_render__says_why_a_name_was_not_asked),
        cmocka_unit_test(
            test_report_render__keeps_sentences_within_their_limit),
        cmocka_unit_test(
            test_report_render__cuts_at_a_whole_row_within_the_budget),
        cmocka_unit_test(test_report_render__wastes_little_of_the_budget),
        cmocka_unit_test(
            test_report_render__shows_no_row_after_one_that_did_not_fit),
        cmocka_unit_test(test_report_render__tells_failures_after_it_is_full),
        cmocka_unit_test(test_report_render__keeps_room_for_failures_in_place),
        cmocka_unit_test(test_report_render__counts_failures_that_do_not_fit),
        cmocka_unit_test(
            test_report_render__fails_when_omissions_cannot_be_told),
        cmocka_unit_test(test_report_render__reports_every_failed_allocation),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
