/* For wcwidth(). NOLINTNEXTLINE(bugprone-reserved-identifier) */
#define _XOPEN_SOURCE 700

#include "answer.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include <jansson.h>

/* Most columns of a table; more keys are left out. */
#define COLUMNS_MAX 32
/* Longest text of one cell's line, bytes. */
#define CELL_MAX ((size_t)64 * 1024)

#define GAP 2 /* columns of the terminal between two of the table */

/* ECMA-48 SGR. */
#define BOLD "\033[1m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

struct column {
    const char *key;
    size_t width; /* columns of the terminal */
    bool is_number;
};

struct table {
    const json_t *rows; /* an array of objects */
    struct column columns[COLUMNS_MAX];
    size_t ncolumns;
};

/* What is being written. */
struct page {
    struct buf *out;
    bool has_colours;
    struct buf scratch;   /* one line of one cell */
    enum err_code failed; /* the first failure of scratch */
};

/* An empty scratch, whose last failure is not forgotten. */
static struct buf *scratch_of(struct page *page)
{
    if (!page->failed)
        page->failed = page->scratch.failed;
    buf_reset(&page->scratch);
    return &page->scratch;
}

enum err_code answer_read(struct span json, struct answer *out, struct err *err)
{
    errno = 0;
    out->root =
        json_loadb(json.p ? json.p : "", json.len, JSON_ALLOW_NUL, NULL);
    /* jansson 2.14 tells of some failed allocations in errno alone. */
    if (json_is_object(out->root) && errno != ENOMEM)
        return ERR_OK;
    json_decref(out->root);
    out->root = NULL;
    if (errno == ENOMEM)
        return err_nomem(err, "answer");
    return err_set(err, ERR_PARSE, "answer: not a JSON object");
}

void answer_release(struct answer *answer)
{
    json_decref(answer->root);
    *answer = (struct answer){0};
}

static struct span text_of(const json_t *value)
{
    return (struct span){json_string_value(value), json_string_length(value)};
}

bool answer_is_refusal(const struct answer *answer, struct span *error,
                       struct span *hint)
{
    *error = text_of(json_object_get(answer->root, "error"));
    *hint = text_of(json_object_get(answer->root, "hint"));
    return error->p != NULL;
}

bool answer_has_regions(const struct answer *answer)
{
    return json_integer_value(
               json_object_get(answer->root, "regionsAnswered")) > 0;
}

/* The character at the front of s, which is UTF-8; its bytes in *len. */
static uint32_t decode(struct span s, size_t *len)
{
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t c = p[0];

    *len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (*len > s.len)
        *len = s.len;
    c &= *len == 1 ? 0x7F : 0x7FU >> *len;
    for (size_t i = 1; i < *len; i++)
        c = c << 6 | (p[i] & 0x3F);
    return c;
}

/* Columns of the terminal that s takes. */
static size_t width_of(struct span s)
{
    size_t width = 0;

    while (s.len) {
        size_t len;
        int columns = wcwidth((wchar_t)decode(s, &len));

        width += columns < 0 ? 1 : (size_t)columns;
        s.p += len;
        s.len -= len;
    }
    return width;
}

static void add_clean(struct buf *out, struct span s)
{
    while (s.len) {
        size_t len;
        uint32_t c = decode(s, &len);

        if (c < 0x20 || (c >= 0x7F && c < 0xA0))
            buf_add_char(out, '?');
        else
            buf_add(out, s.p, len);
        s.p += len;
        s.len -= len;
    }
}

static void add_scalar(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        add_clean(out, text_of(value));
    else if (json_is_integer(value))
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        buf_addf(out, "%g", json_real_value(value));
    else if (json_is_boolean(value))
        buf_add_str(out, json_is_true(value) ? "yes" : "no");
}

/* One rule of a security group: "tcp 22 from 0.0.0.0/0 (sg-1 ssh)". */
static void add_rule(struct buf *out, const json_t *rule)
{
    const json_t *group = json_object_get(rule, "groupId");
    const json_t *name = json_object_get(rule, "allowFrom");

    add_scalar(out, json_object_get(rule, "ipProtocol"));
    buf_add_char(out, ' ');
    add_scalar(out, json_object_get(rule, "ports"));
    buf_add_str(out, " from ");
    add_scalar(out, json_object_get(rule, "cidr"));
    buf_add_str(out, " (");
    add_scalar(out, group);
    if (json_string_length(name)) {
        buf_add_char(out, ' ');
        add_scalar(out, name);
    }
    buf_add_char(out, ')');
}

