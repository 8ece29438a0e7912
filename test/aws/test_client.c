#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "aws/client.h"
#include "support/fail_alloc.h"
#include "support/fake_clock.h"
#include "support/fake_http.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define KEY "AWS_ACCESS_KEY_ID"
#define SECRET "AWS_SECRET_ACCESS_KEY"
#define TOKEN "AWS_SESSION_TOKEN"
#define RELATIVE "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define AUTH "AWS_CONTAINER_AUTHORIZATION_TOKEN"

#define MINUTE_MS ((int64_t)60 * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* Far enough for every try. */
#define LATER 1000000000

/* --- the client and what surrounds it ------------------------------------ */

struct variable {
    const char *name;
    const char *value;
};

#define NVARIABLES 4

/* A look-up function has no argument, so the table cannot be handed over. */
static const struct variable *variables;

static const char *lookup(const char *name)
{
    for (size_t i = 0; i < NVARIABLES && variables[i].name; i++)
        if (strcmp(variables[i].name, name) == 0)
            return variables[i].value;
    return NULL;
}

struct world {
    struct fake_clock fake;
    struct http *http;
    struct aws_client *client;
};

static void open_client(struct world *world, const char *endpoint)
{
    const struct aws_client_options options = {
        .http = world->http,
        .clock = &world->fake.clock,
        .lookup = lookup,
        .endpoint = {.url = endpoint, .variable = "AWS_ENDPOINT_URL"},
        .max_attempts = 10,
        .no_progress_ms = 8000,
    };

    assert_int_equal(aws_client_new(&options, &world->client, NULL), ERR_OK);
    assert_ptr_equal(aws_client_options(world->client)->http, world->http);
    assert_int_equal(aws_client_options(world->client)->max_attempts, 10);
}

