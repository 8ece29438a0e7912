#include "survey/report.h"

#include <stdio.h>

#include <jansson.h>

#include "aws/failure.h"
#include "aws/region.h"

/* Names suggested for one that is unknown. */
#define NEAREST_MAX 3
/* Kept free for the closing bracket and the element that tells of omissions:
 * its two numbers have at most 20 digits. */
#define CLOSING_LEN ((size_t)128)

/* The array being written. */
struct writer {
    struct buf *out;
    size_t budget;  /* bytes as it is sent */
    size_t used;    /* likewise */
    bool in_string; /* it is sent in a JSON string */
    bool full;      /* a row did not fit: no more rows */
    bool cut;       /* the present element alone is past the budget */
};

/* Bytes that text takes as it is sent: in a JSON string its own escapes are
 * escaped again. */
static size_t sent_len(const struct writer *w, const char *text, size_t len)
{
    size_t n = len;

    for (size_t i = 0; w->in_string && i < len; i++)
        n += text[i] == '"' || text[i] == '\\';
    return n;
}

static int append(const char *data, size_t len, void *arg)
{
    struct writer *w = arg;

    w->cut = w->out->len + len > w->budget;
    if (w->cut)
        return -1;
    buf_add(w->out, data, len);
    return w->out->failed ? -1 : 0;
}

/* Appends element if it fits, leaving reserve bytes free. */
static enum err_code write_element(struct writer *w, const json_t *element,
                                   size_t reserve, bool *fits, struct err *err)
{
    size_t begin = w->out->len;
    size_t len;

    buf_add_char(w->out, begin ? ',' : '[');
    w->cut = false;
    if (json_dump_callback(element, append, w, JSON_COMPACT) && !w->cut) {
        enum err_code rc = buf_check(w->out, "report", err);

        return rc ? rc : err_nomem(err, "report");
    }
    len = sent_len(w, w->out->data + begin, w->out->len - begin);
    *fits = !w->cut && w->used + len + reserve <= w->budget;
    if (*fits)
        w->used += len;
    else
        buf_truncate(w->out, begin);
    return ERR_OK;
}

/* Writes one row, or marks the array as full. */
static enum err_code write_row(struct writer *w, json_t *row,
                               struct report_summary *summary, struct err *err)
{
    bool fits = false;
    enum err_code rc = write_element(w, row, CLOSING_LEN, &fits, err);

    json_decref(row);
    if (rc)
        return rc;
    w->full = !fits;
    summary->shown += fits;
    return ERR_OK;
}

static enum err_code write_rows(struct writer *w,
                                const struct report_input *input,
                                const struct sweep_region *region,
                                struct report_summary *summary, struct err *err)
{
    const struct fold *fold = input->question->folds[0];
    size_t n = fold->nrows(region->states[0]);

