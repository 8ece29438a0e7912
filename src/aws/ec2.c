#include "aws/ec2.h"

#include <stdlib.h>
#include <string.h>

#include "ec2_form.h"
#include "aws/ec2_memo.h"
#include "aws/ec2_xml.h"
#include "base/hash.h"
#include "base/log.h"

/* Longest request body: 200 filter values and a page token fit well. */
#define BODY_MAX ((size_t)256 * 1024)
/* Longest page token, bytes. */
#define TOKEN_MAX ((size_t)64 * 1024)

/* One listing. Between two attempts transfer is NULL and retry is set. */
struct ec2_listing {
    struct aws_client *client;
    struct ec2_request request;
    struct ec2_xml *xml;
    struct buf body;
    struct http_transfer *transfer;
    struct http_timer retry;
    struct http_timer watch;
    int64_t started_ms;
    int64_t progress_ms; /* http_waited_ms() at the last progress */
    int64_t before_ms;   /* progress_ms when the present attempt began */

    struct buf next_token; /* of the page to be asked, empty: the first */
    uint64_t *seen;        /* hashes of the tokens so far */
    size_t npages;
    bool restarted;
    bool doubtful; /* the region could not be reached a short while ago */

    bool managed;     /* the present attempt asks for managed instances */
    unsigned attempt; /* at the present page, counted from 1 */
    int retry_cost;   /* of the last retry, for the refund */
    int64_t skew_ms;  /* in the present attempt's stamp */
    size_t nbytes;    /* of the present answer */
    bool too_late;    /* the deadline passed while reading */
    bool stale_stamp; /* refused, and our clock was seen to be off */
    enum err_code xml_rc;
    struct err xml_err;
    struct failure last;
};

static void send_page(struct ec2_listing *l);

static const struct aws_client_options *options_of(const struct ec2_listing *l)
{
    return aws_client_options(l->client);
}

static int64_t mono_ms(const struct ec2_listing *l)
{
    return clock_mono_ms(options_of(l)->clock);
}

