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
#include "support/stage.h"
#include "survey/criteria.h"
#include "survey/sweep.h"

#define ROOMY                                                                  \
    ((struct fold_limits){.pending_max = 1 << 20, .rows_max = 1 << 20})
#define DEADLINE_MS 25000

#define OPEN_SG_1 XML_GROUP("sg-1", "0.0.0.0/0")
#define IN_SG_1 XML_GROUP_REF("sg-1")
#define I_1 XML_INSTANCE("i-1", IN_SG_1)
#define TWO_INSTANCES                                                          \
    XML_INSTANCES(XML_INSTANCE("i-1", IN_SG_1) XML_INSTANCE("i-2", ""))
#define AUTH_FAILURE                                                           \
    {                                                                          \
        .times = FAKE_ALWAYS, .status = 401,                                   \
        .body = XML_ERROR("AuthFailure", "not able to validate")               \
    }
#define DENIED                                                                 \
    {                                                                          \
        .times = FAKE_ALWAYS, .status = 403,                                   \
        .body = XML_ERROR("UnauthorizedOperation", "You are not authorized")   \
    }

static const struct criteria ALL = {0};
static const char *const ONE[] = {"us-east-1"};
static const char *const THREE[] = {"us-east-1", "af-south-1", "eu-west-1"};
static const struct fold *const COUNT[] = {&FOLD_COUNT};
static const struct fold *const EXPOSURE[] = {&FOLD_EXPOSURE};

static struct sweep_options
options_for(struct stage *s, const struct fold *const *folds, size_t nfolds)
{
    return (struct sweep_options){
        .client = s->client,
        .folds = folds,
        .nfolds = nfolds,
        .limits = ROOMY,
        .criteria = &ALL,
        .deadline_ms = s->fake.mono_ms + DEADLINE_MS,
    };
}

static struct sweep *run_with(const struct sweep_options *options,
                              const char *const *names, size_t n)
{
    struct sweep *sweep = NULL;
    struct err err = {0};

    if (sweep_new(options, names, n, &sweep, &err) || sweep_run(sweep, &err))
        fail_msg("sweep: %s", err.msg);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(sweep_get_region(sweep, i)->name, names[i]);
        assert_true(sweep_get_region(sweep, i)->ended);
    }
    return sweep;
}

/* One fold over the names, with room and time enough. */
static struct sweep *run(struct stage *s, const struct fold *const *fold,
                         const char *const *names, size_t n)
{
    const struct sweep_options options = options_for(s, fold, 1);

    return run_with(&options, names, n);
}

static enum failure_kind kind(const struct sweep *sweep, size_t i)
{
    return sweep_get_region(sweep, i)->failure.kind;
}

/* The ids of region i's rows of fold k, a blank behind each; of a count, its
 * total. */
static void assert_found(const struct sweep *sweep, const struct fold *fold,
                         size_t i, size_t k, const char *expected)
{
    const void *found = sweep_get_region(sweep, i)->states[k];
    char text[256] = "";
    size_t len = 0;

    for (size_t r = 0; r < fold->tally(found).nrows; r++) {
        json_t *row = fold_row_json(fold, found,
                                    &(struct fold_row){.region = "r", .i = r});
        const json_t *id = json_object_get(row, "instanceId");

        if (id)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s ",
                                    json_string_value(id));
        else
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%d ",
                                    (int)json_integer_value(json_object_get(
                                        row, "totalInstances")));
        json_decref(row);
    }
    assert_string_equal(text, expected);
}

static void answer_body(struct stage *s, const char *region,
                        const char *body_has, const char *body)
{
    stage_answer(s, region,
                 (struct fake_answer){
                     .body_has = body_has, .after_ms = 10, .body = body});
}

static void test_sweep_run__asks_all_regions_at_once(void **state)
{
    struct stage s;
    struct sweep *sweep;
    int64_t began;

    (void)state;
    stage_init(&s);
    began = s.fake.mono_ms;
    for (size_t i = 0; i < 3; i++)
        stage_answer(&s, THREE[i],
                     (struct fake_answer){.after_ms = 100 + 100 * (int64_t)i,
                                          .body = TWO_INSTANCES});
    sweep = run(&s, COUNT, THREE, 3);
    assert_int_equal(s.fake.mono_ms - began, 300);
    assert_int_equal(sweep_nregions(sweep), 3);
    assert_int_equal(sweep_nfailed(sweep), 0);
    assert_int_equal(sweep_ninstances(sweep), 6);
    assert_int_equal(sweep_stats(sweep)->requests, 3);
    assert_int_equal(sweep_stats(sweep)->pages, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fake_http_request(s.http, i)->started_ms, began);
        assert_found(sweep, &FOLD_COUNT, i, 0, "2 ");
    }
    assert_string_equal(stage_log(&s), "");
    sweep_free(sweep);
    stage_release(&s);
}

