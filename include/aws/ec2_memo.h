/*
 * ec2_memo.h - the records of one short answer, kept so that the same bytes
 * need not be parsed again; pure but for the key.
 *
 * EC2 is asked each time. But between two questions most regions are as they
 * were. Where EC2's answer is then the same but for its request id, its records
 * come from here. Whether it is the same says a digest under a random key, so
 * nobody who can write into an answer, by a tag, can make two answers look
 * alike. What does not begin as EC2's answers do, in ASCII and with the request
 * id behind the root, is not kept, nor are more than EC2_MEMO_MAX bytes of
 * records.
 */
#ifndef AWS_EC2_MEMO_H
#define AWS_EC2_MEMO_H

#include <stdbool.h>
#include <stddef.h>

#include "aws/ec2_types.h"
#include "base/err.h"
#include "base/span.h"

/* Most memory for the records of one answer, bytes. */
#define EC2_MEMO_MAX ((size_t)32 * 1024)

struct ec2_memo;

/* ERR_NOMEM; ERR_CRYPTO when there is no randomness. */
NODISCARD enum err_code ec2_memo_new(struct ec2_memo **out, struct err *err);
void ec2_memo_free(struct ec2_memo *memo);

/*
 * Whether document, an answer to action, is the one kept: then its request id
 * is *request_id, a part of document, and ec2_memo_tell() has its records. Else
 * what was kept is forgotten, and the records of document can be added as they
 * are parsed; they count once ec2_memo_keep() was called.
 */
bool ec2_memo_recall(struct ec2_memo *memo, enum ec2_action action,
                     struct span document, struct span *request_id);

/* Bytes of the last document that was held against what is kept; 0: none. */
size_t ec2_memo_document_len(const struct ec2_memo *memo);

/* Copies the record. When it does not fit nothing is kept. ERR_NOMEM. */
NODISCARD enum err_code
ec2_memo_add_instance(struct ec2_memo *memo,
                      const struct ec2_instance *instance, struct err *err);
NODISCARD enum err_code ec2_memo_add_group(struct ec2_memo *memo,
                                           const struct ec2_group *group,
                                           struct err *err);
NODISCARD enum err_code ec2_memo_add_region(struct ec2_memo *memo,
                                            const struct ec2_region *region,
                                            struct err *err);

/* The document has ended well and was all of the answer; request_id is what
 * the parser read as such. Or it is not to be kept. */
void ec2_memo_keep(struct ec2_memo *memo, struct span request_id);
void ec2_memo_forget(struct ec2_memo *memo);

/* Hands the records kept to the callbacks, in their order. ERR_OK or what a
 * callback returned. */
NODISCARD enum err_code ec2_memo_tell(const struct ec2_memo *memo,
                                      const struct ec2_records *records,
                                      void *arg, struct err *err);

#endif
