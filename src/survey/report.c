#include "survey/report.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/json_text.h"
#include "report_failures.h"
#include "survey/label.h"
#include "survey/match.h"

/* Kept free for one row beside the failures: with the longest name, and none
 * of its permissions, a row takes less. */
#define ROW_RESERVE ((size_t)1024)
/* The element or members that tell of omissions, but for "next": three
 * numbers with at most 20 digits. */
#define OMITTED_LEN ((size_t)160)
/* Region, slash, and an id as label_copy() leaves it. */
#define NEXT_MAX (SCOPE_NAME_MAX + 1 + 4 * LABEL_MAX)
/* ,"next":"" with its quotes escaped. */
#define NEXT_LEN(next) (strlen(next) + 15)
/* Entries of a row's list that are tried first when it is too long. */
#define LIST_TRIED ((size_t)4096)

/* Elements with commas between them. */
struct list {
    struct buf text;
    size_t budget; /* bytes as they are sent */
    size_t used;   /* likewise */
    bool in_string;
};

struct report {
    const struct report_input *in;
    struct report_failures failures;
    struct list failed; /* elements of failures */
    struct list items;
    struct buf element; /* of a list, while it is being written */
    struct report_summary *summary;
    size_t nuntold; /* failures that found no room */
    size_t kept;    /* bytes of failures still to come among the rows */
    bool full;      /* a row found no room, or was not kept: no more rows */
    char next[NEXT_MAX + 1]; /* of the last row; "": none */
};

/* Bytes that text takes as it is sent: in a JSON string its own escapes are
 * escaped again. */
static size_t sent_len(bool in_string, struct span text)
{
    return in_string ? json_text_string_len(text) : text.len;
}

/* Appends the element that was written if reserve bytes stay free behind it.
 * What is longer than the whole report was not written to its end. */
static enum err_code add_element(struct report *r, struct list *list,
                                 size_t reserve, bool *fits, struct err *err)
{
    bool comma = list->text.len > 0;
    size_t len = comma + sent_len(list->in_string, buf_span(&r->element));

    *fits = !r->element.failed && list->used + len + reserve <= list->budget;
    if (*fits) {
        if (comma)
            buf_add_char(&list->text, ',');
        buf_add_span(&list->text, buf_span(&r->element));
        list->used += len;
    }
    if (r->element.failed == ERR_NOMEM || list->text.failed)
        return err_nomem(err, "report");
    return ERR_OK;
}

static int add_chunk(const char *data, size_t len, void *out)
{
    buf_add(out, data, len);
    return ((const struct buf *)out)->failed ? -1 : 0;
}

/* Appends value, without blanks; false: out of memory. Not by json_dumps():
 * jansson 2.14 goes on without a byte when its text cannot grow. */
static bool dump(const json_t *value, struct buf *out)
{
    return value && (!json_dump_callback(value, add_chunk, out, JSON_COMPACT) ||
                     out->failed == ERR_LIMIT);
}

/* Adds element, which may be NULL for lack of memory, and gives it up. */
static enum err_code add_own(struct report *r, struct list *list,
                             json_t *element, size_t reserve, bool *fits,
                             struct err *err)
{
    bool ok;

    *fits = false;
    buf_reset(&r->element);
    ok = dump(element, &r->element);
    json_decref(element);
    return ok ? add_element(r, list, reserve, fits, err)
              : err_nomem(err, "report");
}

/* --- failures ------------------------------------------------------------ */

/* All failures of one sentence; of too many regions as many as there is room
 * for. */
static enum err_code add_group(struct report *r, size_t i, struct err *err)
{
    size_t nall = report_failures_alike(&r->failures, i);
    size_t n = nall;
    bool fits = false;

    while (!fits && n) {
        enum err_code rc =
            add_own(r, &r->failed, report_failures_json(&r->failures, i, n), 0,
                    &fits, err);

        if (rc)
            return rc;
        if (!fits)
            n /= 2;
    }
    r->nuntold += nall - n;
    report_failures_tell(&r->failures, i);
    return ERR_OK;
}

static enum err_code add_failures(struct report *r, struct err *err)
{
    for (size_t i = 0; i < r->failures.n; i++) {
        enum err_code rc = ERR_OK;
        bool fits = true;

        if (r->failures.v[i].told)
            continue;
        if (r->in->form == REPORT_OBJECT)
            rc = add_group(r, i, err);
        else
            rc = add_own(r, &r->failed, report_failure_json(&r->failures, i), 0,
                         &fits, err);
        if (rc)
            return rc;
        r->nuntold += !fits;
    }
    return ERR_OK;
}

