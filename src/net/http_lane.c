#include "http_lane.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/hash.h"
#include "base/span.h"

/*
 * curl_multi_waitfds(), which tells what a handle waits for, came with 8.8. In
 * 8.20 it also names the socket for being woken, which curl_multi_perform()
 * does not read, so that a poll would spin. Before 8.21 there is one lane, and
 * the library waits itself.
 */
#if LIBCURL_VERSION_NUM >= 0x081500
#define LANES 8
#else
#define LANES 1
#endif

/* Sockets that a lane is first given room for, and the most. */
#define WAITS_MIN 8U
#define WAITS_MAX 65536U

struct http_lane {
    CURLM *multi; /* NULL: nothing was asked of it yet */
    bool awake;   /* to be run; never without multi */
    bool changed; /* what it waits for may have */
    bool due;     /* to be run whatever it waits for */
    struct curl_waitfd *waits;
    unsigned nwaits;
    unsigned room; /* for waits */
};

struct http_lanes {
    struct http_lane lanes[LANES];
    long kept; /* connections of each lane; 0: the library's choice */
    struct pollfd *polled; /* what all lanes wait for, in their order */
    size_t room;           /* for polled */
};

static enum err_code lane_error(CURLMcode code, struct err *err)
{
    if (code == CURLM_OUT_OF_MEMORY)
        return err_nomem(err, "http");
    return err_set(err, ERR_NET, "http: %s", curl_multi_strerror(code));
}

struct http_lanes *http_lanes_new(long kept)
{
    struct http_lanes *lanes = calloc(1, sizeof(*lanes));

    if (lanes && kept > 0)
        lanes->kept = kept > LANES ? kept / LANES : 1;
    return lanes;
}

void http_lanes_free(struct http_lanes *lanes)
{
    if (!lanes)
        return;
    for (size_t i = 0; i < LANES; i++) {
        (void)curl_multi_cleanup(lanes->lanes[i].multi);
        free(lanes->lanes[i].waits);
    }
    free(lanes->polled);
    free(lanes);
}

/*
 * Unset, the number of kept connections follows that of running transfers, so
 * that connections are dropped as regions finish (seen up to 8.21).
 */
static CURLMcode set_up(CURLM *multi, long kept)
{
    CURLMcode code =
        curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);

    if (!code && kept > 0)
        code = curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kept);
    return code;
}

/* Up to the path: scheme, host and port. */
static struct span origin_of(const char *url)
{
    const char *host = strstr(url, "://");
    size_t len = host ? (size_t)(host - url) + 3 : 0;

    return (struct span){url, len + strcspn(url + len, "/?#")};
}

enum err_code http_lanes_find(struct http_lanes *lanes, const char *url,
                              unsigned apart, struct http_lane **out,
                              struct err *err)
{
    uint64_t place = hash_of(origin_of(url)) + apart;
    struct http_lane *lane = &lanes->lanes[place % LANES];
    CURLM *multi;
    CURLMcode code;

    *out = lane;
    if (lane->multi)
        return ERR_OK;
    multi = curl_multi_init();
    if (!multi)
        return err_nomem(err, "http");
    code = set_up(multi, lanes->kept);
    if (code) {
        (void)curl_multi_cleanup(multi);
        return lane_error(code, err);
    }
    lane->multi = multi;
    return ERR_OK;
}

int http_lane_add(struct http_lane *lane, void *easy)
{
    lane->awake = true;
    return (int)curl_multi_add_handle(lane->multi, easy);
}

void http_lane_remove(struct http_lane *lane, void *easy)
{
    lane->changed = true;
    (void)curl_multi_remove_handle(lane->multi, easy);
}

bool http_lane_is_awake(const struct http_lane *lane)
{
    return lane->awake;
}

struct http_lane *http_lanes_awake(struct http_lanes *lanes, size_t *at)
{
    while (*at < LANES) {
        struct http_lane *lane = &lanes->lanes[(*at)++];

        if (lane->awake)
            return lane;
    }
    return NULL;
}

enum err_code http_lane_run(struct http_lane *lane, struct err *err)
{
    CURLMcode code;
    int running;

    lane->changed = true;
    code = curl_multi_perform(lane->multi, &running);
    if (code)
        return lane_error(code, err);
    lane->awake = false;
    return ERR_OK;
}

enum err_code http_lanes_gather(struct http_lanes *lanes, int ms,
                                struct err *err)
{
    size_t at = 0;

    if (!http_lanes_awake(lanes, &at))
        return ERR_OK;
    (void)poll(NULL, 0, ms);
    return http_lanes_wait(lanes, 0, err);
}

bool http_lane_ended(struct http_lane *lane, struct http_lane_end *out)
{
    int left;
    CURLMsg *message = curl_multi_info_read(lane->multi, &left);

    if (!message)
        return false;
    out->easy = message->easy_handle;
    out->code = (int)message->data.result;
    return true;
}

