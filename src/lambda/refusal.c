#include "lambda/refusal.h"

#include <jansson.h>

#include "dump_private.h"
#include "survey/question.h"

/* NULL when out of memory. */
static json_t *make_object(const struct refusal *r)
{
    return json_pack("{s:s%, s:s%, s:b}", "error", r->error.p, r->error.len,
                     "hint", r->hint.p, r->hint.len, "retryable",
                     r->is_retryable);
}

static json_t *make_element(const struct refusal *r)
{
    struct buf text = BUF_INIT(EVENT_SIZE_MAX);
    json_t *element = NULL;

    buf_add_span(&text, r->error);
    if (r->http_status == 404) {
        buf_add_str(&text, "; ");
        buf_add_span(&text, r->hint);
    }
    if (!text.failed)
        element = json_pack(r->http_status == 400 ? "[{s:s%}]" : "{s:s%}",
                            "error", text.data, text.len);
    buf_release(&text);
    return element;
}

enum err_code refusal_write(const struct refusal *refusal, bool is_array,
                            struct buf *out, struct err *err)
{
    json_t *value = is_array ? make_element(refusal) : make_object(refusal);
    enum err_code rc;

    buf_reset(out);
    rc = dump_append(out, value, err);
    json_decref(value);
    return rc ? rc : buf_check(out, "refusal", err);
}

void refusal_add_names(enum envelope envelope, struct buf *out)
{
    size_t n;
    const struct question *table = question_table(&n);

    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%s", i ? ", " : "",
                 envelope == ENVELOPE_API_SCHEMA ? table[i].api_path
                                                 : table[i].name);
}