/* --- rows ---------------------------------------------------------------- */

/* Where the answer goes on behind the row of an instance. */
static void set_next(struct report *r, const char *region, struct span id)
{
    r->next[0] = '\0';
    if (r->in->question->params & QUESTION_AFTER && criteria_is_instance_id(id))
        (void)snprintf(r->next, sizeof(r->next), "%s/%.*s", region, (int)id.len,
                       id.p);
}

/* A row, with at most list_max entries in its list, if there is room. */
static enum err_code add_row(struct report *r,
                             const struct sweep_region *region,
                             const struct fold_row *which, bool *fits,
                             struct err *err)
{
    char before[NEXT_MAX + 1];
    struct span id;
    enum err_code rc;

    buf_reset(&r->element);
    id = r->in->question->folds[0]->row(region->states[0], which, &r->element);
    memcpy(before, r->next, sizeof(before));
    set_next(r, region->name, id);
    rc = add_element(r, &r->items, OMITTED_LEN + NEXT_LEN(r->next) + r->kept,
                     fits, err);
    if (!*fits)
        memcpy(r->next, before, sizeof(before));
    else
        r->summary->shown++;
    return rc;
}

/* The first row must find room, else the walk would never get past it. */
static enum err_code add_shortened(struct report *r,
                                   const struct sweep_region *region,
                                   struct fold_row *which, bool *fits,
                                   struct err *err)
{
    enum err_code rc = ERR_OK;

    for (size_t max = LIST_TRIED; !rc && !*fits; max /= 2) {
        which->list_max = max;
        rc = add_row(r, region, which, fits, err);
        if (max == 0)
            break;
    }
    return rc;
}

static enum err_code
add_rows(struct report *r, const struct sweep_region *region, struct err *err)
{
    struct fold_tally tally =
        r->in->question->folds[0]->tally(region->states[0]);

    r->summary->total += tally.nrows + tally.nbefore + tally.nbeyond;
    for (size_t i = 0; i < tally.nrows && !r->full; i++) {
        struct fold_row which = {
            .region = region->name,
            .i = i,
            .full = r->in->form == REPORT_OBJECT,
            .list_max = SIZE_MAX,
        };
        bool fits = false;
        enum err_code rc = add_row(r, region, &which, &fits, err);

        if (!rc && !fits && r->summary->shown == 0)
            rc = add_shortened(r, region, &which, &fits, err);
        if (rc)
            return rc;
        r->full = !fits;
    }
    r->full = r->full || tally.nbeyond > 0;
    return ERR_OK;
}

/* The failure of an entry, in its place among the rows. */
static enum err_code add_in_place(struct report *r, size_t i, struct err *err)
{
    bool fits = false;
    size_t before = r->items.used;
    enum err_code rc =
        add_own(r, &r->items, report_failure_json(&r->failures, i), OMITTED_LEN,
                &fits, err);
    size_t taken = r->items.used - before;

    r->kept -= taken < r->kept ? taken : r->kept;
    r->nuntold += !fits;
    return rc;
}

/* Whether failures stand among the rows. */
static bool is_in_place(const struct report *r)
{
    return r->in->question->failures_in_place && r->in->form == REPORT_ARRAY;
}

static enum err_code add_regions(struct report *r, struct err *err)
{
    const struct scope *scope = r->in->scope;
    size_t next = 0;
    size_t nfailed = 0;

    for (size_t i = 0; i < scope->n; i++) {
        bool failed =
            nfailed < r->failures.n && r->failures.v[nfailed].entry == i;
        bool asked = scope->entries[i].kind == SCOPE_REGION;
        enum err_code rc = ERR_OK;

        if (failed && is_in_place(r))
            rc = add_in_place(r, nfailed, err);
        else if (!failed)
            rc = add_rows(r, sweep_get_region(r->in->sweep, next), err);
        if (rc)
            return rc;
        nfailed += failed;
        next += asked;
    }
    return ERR_OK;
}

/* Whether any region has answered: where none has, a sum would be a zero that
 * nobody counted. */
