/*
 * fold_driver.h - runs a fold by hand, as the sweep would for one region.
 *
 * Records are texts as in records.h; their memory is overwritten after each
 * call, so that a fold which keeps a pointer into a record is seen.
 */
#ifndef SUPPORT_FOLD_DRIVER_H
#define SUPPORT_FOLD_DRIVER_H

#include <stddef.h>

#include "survey/criteria.h"
#include "survey/fold.h"

struct json_t;

/* Points into itself: do not copy. criteria may be filled once it is made. */
struct fold_driver {
    const struct fold *fold;
    struct criteria criteria;
    struct fold_options options;
    void *state;
};

/* Limits that no test reaches by accident. */
#define ROOMY_LIMITS                                                           \
    ((struct fold_limits){.pending_max = 1 << 20, .rows_max = 1 << 20})

/* The first row of the region "r", with all entries of its lists. */
extern const struct fold_row FIRST_ROW;

void fold_driver_init(struct fold_driver *d, const struct fold *fold,
                      struct fold_limits limits);
void fold_driver_release(struct fold_driver *d);

/* One record; the fold's code. */
enum err_code drive_instance(struct fold_driver *d, const char *text,
                             struct err *err);
enum err_code drive_group(struct fold_driver *d, const char *text,
                          struct err *err);
void drive_event(struct fold_driver *d, enum fold_listing listing,
                 enum fold_event event);

/* A listing of one page, from begin to end; texts ends with NULL. */
void drive_listing(struct fold_driver *d, enum fold_listing listing,
                   const char *const *texts);

/* region_end() with success. */
struct fold_follow_up drive_end(struct fold_driver *d);

/* A row, read from the text that the fold wrote, which must be as jansson would
 * write it; NULL: there was no memory to write it. To be freed. */
struct json_t *fold_row_json(const struct fold *fold, const void *state,
                             const struct fold_row *which);

/* All rows of the region "r" as compact JSON, "[{…},{…}]"; to be freed. */
char *driver_rows(const struct fold_driver *d);
void assert_rows(const struct fold_driver *d, const char *expected);

#endif