static int set_up(void **state)
{
    static struct world world;
    static const struct variable none[NVARIABLES];
    struct http_options options = {.clock = &world.fake.clock};

    variables = none;
    fake_clock_init(&world.fake);
    *state = &world;
    assert_int_equal(http_new(&options, &world.http, NULL), ERR_OK);
    open_client(&world, NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    aws_client_free(world->client);
    http_free(world->http);
    return 0;
}

static enum err_code load(struct world *world, const struct variable *table,
                          struct err *err)
{
    variables = table;
    return aws_client_load_credentials(world->client, LATER, err);
}

static struct aws_region *region_called(struct world *world, const char *name)
{
    struct aws_region *region = NULL;

    assert_int_equal(
        aws_client_region(world->client, span_of(name), &region, NULL), ERR_OK);
    return region;
}

/* The Authorization header of an empty body; good until the next call. */
static const char *authorization(struct world *world, struct aws_region *region)
{
    static char text[512];
    struct aws_signed s;

    assert_int_equal(
        aws_client_sign(world->client, region, SPAN_LIT(""), &s, NULL), ERR_OK);
    (void)snprintf(text, sizeof(text), "%s", s.authorization.data);
    aws_signed_release(&s);
    return text;
}

static void assert_signs_as(struct world *world, const char *key_id)
{
    char begin[128];

    (void)snprintf(begin, sizeof(begin), "AWS4-HMAC-SHA256 Credential=%s/",
                   key_id);
    assert_true(span_starts_with(
        span_of(authorization(world, region_called(world, "us-east-1"))),
        begin));
}

static const struct variable ENVIRONMENT[NVARIABLES] = {
    {KEY, "TESTKEY"},
    {SECRET, "not-a-real-secret"},
};

/* --- regions ------------------------------------------------------------- */

static void test_aws_client_region__makes_each_region_once(void **state)
{
    struct world *world = *state;
    struct aws_region *a = region_called(world, "us-east-1");
    struct aws_region *b = region_called(world, "cn-north-1");

    assert_ptr_equal(region_called(world, "us-east-1"), a);
    assert_ptr_equal(region_called(world, "cn-north-1"), b);
    assert_ptr_not_equal(a, b);
    assert_string_equal(a->name, "us-east-1");
    assert_string_equal(a->endpoint.url.data,
                        "https://ec2.us-east-1.amazonaws.com/");
    assert_string_equal(b->endpoint.host.data,
                        "ec2.cn-north-1.amazonaws.com.cn");
    assert_int_equal(a->quota.tokens, RETRY_QUOTA_MAX);
    assert_true(a->skew_ms == 0);
}

static void test_aws_client_region__refuses_what_is_no_name(void **state)
{
    static const char *const NAMES[] = {
        "",          "us-east-1.evil.example",
        "US-EAST-1", "us-east-1/",
        "x",         "a-very-long-name-of-a-region-that-is-none-1",
    };
    struct world *world = *state;
    struct aws_region *region = NULL;

    for (size_t i = 0; i < COUNT(NAMES); i++) {
        struct err err = {0};

        if (aws_client_region(world->client, span_of(NAMES[i]), &region,
                              &err) != ERR_ARG ||
            !err.msg[0])
            fail_msg("%s", NAMES[i]);
    }
    assert_null(region);
}

static void test_aws_client_region__reports_a_wrong_endpoint(void **state)
{
    struct world *world = *state;
    struct aws_region *region = NULL;
    struct err err = {0};

    aws_client_free(world->client);
    open_client(world, "ftp://secret@x");
    assert_int_equal(
        aws_client_region(world->client, SPAN_LIT("us-east-1"), &region, &err),
        ERR_CONFIG);
    assert_non_null(strstr(err.msg, "AWS_ENDPOINT_URL"));
    assert_null(strstr(err.msg, "secret"));
}

/* --- signing ------------------------------------------------------------- */

/* Made with botocore and with openssl(1): make_vectors.* there. */
#define CASES "test/fixtures/sigv4-ec2"

static struct buf read_file(const char *name, const char *file)
{
    struct buf out = BUF_INIT(65536);
    char path[512];
    char chunk[1024];
    size_t len;
    FILE *in;

    (void)snprintf(path, sizeof(path), CASES "/%s/%s", name, file);
    in = fopen(path, "rb");
    if (!in)
        fail_msg("%s cannot be read", path);
    while ((len = fread(chunk, 1, sizeof(chunk), in)) > 0)
        buf_add(&out, chunk, len);
    (void)fclose(in);
    assert_int_equal(out.failed, ERR_OK);
    return out;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* "2026-11-23T09:00:00Z" by libc. */
static int64_t time_of(const char *text)
{
    struct tm tm = {0};

    assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%dZ", &tm.tm_year, &tm.tm_mon,
                            &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
                     6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000;
}

/* "Name:value" in the wire form of the expected request; sent ones only. */
static void check_headers(const char *name, const struct aws_signed *s,
                          const char *expected)
{
    char line[2048];
    size_t n = 0;

    for (size_t i = 0; i < s->nheaders; i++) {
        (void)snprintf(line, sizeof(line), "\n%s:%s\n", s->headers[i].name,
                       s->headers[i].value);
        if (!strstr(expected, line))
            fail_msg("%s: %s", name, line);
    }
    /* All lines of the head but Host, which the transport writes itself. */
    for (const char *p = expected; (p = strchr(p, '\n')) && p[1] != '\n'; p++)
        n++;
    assert_int_equal(s->nheaders, n - 1);
}

static void check_signature(struct world *world, const char *name)
{
    struct buf context = read_file(name, "context.json");
    struct buf request = read_file(name, "request.txt");
    struct buf expected = read_file(name, "header-signed-request.txt");
    json_t *json = json_loads(context.data, 0, NULL);
    const json_t *creds = json_object_get(json, "credentials");
    const struct variable table[NVARIABLES] = {
        {KEY, text_of(creds, "access_key_id")},
        {SECRET, text_of(creds, "secret_access_key")},
        {TOKEN, text_of(creds, "token")},
    };
    struct span body = span_of(strstr(request.data, "\n\n") + 2);
    struct aws_region *region = region_called(world, text_of(json, "region"));
    char host[256];
    struct aws_signed s;

    (void)snprintf(host, sizeof(host), "\nHost:%s\n",
                   region->endpoint.host.data);
    if (!strstr(request.data, host))
        fail_msg("%s: %s", name, host);
    world->fake.real_ms = time_of(text_of(json, "timestamp"));
    assert_int_equal(load(world, table, NULL), ERR_OK);
    assert_int_equal(aws_client_sign(world->client, region, body, &s, NULL),
                     ERR_OK);
    check_headers(name, &s, expected.data);
    assert_int_equal(fake_http_nrequests(world->http), 0);
    aws_signed_release(&s);
    json_decref(json);
    buf_release(&expected);
    buf_release(&request);
    buf_release(&context);
}

static void test_aws_client_sign__agrees_with_botocore_and_openssl(void **state)
{
    struct world *world = *state;
    DIR *dir = opendir(CASES);
    struct dirent *entry;
    unsigned ncases = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (strchr(entry->d_name, '.'))
            continue;
        aws_client_free(world->client);
        open_client(world, strcmp(entry->d_name, "localhost-port") == 0
                               ? "https://ec2.{region}.localhost:8443"
                               : NULL);
        check_signature(world, entry->d_name);
        ncases++;
    }
    (void)closedir(dir);
    assert_true(ncases >= 5);
}

static void test_aws_client_sign__needs_credentials(void **state)
{
    struct world *world = *state;
    struct aws_region *region = region_called(world, "us-east-1");
    struct aws_signed s;
    struct err err = {0};

    assert_int_equal(
        aws_client_sign(world->client, region, SPAN_LIT(""), &s, &err),
        ERR_AUTH);
    assert_string_equal(err.msg, "client: no credentials loaded");
}

static void test_aws_client_sign__derives_a_key_per_region_and_day(void **state)
{
    struct world *world = *state;
    struct aws_region *a = region_called(world, "us-east-1");
    struct aws_region *b = region_called(world, "eu-west-1");

    assert_int_equal(load(world, ENVIRONMENT, NULL), ERR_OK);
    assert_int_equal(aws_client_nkeys(world->client), 0);
    for (int i = 0; i < 3; i++) {
        (void)authorization(world, a);
        (void)authorization(world, b);
        world->fake.real_ms += HOUR_MS;
    }
    assert_int_equal(aws_client_nkeys(world->client), 2);
    /* The same credentials, read again, change nothing. */
    assert_int_equal(load(world, ENVIRONMENT, NULL), ERR_OK);
    (void)authorization(world, a);
    assert_int_equal(aws_client_nkeys(world->client), 2);
    world->fake.real_ms += DAY_MS;
    assert_non_null(strstr(authorization(world, a), "/20300103/us-east-1/"));
    assert_int_equal(aws_client_nkeys(world->client), 3);
    /* The region's clock counts, not ours: it may be another day there. */
    a->skew_ms = DAY_MS;
    assert_non_null(strstr(authorization(world, a), "/20300104/us-east-1/"));
    assert_int_equal(aws_client_nkeys(world->client), 4);
}

static void test_aws_client_sign__uses_new_credentials_at_once(void **state)
{
    static const struct variable SECOND[NVARIABLES] = {
        {KEY, "TESTKEY"},
        {SECRET, "another-unreal-secret"},
    };
    static const struct variable THIRD[NVARIABLES] = {
        {KEY, "OTHERKEY"},
        {SECRET, "another-unreal-secret"},
        {TOKEN, "not-a-real-token"},
    };
    static const struct {
        const struct variable *table;
        const char *key_id;
    } ROWS[] = {
        {ENVIRONMENT, "TESTKEY"},
        {SECOND, "TESTKEY"},
        {THIRD, "OTHERKEY"},
        {ENVIRONMENT, "TESTKEY"},
    };
    struct world *world = *state;
    char seen[COUNT(ROWS)][512];

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        assert_int_equal(load(world, ROWS[i].table, NULL), ERR_OK);
        assert_signs_as(world, ROWS[i].key_id);
        (void)snprintf(seen[i], sizeof(seen[i]), "%s",
                       authorization(world, region_called(world, "us-east-1")));
        assert_int_equal(aws_client_nkeys(world->client), i + 1);
    }
    assert_string_not_equal(seen[0], seen[1]);
    assert_string_not_equal(seen[1], seen[2]);
    assert_string_equal(seen[0], seen[3]);
    assert_non_null(strstr(seen[2], "x-amz-date;x-amz-security-token,"));
    assert_null(strstr(seen[3], "x-amz-security-token"));
}

