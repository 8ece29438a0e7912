#include "aws/spread.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const char DIGITS[] = "0123456789abcdef";

/* The instances whose id ends in one digit; the argument of its callbacks. */
struct part {
    struct spread *spread;
    struct ec2_listing *listing; /* NULL: not running */
    char pattern[sizeof("i-*0")];
    const char *value; /* pattern */
    struct ec2_filter filter;
    uint64_t npending;   /* instances since the last commit */
    uint64_t ninstances; /* before that */
};

struct spread {
    struct aws_client *client;
    struct ec2_request request; /* the caller's */
    struct spread_budget *budget;

    struct ec2_listing *plain;    /* NULL: not running */
    bool may_part;                /* depends on the first page, not here yet */
    bool wants_parts;             /* it was the first of several */
    uint64_t first[SPREAD_PARTS]; /* its instances, by part */
    uint64_t nfirst;              /* and how many a full page has */
    bool ahead;                   /* it was asked ahead, some time ago */

    struct part *parts; /* NULL: none */
    size_t nrunning;
    bool satisfied; /* the sink wants no more pages */
    size_t nthrottles;
    size_t nsparse;
    const char *doubt; /* why parts are to be given up; NULL: they are not */
    struct http_timer give_up; /* set when there is a doubt */
};

static struct http *http_of(const struct spread *s)
{
    return aws_client_options(s->client)->http;
}

static int64_t mono_ms(const struct spread *s)
{
    return clock_mono_ms(aws_client_options(s->client)->clock);
}

static void end_parts(struct spread *s,
                      void (*end)(struct ec2_listing *listing))
{
    if (!s->parts)
        return;
    for (size_t i = 0; i < SPREAD_PARTS; i++)
        end(s->parts[i].listing);
    free(s->parts);
    s->parts = NULL;
    s->nrunning = 0;
    s->budget->nregions++;
}

static void end_all(struct spread *s, void (*end)(struct ec2_listing *listing))
{
    if (!s)
        return;
    http_timer_cancel(http_of(s), &s->give_up);
    end(s->plain);
    end_parts(s, end);
    free(s);
}

void spread_cancel(struct spread *spread)
{
    end_all(spread, ec2_cancel);
}

void spread_expire(struct spread *spread)
{
    end_all(spread, ec2_expire);
}

const struct failure *spread_last_failure(const struct spread *spread)
{
    static const struct failure NONE = {0};

    if (spread->plain)
        return ec2_last_failure(spread->plain);
    for (size_t i = 0; spread->parts && i < SPREAD_PARTS; i++) {
        const struct ec2_listing *listing = spread->parts[i].listing;

        if (listing && ec2_last_failure(listing)->kind != FAILURE_NONE)
            return ec2_last_failure(listing);
    }
    return &NONE;
}

/* The end: tells the owner, who must not use the listing any more. */
static void finish(struct spread *s, const struct failure *failure)
{
    void (*on_done)(void *, const struct failure *) = s->request.on_done;
    void *arg = s->request.arg;

    spread_cancel(s);
    on_done(arg, failure);
}

/* The part that lists id; SPREAD_PARTS: none does. */
static size_t part_of(struct span id)
{
    char last = id.len ? id.p[id.len - 1] : '\0';
    size_t i = 0;

    while (i < SPREAD_PARTS && DIGITS[i] != last)
        i++;
    return i;
}

static enum err_code give_instance(const struct spread *s,
                                   const struct ec2_instance *instance,
                                   struct err *err)
{
    const struct ec2_records *records = &s->request.sink->records;

    return records->instance ? records->instance(s->request.arg, instance, err)
                             : ERR_OK;
}

static bool give_commit(const struct spread *s, bool more)
{
    const struct ec2_sink *sink = s->request.sink;

    return !sink->page_commit || sink->page_commit(s->request.arg, more);
}

static void give_restart(const struct spread *s)
{
    const struct ec2_sink *sink = s->request.sink;

    if (sink->restart_listing)
        sink->restart_listing(s->request.arg);
}

/* The plain listing's sink: what it gives is handed on. */

