#include "support/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <string.h>

/* Splits "key=value". */
static void split_pair(struct span pair, struct span *key, struct span *value)
{
    assert_true(span_split(&pair, '=', key));
    *value = pair;
}

/* The next word of *rest; false when there is none. */
static bool next_word(struct span *rest, struct span *word)
{
    while (span_split(rest, ' ', word))
        if (word->len)
            return true;
    return false;
}

static void add_tags(struct instance_record *out, struct span tags)
{
    struct span tag;

    while (span_split(&tags, ',', &tag)) {
        if (tag.len == 0)
            continue;
        assert_true(out->instance.ntags < RECORD_TAGS_MAX);
        split_pair(tag, &out->tags[out->instance.ntags].key,
                   &out->tags[out->instance.ntags].value);
        out->instance.ntags++;
    }
}

static void add_addresses(struct instance_record *out, struct span rest)
{
    struct span word;
    bool own = false;

    while (next_word(&rest, &word)) {
        struct ec2_address *address = &out->addresses[out->instance.naddresses];

        if (span_eq_str(word, "own")) {
            own = true;
            continue;
        }
        assert_true(out->instance.naddresses < RECORD_ADDRESSES_MAX);
        *address = (struct ec2_address){word, EC2_PUBLIC_IP, own};
        if (memchr(word.p, ':', word.len))
            address->kind = EC2_IPV6;
        else if (span_starts_with(word, "10."))
            address->kind = EC2_PRIVATE_IP;
        out->instance.naddresses++;
        own = false;
    }
}

static void add_groups(struct instance_record *out, struct span rest)
{
    struct span word;

    while (next_word(&rest, &word)) {
        assert_true(out->instance.ngroup_ids < RECORD_GROUPS_MAX);
        out->group_ids[out->instance.ngroup_ids++] = word;
    }
}

void instance_record_init(struct instance_record *out, const char *text)
{
    struct span rest = span_of(text);
    struct span part = {NULL, 0};

    *out = (struct instance_record){0};
    out->instance.tags = out->tags;
    out->instance.group_ids = out->group_ids;
    out->instance.addresses = out->addresses;
    assert_true(span_split(&rest, '|', &part));
    split_pair(part, &out->instance.id, &out->instance.state);
    if (span_split(&rest, '|', &part))
        add_tags(out, part);
    if (span_split(&rest, '|', &part))
        add_groups(out, part);
    if (span_split(&rest, '|', &part))
        out->instance.type = part;
    if (span_split(&rest, '|', &part))
        add_addresses(out, part);
}

static bool read_port(struct span *rest, int32_t *port)
{
    struct span word;
    int64_t value = 0;

    assert_true(next_word(rest, &word));
    *port = 0;
    if (span_eq_str(word, "-"))
        return false;
    assert_true(span_int64(word, &value));
    *port = (int32_t)value;
    return true;
}

/* Reads protocol and ports off the front of *rest. */
static struct ec2_permission read_rule(struct span *rest)
{
    struct ec2_permission rule = {0};
    bool has_from;
    bool has_to;

    assert_true(next_word(rest, &rule.protocol));
    has_from = read_port(rest, &rule.from_port);
    has_to = read_port(rest, &rule.to_port);
    rule.has_ports = has_from && has_to;
    return rule;
}

struct ec2_permission permission_of(const char *text)
{
    struct span rest = span_of(text);

    return read_rule(&rest);
}

static void add_permission(struct group_record *out, struct span text)
{
    struct ec2_permission *rule = &out->permissions[out->group.npermissions++];
    struct span cidr;

    *rule = read_rule(&text);
    rule->first_cidr = out->group.ncidrs;
    while (next_word(&text, &cidr)) {
        assert_true(out->group.ncidrs < RECORD_CIDRS_MAX);
        out->cidrs[out->group.ncidrs++] = cidr;
    }
    rule->ncidrs = out->group.ncidrs - rule->first_cidr;
}

void group_record_init(struct group_record *out, const char *text)
{
    struct span rest = span_of(text);
    struct span part = {NULL, 0};

    *out = (struct group_record){0};
    out->group.permissions = out->permissions;
    out->group.cidrs = out->cidrs;
    assert_true(span_split(&rest, '|', &part));
    split_pair(part, &out->group.id, &out->group.name);
    while (span_split(&rest, '|', &part)) {
        assert_true(out->group.npermissions < RECORD_PERMISSIONS_MAX);
        add_permission(out, part);
    }
}
