#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/event.h"
#include "lambda/handler.h"
#include "support/fail_alloc.h"
#include "support/stage.h"

#define HOME "us-east-1"
#define TIME_MS 30000
#define MARGIN_MS 500
#define MINUTE_MS ((int64_t)60 * 1000)

#define COUNT "/count/{regions}"
#define OWNER "/check-without-owner/{regions}"
#define EXPOSURE "/check-open-permission/{regions}"

#define TWO_INSTANCES                                                          \
    XML_INSTANCES(XML_INSTANCE("i-2", "")                                      \
                      XML_INSTANCE("i-1", XML_GROUP_REF("sg-1")))
#define COUNTED(region)                                                        \
    "{\"region\":\"" region "\",\"totalInstances\":2,\"runningInstances\":2}"
#define FAILED(region, error)                                                  \
    "{\"region\":\"" region "\",\"error\":\"" error "\"}"
#define DENIED_ERROR                                                           \
    "UnauthorizedOperation: access denied, possibly by a service control "     \
    "policy"

/* A handler, what it works on, and its last answer. */
struct theatre {
    struct stage stage;
    struct atlas *atlas;
    struct handler handler;
    struct buf out;
    struct err err;
};

static void theatre_init(struct theatre *t, const char *regions)
{
    struct atlas_options options = {
        .home_region = HOME,
        .configured = regions,
    };

    *t = (struct theatre){.out = BUF_INIT(EVENT_SIZE_MAX)};
    stage_init(&t->stage);
    options.client = t->stage.client;
    assert_int_equal(atlas_new(&options, &t->atlas, NULL), ERR_OK);
    t->handler = (struct handler){
        .client = t->stage.client,
        .atlas = t->atlas,
        .answer_margin_ms = MARGIN_MS,
        .limits = {.pending_max = 1 << 20, .rows_max = 1 << 20},
        .answer_max = EVENT_SIZE_MAX,
    };
}

static void theatre_release(struct theatre *t)
{
    atlas_free(t->atlas);
    buf_release(&t->out);
    stage_release(&t->stage);
}

static struct handler_event event_at(const char *json, int64_t deadline_ms)
{
    return (struct handler_event){
        .source.json = span_of(json),
        .request_id = SPAN_LIT("req-1"),
        .function_arn = SPAN_LIT("arn:aws:lambda:us-east-1:123456789012:"
                                 "function:ec2sweep:live"),
        .deadline_ms = deadline_ms,
    };
}

static enum err_code answer_event(struct theatre *t,
                                  const struct handler_event *event)
{
    enum err_code rc;

    t->err = (struct err){0};
    rc = handler_answer(&t->handler, event, &t->out, &t->err);
    assert_int_equal(fake_http_in_flight(t->stage.http), 0);
    return rc;
}

/* Has an event answered; nothing may be in flight after it. */
static enum err_code answer_text(struct theatre *t, const char *event)
{
    struct handler_event whole =
        event_at(event, t->stage.fake.mono_ms + TIME_MS);

    return answer_event(t, &whole);
}

/* The same from a gateway: its tool's name, and the arguments. */
static enum err_code call_tool(struct theatre *t, const char *tool,
                               const char *arguments)
{
    struct handler_event whole =
        event_at(arguments, t->stage.fake.mono_ms + TIME_MS);
    char context[256];

    (void)snprintf(context, sizeof(context),
                   "{\"custom\":{\"bedrockAgentCoreToolName\":\"%s\"}}", tool);
    whole.source.client_context = span_of(context);
    return answer_event(t, &whole);
}

/* Asks a question by its path and list of regions (NULL: no parameter). */
static void ask(struct theatre *t, const char *path, const char *regions)
{
    char event[1024];
    int len =
        regions ? snprintf(event, sizeof(event),
                           "{\"actionGroup\":\"g\",\"apiPath\":\"%s\","
                           "\"parameters\":[{\"name\":\"regions\",\"type\":"
                           "\"string\",\"value\":\"%s\"}]}",
                           path, regions)
                : snprintf(event, sizeof(event),
                           "{\"actionGroup\":\"g\",\"apiPath\":\"%s\"}", path);

    assert_in_range(len, 1, sizeof(event) - 1);
    if (answer_text(t, event))
        fail_msg("handler_answer: %s", t->err.msg);
}

/* The answer's status, and its body, which the caller frees. */
static int read_answer(const struct theatre *t, char **body)
{
    json_t *answer = json_loadb(t->out.data, t->out.len, 0, NULL);
    const json_t *response = json_object_get(answer, "response");
    const json_t *json = json_object_get(
        json_object_get(response, "responseBody"), "application/json");
    const char *text = json_string_value(json_object_get(json, "body"));
    int status =
        (int)json_integer_value(json_object_get(response, "httpStatusCode"));

    if (!text)
        fail_msg("no answer: %s", t->out.data);
    *body = strdup(text);
    json_decref(answer);
    return status;
}

static void assert_answer(const struct theatre *t, int status, const char *body)
{
    char *text = NULL;
    int got = read_answer(t, &text);

    assert_string_equal(text, body);
    assert_int_equal(got, status);
    free(text);
}

static void answer_always(struct theatre *t, const char *region,
                          const char *body_has, const char *body)
{
    stage_answer(&t->stage, region,
                 (struct fake_answer){.body_has = body_has,
                                      .times = FAKE_ALWAYS,
                                      .after_ms = 10,
                                      .body = body});
}

static void deny_always(struct theatre *t, const char *region)
{
    stage_answer(
        &t->stage, region,
        (struct fake_answer){.times = FAKE_ALWAYS,
                             .status = 403,
                             .body = XML_ERROR("UnauthorizedOperation",
                                               "arn:aws:iam::1:user/x")});
}

static size_t count_refreshes(const struct theatre *t)
{
    return stage_nrequests(&t->stage, HOME, "Action=DescribeRegions&");
}