static enum err_code on_instance(void *arg, const struct ec2_instance *instance,
                                 struct err *err)
{
    struct spread *s = arg;
    size_t i = part_of(instance->id);

    s->may_part = s->may_part && i < SPREAD_PARTS;
    if (s->may_part) {
        s->first[i]++;
        s->nfirst++;
    }
    return give_instance(s, instance, err);
}

static enum err_code on_group(void *arg, const struct ec2_group *group,
                              struct err *err)
{
    const struct spread *s = arg;
    const struct ec2_records *records = &s->request.sink->records;

    return records->group ? records->group(s->request.arg, group, err) : ERR_OK;
}

/* The page was asked ahead: the listing that follows may begin with parts. */
static void leave_page(const struct spread *s)
{
    struct aws_region *region = s->request.region;

    if (s->nfirst < SPREAD_AHEAD_MIN || s->nfirst > s->request.ahead_max)
        return;
    for (size_t i = 0; i < SPREAD_PARTS; i++)
        region->first[i] = (uint16_t)s->first[i];
    region->first_max = s->request.ahead_max;
}

static void take_page(struct spread *s)
{
    struct aws_region *region = s->request.region;

    for (size_t i = 0; i < SPREAD_PARTS; i++) {
        s->first[i] = region->first[i];
        s->nfirst += region->first[i];
    }
    s->nfirst = s->nfirst * EC2_MAX_RESULTS / region->first_max;
    s->ahead = true;
}

static bool on_commit(void *arg, bool more)
{
    struct spread *s = arg;
    bool wanted = give_commit(s, more);

    if (s->request.ahead_max) {
        if (s->may_part && more)
            leave_page(s);
        return wanted;
    }
    s->wants_parts = s->may_part && wanted && more && s->budget->nregions > 0;
    s->may_part = false;
    return wanted && !s->wants_parts;
}

static void on_rollback(void *arg)
{
    struct spread *s = arg;

    if (s->may_part) {
        memset(s->first, 0, sizeof(s->first));
        s->nfirst = 0;
    }
    if (s->request.sink->page_rollback)
        s->request.sink->page_rollback(s->request.arg);
}

static void on_restart(void *arg)
{
    give_restart(arg);
}

static const struct ec2_sink PLAIN_SINK = {
    .records = {.instance = on_instance, .group = on_group},
    .page_commit = on_commit,
    .page_rollback = on_rollback,
    .restart_listing = on_restart,
};

static enum err_code start_parts(struct spread *s, struct err *err);
static void page_plainly(struct spread *s);

static void on_plain_done(void *arg, const struct failure *failure)
{
    struct spread *s = arg;

    s->plain = NULL;
    if (failure || !s->wants_parts) {
        finish(s, failure);
        return;
    }
    s->wants_parts = false;
    give_restart(s);
    if (start_parts(s, NULL)) {
        s->doubt = "could not be started";
        page_plainly(s);
    }
}

static enum err_code start_plain(struct spread *s, struct err *err)
{
    struct ec2_request request = s->request;

    request.sink = &PLAIN_SINK;
    request.on_done = on_plain_done;
    request.arg = s;
    return ec2_start(s->client, &request, &s->plain, err);
}

/* Whether the region has answered, in a part or before there were any. */
static bool was_heard(const struct spread *s)
{
    bool heard = s->nfirst > 0;

    for (size_t i = 0; !heard && s->parts && i < SPREAD_PARTS; i++)
        heard = s->parts[i].ninstances > 0;
    return heard;
}

/* Begins anew without parts. */
static void page_plainly(struct spread *s)
{
    struct err err = {0};
    enum err_code rc;

    /* What only a part could not reach is there. */
    if (was_heard(s))
        s->request.region->missed_ms = INT64_MIN;

    log_write(LOG_INFO, "a listing in parts was given up",
              LOG_FIELDS(LOG_STR("region", s->request.region->name),
                         LOG_STR("why", s->doubt)));
    http_timer_cancel(http_of(s), &s->give_up);
    end_parts(s, ec2_cancel);
    s->may_part = false;
    give_restart(s);
    rc = start_plain(s, &err);
    if (rc) {
        struct failure failure = {.kind = failure_of_error(rc)};

        failure_set_text(&failure, span_of(err_text(&err)));
        finish(s, &failure);
    }
}

