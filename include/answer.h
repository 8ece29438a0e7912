/*
 * answer.h - what a command makes of an answer in the object form: whether it
 * is one, and a table for people.
 *
 * Pure, but for the width of characters, which depends on the locale's
 * LC_CTYPE (in the "C" locale each takes one column). Text of the account
 * cannot steer the terminal: control characters become "?".
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct json_t;

/* Initialise to all zero. */
struct answer {
    struct json_t *root; /* owned, an object */
};

/* Reads an answer. ERR_PARSE: no JSON object; ERR_NOMEM. */
NODISCARD enum err_code answer_read(struct span json, struct answer *out,
                                    struct err *err);
void answer_release(struct answer *answer);

/* Whether it is a refusal; its two sentences then go into *error and *hint,
 * which live as long as the answer. */
bool answer_is_refusal(const struct answer *answer, struct span *error,
                       struct span *hint);

/* Whether any region has answered. */
bool answer_has_regions(const struct answer *answer);

/*
 * Empties *out and writes the items as a table, then the other members, each
 * on a line or as a table of its own, and the failures last; every line ends in
 * a line feed. Lists in a row are below one another; columns without any text
 * are left out. ERR_NOMEM, ERR_LIMIT.
 */
NODISCARD enum err_code answer_write_table(const struct answer *answer,
                                           bool has_colours, struct buf *out,
                                           struct err *err);

#endif
