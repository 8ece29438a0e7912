/*
 * ec2_private.h - what the halves of a listing share: its course (ec2.c) and
 * one attempt at a page (ec2_attempt.c).
 */
#ifndef AWS_EC2_PRIVATE_H
#define AWS_EC2_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/ec2.h"
#include "aws/ec2_xml.h"
#include "base/buf.h"
#include "net/http.h"

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

/* ec2.c: the listing's surroundings. */
const struct aws_client_options *ec2_options_of(const struct ec2_listing *l);
int64_t ec2_mono_ms(const struct ec2_listing *l);
bool ec2_is_late(const struct ec2_listing *l);
void ec2_note_progress(struct ec2_listing *l);

/* What becomes of the listing, which may have ended afterwards: a whole page
 * has come; the attempt failed for the reason in l->last, and EC2 asks to wait
 * so long (negative: it does not). */
void ec2_end_page(struct ec2_listing *l, const struct ec2_page *page);
void ec2_fail_attempt(struct ec2_listing *l, int64_t after_ms);

/* ec2_attempt.c: signs and sends the page that next_token names; one of the two
 * above follows. Errors as ec2_start(). */
NODISCARD enum err_code ec2_start_attempt(struct ec2_listing *l,
                                          struct err *err);

/* Whether instances that other services manage are asked for as well. */
bool ec2_wants_managed(const struct ec2_listing *l);

#endif
