/*
 * config.h - every setting of the program, read from the environment once.
 *
 * The only getenv is in config.c. A variable that is set to nothing counts as
 * not set. Credentials are not here: they are read at each use, through
 * config_lookup(). docs/configuration.md is the table for users.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/region.h"
#include "base/err.h"
#include "base/log.h"
#include "survey/criteria.h"

/* What holds when a variable is not set, and what it may be. */
#define CONFIG_MAX_ATTEMPTS_MAX 100 /* default: RETRY_DEFAULT_ATTEMPTS */
#define CONFIG_REGION_TIMEOUT_MS 8000
#define CONFIG_REGION_TIMEOUT_MIN_MS 100
#define CONFIG_REGION_TIMEOUT_MAX_MS 900000
#define CONFIG_ANSWER_MARGIN_MS 500
#define CONFIG_ANSWER_MARGIN_MAX_MS 60000 /* from 0 */
#define CONFIG_INIT_BUDGET_MS 1500
#define CONFIG_INIT_BUDGET_MAX_MS 9000 /* from 0; Lambda allows 10 s in all */
#define CONFIG_SPECULATION_AGE_MS 1500
#define CONFIG_SPECULATION_AGE_MAX_MS 60000 /* from 0 */
#define CONFIG_EXPOSURE_PENDING 262144
#define CONFIG_EXPOSURE_PENDING_MAX 67108864 /* from 0 */
#define CONFIG_RESPONSE_BUDGET 24000 /* of a function; a command has none */
#define CONFIG_RESPONSE_BUDGET_MIN 2000
#define CONFIG_RESPONSE_BUDGET_MAX 6291556 /* Lambda's */
#define CONFIG_EXPOSURE_BY_GROUP 1000
#define CONFIG_EXPOSURE_BY_GROUP_MAX 1000000000 /* from 0 */

/* Texts are borrowed from the environment, NULL: not set. */
struct config {
    const char *runtime_api;   /* AWS_LAMBDA_RUNTIME_API */
    const char *function_name; /* AWS_LAMBDA_FUNCTION_NAME */
    const char *home_region;   /* AWS_REGION, AWS_DEFAULT_REGION; well-formed */
    const char *regions;       /* REGIONS */
    const char *regions_allowed;             /* REGIONS_ALLOWED */
    struct region_endpoint_options endpoint; /* fits home_region */
    const char *ca_bundle;                   /* AWS_CA_BUNDLE */
    const char *proxy;                       /* HTTPS_PROXY, https_proxy */
    const char *no_proxy;                    /* NO_PROXY, no_proxy */
    unsigned max_attempts;                   /* AWS_MAX_ATTEMPTS */
    int64_t region_timeout_ms;               /* REGION_TIMEOUT_MS */
    int64_t answer_margin_ms;                /* ANSWER_MARGIN_MS */
    int64_t init_budget_ms;                  /* INIT_BUDGET_MS */
    int64_t speculation_max_age_ms;          /* SPECULATION_MAX_AGE_MS; 0 too
                                 when Lambda starts no sandbox for an event:
                                 AWS_LAMBDA_INITIALIZATION_TYPE */
    size_t exposure_pending_max;      /* EXPOSURE_PENDING_MAX, bytes a region */
    uint64_t exposure_by_group_min;   /* EXPOSURE_BY_GROUP_MIN, instances */
    bool pages_parallel;              /* PAGES_PARALLEL=on */
    struct criteria_options criteria; /* DEFAULT_STATES, NAMES */
    bool include_managed;             /* INCLUDE_MANAGED=1 */
    size_t response_budget;           /* RESPONSE_BUDGET_BYTES, 0: not set */
    bool always_object;               /* ANSWER=object */
    bool raw_body;                    /* RESPONSE_BODY=raw */
    bool no_metrics;                  /* METRICS=off */
    bool debug;                       /* DEBUG=1 */
    bool log_json;                    /* AWS_LAMBDA_LOG_FORMAT=JSON */
    enum log_level log_level;         /* AWS_LAMBDA_LOG_LEVEL; at most INFO
                                       * when debug */
};

/*
 * ERR_CONFIG names the variable, its value and what it may be; ERR_NOMEM.
 * runtime_api and the log's settings are good after a failure too, so that it
 * can be reported.
 */
NODISCARD enum err_code config_load(struct config *out, struct err *err);

/* Value of a variable, NULL when it is not set or set to nothing. Borrowed
 * from the environment. */
const char *config_lookup(const char *name);

#endif
