/*
 * findings.h - instances worth telling, compact, with rollback and a limit:
 * the storage of the folds that list instances.
 *
 * What is kept at the limit does not depend on the order of arrival: the rows
 * with the smallest ids that fit, and one whatever its size, but none where the
 * limit is 0. The rest is counted, and so are those up to the place from which
 * the answer goes on ("after").
 */
#ifndef SURVEY_FINDINGS_H
#define SURVEY_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/ec2_types.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "survey/finding.h"
#include "survey/fold.h"

/* Room beside the limit for the page that is being read, bytes. */
#define FINDINGS_PAGE_MAX ((size_t)16 * 1024 * 1024)

/* What is kept beside id and state. */
enum findings_part {
    FINDINGS_NAMES = 1U << 0,
    FINDINGS_PUBLIC = 1U << 1, /* public IPv4 address, IPv6 address */
    FINDINGS_PRIVATE = 1U << 2,
    FINDINGS_GROUPS = 1U << 3,  /* sorted, each once */
    FINDINGS_DETAILS = 1U << 4, /* type, launch time: kept unless "brief" */
};

struct findings_mark {
    struct arena_mark arena;
    size_t nrows;
    size_t ncounted;
};

/* Read rows and nrows only. */
struct findings {
    struct arena arena;
    struct finding *rows;
    size_t nrows;
    size_t cap;
    uint64_t *counted; /* hashes of ids that have no row; even: before */
    size_t ncounted;
    size_t counted_cap;
    struct span *groups; /* room to sort those of one instance */
    size_t groups_cap;
    struct findings_mark begun;     /* when the listing began */
    struct findings_mark committed; /* at the last commit */
    struct fold_options options;
    unsigned parts;
    struct span limit;       /* the smallest id without a row; empty: none */
    bool trimmed;            /* since begun */
    struct fold_tally tally; /* set by findings_end() */
};

void findings_init(struct findings *f, const struct fold_options *options,
                   unsigned parts);
void findings_release(struct findings *f);

/*
 * Adds the instance. certain: it is a finding for sure, so that it may be
 * counted at once where it would have no row. ERR_NOMEM; ERR_LIMIT when one
 * page takes more than FINDINGS_PAGE_MAX.
 */
NODISCARD enum err_code findings_add(struct findings *f,
                                     const struct ec2_instance *instance,
                                     bool certain, struct err *err);

/* A listing begins; the page is whole; it is void; so is the whole listing,
 * unless rows of it and of one before were trimmed together: then they stay,
 * and what it repeats is dropped as such. The last forgets all rows. */
void findings_begin(struct findings *f);
void findings_commit(struct findings *f);
void findings_rollback(struct findings *f);
void findings_restart(struct findings *f);
void findings_reset(struct findings *f);

/* Keeps the rows that keep() says to, which may filter their groups; all must
 * be committed. */
void findings_filter(struct findings *f,
                     bool (*keep)(const void *arg, struct finding *row),
                     const void *arg);

/*
 * The final order: by id, each once, without those before "after", cut to the
 * limit, the others counted. findings_trim() also gives memory back, and may
 * be called again and again, when all rows are committed. All must be certain.
 */
void findings_end(struct findings *f);
void findings_trim(struct findings *f);

/* Whether the rows take twice their limit, so that a trim is due. */
bool findings_are_over(const struct findings *f);

/* Once it has ended: how many were found; and a row as JSON, but for the brace
 * that closes it, so that more members can follow. Returns its id. */
struct fold_tally findings_tally(const struct findings *f);
struct span findings_begin_row(const struct findings *f,
                               const struct fold_row *which, struct buf *out);

/* Bytes that the rows take. */
size_t findings_bytes(const struct findings *f);

#endif
