/*
 * Credentials from the environment, from a container's document, and where
 * that document may be fetched: never in the clear from a host that others
 * can be.
 *
 * Input: a byte for the source. Environment and container: lines, one for each
 * variable, an empty one for a variable that is not set. Document: the rest.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>

#include "aws/credentials.h"
#include "base/clock.h"
#include "url.h"

static const char *const NAMES[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
};
#define NNAMES (sizeof(NAMES) / sizeof(NAMES[0]))
#define FILE_NAME (NNAMES - 1)

/* The look-up has no argument of its own. */
static char *values[NNAMES];

static const char *lookup(const char *name)
{
    for (size_t i = 0; i < NNAMES; i++)
        if (strcmp(NAMES[i], name) == 0)
            return values[i] && *values[i] ? values[i] : NULL;
    return NULL;
}

static void check_value(const struct buf *value)
{
    FUZZ_CHECK(value->len <= CREDENTIALS_TEXT_MAX);
    FUZZ_CHECK(!fuzz_has_control(buf_span(value)));
}

static void check(enum err_code rc, const struct credentials *creds,
                  const struct err *err)
{
    FUZZ_CHECK(rc == err->code);
    FUZZ_CHECK(credentials_are_set(creds) == !rc);
    if (!rc) {
        check_value(&creds->key_id);
        check_value(&creds->secret);
        check_value(&creds->token);
        return;
    }
    FUZZ_CHECK(rc == ERR_AUTH || rc == ERR_LIMIT);
    FUZZ_CHECK(creds->key_id.len + creds->secret.len + creds->token.len == 0);
    FUZZ_CHECK(creds->expires_ms == CLOCK_NEVER);
}

static void read_document(struct span in, struct credentials *creds)
{
    char *block = fuzz_block(in);
    struct err err = {0};
    enum err_code rc =
        credentials_from_document((struct span){block, in.len}, creds, &err);

    check(rc, creds, &err);
    free(block);
}

static void read_environment(struct credentials *creds)
{
    struct err err = {0};
    enum err_code rc = credentials_from_environment(lookup, creds, &err);

    check(rc, creds, &err);
}

/* As libcurl reads it, which is who connects (credentials.h has the list). */
static void check_address(const char *text)
{
    static const char *const TRUSTED[] = {
        "localhost",      "[::1]",          "169.254.170.2",
        "169.254.170.23", "[fd00:ec2::23]",
    };
    struct url url;
    unsigned char address[4];
    bool trusted = false;

    if (url_parse(text, &url) && strcasecmp(url.scheme, "https") != 0) {
        for (size_t i = 0; i < sizeof(TRUSTED) / sizeof(TRUSTED[0]); i++)
            trusted = trusted || strcasecmp(url.host, TRUSTED[i]) == 0;
        FUZZ_CHECK(strcasecmp(url.scheme, "http") == 0);
        /* What is no address would be looked up. */
        trusted = trusted || (inet_pton(AF_INET, url.host, address) == 1 &&
                              address[0] == 127);
        FUZZ_CHECK(trusted);
        FUZZ_CHECK(!url.user);
    }
    url_release(&url);
}

static void read_container(void)
{
    struct credentials_container c;
    struct err err = {0};
    enum err_code rc;

    credentials_container_init(&c);
    rc = credentials_container_source(lookup, &c, &err);
    FUZZ_CHECK(rc == err.code);
    if (rc) {
        FUZZ_CHECK(rc == ERR_AUTH || rc == ERR_LIMIT);
        FUZZ_CHECK(c.url.len == 0 && c.authorization.len == 0);
    } else {
        check_address(c.url.data);
        check_value(&c.authorization);
    }
    credentials_container_release(&c);
}

/* The value of the file's variable is what the file holds, not a path. */
static FILE *make_token_file(void)
{
    char *text = values[FILE_NAME];
    FILE *file;
    char path[64];

    if (!text || !*text)
        return NULL;
    file = tmpfile();
    FUZZ_CHECK(file && fputs(text, file) != EOF && fflush(file) == 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
    free(text);
    values[FILE_NAME] = fuzz_string(span_of(path));
    return file;
}

static void read_variables(struct span in, bool container,
                           struct credentials *creds)
{
    FILE *file = NULL;

    for (size_t i = 0; i < NNAMES; i++)
        values[i] = fuzz_string(fuzz_until(&in, '\n'));
    if (container) {
        file = make_token_file();
        read_container();
    } else {
        read_environment(creds);
    }
    for (size_t i = 0; i < NNAMES; i++) {
        free(values[i]);
        values[i] = NULL;
    }
    if (file)
        (void)fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    unsigned source = fuzz_byte(&in) % 3;
    struct credentials creds;

    credentials_init(&creds);
    if (source == 0)
        read_document(in, &creds);
    else
        read_variables(in, source == 1, &creds);
    credentials_release(&creds);
    return 0;
}