/* "key value, key value" */
static void add_object(struct buf *out, json_t *object)
{
    void *at = json_object_iter(object);
    bool is_first = true;

    for (; at; at = json_object_iter_next(object, at)) {
        buf_add_str(out, is_first ? "" : ", ");
        add_clean(out, span_of(json_object_iter_key(at)));
        buf_add_char(out, ' ');
        add_scalar(out, json_object_iter_value(at));
        is_first = false;
    }
}

/* Member i of an object as "key value"; false when it has fewer. */
static bool add_nth_member(struct buf *out, json_t *object, size_t i)
{
    void *at = json_object_iter(object);

    while (at && i--)
        at = json_object_iter_next(object, at);
    if (!at)
        return false;
    add_clean(out, span_of(json_object_iter_key(at)));
    buf_add_char(out, ' ');
    add_scalar(out, json_object_iter_value(at));
    return true;
}

/* Appends line i of a cell; false when it has fewer lines. */
static bool add_line(struct buf *out, json_t *value, size_t i)
{
    json_t *element = json_array_get(value, i);

    if (json_is_object(value))
        return add_nth_member(out, value, i);
    if (!json_is_array(value)) {
        if (i == 0)
            add_scalar(out, value);
        return i == 0;
    }
    if (json_object_get(element, "cidr"))
        add_rule(out, element);
    else if (json_is_object(element))
        add_object(out, element);
    else
        add_scalar(out, element);
    return element != NULL;
}

/* "instanceId" as words: "INSTANCE-ID" for a heading, else "instance id". */
static void add_words(struct buf *out, const char *key, bool is_heading)
{
    for (; *key; key++) {
        bool is_capital = *key >= 'A' && *key <= 'Z';
        bool is_small = *key >= 'a' && *key <= 'z';
        char c = *key;

        if (is_capital)
            buf_add_char(out, is_heading ? '-' : ' ');
        if (is_capital && !is_heading)
            c = (char)(c - 'A' + 'a');
        if (is_small && is_heading)
            c = (char)(c - 'a' + 'A');
        buf_add_char(out, c);
    }
}

static struct column *find_column(struct table *table, const char *key)
{
    for (size_t i = 0; i < table->ncolumns; i++)
        if (strcmp(table->columns[i].key, key) == 0)
            return &table->columns[i];
    if (table->ncolumns == COLUMNS_MAX)
        return NULL;
    table->columns[table->ncolumns] = (struct column){.key = key};
    return &table->columns[table->ncolumns++];
}

/* Makes the column as wide as the value. */
static void measure(struct page *page, struct column *column, json_t *value)
{
    for (size_t i = 0; add_line(scratch_of(page), value, i); i++) {
        size_t width = width_of(buf_span(&page->scratch));

        if (width > column->width)
            column->width = width;
    }
    if (json_is_number(value))
        column->is_number = true;
}

/* Leaves out columns in which no cell has any text. */
static void drop_empty(struct table *table)
{
    size_t kept = 0;

    for (size_t i = 0; i < table->ncolumns; i++)
        if (table->columns[i].width)
            table->columns[kept++] = table->columns[i];
    table->ncolumns = kept;
}

/* Finds the columns: the keys of all rows in the order in which they come. */
static void table_init(struct page *page, struct table *table,
                       const json_t *rows)
{
    size_t r;
    json_t *row;

    *table = (struct table){.rows = rows};
    json_array_foreach(rows, r, row)
    {
        void *at = json_object_iter(row);

        for (; at; at = json_object_iter_next(row, at)) {
            struct column *column =
                find_column(table, json_object_iter_key(at));

            if (column)
                measure(page, column, json_object_iter_value(at));
        }
    }
    drop_empty(table);
    for (size_t i = 0; i < table->ncolumns; i++) {
        struct buf *scratch = scratch_of(page);

        add_words(scratch, table->columns[i].key, true);
        if (scratch->len > table->columns[i].width)
            table->columns[i].width = scratch->len;
    }
}

static void add_blanks(struct buf *out, size_t n)
{
    while (n--)
        buf_add_char(out, ' ');
}

/* Text in its column; nothing stands behind the last one. */
static void add_cell(struct buf *out, const struct table *table, size_t i,
                     struct span text)
{
    const struct column *column = &table->columns[i];
    size_t width = width_of(text);
    size_t rest = column->width > width ? column->width - width : 0;

    if (column->is_number)
        add_blanks(out, rest);
    buf_add_span(out, text);
    if (!column->is_number && i + 1 < table->ncolumns)
        add_blanks(out, rest);
    if (i + 1 < table->ncolumns)
        add_blanks(out, GAP);
}

