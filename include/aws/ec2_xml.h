/*
 * ec2_xml.h - EC2's XML, as it streams in, to records; pure.
 *
 * Elements are told by their path (groupSet occurs at three depths, item
 * everywhere) and local name; unknown ones are skipped; order does not
 * matter. The bytes are hostile: any DOCTYPE is refused, and depth, text,
 * lists and records are bounded. Constant memory: one record at a time.
 */
#ifndef AWS_EC2_XML_H
#define AWS_EC2_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "aws/ec2_types.h"
#include "base/err.h"
#include "base/span.h"

/* Longest text of one element, bytes; more is ERR_LIMIT. */
#define EC2_XML_TEXT_MAX ((size_t)64 * 1024)
/* Most strings of one record together, bytes. */
#define EC2_XML_RECORD_MAX ((size_t)4 * 1024 * 1024)
/* Most entries of one list in a record: tags, groups, permissions, ranges. */
#define EC2_XML_LIST_MAX ((size_t)16 * 1024)
/* Deepest nesting of elements. */
#define EC2_XML_DEPTH_MAX 64
/* Most records in one document; EC2 gives at most 1,000 a page. */
#define EC2_XML_RECORDS_MAX 10000
/* Most bytes fed without one event: the parser swallows an unfinished tag or
 * comment without a word (seen with libxml2 2.9.14: 10 MB). */
#define EC2_XML_SILENT_MAX ((size_t)256 * 1024)

struct ec2_memo;
struct ec2_xml;

enum ec2_document {
    EC2_DOCUMENT_RESULT, /* "<Action>Response", whole */
    EC2_DOCUMENT_ERROR,  /* "Response" or "ErrorResponse", whole */
};

/* What stands beside the records. Borrowed until the next begin or free. */
struct ec2_page {
    enum ec2_document kind;
    bool unchanged;         /* the records are those that the memo had kept */
    struct span next_token; /* empty: this was the last page */
    struct span request_id;
    struct span error_code;    /* of the first error */
    struct span error_message; /* likewise */
};

/* records is copied, arg handed to its callbacks. ERR_NOMEM. */
NODISCARD enum err_code ec2_xml_new(const struct ec2_records *records,
                                    void *arg, struct ec2_xml **out,
                                    struct err *err);
void ec2_xml_free(struct ec2_xml *xml);

/*
 * Begins a document in which action's result (or an error) is expected, and
 * forgets what was before; record memory is kept. Only records of that action
 * are taken, whatever else stands in it.
 *
 * hold: if the document is short, up to 64 kB, it is parsed at its end, which
 * is faster; its records and its faults come then, these perhaps in other words
 * of the parser. Else it is as if not held.
 *
 * memo: NULL, or where the records of a document that is held come from if it
 * is the one kept there, and else are kept, unless further pages follow.
 * Borrowed until the document has ended.
 */
void ec2_xml_begin(struct ec2_xml *xml, enum ec2_action action, bool hold,
                   struct ec2_memo *memo);

/*
 * Takes the next bytes; records that end in them go to the callbacks.
 *
 * ERR_PARSE   not UTF-8 or not well-formed, another root, a DOCTYPE, a bad
 *             number
 * ERR_LIMIT   one of the limits above
 * ERR_NOMEM   or any code that a callback returned
 *
 * After a failure every further feed and the end fail with the same code.
 */
NODISCARD enum err_code ec2_xml_feed(struct ec2_xml *xml, const char *data,
                                     size_t len, struct err *err);

/*
 * Ends the document. ERR_PARSE when its root element has not ended; else as
 * ec2_xml_feed. *out is written on success only.
 */
NODISCARD enum err_code ec2_xml_end(struct ec2_xml *xml, struct ec2_page *out,
                                    struct err *err);

#endif
