/*
 * sign.c - signs many requests to EC2 as the program does, for test_signing.py.
 *
 * Each on standard input: five lines (timestamp, region, secret, token or
 * nothing, length of the body), then the body and a line's end. For each, the
 * value of its Authorization header is one line on standard output. What
 * cannot be read or signed ends it with status 1.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/span.h"

#define KEY_ID "TESTKEY"
#define TYPE "application/x-www-form-urlencoded; charset=utf-8"
#define LINE_MAX_LEN 8192
#define BODY_MAX_LEN 8192

struct signing {
    char timestamp[LINE_MAX_LEN];
    char region[LINE_MAX_LEN];
    char secret[LINE_MAX_LEN];
    char token[LINE_MAX_LEN];
    char body[BODY_MAX_LEN];
    size_t body_len;
};

static bool read_line(char line[LINE_MAX_LEN])
{
    if (!fgets(line, LINE_MAX_LEN, stdin))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static bool read_signing(struct signing *s)
{
    char number[LINE_MAX_LEN];
    int64_t len;

    if (!read_line(s->region) || !read_line(s->secret) ||
        !read_line(s->token) || !read_line(number) ||
        !span_int64(span_of(number), &len) || len < 0 || len > BODY_MAX_LEN)
        return false;
    s->body_len = (size_t)len;
    return fread(s->body, 1, s->body_len, stdin) == s->body_len &&
           getchar() == '\n';
}

static bool sign(const struct signing *s)
{
    const struct sigv4_scope scope = {s->timestamp, s->region, "ec2"};
    struct buf host = BUF_INIT(LINE_MAX_LEN + 32);
    struct buf out = BUF_INIT(SIGV4_MAX_TEXT);
    struct sigv4_key key;
    bool is_signed;

    buf_addf(&host, "ec2.%s.amazonaws.com", s->region);
    const struct sigv4_header headers[] = {
        {"content-type", TYPE},
        {"host", host.data},
        {"x-amz-date", s->timestamp},
        {"x-amz-security-token", s->token},
    };
    const struct sigv4_request request = {
        .method = "POST",
        .path = "/",
        .query = "",
        .headers = headers,
        .nheaders = s->token[0] ? 4 : 3,
        .body = s->body,
        .body_len = s->body_len,
    };

    is_signed = !sigv4_derive_key(&scope, s->secret, &key, NULL) &&
                !sigv4_sign(&request, &scope, KEY_ID, &key, &out, NULL) &&
                puts(out.data) >= 0;
    buf_release(&out);
    buf_release(&host);
    return is_signed;
}

int main(void)
{
    static struct signing s;

    while (read_line(s.timestamp))
        if (!read_signing(&s) || !sign(&s))
            return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
