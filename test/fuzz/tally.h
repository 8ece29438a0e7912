/*
 * tally.h - what the regions of one event were given by the script, and so
 * what the answer to the event must tell: a second opinion on sweep, folds
 * and parts, from nothing but the requests and the pages.
 */
#ifndef FUZZ_TALLY_H
#define FUZZ_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "base/buf.h"
#include "script.h"
#include "wish.h"

/* More than a partition has. */
#define TALLY_REGIONS_MAX 64

/* All groups, all instances (plainly or in parts), or those of a follow-up. */
enum tally_listing {
    TALLY_GROUPS,
    TALLY_INSTANCES,
    TALLY_BY_INTERFACE,
    TALLY_BY_INSTANCE,
    TALLY_NLISTINGS,
    TALLY_NONE,
};

/* What the good pages of one listing hold. */
struct tally_pages {
    bool was_asked;
    bool is_uncertain;
    size_t nall; /* instances, wanted or not */
    size_t by_state[SCRIPT_NSTATES];
    size_t by_type[SCRIPT_NTYPES];
    unsigned open_groups;                        /* 1 << group */
    bool found[SCRIPT_NINSTANCES];               /* by its tag or the query */
    unsigned short groups_of[SCRIPT_NINSTANCES]; /* 1 << group */
    /* Also of what became void. */
    unsigned short groups_ever[SCRIPT_NINSTANCES];
    bool was_uncertain;
};

/* Masks have 1 << part. */
struct tally_parts {
    bool running;       /* the instances came in parts last */
    bool was_broken;    /* these must not count */
    unsigned committed; /* has a good page */
    unsigned ended;     /* its last page was good */
    unsigned held;      /* has instances */
    unsigned wanted;    /* the first page had some */
};

/* A region: what it was given, and what the answer tells of it. */
struct tally_region {
    char host[128];
    struct aws_region *known;
    uint64_t size; /* as known before the event */
    struct tally_pages pages[TALLY_NLISTINGS];
    struct tally_parts parts;
    size_t nrows;
    bool failed;
};

struct tally {
    struct aws_client *client;
    struct tally_wish wish;
    struct tally_region regions[TALLY_REGIONS_MAX];
    size_t nregions;
    struct buf token;
};

/* An event begins. */
void tally_begin(struct tally *tally, const struct tally_wish *wish);

/* Takes note of a page that answers the request. */
void tally_take(struct tally *tally, const struct fake_request *request,
                const struct script_page *page);

/* The region called name; NULL when nothing was asked of it. */
struct tally_region *tally_find(struct tally *tally, const char *name);

/* Whether the question itself was put to it; whether all that it was given is
 * known. */
bool tally_was_asked(const struct tally_region *region);
bool tally_is_certain(const struct tally *tally,
                      const struct tally_region *region);

struct tally_bounds {
    size_t min;
    size_t max;
};

/* How many rows question has of a region that has answered. */
struct tally_bounds tally_number(const struct tally *tally,
                                 const struct tally_region *region,
                                 enum tally_question question);

/* Whether there may be a row for this instance. */
bool tally_has(const struct tally *tally, const struct tally_region *region,
               size_t id);

/* Instances that are wanted, in a state or in all of them. */
size_t tally_total(const struct tally_region *region);

/* Checks what must hold of a region that has answered, whatever it tells. */
void tally_check_end(const struct tally *tally,
                     const struct tally_region *region);

#endif
