/*
 * stamp.h - makes an answer of its own from a page that is kept.
 *
 * Each answer of EC2 has another requestId. So a page is kept in two parts, the
 * head with what is each answer's own and the rest, which is compressed once.
 */
#ifndef EC2SIM_STAMP_H
#define EC2SIM_STAMP_H

#include <stdbool.h>

#include "blob.h"

/* What the first digits of a request id are replaced in, and all of the text
 * of <revision>, if the page has it. */
#define STAMP_DIGITS 8
#define STAMP_REVISION "00000000"

/* The page as it is kept, from its text, whose reference is given back. Where
 * requestId is not at the beginning all its answers are alike. */
struct blob *stamp_split(struct blob *plain, bool gzip);

/* An answer from it, the serial'th one. A reference for the caller. */
struct blob *stamp_join(struct blob *kept, unsigned serial);

#endif
