/*
 * stamp.c - makes an answer of its own from a page that is kept.
 */
#include "stamp.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define HEAD_MAX 512

/* Where the text of that element begins in the head, 0: nowhere. */
static size_t find_text(const char *head, size_t len, const char *tag)
{
    size_t tag_len = strlen(tag);

    for (size_t i = 0; i + tag_len + STAMP_DIGITS <= len; i++)
        if (memcmp(head + i, tag, tag_len) == 0)
            return i + tag_len;
    return 0;
}

/* Where the head ends: behind what is each answer's own. */
static size_t head_len(const struct blob *plain)
{
    size_t max = plain->len < HEAD_MAX ? plain->len : HEAD_MAX;
    size_t id = find_text(plain->p, max, "<requestId>");
    size_t revision = find_text(plain->p, max, "<revision>");
    size_t last = revision > id ? revision : id;

    return last ? last + STAMP_DIGITS : 0;
}

struct blob *stamp_split(struct blob *plain, bool gzip)
{
    struct text text = {0};
    struct blob *kept = plain;
    size_t head = head_len(plain);

    if (gzip && head == 0) {
        kept = blob_gzip(plain);
    } else if (gzip) {
        text_add(&text, plain->p, head);
        blob_deflate(&text, plain->p + head, plain->len - head, true);
        kept = blob_take(text);
        kept->rest_crc = crc32_z(0, (const unsigned char *)plain->p + head,
                                 plain->len - head);
        kept->rest_len = plain->len - head;
        kept->gzip = true;
    }
    if (kept != plain)
        blob_unref(plain);
    kept->head_len = head;
    return kept;
}

static void add_little_endian(struct text *out, unsigned long n, int bytes)
{
    for (int i = 0; i < bytes; i++, n >>= 8)
        text_add(out, &(char){(char)(n & 255)}, 1);
}

/* RFC 1951, 3.2.4: a block that is not compressed, and not the last. */
static void add_stored(struct text *out, const char *p, size_t len)
{
    text_add(out, "\0", 1);
    add_little_endian(out, len, 2);
    add_little_endian(out, ~len, 2);
    text_add(out, p, len);
}

static void write_serial(char *head, size_t len, const char *tag,
                         unsigned serial)
{
    size_t at = find_text(head, len, tag);
    char digits[STAMP_DIGITS + 1];

    snprintf(digits, sizeof(digits), "%0*x", STAMP_DIGITS, serial);
    if (at)
        memcpy(head + at, digits, STAMP_DIGITS);
}

struct blob *stamp_join(struct blob *kept, unsigned serial)
{
    static const char GZIP_HEADER[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03";
    char head[HEAD_MAX];
    size_t len = kept->head_len;
    struct text out = {0};
    unsigned long crc;

    if (len == 0)
        return blob_ref(kept);
    memcpy(head, kept->p, len);
    write_serial(head, len, "<requestId>", serial);
    write_serial(head, len, "<revision>", serial);
    text_reserve(&out, kept->len + 64);
    if (!kept->gzip) {
        text_add(&out, head, len);
        text_add(&out, kept->p + len, kept->len - len);
        return blob_take(out);
    }
    text_add(&out, GZIP_HEADER, sizeof(GZIP_HEADER) - 1);
    add_stored(&out, head, len);
    text_add(&out, kept->p + len, kept->len - len);
    crc = crc32_combine(crc32_z(0, (const unsigned char *)head, len),
                        kept->rest_crc, (z_off_t)kept->rest_len);
    add_little_endian(&out, crc, 4);
    add_little_endian(&out, len + kept->rest_len, 4);
    return blob_take(out);
}