    summary->total += n;
    for (size_t i = 0; i < n && !w->full; i++) {
        json_t *row = NULL;
        enum err_code rc =
            fold->row(region->states[0], region->name, i, &row, err);

        if (!rc)
            rc = write_row(w, row, summary, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ", nearest: a, b" for a name that is not known. */
static void add_nearest(struct buf *sentence, const struct atlas *atlas,
                        const char *name)
{
    const char *nearest[NEAREST_MAX];
    size_t nknown;
    const char *const *known = atlas_regions(atlas, &nknown);
    size_t n =
        region_nearest(span_of(name), known, nknown, nearest, NEAREST_MAX);

    for (size_t i = 0; i < n; i++)
        buf_addf(sentence, "%s%s", i ? ", " : "; nearest: ", nearest[i]);
}

/* Why an entry of the list was not even asked. */
static void name_sentence(const struct report_input *input,
                          const struct scope_entry *entry, struct buf *out)
{
    if (entry->kind == SCOPE_ILL_FORMED)
        buf_add_str(out, "not a region name");
    else if (atlas_get_source(input->atlas) == ATLAS_CONFIGURED)
        buf_add_str(out, "not among the regions this function may ask");
    else if (atlas_get_source(input->atlas) == ATLAS_ACCOUNT)
        buf_add_str(out, "unknown, or not enabled in this account");
    else
        buf_add_str(out, "unknown region");
    add_nearest(out, input->atlas, entry->name);
}

static enum err_code write_failure(struct writer *w, const char *region,
                                   const char *sentence, struct err *err)
{
    json_t *element =
        json_pack("{s:s, s:s}", "region", region, "error", sentence);
    bool fits = false;
    enum err_code rc;

    if (!element)
        return err_nomem(err, "report");
    rc = write_element(w, element, CLOSING_LEN, &fits, err);
    json_decref(element);
    if (!rc && !fits)
        return err_set(err, ERR_LIMIT,
                       "report: the failures alone take more than %zu bytes",
                       w->budget);
    return rc;
}

/* The error element of entry, if it has one; region is NULL when it was not
 * asked. */
static enum err_code write_if_failed(struct writer *w,
                                     const struct report_input *input,
                                     const struct scope_entry *entry,
                                     const struct sweep_region *region,
                                     struct report_summary *summary,
                                     struct err *err)
{
    char sentence[FAILURE_SENTENCE_MAX + 1];
    struct buf text = BUF_INIT(FAILURE_SENTENCE_MAX);
    enum err_code rc;

    if (region && region->failure.kind == FAILURE_NONE)
        return ERR_OK;
    summary->nfailed++;
    if (region) {
        failure_sentence(&region->failure, sentence);
        return write_failure(w, entry->name, sentence, err);
    }
    name_sentence(input, entry, &text);
    rc = text.failed == ERR_NOMEM ? err_nomem(err, "report") : ERR_OK;
    if (!rc)
        rc = write_failure(w, entry->name, text.data, err);
    buf_release(&text);
    return rc;
}

/* What a pass over the scope writes. */
enum pass {
    FAILURES = 1,
    ROWS = 2,
};

static enum err_code write_pass(struct writer *w,
                                const struct report_input *input,
                                unsigned wanted, struct report_summary *summary,
                                struct err *err)
{
    size_t next = 0;

    for (size_t i = 0; i < input->scope->n; i++) {
        const struct scope_entry *entry = &input->scope->entries[i];
        const struct sweep_region *region =
            entry->kind == SCOPE_REGION ? sweep_get_region(input->sweep, next++)
                                        : NULL;
        enum err_code rc = ERR_OK;

        if (wanted & FAILURES)
            rc = write_if_failed(w, input, entry, region, summary, err);
        if (!rc && wanted & ROWS && region &&
            region->failure.kind == FAILURE_NONE)
            rc = write_rows(w, input, region, summary, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code write_closing(struct writer *w,
                                   const struct report_summary *summary,
                                   struct err *err)
{
    json_t *element;
    bool fits = true;
    enum err_code rc = ERR_OK;

    if (w->full) {
        element = json_pack("{s:{s:I, s:I}}", "omitted", "total",
                            (json_int_t)summary->total, "shown",
                            (json_int_t)summary->shown);
        if (!element)
            return err_nomem(err, "report");
        rc = write_element(w, element, 1, &fits, err);
        json_decref(element);
    }
    w->used += w->out->len ? 1 : 2;
    buf_add_str(w->out, w->out->len ? "]" : "[]");
    if (!rc)
        rc = buf_check(w->out, "report", err);
    if (!rc && (!fits || w->used > w->budget))
        rc = err_set(err, ERR_LIMIT, "report: no room in %zu bytes", w->budget);
    return rc;
}

enum err_code report_render(const struct report_input *input, struct buf *out,
                            struct report_summary *summary, struct err *err)
{
    struct writer w = {
        .out = out,
        .budget = input->budget,
        .in_string = input->in_string,
    };
    enum err_code rc;

    buf_reset(out);
    *summary = (struct report_summary){0};
    if (input->question->failures_in_place) {
        rc = write_pass(&w, input, FAILURES | ROWS, summary, err);
    } else {
        rc = write_pass(&w, input, FAILURES, summary, err);
        if (!rc)
            rc = write_pass(&w, input, ROWS, summary, err);
    }
    return rc ? rc : write_closing(&w, summary, err);
}