#if LANES > 1

/* Room for n of what lane waits for. */
static CURLMcode make_room(struct http_lane *lane, unsigned n)
{
    void *waits;

    if (n > WAITS_MAX)
        return CURLM_INTERNAL_ERROR;
    if (n < WAITS_MIN)
        n = WAITS_MIN;
    waits = realloc(lane->waits, n * sizeof(*lane->waits));
    if (!waits)
        return CURLM_OUT_OF_MEMORY;
    lane->waits = waits;
    lane->room = n;
    return CURLM_OK;
}

/* The library tells how many there are when it has not room for all. */
static CURLMcode list_waits(struct http_lane *lane)
{
    unsigned n = 0;
    CURLMcode code =
        curl_multi_waitfds(lane->multi, lane->waits, lane->room, &n);

    if (n > lane->room) {
        code = make_room(lane, n);
        if (!code)
            code = curl_multi_waitfds(lane->multi, lane->waits, lane->room, &n);
    }
    lane->nwaits = code ? 0 : n;
    lane->changed = code != CURLM_OK;
    return code;
}

/* What every lane waits for, how many there are, and until when at most. */
static CURLMcode ask_lanes(struct http_lanes *lanes, size_t *n, int *limit_ms)
{
    *n = 0;
    for (size_t i = 0; i < LANES; i++) {
        struct http_lane *lane = &lanes->lanes[i];
        CURLMcode code = CURLM_OK;
        long within_ms = -1;

        if (!lane->multi)
            continue;
        if (lane->changed)
            code = list_waits(lane);
        if (!code)
            code = curl_multi_timeout(lane->multi, &within_ms);
        if (code)
            return code;
        if (lane->awake)
            within_ms = 0;
        if (within_ms >= 0 && within_ms < *limit_ms)
            *limit_ms = (int)within_ms;
        lane->due = within_ms == 0;
        *n += lane->nwaits;
    }
    return CURLM_OK;
}

static void add_polled(struct pollfd **at, const struct http_lane *lane)
{
    for (unsigned i = 0; i < lane->nwaits; i++) {
        const struct curl_waitfd *wait = &lane->waits[i];
        int events = 0;

        if (wait->events & CURL_WAIT_POLLIN)
            events |= POLLIN;
        if (wait->events & CURL_WAIT_POLLOUT)
            events |= POLLOUT;
        *(*at)++ = (struct pollfd){.fd = wait->fd, .events = (short)events};
    }
}

static enum err_code fill_polled(struct http_lanes *lanes, size_t n,
                                 struct err *err)
{
    struct pollfd *at;

    if (n > lanes->room) {
        void *polled = realloc(lanes->polled, n * sizeof(*lanes->polled));

        if (!polled)
            return err_nomem(err, "http");
        lanes->polled = polled;
        lanes->room = n;
    }
    at = lanes->polled;
    for (size_t i = 0; i < LANES; i++)
        add_polled(&at, &lanes->lanes[i]);
    return ERR_OK;
}

/* Those with a socket that is ready, or that were due before the poll. */
static void wake_ready(struct http_lanes *lanes, bool any)
{
    const struct pollfd *at = lanes->polled;

    for (size_t i = 0; i < LANES; i++) {
        struct http_lane *lane = &lanes->lanes[i];

        for (unsigned k = 0; k < lane->nwaits; k++, at++)
            lane->awake |= any && at->revents != 0;
        lane->awake |= lane->due;
    }
}

enum err_code http_lanes_wait(struct http_lanes *lanes, int limit_ms,
                              struct err *err)
{
    size_t n;
    int ready;
    enum err_code rc;
    CURLMcode code = ask_lanes(lanes, &n, &limit_ms);

    if (code)
        return lane_error(code, err);
    rc = fill_polled(lanes, n, err);
    if (rc)
        return rc;
    ready = poll(lanes->polled, (nfds_t)n, limit_ms);
    if (ready < 0 && errno != EINTR)
        return err_set(err, ERR_NET, "http: poll: %s", strerror(errno));
    wake_ready(lanes, ready > 0);
    return ERR_OK;
}

#else

/* What ended the wait is not told, so the lane runs and gathers in any case. */
enum err_code http_lanes_wait(struct http_lanes *lanes, int limit_ms,
                              struct err *err)
{
    CURLM *multi = lanes->lanes[0].multi;
    CURLMcode code = CURLM_OK;

    if (multi)
        code = curl_multi_poll(multi, NULL, 0, limit_ms, NULL);
    else
        (void)poll(NULL, 0, limit_ms);
    lanes->lanes[0].awake = multi != NULL;
    return code ? lane_error(code, err) : ERR_OK;
}

#endif
