#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "support/fail_alloc.h"

/* Names, defaults and ranges are those of docs/configuration.md. */

static int set_up(void **state)
{
    (void)state;
    if (clearenv() != 0)
        return -1;
    return setenv("AWS_REGION", "us-east-1", 1);
}

static void set(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static struct config load(void)
{
    struct config config;
    struct err err = {0};

    if (config_load(&config, &err))
        fail_msg("%s", err.msg);
    return config;
}

static void refuses(const char *name, const char *value, const char *text)
{
    struct config config;
    struct err err = {0};

    set(name, value);
    if (config_load(&config, &err) != ERR_CONFIG)
        fail_msg("%s=%s is taken", name, value);
    assert_string_equal(err.msg, text);
    set(name, NULL);
}

static void test_config_load__has_defaults(void **state)
{
    struct config config = load();

    (void)state;
    assert_null(config.runtime_api);
    assert_string_equal(config.home_region, "us-east-1");
    assert_null(config.regions);
    assert_null(config.endpoint.url);
    assert_false(config.endpoint.fips);
    assert_false(config.endpoint.dual_stack);
    assert_null(config.ca_bundle);
    assert_null(config.proxy);
    assert_null(config.no_proxy);
    assert_int_equal(config.max_attempts, 10);
    assert_int_equal(config.region_timeout_ms, 8000);
    assert_int_equal(config.answer_margin_ms, 500);
    assert_int_equal(config.init_budget_ms, 1500);
    assert_int_equal(config.speculation_max_age_ms, 1500);
    assert_int_equal(config.exposure_pending_max, 262144);
    assert_int_equal(config.criteria.default_states, 0);
    assert_false(config.criteria.names_off);
    assert_false(config.include_managed);
    assert_null(config.regions_allowed);
    assert_int_equal(config.exposure_by_group_min, 1000);
    assert_false(config.pages_parallel);
    assert_null(config.function_name);
    assert_int_equal(config.response_budget, 0);
    assert_false(config.always_object);
    assert_false(config.raw_body);
    assert_false(config.no_metrics);
    assert_false(config.debug);
    assert_false(config.log_json);
    assert_int_equal(config.log_level, LOG_INFO);
}

static void test_config_load__reads_every_variable(void **state)
{
    struct config config;

    (void)state;
    set("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    set("AWS_REGION", "eu-west-1");
    set("REGIONS", "eu-west-1,eu-north-1");
    set("AWS_ENDPOINT_URL_EC2", "https://ec2.{region}.localhost:8443");
    set("AWS_CA_BUNDLE", "/ca.pem");
    set("HTTPS_PROXY", "http://proxy:3128");
    set("NO_PROXY", ".localhost");
    set("AWS_MAX_ATTEMPTS", "3");
    set("REGION_TIMEOUT_MS", "100");
    set("ANSWER_MARGIN_MS", "0");
    set("INIT_BUDGET_MS", "9000");
    set("SPECULATION_MAX_AGE_MS", "2000");
    set("EXPOSURE_PENDING_MAX", "0");
    set("REGIONS_ALLOWED", "eu-*");
    set("DEFAULT_STATES", " Running,stopped");
    set("NAMES", "off");
    set("INCLUDE_MANAGED", "1");
    set("EXPOSURE_BY_GROUP_MIN", "100");
    set("PAGES_PARALLEL", "on");
    set("AWS_LAMBDA_FUNCTION_NAME", "my-function");
    set("RESPONSE_BUDGET_BYTES", "2000");
    set("RESPONSE_BODY", "raw");
    set("DEBUG", "1");
    set("AWS_LAMBDA_LOG_FORMAT", "JSON");
    set("AWS_LAMBDA_LOG_LEVEL", "TRACE");
    config = load();
    assert_string_equal(config.runtime_api, "127.0.0.1:9001");
    assert_string_equal(config.home_region, "eu-west-1");
    assert_string_equal(config.regions, "eu-west-1,eu-north-1");
    assert_string_equal(config.endpoint.url,
                        "https://ec2.{region}.localhost:8443");
    assert_string_equal(config.ca_bundle, "/ca.pem");
    assert_string_equal(config.proxy, "http://proxy:3128");
    assert_string_equal(config.no_proxy, ".localhost");
    assert_int_equal(config.max_attempts, 3);
    assert_int_equal(config.region_timeout_ms, 100);
    assert_int_equal(config.answer_margin_ms, 0);
    assert_int_equal(config.init_budget_ms, 9000);
    assert_int_equal(config.speculation_max_age_ms, 2000);
    assert_int_equal(config.exposure_pending_max, 0);
    assert_string_equal(config.regions_allowed, "eu-*");
    /* EC2's second and sixth state (API reference, InstanceState). */
    assert_int_equal(config.criteria.default_states, 1U << 1 | 1U << 5);
    assert_true(config.criteria.names_off);
    assert_true(config.include_managed);
    assert_int_equal(config.exposure_by_group_min, 100);
    assert_true(config.pages_parallel);
    assert_string_equal(config.function_name, "my-function");
    assert_int_equal(config.response_budget, 2000);
    assert_true(config.raw_body);
    assert_true(config.debug);
    assert_true(config.log_json);
    assert_int_equal(config.log_level, LOG_TRACE);
}

static void test_config_load__takes_empty_for_not_set(void **state)
{
    static const char *const NAMES[] = {
        "AWS_LAMBDA_RUNTIME_API",
        "REGIONS",
        "AWS_ENDPOINT_URL_EC2",
        "AWS_ENDPOINT_URL",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_CA_BUNDLE",
        "HTTPS_PROXY",
        "NO_PROXY",
        "AWS_MAX_ATTEMPTS",
        "REGION_TIMEOUT_MS",
        "ANSWER_MARGIN_MS",
        "INIT_BUDGET_MS",
        "EXPOSURE_PENDING_MAX",
        "SPECULATION_MAX_AGE_MS",
        "REGIONS_ALLOWED",
        "DEFAULT_STATES",
        "NAMES",
        "INCLUDE_MANAGED",
        "EXPOSURE_BY_GROUP_MIN",
        "PAGES_PARALLEL",
        "RESPONSE_BODY",
        "RESPONSE_BUDGET_BYTES",
        "ANSWER",
        "METRICS",
        "DEBUG",
        "AWS_LAMBDA_LOG_FORMAT",
        "AWS_LAMBDA_LOG_LEVEL",
    };

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        set(NAMES[i], "");
        assert_null(config_lookup(NAMES[i]));
    }
    test_config_load__has_defaults(state);
}

static void test_config_load__reads_the_home_region(void **state)
{
    (void)state;
    set("AWS_DEFAULT_REGION", "eu-west-1");
    assert_string_equal(load().home_region, "us-east-1");
    set("AWS_REGION", "");
    assert_string_equal(load().home_region, "eu-west-1");
    set("AWS_REGION", NULL);
    assert_string_equal(load().home_region, "eu-west-1");
    refuses("AWS_DEFAULT_REGION", NULL,
            "AWS_REGION is not set: expected the region to ask for the list of "
            "regions, such as us-east-1");
    refuses("AWS_DEFAULT_REGION", "Ireland",
            "AWS_DEFAULT_REGION=\"Ireland\": expected a region's name, such as "
            "us-east-1");
    refuses("AWS_REGION", "us-east-1.evil.example",
            "AWS_REGION=\"us-east-1.evil.example\": expected a region's name, "
            "such as us-east-1");
}

static void test_config_load__prefers_the_endpoint_of_ec2(void **state)
{
    struct config config;

    (void)state;
    set("AWS_ENDPOINT_URL", "http://all:1");
    config = load();
    assert_string_equal(config.endpoint.url, "http://all:1");
    assert_string_equal(config.endpoint.variable, "AWS_ENDPOINT_URL");
    set("AWS_ENDPOINT_URL_EC2", "http://ec2:2");
    config = load();
    assert_string_equal(config.endpoint.url, "http://ec2:2");
    assert_string_equal(config.endpoint.variable, "AWS_ENDPOINT_URL_EC2");
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
    assert_string_equal(load().endpoint.url, "http://ec2:2");
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True");
    assert_null(load().endpoint.url);
}

static void test_config_load__refuses_endpoints_that_cannot_be(void **state)
{
    struct config config;
    struct err err = {0};

    (void)state;
    set("AWS_ENDPOINT_URL_EC2", "ftp://ec2.example");
    assert_int_equal(config_load(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "AWS_ENDPOINT_URL_EC2"));

    set("AWS_ENDPOINT_URL_EC2", "https://ec2.example");
    set("AWS_USE_FIPS_ENDPOINT", "true");
    assert_int_equal(config_load(&config, NULL), ERR_CONFIG);
}

static void test_config_load__reads_the_endpoint_switches(void **state)
{
    struct config config;

    (void)state;
    set("AWS_USE_FIPS_ENDPOINT", "TRUE");
    set("AWS_USE_DUALSTACK_ENDPOINT", "False");
    config = load();
    assert_true(config.endpoint.fips);
    assert_false(config.endpoint.dual_stack);
    set("AWS_USE_DUALSTACK_ENDPOINT", "true");
    assert_true(load().endpoint.dual_stack);
    refuses("AWS_USE_FIPS_ENDPOINT", "yes",
            "AWS_USE_FIPS_ENDPOINT=\"yes\": expected true or false");
}

static void test_config_load__accepts_lower_case_proxies(void **state)
{
    struct config config;

    (void)state;
    set("https_proxy", "http://low:1");
    set("no_proxy", "low");
    config = load();
    assert_string_equal(config.proxy, "http://low:1");
    assert_string_equal(config.no_proxy, "low");
    set("HTTPS_PROXY", "http://up:1");
    set("NO_PROXY", "up");
    config = load();
    assert_string_equal(config.proxy, "http://up:1");
    assert_string_equal(config.no_proxy, "up");
}

static void test_config_load__bounds_every_number(void **state)
{
    static const struct {
        const char *name;
        const char *unit;
        const char *low; /* the least and the most that are taken */
        const char *high;
        const char *bad[2];
    } ROWS[] = {
        {"AWS_MAX_ATTEMPTS", "attempts", "1", "100", {"0", "101"}},
        {"REGION_TIMEOUT_MS",
         "milliseconds",
         "100",
         "900000",
         {"99", "900001"}},
        {"ANSWER_MARGIN_MS", "milliseconds", "0", "60000", {"-1", "60001"}},
        {"INIT_BUDGET_MS", "milliseconds", "0", "9000", {"-1", "9001"}},
        {"SPECULATION_MAX_AGE_MS",
         "milliseconds",
         "0",
         "60000",
         {"-1", "60001"}},
        {"EXPOSURE_PENDING_MAX", "bytes", "0", "67108864", {"-1", "67108865"}},
        {"RESPONSE_BUDGET_BYTES",
         "bytes",
         "2000",
         "6291556",
         {"1999", "6291557"}},
        {"EXPOSURE_BY_GROUP_MIN",
         "instances",
         "0",
         "1000000000",
         {"-1", "1000000001"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const char *bad[] = {ROWS[i].bad[0], ROWS[i].bad[1],
                             "abc",          "1e3",
                             "8 s",          "99999999999999999999"};

        set(ROWS[i].name, ROWS[i].low);
        (void)load();
        set(ROWS[i].name, ROWS[i].high);
        (void)load();
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            char text[256];

            (void)snprintf(text, sizeof(text),
                           "%s=\"%s\": expected a whole number of %s from %s "
                           "to %s",
                           ROWS[i].name, bad[j], ROWS[i].unit, ROWS[i].low,
                           ROWS[i].high);
            refuses(ROWS[i].name, bad[j], text);
        }
    }
}

/* Only an on-demand start has an event that waits for it (Lambda developer
 * guide, AWS_LAMBDA_INITIALIZATION_TYPE). */
static void test_config_load__speculates_for_events_only(void **state)
{
    static const struct {
        const char *type;
        int64_t max_age_ms;
    } ROWS[] = {
        {"on-demand", 1500},
        {"provisioned-concurrency", 0},
        {"snap-start", 0},
        {"lambda-managed-instances", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        set("AWS_LAMBDA_INITIALIZATION_TYPE", ROWS[i].type);
        assert_int_equal(load().speculation_max_age_ms, ROWS[i].max_age_ms);
    }
}

static void test_config_load__accepts_blanks_around_a_number(void **state)
{
    (void)state;
    set("REGION_TIMEOUT_MS", " 9000 ");
    assert_int_equal(load().region_timeout_ms, 9000);
}

static void test_config_load__cuts_a_long_value_in_its_error(void **state)
{
    struct config config;
    struct err err = {0};
    char value[1000];

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    set("REGION_TIMEOUT_MS", value);
    assert_int_equal(config_load(&config, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "from 100 to 900000"));
}

static void test_config_load__says_what_answers_may_hold(void **state)
{
    (void)state;
    refuses("DEFAULT_STATES", "running,halted",
            "DEFAULT_STATES=\"running,halted\": expected a comma list of "
            "pending, running, shutting-down, terminated, stopping and "
            "stopped, or all");
    refuses("NAMES", "none", "NAMES=\"none\": expected on or off");
    refuses("INCLUDE_MANAGED", "yes",
            "INCLUDE_MANAGED=\"yes\": expected true or false");
    set("NAMES", "ON");
    set("DEFAULT_STATES", "all");
    assert_false(load().criteria.names_off);
    assert_int_equal(load().criteria.default_states, 0);
}

static void test_config_load__reads_the_form_of_answers(void **state)
{
    (void)state;
    set("RESPONSE_BODY", "string");
    set("ANSWER", "Array");
    set("METRICS", "ON");
    assert_false(load().raw_body);
    assert_false(load().always_object);
    assert_false(load().no_metrics);
    set("ANSWER", "OBJECT");
    assert_true(load().always_object);
    set("METRICS", " off");
    assert_true(load().no_metrics);
    refuses("RESPONSE_BODY", "json",
            "RESPONSE_BODY=\"json\": expected string or raw");
    refuses("ANSWER", "list", "ANSWER=\"list\": expected array or object");
    refuses("METRICS", "0", "METRICS=\"0\": expected on or off");
}

static void test_config_load__reads_debug(void **state)
{
    static const struct {
        const char *value;
        bool on;
    } ROWS[] = {{"1", true},    {"true", true}, {"True", true},  {"on", true},
                {"off", false}, {"0", false},   {"false", false}};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        set("DEBUG", ROWS[i].value);
        assert_int_equal(load().debug, ROWS[i].on);
    }
    refuses("PAGES_PARALLEL", "16",
            "PAGES_PARALLEL=\"16\": expected true or false");
    refuses("DEBUG", "2", "DEBUG=\"2\": expected true or false");
}

/* What it has to say is said at INFO. */
static void test_config_load__hears_debug_with_every_level(void **state)
{
    (void)state;
    set("AWS_LAMBDA_LOG_LEVEL", "ERROR");
    assert_int_equal(load().log_level, LOG_ERROR);
    set("DEBUG", "1");
    assert_int_equal(load().log_level, LOG_INFO);
    set("AWS_LAMBDA_LOG_LEVEL", "TRACE");
    assert_int_equal(load().log_level, LOG_TRACE);
}

static void test_config_load__never_fails_over_the_log(void **state)
{
    struct config config;

    (void)state;
    set("AWS_LAMBDA_LOG_FORMAT", "XML");
    set("AWS_LAMBDA_LOG_LEVEL", "loud");
    config = load();
    assert_false(config.log_json);
    assert_int_equal(config.log_level, LOG_INFO);
    set("AWS_LAMBDA_LOG_FORMAT", "Text");
    set("AWS_LAMBDA_LOG_LEVEL", "error");
    config = load();
    assert_false(config.log_json);
    assert_int_equal(config.log_level, LOG_ERROR);
}

static void test_config_load__can_be_reported_after_a_failure(void **state)
{
    struct config config;

    (void)state;
    set("AWS_REGION", NULL);
    set("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    set("AWS_LAMBDA_LOG_FORMAT", "json");
    set("AWS_LAMBDA_LOG_LEVEL", "DEBUG");
    assert_int_equal(config_load(&config, NULL), ERR_CONFIG);
    assert_string_equal(config.runtime_api, "127.0.0.1:9001");
    assert_true(config.log_json);
    assert_int_equal(config.log_level, LOG_DEBUG);
}

/* The endpoint is tried while loading, which allocates. */
static void test_config_load__reports_every_failed_allocation(void **state)
{
    struct config config;
    enum err_code rc;
    size_t n;

    (void)state;
    for (n = 0;; n++) {
        fail_alloc_at(n);
        rc = config_load(&config, NULL);
        if (!fail_alloc_stop())
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_config_load__says_what_answers_may_hold,
                               set_up),
        cmocka_unit_test_setup(test_config_load__has_defaults, set_up),
        cmocka_unit_test_setup(test_config_load__reads_every_variable, set_up),
        cmocka_unit_test_setup(test_config_load__takes_empty_for_not_set,
                               set_up),
        cmocka_unit_test_setup(test_config_load__reads_the_home_region, set_up),
        cmocka_unit_test_setup(test_config_load__prefers_the_endpoint_of_ec2,
                               set_up),
        cmocka_unit_test_setup(
            test_config_load__refuses_endpoints_that_cannot_be, set_up),
        cmocka_unit_test_setup(test_config_load__reads_the_endpoint_switches,
                               set_up),
        cmocka_unit_test_setup(test_config_load__accepts_lower_case_proxies,
                               set_up),
        cmocka_unit_test_setup(test_config_load__bounds_every_number, set_up),
        cmocka_unit_test_setup(test_config_load__speculates_for_events_only,
                               set_up),
        cmocka_unit_test_setup(test_config_load__accepts_blanks_around_a_number,
                               set_up),
        cmocka_unit_test_setup(test_config_load__cuts_a_long_value_in_its_error,
                               set_up),
        cmocka_unit_test_setup(test_config_load__reads_the_form_of_answers,
                               set_up),
        cmocka_unit_test_setup(test_config_load__reads_debug, set_up),
        cmocka_unit_test_setup(test_config_load__hears_debug_with_every_level,
                               set_up),
        cmocka_unit_test_setup(test_config_load__never_fails_over_the_log,
                               set_up),
        cmocka_unit_test_setup(
            test_config_load__can_be_reported_after_a_failure, set_up),
        cmocka_unit_test_setup(
            test_config_load__reports_every_failed_allocation, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
