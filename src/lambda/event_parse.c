#include "lambda/event.h"

#include <errno.h>

#include <jansson.h>

#include "event_private.h"

#define EXPECTED                                                               \
    "expected a Bedrock agent's event (actionGroup), a call by an AgentCore "  \
    "Gateway, or {\"tool\": \"count_instances\", \"arguments\": {}}"

#define TOOL_KEY "bedrockAgentCoreToolName"

/* A quotation of the event may hold what would break a line of text. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
}

enum err_code event_load(struct span text, json_t **out, json_error_t *why,
                         struct err *err)
{
    *why = (json_error_t){0};
    errno = 0;
    *out = json_loadb(text.p ? text.p : "", text.len,
                      JSON_DECODE_ANY | JSON_ALLOW_NUL, why);
    /* jansson 2.14 says nothing, or "invalid token", when an allocation
     * failed, and goes on without a byte when a text cannot grow. */
    if (errno == ENOMEM || (!*out && !why->text[0])) {
        json_decref(*out);
        *out = NULL;
        return err_nomem(err, "event");
    }
    return *out ? ERR_OK : ERR_PARSE;
}

struct span event_text(const json_t *value)
{
    return (struct span){json_string_value(value), json_string_length(value)};
}

struct span event_cut_name(struct span s)
{
    size_t len = EVENT_NAME_MAX;

    if (s.len <= len)
        return s;
    while (len && ((unsigned char)s.p[len] & 0xC0) == 0x80)
        len--;
    return (struct span){s.p, len};
}

/* Takes the tool's name from the client context, which a gateway sets. */
static enum err_code read_context(struct span context, struct call *call,
                                  bool *is_gateway, struct err *err)
{
    json_error_t why;
    json_t *root = NULL;
    const json_t *tool;
    enum err_code rc = ERR_OK;

    *is_gateway = false;
    if (!context.len)
        return ERR_OK;
    rc = event_load(context, &root, &why, err);
    if (rc)
        return rc == ERR_PARSE ? ERR_OK : rc;
    tool = json_object_get(json_object_get(root, "custom"), TOOL_KEY);
    if (json_is_string(tool)) {
        *is_gateway = true;
        call->envelope = ENVELOPE_GATEWAY;
        call->name = arena_copy(&call->made, event_cut_name(event_text(tool)));
        if (!call->name.p)
            rc = err_nomem(err, "event");
    }
    json_decref(root);
    return rc;
}

static enum err_code refuse_envelope(const json_t *event, struct err *err)
{
    if (!json_is_object(event))
        return err_set(err, ERR_PARSE, "event: not an object: " EXPECTED);
    if (json_object_get(event, "actionGroup"))
        return err_set(err, ERR_PARSE,
                       "event: actionGroup is not text: " EXPECTED);
    if (json_object_get(event, "tool"))
        return err_set(err, ERR_PARSE, "event: tool is not text: " EXPECTED);
    return err_set(err, ERR_PARSE,
                   "event: neither actionGroup nor tool: " EXPECTED);
}

/* Tells the envelopes apart that an event shows by itself. */
static enum err_code recognise(struct call *call, struct err *err)
{
    const json_t *event = call->event;
    const char *name = "tool";

    if (json_is_string(json_object_get(event, "actionGroup"))) {
        bool is_function = json_object_get(event, "function") &&
                           !json_object_get(event, "apiPath");

        call->envelope = is_function ? ENVELOPE_FUNCTION : ENVELOPE_API_SCHEMA;
        name = is_function ? "function" : "apiPath";
    } else if (json_is_string(json_object_get(event, "tool"))) {
        call->envelope = ENVELOPE_PLAIN;
    } else {
        return refuse_envelope(event, err);
    }
    call->name = event_cut_name(event_text(json_object_get(event, name)));
    return ERR_OK;
}

/* Who forgets "arguments" must not be answered as if nothing had been asked
 * for. */
static enum err_code check_plain(const json_t *event, struct err *err)
{
    if (json_object_get(event, "arguments"))
        return ERR_OK;
    for (size_t i = 0; i < EVENT_NPARAMETERS; i++)
        if (json_object_get(event, EVENT_PARAMETERS[i].name))
            return err_set(err, ERR_ARG,
                           "%s stands beside \"tool\"; put it into "
                           "\"arguments\", such as {\"tool\": \"...\", "
                           "\"arguments\": {\"%s\": \"...\"}}",
                           EVENT_PARAMETERS[i].name, EVENT_PARAMETERS[i].name);
    return ERR_OK;
}

static enum err_code read_arguments(struct call *call, struct err *err)
{
    json_t *arguments = NULL;
    enum err_code rc = ERR_OK;

    switch (call->envelope) {
    case ENVELOPE_API_SCHEMA:
    case ENVELOPE_FUNCTION:
        break;
    case ENVELOPE_GATEWAY:
        arguments = call->event;
        break;
    case ENVELOPE_PLAIN:
        arguments = json_object_get(call->event, "arguments");
        rc = check_plain(call->event, err);
        break;
    }
    if (rc)
        return rc;
    if (arguments && !json_is_object(arguments) && !json_is_null(arguments))
        return err_set(err, ERR_ARG,
                       "the arguments are not a JSON object, such as "
                       "{\"regions\": \"all\"}");
    return event_read_parameters(call, arguments, err);
}

enum err_code event_parse(const struct event_source *source, struct call *out,
                          struct err *err)
{
    json_error_t why;
    bool is_gateway = false;
    enum err_code rc;

    /* As JSON everything takes more bytes than what is made of it, but for
     * the rounding of pieces. */
    *out = (struct call){.made = ARENA_INIT(2 * EVENT_SIZE_MAX)};
    if (source->json.len > EVENT_SIZE_MAX) {
        rc = err_set(err, ERR_LIMIT, "event: longer than %zu bytes",
                     EVENT_SIZE_MAX);
        goto out;
    }
    rc = read_context(source->client_context, out, &is_gateway, err);
    if (rc)
        goto out;
    rc = event_load(source->json, &out->event, &why, err);
    if (rc == ERR_PARSE) {
        make_one_line(why.text);
        rc = err_set(err, is_gateway ? ERR_ARG : ERR_PARSE,
                     "event: not JSON: %s at line %d column %d", why.text,
                     why.line, why.column);
    }
    if (rc)
        goto out;
    if (!is_gateway)
        rc = recognise(out, err);
    if (!rc)
        rc = read_arguments(out, err);

out:
    if (rc && rc != ERR_ARG)
        call_release(out);
    return rc;
}

void call_release(struct call *call)
{
    json_decref(call->event);
    arena_release(&call->made);
    *call = (struct call){0};
}
