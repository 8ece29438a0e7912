/*
 * auth.h - checks the Signature Version 4 of a request.
 *
 * Written from AWS's description of the scheme and from the receiving end: it
 * takes the request's bytes apart and recomputes, and shares nothing with the
 * program's own signer. The keys it knows are for tests and no secrets.
 */
#ifndef EC2SIM_AUTH_H
#define EC2SIM_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"
#include "request.h"

struct auth_options {
    bool off;
    const char *key_id;
    const char *secret;
    const char *token; /* NULL: none may be sent */
};

/*
 * Whether req is signed for that region and for the time now (seconds since
 * 1970). On false problem says what EC2 would, and problem->reason what was
 * really wrong.
 */
bool auth_check(const struct request *req, const struct auth_options *options,
                const char *region, int64_t now, struct problem *problem);

/* The region named by the credential scope; false: no such thing. */
bool auth_scope_region(const struct request *req, char *out, size_t cap);

#endif
