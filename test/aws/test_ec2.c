#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "aws/ec2.h"
#include "base/buf.h"
#include "support/fail_alloc.h"
#include "support/fake_clock.h"
#include "support/fake_http.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define HALF 0x80000000u

/* Where the fake clock begins. */
#define BEGIN_MS 1000000
#define NO_PROGRESS_MS 8000
#define HOST "ec2.us-east-1.amazonaws.com"

/* --- EC2's answers ------------------------------------------------------- */

#define INSTANCE(id)                                                           \
    "<item><instancesSet><item><instanceId>" id "</instanceId></item>"         \
    "</instancesSet></item>"
#define OPEN "<DescribeInstancesResponse><reservationSet>"
#define CLOSE "</DescribeInstancesResponse>"
#define PAGE(instances, token)                                                 \
    OPEN instances "</reservationSet><nextToken>" token "</nextToken>" CLOSE
#define EMPTY PAGE("", "")
#define REFUSAL(code)                                                          \
    "<Response><Errors><Error><Code>" code "</Code><Message>because</Message>" \
    "</Error></Errors><RequestID>request-1</RequestID></Response>"

#define ONE                                                                    \
    {                                                                          \
        .body = PAGE(INSTANCE("i-1"), "")                                      \
    }
#define TWO_OF_TWO                                                             \
    {                                                                          \
        .body_has = "NextToken=t2", .body = PAGE(INSTANCE("i-2"), "")          \
    }
#define ONE_OF_TWO                                                             \
    {                                                                          \
        .body = PAGE(INSTANCE("i-1"), "t2")                                    \
    }
#define REFUSED(s, code)                                                       \
    {                                                                          \
        .status = (s), .body = REFUSAL(code)                                   \
    }

/* --- a listing and what its owner sees ----------------------------------- */

struct world {
    struct fake_clock fake;
    struct http *http;
    struct aws_client *client;
    struct aws_client_options options;
    struct ec2_request request;
    struct ec2_sink sink;
    struct ec2_stats stats;
    struct ec2_listing *listing;
    /* Notes: ids, each with a blank after it. */
    struct buf ids;       /* committed, then those that may be rolled back */
    size_t committed_len; /* of ids */
    bool more;            /* what the last commit said */
    unsigned nrestarts;
    unsigned ndone;
    bool done;
    struct failure failure;
    /* What the owner does. */
    enum err_code refuse;   /* what a record is answered with */
    bool enough;            /* no further page is wanted */
    int64_t busy_commit_ms; /* time that a commit takes */
    int64_t busy_record_ms;
};

static enum err_code take(struct world *world, struct span id, struct err *err)
{
    buf_addf(&world->ids, "%.*s ", SPAN_ARG(id));
    fake_clock_advance(&world->fake, world->busy_record_ms);
    if (world->refuse)
        return err_set(err, world->refuse, "test: refused");
    return ERR_OK;
}

static enum err_code take_instance(void *arg, const struct ec2_instance *in,
                                   struct err *err)
{
    return take(arg, in->id, err);
}

static enum err_code take_group(void *arg, const struct ec2_group *group,
                                struct err *err)
{
    return take(arg, group->id, err);
}

static enum err_code take_region(void *arg, const struct ec2_region *region,
                                 struct err *err)
{
    return take(arg, region->name, err);
}

static bool on_commit(void *arg, bool more)
{
    struct world *world = arg;

    world->committed_len = world->ids.len;
    world->more = more;
    fake_clock_advance(&world->fake, world->busy_commit_ms);
    return !world->enough;
}

static void on_rollback(void *arg)
{
    struct world *world = arg;

    buf_truncate(&world->ids, world->committed_len);
}

static void on_restart(void *arg)
{
    struct world *world = arg;

    buf_reset(&world->ids);
    world->committed_len = 0;
    world->nrestarts++;
}

static void on_done(void *arg, const struct failure *failure)
{
    struct world *world = arg;

    world->listing = NULL;
    world->ndone++;
    world->done = true;
    if (failure)
        world->failure = *failure;
    else
        assert_int_equal(world->more, world->enough);
    /* What was not committed must have been taken back. */
    assert_int_equal(world->ids.len, world->committed_len);
}

static const char *lookup(const char *name)
{
    if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0)
        return "TESTKEY";
    if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0)
        return "not-a-real-secret";
    return NULL;
}

static void open_client(struct world *world)
{
    struct err err = {0};

    assert_int_equal(aws_client_new(&world->options, &world->client, &err),
                     ERR_OK);
    assert_int_equal(aws_client_load_credentials(world->client, 0, &err),
                     ERR_OK);
    assert_int_equal(aws_client_region(world->client, SPAN_LIT("us-east-1"),
                                       &world->request.region, &err),
                     ERR_OK);
}

static void open_world(struct world *world)
{
    struct http_options options = {.clock = &world->fake.clock};

    *world = (struct world){
        .ids = BUF_INIT(1024 * 1024),
        .sink = {.records = {take_instance, take_group, take_region},
                 .page_commit = on_commit,
                 .page_rollback = on_rollback,
                 .restart_listing = on_restart},
        .request = {.action = EC2_DESCRIBE_INSTANCES,
                    .sink = &world->sink,
                    .stats = &world->stats,
                    .deadline_ms = CLOCK_NEVER,
                    .on_done = on_done,
                    .arg = world},
    };
    fake_clock_init(&world->fake);
    world->fake.random = HALF;
    assert_int_equal(http_new(&options, &world->http, NULL), ERR_OK);
    world->options = (struct aws_client_options){
        .http = world->http,
        .clock = &world->fake.clock,
        .lookup = lookup,
        .max_attempts = 10,
        .no_progress_ms = NO_PROGRESS_MS,
    };
    open_client(world);
}

static void close_world(struct world *world)
{
    aws_client_free(world->client);
    http_free(world->http);
    buf_release(&world->ids);
}

static int set_up(void **state)
{
    static struct world world;

    open_world(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    close_world(*state);
    return 0;
}

static void answer(struct world *world, struct fake_answer a)
{
    fake_http_answer(world->http, &a);
}

static enum err_code start(struct world *world, struct err *err)
{
    world->done = false;
    return ec2_start(world->client, &world->request, &world->listing, err);
}

/* Runs the listing to its end, which comes once. */
static void run(struct world *world)
{
    unsigned before = world->ndone;

    assert_int_equal(start(world, NULL), ERR_OK);
    assert_int_equal(http_run(world->http, CLOCK_NEVER, &world->done, NULL),
                     ERR_OK);
    assert_int_equal(world->ndone, before + 1);
    assert_int_equal(fake_http_in_flight(world->http), 0);
}

static int64_t elapsed_ms(const struct world *world)
{
    return world->fake.mono_ms - BEGIN_MS;
}

static const struct fake_request *request_at(const struct world *world,
                                             size_t i)
{
    return fake_http_request(world->http, i);
}

/* --- scripts: what EC2 answers, and what becomes of the listing ---------- */

#define NANSWERS 5

struct script {
    const char *name;
    struct fake_answer answers[NANSWERS];
    /* Ids committed, kind of failure, requests, retries, pages, time. */
    const char *outcome;
};

/* Asked again after half of 50 ms. */
#define CURED "i-1 none: 2 asked, 1 again, 1 pages, 25 ms"

static void queue(struct world *world, const struct fake_answer *answers)
{
    static const struct fake_answer none;

    for (size_t i = 0; i < NANSWERS; i++)
        if (memcmp(&answers[i], &none, sizeof(none)) != 0)
            answer(world, answers[i]);
}

static void check_outcome(const struct world *world, const struct script *s)
{
    char outcome[256];

    (void)snprintf(outcome, sizeof(outcome),
                   "%s%s: %d asked, %d again, %d pages, %d ms", world->ids.data,
                   failure_kind_name(world->failure.kind),
                   (int)world->stats.requests, (int)world->stats.retries,
                   (int)world->stats.pages, (int)elapsed_ms(world));
    if (strcmp(outcome, s->outcome) != 0)
        fail_msg("%s: %s (%s)", s->name, outcome, world->failure.text);
    assert_int_equal(fake_http_nrequests(world->http), world->stats.requests);
}

static void run_scripts(const struct script *scripts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct world world;

        open_world(&world);
        queue(&world, scripts[i].answers);
        run(&world);
        check_outcome(&world, &scripts[i]);
        close_world(&world);
    }
}