static void add_heading(struct page *page, const struct table *table)
{
    buf_add_str(page->out, page->has_colours ? BOLD : "");
    for (size_t i = 0; i < table->ncolumns; i++) {
        struct buf *scratch = scratch_of(page);

        add_words(scratch, table->columns[i].key, true);
        add_cell(page->out, table, i, buf_span(scratch));
    }
    buf_add_str(page->out, page->has_colours ? PLAIN : "");
    buf_add_char(page->out, '\n');
}

/* Line n of a row; false when none of its cells has so many. */
static bool add_row_line(struct page *page, const struct table *table,
                         const json_t *row, size_t n)
{
    size_t begin = page->out->len;
    bool is_there = false;

    for (size_t i = 0; i < table->ncolumns; i++) {
        json_t *value = json_object_get(row, table->columns[i].key);
        struct buf *scratch = scratch_of(page);

        is_there = (value && add_line(scratch, value, n)) || is_there;
        add_cell(page->out, table, i, buf_span(scratch));
    }
    if (!is_there && n > 0) {
        buf_truncate(page->out, begin);
        return false;
    }
    while (page->out->len > begin && page->out->data[page->out->len - 1] == ' ')
        buf_truncate(page->out, page->out->len - 1);
    buf_add_char(page->out, '\n');
    return true;
}

static void add_table(struct page *page, const json_t *rows)
{
    struct table table;
    size_t r;
    json_t *row;

    table_init(page, &table, rows);
    if (!table.ncolumns)
        return;
    add_heading(page, &table);
    json_array_foreach(rows, r, row)
    {
        for (size_t n = 0; add_row_line(page, &table, row, n); n++)
            ;
    }
}

/* "key: value", with a list on the same line and an object below it. */
static void add_member(struct page *page, const char *key, json_t *value)
{
    bool is_table = json_is_object(json_array_get(value, 0));

    add_words(page->out, key, false);
    buf_add_str(page->out, is_table ? ":\n" : ": ");
    if (is_table) {
        add_table(page, value);
        return;
    }
    if (json_is_object(value))
        add_object(page->out, value);
    else if (json_is_array(value))
        for (size_t i = 0; i < json_array_size(value); i++) {
            buf_add_str(page->out, i ? ", " : "");
            (void)add_line(page->out, value, i);
        }
    else
        add_scalar(page->out, value);
    buf_add_char(page->out, '\n');
}

static bool is_apart(const char *key)
{
    return strcmp(key, "items") == 0 || strcmp(key, "failed") == 0 ||
           strcmp(key, "next") == 0;
}

static void add_failures(struct page *page, const json_t *failed)
{
    size_t i;
    const json_t *failure;

    json_array_foreach(failed, i, failure)
    {
        json_t *regions = json_object_get(failure, "regions");

        buf_add_str(page->out, page->has_colours ? RED : "");
        buf_add_str(page->out, "failed: ");
        for (size_t k = 0; k < json_array_size(regions); k++) {
            buf_add_str(page->out, k ? ", " : "");
            (void)add_line(page->out, regions, k);
        }
        buf_add_str(page->out, ": ");
        add_scalar(page->out, json_object_get(failure, "error"));
        buf_add_str(page->out, page->has_colours ? PLAIN : "");
        buf_add_char(page->out, '\n');
    }
}

static void add_page(struct page *page, json_t *root)
{
    const json_t *items = json_object_get(root, "items");
    const json_t *next = json_object_get(root, "next");
    void *at = json_object_iter(root);

    if (json_array_size(items)) {
        add_table(page, items);
        buf_add_char(page->out, '\n');
    }
    for (; at; at = json_object_iter_next(root, at))
        if (!is_apart(json_object_iter_key(at)))
            add_member(page, json_object_iter_key(at),
                       json_object_iter_value(at));
    if (next) {
        buf_add_str(page->out, "there is more: --after ");
        add_scalar(page->out, next);
        buf_add_char(page->out, '\n');
    }
    add_failures(page, json_object_get(root, "failed"));
}

enum err_code answer_write_table(const struct answer *answer, bool has_colours,
                                 struct buf *out, struct err *err)
{
    struct page page = {
        .out = out,
        .has_colours = has_colours,
        .scratch = BUF_INIT(CELL_MAX),
    };
    enum err_code rc;

    buf_reset(out);
    add_page(&page, answer->root);
    (void)scratch_of(&page);
    rc = page.failed ? err_set(err, page.failed, "table: %s",
                               page.failed == ERR_NOMEM ? "out of memory"
                                                        : "a cell is too long")
                     : buf_check(out, "table", err);
    buf_release(&page.scratch);
    return rc;
}
