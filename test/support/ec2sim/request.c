/*
 * request.c - a request as it came, and its form parameters.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PARAMS 16384

const char *request_header(const struct request *req, const char *name)
{
    for (size_t i = 0; i < req->nheaders; i++) {
        if (text_same_nocase(req->headers[i].name, name))
            return req->headers[i].value;
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool request_decode(const char *s, size_t len, bool plus, struct text *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if (c == '%') {
            int high = i + 2 < len ? hex_digit(s[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(s[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == '\0')
            return false;
        text_add(out, &c, 1);
    }
    return true;
}

/* The decoded text, which the caller frees; NULL: badly encoded. */
static char *decoded(const char *s, size_t len)
{
    struct text out = {0};

    text_reserve(&out, len);
    out.p[0] = '\0';
    if (!request_decode(s, len, true, &out))
        text_release(&out);
    return out.p;
}

static bool add_param(struct form *form, const char *s, size_t len)
{
    const char *eq = memchr(s, '=', len);
    size_t name_len = eq ? (size_t)(eq - s) : len;
    size_t value_at = eq ? name_len + 1 : len;
    struct param param = {
        .name = decoded(s, name_len),
        .value = decoded(s + value_at, len - value_at),
    };

    if (!param.name || !param.value) {
        free(param.name);
        free(param.value);
        return false;
    }
    if (form->n % 64 == 0)
        form->v = must_resize(form->v, form->n + 64, sizeof(*form->v));
    form->v[form->n++] = param;
    return true;
}

/* The form's text, or NULL where method or content type do not fit. */
static const char *source(const struct request *req, size_t *len,
                          struct problem *problem)
{
    static const char wanted[] = "application/x-www-form-urlencoded";
    const char *type = request_header(req, "content-type");

    if (strcmp(req->method, "GET") == 0) {
        *len = strlen(req->query);
        return req->query;
    }
    if (strcmp(req->method, "POST") != 0) {
        problem_set(problem, 400, "InvalidRequest",
                    "The method %s is not supported.", req->method);
        return NULL;
    }
    if (!type || strncasecmp(type, wanted, sizeof(wanted) - 1) != 0 ||
        (type[sizeof(wanted) - 1] && type[sizeof(wanted) - 1] != ';')) {
        problem_set(problem, 400, "InvalidRequest",
                    "The content type of the request is not supported.");
        return NULL;
    }
    *len = req->body_len;
    return req->body;
}

bool form_parse(const struct request *req, struct form *form,
                struct problem *problem)
{
    size_t len = 0;
    const char *s = source(req, &len, problem);

    *form = (struct form){0};
    if (!s)
        return false;
    while (len > 0) {
        const char *amp = memchr(s, '&', len);
        size_t part = amp ? (size_t)(amp - s) : len;

        if (part > 0 && (form->n == MAX_PARAMS || !add_param(form, s, part)))
            return problem_set(problem, 400, "MalformedQueryString",
                               "The query string is malformed.");
        s += amp ? part + 1 : part;
        len -= amp ? part + 1 : part;
    }
    return true;
}

const char *form_get(const struct form *form, const char *name)
{
    for (size_t i = 0; i < form->n; i++) {
        if (strcmp(form->v[i].name, name) == 0)
            return form->v[i].value;
    }
    return NULL;
}

void form_release(struct form *form)
{
    for (size_t i = 0; i < form->n; i++) {
        free(form->v[i].name);
        free(form->v[i].value);
    }
    free(form->v);
    *form = (struct form){0};
}
