/*
 * describe.c - instances and security groups as EC2 writes them.
 */
#include "describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_MAX 32
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct subject {
    struct xml *x;
    const struct fleet *fleet;
    const char *region;
    const struct fleet_instance *in;
    struct rng rng; /* details that mean nothing */
    char launched[TIME_MAX];
    char subnet[FLEET_ID_MAX];
};

/* Fields that are the same for every instance. */
struct constant {
    const char *name;
    const char *inner; /* NULL: text of name itself */
    const char *value;
};

static void format_time(int64_t seconds, char out[TIME_MAX])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (!gmtime_r(&t, &tm) ||
        strftime(out, TIME_MAX, "%Y-%m-%dT%H:%M:%S.000Z", &tm) == 0)
        out[0] = '\0';
}

static void add_constants(struct xml *x, const struct constant *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c[i].inner)
            xml_nested(x, c[i].name, c[i].inner, c[i].value);
        else
            xml_leaf(x, c[i].name, c[i].value);
    }
}

static void add_group_set(struct subject *s, const uint32_t *groups, size_t n)
{
    xml_list(s->x, "groupSet");
    for (size_t i = 0; i < n; i++) {
        struct fleet_group group;

        fleet_group(s->fleet, s->region, groups[i], &group);
        xml_open(s->x, "item");
        xml_leaf(s->x, "groupId", group.id);
        xml_leaf(s->x, "groupName", group.name);
        xml_close(s->x);
    }
    xml_close(s->x);
}

static void private_name(const char *region, const char *ip, char *out,
                         size_t cap)
{
    int len;

    if (strcmp(region, "us-east-1") == 0)
        len = snprintf(out, cap, "ip-%s.ec2.internal", ip);
    else
        len = snprintf(out, cap, "ip-%s.%s.compute.internal", ip, region);
    if (!*ip || len < 0) {
        out[0] = '\0';
        return;
    }
    for (size_t i = 3; i < 3 + strlen(ip); i++) {
        if (out[i] == '.')
            out[i] = '-';
    }
}

static void public_name(const char *region, const char *ip, char *out,
                        size_t cap)
{
    if (*ip)
        snprintf(out, cap, "ec2-%s.%s.compute.amazonaws.com", ip, region);
    else
        out[0] = '\0';
    for (char *p = out; *p && p < out + 4 + strlen(ip); p++) {
        if (*p == '.')
            *p = '-';
    }
}

static void add_association(struct subject *s, const struct fleet_nic *nic)
{
    char name[96];

    if (!*nic->public_ip || s->in->state == FLEET_STOPPED)
        return;
    public_name(s->region, nic->public_ip, name, sizeof(name));
    xml_open(s->x, "association");
    xml_leaf(s->x, "publicIp", nic->public_ip);
    xml_leaf(s->x, "publicDnsName", name);
    xml_leaf(s->x, "ipOwnerId", "amazon");
    xml_close(s->x);
}

static void add_addresses(struct subject *s, const struct fleet_nic *nic)
{
    char name[96];

    private_name(s->region, nic->private_ip, name, sizeof(name));
    xml_list(s->x, "privateIpAddressesSet");
    xml_open(s->x, "item");
    xml_leaf(s->x, "privateIpAddress", nic->private_ip);
    xml_leaf(s->x, "privateDnsName", name);
    xml_leaf(s->x, "primary", "true");
    add_association(s, nic);
    xml_close(s->x);
    xml_close(s->x);
    xml_list(s->x, "ipv6AddressesSet");
    if (*nic->ipv6) {
        xml_open(s->x, "item");
        xml_leaf(s->x, "ipv6Address", nic->ipv6);
        xml_leaf(s->x, "isPrimaryIpv6", "false");
        xml_close(s->x);
    }
    xml_close(s->x);
}

