/*
 * An event through event_parse() and event_render(): what is taken from it is
 * UTF-8 and bounded, and the answer is JSON that holds what must be echoed.
 *
 * Input: a byte for the form of the answer, then the event.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/event.h"

/* Every character that is escaped in a JSON text, twice over. */
#define BODY "[{\"r\":\"\\u00e9\\t\\\"\\\\ \xc3\xa9\"},\n\r\t1]"

static void check_call(const struct call *call)
{
    FUZZ_CHECK(call->api_path.len <= EVENT_PATH_MAX);
    FUZZ_CHECK(fuzz_is_utf8(call->api_path));
    FUZZ_CHECK(fuzz_is_utf8(call->regions));
}

/* Both have it and it is the same, or neither has it. */
static void check_echo(const json_t *event, const json_t *answer,
                       const char *key, bool objects_only)
{
    const json_t *asked = json_object_get(event, key);
    const json_t *said = json_object_get(answer, key);

    if (objects_only && !json_is_object(asked))
        asked = NULL;
    FUZZ_CHECK(!asked == !said);
    FUZZ_CHECK(!asked || json_equal(asked, said));
}

static void check_body(const json_t *response, bool raw)
{
    const json_t *media = json_object_get(
        json_object_get(response, "responseBody"), "application/json");
    const json_t *body = json_object_get(media, "body");

    if (raw) {
        FUZZ_CHECK(json_array_size(body) == 2);
        return;
    }
    FUZZ_CHECK(json_string_length(body) == sizeof(BODY) - 1);
    FUZZ_CHECK(memcmp(json_string_value(body), BODY, sizeof(BODY) - 1) == 0);
}

static void check_answer(struct span json, struct span text, bool raw)
{
    json_t *event = json_loadb(json.p, json.len, JSON_ALLOW_NUL, NULL);
    json_t *answer = json_loadb(text.p, text.len, JSON_ALLOW_NUL, NULL);
    const json_t *response = json_object_get(answer, "response");
    const json_t *version = json_object_get(answer, "messageVersion");

    FUZZ_CHECK(event && answer);
    FUZZ_CHECK(fuzz_is_utf8(text));
    FUZZ_CHECK(version && strcmp(json_string_value(version), "1.0") == 0);
    check_echo(event, response, "actionGroup", false);
    check_echo(event, response, "apiPath", false);
    check_echo(event, response, "httpMethod", false);
    check_echo(event, answer, "sessionAttributes", true);
    check_echo(event, answer, "promptSessionAttributes", true);
    FUZZ_CHECK(
        json_integer_value(json_object_get(response, "httpStatusCode")) == 200);
    check_body(response, raw);
    json_decref(answer);
    json_decref(event);
}

static void render(const struct call *call, struct span json, unsigned how)
{
    const struct event_answer answer = {
        .http_status = 200,
        .body = SPAN_LIT(BODY),
        .raw_body = how & 1,
    };
    struct buf out = BUF_INIT(how & 2 ? (size_t)how * 4 : EVENT_SIZE_MAX);
    struct err err = {0};
    enum err_code rc = event_render(call, &answer, &out, &err);

    FUZZ_CHECK(rc == ERR_OK || rc == ERR_LIMIT);
    FUZZ_CHECK(out.len <= out.max);
    if (rc)
        FUZZ_CHECK(how & 2 && err.code == rc);
    else
        check_answer(json, buf_span(&out), answer.raw_body);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    unsigned how = fuzz_byte(&in);
    char *block = fuzz_block(in);
    struct span json = {block, in.len};
    struct call call = {0};
    struct err err = {0};
    enum err_code rc = event_parse(json, &call, &err);

    if (rc) {
        FUZZ_CHECK(rc == ERR_PARSE && err.code == rc);
        FUZZ_CHECK(!fuzz_has_control(span_of(err.msg)));
        FUZZ_CHECK(!call.event && !call.regions.p && !call.api_path.p);
    } else {
        check_call(&call);
        render(&call, json, how);
    }
    call_release(&call);
    free(block);
    return 0;
}
