/*
 * region.h - regions, partitions and endpoint names; pure.
 *
 * Region names come from outside and become host names, so only names of a
 * region's shape pass. What is enabled in an account is not known here (see
 * survey/atlas.h). Source: botocore data/partitions.json and the EC2 endpoint
 * rule set, August 2026.
 */
#ifndef AWS_REGION_H
#define AWS_REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Longest region name, bytes. */
#define REGION_NAME_MAX 31

struct partition {
    const char *name;              /* "aws" */
    const char *dns_suffix;        /* "amazonaws.com" */
    const char *dual_stack_suffix; /* "api.aws" */
    const char *const *regions;    /* known when this was built, by name */
    size_t nregions;
};

/*
 * The shape letters-letters[-letters]-digits, lower case, short enough: what
 * may become part of a host name.
 */
bool region_is_well_formed(struct span name);

/*
 * The partition whose list holds name or whose pattern fits it; "aws" for a
 * well-formed name that fits none; NULL for an ill-formed one. Static storage.
 */
const struct partition *region_partition(struct span name);

/* Borrowed; a variable that is not set is NULL. */
struct region_endpoint_options {
    const char *url;      /* custom endpoint, may hold "{region}" */
    const char *variable; /* where url came from, for error texts */
    bool fips;
    bool dual_stack;
};

/* Where a region is asked: both buffers are owned by the caller. */
struct region_endpoint {
    struct buf url;  /* "https://ec2.us-east-1.amazonaws.com/" */
    struct buf host; /* as signed: lower case, port unless the default */
};
#define REGION_URL_MAX ((size_t)512)
#define REGION_ENDPOINT_INIT                                                   \
    {                                                                          \
        BUF_INIT(REGION_URL_MAX), BUF_INIT(REGION_URL_MAX)                     \
    }
void region_endpoint_release(struct region_endpoint *endpoint);

/*
 * Fills *out, which must be initialised, for the region name; what it held is
 * replaced. ERR_CONFIG: a custom endpoint together with FIPS or dual-stack,
 * or one that is not http(s)://host[:port] with no path but "/" (the text
 * names the variable, never the URL: it may hold a password); ERR_ARG: name
 * ill-formed; ERR_LIMIT, ERR_NOMEM. Both texts are empty after failure.
 */
NODISCARD enum err_code
region_endpoint(struct span name, const struct region_endpoint_options *options,
                struct region_endpoint *out, struct err *err);

/* Most edits between a name and one that is offered in its place. */
#define REGION_EDITS_MAX 3

/*
 * Puts into out[] the names of known[] nearest to name (fewest edits, then
 * list order; letter case is no edit), at most max and none more than
 * REGION_EDITS_MAX away; returns how many. out[] borrows from known[].
 */
size_t region_nearest(struct span name, const char *const *known, size_t nknown,
                      const char **out, size_t max);

#endif
