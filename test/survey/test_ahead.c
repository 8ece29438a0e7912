#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "support/stage.h"
#include "survey/ahead.h"

#define MAX_AGE_MS 1500
#define BUDGET_MS 1400

#define IN_SG_1 XML_GROUP_REF("sg-1")
#define TWO_INSTANCES                                                          \
    XML_INSTANCES(XML_INSTANCE("i-1", IN_SG_1) XML_INSTANCE("i-2", ""))
#define OPEN_GROUP XML_GROUPS(XML_GROUP("sg-1", "0.0.0.0/0"))

static const struct fold *const COUNT[] = {&FOLD_COUNT};
static const struct fold *const OWNER[] = {&FOLD_OWNER};
static const struct fold *const EXPOSURE[] = {&FOLD_EXPOSURE};
static const struct criteria PLAIN = {0};
static const char *const TWO[] = {"us-east-1", "eu-west-1"};

/* Two regions, and what is asked of them ahead. */
struct scene {
    struct stage stage;
    struct atlas *atlas;
    struct ahead *ahead;
    struct err err;
};

static void scene_init(struct scene *s, int64_t max_age_ms, size_t pending_max)
{
    struct atlas_options atlas_options = {
        .home_region = TWO[0],
        .configured = "us-east-1,eu-west-1",
    };
    struct ahead_options options = {
        .limits = {.pending_max = pending_max, .rows_max = 1 << 20},
        .max_age_ms = max_age_ms};

    *s = (struct scene){0};
    stage_init(&s->stage);
    atlas_options.client = s->stage.client;
    assert_int_equal(atlas_new(&atlas_options, &s->atlas, NULL), ERR_OK);
    options.client = s->stage.client;
    options.atlas = s->atlas;
    assert_int_equal(ahead_new(&options, &s->ahead, NULL), ERR_OK);
}

static void scene_release(struct scene *s)
{
    ahead_free(s->ahead);
    atlas_free(s->atlas);
    stage_release(&s->stage);
}

static void answer(struct scene *s, const char *region, const char *action,
                   struct fake_answer answer)
{
    answer.body_has = action;
    stage_answer(&s->stage, region, answer);
}

static void answer_all(struct scene *s, const char *region)
{
    answer(s, region, "DescribeInstances",
           (struct fake_answer){.after_ms = 100, .body = TWO_INSTANCES});
    answer(s, region, "DescribeSecurityGroups",
           (struct fake_answer){.after_ms = 100, .body = OPEN_GROUP});
}

/* Asks ahead; nothing may be in flight afterwards. */
static void run(struct scene *s)
{
    assert_int_equal(
        ahead_run(s->ahead, s->stage.fake.mono_ms + BUDGET_MS, &s->err),
        ERR_OK);
    assert_int_equal(fake_http_in_flight(s->stage.http), 0);
}

static struct sweep *new_sweep(struct scene *s, const struct fold *const *fold)
{
    const struct sweep_options options = {
        .client = s->stage.client,
        .folds = fold,
        .nfolds = 1,
        .limits = {.pending_max = 1 << 20, .rows_max = 1 << 20},
        .criteria = &PLAIN,
        .deadline_ms = s->stage.fake.mono_ms + 10000,
    };
    struct sweep *sweep = NULL;

    assert_int_equal(sweep_new(&options, TWO, 2, &sweep, NULL), ERR_OK);
    return sweep;
}

/* How many regions a question with these criteria is given. */
static size_t given(struct scene *s, const struct fold *const *fold,
                    const struct criteria *criteria)
{
    struct sweep *sweep = new_sweep(s, fold);
    size_t n = ahead_give(s->ahead, criteria, sweep);

    sweep_free(sweep);
    return n;
}

static void test_ahead_give__answers_without_asking(void **state)
{
    const struct fold *const *const folds[] = {COUNT, OWNER, EXPOSURE};
    const size_t nrows[] = {1, 2, 1};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct scene s;
        struct sweep *sweep;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_all(&s, TWO[0]);
        answer_all(&s, TWO[1]);
        run(&s);
        assert_int_equal(fake_http_nrequests(s.stage.http), 4);
        sweep = new_sweep(&s, folds[i]);
        assert_int_equal(ahead_give(s.ahead, &PLAIN, sweep), 2);
        assert_int_equal(sweep_run(sweep, NULL), ERR_OK);
        assert_int_equal(fake_http_nrequests(s.stage.http), 4);
        assert_int_equal(sweep_nfailed(sweep), 0);
        assert_int_equal(sweep_ninstances(sweep), 4);
        for (size_t r = 0; r < 2; r++)
            assert_int_equal(
                folds[i][0]->tally(sweep_get_region(sweep, r)->states[0]).nrows,
                nrows[i]);
        sweep_free(sweep);
        /* It is given once. */
        assert_int_equal(given(&s, folds[i], &PLAIN), 0);
        assert_string_equal(stage_log(&s.stage), "");
        scene_release(&s);
    }
}

