#include "aws/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "credentials_private.h"
#include "base/clock.h"
#include "base/wipe.h"

/* Longest address of a container endpoint, bytes. */
#define URL_MAX ((size_t)2048)

/* Where ECS answers when only a path is given. */
#define ECS_HOST "http://169.254.170.2"

/* The key that sam local passes on when it was given none. */
#define SAM_PLACEHOLDER "defaultkey"

#define NONE_TEXT                                                              \
    "no AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are "     \
    "not set, nor AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI; try: "  \
    "eval \"$(aws configure export-credentials --format env)\""

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

void credentials_init(struct credentials *creds)
{
    creds->key_id = buf_of(CREDENTIALS_TEXT_MAX);
    creds->secret = buf_of(CREDENTIALS_TEXT_MAX);
    creds->token = buf_of(CREDENTIALS_TEXT_MAX);
    creds->expires_ms = CLOCK_NEVER;
}

void credentials_release(struct credentials *creds)
{
    buf_wipe(&creds->key_id);
    buf_wipe(&creds->secret);
    buf_wipe(&creds->token);
    credentials_init(creds);
}

bool credentials_are_set(const struct credentials *creds)
{
    return creds->key_id.len > 0 && creds->secret.len > 0;
}

enum err_code credentials_set_text(struct buf *out, const char *name,
                                   struct span value, struct err *err)
{
    if (has_control(value))
        return err_set(err, ERR_AUTH,
                       "credentials: %s holds a control character", name);
    buf_add_span(out, value);
    return buf_check(out, "credentials: a value", err);
}

static enum err_code check_pair(const char *key_id, const char *secret,
                                struct err *err)
{
    if (!key_id && !secret)
        return err_set(err, ERR_AUTH, NONE_TEXT);
    if (!key_id || !secret)
        return err_set(err, ERR_AUTH, "credentials: %s is not set, but %s is",
                       key_id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                       key_id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
    if (strcmp(key_id, SAM_PLACEHOLDER) == 0)
        return err_set(err, ERR_AUTH, "no AWS credentials reached sam local");
    return ERR_OK;
}

enum err_code credentials_from_environment(credentials_lookup_fn lookup,
                                           struct credentials *creds,
                                           struct err *err)
{
    const char *key_id = lookup("AWS_ACCESS_KEY_ID");
    const char *secret = lookup("AWS_SECRET_ACCESS_KEY");
    enum err_code rc;

    credentials_release(creds);
    rc = check_pair(key_id, secret, err);
    if (!rc)
        rc = credentials_set_text(&creds->key_id, "AWS_ACCESS_KEY_ID",
                                  span_of(key_id), err);
    if (!rc)
        rc = credentials_set_text(&creds->secret, "AWS_SECRET_ACCESS_KEY",
                                  span_of(secret), err);
    if (!rc)
        rc = credentials_set_text(&creds->token, "AWS_SESSION_TOKEN",
                                  span_of(lookup("AWS_SESSION_TOKEN")), err);
    if (rc)
        credentials_release(creds);
    return rc;
}

void credentials_container_init(struct credentials_container *c)
{
    c->url = buf_of(URL_MAX);
    c->authorization = buf_of(CREDENTIALS_TEXT_MAX);
}

void credentials_container_release(struct credentials_container *c)
{
    buf_release(&c->url);
    buf_wipe(&c->authorization);
}

/* An address in 127.0.0.0/8: "127.evil.example" is none. */
static bool is_loopback_v4(struct span host)
{
    struct span part;
    int64_t number;
    size_t n = 0;

    if (!span_starts_with(host, "127."))
        return false;
    while (span_split(&host, '.', &part)) {
        /* "-0" and "08" are numbers, but no address has them: it would be
         * looked up as a name. */
        if (!span_int64(part, &number) || part.p[0] == '-' || number > 255 ||
            (part.p[0] == '0' && part.len > 1))
            return false;
        n++;
    }
    return n == 4;
}

static bool is_trusted_host(struct span host)
{
    static const char *const TRUSTED[] = {
        "localhost",      "[::1]",          "169.254.170.2",
        "169.254.170.23", "[fd00:ec2::23]",
    };

    for (size_t i = 0; i < sizeof(TRUSTED) / sizeof(TRUSTED[0]); i++)
        if (span_eq_nocase(host, span_of(TRUSTED[i])))
            return true;
    return is_loopback_v4(host);
}

/* What stands between "//" and the path, the port left out. */
static struct span host_of(struct span authority)
{
    size_t len = 0;
    bool in_brackets = false;

