/*
 * service.h - from a request to its answer, without any network.
 *
 * Control requests, signature, parameters, faults and pages, in this order.
 */
#ifndef EC2SIM_SERVICE_H
#define EC2SIM_SERVICE_H

#include <stdbool.h>

#include "auth.h"
#include "blob.h"
#include "faults.h"
#include "pages.h"
#include "stats.h"

struct service {
    const struct world *world;
    const struct auth_options *auth;
    bool no_gzip;
    struct pages *pages;
    struct faults *faults;
    struct stats *stats;
};

struct reply {
    unsigned status;
    struct blob *body; /* a reference for whoever has the reply */
    const char *type;
    bool gzip;
    bool no_date;
    long clock_skew;             /* seconds that its Date is ahead */
    long retry_after_ms;         /* 0: no x-amz-retry-after */
    const char *location;        /* NULL: none */
    const char *reason;          /* NULL: none; why a request was refused */
    const struct region *region; /* NULL: a control request or none */
};

/* The answer to req at the time now (seconds since 1970), counted in stats. */
void service_answer(struct service *service, const struct request *req,
                    int64_t now, struct reply *out);

#endif
