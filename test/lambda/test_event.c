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
    size_t expect_len = 0;
    char *event = read_file(name, "event.json", &len);
    char *text = read_file(name, "expect.json", &expect_len);
    json_t *expect = json_loadb(text, expect_len, JSON_ALLOW_NUL, NULL);
    struct call call = {0};
    struct err err = {0};
    enum err_code rc;

    if (!event || !expect)
        fail_msg("%s: event.json or expect.json is missing or bad", name);
    rc = event_parse((struct span){event, len}, &call, &err);
    free(event);
    if (json_object_get(expect, "error_begins")) {
        check_error(name, rc, &err, expect);
        assert_null(call.event);
    } else {
        if (rc)
            fail_msg("%s: %s", name, err.msg);
        if (!span_eq(call.api_path, text_at(expect, "api_path")))
            fail_msg("%s: path %.*s", name, SPAN_ARG(call.api_path));
        if (!span_eq(call.regions, text_at(expect, "regions")))
            fail_msg("%s: regions %.*s", name, SPAN_ARG(call.regions));
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
    assert_true(n > 40);
}

/* The text in a block of the exact size, so that reading on is seen. */
static enum err_code parse_exactly(const char *text, size_t len,
                                   struct call *out, struct err *err)
{
    char *block = malloc(len);
    enum err_code rc;

    if (len)
        memcpy(block, text, len);
    rc = event_parse((struct span){block, len}, out, err);
    free(block);
    return rc;
}

static const char EVENT[] =
    "{\"actionGroup\":\"ec2\",\"apiPath\":\"/count/{regions}\","
    "\"parameters\":[{\"name\":\"regions\",\"value\":[\"us-east-1\","
    "\"eu-west-1\"]}],\"sessionAttributes\":{\"user\":\"alice\"}}";

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
    assert_int_equal(event_parse((struct span){NULL, 0}, &call, &err),
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
        event_parse((struct span){text, EVENT_SIZE_MAX + 1}, &call, &err),
        ERR_LIMIT);
    assert_string_equal(err.msg, "event: longer than 6291556 bytes");
    assert_null(call.event);
    free(text);

    err = (struct err){0};
    text = event_of(EVENT_SIZE_MAX);
    assert_int_equal(
        event_parse((struct span){text, EVENT_SIZE_MAX}, &call, &err), ERR_OK);
    assert_int_equal(call.api_path.len, EVENT_PATH_MAX);
    call_release(&call);
    free(text);
}

static void test_event_parse__cuts_a_path_between_characters(void **state)
{
    /* U+2603 is three bytes: the last one begins at 1023, and must go. */
    char text[64 + 1100];
    size_t len = (size_t)snprintf(text, sizeof(text),
                                  "{\"actionGroup\":\"\",\"apiPath\":\"");
    struct call call = {0};
    struct err err = {0};

    (void)state;
    for (int i = 0; i < 350; i++, len += 3)
        memcpy(text + len, "\xE2\x98\x83", 3);
    memcpy(text + len, "\"}", 2);
    assert_int_equal(parse_exactly(text, len + 2, &call, &err), ERR_OK);
    assert_int_equal(call.api_path.len, 1023);
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

/*
 * jansson 2.14 tells some failed allocations as a syntax error, and one not at
 * all: when there is no room for a longer text (src/load.c, lex_save()) it
 * loses a character of it.
 */
static void test_event_parse__survives_every_failed_allocation(void **state)
{
    size_t n = 0;
    size_t nunseen = 0;
    bool failed = true;

    (void)state;
    for (; failed; n++) {
        struct call call = {0};
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = event_parse(span_of(EVENT), &call, &err);
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
    assert_true(n > 30);
    assert_true(nunseen <= 1);
}

static void test_event_render__reports_every_failed_allocation(void **state)
{
    const struct event_answer answer = {200, SPAN_LIT("[]"), false};
    struct call call = {0};
    struct err err = {0};
    enum err_code rc;
    size_t n;

    (void)state;
    assert_int_equal(event_parse(span_of(EVENT), &call, &err), ERR_OK);
    for (n = 0;; n++) {
        struct buf out = BUF_INIT(1024);
        bool failed;

        err = (struct err){0};
        fail_alloc_at(n);
        rc = event_render(&call, &answer, &out, &err);
        failed = fail_alloc_stop();
        buf_release(&out);
        if (!failed)
            break;
        assert_int_equal(rc, ERR_NOMEM);
        assert_non_null(strstr(err.msg, "out of memory"));
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 1);
    call_release(&call);
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
        cmocka_unit_test(test_event_parse__cuts_a_path_between_characters),
        cmocka_unit_test(test_event_render__says_when_the_answer_is_too_long),
        cmocka_unit_test(test_event_parse__survives_every_failed_allocation),
        cmocka_unit_test(test_event_render__reports_every_failed_allocation),
        cmocka_unit_test(test_call_release__accepts_the_empty_value),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
