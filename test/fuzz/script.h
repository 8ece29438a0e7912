/*
 * script.h - an EC2 played by the bytes of an input: each request takes its
 * answer off the front. Real pages, tokens, refusals, broken and cut
 * transfers, silence and noise, so that a few bytes go a long way.
 *
 * When the bytes are used up every answer is a last page without records.
 */
#ifndef FUZZ_SCRIPT_H
#define FUZZ_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "support/fake_clock.h"
#include "support/fake_http.h"

#define SCRIPT_HEADERS_MAX 4

/* What must become of an answer, as far as the script knows. */
enum script_verdict {
    SCRIPT_GOOD,    /* a whole page: to be committed */
    SCRIPT_BAD,     /* never to be committed */
    SCRIPT_UNKNOWN, /* its bytes were tampered with */
};

/* Most records of one page. */
#define SCRIPT_RECORDS_MAX 7
/* Groups are sg-0 to sg-f, instances i-0 to i-ff. */
#define SCRIPT_NGROUPS 16
#define SCRIPT_NINSTANCES 256

#define SCRIPT_NPARTS 16
/* Types are m0.large to me.large; the last is none. */
#define SCRIPT_NTYPES 16

enum script_state {
    SCRIPT_RUNNING,
    SCRIPT_STOPPED,
    SCRIPT_UNHEARD_OF,
    SCRIPT_NSTATES,
};

/* An instance, or a group. */
struct script_record {
    unsigned char id;    /* of the instance; its last digit is its part */
    unsigned char group; /* that the instance is in, or that it is */
    enum script_state state;
    bool has_owner;
    bool has_name;    /* that ends in U+00E9 */
    bool is_open;     /* the group lets the whole internet in */
    bool is_open_ssh; /* to port 22 */
};

/* The type of an instance is told by its id. */
#define SCRIPT_TYPE(id) ((id) / 16U)

/* One answer, and what is in it. */
struct script_page {
    enum script_verdict verdict;
    struct script_record records[SCRIPT_RECORDS_MAX];
    size_t nrecords;
    struct buf next_token; /* empty: the last page */
};

/* Initialise with script_init(); read page only. */
struct script {
    struct span rest;
    struct fake_clock *fake;
    struct script_page page; /* of the answer given last */
    unsigned ntokens;
    struct buf body;
    struct http_header headers[SCRIPT_HEADERS_MAX];
    char date[64];
    char *values[SCRIPT_HEADERS_MAX];
    size_t nheaders;
};

void script_init(struct script *script, struct span in,
                 struct fake_clock *fake);
void script_release(struct script *script);

/* The answer to the request; what *out points at is good until the next. */
void script_answer(struct script *script, const struct fake_request *request,
                   struct fake_answer *out);

/* The part that the request asks for, by the last digit of the ids; -1: none.
 * The pages keep to it, unless the input says that they do not. */
int script_part_of(const struct fake_request *request);

/* The request's NextToken, decoded into *out; empty: it has none. */
void script_token_of(const struct fake_request *request, struct buf *out);

#endif
