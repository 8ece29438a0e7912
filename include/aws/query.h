/*
 * query.h - the form body of an EC2 Query API request; pure.
 *
 * Names are case-sensitive and lists are numbered from 1 (Amazon EC2 API
 * Reference, "Query requests"). Everything but A-Z a-z 0-9 - _ . ~ is
 * percent-encoded, in upper-case hex.
 */
#ifndef AWS_QUERY_H
#define AWS_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* The API version all requests name. */
#define QUERY_VERSION "2016-11-15"

/*
 * Appends text percent-encoded. Failure of this and of the functions below:
 * see buf_check().
 */
void query_encode(struct buf *out, struct span text);

/* Begins a body: "Action=<action>&Version=2016-11-15". Empties *body first. */
void query_begin(struct buf *body, const char *action);

/* Appends "&<name>=<value>", the value encoded; name stands for itself. */
void query_add(struct buf *body, const char *name, struct span value);
void query_add_int(struct buf *body, const char *name, int64_t value);

/*
 * Appends "&Filter.<n>.Name=<name>" and "&Filter.<n>.Value.<k>=<value>" for
 * each of nvalues values, name and values encoded; n and k count from 1.
 */
void query_add_filter(struct buf *body, unsigned n, const char *name,
                      const char *const *values, size_t nvalues);

#endif
