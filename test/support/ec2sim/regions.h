/*
 * regions.h - what the simulator knows of AWS regions.
 *
 * A region that is not in the table can be simulated all the same: it then
 * counts as one that had to be opted into.
 */
#ifndef EC2SIM_REGIONS_H
#define EC2SIM_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_NAME_MAX 32

struct region {
    char name[REGION_NAME_MAX];
    uint32_t instances; /* size of its fleet */
    bool disabled;      /* exists, but the account has not opted in */
};

/* The commercial regions in order of name. */
size_t regions_known(void);
const char *regions_known_name(size_t i);

/* Whether an account has the region without opting in. */
bool region_is_default(const char *name);

/* The short code in zone ids, "use1" for us-east-1. */
const char *region_code(const char *name);

#endif
