/*
 * rng.h - pseudo-random numbers that depend on nothing but what they are for.
 *
 * Not for anything secret.
 */
#ifndef EC2SIM_RNG_H
#define EC2SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

/* A stream of numbers; any state is a good start. */
struct rng {
    uint64_t state;
};

/* The stream of thing number i of that kind in that region. */
struct rng rng_for(uint64_t seed, const char *region, const char *kind,
                   uint64_t i);
uint64_t rng_next(struct rng *rng);

/* Uniform from 0 to n - 1; n is at least 1. */
uint32_t rng_below(struct rng *rng, uint32_t n);
bool rng_chance(struct rng *rng, uint32_t percent);

#endif
