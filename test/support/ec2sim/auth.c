/*
 * auth.c - checks the Signature Version 4 of a request.
 *
 * Source: the IAM user guide's "Create a signed AWS API request".
 */
#include "auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define STAMP_LEN 16 /* YYYYMMDDThhmmssZ */
#define DATE_LEN 8
#define HEX_LEN ((size_t)2 * SHA256_DIGEST_LENGTH)
#define MAX_AGE_S INT64_C(900)
#define MAX_SIGNED 48
#define MAX_ARGS 256
#define PART_MAX 160

/* Below every byte of an encoded name, so that "a" sorts before "a1". */
#define NAME_END "\x01"

/* What the Authorization header says; each part copied and terminated. */
struct claim {
    char key_id[PART_MAX];
    char date[PART_MAX];
    char region[PART_MAX];
    char service[PART_MAX];
    char terminal[PART_MAX];
    char signature[PART_MAX];
    char names[2048];             /* SignedHeaders, cut at the semicolons */
    const char *name[MAX_SIGNED]; /* into names */
    size_t nnames;
};

static bool refuse(struct problem *problem, const char *reason)
{
    problem->reason = reason;
    return problem_set(problem, 401, "AuthFailure",
                       "AWS was not able to validate the provided access "
                       "credentials");
}

static bool incomplete(struct problem *problem, const char *reason)
{
    problem->reason = reason;
    return problem_set(problem, 400, "IncompleteSignature",
                       "The request signature does not conform to AWS "
                       "standards.");
}

/* Copies what lies before one of stops; *s then points at the stop. */
static bool take_part(const char **s, const char *stops, char *out, size_t cap)
{
    size_t len = strcspn(*s, stops);

    if (len == 0 || len >= cap)
        return false;
    memcpy(out, *s, len);
    out[len] = '\0';
    *s += len;
    return true;
}

static bool skip(const char **s, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*s, word, len) != 0)
        return false;
    *s += len;
    return true;
}

static void skip_comma(const char **s)
{
    *s += **s == ',';
    *s += strspn(*s, " ");
}

static bool take_credential(const char **s, struct claim *claim)
{
    char *const parts[] = {claim->key_id, claim->date, claim->region,
                           claim->service};

    if (!skip(s, "Credential="))
        return false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!take_part(s, "/, ", parts[i], PART_MAX) || !skip(s, "/"))
            return false;
    }
    return take_part(s, "/, ", claim->terminal, PART_MAX);
}

static bool take_names(const char **s, struct claim *claim)
{
    char *at = claim->names;

    if (!skip(s, "SignedHeaders=") ||
        !take_part(s, ", ", claim->names, sizeof(claim->names)))
        return false;
    while (at && claim->nnames < MAX_SIGNED) {
        char *end = strchr(at, ';');

        claim->name[claim->nnames++] = at;
        if (end)
            *end++ = '\0';
        at = end;
    }
    return !at;
}

static bool parse_claim(const char *value, struct claim *claim)
{
    claim->nnames = 0;
    if (!skip(&value, ALGORITHM " "))
        return false;
    skip_comma(&value);
    if (!take_credential(&value, claim))
        return false;
    skip_comma(&value);
    if (!take_names(&value, claim))
        return false;
    skip_comma(&value);
    return skip(&value, "Signature=") &&
           take_part(&value, ", ", claim->signature, PART_MAX) && !*value;
}

bool auth_scope_region(const struct request *req, char *out, size_t cap)
{
    const char *value = request_header(req, "authorization");
    struct claim claim;

    if (!value || !parse_claim(value, &claim) || strlen(claim.region) >= cap)
        return false;
    memcpy(out, claim.region, strlen(claim.region) + 1);
    return true;
}

static bool is_signed(const struct claim *claim, const char *name)
{
    for (size_t i = 0; i < claim->nnames; i++) {
        if (text_same_nocase(claim->name[i], name))
            return true;
    }
    return false;
}

/* What must be signed: host, content-type if sent, and every x-amz header. */
static bool check_signed(const struct request *req, const struct claim *claim,
                         struct problem *problem)
{
    for (size_t i = 1; i < claim->nnames; i++) {
        if (strcmp(claim->name[i - 1], claim->name[i]) >= 0)
            return refuse(problem, "SignedHeaders not in order");
    }
    if (!is_signed(claim, "host"))
        return refuse(problem, "host not signed");
    if (!is_signed(claim, "x-amz-date"))
        return refuse(problem, "x-amz-date not signed");
    for (size_t i = 0; i < req->nheaders; i++) {
        const char *name = req->headers[i].name;

        if ((text_same_nocase(name, "content-type") ||
             strncasecmp(name, "x-amz-", 6) == 0) &&
            !is_signed(claim, name))
            return refuse(problem, "a header that must be signed is not");
    }
    return true;
}