static bool has_answers(const struct report_input *in)
{
    size_t nasked = scope_count(in->scope, SCOPE_REGION);

    for (size_t i = 0; i < nasked; i++)
        if (sweep_get_region(in->sweep, i)->failure.kind == FAILURE_NONE)
            return true;
    return false;
}

/* One row over all regions. */
static enum err_code add_summary(struct report *r, struct err *err)
{
    json_t *row = NULL;
    bool fits = false;
    enum err_code rc;

    if (!has_answers(r->in))
        return ERR_OK;
    rc = r->in->question->summarize(r->in->sweep, &row, err);
    if (rc)
        return rc;
    if (json_object_set_new(row, "regionsAsked",
                            json_integer((json_int_t)r->in->scope->n)) ||
        json_object_set_new(row, "regionsFailed",
                            json_integer((json_int_t)r->failures.n))) {
        json_decref(row);
        return err_nomem(err, "report");
    }
    r->summary->total = 1;
    rc = add_own(r, &r->items, row, OMITTED_LEN, &fits, err);
    r->full = !fits;
    r->summary->shown = fits;
    return rc;
}

static enum err_code add_items(struct report *r, struct err *err)
{
    return r->in->question->summarize ? add_summary(r, err)
                                      : add_regions(r, err);
}

/* --- the whole ----------------------------------------------------------- */

/* Lets the failures have all of room but a row's share. */
static void share(struct report *r, size_t room, bool has_rows)
{
    size_t kept = has_rows ? ROW_RESERVE + OMITTED_LEN : OMITTED_LEN;

    r->failed.budget = room > kept ? room - kept : 0;
}

/* What was written as failures only keeps room for them among the rows. */
static void keep_room(struct report *r)
{
    r->kept = r->failed.used ? r->failed.used + 1 : 0; /* a comma more */
    r->failed.used = 0;
    buf_truncate(&r->failed.text, 0);
    r->nuntold = 0;
}

/* Failures first, so that what they leave is known to the rows. */
static enum err_code fill(struct report *r, size_t room, struct err *err)
{
    enum err_code rc;

    share(r, room, has_answers(r->in));
    rc = add_failures(r, err);
    if (is_in_place(r))
        keep_room(r);
    r->items.budget = room - r->failed.used;
    return rc ? rc : add_items(r, err);
}

static enum err_code no_room(const struct report_input *in, struct err *err)
{
    return err_set(err, ERR_LIMIT, "report: no room in %zu bytes", in->budget);
}

static json_t *omitted_json(const struct report *r)
{
    json_t *what =
        json_pack("{s:I, s:I}", "total", (json_int_t)r->summary->total, "shown",
                  (json_int_t)r->summary->shown);
    bool ok = what != NULL;

    if (ok && r->nuntold)
        ok = json_object_set_new(what, "failures",
                                 json_integer((json_int_t)r->nuntold)) == 0;
    if (ok && r->full && r->next[0])
        ok = json_object_set_new(what, "next", json_string(r->next)) == 0;
    if (ok)
        return json_pack("{s:o}", "omitted", what);
    json_decref(what);
    return NULL;
}

static void add_list(struct buf *out, const struct list *list)
{
    if (list->text.len && out->len && out->data[out->len - 1] != '[')
        buf_add_char(out, ',');
    buf_add(out, list->text.data, list->text.len);
}

static enum err_code render_array(struct report *r, struct buf *out,
                                  struct err *err)
{
    struct list closing = {
        .text = BUF_INIT(r->in->budget),
        .budget = r->in->budget,
        .in_string = r->in->in_string,
    };
    bool fits = true;
    /* Brackets, and a comma between the parts. */
    enum err_code rc = fill(r, r->in->budget > 4 ? r->in->budget - 4 : 0, err);

    if (!rc && (r->full || r->nuntold))
        rc = add_own(r, &closing, omitted_json(r), 0, &fits, err);
    if (!rc && !fits)
        rc = no_room(r->in, err);
    buf_add_char(out, '[');
    add_list(out, &r->failed);
    add_list(out, &r->items);
    add_list(out, &closing);
    buf_add_char(out, ']');
    buf_release(&closing.text);
    return rc;
}

static json_t *states_json(const struct criteria *criteria)
{
    json_t *states = json_array();

    for (size_t i = 0; states && i < CRITERIA_NSTATES; i++) {
        const char *name = criteria_state_name(i);

        if (!criteria_wants_state(criteria, span_of(name)))
            continue;
        if (json_array_append_new(states, json_string(name))) {
            json_decref(states);
            states = NULL;
        }
    }
    return states;
}

