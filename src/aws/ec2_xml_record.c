#include "ec2_xml_private.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* A new zeroed item at the end of the list, NULL after a failure. */
static void *list_add(struct ec2_xml *xml, struct list *list, size_t size)
{
    size_t cap = list->cap ? list->cap * 2 : 16;
    void *items;

    if (list->n >= EC2_XML_LIST_MAX) {
        ec2_xml_fail_with(xml, ERR_LIMIT, "too many entries in one record");
        return NULL;
    }
    if (list->n == list->cap) {
        items = realloc(list->items, cap * size);
        if (!items) {
            ec2_xml_fail_with(xml, ERR_NOMEM, "out of memory");
            return NULL;
        }
        list->items = items;
        list->cap = cap;
    }
    list->n++;
    return memset((char *)list->items + (list->n - 1) * size, 0, size);
}

static void *list_last(const struct list *list, size_t size)
{
    return (char *)list->items + (list->n - 1) * size;
}

/*
 * The text just read, kept for the record; empty after a failure. What is no
 * UTF-8 is replaced and not refused: libxml2 2.9.14 lets overlong forms inside
 * CDATA pass, and a tag must not be able to hide its whole region.
 */
static struct span keep_text(struct ec2_xml *xml)
{
    size_t room = EC2_XML_RECORD_MAX - arena_total(&xml->strings);
    struct span text = buf_span(&xml->text);
    struct span kept = {NULL, 0};
    char *copy;

    if (utf8_is_valid(text)) {
        kept = arena_copy(&xml->strings, text);
    } else {
        text.len = text.len * UTF8_REPLACEMENT_LEN;
        copy = arena_alloc_text(&xml->strings, text.len + 1);
        if (copy)
            kept = (struct span){copy, utf8_mend(buf_span(&xml->text), copy)};
    }
    if (kept.p)
        return kept;
    if (text.len + sizeof(max_align_t) >= room)
        ec2_xml_fail_with(xml, ERR_LIMIT, "one record is too long");
    else
        ec2_xml_fail_with(xml, ERR_NOMEM, "out of memory");
    return kept;
}

static int32_t read_port(struct ec2_xml *xml)
{
    int64_t port = 0;

    if (!span_int64(span_trim(buf_span(&xml->text)), &port) ||
        port < INT32_MIN || port > INT32_MAX) {
        ec2_xml_fail_with(xml, ERR_PARSE, "port is not a number");
        return 0;
    }
    return (int32_t)port;
}

static void keep_side(struct ec2_xml *xml, struct buf *side)
{
    enum err_code rc;

    buf_reset(side);
    buf_add(side, xml->text.data, xml->text.len);
    rc = buf_check(side, "ec2_xml: text", &xml->err);
    if (rc)
        ec2_xml_fail(xml, rc);
}

static void begin_record(struct ec2_xml *xml)
{
    arena_reset(&xml->strings);
    xml->instance = (struct ec2_instance){0};
    xml->group = (struct ec2_group){0};
    xml->region = (struct ec2_region){0};
    xml->tags.n = 0;
    xml->group_ids.n = 0;
    xml->addresses.n = 0;
    xml->permissions.n = 0;
    xml->cidrs.n = 0;
    if (++xml->nrecords > EC2_XML_RECORDS_MAX)
        ec2_xml_fail_with(xml, ERR_LIMIT, "too many records in one page");
}

static void begin_permission(struct ec2_xml *xml)
{
    struct ec2_permission *permission =
        list_add(xml, &xml->permissions, sizeof(*permission));

    xml->has_from = false;
    xml->has_to = false;
    if (permission)
        permission->first_cidr = xml->cidrs.n;
}

static struct ec2_permission *last_permission(struct ec2_xml *xml)
{
    return list_last(&xml->permissions, sizeof(struct ec2_permission));
}

static void end_permission(struct ec2_xml *xml)
{
    struct ec2_permission *permission = last_permission(xml);

    permission->ncidrs = xml->cidrs.n - permission->first_cidr;
    permission->has_ports = xml->has_from && xml->has_to;
}