/* Two listings of a region at the same time are two connections. */
static void test_ahead_run__asks_for_both_listings_at_once(void **state)
{
    struct scene s;
    int64_t began;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    began = s.stage.fake.mono_ms;
    answer_all(&s, TWO[0]);
    answer_all(&s, TWO[1]);
    run(&s);
    assert_int_equal(s.stage.fake.mono_ms - began, 100);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            stage_nrequests(&s.stage, TWO[i],
                            "Action=DescribeInstances&Version=2016-11-15&"
                            "MaxResults=100"),
            1);
        assert_int_equal(stage_nrequests(&s.stage, TWO[i],
                                         "Action=DescribeSecurityGroups&"
                                         "Version=2016-11-15&MaxResults=100"),
                         1);
    }
    scene_release(&s);
}

static void test_ahead_run__only_connects_when_no_age_is_right(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 0, 1 << 20);
    answer_all(&s, TWO[0]);
    answer_all(&s, TWO[1]);
    run(&s);
    assert_int_equal(stage_nrequests(&s.stage, NULL, "MaxResults=5"), 4);
    assert_int_equal(given(&s, COUNT, &PLAIN), 0);
    scene_release(&s);
}

/* The age is that of the first request, by the clock that went further. */
static void test_ahead_give__gives_nothing_old(void **state)
{
    const struct {
        int64_t boot_ms;
        int64_t real_ms;
        size_t ngiven;
    } rows[] = {
        {MAX_AGE_MS - 100, MAX_AGE_MS - 100, 2},
        {MAX_AGE_MS - 99, 0, 0},
        {0, MAX_AGE_MS - 99, 0},
        {3600000, -3600000, 0},
        {0, -3600000, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene s;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_all(&s, TWO[0]);
        answer_all(&s, TWO[1]);
        run(&s);
        s.stage.fake.boot_ms += rows[i].boot_ms;
        s.stage.fake.real_ms += rows[i].real_ms;
        if (given(&s, COUNT, &PLAIN) != rows[i].ngiven)
            fail_msg("row %zu", i);
        scene_release(&s);
    }
}

static void test_ahead_give__gives_nothing_for_other_criteria(void **state)
{
    const struct criteria rows[] = {
        {.states = 2},
        {.tag_key = SPAN_LIT("Team")},
        {.tag_value = SPAN_LIT("a*")},
        {.protocol = CRITERIA_TCP, .from_port = 22, .to_port = 22},
        {.query = SPAN_LIT("web")},
        {.after_region = SPAN_LIT("us-east-1"), .after_id = SPAN_LIT("i-1")},
        {.names_off = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene s;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_all(&s, TWO[0]);
        answer_all(&s, TWO[1]);
        run(&s);
        if (given(&s, COUNT, &rows[i]) != 0)
            fail_msg("row %zu", i);
        scene_release(&s);
    }
}

/* The second of two regions answers as told, then a fold is asked for. */
static void expect_given(const char *action, struct fake_answer second,
                         const struct fold *const *fold, size_t n)
{
    struct scene s;
    struct sweep *sweep;

    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_all(&s, TWO[0]);
    answer(&s, TWO[1], action, second);
    answer_all(&s, TWO[1]);
    run(&s);
    /* Only the listing that the question will ask for again. */
    answer_all(&s, TWO[1]);
    sweep = new_sweep(&s, fold);
    assert_int_equal(ahead_give(s.ahead, &PLAIN, sweep), n);
    assert_int_equal(sweep_run(sweep, NULL), ERR_OK);
    assert_int_equal(sweep_nfailed(sweep), 0);
    assert_int_equal(sweep_ninstances(sweep), 4);
    assert_string_equal(stage_log(&s.stage), "");
    sweep_free(sweep);
    scene_release(&s);
}

static void test_ahead_give__leaves_out_what_did_not_come_whole(void **state)
{
    const struct fake_answer more = {
        .body = XML_INSTANCES_PAGE(XML_INSTANCE("i-9", ""), "t2")};
    const struct fake_answer refused = {
        .status = 503, .body = XML_ERROR("RequestLimitExceeded", "slow down")};
    const struct fake_answer denied = {
        .status = 403, .body = XML_ERROR("UnauthorizedOperation", "no")};
    const struct fake_answer cut = {.body = "<DescribeInstancesResponse>",
                                    .failure = HTTP_BROKEN};
    const struct fake_answer silent = {.hangs = true};

    (void)state;
    expect_given("DescribeInstances", more, COUNT, 1);
    expect_given("DescribeInstances", refused, COUNT, 1);
    expect_given("DescribeInstances", cut, OWNER, 1);
    expect_given("DescribeInstances", silent, COUNT, 1);
    /* A question that needs no groups does not mind theirs. */
    expect_given("DescribeSecurityGroups", denied, COUNT, 2);
    expect_given("DescribeSecurityGroups", denied, EXPOSURE, 1);
}

/* A fold that would have to ask once more leaves it to the question. */
static void test_ahead_run__asks_nothing_twice(void **state)
{
    struct scene s;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        scene_init(&s, MAX_AGE_MS, 0);
        for (size_t r = 0; r < 2; r++) {
            answer(&s, TWO[r], "DescribeSecurityGroups",
                   (struct fake_answer){.after_ms = 200, .body = OPEN_GROUP});
            answer_all(&s, TWO[r]);
        }
        run(&s);
        assert_int_equal(fake_http_nrequests(s.stage.http), 4);
        assert_int_equal(given(&s, i ? EXPOSURE : COUNT, &PLAIN), i ? 0 : 2);
        scene_release(&s);
    }
}

static void test_ahead_run__does_not_wait_for_a_dead_region(void **state)
{
    struct scene s;
    struct aws_region *region = NULL;
    int64_t began;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    began = s.stage.fake.mono_ms;
    answer_all(&s, TWO[0]);
    stage_answer(
        &s.stage, TWO[1],
        (struct fake_answer){.times = 2, .failure = HTTP_CONNECT_TIMEOUT});
    run(&s);
    assert_int_equal(s.stage.fake.mono_ms - began, EC2_AHEAD_CONNECT_MS);
    assert_int_equal(
        aws_client_region(s.stage.client, span_of(TWO[1]), &region, NULL),
        ERR_OK);
    assert_int_equal(region->missed_ms, s.stage.fake.mono_ms);
    assert_int_equal(given(&s, COUNT, &PLAIN), 1);
    scene_release(&s);
}

static void test_ahead_run__ends_with_its_budget(void **state)
{
    struct scene s;
    int64_t began;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    began = s.stage.fake.mono_ms;
    answer_all(&s, TWO[0]);
    stage_answer(&s.stage, TWO[1],
                 (struct fake_answer){.times = 2, .hangs = true});
    run(&s);
    assert_int_equal(s.stage.fake.mono_ms - began, BUDGET_MS);
    assert_string_equal(stage_log(&s.stage), "");
    scene_release(&s);
}

static void test_ahead__survives_every_failed_allocation(void **state)
{
    bool failed = true;
    size_t n;

    (void)state;
    for (n = 0; failed; n++) {
        struct scene s;
        enum err_code rc;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_all(&s, TWO[0]);
        answer_all(&s, TWO[1]);
        fail_alloc_at(n);
        rc = ahead_run(s.ahead, s.stage.fake.mono_ms + BUDGET_MS, &s.err);
        failed = fail_alloc_stop();
        assert_true(rc == ERR_OK || (failed && rc == ERR_NOMEM));
        assert_int_equal(fake_http_in_flight(s.stage.http), 0);
        if (!failed)
            assert_int_equal(given(&s, COUNT, &PLAIN), 2);
        scene_release(&s);
    }
    assert_true(n > 60);
    fail_alloc_at(0);
    assert_int_equal(
        ahead_new(&(struct ahead_options){0}, &(struct ahead *){NULL}, NULL),
        ERR_NOMEM);
    assert_true(fail_alloc_stop());
    ahead_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ahead_give__answers_without_asking),
        cmocka_unit_test(test_ahead_run__asks_for_both_listings_at_once),
        cmocka_unit_test(test_ahead_run__only_connects_when_no_age_is_right),
        cmocka_unit_test(test_ahead_give__gives_nothing_old),
        cmocka_unit_test(test_ahead_give__gives_nothing_for_other_criteria),
        cmocka_unit_test(test_ahead_give__leaves_out_what_did_not_come_whole),
        cmocka_unit_test(test_ahead_run__asks_nothing_twice),
        cmocka_unit_test(test_ahead_run__does_not_wait_for_a_dead_region),
        cmocka_unit_test(test_ahead_run__ends_with_its_budget),
        cmocka_unit_test(test_ahead__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