static void add_nic(struct subject *s, size_t device)
{
    const struct fleet_nic *nic = &s->in->nics[device];
    uint64_t mac = rng_next(&s->rng);
    char text[96];
    char id[FLEET_ID_MAX];

    xml_open(s->x, "item");
    xml_leaf(s->x, "networkInterfaceId", nic->id);
    xml_leaf(s->x, "subnetId", s->subnet);
    xml_leaf(s->x, "vpcId", s->in->vpc);
    xml_leaf(s->x, "description", device ? "secondary" : "");
    xml_leaf(s->x, "ownerId", FLEET_ACCOUNT);
    xml_leaf(s->x, "status", "in-use");
    snprintf(text, sizeof(text), "02:%02x:%02x:%02x:%02x:%02x",
             (unsigned)(mac & 255), (unsigned)(mac >> 8 & 255),
             (unsigned)(mac >> 16 & 255), (unsigned)(mac >> 24 & 255),
             (unsigned)(mac >> 32 & 255));
    xml_leaf(s->x, "macAddress", text);
    xml_leaf(s->x, "privateIpAddress", nic->private_ip);
    private_name(s->region, nic->private_ip, text, sizeof(text));
    xml_leaf(s->x, "privateDnsName", text);
    xml_leaf(s->x, "sourceDestCheck", "true");
    add_group_set(s, nic->groups, nic->ngroups);
    fleet_id(&s->rng, "eni-attach-", id);
    xml_open(s->x, "attachment");
    xml_leaf(s->x, "attachmentId", id);
    xml_number(s->x, "deviceIndex", (long)device);
    xml_leaf(s->x, "status", "attached");
    xml_leaf(s->x, "attachTime", s->launched);
    xml_leaf(s->x, "deleteOnTermination", device ? "false" : "true");
    xml_leaf(s->x, "networkCardIndex", "0");
    xml_close(s->x);
    add_association(s, nic);
    add_addresses(s, nic);
    xml_leaf(s->x, "interfaceType", "interface");
    xml_nested(s->x, "operator", "managed", "false");
    xml_close(s->x);
}

static void add_identity(struct subject *s)
{
    const struct fleet_instance *in = s->in;
    char text[96];
    char id[FLEET_ID_MAX];

    fleet_id(&s->rng, "ami-", id);
    xml_leaf(s->x, "instanceId", in->id);
    xml_leaf(s->x, "imageId", id);
    xml_open(s->x, "instanceState");
    xml_number(s->x, "code", in->state_code);
    xml_leaf(s->x, "name", fleet_state_name(in->state));
    xml_close(s->x);
    private_name(s->region, in->private_ip, text, sizeof(text));
    xml_leaf(s->x, "privateDnsName", text);
    public_name(s->region, in->public_ip, text, sizeof(text));
    xml_leaf(s->x, "dnsName", text);
    xml_leaf(s->x, "reason",
             in->state == FLEET_STOPPED || in->state == FLEET_TERMINATED
                 ? "User initiated (2026-01-02 03:04:05 GMT)"
                 : "");
    xml_leaf(s->x, "keyName", "operations-2024");
    xml_leaf(s->x, "amiLaunchIndex", "0");
    xml_list(s->x, "productCodes");
    xml_close(s->x);
    xml_leaf(s->x, "instanceType", in->type);
    xml_leaf(s->x, "launchTime", s->launched);
}

static void add_placement(struct subject *s)
{
    const struct fleet_instance *in = s->in;
    char text[64];

    xml_open(s->x, "placement");
    snprintf(text, sizeof(text), "%s%c", s->region, in->zone);
    xml_leaf(s->x, "availabilityZone", text);
    snprintf(text, sizeof(text), "%s-az%d", region_code(s->region),
             in->zone - 'a' + 1);
    xml_leaf(s->x, "availabilityZoneId", text);
    xml_leaf(s->x, "groupName", "");
    xml_leaf(s->x, "tenancy", "default");
    xml_close(s->x);
    xml_nested(s->x, "monitoring", "state", "disabled");
}

static void add_network(struct subject *s)
{
    const struct fleet_instance *in = s->in;

    if (*in->vpc) {
        xml_leaf(s->x, "subnetId", s->subnet);
        xml_leaf(s->x, "vpcId", in->vpc);
    }
    if (*in->private_ip)
        xml_leaf(s->x, "privateIpAddress", in->private_ip);
    if (*in->public_ip)
        xml_leaf(s->x, "ipAddress", in->public_ip);
    if (in->nnics > 0 && *in->nics[0].ipv6)
        xml_leaf(s->x, "ipv6Address", in->nics[0].ipv6);
    xml_leaf(s->x, "sourceDestCheck", "true");
    add_group_set(s, in->groups, in->ngroups);
    xml_list(s->x, "networkInterfaceSet");
    for (size_t i = 0; i < in->nnics; i++)
        add_nic(s, i);
    xml_close(s->x);
}

