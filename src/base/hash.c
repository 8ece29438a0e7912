#include "base/hash.h"

uint64_t hash_of(struct span s)
{
    uint64_t hash = 14695981039346656037U;

    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.p[i]) * 1099511628211U;
    return hash;
}