static void test_handler_answer__puts_the_answer_into_the_envelope(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    answer_always(&t, "eu-west-1", NULL, TWO_INSTANCES);
    buf_add_str(&t.out, "left over");
    assert_int_equal(
        answer_text(&t, "{\"actionGroup\":\"g\",\"apiPath\":\"" COUNT "\","
                        "\"httpMethod\":\"GET\",\"parameters\":[{\"name\":"
                        "\"regions\",\"value\":\"us-east-1, EU-west-1\"}],"
                        "\"sessionAttributes\":{\"k\":\"v\"}}"),
        ERR_OK);
    /* By hand, from the user guide: "Lambda response event to Amazon Bedrock
     * (OpenAPI schema)". */
    assert_string_equal(
        t.out.data,
        "{\"messageVersion\":\"1.0\",\"response\":{\"actionGroup\":\"g\","
        "\"apiPath\":\"/count/{regions}\",\"httpMethod\":\"GET\","
        "\"httpStatusCode\":200,\"responseBody\":{\"application/json\":"
        "{\"body\":\"["
        "{\\\"region\\\":\\\"us-east-1\\\",\\\"totalInstances\\\":2,"
        "\\\"runningInstances\\\":2},"
        "{\\\"region\\\":\\\"eu-west-1\\\",\\\"totalInstances\\\":2,"
        "\\\"runningInstances\\\":2}]\"}}},"
        "\"sessionAttributes\":{\"k\":\"v\"}}");
    theatre_release(&t);
}

static void test_handler_answer__gives_a_value_when_raw_is_wanted(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    t.handler.raw_body = true;
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    ask(&t, COUNT, "all");
    assert_non_null(
        strstr(t.out.data, "{\"body\":[" COUNTED("us-east-1") "]}"));
    ask(&t, "/none", "all");
    assert_non_null(strstr(t.out.data, "{\"body\":{\"error\":\"api path"));
    theatre_release(&t);
}

static void test_handler_answer__answers_each_question(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    answer_always(&t, "us-east-1", "DescribeInstances", TWO_INSTANCES);
    answer_always(&t, "us-east-1", "DescribeSecurityGroups",
                  XML_GROUPS(XML_GROUP("sg-1", "0.0.0.0/0")));
    ask(&t, COUNT, "us-east-1");
    assert_answer(&t, 200, "[" COUNTED("us-east-1") "]");
    ask(&t, OWNER, "us-east-1");
    assert_answer(&t, 200,
                  "[{\"region\":\"us-east-1\",\"instanceId\":\"i-1\","
                  "\"instanceName\":\"\",\"state\":\"running\"},"
                  "{\"region\":\"us-east-1\",\"instanceId\":\"i-2\","
                  "\"instanceName\":\"\",\"state\":\"running\"}]");
    ask(&t, EXPOSURE, "us-east-1");
    assert_answer(&t, 200,
                  "[{\"region\":\"us-east-1\",\"instanceId\":\"i-1\","
                  "\"instanceName\":\"\",\"state\":\"running\","
                  "\"publicIp\":\"\",\"ipv6\":\"\",\"permissions\":[{"
                  "\"ipProtocol\":\"tcp\",\"fromPort\":22,"
                  "\"toPort\":22,\"allowFrom\":\"g\",\"groupId\":\"sg-1\","
                  "\"cidr\":\"0.0.0.0/0\",\"ports\":\"22\"}]}]");
    theatre_release(&t);
}

static void test_handler_answer__takes_no_region_for_every_one(void **state)
{
    static const char *const lists[] = {NULL, "", " ,, ", "ALL",
                                        "us-east-1,all,nonsense"};
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-west-2,af-south-1,eu-west-1");
    answer_always(&t, "us-west-2", NULL, TWO_INSTANCES);
    answer_always(&t, "af-south-1", NULL, TWO_INSTANCES);
    answer_always(&t, "eu-west-1", NULL, TWO_INSTANCES);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        ask(&t, COUNT, lists[i]);
        assert_answer(&t, 200,
                      "[" COUNTED("af-south-1") "," COUNTED(
                          "eu-west-1") "," COUNTED("us-west-2") "]");
    }
    theatre_release(&t);
}

static void test_handler_answer__refuses_an_unknown_path(void **state)
{
#define THERE_ARE                                                              \
    "\\\" not supported; there are " COUNT ", " OWNER ", " EXPOSURE            \
    ", /summary/{regions}, /find/{regions}\"}"
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    stage_have_credentials(false);
    ask(&t, "/delete/{regions}", "all");
    assert_answer(&t, 404,
                  "{\"error\":\"api path \\\"/delete/{regions}" THERE_ARE);
    assert_int_equal(answer_text(&t, "{\"actionGroup\":\"g\"}"), ERR_OK);
    assert_answer(&t, 404, "{\"error\":\"api path \\\"" THERE_ARE);
    ask(&t, "/\\\"\\\\\\u00fc", "all");
    assert_answer(&t, 404,
                  "{\"error\":\"api path \\\"/\\\"\\\\\xC3\xBC" THERE_ARE);
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    theatre_release(&t);
#undef THERE_ARE
}

static void test_handler_answer__refuses_a_path_of_any_length(void **state)
{
    char path[3 * EVENT_NAME_MAX];
    char *event = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&event, &len);
    struct theatre t;
    char *body = NULL;

    (void)state;
    theatre_init(&t, NULL);
    memset(path, '"', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    (void)fputs("{\"actionGroup\":\"g\",\"apiPath\":\"", out);
    for (const char *p = path; *p; p++)
        (void)fprintf(out, "\\%c", *p);
    (void)fputs("\"}", out);
    (void)fclose(out);
    assert_int_equal(answer_text(&t, event), ERR_OK);
    assert_int_equal(read_answer(&t, &body), 404);
    free(body);
    free(event);
    theatre_release(&t);
}

static void test_handler_answer__has_no_envelope_for_other_events(void **state)
{
    static const char *const events[] = {"",
                                         "nonsense",
                                         "[]",
                                         "{}",
                                         "{\"apiPath\":\"" COUNT "\"}",
                                         "{\"actionGroup\":1}"};
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        assert_int_equal(answer_text(&t, events[i]), ERR_PARSE);
        assert_true(t.err.msg[0]);
        assert_int_equal(t.out.len, 0);
    }
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    theatre_release(&t);
}

static void
test_handler_answer__is_400_when_no_valid_region_is_left(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    ask(&t, OWNER, "us-east-2,evil.example");
    assert_answer(
        &t, 400,
        "[" FAILED("us-east-2",
                   "not among the regions this function may ask; "
                   "nearest: us-east-1") "," FAILED("evil.example",
                                                    "not a region name") "]");
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    theatre_release(&t);
}

