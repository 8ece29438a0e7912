/*
 * ec2.c - the course of a listing: its pages, its retries, and its end.
 */
#include "ec2_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"

/* Longest request body: 200 filter values and a page token fit well. */
#define BODY_MAX ((size_t)256 * 1024)
/* Longest page token, bytes. */
#define TOKEN_MAX ((size_t)64 * 1024)

static void send_page(struct ec2_listing *l);

const struct aws_client_options *ec2_options_of(const struct ec2_listing *l)
{
    return aws_client_options(l->client);
}

int64_t ec2_mono_ms(const struct ec2_listing *l)
{
    return clock_mono_ms(ec2_options_of(l)->clock);
}

static void listing_free(struct ec2_listing *l)
{
    struct http *http;

    if (!l)
        return;
    http = ec2_options_of(l)->http;
    http_timer_cancel(http, &l->retry);
    http_timer_cancel(http, &l->watch);
    if (l->transfer)
        http_cancel(l->transfer);
    ec2_xml_free(l->xml);
    buf_release(&l->next_token);
    buf_release(&l->body);
    free(l->seen);
    free(l);
}

const struct failure *ec2_last_failure(const struct ec2_listing *listing)
{
    return &listing->last;
}

/* The end: tells the owner, who must not use the listing any more. */
static void finish(struct ec2_listing *l, bool complete)
{
    void (*on_done)(void *, const struct failure *) = l->request.on_done;
    void *arg = l->request.arg;
    struct failure failure = l->last;

    listing_free(l);
    on_done(arg, complete ? NULL : &failure);
}

bool ec2_is_late(const struct ec2_listing *l)
{
    return ec2_mono_ms(l) >= l->request.deadline_ms;
}

/* Whether the region was not reached, and so recently that it may be down. */
static bool was_missed(const struct ec2_listing *l)
{
    int64_t missed_ms = l->request.region->missed_ms;

    return missed_ms != INT64_MIN && ec2_mono_ms(l) - missed_ms < EC2_MISSED_MS;
}

static void note_missed(struct ec2_listing *l)
{
    l->request.region->missed_ms = ec2_mono_ms(l);
}

/* Failures of which none comes from an EC2 that is there. */
static bool is_unreached(enum failure_kind kind)
{
    return kind == FAILURE_RESOLVE || kind == FAILURE_CONNECT ||
           kind == FAILURE_CONNECT_TIMEOUT || kind == FAILURE_TLS;
}

void ec2_cancel(struct ec2_listing *listing)
{
    listing_free(listing);
}

/* Whether there is no connection: now, or when that was last tried. */
static bool is_unconnected(const struct ec2_listing *l)
{
    return l->transfer ? !http_is_connected(l->transfer)
                       : is_unreached(l->last.kind);
}

void ec2_expire(struct ec2_listing *listing)
{
    if (listing && is_unconnected(listing))
        note_missed(listing);
    listing_free(listing);
}

/* Ends the listing with l->last, made kind where the kind is not set. */
static void give_up(struct ec2_listing *l, enum failure_kind kind)
{
    if (l->last.kind == FAILURE_NONE)
        l->last.kind = kind;
    if (l->last.kind == FAILURE_DEADLINE)
        l->last.waited_ms = (long)(ec2_mono_ms(l) - l->started_ms);
    if (is_unreached(l->last.kind))
        note_missed(l);
    l->last.attempts = l->attempt;
    finish(l, false);
}

static void roll_back(struct ec2_listing *l)
{
    if (l->request.sink->page_rollback)
        l->request.sink->page_rollback(l->request.arg);
}

void ec2_note_progress(struct ec2_listing *l)
{
    l->progress_ms = http_waited_ms(ec2_options_of(l)->http);
}

/* How much longer this region may stay silent, in waited time. */
static int64_t patience_ms(const struct ec2_listing *l)
{
    return ec2_options_of(l)->no_progress_ms -
           (http_waited_ms(ec2_options_of(l)->http) - l->progress_ms);
}

static void arm_watch(struct ec2_listing *l)
{
    int64_t left = patience_ms(l);

    http_timer_set(ec2_options_of(l)->http, &l->watch,
                   clock_add(ec2_mono_ms(l), left > 0 ? left : 0));
}

