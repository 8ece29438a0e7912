/*
 * fake_clock.h - a clock that stands still until a test moves it.
 */
#ifndef SUPPORT_FAKE_CLOCK_H
#define SUPPORT_FAKE_CLOCK_H

#include <stdint.h>

#include "base/clock.h"

struct fake_clock {
    struct clock clock; /* what the code under test is given */
    int64_t mono_ms;
    int64_t boot_ms;
    int64_t real_ms;
    uint32_t random; /* what every call gives, until a test changes it */
};

/* 2030-01-02T03:04:05Z, mono and boot 1,000,000 ms, random 0. Must not move
 * after. */
void fake_clock_init(struct fake_clock *fake);

/* All times go on by ms. */
void fake_clock_advance(struct fake_clock *fake, int64_t ms);

#endif
