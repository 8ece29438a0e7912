/*
 * fold.h - what a question is to the sweep: it takes records, region by
 * region, and has rows in the end.
 *
 * One state per region. A region's data comes in listings (the instances, the
 * groups, a follow-up), each in pages; records count from their page's commit
 * on. Folds never start or cancel requests; a follow-up is handed back as a
 * value. Adding a question: one file with a struct fold, one row in
 * question.c.
 */
#ifndef SURVEY_FOLD_H
#define SURVEY_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/ec2_types.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* A region's listings; those that a fold needs as bits 1 << listing. */
enum fold_listing {
    FOLD_INSTANCES,
    FOLD_GROUPS,
    FOLD_FOLLOW_UP, /* instances again, with the filter the fold asked for */
};
#define FOLD_NLISTINGS 3
#define FOLD_NEEDS(listing) (1U << (listing))

/* What happens to a listing. Several follow-ups may run one after another. */
enum fold_event {
    FOLD_LISTING_BEGIN,
    FOLD_PAGE_COMMIT,     /* the records since the last commit count */
    FOLD_PAGE_ROLLBACK,   /* the records since the last commit are void */
    FOLD_LISTING_RESTART, /* all records of this listing are void */
    FOLD_LISTING_END,     /* complete */
};

struct fold_limits {
    size_t pending_max; /* bytes of instances kept until the groups are known */
    size_t rows_max;    /* bytes of findings kept in one region; 0: none */
    /* Instances from which on a region is asked by group; 0: never. */
    uint64_t by_group_min;
};

struct criteria;

/* Borrowed until region_free. */
struct fold_options {
    struct fold_limits limits;
    const struct criteria *criteria; /* what is wanted of the instances */
    size_t position;                 /* of the region among those asked */
    /* Of the region, by earlier sweeps; 0: not known. */
    uint64_t ninstances; /* when all were listed */
    uint64_t nfollowed;  /* that came of the follow-ups of one sweep */
};

/* Instances with one of values; borrowed until the next region_end or free. */
struct fold_follow_up {
    const char *filter;        /* NULL: none wanted */
    const char *const *values; /* any number; the sweep cuts it to calls */
    size_t nvalues;
    uint64_t nspared; /* without one: it would have brought less; 0: unknown */
};

/* What was found in a region. */
struct fold_tally {
    size_t nrows;   /* to be told */
    size_t nbefore; /* told by an earlier part of the answer ("after") */
    size_t nbeyond; /* behind the last row, found no room */
};

/* Which row is wanted, and how. */
struct fold_row {
    const char *region; /* its first member */
    size_t i;
    bool full;       /* with the fields that only the object form has */
    size_t list_max; /* most entries of a list in it; the rest is counted */
};

/*
 * Functions that can fail return ERR_NOMEM or ERR_LIMIT, which ends the
 * region with that failure. state is what region_begin made.
 */
struct fold {
    unsigned needs; /* FOLD_NEEDS(FOLD_INSTANCES) | … */
    enum err_code (*region_begin)(const struct fold_options *options,
                                  void **state, struct err *err);
    void (*region_free)(void *state); /* NULL is accepted */
    enum err_code (*instance)(void *state, const struct ec2_instance *instance,
                              struct err *err);
    /* NULL when FOLD_GROUPS is not needed. */
    enum err_code (*group)(void *state, const struct ec2_group *group,
                           struct err *err);
    void (*event)(void *state, enum fold_listing listing,
                  enum fold_event event);
    /* False: the listing, or what is left of it, is not needed (it may come
     * all the same, for another fold). NULL: always true. */
    bool (*wants_more)(const void *state, enum fold_listing listing);
    /* All listings are complete; *out is the empty value on entry. */
    enum err_code (*region_end)(void *state, struct fold_follow_up *out,
                                struct err *err);
    /* Good after the last end, as what follows. */
    struct fold_tally (*tally)(const void *state);
    /* Appends a row, in their final order, as a JSON object, and returns the
     * id of its instance, borrowed like state, or nothing. NULL: no rows. */
    struct span (*row)(const void *state, const struct fold_row *which,
                       struct buf *out);
};

/* The questions' folds, each in a file of its own. */
extern const struct fold FOLD_COUNT;
extern const struct fold FOLD_OWNER;
extern const struct fold FOLD_EXPOSURE;
extern const struct fold FOLD_KINDS;
extern const struct fold FOLD_FIND;

#endif