    while (len < authority.len && !strchr("/?#\\", authority.p[len])) {
        char c = authority.p[len];

        if (c == ':' && !in_brackets)
            break;
        in_brackets = c == '[' || (in_brackets && c != ']');
        len++;
    }
    return (struct span){authority.p, len};
}

/*
 * https anywhere, http only where no one else can listen. A '@' could make
 * one host look like another, so it is refused wherever it stands.
 */
static bool is_allowed_url(struct span url)
{
    struct span rest = url;
    size_t scheme = 0;

    for (size_t i = 0; i < url.len; i++)
        if (strchr("@\\ ", url.p[i]))
            return false;
    if (has_control(url))
        return false;
    if (span_starts_with(url, "https://"))
        scheme = strlen("https://");
    else if (span_starts_with(url, "http://"))
        scheme = strlen("http://");
    rest.p += scheme;
    rest.len -= scheme;
    if (scheme == strlen("https://"))
        return host_of(rest).len > 0;
    return scheme > 0 && is_trusted_host(host_of(rest));
}

static enum err_code set_url(const char *relative, const char *full,
                             struct buf *url, struct err *err)
{
    if (relative)
        buf_addf(url, ECS_HOST "%s", relative);
    else
        buf_add_str(url, full);
    if (!url->failed &&
        ((relative && relative[0] != '/') || !is_allowed_url(buf_span(url))))
        return err_set(err, ERR_AUTH, "credentials: %s is not allowed",
                       relative ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                : "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    return buf_check(url, "credentials: container address", err);
}

/* Reads the file to its end into *out, which then holds at most its maximum. */
static enum err_code read_token(int fd, struct buf *out, struct err *err)
{
    char chunk[1024];
    ssize_t len;
    enum err_code rc;

    /* All room at once, so that growing leaves no copy behind. */
    buf_reserve(out, out->max);
    do {
        len = read(fd, chunk, sizeof(chunk));
        if (len > 0)
            buf_add(out, chunk, (size_t)len);
    } while ((len > 0 && !out->failed) || (len < 0 && errno == EINTR));
    if (len < 0)
        rc = err_set(err, ERR_AUTH, "credentials: token file: %s",
                     strerror(errno));
    else
        rc = buf_check(out, "credentials: token file", err);
    wipe(chunk, sizeof(chunk));
    return rc;
}

static enum err_code token_from_file(const char *path, struct buf *out,
                                     struct err *err)
{
    struct buf text = BUF_INIT(CREDENTIALS_TEXT_MAX);
    enum err_code rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set(err, ERR_AUTH, "credentials: %s: %s", path,
                       strerror(errno));
    rc = read_token(fd, &text, err);
    (void)close(fd);
    if (!rc)
        rc = credentials_set_text(out, path, span_trim(buf_span(&text)), err);
    buf_wipe(&text);
    return rc;
}

enum err_code credentials_container_source(credentials_lookup_fn lookup,
                                           struct credentials_container *out,
                                           struct err *err)
{
    const char *relative = lookup("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = lookup("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *file = lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = lookup("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    enum err_code rc;

    credentials_container_release(out);
    if (!relative && !full)
        return err_set(err, ERR_AUTH, NONE_TEXT);
    rc = set_url(relative, full, &out->url, err);
    if (!rc && file)
        rc = token_from_file(file, &out->authorization, err);
    else if (!rc)
        rc = credentials_set_text(&out->authorization,
                                  "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                  span_of(token), err);
    if (rc)
        credentials_container_release(out);
    return rc;
}
