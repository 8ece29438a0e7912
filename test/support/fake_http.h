/*
 * fake_http.h - a double of net/http.h: scripted answers, no sockets, no time.
 *
 * A test links fake_http.o instead of src/net/http*.o. It makes a struct http
 * with http_new(), whose clock must be a struct fake_clock's, queues answers,
 * and runs the code under test. http_run() moves the clock from one event to
 * the next (a piece of an answer, a timer, until_ms), so nothing waits.
 * http_waited_ms() is the time moved by http_run(); time that a test adds with
 * fake_clock_advance(), in a callback say, counts as the process being busy.
 *
 *     fake_clock_init(&fake);
 *     assert_int_equal(http_new(&options, &http, NULL), ERR_OK);
 *     fake_http_answer(http, &(struct fake_answer){
 *         .host = "ec2.us-east-1.amazonaws.com",
 *         .body_has = "NextToken=t2", .after_ms = 40, .body = PAGE_2});
 *     ... http_start(http, …), http_run(http, …) by the code under test ...
 *     assert_non_null(strstr(fake_http_request(http, 0)->body, "MaxResults"));
 *     http_free(http);
 *
 * A request takes the first answer, in the order queued, that fits it and is
 * not used up. One that no answer fits, and an http_run() in which nothing can
 * happen any more, fail the test and say what was asked.
 */
#ifndef SUPPORT_FAKE_HTTP_H
#define SUPPORT_FAKE_HTTP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http.h"

/* For struct fake_answer.times: never used up. */
#define FAKE_ALWAYS UINT_MAX

/* What is left out is zero: any request, once, 200, at once, no body. */
struct fake_answer {
    const char *host;     /* of the URL, without the port; NULL: any */
    const char *body_has; /* part of the request's body; NULL: any */
    unsigned times;       /* requests it serves; 0: one */
    int64_t connect_ms;   /* from http_start() to the connection */
    int64_t after_ms;     /* from http_start() to the first piece */
    int64_t gap_ms;       /* between pieces */
    size_t piece;         /* bytes a piece; 0: the body is one piece */
    long status;          /* 0: 200, or no status when nothing arrived */
    int64_t rtt_us;       /* of the result */
    const struct http_header *headers;
    size_t nheaders;
    const char *body;
    size_t body_len; /* 0: body is a string */
    /*
     * How it ends once the body is delivered. HTTP_BROKEN with half of a body
     * is a transfer cut short. HTTP_CONNECT_TIMEOUT comes after the request's
     * own connect_timeout_ms when after_ms is 0.
     */
    enum http_failure failure;
    const char *detail; /* NULL: "scripted failure" */
    bool hangs;         /* after the body nothing comes, not even the end */
};

/* Queues a copy; what the pointers in it point at is copied too. */
void fake_http_answer(struct http *http, const struct fake_answer *answer);

/*
 * For answers that depend on the request: fn fills *out and returns true, or
 * returns false to leave it to the queue. What *out points at is copied.
 */
struct fake_request;
typedef bool (*fake_answer_fn)(void *arg, const struct fake_request *request,
                               struct fake_answer *out);
void fake_http_answer_with(struct http *http, fake_answer_fn fn, void *arg);

/* What was asked; copies that live as long as the struct http. */
struct fake_request {
    const char *method;
    const char *url;
    const char *host; /* without the port */
    const struct http_header *headers;
    size_t nheaders;
    const char *body; /* terminated */
    size_t body_len;
    enum http_route route;
    bool gzip;
    bool ipv4_only;
    int64_t connect_timeout_ms;
    int64_t started_ms; /* clock_mono_ms */
    int64_t ended_ms;   /* on_done or cancel; CLOCK_NEVER: in flight */
    bool cancelled;
    bool stopped; /* on_body wanted no more, so the connection is lost */
};

/* From so long from now on http_run() fails, as it does when poll(2) does. */
void fake_http_fail_run(struct http *http, int64_t after_ms, enum err_code rc);

/* All since http_new(), in the order started; i must be below the number. */
size_t fake_http_nrequests(const struct http *http);
const struct fake_request *fake_http_request(const struct http *http, size_t i);

/* A header that was sent, name in any case; NULL: it was not. */
const char *fake_request_header(const struct fake_request *request,
                                const char *name);

/* What http_be_patient() was told last, and at most; 0: nothing. */
int64_t fake_http_patient_until(const struct http *http);
int64_t fake_http_patient_most(const struct http *http);

size_t fake_http_in_flight(const struct http *http);

/* http_new() copies the options; what it was given, for assertions. */
const struct http_options *fake_http_options(const struct http *http);

#endif
