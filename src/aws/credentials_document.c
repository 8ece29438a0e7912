#include "aws/credentials.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "credentials_private.h"
#include "base/wipe.h"

/*
 * jansson frees without wiping, so while a document is read it works on
 * blocks that remember their size. A failure stays visible in errno because
 * jansson 2.14 goes on without the byte when its text buffer cannot grow.
 */
struct block {
    size_t len;
    max_align_t data[];
};

static void *block_new(size_t len)
{
    struct block *block = NULL;

    if (len < SIZE_MAX - sizeof(*block))
        block = malloc(sizeof(*block) + len);
    if (!block) {
        errno = ENOMEM;
        return NULL;
    }
    block->len = len;
    return block->data;
}

static void block_free(void *data)
{
    struct block *block;

    if (!data)
        return;
    block =
        (struct block *)(void *)((char *)data - offsetof(struct block, data));
    wipe(block->data, block->len);
    free(block);
}

/* Whether s begins with form, in which 'd' stands for any digit. */
static bool has_form(struct span s, const char *form)
{
    size_t len = strlen(form);

    if (s.len < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != form[i])
            return false;
    return true;
}

/* The number that the two digits at p are. */
static int two_digits(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* Seconds east of UTC from "Z", "+hh:mm" or "-hh:mm". */
static bool parse_zone(struct span s, int64_t *out)
{
    *out = 0;
    if (span_eq_str(s, "Z"))
        return true;
    if (s.len != strlen("+hh:mm") ||
        (!has_form(s, "+dd:dd") && !has_form(s, "-dd:dd")))
        return false;
    *out = two_digits(s.p + 1) * 3600 + two_digits(s.p + 4) * 60;
    if (s.p[0] == '-')
        *out = -*out;
    return true;
}

/* RFC 3339, section 5.6; a fraction of a second is left out. */
static bool parse_time(struct span s, int64_t *out_ms)
{
    static const char FORM[] = "dddd-dd-ddTdd:dd:dd";
    struct tm tm = {0};
    size_t at = sizeof(FORM) - 1;
    int64_t zone;
    int day;

    if (!has_form(s, FORM))
        return false;
    tm.tm_year = two_digits(s.p) * 100 + two_digits(s.p + 2) - 1900;
    tm.tm_mon = two_digits(s.p + 5) - 1;
    tm.tm_mday = day = two_digits(s.p + 8);
    tm.tm_hour = two_digits(s.p + 11);
    tm.tm_min = two_digits(s.p + 14);
    tm.tm_sec = two_digits(s.p + 17);
    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    if (has_form((struct span){s.p + at, s.len - at}, ".d"))
        for (at++; at < s.len && s.p[at] >= '0' && s.p[at] <= '9';)
            at++;
    if (!parse_zone((struct span){s.p + at, s.len - at}, &zone))
        return false;
    *out_ms = ((int64_t)timegm(&tm) - zone) * 1000;
    /* timegm() carries over: day 0, 30 February and hour 24 become others. */
    return tm.tm_mday == day;
}

/* The string called name; absent and null give the empty span. */
static enum err_code get_text(const json_t *doc, const char *name,
                              struct span *out, struct err *err)
{
    const json_t *value = json_object_get(doc, name);

    *out = (struct span){NULL, 0};
    if (!value || json_is_null(value))
        return ERR_OK;
    if (!json_is_string(value))
        return err_set(err, ERR_AUTH, "credentials: %s is not a string", name);
    *out = (struct span){json_string_value(value), json_string_length(value)};
    return ERR_OK;
}

static enum err_code copy_text(const json_t *doc, const char *name,
                               struct buf *out, struct err *err)
{
    struct span value;
    enum err_code rc = get_text(doc, name, &value, err);

    return rc ? rc : credentials_set_text(out, name, value, err);
}

static enum err_code copy_document(const json_t *doc, struct credentials *creds,
                                   struct err *err)
{
    struct span expiration;
    enum err_code rc;

    rc = copy_text(doc, "AccessKeyId", &creds->key_id, err);
    if (!rc)
        rc = copy_text(doc, "SecretAccessKey", &creds->secret, err);
    if (!rc)
        rc = copy_text(doc, "Token", &creds->token, err);
    if (!rc)
        rc = get_text(doc, "Expiration", &expiration, err);
    if (rc)
        return rc;
    if (!credentials_are_set(creds))
        return err_set(err, ERR_AUTH,
                       "credentials: no AccessKeyId or SecretAccessKey in the "
                       "container's answer");
    if (expiration.p && !parse_time(expiration, &creds->expires_ms))
        return err_set(err, ERR_AUTH,
                       "credentials: Expiration is not an RFC 3339 time");
    return ERR_OK;
}

static enum err_code read_document(struct span json, struct credentials *creds,
                                   struct err *err)
{
    json_t *doc;
    enum err_code rc;

    errno = 0;
    doc = json_loadb(json.len ? json.p : "", json.len, 0, NULL);
    if (errno == ENOMEM)
        rc = err_nomem(err, "credentials");
    else if (!json_is_object(doc))
        rc = err_set(err, ERR_AUTH,
                     "credentials: the container's answer is not a JSON "
                     "object");
    else
        rc = copy_document(doc, creds, err);
    json_decref(doc);
    return rc;
}

enum err_code credentials_from_document(struct span json,
                                        struct credentials *creds,
                                        struct err *err)
{
    json_malloc_t old_malloc;
    json_free_t old_free;
    enum err_code rc;

    credentials_release(creds);
    if (json.len > CREDENTIALS_DOCUMENT_MAX)
        return err_set(err, ERR_LIMIT,
                       "credentials: the container's answer is longer than "
                       "%zu bytes",
                       CREDENTIALS_DOCUMENT_MAX);
    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(block_new, block_free);
    rc = read_document(json, creds, err);
    json_set_alloc_funcs(old_malloc, old_free);
    if (rc)
        credentials_release(creds);
    return rc;
}
