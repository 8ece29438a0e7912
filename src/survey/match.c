#include "survey/match.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define DEFAULT_TAG SPAN_LIT("Owner")

bool criteria_wants_state(const struct criteria *criteria, struct span state)
{
    return criteria->states == 0 ||
           (criteria->states & criteria_state_bit(state)) != 0;
}

bool criteria_has_tag(const struct criteria *criteria,
                      const struct ec2_instance *instance)
{
    struct span key = criteria->tag_key.len ? criteria->tag_key : DEFAULT_TAG;

    for (size_t i = 0; i < instance->ntags; i++) {
        const struct ec2_tag *tag = &instance->tags[i];

        if (tag->value.len && span_eq_nocase(tag->key, key) &&
            (criteria->tag_value.len == 0 ||
             span_fits(tag->value, criteria->tag_value)))
            return true;
    }
    return false;
}

/* The 16 bytes of an IPv6 address in text form. */
static bool read_ipv6(struct span text, struct in6_addr *out)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, out) == 1;
}

static bool fits_address(const struct ec2_address *address, struct span query,
                         const struct in6_addr *ipv6)
{
    struct in6_addr found;

    if (span_fits(address->text, query))
        return true;
    return ipv6 && address->kind == EC2_IPV6 &&
           read_ipv6(address->text, &found) &&
           memcmp(&found, ipv6, sizeof(found)) == 0;
}

bool criteria_matches_query(const struct criteria *criteria,
                            const struct ec2_instance *instance)
{
    struct in6_addr ipv6;
    bool is_ipv6 = read_ipv6(criteria->query, &ipv6);

    if (span_fits(instance->id, criteria->query) ||
        span_fits(ec2_instance_tag(instance, "Name"), criteria->query))
        return true;
    for (size_t i = 0; i < instance->naddresses; i++)
        if (fits_address(&instance->addresses[i], criteria->query,
                         is_ipv6 ? &ipv6 : NULL))
            return true;
    return false;
}

bool criteria_is_before(const struct criteria *criteria, size_t position,
                        struct span id)
{
    if (criteria->after_region.len == 0)
        return false;
    if (position != criteria->after_position)
        return position < criteria->after_position;
    return criteria->after_is_there && span_cmp(id, criteria->after_id) <= 0;
}

static bool is_protocol(struct span protocol, const char *name,
                        const char *number)
{
    return span_eq_nocase(protocol, span_of(name)) ||
           span_eq_str(protocol, number);
}

bool criteria_covers(const struct criteria *criteria,
                     const struct ec2_permission *rule)
{
    enum criteria_protocol wanted = criteria->protocol;
    struct span protocol = rule->protocol;

    if (wanted == CRITERIA_ANY_PORT || span_eq(protocol, SPAN_LIT("-1")))
        return true;
    if (wanted == CRITERIA_ICMPV6)
        return is_protocol(protocol, "icmpv6", "58");
    if (wanted == CRITERIA_ICMP)
        return is_protocol(protocol, "icmp", "1") ||
               is_protocol(protocol, "icmpv6", "58");
    if (!(wanted != CRITERIA_UDP && is_protocol(protocol, "tcp", "6")) &&
        !(wanted != CRITERIA_TCP && is_protocol(protocol, "udp", "17")))
        return false;
    return !rule->has_ports || (rule->from_port <= criteria->to_port &&
                                criteria->from_port <= rule->to_port);
}
