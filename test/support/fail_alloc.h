/*
 * fail_alloc.h - makes one chosen allocation fail, for tests.
 *
 * Every test program is linked with --wrap=malloc, calloc and realloc, so the
 * calls of our own code come through here; those inside shared libraries do
 * not (jansson and libxml2 take an allocator of one's own). Off until
 * fail_alloc_at() is called. One thread only.
 *
 *     for (size_t n = 0;; n++) {
 *         fail_alloc_at(n);
 *         rc = thing_init(&thing, &err);
 *         if (!fail_alloc_stop())
 *             break;
 *         assert_int_equal(rc, ERR_NOMEM);
 *         ... and what must hold after a failure ...
 *     }
 *     assert_int_equal(rc, ERR_OK);
 */
#ifndef SUPPORT_FAIL_ALLOC_H
#define SUPPORT_FAIL_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the n-th allocation fails (0: the next one), and only that. */
void fail_alloc_at(size_t n);

/* From now on the n-th allocation and all after it fail. */
void fail_alloc_from(size_t n);

/* Ends the above; true if an allocation failed since it was asked for. */
bool fail_alloc_stop(void);

/* How many allocations were made since the last fail_alloc_at or _from. */
size_t fail_alloc_count(void);

#endif