static void test_handler_answer__is_400_for_too_many_regions(void **state)
{
    char *event = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&event, &len);
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    (void)fputs("{\"actionGroup\":\"g\",\"apiPath\":\"" COUNT
                "\",\"parameters\":[{\"name\":\"regions\",\"value\":\"",
                out);
    for (int i = 0; i < 257; i++)
        (void)fprintf(out, "a-a-%d,", i);
    (void)fputs("\"}]}", out);
    (void)fclose(out);
    assert_int_equal(answer_text(&t, event), ERR_OK);
    assert_answer(&t, 400,
                  "[{\"error\":\"more than 256 regions in the list; use "
                  "\\\"all\\\"\"}]");
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    free(event);
    theatre_release(&t);
}

static void test_handler_answer__names_what_failed_beside_the_rest(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    deny_always(&t, "eu-west-1");
    ask(&t, COUNT, "xx,eu-west-1,us-east-1");
    assert_answer(&t, 200,
                  "[" FAILED("xx", "not a region name") "," FAILED(
                      "eu-west-1", DENIED_ERROR) "," COUNTED("us-east-1") "]");
    assert_null(strstr(t.out.data, "arn:"));
    assert_non_null(strstr(stage_log(&t.stage), "arn:"));
    theatre_release(&t);
}

static void test_handler_answer__is_502_when_all_fail(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    deny_always(&t, "us-east-1");
    deny_always(&t, "eu-west-1");
    ask(&t, OWNER, "all");
    assert_answer(&t, 502,
                  "[" FAILED("eu-west-1", DENIED_ERROR) "," FAILED(
                      "us-east-1", DENIED_ERROR) "]");
    ask(&t, OWNER, "us-east-1,xx");
    assert_answer(&t, 502,
                  "[" FAILED("us-east-1", DENIED_ERROR) "," FAILED(
                      "xx", "not a region name") "]");
    theatre_release(&t);
}

static void test_handler_answer__is_500_without_credentials(void **state)
{
    struct theatre t;
    char *body = NULL;

    (void)state;
    theatre_init(&t, "us-east-1");
    stage_have_credentials(false);
    ask(&t, COUNT, "all");
    assert_int_equal(read_answer(&t, &body), 500);
    assert_ptr_equal(strstr(body, "{\"error\":\""), body);
    assert_non_null(strstr(body, "AWS_ACCESS_KEY_ID"));
    assert_non_null(strstr(body, "AWS_SECRET_ACCESS_KEY"));
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    free(body);

    /* They are looked for anew each time. */
    stage_have_credentials(true);
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    ask(&t, COUNT, "all");
    assert_answer(&t, 200, "[" COUNTED("us-east-1") "]");
    theatre_release(&t);
}

/* Answers for an account with a region that this program has not heard of. */
static void open_new_region(struct theatre *t)
{
    answer_always(t, HOME, "DescribeRegions",
                  XML_REGIONS(XML_REGION("us-east-1", "opted-in")
                                  XML_REGION("xx-new-1", "opted-in")));
    answer_always(t, HOME, NULL, TWO_INSTANCES);
    answer_always(t, "xx-new-1", NULL, TWO_INSTANCES);
}

static void
test_handler_answer__asks_for_the_list_when_a_name_is_new(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    open_new_region(&t);
    ask(&t, COUNT, "xx-new-1");
    assert_answer(&t, 200, "[" COUNTED("xx-new-1") "]");
    assert_int_equal(count_refreshes(&t), 1);
    /* From now on the account's list is what "all" means. */
    ask(&t, COUNT, "all");
    assert_answer(&t, 200,
                  "[" COUNTED("us-east-1") "," COUNTED("xx-new-1") "]");
    assert_int_equal(count_refreshes(&t), 1);
    theatre_release(&t);
}

static void
test_handler_answer__asks_for_the_list_for_a_new_pattern(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    open_new_region(&t);
    ask(&t, COUNT, "xx-*");
    assert_answer(&t, 200, "[" COUNTED("xx-new-1") "]");
    assert_int_equal(count_refreshes(&t), 1);
    theatre_release(&t);
}

static void test_handler_answer__asks_for_the_list_once_a_minute(void **state)
{
#define UNKNOWN                                                                \
    FAILED("us-east-2", "unknown, or not enabled in this account; nearest: "   \
                        "us-east-1")
    struct theatre t;
    int64_t asked;

    (void)state;
    theatre_init(&t, NULL);
    open_new_region(&t);
    asked = t.stage.fake.mono_ms;
    ask(&t, COUNT, "zz-none-1,us-east-1");
    for (int i = 0; i < 5; i++) {
        ask(&t, COUNT, "us-east-2,us-east-1");
        assert_answer(&t, 200, "[" UNKNOWN "," COUNTED("us-east-1") "]");
    }
    assert_int_equal(count_refreshes(&t), 1);
    fake_clock_advance(&t.stage.fake, asked + MINUTE_MS - t.stage.fake.mono_ms);
    ask(&t, COUNT, "us-east-2");
    assert_answer(&t, 400, "[" UNKNOWN "]");
    assert_int_equal(count_refreshes(&t), 1);
    fake_clock_advance(&t.stage.fake, 1);
    ask(&t, COUNT, "us-east-2");
    assert_int_equal(count_refreshes(&t), 2);
    theatre_release(&t);
#undef UNKNOWN
}

static void
test_handler_answer__asks_for_no_list_for_a_name_that_is_none(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    ask(&t, COUNT, "us-east-1.evil.example,nonsense,us_east_1");
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    /* Nor is the minute of a name that may be new used up. */
    open_new_region(&t);
    ask(&t, COUNT, "xx-new-1");
    assert_answer(&t, 200, "[" COUNTED("xx-new-1") "]");
    theatre_release(&t);
}

static void test_handler_answer__counts_refused_lists_as_asked(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    deny_always(&t, HOME);
    for (int i = 0; i < 3; i++) {
        ask(&t, COUNT, "us-east-12");
        assert_answer(
            &t, 400,
            "[" FAILED("us-east-12",
                       "unknown region; nearest: us-east-1, us-east-2, "
                       "ap-east-1") "]");
    }
    assert_int_equal(fake_http_nrequests(t.stage.http), 1);
    theatre_release(&t);
}

