#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/event.h"
#include "support/fail_alloc.h"

/* See the README.md there. */
#define CASES "test/fixtures/event"

/* The file's bytes in a block of the exact size; NULL: there is none. */
static char *read_file(const char *folder, const char *name, size_t *len)
{
    char path[512];
    FILE *in;
    char *data;
    long size;

    (void)snprintf(path, sizeof(path), CASES "/%s/%s", folder, name);
    in = fopen(path, "rb");
    if (!in)
        return NULL;
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    size = ftell(in);
    assert_true(size >= 0);
    rewind(in);
    *len = (size_t)size;
    data = malloc(*len);
    assert_int_equal(fread(data, 1, *len, in), *len);
    (void)fclose(in);
    return data;
}

static struct span text_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return (struct span){json_string_value(value), json_string_length(value)};
}

static bool ends_with(const char *text, struct span end)
{
    size_t len = strlen(text);

    return len >= end.len && memcmp(text + len - end.len, end.p, end.len) == 0;
}

static void check_error(const char *name, enum err_code rc,
                        const struct err *err, const json_t *expect)
{
    const char *begins = text_at(expect, "error_begins").p;
    struct span ends = text_at(expect, "error_ends");

    if (rc != ERR_PARSE || strncmp(err->msg, begins, strlen(begins)) != 0 ||
        (ends.len && !ends_with(err->msg, ends)) || strchr(err->msg, '\n'))
        fail_msg("%s: code %d, \"%s\"", name, (int)rc, err->msg);
    for (const char *p = err->msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            fail_msg("%s: control character in the text", name);
}

static const char *const ENVELOPE_NAMES[] = {
    [ENVELOPE_API_SCHEMA] = "api-schema",
    [ENVELOPE_FUNCTION] = "function",
    [ENVELOPE_GATEWAY] = "gateway",
    [ENVELOPE_PLAIN] = "plain",
};

static void check_call(const char *name, const struct call *call,
                       const json_t *expect)
{
    const struct {
        const char *key;
        struct span got;
    } texts[] = {
        {"name", call->name},
        {"unknown", call->unknown},
        {"regions", call->parameters.regions},
        {"states", call->parameters.states},
        {"tag", call->parameters.tag},
        {"port", call->parameters.port},
        {"query", call->parameters.query},
        {"after", call->parameters.after},
    };
    struct span envelope = text_at(expect, "envelope");

    if (!envelope.len)
        envelope = SPAN_LIT("api-schema");
    if (!span_eq_str(envelope, ENVELOPE_NAMES[call->envelope]))
        fail_msg("%s: envelope %s", name, ENVELOPE_NAMES[call->envelope]);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!span_eq(texts[i].got, text_at(expect, texts[i].key)))
            fail_msg("%s: %s \"%.*s\"", name, texts[i].key,
                     SPAN_ARG(texts[i].got));
}

/* A failure that the envelope carries, or none. */
static void check_code(const char *name, enum err_code rc,
                       const struct err *err, const json_t *expect)
{
    struct span whole = text_at(expect, "arg_error");
    struct span begins = text_at(expect, "arg_error_begins");

    if (rc != (whole.len || begins.len ? ERR_ARG : ERR_OK))
        fail_msg("%s: code %d, \"%s\"", name, (int)rc, err->msg);
    if ((whole.len && !span_eq_str(whole, err->msg)) ||
        (begins.len && !span_starts_with(span_of(err->msg), begins.p)))
        fail_msg("%s: \"%s\"", name, err->msg);
}

static void check_answer(const char *name, const struct call *call,
                         const json_t *expect)
{
    struct event_answer answer = {
        .http_status =
            (int)json_integer_value(json_object_get(expect, "status")),
        .body = text_at(expect, "body"),
        .raw_body = json_is_true(json_object_get(expect, "raw")),
    };
    struct buf out = BUF_INIT(EVENT_SIZE_MAX);
    struct err err = {0};
    size_t len = 0;
    char *wanted = read_file(name, "answer.json", &len);

    assert_non_null(wanted);
    buf_add_str(&out, "left over");
    if (event_render(call, &answer, &out, &err))
        fail_msg("%s: %s", name, err.msg);
    if (!span_eq(buf_span(&out), span_trim((struct span){wanted, len})))
        fail_msg("%s: %s", name, out.data);
    buf_release(&out);
    free(wanted);
}

