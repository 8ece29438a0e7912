#include "support/fake_clock.h"

static int64_t mono_ms(void *arg)
{
    return ((struct fake_clock *)arg)->mono_ms;
}

static int64_t boot_ms(void *arg)
{
    return ((struct fake_clock *)arg)->boot_ms;
}

static int64_t real_ms(void *arg)
{
    return ((struct fake_clock *)arg)->real_ms;
}

static uint32_t random_value(void *arg)
{
    return ((struct fake_clock *)arg)->random;
}

void fake_clock_init(struct fake_clock *fake)
{
    *fake = (struct fake_clock){
        .clock = {.mono_ms = mono_ms,
                  .boot_ms = boot_ms,
                  .real_ms = real_ms,
                  .random = random_value,
                  .arg = fake},
        .mono_ms = 1000000,
        .boot_ms = 1000000,
        .real_ms = 1893553445000, /* date -u -d 2030-01-02T03:04:05Z +%s */
    };
}

void fake_clock_advance(struct fake_clock *fake, int64_t ms)
{
    fake->mono_ms += ms;
    fake->boot_ms += ms;
    fake->real_ms += ms;
}
