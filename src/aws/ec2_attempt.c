/*
 * ec2_attempt.c - one attempt at a page: signed, sent, read, and what came of
 * it.
 */
#include "ec2_private.h"

#include "ec2_form.h"
#include "aws/ec2_memo.h"

static int64_t connect_timeout_ms(const struct ec2_listing *l)
{
    if (l->request.ahead_max)
        return EC2_AHEAD_CONNECT_MS;
    return l->doubtful ? EC2_MISSED_CONNECT_MS : AWS_CONNECT_TIMEOUT_MS;
}

/* Whether instances that other services manage are asked for as well. */
bool ec2_wants_managed(const struct ec2_listing *l)
{
    return l->request.include_managed && !l->request.region->managed_unknown &&
           l->request.action == EC2_DESCRIBE_INSTANCES;
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

static bool on_body(void *arg, const char *data, size_t len)
{
    struct ec2_listing *l = arg;

    ec2_note_progress(l);
    l->nbytes += len;
    if (ec2_is_late(l)) {
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
        ec2_end_page(l, &page);
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
    ec2_fail_attempt(l, after_ms);
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
        .ipv4_only = !ec2_options_of(l)->endpoint.dual_stack &&
                     !ec2_options_of(l)->endpoint.url,
        .apart = l->request.apart,
        .connect_timeout_ms = connect_timeout_ms(l),
        .on_body = on_body,
        .on_done = on_done,
        .arg = l,
    };

    return http_start(ec2_options_of(l)->http, &request, &l->transfer, err);
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
    bool recalls = hold && !l->request.filter;
    enum err_code rc = recalls && !*memo ? ec2_memo_new(memo, err) : ERR_OK;

    if (!rc)
        ec2_xml_begin(l->xml, l->request.action, hold, recalls ? *memo : NULL);
    return rc;
}

/* Signs and sends the page that next_token names. */
enum err_code ec2_start_attempt(struct ec2_listing *l, struct err *err)
{
    struct aws_signed s = {0};
    enum err_code rc;

    l->attempt++;
    l->before_ms = l->progress_ms;
    l->nbytes = 0;
    l->too_late = false;
    l->xml_rc = ERR_OK;
    l->xml_err = (struct err){0};
    l->managed = ec2_wants_managed(l);
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