/* --- pages --------------------------------------------------------------- */

static const struct script PAGES[] = {
    {"one page", {ONE}, "i-1 none: 1 asked, 0 again, 1 pages, 0 ms"},
    {"no token element",
     {{.body = OPEN "</reservationSet>" CLOSE}},
     "none: 1 asked, 0 again, 1 pages, 0 ms"},
    {"token after the set",
     {TWO_OF_TWO, ONE_OF_TWO},
     "i-1 i-2 none: 2 asked, 0 again, 2 pages, 0 ms"},
    {"token before the set",
     {TWO_OF_TWO,
      {.body = "<DescribeInstancesResponse><nextToken>t2</nextToken>"
               "<reservationSet>" INSTANCE("i-1") "</reservationSet>" CLOSE}},
     "i-1 i-2 none: 2 asked, 0 again, 2 pages, 0 ms"},
    {"empty pages go on",
     {{.body_has = "NextToken=a", .body = PAGE("", "b")},
      {.body_has = "NextToken=b", .body = PAGE(INSTANCE("i-1"), "c")},
      {.body_has = "NextToken=c", .body = PAGE("", "")},
      {.body = PAGE("", "a")}},
     "i-1 none: 4 asked, 0 again, 4 pages, 0 ms"},
    {"a token that needs quoting",
     {{.body_has = "&NextToken=a%2B%2F%3D%26b", .body = PAGE("", "")},
      {.body = PAGE("", "a+/=&amp;b")}},
     "none: 2 asked, 0 again, 2 pages, 0 ms"},
    {"in pieces, over time",
     {{.body = PAGE(INSTANCE("i-1"), ""),
       .after_ms = 100,
       .piece = 100,
       .gap_ms = 10}},
     "i-1 none: 1 asked, 0 again, 1 pages, 110 ms"},
    {"the same token again",
     {{.body = PAGE(INSTANCE("i-1"), "t"), .times = FAKE_ALWAYS}},
     "i-1 i-1 repeated: 2 asked, 0 again, 2 pages, 0 ms"},
    {"tokens in a circle",
     {{.body_has = "NextToken=a", .body = PAGE("", "b"), .times = FAKE_ALWAYS},
      {.body_has = "NextToken=b", .body = PAGE("", "a"), .times = FAKE_ALWAYS},
      {.body = PAGE("", "a")}},
     "repeated: 3 asked, 0 again, 3 pages, 0 ms"},
};

static void test_ec2_start__follows_the_pages_to_their_end(void **state)
{
    (void)state;
    run_scripts(PAGES, COUNT(PAGES));
}

#define NUMBERED(id, instances)                                                \
    {                                                                          \
        .body =                                                                \
            "<DescribeInstancesResponse><requestId>" id                        \
            "</requestId><reservationSet>" instances "</reservationSet>" CLOSE \
    }

static const struct ec2_filter BY_GROUP = {"group-id", &(const char *){"sg-1"},
                                           1};

/* One listing after the other in the same region. */
static const struct {
    struct fake_answer answer;
    const char *ids;
    const struct ec2_filter *filter;
    unsigned unchanged;
} ROUNDS[] = {
    {NUMBERED("r1", INSTANCE("i-1")), "i-1 ", NULL, 0},
    {NUMBERED("r2", INSTANCE("i-1")), "i-1 ", NULL, 1},
    {NUMBERED("r3", INSTANCE("i-2")), "i-2 ", NULL, 1},
    {NUMBERED("r4", INSTANCE("i-1")), "i-1 ", NULL, 1},
    {NUMBERED("r5", INSTANCE("i-1") INSTANCE("i-2")), "i-1 i-2 ", NULL, 1},
    {NUMBERED("r6", ""), "", NULL, 1},
    {NUMBERED("r7", ""), "", NULL, 2},
    /* What is asked for in another way leaves no trace. */
    {NUMBERED("r8", INSTANCE("i-3")), "i-3 ", &BY_GROUP, 2},
    {NUMBERED("r9", INSTANCE("i-3")), "i-3 ", &BY_GROUP, 2},
    {NUMBERED("r10", ""), "", NULL, 3},
};

static void test_ec2_start__tells_what_is_there_now(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(ROUNDS); i++) {
        buf_reset(&world->ids);
        world->committed_len = 0;
        world->request.filter = ROUNDS[i].filter;
        answer(world, ROUNDS[i].answer);
        run(world);
        assert_int_equal(world->failure.kind, FAILURE_NONE);
        assert_string_equal(world->ids.data, ROUNDS[i].ids);
        assert_int_equal(world->stats.unchanged, ROUNDS[i].unchanged);
    }
}

/* It takes the place of what was kept. */
static void test_ec2_start__learns_anew_after_a_refusal(void **s)
{
    struct world *world = *s;

    answer(world, ROUNDS[0].answer);
    run(world);
    answer(world, (struct fake_answer){
                      .status = 503,
                      .body = "<Response><Errors><Error><Code>Unavailable"
                              "</Code></Error></Errors></Response>"});
    answer(world, ROUNDS[1].answer);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-1 i-1 ");
    assert_int_equal(world->stats.retries, 1);
    assert_int_equal(world->stats.unchanged, 0);
    answer(world, ROUNDS[0].answer);
    run(world);
    assert_string_equal(world->ids.data, "i-1 i-1 i-1 ");
    assert_int_equal(world->stats.unchanged, 1);
}

#define NO_GROUPS                                                              \
    {                                                                          \
        .body = "<DescribeSecurityGroupsResponse><requestId>g</requestId>"     \
                "<securityGroupInfo/></DescribeSecurityGroupsResponse>"        \
    }

static void test_ec2_start__knows_each_action_s_answer(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < 3; i++) {
        world->request.action = EC2_DESCRIBE_INSTANCES;
        answer(world, ROUNDS[0].answer);
        run(world);
        world->request.action = EC2_DESCRIBE_SECURITY_GROUPS;
        answer(world, (struct fake_answer)NO_GROUPS);
        run(world);
        assert_int_equal(world->stats.unchanged, 2 * i);
    }
}

static bool next_page(void *arg, const struct fake_request *request,
                      struct fake_answer *out)
{
    static char body[256];
    unsigned *n = arg;

    (void)request;
    (void)snprintf(body, sizeof(body), PAGE("", "%u"), ++*n);
    *out = (struct fake_answer){.body = body};
    return true;
}

static void test_ec2_start__bounds_the_number_of_pages(void **state)
{
    struct world *world = *state;
    unsigned npages = 0;

    fake_http_answer_with(world->http, next_page, &npages);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_LIMIT);
    assert_int_equal(npages, EC2_PAGES_MAX);
    assert_int_equal(world->stats.pages, EC2_PAGES_MAX);
}

static void test_ec2_start__stops_when_no_further_page_is_wanted(void **state)
{
    struct world *world = *state;

    world->enough = true;
    answer(world, (struct fake_answer)ONE_OF_TWO);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-1 ");
}

/* --- what is asked ------------------------------------------------------- */

static void test_ec2_start__asks_in_ec2s_words(void **state)
{
    static const char *const VALUES[] = {"sg-1", "a b"};
    static const struct ec2_filter FILTER = {"network-interface.group-id",
                                             VALUES, 2};
    static const struct {
        enum ec2_action action;
        const struct ec2_filter *filter;
        const char *answer;
        const char *body;
        const char *ids;
    } ROWS[] = {
        {EC2_DESCRIBE_REGIONS, NULL,
         "<DescribeRegionsResponse><regionInfo><item><regionName>r-1"
         "</regionName></item></regionInfo></DescribeRegionsResponse>",
         "Action=DescribeRegions&Version=2016-11-15", "r-1 "},
        {EC2_DESCRIBE_SECURITY_GROUPS, NULL,
         "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>"
         "sg-1</groupId></item></securityGroupInfo>"
         "</DescribeSecurityGroupsResponse>",
         "Action=DescribeSecurityGroups&Version=2016-11-15&MaxResults=1000",
         "sg-1 "},
        {EC2_DESCRIBE_INSTANCES, &FILTER, PAGE(INSTANCE("i-1"), ""),
         "Action=DescribeInstances&Version=2016-11-15"
         "&Filter.1.Name=network-interface.group-id&Filter.1.Value.1=sg-1"
         "&Filter.1.Value.2=a%20b&MaxResults=1000",
         "i-1 "},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        world->request.action = ROWS[i].action;
        world->request.filter = ROWS[i].filter;
        answer(world, (struct fake_answer){.body = ROWS[i].answer});
        run(world);
        assert_string_equal(request_at(world, 0)->body, ROWS[i].body);
        assert_string_equal(world->ids.data, ROWS[i].ids);
        (void)tear_down(state);
    }
}

