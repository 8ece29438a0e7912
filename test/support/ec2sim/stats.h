/*
 * stats.h - counts what was asked and answered, for tests to look at.
 *
 * An answer is counted before it is sent, so that a client that has it finds
 * it counted.
 */
#ifndef EC2SIM_STATS_H
#define EC2SIM_STATS_H

#include <stddef.h>

#include "ask.h"
#include "pages.h"
#include "text.h"

struct stats; /* safe to use from several threads */

struct stats *stats_new(const struct world *world);
void stats_free(struct stats *stats);
void stats_reset(struct stats *stats);

/* A connection was accepted. */
void stats_connection(struct stats *stats);

/* The first request on a connection was for that region. */
void stats_connection_of(struct stats *stats, const struct region *region);

/* A client on a connection chose that region's certificate. */
void stats_handshake_of(struct stats *stats, const struct region *region);

/* action may be ACTION_COUNT; bytes are those of the body as sent. */
void stats_answer(struct stats *stats, const struct region *region,
                  enum action action, unsigned status, size_t bytes);

/* All of it as JSON. */
void stats_json(struct stats *stats, struct text *out);

#endif
