/*
 * wipe.h - overwrites memory that held a secret, so that the compiler cannot
 * leave it out.
 */
#ifndef BASE_WIPE_H
#define BASE_WIPE_H

#include <stddef.h>

/* Sets len bytes at p to zero; p may be NULL when len is 0. */
void wipe(void *p, size_t len);

#endif