#define PLAIN_BODY "Action=DescribeInstances&Version=2016-11-15&MaxResults=1000"
#define MANAGED_BODY PLAIN_BODY "&IncludeManagedResources=true"

static void
test_ec2_start__asks_for_managed_instances_on_each_page(void **state)
{
    struct world *world = *state;

    world->request.include_managed = true;
    queue(world, PAGES[2].answers);
    run(world);
    assert_string_equal(request_at(world, 0)->body, MANAGED_BODY);
    assert_string_equal(request_at(world, 1)->body,
                        MANAGED_BODY "&NextToken=t2");
}

static void test_ec2_start__asks_other_actions_as_ever(void **state)
{
    struct world *world = *state;

    world->request.include_managed = true;
    world->request.action = EC2_DESCRIBE_REGIONS;
    answer(world, (struct fake_answer){.status = 400});
    run(world);
    assert_string_equal(request_at(world, 0)->body,
                        "Action=DescribeRegions&Version=2016-11-15");
}

/* Once for the page, and never again in this region. */
static void test_ec2_start__does_without_an_unknown_parameter(void **state)
{
    struct world *world = *state;

    world->request.include_managed = true;
    answer(world,
           (struct fake_answer){
               .status = 400,
               .body = "<Response><Errors><Error><Code>UnknownParameter</Code>"
                       "<Message>The parameter IncludeManagedResources is not "
                       "recognized</Message></Error></Errors></Response>"});
    answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-1"), "")});
    answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-2"), "")});
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-1 ");
    assert_int_equal(fake_http_nrequests(world->http), 2);
    assert_string_equal(request_at(world, 0)->body, MANAGED_BODY);
    assert_string_equal(request_at(world, 1)->body, PLAIN_BODY);
    run(world);
    assert_string_equal(world->ids.data, "i-1 i-2 ");
    assert_string_equal(request_at(world, 2)->body, PLAIN_BODY);
}

/* Two listings of the region learn it at the same time, from a refusal each. */
static void
test_ec2_start__does_without_it_in_each_listing_under_way(void **state)
{
    struct world *world = *state;
    struct ec2_listing *other = NULL;
    bool never = false;

    world->request.include_managed = true;
    answer(world,
           (struct fake_answer){
               .status = 400,
               .times = 2,
               .after_ms = 10,
               .body = "<Response><Errors><Error><Code>UnknownParameter</Code>"
                       "</Error></Errors></Response>"});
    answer(world, (struct fake_answer){.times = 2,
                                       .after_ms = 10,
                                       .body = PAGE(INSTANCE("i-1"), "")});
    assert_int_equal(start(world, NULL), ERR_OK);
    assert_int_equal(ec2_start(world->client, &world->request, &other, NULL),
                     ERR_OK);
    assert_int_equal(http_run(world->http, BEGIN_MS + 1000, &never, NULL),
                     ERR_OK);
    assert_int_equal(world->ndone, 2);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-1 i-1 ");
    assert_string_equal(request_at(world, 3)->body, PLAIN_BODY);
}

/* Without the parameter in the request the refusal is one like others. */
static void test_ec2_start__ends_when_another_parameter_is_unknown(void **state)
{
    struct world *world = *state;

    answer(world,
           (struct fake_answer){
               .status = 400,
               .body = "<Response><Errors><Error><Code>UnknownParameter</Code>"
                       "</Error></Errors></Response>"});
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_REJECTED);
    assert_int_equal(fake_http_nrequests(world->http), 1);
}

static void test_ec2_start__repeats_filter_and_size_on_each_page(void **state)
{
    static const char *const VALUES[] = {"running"};
    static const struct ec2_filter FILTER = {"instance-state-name", VALUES, 1};
    struct world *world = *state;

    world->request.filter = &FILTER;
    queue(world, PAGES[2].answers);
    run(world);
    assert_string_equal(request_at(world, 1)->body,
                        "Action=DescribeInstances&Version=2016-11-15"
                        "&Filter.1.Name=instance-state-name"
                        "&Filter.1.Value.1=running&MaxResults=1000"
                        "&NextToken=t2");
}

static void test_ec2_start__sends_a_signed_post_that_asks_for_gzip(void **state)
{
    struct world *world = *state;
    const struct fake_request *request;

    answer(world, (struct fake_answer)ONE);
    run(world);
    request = request_at(world, 0);
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->url, "https://" HOST "/");
    assert_int_equal(request->route, HTTP_VIA_PROXY);
    assert_int_equal(request->connect_timeout_ms, AWS_CONNECT_TIMEOUT_MS);
    assert_true(request->gzip);
    assert_true(request->ipv4_only);
    assert_string_equal(fake_request_header(request, "content-type"),
                        "application/x-www-form-urlencoded; charset=utf-8");
    assert_string_equal(fake_request_header(request, "x-amz-date"),
                        "20300102T030405Z");
    assert_non_null(strstr(fake_request_header(request, "authorization"),
                           "Credential=TESTKEY/20300102/us-east-1/ec2/"));
}

static void test_ec2_start__looks_for_ipv6_where_it_may_be(void **state)
{
    static const struct region_endpoint_options ROWS[] = {
        {.url = "http://127.0.0.1:9", .variable = "AWS_ENDPOINT_URL"},
        {.dual_stack = true},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        aws_client_free(world->client);
        world->options.endpoint = ROWS[i];
        open_client(world);
        answer(world, (struct fake_answer)ONE);
        run(world);
        assert_false(request_at(world, 0)->ipv4_only);
        (void)tear_down(state);
    }
}

static void test_ec2_start__signs_each_attempt_anew(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer)REFUSED(503, "RequestLimitExceeded"));
    answer(world, (struct fake_answer)REFUSED(503, "RequestLimitExceeded"));
    answer(world, (struct fake_answer)ONE);
    run(world);
    assert_string_equal(fake_request_header(request_at(world, 0), "x-amz-date"),
                        "20300102T030405Z");
    /* 500 ms and 1,000 ms later */
    assert_string_equal(fake_request_header(request_at(world, 2), "x-amz-date"),
                        "20300102T030406Z");
    assert_string_not_equal(
        fake_request_header(request_at(world, 0), "authorization"),
        fake_request_header(request_at(world, 2), "authorization"));
}

static void test_ec2_start__refuses_a_filter_of_the_wrong_size(void **state)
{
    static const char *values[EC2_FILTER_VALUES_MAX + 1];
    static const struct {
        size_t nvalues;
        enum err_code rc;
    } ROWS[] = {{0, ERR_ARG}, {1, ERR_OK}, {200, ERR_OK}, {201, ERR_ARG}};
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(values); i++)
        values[i] = "sg-0123456789abcdef0";
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct ec2_filter filter = {"f", values, ROWS[i].nvalues};
        struct err err = {0};

        world->request.filter = &filter;
        answer(world, (struct fake_answer)ONE);
        assert_int_equal(start(world, &err), ROWS[i].rc);
        if (!ROWS[i].rc)
            ec2_cancel(world->listing);
        else
            assert_non_null(strstr(err.msg, "values in filter f"));
    }
    assert_int_equal(fake_http_nrequests(world->http), 2);
    assert_int_equal(world->ndone, 0);
}

