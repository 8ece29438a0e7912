#include "base/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longest number text: sign, 19 digits, and room to see an overflow. */
#define NUMBER_MAX 32

struct span span_of(const char *s)
{
    return (struct span){s, s ? strlen(s) : 0};
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool span_eq_str(struct span a, const char *s)
{
    return span_eq(a, span_of(s));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool span_eq_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool span_starts_with(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);

    return s.len >= len && (len == 0 || memcmp(s.p, prefix, len) == 0);
}

bool span_fits(struct span s, struct span pattern)
{
    size_t at = 0;          /* in pattern */
    size_t star = SIZE_MAX; /* the last '*' met, */
    size_t held = 0;        /* and where in s it stops holding bytes */
    size_t i = 0;

    while (i < s.len) {
        if (at < pattern.len && pattern.p[at] == '*') {
            star = at++;
            held = i;
        } else if (at < pattern.len && lower(pattern.p[at]) == lower(s.p[i])) {
            at++;
            i++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            i = ++held;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.p[at] == '*')
        at++;
    return at == pattern.len;
}

int span_cmp(struct span a, struct span b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.p, b.p, shared) : 0;

    if (order)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
    while (s.len && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

bool span_split(struct span *rest, char sep, struct span *part)
{
    const char *end;

    if (!rest->p)
        return false;
    end = rest->len ? memchr(rest->p, sep, rest->len) : NULL;
    if (!end) {
        *part = *rest;
        *rest = (struct span){NULL, 0};
        return true;
    }
    *part = (struct span){rest->p, (size_t)(end - rest->p)};
    rest->p = end + 1;
    rest->len -= part->len + 1;
    return true;
}

bool span_int64(struct span s, int64_t *out)
{
    char text[NUMBER_MAX];
    size_t digits = s.len && s.p[0] == '-' ? s.len - 1 : s.len;
    long long value;

    if (digits == 0 || s.len >= sizeof(text))
        return false;
    for (size_t i = s.len - digits; i < s.len; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    errno = 0;
    value = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *out = value;
    return true;
}