static void add_volumes(struct subject *s)
{
    uint32_t n = rng_chance(&s->rng, 25) ? 2 : 1;
    char id[FLEET_ID_MAX];

    xml_list(s->x, "blockDeviceMapping");
    if (s->in->state == FLEET_TERMINATED)
        n = 0;
    for (uint32_t i = 0; i < n; i++) {
        fleet_id(&s->rng, "vol-", id);
        xml_open(s->x, "item");
        xml_leaf(s->x, "deviceName", i ? "/dev/sdf" : "/dev/xvda");
        xml_open(s->x, "ebs");
        xml_leaf(s->x, "volumeId", id);
        xml_leaf(s->x, "status", "attached");
        xml_leaf(s->x, "attachTime", s->launched);
        xml_leaf(s->x, "deleteOnTermination", i ? "false" : "true");
        xml_close(s->x);
        xml_close(s->x);
    }
    xml_close(s->x);
}

/* No tagSet at all where there are no tags. */
static void add_tags(struct subject *s)
{
    if (s->in->ntags == 0)
        return;
    xml_list(s->x, "tagSet");
    for (size_t i = 0; i < s->in->ntags; i++) {
        xml_open(s->x, "item");
        xml_leaf(s->x, "key", s->in->tags[i].key);
        xml_leaf(s->x, "value", s->in->tags[i].value);
        xml_close(s->x);
    }
    xml_close(s->x);
}

static void add_options(struct subject *s)
{
    static const struct constant plain[] = {
        {"hypervisor", NULL, "xen"},
        {"ebsOptimized", NULL, "true"},
        {"enaSupport", NULL, "true"},
        {"capacityReservationSpecification", "capacityReservationPreference",
         "open"},
        {"hibernationOptions", "configured", "false"},
        {"enclaveOptions", "enabled", "false"},
        {"platformDetails", NULL, "Linux/UNIX"},
        {"usageOperation", NULL, "RunInstances"},
        {"maintenanceOptions", "autoRecovery", "default"},
        {"currentInstanceBootMode", NULL, "uefi"},
        {"networkPerformanceOptions", "bandwidthWeighting", "default"},
    };
    static const struct constant metadata[] = {
        {"state", NULL, "applied"},
        {"httpTokens", NULL, "required"},
        {"httpPutResponseHopLimit", NULL, "2"},
        {"httpEndpoint", NULL, "enabled"},
        {"httpProtocolIpv6", NULL, "disabled"},
        {"instanceMetadataTags", NULL, "disabled"},
    };
    static const struct constant names[] = {
        {"hostnameType", NULL, "ip-name"},
        {"enableResourceNameDnsARecord", NULL, "true"},
        {"enableResourceNameDnsAAAARecord", NULL, "false"},
    };

    add_constants(s->x, plain, COUNT(plain));
    xml_open(s->x, "cpuOptions");
    xml_number(s->x, "coreCount", 1L << rng_below(&s->rng, 5));
    xml_leaf(s->x, "threadsPerCore", "2");
    xml_close(s->x);
    xml_open(s->x, "metadataOptions");
    add_constants(s->x, metadata, COUNT(metadata));
    xml_close(s->x);
    if (rng_chance(&s->rng, 50)) {
        xml_open(s->x, "privateDnsNameOptions");
        add_constants(s->x, names, COUNT(names));
        xml_close(s->x);
    }
    xml_leaf(s->x, "usageOperationUpdateTime", s->launched);
    xml_open(s->x, "operator");
    xml_leaf(s->x, "managed", s->in->managed ? "true" : "false");
    if (s->in->managed)
        xml_leaf(s->x, "principal", "eks.amazonaws.com");
    xml_close(s->x);
}

static void add_machine(struct subject *s)
{
    static const struct constant machine[] = {
        {"architecture", NULL, "x86_64"},
        {"rootDeviceType", NULL, "ebs"},
        {"rootDeviceName", NULL, "/dev/xvda"},
        {"virtualizationType", NULL, "hvm"},
    };
    uint64_t token = rng_next(&s->rng);
    char text[32] = "";
    char id[FLEET_ID_MAX];

    add_constants(s->x, machine, COUNT(machine));
    if (token % 2)
        snprintf(text, sizeof(text), "%016" PRIx64, token);
    xml_leaf(s->x, "clientToken", text);
    if (rng_chance(&s->rng, 60))
        return;
    fleet_id(&s->rng, "AIPA", id);
    xml_open(s->x, "iamInstanceProfile");
    xml_leaf(s->x, "arn",
             "arn:aws:iam::" FLEET_ACCOUNT ":instance-profile/web-server");
    xml_leaf(s->x, "id", id);
    xml_close(s->x);
}