static void test_ec2_start__needs_credentials(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    aws_client_free(world->client);
    assert_int_equal(aws_client_new(&world->options, &world->client, NULL),
                     ERR_OK);
    assert_int_equal(aws_client_region(world->client, SPAN_LIT("us-east-1"),
                                       &world->request.region, NULL),
                     ERR_OK);
    assert_int_equal(start(world, &err), ERR_AUTH);
    assert_int_equal(world->ndone, 0);
    assert_int_equal(world->stats.requests, 0);
}

/* --- retries ------------------------------------------------------------- */

/* 50 ms x 2^i for what passes, 1 s x 2^i for throttling, and half of it. */
static const struct script RETRIES[] = {
    {"EC2's own trouble", {REFUSED(500, "InternalError"), ONE}, CURED},
    {"unavailable", {REFUSED(503, "Unavailable"), ONE}, CURED},
    {"trouble three times",
     {{.status = 500, .body = REFUSAL("InternalError"), .times = 3}, ONE},
     "i-1 none: 4 asked, 3 again, 1 pages, 175 ms"},
    {"throttled twice",
     {{.status = 503, .body = REFUSAL("RequestLimitExceeded"), .times = 2},
      ONE},
     "i-1 none: 3 asked, 2 again, 1 pages, 1500 ms"},
    {"throttled with 400",
     {REFUSED(400, "Throttling"), ONE},
     "i-1 none: 2 asked, 1 again, 1 pages, 500 ms"},
    {"each page counts its attempts anew",
     {TWO_OF_TWO, REFUSED(500, "InternalError"), ONE_OF_TWO},
     "i-1 i-2 none: 3 asked, 1 again, 2 pages, 25 ms"},
    {"html 503",
     {{.status = 503, .body = "<html><body>Service Unavailable"}, ONE},
     CURED},
    {"502 without a body", {{.status = 502}, ONE}, CURED},
    {"host not found", {{.failure = HTTP_RESOLVE}, ONE}, CURED},
    {"not reached", {{.failure = HTTP_CONNECT}, ONE}, CURED},
    {"not reached in time",
     {{.failure = HTTP_CONNECT_TIMEOUT}, ONE},
     "i-1 none: 2 asked, 1 again, 1 pages, 3125 ms"},
    {"no handshake", {{.failure = HTTP_TLS}, ONE}, CURED},
    {"proxy not reached", {{.failure = HTTP_PROXY}, ONE}, CURED},
    {"reset before an answer", {{.failure = HTTP_BROKEN}, ONE}, CURED},
    {"broken in the middle",
     {{.body = OPEN INSTANCE("i-1"), .failure = HTTP_BROKEN}, ONE},
     CURED},
    {"broken after a whole document",
     {{.body = PAGE(INSTANCE("i-1"), ""), .failure = HTTP_BROKEN}, ONE},
     CURED},
    {"200 that breaks off", {{.body = OPEN INSTANCE("i-1")}, ONE}, CURED},
    {"200 that is not well-formed",
     {{.body = OPEN INSTANCE("i-1") "</x>"}, ONE},
     CURED},
    {"200 with text after its end",
     {{.body = PAGE(INSTANCE("i-1"), "") "x"}, ONE},
     CURED},
    {"200 without a body", {{.body = ""}, ONE}, CURED},
    {"200 with html", {{.body = "<html></html>"}, ONE}, CURED},
    {"200 with a refusal", {REFUSED(200, "InternalError"), ONE}, CURED},
    {"206 with a page",
     {{.status = 206, .body = PAGE(INSTANCE("i-1"), "")}, ONE},
     CURED},
    {"500 with a page",
     {{.status = 500, .body = PAGE(INSTANCE("i-1"), "t")}, ONE},
     CURED},
    {"second page broken",
     {{.body_has = "NextToken=t2", .body = OPEN INSTANCE("i-2")},
      TWO_OF_TWO,
      ONE_OF_TWO},
     "i-1 i-2 none: 3 asked, 1 again, 2 pages, 25 ms"},
};

static void test_ec2_start__asks_again_for_what_may_pass(void **state)
{
    (void)state;
    run_scripts(RETRIES, COUNT(RETRIES));
}

static const struct script REFUSALS[] = {
    {"denied",
     {REFUSED(403, "UnauthorizedOperation")},
     "denied: 1 asked, 0 again, 0 pages, 0 ms"},
    {"keys",
     {REFUSED(401, "AuthFailure")},
     "auth: 1 asked, 0 again, 0 pages, 0 ms"},
    {"expired",
     {REFUSED(400, "RequestExpired")},
     "expired: 1 asked, 0 again, 0 pages, 0 ms"},
    {"not enabled",
     {REFUSED(403, "OptInRequired")},
     "not_enabled: 1 asked, 0 again, 0 pages, 0 ms"},
    {"rejected",
     {REFUSED(400, "UnknownParameter")},
     "rejected: 1 asked, 0 again, 0 pages, 0 ms"},
    {"redirect",
     {{.status = 302,
       .body = "<html>moved</html>",
       .headers = &(const struct http_header){"Location", "http://x/"},
       .nheaders = 1}},
     "redirect: 1 asked, 0 again, 0 pages, 0 ms"},
    {"not implemented",
     {{.status = 501}},
     "busy: 1 asked, 0 again, 0 pages, 0 ms"},
    {"certificate",
     {{.failure = HTTP_CERTIFICATE}},
     "certificate: 1 asked, 0 again, 0 pages, 0 ms"},
    {"proxy refuses",
     {{.failure = HTTP_PROXY, .status = 407}},
     "proxy: 1 asked, 0 again, 0 pages, 0 ms"},
    {"no memory in the library",
     {{.failure = HTTP_NOMEM}},
     "nomem: 1 asked, 0 again, 0 pages, 0 ms"},
    {"header too long",
     {{.failure = HTTP_LIMIT, .status = 200}},
     "limit: 1 asked, 0 again, 0 pages, 0 ms"},
    {"library trouble",
     {{.failure = HTTP_OTHER}},
     "internal: 1 asked, 0 again, 0 pages, 0 ms"},
    {"token refused on the first page",
     {REFUSED(400, "InvalidPaginationToken")},
     "token: 1 asked, 0 again, 0 pages, 0 ms"},
    {"denied on the second page",
     {{.body_has = "NextToken",
       .status = 403,
       .body = REFUSAL("UnauthorizedOperation")},
      ONE_OF_TWO},
     "i-1 denied: 2 asked, 0 again, 1 pages, 0 ms"},
};

static void test_ec2_start__does_not_repeat_what_will_not_pass(void **state)
{
    (void)state;
    run_scripts(REFUSALS, COUNT(REFUSALS));
}

static void test_ec2_start__tells_what_ec2_said(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer)REFUSED(403, "UnauthorizedOperation"));
    run(world);
    assert_int_equal(world->failure.status, 403);
    assert_int_equal(world->failure.attempts, 1);
    assert_string_equal(world->failure.code, "UnauthorizedOperation");
    assert_string_equal(world->failure.text, "because");
    assert_string_equal(world->failure.request_id, "request-1");
}

static void test_ec2_start__tells_what_the_library_said(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer){.failure = HTTP_CERTIFICATE,
                                       .detail = "self-signed"});
    run(world);
    assert_string_equal(world->failure.text, "self-signed");
    assert_string_equal(world->failure.code, "");
    assert_int_equal(world->failure.status, 0);
}

static void test_ec2_start__gives_up_after_the_attempts_allowed(void **state)
{
    static const struct {
        struct fake_answer answer;
        enum failure_kind kind;
    } ROWS[] = {
        {{.status = 500, .times = FAKE_ALWAYS}, FAILURE_BUSY},
        {{.failure = HTTP_CONNECT, .times = FAKE_ALWAYS}, FAILURE_CONNECT},
        {{.body = OPEN, .times = FAKE_ALWAYS}, FAILURE_MALFORMED},
        {{.failure = HTTP_BROKEN, .times = FAKE_ALWAYS}, FAILURE_BROKEN},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        aws_client_free(world->client);
        world->options.max_attempts = 3;
        open_client(world);
        answer(world, ROWS[i].answer);
        run(world);
        assert_int_equal(world->failure.kind, ROWS[i].kind);
        assert_int_equal(world->failure.attempts, 3);
        assert_int_equal(world->stats.requests, 3);
        assert_int_equal(elapsed_ms(world), 25 + 50);
        (void)tear_down(state);
    }
}

