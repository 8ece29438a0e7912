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
#define DEADLINE_MS 5000

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

/* As INIT does; what was asked may be in flight afterwards. */
static void begin(struct scene *s)
{
    assert_int_equal(
        ahead_run(s->ahead, s->stage.fake.mono_ms + BUDGET_MS, &s->err),
        ERR_OK);
}

static void wait_ms(struct scene *s, int64_t ms)
{
    const bool never = false;

    assert_int_equal(
        http_run(s->stage.http, s->stage.fake.mono_ms + ms, &never, NULL),
        ERR_OK);
}

/* Until nothing is in flight. */
static void run_out(struct scene *s)
{
    while (fake_http_in_flight(s->stage.http))
        wait_ms(s, 1);
}

/* Asks ahead, and waits for the event until nothing is in flight. */
static void run(struct scene *s)
{
    begin(s);
    run_out(s);
}

static struct sweep *new_sweep_of(struct scene *s,
                                  const struct fold *const *fold, size_t n)
{
    const struct sweep_options options = {
        .client = s->stage.client,
        .folds = fold,
        .nfolds = 1,
        .limits = {.pending_max = 1 << 20, .rows_max = 1 << 20},
        .criteria = &PLAIN,
        .deadline_ms = s->stage.fake.mono_ms + DEADLINE_MS,
    };
    struct sweep *sweep = NULL;

    assert_int_equal(sweep_new(&options, TWO, n, &sweep, NULL), ERR_OK);
    return sweep;
}

static struct sweep *new_sweep(struct scene *s, const struct fold *const *fold)
{
    return new_sweep_of(s, fold, 2);
}

