#include "lambda/event.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "event_private.h"

/* Stands for an element or a value that is no text: no name is like that. */
#define NOT_A_TEXT "?"

/* Numbers up to this are whole numbers exactly (2^53). */
#define WHOLE_MAX 9007199254740992.0

const struct event_parameter EVENT_PARAMETERS[] = {
    {"regions", offsetof(struct criteria_text, regions), true},
    {"states", offsetof(struct criteria_text, states), true},
    {"tag", offsetof(struct criteria_text, tag), false},
    {"port", offsetof(struct criteria_text, port), false},
    {"query", offsetof(struct criteria_text, query), false},
    {"after", offsetof(struct criteria_text, after), false},
};
const size_t EVENT_NPARAMETERS =
    sizeof(EVENT_PARAMETERS) / sizeof(EVENT_PARAMETERS[0]);

/* A model writes 22 as 22.0, too. */
static void add_number(struct buf *out, const json_t *value)
{
    double number = json_number_value(value);

    if (json_is_integer(value))
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (number >= -WHOLE_MAX && number <= WHOLE_MAX &&
             (double)(int64_t)number == number)
        buf_addf(out, "%" PRId64, (int64_t)number);
    else
        buf_addf(out, "%.15g", number);
}

static void add_scalar(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        buf_add_span(out, event_text(value));
    else if (json_is_number(value))
        add_number(out, value);
    else if (json_is_boolean(value))
        buf_add_str(out, json_is_true(value) ? "true" : "false");
    else
        buf_add_str(out, NOT_A_TEXT);
}

static void add_array(struct buf *out, const json_t *array)
{
    size_t i;
    const json_t *element;

    json_array_foreach(array, i, element)
    {
        if (i)
            buf_add_char(out, ',');
        add_scalar(out, element);
    }
}

/* Bytes of the tag that s begins with, 0 when it is none of those that stand
 * between the elements of a list. */
static size_t tag_len(struct span s)
{
    static const char *const TAGS[] = {"<item>", "</item>", "<value>",
                                       "</value>"};

    for (size_t i = 0; i < sizeof(TAGS) / sizeof(TAGS[0]); i++) {
        struct span tag = span_of(TAGS[i]);

        if (s.len >= tag.len &&
            span_eq_nocase((struct span){s.p, tag.len}, tag))
            return tag.len;
    }
    return 0;
}

/* Without blanks and without quotes at both ends. */
static struct span bare(struct span s)
{
    s = span_trim(s);
    while (s.len && (*s.p == '"' || *s.p == '\'')) {
        s.p++;
        s.len--;
    }
    while (s.len && (s.p[s.len - 1] == '"' || s.p[s.len - 1] == '\''))
        s.len--;
    return span_trim(s);
}

/* The bare parts of text, which has commas in place of tags. */
static void add_parts(struct buf *out, struct span text)
{
    struct span part;

    while (span_split(&text, ',', &part)) {
        part = bare(part);
        if (!part.len)
            continue;
        if (out->len)
            buf_add_char(out, ',');
        buf_add_span(out, part);
    }
}

/*
 * A list that came as text, in one of the forms that have been seen from
 * agents: [a, b c] and ["a"] cut short, <item>a</item>, "a", "b".
 */
static void add_loose_list(struct buf *out, struct span text)
{
    struct buf flat = BUF_INIT(EVENT_SIZE_MAX);

    if (text.len && *text.p == '[') {
        text.p++;
        text.len--;
    }
    if (text.len && text.p[text.len - 1] == ']')
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        size_t len = tag_len((struct span){text.p + i, text.len - i});

        buf_add_char(&flat, len ? ',' : text.p[i]);
        if (len)
            i += len - 1;
    }
    add_parts(out, buf_span(&flat));
    if (flat.failed && !out->failed)
        out->failed = flat.failed;
    buf_release(&flat);
}

