/*
 * spread.h - a listing as ec2.h has it, but all instances of a region may be
 * listed in parts at the same time.
 *
 * The pages of a listing come one after the other, because each names the
 * next. SPREAD_PARTS listings, each of the instances whose id ends in another
 * hexadecimal digit, need a sixteenth of the round trips. No id has two last
 * digits and none has none, so the parts give every instance exactly once.
 *
 * That live EC2 finds instances by "i-*0" quickly, or at all, is not proven.
 * So the first page is asked for plainly; only if there is more the listing
 * begins anew in parts, and what they give is held against that page. One that
 * was asked ahead serves as well, the first time, and saves its time. At any
 * doubt, and whenever something would have to be taken back, the listing
 * begins anew once more and pages plainly: the sink sees restart_listing and
 * then what a plain listing gives. While there are parts the sink's records
 * are taken from all of them as they come; page_commit follows each page,
 * page_rollback never does. All or nothing: only the end makes them count.
 */
#ifndef AWS_SPREAD_H
#define AWS_SPREAD_H

#include <stddef.h>
#include <stdint.h>

#include "aws/client.h"
#include "aws/ec2.h"
#include "base/err.h"

#define SPREAD_PARTS AWS_ID_DIGITS
/* Regions known to have fewer instances are listed plainly: parts begin with
 * as many requests, and new connections. */
#define SPREAD_INSTANCES_MIN 4000
/* Refusals for too many requests, in all parts together, that are borne; and
 * how long the region is listed plainly after one more. */
#define SPREAD_THROTTLES_MAX 4
#define SPREAD_THROTTLED_MS ((int64_t)60 * 1000)
/*
 * A part's page that is not its last and has less than a quarter of the first
 * page's instances (of one asked ahead, in proportion) is sparse: EC2 cuts the
 * pages before it filters. So many of them in all parts together, and the parts
 * are given up.
 */
#define SPREAD_SPARSE_MAX 16
/* Instances of a page that was asked ahead, if it is to serve as the first. */
#define SPREAD_AHEAD_MIN 50

/* How many regions may be listed in parts at the same time: each takes the
 * memory of SPREAD_PARTS connections. Shared by many listings; 0: none. */
struct spread_budget {
    size_t nregions;
};

/* Of these, so many are left to regions of which a whole page was seen: others
 * may turn out to be small. */
#define SPREAD_LEFT_MIN 2

struct spread;

/*
 * Starts a listing, as ec2_start() with the same request does. Only a
 * DescribeInstances without a filter, and within *budget (borrowed until the
 * listing has ended), is ever listed in parts. Errors as ec2_start().
 */
NODISCARD enum err_code spread_start(struct aws_client *client,
                                     const struct ec2_request *request,
                                     struct spread_budget *budget,
                                     struct spread **out, struct err *err);

/* As ec2_cancel(), ec2_expire() and ec2_last_failure(). */
void spread_cancel(struct spread *spread);
void spread_expire(struct spread *spread);
const struct failure *spread_last_failure(const struct spread *spread);

#endif