/* Records of another listing are none of this one's, whoever sends them. */
static void test_sweep_run__takes_no_records_of_another_listing(void **state)
{
    static const char BOTH[] =
        "<securityGroupInfo>" OPEN_SG_1 "</securityGroupInfo><reservationSet>"
        "<item><instancesSet>" I_1 "</instancesSet></item></reservationSet>";
    char instances[2048];
    char groups[2048];
    struct stage s;
    struct sweep *sweep;

    (void)state;
    (void)snprintf(instances, sizeof(instances),
                   "<DescribeInstancesResponse>%s</DescribeInstancesResponse>",
                   BOTH);
    (void)snprintf(groups, sizeof(groups),
                   "<DescribeSecurityGroupsResponse>%s"
                   "</DescribeSecurityGroupsResponse>",
                   BOTH);
    stage_init(&s);
    answer_body(&s, ONE[0], "DescribeInstances", instances);
    sweep = run(&s, COUNT, ONE, 1);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_found(sweep, &FOLD_COUNT, 0, 0, "1 ");
    sweep_free(sweep);
    /* Were the one group or the one instance taken of the wrong answer, the
     * instance would be told. */
    answer_body(&s, ONE[0], "DescribeInstances", instances);
    answer_body(&s, ONE[0], "DescribeSecurityGroups", XML_GROUPS(""));
    sweep = run(&s, EXPOSURE, ONE, 1);
    assert_found(sweep, &FOLD_EXPOSURE, 0, 0, "");
    sweep_free(sweep);
    answer_body(&s, ONE[0], "DescribeInstances", XML_INSTANCES(""));
    answer_body(&s, ONE[0], "DescribeSecurityGroups", groups);
    sweep = run(&s, EXPOSURE, ONE, 1);
    assert_found(sweep, &FOLD_EXPOSURE, 0, 0, "");
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__ends_at_once_without_regions(void **state)
{
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    sweep = run(&s, COUNT, NULL, 0);
    assert_int_equal(sweep_nregions(sweep), 0);
    assert_int_equal(sweep_nfailed(sweep), 0);
    sweep_free(sweep);
    sweep_free(NULL);
    stage_release(&s);
}

static void test_sweep_run__lets_a_failed_region_fail_alone(void **state)
{
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    answer_body(&s, THREE[0], NULL, TWO_INSTANCES);
    stage_answer(&s, THREE[1], (struct fake_answer)DENIED);
    answer_body(&s, THREE[2], NULL, TWO_INSTANCES);
    sweep = run(&s, COUNT, THREE, 3);
    assert_int_equal(sweep_nfailed(sweep), 1);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_int_equal(kind(sweep, 1), FAILURE_DENIED);
    assert_int_equal(kind(sweep, 2), FAILURE_NONE);
    assert_found(sweep, &FOLD_COUNT, 2, 0, "2 ");
    /* The whole story is in the log, and there alone. */
    assert_non_null(strstr(stage_log(&s), "\"region\":\"af-south-1\""));
    assert_non_null(strstr(stage_log(&s), "\"kind\":\"denied\""));
    assert_non_null(strstr(stage_log(&s), "\"status\":403"));
    assert_non_null(strstr(stage_log(&s), "\"ec2RequestId\":\"r-4\""));
    assert_non_null(strstr(stage_log(&s), "You are not authorized"));
    assert_null(strstr(stage_log(&s), "us-east-1"));
    sweep_free(sweep);
    stage_release(&s);
}

static void
test_sweep_run__ends_a_region_whose_other_listing_fails(void **state)
{
    struct stage s;
    struct sweep *sweep;
    const struct fake_answer denied = DENIED;
    struct fake_answer groups = denied;

    (void)state;
    stage_init(&s);
    groups.body_has = "DescribeSecurityGroups";
    stage_answer(&s, ONE[0], groups);
    stage_answer(
        &s, ONE[0],
        (struct fake_answer){.body_has = "DescribeInstances", .hangs = true});
    sweep = run(&s, EXPOSURE, ONE, 1);
    assert_int_equal(kind(sweep, 0), FAILURE_DENIED);
    assert_int_equal(fake_http_in_flight(s.http), 0);
    sweep_free(sweep);
    stage_release(&s);
}

/* What only some regions refuse is the region's fault, not the key's. */
static void test_sweep_run__tells_a_region_that_is_not_enabled(void **state)
{
    const struct fake_answer auth = AUTH_FAILURE;
    const struct fake_answer denied = DENIED;
    const struct fake_answer proxys = {
        .times = FAKE_ALWAYS, .status = 403, .body = "<html/>"};
    const struct fake_answer good = {.body = TWO_INSTANCES};
    const struct fake_answer dead = {.failure = HTTP_RESOLVE,
                                     .times = FAKE_ALWAYS};
    const struct {
        struct fake_answer answers[3];
        enum failure_kind kinds[3];
    } cases[] = {
        {{good, auth, good}, {FAILURE_NONE, FAILURE_NOT_ENABLED, FAILURE_NONE}},
        {{auth, auth, denied},
         {FAILURE_NOT_ENABLED, FAILURE_NOT_ENABLED, FAILURE_DENIED}},
        {{auth, auth, auth}, {FAILURE_AUTH, FAILURE_AUTH, FAILURE_AUTH}},
        {{auth, proxys, auth}, {FAILURE_AUTH, FAILURE_DENIED, FAILURE_AUTH}},
        {{dead, auth, dead}, {FAILURE_RESOLVE, FAILURE_AUTH, FAILURE_RESOLVE}},
    };

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct stage s;
        struct sweep *sweep;

        stage_init(&s);
        for (size_t i = 0; i < 3; i++)
            stage_answer(&s, THREE[i], cases[c].answers[i]);
        sweep = run(&s, COUNT, THREE, 3);
        for (size_t i = 0; i < 3; i++)
            if (kind(sweep, i) != cases[c].kinds[i])
                fail_msg("case %zu, region %zu: %s", c, i,
                         failure_kind_name(kind(sweep, i)));
        sweep_free(sweep);
        stage_release(&s);
    }
}

