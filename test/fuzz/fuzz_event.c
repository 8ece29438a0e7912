/*
 * An event through event_parse() and event_render(): what is taken from it is
 * UTF-8 and bounded, and the answer is JSON that holds what must be echoed, in
 * each of the four envelopes.
 *
 * Input: a byte for the form of the answer and for whether there is a client
 * context; that context up to a line feed, if so; then the event.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lambda/event.h"

/* Every character that is escaped in a JSON text, twice over. */
#define BODY "[{\"r\":\"\\u00e9\\t\\\"\\\\ \xc3\xa9\"},\n\r\t1]"

/* What the first byte says. */
enum form {
    FORM_RAW = 1,
    FORM_SHORT = 2, /* room for four times the byte */
    FORM_CONTEXT = 4,
    FORM_REFUSAL = 8,
};

static void check_call(const struct call *call)
{
    const struct span texts[] = {
        call->name,
        call->unknown,
        call->parameters.regions,
        call->parameters.states,
        call->parameters.tag,
        call->parameters.port,
        call->parameters.query,
        call->parameters.after,
    };

    FUZZ_CHECK(call->name.len <= EVENT_NAME_MAX);
    FUZZ_CHECK(call->unknown.len <= EVENT_NAME_MAX);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        FUZZ_CHECK(fuzz_is_utf8(texts[i]));
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

static void check_body(const json_t *content, const char *type, bool raw)
{
    const json_t *media = json_object_get(content, type);
    const json_t *body = json_object_get(media, "body");

    if (raw) {
        FUZZ_CHECK(json_array_size(body) == 2);
        return;
    }
    FUZZ_CHECK(json_string_length(body) == sizeof(BODY) - 1);
    FUZZ_CHECK(memcmp(json_string_value(body), BODY, sizeof(BODY) - 1) == 0);
}

static void check_api_response(const json_t *event, const json_t *response,
                               unsigned how)
{
    json_int_t status =
        json_integer_value(json_object_get(response, "httpStatusCode"));

    check_echo(event, response, "apiPath", false);
    check_echo(event, response, "httpMethod", false);
    FUZZ_CHECK(status == (how & FORM_REFUSAL ? 400 : 200));
    check_body(json_object_get(response, "responseBody"), "application/json",
               how & FORM_RAW);
}

static void check_function_response(const json_t *event, const json_t *response,
                                    unsigned how)
{
    const json_t *what = json_object_get(response, "functionResponse");

    check_echo(event, response, "function", false);
    FUZZ_CHECK(!(how & FORM_REFUSAL) ==
               !json_object_get(what, "responseState"));
    check_body(json_object_get(what, "responseBody"), "TEXT", false);
}

static void check_answer(const struct call *call, struct span json,
                         struct span text, unsigned how)
{
    json_t *event = json_loadb(json.p, json.len, JSON_ALLOW_NUL, NULL);
    json_t *answer = json_loadb(text.p, text.len, JSON_ALLOW_NUL, NULL);
    const json_t *response = json_object_get(answer, "response");
    const json_t *version = json_object_get(answer, "messageVersion");

    FUZZ_CHECK(event && answer);
    FUZZ_CHECK(fuzz_is_utf8(text));
    FUZZ_CHECK(version && strcmp(json_string_value(version), "1.0") == 0);
    check_echo(event, response, "actionGroup", false);
    check_echo(event, answer, "sessionAttributes", true);
    check_echo(event, answer, "promptSessionAttributes", true);
    if (call->envelope == ENVELOPE_FUNCTION)
        check_function_response(event, response, how);
    else
        check_api_response(event, response, how);
    json_decref(answer);
    json_decref(event);
}

static void render(const struct call *call, struct span json, unsigned how)
{
    const struct event_answer answer = {
        .http_status = how & FORM_REFUSAL ? 400 : 200,
        .body = SPAN_LIT(BODY),
        .raw_body = how & FORM_RAW,
    };
    struct buf out =
        BUF_INIT(how & FORM_SHORT ? (size_t)how * 4 : EVENT_SIZE_MAX);
    struct err err = {0};
    enum err_code rc = event_render(call, &answer, &out, &err);

    FUZZ_CHECK(rc == ERR_OK || rc == ERR_LIMIT);
    FUZZ_CHECK(out.len <= out.max);
    if (rc)
        FUZZ_CHECK(how & FORM_SHORT && err.code == rc);
    else if (call->envelope == ENVELOPE_GATEWAY ||
             call->envelope == ENVELOPE_PLAIN)
        FUZZ_CHECK(span_eq(buf_span(&out), answer.body));
    else
        check_answer(call, json, buf_span(&out), how);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    unsigned how = fuzz_byte(&in);
    struct span context = {NULL, 0};
    char *block;
    struct event_source source;
    struct call call = {0};
    struct err err = {0};
    enum err_code rc;

    if (how & FORM_CONTEXT)
        context = fuzz_until(&in, '\n');
    block = fuzz_block(in);
    source = (struct event_source){{block, in.len}, context};
    rc = event_parse(&source, &call, &err);
    FUZZ_CHECK(err.code == rc && !fuzz_has_control(span_of(err.msg)));
    if (rc && rc != ERR_ARG) {
        FUZZ_CHECK(rc == ERR_PARSE && !call.event && !call.name.p);
    } else {
        FUZZ_CHECK(!rc || call.envelope == ENVELOPE_GATEWAY ||
                   call.envelope == ENVELOPE_PLAIN);
        check_call(&call);
        render(&call, source.json, how);
    }
    call_release(&call);
    free(block);
    return 0;
}
