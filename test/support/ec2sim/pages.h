/*
 * pages.h - the pages of EC2's listings, made when asked for and then kept.
 *
 * A page depends on nothing but the world and the request, so a page that is
 * asked for again comes from memory, but for its requestId.
 */
#ifndef EC2SIM_PAGES_H
#define EC2SIM_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "ask.h"
#include "blob.h"
#include "fleet.h"
#include "regions.h"
#include "xml.h"

/* What there is and the shape in which it is told. */
struct world {
    struct fleet fleet;
    struct region *regions;
    size_t nregions;
    long page; /* most items a page has, whatever is asked for */
    struct xml_shape shape;
    bool token_first;  /* nextToken before the set */
    bool empty_pages;  /* an empty page before each page */
    bool empty_token;  /* the last page has <nextToken/> */
    bool restless;     /* no two answers are alike, as if there were changes */
    bool late_filter;  /* pages of instances are cut before they are filtered */
    bool hide_managed; /* managed instances are hidden by default */
    bool old_api;      /* the parameter that shows them is not known */
};

/* NULL: no such region. */
const struct region *world_region(const struct world *world, const char *name,
                                  size_t len);

struct pages; /* safe to use from several threads */

struct pages *pages_new(const struct world *world, size_t cache_bytes);
void pages_free(struct pages *pages);

/* Where a listing goes on. */
struct position {
    long offset; /* items before it */
    bool filled; /* the empty page before it has been given */
};

struct page_request {
    const struct region *region;
    const struct ask *ask;
    struct position position;
    bool repeat_token; /* nextToken is always that of the first page */
    bool gzip;
};

/* The position that a request's token names; false: a bad token. */
bool pages_locate(struct pages *pages, const struct region *region,
                  const struct ask *ask, struct position *out,
                  struct problem *problem);

/* Its number, from 1. */
long pages_number(struct pages *pages, const struct page_request *pr);

/* A reference for the caller; NULL: problem says why. */
struct blob *pages_get(struct pages *pages, const struct page_request *pr,
                       struct problem *problem);

/* Makes all gzipped pages of unfiltered listings with 1,000 items each. */
void pages_warm(struct pages *pages);

#endif
