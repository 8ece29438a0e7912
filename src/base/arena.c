#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks are small at first, because there is an arena or two for each region,
 * and what is unused at the end of each counts. They are large where much has
 * been given out, because of what is unused at the end of every block. A larger
 * piece gets a block of its own size. */
#define FIRST_BLOCK_LEN ((size_t)2 * 1024)
#define BLOCK_LEN ((size_t)4 * 1024)
#define LARGE_FROM ((size_t)64 * 1024)
#define LARGE_BLOCK_LEN ((size_t)16 * 1024)

#define ALIGNMENT _Alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t cap;
    max_align_t data[];
};

/* size rounded up to the alignment; 0 when that does not fit. */
static size_t rounded(size_t size)
{
    if (size == 0)
        return ALIGNMENT;
    if (size > SIZE_MAX - ALIGNMENT)
        return 0;
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t next_block_len(const struct arena *arena)
{
    if (!arena->current)
        return FIRST_BLOCK_LEN;
    return arena->total < LARGE_FROM ? BLOCK_LEN : LARGE_BLOCK_LEN;
}

/* Makes the block after current hold size bytes: a kept one, or a new one. */
static struct arena_block *next_block(struct arena *arena, size_t size)
{
    struct arena_block **link =
        arena->current ? &arena->current->next : &arena->first;
    struct arena_block *block = *link;
    size_t cap = next_block_len(arena);

    /* Kept blocks are unused; those that are too small would pile up. */
    while (block && block->cap < size) {
        *link = block->next;
        free(block);
        block = *link;
    }
    if (block)
        return block;
    if (cap < size)
        cap = size;
    if (cap > SIZE_MAX - sizeof(*block))
        return NULL;
    block = malloc(sizeof(*block) + cap);
    if (!block)
        return NULL;
    block->cap = cap;
    block->next = NULL;
    *link = block;
    return block;
}

/* size bytes, in the current block behind skip that are left unused. */
static void *take(struct arena *arena, size_t skip, size_t size)
{
    struct arena_block *block = arena->current;
    size_t left = block ? block->cap - arena->used : 0;
    bool fits = block && skip <= left && size <= left - skip;
    char *p;

    if (!fits)
        skip = 0;
    if (size > arena->max - arena->total ||
        skip > arena->max - arena->total - size)
        return NULL;
    if (!fits) {
        block = next_block(arena, size);
        if (!block)
            return NULL;
        arena->current = block;
        arena->used = 0;
    }
    p = (char *)block->data + arena->used + skip;
    arena->used += skip + size;
    arena->total += skip + size;
    return p;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t skip = (ALIGNMENT - arena->used % ALIGNMENT) % ALIGNMENT;

    size = rounded(size);
    return size ? take(arena, skip, size) : NULL;
}

char *arena_alloc_text(struct arena *arena, size_t size)
{
    return take(arena, 0, size ? size : 1);
}

struct span arena_copy(struct arena *arena, struct span s)
{
    char *p = s.len < SIZE_MAX ? arena_alloc_text(arena, s.len + 1) : NULL;

    if (!p)
        return (struct span){NULL, 0};
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return (struct span){p, s.len};
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->current, arena->used, arena->total};
}

void arena_rollback(struct arena *arena, struct arena_mark mark)
{
    arena->current = mark.block;
    arena->used = mark.used;
    arena->total = mark.total;
}

void arena_reset(struct arena *arena)
{
    arena_rollback(arena, (struct arena_mark){NULL, 0, 0});
}

size_t arena_total(const struct arena *arena)
{
    return arena->total;
}

void arena_release(struct arena *arena)
{
    struct arena_block *block = arena->first;

    while (block) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
    *arena = (struct arena)ARENA_INIT(arena->max);
}