static void test_aws_signed_release__leaves_no_header(void **state)
{
    struct world *world = *state;
    struct aws_signed s;

    assert_int_equal(load(world, ENVIRONMENT, NULL), ERR_OK);
    assert_int_equal(aws_client_sign(world->client,
                                     region_called(world, "us-east-1"),
                                     SPAN_LIT("Action=X"), &s, NULL),
                     ERR_OK);
    assert_int_equal(s.nheaders, 3);
    aws_signed_release(&s);
    assert_int_equal(s.nheaders, 0);
    assert_int_equal(s.authorization.len, 0);
}

/* --- credentials --------------------------------------------------------- */

static void test_aws_client_load_credentials__says_what_it_looked_for(void **s)
{
    static const struct {
        struct variable table[NVARIABLES];
        const char *text;
    } ROWS[] = {
        {{{TOKEN, "t"}}, RELATIVE " or _FULL_URI"},
        {{{KEY, "k"}}, "AWS_SECRET_ACCESS_KEY is not set"},
        {{{KEY, "defaultkey"}, {SECRET, "s"}}, "sam local"},
        {{{RELATIVE, "no-slash"}}, RELATIVE " is not allowed"},
        {{{FULL, "http://evil.example/"}}, FULL " is not allowed"},
    };
    struct world *world = *s;

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err err = {0};

        assert_int_equal(load(world, ROWS[i].table, &err), ERR_AUTH);
        if (!strstr(err.msg, ROWS[i].text))
            fail_msg("%s: %s", ROWS[i].text, err.msg);
    }
    assert_int_equal(fake_http_nrequests(world->http), 0);
}