static void test_ec2_start__tells_how_long_a_connection_was_tried(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer){.failure = HTTP_CONNECT_TIMEOUT});
    world->request.deadline_ms = BEGIN_MS + 3101;
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_CONNECT_TIMEOUT);
    assert_int_equal(world->failure.waited_ms, AWS_CONNECT_TIMEOUT_MS);
}

/* SDK reference guide, "Retry behavior": max(t, min(header, t + 5 s)). */
static void test_ec2_start__heeds_x_amz_retry_after(void **state)
{
    static const struct {
        const char *value;
        const char *code;
        int64_t delay_ms;
    } ROWS[] = {
        {"700", "InternalError", 700},       {"5025", "InternalError", 5025},
        {"9000", "InternalError", 5025},     {"0", "InternalError", 25},
        {"24", "InternalError", 25},         {"-700", "InternalError", 25},
        {"soon", "InternalError", 25},       {"", "InternalError", 25},
        {"700", "Throttling", 700},          {"100", "Throttling", 500},
        {"700", "UnauthorizedOperation", 0},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct http_header header = {"x-amz-retry-after", ROWS[i].value};
        char body[256];
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        (void)snprintf(body, sizeof(body), REFUSAL("%s"), ROWS[i].code);
        answer(world, (struct fake_answer){.status = 503,
                                           .body = body,
                                           .headers = &header,
                                           .nheaders = 1});
        answer(world, (struct fake_answer)ONE);
        run(world);
        if (elapsed_ms(world) != ROWS[i].delay_ms)
            fail_msg("%s \"%s\": %lld ms", ROWS[i].code, ROWS[i].value,
                     (long long)elapsed_ms(world));
        (void)tear_down(state);
    }
}

static void test_ec2_start__spends_and_refills_the_regions_quota(void **state)
{
    struct world *world = *state;
    struct retry_quota *quota = &world->request.region->quota;

    /* Two retries cost 28, of which the last comes back; the page after that
     * one gives 1. */
    answer(world, (struct fake_answer){.status = 500, .times = 2});
    answer(world, (struct fake_answer)ONE_OF_TWO);
    answer(world, (struct fake_answer)TWO_OF_TWO);
    quota->tokens = 100;
    run(world);
    assert_int_equal(quota->tokens, 100 - 28 + 14 + 1);
    /* A throttled one costs 5 and gives them back. */
    answer(world, (struct fake_answer)REFUSED(503, "Throttling"));
    answer(world, (struct fake_answer)ONE);
    run(world);
    assert_int_equal(quota->tokens, 87);
    assert_int_equal(world->stats.throttles, 1);
}

static void test_ec2_start__does_not_retry_on_an_empty_quota(void **state)
{
    struct world *world = *state;

    world->request.region->quota.tokens = RETRY_COST_TRANSIENT - 1;
    answer(world, (struct fake_answer)REFUSED(500, "InternalError"));
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_BUSY);
    assert_int_equal(world->failure.attempts, 1);
    assert_int_equal(elapsed_ms(world), 0);
}

/* Refusals are no progress, so they end within its time-out. */
static void test_ec2_start__does_not_wait_for_ever_on_refusals(void **state)
{
    static const struct {
        struct fake_answer answer;
        enum failure_kind kind;
    } ROWS[] = {
        {REFUSED(503, "RequestLimitExceeded"), FAILURE_THROTTLED},
        {REFUSED(500, "InternalError"), FAILURE_BUSY},
        {{.status = 503, .body = "<html>"}, FAILURE_BUSY},
    };
    static const uint32_t RANDOM[] = {0, HALF / 4, HALF / 2, HALF, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS) * COUNT(RANDOM); i++) {
        struct fake_answer refusal = ROWS[i / COUNT(RANDOM)].answer;
        struct world world;

        open_world(&world);
        world.fake.random = RANDOM[i % COUNT(RANDOM)];
        refusal.times = FAKE_ALWAYS;
        answer(&world, refusal);
        run(&world);
        assert_int_equal(world.failure.kind, ROWS[i / COUNT(RANDOM)].kind);
        assert_int_equal(world.failure.attempts, world.stats.requests);
        assert_int_equal(
            world.stats.throttles,
            world.failure.kind == FAILURE_THROTTLED ? world.stats.requests : 0);
        if (elapsed_ms(&world) >= NO_PROGRESS_MS)
            fail_msg("row %zu: %lld ms", i, (long long)elapsed_ms(&world));
        close_world(&world);
    }
}

static void test_ec2_start__goes_on_after_refusals_and_progress(void **state)
{
    struct world *world = *state;

    /* 7.5 s of throttling before each page: 4 delays of 0.5, 1, 2, 4 s. */
    answer(world, (struct fake_answer){.status = 503,
                                       .body = REFUSAL("Throttling"),
                                       .times = 4});
    answer(world, (struct fake_answer)ONE_OF_TWO);
    answer(world, (struct fake_answer){.status = 503,
                                       .body = REFUSAL("Throttling"),
                                       .times = 4});
    answer(world, (struct fake_answer)TWO_OF_TWO);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-1 i-2 ");
    assert_int_equal(elapsed_ms(world), 15000);
}

/* The reason is told, not that time was short. */
static void test_ec2_start__gives_up_rather_than_wait_too_long(void **state)
{
    static const struct {
        int64_t deadline_ms;
        int64_t no_progress_ms;
        unsigned nrequests;
        int64_t elapsed_ms;
    } ROWS[] = {
        {BEGIN_MS + 500, NO_PROGRESS_MS, 1, 0},
        {BEGIN_MS + 501, NO_PROGRESS_MS, 2, 500},
        {CLOCK_NEVER, 500, 1, 0},
        {CLOCK_NEVER, 501, 2, 500},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        aws_client_free(world->client);
        world->options.no_progress_ms = ROWS[i].no_progress_ms;
        open_client(world);
        world->request.deadline_ms = ROWS[i].deadline_ms;
        answer(world, (struct fake_answer){.status = 503,
                                           .body = REFUSAL("Throttling"),
                                           .times = FAKE_ALWAYS});
        run(world);
        assert_int_equal(world->failure.kind, FAILURE_THROTTLED);
        assert_int_equal(world->stats.requests, ROWS[i].nrequests);
        assert_int_equal(elapsed_ms(world), ROWS[i].elapsed_ms);
        (void)tear_down(state);
    }
}

/* --- silence and deadlines ----------------------------------------------- */

static const struct script SILENCES[] = {
    {"not a byte",
     {{.hangs = true}},
     "silent: 1 asked, 0 again, 0 pages, 8000 ms"},
    {"half a page",
     {{.body = OPEN INSTANCE("i-1"), .after_ms = 100, .hangs = true}},
     "silent: 1 asked, 0 again, 0 pages, 8100 ms"},
    {"a whole page without an end",
     {{.body = PAGE(INSTANCE("i-1"), ""), .hangs = true}},
     "silent: 1 asked, 0 again, 0 pages, 8000 ms"},
    {"late, but not too late",
     {{.body = PAGE(INSTANCE("i-1"), ""), .after_ms = 7999}},
     "i-1 none: 1 asked, 0 again, 1 pages, 7999 ms"},
    {"a slow drip",
     {{.body = PAGE(INSTANCE("i-1"), ""), .piece = 30, .gap_ms = 7999}},
     "i-1 none: 1 asked, 0 again, 1 pages, 47994 ms"},
    {"too slow a drip",
     {{.body = PAGE(INSTANCE("i-1"), ""), .piece = 30, .gap_ms = 8001}},
     "silent: 1 asked, 0 again, 0 pages, 8000 ms"},
    {"silent on the second page",
     {{.body_has = "NextToken", .hangs = true},
      {.body = PAGE(INSTANCE("i-1"), "t2"), .after_ms = 5000}},
     "i-1 silent: 2 asked, 0 again, 1 pages, 13000 ms"},
    {"silent after a failure",
     {REFUSED(500, "InternalError"), {.hangs = true}},
     "silent: 2 asked, 1 again, 0 pages, 8000 ms"},
    {"never connected, and given up before that was told",
     {{.failure = HTTP_CONNECT_TIMEOUT, .after_ms = 9000}},
     "connect_timeout: 1 asked, 0 again, 0 pages, 8000 ms"},
    {"connected at the second attempt, then silent",
     {{.failure = HTTP_CONNECT_TIMEOUT}, {.hangs = true}},
     "silent: 2 asked, 1 again, 0 pages, 8000 ms"},
    {"never connected",
     {{.failure = HTTP_CONNECT_TIMEOUT, .times = FAKE_ALWAYS}},
     "connect_timeout: 3 asked, 2 again, 0 pages, 8000 ms"},
};

