#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "aws/region.h"
#include "support/fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_region_is_well_formed__accepts_the_shape_alone(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } ROWS[] = {
        {"us-east-1", true},
        {"ap-southeast-12", true},
        {"us-gov-west-1", true},
        {"eusc-de-east-1", true},
        {"abcdefghijklmn-opqrstuvwxyza-1", true},
        {"abcdefghijklmn-opqrstuvwxyzab-1", true},
        {"abcdefghijklmn-opqrstuvwxyzabc-1", false}, /* 32 bytes */
        {"", false},
        {"us", false},
        {"us-1", false},
        {"us-east", false},
        {"us-east-", false},
        {"us-east-1a", false},
        {"us-east-1-", false},
        {"-us-east-1", false},
        {"us--east-1", false},
        {"a-b-c-d-1", false},
        {"us-east-1-2", false},
        {"US-EAST-1", false},
        {"us_east-1", false},
        {"us-e4st-1", false},
        {" us-east-1", false},
        {"us-east-1\n", false},
        {"us-east-1.evil.example", false},
        {"us-east-1/", false},
        {"us-east-1#", false},
        {"us-\xc3\xa4st-1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++)
        if (region_is_well_formed(span_of(ROWS[i].name)) != ROWS[i].good)
            fail_msg("\"%s\"", ROWS[i].name);
    assert_false(region_is_well_formed((struct span){NULL, 0}));
    assert_false(region_is_well_formed((struct span){"us-east-1\0", 10}));
}

