/*
 * rng.c - pseudo-random numbers that depend on nothing but what they are for.
 *
 * SplitMix64 (Steele, Lea, Flood 2014), seeded by an FNV hash of the texts.
 */
#include "rng.h"

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint64_t mix_str(uint64_t h, const char *s)
{
    while (*s)
        h = (h ^ (unsigned char)*s++) * 0x100000001b3U;
    return mix(h);
}

struct rng rng_for(uint64_t seed, const char *region, const char *kind,
                   uint64_t i)
{
    uint64_t h = mix_str(mix(seed), region);

    return (struct rng){mix(mix_str(h, kind) + mix(i))};
}

uint64_t rng_next(struct rng *rng)
{
    rng->state += 0x9e3779b97f4a7c15U;
    return mix(rng->state);
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
    return (uint32_t)((rng_next(rng) >> 32) * n >> 32);
}

bool rng_chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}
