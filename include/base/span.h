/*
 * span.h - text being read: borrowed bytes with a length, not terminated.
 *
 * A span owns nothing and lives as long as the bytes it points at. Letter
 * case means ASCII only, whatever the locale is. The only strto* of the
 * program is in span.c.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* p may be NULL when len is 0. */
struct span {
    const char *p;
    size_t len; /* bytes */
};

/* A span over a string literal. */
#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})

/* printf arguments for "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (s).p ? (s).p : ""

/* A span over a terminated string; NULL gives the empty span. */
struct span span_of(const char *s);

bool span_eq(struct span a, struct span b);
bool span_eq_str(struct span a, const char *s);
bool span_eq_nocase(struct span a, struct span b);
bool span_starts_with(struct span s, const char *prefix);

/* Whether pattern fits all of s, where '*' stands for any bytes, also none;
 * letter case apart. */
bool span_fits(struct span s, struct span pattern);

/* memcmp order, the shorter first where one begins the other: <0, 0, >0. */
int span_cmp(struct span a, struct span b);

/* Without blanks (space, \t, \r, \n) at both ends. */
struct span span_trim(struct span s);

/*
 * Takes the text up to the next sep (or the end) off the front of *rest into
 * *part. False when *rest was used up; "a,,b" gives "a", "", "b" and "" gives
 * one empty part. *rest must not be changed by others in between.
 */
bool span_split(struct span *rest, char sep, struct span *part);

/*
 * The decimal number that s is, to the last byte: an optional '-', digits, no
 * blanks. False, and *out as it was, when it is none or does not fit.
 */
NODISCARD bool span_int64(struct span s, int64_t *out);

#endif