static void end_instance(struct ec2_xml *xml)
{
    xml->instance.tags = xml->tags.items;
    xml->instance.ntags = xml->tags.n;
    xml->instance.group_ids = xml->group_ids.items;
    xml->instance.ngroup_ids = xml->group_ids.n;
    xml->instance.addresses = xml->addresses.items;
    xml->instance.naddresses = xml->addresses.n;
    if (xml->memo)
        ec2_xml_fail(
            xml, ec2_memo_add_instance(xml->memo, &xml->instance, &xml->err));
    if (xml->records.instance && !xml->failed)
        ec2_xml_fail(
            xml, xml->records.instance(xml->arg, &xml->instance, &xml->err));
}

static void end_group(struct ec2_xml *xml)
{
    xml->group.permissions = xml->permissions.items;
    xml->group.npermissions = xml->permissions.n;
    xml->group.cidrs = xml->cidrs.items;
    xml->group.ncidrs = xml->cidrs.n;
    if (xml->memo)
        ec2_xml_fail(xml,
                     ec2_memo_add_group(xml->memo, &xml->group, &xml->err));
    if (xml->records.group && !xml->failed)
        ec2_xml_fail(xml, xml->records.group(xml->arg, &xml->group, &xml->err));
}

static void end_region(struct ec2_xml *xml)
{
    if (xml->memo)
        ec2_xml_fail(xml,
                     ec2_memo_add_region(xml->memo, &xml->region, &xml->err));
    if (xml->records.region && !xml->failed)
        ec2_xml_fail(xml,
                     xml->records.region(xml->arg, &xml->region, &xml->err));
}

static void begin_tag(struct ec2_xml *xml)
{
    (void)list_add(xml, &xml->tags, sizeof(struct ec2_tag));
}

static struct ec2_tag *last_tag(struct ec2_xml *xml)
{
    return list_last(&xml->tags, sizeof(struct ec2_tag));
}

static void end_tag_key(struct ec2_xml *xml)
{
    last_tag(xml)->key = keep_text(xml);
}

static void end_tag_value(struct ec2_xml *xml)
{
    last_tag(xml)->value = keep_text(xml);
}

static void end_instance_id(struct ec2_xml *xml)
{
    xml->instance.id = keep_text(xml);
}

static void end_state_name(struct ec2_xml *xml)
{
    xml->instance.state = keep_text(xml);
}

static void end_instance_type(struct ec2_xml *xml)
{
    xml->instance.type = keep_text(xml);
}

static void end_launch_time(struct ec2_xml *xml)
{
    xml->instance.launch_time = keep_text(xml);
}

static void add_address(struct ec2_xml *xml, enum ec2_address_kind kind,
                        bool own)
{
    struct ec2_address *address;

    /* EC2 writes an element without text where there is none. */
    if (xml->text.len == 0)
        return;
    address = list_add(xml, &xml->addresses, sizeof(*address));
    if (address)
        *address = (struct ec2_address){keep_text(xml), kind, own};
}

static void end_own_private_ip(struct ec2_xml *xml)
{
    add_address(xml, EC2_PRIVATE_IP, true);
}

static void end_own_public_ip(struct ec2_xml *xml)
{
    add_address(xml, EC2_PUBLIC_IP, true);
}

static void end_own_ipv6(struct ec2_xml *xml)
{
    add_address(xml, EC2_IPV6, true);
}

static void end_private_ip(struct ec2_xml *xml)
{
    add_address(xml, EC2_PRIVATE_IP, false);
}

static void end_public_ip(struct ec2_xml *xml)
{
    add_address(xml, EC2_PUBLIC_IP, false);
}

static void end_ipv6(struct ec2_xml *xml)
{
    add_address(xml, EC2_IPV6, false);
}

static void end_group_ref_id(struct ec2_xml *xml)
{
    struct span *id = list_add(xml, &xml->group_ids, sizeof(*id));

    if (id)
        *id = keep_text(xml);
}

static void end_group_id(struct ec2_xml *xml)
{
    xml->group.id = keep_text(xml);
}

static void end_group_name(struct ec2_xml *xml)
{
    xml->group.name = keep_text(xml);
}

static void end_protocol(struct ec2_xml *xml)
{
    last_permission(xml)->protocol = keep_text(xml);
}

static void end_from_port(struct ec2_xml *xml)
{
    /* An absent value may also come as an empty element. */
    if (xml->text.len == 0)
        return;
    last_permission(xml)->from_port = read_port(xml);
    xml->has_from = true;
}

static void end_to_port(struct ec2_xml *xml)
{
    if (xml->text.len == 0)
        return;
    last_permission(xml)->to_port = read_port(xml);
    xml->has_to = true;
}