static void test_ec2_start__gives_up_a_region_without_progress(void **state)
{
    (void)state;
    run_scripts(SILENCES, COUNT(SILENCES));
}

static void test_ec2_start__tells_how_long_it_was_silent(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer){.hangs = true});
    run(world);
    assert_int_equal(world->failure.waited_ms, NO_PROGRESS_MS);
    assert_int_equal(world->failure.attempts, 1);
    assert_true(request_at(world, 0)->cancelled);
}

static void test_ec2_start__does_not_count_our_own_work_as_silence(void **state)
{
    struct world *world = *state;

    world->busy_commit_ms = 60000;
    answer(world, (struct fake_answer){.body_has = "NextToken=t2",
                                       .after_ms = 7000,
                                       .body = PAGE(INSTANCE("i-2"), "")});
    answer(world, (struct fake_answer)ONE_OF_TWO);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-1 i-2 ");
}

static void test_ec2_start__reads_nothing_after_the_deadline(void **state)
{
    struct world *world = *state;

    world->request.deadline_ms = BEGIN_MS + 1000;
    answer(world, (struct fake_answer){
                      .body = PAGE(INSTANCE("i-1") INSTANCE("i-2"), ""),
                      .piece = 150,
                      .after_ms = 200,
                      .gap_ms = 800});
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_DEADLINE);
    assert_int_equal(world->failure.waited_ms, 1000);
    assert_int_equal(world->stats.requests, 1);
    assert_string_equal(world->ids.data, "");
    assert_int_equal(elapsed_ms(world), 1000);
}

static void test_ec2_start__begins_no_page_after_the_deadline(void **state)
{
    struct world *world = *state;

    world->request.deadline_ms = BEGIN_MS + 1000;
    world->busy_commit_ms = 1000;
    answer(world, (struct fake_answer)ONE_OF_TWO);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_DEADLINE);
    assert_int_equal(world->failure.waited_ms, 1000);
    assert_int_equal(world->stats.requests, 1);
    assert_string_equal(world->ids.data, "i-1 ");
}

static void test_ec2_start__begins_nothing_after_the_deadline(void **state)
{
    struct world *world = *state;

    world->request.deadline_ms = BEGIN_MS;
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_DEADLINE);
    assert_int_equal(fake_http_nrequests(world->http), 0);
}

/* --- clocks -------------------------------------------------------------- */

#define AHEAD "Wed, 02 Jan 2030 04:04:05 GMT"
#define BEHIND "Wed, 02 Jan 2030 02:04:05 GMT"
#define NEAR "Wed, 02 Jan 2030 03:05:05 GMT"

static const struct {
    const char *name;
    struct fake_answer refusal;
    const char *date;
    const char *second_stamp; /* "none": no second request */
    enum failure_kind kind;
} CLOCKS[] = {
    {"ahead", REFUSED(401, "AuthFailure"), AHEAD, "20300102T040405Z",
     FAILURE_NONE},
    {"behind", REFUSED(401, "AuthFailure"), BEHIND, "20300102T020405Z",
     FAILURE_NONE},
    {"expired, ahead", REFUSED(400, "RequestExpired"), AHEAD,
     "20300102T040405Z", FAILURE_NONE},
    {"expired, behind", REFUSED(400, "RequestExpired"), BEHIND,
     "20300102T020405Z", FAILURE_NONE},
    {"signature", REFUSED(403, "SignatureDoesNotMatch"), AHEAD,
     "20300102T040405Z", FAILURE_NONE},
    {"too skewed", REFUSED(403, "RequestTimeTooSkewed"), BEHIND,
     "20300102T020405Z", FAILURE_NONE},
    {"near", REFUSED(401, "AuthFailure"), NEAR, "none", FAILURE_AUTH},
    {"expired, near", REFUSED(400, "RequestExpired"), NEAR, "none",
     FAILURE_EXPIRED},
    {"too skewed, near", REFUSED(403, "RequestTimeTooSkewed"), NEAR, "none",
     FAILURE_CLOCK},
    {"other refusal", REFUSED(400, "UnknownParameter"), AHEAD, "none",
     FAILURE_REJECTED},
};

static void test_ec2_start__sets_its_clock_right_and_asks_again(void **state)
{
    for (size_t i = 0; i < COUNT(CLOCKS); i++) {
        const struct http_header date = {"Date", CLOCKS[i].date};
        struct fake_answer refusal = CLOCKS[i].refusal;
        struct world *world;
        const char *stamp = "none";

        assert_int_equal(set_up(state), 0);
        world = *state;
        world->fake.random = 0;
        refusal.headers = &date;
        refusal.nheaders = 1;
        answer(world, refusal);
        answer(world, (struct fake_answer)ONE);
        run(world);
        if (world->stats.requests > 1)
            stamp = fake_request_header(request_at(world, 1), "x-amz-date");
        if (world->failure.kind != CLOCKS[i].kind)
            fail_msg("%s: %s", CLOCKS[i].name,
                     failure_kind_name(world->failure.kind));
        if (!span_eq_str(span_of(stamp), CLOCKS[i].second_stamp))
            fail_msg("%s: second stamp %s", CLOCKS[i].name, stamp);
        (void)tear_down(state);
    }
}

static void test_ec2_start__believes_the_second_refusal(void **state)
{
    static const struct http_header DATE = {"Date", AHEAD};
    struct world *world = *state;

    world->fake.random = 0;
    answer(world, (struct fake_answer){.status = 401,
                                       .body = REFUSAL("AuthFailure"),
                                       .headers = &DATE,
                                       .nheaders = 1,
                                       .times = FAKE_ALWAYS});
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_AUTH);
    assert_int_equal(world->stats.requests, 2);
}

/* Both went out with the wrong stamp; the first answer sets the clock right. */
static void test_ec2_start__cures_all_requests_of_a_region(void **state)
{
    static const struct http_header DATE = {"Date", AHEAD};
    struct world *world = *state;
    struct ec2_listing *second;

    answer(world, (struct fake_answer){.status = 401,
                                       .body = REFUSAL("AuthFailure"),
                                       .headers = &DATE,
                                       .nheaders = 1,
                                       .times = 2});
    answer(world,
           (struct fake_answer){.body = PAGE(INSTANCE("i-1"), ""), .times = 2});
    assert_int_equal(ec2_start(world->client, &world->request, &second, NULL),
                     ERR_OK);
    assert_int_equal(start(world, NULL), ERR_OK);
    while (world->ndone < 2) {
        world->done = false;
        assert_int_equal(http_run(world->http, CLOCK_NEVER, &world->done, NULL),
                         ERR_OK);
    }
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_int_equal(world->stats.requests, 4);
    assert_string_equal(world->ids.data, "i-1 i-1 ");
}

/* --- page tokens that expire --------------------------------------------- */

static void test_ec2_start__starts_once_more_when_its_token_expires(void **s)
{
    struct world *world = *s;

    answer(world,
           (struct fake_answer){.body_has = "NextToken=old",
                                .status = 400,
                                .body = REFUSAL("InvalidPaginationToken")});
    answer(world, (struct fake_answer){.body_has = "NextToken=t2",
                                       .body = PAGE(INSTANCE("i-3"), "")});
    answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-1"), "old")});
    answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-2"), "t2")});
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_string_equal(world->ids.data, "i-2 i-3 ");
    assert_int_equal(world->nrestarts, 1);
    assert_int_equal(world->stats.requests, 4);
    assert_null(strstr(request_at(world, 2)->body, "NextToken"));
    assert_int_equal(elapsed_ms(world), 0);
}