static void
test_handler_answer__waits_so_long_for_a_list_and_no_longer(void **state)
{
    static const struct {
        int64_t time_ms;
        int64_t list_wait_ms;
        int64_t waited_ms;
    } cases[] = {
        {30000, 0, 2000},
        {30000, 7000, 7000},
        {3000, 0, (3000 - MARGIN_MS) / 2},
        {3000, 7000, (3000 - MARGIN_MS) / 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct theatre t;
        struct handler_event event;
        int64_t began;

        theatre_init(&t, NULL);
        began = t.stage.fake.mono_ms;
        t.handler.list_wait_ms = cases[i].list_wait_ms;
        stage_answer(&t.stage, HOME, (struct fake_answer){.hangs = true});
        event = event_at("{\"actionGroup\":\"g\",\"apiPath\":\"" COUNT
                         "\",\"parameters\":[{\"name\":\"regions\","
                         "\"value\":\"xx-new-1\"}]}",
                         began + cases[i].time_ms);
        assert_int_equal(answer_event(&t, &event), ERR_OK);
        assert_int_equal(t.stage.fake.mono_ms - began, cases[i].waited_ms);
        assert_answer(&t, 400, "[" FAILED("xx-new-1", "unknown region") "]");
        theatre_release(&t);
    }
}

static void
test_handler_answer__renews_an_old_list_beside_the_question(void **state)
{
    struct theatre t;
    size_t n;

    (void)state;
    theatre_init(&t, NULL);
    open_new_region(&t);
    ask(&t, COUNT, "xx-new-1");
    fake_clock_advance(&t.stage.fake, ATLAS_MAX_AGE_MS - 100);
    ask(&t, COUNT, "us-east-1");
    assert_int_equal(count_refreshes(&t), 1);

    fake_clock_advance(&t.stage.fake, 100);
    n = fake_http_nrequests(t.stage.http);
    ask(&t, COUNT, "us-east-1");
    assert_answer(&t, 200, "[" COUNTED("us-east-1") "]");
    assert_int_equal(count_refreshes(&t), 2);
    assert_int_equal(fake_http_nrequests(t.stage.http), n + 2);
    assert_int_equal(fake_http_request(t.stage.http, n)->started_ms,
                     fake_http_request(t.stage.http, n + 1)->started_ms);
    assert_false(atlas_is_older_than(t.atlas, MINUTE_MS));
    ask(&t, COUNT, "us-east-1");
    assert_int_equal(count_refreshes(&t), 2);
    theatre_release(&t);
}

static void
test_handler_answer__waits_for_no_list_that_only_grew_old(void **state)
{
    struct theatre t;
    int64_t began;

    (void)state;
    theatre_init(&t, NULL);
    stage_answer(&t.stage, HOME,
                 (struct fake_answer){
                     .body_has = "DescribeRegions",
                     .body = XML_REGIONS(XML_REGION(HOME, "opted-in"))});
    stage_answer(
        &t.stage, HOME,
        (struct fake_answer){.body_has = "DescribeRegions", .hangs = true});
    answer_always(&t, HOME, "DescribeInstances", TWO_INSTANCES);
    ask(&t, COUNT, "us-east-1");
    assert_int_equal(count_refreshes(&t), 1);
    fake_clock_advance(&t.stage.fake, ATLAS_MAX_AGE_MS);
    began = t.stage.fake.mono_ms;
    ask(&t, COUNT, "us-east-1");
    assert_answer(&t, 200, "[" COUNTED("us-east-1") "]");
    assert_int_equal(count_refreshes(&t), 2);
    assert_int_equal(t.stage.fake.mono_ms - began, 10);
    theatre_release(&t);
}

/* Which regions "all" are is not known before that. */
static void test_handler_answer__asks_for_the_list_first_of_all(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    stage_answer(&t.stage, HOME,
                 (struct fake_answer){
                     .body_has = "DescribeRegions",
                     .after_ms = 10,
                     .body = XML_REGIONS(XML_REGION(HOME, "opted-in"))});
    answer_always(&t, HOME, "DescribeInstances", TWO_INSTANCES);
    ask(&t, COUNT, "all");
    assert_answer(&t, 200, "[" COUNTED("us-east-1") "]");
    ask(&t, COUNT, "all");
    assert_int_equal(count_refreshes(&t), 1);
    theatre_release(&t);
}

static void
test_handler_answer__keeps_the_margin_before_the_deadline(void **state)
{
    static const int64_t times[] = {3000, 501, 500, 100, 0};

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int64_t left = times[i] > MARGIN_MS ? times[i] - MARGIN_MS : 0;
        struct theatre t;
        struct handler_event event;
        int64_t began;
        char *body = NULL;

        theatre_init(&t, "us-east-1,eu-west-1");
        began = t.stage.fake.mono_ms;
        stage_answer(&t.stage, "us-east-1",
                     (struct fake_answer){.hangs = true});
        answer_always(&t, "eu-west-1", NULL, TWO_INSTANCES);
        event = event_at("{\"actionGroup\":\"g\",\"apiPath\":\"" COUNT "\"}",
                         began + times[i]);
        assert_int_equal(answer_event(&t, &event), ERR_OK);
        assert_int_equal(t.stage.fake.mono_ms - began, left);
        assert_int_equal(read_answer(&t, &body), left > 10 ? 200 : 502);
        if (!strstr(body, "\"us-east-1\",\"error\":\"no answer in "))
            fail_msg("%d ms: %s", (int)times[i], body);
        free(body);
        theatre_release(&t);
    }
}

/* Two rows of 29 bytes have room for themselves, not for a type and a launch
 * time, of which only the other form tells. */
static void test_handler_answer__keeps_what_the_array_tells(void **state)
{
    struct theatre t;
    char *body = NULL;

    (void)state;
    theatre_init(&t, "us-east-1");
    t.handler.limits.rows_max = 2 * 29;
    answer_always(
        &t, "us-east-1", NULL,
        XML_INSTANCES(XML_INSTANCE("i-1", "") XML_INSTANCE("i-2", "")));
    ask(&t, OWNER, "all");
    assert_int_equal(read_answer(&t, &body), 200);
    assert_non_null(strstr(body, "i-2"));
    assert_null(strstr(body, "omitted"));
    free(body);
    t.handler.always_object = true;
    ask(&t, OWNER, "all");
    assert_int_equal(read_answer(&t, &body), 200);
    assert_non_null(strstr(body, "\"total\":2,\"shown\":1,"));
    assert_non_null(strstr(body, "\"instanceType\":\"\""));
    free(body);
    theatre_release(&t);
}

