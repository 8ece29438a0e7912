#include "base/utf8.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/* Bytes of a character that begins with c, 0: none does; *bits are its own. */
static size_t length_of(unsigned char c, uint32_t *bits)
{
    size_t len = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

    if (c > 0xF4)
        return 0;
    *bits = len == 1 ? c : c & (0x7FU >> len);
    return len;
}

static bool is_character(uint32_t c, size_t len)
{
    static const uint32_t SMALLEST[] = {0, 0, 0x80, 0x800, 0x10000};

    return c >= SMALLEST[len] && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
}

size_t utf8_read(struct span s, uint32_t *out)
{
    uint32_t c = 0;
    size_t len = s.len ? length_of((unsigned char)s.p[0], &c) : 0;

    if (len == 0 || len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        unsigned char byte = (unsigned char)s.p[i];

        if ((byte & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (byte & 0x3FU);
    }
    if (!is_character(c, len))
        return 0;
    if (out)
        *out = c;
    return len;
}

bool utf8_is_valid(struct span s)
{
    while (s.len) {
        size_t len = (unsigned char)s.p[0] < 0x80 ? 1 : utf8_read(s, NULL);

        if (len == 0)
            return false;
        s.p += len;
        s.len -= len;
    }
    return true;
}

size_t utf8_mend(struct span s, char *out)
{
    size_t n = 0;

    while (s.len) {
        size_t len = utf8_read(s, NULL);
        size_t taken = len ? len : 1;

        if (len)
            memcpy(out + n, s.p, len);
        else
            memcpy(out + n, REPLACEMENT, UTF8_REPLACEMENT_LEN);
        n += len ? len : UTF8_REPLACEMENT_LEN;
        s.p += taken;
        s.len -= taken;
    }
    out[n] = '\0';
    return n;
}
