#include "survey/scope.h"

#include <stdlib.h>
#include <string.h>

#include "aws/region.h"

/* Copies at most SCOPE_NAME_MAX bytes, lower case, no half characters. U+0000
 * would end the name before its time and make it another one. */
static void copy_name(struct span name, char out[SCOPE_NAME_MAX + 1])
{
    size_t len = name.len;

    if (len > SCOPE_NAME_MAX) {
        len = SCOPE_NAME_MAX;
        while (len && ((unsigned char)name.p[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name.p[i] ? name.p[i] : '?';

        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[len] = '\0';
}

static bool has_name(const struct scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->n; i++)
        if (strcmp(scope->entries[i].name, name) == 0)
            return true;
    return false;
}

static enum err_code add_name(struct scope *scope, struct span name,
                              struct err *err)
{
    char text[SCOPE_NAME_MAX + 1];
    struct scope_entry *entries;

    copy_name(name, text);
    if (has_name(scope, text))
        return ERR_OK;
    if (scope->n >= SCOPE_NAMES_MAX)
        return err_set(err, ERR_LIMIT,
                       "more than %d regions in the list; use \"all\"",
                       SCOPE_NAMES_MAX);
    entries = realloc(scope->entries, (scope->n + 1) * sizeof(*entries));
    if (!entries)
        return err_nomem(err, "scope");
    scope->entries = entries;
    entries[scope->n] = (struct scope_entry){.kind = SCOPE_UNKNOWN};
    memcpy(entries[scope->n].name, text, sizeof(text));
    scope->n++;
    return ERR_OK;
}

enum err_code scope_parse(struct span list, struct scope *out, struct err *err)
{
    struct span part;

    scope_release(out);
    while (span_split(&list, ',', &part)) {
        enum err_code rc;

        part = span_trim(part);
        if (part.len == 0)
            continue;
        if (span_eq_nocase(part, SPAN_LIT("all"))) {
            scope_release(out);
            break;
        }
        rc = add_name(out, part, err);
        if (rc) {
            scope_release(out);
            return rc;
        }
    }
    out->all = out->n == 0;
    return ERR_OK;
}

static enum scope_kind kind_of(const struct atlas *atlas, const char *name)
{
    if (!region_is_well_formed(span_of(name)))
        return SCOPE_ILL_FORMED;
    return atlas_knows(atlas, span_of(name)) ? SCOPE_REGION : SCOPE_UNKNOWN;
}

enum err_code scope_resolve(struct scope *scope, const struct atlas *atlas,
                            struct err *err)
{
    size_t n;
    const char *const *names = atlas_regions(atlas, &n);

    if (scope->all) {
        scope_release(scope);
        scope->all = true;
        for (size_t i = 0; i < n; i++) {
            enum err_code rc = add_name(scope, span_of(names[i]), err);

            if (rc)
                return rc;
        }
    }
    for (size_t i = 0; i < scope->n; i++)
        scope->entries[i].kind = kind_of(atlas, scope->entries[i].name);
    return ERR_OK;
}

size_t scope_count(const struct scope *scope, enum scope_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < scope->n; i++)
        n += scope->entries[i].kind == kind;
    return n;
}

void scope_release(struct scope *scope)
{
    free(scope->entries);
    *scope = (struct scope)SCOPE_INIT;
}