static void end_cidr(struct ec2_xml *xml)
{
    struct span *cidr = list_add(xml, &xml->cidrs, sizeof(*cidr));

    if (cidr)
        *cidr = keep_text(xml);
}

static void end_region_name(struct ec2_xml *xml)
{
    xml->region.name = keep_text(xml);
}

static void end_opt_in_status(struct ec2_xml *xml)
{
    xml->region.opt_in_status = keep_text(xml);
}

static void end_request_id(struct ec2_xml *xml)
{
    xml->nrequest_ids++;
    keep_side(xml, &xml->request_id);
}

static void end_next_token(struct ec2_xml *xml)
{
    keep_side(xml, &xml->next_token);
}

/* The first error tells; others repeat it or follow from it. */
static void end_error_code(struct ec2_xml *xml)
{
    if (xml->error_code.len == 0)
        keep_side(xml, &xml->error_code);
}

static void end_error_message(struct ec2_xml *xml)
{
    if (xml->error_message.len == 0)
        keep_side(xml, &xml->error_message);
}

/* What a node does beside leading to others. */
static const struct kind {
    bool text; /* its characters are wanted */
    void (*begin)(struct ec2_xml *xml);
    void (*end)(struct ec2_xml *xml);
} KINDS[NNODES] = {
    [NODE_REQUEST_ID] = {true, NULL, end_request_id},
    [NODE_NEXT_TOKEN] = {true, NULL, end_next_token},
    [NODE_ERROR_CODE] = {true, NULL, end_error_code},
    [NODE_ERROR_MESSAGE] = {true, NULL, end_error_message},
    [NODE_INSTANCE] = {false, begin_record, end_instance},
    [NODE_INSTANCE_ID] = {true, NULL, end_instance_id},
    [NODE_INSTANCE_TYPE] = {true, NULL, end_instance_type},
    [NODE_LAUNCH_TIME] = {true, NULL, end_launch_time},
    [NODE_OWN_PRIVATE_IP] = {true, NULL, end_own_private_ip},
    [NODE_OWN_PUBLIC_IP] = {true, NULL, end_own_public_ip},
    [NODE_OWN_IPV6] = {true, NULL, end_own_ipv6},
    [NODE_PRIVATE_IP] = {true, NULL, end_private_ip},
    [NODE_PUBLIC_IP] = {true, NULL, end_public_ip},
    [NODE_IPV6] = {true, NULL, end_ipv6},
    [NODE_STATE_NAME] = {true, NULL, end_state_name},
    [NODE_TAG] = {false, begin_tag, NULL},
    [NODE_TAG_KEY] = {true, NULL, end_tag_key},
    [NODE_TAG_VALUE] = {true, NULL, end_tag_value},
    [NODE_GROUP_REF_ID] = {true, NULL, end_group_ref_id},
    [NODE_GROUP] = {false, begin_record, end_group},
    [NODE_GROUP_ID] = {true, NULL, end_group_id},
    [NODE_GROUP_NAME] = {true, NULL, end_group_name},
    [NODE_PERMISSION] = {false, begin_permission, end_permission},
    [NODE_PROTOCOL] = {true, NULL, end_protocol},
    [NODE_FROM_PORT] = {true, NULL, end_from_port},
    [NODE_TO_PORT] = {true, NULL, end_to_port},
    [NODE_CIDR] = {true, NULL, end_cidr},
    [NODE_REGION] = {false, begin_record, end_region},
    [NODE_REGION_NAME] = {true, NULL, end_region_name},
    [NODE_OPT_IN_STATUS] = {true, NULL, end_opt_in_status},
};

bool ec2_xml_wants_text(enum node node)
{
    return KINDS[node].text;
}

void ec2_xml_enter(struct ec2_xml *xml, enum node node)
{
    buf_reset(&xml->text);
    if (KINDS[node].begin)
        KINDS[node].begin(xml);
}

void ec2_xml_leave(struct ec2_xml *xml, enum node node)
{
    if (KINDS[node].end)
        KINDS[node].end(xml);
}

void ec2_xml_release_record(struct ec2_xml *xml)
{
    free(xml->cidrs.items);
    free(xml->permissions.items);
    free(xml->addresses.items);
    free(xml->group_ids.items);
    free(xml->tags.items);
    arena_release(&xml->strings);
}