/* What stands before the items; shown is written as it is now. */
static json_t *head_json(const struct report *r)
{
    const struct report_input *in = r->in;
    size_t nasked = in->scope->n;
    json_t *states = states_json(in->criteria);
    json_t *head = json_object();
    bool ok = head && states;

    if (ok && in->account.len)
        ok = !json_object_set_new(head, "account",
                                  json_stringn(in->account.p, in->account.len));
    if (ok && in->as_of.len)
        ok = !json_object_set_new(head, "asOf",
                                  json_stringn(in->as_of.p, in->as_of.len));
    if (ok)
        ok = !json_object_set_new(head, "regionsAsked",
                                  json_integer((json_int_t)nasked)) &&
             !json_object_set_new(
                 head, "regionsAnswered",
                 json_integer((json_int_t)(nasked - r->failures.n))) &&
             !json_object_set(head, "states", states) &&
             !json_object_set_new(
                 head, "total", json_integer((json_int_t)r->summary->total)) &&
             !json_object_set_new(head, "shown",
                                  json_integer((json_int_t)r->summary->shown));
    if (ok && in->question->totals && has_answers(in))
        ok = in->question->totals(in->sweep, head);
    json_decref(states);
    if (ok)
        return head;
    json_decref(head);
    return NULL;
}

/* Appends the head without its last brace. */
static enum err_code add_head(const struct report *r, struct buf *out,
                              struct err *err)
{
    json_t *head = head_json(r);
    enum err_code rc = ERR_OK;

    if (!dump(head, out))
        rc = err_nomem(err, "report");
    else if (!out->failed)
        buf_truncate(out, out->len - 1);
    json_decref(head);
    return rc;
}

/* Bytes of an object without items and failures, its numbers at their
 * longest. */
static enum err_code empty_len(const struct report *r, size_t *len,
                               struct err *err)
{
    struct buf head = BUF_INIT(r->in->budget + OMITTED_LEN);
    enum err_code rc = add_head(r, &head, err);

    *len = sent_len(r->in->in_string, buf_span(&head)) + OMITTED_LEN;
    if (!rc)
        rc = buf_check(&head, "report", err);
    buf_release(&head);
    return rc;
}

static enum err_code render_object(struct report *r, struct buf *out,
                                   struct err *err)
{
    size_t len = 0;
    enum err_code rc = empty_len(r, &len, err);

    if (!rc)
        rc = fill(r, r->in->budget > len ? r->in->budget - len : 0, err);
    if (!rc)
        rc = add_head(r, out, err);
    buf_add_str(out, ",\"items\":[");
    add_list(out, &r->items);
    buf_add_str(out, "],\"failed\":[");
    add_list(out, &r->failed);
    buf_add_char(out, ']');
    if (r->nuntold)
        buf_addf(out, ",\"failuresOmitted\":%zu", r->nuntold);
    if (r->full && r->next[0])
        buf_addf(out, ",\"next\":\"%s\"", r->next);
    buf_add_char(out, '}');
    return rc;
}

static void init(struct report *r, const struct report_input *in,
                 struct report_summary *summary)
{
    const struct list empty = {
        .text = BUF_INIT(in->budget),
        .in_string = in->in_string,
    };

    *summary = (struct report_summary){0};
    *r = (struct report){
        .in = in,
        .failed = empty,
        .items = empty,
        .element = BUF_INIT(in->budget),
        .summary = summary,
    };
}

enum err_code report_render(const struct report_input *input, struct buf *out,
                            struct report_summary *summary, struct err *err)
{
    struct report r;
    enum err_code rc;

    buf_reset(out);
    init(&r, input, summary);
    rc = report_failures_collect(input, &r.failures, err);
    if (!rc)
        rc = input->form == REPORT_OBJECT ? render_object(&r, out, err)
                                          : render_array(&r, out, err);
    summary->nfailed = r.failures.n;
    if (!rc)
        rc = buf_check(out, "report", err);
    if (!rc && sent_len(input->in_string, buf_span(out)) > input->budget)
        rc = no_room(input, err);
    buf_release(&r.element);
    buf_release(&r.items.text);
    buf_release(&r.failed.text);
    report_failures_release(&r.failures);
    return rc;
}