static void
test_handler_answer__cuts_what_is_longer_than_an_answer_may_be(void **state)
{
    struct theatre t;
    char *body = NULL;
    json_t *array;
    json_int_t shown = 0;

    (void)state;
    theatre_init(&t, "us-east-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    for (size_t max = 470; max < 600; max++) {
        const json_t *omitted;

        t.handler.answer_max = max;
        ask(&t, OWNER, "all");
        assert_true(t.out.len <= max);
        assert_int_equal(read_answer(&t, &body), 200);
        array = json_loads(body, 0, NULL);
        omitted = json_object_get(
            json_array_get(array, json_array_size(array) - 1), "omitted");
        if (omitted)
            shown = json_integer_value(json_object_get(omitted, "shown"));
        assert_int_equal(json_array_size(array),
                         omitted ? (size_t)shown + 1 : 2);
        json_decref(array);
        free(body);
    }
    assert_int_equal(shown, 1);
    /* Not even the envelope: it takes some 190 bytes. */
    t.handler.answer_max = 100;
    assert_int_equal(
        answer_text(&t, "{\"actionGroup\":\"g\",\"apiPath\":\"" OWNER "\"}"),
        ERR_LIMIT);
    assert_string_equal(t.err.msg, "handler: the answer passes 100 bytes");
    theatre_release(&t);
}

/* A number of the log's summary. */
static long logged(struct theatre *t, const char *key)
{
    const char *line = strstr(stage_log(&t->stage), "\"answered\"");
    json_t *object;
    long value;

    assert_non_null(line);
    while (line > t->stage.log_text && line[-1] != '\n')
        line--;
    object = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
    assert_true(json_is_integer(json_object_get(object, key)));
    value = (long)json_integer_value(json_object_get(object, key));
    json_decref(object);
    return value;
}

static void test_handler_answer__writes_one_line_of_summary(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    stage_answer(
        &t.stage, "us-east-1",
        (struct fake_answer){.status = 500,
                             .body = XML_ERROR("InternalError", "once")});
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    deny_always(&t, "eu-west-1");
    ask(&t, OWNER, "us-east-1,eu-west-1,nonsense");
    assert_non_null(
        strstr(stage_log(&t.stage), "\"question\":\"instances_without_tag\""));
    assert_int_equal(logged(&t, "status"), 200);
    assert_int_equal(logged(&t, "regionsAsked"), 3);
    assert_int_equal(logged(&t, "regionsFailed"), 2);
    assert_int_equal(logged(&t, "requests"), 3);
    assert_int_equal(logged(&t, "retries"), 1);
    assert_int_equal(logged(&t, "pages"), 1);
    assert_int_equal(logged(&t, "instances"), 2);
    assert_int_equal(logged(&t, "rows"), 2);
    assert_int_equal(logged(&t, "ms"), 10);
    assert_int_equal(logged(&t, "bytes"), (long)t.out.len);
    assert_null(strstr(stage_log(&t.stage), "not-a-real-secret"));
    assert_null(strstr(stage_log(&t.stage), "\"response\""));
    assert_null(strstr(stage_log(&t.stage), "_aws"));
    theatre_release(&t);
}

static void test_handler_answer__logs_the_response_when_debugging(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    t.handler.debug = true;
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    ask(&t, COUNT, "all");
    assert_non_null(
        strstr(stage_log(&t.stage), "\"response\":\"{\\\"messageVersion\\\""));
    assert_non_null(strstr(stage_log(&t.stage), "\"requests\":1,"
                                                "\"connections\":1,"));
    theatre_release(&t);
}

static void
test_handler_answer__reprompts_a_function_for_a_mistake(void **state)
{
#define FUNCTION(parameters)                                                   \
    "{\"actionGroup\":\"g\",\"function\":\"exposed_instances\","               \
    "\"parameters\":[" parameters "]}"
#define PARAMETER(name, value)                                                 \
    "{\"name\":\"" name "\",\"type\":\"string\",\"value\":\"" value "\"}"
#define REPROMPTED(error)                                                      \
    "{\"messageVersion\":\"1.0\",\"response\":{\"actionGroup\":\"g\","         \
    "\"function\":\"exposed_instances\",\"functionResponse\":{"                \
    "\"responseState\":\"REPROMPT\",\"responseBody\":{\"TEXT\":{\"body\":"     \
    "\"{\\\"error\\\":\\\"" error "\\\","
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    assert_int_equal(answer_text(&t, FUNCTION(PARAMETER("port", "ssh"))),
                     ERR_OK);
    assert_ptr_equal(strstr(t.out.data, REPROMPTED("port: \\\\\\\"ssh\\\\\\\" "
                                                   "is no port; use one from 0 "
                                                   "to 65535 such as 22, a "
                                                   "range such as 8000-8080, "
                                                   "either with /tcp or /udp "
                                                   "behind it, or tcp, udp, "
                                                   "icmp or icmpv6")),
                     t.out.data);
    assert_int_equal(answer_text(&t, FUNCTION(PARAMETER("region", "mars"))),
                     ERR_OK);
    assert_ptr_equal(
        strstr(t.out.data, REPROMPTED("region: exposed_instances takes no "
                                      "such parameter; it takes regions, "
                                      "states, port, after")),
        t.out.data);
    assert_non_null(strstr(t.out.data, "\\\"retryable\\\":false}"));
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    theatre_release(&t);
}

static void test_handler_answer__never_fails_a_function(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    deny_always(&t, "us-east-1");
    assert_int_equal(answer_text(&t, FUNCTION(PARAMETER("regions", "all"))),
                     ERR_OK);
    assert_non_null(strstr(t.out.data, "\"functionResponse\":{\"responseBody\":"
                                       "{\"TEXT\":{\"body\":"));
    assert_non_null(strstr(t.out.data, "UnauthorizedOperation"));
    stage_have_credentials(false);
    assert_int_equal(answer_text(&t, FUNCTION("")), ERR_OK);
    assert_non_null(strstr(t.out.data, "\"functionResponse\":{\"responseBody\":"
                                       "{\"TEXT\":{\"body\":"));
    assert_non_null(strstr(t.out.data, "AWS_ACCESS_KEY_ID"));
    theatre_release(&t);
#undef FUNCTION
#undef PARAMETER
#undef REPROMPTED
}

