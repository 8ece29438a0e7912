#include "aws/sigv4.h"

#include <stdlib.h>
#include <string.h>

#include "aws/query.h"

/* Pointers into one array of headers, in the order of signing. */
struct header_order {
    const struct sigv4_header *at[SIGV4_MAX_ITEMS];
    size_t n;
};

struct param {
    struct span name;  /* encoded */
    struct span value; /* encoded */
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int compare_names(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return (unsigned char)lower(*a) - (unsigned char)lower(*b);
}

/* By name; those of one name stay in the order of the request. */
static enum err_code sort_headers(const struct sigv4_request *req,
                                  struct header_order *out, struct err *err)
{
    if (req->nheaders == 0)
        return err_set(err, ERR_ARG, "sigv4: no header to sign");
    if (req->nheaders > SIGV4_MAX_ITEMS)
        return err_set(err, ERR_ARG, "sigv4: more than %d headers",
                       SIGV4_MAX_ITEMS);
    out->n = req->nheaders;
    for (size_t i = 0; i < out->n; i++) {
        const struct sigv4_header *header = &req->headers[i];
        size_t at = i;

        while (at > 0 &&
               compare_names(out->at[at - 1]->name, header->name) > 0) {
            out->at[at] = out->at[at - 1];
            at--;
        }
        out->at[at] = header;
    }
    return ERR_OK;
}

/* Whether header is one more of last's name; last may be NULL. */
static bool repeats_name(const struct sigv4_header *header,
                         const struct sigv4_header *last)
{
    return last && compare_names(header->name, last->name) == 0;
}

static void add_lower(struct buf *out, const char *name)
{
    char *to = buf_extend(out, strlen(name));

    for (; to && *name; name++)
        *to++ = lower(*name);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Trimmed, and each run of blanks within as one space. */
static void add_folded(struct buf *out, const char *value)
{
    struct span rest = span_trim(span_of(value));
    size_t i = 0;

    while (i < rest.len) {
        size_t begin = i;

        while (i < rest.len && !is_blank(rest.p[i]))
            i++;
        buf_add(out, rest.p + begin, i - begin);
        begin = i;
        while (i < rest.len && is_blank(rest.p[i]))
            i++;
        if (i > begin)
            buf_add_char(out, ' ');
    }
}

static void add_headers(struct buf *out, const struct header_order *order)
{
    const struct sigv4_header *last = NULL;

    for (size_t i = 0; i < order->n; i++) {
        const struct sigv4_header *header = order->at[i];

        if (repeats_name(header, last)) {
            buf_add_char(out, ',');
        } else {
            buf_add_str(out, last ? "\n" : "");
            add_lower(out, header->name);
            buf_add_char(out, ':');
        }
        add_folded(out, header->value);
        last = header;
    }
    buf_add_char(out, '\n');
}

static void add_names(struct buf *out, const struct header_order *order)
{
    const struct sigv4_header *last = NULL;

    for (size_t i = 0; i < order->n; i++) {
        const struct sigv4_header *header = order->at[i];

        if (!repeats_name(header, last)) {
            buf_add_str(out, last ? ";" : "");
            add_lower(out, header->name);
        }
        last = header;
    }
}

/* Cuts the last segment and its '/' off the path that begins at start. */
static void drop_segment(struct buf *out, size_t start)
{
    size_t len = out->len;

    while (len > start && out->data[len - 1] != '/')
        len--;
    buf_truncate(out, len > start ? len - 1 : start);
}

/*
 * What is percent-encoded on the wire is encoded once more, as every service
 * but S3 wants it.
 */
static void add_path(struct buf *out, const struct sigv4_request *req)
{
    struct span wire = span_of(req->path);
    struct span rest = wire;
    struct span segment;
    size_t start = out->len;

    if (span_starts_with(rest, "/")) {
        rest.p++;
        rest.len--;
    }
    while (span_split(&rest, '/', &segment)) {
        if (req->normalize_path && span_eq_str(segment, "..")) {
            drop_segment(out, start);
        } else if (!req->normalize_path ||
                   (segment.len > 0 && !span_eq_str(segment, "."))) {
            buf_add_char(out, '/');
            query_encode(out, segment);
        }
    }
    if (out->len == start ||
        (req->normalize_path && wire.p[wire.len - 1] == '/'))
        buf_add_char(out, '/');
}

/* The value of a hex digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Appends text decoded and encoded anew, so that every byte has one form, and
 * returns where that stands; *out must have room for three times text.
 */
static struct span add_recoded(struct buf *out, struct span text)
{
    size_t start = out->len;

    for (size_t i = 0; i < text.len; i++) {
        char byte = text.p[i];

        if (byte == '%' && text.len - i > 2 && hex_value(text.p[i + 1]) >= 0 &&
            hex_value(text.p[i + 2]) >= 0) {
            byte = (char)(hex_value(text.p[i + 1]) * 16 +
                          hex_value(text.p[i + 2]));
            i += 2;
        }
        query_encode(out, (struct span){&byte, 1});
    }
    return (struct span){out->data + start, out->len - start};
}

static int compare_params(const void *a, const void *b)
{
    const struct param *x = a;
    const struct param *y = b;
    int order = span_cmp(x->name, y->name);

    return order ? order : span_cmp(x->value, y->value);
}

static enum err_code add_query(struct buf *out, const char *query,
                               struct err *err)
{
    struct buf text = BUF_INIT(SIGV4_MAX_TEXT);
    struct param param[SIGV4_MAX_ITEMS];
    struct span rest = span_of(query);
    struct span part;
    size_t n = 0;
    enum err_code rc;

    if (rest.len == 0)
        return ERR_OK;
    buf_reserve(&text, rest.len < SIGV4_MAX_TEXT ? 3 * rest.len : rest.len);
    rc = buf_check(&text, "sigv4: query", err);
    while (!rc && span_split(&rest, '&', &part)) {
        struct span name;

        if (part.len == 0)
            continue;
        if (n == SIGV4_MAX_ITEMS) {
            rc = err_set(err, ERR_ARG, "sigv4: more than %d query parameters",
                         SIGV4_MAX_ITEMS);
            break;
        }
        (void)span_split(&part, '=', &name);
        param[n].name = add_recoded(&text, name);
        param[n++].value = add_recoded(&text, part);
    }
    if (rc)
        goto out;
    qsort(param, n, sizeof(param[0]), compare_params);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, i > 0 ? "&" : "");
        buf_add_span(out, param[i].name);
        buf_add_char(out, '=');
        buf_add_span(out, param[i].value);
    }

out:
    buf_release(&text);
    return rc;
}

