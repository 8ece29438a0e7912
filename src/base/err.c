#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

/* A text may go into JSON; one that quotes a stranger may be no UTF-8, or cut
 * inside a character. */
static void keep_ascii(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text > 0x7E)
            *text = '?';
}

enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    if (!err || err->code)
        return code;
    err->code = code;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    keep_ascii(err->msg);
    return code;
}

enum err_code err_nomem(struct err *err, const char *who)
{
    return err_set(err, ERR_NOMEM, "%s: out of memory", who);
}

const char *err_text(const struct err *err)
{
    if (err->msg[0])
        return err->msg;
    switch (err->code) {
    case ERR_OK:
        return "no error";
    case ERR_ARG:
        return "unacceptable value";
    case ERR_NOMEM:
        return "out of memory";
    case ERR_LIMIT:
        return "limit reached";
    case ERR_CRYPTO:
        return "cryptographic library failed";
    case ERR_PARSE:
        return "malformed input";
    case ERR_CONFIG:
        return "wrong configuration";
    case ERR_AUTH:
        return "no credentials";
    case ERR_IO:
        return "input or output failed";
    case ERR_NET:
        return "transfer failed";
    case ERR_TIME:
        return "out of time";
    }
    return "unknown error";
}