static bool is_plain_list(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] == '[' || text.p[i] == '<' || text.p[i] == '"' ||
            text.p[i] == '\'')
            return false;
    return true;
}

static enum err_code add_list_text(struct buf *out, struct span text,
                                   struct err *err)
{
    json_error_t why;
    json_t *array = NULL;
    enum err_code rc = ERR_PARSE;

    if (text.len && *text.p == '[')
        rc = event_load(text, &array, &why, err);
    if (rc == ERR_NOMEM)
        return rc;
    if (json_is_array(array))
        add_array(out, array);
    else
        add_loose_list(out, text);
    json_decref(array);
    return ERR_OK;
}

/* The text that a value is, into event where it stands there as it is. */
static enum err_code text_of(struct call *call, const json_t *value,
                             bool is_list, struct span *out, struct err *err)
{
    struct span text = span_trim(event_text(value));
    struct buf made = BUF_INIT(EVENT_SIZE_MAX);
    enum err_code rc = ERR_OK;

    if (json_is_string(value) && (!is_list || is_plain_list(text))) {
        *out = text;
        return ERR_OK;
    }
    if (json_is_array(value))
        add_array(&made, value);
    else if (json_is_string(value))
        rc = add_list_text(&made, text, err);
    else
        add_scalar(&made, value);
    if (!rc)
        rc = buf_check(&made, "event: parameters", err);
    if (!rc && made.len) {
        *out = arena_copy(&call->made, buf_span(&made));
        if (!out->p)
            rc = err_nomem(err, "event");
    }
    buf_release(&made);
    return rc;
}

/* Whether anything was given at all. */
static bool has_value(const json_t *value)
{
    if (json_is_string(value))
        return span_trim(event_text(value)).len > 0;
    return value && !json_is_null(value);
}

static enum err_code take(struct call *call, struct span name,
                          const json_t *value, struct err *err)
{
    if (!has_value(value))
        return ERR_OK;
    for (size_t i = 0; i < EVENT_NPARAMETERS; i++) {
        const struct event_parameter *p = &EVENT_PARAMETERS[i];
        struct span *out =
            (struct span *)(void *)((char *)&call->parameters + p->offset);

        if (!span_eq_str(name, p->name))
            continue;
        return out->len ? ERR_OK : text_of(call, value, p->is_list, out, err);
    }
    if (!call->unknown.len)
        call->unknown = event_cut_name(name);
    return ERR_OK;
}

/* [{"name": …, "value": …}, …] */
static enum err_code take_all(struct call *call, const json_t *list,
                              struct err *err)
{
    size_t i;
    const json_t *parameter;

    json_array_foreach(list, i, parameter)
    {
        const json_t *name = json_object_get(parameter, "name");
        enum err_code rc = take(call, event_text(name),
                                json_object_get(parameter, "value"), err);

        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code take_members(struct call *call, json_t *object,
                                  struct err *err)
{
    void *at = json_object_iter(object);

    for (; at; at = json_object_iter_next(object, at)) {
        const struct span name = {json_object_iter_key(at),
                                  json_object_iter_key_len(at)};
        enum err_code rc = take(call, name, json_object_iter_value(at), err);

        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code take_request_body(struct call *call, struct err *err)
{
    json_t *content =
        json_object_get(json_object_get(call->event, "requestBody"), "content");
    const char *type;
    json_t *media;
    enum err_code rc = ERR_OK;

    json_object_foreach(content, type, media)
    {
        if (!rc)
            rc = take_all(call, json_object_get(media, "properties"), err);
    }
    return rc;
}

enum err_code event_read_parameters(struct call *call, json_t *arguments,
                                    struct err *err)
{
    enum err_code rc;

    if (call->envelope == ENVELOPE_GATEWAY || call->envelope == ENVELOPE_PLAIN)
        return take_members(call, arguments, err);
    rc = take_all(call, json_object_get(call->event, "parameters"), err);
    return rc ? rc : take_request_body(call, err);
}