/* Checks the refusal that is the whole answer. */
static void assert_refusal(const struct theatre *t, const char *error,
                           const char *hint, bool is_retryable)
{
    json_t *answer = json_loadb(t->out.data, t->out.len, 0, NULL);

    assert_non_null(answer);
    assert_int_equal(json_object_size(answer), 3);
    assert_string_equal(json_string_value(json_object_get(answer, "error")),
                        error);
    assert_string_equal(json_string_value(json_object_get(answer, "hint")),
                        hint);
    assert_int_equal(json_is_true(json_object_get(answer, "retryable")),
                     is_retryable);
    json_decref(answer);
}

static void test_handler_answer__refuses_a_tool_by_an_object(void **state)
{
    static const struct {
        const char *tool;
        const char *arguments;
        const char *error;
    } cases[] = {
        {"ec2___count_instances", "[1]",
         "the arguments are not a JSON object, such as {\"regions\": \"all\"}"},
        {"ec2___count_instances", "{\"zone\":1}",
         "zone: count_instances takes no such parameter; it takes regions, "
         "states"},
        {"t__count_instances", "{\"port\":22}",
         "port: count_instances takes no such parameter; it takes regions, "
         "states"},
        {"count_instances", "{\"states\":[\"running\",\"dead\"]}",
         "states: \"dead\" is no state of an instance; use a comma list of "
         "pending, running, shutting-down, terminated, stopping, stopped, or "
         "\"all\""},
    };
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(call_tool(&t, cases[i].tool, cases[i].arguments),
                         ERR_OK);
        assert_refusal(&t, cases[i].error, "correct this and ask again", false);
    }
    assert_int_equal(fake_http_nrequests(t.stage.http), 0);
    theatre_release(&t);
}

static void test_handler_answer__names_the_tools_there_are(void **state)
{
    struct theatre t;
    json_t *answer;
    const char *hint;

    (void)state;
    theatre_init(&t, "us-east-1");
    assert_int_equal(call_tool(&t, "ec2___drop_all", "{}"), ERR_OK);
    answer = json_loads(t.out.data, 0, NULL);
    hint = json_string_value(json_object_get(answer, "hint"));
    assert_string_equal(json_string_value(json_object_get(answer, "error")),
                        "no question \"ec2___drop_all\"");
    assert_ptr_equal(strstr(hint, "there are count_instances, "), hint);
    assert_non_null(strstr(hint, "exposed_instances"));
    json_decref(answer);
    theatre_release(&t);
}

static void
test_handler_answer__tells_a_tool_of_missing_credentials(void **state)
{
    struct theatre t;
    json_t *answer;

    (void)state;
    theatre_init(&t, "us-east-1");
    stage_have_credentials(false);
    assert_int_equal(call_tool(&t, "count_instances", "{}"), ERR_OK);
    answer = json_loads(t.out.data, 0, NULL);
    assert_non_null(strstr(json_string_value(json_object_get(answer, "error")),
                           "AWS_ACCESS_KEY_ID"));
    assert_true(json_is_false(json_object_get(answer, "retryable")));
    json_decref(answer);
    theatre_release(&t);
}

static void test_handler_answer__gives_an_object_if_that_is_wanted(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    t.handler.always_object = true;
    ask(&t, "/none", "all");
    assert_answer(&t, 404,
                  "{\"error\":\"api path \\\"/none\\\" not supported\","
                  "\"hint\":\"there are " COUNT ", " OWNER ", " EXPOSURE
                  ", /summary/{regions}, /find/{regions}"
                  "\",\"retryable\":false}");
    theatre_release(&t);
}

/* The object's member key, "" when it has none. */
static char *member(const struct theatre *t, const char *key)
{
    json_t *answer = json_loadb(t->out.data, t->out.len, 0, NULL);
    const char *text = json_string_value(json_object_get(answer, key));
    char *copy = strdup(text ? text : "");

    assert_non_null(answer);
    json_decref(answer);
    return copy;
}

static void test_handler_answer__names_the_account_of_the_function(void **state)
{
    static const struct {
        const char *arn;
        const char *account;
    } cases[] = {
        {"arn:aws:lambda:us-east-1:123456789012:function:f", "123456789012"},
        {"arn:aws-cn:lambda:cn-north-1:000000000001:function:f:7",
         "000000000001"},
        {"arn:aws:lambda:us-east-1:123456789012", "123456789012"},
        {"arn:aws:lambda:us-east-1:12345678901:function:f", ""},
        {"arn:aws:lambda:us-east-1:12345678901x:function:f", ""},
        {"arn:aws:lambda:us-east-1", ""},
        {"", ""},
    };
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handler_event event = event_at("{\"tool\":\"count_instances\"}",
                                              t.stage.fake.mono_ms + TIME_MS);
        char *account;

        event.function_arn = span_of(cases[i].arn);
        assert_int_equal(answer_event(&t, &event), ERR_OK);
        account = member(&t, "account");
        assert_string_equal(account, cases[i].account);
        free(account);
    }
    theatre_release(&t);
}

