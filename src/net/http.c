#include "net/http.h"

#include <stdlib.h>

#include <curl/curl.h>

#include "http_private.h"
#include "net/trust.h"

/* Longest single wait: what has no due time is looked at again after it. */
#define POLL_MAX_MS 60000

/* With so many transfers or more, what comes is gathered, for so long; or,
 * while nobody waits for it yet, for half of that time, up to the longer one:
 * half, so that less and less is left to be done when somebody does. */
#define GATHER_MIN 4
#define GATHER_MS 1
#define PATIENCE_MS 25

/* How much longer than asked for a poll may take on a busy machine. */
#define OVERSLEPT_MS 250

/* What one lane has looked up the others need not. */
static CURLSH *share_new(void)
{
    CURLSH *share = curl_share_init();

    if (share && curl_share_setopt(share, CURLSHOPT_SHARE,
                                   CURL_LOCK_DATA_DNS) != CURLSHE_OK) {
        (void)curl_share_cleanup(share);
        share = NULL;
    }
    return share;
}

enum err_code http_new(const struct http_options *options, struct http **out,
                       struct err *err)
{
    struct http *http;
    enum err_code rc;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NET, "http: libcurl cannot be initialised");
    http = calloc(1, sizeof(*http));
    if (!http) {
        curl_global_cleanup();
        return err_nomem(err, "http");
    }
    http->options = *options;
    http->all_connected = true;
    http->lanes = http_lanes_new(options->max_connections);
    http->share = share_new();
    http->url = curl_url();
    if (!http->lanes || !http->share || !http->url) {
        rc = err_nomem(err, "http");
        goto out;
    }
    rc = trust_new(options->ca_bundle, &http->trust, err);
    if (rc)
        goto out;
    *out = http;
    http = NULL;

out:
    http_free(http);
    return rc;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    http_transfers_free(http);
    curl_url_cleanup(http->url);
    http_lanes_free(http->lanes);
    (void)curl_share_cleanup(http->share);
    trust_free(http->trust);
    free(http);
    curl_global_cleanup();
}

static enum err_code run_once(struct http *http, struct http_lane *lane,
                              struct err *err)
{
    enum err_code rc;

    http->in_library = true;
    rc = http_lane_run(lane, err);
    http->in_library = false;
    http_transfers_sweep(http);
    if (!rc)
        http_transfers_complete(lane);
    return rc;
}

/* What an end makes to be asked next in the same lane goes out before others
 * run: that may take longer than the way there and back. */
static enum err_code run_lane(struct http *http, struct http_lane *lane,
                              struct err *err)
{
    enum err_code rc = run_once(http, lane, err);

    if (rc || !http->starting.first)
        return rc;
    http_transfers_start(http);
    return http_lane_is_awake(lane) ? run_once(http, lane, err) : ERR_OK;
}

/*
 * Everything that can happen without waiting, in the order of the header: what
 * is due by now waits until every socket was looked at. look: that is to be
 * done in any case, else what the last wait found is known.
 */
static enum err_code take_turn(struct http *http, bool look, struct err *err)
{
    int64_t now = clock_mono_ms(http->options.clock);
    bool due = http_timers_due(http) <= now || http_transfers_due(http) <= 0;
    enum err_code rc = ERR_OK;
    struct http_lane *lane;
    size_t at = 0;

    if (look || due)
        rc = http_lanes_wait(http->lanes, 0, err);
    http_transfers_start(http);
    while (!rc && (lane = http_lanes_awake(http->lanes, &at)) != NULL)
        rc = run_lane(http, lane, err);
    if (rc)
        return rc;
    if (due) {
        http_transfers_judge(http);
        http_timers_fire(http, now);
    }
    return ERR_OK;
}

/* Milliseconds until something of ours is due, within what a poll takes. */
static int poll_ms(const struct http *http, int64_t now, int64_t until_ms)
{
    int64_t due = http_timers_due(http);
    int64_t wait = http_transfers_due(http);

    if (until_ms < due)
        due = until_ms;
    if (due <= now || wait <= 0)
        return 0;
    if (due - now < wait)
        wait = due - now;
    return wait < POLL_MAX_MS ? (int)wait : POLL_MAX_MS;
}

/*
 * Answers come in pieces, and those of many regions one after the other: each
 * alone costs a turn. A handful is not worth waiting for, and the last few are
 * not kept waiting; nor is anybody while a handshake is under way.
 */
static bool is_worth_gathering(const struct http *http)
{
    return http->running.n >= GATHER_MIN && http->nconnecting == 0;
}

static int gather_ms(const struct http *http, int64_t until_ms)
{
    int64_t now = clock_mono_ms(http->options.clock);
    int64_t patience = http->patient_until_ms - now;
    int limit = poll_ms(http, now, until_ms);
    int ms = GATHER_MS;

    if (patience > GATHER_MS)
        ms = patience / 2 < PATIENCE_MS ? (int)(patience / 2) : PATIENCE_MS;
    return ms < limit ? ms : limit;
}

static enum err_code wait_for_event(struct http *http, int64_t until_ms,
                                    struct err *err)
{
    const struct clock *clock = http->options.clock;
    int64_t from = clock_mono_ms(clock);
    int limit = poll_ms(http, from, until_ms);
    enum err_code rc = http_lanes_wait(http->lanes, limit, err);
    int64_t waited = clock_mono_ms(clock) - from;

    /* Who is busy finds enough as it is. */
    if (!rc && waited > 0 && is_worth_gathering(http)) {
        rc = http_lanes_gather(http->lanes, gather_ms(http, until_ms), err);
        waited = clock_mono_ms(clock) - from;
    }
    /* A poll that overslept was frozen: nobody could answer in that time. */
    if (waited <= limit + OVERSLEPT_MS)
        http->waited_ms += waited;
    return rc;
}

enum err_code http_run(struct http *http, int64_t until_ms, const bool *stop,
                       struct err *err)
{
    const struct clock *clock = http->options.clock;
    bool over = clock_mono_ms(clock) >= until_ms;
    enum err_code rc = take_turn(http, true, err);

    while (!rc && !*stop && !over) {
        if (!http->starting.first)
            rc = wait_for_event(http, until_ms, err);
        /* The last turn begins when time is over, and looks at everything. */
        over = clock_mono_ms(clock) >= until_ms;
        if (!rc)
            rc = take_turn(http, over, err);
    }
    return rc;
}

void http_be_patient(struct http *http, int64_t until_ms)
{
    http->patient_until_ms = until_ms;
}

const bool *http_all_connected(const struct http *http)
{
    return &http->all_connected;
}

int64_t http_waited_ms(const struct http *http)
{
    return http->waited_ms;
}

struct http_stats http_get_stats(const struct http *http)
{
    struct http_stats stats = http->stats;

    stats.roots = trust_nroots(http->trust);
    return stats;
}
