/*
 * dump_private.h - a JSON value as text, at the end of a buffer.
 */
#ifndef LAMBDA_DUMP_PRIVATE_H
#define LAMBDA_DUMP_PRIVATE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends value, without blanks. ERR_NOMEM, also for NULL; what the buffer
 * itself has to say buf_check() tells. */
NODISCARD enum err_code dump_append(struct buf *out, const json_t *value,
                                    struct err *err);

#endif
