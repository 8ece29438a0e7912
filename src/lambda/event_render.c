#include "lambda/event.h"

#include <errno.h>

#include <jansson.h>

#include "base/json_text.h"
#include "dump_private.h"
#include "event_private.h"

/* Appends separator"key":value, or nothing when value is NULL. */
static enum err_code add_member(struct buf *out, const char *separator,
                                const char *key, const json_t *value,
                                struct err *err)
{
    if (!value)
        return ERR_OK;
    buf_addf(out, "%s\"%s\":", separator, key);
    return dump_append(out, value, err);
}

bool event_escapes_body(const struct call *call, bool raw_body)
{
    switch (call->envelope) {
    case ENVELOPE_API_SCHEMA:
        return !raw_body;
    case ENVELOPE_FUNCTION:
        return true;
    case ENVELOPE_GATEWAY:
    case ENVELOPE_PLAIN:
        return false;
    }
    return false;
}

/* The members of event called keys that have come; the first key always has:
 * event_parse() saw to it. */
static enum err_code add_echo(struct buf *out, const json_t *event,
                              const char *const *keys, struct err *err)
{
    enum err_code rc = ERR_OK;

    for (size_t i = 0; keys[i] && !rc; i++)
        rc = add_member(out, i ? "," : "", keys[i],
                        json_object_get(event, keys[i]), err);
    return rc;
}

static enum err_code add_session(struct buf *out, const json_t *event,
                                 struct err *err)
{
    static const char *const KEYS[] = {"sessionAttributes",
                                       "promptSessionAttributes"};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]) && !rc; i++) {
        const json_t *value = json_object_get(event, KEYS[i]);

        if (json_is_object(value))
            rc = add_member(out, ",", KEYS[i], value, err);
    }
    return rc;
}

static enum err_code add_api_response(const struct call *call,
                                      const struct event_answer *answer,
                                      struct buf *out, struct err *err)
{
    static const char *const KEYS[] = {"actionGroup", "apiPath", "httpMethod",
                                       NULL};
    enum err_code rc = add_echo(out, call->event, KEYS, err);

    if (rc)
        return rc;
    buf_addf(out,
             ",\"httpStatusCode\":%d,\"responseBody\":{"
             "\"application/json\":{\"body\":",
             answer->http_status);
    if (answer->raw_body)
        buf_add_span(out, answer->body);
    else
        json_text_string(out, answer->body);
    buf_add_str(out, "}}");
    return ERR_OK;
}

static enum err_code add_function_response(const struct call *call,
                                           const struct event_answer *answer,
                                           struct buf *out, struct err *err)
{
    static const char *const KEYS[] = {"actionGroup", "function", NULL};
    enum err_code rc = add_echo(out, call->event, KEYS, err);

    if (rc)
        return rc;
    buf_add_str(out, ",\"functionResponse\":{");
    if (answer->http_status / 100 == 4)
        buf_add_str(out, "\"responseState\":\"REPROMPT\",");
    buf_add_str(out, "\"responseBody\":{\"TEXT\":{\"body\":");
    json_text_string(out, answer->body);
    buf_add_str(out, "}}}");
    return ERR_OK;
}

enum err_code event_render(const struct call *call,
                           const struct event_answer *answer, struct buf *out,
                           struct err *err)
{
    enum err_code rc = ERR_OK;

    buf_reset(out);
    if (call->envelope == ENVELOPE_GATEWAY ||
        call->envelope == ENVELOPE_PLAIN) {
        buf_add_span(out, answer->body);
        return buf_check(out, "event: answer", err);
    }
    buf_add_str(out, "{\"messageVersion\":\"1.0\",\"response\":{");
    if (call->envelope == ENVELOPE_FUNCTION)
        rc = add_function_response(call, answer, out, err);
    else
        rc = add_api_response(call, answer, out, err);
    if (rc)
        return rc;
    buf_add_char(out, '}');
    rc = add_session(out, call->event, err);
    if (rc)
        return rc;
    buf_add_char(out, '}');
    return buf_check(out, "event: answer", err);
}

/* {"tool": …, "arguments": {…}}; NULL when out of memory, or when a text is
 * not UTF-8, which the caller tells from errno. */
static json_t *plain_event(struct span tool,
                           const struct criteria_text *parameters)
{
    json_t *arguments = json_object();
    json_t *event = json_pack("{s:s%, s:o}", "tool", tool.p, tool.len,
                              "arguments", arguments);

    for (size_t i = 0; event && i < EVENT_NPARAMETERS; i++) {
        const struct span *text =
            (const struct span *)(const void *)((const char *)parameters +
                                                EVENT_PARAMETERS[i].offset);

        if (text->len &&
            json_object_set_new(arguments, EVENT_PARAMETERS[i].name,
                                json_stringn(text->p, text->len))) {
            json_decref(event);
            event = NULL;
        }
    }
    return event;
}

enum err_code event_write(struct span tool,
                          const struct criteria_text *parameters,
                          struct buf *out, struct err *err)
{
    json_t *event;
    enum err_code rc;

    buf_reset(out);
    errno = 0;
    event = plain_event(tool, parameters);
    if (!event && errno != ENOMEM)
        return err_set(err, ERR_ARG, "a parameter is not UTF-8");
    if (!event)
        return err_nomem(err, "event");
    rc = dump_append(out, event, err);
    json_decref(event);
    return rc ? rc : buf_check(out, "event", err);
}
