/*
 * blob.h - shared bytes, and a cache of them bounded in size.
 *
 * Pages are made once and then sent from memory to any number of clients.
 */
#ifndef EC2SIM_BLOB_H
#define EC2SIM_BLOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "text.h"

struct blob {
    atomic_uint refs;
    char *p;
    size_t len;
    size_t nitems; /* for whoever keeps something else than text */

    /* Of a page that is kept, stamp.c's: plain bytes in front; and, where the
     * rest is compressed, how long that is when it is not, and its CRC. */
    bool gzip;
    size_t head_len;
    size_t rest_len;
    unsigned long rest_crc;
};

/* Takes the text's memory over; the caller has the only reference. */
struct blob *blob_take(struct text text);
struct blob *blob_ref(struct blob *blob);

/* Gives a reference back; NULL is fine. The last one frees. */
void blob_unref(void *p);

/* Adds the bytes compressed: in gzip's format, or raw, as a part of it. */
void blob_deflate(struct text *out, const char *p, size_t len, bool raw);

/* The same bytes in gzip's format. */
struct blob *blob_gzip(const struct blob *plain);

#define CACHE_KEY_LEN 32

struct cache; /* safe to use from several threads */

struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *cache);

/* A reference for the caller, or NULL. */
struct blob *cache_get(struct cache *cache,
                       const unsigned char key[CACHE_KEY_LEN]);

/* Keeps a reference of its own; drops what was unused for longest. */
void cache_put(struct cache *cache, const unsigned char key[CACHE_KEY_LEN],
               struct blob *blob);

#endif