#define DOCUMENT(key, expires)                                                 \
    "{\"AccessKeyId\": \"" key                                                 \
    "\", \"SecretAccessKey\": \"not-a-real-secret\", \"Token\": "              \
    "\"not-a-real-token\", \"Expiration\": \"" expires "\"}"

/* The fake clock begins at 2030-01-02T03:04:05Z. */
#define LASTING DOCUMENT("CONTAINERKEY", "2030-01-02T09:04:05Z")
#define HOST "169.254.170.2"

static const struct variable CONTAINER[NVARIABLES] = {
    {RELATIVE, "/v2/credentials/abc"},
    {AUTH, "not-a-real-authorization"},
};

static void test_aws_client_load_credentials__asks_the_container(void **state)
{
    struct world *world = *state;
    const struct fake_request *request;

    fake_http_answer(world->http, &(struct fake_answer){.host = HOST,
                                                        .after_ms = 30,
                                                        .body = LASTING,
                                                        .piece = 7});
    assert_int_equal(load(world, CONTAINER, NULL), ERR_OK);
    assert_signs_as(world, "CONTAINERKEY");
    assert_int_equal(fake_http_nrequests(world->http), 1);
    request = fake_http_request(world->http, 0);
    assert_string_equal(request->method, "GET");
    assert_string_equal(request->url, "http://" HOST "/v2/credentials/abc");
    assert_int_equal(request->route, HTTP_DIRECT);
    assert_string_equal(fake_request_header(request, "authorization"),
                        "not-a-real-authorization");
    assert_int_equal(request->nheaders, 1);
}

static void
test_aws_client_load_credentials__sends_no_empty_header(void **state)
{
    static const struct variable table[NVARIABLES] = {{RELATIVE, "/x"}};
    struct world *world = *state;

    fake_http_answer(world->http, &(struct fake_answer){.body = LASTING});
    assert_int_equal(load(world, table, NULL), ERR_OK);
    assert_int_equal(fake_http_request(world->http, 0)->nheaders, 0);
}

