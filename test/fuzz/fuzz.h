/*
 * fuzz.h - what the fuzz targets share: an input taken apart from its front,
 * and promises that end the process when they are broken.
 *
 * A target is one file fuzz_<name>.c with LLVMFuzzerTestOneInput(). It keeps
 * nothing between inputs, so that a saved input does the same every time.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* libFuzzer's two entry points. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Ends the process, which libFuzzer takes for a finding, unless it holds. */
#define FUZZ_CHECK(promise)                                                    \
    ((promise) ? (void)0 : fuzz_broken(#promise, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *promise, const char *file, int line);

struct span fuzz_input(const uint8_t *data, size_t len);

/* The first byte of *in, taken off; 0 when nothing is left. */
unsigned fuzz_byte(struct span *in);

/* One of n values of a table, chosen by the next byte. */
#define FUZZ_PICK(in, table)                                                   \
    ((table)[fuzz_byte(in) % (sizeof(table) / sizeof((table)[0]))])

/* Takes the text up to the next end (which goes too), or all of it. */
struct span fuzz_until(struct span *in, char end);

/* A terminated copy, to be freed; it ends at a NUL in s. */
char *fuzz_string(struct span s);

/* A copy in a block of its own size, to be freed. */
char *fuzz_block(struct span s);

bool fuzz_is_utf8(struct span s);
bool fuzz_has_control(struct span s);

/* Every line must be one JSON object, as the log promises. */
void fuzz_check_log(const char *log);

#endif
