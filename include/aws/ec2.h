/*
 * ec2.h - one EC2 listing in one region: all its pages, with retries.
 *
 * Records stream to a sink as they are parsed. A page counts only when its
 * transfer ended well, its status is 200 and its document is whole: then it
 * is committed; otherwise it is rolled back and, if that can help, asked
 * again. Each attempt is signed anew. Nothing here waits: the listing lives
 * in the poll of net/http.
 */
#ifndef AWS_EC2_H
#define AWS_EC2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "aws/ec2_types.h"
#include "aws/failure.h"
#include "base/err.h"

/* What every page asks for (EC2 user guide: 1,000 is the most). */
#define EC2_MAX_RESULTS 1000
/* Most values of one filter, and most pages of one listing. */
#define EC2_FILTER_VALUES_MAX 200
#define EC2_PAGES_MAX 20000
/* How long a region that was not reached is remembered, and what it has to
 * connect meanwhile, in one attempt: two far round trips and a handshake. */
#define EC2_MISSED_MS ((int64_t)60 * 1000)
#define EC2_MISSED_CONNECT_MS 1500
/* What a connection may take for an answer that nobody waits for yet. */
#define EC2_AHEAD_CONNECT_MS 1000
/* Most bytes of one decoded answer. */
#define EC2_RESPONSE_MAX ((size_t)256 * 1024 * 1024)

/*
 * The listing's course. Callbacks never start or cancel requests. After
 * page_rollback the records since the last commit are void; after restart all
 * of this listing are. Callbacks may be NULL.
 */
struct ec2_sink {
    struct ec2_records records;
    /* more: EC2 has further pages. False: none is wanted. */
    bool (*page_commit)(void *arg, bool more);
    void (*page_rollback)(void *arg);
    void (*restart_listing)(void *arg);
};

/* Counters that many listings may share. */
struct ec2_stats {
    uint64_t requests; /* attempts sent */
    uint64_t retries;
    uint64_t pages;     /* committed */
    uint64_t unchanged; /* of these, as when last asked: not parsed again */
    uint64_t throttles;
};

struct ec2_filter {
    const char *name;
    const char *const *values; /* 1 … EC2_FILTER_VALUES_MAX */
    size_t nvalues;
};

/*
 * filter, sink and stats are borrowed until the listing has ended. on_done
 * comes once, unless the listing is cancelled: failure is NULL when all pages
 * (that were wanted) are committed, else borrowed for the call.
 */
struct ec2_request {
    enum ec2_action action;
    struct aws_region *region;
    const struct ec2_filter *filter; /* NULL: none */
    /* Also the instances that other services manage, where EC2 knows of such:
     * IncludeManagedResources; left out again where it does not. */
    bool include_managed;
    /*
     * Not 0: asks before there is need, for one page of so many items (5 …
     * EC2_MAX_RESULTS), in one attempt that may take EC2_AHEAD_CONNECT_MS to
     * connect. That there is another page is FAILURE_LIMIT.
     */
    unsigned ahead_max;
    unsigned apart; /* as http_request has it */
    const struct ec2_sink *sink;
    struct ec2_stats *stats;
    int64_t deadline_ms; /* mono; nothing is begun or read after it */
    void (*on_done)(void *arg, const struct failure *failure);
    void *arg; /* for the sink's callbacks and on_done */
};

struct ec2_listing;

/*
 * Starts a listing; *out names it until on_done or ec2_cancel(). When the
 * first request cannot be started on_done is not called. ERR_NOMEM, ERR_AUTH,
 * ERR_ARG (filter with too many values), as sigv4_sign().
 */
NODISCARD enum err_code ec2_start(struct aws_client *client,
                                  const struct ec2_request *request,
                                  struct ec2_listing **out, struct err *err);

/* Ends the listing without a callback. NULL is accepted. */
void ec2_cancel(struct ec2_listing *listing);

/*
 * The same because time is over: a region that has not even been connected to
 * is remembered as missed, and gets one short attempt next time.
 */
void ec2_expire(struct ec2_listing *listing);

/*
 * What the listing is waiting for at this moment: the failure of its last
 * attempt (kind FAILURE_NONE: none yet), for a caller that stops it.
 */
const struct failure *ec2_last_failure(const struct ec2_listing *listing);

#endif
