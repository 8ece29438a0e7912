/*
 * http_lane.h - the library's multi handles, and the one poll over them all;
 * for the parts of net/http.
 *
 * curl_multi_perform() looks at every transfer of its handle whenever one of
 * them has something. With one handle for all regions that is hundreds of looks
 * at sockets with nothing in them. So transfers are spread over a few handles
 * by the host that they ask, and only those run whose sockets are ready or
 * whose time has come. A run reads a piece of every answer that waits, so many
 * long ones from one host would all end at its end, and none be followed by the
 * next meanwhile: those are spread as well.
 *
 * Not here: what a transfer is, and our own due times. No byte of a request or
 * an answer is kept here.
 */
#ifndef NET_HTTP_LANE_H
#define NET_HTTP_LANE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

struct http_lane;
struct http_lanes;

/* What became of a handle that a lane is done with. */
struct http_lane_end {
    void *easy;
    int code; /* a CURLcode */
};

/*
 * kept: connections that stay open between requests, shared out among the
 * lanes, at least one to each; 0: the library's choice. NULL: out of memory.
 */
struct http_lanes *http_lanes_new(long kept);

/* Closes all connections; no handle may be in a lane. NULL is accepted. */
void http_lanes_free(struct http_lanes *lanes);

/*
 * The lane for all requests to url's host and port with the same apart, made
 * when first asked for and good until http_lanes_free(). ERR_NOMEM, ERR_NET.
 */
NODISCARD enum err_code http_lanes_find(struct http_lanes *lanes,
                                        const char *url, unsigned apart,
                                        struct http_lane **out,
                                        struct err *err);

/* Both not while a lane runs. The first gives a CURLMcode, 0 is success. */
int http_lane_add(struct http_lane *lane, void *easy);
void http_lane_remove(struct http_lane *lane, void *easy);

/*
 * The next lane that is awake: it got a handle, or http_lanes_wait() found
 * something for it. *at is 0 at first; NULL: there is no more.
 */
struct http_lane *http_lanes_awake(struct http_lanes *lanes, size_t *at);

/* Whether the lane is awake, which it is not after it has run. */
bool http_lane_is_awake(const struct http_lane *lane);

/* Does what can be done without waiting. ERR_NOMEM, ERR_NET. */
NODISCARD enum err_code http_lane_run(struct http_lane *lane, struct err *err);

/*
 * Tells of a handle that has ended, each once, in *out; false when there is no
 * more. It is still in the lane, and the caller removes it.
 */
bool http_lane_ended(struct http_lane *lane, struct http_lane_end *out);

/*
 * Waits until a lane has something to do, at most limit_ms; 0: only looks.
 * ERR_NOMEM, ERR_NET.
 */
NODISCARD enum err_code http_lanes_wait(struct http_lanes *lanes, int limit_ms,
                                        struct err *err);

/*
 * If that has found something: waits ms more, so that what comes meanwhile is
 * done in the same run. As http_lanes_wait().
 */
NODISCARD enum err_code http_lanes_gather(struct http_lanes *lanes, int ms,
                                          struct err *err);

#endif
