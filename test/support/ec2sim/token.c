/*
 * token.c - opaque pagination tokens.
 *
 * Base64 of the position, masked by the binding, and a hash of both. Its
 * alphabet has '+', '/' and '=', so that a client must encode it.
 */
#include "token.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

#define PLACE_LEN 8
#define RAW_LEN (PLACE_LEN + SHA256_DIGEST_LENGTH)
#define ENCODED_LEN ((size_t)4 * ((RAW_LEN + 2) / 3))

static void make_raw(const unsigned char binding[BINDING_LEN], uint64_t place,
                     unsigned char raw[RAW_LEN])
{
    unsigned char text[BINDING_LEN + PLACE_LEN];

    memcpy(text, binding, BINDING_LEN);
    for (int i = 0; i < PLACE_LEN; i++) {
        text[BINDING_LEN + i] = (unsigned char)(place >> (56 - 8 * i));
        raw[i] = text[BINDING_LEN + i] ^ binding[i];
    }
    SHA256(text, sizeof(text), raw + PLACE_LEN);
}

void token_make(const unsigned char binding[BINDING_LEN],
                const struct position *position, char out[TOKEN_MAX])
{
    unsigned char raw[RAW_LEN];

    _Static_assert(ENCODED_LEN < TOKEN_MAX, "a token fits");
    make_raw(binding,
             (uint64_t)position->offset << 1 | (position->filled ? 1 : 0), raw);
    EVP_EncodeBlock((unsigned char *)out, raw, RAW_LEN);
}

bool token_read(const unsigned char binding[BINDING_LEN], const char *token,
                struct position *out)
{
    unsigned char raw[RAW_LEN + 3];
    unsigned char right[RAW_LEN];
    uint64_t place = 0;

    if (strlen(token) != ENCODED_LEN ||
        EVP_DecodeBlock(raw, (const unsigned char *)token, (int)ENCODED_LEN) <
            0)
        return false;
    for (int i = 0; i < PLACE_LEN; i++)
        place = place << 8 | (raw[i] ^ binding[i]);
    make_raw(binding, place, right);
    if (CRYPTO_memcmp(raw, right, RAW_LEN) != 0 || place >> 1 > LONG_MAX / 2)
        return false;
    out->offset = (long)(place >> 1);
    out->filled = place & 1;
    return true;
}