/* Its refusal comes last, after all the others were accepted. */
static void
test_sweep_run__tells_a_region_that_is_no_longer_enabled(void **state)
{
    struct stage s;
    struct sweep *sweep;
    struct fake_answer refusal = AUTH_FAILURE;

    (void)state;
    stage_init(&s);
    for (size_t i = 0; i < 3; i++)
        stage_answer(&s, THREE[i],
                     (struct fake_answer){.body = TWO_INSTANCES, .times = 1});
    sweep_free(run(&s, COUNT, THREE, 3));
    for (size_t i = 0; i < 2; i++)
        stage_answer(&s, THREE[i], (struct fake_answer){.body = TWO_INSTANCES});
    refusal.after_ms = 500;
    stage_answer(&s, THREE[2], refusal);
    sweep = run(&s, COUNT, THREE, 3);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_int_equal(kind(sweep, 2), FAILURE_NOT_ENABLED);
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__ends_at_the_deadline(void **state)
{
    struct stage s;
    struct sweep *sweep;
    struct sweep_options options;
    int64_t began;

    (void)state;
    stage_init(&s);
    began = s.fake.mono_ms;
    options = options_for(&s, COUNT, 1);
    options.deadline_ms = began + 1500;
    answer_body(&s, THREE[0], NULL, TWO_INSTANCES);
    stage_answer(&s, THREE[1], (struct fake_answer){.hangs = true});
    stage_answer(&s, THREE[2],
                 (struct fake_answer){.times = 1,
                                      .status = 503,
                                      .body = XML_ERROR("Unavailable", "x")});
    stage_answer(&s, THREE[2], (struct fake_answer){.hangs = true});
    sweep = run_with(&options, THREE, 3);
    assert_int_equal(s.fake.mono_ms, began + 1500);
    assert_int_equal(sweep_nfailed(sweep), 2);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_int_equal(kind(sweep, 1), FAILURE_DEADLINE);
    assert_int_equal(sweep_get_region(sweep, 1)->failure.waited_ms, 1500);
    assert_int_equal(kind(sweep, 2), FAILURE_DEADLINE);
    /* What it was trying again for is worth knowing. */
    assert_string_equal(sweep_get_region(sweep, 2)->failure.text,
                        "Unavailable: EC2 failed");
    assert_int_equal(fake_http_in_flight(s.http), 0);
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__tells_a_poll_that_failed_as_such(void **state)
{
    static const struct {
        enum err_code rc;
        enum failure_kind kind;
    } cases[] = {{ERR_NET, FAILURE_INTERNAL}, {ERR_NOMEM, FAILURE_NOMEM}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        struct sweep_options options;
        struct sweep *sweep = NULL;
        struct err err = {0};

        stage_init(&s);
        options = options_for(&s, COUNT, 1);
        answer_body(&s, THREE[0], NULL, TWO_INSTANCES);
        stage_answer(&s, THREE[1], (struct fake_answer){.hangs = true});
        fake_http_fail_run(s.http, 100, cases[i].rc);
        assert_int_equal(sweep_new(&options, THREE, 2, &sweep, &err), ERR_OK);
        assert_int_equal(sweep_run(sweep, &err), cases[i].rc);
        assert_int_equal(kind(sweep, 0), FAILURE_NONE);
        assert_int_equal(kind(sweep, 1), cases[i].kind);
        assert_int_equal(fake_http_in_flight(s.http), 0);
        sweep_free(sweep);
        stage_release(&s);
    }
}

static void test_sweep_run__gives_up_a_silent_region(void **state)
{
    struct stage s;
    struct sweep *sweep;
    int64_t began;

    (void)state;
    stage_init(&s);
    began = s.fake.mono_ms;
    answer_body(&s, THREE[0], NULL, TWO_INSTANCES);
    stage_answer(&s, THREE[1], (struct fake_answer){.hangs = true});
    answer_body(&s, THREE[2], NULL, TWO_INSTANCES);
    sweep = run(&s, COUNT, THREE, 3);
    assert_int_equal(kind(sweep, 1), FAILURE_SILENT);
    assert_int_equal(s.fake.mono_ms - began, STAGE_NO_PROGRESS_MS);
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__takes_every_page(void **state)
{
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    answer_body(&s, ONE[0], "NextToken=t2",
                XML_INSTANCES_PAGE(XML_INSTANCE("i-3", ""), "t3"));
    answer_body(&s, ONE[0], "NextToken=t3",
                XML_INSTANCES(XML_INSTANCE("i-4", "")));
    answer_body(&s, ONE[0], "MaxResults=1000",
                XML_INSTANCES_PAGE(
                    XML_INSTANCE("i-1", "") XML_INSTANCE("i-2", ""), "t2"));
    sweep = run(&s, COUNT, ONE, 1);
    assert_found(sweep, &FOLD_COUNT, 0, 0, "4 ");
    assert_int_equal(sweep_ninstances(sweep), 4);
    assert_int_equal(sweep_stats(sweep)->pages, 3);
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__never_counts_a_broken_page_twice(void **state)
{
    static const char page[] = TWO_INSTANCES;
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    stage_answer(&s, ONE[0],
                 (struct fake_answer){.times = 2,
                                      .body = page,
                                      .body_len = sizeof(page) - 60,
                                      .failure = HTTP_BROKEN});
    answer_body(&s, ONE[0], NULL, page);
    sweep = run(&s, COUNT, ONE, 1);
    assert_found(sweep, &FOLD_COUNT, 0, 0, "2 ");
    assert_int_equal(sweep_ninstances(sweep), 2);
    assert_int_equal(sweep_stats(sweep)->retries, 2);
    sweep_free(sweep);
    stage_release(&s);
}

static void
test_sweep_run__begins_a_listing_anew_when_its_token_expires(void **state)
{
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    stage_answer(&s, ONE[0],
                 (struct fake_answer){
                     .body_has = "NextToken=t2",
                     .status = 400,
                     .body = XML_ERROR("InvalidPaginationToken", "expired")});
    answer_body(&s, ONE[0], "NextToken=t2",
                XML_INSTANCES(XML_INSTANCE("i-3", "")));
    stage_answer(&s, ONE[0],
                 (struct fake_answer){
                     .times = 2,
                     .body = XML_INSTANCES_PAGE(XML_INSTANCE("i-1", "")
                                                    XML_INSTANCE("i-2", ""),
                                                "t2")});
    sweep = run(&s, COUNT, ONE, 1);
    assert_found(sweep, &FOLD_COUNT, 0, 0, "3 ");
    sweep_free(sweep);
    stage_release(&s);
}

/* What on_progress was told. */
struct progress {
    size_t n;
    size_t ended[8];
    size_t asked;
    uint64_t requests;
};

static void on_progress(void *arg, size_t ended, size_t asked,
                        const struct ec2_stats *stats)
{
    struct progress *p = arg;

    assert_true(p->n < 8);
    p->ended[p->n++] = ended;
    p->asked = asked;
    p->requests = stats->requests;
}

static void test_sweep_run__tells_of_progress(void **state)
{
    struct stage s;
    struct sweep *sweep;
    struct sweep_options options;
    struct progress p = {0};

    (void)state;
    stage_init(&s);
    options = options_for(&s, COUNT, 1);
    options.on_progress = on_progress;
    options.arg = &p;
    options.deadline_ms = s.fake.mono_ms + 1000;
    answer_body(&s, THREE[0], NULL, TWO_INSTANCES);
    stage_answer(&s, THREE[1], (struct fake_answer)DENIED);
    stage_answer(&s, THREE[2], (struct fake_answer){.hangs = true});
    sweep = run_with(&options, THREE, 3);
    assert_int_equal(p.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(p.ended[i], i + 1);
    assert_int_equal(p.asked, 3);
    assert_int_equal(p.requests, 3);
    sweep_free(sweep);
    stage_release(&s);
}

static void has_round_trip(struct stage *s, const char *name, int64_t rtt_us)
{
    struct aws_region *region = NULL;

    assert_int_equal(aws_client_region(s->client, span_of(name), &region, NULL),
                     ERR_OK);
    region->rtt_us = rtt_us;
}

static void note_requests(void *arg, size_t ended, size_t asked,
                          const struct ec2_stats *stats)
{
    uint64_t *requests = arg;

    (void)asked;
    if (ended == 1)
        *requests = stats->requests;
}

/* The two farthest are on their way before the others are begun. */
static void test_sweep_run__asks_the_farthest_first(void **state)
{
    static const char *const names[] = {"us-east-1", "eu-west-1", "af-south-1",
                                        "sa-east-1", "eu-west-2"};
    static const char *const hosts[] = {
        "ec2.af-south-1.amazonaws.com", "ec2.sa-east-1.amazonaws.com",
        "ec2.eu-west-1.amazonaws.com", "ec2.eu-west-2.amazonaws.com",
        "ec2.us-east-1.amazonaws.com"};
    struct stage s;
    struct sweep *sweep;
    struct sweep_options options;
    uint64_t requests = 0;

    (void)state;
    stage_init(&s);
    options = options_for(&s, COUNT, 1);
    options.on_progress = note_requests;
    options.arg = &requests;
    has_round_trip(&s, "af-south-1", 226000);
    has_round_trip(&s, "sa-east-1", 114000);
    has_round_trip(&s, "eu-west-1", 70000);
    has_round_trip(&s, "eu-west-2", 70000);
    for (size_t i = 0; i < 5; i++)
        stage_answer(&s, names[i],
                     (struct fake_answer){.rtt_us = 99, .body = TWO_INSTANCES});
    sweep = run_with(&options, names, 5);
    assert_int_equal(requests, 2);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(fake_http_request(s.http, i)->host, hosts[i]);
    sweep_free(sweep);
    stage_release(&s);
}

/* Until when http_be_patient() was told to be, at the first and the last
 * request. */
struct patience {
    struct http *http;
    size_t nrequests;
    int64_t first;
    int64_t last;
};

static bool note_patience(void *arg, const struct fake_request *request,
                          struct fake_answer *out)
{
    struct patience *patience = arg;

    (void)request;
    (void)out;
    patience->last = fake_http_patient_until(patience->http);
    if (patience->nrequests++ == 0)
        patience->first = patience->last;
    return false;
}

/* Of a sweep of two regions, the nearer of which has these answers first. */
static void assert_patience(const struct fold *const *fold, int64_t rtt_us,
                            const struct fake_answer *answers, size_t nanswers,
                            int64_t first_ms, int64_t last_ms)
{
    static const char *const names[] = {"us-east-1", "eu-west-1"};
    struct stage s;
    struct patience patience = {0};
    struct sweep_options options;
    struct sweep *sweep;
    int64_t began;

    stage_init(&s);
    began = s.fake.mono_ms;
    patience.http = s.http;
    fake_http_answer_with(s.http, note_patience, &patience);
    has_round_trip(&s, "eu-west-1", rtt_us);
    for (size_t i = 0; i < nanswers; i++)
        stage_answer(&s, "us-east-1", answers[i]);
    for (size_t i = 0; i < 2; i++) {
        stage_answer(&s, names[i],
                     (struct fake_answer){.times = FAKE_ALWAYS,
                                          .body_has = "DescribeInstances",
                                          .body = TWO_INSTANCES});
        stage_answer(&s, names[i],
                     (struct fake_answer){
                         .times = FAKE_ALWAYS,
                         .body_has = "DescribeSecurityGroups",
                         .body = XML_GROUPS(XML_GROUP("sg-1", "0.0.0.0/0"))});
    }
    options = options_for(&s, fold, 1);
    options.limits.pending_max = 0;
    sweep = run_with(&options, names, 2);
    assert_int_equal(sweep_nfailed(sweep), 0);
    assert_int_equal(patience.first, began + first_ms);
    assert_int_equal(patience.last, last_ms ? began + last_ms : 0);
    /* The runtime does not wait for long, either. */
    assert_int_equal(fake_http_patient_until(s.http), 0);
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__is_patient_for_a_round_trip(void **state)
{
    (void)state;
    assert_patience(COUNT, 70000, NULL, 0, 70, 70);
    assert_patience(COUNT, 9000000, NULL, 0, 500, 500);
}

static void
test_sweep_run__is_impatient_when_one_thing_follows_another(void **s)
{
    static const struct fake_answer page = {
        .body_has = "MaxResults=1000",
        .body = XML_INSTANCES_PAGE(XML_INSTANCE("i-1", ""), "t2"),
    };
    static const struct fake_answer busy = {.status = 503};

    (void)s;
    assert_patience(COUNT, 70000, &page, 1, 70, 0);
    assert_patience(COUNT, 70000, &busy, 1, 70, 0);
    /* Its candidates have no room, so that it asks by group. */
    assert_patience(EXPOSURE, 70000, NULL, 0, 70, 0);
}

static void test_sweep_run__asks_for_what_the_folds_need(void **state)
{
    static const struct fold *const owner[] = {&FOLD_OWNER};
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    answer_body(&s, ONE[0], "DescribeInstances", TWO_INSTANCES);
    sweep = run(&s, owner, ONE, 1);
    assert_int_equal(fake_http_nrequests(s.http), 1);
    assert_found(sweep, &FOLD_OWNER, 0, 0, "i-1 i-2 ");
    sweep_free(sweep);

    answer_body(&s, ONE[0], "DescribeInstances", TWO_INSTANCES);
    answer_body(&s, ONE[0], "DescribeSecurityGroups", XML_GROUPS(OPEN_SG_1));
    sweep = run(&s, EXPOSURE, ONE, 1);
    assert_int_equal(fake_http_nrequests(s.http), 3);
    assert_found(sweep, &FOLD_EXPOSURE, 0, 0, "i-1 ");
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__answers_several_folds_with_one_pass(void **state)
{
    static const struct fold *const folds[] = {&FOLD_COUNT, &FOLD_EXPOSURE,
                                               &FOLD_OWNER};
    struct stage s;
    struct sweep *sweep;
    struct sweep_options options;

    (void)state;
    stage_init(&s);
    options = options_for(&s, folds, 3);
    /* Exposure drops its candidates; the others still want every page. */
    options.limits.pending_max = 0;
    answer_body(&s, ONE[0], "NextToken=t2",
                XML_INSTANCES(XML_INSTANCE("i-3", IN_SG_1)));
    answer_body(&s, ONE[0], "Filter.1.Name=network-interface.group-id",
                XML_INSTANCES(XML_INSTANCE("i-1", IN_SG_1)
                                  XML_INSTANCE("i-3", IN_SG_1)));
    answer_body(&s, ONE[0], "Filter.1.Name=instance.group-id",
                XML_INSTANCES(""));
    answer_body(&s, ONE[0], "DescribeInstances",
                XML_INSTANCES_PAGE(XML_INSTANCE("i-1", IN_SG_1)
                                       XML_INSTANCE("i-2", ""),
                                   "t2"));
    stage_answer(&s, ONE[0],
                 (struct fake_answer){.body_has = "DescribeSecurityGroups",
                                      .after_ms = 500,
                                      .body = XML_GROUPS(OPEN_SG_1)});
    sweep = run_with(&options, ONE, 1);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_found(sweep, &FOLD_COUNT, 0, 0, "3 ");
    assert_found(sweep, &FOLD_EXPOSURE, 0, 1, "i-1 i-3 ");
    assert_found(sweep, &FOLD_OWNER, 0, 2, "i-1 i-2 i-3 ");
    assert_int_equal(fake_http_nrequests(s.http), 5);
    sweep_free(sweep);
    stage_release(&s);
}

/* n open groups, "sg-000" and on; the text is the caller's. */
static char *groups_xml(int n)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    (void)fputs("<DescribeSecurityGroupsResponse><securityGroupInfo>", out);
    for (int i = 0; i < n; i++)
        (void)fprintf(out,
                      "<item><groupId>sg-%03d</groupId><ipPermissions><item>"
                      "<ipProtocol>-1</ipProtocol><ipv6Ranges><item><cidrIpv6>"
                      "::/0</cidrIpv6></item></ipv6Ranges></item>"
                      "</ipPermissions></item>",
                      i);
    (void)fputs("</securityGroupInfo></DescribeSecurityGroupsResponse>", out);
    (void)fclose(out);
    return text;
}

/* Values in the filter of a request. */
static size_t count_values(const struct fake_request *request)
{
    const char *at = request->body;
    size_t n = 0;

    while ((at = strstr(at, "&Filter.1.Value."))) {
        n++;
        at++;
    }
    return n;
}

static void test_sweep_run__cuts_a_follow_up_into_calls(void **state)
{
    static const struct {
        int ngroups;
        size_t calls;
        size_t last; /* values in the last call */
    } cases[] = {{1, 1, 1},   {199, 1, 199}, {200, 1, 200},
                 {201, 2, 1}, {400, 2, 200}, {401, 3, 1}};

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        char *groups = groups_xml(cases[c].ngroups);
        struct stage s;
        struct sweep *sweep;
        struct sweep_options options;
        size_t n = 0;

        stage_init(&s);
        options = options_for(&s, EXPOSURE, 1);
        options.limits.pending_max = 0;
        stage_answer(&s, ONE[0],
                     (struct fake_answer){.body_has = "DescribeSecurityGroups",
                                          .after_ms = 500,
                                          .body = groups});
        stage_answer(
            &s, ONE[0],
            (struct fake_answer){.body_has = "Filter.1.Name=",
                                 .times = FAKE_ALWAYS,
                                 .body = XML_INSTANCES(XML_INSTANCE(
                                     "i-1", XML_GROUP_REF("sg-000")))});
        answer_body(&s, ONE[0], NULL, TWO_INSTANCES);
        sweep = run_with(&options, ONE, 1);
        assert_found(sweep, &FOLD_EXPOSURE, 0, 0, "i-1 ");
        n = fake_http_nrequests(s.http);
        /* Two follow-ups, one for each of the fold's filters. */
        assert_int_equal(n, 2 + 2 * cases[c].calls);
        for (size_t i = 2; i < n; i++)
            assert_int_equal(count_values(fake_http_request(s.http, i)),
                             (i - 1) % cases[c].calls ? 200 : cases[c].last);
        sweep_free(sweep);
        stage_release(&s);
        free(groups);
    }
}

static void
test_sweep_run__stops_paging_when_nothing_more_is_wanted(void **state)
{
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    answer_body(&s, ONE[0], "DescribeSecurityGroups",
                XML_GROUPS(XML_GROUP("sg-1", "10.0.0.0/8")));
    stage_answer(&s, ONE[0],
                 (struct fake_answer){.body_has = "DescribeInstances",
                                      .after_ms = 100,
                                      .body = XML_INSTANCES_PAGE(
                                          XML_INSTANCE("i-1", IN_SG_1), "t2")});
    sweep = run(&s, EXPOSURE, ONE, 1);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_found(sweep, &FOLD_EXPOSURE, 0, 0, "");
    assert_int_equal(fake_http_nrequests(s.http), 2);
    sweep_free(sweep);
    stage_release(&s);
}

static const struct aws_region *region_of(struct stage *s, const char *name)
{
    struct aws_region *region = NULL;

    assert_int_equal(aws_client_region(s->client, span_of(name), &region, NULL),
                     ERR_OK);
    return region;
}

/* Two pages, or the first of them and then the parts, of which two have one
 * instance each: the same rows. */
static void test_sweep_run__gives_the_same_rows_in_parts(void **state)
{
    static const struct fold *const folds[] = {&FOLD_COUNT, &FOLD_OWNER};

    (void)state;
    for (size_t nparallel = 0; nparallel < 2; nparallel++) {
        struct stage s;
        struct sweep *sweep;
        struct sweep_options options;

        stage_init(&s);
        options = options_for(&s, folds, 2);
        options.nparallel = nparallel;
        answer_body(&s, ONE[0], "NextToken=t2",
                    XML_INSTANCES(XML_INSTANCE("i-2", "")));
        answer_body(&s, ONE[0], "Value.1=i-%2A1&",
                    XML_INSTANCES(XML_INSTANCE("i-1", "")));
        answer_body(&s, ONE[0], "Value.1=i-%2A2&",
                    XML_INSTANCES(XML_INSTANCE("i-2", "")));
        stage_answer(&s, ONE[0],
                     (struct fake_answer){.body_has = "Filter",
                                          .times = FAKE_ALWAYS,
                                          .body = XML_INSTANCES("")});
        answer_body(&s, ONE[0], NULL,
                    XML_INSTANCES_PAGE(XML_INSTANCE("i-1", ""), "t2"));
        sweep = run_with(&options, ONE, 1);
        assert_int_equal(kind(sweep, 0), FAILURE_NONE);
        assert_found(sweep, &FOLD_COUNT, 0, 0, "2 ");
        assert_found(sweep, &FOLD_OWNER, 0, 1, "i-1 i-2 ");
        assert_int_equal(sweep_ninstances(sweep), 2);
        assert_int_equal(fake_http_nrequests(s.http), nparallel ? 17 : 2);
        assert_int_equal(region_of(&s, ONE[0])->ninstances, 2);
        sweep_free(sweep);
        stage_release(&s);
    }
}

/*
 * A count tells how large the region is: the groups, then the instances by each
 * filter. That brought as many as there are, so the next time they are listed.
 */
static void test_sweep_run__asks_a_known_region_by_group(void **state)
{
    static const size_t nrequests[] = {3, 2, 2};
    struct stage s;
    struct sweep_options options;

    (void)state;
    stage_init(&s);
    options = options_for(&s, EXPOSURE, 1);
    options.limits.by_group_min = 2;
    stage_answer(&s, ONE[0],
                 (struct fake_answer){.body_has = "DescribeSecurityGroups",
                                      .times = FAKE_ALWAYS,
                                      .body = XML_GROUPS(OPEN_SG_1)});
    stage_answer(&s, ONE[0],
                 (struct fake_answer){
                     .body_has = "Filter.1.Name=",
                     .times = FAKE_ALWAYS,
                     .body = XML_INSTANCES(XML_INSTANCE("i-1", IN_SG_1))});
    stage_answer(&s, ONE[0],
                 (struct fake_answer){.times = FAKE_ALWAYS,
                                      .after_ms = 10,
                                      .body = TWO_INSTANCES});
    sweep_free(run(&s, COUNT, ONE, 1));
    assert_int_equal(region_of(&s, ONE[0])->ninstances, 2);
    assert_int_equal(region_of(&s, ONE[0])->nfollowed, 0);
    for (size_t i = 0; i < sizeof(nrequests) / sizeof(nrequests[0]); i++) {
        size_t before = fake_http_nrequests(s.http);
        struct sweep *sweep = run_with(&options, ONE, 1);

        assert_found(sweep, &FOLD_EXPOSURE, 0, 0, "i-1 ");
        assert_int_equal(fake_http_nrequests(s.http) - before, nrequests[i]);
        /* Each filter brought i-1; so it would have again. */
        assert_int_equal(region_of(&s, ONE[0])->nfollowed, i ? 2 + 1 : 2);
        sweep_free(sweep);
    }
    stage_release(&s);
}

/* Half a listing tells nothing of the region's size. */
static void test_sweep_run__remembers_the_size_of_whole_listings(void **state)
{
    struct stage s;
    struct sweep *sweep;

    (void)state;
    stage_init(&s);
    answer_body(&s, ONE[0], "DescribeSecurityGroups",
                XML_GROUPS(XML_GROUP("sg-1", "10.0.0.0/8")));
    stage_answer(&s, ONE[0],
                 (struct fake_answer){.body_has = "DescribeInstances",
                                      .after_ms = 100,
                                      .body = XML_INSTANCES_PAGE(
                                          XML_INSTANCE("i-1", IN_SG_1), "t2")});
    sweep = run(&s, EXPOSURE, ONE, 1);
    assert_int_equal(kind(sweep, 0), FAILURE_NONE);
    assert_int_equal(region_of(&s, ONE[0])->ninstances, 0);
    sweep_free(sweep);
    answer_body(&s, ONE[0], NULL, TWO_INSTANCES);
    sweep = run(&s, COUNT, ONE, 1);
    assert_int_equal(region_of(&s, ONE[0])->ninstances, 2);
    sweep_free(sweep);
    stage_release(&s);
}

static enum err_code
refuse_many(void *state, const struct ec2_instance *instance, struct err *err)
{
    if (span_eq_str(instance->id, "i-2"))
        return err_set(err, ERR_LIMIT, "test: too many");
    return FOLD_OWNER.instance(state, instance, err);
}

static void test_sweep_run__ends_a_region_past_a_limit(void **state)
{
    struct fold limited = FOLD_OWNER;
    const struct fold *const owner[] = {&limited};
    static const char *const two[] = {"us-east-1", "eu-west-1"};
    struct stage s;
    struct sweep *sweep;
    struct sweep_options options;

    (void)state;
    stage_init(&s);
    options = options_for(&s, owner, 1);
    limited.instance = refuse_many;
    answer_body(&s, two[0], NULL,
                XML_INSTANCES(XML_INSTANCE("i-1", "") XML_INSTANCE("i-2", "")
                                  XML_INSTANCE("i-3", "")));
    answer_body(&s, two[1], NULL, XML_INSTANCES(XML_INSTANCE("i-4", "")));
    sweep = run_with(&options, two, 2);
    assert_int_equal(kind(sweep, 0), FAILURE_LIMIT);
    assert_string_equal(sweep_get_region(sweep, 0)->failure.text,
                        "test: too many");
    assert_int_equal(kind(sweep, 1), FAILURE_NONE);
    assert_found(sweep, &FOLD_OWNER, 1, 0, "i-4 ");
    assert_int_equal(fake_http_nrequests(s.http), 2);
    sweep_free(sweep);
    stage_release(&s);
}

static void test_sweep_run__fails_regions_that_cannot_be_asked(void **state)
{
    struct stage s;
    struct sweep *sweep;
    struct sweep_options options;
    struct aws_client *bare = NULL;

    (void)state;
    stage_init(&s);
    options = options_for(&s, COUNT, 1);
    assert_int_equal(aws_client_new(aws_client_options(s.client), &bare, NULL),
                     ERR_OK);
    options.client = bare;
    sweep = run_with(&options, THREE, 3);
    assert_int_equal(sweep_nfailed(sweep), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(kind(sweep, i), FAILURE_AUTH);
    sweep_free(sweep);
    aws_client_free(bare);
    stage_release(&s);
}

static void test_sweep_free__ends_what_has_not_ended(void **state)
{
    struct stage s;
    struct sweep *sweep = NULL;
    struct sweep_options options;

    (void)state;
    stage_init(&s);
    options = options_for(&s, COUNT, 1);
    assert_int_equal(sweep_new(&options, THREE, 3, &sweep, NULL), ERR_OK);
    sweep_free(sweep);
    assert_int_equal(fake_http_nrequests(s.http), 0);
    stage_release(&s);
}

/* Two regions, three folds, a follow-up: all that allocates. */
static void run_once_with_failures(struct stage *s, bool *failed, size_t n)
{
    static const struct fold *const folds[] = {&FOLD_COUNT, &FOLD_OWNER,
                                               &FOLD_EXPOSURE};
    struct sweep_options options = options_for(s, folds, 3);
    struct sweep *sweep = NULL;
    struct err err = {0};
    enum err_code rc;

    options.limits.pending_max = 0;
    fail_alloc_at(n);
    rc = sweep_new(&options, THREE, 2, &sweep, &err);
    if (!rc)
        rc = sweep_run(sweep, &err);
    *failed = fail_alloc_stop();
    if (rc) {
        assert_true(*failed);
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(sweep);
        return;
    }
    assert_int_equal(sweep_nfailed(sweep), *failed ? 1 : 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(sweep_get_region(sweep, i)->ended);
        assert_true(kind(sweep, i) == FAILURE_NONE ||
                    kind(sweep, i) == FAILURE_NOMEM);
    }
    sweep_free(sweep);
    assert_int_equal(fake_http_in_flight(s->http), 0);
}

static void test_sweep_run__survives_every_failed_allocation(void **state)
{
    bool failed = true;
    size_t n;

    (void)state;
    for (n = 0; failed; n++) {
        struct stage s;

        stage_init(&s);
        for (size_t i = 0; i < 2; i++) {
            stage_answer(
                &s, THREE[i],
                (struct fake_answer){.body_has = "DescribeSecurityGroups",
                                     .after_ms = 500,
                                     .body = XML_GROUPS(OPEN_SG_1)});
            stage_answer(&s, THREE[i],
                         (struct fake_answer){.times = FAKE_ALWAYS,
                                              .body = TWO_INSTANCES});
        }
        run_once_with_failures(&s, &failed, n);
        stage_release(&s);
    }
    assert_true(n > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep_run__asks_all_regions_at_once),
        cmocka_unit_test(test_sweep_run__takes_no_records_of_another_listing),
        cmocka_unit_test(test_sweep_run__ends_at_once_without_regions),
        cmocka_unit_test(test_sweep_run__lets_a_failed_region_fail_alone),
        cmocka_unit_test(
            test_sweep_run__ends_a_region_whose_other_listing_fails),
        cmocka_unit_test(test_sweep_run__tells_a_region_that_is_not_enabled),
        cmocka_unit_test(
            test_sweep_run__tells_a_region_that_is_no_longer_enabled),
        cmocka_unit_test(test_sweep_run__ends_at_the_deadline),
        cmocka_unit_test(test_sweep_run__tells_a_poll_that_failed_as_such),
        cmocka_unit_test(test_sweep_run__gives_up_a_silent_region),
        cmocka_unit_test(test_sweep_run__takes_every_page),
        cmocka_unit_test(test_sweep_run__never_counts_a_broken_page_twice),
        cmocka_unit_test(
            test_sweep_run__begins_a_listing_anew_when_its_token_expires),
        cmocka_unit_test(test_sweep_run__tells_of_progress),
        cmocka_unit_test(test_sweep_run__asks_the_farthest_first),
        cmocka_unit_test(test_sweep_run__is_patient_for_a_round_trip),
        cmocka_unit_test(
            test_sweep_run__is_impatient_when_one_thing_follows_another),
        cmocka_unit_test(test_sweep_run__asks_for_what_the_folds_need),
        cmocka_unit_test(test_sweep_run__answers_several_folds_with_one_pass),
        cmocka_unit_test(test_sweep_run__cuts_a_follow_up_into_calls),
        cmocka_unit_test(
            test_sweep_run__stops_paging_when_nothing_more_is_wanted),
        cmocka_unit_test(test_sweep_run__gives_the_same_rows_in_parts),
        cmocka_unit_test(test_sweep_run__asks_a_known_region_by_group),
        cmocka_unit_test(test_sweep_run__remembers_the_size_of_whole_listings),
        cmocka_unit_test(test_sweep_run__ends_a_region_past_a_limit),
        cmocka_unit_test(test_sweep_run__fails_regions_that_cannot_be_asked),
        cmocka_unit_test(test_sweep_free__ends_what_has_not_ended),
        cmocka_unit_test(test_sweep_run__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
