#include "survey/findings.h"

#include <stdbool.h>
#include <stdlib.h>

#include <jansson.h>

#include "survey/label.h"

static enum err_code no_room(const struct findings *f, size_t wanted,
                             struct err *err)
{
    if (wanted + sizeof(max_align_t) >= f->arena.max - f->arena.total)
        return err_set(err, ERR_LIMIT,
                       "findings: more than %zu bytes in one region",
                       f->arena.max);
    return err_nomem(err, "findings");
}

static enum err_code grow(struct findings *f, struct err *err)
{
    size_t cap = f->cap ? f->cap * 2 : 64;
    struct finding *rows;

    if (f->nrows < f->cap)
        return ERR_OK;
    rows = realloc(f->rows, cap * sizeof(*rows));
    if (!rows)
        return err_nomem(err, "findings");
    f->rows = rows;
    f->cap = cap;
    return ERR_OK;
}

static enum err_code copy_text(struct findings *f, struct span text,
                               struct span *out, struct err *err)
{
    *out = arena_copy(&f->arena, text);
    return out->p ? ERR_OK : no_room(f, text.len, err);
}

static enum err_code copy_label(struct findings *f, struct span text,
                                struct span *out, struct err *err)
{
    *out = label_copy(&f->arena, text);
    return out->p ? ERR_OK : no_room(f, text.len, err);
}

static int compare_spans(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* Copies the instance's group ids, sorted, each once. */
static enum err_code copy_groups(struct findings *f,
                                 const struct ec2_instance *instance,
                                 struct finding *row, struct err *err)
{
    size_t size = instance->ngroup_ids * sizeof(struct span);
    struct span *ids;
    size_t n = 0;

    if (size == 0)
        return ERR_OK;
    ids = arena_alloc(&f->arena, size);
    if (!ids)
        return no_room(f, size, err);
    for (size_t i = 0; i < instance->ngroup_ids; i++)
        ids[i] = instance->group_ids[i];
    qsort(ids, instance->ngroup_ids, sizeof(*ids), compare_spans);
    for (size_t i = 0; i < instance->ngroup_ids; i++) {
        enum err_code rc;

        if (n && span_eq(ids[n - 1], ids[i]))
            continue;
        rc = copy_text(f, ids[i], &ids[n], err);
        if (rc)
            return rc;
        n++;
    }
    row->group_ids = ids;
    row->ngroup_ids = n;
    return ERR_OK;
}

enum err_code findings_add(struct findings *f,
                           const struct ec2_instance *instance,
                           bool with_groups, struct err *err)
{
    struct finding row = {0};
    struct arena_mark mark = arena_mark(&f->arena);
    enum err_code rc;

    rc = grow(f, err);
    if (rc)
        return rc;
    rc = copy_text(f, instance->id, &row.id, err);
    if (!rc)
        rc = copy_label(f, ec2_instance_tag(instance, "Name"), &row.name, err);
    if (!rc)
        rc = copy_text(f, instance->state, &row.state, err);
    if (!rc && with_groups)
        rc = copy_groups(f, instance, &row, err);
    if (rc) {
        arena_rollback(&f->arena, mark);
        return rc;
    }
    f->rows[f->nrows++] = row;
    return ERR_OK;
}

struct findings_mark findings_mark(const struct findings *f)
{
    return (struct findings_mark){arena_mark(&f->arena), f->nrows};
}

void findings_rollback(struct findings *f, struct findings_mark mark)
{
    arena_rollback(&f->arena, mark.arena);
    f->nrows = mark.nrows;
}

static int compare_rows(const void *a, const void *b)
{
    return span_cmp(((const struct finding *)a)->id,
                    ((const struct finding *)b)->id);
}

void findings_sort_unique(struct findings *f)
{
    size_t n = 0;

    if (f->nrows == 0)
        return;
    qsort(f->rows, f->nrows, sizeof(*f->rows), compare_rows);
    for (size_t i = 0; i < f->nrows; i++)
        if (n == 0 || !span_eq(f->rows[n - 1].id, f->rows[i].id))
            f->rows[n++] = f->rows[i];
    f->nrows = n;
}

json_t *findings_row_json(const struct finding *row, const char *region)
{
    return json_pack("{s:s, s:s%, s:s%, s:s%}", "region", region, "instanceId",
                     row->id.p, row->id.len, "instanceName", row->name.p,
                     row->name.len, "state", row->state.p, row->state.len);
}

size_t findings_bytes(const struct findings *f)
{
    return arena_total(&f->arena) + f->nrows * sizeof(*f->rows);
}

void findings_release(struct findings *f)
{
    free(f->rows);
    arena_release(&f->arena);
    *f = (struct findings)FINDINGS_INIT(f->arena.max);
}
