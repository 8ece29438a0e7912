/*
 * text.c - growing text and small parsing helpers of the simulator.
 */
#include "text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *p)
{
    if (!p) {
        fputs("ec2sim: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

void *must_calloc(size_t n, size_t size)
{
    return check(calloc(n ? n : 1, size));
}

void *must_resize(void *p, size_t n, size_t size)
{
    if (n > SIZE_MAX / size)
        check(NULL);
    return check(realloc(p, n ? n * size : 1));
}

char *must_copy(const char *s, size_t len)
{
    char *copy = must_calloc(len + 1, 1);

    memcpy(copy, s, len);
    return copy;
}

void text_reserve(struct text *t, size_t len)
{
    size_t want = t->len + len + 1;

    if (want <= t->cap)
        return;
    if (want < 2 * t->cap)
        want = 2 * t->cap;
    t->p = must_resize(t->p, want, 1);
    t->cap = want;
}

void text_add(struct text *t, const void *p, size_t len)
{
    text_reserve(t, len);
    if (len > 0)
        memcpy(t->p + t->len, p, len);
    t->len += len;
    t->p[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return;
    text_reserve(t, (size_t)len);
    va_start(ap, fmt);
    vsnprintf(t->p + t->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)len;
}

void text_release(struct text *t)
{
    free(t->p);
    *t = (struct text){0};
}

bool text_number(const char *s, size_t len, long min, long max, long *out)
{
    bool minus = len > 0 && s[0] == '-';
    size_t i = minus ? 1 : 0;
    long n = 0;

    if (i == len)
        return false;
    for (; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || n > (LONG_MAX - 9) / 10)
            return false;
        n = 10 * n + (s[i] - '0');
    }
    if (minus)
        n = -n;
    if (n < min || n > max)
        return false;
    *out = n;
    return true;
}

bool text_number_str(const char *s, long min, long max, long *out)
{
    return text_number(s, strlen(s), min, max, out);
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool text_same_nocase(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}
