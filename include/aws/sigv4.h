/*
 * sigv4.h - AWS Signature Version 4, header form.
 *
 * Pure: it reads no clock, no environment and no network, so equal input
 * gives equal bytes and each stage can be held against a stored vector. It
 * neither sends nor adds headers. The secret is copied only to memory that is
 * wiped before return; the signing key is the caller's to wipe. Nothing here
 * logs. Source: AWS IAM user guide, "Create a signed AWS API request".
 */
#ifndef AWS_SIGV4_H
#define AWS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Longest intermediate text, in bytes. */
#define SIGV4_MAX_TEXT ((size_t)64 * 1024)

/* Most headers and most query parameters of one request. */
#define SIGV4_MAX_ITEMS 64

/* Bytes of a signing key (HMAC-SHA256), and of a SHA-256 as hex digits. */
#define SIGV4_KEY_LEN 32
#define SIGV4_HEX_LEN 64

/* Every pointer in these structs is borrowed for the length of one call. */
struct sigv4_header {
    const char *name;  /* any case */
    const char *value; /* blanks are trimmed and folded when signed */
};

/*
 * Headers come in any order; those of one name are joined with ','. All of
 * them are signed, so leave out what a proxy may change.
 */
struct sigv4_request {
    const char *method; /* upper case, e.g. "POST" */
    const char *path;   /* absolute, as on the wire, e.g. "/" */
    const char *query;  /* as on the wire, "" for none */
    const struct sigv4_header *headers;
    size_t nheaders;     /* at least 1 ("host") */
    const void *body;    /* may be NULL when body_len is 0 */
    size_t body_len;     /* bytes */
    bool normalize_path; /* collapse "//", "." and ".." (all but S3) */
};

struct sigv4_scope {
    const char *timestamp; /* UTC, "YYYYMMDDThhmmssZ" */
    const char *region;
    const char *service;
};

/* Good for one secret, date, region and service; wipe it after use. */
struct sigv4_key {
    unsigned char bytes[SIGV4_KEY_LEN];
};

/*
 * Derives the signing key, of whose timestamp only the date counts. ERR_ARG
 * (timestamp), ERR_CRYPTO, ERR_LIMIT, ERR_NOMEM; *out is all zero after
 * failure.
 */
NODISCARD enum err_code sigv4_derive_key(const struct sigv4_scope *scope,
                                         const char *secret,
                                         struct sigv4_key *out,
                                         struct err *err);

/*
 * Appends the value of the Authorization header for req to *out.
 *
 * The caller owns *out and puts the header on the wire, together with the
 * headers it listed in req.
 *
 * ERR_ARG     no header, more than SIGV4_MAX_ITEMS headers or query
 *             parameters, or timestamp of the wrong form
 * ERR_LIMIT   a part grew past SIGV4_MAX_TEXT, or *out past its own limit
 * ERR_NOMEM, ERR_CRYPTO
 *
 * On failure *out holds no part of the value and err (may be NULL) says why.
 */
NODISCARD enum err_code sigv4_sign(const struct sigv4_request *req,
                                   const struct sigv4_scope *scope,
                                   const char *key_id,
                                   const struct sigv4_key *key, struct buf *out,
                                   struct err *err);

/*
 * The stages before the signature, exported so that a test can name the first
 * one that differs. Errors as above; on failure *out may hold part of the
 * text and is good only for buf_release().
 */
NODISCARD enum err_code sigv4_canonical_request(const struct sigv4_request *req,
                                                struct buf *out,
                                                struct err *err);
NODISCARD enum err_code sigv4_string_to_sign(const struct sigv4_scope *scope,
                                             const struct buf *canonical,
                                             struct buf *out, struct err *err);

/* Appends the names of req's headers as signed, e.g. "host;x-amz-date". */
NODISCARD enum err_code sigv4_signed_headers(const struct sigv4_request *req,
                                             struct buf *out, struct err *err);

/* SHA-256 as lower-case hex, terminated. ERR_CRYPTO; *out is "" then. */
NODISCARD enum err_code sigv4_sha256_hex(struct span data,
                                         char out[SIGV4_HEX_LEN + 1],
                                         struct err *err);

#endif
