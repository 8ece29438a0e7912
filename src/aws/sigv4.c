#include "aws/sigv4.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/wipe.h"

/* Of a timestamp, the bytes that are the date. */
#define DATE_LEN 8
/* Bytes that hold most strings to sign, and most values of the header. */
#define USUAL_ROOM ((size_t)400)

static enum err_code check_timestamp(const char *timestamp, struct err *err)
{
    static const char FORM[] = "ddddddddTddddddZ"; /* d: a digit */
    bool good = strlen(timestamp) == sizeof(FORM) - 1;

    for (size_t i = 0; good && FORM[i]; i++)
        good = FORM[i] == 'd' ? timestamp[i] >= '0' && timestamp[i] <= '9'
                              : timestamp[i] == FORM[i];
    if (!good)
        return err_set(err, ERR_ARG, "sigv4: timestamp not YYYYMMDDThhmmssZ");
    return ERR_OK;
}

static void hex_encode(const unsigned char digest[SIGV4_KEY_LEN],
                       char out[SIGV4_HEX_LEN + 1])
{
    static const char HEX[] = "0123456789abcdef";

    for (size_t i = 0; i < SIGV4_KEY_LEN; i++) {
        out[2 * i] = HEX[digest[i] >> 4];
        out[2 * i + 1] = HEX[digest[i] & 15];
    }
    out[SIGV4_HEX_LEN] = '\0';
}

enum err_code sigv4_sha256_hex(struct span data, char out[SIGV4_HEX_LEN + 1],
                               struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};

    out[0] = '\0';
    if (!EVP_Digest(data.len ? data.p : "", data.len, digest, NULL,
                    EVP_sha256(), NULL))
        return err_set(err, ERR_CRYPTO, "sigv4: SHA-256 failed");
    hex_encode(digest, out);
    return ERR_OK;
}

/* out may be the same memory as key. */
static enum err_code hmac(struct span key, struct span data,
                          unsigned char out[SIGV4_KEY_LEN], struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    const unsigned char *bytes = (const unsigned char *)data.p;
    enum err_code rc = ERR_OK;

    if (HMAC(EVP_sha256(), key.p, (int)key.len, bytes, data.len, digest, NULL))
        memcpy(out, digest, SIGV4_KEY_LEN);
    else
        rc = err_set(err, ERR_CRYPTO, "sigv4: HMAC-SHA-256 failed");
    wipe(digest, sizeof(digest));
    return rc;
}

enum err_code sigv4_derive_key(const struct sigv4_scope *scope,
                               const char *secret, struct sigv4_key *out,
                               struct err *err)
{
    const struct span step[] = {
        {scope->timestamp, DATE_LEN},
        span_of(scope->region),
        span_of(scope->service),
        SPAN_LIT("aws4_request"),
    };
    struct buf seed = BUF_INIT(SIGV4_MAX_TEXT);
    struct span key;
    enum err_code rc;

    wipe(out, sizeof(*out));
    rc = check_timestamp(scope->timestamp, err);
    if (rc)
        return rc;
    /* One append is one allocation, so no stale copy of the secret is left. */
    buf_addf(&seed, "AWS4%s", secret);
    rc = buf_check(&seed, "sigv4: secret", err);
    key = buf_span(&seed);
    for (size_t i = 0; !rc && i < sizeof(step) / sizeof(step[0]); i++) {
        rc = hmac(key, step[i], out->bytes, err);
        key = (struct span){(const char *)out->bytes, sizeof(out->bytes)};
    }
    if (rc)
        wipe(out, sizeof(*out));
    buf_wipe(&seed);
    return rc;
}

static void add_scope(struct buf *out, const struct sigv4_scope *scope)
{
    buf_add(out, scope->timestamp, DATE_LEN);
    buf_add_char(out, '/');
    buf_add_str(out, scope->region);
    buf_add_char(out, '/');
    buf_add_str(out, scope->service);
    buf_add_str(out, "/aws4_request");
}