static void test_handler_answer__says_of_which_moment_it_tells(void **state)
{
    struct theatre t;
    char *as_of;

    (void)state;
    theatre_init(&t, "us-east-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    fake_clock_advance(&t.stage.fake, 1999);
    assert_int_equal(call_tool(&t, "count_instances", "{}"), ERR_OK);
    as_of = member(&t, "asOf");
    /* The fake clock begins at 2030-01-02T03:04:05.000Z. */
    assert_string_equal(as_of, "2030-01-02T03:04:06Z");
    free(as_of);
    theatre_release(&t);
}

/* What INIT asked for is not of the moment of the event. */
static void test_handler_answer__tells_when_it_was_asked_ahead(void **state)
{
    struct theatre t;
    struct ahead_options options = {
        .limits = {.pending_max = 1 << 20, .rows_max = 1 << 20},
        .max_age_ms = 60000,
    };
    char *as_of;

    (void)state;
    theatre_init(&t, "us-east-1");
    options.client = t.stage.client;
    options.atlas = t.atlas;
    assert_int_equal(ahead_new(&options, &t.handler.ahead, NULL), ERR_OK);
    answer_always(&t, "us-east-1", "DescribeInstances", TWO_INSTANCES);
    answer_always(&t, "us-east-1", "DescribeSecurityGroups", XML_GROUPS(""));
    assert_int_equal(
        ahead_run(t.handler.ahead, t.stage.fake.mono_ms + 1000, NULL), ERR_OK);
    fake_clock_advance(&t.stage.fake, 30000);
    assert_int_equal(call_tool(&t, "count_instances", "{}"), ERR_OK);
    as_of = member(&t, "asOf");
    assert_string_equal(as_of, "2030-01-02T03:04:05Z");
    free(as_of);
    /* The next is asked anew, and says so. */
    assert_int_equal(call_tool(&t, "count_instances", "{}"), ERR_OK);
    as_of = member(&t, "asOf");
    assert_string_equal(as_of, "2030-01-02T03:04:35Z");
    free(as_of);
    ahead_free(t.handler.ahead);
    theatre_release(&t);
}

static void test_handler_answer__answers_when_the_poll_fails(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    stage_answer(&t.stage, "eu-west-1", (struct fake_answer){.hangs = true});
    fake_http_fail_run(t.stage.http, 500, ERR_NET);
    ask(&t, COUNT, "us-east-1,eu-west-1");
    assert_answer(&t, 200,
                  "[" COUNTED("us-east-1") "," FAILED(
                      "eu-west-1", "internal error, see the log") "]");
    assert_non_null(strstr(stage_log(&t.stage), "the poll failed"));
    theatre_release(&t);
}

static void test_handler_answer__is_500_for_trouble_of_our_own(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    stage_answer(&t.stage, HOME, (struct fake_answer){.hangs = true});
    fake_http_fail_run(t.stage.http, 500, ERR_NET);
    assert_int_equal(
        call_tool(&t, "count_instances", "{\"regions\":\"xx-new-1\"}"), ERR_OK);
    assert_refusal(&t, "http: scripted failure",
                   "ask again; if that does not help, the log of this "
                   "function says more",
                   true);
    assert_non_null(strstr(stage_log(&t.stage), "\"trouble\""));
    theatre_release(&t);
}

/* An event whose session attributes take some 30,000 bytes. */
static char *long_event(void)
{
    char *event = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&event, &len);

    (void)fputs("{\"actionGroup\":\"g\",\"apiPath\":\"" OWNER
                "\",\"sessionAttributes\":{\"k\":\"",
                out);
    for (int i = 0; i < 30000; i++)
        (void)fputc('x', out);
    (void)fputs("\"}}", out);
    (void)fclose(out);
    return event;
}

static void
test_handler_answer__keeps_the_budget_but_for_a_minimum(void **state)
{
    char *event = long_event();
    struct theatre t;
    char *body = NULL;

    (void)state;
    theatre_init(&t, "us-east-1");
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    for (size_t budget = 470; budget < 600; budget++) {
        t.handler.answer_max = budget + HANDLER_BODY_MIN;
        t.handler.budget = budget;
        ask(&t, OWNER, "all");
        /* The body's own minimum is more than it needs. */
        assert_null(strstr(t.out.data, "omitted"));
    }
    t.handler.answer_max = EVENT_SIZE_MAX;
    assert_int_equal(answer_text(&t, event), ERR_OK);
    assert_int_equal(read_answer(&t, &body), 200);
    assert_null(strstr(body, "omitted"));
    free(body);
    free(event);
    theatre_release(&t);
}

