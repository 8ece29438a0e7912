/*
 * The environment: every variable from the input, read by config_load(), then
 * given to what is built from it.
 *
 * Input: lines NAME=value; names that are none of ours are left out.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "lambda/runtime.h"
#include "survey/atlas.h"

static const char *const NAMES[] = {
    "ANSWER",
    "ANSWER_MARGIN_MS",
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_MAX_ATTEMPTS",
    "AWS_REGION",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "DEBUG",
    "EXPOSURE_PENDING_MAX",
    "EXPOSURE_BY_GROUP_MIN",
    "PAGES_PARALLEL",
    "HTTPS_PROXY",
    "INIT_BUDGET_MS",
    "METRICS",
    "NO_PROXY",
    "REGIONS",
    "REGION_TIMEOUT_MS",
    "RESPONSE_BODY",
    "RESPONSE_BUDGET_BYTES",
    "SPECULATION_MAX_AGE_MS",
    "https_proxy",
    "no_proxy",
};
#define NNAMES (sizeof(NAMES) / sizeof(NAMES[0]))

/* The variable that a line sets, NNAMES: none. */
static size_t variable_of(const char *line)
{
    size_t i = 0;

    for (; i < NNAMES; i++) {
        size_t len = strlen(NAMES[i]);

        if (strncmp(line, NAMES[i], len) == 0 && line[len] == '=')
            break;
    }
    return i;
}

/* putenv() and not setenv(), which keeps every value that it ever saw. */
static void set_environment(struct span in, char *lines[NNAMES])
{
    for (size_t i = 0; i < NNAMES; i++)
        (void)unsetenv(NAMES[i]);
    while (in.len) {
        char *line = fuzz_string(fuzz_until(&in, '\n'));
        size_t i = variable_of(line);

        if (i == NNAMES) {
            free(line);
            continue;
        }
        FUZZ_CHECK(putenv(line) == 0);
        free(lines[i]);
        lines[i] = line;
    }
}

static void clear_environment(char *lines[NNAMES])
{
    for (size_t i = 0; i < NNAMES; i++) {
        (void)unsetenv(NAMES[i]);
        free(lines[i]);
    }
}

static void check_error(enum err_code rc, const struct err *err)
{
    bool named = false;

    FUZZ_CHECK(rc == ERR_CONFIG || rc == ERR_LIMIT);
    FUZZ_CHECK(err->code == rc && err->msg[0]);
    for (size_t i = 0; i < NNAMES; i++)
        named = named || strstr(err->msg, NAMES[i]);
    FUZZ_CHECK(named || rc == ERR_LIMIT);
}

/* The bounds that docs/configuration.md names. */
static void check_bounds(const struct config *c)
{
    FUZZ_CHECK(c->max_attempts >= 1);
    FUZZ_CHECK(c->max_attempts <= CONFIG_MAX_ATTEMPTS_MAX);
    FUZZ_CHECK(c->region_timeout_ms >= CONFIG_REGION_TIMEOUT_MIN_MS);
    FUZZ_CHECK(c->region_timeout_ms <= CONFIG_REGION_TIMEOUT_MAX_MS);
    FUZZ_CHECK(c->answer_margin_ms >= 0);
    FUZZ_CHECK(c->answer_margin_ms <= CONFIG_ANSWER_MARGIN_MAX_MS);
    FUZZ_CHECK(c->init_budget_ms >= 0);
    FUZZ_CHECK(c->init_budget_ms <= CONFIG_INIT_BUDGET_MAX_MS);
    FUZZ_CHECK(c->speculation_max_age_ms >= 0);
    FUZZ_CHECK(c->speculation_max_age_ms <= CONFIG_SPECULATION_AGE_MAX_MS);
    FUZZ_CHECK(c->exposure_pending_max <= CONFIG_EXPOSURE_PENDING_MAX);
    FUZZ_CHECK(!c->response_budget ||
               (c->response_budget >= CONFIG_RESPONSE_BUDGET_MIN &&
                c->response_budget <= CONFIG_RESPONSE_BUDGET_MAX));
    FUZZ_CHECK(c->log_level >= LOG_TRACE && c->log_level <= LOG_FATAL);
    FUZZ_CHECK(region_is_well_formed(span_of(c->home_region)));
}

static void build(const struct config *c)
{
    struct atlas_options options = {
        .home_region = c->home_region,
        .configured = c->regions,
    };
    struct region_endpoint endpoint = REGION_ENDPOINT_INIT;
    struct atlas *atlas = NULL;
    enum err_code rc = atlas_new(&options, &atlas, NULL);

    FUZZ_CHECK(rc == ERR_OK || rc == ERR_CONFIG || rc == ERR_LIMIT);
    atlas_free(atlas);
    /* What fits the home region fits every other name. */
    rc = region_endpoint(SPAN_LIT("ap-southeast-1"), &c->endpoint, &endpoint,
                         NULL);
    FUZZ_CHECK(rc == ERR_OK || rc == ERR_LIMIT);
    region_endpoint_release(&endpoint);
}

static void build_runtime(const struct config *c)
{
    struct runtime *rt = NULL;
    struct err err = {0};
    enum err_code rc;

    if (!c->runtime_api)
        return;
    rc = runtime_new(NULL, &CLOCK_SYSTEM, c->runtime_api, &rt, &err);
    FUZZ_CHECK(rc == err.code && (rc == ERR_OK || rc == ERR_CONFIG));
    FUZZ_CHECK(rc || !strpbrk(c->runtime_api, "/@?#\\ \t%"));
    runtime_free(rt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *lines[NNAMES] = {NULL};
    struct config config;
    struct err err = {0};
    enum err_code rc;

    set_environment(fuzz_input(data, len), lines);
    rc = config_load(&config, &err);
    if (rc) {
        check_error(rc, &err);
    } else {
        check_bounds(&config);
        build(&config);
    }
    /* It is good after a failure too. */
    build_runtime(&config);
    clear_environment(lines);
    return 0;
}
