/*
 * token.h - opaque pagination tokens.
 *
 * A token names a position and is bound to the listing that it came from, so
 * that a changed one, or one used with other filters, is told.
 */
#ifndef EC2SIM_TOKEN_H
#define EC2SIM_TOKEN_H

#include <stdbool.h>

#include "pages.h"

#define BINDING_LEN 32
#define TOKEN_MAX 64

void token_make(const unsigned char binding[BINDING_LEN],
                const struct position *position, char out[TOKEN_MAX]);
bool token_read(const unsigned char binding[BINDING_LEN], const char *token,
                struct position *out);

#endif
