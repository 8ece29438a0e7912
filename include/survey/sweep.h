/*
 * sweep.h - all regions at once: records from EC2 to the folds, until every
 * region has ended or the caller's time is over.
 *
 * Knows nothing of what is asked: it takes several folds and runs the union
 * of their listings once. A region that fails does not touch the others.
 */
#ifndef SURVEY_SWEEP_H
#define SURVEY_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "aws/ec2.h"
#include "aws/failure.h"
#include "base/err.h"
#include "survey/fold.h"

/* Most folds of one sweep. */
#define SWEEP_FOLDS_MAX 8
/* Regions that fit into 128 MB while they are listed in parts. */
#define SWEEP_PARALLEL 4

/* Everything is borrowed for the life of the sweep. */
struct sweep_options {
    struct aws_client *client;
    const struct fold *const *folds;
    size_t nfolds;
    struct fold_limits limits;
    const struct criteria *criteria; /* for the folds */
    bool include_managed; /* instances too that other services manage */
    size_t nparallel;     /* regions listed in parts at a time: spread.h */
    /*
     * Not 0: asks ahead of a question, see ec2.h. Then each fold is on its
     * own: one that cannot have its records whole and at once, or fails, leaves
     * the region (its state is NULL), and neither that nor the other folds fail
     * for it.
     */
    unsigned ahead_max;
    int64_t deadline_ms; /* mono: when to stop, whatever is missing */
    /* Called after a region has ended; NULL: not wanted. */
    void (*on_progress)(void *arg, size_t ended, size_t asked,
                        const struct ec2_stats *stats);
    void *arg;
};

/* One region's end. */
struct sweep_region {
    const char *name;
    bool ended;
    struct failure failure; /* FAILURE_NONE: complete */
    void *states[SWEEP_FOLDS_MAX];
};

struct sweep;

/* A sweep of n well-formed, different names (copied). ERR_NOMEM. */
NODISCARD enum err_code sweep_new(const struct sweep_options *options,
                                  const char *const *names, size_t n,
                                  struct sweep **out, struct err *err);
void sweep_free(struct sweep *sweep);

/*
 * Takes over from a sweep that asked ahead the regions in which it has all the
 * folds of this one; these are not asked again. A region where ahead has not
 * ended is asked only when it has, on the connections that it then leaves, or
 * is taken over; for that ahead has half of this one's time at most. Not gives:
 * nothing is taken over. Their states go on borrowing what ahead's options
 * borrowed, and ahead must outlive this one. Before sweep_run().
 */
void sweep_adopt(struct sweep *sweep, struct sweep *ahead, bool gives);

/* How many regions were taken over so far. */
size_t sweep_nadopted(const struct sweep *sweep);

/*
 * Starts all regions, the farthest first, and runs the poll until all have
 * ended or the deadline has come; those that have not ended then fail with
 * FAILURE_DEADLINE. Each failure is logged. For the main line only, once.
 * ERR_NET, ERR_NOMEM: the poll itself failed; the regions that ended before are
 * still good, the others fail with FAILURE_INTERNAL or FAILURE_NOMEM.
 */
NODISCARD enum err_code sweep_run(struct sweep *sweep, struct err *err);

/*
 * As sweep_run(), but returns as soon as all regions are connected to or have
 * ended. What is in flight then goes on in every later http_run(), and ends at
 * the deadline at the latest.
 */
NODISCARD enum err_code sweep_connect(struct sweep *sweep, struct err *err);

/* Runs the poll until what sweep_connect() left in flight has ended. */
NODISCARD enum err_code sweep_await(struct sweep *sweep, struct err *err);

/* What sweep_connect() left in flight has no more time: the next http_run()
 * takes what has come, and ends the rest. */
void sweep_expire(struct sweep *sweep);

/* Whether all regions have ended. */
bool sweep_is_done(const struct sweep *sweep);

/* How many regions have ended well so far, and the instances of these. */
size_t sweep_nanswered(const struct sweep *sweep, uint64_t *ninstances);

/* Region i in the order of the names; n in all. */
size_t sweep_nregions(const struct sweep *sweep);
const struct sweep_region *sweep_get_region(const struct sweep *sweep,
                                            size_t i);
size_t sweep_nfailed(const struct sweep *sweep);
/* Instances in committed pages, each counted once. */
uint64_t sweep_ninstances(const struct sweep *sweep);

/* Counters; the caller may let other listings add to them. */
struct ec2_stats *sweep_stats(struct sweep *sweep);

#endif