/* Seconds since 1970 of a YYYYMMDDThhmmssZ; false: not one. */
static bool read_stamp(const char *s, int64_t *out)
{
    static const size_t widths[] = {4, 2, 2, 2, 2, 2};
    long part[6];
    struct tm tm = {0};
    size_t at = 0;

    if (strlen(s) != STAMP_LEN || s[DATE_LEN] != 'T' || s[15] != 'Z')
        return false;
    for (size_t i = 0; i < 6; i++) {
        if (!text_number(s + at, widths[i], 0, 9999, &part[i]))
            return false;
        at += widths[i] + (i == 2);
    }
    tm.tm_year = (int)part[0] - 1900;
    tm.tm_mon = (int)part[1] - 1;
    tm.tm_mday = (int)part[2];
    tm.tm_hour = (int)part[3];
    tm.tm_min = (int)part[4];
    tm.tm_sec = (int)part[5];
    *out = (int64_t)timegm(&tm);
    return true;
}

static bool check_stamp(const struct claim *claim, const char *stamp,
                        int64_t now, struct problem *problem)
{
    int64_t at;

    if (!stamp || !read_stamp(stamp, &at))
        return incomplete(problem, "x-amz-date missing or ill-formed");
    if (strlen(claim->date) != DATE_LEN ||
        strncmp(claim->date, stamp, DATE_LEN) != 0)
        return refuse(problem, "scope date is not that of x-amz-date");
    if (at < now - MAX_AGE_S || at > now + MAX_AGE_S) {
        problem->reason = "x-amz-date more than 15 minutes off";
        return problem_set(problem, 400, "RequestExpired",
                           "Request has expired.");
    }
    return true;
}

static bool check_scope(const struct request *req, const struct claim *claim,
                        const struct auth_options *options, const char *region,
                        struct problem *problem)
{
    const char *token = request_header(req, "x-amz-security-token");

    if (strcmp(claim->region, region) != 0)
        return refuse(problem, "scope region is not the host's");
    if (strcmp(claim->service, "ec2") != 0)
        return refuse(problem, "scope service is not ec2");
    if (strcmp(claim->terminal, "aws4_request") != 0)
        return refuse(problem, "scope does not end in aws4_request");
    if (strcmp(claim->key_id, options->key_id) != 0)
        return refuse(problem, "unknown key id");
    if (!token != !options->token ||
        (token && strcmp(token, options->token) != 0))
        return refuse(problem, "wrong session token");
    return true;
}

static void add_hex(struct text *out, const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        text_addf(out, "%02x", p[i]);
}

static void add_hash(struct text *out, const void *p, size_t len)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256(p, len, digest);
    add_hex(out, digest, sizeof(digest));
}

static void add_encoded(struct text *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c >= '0' && c <= '9') || (c && strchr("-_.~", c)))
            text_add(out, &c, 1);
        else
            text_addf(out, "%%%02X", (unsigned char)c);
    }
}

static int compare_args(const void *a, const void *b)
{
    return strcmp(((const struct text *)a)->p, ((const struct text *)b)->p);
}

/* One name=value of the query, decoded and encoded again by SigV4's rules. */
static bool canonical_arg(const char *s, size_t len, struct text *out)
{
    const char *eq = memchr(s, '=', len);
    size_t name_len = eq ? (size_t)(eq - s) : len;
    struct text plain = {0};
    bool ok = request_decode(s, name_len, false, &plain);

    add_encoded(out, plain.p ? plain.p : "", plain.len);
    text_str(out, NAME_END);
    text_release(&plain);
    if (ok && eq)
        ok = request_decode(eq + 1, len - name_len - 1, false, &plain);
    add_encoded(out, plain.p ? plain.p : "", plain.len);
    text_release(&plain);
    return ok;
}

/* By name, then by value. */
static bool add_query(const struct request *req, struct text *out)
{
    struct text *args = must_calloc(MAX_ARGS, sizeof(*args));
    const char *s = req->query;
    bool ok = true;
    size_t n = 0;

    while (ok && *s) {
        size_t len = strcspn(s, "&");

        if (len > 0) {
            ok = canonical_arg(s, len, &args[n++]);
            ok = ok && n < MAX_ARGS;
        }
        s += len + (s[len] == '&');
    }
    qsort(args, n, sizeof(*args), compare_args);
    for (size_t i = 0; i < n; i++) {
        *strchr(args[i].p, NAME_END[0]) = '=';
        text_str(out, i ? "&" : "");
        text_add(out, args[i].p, args[i].len);
        text_release(&args[i]);
    }
    free(args);
    return ok;
}

