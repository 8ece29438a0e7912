#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"

/* First allocation, bytes. */
#define FIRST_CAP ((size_t)64)

/* A terminator to point at; const by contract, see the header. */
char buf_empty[1] = "";

struct buf buf_of(size_t max_len)
{
    return (struct buf)BUF_INIT(max_len);
}

/* Capacity that holds need bytes: doubled, but never past max + 1. */
static size_t next_cap(const struct buf *buf, size_t need)
{
    size_t cap = buf->cap ? buf->cap : FIRST_CAP;

    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max && need <= buf->max + 1)
        cap = buf->max + 1;
    return cap < need ? need : cap;
}

/* True when len more bytes and the terminator fit. */
static bool make_room(struct buf *buf, size_t len)
{
    size_t cap;
    char *data;

    if (buf->failed)
        return false;
    if (len > buf->max - buf->len) {
        buf->failed = ERR_LIMIT;
        return false;
    }
    if (buf->len + len < buf->cap)
        return true;
    cap = next_cap(buf, buf->len + len + 1);
    data = realloc(buf->cap ? buf->data : NULL, cap);
    if (!data) {
        buf->failed = ERR_NOMEM;
        return false;
    }
    data[buf->len] = '\0';
    buf->data = data;
    buf->cap = cap;
    return true;
}

char *buf_extend(struct buf *buf, size_t len)
{
    char *at;

    if (!make_room(buf, len))
        return NULL;
    at = buf->data + buf->len;
    buf->len += len;
    buf->data[buf->len] = '\0';
    return at;
}

void buf_add(struct buf *buf, const void *p, size_t len)
{
    char *to = len ? buf_extend(buf, len) : NULL;

    if (to)
        memcpy(to, p, len);
}

void buf_add_str(struct buf *buf, const char *s)
{
    buf_add(buf, s, strlen(s));
}

void buf_add_span(struct buf *buf, struct span s)
{
    buf_add(buf, s.p, s.len);
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_int(struct buf *buf, int64_t value)
{
    char digits[20];
    char *at = digits + sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--at = '-';
    buf_add(buf, at, (size_t)(digits + sizeof(digits) - at));
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
    size_t room = buf->failed ? 0 : buf->cap - buf->len;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(room ? buf->data + buf->len : NULL, room, fmt, ap);
    va_end(ap);
    if (len >= 0 && (size_t)len < room) {
        buf->len += (size_t)len;
        return;
    }
    /* It did not fit, and a part of it stands there. */
    if (room)
        buf->data[buf->len] = '\0';
    if (len < 0) {
        buf->failed = buf->failed ? buf->failed : ERR_LIMIT;
        return;
    }
    if (len == 0 || !make_room(buf, (size_t)len))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)len;
}

void buf_reserve(struct buf *buf, size_t len)
{
    (void)make_room(buf, len);
}

enum err_code buf_check(const struct buf *buf, const char *what,
                        struct err *err)
{
    if (buf->failed == ERR_NOMEM)
        return err_nomem(err, what);
    if (buf->failed)
        return err_set(err, buf->failed, "%s: longer than %zu bytes", what,
                       buf->max);
    return ERR_OK;
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}

void buf_reset(struct buf *buf)
{
    buf_truncate(buf, 0);
    buf->failed = ERR_OK;
}

void buf_release(struct buf *buf)
{
    if (buf->cap)
        free(buf->data);
    *buf = buf_of(buf->max);
}

void buf_wipe(struct buf *buf)
{
    if (buf->cap)
        wipe(buf->data, buf->cap);
    buf_release(buf);
}

struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->data, buf->len};
}
