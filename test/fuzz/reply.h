/*
 * reply.h - checks an answer: its envelope, its form, array or object, and
 * that it tells what a tally knows.
 */
#ifndef FUZZ_REPLY_H
#define FUZZ_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "lambda/event.h"
#include "tally.h"

/* The account in the function's ARN, when it is given. */
#define REPLY_ACCOUNT "123456789012"

/* Longest "next", and its NUL. */
#define REPLY_NEXT_SIZE 2048

/* What the handler and the event say of the answer. */
struct reply_terms {
    enum envelope envelope;
    bool always_object;
    bool raw_body;
    bool has_account;
    size_t max;        /* bytes of the answer */
    size_t row_max;    /* with this as max and more there is a row, if any */
    bool must_refuse;  /* a parameter cannot be taken */
    bool may_refuse;   /* it may be one that cannot */
    size_t nstates;    /* that are asked for */
    const char *after; /* "": from the beginning */
};

/* Ends the process when the answer breaks a promise. *next is where it may be
 * gone on, or "". */
void reply_check(const struct reply_terms *terms, struct tally *tally,
                 struct span text, char next[REPLY_NEXT_SIZE]);

#endif
