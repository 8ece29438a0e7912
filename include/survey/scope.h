/*
 * scope.h - the regions a question is about: what was asked for, held
 * against what there is.
 *
 * Names come from outside. Only those that resolve to SCOPE_REGION are ever
 * contacted; the others become error elements of the answer.
 */
#ifndef SURVEY_SCOPE_H
#define SURVEY_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "survey/atlas.h"

/* Most different names in one list. */
#define SCOPE_NAMES_MAX 256
/* A name is kept, for the answer, up to this many bytes. What is longer is
 * SCOPE_ILL_FORMED, a pattern too: cut, it would stand for more. */
#define SCOPE_NAME_MAX 63

enum scope_kind {
    SCOPE_REGION,      /* to be asked */
    SCOPE_ILL_FORMED,  /* no region's name */
    SCOPE_UNKNOWN,     /* well-formed, not among the known regions */
    SCOPE_NOT_ALLOWED, /* outside REGIONS_ALLOWED */
    SCOPE_NO_MATCH,    /* a pattern that fits no region */
    SCOPE_EXCLUDED,    /* what the list excludes, when nothing else is left */
};

struct scope_entry {
    char name[SCOPE_NAME_MAX + 1];
    enum scope_kind kind;
};

/* Initialise with SCOPE_INIT. */
struct scope {
    struct scope_entry *entries; /* in the order asked for, each name once */
    size_t n;
    bool all; /* every region that may be asked, by name, less exclusions */
    struct scope_item *items; /* the list as it was read */
    size_t nitems;
};

#define SCOPE_INIT                                                             \
    {                                                                          \
        NULL, 0, false, NULL, 0                                                \
    }

/*
 * Reads a comma list of names, patterns ("us-*", by name) and exclusions
 * ("!me-south-1", "!us-*"): blanks, empty entries and repetitions are dropped,
 * letters made lower case; "all" anywhere, or nothing but exclusions, is every
 * region. ERR_LIMIT past SCOPE_NAMES_MAX, ERR_NOMEM.
 */
NODISCARD enum err_code scope_parse(struct span list, struct scope *out,
                                    struct err *err);

/* Makes the entries anew from the list and the regions known. ERR_LIMIT,
 * ERR_NOMEM. */
NODISCARD enum err_code
scope_resolve(struct scope *scope, const struct atlas *atlas, struct err *err);

/* Entries of one kind. */
size_t scope_count(const struct scope *scope, enum scope_kind kind);

void scope_release(struct scope *scope);

#endif