static void check_case(const char *name)
{
    size_t len = 0;
    size_t context_len = 0;
    size_t expect_len = 0;
    char *event = read_file(name, "event.json", &len);
    char *context = read_file(name, "context.json", &context_len);
    char *text = read_file(name, "expect.json", &expect_len);
    json_t *expect = json_loadb(text, expect_len, JSON_ALLOW_NUL, NULL);
    const struct event_source source = {{event, len}, {context, context_len}};
    struct call call = {0};
    struct err err = {0};
    enum err_code rc;

    if (!event || !expect)
        fail_msg("%s: event.json or expect.json is missing or bad", name);
    rc = event_parse(&source, &call, &err);
    free(context);
    free(event);
    if (json_object_get(expect, "error_begins")) {
        check_error(name, rc, &err, expect);
        assert_null(call.event);
    } else {
        check_code(name, rc, &err, expect);
        check_call(name, &call, expect);
        check_answer(name, &call, expect);
    }
    call_release(&call);
    json_decref(expect);
    free(text);
}

static void test_event__cases_of_the_fixtures(void **state)
{
    DIR *dir = opendir(CASES);
    const struct dirent *entry;
    size_t n = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (strchr(entry->d_name, '.'))
            continue;
        check_case(entry->d_name);
        n++;
    }
    (void)closedir(dir);
    assert_true(n > 90);
}

/* The text in a block of the exact size, so that reading on is seen. */
static enum err_code parse_exactly(const char *text, size_t len,
                                   struct call *out, struct err *err)
{
    char *block = malloc(len);
    enum err_code rc;

    if (len)
        memcpy(block, text, len);
    rc = event_parse(&(struct event_source){.json = {block, len}}, out, err);
    free(block);
    return rc;
}

#define TEXT(s)                                                                \
    {                                                                          \
        s, sizeof(s) - 1                                                       \
    }

#define EVENT                                                                  \
    "{\"actionGroup\":\"ec2\",\"apiPath\":\"/count/{regions}\","               \
    "\"parameters\":[{\"name\":\"regions\",\"value\":[\"us-east-1\","          \
    "\"eu-west-1\"]}],\"sessionAttributes\":{\"user\":\"alice\"}}"

static void test_event_parse__refuses_every_event_cut_short(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(EVENT) - 1; len++) {
        struct call call = {0};
        struct err err = {0};

        if (parse_exactly(EVENT, len, &call, &err) != ERR_PARSE)
            fail_msg("the first %zu bytes", len);
        assert_null(call.event);
    }
}

static void test_event_parse__accepts_an_empty_span_as_no_json(void **state)
{
    struct call call = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(event_parse(&(struct event_source){0}, &call, &err),
                     ERR_PARSE);
    call_release(&call);
}

/* {"actionGroup":"ec2","apiPath":"xx…x"} of len bytes in all. */
static char *event_of(size_t len)
{
    static const char HEAD[] = "{\"actionGroup\":\"ec2\",\"apiPath\":\"";
    char *text = malloc(len);

    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, HEAD, sizeof(HEAD) - 1);
    text[len - 2] = '"';
    text[len - 1] = '}';
    return text;
}

static void test_event_parse__takes_the_largest_event_and_no_more(void **state)
{
    char *text = event_of(EVENT_SIZE_MAX + 1);
    struct call call = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(
        event_parse(&(struct event_source){.json = {text, EVENT_SIZE_MAX + 1}},
                    &call, &err),
        ERR_LIMIT);
    assert_string_equal(err.msg, "event: longer than 6291556 bytes");
    assert_null(call.event);
    free(text);

    err = (struct err){0};
    text = event_of(EVENT_SIZE_MAX);
    assert_int_equal(
        event_parse(&(struct event_source){.json = {text, EVENT_SIZE_MAX}},
                    &call, &err),
        ERR_OK);
    assert_int_equal(call.name.len, EVENT_NAME_MAX);
    call_release(&call);
    free(text);
}