/* How many regions a question with these criteria is given. */
static size_t given(struct scene *s, const struct fold *const *fold,
                    const struct criteria *criteria)
{
    struct sweep *sweep = new_sweep(s, fold);
    size_t n;

    ahead_give(s->ahead, criteria, sweep);
    n = sweep_nadopted(sweep);
    sweep_free(sweep);
    ahead_tidy(s->ahead);
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
        ahead_give(s.ahead, &PLAIN, sweep);
        assert_int_equal(sweep_nadopted(sweep), 2);
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

/* The second of two regions answers as told, then a fold is asked for: when
 * all has come, or while that answer is on its way. */
static void expect_given_at(bool in_flight, const char *action,
                            struct fake_answer second,
                            const struct fold *const *fold, size_t n)
{
    struct scene s;
    struct sweep *sweep;

    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_all(&s, TWO[0]);
    second.connect_ms = 100;
    second.after_ms = 300;
    answer(&s, TWO[1], action, second);
    answer_all(&s, TWO[1]);
    if (in_flight)
        begin(&s);
    else
        run(&s);
    /* Only the listing that the question will ask for again. */
    answer_all(&s, TWO[1]);
    sweep = new_sweep(&s, fold);
    ahead_give(s.ahead, &PLAIN, sweep);
    assert_int_equal(sweep_nadopted(sweep), in_flight ? 1 : n);
    assert_int_equal(sweep_run(sweep, NULL), ERR_OK);
    assert_int_equal(sweep_nadopted(sweep), n);
    assert_int_equal(sweep_nfailed(sweep), 0);
    assert_int_equal(sweep_ninstances(sweep), 4);
    assert_string_equal(stage_log(&s.stage), "");
    sweep_free(sweep);
    scene_release(&s);
}

static void expect_given(const char *action, struct fake_answer second,
                         const struct fold *const *fold, size_t n)
{
    expect_given_at(false, action, second, fold, n);
    expect_given_at(true, action, second, fold, n);
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

/* --- what is on its way when the event comes ----------------------------- */

/* The first region is near, the second takes 60 ms to connect to and answers
 * after 240. */
static void answer_near_and_far(struct scene *s)
{
    answer(s, TWO[0], "DescribeInstances",
           (struct fake_answer){.after_ms = 20, .body = TWO_INSTANCES});
    answer(s, TWO[0], "DescribeSecurityGroups",
           (struct fake_answer){.after_ms = 20, .body = OPEN_GROUP});
    answer(s, TWO[1], "DescribeInstances",
           (struct fake_answer){
               .connect_ms = 50, .after_ms = 230, .body = TWO_INSTANCES});
    answer(s, TWO[1], "DescribeSecurityGroups",
           (struct fake_answer){
               .connect_ms = 60, .after_ms = 240, .body = OPEN_GROUP});
}

/* A question about the first n regions; the time that it took. */
static int64_t ask(struct scene *s, const struct criteria *criteria, size_t n,
                   size_t nadopted)
{
    struct sweep *sweep = new_sweep_of(s, COUNT, n);
    int64_t began = s->stage.fake.mono_ms;

    ahead_give(s->ahead, criteria, sweep);
    assert_int_equal(sweep_run(sweep, NULL), ERR_OK);
    assert_int_equal(sweep_nadopted(sweep), nadopted);
    assert_int_equal(sweep_nfailed(sweep), 0);
    assert_int_equal(sweep_ninstances(sweep), 2 * n);
    sweep_free(sweep);
    ahead_tidy(s->ahead);
    return s->stage.fake.mono_ms - began;
}

static void test_ahead_run__ends_when_all_are_connected_to(void **state)
{
    struct scene s;
    int64_t began;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    began = s.stage.fake.mono_ms;
    answer_near_and_far(&s);
    begin(&s);
    assert_int_equal(s.stage.fake.mono_ms - began, 60);
    assert_int_equal(fake_http_in_flight(s.stage.http), 2);
    scene_release(&s);
}

#define INSTANCE XML_INSTANCE("i-1", "")
#define FIVE INSTANCE INSTANCE INSTANCE INSTANCE INSTANCE
#define TWENTY FIVE FIVE FIVE FIVE

/* What is much to read is read with INIT's CPU; and where nobody has answered,
 * nobody waits for the others. */
static void test_ahead_run__waits_for_answers_that_are_much(void **state)
{
    const struct {
        int64_t near_ms;
        const char *near;
        const char *far; /* NULL: it comes late; else its groups do */
        int64_t takes_ms;
    } rows[] = {
        {20, XML_INSTANCES(TWENTY), NULL, 60},
        {20, XML_INSTANCES(TWENTY INSTANCE), NULL, 240},
        {100, XML_INSTANCES(""), NULL, 240},
        {20, XML_INSTANCES(TWENTY), XML_INSTANCES(TWENTY), 60},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene s;
        int64_t began;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        began = s.stage.fake.mono_ms;
        answer(&s, TWO[0], "DescribeInstances",
               (struct fake_answer){.after_ms = rows[i].near_ms,
                                    .body = rows[i].near});
        if (rows[i].far)
            answer(&s, TWO[1], "DescribeInstances",
                   (struct fake_answer){.after_ms = 55, .body = rows[i].far});
        answer_near_and_far(&s);
        begin(&s);
        if (s.stage.fake.mono_ms - began != rows[i].takes_ms)
            fail_msg("row %zu: %d ms", i, (int)(s.stage.fake.mono_ms - began));
        scene_release(&s);
    }
}

static void test_ahead_give__takes_what_is_on_its_way(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer(&s, TWO[0], "DescribeInstances",
           (struct fake_answer){
               .after_ms = 20, .rtt_us = 400000, .body = TWO_INSTANCES});
    answer_near_and_far(&s);
    begin(&s);
    assert_int_equal(ask(&s, &PLAIN, 2, 2), 240 - 60);
    assert_int_equal(fake_http_nrequests(s.stage.http), 4);
    /* It has been on its way for long, so that it is waited for. */
    assert_int_equal(fake_http_patient_most(s.stage.http), 0);
    scene_release(&s);
}

static void test_ahead_give__a_near_region_waits_for_no_far_one(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_near_and_far(&s);
    begin(&s);
    assert_int_equal(ask(&s, &PLAIN, 1, 1), 0);
    assert_int_equal(fake_http_in_flight(s.stage.http), 2);
    /* The next question is given nothing, but waits for the connections. */
    answer_all(&s, TWO[0]);
    answer_all(&s, TWO[1]);
    assert_int_equal(ask(&s, &PLAIN, 2, 0), 240 - 60 + 100);
    assert_int_equal(fake_http_nrequests(s.stage.http), 6);
    for (size_t i = 0; i < 4; i++)
        assert_false(fake_http_request(s.stage.http, i)->cancelled);
    scene_release(&s);
}

/* What may not be taken is asked for when its connection is free. */
static void test_ahead_give__what_is_on_its_way_may_be_old(void **state)
{
    const struct criteria other = {.states = 2};
    const struct {
        const struct criteria *criteria;
        int64_t boot_ms;
    } rows[] = {{&other, 0}, {&PLAIN, 400}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene s;

        scene_init(&s, 300, 1 << 20);
        answer_near_and_far(&s);
        begin(&s);
        s.stage.fake.boot_ms += rows[i].boot_ms;
        answer_all(&s, TWO[0]);
        answer_all(&s, TWO[1]);
        assert_int_equal(ask(&s, rows[i].criteria, 2, 0), 240 - 60 + 100);
        assert_int_equal(fake_http_nrequests(s.stage.http), 6);
        scene_release(&s);
    }
}

/* Frozen for an hour: what came meanwhile is read before time is over. */
static void test_ahead_run__keeps_connections_over_a_freeze(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_near_and_far(&s);
    begin(&s);
    fake_clock_advance(&s.stage.fake, 3600000);
    answer_all(&s, TWO[0]);
    answer_all(&s, TWO[1]);
    assert_int_equal(ask(&s, &PLAIN, 2, 0), 100);
    assert_int_equal(fake_http_nrequests(s.stage.http), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_false(fake_http_request(s.stage.http, i)->cancelled);
        assert_false(fake_http_request(s.stage.http, i)->stopped);
    }
    scene_release(&s);
}

/* The same with a clock that stood still, and peers that are gone. */
static void test_ahead_give__waits_for_nobody_after_a_freeze(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_all(&s, TWO[0]);
    stage_answer(
        &s.stage, TWO[1],
        (struct fake_answer){.times = 2, .connect_ms = 100, .hangs = true});
    begin(&s);
    s.stage.fake.boot_ms += 3600000;
    answer_all(&s, TWO[0]);
    answer_all(&s, TWO[1]);
    assert_int_equal(ask(&s, &PLAIN, 2, 0), 100);
    assert_true(fake_http_request(s.stage.http, 0)->cancelled);
    scene_release(&s);
}

/* The second region answers after all patience. */
static void answer_too_late(struct scene *s)
{
    answer_all(s, TWO[0]);
    stage_answer(
        &s->stage, TWO[1],
        (struct fake_answer){.times = 2, .connect_ms = 100, .after_ms = 6000});
}

/* Half of the question's time is left to ask. */
static void test_ahead_give__leaves_time_to_ask(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_too_late(&s);
    assert_int_equal(ahead_run(s.ahead, s.stage.fake.mono_ms + 9000, &s.err),
                     ERR_OK);
    answer_all(&s, TWO[1]);
    assert_int_equal(ask(&s, &PLAIN, 2, 1), DEADLINE_MS / 2 + 100);
    scene_release(&s);
}

/* Nobody waits for it longer than the question has time. */
static void test_ahead_give__ends_with_the_question(void **state)
{
    struct scene s;
    struct sweep *sweep;

    (void)state;
    scene_init(&s, MAX_AGE_MS, 1 << 20);
    answer_too_late(&s);
    begin(&s);
    sweep = new_sweep(&s, COUNT);
    s.stage.fake.mono_ms += DEADLINE_MS;
    ahead_give(s.ahead, &PLAIN, sweep);
    assert_int_equal(sweep_run(sweep, NULL), ERR_OK);
    assert_int_equal(sweep_get_region(sweep, 0)->failure.kind, FAILURE_NONE);
    assert_int_equal(sweep_get_region(sweep, 1)->failure.kind,
                     FAILURE_DEADLINE);
    sweep_free(sweep);
    ahead_tidy(s.ahead);
    /* Its end finds nobody who waits. */
    run_out(&s);
    scene_release(&s);
}

/* What ends before the sweep has begun leaves the region to it. */
static void test_ahead_give__may_end_before_the_question_runs(void **state)
{
    (void)state;
    for (int fits = 0; fits < 2; fits++) {
        const struct criteria other = {.states = 2};
        struct scene s;
        struct sweep *sweep;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_near_and_far(&s);
        begin(&s);
        sweep = new_sweep(&s, COUNT);
        ahead_give(s.ahead, fits ? &PLAIN : &other, sweep);
        run_out(&s);
        answer_all(&s, TWO[0]);
        answer_all(&s, TWO[1]);
        assert_int_equal(sweep_run(sweep, NULL), ERR_OK);
        assert_int_equal(sweep_nadopted(sweep), fits ? 2 : 0);
        assert_int_equal(sweep_ninstances(sweep), 4);
        sweep_free(sweep);
        scene_release(&s);
    }
}

/* A question can end, and the program too, while all is on its way. */
static void test_ahead_free__ends_what_is_on_its_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene s;
        struct sweep *sweep;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_near_and_far(&s);
        begin(&s);
        sweep = new_sweep(&s, COUNT);
        ahead_give(s.ahead, &PLAIN, sweep);
        if (i == 0) {
            ahead_free(s.ahead);
            s.ahead = NULL;
        }
        sweep_free(sweep);
        scene_release(&s);
    }
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
        answer_near_and_far(&s);
        fail_alloc_at(n);
        rc = ahead_run(s.ahead, s.stage.fake.mono_ms + BUDGET_MS, &s.err);
        if (!rc)
            wait_ms(&s, BUDGET_MS);
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

/* Memory fails between the event and its answer: a region can be missing. */
static void test_ahead_give__survives_every_failed_allocation(void **state)
{
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct scene s;
        struct sweep *sweep;
        enum err_code rc;

        scene_init(&s, MAX_AGE_MS, 1 << 20);
        answer_near_and_far(&s);
        begin(&s);
        answer_all(&s, TWO[1]);
        sweep = new_sweep(&s, COUNT);
        fail_alloc_at(n);
        ahead_give(s.ahead, &PLAIN, sweep);
        rc = sweep_run(sweep, &s.err);
        failed = fail_alloc_stop();
        assert_true(rc == ERR_OK || (failed && rc == ERR_NOMEM));
        if (!failed)
            assert_int_equal(sweep_nadopted(sweep), 2);
        if (sweep_nfailed(sweep) == 0)
            assert_int_equal(sweep_ninstances(sweep), 4);
        sweep_free(sweep);
        scene_release(&s);
    }
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
        cmocka_unit_test(test_ahead_run__ends_when_all_are_connected_to),
        cmocka_unit_test(test_ahead_run__waits_for_answers_that_are_much),
        cmocka_unit_test(test_ahead_give__takes_what_is_on_its_way),
        cmocka_unit_test(test_ahead_give__a_near_region_waits_for_no_far_one),
        cmocka_unit_test(test_ahead_give__what_is_on_its_way_may_be_old),
        cmocka_unit_test(test_ahead_run__keeps_connections_over_a_freeze),
        cmocka_unit_test(test_ahead_give__waits_for_nobody_after_a_freeze),
        cmocka_unit_test(test_ahead_give__leaves_time_to_ask),
        cmocka_unit_test(test_ahead_give__ends_with_the_question),
        cmocka_unit_test(test_ahead_give__may_end_before_the_question_runs),
        cmocka_unit_test(test_ahead_free__ends_what_is_on_its_way),
        cmocka_unit_test(test_ahead_run__asks_nothing_twice),
        cmocka_unit_test(test_ahead_run__does_not_wait_for_a_dead_region),
        cmocka_unit_test(test_ahead_run__ends_with_its_budget),
        cmocka_unit_test(test_ahead__survives_every_failed_allocation),
        cmocka_unit_test(test_ahead_give__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
