#include "survey/label.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the control character at the front of text, 0: it is none. */
static size_t control_len(struct span text)
{
    unsigned char c = (unsigned char)text.p[0];

    if (c < 0x20 || c == 0x7F)
        return 1;
    /* U+0080 to U+009F are C2 80 to C2 9F in UTF-8. */
    if (c == 0xC2 && text.len > 1 && (unsigned char)text.p[1] < 0xA0)
        return 2;
    return 0;
}

struct span label_copy(struct arena *arena, struct span text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    if (!copy)
        return (struct span){NULL, 0};
    while (text.len) {
        size_t skip = control_len(text);

        if (!skip)
            copy[len++] = text.p[0];
        skip = skip ? skip : 1;
        text.p += skip;
        text.len -= skip;
    }
    copy[len] = '\0';
    return (struct span){copy, len};
}