static void test_event_parse__cuts_a_name_between_characters(void **state)
{
    /* U+2603 is three bytes: the last one begins at 255, and must go. */
    char text[64 + 300];
    size_t len = (size_t)snprintf(text, sizeof(text),
                                  "{\"actionGroup\":\"\",\"apiPath\":\"");
    struct call call = {0};
    struct err err = {0};

    (void)state;
    for (int i = 0; i < 90; i++, len += 3)
        memcpy(text + len, "\xE2\x98\x83", 3);
    memcpy(text + len, "\"}", 2);
    assert_int_equal(parse_exactly(text, len + 2, &call, &err), ERR_OK);
    assert_int_equal(call.name.len, 255);
    call_release(&call);
}

static void test_event_render__says_when_the_answer_is_too_long(void **state)
{
    /* The size of the envelope for EVENT around "[]", counted by hand:
     * {"messageVersion":"1.0","response":{                              36
     * "actionGroup":"ec2","apiPath":"/count/{regions}",                 49
     * "httpStatusCode":200,"responseBody":                              36
     * {"application/json":{"body":"[]"}}},                              36
     * "sessionAttributes":{"user":"alice"}}                             37 */
    const size_t whole = 36 + 49 + 36 + 36 + 37;
    const struct event_answer answer = {200, SPAN_LIT("[]"), false};
    struct call call = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(parse_exactly(EVENT, sizeof(EVENT) - 1, &call, &err),
                     ERR_OK);
    for (size_t max = 0; max <= whole; max++) {
        struct buf out = buf_of(max);
        enum err_code rc;

        err = (struct err){0};
        rc = event_render(&call, &answer, &out, &err);
        if (rc != (max < whole ? ERR_LIMIT : ERR_OK))
            fail_msg("%zu bytes: code %d %s", max, (int)rc, err.msg);
        buf_release(&out);
    }
    call_release(&call);
}

/* Events whose parts need allocations of every kind. */
static const struct event_source SOURCES[] = {
    {.json = TEXT(EVENT)},
    {.json = TEXT("{\"regions\":\"['a', <item>b</item>]\",\"port\":22.0}"),
     .client_context =
         TEXT("{\"custom\":{\"bedrockAgentCoreToolName\":\"t___x\"}}")},
    {.json = TEXT("{\"tool\":\"x\",\"arguments\":{\"states\":"
                  "\"[\\\"running\\\"]\",\"regions\":[\"a\"]}}")},
};
#define NSOURCES (sizeof(SOURCES) / sizeof(SOURCES[0]))

/*
 * jansson 2.14 tells some failed allocations as a syntax error, and one not at
 * all: when there is no room for a longer text (src/load.c, lex_save()) it
 * loses a character of it.
 */
static void survive_failed_allocations(const struct event_source *source)
{
    size_t n = 0;
    size_t nunseen = 0;
    bool failed = true;

    for (; failed; n++) {
        struct call call = {0};
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = event_parse(source, &call, &err);
        failed = fail_alloc_stop();
        if (!failed)
            assert_int_equal(rc, ERR_OK);
        else if (!rc)
            nunseen++;
        else
            assert_true(rc == ERR_NOMEM || rc == ERR_PARSE);
        assert_true(!rc == !!call.event);
        call_release(&call);
    }
    assert_true(n > 20);
    assert_true(nunseen <= 1);
}

static void test_event_parse__survives_every_failed_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < NSOURCES; i++)
        survive_failed_allocations(&SOURCES[i]);
}

/* Renders until no allocation fails any more; how many there were. */
static size_t render_with_failures(const struct call *call)
{
    const struct event_answer answer = {400, SPAN_LIT("[]"), false};

    for (size_t n = 0;; n++) {
        struct buf out = BUF_INIT(1024);
        struct err err = {0};
        enum err_code rc;
        bool failed;

        fail_alloc_at(n);
        rc = event_render(call, &answer, &out, &err);
        failed = fail_alloc_stop();
        buf_release(&out);
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (!failed)
            return n;
        assert_non_null(strstr(err.msg, "out of memory"));
    }
}

static void test_event_render__reports_every_failed_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < NSOURCES; i++) {
        struct call call = {0};

        assert_int_equal(event_parse(&SOURCES[i], &call, NULL), ERR_OK);
        assert_true(render_with_failures(&call) >= 1);
        call_release(&call);
    }
}

