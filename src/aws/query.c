#include "aws/query.h"

#include <stdbool.h>

/* RFC 3986, section 2.3; by hand, because isalnum() asks the locale. */
static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
           c == '~';
}

void query_encode(struct buf *out, struct span text)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t plain = 0; /* where the run of unreserved bytes before i begins */

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.p[i];
        const char code[] = {'%', HEX[byte >> 4], HEX[byte & 15]};

        if (is_unreserved(text.p[i]))
            continue;
        buf_add(out, text.p + plain, i - plain);
        buf_add(out, code, sizeof(code));
        plain = i + 1;
    }
    if (plain < text.len)
        buf_add(out, text.p + plain, text.len - plain);
}

void query_begin(struct buf *body, const char *action)
{
    buf_reset(body);
    buf_add_str(body, "Action=");
    buf_add_str(body, action);
    buf_add_str(body, "&Version=" QUERY_VERSION);
}

static void begin_param(struct buf *body, const char *name)
{
    buf_add_char(body, '&');
    buf_add_str(body, name);
    buf_add_char(body, '=');
}

void query_add(struct buf *body, const char *name, struct span value)
{
    begin_param(body, name);
    query_encode(body, value);
}

void query_add_int(struct buf *body, const char *name, int64_t value)
{
    begin_param(body, name);
    buf_add_int(body, value);
}

void query_add_filter(struct buf *body, unsigned n, const char *name,
                      const char *const *values, size_t nvalues)
{
    buf_addf(body, "&Filter.%u.Name=", n);
    query_encode(body, span_of(name));
    for (size_t i = 0; i < nvalues; i++) {
        buf_addf(body, "&Filter.%u.Value.%zu=", n, i + 1);
        query_encode(body, span_of(values[i]));
    }
}