static void on_give_up(void *arg)
{
    page_plainly(arg);
}

/*
 * The parts are to be given up, and not tried in this region again before
 * no_parts_ms. Not at once: a callback of a part must not end it.
 */
static void doubt_parts(struct spread *s, const char *why, int64_t no_parts_ms)
{
    if (s->doubt)
        return;
    s->doubt = why;
    if (no_parts_ms > s->request.region->no_parts_ms)
        s->request.region->no_parts_ms = no_parts_ms;
    http_timer_set(http_of(s), &s->give_up, mono_ms(s));
}

/* When parts are tried again, after what was held against the first page; one
 * that was asked ahead was a small one, and some time ago. */
static int64_t again_ms(const struct spread *s)
{
    return s->ahead ? s->request.region->no_parts_ms : INT64_MAX;
}

/* The parts' sink. */

static enum err_code on_part_instance(void *arg,
                                      const struct ec2_instance *instance,
                                      struct err *err)
{
    struct part *part = arg;
    struct spread *s = part->spread;

    if (part_of(instance->id) != (size_t)(part - s->parts))
        doubt_parts(s, "the filter was not kept to", INT64_MAX);
    if (s->doubt)
        return ERR_OK;
    part->npending++;
    return give_instance(s, instance, err);
}

static bool on_part_commit(void *arg, bool more)
{
    struct part *part = arg;
    struct spread *s = part->spread;

    if (more && part->npending * 4 < s->nfirst &&
        ++s->nsparse >= SPREAD_SPARSE_MAX)
        doubt_parts(s, "sparse pages", again_ms(s));
    if (s->doubt)
        return false;
    part->ninstances += part->npending;
    part->npending = 0;
    s->satisfied = !give_commit(s, more || s->nrunning > 1);
    return !s->satisfied;
}

static void on_part_rollback(void *arg)
{
    struct part *part = arg;
    struct spread *s = part->spread;

    if (part->npending > 0)
        doubt_parts(s, "a page broke off", 0);
    if (ec2_last_failure(part->listing)->kind == FAILURE_THROTTLED &&
        ++s->nthrottles > SPREAD_THROTTLES_MAX)
        doubt_parts(s, "throttled", clock_add(mono_ms(s), SPREAD_THROTTLED_MS));
}

static void on_part_restart(void *arg)
{
    const struct part *part = arg;

    doubt_parts(part->spread, "a page token expired", 0);
}

static const struct ec2_sink PART_SINK = {
    .records = {.instance = on_part_instance},
    .page_commit = on_part_commit,
    .page_rollback = on_part_rollback,
    .restart_listing = on_part_restart,
};

/* Failures that may come of the filter, or of asking so much at once. */
static bool may_be_of_parts(enum failure_kind kind)
{
    return kind == FAILURE_THROTTLED || kind == FAILURE_BUSY ||
           kind == FAILURE_RESOLVE || kind == FAILURE_TOKEN ||
           kind == FAILURE_REPEATED || kind == FAILURE_REJECTED ||
           kind == FAILURE_CONNECT || kind == FAILURE_CONNECT_TIMEOUT ||
           kind == FAILURE_TLS || kind == FAILURE_BROKEN ||
           kind == FAILURE_SILENT;
}

static void doubt_for(struct spread *s, enum failure_kind kind)
{
    int64_t no_parts_ms = 0;

    if (kind == FAILURE_THROTTLED)
        no_parts_ms = clock_add(mono_ms(s), SPREAD_THROTTLED_MS);
    else if (kind == FAILURE_REJECTED)
        no_parts_ms = INT64_MAX;
    if (may_be_of_parts(kind))
        doubt_parts(s, failure_kind_name(kind), no_parts_ms);
}

/* All parts have ended: does each have what the first page knows of? */
static bool has_first_page(const struct spread *s)
{
    for (size_t i = 0; i < SPREAD_PARTS; i++)
        if (s->first[i] > 0 && s->parts[i].ninstances == 0)
            return false;
    return true;
}