static void test_aws_client_load_credentials__prefers_the_environment(void **s)
{
    static const struct variable both[NVARIABLES] = {
        {KEY, "TESTKEY"},
        {SECRET, "not-a-real-secret"},
        {RELATIVE, "/x"},
    };
    struct world *world = *s;

    assert_int_equal(load(world, both, NULL), ERR_OK);
    assert_signs_as(world, "TESTKEY");
    assert_int_equal(fake_http_nrequests(world->http), 0);
}

/* Fetched anew when they end within ten minutes, or might at any time. */
static void test_aws_client_load_credentials__keeps_lasting_ones(void **state)
{
    static const struct {
        const char *document;
        int64_t later_ms;
        size_t nrequests; /* after the second load */
    } ROWS[] = {
        {DOCUMENT("A", "2030-01-02T03:14:06Z"), 0, 1},
        {DOCUMENT("A", "2030-01-02T03:14:05Z"), 0, 2},
        {DOCUMENT("A", "2030-01-02T04:04:05Z"), 50 * MINUTE_MS - 1, 1},
        {DOCUMENT("A", "2030-01-02T04:04:05Z"), 50 * MINUTE_MS, 2},
        {DOCUMENT("A", "2030-01-01T00:00:00Z"), 0, 2},
        {"{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"s\"}", 0, 2},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct world *world;

        assert_int_equal(set_up(state), 0);
        world = *state;
        fake_http_answer(world->http,
                         &(struct fake_answer){.body = ROWS[i].document});
        fake_http_answer(world->http,
                         &(struct fake_answer){
                             .body = DOCUMENT("B", "2031-01-01T00:00:00Z")});
        assert_int_equal(load(world, CONTAINER, NULL), ERR_OK);
        assert_signs_as(world, "A");
        world->fake.real_ms += ROWS[i].later_ms;
        assert_int_equal(load(world, CONTAINER, NULL), ERR_OK);
        if (fake_http_nrequests(world->http) != ROWS[i].nrequests)
            fail_msg("row %zu: %zu requests", i,
                     fake_http_nrequests(world->http));
        assert_signs_as(world, ROWS[i].nrequests == 1 ? "A" : "B");
        (void)tear_down(state);
    }
}

static const struct {
    const char *name;
    struct fake_answer bad;
    const char *text;
} FAULTS[] = {
    {"not reached", {.failure = HTTP_CONNECT}, "does not answer"},
    {"cut short",
     {.body = "{\"Acc", .failure = HTTP_BROKEN},
     "does not answer"},
    {"silent", {.hangs = true}, "does not answer"},
    {"slow", {.body = LASTING, .after_ms = 2001}, "does not answer"},
    {"dripping",
     {.body = LASTING, .piece = 1, .gap_ms = 100},
     "does not answer"},
    {"refusing", {.body = LASTING, .status = 403}, "answers 403"},
    {"failing", {.body = "oops", .status = 500}, "answers 500"},
    {"not JSON", {.body = "<html>"}, "not a JSON object"},
    {"empty", {.body = ""}, "not a JSON object"},
    {"without a secret",
     {.body = "{\"AccessKeyId\": \"A\"}"},
     "no AccessKeyId or SecretAccessKey"},
    {"odd time", {.body = DOCUMENT("A", "tomorrow")}, "Expiration"},
};

static void test_aws_client_load_credentials__tries_three_times(void **state)
{
    for (size_t i = 0; i < 2 * COUNT(FAULTS); i++) {
        bool cured = i % 2;
        struct fake_answer bad = FAULTS[i / 2].bad;
        struct err err = {0};
        struct world *world;
        enum err_code rc;

        assert_int_equal(set_up(state), 0);
        world = *state;
        bad.times = cured ? 2 : 3;
        fake_http_answer(world->http, &bad);
        fake_http_answer(world->http, &(struct fake_answer){.body = LASTING});
        rc = load(world, CONTAINER, &err);
        if (rc != (cured ? ERR_OK : ERR_AUTH) ||
            fake_http_nrequests(world->http) != 3)
            fail_msg("%s: code %d, %zu requests", FAULTS[i / 2].name, (int)rc,
                     fake_http_nrequests(world->http));
        if (cured)
            assert_signs_as(world, "CONTAINERKEY");
        else if (!strstr(err.msg, FAULTS[i / 2].text))
            fail_msg("%s: %s", FAULTS[i / 2].name, err.msg);
        assert_int_equal(fake_http_in_flight(world->http), 0);
        (void)tear_down(state);
    }
}

