#include "survey/label.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/utf8.h"

/* U+2026, what stands for the rest of a longer text. */
#define ELLIPSIS "\xE2\x80\xA6"
#define ELLIPSIS_LEN (sizeof(ELLIPSIS) - 1)

/*
 * What has no shape of its own or changes that of others: controls, line ends,
 * and all of Default_Ignorable_Code_Point in Unicode 16's
 * DerivedCoreProperties.txt, with all of its plane 14.
 */
static bool is_unseen(uint32_t c)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } UNSEEN[] = {
        {0x0000, 0x001F},   /* control */
        {0x007F, 0x009F},   /* control */
        {0x00AD, 0x00AD},   /* soft hyphen */
        {0x034F, 0x034F},   /* combining grapheme joiner */
        {0x061C, 0x061C},   /* Arabic letter mark */
        {0x115F, 0x1160},   /* Hangul fillers */
        {0x17B4, 0x17B5},   /* Khmer inherent vowels */
        {0x180B, 0x180F},   /* Mongolian selectors and vowel separator */
        {0x200B, 0x200F},   /* zero width, direction marks */
        {0x2028, 0x202E},   /* line ends, direction */
        {0x2060, 0x206F},   /* invisible operators, isolates */
        {0x3164, 0x3164},   /* Hangul filler */
        {0xFE00, 0xFE0F},   /* variation selectors */
        {0xFEFF, 0xFEFF},   /* zero width no-break space */
        {0xFFA0, 0xFFA0},   /* halfwidth Hangul filler */
        {0xFFF0, 0xFFFB},   /* not assigned, interlinear annotation */
        {0x1BCA0, 0x1BCA3}, /* shorthand format controls */
        {0x1D173, 0x1D17A}, /* musical format controls */
        {0xE0000, 0xE0FFF}, /* tags, variation selectors */
    };

    /* They are in order, so what is left of a range is in none. */
    for (size_t i = 0; i < sizeof(UNSEEN) / sizeof(UNSEEN[0]); i++)
        if (c <= UNSEEN[i].last)
            return c >= UNSEEN[i].first;
    return false;
}

/* Whether it may stay as it is, as nearly all do: short, printable ASCII. */
static bool is_clean(struct span text)
{
    if (text.len > LABEL_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return true;
}

struct span label_clean(char to[LABEL_SIZE], struct span text)
{
    size_t len = 0;
    size_t nchars = 0;
    size_t cut = 0; /* where LABEL_MAX - 1 characters end */

    if (is_clean(text)) {
        memcpy(to, text.len ? text.p : "", text.len);
        to[text.len] = '\0';
        return (struct span){to, text.len};
    }
    while (text.len) {
        uint32_t c = 0;
        size_t taken = utf8_read(text, &c);
        bool keep = taken && !is_unseen(c);

        if (keep && nchars == LABEL_MAX) {
            memcpy(to + cut, ELLIPSIS, ELLIPSIS_LEN);
            len = cut + ELLIPSIS_LEN;
            break;
        }
        taken = taken ? taken : 1;
        if (keep) {
            memcpy(to + len, text.p, taken);
            len += taken;
            if (++nchars == LABEL_MAX - 1)
                cut = len;
        }
        text.p += taken;
        text.len -= taken;
    }
    to[len] = '\0';
    return (struct span){to, len};
}

struct span label_copy(struct arena *arena, struct span text)
{
    char clean[LABEL_SIZE];

    return arena_copy(arena, label_clean(clean, text));
}