/* botocore 1.44.5, data/partitions.json: lists and regionRegex */
static void test_region_partition__by_list_then_by_pattern(void **state)
{
    static const struct {
        const char *region;
        const char *partition;
    } ROWS[] = {
        {"us-east-1", "aws"},
        {"ap-southeast-7", "aws"},
        {"mx-central-1", "aws"},
        {"il-central-1", "aws"},
        {"me-west-9", "aws"},
        {"cn-north-1", "aws-cn"},
        {"cn-northwest-1", "aws-cn"},
        {"cn-south-4", "aws-cn"},
        {"us-gov-west-1", "aws-us-gov"},
        {"us-gov-east-1", "aws-us-gov"},
        {"us-gov-north-7", "aws-us-gov"},
        {"eusc-de-east-1", "aws-eusc"},
        {"eusc-de-west-2", "aws-eusc"},
        {"us-iso-east-1", "aws-iso"},
        {"us-iso-west-1", "aws-iso"},
        {"us-isob-east-1", "aws-iso-b"},
        {"us-isob-west-1", "aws-iso-b"},
        {"eu-isoe-west-1", "aws-iso-e"},
        {"us-isof-east-1", "aws-iso-f"},
        {"us-isof-south-1", "aws-iso-f"},
        {"zz-north-9", "aws"},
        {"us-new-west-1", "aws"},
        {"eusc-fr-west-1", "aws"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct partition *found =
            region_partition(span_of(ROWS[i].region));

        assert_non_null(found);
        if (strcmp(found->name, ROWS[i].partition) != 0)
            fail_msg("%s: %s", ROWS[i].region, found->name);
    }
    assert_null(region_partition(SPAN_LIT("us-east-1.evil.example")));
    assert_null(region_partition(SPAN_LIT("")));
}

static void test_region_partition__lists_regions_by_name(void **state)
{
    /* botocore 1.44.5, data/endpoints.json, service ec2 */
    static const struct {
        const char *region;
        size_t nregions;
    } ROWS[] = {
        {"us-east-1", 34},     {"cn-north-1", 2},      {"us-gov-west-1", 2},
        {"eusc-de-east-1", 1}, {"us-iso-east-1", 2},   {"us-isob-east-1", 2},
        {"eu-isoe-west-1", 1}, {"us-isof-south-1", 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct partition *found =
            region_partition(span_of(ROWS[i].region));

        assert_int_equal(found->nregions, ROWS[i].nregions);
        for (size_t j = 0; j < found->nregions; j++) {
            struct span name = span_of(found->regions[j]);

            assert_ptr_equal(region_partition(name), found);
            assert_true(j == 0 || strcmp(found->regions[j - 1], name.p) < 0);
        }
    }
}

struct endpoint_row {
    const char *region;
    bool fips;
    bool dual_stack;
    const char *host;
};

static void test_region_endpoint__follows_the_rule_set_of_ec2(void **state)
{
    /* botocore 1.44.5, the endpoint resolved for DescribeInstances; dual-stack
     * of the last two by data/ec2/2016-11-15/endpoint-rule-set-1.json. */
    static const struct endpoint_row ROWS[] = {
        {"us-east-1", false, false, "ec2.us-east-1.amazonaws.com"},
        {"us-east-1", false, true, "ec2.us-east-1.api.aws"},
        {"us-east-1", true, false, "ec2-fips.us-east-1.amazonaws.com"},
        {"us-east-1", true, true, "ec2-fips.us-east-1.api.aws"},
        {"zz-north-9", false, false, "ec2.zz-north-9.amazonaws.com"},
        {"cn-north-1", false, false, "ec2.cn-north-1.amazonaws.com.cn"},
        {"cn-north-1", false, true,
         "ec2.cn-north-1.api.amazonwebservices.com.cn"},
        {"cn-north-1", true, false, "ec2-fips.cn-north-1.amazonaws.com.cn"},
        {"us-gov-west-1", false, false, "ec2.us-gov-west-1.amazonaws.com"},
        {"us-gov-west-1", false, true, "ec2.us-gov-west-1.api.aws"},
        {"us-gov-west-1", true, false, "ec2.us-gov-west-1.amazonaws.com"},
        {"us-gov-west-1", true, true, "ec2-fips.us-gov-west-1.api.aws"},
        {"eusc-de-east-1", false, false, "ec2.eusc-de-east-1.amazonaws.eu"},
        {"eusc-de-east-1", false, true,
         "ec2.eusc-de-east-1.api.amazonwebservices.eu"},
        {"us-iso-east-1", false, false, "ec2.us-iso-east-1.c2s.ic.gov"},
        {"us-iso-east-1", false, true, "ec2.us-iso-east-1.api.aws.ic.gov"},
        {"us-isob-east-1", false, false, "ec2.us-isob-east-1.sc2s.sgov.gov"},
        {"us-isob-east-1", true, true,
         "ec2-fips.us-isob-east-1.api.aws.scloud"},
        {"eu-isoe-west-1", true, false,
         "ec2-fips.eu-isoe-west-1.cloud.adc-e.uk"},
        {"us-isof-south-1", false, false, "ec2.us-isof-south-1.csp.hci.ic.gov"},
        {"eu-isoe-west-1", false, true,
         "ec2.eu-isoe-west-1.api.cloud-aws.adc-e.uk"},
        {"us-isof-south-1", false, true,
         "ec2.us-isof-south-1.api.aws.hci.ic.gov"},
    };
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct region_endpoint_options options = {
            .fips = ROWS[i].fips,
            .dual_stack = ROWS[i].dual_stack,
        };
        size_t len = strlen(ROWS[i].host);

        assert_int_equal(
            region_endpoint(span_of(ROWS[i].region), &options, &endpoint, NULL),
            ERR_OK);
        assert_string_equal(endpoint.host.data, ROWS[i].host);
        assert_int_equal(endpoint.url.len, strlen("https://") + len + 1);
        assert_memory_equal(endpoint.url.data, "https://", 8);
        assert_memory_equal(endpoint.url.data + 8, ROWS[i].host, len);
        assert_string_equal(endpoint.url.data + 8 + len, "/");
    }
    region_endpoint_release(&endpoint);
}

static void test_region_endpoint__takes_a_custom_endpoint(void **state)
{
    static const struct {
        const char *custom;
        const char *url;
        const char *host;
    } ROWS[] = {
        {"https://ec2.example", "https://ec2.example/", "ec2.example"},
        {"https://ec2.example/", "https://ec2.example/", "ec2.example"},
        {"HTTPS://EC2.Example", "https://ec2.example/", "ec2.example"},
        {"http://localhost:4566", "http://localhost:4566/", "localhost:4566"},
        {"https://ec2.{region}.localhost:8443",
         "https://ec2.eu-west-1.localhost:8443/",
         "ec2.eu-west-1.localhost:8443"},
        {"https://{region}.{region}", "https://eu-west-1.eu-west-1/",
         "eu-west-1.eu-west-1"},
        {"https://ec2.example:443", "https://ec2.example:443/", "ec2.example"},
        {"https://ec2.example:80", "https://ec2.example:80/", "ec2.example:80"},
        {"http://ec2.example:80", "http://ec2.example:80/", "ec2.example"},
        {"http://ec2.example:443", "http://ec2.example:443/",
         "ec2.example:443"},
        {"http://[::1]:5000", "http://[::1]:5000/", "[::1]:5000"},
        {"http://[FD00::23]/", "http://[fd00::23]/", "[fd00::23]"},
        {"http://[::1]:80", "http://[::1]:80/", "[::1]"},
        {"http://10.0.0.1:65535", "http://10.0.0.1:65535/", "10.0.0.1:65535"},
    };
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct region_endpoint_options options = {.url = ROWS[i].custom};

        assert_int_equal(
            region_endpoint(SPAN_LIT("eu-west-1"), &options, &endpoint, NULL),
            ERR_OK);
        assert_string_equal(endpoint.url.data, ROWS[i].url);
        assert_string_equal(endpoint.host.data, ROWS[i].host);
    }
    region_endpoint_release(&endpoint);
}

