/*
 * ec2_xml_private.h - what the two halves of the XML reader share: the path
 * and the parser (ec2_xml.c), and the record being built (ec2_xml_record.c).
 */
#ifndef AWS_EC2_XML_PRIVATE_H
#define AWS_EC2_XML_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include <libxml/parser.h>

#include "ec2_xml_node.h"
#include "aws/ec2_memo.h"
#include "aws/ec2_types.h"
#include "aws/ec2_xml.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* A growing array of the record being built. */
struct list {
    void *items;
    size_t n;
    size_t cap;
};

/* Between which rows of the table the steps from a node are. */
struct step_range {
    size_t first;
    size_t end;
};

struct ec2_xml {
    struct ec2_records records;
    void *arg;
    xmlParserCtxtPtr parser;
    enum ec2_action action; /* whose result is expected */
    struct step_range steps[NNODES];

    enum node path[EC2_XML_DEPTH_MAX];
    size_t depth;
    size_t skipped; /* depth below the first element skipped */
    bool whole;     /* the root has ended */
    bool holds;     /* until the document ends or is too long */
    struct buf held;
    struct ec2_memo *memo; /* for a document that is held, or NULL */
    bool unchanged;        /* it was the one in memo */
    bool event;    /* something happened since the last feed */
    size_t silent; /* bytes fed since then */
    size_t nbytes; /* of the document, up to two */
    size_t nrecords;
    size_t nrequest_ids;
    enum err_code failed;
    struct err err;

    struct buf text; /* of the element being read */
    enum ec2_document kind;
    struct buf next_token;
    struct buf request_id;
    struct buf error_code;
    struct buf error_message;

    /* The record being built; its texts are in strings. */
    struct arena strings;
    struct ec2_instance instance;
    struct ec2_group group;
    struct ec2_region region;
    struct list tags;        /* struct ec2_tag */
    struct list group_ids;   /* struct span */
    struct list addresses;   /* struct ec2_address */
    struct list permissions; /* struct ec2_permission */
    struct list cidrs;       /* struct span */
    bool has_from;
    bool has_to;
};

/* Ends the document with a failure; ERR_OK is none, the first one stays. */
void ec2_xml_fail(struct ec2_xml *xml, enum err_code code);

/* The same with the text "ec2_xml: <what>". */
void ec2_xml_fail_with(struct ec2_xml *xml, enum err_code code,
                       const char *what);

/* Whether the characters of an element at node are wanted. */
bool ec2_xml_wants_text(enum node node);

/* An element at node begins, or ends with its characters in xml->text. */
void ec2_xml_enter(struct ec2_xml *xml, enum node node);
void ec2_xml_leave(struct ec2_xml *xml, enum node node);

/* Frees the record's memory. */
void ec2_xml_release_record(struct ec2_xml *xml);

#endif
