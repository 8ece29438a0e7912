#include "config.h"

#include <stdlib.h>

#include "aws/retry.h"
#include "base/span.h"

/* A value in an error's text is cut to this many bytes: "%.80s". */
#define BAD_VALUE "%s=\"%.80s\": expected "

const char *config_lookup(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static const char *first_of(const char *name, const char *other)
{
    const char *value = config_lookup(name);

    return value ? value : config_lookup(other);
}

struct number {
    const char *name;
    const char *unit; /* for the text of the error */
    int64_t min;
    int64_t max;
    int64_t otherwise; /* when not set */
};

static enum err_code read_number(const struct number *number, int64_t *out,
                                 struct err *err)
{
    const char *text = config_lookup(number->name);

    *out = number->otherwise;
    if (!text)
        return ERR_OK;
    if (span_int64(span_trim(span_of(text)), out) && *out >= number->min &&
        *out <= number->max)
        return ERR_OK;
    return err_set(err, ERR_CONFIG,
                   BAD_VALUE "a whole number of %s from %lld to %lld",
                   number->name, text, number->unit, (long long)number->min,
                   (long long)number->max);
}

/* Not set is false. */
static enum err_code read_switch(const char *name, bool *out, struct err *err)
{
    const char *text = config_lookup(name);
    struct span value = span_trim(span_of(text));

    *out = span_eq_nocase(value, SPAN_LIT("true")) ||
           span_eq_nocase(value, SPAN_LIT("on")) || span_eq_str(value, "1");
    if (!text || *out || span_eq_nocase(value, SPAN_LIT("false")) ||
        span_eq_nocase(value, SPAN_LIT("off")) || span_eq_str(value, "0"))
        return ERR_OK;
    return err_set(err, ERR_CONFIG, BAD_VALUE "true or false", name, text);
}

/* One of two words; *out is whether it is the other than the usual. */
static enum err_code read_choice(const char *name, const char *usual,
                                 const char *other, bool *out, struct err *err)
{
    const char *text = config_lookup(name);
    struct span value = span_trim(span_of(text));

    *out = span_eq_nocase(value, span_of(other));
    if (!text || *out || span_eq_nocase(value, span_of(usual)))
        return ERR_OK;
    return err_set(err, ERR_CONFIG, BAD_VALUE "%s or %s", name, text, usual,
                   other);
}

/* Never fails: a setting of the log must not keep anything from being said. */
static void read_log(struct config *out)
{
    const char *format = config_lookup("AWS_LAMBDA_LOG_FORMAT");
    const char *level = config_lookup("AWS_LAMBDA_LOG_LEVEL");

    out->log_json = span_eq_nocase(span_of(format), SPAN_LIT("JSON"));
    if (!log_level_parse(span_of(level), &out->log_level))
        out->log_level = LOG_INFO;
}

static enum err_code read_home(struct config *out, struct err *err)
{
    const char *name =
        config_lookup("AWS_REGION") ? "AWS_REGION" : "AWS_DEFAULT_REGION";

    out->home_region = config_lookup(name);
    if (!out->home_region)
        return err_set(err, ERR_CONFIG,
                       "AWS_REGION is not set: expected the region to ask for "
                       "the list of regions, such as us-east-1");
    if (!region_is_well_formed(span_of(out->home_region)))
        return err_set(err, ERR_CONFIG,
                       BAD_VALUE "a region's name, such as us-east-1", name,
                       out->home_region);
    return ERR_OK;
}

/* As the SDKs read it: SDKs and tools reference guide, "Service-specific
 * endpoints". */
static enum err_code read_endpoint(struct config *out, struct err *err)
{
    struct region_endpoint_options *options = &out->endpoint;
    struct region_endpoint tried = REGION_ENDPOINT_INIT;
    bool is_ignored = false;
    enum err_code rc;

    rc = read_switch("AWS_USE_FIPS_ENDPOINT", &options->fips, err);
    if (rc)
        return rc;
    rc = read_switch("AWS_USE_DUALSTACK_ENDPOINT", &options->dual_stack, err);
    if (rc)
        return rc;
    rc = read_switch("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", &is_ignored, err);
    if (rc)
        return rc;
    if (!is_ignored) {
        options->variable = config_lookup("AWS_ENDPOINT_URL_EC2")
                                ? "AWS_ENDPOINT_URL_EC2"
                                : "AWS_ENDPOINT_URL";
        options->url = config_lookup(options->variable);
    }
    rc = region_endpoint(span_of(out->home_region), options, &tried, err);
    region_endpoint_release(&tried);
    return rc;
}

/* Whether an event waits for this start (Lambda developer guide, "Defined
 * runtime environment variables"); where nobody says, the clock will tell. */
static bool is_on_demand(void)
{
    const char *type = config_lookup("AWS_LAMBDA_INITIALIZATION_TYPE");

    return !type || span_eq_str(span_of(type), "on-demand");
}

static enum err_code read_numbers(struct config *out, struct err *err)
{
    static const struct number NUMBERS[] = {
        {"AWS_MAX_ATTEMPTS", "attempts", 1, CONFIG_MAX_ATTEMPTS_MAX,
         RETRY_DEFAULT_ATTEMPTS},
        {"REGION_TIMEOUT_MS", "milliseconds", CONFIG_REGION_TIMEOUT_MIN_MS,
         CONFIG_REGION_TIMEOUT_MAX_MS, CONFIG_REGION_TIMEOUT_MS},
        {"ANSWER_MARGIN_MS", "milliseconds", 0, CONFIG_ANSWER_MARGIN_MAX_MS,
         CONFIG_ANSWER_MARGIN_MS},
        {"INIT_BUDGET_MS", "milliseconds", 0, CONFIG_INIT_BUDGET_MAX_MS,
         CONFIG_INIT_BUDGET_MS},
        {"SPECULATION_MAX_AGE_MS", "milliseconds", 0,
         CONFIG_SPECULATION_AGE_MAX_MS, CONFIG_SPECULATION_AGE_MS},
        {"EXPOSURE_PENDING_MAX", "bytes", 0, CONFIG_EXPOSURE_PENDING_MAX,
         CONFIG_EXPOSURE_PENDING},
        {"RESPONSE_BUDGET_BYTES", "bytes", CONFIG_RESPONSE_BUDGET_MIN,
         CONFIG_RESPONSE_BUDGET_MAX, 0},
        {"EXPOSURE_BY_GROUP_MIN", "instances", 0, CONFIG_EXPOSURE_BY_GROUP_MAX,
         CONFIG_EXPOSURE_BY_GROUP},
    };
    int64_t values[sizeof(NUMBERS) / sizeof(NUMBERS[0])];

    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        enum err_code rc = read_number(&NUMBERS[i], &values[i], err);

        if (rc)
            return rc;
    }
    out->max_attempts = (unsigned)values[0];
    out->region_timeout_ms = values[1];
    out->answer_margin_ms = values[2];
    out->init_budget_ms = values[3];
    out->speculation_max_age_ms = is_on_demand() ? values[4] : 0;
    out->exposure_pending_max = (size_t)values[5];
    out->response_budget = (size_t)values[6];
    out->exposure_by_group_min = (uint64_t)values[7];
    return ERR_OK;
}