static void test_region_endpoint__refuses_other_urls(void **state)
{
    static const char *const BAD[] = {
        "",
        "ec2.example",
        "ftp://ec2.example",
        "https:/ec2.example",
        "https://",
        "https:///",
        "https://:443",
        "https://ec2.example:",
        "https://ec2.example:0",
        "https://ec2.example:08443",
        "https://ec2.example:65536",
        "https://ec2.example:-1",
        "https://ec2.example:4a",
        "https://ec2.example:1:2",
        "https://ec2.example/path",
        "https://ec2.example//",
        "https://ec2.example?x=1",
        "https://ec2.example#x",
        "https://user:password@ec2.example",
        "https://ec2 .example",
        "https://ec2.example\r\nX: y",
        "https://{Region}.example",
        "https://ec2.{region.example",
        "http://[::1",
        "http://[]",
        "http://[::1]x",
        "http://[::1]x:80",
        "http://[::g]",
        "http://::1",
        "http://[",
    };
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;

    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        const struct region_endpoint_options options = {
            .url = BAD[i],
            .variable = "AWS_ENDPOINT_URL_EC2",
        };
        struct err err = {0};

        if (region_endpoint(SPAN_LIT("eu-west-1"), &options, &endpoint, &err) !=
            ERR_CONFIG)
            fail_msg("took \"%s\"", BAD[i]);
        assert_string_equal(err.msg, "region: AWS_ENDPOINT_URL_EC2 must be "
                                     "http(s)://host[:port]");
        assert_int_equal(endpoint.url.len, 0);
        assert_int_equal(endpoint.host.len, 0);
    }
}

static void test_region_endpoint__custom_excludes_fips_and_dual_stack(void **s)
{
    static const struct region_endpoint_options ROWS[] = {
        {.url = "https://a", .variable = "AWS_ENDPOINT_URL", .fips = true},
        {.url = "https://a",
         .variable = "AWS_ENDPOINT_URL",
         .dual_stack = true},
    };
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;

    (void)s;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err err = {0};

        assert_int_equal(
            region_endpoint(SPAN_LIT("eu-west-1"), &ROWS[i], &endpoint, &err),
            ERR_CONFIG);
        assert_string_equal(err.msg, "region: AWS_ENDPOINT_URL goes with "
                                     "neither FIPS nor dual-stack endpoints");
    }
}

static void test_region_endpoint__refuses_an_ill_formed_name(void **state)
{
    const struct region_endpoint_options options = {.url = NULL};
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;

    (void)state;
    assert_int_equal(
        region_endpoint(SPAN_LIT("evil.example/"), &options, &endpoint, NULL),
        ERR_ARG);
    assert_int_equal(endpoint.url.len, 0);
}

