#include "survey/ports.h"

#include <stdio.h>

/* ICMP's "every type" and "every code". */
#define ICMP_ALL (-1)
/* Most bytes told of a protocol that has no name. */
#define PROTOCOL_MAX ((size_t)32)

static void describe_icmp(const struct ec2_permission *p, const char *name,
                          char *out)
{
    if (!p->has_ports || p->from_port == ICMP_ALL)
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "all %s", name);
    else if (p->to_port == ICMP_ALL)
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "%s type %d", name,
                       p->from_port);
    else
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "%s type %d code %d", name,
                       p->from_port, p->to_port);
}

static void describe_ports(const struct ec2_permission *p, char *out)
{
    if (!p->has_ports || (p->from_port <= 0 && p->to_port >= 65535))
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "all ports");
    else if (p->from_port == p->to_port)
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "%d", p->from_port);
    else
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "%d-%d", p->from_port,
                       p->to_port);
}

/* Cut where a character ends. */
static void describe_protocol(struct span protocol, char *out)
{
    size_t len = protocol.len < PROTOCOL_MAX ? protocol.len : PROTOCOL_MAX;

    while (len && len < protocol.len && (protocol.p[len] & 0xC0) == 0x80)
        len--;
    (void)snprintf(out, PORTS_TEXT_MAX + 1, "all of protocol %.*s", (int)len,
                   protocol.p ? protocol.p : "");
}

void ports_describe(const struct ec2_permission *permission,
                    char out[PORTS_TEXT_MAX + 1])
{
    struct span protocol = permission->protocol;

    if (span_eq_str(protocol, "-1"))
        (void)snprintf(out, PORTS_TEXT_MAX + 1, "all traffic");
    else if (span_eq_str(protocol, "icmp") || span_eq_str(protocol, "1"))
        describe_icmp(permission, "ICMP", out);
    else if (span_eq_str(protocol, "icmpv6") || span_eq_str(protocol, "58"))
        describe_icmp(permission, "ICMPv6", out);
    else if (span_eq_str(protocol, "tcp") || span_eq_str(protocol, "6") ||
             span_eq_str(protocol, "udp") || span_eq_str(protocol, "17"))
        describe_ports(permission, out);
    else
        describe_protocol(protocol, out);
}