enum err_code sigv4_string_to_sign(const struct sigv4_scope *scope,
                                   const struct buf *canonical, struct buf *out,
                                   struct err *err)
{
    char hash[SIGV4_HEX_LEN + 1];
    enum err_code rc;

    rc = check_timestamp(scope->timestamp, err);
    if (rc)
        return rc;
    rc = sigv4_sha256_hex(buf_span(canonical), hash, err);
    if (rc)
        return rc;
    buf_add_str(out, "AWS4-HMAC-SHA256\n");
    buf_add_str(out, scope->timestamp);
    buf_add_char(out, '\n');
    add_scope(out, scope);
    buf_add_char(out, '\n');
    buf_add_str(out, hash);
    return buf_check(out, "sigv4: string to sign", err);
}

/*
 * As many bytes as the canonical request may have: encoding makes three of a
 * byte, a parameter without value gets a "=", a header's name comes twice.
 */
static size_t canonical_room(const struct sigv4_request *req)
{
    size_t room = strlen(req->method) + 3 * strlen(req->path) +
                  4 * strlen(req->query) + SIGV4_HEX_LEN + 16;

    for (size_t i = 0; i < req->nheaders; i++)
        room += 2 * strlen(req->headers[i].name) +
                strlen(req->headers[i].value) + 3;
    return room < SIGV4_MAX_TEXT ? room : SIGV4_MAX_TEXT;
}

static enum err_code compute_signature(const struct sigv4_request *req,
                                       const struct sigv4_scope *scope,
                                       const struct sigv4_key *key,
                                       char out[SIGV4_HEX_LEN + 1],
                                       struct err *err)
{
    const struct span secret = {(const char *)key->bytes, sizeof(key->bytes)};
    struct buf canonical = BUF_INIT(SIGV4_MAX_TEXT);
    struct buf to_sign = BUF_INIT(SIGV4_MAX_TEXT);
    unsigned char digest[SIGV4_KEY_LEN] = {0};
    size_t room = canonical_room(req);
    enum err_code rc;

    /* All room at once, so that growing leaves no copy of the token behind. */
    buf_reserve(&canonical, room);
    buf_reserve(&to_sign, USUAL_ROOM);
    rc = sigv4_canonical_request(req, &canonical, err);
    assert(rc || canonical.len <= room);
    if (rc)
        goto out;
    rc = sigv4_string_to_sign(scope, &canonical, &to_sign, err);
    if (rc)
        goto out;
    rc = hmac(secret, buf_span(&to_sign), digest, err);
    if (rc)
        goto out;
    hex_encode(digest, out);

out:
    /* The canonical request holds the session token. */
    buf_wipe(&to_sign);
    buf_wipe(&canonical);
    return rc;
}

enum err_code sigv4_sign(const struct sigv4_request *req,
                         const struct sigv4_scope *scope, const char *key_id,
                         const struct sigv4_key *key, struct buf *out,
                         struct err *err)
{
    struct buf value = BUF_INIT(SIGV4_MAX_TEXT);
    char signature[SIGV4_HEX_LEN + 1];
    enum err_code rc;

    rc = compute_signature(req, scope, key, signature, err);
    if (rc)
        goto out;
    buf_reserve(&value, USUAL_ROOM);
    buf_add_str(&value, "AWS4-HMAC-SHA256 Credential=");
    buf_add_str(&value, key_id);
    buf_add_char(&value, '/');
    add_scope(&value, scope);
    buf_add_str(&value, ", SignedHeaders=");
    rc = sigv4_signed_headers(req, &value, err);
    if (rc)
        goto out;
    buf_add_str(&value, ", Signature=");
    buf_add_str(&value, signature);
    rc = buf_check(&value, "sigv4: authorization", err);
    if (rc)
        goto out;
    /* One append, so that *out gets the whole value or none of it. */
    buf_add(out, value.data, value.len);
    rc = buf_check(out, "sigv4: authorization", err);

out:
    buf_release(&value);
    return rc;
}
