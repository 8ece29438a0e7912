/*
 * json_text.h - JSON of a known form (RFC 8259), written at the end of a
 * buffer: rows and strings, some thousand of them in an answer. JSON that is
 * read, or whose form is not known, is jansson's.
 *
 * What does not fit, or finds no memory, buf_check() tells.
 */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends s, which must be UTF-8, in quotes, with the escapes of section 7. */
void json_text_string(struct buf *out, struct span s);

/* Bytes between those quotes. */
size_t json_text_string_len(struct span s);

/* Appends the name of a member, which needs no escapes, and its colon; before
 * it a comma, unless the object has just been opened. */
void json_text_key(struct buf *out, const char *name);

/* Append a member. */
void json_text_member(struct buf *out, const char *name, struct span value);
void json_text_int(struct buf *out, const char *name, int64_t value);

#endif
