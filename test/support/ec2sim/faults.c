/*
 * faults.c - what a region does wrong, by request of a test.
 */
#include "faults.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "regions.h"
#include "text.h"

#define MAX_ARGS 2
#define MAX_NUMBER 1000000000L
#define FOR_EVER LONG_MAX

/* Where in its arguments a kind has what; -1: nowhere. */
struct kind {
    const char *name;
    enum fault fault;
    int min_args;
    int max_args;
    int times_at; /* how often it happens */
    int arg_at;   /* what faults_judge() hands out */
    int page_at;  /* the one page it happens on */
    long times;   /* where it is not said */
};

static const struct kind KINDS[] = {
    {"auth-failure", FAULT_AUTH_FAILURE, 0, 1, 0, -1, -1, FOR_EVER},
    {"clock-skew", FAULT_CLOCK_SKEW, 1, 1, -1, 0, -1, FOR_EVER},
    {"denied", FAULT_DENIED, 0, 1, 0, -1, -1, FOR_EVER},
    {"doctype", FAULT_DOCTYPE, 0, 1, 0, -1, -1, FOR_EVER},
    {"empty200", FAULT_EMPTY200, 0, 1, 0, -1, -1, FOR_EVER},
    {"error", FAULT_ERROR, 1, 2, 1, 0, -1, FOR_EVER},
    {"error-empty", FAULT_ERROR_EMPTY, 1, 2, 1, 0, -1, FOR_EVER},
    {"expired", FAULT_EXPIRED, 0, 1, 0, -1, -1, FOR_EVER},
    {"expire-token", FAULT_EXPIRE_TOKEN, 1, 2, 1, -1, 0, 1},
    {"html200", FAULT_HTML200, 0, 1, 0, -1, -1, FOR_EVER},
    {"internal", FAULT_INTERNAL, 0, 1, 0, -1, -1, FOR_EVER},
    {"no-date", FAULT_NO_DATE, 0, 0, -1, -1, -1, FOR_EVER},
    {"opt-in", FAULT_OPT_IN, 0, 1, 0, -1, -1, FOR_EVER},
    {"redirect", FAULT_REDIRECT, 0, 1, 0, -1, -1, FOR_EVER},
    {"repeat-token", FAULT_REPEAT_TOKEN, 0, 0, -1, -1, -1, FOR_EVER},
    {"throttle", FAULT_THROTTLE, 0, 2, 0, 1, -1, FOR_EVER},
    {"throttle-page", FAULT_THROTTLE, 1, 2, 1, -1, 0, FOR_EVER},
    {"truncate-xml", FAULT_TRUNCATE_XML, 1, 2, 1, -1, 0, FOR_EVER},
};

struct rule {
    const struct kind *kind;
    char region[REGION_NAME_MAX]; /* "*": any */
    enum action action;           /* ACTION_COUNT: any */
    long times;
    long page; /* 0: any */
    long arg;
    long used;
};

struct faults {
    pthread_mutex_t lock;
    struct rule *rules;
    size_t n;
};

struct faults *faults_new(void)
{
    struct faults *faults = must_calloc(1, sizeof(*faults));

    pthread_mutex_init(&faults->lock, NULL);
    return faults;
}

void faults_free(struct faults *faults)
{
    if (!faults)
        return;
    pthread_mutex_destroy(&faults->lock);
    free(faults->rules);
    free(faults);
}

static const struct kind *find_kind(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        if (strlen(KINDS[i].name) == len &&
            strncmp(KINDS[i].name, name, len) == 0)
            return &KINDS[i];
    }
    return NULL;
}

static bool parse_where(const char *s, size_t len, struct rule *rule)
{
    const char *slash = memchr(s, '/', len);
    size_t region_len = slash ? (size_t)(slash - s) : len;
    char action[64] = "";

    if (region_len == 0 || region_len >= sizeof(rule->region))
        return false;
    memcpy(rule->region, s, region_len);
    rule->action = ACTION_COUNT;
    if (!slash)
        return true;
    len -= region_len + 1;
    if (len >= sizeof(action))
        return false;
    memcpy(action, slash + 1, len);
    rule->action = action_find(action);
    return rule->action != ACTION_COUNT;
}

/* The numbers of ":1:2"; -1: not such a list, or more than max. */
static int parse_args(const char *s, const char *end, int max, long *args)
{
    int n = 0;

    while (s < end) {
        const char *next = memchr(s + 1, ':', (size_t)(end - s - 1));

        if (!next)
            next = end;
        if (n == max || !text_number(s + 1, (size_t)(next - s - 1), -MAX_NUMBER,
                                     MAX_NUMBER, &args[n]))
            return -1;
        n++;
        s = next;
    }
    return n;
}

static bool parse_spec(const char *spec, const char *end, struct rule *rule)
{
    const char *colon = memchr(spec, ':', (size_t)(end - spec));
    const char *name_end = colon ? colon : end;
    const struct kind *kind = find_kind(spec, (size_t)(name_end - spec));
    long args[MAX_ARGS] = {0};
    int nargs;

    if (!kind)
        return false;
    nargs = parse_args(name_end, end, kind->max_args, args);
    if (nargs < kind->min_args)
        return false;
    rule->kind = kind;
    rule->times = kind->times;
    if (kind->times_at >= 0 && nargs > kind->times_at)
        rule->times = args[kind->times_at];
    rule->arg = kind->arg_at >= 0 ? args[kind->arg_at] : 0;
    rule->page = kind->page_at >= 0 ? args[kind->page_at] : 0;
    return (kind->fault != FAULT_ERROR && kind->fault != FAULT_ERROR_EMPTY) ||
           (rule->arg >= 400 && rule->arg <= 599);
}

