/*
 * event.h - the border of JSON: an invocation's event becomes a checked call,
 * an answer becomes the envelope its caller expects. Pure.
 *
 * Four envelopes. Which one it is, is decided in this order:
 *   GATEWAY     the client context has a text custom.bedrockAgentCoreToolName:
 *               the event is the flat object of arguments (AgentCore developer
 *               guide, "AWS Lambda function targets"). The context comes from
 *               the service, the arguments from a model, so it goes first.
 *   API_SCHEMA  a text actionGroup, and apiPath or no function
 *   FUNCTION    a text actionGroup, and function (Amazon Bedrock user guide,
 *               "Configure Lambda functions to send information that an agent
 *               elicits", for both)
 *   PLAIN       a text tool: {"tool": …, "arguments": {…}}, for people,
 *               Step Functions and sam local, which has no client context
 * What is none of them is ERR_PARSE, which the caller reports to the Runtime
 * API as Function.InvalidEvent. A client context that is no JSON is none. An
 * error's text may quote a few characters of the event.
 */
#ifndef LAMBDA_EVENT_H
#define LAMBDA_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "survey/criteria.h"

/* Lambda's largest event and answer, bytes (Runtime API: 6 MiB + 100). */
#define EVENT_SIZE_MAX ((size_t)6291556)
/* An apiPath, a function's, tool's or parameter's name is looked at up to
 * this many bytes; the rest is cut off. */
#define EVENT_NAME_MAX ((size_t)256)

struct json_t;

enum envelope {
    ENVELOPE_API_SCHEMA,
    ENVELOPE_FUNCTION,
    ENVELOPE_GATEWAY,
    ENVELOPE_PLAIN,
};

/* Borrowed for the call. */
struct event_source {
    struct span json;
    struct span client_context; /* JSON as Lambda gives it; empty: none */
};

/* Initialise to all zero. The spans are UTF-8 and may hold any character,
 * U+0000 too; they point into event or made. */
struct call {
    enum envelope envelope;
    struct json_t *event;            /* owned; NULL when it is no JSON */
    struct arena made;               /* owned; texts that event has not */
    struct span name;                /* apiPath, function or tool, or empty */
    struct criteria_text parameters; /* those that were given */
    struct span unknown; /* the first one of another name, or empty */
};

/*
 * Reads an event. ERR_PARSE: no envelope fits (the text says why and what was
 * expected); ERR_LIMIT: past EVENT_SIZE_MAX; ERR_NOMEM; *out is all zero after
 * these. ERR_ARG: the envelope is known, but the arguments are no object, or
 * stand beside "tool"; *out is good for event_render().
 *
 * A name that is missing or not a text is empty, not an error: the answer to
 * it is a refusal in the envelope. Parameters come from parameters[], then
 * from requestBody.content.*.properties[]; or from the object of arguments.
 * Of two with one name the first that has a value counts; null and nothing but
 * blanks are no value. Numbers and booleans become text, whole numbers without
 * a point. A list (regions, states) becomes a comma list, whatever it was: an
 * array, or a text in JSON, [a, b], <item>a</item>, or with commas; its
 * elements that are no texts, numbers or booleans become "?", so that they
 * show up as names that are none instead of vanishing.
 */
NODISCARD enum err_code event_parse(const struct event_source *source,
                                    struct call *out, struct err *err);
void call_release(struct call *call);

/* Borrowed for the call. body is trusted to be a JSON text in UTF-8. */
struct event_answer {
    int http_status; /* 4xx: the caller should ask in another way */
    struct span body;
    bool raw_body; /* API_SCHEMA: as a JSON value instead of a string */
};

/* Whether the body will stand inside a JSON string, its escapes escaped. */
bool event_escapes_body(const struct call *call, bool raw_body);

/*
 * Empties *out and writes the envelope. For an agent: actionGroup and apiPath,
 * httpMethod or function as they came (those that came), messageVersion "1.0",
 * the session attributes that came as objects; a function is told REPROMPT for
 * a 4xx, and never FAILURE, which would end the session. The others get the
 * body. ERR_NOMEM; ERR_LIMIT when the envelope is longer than out->max.
 */
NODISCARD enum err_code event_render(const struct call *call,
                                     const struct event_answer *answer,
                                     struct buf *out, struct err *err);

/* Empties *out and writes the plain event that asks tool; parameters that are
 * empty are left out. ERR_ARG: a text is not UTF-8; ERR_NOMEM, ERR_LIMIT. */
NODISCARD enum err_code event_write(struct span tool,
                                    const struct criteria_text *parameters,
                                    struct buf *out, struct err *err);

#endif