enum err_code sigv4_canonical_request(const struct sigv4_request *req,
                                      struct buf *out, struct err *err)
{
    struct header_order order = {.n = 0};
    char body_hash[SIGV4_HEX_LEN + 1];
    enum err_code rc;

    rc = sort_headers(req, &order, err);
    if (rc)
        return rc;
    rc = sigv4_sha256_hex((struct span){req->body, req->body_len}, body_hash,
                          err);
    if (rc)
        return rc;
    buf_add_str(out, req->method);
    buf_add_char(out, '\n');
    add_path(out, req);
    buf_add_char(out, '\n');
    rc = add_query(out, req->query, err);
    if (rc)
        return rc;
    buf_add_char(out, '\n');
    add_headers(out, &order);
    buf_add_char(out, '\n');
    add_names(out, &order);
    buf_add_char(out, '\n');
    buf_add_str(out, body_hash);
    return buf_check(out, "sigv4: canonical request", err);
}

enum err_code sigv4_signed_headers(const struct sigv4_request *req,
                                   struct buf *out, struct err *err)
{
    struct header_order order = {.n = 0};
    enum err_code rc;

    rc = sort_headers(req, &order, err);
    if (rc)
        return rc;
    add_names(out, &order);
    return buf_check(out, "sigv4: header names", err);
}
