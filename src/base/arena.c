#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The first block is small, because there is an arena or two for each region;
 * each further one is twice as large, up to the last of these. A larger piece
 * gets a block of its own size. */
#define FIRST_BLOCK_LEN ((size_t)2 * 1024)
#define BLOCK_MAX ((size_t)16 * 1024)

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
    return arena->current->cap < BLOCK_MAX / 2 ? arena->current->cap * 2
                                               : BLOCK_MAX;
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

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->current;
    void *p;

    size = rounded(size);
    if (size == 0 || size > arena->max - arena->total)
        return NULL;
    if (!block || block->cap - arena->used < size) {
        block = next_block(arena, size);
        if (!block)
            return NULL;
        arena->current = block;
        arena->used = 0;
    }
    p = (char *)block->data + arena->used;
    arena->used += size;
    arena->total += size;
    return p;
}

struct span arena_copy(struct arena *arena, struct span s)
{
    char *p = s.len < SIZE_MAX ? arena_alloc(arena, s.len + 1) : NULL;

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
