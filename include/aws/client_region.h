/*
 * client_region.h - what is kept of one region from one request to the next,
 * as long as the client lives: its endpoint, and what was learnt of it.
 *
 * Nothing here is secret but the signing key, which client.c owns and wipes.
 */
#ifndef AWS_CLIENT_REGION_H
#define AWS_CLIENT_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "aws/ec2_types.h"
#include "aws/region.h"
#include "aws/retry.h"

struct ec2_memo;

/* Hexadecimal digits: an instance's id ends in one of them. */
#define AWS_ID_DIGITS 16

struct aws_region {
    char name[REGION_NAME_MAX + 1];
    struct region_endpoint endpoint;
    struct retry_quota quota;
    int64_t skew_ms;      /* the region's clock minus ours */
    int64_t missed_ms;    /* mono, when not reached; INT64_MIN: it answered */
    int64_t rtt_us;       /* round trip seen last; 0: none so far */
    bool managed_unknown; /* EC2 refused IncludeManagedResources here */

    /* The last short answer to each action, ec2.c's; NULL: none so far. */
    struct ec2_memo *memos[EC2_NACTIONS];

    /* Its size, the sweep's. 0: not known. */
    uint64_t ninstances; /* when all were last listed */
    uint64_t nfollowed;  /* that came when last asked for by a filter */

    /* Whether it can be listed in parts, spread.c's. */
    int64_t no_parts_ms; /* mono, not before; INT64_MAX: never again */
    bool parts_proven;   /* it once could, and nothing was missing */
    /* Instances of a page that was asked ahead and was not the only one, by the
     * digit that they end in; first_max: asked for at most; 0: no such page. */
    uint16_t first[AWS_ID_DIGITS];
    unsigned first_max;

    unsigned accepted; /* client.c's, as what follows */
    struct aws_key_cache *key;
    struct aws_region *next;
};

#endif