void describe_instance(struct xml *x, const struct fleet *fleet,
                       const char *region, const struct fleet_instance *in)
{
    struct subject s = {
        .x = x,
        .fleet = fleet,
        .region = region,
        .in = in,
        .rng = in->rest,
    };

    format_time(in->launched, s.launched);
    fleet_id(&s.rng, "subnet-", s.subnet);
    xml_open(x, "item");
    add_identity(&s);
    add_placement(&s);
    add_network(&s);
    add_machine(&s);
    add_volumes(&s);
    add_tags(&s);
    add_options(&s);
    xml_close(x);
}

static void add_ranges(struct xml *x, const char *set, const char *field,
                       const char *const ranges[FLEET_MAX_RANGES])
{
    xml_list(x, set);
    for (size_t i = 0; i < FLEET_MAX_RANGES && ranges[i]; i++) {
        xml_open(x, "item");
        xml_leaf(x, field, ranges[i]);
        if (i == 0)
            xml_leaf(x, "description", "rule <1> & others");
        xml_close(x);
    }
    xml_close(x);
}

static void add_permission(struct xml *x, const struct fleet_group *group,
                           const struct fleet_perm *perm)
{
    xml_open(x, "item");
    xml_leaf(x, "ipProtocol", perm->protocol);
    if (perm->from != FLEET_NO_PORT)
        xml_number(x, "fromPort", perm->from);
    if (perm->to != FLEET_NO_PORT)
        xml_number(x, "toPort", perm->to);
    xml_list(x, "groups");
    if (perm->from_group) {
        xml_open(x, "item");
        xml_leaf(x, "userId", FLEET_ACCOUNT);
        xml_leaf(x, "groupId", group->id);
        xml_close(x);
    }
    xml_close(x);
    add_ranges(x, "ipRanges", "cidrIp", perm->v4);
    add_ranges(x, "ipv6Ranges", "cidrIpv6", perm->v6);
    xml_list(x, "prefixListIds");
    if (perm->from_prefix) {
        xml_open(x, "item");
        xml_leaf(x, "prefixListId", "pl-0123456789abcdef0");
        xml_close(x);
    }
    xml_close(x);
    xml_close(x);
}

void describe_group(struct xml *x, const struct fleet *fleet,
                    const char *region, uint32_t g)
{
    static const struct fleet_perm egress = {
        .protocol = "-1",
        .from = FLEET_NO_PORT,
        .to = FLEET_NO_PORT,
        .v4 = {"0.0.0.0/0"},
        .v6 = {"::/0"},
    };
    struct fleet_group group;
    char arn[128];

    fleet_group(fleet, region, g, &group);
    snprintf(arn, sizeof(arn), "arn:aws:ec2:%s:%s:security-group/%s", region,
             FLEET_ACCOUNT, group.id);
    xml_open(x, "item");
    xml_leaf(x, "ownerId", FLEET_ACCOUNT);
    xml_leaf(x, "groupId", group.id);
    xml_leaf(x, "groupName", group.name);
    xml_leaf(x, "groupDescription", "made by ec2sim");
    xml_leaf(x, "vpcId", group.vpc);
    xml_leaf(x, "securityGroupArn", arn);
    xml_list(x, "ipPermissions");
    for (size_t i = 0; i < group.nperms; i++)
        add_permission(x, &group, group.perms[i]);
    xml_close(x);
    xml_list(x, "ipPermissionsEgress");
    add_permission(x, &group, &egress);
    xml_close(x);
    xml_close(x);
}

void describe_region(struct xml *x, const struct region *region)
{
    char host[REGION_NAME_MAX + 32];

    snprintf(host, sizeof(host), "ec2.%s.amazonaws.com", region->name);
    xml_open(x, "item");
    xml_leaf(x, "regionName", region->name);
    xml_leaf(x, "regionEndpoint", host);
    xml_leaf(x, "optInStatus",
             region->disabled                  ? "not-opted-in"
             : region_is_default(region->name) ? "opt-in-not-required"
                                               : "opted-in");
    xml_close(x);
}
