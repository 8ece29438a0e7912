/*
 * arena.h - many small pieces of memory that are given back together.
 *
 * Pieces never move. A mark remembers a state to roll back to, which keeps
 * the blocks for reuse. The total is bounded.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"

struct arena_block;

/* Initialise with ARENA_INIT; the fields are private. */
struct arena {
    struct arena_block *first;
    struct arena_block *current; /* NULL: nothing in use */
    size_t used;                 /* bytes in use in current */
    size_t total;                /* bytes handed out */
    size_t max;                  /* most bytes total may reach */
};

#define ARENA_INIT(max_bytes)                                                  \
    {                                                                          \
        NULL, NULL, 0, 0, (max_bytes)                                          \
    }

/* size bytes aligned for any object; NULL when out of memory or past max. */
NODISCARD void *arena_alloc(struct arena *arena, size_t size);

/* The same for text, which needs no alignment. */
NODISCARD char *arena_alloc_text(struct arena *arena, size_t size);

/* A terminated copy of s as a span over it; .p is NULL on failure. */
NODISCARD struct span arena_copy(struct arena *arena, struct span s);

struct arena_mark {
    struct arena_block *block;
    size_t used;
    size_t total;
};
struct arena_mark arena_mark(const struct arena *arena);

/* Gives back everything handed out since the mark; keeps the memory. */
void arena_rollback(struct arena *arena, struct arena_mark mark);

/* Gives back everything; keeps the memory. */
void arena_reset(struct arena *arena);

/* Bytes handed out, rounding included. */
size_t arena_total(const struct arena *arena);

/* Frees all memory; the arena is empty and usable again. */
void arena_release(struct arena *arena);

#endif
