/*
 * event.h - the border of JSON: an invocation's event becomes a checked call,
 * an answer becomes the envelope its caller expects. Pure.
 *
 * One envelope so far: the action group with an API schema of Amazon Bedrock
 * Agents (user guide, "Configure Lambda functions to send information that an
 * agent elicits"). What cannot be any envelope is ERR_PARSE, which the caller
 * reports to the Runtime API as Function.InvalidEvent. An error's text may
 * quote a few characters of the event.
 */
#ifndef LAMBDA_EVENT_H
#define LAMBDA_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Lambda's largest event and answer, bytes (Runtime API: 6 MiB + 100). */
#define EVENT_SIZE_MAX ((size_t)6291556)
/* An apiPath is looked at up to this many bytes; the rest is cut off. */
#define EVENT_PATH_MAX ((size_t)1024)

struct json_t;

/* Initialise to all zero. The spans are UTF-8 and may hold any character,
 * U+0000 too. */
struct call {
    struct json_t *event;    /* owned */
    struct buf regions_list; /* owned; what regions is when it was an array */
    struct span api_path;    /* into event; empty: the event had none */
    struct span regions;     /* into event or regions_list; empty: none */
};

/*
 * Reads an event. ERR_PARSE: not JSON, not an object, or without a string
 * actionGroup (the text says which and what was expected); ERR_LIMIT: past
 * EVENT_SIZE_MAX; ERR_NOMEM. *out is all zero after failure.
 *
 * An apiPath that is missing or not a string is empty, not an error: the
 * answer to it is a 404 in the envelope. The parameter "regions" may come in
 * parameters[]: the first of that name with a value that is text, or an array,
 * which becomes a comma list. Elements that are no text become "?" in it, so
 * that they show up as names that are none instead of vanishing.
 */
NODISCARD enum err_code event_parse(struct span json, struct call *out,
                                    struct err *err);
void call_release(struct call *call);

/* Borrowed for the call. body is trusted to be a JSON text in UTF-8. */
struct event_answer {
    int http_status;
    struct span body;
    bool raw_body; /* as a JSON value instead of a string */
};

/*
 * Empties *out and writes the envelope: actionGroup, apiPath and httpMethod
 * as they came (those that came), messageVersion "1.0", the session
 * attributes that came as objects. ERR_NOMEM; ERR_LIMIT when the envelope is
 * longer than out->max.
 */
NODISCARD enum err_code event_render(const struct call *call,
                                     const struct event_answer *answer,
                                     struct buf *out, struct err *err);

#endif
