#include "base/json_text.h"

#include <limits.h>
#include <string.h>

#define BLOCK ((size_t)32)

/* Bytes that a byte needs beyond its own. Most need none; a backslash is enough
 * for seven, and other controls take \u00 and two hexadecimal digits. */
/* clang-format off */
static const unsigned char EXTRA[UCHAR_MAX + 1] = {
    5, 5, 5, 5, 5, 5, 5, 5, 1, 1, 1, 5, 1, 1, 5, 5,
    5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    ['"'] = 1, ['\\'] = 1,
};
/* clang-format on */

/* Of n bytes. */
static size_t extra_of(const unsigned char *bytes, size_t n)
{
    size_t extra = 0;

    for (size_t i = 0; i < n; i++)
        extra += EXTRA[bytes[i]];
    return extra;
}

/* The same of BLOCK bytes, in a form for which compilers have instructions
 * that do all at once: a control, which needs the table, is rare. */
static size_t extra_of_block(const unsigned char *bytes)
{
    unsigned char extra = 0;
    unsigned char controls = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        extra = (unsigned char)(extra + (bytes[i] == '"') + (bytes[i] == '\\'));
        controls |= bytes[i] < ' ';
    }
    return controls ? extra_of(bytes, BLOCK) : extra;
}

size_t json_text_string_len(struct span s)
{
    const unsigned char *bytes = (const unsigned char *)s.p;
    size_t len = s.len;
    size_t i = 0;

    for (; s.len - i >= BLOCK; i += BLOCK)
        len += extra_of_block(bytes + i);
    return i < s.len ? len + extra_of(bytes + i, s.len - i) : len;
}

/* Writes the escape of a byte that needs one; returns where the next goes. */
static char *escape(char *to, unsigned char c)
{
    static const char HEX[] = "0123456789ABCDEF";
    static const char LETTER[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };

    *to++ = '\\';
    if (EXTRA[c] == 1) {
        *to++ = c < sizeof(LETTER) ? LETTER[c] : (char)c;
        return to;
    }
    *to++ = 'u';
    *to++ = '0';
    *to++ = '0';
    *to++ = HEX[c >> 4];
    *to++ = HEX[c & 0xF];
    return to;
}

void json_text_string(struct buf *out, struct span s)
{
    const unsigned char *bytes = (const unsigned char *)s.p;
    size_t len = json_text_string_len(s);
    char *to = buf_extend(out, len + 2);

    if (!to)
        return;
    to[0] = '"';
    to[len + 1] = '"';
    to++;
    if (len == s.len) {
        memcpy(to, len ? s.p : "", len);
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (EXTRA[bytes[i]])
            to = escape(to, bytes[i]);
        else
            *to++ = s.p[i];
    }
}

void json_text_key(struct buf *out, const char *name)
{
    bool first = out->len == 0 || out->data[out->len - 1] == '{';
    char *to = buf_extend(out, strlen(name) + 3 + !first);

    if (!to)
        return;
    if (!first)
        *to++ = ',';
    *to++ = '"';
    while (*name)
        *to++ = *name++;
    *to++ = '"';
    *to = ':';
}

void json_text_member(struct buf *out, const char *name, struct span value)
{
    json_text_key(out, name);
    json_text_string(out, value);
}

void json_text_int(struct buf *out, const char *name, int64_t value)
{
    json_text_key(out, name);
    buf_add_int(out, value);
}
