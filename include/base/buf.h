/*
 * buf.h - text being built: grows, always terminated, never past a maximum.
 *
 * An append that fails marks the buffer and changes nothing; appends after it
 * do nothing. So append freely and call buf_check() once at the end. A buffer
 * that held a secret goes through buf_wipe().
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf {
    char *data;           /* never NULL, data[len] is '\0' */
    size_t len;           /* bytes in use, without the terminator */
    size_t cap;           /* bytes allocated, 0: none */
    size_t max;           /* most bytes len may reach, fixed by BUF_INIT */
    enum err_code failed; /* ERR_OK, ERR_NOMEM or ERR_LIMIT: see buf_check */
};

/* What data points at while nothing is allocated. Never written to. */
extern char buf_empty[1];

/* The empty buffer of at most max bytes. */
#define BUF_INIT(max_len)                                                      \
    {                                                                          \
        buf_empty, 0, 0, (max_len), ERR_OK                                     \
    }

/* The same, as a value to assign. */
struct buf buf_of(size_t max_len);

/*
 * Append bytes, a string, a span, one character, a number in decimal, formatted
 * text. All or nothing; p may be NULL when len is 0.
 */
void buf_add(struct buf *buf, const void *p, size_t len);
void buf_add_str(struct buf *buf, const char *s);
void buf_add_span(struct buf *buf, struct span s);
void buf_add_char(struct buf *buf, char c);
void buf_add_int(struct buf *buf, int64_t value);
void buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends len bytes for the caller to write at once; NULL: it could not. */
NODISCARD char *buf_extend(struct buf *buf, size_t len);

/* Room for len more bytes at once, so that appends do not move the text. */
void buf_reserve(struct buf *buf, size_t len);

/*
 * ERR_OK when every append since init or reset worked; else ERR_NOMEM or
 * ERR_LIMIT with a text that begins with what ("sigv4: scope").
 */
NODISCARD enum err_code buf_check(const struct buf *buf, const char *what,
                                  struct err *err);

/* Cuts back to len bytes, which must not be more than there are. */
void buf_truncate(struct buf *buf, size_t len);

/* Empties, forgets a failure, keeps the memory. */
void buf_reset(struct buf *buf);

/* Gives the memory back; the buffer is empty and usable again. */
void buf_release(struct buf *buf);

/* Overwrites all memory of the buffer, then releases it. */
void buf_wipe(struct buf *buf);

/* The text as a span, good until the next change of the buffer. */
struct span buf_span(const struct buf *buf);

#endif
