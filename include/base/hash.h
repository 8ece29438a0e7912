/*
 * hash.h - a number for a text, to tell texts apart in less room; pure. Not
 * for secrets, and not against someone who looks for equal numbers.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/span.h"

/* FNV-1a, 64 bit. */
uint64_t hash_of(struct span s);

#endif
