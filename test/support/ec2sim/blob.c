/*
 * blob.c - shared bytes, and a cache of them bounded in size.
 */
#include "blob.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#define NBUCKETS 4096
#define GZIP_LEVEL 6
#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for a gzip header */
#define RAW_WINDOW (-15)      /* and for neither header nor sum */

struct blob *blob_take(struct text text)
{
    struct blob *blob = must_calloc(1, sizeof(*blob));

    atomic_init(&blob->refs, 1);
    blob->p = text.p;
    blob->len = text.len;
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    atomic_fetch_add(&blob->refs, 1);
    return blob;
}

void blob_unref(void *p)
{
    struct blob *blob = p;

    if (!blob || atomic_fetch_sub(&blob->refs, 1) != 1)
        return;
    free(blob->p);
    free(blob);
}

void blob_deflate(struct text *out, const char *p, size_t len, bool raw)
{
    z_stream z = {0};

    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, raw ? RAW_WINDOW : GZIP_WINDOW,
                     8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    text_reserve(out, deflateBound(&z, len));
    z.next_in = (const unsigned char *)p;
    z.avail_in = (unsigned)len;
    z.next_out = (unsigned char *)out->p + out->len;
    z.avail_out = (unsigned)(out->cap - out->len);
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    out->len += z.total_out;
    deflateEnd(&z);
    out->p = must_resize(out->p, out->len + 1, 1);
    out->cap = out->len + 1;
}

struct blob *blob_gzip(const struct blob *plain)
{
    struct text out = {0};

    blob_deflate(&out, plain->p, plain->len, false);
    return blob_take(out);
}

struct entry {
    unsigned char key[CACHE_KEY_LEN];
    struct blob *blob;
    unsigned long used;  /* the cache's clock at its last use */
    struct entry *chain; /* of the same bucket */
};

struct cache {
    pthread_mutex_t lock;
    size_t bytes;
    size_t max_bytes;
    unsigned long clock; /* counts uses */
    struct entry *buckets[NBUCKETS];
};

struct cache *cache_new(size_t max_bytes)
{
    struct cache *cache = must_calloc(1, sizeof(*cache));

    pthread_mutex_init(&cache->lock, NULL);
    cache->max_bytes = max_bytes;
    return cache;
}

/* Takes *at out of its bucket. */
static void drop(struct cache *cache, struct entry **at)
{
    struct entry *entry = *at;

    *at = entry->chain;
    cache->bytes -= entry->blob->len;
    blob_unref(entry->blob);
    free(entry);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < NBUCKETS; i++) {
        while (cache->buckets[i])
            drop(cache, &cache->buckets[i]);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Looks at every entry: it is called seldom, with entries of megabytes. */
static bool drop_oldest(struct cache *cache)
{
    struct entry **oldest = NULL;

    for (size_t i = 0; i < NBUCKETS; i++) {
        struct entry **at = &cache->buckets[i];

        for (; *at; at = &(*at)->chain) {
            if (!oldest || (*at)->used < (*oldest)->used)
                oldest = at;
        }
    }
    if (oldest)
        drop(cache, oldest);
    return oldest != NULL;
}

static struct entry **bucket(struct cache *cache,
                             const unsigned char key[CACHE_KEY_LEN])
{
    return &cache->buckets[(key[0] << 8 | key[1]) % NBUCKETS];
}

static struct entry *find(struct cache *cache,
                          const unsigned char key[CACHE_KEY_LEN])
{
    struct entry *entry = *bucket(cache, key);

    while (entry && memcmp(entry->key, key, CACHE_KEY_LEN) != 0)
        entry = entry->chain;
    if (entry)
        entry->used = ++cache->clock;
    return entry;
}

struct blob *cache_get(struct cache *cache,
                       const unsigned char key[CACHE_KEY_LEN])
{
    struct blob *blob = NULL;
    struct entry *entry;

    pthread_mutex_lock(&cache->lock);
    entry = find(cache, key);
    if (entry)
        blob = blob_ref(entry->blob);
    pthread_mutex_unlock(&cache->lock);
    return blob;
}

static void insert(struct cache *cache, const unsigned char key[CACHE_KEY_LEN],
                   struct blob *blob)
{
    struct entry *entry = must_calloc(1, sizeof(*entry));
    struct entry **at = bucket(cache, key);

    memcpy(entry->key, key, CACHE_KEY_LEN);
    entry->blob = blob_ref(blob);
    entry->used = ++cache->clock;
    entry->chain = *at;
    *at = entry;
    cache->bytes += blob->len;
}

void cache_put(struct cache *cache, const unsigned char key[CACHE_KEY_LEN],
               struct blob *blob)
{
    pthread_mutex_lock(&cache->lock);
    if (blob->len <= cache->max_bytes && !find(cache, key)) {
        while (cache->bytes + blob->len > cache->max_bytes &&
               drop_oldest(cache))
            continue;
        insert(cache, key, blob);
    }
    pthread_mutex_unlock(&cache->lock);
}