static void test_aws_client_load_credentials__ends_at_the_deadline(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    fake_http_answer(world->http, &(struct fake_answer){.hangs = true,
                                                        .times = FAKE_ALWAYS});
    variables = CONTAINER;
    assert_int_equal(
        aws_client_load_credentials(world->client, 1000000 + 2500, &err),
        ERR_AUTH);
    assert_true(world->fake.mono_ms == 1000000 + 2500);
    assert_int_equal(fake_http_nrequests(world->http), 2);
    assert_true(fake_http_request(world->http, 0)->cancelled);
    assert_true(fake_http_request(world->http, 1)->cancelled);
}

static void test_aws_client_load_credentials__waits_two_seconds_a_try(void **s)
{
    struct world *world = *s;

    fake_http_answer(world->http, &(struct fake_answer){.hangs = true,
                                                        .times = FAKE_ALWAYS});
    assert_int_equal(load(world, CONTAINER, NULL), ERR_AUTH);
    assert_true(world->fake.mono_ms == 1000000 + 3 * 2000);
    assert_int_equal(fake_http_nrequests(world->http), 3);
}

static void test_aws_client_load_credentials__bounds_the_document(void **state)
{
    struct world *world = *state;
    struct buf document = BUF_INIT(CREDENTIALS_DOCUMENT_MAX + 1);
    struct err err = {0};

    buf_add_str(&document, LASTING);
    while (document.len < CREDENTIALS_DOCUMENT_MAX)
        buf_add_char(&document, ' ');
    fake_http_answer(world->http, &(struct fake_answer){.body = document.data,
                                                        .piece = 1000});
    assert_int_equal(load(world, CONTAINER, NULL), ERR_OK);
    buf_add_char(&document, ' ');
    fake_http_answer(world->http, &(struct fake_answer){.body = document.data,
                                                        .piece = 1000});
    world->fake.real_ms += DAY_MS;
    assert_int_equal(load(world, CONTAINER, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "longer than 65536 bytes"));
    assert_int_equal(fake_http_nrequests(world->http), 2);
    buf_release(&document);
}

/* What is held stays usable when it cannot be replaced. */
static void test_aws_client_load_credentials__uses_what_is_left(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    fake_http_answer(world->http, &(struct fake_answer){.body = LASTING});
    fake_http_answer(world->http, &(struct fake_answer){.hangs = true,
                                                        .times = FAKE_ALWAYS});
    assert_int_equal(load(world, CONTAINER, NULL), ERR_OK);
    world->fake.real_ms += 6 * HOUR_MS - MINUTE_MS;
    assert_int_equal(load(world, CONTAINER, NULL), ERR_OK);
    assert_signs_as(world, "CONTAINERKEY");
    /* One time-out, not three of them in every event. */
    assert_true(world->fake.mono_ms == 1000000 + 2000);
    world->fake.real_ms += MINUTE_MS;
    assert_int_equal(load(world, CONTAINER, &err), ERR_AUTH);
    assert_non_null(strstr(err.msg, "does not answer"));
}

/* --- the region's clock -------------------------------------------------- */

/* One exchange, in whose end the clock is observed. */
struct exchange {
    struct aws_client *client;
    struct aws_region *region;
    struct http_transfer *transfer;
    int64_t signed_skew_ms;
    bool stale;
    bool ended;
};

static void on_done(void *arg, const struct http_result *result)
{
    struct exchange *x = arg;

    x->stale =
        aws_client_observe_clock(x->client, x->region, x->transfer,
                                 result->sent_real_ms, x->signed_skew_ms);
    x->ended = true;
}

static void run_exchange(struct world *world, struct exchange *x)
{
    const struct http_request request = {
        .method = "GET",
        .url = "https://x.example/",
        .on_done = on_done,
        .arg = x,
    };

    x->client = world->client;
    x->region = region_called(world, "us-east-1");
    assert_int_equal(http_start(world->http, &request, &x->transfer, NULL),
                     ERR_OK);
    assert_int_equal(http_run(world->http, CLOCK_NEVER, &x->ended, NULL),
                     ERR_OK);
}

