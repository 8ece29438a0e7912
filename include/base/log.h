/*
 * log.h - log lines: one JSON object or one line of text per event.
 *
 * Lines go to the stream given at set-up (standard error). Lambda reads the
 * keys "timestamp" and "level" (Lambda developer guide, "Configuring JSON and
 * plain text log formats"). Never pass a secret, a token or a signature. This
 * is the program's only state of file scope; before log_setup() nothing is
 * written.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/span.h"

enum log_level {
    LOG_TRACE,
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_FATAL,
};

/* Longest value of one field in bytes; more is cut and ends in "...", unless
 * the field says whole. */
#define LOG_VALUE_MAX 2048

struct log_field {
    const char *key;  /* NULL ends a list */
    struct span text; /* used when is_number is false */
    int64_t number;
    bool is_number;
    bool whole;
};

#define LOG_STR(k, s) ((struct log_field){.key = (k), .text = span_of(s)})
#define LOG_SPAN(k, s) ((struct log_field){.key = (k), .text = (s)})
#define LOG_WHOLE(k, s)                                                        \
    ((struct log_field){.key = (k), .text = (s), .whole = true})
#define LOG_INT(k, n)                                                          \
    ((struct log_field){.key = (k), .number = (n), .is_number = true})
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {0}})

struct log_options {
    FILE *out; /* borrowed for the life of the process */
    const struct clock *clock;
    enum log_level min;
    bool json; /* else text */
};

void log_setup(const struct log_options *options);

/*
 * Ids that stand in every line until they are set anew: the request id and
 * the trace id of the invocation. Copied (at most 127 bytes); NULL: none.
 */
void log_set_ids(const char *request_id, const char *trace_id);

/*
 * Writes one line when level is at least the minimum. fields is NULL or ends
 * with a NULL key (LOG_FIELDS does that). Bytes that are not UTF-8 are
 * replaced, control characters escaped. Failure to write is ignored.
 */
void log_write(enum log_level level, const char *msg,
               const struct log_field *fields);

/* Writes line, which has no line feed, as it is and whatever the level: for
 * what a machine reads from the log, such as metrics. */
void log_raw(struct span line);

bool log_is_on(enum log_level level);

/* The level named s in any case ("WARN", "warning"); false when none is. */
NODISCARD bool log_level_parse(struct span s, enum log_level *out);

#endif
