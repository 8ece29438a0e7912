#include "aws/ec2_types.h"

const char *ec2_action_name(enum ec2_action action)
{
    static const char *const names[EC2_NACTIONS] = {
        [EC2_DESCRIBE_REGIONS] = "DescribeRegions",
        [EC2_DESCRIBE_INSTANCES] = "DescribeInstances",
        [EC2_DESCRIBE_SECURITY_GROUPS] = "DescribeSecurityGroups",
    };

    return names[action];
}

struct span ec2_instance_tag(const struct ec2_instance *instance,
                             const char *key)
{
    const struct ec2_tag *other_case = NULL;

    for (size_t i = 0; i < instance->ntags; i++) {
        const struct ec2_tag *tag = &instance->tags[i];

        if (span_eq_str(tag->key, key))
            return tag->value;
        if (!other_case && span_eq_nocase(tag->key, span_of(key)))
            other_case = tag;
    }
    return other_case ? other_case->value : (struct span){NULL, 0};
}

struct span ec2_instance_address(const struct ec2_instance *instance,
                                 enum ec2_address_kind kind)
{
    struct span found = {NULL, 0};

    for (size_t i = 0; i < instance->naddresses; i++) {
        const struct ec2_address *address = &instance->addresses[i];

        if (address->kind != kind)
            continue;
        if (address->own)
            return address->text;
        if (!found.p)
            found = address->text;
    }
    return found;
}
