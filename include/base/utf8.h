/*
 * utf8.h - UTF-8 as Unicode defines it (The Unicode Standard, table 3-7): no
 * overlong forms, no surrogates, nothing past U+10FFFF; pure.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Bytes of U+FFFD, which stands for what is no character. */
#define UTF8_REPLACEMENT_LEN 3

/* Bytes of the character at the front of s, and itself in *out (may be NULL);
 * 0: none is there, or what is there is no UTF-8. */
size_t utf8_read(struct span s, uint32_t *out);

bool utf8_is_valid(struct span s);

/*
 * Copies s to out with U+FFFD for each byte that is part of no character, and
 * terminates it. Returns the length without the terminator. out has room for
 * UTF8_REPLACEMENT_LEN times s.len and the terminator.
 */
size_t utf8_mend(struct span s, char *out);

#endif
