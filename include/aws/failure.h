/*
 * failure.h - why EC2 gave no answer, by class, and the sentence for it; pure.
 *
 * The sentence is ours and at most FAILURE_SENTENCE_MAX bytes, with EC2's
 * code in front when there was one: it goes to a user or a language model.
 * EC2's own text can hold ARNs and a kilobyte of encoded detail; it is for
 * the log only.
 */
#ifndef AWS_FAILURE_H
#define AWS_FAILURE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define FAILURE_SENTENCE_MAX 160
#define FAILURE_CODE_MAX 63
#define FAILURE_ID_MAX 127
#define FAILURE_TEXT_MAX 1023

enum failure_kind {
    FAILURE_NONE,
    /* answered, but refused */
    FAILURE_DENIED,      /* UnauthorizedOperation, AccessDenied */
    FAILURE_AUTH,        /* AuthFailure and the like: credentials rejected */
    FAILURE_NOT_ENABLED, /* the region is not enabled in the account */
    FAILURE_EXPIRED,     /* the temporary credentials have expired */
    FAILURE_CLOCK,       /* this machine's clock is off and stays so */
    FAILURE_THROTTLED,
    FAILURE_BUSY,     /* EC2's own trouble: 5xx, InternalError */
    FAILURE_TOKEN,    /* page token refused, after one fresh start */
    FAILURE_REJECTED, /* any other 4xx */
    FAILURE_REDIRECT, /* 3xx: never followed */
    /* no usable answer */
    FAILURE_RESOLVE,
    FAILURE_CONNECT,
    FAILURE_CONNECT_TIMEOUT,
    FAILURE_TLS,
    FAILURE_CERTIFICATE,
    FAILURE_PROXY,
    FAILURE_BROKEN,    /* the connection broke in the middle */
    FAILURE_MALFORMED, /* what came is not EC2's XML */
    FAILURE_REPEATED,  /* the same page token again: no end in sight */
    FAILURE_LIMIT,     /* more than a named limit allows */
    FAILURE_SILENT,    /* no progress for too long */
    FAILURE_DEADLINE,  /* the caller's time was over */
    FAILURE_NOMEM,
    FAILURE_INTERNAL,
};

/* Plain data: copy freely. Empty value: all zero. */
struct failure {
    enum failure_kind kind;
    long status;       /* HTTP status, 0: none */
    unsigned attempts; /* made of the request that failed at last */
    long waited_ms;    /* for SILENT, DEADLINE, CONNECT_TIMEOUT */
    char code[FAILURE_CODE_MAX + 1];     /* EC2's, only [A-Za-z0-9.:_-] */
    char request_id[FAILURE_ID_MAX + 1]; /* the same; for the log */
    char text[FAILURE_TEXT_MAX + 1];     /* EC2's or a library's: log only */
};

/*
 * The kind of a refusal, told by EC2's code before the status: a throttle
 * comes as 503. code may be empty. RequestExpired is FAILURE_EXPIRED here:
 * whether the clock is to blame instead, only the Date of the answer tells.
 */
enum failure_kind failure_classify(struct span code, long status);

/*
 * Copy code, text and request id from EC2's answer, cut to size. Of code and
 * id only the characters named above are kept; text is cut between UTF-8
 * characters and its NUL bytes become spaces.
 */
void failure_set_code(struct failure *f, struct span code);
void failure_set_text(struct failure *f, struct span text);
void failure_set_request_id(struct failure *f, struct span id);

/* The kind that an error of ours ends a listing with. */
enum failure_kind failure_of_error(enum err_code code);

/*
 * Writes the sentence into out: one line of ASCII, terminated, at most
 * FAILURE_SENTENCE_MAX bytes, e.g. "UnauthorizedOperation: access denied,
 * possibly by a service control policy". What failed for good after several
 * attempts ends in ", gave up after 10 attempts".
 */
void failure_sentence(const struct failure *f,
                      char out[FAILURE_SENTENCE_MAX + 1]);

/* A short word for logs and metrics: "denied", "throttled". */
const char *failure_kind_name(enum failure_kind kind);

#endif