/* What answers hold where the caller says nothing. */
static enum err_code read_criteria(struct config *out, struct err *err)
{
    const char *states = config_lookup("DEFAULT_STATES");
    enum err_code rc;

    if (states && criteria_parse_states(span_of(states),
                                        &out->criteria.default_states, NULL))
        return err_set(err, ERR_CONFIG,
                       BAD_VALUE "a comma list of pending, running, "
                                 "shutting-down, terminated, stopping and "
                                 "stopped, or all",
                       "DEFAULT_STATES", states);
    rc = read_choice("NAMES", "on", "off", &out->criteria.names_off, err);
    if (rc)
        return rc;
    return read_switch("INCLUDE_MANAGED", &out->include_managed, err);
}

/* What it logs is of the level INFO, and wanted. */
static enum err_code read_debug(struct config *out, struct err *err)
{
    enum err_code rc = read_switch("DEBUG", &out->debug, err);

    if (!rc && out->debug && out->log_level > LOG_INFO)
        out->log_level = LOG_INFO;
    return rc;
}

/* The form of answers, and what is written beside them. */
static enum err_code read_form(struct config *out, struct err *err)
{
    const struct {
        const char *name;
        const char *usual;
        const char *other;
        bool *out;
    } choices[] = {
        {"ANSWER", "array", "object", &out->always_object},
        {"RESPONSE_BODY", "string", "raw", &out->raw_body},
        {"METRICS", "on", "off", &out->no_metrics},
    };

    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        enum err_code rc = read_choice(choices[i].name, choices[i].usual,
                                       choices[i].other, choices[i].out, err);

        if (rc)
            return rc;
    }
    return read_debug(out, err);
}

enum err_code config_load(struct config *out, struct err *err)
{
    enum err_code rc;

    *out = (struct config){
        .runtime_api = config_lookup("AWS_LAMBDA_RUNTIME_API"),
        .function_name = config_lookup("AWS_LAMBDA_FUNCTION_NAME"),
        .regions = config_lookup("REGIONS"),
        .regions_allowed = config_lookup("REGIONS_ALLOWED"),
        .ca_bundle = config_lookup("AWS_CA_BUNDLE"),
        .proxy = first_of("HTTPS_PROXY", "https_proxy"),
        .no_proxy = first_of("NO_PROXY", "no_proxy"),
    };
    read_log(out);
    rc = read_home(out, err);
    if (rc)
        return rc;
    rc = read_endpoint(out, err);
    if (rc)
        return rc;
    rc = read_numbers(out, err);
    if (rc)
        return rc;
    rc = read_criteria(out, err);
    if (rc)
        return rc;
    rc = read_switch("PAGES_PARALLEL", &out->pages_parallel, err);
    return rc ? rc : read_form(out, err);
}