static void test_ec2_start__does_not_start_a_third_time(void **state)
{
    struct world *world = *state;

    answer(world,
           (struct fake_answer){.body_has = "NextToken",
                                .status = 400,
                                .body = REFUSAL("InvalidPaginationToken"),
                                .times = FAKE_ALWAYS});
    answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-1"), "t"),
                                       .times = FAKE_ALWAYS});
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_TOKEN);
    assert_int_equal(world->nrestarts, 1);
    assert_int_equal(world->stats.requests, 4);
}

/* --- the owner's part ---------------------------------------------------- */

static void test_ec2_start__ends_with_what_a_record_is_answered(void **state)
{
    static const struct {
        enum err_code refuse;
        enum failure_kind kind;
    } ROWS[] = {
        {ERR_LIMIT, FAILURE_LIMIT},
        {ERR_NOMEM, FAILURE_NOMEM},
        {ERR_ARG, FAILURE_INTERNAL},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        world->refuse = ROWS[i].refuse;
        answer(world, (struct fake_answer)ONE);
        run(world);
        assert_int_equal(world->failure.kind, ROWS[i].kind);
        assert_string_equal(world->failure.text, "test: refused");
        assert_int_equal(world->stats.requests, 1);
        assert_int_equal(world->stats.pages, 0);
        (void)tear_down(state);
    }
}

static void test_ec2_start__needs_no_callback_but_the_last(void **state)
{
    static const struct ec2_sink NONE;
    struct world *world = *state;

    world->request.sink = &NONE;
    answer(world,
           (struct fake_answer){.body_has = "NextToken=old",
                                .status = 400,
                                .body = REFUSAL("InvalidPaginationToken")});
    answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-1"), "old")});
    answer(world, (struct fake_answer){.status = 500});
    answer(world, (struct fake_answer)ONE);
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_int_equal(world->stats.pages, 2);
}

static void test_ec2_last_failure__tells_what_is_being_waited_for(void **state)
{
    struct world *world = *state;
    const bool never = false;

    answer(world, (struct fake_answer){.after_ms = 100,
                                       .status = 503,
                                       .body = REFUSAL("Throttling")});
    answer(world,
           (struct fake_answer){.after_ms = 100, .body = PAGE("", "t2")});
    answer(world, (struct fake_answer){.hangs = true});
    assert_int_equal(start(world, NULL), ERR_OK);
    assert_int_equal(ec2_last_failure(world->listing)->kind, FAILURE_NONE);
    assert_int_equal(http_run(world->http, BEGIN_MS + 200, &never, NULL),
                     ERR_OK);
    assert_int_equal(ec2_last_failure(world->listing)->kind, FAILURE_THROTTLED);
    assert_int_equal(http_run(world->http, BEGIN_MS + 800, &never, NULL),
                     ERR_OK);
    /* The page came: nothing is wrong any more. */
    assert_int_equal(world->stats.pages, 1);
    assert_int_equal(ec2_last_failure(world->listing)->kind, FAILURE_NONE);
    ec2_cancel(world->listing);
}

/* A page in pieces, a back-off, a silence: cancelled at every millisecond. */
static void test_ec2_cancel__ends_a_listing_in_every_state(void **state)
{
    const bool never = false;

    for (int64_t at = 0; at < 160; at++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        answer(world, (struct fake_answer){.body_has = "NextToken",
                                           .after_ms = 20,
                                           .status = 500});
        answer(world, (struct fake_answer){.body_has = "NextToken",
                                           .body = OPEN INSTANCE("i-2"),
                                           .after_ms = 20,
                                           .hangs = true});
        answer(world, (struct fake_answer){.body = PAGE(INSTANCE("i-1"), "t2"),
                                           .after_ms = 10,
                                           .piece = 50,
                                           .gap_ms = 10});
        assert_int_equal(start(world, NULL), ERR_OK);
        assert_int_equal(http_run(world->http, BEGIN_MS + at, &never, NULL),
                         ERR_OK);
        ec2_cancel(world->listing);
        assert_int_equal(fake_http_in_flight(world->http), 0);
        assert_int_equal(http_run(world->http, BEGIN_MS + 60000, &never, NULL),
                         ERR_OK);
        assert_int_equal(world->ndone, 0);
        assert_true(at < 150 || world->stats.requests == 3);
        (void)tear_down(state);
    }
}

static void test_ec2_cancel__accepts_null(void **state)
{
    (void)state;
    ec2_cancel(NULL);
}

/* --- out of memory ------------------------------------------------------- */

/* True when the n-th allocation was made, and failed. */
static bool run_without_memory(struct world *world, size_t n)
{
    struct err err = {0};
    bool failed;
    enum err_code rc;

    open_world(world);
    buf_reserve(&world->ids, 1000);
    queue(world, RETRIES[COUNT(RETRIES) - 1].answers);
    fail_alloc_at(n);
    rc = start(world, &err);
    if (!rc)
        rc = http_run(world->http, CLOCK_NEVER, &world->done, &err);
    failed = fail_alloc_stop();
    if (rc && (rc != ERR_NOMEM || world->ndone))
        fail_msg("allocation %zu: code %d, %s", n, (int)rc, err.msg);
    if (!rc && world->failure.kind != (failed ? FAILURE_NOMEM : FAILURE_NONE))
        fail_msg("allocation %zu: %s", n,
                 failure_kind_name(world->failure.kind));
    assert_int_equal(fake_http_in_flight(world->http), 0);
    if (!failed)
        assert_string_equal(world->ids.data, "i-1 i-2 ");
    close_world(world);
    return failed;
}

static void test_ec2_start__survives_a_failed_allocation(void **state)
{
    struct world world;
    size_t n = 0;

    (void)state;
    while (run_without_memory(&world, n))
        n++;
    assert_true(n > 20);
}

/* --- a region that could not be reached ---------------------------------- */

/* Asks once and tells how long the failed listing took. */
static int64_t run_ms(struct world *world)
{
    int64_t before_ms = world->fake.mono_ms;

    world->failure = (struct failure){0};
    run(world);
    return world->fake.mono_ms - before_ms;
}

static void never_connects(struct world *world, unsigned times)
{
    answer(world, (struct fake_answer){.failure = HTTP_CONNECT_TIMEOUT,
                                       .times = times});
}

static void test_ec2_start__asks_a_missed_region_once_and_shortly(void **state)
{
    struct world *world = *state;

    never_connects(world, FAKE_ALWAYS);
    assert_int_equal(run_ms(world), NO_PROGRESS_MS);
    assert_int_equal(run_ms(world), EC2_MISSED_CONNECT_MS);
    assert_int_equal(world->failure.kind, FAILURE_CONNECT_TIMEOUT);
    assert_int_equal(world->failure.waited_ms, EC2_MISSED_CONNECT_MS);
    assert_int_equal(world->failure.attempts, 1);
}

static void test_ec2_start__asks_ahead_once_and_shortly(void **state)
{
    struct world *world = *state;

    world->request.ahead_max = 7;
    never_connects(world, 1);
    assert_int_equal(run_ms(world), EC2_AHEAD_CONNECT_MS);
    assert_int_equal(world->failure.kind, FAILURE_CONNECT_TIMEOUT);
    answer(world, (struct fake_answer)REFUSED(503, "RequestLimitExceeded"));
    assert_int_equal(run_ms(world), 0);
    assert_int_equal(world->failure.kind, FAILURE_THROTTLED);
    assert_int_equal(world->failure.attempts, 1);
    assert_non_null(strstr(request_at(world, 1)->body, "MaxResults=7"));
}

static void test_ec2_start__asks_ahead_for_one_page_only(void **state)
{
    struct world *world = *state;

    world->request.ahead_max = 7;
    answer(world, (struct fake_answer)ONE_OF_TWO);
    (void)run_ms(world);
    assert_int_equal(world->failure.kind, FAILURE_LIMIT);
    answer(world, (struct fake_answer)ONE);
    (void)run_ms(world);
    assert_int_equal(world->failure.kind, FAILURE_NONE);
    assert_int_equal(fake_http_nrequests(world->http), 2);
}

