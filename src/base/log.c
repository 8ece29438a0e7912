#include "base/log.h"

#include <string.h>

/* Longest request or trace id kept, bytes. */
#define ID_MAX 127

static const char *const LEVEL_NAMES[] = {
    [LOG_TRACE] = "TRACE", [LOG_DEBUG] = "DEBUG", [LOG_INFO] = "INFO",
    [LOG_WARN] = "WARN",   [LOG_ERROR] = "ERROR", [LOG_FATAL] = "FATAL",
};

static struct {
    struct log_options options;
    char request_id[ID_MAX + 1];
    char trace_id[ID_MAX + 1];
} state;

void log_setup(const struct log_options *options)
{
    state.options = *options;
}

static void copy_id(char out[ID_MAX + 1], const char *id)
{
    (void)snprintf(out, ID_MAX + 1, "%s", id ? id : "");
}

void log_set_ids(const char *request_id, const char *trace_id)
{
    copy_id(state.request_id, request_id);
    copy_id(state.trace_id, trace_id);
}

bool log_is_on(enum log_level level)
{
    return state.options.out && level >= state.options.min;
}

bool log_level_parse(struct span s, enum log_level *out)
{
    for (size_t i = 0; i < sizeof(LEVEL_NAMES) / sizeof(LEVEL_NAMES[0]); i++) {
        if (span_eq_nocase(s, span_of(LEVEL_NAMES[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    if (!span_eq_nocase(s, SPAN_LIT("warning")))
        return false;
    *out = LOG_WARN;
    return true;
}

/*
 * Length of the UTF-8 sequence at the front of s, 0 when it is not one
 * (RFC 3629 §4: shortest form, no surrogates, at most U+10FFFF).
 */
static size_t utf8_len(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;

    if (len == 1)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4 || s.len < len)
        return 0;
    if (p[0] == 0xE0)
        low = 0xA0;
    if (p[0] == 0xED)
        high = 0x9F;
    if (p[0] == 0xF0)
        low = 0x90;
    if (p[0] == 0xF4)
        high = 0x8F;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xBF)
            return 0;
    return len;
}

/* One character of s, escaped as JSON (RFC 8259 §7); returns bytes used. */
static size_t put_char(FILE *out, struct span s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t len = utf8_len(s);

    if (len == 0) {
        (void)fputs("\xEF\xBF\xBD", out);
        return 1;
    }
    if (c == '"' || c == '\\')
        (void)fprintf(out, "\\%c", c);
    else if (c < 0x20 || c == 0x7F)
        (void)fprintf(out, "\\u%04x", c);
    else
        (void)fwrite(s.p, 1, len, out);
    return len;
}

static void put_text(FILE *out, struct span s, bool whole)
{
    bool cut = !whole && s.len > LOG_VALUE_MAX;

    if (cut)
        s.len = LOG_VALUE_MAX;
    while (s.len) {
        size_t used = put_char(out, s);

        s.p += used;
        s.len -= used;
    }
    if (cut)
        (void)fputs("...", out);
}

static void put_json_field(FILE *out, const struct log_field *f)
{
    if (f->is_number) {
        (void)fprintf(out, ",\"%s\":%lld", f->key, (long long)f->number);
        return;
    }
    (void)fprintf(out, ",\"%s\":\"", f->key);
    put_text(out, f->text, f->whole);
    (void)fputc('"', out);
}

/* Values with a blank, and empty ones, are quoted, so that a line splits. */
static void put_text_field(FILE *out, const struct log_field *f)
{
    bool quote = !f->text.len || memchr(f->text.p, ' ', f->text.len);

    if (f->is_number) {
        (void)fprintf(out, " %s=%lld", f->key, (long long)f->number);
        return;
    }
    (void)fprintf(out, quote ? " %s=\"" : " %s=", f->key);
    put_text(out, f->text, f->whole);
    if (quote)
        (void)fputc('"', out);
}

static void put_head(FILE *out, enum log_level level, const char *msg)
{
    char stamp[CLOCK_RFC3339_LEN + 1];

    clock_utc_rfc3339(clock_real_ms(state.options.clock), stamp);
    if (!state.options.json) {
        (void)fprintf(out, "%s %s %s", stamp, LEVEL_NAMES[level], msg);
        return;
    }
    (void)fprintf(out, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"message\":\"",
                  stamp, LEVEL_NAMES[level]);
    put_text(out, span_of(msg), false);
    (void)fputc('"', out);
}

void log_write(enum log_level level, const char *msg,
               const struct log_field *fields)
{
    FILE *out = state.options.out;
    void (*put)(FILE *, const struct log_field *) =
        state.options.json ? put_json_field : put_text_field;

    if (!log_is_on(level))
        return;
    put_head(out, level, msg);
    if (state.request_id[0])
        put(out, &LOG_STR("requestId", state.request_id));
    if (state.trace_id[0])
        put(out, &LOG_STR("traceId", state.trace_id));
    for (; fields && fields->key; fields++)
        put(out, fields);
    (void)fputs(state.options.json ? "}\n" : "\n", out);
    (void)fflush(out);
}

void log_raw(struct span line)
{
    FILE *out = state.options.out;

    if (!out)
        return;
    (void)fwrite(line.p, 1, line.len, out);
    (void)fputc('\n', out);
    (void)fflush(out);
}
