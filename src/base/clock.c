#include "base/clock.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z, seconds since 1970. */
#define YEAR_0_S ((int64_t)-62167219200)
#define YEAR_9999_S ((int64_t)253402300799)

static int64_t read_ms(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_mono_ms(void *arg)
{
    (void)arg;
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t system_boot_ms(void *arg)
{
    (void)arg;
    return read_ms(CLOCK_BOOTTIME);
}

static int64_t system_real_ms(void *arg)
{
    (void)arg;
    return read_ms(CLOCK_REALTIME);
}

static uint32_t system_random(void *arg)
{
    uint32_t value = 0;

    (void)arg;
    /* Without entropy the time's low bits still spread the retries. */
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) !=
        (ssize_t)sizeof(value))
        value = (uint32_t)read_ms(CLOCK_MONOTONIC) * 2654435761U;
    return value;
}

const struct clock CLOCK_SYSTEM = {
    .mono_ms = system_mono_ms,
    .boot_ms = system_boot_ms,
    .real_ms = system_real_ms,
    .random = system_random,
};

int64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ms(clock->arg);
}

int64_t clock_boot_ms(const struct clock *clock)
{
    return clock->boot_ms(clock->arg);
}

int64_t clock_real_ms(const struct clock *clock)
{
    return clock->real_ms(clock->arg);
}

uint32_t clock_random(const struct clock *clock)
{
    return clock->random(clock->arg);
}

int64_t clock_add(int64_t a, int64_t b)
{
    return a > CLOCK_NEVER - b ? CLOCK_NEVER : a + b;
}

/* Breaks real_ms down into UTC; *ms is the part below a second. */
static struct tm utc(int64_t real_ms, int *ms)
{
    int64_t s = real_ms / 1000;
    int64_t rest = real_ms % 1000;
    struct tm tm = {0};
    time_t t;

    if (rest < 0) {
        rest += 1000;
        s--;
    }
    if (s < YEAR_0_S)
        s = YEAR_0_S;
    if (s > YEAR_9999_S)
        s = YEAR_9999_S;
    t = (time_t)s;
    (void)gmtime_r(&t, &tm);
    *ms = (int)rest;
    return tm;
}

void clock_utc_basic(int64_t real_ms, char out[CLOCK_BASIC_LEN + 1])
{
    int ms;
    struct tm tm = utc(real_ms, &ms);

    /* Not strftime's %Y: glibc writes no leading zeros of a year. */
    (void)snprintf(out, CLOCK_BASIC_LEN + 1, "%04d", tm.tm_year + 1900);
    (void)strftime(out + 4, CLOCK_BASIC_LEN + 1 - 4, "%m%dT%H%M%SZ", &tm);
}

void clock_utc_rfc3339(int64_t real_ms, char out[CLOCK_RFC3339_LEN + 1])
{
    int ms;
    struct tm tm = utc(real_ms, &ms);
    size_t len;

    (void)snprintf(out, CLOCK_RFC3339_LEN + 1, "%04d", tm.tm_year + 1900);
    len = 4 +
          strftime(out + 4, CLOCK_RFC3339_LEN + 1 - 4, "-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + len, CLOCK_RFC3339_LEN + 1 - len, ".%03dZ", ms);
}