static void test_region_endpoint__limits_the_url(void **state)
{
    struct buf url = BUF_INIT(1024);
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;
    struct region_endpoint_options options = {.url = NULL};

    (void)state;
    buf_add_str(&url, "https://");
    while (url.len < REGION_URL_MAX - 1)
        buf_add_char(&url, 'a');
    options.url = url.data;
    assert_int_equal(
        region_endpoint(SPAN_LIT("eu-west-1"), &options, &endpoint, NULL),
        ERR_OK);
    buf_add_char(&url, 'a'); /* and the '/' */
    options.url = url.data;
    assert_int_equal(
        region_endpoint(SPAN_LIT("eu-west-1"), &options, &endpoint, NULL),
        ERR_LIMIT);
    assert_int_equal(endpoint.url.len, 0);
    assert_int_equal(endpoint.host.len, 0);
    region_endpoint_release(&endpoint);
    buf_release(&url);
}

static void fail_each_allocation(const char *url)
{
    const struct region_endpoint_options options = {.url = url};
    enum err_code rc = ERR_NOMEM;

    for (size_t n = 0; rc; n++) {
        struct region_endpoint endpoint = REGION_ENDPOINT_INIT;

        fail_alloc_at(n);
        rc = region_endpoint(SPAN_LIT("eu-west-1"), &options, &endpoint, NULL);
        if (fail_alloc_stop()) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(endpoint.url.len + endpoint.host.len, 0);
        }
        region_endpoint_release(&endpoint);
    }
    assert_int_equal(rc, ERR_OK);
}

static void test_region_endpoint__survives_every_failed_allocation(void **state)
{
    (void)state;
    fail_each_allocation(NULL);
    fail_each_allocation("https://ec2.{region}.localhost:8443");
}

static void test_region_nearest__orders_by_edits_then_list(void **state)
{
    static const char *const KNOWN[] = {
        "eu-central-1", "eu-west-1", "eu-west-2", "us-east-1", "us-east-2",
    };
    /* Distances by a textbook Levenshtein in Python, whole matrix. */
    static const struct {
        const char *name;
        size_t max;
        const char *expected; /* joined with ',' */
    } ROWS[] = {
        {"us-east-1", 3, "us-east-1,us-east-2"},
        {"us-east1", 3, "us-east-1,us-east-2"},
        {"us-est-1", 3, "us-east-1,us-east-2,eu-west-1"},
        {"us-est-1", 2, "us-east-1,us-east-2"},
        {"us-esat-1", 1, "us-east-1"},
        {"eu-west-3", 2, "eu-west-1,eu-west-2"},
        {"eu-west-3", 1, "eu-west-1"},
        {"eu-west-3", 0, ""},
        {"EU-Central-1", 1, "eu-central-1"},
        {"eu-centre-1", 3, "eu-central-1"},
        {"us-east-1xyz", 3, "us-east-1"},
        {"us-east-1wxyz", 3, ""},
        {"us-e-1", 3, "us-east-1"},
        {"frankfurt", 3, ""},
        {"", 3, ""},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", 3, ""},
    };
    const char *found[3];

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        size_t n = region_nearest(span_of(ROWS[i].name), KNOWN, COUNT(KNOWN),
                                  found, ROWS[i].max);
        struct buf joined = BUF_INIT(256);

        for (size_t j = 0; j < n; j++)
            buf_addf(&joined, "%s%s", j > 0 ? "," : "", found[j]);
        if (strcmp(joined.data, ROWS[i].expected) != 0)
            fail_msg("%s: %s", ROWS[i].name, joined.data);
        buf_release(&joined);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_region_is_well_formed__accepts_the_shape_alone),
        cmocka_unit_test(test_region_partition__by_list_then_by_pattern),
        cmocka_unit_test(test_region_partition__lists_regions_by_name),
        cmocka_unit_test(test_region_endpoint__follows_the_rule_set_of_ec2),
        cmocka_unit_test(test_region_endpoint__takes_a_custom_endpoint),
        cmocka_unit_test(test_region_endpoint__refuses_other_urls),
        cmocka_unit_test(
            test_region_endpoint__custom_excludes_fips_and_dual_stack),
        cmocka_unit_test(test_region_endpoint__refuses_an_ill_formed_name),
        cmocka_unit_test(test_region_endpoint__limits_the_url),
        cmocka_unit_test(
            test_region_endpoint__survives_every_failed_allocation),
        cmocka_unit_test(test_region_nearest__orders_by_edits_then_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
