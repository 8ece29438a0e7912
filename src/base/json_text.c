#include "base/json_text.h"

#include <string.h>

/* The letters that escape controls; the others need six bytes. */
static const char SHORT[0x20] = {
    ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
};

/* Bytes that a byte needs beyond its own; most need none. */
static size_t extra_len(unsigned char c)
{
    if (c >= ' ')
        return (c == '"') | (c == '\\');
    return SHORT[c] ? 1 : 5;
}

size_t json_text_string_len(struct span s)
{
    size_t len = s.len;

    for (size_t i = 0; i < s.len; i++)
        len += extra_len((unsigned char)s.p[i]);
    return len;
}

/* Writes the escape of a byte that needs one; returns where the next goes. */
static char *escape(char *to, unsigned char c)
{
    static const char HEX[] = "0123456789ABCDEF";

    *to++ = '\\';
    if (c >= ' ') {
        *to++ = (char)c;
    } else if (SHORT[c]) {
        *to++ = SHORT[c];
    } else {
        memcpy(to, "u00", 3);
        to[3] = HEX[c >> 4];
        to[4] = HEX[c & 0xF];
        to += 5;
    }
    return to;
}

void json_text_string(struct buf *out, struct span s)
{
    size_t len = json_text_string_len(s);
    char *to = buf_extend(out, len + 2);

    if (!to)
        return;
    *to++ = '"';
    if (len == s.len && len)
        memcpy(to, s.p, len);
    for (size_t i = 0; len > s.len && i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < ' ' || c == '"' || c == '\\')
            to = escape(to, c);
        else
            *to++ = s.p[i];
    }
    out->data[out->len - 1] = '"';
}

void json_text_key(struct buf *out, const char *name)
{
    bool first = out->len == 0 || out->data[out->len - 1] == '{';
    size_t len = strlen(name);
    char *to = buf_extend(out, len + 3 + !first);

    if (!to)
        return;
    if (!first)
        *to++ = ',';
    *to++ = '"';
    memcpy(to, name, len);
    memcpy(to + len, "\":", 2);
}

void json_text_member(struct buf *out, const char *name, struct span value)
{
    json_text_key(out, name);
    json_text_string(out, value);
}

void json_text_int(struct buf *out, const char *name, int64_t value)
{
    char digits[20];
    char *at = digits + sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    json_text_key(out, name);
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--at = '-';
    buf_add(out, at, (size_t)(digits + sizeof(digits) - at));
}
