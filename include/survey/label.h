/*
 * label.h - free text that others set (names of instances and groups), made
 * fit for an answer that a language model or a terminal reads; pure.
 */
#ifndef SURVEY_LABEL_H
#define SURVEY_LABEL_H

#include "base/arena.h"
#include "base/span.h"

/*
 * A terminated copy of the UTF-8 text without control characters: U+0000 to
 * U+001F, U+007F to U+009F. .p is NULL on failure, as arena_copy().
 */
NODISCARD struct span label_copy(struct arena *arena, struct span text);

#endif
