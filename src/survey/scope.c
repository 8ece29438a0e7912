#include "survey/scope.h"

#include <stdlib.h>
#include <string.h>

#include "aws/region.h"

/* One entry of the list. */
struct scope_item {
    char text[SCOPE_NAME_MAX + 1]; /* as it is told, with the '!' */
    size_t at;                     /* where the name in it begins */
    bool is_cut; /* then it is no name, and no pattern: it would fit more */
    bool is_pattern;
    bool is_exclusion;
};

/* Copies at most SCOPE_NAME_MAX bytes, lower case, no half characters: those
 * have up to three bytes more. What is cut stays too long to be a region's
 * name. U+0000 would end the name before its time and make it another one. */
static void copy_name(struct span name, char out[SCOPE_NAME_MAX + 1])
{
    size_t len = name.len;

    if (len > SCOPE_NAME_MAX) {
        len = SCOPE_NAME_MAX;
        while (len > SCOPE_NAME_MAX - 3 &&
               ((unsigned char)name.p[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name.p[i] ? name.p[i] : '?';

        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[len] = '\0';
}

static enum err_code too_many(struct err *err)
{
    return err_set(err, ERR_LIMIT,
                   "more than %d regions in the list; use \"all\"",
                   SCOPE_NAMES_MAX);
}

/* --- the list ------------------------------------------------------------ */

/* The name, or the pattern that stands for names. */
static const char *name_of(const struct scope_item *item)
{
    const char *name = item->text + item->at;

    return strcmp(name, "all") == 0 ? "*" : name;
}

static bool has_item(const struct scope *scope, const struct scope_item *item)
{
    for (size_t i = 0; i < scope->nitems; i++)
        if (scope->items[i].is_exclusion == item->is_exclusion &&
            scope->items[i].is_cut == item->is_cut &&
            strcmp(name_of(&scope->items[i]), name_of(item)) == 0)
            return true;
    return false;
}

static enum err_code add_item(struct scope *scope, struct span text,
                              struct err *err)
{
    struct scope_item item = {.is_exclusion = text.p[0] == '!',
                              .is_cut = text.len > SCOPE_NAME_MAX};
    struct scope_item *items;

    copy_name(text, item.text);
    if (item.is_exclusion)
        item.at = 1 + strspn(item.text + 1, " \t\r\n");
    item.is_pattern = !item.is_cut && strchr(name_of(&item), '*');
    if (has_item(scope, &item))
        return ERR_OK;
    if (scope->nitems >= SCOPE_NAMES_MAX)
        return too_many(err);
    items = realloc(scope->items, (scope->nitems + 1) * sizeof(*items));
    if (!items)
        return err_nomem(err, "scope");
    scope->items = items;
    items[scope->nitems++] = item;
    return ERR_OK;
}

static bool is_every_region(const struct scope *scope)
{
    bool only_exclusions = true;

    for (size_t i = 0; i < scope->nitems; i++) {
        if (scope->items[i].is_exclusion)
            continue;
        if (strcmp(name_of(&scope->items[i]), "*") == 0)
            return true;
        only_exclusions = false;
    }
    return only_exclusions;
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
        rc = add_item(out, part, err);
        if (rc) {
            scope_release(out);
            return rc;
        }
    }
    out->all = is_every_region(out);
    return ERR_OK;
}

/* --- the entries --------------------------------------------------------- */

static bool has_name(const struct scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->n; i++)
        if (strcmp(scope->entries[i].name, name) == 0)
            return true;
    return false;
}

static enum err_code add_entry(struct scope *scope, const char *name,
                               enum scope_kind kind, struct err *err)
{
    struct scope_entry *entries;

    if (has_name(scope, name))
        return ERR_OK;
    if (scope->n >= SCOPE_NAMES_MAX)
        return too_many(err);
    entries = realloc(scope->entries, (scope->n + 1) * sizeof(*entries));
    if (!entries)
        return err_nomem(err, "scope");
    scope->entries = entries;
    entries[scope->n] = (struct scope_entry){.kind = kind};
    memcpy(entries[scope->n].name, name, strlen(name) + 1);
    scope->n++;
    return ERR_OK;
}

static enum scope_kind kind_of(const struct atlas *atlas, const char *name)
{
    if (!region_is_well_formed(span_of(name)))
        return SCOPE_ILL_FORMED;
    if (!atlas_allows(atlas, span_of(name)))
        return SCOPE_NOT_ALLOWED;
    return atlas_knows(atlas, span_of(name)) ? SCOPE_REGION : SCOPE_UNKNOWN;
}

static bool is_excluded(const struct scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->nitems; i++)
        if (scope->items[i].is_exclusion && !scope->items[i].is_cut &&
            span_fits(span_of(name), span_of(name_of(&scope->items[i]))))
            return true;
    return false;
}

/* The known regions that fit, by name; a pattern that fits none is an entry
 * itself, so that it does not vanish. */
static enum err_code add_fitting(struct scope *scope, const struct atlas *atlas,
                                 const char *pattern, struct err *err)
{
    size_t n;
    const char *const *names = atlas_regions(atlas, &n);
    bool fits = false;

    for (size_t i = 0; i < n; i++) {
        enum err_code rc;

        if (!span_fits(span_of(names[i]), span_of(pattern)) ||
            !atlas_allows(atlas, span_of(names[i])))
            continue;
        fits = true;
        if (is_excluded(scope, names[i]))
            continue;
        rc = add_entry(scope, names[i], SCOPE_REGION, err);
        if (rc)
            return rc;
    }
    return fits ? ERR_OK : add_entry(scope, pattern, SCOPE_NO_MATCH, err);
}

static enum err_code add_one(struct scope *scope, const struct atlas *atlas,
                             const struct scope_item *item, struct err *err)
{
    const char *name = name_of(item);
    enum scope_kind kind = kind_of(atlas, name);

    /* That a region is left out which is not there is as was wished. */
    if (item->is_exclusion)
        return kind == SCOPE_ILL_FORMED && !item->is_pattern
                   ? add_entry(scope, item->text, kind, err)
                   : ERR_OK;
    if (item->is_pattern)
        return add_fitting(scope, atlas, name, err);
    return is_excluded(scope, name) ? ERR_OK
                                    : add_entry(scope, name, kind, err);
}

static void forget_entries(struct scope *scope)
{
    free(scope->entries);
    scope->entries = NULL;
    scope->n = 0;
}

enum err_code scope_resolve(struct scope *scope, const struct atlas *atlas,
                            struct err *err)
{
    enum err_code rc = ERR_OK;

    forget_entries(scope);
    for (size_t i = 0; !rc && i < scope->nitems; i++)
        if (!scope->all || scope->items[i].is_exclusion)
            rc = add_one(scope, atlas, &scope->items[i], err);
    if (!rc && scope->all)
        rc = add_fitting(scope, atlas, "*", err);
    /* An empty list of regions would read as an empty account. */
    if (!rc && scope->n == 0)
        rc = add_entry(scope, scope->items[0].text, SCOPE_EXCLUDED, err);
    return rc;
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
    forget_entries(scope);
    free(scope->items);
    scope->items = NULL;
    scope->nitems = 0;
    scope->all = false;
}
