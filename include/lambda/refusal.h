/*
 * refusal.h - the body of an answer that is a refusal: what was wrong, what to
 * do, and whether asking again may help. Pure.
 *
 * It goes back to a language model, or to a person, who corrects the question
 * by it. Text from outside stands in it only as a JSON string.
 */
#ifndef LAMBDA_REFUSAL_H
#define LAMBDA_REFUSAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "lambda/event.h"

/* Borrowed for the call; UTF-8. */
struct refusal {
    int http_status;   /* 400, 404 or 500 */
    struct span error; /* what was wrong, which */
    struct span hint;  /* what to do about it */
    bool is_retryable; /* the same question may be answered later */
};

/*
 * Empties *out and writes {"error", "hint", "retryable"}. is_array: in the form
 * of the program that this one replaces, {"error": "…"}, with the hint, if the
 * status is 404, behind a semicolon; within an array for 400, which there tells
 * of regions. ERR_NOMEM, ERR_LIMIT.
 */
NODISCARD enum err_code refusal_write(const struct refusal *refusal,
                                      bool is_array, struct buf *out,
                                      struct err *err);

/* Appends the names by which this call may ask: apiPaths, or names. */
void refusal_add_names(enum envelope envelope, struct buf *out);

#endif
