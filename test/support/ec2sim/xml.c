/*
 * xml.c - a streaming XML writer with the shapes that EC2's answers may take.
 *
 * Shuffling permutes the byte ranges of an element's children when it closes,
 * so the renderer need not know of it.
 */
#include "xml.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void xml_begin(struct xml *x, struct xml_shape shape, uint64_t seed)
{
    x->out.len = 0;
    x->shape = shape;
    x->rng = (struct rng){seed};
    x->depth = 0;
    text_str(&x->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
}

static void new_line(struct xml *x)
{
    static const char blanks[] = "\n                                        ";
    size_t n = 1 + 4 * x->depth;

    if (!x->shape.pretty)
        return;
    text_add(&x->out, blanks, n < sizeof(blanks) ? n : sizeof(blanks) - 1);
}

/* Notes that a child begins here; the first ends its parent's start tag. */
static void begin_child(struct xml *x)
{
    struct xml_frame *parent;

    if (x->depth == 0) {
        new_line(x);
        return;
    }
    parent = &x->stack[x->depth - 1];
    if (parent->nkids == 0)
        text_add(&x->out, ">", 1);
    if (!parent->is_list) {
        assert(parent->nkids < XML_MAX_FIELDS);
        parent->kids[parent->nkids] = x->out.len;
    }
    parent->nkids++;
    new_line(x);
}

static void push(struct xml *x, const char *name, bool is_list)
{
    struct xml_frame *frame;

    assert(x->depth < XML_MAX_DEPTH);
    begin_child(x);
    text_add(&x->out, "<", 1);
    text_str(&x->out, name);
    frame = &x->stack[x->depth++];
    frame->name = name;
    frame->is_list = is_list;
    frame->nkids = 0;
}

void xml_root(struct xml *x, const char *name, const char *xmlns)
{
    push(x, name, false);
    if (!xmlns)
        return;
    text_str(&x->out, " xmlns=\"");
    text_str(&x->out, xmlns);
    text_add(&x->out, "\"", 1);
}

void xml_open(struct xml *x, const char *name)
{
    push(x, name, false);
}

void xml_list(struct xml *x, const char *name)
{
    push(x, name, true);
}

static void shuffle(struct xml *x, struct xml_frame *frame)
{
    size_t start = frame->kids[0];
    size_t order[XML_MAX_FIELDS] = {0};

    for (size_t i = 0; i < frame->nkids; i++)
        order[i] = i;
    for (size_t i = frame->nkids; i > 1; i--) {
        size_t other = rng_below(&x->rng, (uint32_t)i);
        size_t kid = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kid;
    }
    x->scratch.len = 0;
    for (size_t i = 0; i < frame->nkids; i++) {
        size_t k = order[i];
        size_t end = k + 1 < frame->nkids ? frame->kids[k + 1] : x->out.len;

        text_add(&x->scratch, x->out.p + frame->kids[k], end - frame->kids[k]);
    }
    memcpy(x->out.p + start, x->scratch.p, x->scratch.len);
}

void xml_close(struct xml *x)
{
    struct xml_frame *frame = &x->stack[--x->depth];

    if (frame->nkids == 0) {
        text_add(&x->out, "/>", 2);
        return;
    }
    if (x->shape.shuffle && !frame->is_list)
        shuffle(x, frame);
    new_line(x);
    text_add(&x->out, "</", 2);
    text_str(&x->out, frame->name);
    text_add(&x->out, ">", 1);
}

static void add_escaped(struct text *out, const char *s)
{
    for (;;) {
        size_t plain = strcspn(s, "&<>\"'");

        text_add(out, s, plain);
        s += plain;
        switch (*s++) {
        case '&':
            text_str(out, "&amp;");
            break;
        case '<':
            text_str(out, "&lt;");
            break;
        case '>':
            text_str(out, "&gt;");
            break;
        case '"':
            text_str(out, "&quot;");
            break;
        case '\'':
            text_str(out, "&#39;");
            break;
        default:
            return;
        }
    }
}

void xml_leaf(struct xml *x, const char *name, const char *value)
{
    size_t len = strlen(name);

    begin_child(x);
    text_add(&x->out, "<", 1);
    text_add(&x->out, name, len);
    if (!*value) {
        text_add(&x->out, "/>", 2);
        return;
    }
    text_add(&x->out, ">", 1);
    add_escaped(&x->out, value);
    text_add(&x->out, "</", 2);
    text_add(&x->out, name, len);
    text_add(&x->out, ">", 1);
}

void xml_number(struct xml *x, const char *name, long value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%ld", value);
    xml_leaf(x, name, digits);
}

void xml_nested(struct xml *x, const char *name, const char *inner,
                const char *value)
{
    xml_open(x, name);
    xml_leaf(x, inner, value);
    xml_close(x);
}

struct text xml_take(struct xml *x)
{
    struct text out = x->out;

    x->out = (struct text){0};
    return out;
}

void xml_release(struct xml *x)
{
    text_release(&x->out);
    text_release(&x->scratch);
}
