/*
 * describe.h - instances and security groups as EC2 writes them.
 *
 * Each function adds one element to an open list of the writer.
 */
#ifndef EC2SIM_DESCRIBE_H
#define EC2SIM_DESCRIBE_H

#include "fleet.h"
#include "regions.h"
#include "xml.h"

/* An <item> of instancesSet, 3 to 4 kB. */
void describe_instance(struct xml *x, const struct fleet *fleet,
                       const char *region, const struct fleet_instance *in);

/* An <item> of securityGroupInfo. */
void describe_group(struct xml *x, const struct fleet *fleet,
                    const char *region, uint32_t g);

/* An <item> of regionInfo. */
void describe_region(struct xml *x, const struct region *region);

#endif
