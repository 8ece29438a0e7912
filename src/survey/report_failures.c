#include "report_failures.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "aws/region.h"

/* Names suggested for one that is unknown. */
#define NEAREST_MAX 3

/* ", nearest: a, b" for a name that is not known. */
static void add_nearest(struct buf *sentence, const struct atlas *atlas,
                        const char *name)
{
    const char *nearest[NEAREST_MAX];
    const char *known[ATLAS_REGIONS_MAX];
    size_t nall;
    size_t nknown = 0;
    size_t n;
    const char *const *all = atlas_regions(atlas, &nall);

    for (size_t i = 0; i < nall && nknown < ATLAS_REGIONS_MAX; i++)
        if (atlas_allows(atlas, span_of(all[i])))
            known[nknown++] = all[i];
    n = region_nearest(span_of(name), known, nknown, nearest, NEAREST_MAX);
    for (size_t i = 0; i < n; i++)
        buf_addf(sentence, "%s%s", i ? ", " : "; nearest: ", nearest[i]);
}

static const char *unknown_sentence(const struct atlas *atlas)
{
    switch (atlas_get_source(atlas)) {
    case ATLAS_CONFIGURED:
        return "not among the regions this function may ask";
    case ATLAS_ACCOUNT:
        return "unknown, or not enabled in this account";
    case ATLAS_BUILT_IN:
        break;
    }
    return "unknown region";
}

/* Why an entry of the list was not even asked. */
static void name_sentence(const struct report_input *in,
                          const struct scope_entry *entry, struct buf *out)
{
    switch (entry->kind) {
    case SCOPE_ILL_FORMED:
        buf_add_str(out, "not a region name");
        break;
    case SCOPE_UNKNOWN:
        buf_add_str(out, unknown_sentence(in->atlas));
        break;
    case SCOPE_NOT_ALLOWED:
        buf_add_str(out, "not allowed: outside REGIONS_ALLOWED");
        return;
    case SCOPE_NO_MATCH:
        buf_add_str(out, "no region that may be asked has such a name");
        return;
    case SCOPE_EXCLUDED:
        buf_add_str(out, "the list excludes every region that it names");
        return;
    case SCOPE_REGION:
        break;
    }
    add_nearest(out, in->atlas, entry->name);
}

/* region is NULL when it was not asked. */
static enum err_code add_failure(const struct report_input *in, size_t entry,
                                 const struct sweep_region *region,
                                 struct report_failures *out, struct err *err)
{
    struct report_failure *failure = &out->v[out->n];
    struct buf text = BUF_INIT(FAILURE_SENTENCE_MAX);
    enum err_code rc = ERR_OK;

    *failure = (struct report_failure){.entry = entry};
    if (region) {
        failure_sentence(&region->failure, failure->sentence);
    } else {
        name_sentence(in, &in->scope->entries[entry], &text);
        if (text.failed == ERR_NOMEM)
            rc = err_nomem(err, "report");
        memcpy(failure->sentence, text.data, text.len + 1);
    }
    buf_release(&text);
    if (!rc)
        out->n++;
    return rc;
}

enum err_code report_failures_collect(const struct report_input *in,
                                      struct report_failures *out,
                                      struct err *err)
{
    size_t next = 0;

    *out = (struct report_failures){.scope = in->scope};
    out->v = calloc(in->scope->n ? in->scope->n : 1, sizeof(*out->v));
    if (!out->v)
        return err_nomem(err, "report");
    for (size_t i = 0; i < in->scope->n; i++) {
        const struct sweep_region *region =
            in->scope->entries[i].kind == SCOPE_REGION
                ? sweep_get_region(in->sweep, next++)
                : NULL;
        enum err_code rc;

        if (region && region->failure.kind == FAILURE_NONE)
            continue;
        rc = add_failure(in, i, region, out, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

void report_failures_release(struct report_failures *failures)
{
    free(failures->v);
    *failures = (struct report_failures){0};
}

static const char *name_of(const struct report_failures *f, size_t i)
{
    return f->scope->entries[f->v[i].entry].name;
}

json_t *report_failure_json(const struct report_failures *failures, size_t i)
{
    return json_pack("{s:s, s:s}", "region", name_of(failures, i), "error",
                     failures->v[i].sentence);
}

static bool is_alike(const struct report_failures *f, size_t i, size_t other)
{
    return !f->v[other].told &&
           strcmp(f->v[i].sentence, f->v[other].sentence) == 0;
}

size_t report_failures_alike(const struct report_failures *failures, size_t i)
{
    size_t n = 0;

    for (size_t k = i; k < failures->n; k++)
        n += is_alike(failures, i, k);
    return n;
}

json_t *report_failures_json(const struct report_failures *failures, size_t i,
                             size_t n)
{
    json_t *regions = json_array();
    json_t *group = NULL;
    bool ok = regions != NULL;

    for (size_t k = i; ok && n && k < failures->n; k++) {
        if (!is_alike(failures, i, k))
            continue;
        ok = json_array_append_new(regions,
                                   json_string(name_of(failures, k))) == 0;
        n--;
    }
    if (ok)
        group = json_pack("{s:O, s:s}", "regions", regions, "error",
                          failures->v[i].sentence);
    json_decref(regions);
    return group;
}

void report_failures_tell(struct report_failures *failures, size_t i)
{
    for (size_t k = failures->n; k-- > i;)
        if (is_alike(failures, i, k))
            failures->v[k].told = true;
}
