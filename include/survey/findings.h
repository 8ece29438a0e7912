/*
 * findings.h - instances worth telling, compact, with rollback.
 *
 * The common storage of the folds that list instances: id, name, state and a
 * list of group ids each, copied into an arena.
 */
#ifndef SURVEY_FINDINGS_H
#define SURVEY_FINDINGS_H

#include <stddef.h>

#include "aws/ec2_types.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct json_t;

struct finding {
    struct span id;
    struct span name;
    struct span state;
    const struct span *group_ids; /* sorted, each once */
    size_t ngroup_ids;
};

/* Initialise with FINDINGS_INIT; read rows and nrows only. */
struct findings {
    struct arena arena;
    struct finding *rows;
    size_t nrows;
    size_t cap;
};

#define FINDINGS_INIT(max_bytes)                                               \
    {                                                                          \
        ARENA_INIT(max_bytes), NULL, 0, 0                                      \
    }

/*
 * Adds the instance: its id, its tag Name (as label_copy()) and its state, and,
 * when with_groups is true, its group ids. ERR_NOMEM; ERR_LIMIT past max_bytes.
 */
NODISCARD enum err_code findings_add(struct findings *f,
                                     const struct ec2_instance *instance,
                                     bool with_groups, struct err *err);

struct findings_mark {
    struct arena_mark arena;
    size_t nrows;
};
struct findings_mark findings_mark(const struct findings *f);

/* Drops the rows added since the mark. */
void findings_rollback(struct findings *f, struct findings_mark mark);

/* Sorts by id and keeps one of rows with the same id. Marks are void. */
void findings_sort_unique(struct findings *f);

/*
 * A row as a new JSON object {"region", "instanceId", "instanceName",
 * "state"}; NULL when out of memory.
 */
NODISCARD struct json_t *findings_row_json(const struct finding *row,
                                           const char *region);

/* Bytes that the rows take. */
size_t findings_bytes(const struct findings *f);

void findings_release(struct findings *f);

#endif