struct observation {
    const char *name;
    const char *date; /* NULL: none */
    const char *age;
    int64_t trip_ms;
    int64_t known_skew_ms; /* of the region, before */
    int64_t signed_skew_ms;
    int64_t skew_ms; /* after */
    bool stale;
};

/* Sent at 2030-01-02T03:04:05Z; by hand from the SDKs' rule: the difference to
 * the middle between sent and received, more than four minutes matter. */
static const struct observation OBSERVED[] = {
    {"right", "Wed, 02 Jan 2030 03:04:05 GMT", NULL, 0, 0, 0, 0, false},
    {"an hour ahead", "Wed, 02 Jan 2030 04:04:05 GMT", NULL, 0, 0, 0, HOUR_MS,
     true},
    {"an hour behind", "Wed, 02 Jan 2030 02:04:05 GMT", NULL, 0, 0, 0, -HOUR_MS,
     true},
    {"four minutes ahead", "Wed, 02 Jan 2030 03:08:05 GMT", NULL, 0, 0, 0,
     240000, false},
    {"and a second", "Wed, 02 Jan 2030 03:08:06 GMT", NULL, 0, 0, 0, 241000,
     true},
    {"four minutes behind", "Wed, 02 Jan 2030 03:00:05 GMT", NULL, 0, 0, 0,
     -240000, false},
    {"and a second", "Wed, 02 Jan 2030 03:00:04 GMT", NULL, 0, 0, 0, -241000,
     true},
    {"half a trip later", "Wed, 02 Jan 2030 03:04:15 GMT", NULL, 20000, 0, 0, 0,
     false},
    {"after a slow trip", "Wed, 02 Jan 2030 03:04:05 GMT", NULL, 20000, 0, 0,
     -10000, false},
    {"from a cache", "Wed, 02 Jan 2030 04:04:05 GMT", "0", 0, 7, 0, 7, false},
    {"without date", NULL, NULL, 0, 7, 0, 7, false},
    {"no date", "yesterday", NULL, 0, 7, 0, 7, false},
    {"after 15 minutes", "Wed, 02 Jan 2030 04:04:05 GMT", NULL, 15 * MINUTE_MS,
     7, 0, HOUR_MS - 15 * MINUTE_MS / 2, true},
    {"after more", "Wed, 02 Jan 2030 04:04:05 GMT", NULL, 15 * MINUTE_MS + 1, 7,
     0, 7, false},
    {"known already", "Wed, 02 Jan 2030 04:04:05 GMT", NULL, 0, HOUR_MS,
     HOUR_MS, HOUR_MS, false},
    {"known since it was signed", "Wed, 02 Jan 2030 04:04:05 GMT", NULL, 0,
     HOUR_MS, 0, HOUR_MS, true},
    {"right again", "Wed, 02 Jan 2030 03:04:05 GMT", NULL, 0, HOUR_MS, HOUR_MS,
     0, true},
};

static void check_observation(struct world *world, const struct observation *o)
{
    struct http_header headers[2];
    struct exchange x = {.signed_skew_ms = o->signed_skew_ms};
    struct fake_answer answer = {
        .after_ms = o->trip_ms,
        .headers = headers,
    };

    if (o->date)
        headers[answer.nheaders++] = (struct http_header){"Date", o->date};
    if (o->age)
        headers[answer.nheaders++] = (struct http_header){"Age", o->age};
    fake_http_answer(world->http, &answer);
    region_called(world, "us-east-1")->skew_ms = o->known_skew_ms;
    run_exchange(world, &x);
    if (x.region->skew_ms != o->skew_ms || x.stale != o->stale)
        fail_msg("%s: skew %lld, %s", o->name, (long long)x.region->skew_ms,
                 x.stale ? "stale" : "not stale");
}

