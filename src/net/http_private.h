/*
 * http_private.h - what the parts of net/http share; for them and their test.
 *
 * The library's handles are void pointers here, as its own header has them:
 * only .c files include third-party headers.
 */
#ifndef NET_HTTP_PRIVATE_H
#define NET_HTTP_PRIVATE_H

#include "http_lane.h"
#include "net/http.h"

struct curl_slist;
struct trust;

/* The library's sentence about a failure, CURL_ERROR_SIZE bytes. */
#define HTTP_DETAIL_MAX 256

struct http_list {
    struct http_transfer *first;
    struct http_transfer *last;
    size_t n;
};

/* Which list it is on says what state it is in; NULL: its on_done runs. */
struct http_transfer {
    struct http *http;
    struct http_list *in;
    struct http_transfer *next;
    struct http_transfer *prev;
    struct http_lane *lane;
    void *easy; /* kept while idle where it may serve a request like the last */
    bool set;   /* easy has what is the same for such requests */
    struct curl_slist *headers;
    http_body_fn on_body;
    http_done_fn on_done;
    void *arg;
    enum http_route route;
    bool gzip;
    bool ipv4_only;
    int64_t connect_timeout_ms;
    int64_t connect_since_ms; /* http_waited_ms() when connecting began */
    int64_t sent_real_ms;
    int64_t rtt_us;
    unsigned roots_round; /* http->roots_round when it was started */
    bool fresh;           /* a socket was opened for it */
    bool connected;
    bool on_kept;      /* and that by a connection which stood */
    bool counted;      /* in http->nconnecting */
    bool stopped;      /* on_body said so */
    bool in_header;    /* it has begun and not ended */
    size_t header_len; /* of the response, bytes so far */
    char detail[HTTP_DETAIL_MAX];
};

struct http {
    struct http_options options;
    struct trust *trust;
    unsigned roots_round; /* goes up when roots are added to the store */
    struct http_lanes *lanes;
    void *share;     /* the addresses that all lanes know */
    void *url;       /* checks URLs before the library starts on them */
    bool in_library; /* no handle may be added or removed now */
    struct http_list starting;  /* not yet given to the library */
    struct http_list running;   /* in the library's hands */
    struct http_list cancelled; /* the same, to be taken back */
    struct http_list idle;      /* kept to be used again */
    struct http_timer *timers;  /* earliest first */
    struct http_timer *firing;  /* due, their turn comes */
    size_t nconnecting;         /* started, and not connected */
    bool all_connected;         /* there are none of those */
    int64_t waited_ms;
    int64_t patient_until_ms; /* what comes before is not urgent */
    struct http_stats stats;
};

/* http_list.c: the end of list gets it; NULL: it is on none. */
void http_list_move(struct http_transfer *transfer, struct http_list *list);

/* http_setup.c: gives easy what request asks for. As http_start(). */
NODISCARD enum err_code http_setup(struct http_transfer *transfer,
                                   const struct http_request *request,
                                   struct err *err);

/* Counts it among those that are connecting, or no longer. */
void http_set_connecting(struct http_transfer *transfer, bool connecting);

/* Wipes and frees the copies of the request's headers. */
void http_drop_headers(struct http_transfer *transfer);

/* http_transfer.c: gives all that start to the library. */
void http_transfers_start(struct http *http);

/* Takes back what was cancelled while the library ran. */
void http_transfers_sweep(struct http *http);

/* Calls on_done of all that the library has finished in the lane. */
void http_transfers_complete(struct http_lane *lane);

/* Calls on_done of all whose time to connect is over. */
void http_transfers_judge(struct http *http);

/* Milliseconds of waiting until there is one to judge; CLOCK_NEVER: none. */
int64_t http_transfers_due(const struct http *http);

/* Ends all without a callback and gives all memory back. */
void http_transfers_free(struct http *http);

/* http_timer.c: calls those due at now; those they set wait a turn. */
void http_timers_fire(struct http *http, int64_t now);

/* The earliest due time, CLOCK_NEVER: none. */
int64_t http_timers_due(const struct http *http);

#endif
