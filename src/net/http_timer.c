#include "net/http_timer.h"

#include <stddef.h>

#include "base/clock.h"
#include "http_private.h"

void http_timer_init(struct http_timer *timer, void (*fn)(void *arg), void *arg)
{
    *timer = (struct http_timer){.due_ms = CLOCK_NEVER, .fn = fn, .arg = arg};
}

static void unlink_from(struct http_timer **list, struct http_timer *timer)
{
    for (; *list; list = &(*list)->next) {
        if (*list == timer) {
            *list = timer->next;
            return;
        }
    }
}

void http_timer_cancel(struct http *http, struct http_timer *timer)
{
    if (timer->due_ms == CLOCK_NEVER)
        return;
    unlink_from(&http->timers, timer);
    unlink_from(&http->firing, timer);
    timer->due_ms = CLOCK_NEVER;
    timer->next = NULL;
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
    timer->next = *at;
    *at = timer;
}

void http_timers_fire(struct http *http, int64_t now)
{
    struct http_timer **end = &http->timers;

    while (*end && (*end)->due_ms <= now)
        end = &(*end)->next;
    if (end == &http->timers)
        return;
    http->firing = http->timers;
    http->timers = *end;
    *end = NULL;
    while (http->firing) {
        struct http_timer *timer = http->firing;

        http->firing = timer->next;
        timer->next = NULL;
        timer->due_ms = CLOCK_NEVER;
        timer->fn(timer->arg);
    }
}

int64_t http_timers_due(const struct http *http)
{
    return http->timers ? http->timers->due_ms : CLOCK_NEVER;
}