static void on_part_done(void *arg, const struct failure *failure)
{
    struct part *part = arg;
    struct spread *s = part->spread;

    part->listing = NULL;
    s->nrunning--;
    if (failure)
        doubt_for(s, failure->kind);
    else if (s->nrunning == 0 && !s->satisfied && !has_first_page(s))
        doubt_parts(s, "instances were missing", again_ms(s));
    if (s->doubt) {
        page_plainly(s);
        return;
    }
    if (!failure && !s->satisfied && s->nrunning > 0)
        return;
    if (!failure && !s->satisfied)
        s->request.region->parts_proven = true;
    finish(s, failure);
}

static enum err_code start_part(struct spread *s, size_t i, struct err *err)
{
    struct part *part = &s->parts[i];
    struct ec2_request request = s->request;
    enum err_code rc;

    *part = (struct part){
        .spread = s,
        .pattern = {'i', '-', '*', DIGITS[i], '\0'},
        .value = part->pattern,
        .filter = {.name = "instance-id", .values = &part->value, .nvalues = 1},
    };
    request.filter = &part->filter;
    request.apart = (unsigned)i;
    request.sink = &PART_SINK;
    request.on_done = on_part_done;
    request.arg = part;
    rc = ec2_start(s->client, &request, &part->listing, err);
    s->nrunning += !rc;
    return rc;
}

static enum err_code start_parts(struct spread *s, struct err *err)
{
    enum err_code rc = ERR_OK;

    s->parts = calloc(SPREAD_PARTS, sizeof(*s->parts));
    if (!s->parts)
        return err_nomem(err, "spread");
    s->budget->nregions--;
    for (size_t i = 0; !rc && i < SPREAD_PARTS; i++)
        rc = start_part(s, i, err);
    return rc;
}

/* Whether it lists all instances. */
static bool is_whole(const struct spread *s)
{
    return s->request.action == EC2_DESCRIBE_INSTANCES && !s->request.filter;
}

/* Whether the listing, or the one that it is ahead of, may have parts at all,
 * some time. */
static bool can_have_parts(const struct spread *s)
{
    const struct aws_region *region = s->request.region;

    return is_whole(s) && (s->budget->nregions > 0 || s->request.ahead_max) &&
           mono_ms(s) >= region->no_parts_ms &&
           (region->ninstances == 0 ||
            region->ninstances >= SPREAD_INSTANCES_MIN);
}

/* Whether it may begin with them. */
static bool can_begin_with_parts(const struct spread *s)
{
    const struct aws_region *region = s->request.region;

    if (s->request.ahead_max)
        return false;
    return region->ninstances
               ? region->parts_proven
               : region->first_max > 0 && s->budget->nregions > SPREAD_LEFT_MIN;
}

static enum err_code begin(struct spread *s, struct err *err)
{
    struct aws_region *region = s->request.region;
    bool in_parts = s->may_part && can_begin_with_parts(s);

    if (in_parts && !region->ninstances)
        take_page(s);
    /* It serves the next whole listing alone: the longer ago, the less of it
     * may be left. */
    if (is_whole(s))
        region->first_max = 0;
    if (in_parts && !start_parts(s, NULL))
        return ERR_OK;
    if (in_parts) {
        end_parts(s, ec2_cancel);
        s->may_part = false;
    }
    return start_plain(s, err);
}

enum err_code spread_start(struct aws_client *client,
                           const struct ec2_request *request,
                           struct spread_budget *budget, struct spread **out,
                           struct err *err)
{
    struct spread *s = calloc(1, sizeof(*s));
    enum err_code rc;

    if (!s)
        return err_nomem(err, "spread");
    s->client = client;
    s->request = *request;
    s->budget = budget;
    http_timer_init(&s->give_up, on_give_up, s);
    s->may_part = can_have_parts(s);
    rc = begin(s, err);
    if (rc) {
        spread_cancel(s);
        return rc;
    }
    *out = s;
    return ERR_OK;
}
