/*
 * regions.c - the commercial regions of the public partition.
 */
#include "regions.h"

#include <string.h>

static const struct {
    const char *name;
    const char *code;
    bool by_default;
} KNOWN[] = {
    {"af-south-1", "afs1", false},      {"ap-east-1", "ape1", false},
    {"ap-east-2", "ape2", false},       {"ap-northeast-1", "apne1", true},
    {"ap-northeast-2", "apne2", true},  {"ap-northeast-3", "apne3", true},
    {"ap-south-1", "aps1", true},       {"ap-south-2", "aps2", false},
    {"ap-southeast-1", "apse1", true},  {"ap-southeast-2", "apse2", true},
    {"ap-southeast-3", "apse3", false}, {"ap-southeast-4", "apse4", false},
    {"ap-southeast-5", "apse5", false}, {"ap-southeast-6", "apse6", false},
    {"ap-southeast-7", "apse7", false}, {"ca-central-1", "cac1", true},
    {"ca-west-1", "caw1", false},       {"eu-central-1", "euc1", true},
    {"eu-central-2", "euc2", false},    {"eu-north-1", "eun1", true},
    {"eu-south-1", "eus1", false},      {"eu-south-2", "eus2", false},
    {"eu-west-1", "euw1", true},        {"eu-west-2", "euw2", true},
    {"eu-west-3", "euw3", true},        {"il-central-1", "ilc1", false},
    {"me-central-1", "mec1", false},    {"me-south-1", "mes1", false},
    {"mx-central-1", "mxc1", false},    {"sa-east-1", "sae1", true},
    {"us-east-1", "use1", true},        {"us-east-2", "use2", true},
    {"us-west-1", "usw1", true},        {"us-west-2", "usw2", true},
};

#define NKNOWN (sizeof(KNOWN) / sizeof(KNOWN[0]))

size_t regions_known(void)
{
    return NKNOWN;
}

const char *regions_known_name(size_t i)
{
    return KNOWN[i].name;
}

bool region_is_default(const char *name)
{
    for (size_t i = 0; i < NKNOWN; i++) {
        if (strcmp(KNOWN[i].name, name) == 0)
            return KNOWN[i].by_default;
    }
    return false;
}

const char *region_code(const char *name)
{
    for (size_t i = 0; i < NKNOWN; i++) {
        if (strcmp(KNOWN[i].name, name) == 0)
            return KNOWN[i].code;
    }
    return "sim1";
}
