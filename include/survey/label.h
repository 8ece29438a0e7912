/*
 * label.h - free text that others set (names of instances and groups), made
 * fit for an answer that a language model or a terminal reads; pure.
 */
#ifndef SURVEY_LABEL_H
#define SURVEY_LABEL_H

#include "base/arena.h"
#include "base/span.h"

/* Longest text, characters. */
#define LABEL_MAX ((size_t)128)

/* Room for it and its end, bytes. */
#define LABEL_SIZE (LABEL_MAX * 4 + 1)

/*
 * Writes the UTF-8 text without what a reader does not see: control
 * characters, marks of direction (bidi), characters without width and the tags
 * U+E0000 to U+E007F, with which instructions are hidden. What is longer than
 * LABEL_MAX ends in an ellipsis within it. Returns what it wrote, terminated.
 */
struct span label_clean(char to[LABEL_SIZE], struct span text);

/* A copy of that; .p is NULL on failure, as arena_copy(). */
NODISCARD struct span label_copy(struct arena *arena, struct span text);

#endif
