#include "net/http_timer.h"

#include <stddef.h>

#include "base/clock.h"
#include "http_private.h"

void http_timer_init(struct http_timer *timer, void (*fn)(void *arg), void *arg)
{
    *timer = (struct http_timer){.due_ms = CLOCK_NEVER, .fn = fn, .arg = arg};
}

/* link is where the list, or what is before it, points. */
static void put_in(struct http_timer **link, struct http_timer *timer)
{
    timer->next = *link;
    timer->link = link;
    if (timer->next)
        timer->next->link = &timer->next;
    *link = timer;
}

static void take_out(struct http_timer *timer)
{
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->next = NULL;
    timer->link = NULL;
    timer->due_ms = CLOCK_NEVER;
}

void http_timer_cancel(struct http *http, struct http_timer *timer)
{
    (void)http;
    if (timer->due_ms != CLOCK_NEVER)
        take_out(timer);
}

void http_timer_set(struct http *http, struct http_timer *timer, int64_t due_ms)
{
    struct http_timer **at = &http->timers;

    http_timer_cancel(http, timer);
    if (due_ms == CLOCK_NEVER)
        return;
    while (*at && (*at)->due_ms <= due_ms)
        at = &(*at)->next;
    timer->due_ms = due_ms;
    put_in(at, timer);
}

void http_timers_fire(struct http *http, int64_t now)
{
    struct http_timer **end = &http->timers;

    while (*end && (*end)->due_ms <= now)
        end = &(*end)->next;
    if (end == &http->timers)
        return;
    http->firing = http->timers;
    http->firing->link = &http->firing;
    http->timers = *end;
    if (http->timers)
        http->timers->link = &http->timers;
    *end = NULL;
    while (http->firing) {
        struct http_timer *timer = http->firing;

        take_out(timer);
        timer->fn(timer->arg);
    }
}

int64_t http_timers_due(const struct http *http)
{
    return http->timers ? http->timers->due_ms : CLOCK_NEVER;
}