static void listing_free(struct ec2_listing *l)
{
    struct http *http;

    if (!l)
        return;
    http = options_of(l)->http;
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

static bool is_late(const struct ec2_listing *l)
{
    return mono_ms(l) >= l->request.deadline_ms;
}

static int64_t connect_timeout_ms(const struct ec2_listing *l)
{
    if (l->request.ahead_max)
        return EC2_AHEAD_CONNECT_MS;
    return l->doubtful ? EC2_MISSED_CONNECT_MS : AWS_CONNECT_TIMEOUT_MS;
}

/* Whether the region was not reached, and so recently that it may be down. */
static bool was_missed(const struct ec2_listing *l)
{
    int64_t missed_ms = l->request.region->missed_ms;

    return missed_ms != INT64_MIN && mono_ms(l) - missed_ms < EC2_MISSED_MS;
}

static void note_missed(struct ec2_listing *l)
{
    l->request.region->missed_ms = mono_ms(l);
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
        l->last.waited_ms = (long)(mono_ms(l) - l->started_ms);
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

static void note_progress(struct ec2_listing *l)
{
    l->progress_ms = http_waited_ms(options_of(l)->http);
}

/* How much longer this region may stay silent, in waited time. */
static int64_t patience_ms(const struct ec2_listing *l)
{
    return options_of(l)->no_progress_ms -
           (http_waited_ms(options_of(l)->http) - l->progress_ms);
}

static void arm_watch(struct ec2_listing *l)
{
    int64_t left = patience_ms(l);

    http_timer_set(options_of(l)->http, &l->watch,
                   clock_add(mono_ms(l), left > 0 ? left : 0));
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
    l->last.waited_ms = (long)options_of(l)->no_progress_ms;
    give_up(l, FAILURE_SILENT);
}

/* Whether instances that other services manage are asked for as well. */
static bool wants_managed(const struct ec2_listing *l)
{
    return l->request.include_managed && !l->request.region->managed_unknown &&
           l->request.action == EC2_DESCRIBE_INSTANCES;
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

/* The header x-amz-retry-after in milliseconds, negative: none. */
static int64_t retry_after_ms(const struct ec2_listing *l)
{
    struct span text;
    int64_t ms;

    if (!l->transfer ||
        !http_response_header(l->transfer, "x-amz-retry-after", &text) ||
        !span_int64(text, &ms))
        return -1;
    return ms;
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
static void fail_attempt(struct ec2_listing *l, int64_t after_ms)
{
    struct retry_input input = {
        .class = l->stale_stamp ? RETRY_TRANSIENT : retry_classify(&l->last),
        .attempt = l->attempt,
        .max_attempts = l->doubtful || l->request.ahead_max
                            ? 1
                            : options_of(l)->max_attempts,
        .random = clock_random(options_of(l)->clock),
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
    due = clock_add(mono_ms(l), decision.delay_ms);
    /* Waiting longer than there is patience or time only costs both. */
    if (!decision.again || decision.delay_ms >= patience_ms(l) ||
        due >= l->request.deadline_ms) {
        give_up(l, FAILURE_INTERNAL);
        return;
    }
    l->retry_cost = decision.cost;
    l->request.stats->retries++;
    log_retry(l, decision.delay_ms);
    http_timer_set(options_of(l)->http, &l->retry, due);
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
static void end_page(struct ec2_listing *l, const struct ec2_page *page)
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
    note_progress(l);
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
    if (wants_managed(l))
        log_write(LOG_WARN, "INCLUDE_MANAGED is not known to EC2 here",
                  LOG_FIELDS(LOG_STR("region", l->request.region->name)));
    l->request.region->managed_unknown = true;
    l->last = (struct failure){0};
    l->attempt = 0;
    roll_back(l);
    send_page(l);
    return true;
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct ec2_listing *l = arg;

    note_progress(l);
    l->nbytes += len;
    if (is_late(l)) {
        l->too_late = true;
        return false;
    }
    if (l->nbytes > EC2_RESPONSE_MAX) {
        l->xml_rc = err_set(&l->xml_err, ERR_LIMIT, "ec2: answer too long");
        return false;
    }
    l->xml_rc = ec2_xml_feed(l->xml, data, len, &l->xml_err);
    return l->xml_rc == ERR_OK;
}

static enum failure_kind kind_of_transfer(enum http_failure failure)
{
    static const enum failure_kind kinds[] = {
        [HTTP_OK] = FAILURE_NONE,
        [HTTP_RESOLVE] = FAILURE_RESOLVE,
        [HTTP_CONNECT] = FAILURE_CONNECT,
        [HTTP_CONNECT_TIMEOUT] = FAILURE_CONNECT_TIMEOUT,
        [HTTP_TLS] = FAILURE_TLS,
        [HTTP_CERTIFICATE] = FAILURE_CERTIFICATE,
        [HTTP_PROXY] = FAILURE_PROXY,
        [HTTP_BROKEN] = FAILURE_BROKEN,
        [HTTP_STOPPED] = FAILURE_INTERNAL,
        [HTTP_LIMIT] = FAILURE_LIMIT,
        [HTTP_NOMEM] = FAILURE_NOMEM,
        [HTTP_OTHER] = FAILURE_INTERNAL,
    };

    return kinds[failure];
}

/* Fills l->last for an answer that is no page. */
static void classify(struct ec2_listing *l, const struct http_result *result,
                     const struct ec2_page *page)
{
    struct failure *f = &l->last;

    *f = (struct failure){.status = result->status};
    if (page) {
        failure_set_code(f, page->error_code);
        failure_set_text(f, page->error_message);
        failure_set_request_id(f, page->request_id);
    }
    if (l->too_late)
        f->kind = FAILURE_DEADLINE;
    else if (result->failure != HTTP_OK && result->failure != HTTP_STOPPED)
        f->kind = kind_of_transfer(result->failure);
    else if (result->status != 200)
        f->kind = failure_classify(page ? page->error_code : (struct span){0},
                                   result->status);
    else
        f->kind = l->xml_rc ? failure_of_error(l->xml_rc) : FAILURE_MALFORMED;
    if (!f->text[0] && l->xml_rc)
        failure_set_text(f, span_of(err_text(&l->xml_err)));
    if (!f->text[0])
        failure_set_text(f, span_of(result->detail));
    if (f->kind == FAILURE_CONNECT_TIMEOUT)
        f->waited_ms = connect_timeout_ms(l);
}

/* A refusal that a wrong clock explains is worth a newly stamped attempt. */
static bool is_clock_refusal(enum failure_kind kind)
{
    return kind == FAILURE_AUTH || kind == FAILURE_EXPIRED ||
           kind == FAILURE_DENIED || kind == FAILURE_CLOCK;
}

static void on_done(void *arg, const struct http_result *result)
{
    struct ec2_listing *l = arg;
    struct ec2_page page = {0};
    bool skewed =
        result->status != 0 &&
        aws_client_observe_clock(l->client, l->request.region, l->transfer,
                                 result->sent_real_ms, l->skew_ms);
    int64_t after_ms = retry_after_ms(l);
    bool whole;

    l->transfer = NULL;
    if (result->status != 0) {
        l->request.region->missed_ms = INT64_MIN;
        if (result->rtt_us)
            l->request.region->rtt_us = result->rtt_us;
        l->doubtful = false;
    }
    if (!l->xml_rc && !l->too_late && result->failure == HTTP_OK)
        l->xml_rc = ec2_xml_end(l->xml, &page, &l->xml_err);
    whole = result->failure == HTTP_OK && !l->xml_rc && !l->too_late;
    if (whole && result->status == 200 && page.kind == EC2_DOCUMENT_RESULT) {
        aws_client_accepted(l->client, l->request.region);
        end_page(l, &page);
        return;
    }
    classify(l, result, whole ? &page : NULL);
    /* Who is refused for lack of a permission was recognised. */
    if (l->last.kind == FAILURE_DENIED && l->last.code[0])
        aws_client_accepted(l->client, l->request.region);
    if (l->last.kind == FAILURE_AUTH)
        aws_client_refused(l->client, l->request.region);
    l->stale_stamp = skewed && is_clock_refusal(l->last.kind);
    if (l->stale_stamp)
        l->last.kind = FAILURE_CLOCK;
    if (!restart(l) && !give_up_managed(l))
        fail_attempt(l, after_ms);
}

static enum err_code start_transfer(struct ec2_listing *l,
                                    const struct aws_signed *s, struct err *err)
{
    const struct http_request request = {
        .method = "POST",
        .url = l->request.region->endpoint.url.data,
        .headers = s->headers,
        .nheaders = s->nheaders,
        .body = l->body.data,
        .body_len = l->body.len,
        .route = HTTP_VIA_PROXY,
        .gzip = true,
        .ipv4_only =
            !options_of(l)->endpoint.dual_stack && !options_of(l)->endpoint.url,
        .connect_timeout_ms = connect_timeout_ms(l),
        .on_body = on_body,
        .on_done = on_done,
        .arg = l,
    };

    return http_start(options_of(l)->http, &request, &l->transfer, err);
}

/*
 * Makes the parser ready for the page's answer. Where there is a second page,
 * none but the last is short; and only what is asked in the same way each time,
 * without a filter, can be as it was.
 */
static enum err_code begin_answer(struct ec2_listing *l, struct err *err)
{
    struct ec2_memo **memo = &l->request.region->memos[l->request.action];
    bool hold = l->npages == 0;
    enum err_code rc;

    if (!hold || l->request.filter) {
        ec2_xml_begin(l->xml, l->request.action, hold, NULL);
        return ERR_OK;
    }
    if (!*memo) {
        rc = ec2_memo_new(memo, err);
        if (rc)
            return rc;
    }
    ec2_xml_begin(l->xml, l->request.action, hold, *memo);
    return ERR_OK;
}

/* Signs and sends the page that next_token names. */
static enum err_code try_send(struct ec2_listing *l, struct err *err)
{
    struct aws_signed s = {0};
    enum err_code rc;

    l->attempt++;
    l->before_ms = l->progress_ms;
    l->nbytes = 0;
    l->too_late = false;
    l->xml_rc = ERR_OK;
    l->xml_err = (struct err){0};
    l->managed = wants_managed(l);
    ec2_form_write(&l->body, &l->request, buf_span(&l->next_token), l->managed);
    rc = buf_check(&l->body, "ec2: request", err);
    if (!rc)
        rc = begin_answer(l, err);
    if (rc)
        return rc;
    rc = aws_client_sign(l->client, l->request.region, buf_span(&l->body), &s,
                         err);
    if (rc)
        return rc;
    l->skew_ms = s.skew_ms;
    rc = start_transfer(l, &s, err);
    aws_signed_release(&s);
    if (!rc)
        l->request.stats->requests++;
    return rc;
}

static void send_page(struct ec2_listing *l)
{
    struct err err = {0};
    enum err_code rc;

    if (is_late(l)) {
        give_up(l, FAILURE_DEADLINE);
        return;
    }
    rc = try_send(l, &err);
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
    l->started_ms = mono_ms(l);
    l->doubtful = was_missed(l);
    note_progress(l);
    rc = ec2_xml_new(&request->sink->records, request->arg, &l->xml, err);
    if (!rc && is_late(l))
        http_timer_set(options_of(l)->http, &l->retry, l->started_ms);
    else if (!rc)
        rc = try_send(l, err);
    if (rc) {
        listing_free(l);
        return rc;
    }
    arm_watch(l);
    *out = l;
    return ERR_OK;
}