static void test_aws_client_observe_clock__follows_the_sdk_rule(void **state)
{
    for (size_t i = 0; i < COUNT(OBSERVED); i++) {
        assert_int_equal(set_up(state), 0);
        check_observation(*state, &OBSERVED[i]);
        (void)tear_down(state);
    }
}

static void test_aws_client_observe_clock__moves_the_next_stamp(void **state)
{
    struct world *world = *state;
    struct aws_signed s;

    assert_int_equal(load(world, ENVIRONMENT, NULL), ERR_OK);
    check_observation(world, &OBSERVED[2]);
    assert_int_equal(aws_client_sign(world->client,
                                     region_called(world, "us-east-1"),
                                     SPAN_LIT(""), &s, NULL),
                     ERR_OK);
    assert_string_equal(s.stamp, "20300102T020405Z");
    assert_true(s.skew_ms == -HOUR_MS);
    aws_signed_release(&s);
    /* Of this region alone. */
    assert_non_null(strstr(
        authorization(world, region_called(world, "eu-west-1")), "/20300102/"));
    assert_true(region_called(world, "eu-west-1")->skew_ms == 0);
}

/* --- out of memory ------------------------------------------------------- */

/* Everything that a first request needs. */
static enum err_code whole_course(struct world *world, struct err *err)
{
    const struct aws_client_options options = {
        .http = world->http,
        .clock = &world->fake.clock,
        .lookup = lookup,
    };
    struct aws_region *region;
    struct aws_signed s;
    enum err_code rc;

    world->client = NULL;
    rc = aws_client_new(&options, &world->client, err);
    if (!rc)
        rc = aws_client_load_credentials(world->client, LATER, err);
    if (!rc)
        rc = aws_client_region(world->client, SPAN_LIT("us-east-1"), &region,
                               err);
    if (!rc)
        rc = aws_client_sign(world->client, region, SPAN_LIT("x"), &s, err);
    if (!rc)
        aws_signed_release(&s);
    return rc;
}

static void test_aws_client_new__and_all_after_survive_no_memory(void **state)
{
    static const struct variable *const TABLES[] = {ENVIRONMENT, CONTAINER};
    struct world *world = *state;

    fake_http_answer(world->http, &(struct fake_answer){.body = LASTING,
                                                        .times = FAKE_ALWAYS});
    aws_client_free(world->client);
    for (size_t i = 0; i < COUNT(TABLES); i++) {
        bool failed = true;

        variables = TABLES[i];
        for (size_t n = 0; failed; n++) {
            struct err err = {0};
            enum err_code rc;

            fail_alloc_at(n);
            rc = whole_course(world, &err);
            failed = fail_alloc_stop();
            if (rc != (failed ? ERR_NOMEM : ERR_OK))
                fail_msg("allocation %zu: code %d, %s", n, (int)rc, err.msg);
            aws_client_free(world->client);
        }
        assert_true(fail_alloc_count() > 5);
    }
    world->client = NULL;
}

static void test_aws_client_free__accepts_null(void **state)
{
    (void)state;
    aws_client_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_aws_client_region__makes_each_region_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_region__refuses_what_is_no_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_region__reports_a_wrong_endpoint, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_sign__agrees_with_botocore_and_openssl, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(test_aws_client_sign__needs_credentials,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_sign__derives_a_key_per_region_and_day, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_sign__uses_new_credentials_at_once, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_signed_release__leaves_no_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__says_what_it_looked_for, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__asks_the_container, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__sends_no_empty_header, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__prefers_the_environment, set_up,
            tear_down),
        cmocka_unit_test(test_aws_client_load_credentials__keeps_lasting_ones),
        cmocka_unit_test(test_aws_client_load_credentials__tries_three_times),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__ends_at_the_deadline, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__waits_two_seconds_a_try, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__bounds_the_document, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_load_credentials__uses_what_is_left, set_up,
            tear_down),
        cmocka_unit_test(test_aws_client_observe_clock__follows_the_sdk_rule),
        cmocka_unit_test_setup_teardown(
            test_aws_client_observe_clock__moves_the_next_stamp, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_aws_client_new__and_all_after_survive_no_memory, set_up,
            tear_down),
        cmocka_unit_test(test_aws_client_free__accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
