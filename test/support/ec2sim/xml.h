/*
 * xml.h - a streaming XML writer with the shapes that EC2's answers may take.
 *
 * Compact as EC2 writes since 2025, indented as it did before, or with the
 * fields of every structure in another order. Members of a list keep their
 * order, as order among them may carry meaning.
 */
#ifndef EC2SIM_XML_H
#define EC2SIM_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fleet.h"
#include "text.h"

#define XML_MAX_DEPTH 16
#define XML_MAX_FIELDS 80

struct xml_shape {
    bool pretty;
    bool shuffle;
};

struct xml_frame {
    const char *name;
    bool is_list;
    size_t nkids;
    size_t kids[XML_MAX_FIELDS]; /* where each begins; structures only */
};

struct xml {
    struct text out;
    struct xml_shape shape;
    struct rng rng; /* decides the order when shuffling */
    struct text scratch;
    struct xml_frame stack[XML_MAX_DEPTH];
    size_t depth;
};

/* Empties the writer and begins a document with that root. */
void xml_begin(struct xml *x, struct xml_shape shape, uint64_t seed);

/* xmlns may be NULL. */
void xml_root(struct xml *x, const char *name, const char *xmlns);

/* Elements with fields, elements with like members, and their end. */
void xml_open(struct xml *x, const char *name);
void xml_list(struct xml *x, const char *name);
void xml_close(struct xml *x);

/* An element with text, empty for "". Names are literals; text is escaped. */
void xml_leaf(struct xml *x, const char *name, const char *value);
void xml_number(struct xml *x, const char *name, long value);

/* An element with one element with text in it. */
void xml_nested(struct xml *x, const char *name, const char *inner,
                const char *value);

/* The text so far goes to the caller, who frees it. */
struct text xml_take(struct xml *x);
void xml_release(struct xml *x);

#endif
