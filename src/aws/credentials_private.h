/*
 * credentials_private.h - what the two sources of credentials share.
 */
#ifndef AWS_CREDENTIALS_PRIVATE_H
#define AWS_CREDENTIALS_PRIVATE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/*
 * Fills the empty *out with value, which name names in texts; one append is
 * one allocation, so growing leaves no copy behind. ERR_AUTH: value holds a
 * control character, which could end a header; ERR_LIMIT, ERR_NOMEM.
 */
NODISCARD enum err_code credentials_set_text(struct buf *out, const char *name,
                                             struct span value,
                                             struct err *err);

#endif
