/*
 * credentials.h - AWS credentials from what the process was given.
 *
 * Reads names through a look-up function (the environment in the program, a
 * table in tests), one token file and documents handed to it; fetches nothing
 * itself. Secrets are wiped on release and stand in no error text.
 */
#ifndef AWS_CREDENTIALS_H
#define AWS_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Longest key id, secret or token, bytes. */
#define CREDENTIALS_TEXT_MAX ((size_t)16 * 1024)

/* Value of a variable, NULL when it is not set or set to nothing. */
typedef const char *(*credentials_lookup_fn)(const char *name);

struct credentials {
    struct buf key_id;
    struct buf secret;
    struct buf token;   /* empty: none */
    int64_t expires_ms; /* real time; CLOCK_NEVER: not known to expire */
};

/* Empty, CLOCK_NEVER. */
void credentials_init(struct credentials *creds);
/* Wipes and releases; creds is empty and usable again. */
void credentials_release(struct credentials *creds);
/* Whether a key id and a secret are there. */
bool credentials_are_set(const struct credentials *creds);

/*
 * From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; replaces
 * what *creds held. ERR_AUTH when the first two are not both set, or one of
 * the three holds a control character (the text names the variable), or the
 * key is sam local's placeholder "defaultkey"; ERR_NOMEM, ERR_LIMIT. *creds is
 * empty after failure.
 */
NODISCARD enum err_code
credentials_from_environment(credentials_lookup_fn lookup,
                             struct credentials *creds, struct err *err);

/* Where to fetch container credentials, and what to send along. */
struct credentials_container {
    struct buf url;
    struct buf authorization; /* header value, empty: none; wiped */
};
void credentials_container_init(struct credentials_container *c);
void credentials_container_release(struct credentials_container *c);

/*
 * From AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, else ..._FULL_URI (https, or a
 * host that the SDKs allow: loopback, 169.254.170.2, 169.254.170.23,
 * [fd00:ec2::23]), with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read anew on
 * each call; blanks at its ends are left out) before
 * AWS_CONTAINER_AUTHORIZATION_TOKEN; replaces what *out held.
 * ERR_AUTH: none is set, or the address is not allowed, or the file cannot be
 * read, or the token holds a line break; ERR_NOMEM, ERR_LIMIT. *out is empty
 * after failure.
 */
NODISCARD enum err_code
credentials_container_source(credentials_lookup_fn lookup,
                             struct credentials_container *out,
                             struct err *err);

/* Longest document of a container endpoint, bytes. */
#define CREDENTIALS_DOCUMENT_MAX ((size_t)64 * 1024)

/*
 * From a container endpoint's document (JSON with AccessKeyId,
 * SecretAccessKey, Token, Expiration as RFC 3339; the last two may be absent
 * or null); replaces what *creds held. ERR_AUTH when it is not such a document
 * (the text holds none of it), ERR_NOMEM, ERR_LIMIT. *creds is empty after
 * failure. The document is the caller's to wipe.
 */
NODISCARD enum err_code credentials_from_document(struct span json,
                                                  struct credentials *creds,
                                                  struct err *err);

#endif
