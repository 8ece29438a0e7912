#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    /* An input must take the same way every time. */
    json_object_seed(1);
    /* The doubles fail by cmocka, which else would end quietly. */
    return setenv("CMOCKA_TEST_ABORT", "1", 1);
}

void fuzz_broken(const char *promise, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
    abort();
}

struct span fuzz_input(const uint8_t *data, size_t len)
{
    return (struct span){(const char *)data, len};
}

unsigned fuzz_byte(struct span *in)
{
    unsigned byte;

    if (in->len == 0)
        return 0;
    byte = (unsigned char)in->p[0];
    in->p++;
    in->len--;
    return byte;
}

struct span fuzz_until(struct span *in, char end)
{
    const char *at = in->len ? memchr(in->p, end, in->len) : NULL;
    struct span text = {in->p, at ? (size_t)(at - in->p) : in->len};
    size_t used = text.len + (at ? 1 : 0);

    if (used) {
        in->p += used;
        in->len -= used;
    }
    return text;
}

static char *copy(struct span s, size_t size)
{
    char *p = malloc(size ? size : 1);

    FUZZ_CHECK(p);
    if (s.len)
        memcpy(p, s.p, s.len);
    return p;
}

char *fuzz_string(struct span s)
{
    char *p = copy(s, s.len + 1);

    p[s.len] = '\0';
    return p;
}

char *fuzz_block(struct span s)
{
    return copy(s, s.len);
}

/* Bytes of the character at the front (RFC 3629 §4), 0 when it is none. */
static size_t character(struct span s)
{
    static const struct {
        unsigned char first, last, low, high;
        size_t len;
    } FORMS[] = {
        {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2},
        {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4},
        {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        if (p[0] < FORMS[i].first || p[0] > FORMS[i].last)
            continue;
        if (FORMS[i].len > s.len)
            return 0;
        for (size_t k = 1; k < FORMS[i].len; k++)
            if (p[k] < (k == 1 ? FORMS[i].low : 0x80) ||
                p[k] > (k == 1 ? FORMS[i].high : 0xBF))
                return 0;
        return FORMS[i].len;
    }
    return 0;
}

bool fuzz_is_utf8(struct span s)
{
    while (s.len) {
        size_t len = character(s);

        if (len == 0)
            return false;
        s.p += len;
        s.len -= len;
    }
    return true;
}

bool fuzz_has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return true;
    return false;
}

void fuzz_check_log(const char *log)
{
    struct span rest = span_of(log);

    while (rest.len) {
        struct span line = fuzz_until(&rest, '\n');
        json_t *object = json_loadb(line.p, line.len, JSON_ALLOW_NUL, NULL);

        FUZZ_CHECK(json_is_object(object));
        json_decref(object);
    }
}
