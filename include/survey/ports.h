/*
 * ports.h - protocol and ports of a permission in plain words; pure.
 *
 * Source: EC2 API reference, IpPermission: protocol -1 is all traffic and
 * ignores ports; for ICMP the "ports" are type and code, -1 meaning all; a
 * protocol number other than TCP, UDP, ICMP and ICMPv6 covers all ports.
 */
#ifndef SURVEY_PORTS_H
#define SURVEY_PORTS_H

#include "aws/ec2_types.h"

/* Longest description, bytes. */
#define PORTS_TEXT_MAX 63

/*
 * Writes "all traffic", "22", "8000-8080", "all ports", "all ICMP",
 * "ICMP type 8", "ICMP type 3 code 4", "all of protocol 50". Always
 * terminated.
 */
void ports_describe(const struct ec2_permission *permission,
                    char out[PORTS_TEXT_MAX + 1]);

#endif