/* The value without blanks at its ends and with single ones inside. */
static void add_trimmed(struct text *out, const char *value)
{
    bool blank = false;

    value += strspn(value, " \t");
    for (; *value; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = true;
            continue;
        }
        if (blank)
            text_str(out, " ");
        text_add(out, value, 1);
        blank = false;
    }
}

/* All values of the header with commas between; false: it was not sent. */
static bool add_header(const struct request *req, const char *name,
                       struct text *out)
{
    bool found = false;

    text_str(out, name);
    for (size_t i = 0; i < req->nheaders; i++) {
        if (!text_same_nocase(req->headers[i].name, name))
            continue;
        text_str(out, found ? "," : ":");
        add_trimmed(out, req->headers[i].value);
        found = true;
    }
    text_str(out, "\n");
    return found;
}

static bool canonical_request(const struct request *req,
                              const struct claim *claim, struct text *out,
                              struct problem *problem)
{
    const char *said = request_header(req, "x-amz-content-sha256");
    struct text hash = {0};
    bool same;

    text_str(out, req->method);
    text_str(out, "\n");
    text_add(out, req->path, req->path_len);
    text_str(out, "\n");
    if (!add_query(req, out))
        return incomplete(problem, "query badly encoded or too long");
    text_str(out, "\n");
    for (size_t i = 0; i < claim->nnames; i++) {
        if (!add_header(req, claim->name[i], out))
            return refuse(problem, "a signed header was not sent");
    }
    text_str(out, "\n");
    for (size_t i = 0; i < claim->nnames; i++) {
        text_str(out, i ? ";" : "");
        text_str(out, claim->name[i]);
    }
    text_str(out, "\n");
    add_hash(&hash, req->body_len ? req->body : "", req->body_len);
    text_add(out, hash.p, hash.len);
    same = !said || strcmp(said, hash.p) == 0;
    text_release(&hash);
    return same || refuse(problem, "x-amz-content-sha256 is not the body's");
}

static void string_to_sign(const struct claim *claim, const char *stamp,
                           const struct text *canonical, struct text *out)
{
    text_addf(out, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n", stamp,
              claim->date, claim->region, claim->service);
    add_hash(out, canonical->p, canonical->len);
}

static bool compute(const struct claim *claim, const char *secret,
                    const struct text *to_sign, struct text *out)
{
    const char *const steps[] = {claim->date, claim->region, claim->service,
                                 "aws4_request", to_sign->p};
    unsigned char key[EVP_MAX_MD_SIZE];
    struct text seed = {0};
    unsigned len = 0;
    bool ok = true;

    text_addf(&seed, "AWS4%s", secret);
    for (size_t i = 0; ok && i < sizeof(steps) / sizeof(steps[0]); i++) {
        unsigned char next[EVP_MAX_MD_SIZE];
        const void *with = i ? (const void *)key : (const void *)seed.p;

        ok =
            HMAC(EVP_sha256(), with, (int)(i ? len : seed.len),
                 (const unsigned char *)steps[i], strlen(steps[i]), next, &len);
        memcpy(key, next, len);
    }
    add_hex(out, key, len);
    text_release(&seed);
    return ok;
}

static bool check_signature(const struct request *req,
                            const struct claim *claim, const char *secret,
                            struct problem *problem)
{
    const char *stamp = request_header(req, "x-amz-date");
    struct text canonical = {0};
    struct text to_sign = {0};
    struct text right = {0};
    bool ok = canonical_request(req, claim, &canonical, problem);

    if (ok) {
        string_to_sign(claim, stamp ? stamp : "", &canonical, &to_sign);
        ok = compute(claim, secret, &to_sign, &right) &&
             strlen(claim->signature) == HEX_LEN && right.len == HEX_LEN &&
             CRYPTO_memcmp(right.p, claim->signature, HEX_LEN) == 0;
        if (!ok)
            refuse(problem, "the signature differs");
    }
    text_release(&right);
    text_release(&to_sign);
    text_release(&canonical);
    return ok;
}

bool auth_check(const struct request *req, const struct auth_options *options,
                const char *region, int64_t now, struct problem *problem)
{
    const char *value = request_header(req, "authorization");
    struct claim claim;

    if (options->off)
        return true;
    if (!value) {
        problem->reason = "no Authorization header";
        return problem_set(problem, 400, "MissingAuthenticationToken",
                           "The request must contain a valid (registered) AWS "
                           "access key ID.");
    }
    if (!parse_claim(value, &claim))
        return incomplete(problem, "Authorization ill-formed");
    return check_signed(req, &claim, problem) &&
           check_scope(req, &claim, options, region, problem) &&
           check_stamp(&claim, request_header(req, "x-amz-date"), now,
                       problem) &&
           check_signature(req, &claim, options->secret, problem);
}
