/*
 * err.h - what went wrong, as a code for the program and a line for a person.
 *
 * The first failure fills a struct err and later ones leave it, so that the
 * text names the cause and not its consequences. Code decides by the code,
 * never by the text. Never put a secret into a text.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

/* Longest text, terminator included; longer ones are cut. */
#define ERR_MSG_MAX 320

enum err_code {
    ERR_OK = 0,
    ERR_ARG,    /* a value given by the caller or the user is not acceptable */
    ERR_NOMEM,  /* out of memory */
    ERR_LIMIT,  /* a named limit was reached */
    ERR_CRYPTO, /* the cryptographic library refused */
    ERR_PARSE,  /* bytes from outside do not have the form they must have */
    ERR_CONFIG, /* a setting is wrong; the text names the variable */
    ERR_AUTH,   /* no usable credentials */
    ERR_IO,     /* a file or a descriptor */
    ERR_NET,    /* a transfer failed */
    ERR_TIME,   /* the time allowed is over */
};

/* Empty value: all zero. */
struct err {
    enum err_code code;
    char msg[ERR_MSG_MAX]; /* one line "module: what, which" */
};

/*
 * Records code and text (what is not ASCII becomes '?') in *err (may be NULL)
 * unless it holds a failure already, and returns code, so that a caller can
 * `return err_set(…)`.
 */
enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* As err_set(ERR_NOMEM) with the text "<who>: out of memory". */
enum err_code err_nomem(struct err *err, const char *who);

/* The text of *err, or a general one for its code when it has none. */
const char *err_text(const struct err *err);

#endif
