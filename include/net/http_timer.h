/*
 * http_timer.h - due times in the one poll of the program; see net/http.h.
 *
 * A timer fires once, inside http_run(), and only after everything that
 * waited in the sockets at that time has been read.
 */
#ifndef NET_HTTP_TIMER_H
#define NET_HTTP_TIMER_H

#include <stdint.h>

struct http;

/* The storage belongs to the caller and must not move while it is set. */
struct http_timer {
    int64_t due_ms; /* clock_mono_ms; CLOCK_NEVER: not set */
    void (*fn)(void *arg);
    void *arg;
    struct http_timer *next;  /* private */
    struct http_timer **link; /* private: what points at it while it is set */
};

void http_timer_init(struct http_timer *timer, void (*fn)(void *arg),
                     void *arg);

/*
 * Calls fn once, at or soon after due_ms; setting anew moves it. Timers of
 * the same time fire in the order they were set. CLOCK_NEVER cancels.
 */
void http_timer_set(struct http *http, struct http_timer *timer,
                    int64_t due_ms);

/* Must be called before the storage goes away, unless it has fired. */
void http_timer_cancel(struct http *http, struct http_timer *timer);

#endif