static bool parse_rule(const char *s, size_t len, struct rule *rule)
{
    const char *eq = memchr(s, '=', len);

    *rule = (struct rule){0};
    return eq && parse_where(s, (size_t)(eq - s), rule) &&
           parse_spec(eq + 1, s + len, rule);
}

static void append(struct rule **rules, size_t *n, const struct rule *rule)
{
    *rules = must_resize(*rules, *n + 1, sizeof(**rules));
    (*rules)[(*n)++] = *rule;
}

bool faults_add(struct faults *faults, const char *rule)
{
    struct rule parsed;

    if (!parse_rule(rule, strlen(rule), &parsed))
        return false;
    pthread_mutex_lock(&faults->lock);
    append(&faults->rules, &faults->n, &parsed);
    pthread_mutex_unlock(&faults->lock);
    return true;
}

bool faults_replace(struct faults *faults, const char *lines, size_t len)
{
    struct rule *rules = NULL;
    size_t n = 0;

    while (len > 0) {
        const char *end = memchr(lines, '\n', len);
        size_t line = end ? (size_t)(end - lines) : len;
        struct rule rule;

        if (line > 0) {
            if (!parse_rule(lines, line, &rule)) {
                free(rules);
                return false;
            }
            append(&rules, &n, &rule);
        }
        lines += line + (end != NULL);
        len -= line + (end != NULL);
    }
    pthread_mutex_lock(&faults->lock);
    free(faults->rules);
    faults->rules = rules;
    faults->n = n;
    pthread_mutex_unlock(&faults->lock);
    return true;
}

void faults_reset(struct faults *faults)
{
    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < faults->n; i++)
        faults->rules[i].used = 0;
    pthread_mutex_unlock(&faults->lock);
}

static bool concerns(const struct rule *rule, const char *region,
                     enum action action)
{
    return (strcmp(rule->region, "*") == 0 ||
            strcmp(rule->region, region) == 0) &&
           (rule->action == ACTION_COUNT || rule->action == action);
}

static bool is_climate(enum fault fault)
{
    return fault == FAULT_CLOCK_SKEW || fault == FAULT_NO_DATE ||
           fault == FAULT_REPEAT_TOKEN;
}

void faults_climate(struct faults *faults, const char *region,
                    enum action action, struct climate *out)
{
    *out = (struct climate){0};
    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < faults->n; i++) {
        const struct rule *rule = &faults->rules[i];

        if (!concerns(rule, region, action))
            continue;
        if (rule->kind->fault == FAULT_CLOCK_SKEW)
            out->clock_skew = rule->arg;
        out->no_date |= rule->kind->fault == FAULT_NO_DATE;
        out->repeat_token |= rule->kind->fault == FAULT_REPEAT_TOKEN;
    }
    pthread_mutex_unlock(&faults->lock);
}

enum fault faults_judge(struct faults *faults, const char *region,
                        enum action action, long page, long *arg)
{
    enum fault fault = FAULT_NONE;

    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < faults->n && fault == FAULT_NONE; i++) {
        struct rule *rule = &faults->rules[i];

        if (is_climate(rule->kind->fault) || !concerns(rule, region, action) ||
            rule->used >= rule->times || (rule->page && rule->page != page))
            continue;
        rule->used++;
        fault = rule->kind->fault;
        *arg = rule->arg;
    }
    pthread_mutex_unlock(&faults->lock);
    return fault;
}

const char *faults_help(void)
{
    return "  auth-failure[:TIMES]   401 AuthFailure\n"
           "  clock-skew:SECONDS     its clock is that far ahead\n"
           "  denied[:TIMES]         403 UnauthorizedOperation by a policy\n"
           "  doctype[:TIMES]        200 with nested entities\n"
           "  empty200[:TIMES]       200 without a body\n"
           "  error:STATUS[:TIMES]   that status with an HTML page\n"
           "  error-empty:STATUS[:TIMES]  that status without a body\n"
           "  expired[:TIMES]        400 RequestExpired\n"
           "  expire-token:PAGE[:TIMES]   400 InvalidPaginationToken, once\n"
           "  html200[:TIMES]        200 with an HTML page\n"
           "  internal[:TIMES]       500 InternalError\n"
           "  no-date                answers without a Date header\n"
           "  opt-in[:TIMES]         403 OptInRequired\n"
           "  redirect[:TIMES]       302 to another host\n"
           "  repeat-token           always the same nextToken\n"
           "  throttle[:TIMES[:MS]]  503 RequestLimitExceeded, and\n"
           "                         x-amz-retry-after: MS\n"
           "  throttle-page:PAGE[:TIMES]  the same, one page\n"
           "  truncate-xml:PAGE[:TIMES]   the page breaks off in a tag\n";
}