static void test_event_escapes_body__where_it_is_inside_a_text(void **state)
{
    struct call call = {.envelope = ENVELOPE_API_SCHEMA};

    (void)state;
    assert_true(event_escapes_body(&call, false));
    assert_false(event_escapes_body(&call, true));
    call.envelope = ENVELOPE_FUNCTION;
    assert_true(event_escapes_body(&call, true));
    call.envelope = ENVELOPE_GATEWAY;
    assert_false(event_escapes_body(&call, false));
    call.envelope = ENVELOPE_PLAIN;
    assert_false(event_escapes_body(&call, false));
}

static const struct criteria_text WRITTEN = {
    .regions = TEXT("us-*,!us-west-1"),
    .tag = TEXT("Owner=\"\\\n\xE2\x98\x83"),
    .after = TEXT("us-east-1/i-0a"),
};

static void test_event_write__makes_an_event_that_is_read_back(void **state)
{
    struct buf out = BUF_INIT(1024);
    struct call call = {0};

    (void)state;
    buf_add_str(&out, "left over");
    assert_int_equal(event_write(SPAN_LIT("find_instances"),
                                 &(struct criteria_text){0}, &out, NULL),
                     ERR_OK);
    assert_string_equal(out.data,
                        "{\"tool\":\"find_instances\",\"arguments\":{}}");
    assert_int_equal(event_write(SPAN_LIT("a\"b"), &WRITTEN, &out, NULL),
                     ERR_OK);
    assert_string_equal(out.data, "{\"tool\":\"a\\\"b\",\"arguments\":{"
                                  "\"regions\":\"us-*,!us-west-1\","
                                  "\"tag\":\"Owner=\\\"\\\\\\n\xE2\x98\x83\","
                                  "\"after\":\"us-east-1/i-0a\"}}");
    assert_int_equal(parse_exactly(out.data, out.len, &call, NULL), ERR_OK);
    assert_int_equal(call.envelope, ENVELOPE_PLAIN);
    assert_true(span_eq(call.parameters.tag, WRITTEN.tag));
    call_release(&call);
    buf_release(&out);
}

static void test_event_write__refuses_what_is_not_utf_8(void **state)
{
    const struct criteria_text bad = {.query = TEXT("caf\xE9")};
    struct buf out = BUF_INIT(1024);
    struct err err = {0};

    (void)state;
    assert_int_equal(event_write(SPAN_LIT("x"), &bad, &out, &err), ERR_ARG);
    assert_string_equal(err.msg, "a parameter is not UTF-8");
    err = (struct err){0};
    assert_int_equal(event_write(SPAN_LIT("\xFF"), &WRITTEN, &out, &err),
                     ERR_ARG);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

static void test_event_write__reports_every_failed_allocation(void **state)
{
    bool failed = true;
    size_t n = 0;

    (void)state;
    for (; failed; n++) {
        struct buf out = BUF_INIT(1024);
        enum err_code rc;

        fail_alloc_at(n);
        rc = event_write(SPAN_LIT("x"), &WRITTEN, &out, NULL);
        failed = fail_alloc_stop();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        buf_release(&out);
    }
    assert_true(n > 8);
}

static void test_call_release__accepts_the_empty_value(void **state)
{
    struct call call = {0};

    (void)state;
    call_release(&call);
    call_release(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event__cases_of_the_fixtures),
        cmocka_unit_test(test_event_parse__refuses_every_event_cut_short),
        cmocka_unit_test(test_event_parse__accepts_an_empty_span_as_no_json),
        cmocka_unit_test(test_event_parse__takes_the_largest_event_and_no_more),
        cmocka_unit_test(test_event_parse__cuts_a_name_between_characters),
        cmocka_unit_test(test_event_render__says_when_the_answer_is_too_long),
        cmocka_unit_test(test_event_parse__survives_every_failed_allocation),
        cmocka_unit_test(test_event_render__reports_every_failed_allocation),
        cmocka_unit_test(test_event_escapes_body__where_it_is_inside_a_text),
        cmocka_unit_test(test_event_write__makes_an_event_that_is_read_back),
        cmocka_unit_test(test_event_write__refuses_what_is_not_utf_8),
        cmocka_unit_test(test_event_write__reports_every_failed_allocation),
        cmocka_unit_test(test_call_release__accepts_the_empty_value),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
