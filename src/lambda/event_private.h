/*
 * event_private.h - what the parts of lambda/event share.
 */
#ifndef LAMBDA_EVENT_PRIVATE_H
#define LAMBDA_EVENT_PRIVATE_H

#include <jansson.h>

#include "lambda/event.h"

/*
 * Parses a JSON text that may hold U+0000. ERR_PARSE, and the reason in *why;
 * ERR_NOMEM. *out is NULL after failure.
 */
NODISCARD enum err_code event_load(struct span text, json_t **out,
                                   json_error_t *why, struct err *err);

/* The text of a JSON string; empty when value is none. */
struct span event_text(const json_t *value);

/* At most EVENT_NAME_MAX bytes of s, cut between two characters. */
struct span event_cut_name(struct span s);

/*
 * Finds the parameters of the call's envelope; arguments is their object for
 * GATEWAY and PLAIN, else NULL. ERR_NOMEM.
 */
NODISCARD enum err_code
event_read_parameters(struct call *call, json_t *arguments, struct err *err);

/* The parameters that there are. */
struct event_parameter {
    const char *name;
    size_t offset; /* of its span in struct criteria_text */
    bool is_list;
};
extern const struct event_parameter EVENT_PARAMETERS[];
extern const size_t EVENT_NPARAMETERS;

#endif