/* Waited time runs slower than the clock, so a due watch may be early. */
static void on_watch(void *arg)
{
    struct ec2_listing *l = arg;

    if (patience_ms(l) > 0) {
        arm_watch(l);
        return;
    }
    roll_back(l);
    /* One that could not be connected to, or throttles, is told as that. */
    if (is_unconnected(l))
        l->last = (struct failure){.kind = FAILURE_CONNECT_TIMEOUT};
    else if (l->last.kind != FAILURE_THROTTLED)
        l->last = (struct failure){.kind = FAILURE_SILENT};
    l->last.waited_ms = (long)ec2_options_of(l)->no_progress_ms;
    give_up(l, FAILURE_SILENT);
}

static void on_retry(void *arg)
{
    send_page(arg);
}

static void log_retry(const struct ec2_listing *l, int64_t delay_ms)
{
    char sentence[FAILURE_SENTENCE_MAX + 1];

    if (!log_is_on(LOG_DEBUG))
        return;
    failure_sentence(&l->last, sentence);
    log_write(LOG_DEBUG, "request failed, trying again",
              LOG_FIELDS(LOG_STR("region", l->request.region->name),
                         LOG_STR("error", sentence),
                         LOG_INT("attempt", l->attempt),
                         LOG_INT("delayMs", delay_ms)));
}

/*
 * Whether EC2 answered, but with no page: that is no progress, else a region
 * that throttles for ever would hold up the answer for all attempts.
 */
static bool is_refusal(const struct failure *failure)
{
    return failure->status != 0 && failure->status != 200;
}

/* The present attempt failed for the reason in l->last: again, or the end. */
static void try_again(struct ec2_listing *l, int64_t after_ms)
{
    struct retry_input input = {
        .class = l->stale_stamp ? RETRY_TRANSIENT : retry_classify(&l->last),
        .attempt = l->attempt,
        .max_attempts = l->doubtful || l->request.ahead_max
                            ? 1
                            : ec2_options_of(l)->max_attempts,
        .random = clock_random(ec2_options_of(l)->clock),
        .retry_after_ms = after_ms,
    };
    struct retry_decision decision;
    int64_t due;

    roll_back(l);
    if (input.class == RETRY_THROTTLE)
        l->request.stats->throttles++;
    if (is_refusal(&l->last)) {
        l->progress_ms = l->before_ms;
        arm_watch(l);
    }
    decision = retry_decide(&input, &l->request.region->quota);
    due = clock_add(ec2_mono_ms(l), decision.delay_ms);
    /* Waiting longer than there is patience or time only costs both. */
    if (!decision.again || decision.delay_ms >= patience_ms(l) ||
        due >= l->request.deadline_ms) {
        give_up(l, FAILURE_INTERNAL);
        return;
    }
    l->retry_cost = decision.cost;
    l->request.stats->retries++;
    log_retry(l, decision.delay_ms);
    http_timer_set(ec2_options_of(l)->http, &l->retry, due);
}

/* Remembers the token; false when it came before or there is no memory. */
static bool remember_token(struct ec2_listing *l, struct span token)
{
    uint64_t hash = hash_of(token);
    uint64_t *seen;

    for (size_t i = 0; i + 1 < l->npages; i++) {
        if (l->seen[i] == hash) {
            l->last = (struct failure){.kind = FAILURE_REPEATED};
            return false;
        }
    }
    seen = realloc(l->seen, l->npages * sizeof(*seen));
    if (!seen) {
        l->last = (struct failure){.kind = FAILURE_NOMEM};
        return false;
    }
    l->seen = seen;
    seen[l->npages - 1] = hash;
    buf_reset(&l->next_token);
    buf_add_span(&l->next_token, token);
    if (!l->next_token.failed)
        return true;
    l->last = (struct failure){.kind = l->next_token.failed == ERR_NOMEM
                                           ? FAILURE_NOMEM
                                           : FAILURE_LIMIT};
    return false;
}