static void test_ec2_start__forgets_a_miss_after_a_minute(void **state)
{
    struct world *world = *state;

    never_connects(world, FAKE_ALWAYS);
    (void)run_ms(world);
    fake_clock_advance(&world->fake, EC2_MISSED_MS - 1);
    assert_int_equal(run_ms(world), EC2_MISSED_CONNECT_MS);
    fake_clock_advance(&world->fake, EC2_MISSED_MS);
    assert_int_equal(run_ms(world), NO_PROGRESS_MS);
}

static void test_ec2_start__forgives_a_miss_when_any_answer_comes(void **state)
{
    struct world *world = *state;

    never_connects(world, 3);
    assert_int_equal(run_ms(world), NO_PROGRESS_MS);
    answer(world, (struct fake_answer)REFUSED(403, "UnauthorizedOperation"));
    (void)run_ms(world);
    assert_int_equal(world->failure.kind, FAILURE_DENIED);
    never_connects(world, FAKE_ALWAYS);
    assert_int_equal(run_ms(world), NO_PROGRESS_MS);
}

static void test_ec2_start__notes_how_far_a_region_is(void **state)
{
    struct world *world = *state;

    assert_int_equal(world->request.region->rtt_us, 0);
    answer(world, (struct fake_answer){.rtt_us = 226000, .body = EMPTY});
    (void)run_ms(world);
    assert_int_equal(world->request.region->rtt_us, 226000);
    answer(world, (struct fake_answer){.body = EMPTY});
    (void)run_ms(world);
    assert_int_equal(world->request.region->rtt_us, 226000);
}

/* Starts a listing and ends it after ms, as a sweep does at its deadline. */
static void expire_after(struct world *world, int64_t ms)
{
    int64_t until_ms = world->fake.mono_ms + ms;

    assert_int_equal(start(world, NULL), ERR_OK);
    assert_int_equal(http_run(world->http, until_ms, &world->done, NULL),
                     ERR_OK);
    ec2_expire(world->listing);
    assert_int_equal(fake_http_in_flight(world->http), 0);
}

static void test_ec2_expire__remembers_what_was_not_connected(void **state)
{
    struct world *world = *state;

    never_connects(world, FAKE_ALWAYS);
    expire_after(world, 1000);
    assert_int_equal(run_ms(world), EC2_MISSED_CONNECT_MS);
}

static void test_ec2_expire__forgives_what_was_only_slow(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer){.hangs = true});
    expire_after(world, 1000);
    assert_int_equal(world->request.region->missed_ms, INT64_MIN);
    /* It stands, be it at the second attempt. */
    answer(world, (struct fake_answer){.failure = HTTP_CONNECT});
    answer(world, (struct fake_answer){.hangs = true});
    expire_after(world, 1000);
    assert_int_equal(world->request.region->missed_ms, INT64_MIN);
}

/* --- whether the credentials are known to be good ------------------------- */

static void test_ec2_start__proves_credentials_by_what_ec2_says(void **state)
{
    const struct {
        const char *name;
        struct fake_answer answer;
        bool proven;
    } rows[] = {
        {"a page", ONE, true},
        {"no permission", REFUSED(403, "UnauthorizedOperation"), true},
        {"rejected credentials", REFUSED(401, "AuthFailure"), false},
        {"an unreadable page", {.body = "<html/>", .times = 10}, false},
        {"nobody there", {.failure = HTTP_CONNECT, .times = 10}, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world world;

        open_world(&world);
        answer(&world, rows[i].answer);
        run(&world);
        if (aws_client_is_proven(world.client) != rows[i].proven)
            fail_msg("%s", rows[i].name);
        close_world(&world);
    }
}

static void test_ec2_start__doubts_credentials_that_were_revoked(void **state)
{
    struct world *world = *state;

    answer(world, (struct fake_answer)ONE);
    run(world);
    assert_true(aws_client_is_proven(world->client));
    answer(world, (struct fake_answer)REFUSED(401, "AuthFailure"));
    run(world);
    assert_int_equal(world->failure.kind, FAILURE_AUTH);
    assert_false(aws_client_is_proven(world->client));
}

static const struct CMUnitTest TESTS[] = {
    cmocka_unit_test(test_ec2_start__follows_the_pages_to_their_end),
    cmocka_unit_test_setup_teardown(test_ec2_start__tells_what_is_there_now,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__learns_anew_after_a_refusal,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__knows_each_action_s_answer,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__bounds_the_number_of_pages,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__stops_when_no_further_page_is_wanted, set_up,
        tear_down),
    cmocka_unit_test(test_ec2_start__asks_in_ec2s_words),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__asks_for_managed_instances_on_each_page, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__asks_other_actions_as_ever,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__does_without_an_unknown_parameter, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__does_without_it_in_each_listing_under_way, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__ends_when_another_parameter_is_unknown, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__repeats_filter_and_size_on_each_page, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__sends_a_signed_post_that_asks_for_gzip, set_up,
        tear_down),
    cmocka_unit_test(test_ec2_start__looks_for_ipv6_where_it_may_be),
    cmocka_unit_test_setup_teardown(test_ec2_start__signs_each_attempt_anew,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__refuses_a_filter_of_the_wrong_size, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__needs_credentials, set_up,
                                    tear_down),
    cmocka_unit_test(test_ec2_start__asks_again_for_what_may_pass),
    cmocka_unit_test(test_ec2_start__does_not_repeat_what_will_not_pass),
    cmocka_unit_test_setup_teardown(test_ec2_start__tells_what_ec2_said, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__tells_what_the_library_said,
                                    set_up, tear_down),
    cmocka_unit_test(test_ec2_start__gives_up_after_the_attempts_allowed),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__tells_how_long_a_connection_was_tried, set_up,
        tear_down),
    cmocka_unit_test(test_ec2_start__heeds_x_amz_retry_after),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__spends_and_refills_the_regions_quota, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__does_not_retry_on_an_empty_quota, set_up, tear_down),
    cmocka_unit_test(test_ec2_start__does_not_wait_for_ever_on_refusals),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__goes_on_after_refusals_and_progress, set_up, tear_down),
    cmocka_unit_test(test_ec2_start__gives_up_rather_than_wait_too_long),
    cmocka_unit_test(test_ec2_start__gives_up_a_region_without_progress),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__tells_how_long_it_was_silent, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__does_not_count_our_own_work_as_silence, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__reads_nothing_after_the_deadline, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__begins_no_page_after_the_deadline, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__begins_nothing_after_the_deadline, set_up, tear_down),
    cmocka_unit_test(test_ec2_start__sets_its_clock_right_and_asks_again),
    cmocka_unit_test_setup_teardown(test_ec2_start__believes_the_second_refusal,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__cures_all_requests_of_a_region, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__starts_once_more_when_its_token_expires, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__does_not_start_a_third_time,
                                    set_up, tear_down),
    cmocka_unit_test(test_ec2_start__ends_with_what_a_record_is_answered),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__needs_no_callback_but_the_last, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_last_failure__tells_what_is_being_waited_for, set_up,
        tear_down),
    cmocka_unit_test(test_ec2_cancel__ends_a_listing_in_every_state),
    cmocka_unit_test(test_ec2_cancel__accepts_null),
    cmocka_unit_test(test_ec2_start__survives_a_failed_allocation),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__asks_a_missed_region_once_and_shortly, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__asks_ahead_once_and_shortly,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__asks_ahead_for_one_page_only, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__forgets_a_miss_after_a_minute, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__forgives_a_miss_when_any_answer_comes, set_up,
        tear_down),
    cmocka_unit_test_setup_teardown(test_ec2_start__notes_how_far_a_region_is,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_expire__remembers_what_was_not_connected, set_up, tear_down),
    cmocka_unit_test_setup_teardown(
        test_ec2_expire__forgives_what_was_only_slow, set_up, tear_down),
    cmocka_unit_test(test_ec2_start__proves_credentials_by_what_ec2_says),
    cmocka_unit_test_setup_teardown(
        test_ec2_start__doubts_credentials_that_were_revoked, set_up,
        tear_down),
};

int main(void)
{
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
