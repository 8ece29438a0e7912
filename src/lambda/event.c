#include "lambda/event.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#define EXPECTED "expected a Bedrock agent's action-group event"

/* Stands for an array element that is no text: no region is called that. */
#define NOT_A_NAME "?"

/* A quotation of the event may hold what would break a line of text. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
}

static enum err_code load(struct span json, json_t **out, struct err *err)
{
    json_error_t why = {0};

    if (json.len > EVENT_SIZE_MAX)
        return err_set(err, ERR_LIMIT, "event: longer than %zu bytes",
                       EVENT_SIZE_MAX);
    /* An event may hold U+0000 in a text that does not concern us. */
    errno = 0;
    *out = json_loadb(json.p ? json.p : "", json.len,
                      JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    /* jansson 2.14 says nothing, or "invalid token", when an allocation
     * failed, and goes on without a byte when a text cannot grow. */
    if (errno == ENOMEM || (!*out && !why.text[0])) {
        json_decref(*out);
        *out = NULL;
        return err_nomem(err, "event");
    }
    if (*out)
        return ERR_OK;
    make_one_line(why.text);
    return err_set(err, ERR_PARSE, "event: not JSON: %s at line %d column %d",
                   why.text, why.line, why.column);
}

static enum err_code check_envelope(const json_t *event, struct err *err)
{
    const json_t *group = json_object_get(event, "actionGroup");

    if (!json_is_object(event))
        return err_set(err, ERR_PARSE, "event: not an object: " EXPECTED);
    if (!group)
        return err_set(err, ERR_PARSE, "event: actionGroup missing: " EXPECTED);
    if (!json_is_string(group))
        return err_set(err, ERR_PARSE,
                       "event: actionGroup is not text: " EXPECTED);
    return ERR_OK;
}

/* The text of a JSON string; empty when value is none. */
static struct span text_of(const json_t *value)
{
    return (struct span){json_string_value(value), json_string_length(value)};
}

/* At most max bytes of s, cut between two characters. */
static struct span cut(struct span s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max && ((unsigned char)s.p[max] & 0xC0) == 0x80)
        max--;
    return (struct span){s.p, max};
}

static void add_comma_list(const json_t *array, struct buf *out)
{
    size_t i;
    const json_t *element;

    json_array_foreach(array, i, element)
    {
        if (i)
            buf_add_char(out, ',');
        if (json_is_string(element))
            buf_add_span(out, text_of(element));
        else
            buf_add_str(out, NOT_A_NAME);
    }
}

/* The value of the parameter called name; NULL when it has none of use. */
static const json_t *find_parameter(const json_t *event, const char *name)
{
    const json_t *parameters = json_object_get(event, "parameters");
    size_t i;
    const json_t *parameter;

    json_array_foreach(parameters, i, parameter)
    {
        const json_t *value = json_object_get(parameter, "value");

        if (!span_eq_str(text_of(json_object_get(parameter, "name")), name))
            continue;
        if (json_is_string(value) || json_is_array(value))
            return value;
    }
    return NULL;
}

static enum err_code read_regions(struct call *call, struct err *err)
{
    const json_t *value = find_parameter(call->event, "regions");

    if (!json_is_array(value)) {
        call->regions = text_of(value);
        return ERR_OK;
    }
    add_comma_list(value, &call->regions_list);
    call->regions = buf_span(&call->regions_list);
    return buf_check(&call->regions_list, "event: regions", err);
}

enum err_code event_parse(struct span json, struct call *out, struct err *err)
{
    enum err_code rc;

    /* As JSON an array takes more bytes than as a comma list. */
    *out = (struct call){.regions_list = BUF_INIT(EVENT_SIZE_MAX)};
    rc = load(json, &out->event, err);
    if (rc)
        goto out;
    rc = check_envelope(out->event, err);
    if (rc)
        goto out;
    out->api_path =
        cut(text_of(json_object_get(out->event, "apiPath")), EVENT_PATH_MAX);
    rc = read_regions(out, err);

out:
    if (rc)
        call_release(out);
    return rc;
}

void call_release(struct call *call)
{
    json_decref(call->event);
    buf_release(&call->regions_list);
    *call = (struct call){0};
}

static int add_chunk(const char *data, size_t len, void *out)
{
    struct buf *buf = out;

    buf_add(buf, data, len);
    return buf->failed ? -1 : 0;
}

/* Appends separator"key":value, or nothing when value is NULL. */
static enum err_code add_member(struct buf *out, const char *separator,
                                const char *key, const json_t *value,
                                struct err *err)
{
    if (!value)
        return ERR_OK;
    buf_addf(out, "%s\"%s\":", separator, key);
    if (json_dump_callback(value, add_chunk, out,
                           JSON_COMPACT | JSON_ENCODE_ANY) &&
        !out->failed)
        return err_nomem(err, "event");
    return ERR_OK;
}

/* The escape of a character in a JSON text, NULL when it needs none
 * (RFC 8259 §7; a JSON text has no control characters but these). */
static const char *escape_of(char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static void add_json_string(struct buf *out, struct span s)
{
    size_t begin = 0;

    buf_add_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        const char *escape = escape_of(s.p[i]);

        if (!escape)
            continue;
        buf_add(out, s.p + begin, i - begin);
        buf_add_str(out, escape);
        begin = i + 1;
    }
    if (begin < s.len)
        buf_add(out, s.p + begin, s.len - begin);
    buf_add_char(out, '"');
}

/* actionGroup is always there: event_parse() saw to it. */
static enum err_code add_echo(struct buf *out, const json_t *event,
                              struct err *err)
{
    static const char *const KEYS[] = {"actionGroup", "apiPath", "httpMethod"};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]) && !rc; i++)
        rc = add_member(out, i ? "," : "", KEYS[i],
                        json_object_get(event, KEYS[i]), err);
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

enum err_code event_render(const struct call *call,
                           const struct event_answer *answer, struct buf *out,
                           struct err *err)
{
    enum err_code rc;

    buf_reset(out);
    buf_add_str(out, "{\"messageVersion\":\"1.0\",\"response\":{");
    rc = add_echo(out, call->event, err);
    if (rc)
        return rc;
    buf_addf(out,
             ",\"httpStatusCode\":%d,\"responseBody\":{"
             "\"application/json\":{\"body\":",
             answer->http_status);
    if (answer->raw_body)
        buf_add_span(out, answer->body);
    else
        add_json_string(out, answer->body);
    buf_add_str(out, "}}}");
    rc = add_session(out, call->event, err);
    if (rc)
        return rc;
    buf_add_char(out, '}');
    return buf_check(out, "event: answer", err);
}