/* A whole page has come: commit it, and go on to the next or to the end. */
void ec2_end_page(struct ec2_listing *l, const struct ec2_page *page)
{
    const struct ec2_sink *sink = l->request.sink;
    /* DescribeRegions has no pages: its request could not name the token. */
    bool more =
        page->next_token.len > 0 && l->request.action != EC2_DESCRIBE_REGIONS;

    retry_refund(&l->request.region->quota, l->retry_cost);
    l->retry_cost = 0;
    l->request.stats->pages++;
    l->request.stats->unchanged += page->unchanged;
    l->npages++;
    ec2_note_progress(l);
    if (sink->page_commit && !sink->page_commit(l->request.arg, more))
        more = false;
    if (!more) {
        finish(l, true);
        return;
    }
    l->last = (struct failure){0};
    if (l->npages >= EC2_PAGES_MAX || l->request.ahead_max)
        l->last.kind = FAILURE_LIMIT;
    else if (remember_token(l, page->next_token)) {
        l->attempt = 0;
        send_page(l);
        return;
    }
    give_up(l, FAILURE_INTERNAL);
}

/* The token has expired: everything again from page one, but only once. */
static bool restart(struct ec2_listing *l)
{
    if (l->last.kind != FAILURE_TOKEN || l->npages == 0 || l->restarted)
        return false;
    l->restarted = true;
    l->last = (struct failure){0};
    l->npages = 0;
    l->attempt = 0;
    buf_reset(&l->next_token);
    roll_back(l);
    if (l->request.sink->restart_listing)
        l->request.sink->restart_listing(l->request.arg);
    send_page(l);
    return true;
}

/* EC2 does not know the parameter here: the same page without it. */
static bool give_up_managed(struct ec2_listing *l)
{
    if (!l->managed || strcmp(l->last.code, "UnknownParameter") != 0)
        return false;
    if (ec2_wants_managed(l))
        log_write(LOG_WARN, "INCLUDE_MANAGED is not known to EC2 here",
                  LOG_FIELDS(LOG_STR("region", l->request.region->name)));
    l->request.region->managed_unknown = true;
    l->last = (struct failure){0};
    l->attempt = 0;
    roll_back(l);
    send_page(l);
    return true;
}

void ec2_fail_attempt(struct ec2_listing *l, int64_t after_ms)
{
    if (!restart(l) && !give_up_managed(l))
        try_again(l, after_ms);
}

static void send_page(struct ec2_listing *l)
{
    struct err err = {0};
    enum err_code rc;

    if (ec2_is_late(l)) {
        give_up(l, FAILURE_DEADLINE);
        return;
    }
    rc = ec2_start_attempt(l, &err);
    if (!rc)
        return;
    l->last = (struct failure){.kind = failure_of_error(rc)};
    failure_set_text(&l->last, span_of(err_text(&err)));
    roll_back(l);
    give_up(l, FAILURE_INTERNAL);
}

enum err_code ec2_start(struct aws_client *client,
                        const struct ec2_request *request,
                        struct ec2_listing **out, struct err *err)
{
    struct ec2_listing *l;
    enum err_code rc;

    if (request->filter && (request->filter->nvalues == 0 ||
                            request->filter->nvalues > EC2_FILTER_VALUES_MAX))
        return err_set(err, ERR_ARG, "ec2: %zu values in filter %s",
                       request->filter->nvalues, request->filter->name);
    l = calloc(1, sizeof(*l));
    if (!l)
        return err_nomem(err, "ec2");
    l->client = client;
    l->request = *request;
    l->body = buf_of(BODY_MAX);
    l->next_token = buf_of(TOKEN_MAX);
    http_timer_init(&l->retry, on_retry, l);
    http_timer_init(&l->watch, on_watch, l);
    l->started_ms = ec2_mono_ms(l);
    l->doubtful = was_missed(l);
    ec2_note_progress(l);
    rc = ec2_xml_new(&request->sink->records, request->arg, &l->xml, err);
    if (!rc && ec2_is_late(l))
        http_timer_set(ec2_options_of(l)->http, &l->retry, l->started_ms);
    else if (!rc)
        rc = ec2_start_attempt(l, err);
    if (rc) {
        listing_free(l);
        return rc;
    }
    arm_watch(l);
    *out = l;
    return ERR_OK;
}