/* The log's line of metrics; NULL: there is none. The caller frees it. */
static json_t *read_metrics(struct theatre *t)
{
    const char *line = strstr(stage_log(&t->stage), "{\"_aws\"");

    return line ? json_loads(line, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

static void test_handler_answer__writes_metrics_if_they_are_wanted(void **state)
{
    struct theatre t;
    json_t *line;
    const json_t *metrics;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    t.handler.function_name = "my-ec2sweep";
    t.handler.has_metrics = true;
    stage_answer(&t.stage, "us-east-1",
                 (struct fake_answer){
                     .status = 503,
                     .body = XML_ERROR("RequestLimitExceeded", "slow down")});
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    deny_always(&t, "eu-west-1");
    ask(&t, COUNT, "all");
    line = read_metrics(&t);
    assert_non_null(line);
    metrics = json_object_get(
        json_array_get(
            json_object_get(json_object_get(line, "_aws"), "CloudWatchMetrics"),
            0),
        "Metrics");
    assert_int_equal(json_array_size(metrics), 5);
    assert_string_equal(
        json_string_value(json_object_get(line, "FunctionName")),
        "my-ec2sweep");
    assert_string_equal(json_string_value(json_object_get(line, "requestId")),
                        "req-1");
    assert_int_equal(json_integer_value(json_object_get(line, "RegionsFailed")),
                     1);
    assert_int_equal(json_integer_value(json_object_get(line, "Instances")), 2);
    assert_int_equal(json_integer_value(json_object_get(line, "Retries")), 1);
    assert_int_equal(json_integer_value(json_object_get(line, "Throttles")), 1);
    json_decref(line);
    theatre_release(&t);
}

static void test_handler_answer__counts_the_list_of_regions_too(void **state)
{
    struct theatre t;

    (void)state;
    theatre_init(&t, NULL);
    open_new_region(&t);
    ask(&t, COUNT, "xx-new-1");
    /* DescribeRegions and DescribeInstances. */
    assert_int_equal(logged(&t, "requests"), 2);
    assert_int_equal(logged(&t, "pages"), 2);
    theatre_release(&t);
}

static void count_calls(void *arg, size_t ended, size_t asked,
                        const struct ec2_stats *stats)
{
    size_t *n = arg;

    assert_int_equal(asked, 2);
    assert_non_null(stats);
    /* 0, 1, 2 */
    assert_int_equal(ended, *n);
    (*n)++;
}

static void test_handler_answer__passes_progress_on(void **state)
{
    struct theatre t;
    size_t ended = 0;

    (void)state;
    theatre_init(&t, "us-east-1,eu-west-1");
    t.handler.on_progress = count_calls;
    t.handler.arg = &ended;
    answer_always(&t, "us-east-1", NULL, TWO_INSTANCES);
    answer_always(&t, "eu-west-1", NULL, TWO_INSTANCES);
    ask(&t, COUNT, "all");
    assert_int_equal(ended, 3);
    theatre_release(&t);
}

/*
 * Everything that an invocation may allocate: a list refresh, two regions, a
 * follow-up, rows. Whatever fails, there is an answer or an error, and the
 * next invocation is whole.
 */
static bool answer_with_failure(size_t n)
{
    static const char event[] =
        "{\"actionGroup\":\"g\",\"apiPath\":\"" EXPOSURE "\",\"parameters\":"
        "[{\"name\":\"regions\",\"value\":[\"us-east-1\",\"xx-new-1\",\"yy\"]"
        "}],\"sessionAttributes\":{\"k\":\"v\"}}";
    struct theatre t;
    enum err_code rc;
    bool failed;
    char *body = NULL;

    theatre_init(&t, NULL);
    t.handler.limits.pending_max = 0;
    for (size_t i = 0; i < 2; i++)
        stage_answer(&t.stage, i ? "xx-new-1" : HOME,
                     (struct fake_answer){
                         .body_has = "DescribeSecurityGroups",
                         .times = FAKE_ALWAYS,
                         .after_ms = 500,
                         .body = XML_GROUPS(XML_GROUP("sg-1", "0.0.0.0/0"))});
    open_new_region(&t);
    fail_alloc_at(n);
    rc = answer_text(&t, event);
    failed = fail_alloc_stop();
    if (!rc) {
        (void)read_answer(&t, &body);
        free(body);
    } else if (rc != ERR_NOMEM && rc != ERR_PARSE) {
        fail_msg("allocation %zu: code %d, %s", n, (int)rc, t.err.msg);
    }
    fake_clock_advance(&t.stage.fake, 2 * MINUTE_MS);
    assert_int_equal(answer_text(&t, event), ERR_OK);
    assert_int_equal(read_answer(&t, &body), 200);
    assert_non_null(strstr(
        body,
        "[" FAILED(
            "yy",
            "not a region name") ",{\"region\":\"us-east-1\",\"instanceId\":"
                                 "\"i-1\""));
    assert_non_null(
        strstr(body, "{\"region\":\"xx-new-1\",\"instanceId\":\"i-1\""));
    free(body);
    theatre_release(&t);
    return failed;
}

static void test_handler_answer__survives_every_failed_allocation(void **state)
{
    size_t n = 0;

    (void)state;
    while (answer_with_failure(n))
        n++;
    assert_true(n > 200);
}

static void
test_handler_answer__survives_failed_allocations_of_a_refusal(void **state)
{
    static const char event[] = "{\"actionGroup\":\"g\",\"apiPath\":\"/no\"}";
    bool failed = true;
    size_t n;

    (void)state;
    for (n = 0; failed; n++) {
        struct theatre t;
        enum err_code rc;

        theatre_init(&t, NULL);
        fail_alloc_at(n);
        rc = answer_text(&t, event);
        failed = fail_alloc_stop();
        if (failed)
            assert_true(rc == ERR_NOMEM || rc == ERR_PARSE);
        else
            assert_int_equal(rc, ERR_OK);
        theatre_release(&t);
    }
    assert_true(n > 20);
}

static const struct CMUnitTest TESTS[] = {
    cmocka_unit_test(test_handler_answer__puts_the_answer_into_the_envelope),
    cmocka_unit_test(test_handler_answer__gives_a_value_when_raw_is_wanted),
    cmocka_unit_test(test_handler_answer__answers_each_question),
    cmocka_unit_test(test_handler_answer__takes_no_region_for_every_one),
    cmocka_unit_test(test_handler_answer__refuses_an_unknown_path),
    cmocka_unit_test(test_handler_answer__refuses_a_path_of_any_length),
    cmocka_unit_test(test_handler_answer__has_no_envelope_for_other_events),
    cmocka_unit_test(test_handler_answer__is_400_when_no_valid_region_is_left),
    cmocka_unit_test(test_handler_answer__is_400_for_too_many_regions),
    cmocka_unit_test(test_handler_answer__names_what_failed_beside_the_rest),
    cmocka_unit_test(test_handler_answer__is_502_when_all_fail),
    cmocka_unit_test(test_handler_answer__is_500_without_credentials),
    cmocka_unit_test(test_handler_answer__asks_for_the_list_when_a_name_is_new),
    cmocka_unit_test(test_handler_answer__asks_for_the_list_for_a_new_pattern),
    cmocka_unit_test(test_handler_answer__asks_for_the_list_once_a_minute),
    cmocka_unit_test(
        test_handler_answer__asks_for_no_list_for_a_name_that_is_none),
    cmocka_unit_test(test_handler_answer__counts_refused_lists_as_asked),
    cmocka_unit_test(
        test_handler_answer__waits_so_long_for_a_list_and_no_longer),
    cmocka_unit_test(
        test_handler_answer__renews_an_old_list_beside_the_question),
    cmocka_unit_test(test_handler_answer__waits_for_no_list_that_only_grew_old),
    cmocka_unit_test(test_handler_answer__asks_for_the_list_first_of_all),
    cmocka_unit_test(test_handler_answer__keeps_the_margin_before_the_deadline),
    cmocka_unit_test(test_handler_answer__keeps_what_the_array_tells),
    cmocka_unit_test(
        test_handler_answer__cuts_what_is_longer_than_an_answer_may_be),
    cmocka_unit_test(test_handler_answer__writes_one_line_of_summary),
    cmocka_unit_test(test_handler_answer__logs_the_response_when_debugging),
    cmocka_unit_test(test_handler_answer__reprompts_a_function_for_a_mistake),
    cmocka_unit_test(test_handler_answer__never_fails_a_function),
    cmocka_unit_test(test_handler_answer__refuses_a_tool_by_an_object),
    cmocka_unit_test(test_handler_answer__names_the_tools_there_are),
    cmocka_unit_test(test_handler_answer__tells_a_tool_of_missing_credentials),
    cmocka_unit_test(test_handler_answer__gives_an_object_if_that_is_wanted),
    cmocka_unit_test(test_handler_answer__names_the_account_of_the_function),
    cmocka_unit_test(test_handler_answer__says_of_which_moment_it_tells),
    cmocka_unit_test(test_handler_answer__tells_when_it_was_asked_ahead),
    cmocka_unit_test(test_handler_answer__answers_when_the_poll_fails),
    cmocka_unit_test(test_handler_answer__is_500_for_trouble_of_our_own),
    cmocka_unit_test(test_handler_answer__keeps_the_budget_but_for_a_minimum),
    cmocka_unit_test(test_handler_answer__writes_metrics_if_they_are_wanted),
    cmocka_unit_test(test_handler_answer__counts_the_list_of_regions_too),
    cmocka_unit_test(test_handler_answer__passes_progress_on),
    cmocka_unit_test(test_handler_answer__survives_every_failed_allocation),
    cmocka_unit_test(
        test_handler_answer__survives_failed_allocations_of_a_refusal),
};

int main(void)
{
    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
