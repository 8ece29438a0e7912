/*
 * clock.h - time and chance, replaceable in tests.
 *
 * Everything that needs the time of day, a duration or a random number takes
 * a struct clock, so that no test waits and every test repeats. All times are
 * int64_t milliseconds: mono since some start (never steps back), boot the
 * same but with the time the machine was suspended, real since 1970-01-01 UTC.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* A time that never comes. */
#define CLOCK_NEVER INT64_MAX

struct clock {
    int64_t (*mono_ms)(void *arg);
    int64_t (*boot_ms)(void *arg);
    int64_t (*real_ms)(void *arg);
    uint32_t (*random)(void *arg); /* uniform over all values; not for keys */
    void *arg;
};

/* The machine's own. */
extern const struct clock CLOCK_SYSTEM;

int64_t clock_mono_ms(const struct clock *clock);
int64_t clock_boot_ms(const struct clock *clock);
int64_t clock_real_ms(const struct clock *clock);
uint32_t clock_random(const struct clock *clock);

/* a + b, or CLOCK_NEVER when that does not fit; b is not negative. */
int64_t clock_add(int64_t a, int64_t b);

/*
 * UTC as "YYYYMMDDThhmmssZ" (SigV4's stamp) and as RFC 3339 with milliseconds,
 * "YYYY-MM-DDThh:mm:ss.mmmZ". Times outside the years 0 to 9999 are written
 * as the nearest of them.
 */
#define CLOCK_BASIC_LEN 16
#define CLOCK_RFC3339_LEN 24
void clock_utc_basic(int64_t real_ms, char out[CLOCK_BASIC_LEN + 1]);
void clock_utc_rfc3339(int64_t real_ms, char out[CLOCK_RFC3339_LEN + 1]);

#endif
