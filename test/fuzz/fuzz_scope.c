/*
 * A list of regions: only names of a region's shape that are in the atlas,
 * allowed and not excluded may come out as regions to be asked, each once.
 *
 * Input: the configured list up to a line feed (empty: the built-in one), then
 * the list that is asked for, and, after another line feed, what is allowed
 * (empty: all).
 */
#include "fuzz.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "aws/region.h"
#include "survey/atlas.h"
#include "survey/scope.h"

#define NEAREST 3

/* The shape in region.h, written anew: words, words, digits. */
static bool is_host_part(const char *name)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz";
    size_t nwords = 0;

    if (strlen(name) > REGION_NAME_MAX)
        return false;
    while (*name >= 'a' && *name <= 'z') {
        name += strspn(name, LETTERS);
        if (*name++ != '-')
            return false;
        nwords++;
    }
    return nwords >= 2 && nwords <= 3 && *name &&
           name[strspn(name, "0123456789")] == '\0';
}

static bool is_in_list(const struct atlas *atlas, const char *name)
{
    size_t n;
    const char *const *names = atlas_regions(atlas, &n);

    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* What the C library's own patterns say; characters that mean more to it than
 * the star make no pattern here. */
static bool fits(const char *name, const char *pattern)
{
    return !pattern[strcspn(pattern, "?[\\")] &&
           fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

/* Whether an entry of the comma list text that begins with prefix ('!', or 0
 * for those without) fits the name. Longer ones than max fit none. */
static bool is_named(struct span text, char prefix, size_t max,
                     const char *name)
{
    bool found = false;
    struct span part;

    while (!found && span_split(&text, ',', &part)) {
        char *pattern;

        part = span_trim(part);
        if (part.len == 0 || part.len > max ||
            (part.p[0] == '!') != (prefix == '!'))
            continue;
        if (prefix)
            part = span_trim((struct span){part.p + 1, part.len - 1});
        pattern = fuzz_string(part);
        for (char *c = pattern; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        found = strlen(pattern) == part.len &&
                fits(name, strcmp(pattern, "all") == 0 ? "*" : pattern);
        free(pattern);
    }
    return found;
}

/* What is given to be asked, and what there is. */
struct given {
    const struct atlas *atlas;
    struct span list;
    const char *allowed; /* NULL: all */
};

static bool is_allowed(const struct given *given, const char *name)
{
    return !given->allowed ||
           is_named(span_of(given->allowed), 0, SIZE_MAX, name);
}

static void check_kind(const struct scope_entry *e, const struct given *given)
{
    bool well_formed = is_host_part(e->name);
    bool known = is_in_list(given->atlas, e->name);

    switch (e->kind) {
    case SCOPE_REGION:
        FUZZ_CHECK(well_formed && known && is_allowed(given, e->name));
        FUZZ_CHECK(!is_named(given->list, '!', SCOPE_NAME_MAX, e->name));
        break;
    case SCOPE_UNKNOWN:
        FUZZ_CHECK(well_formed && !known && is_allowed(given, e->name));
        break;
    case SCOPE_NOT_ALLOWED:
        FUZZ_CHECK(well_formed && !is_allowed(given, e->name));
        break;
    case SCOPE_ILL_FORMED:
        FUZZ_CHECK(!well_formed && !known);
        break;
    case SCOPE_NO_MATCH:
        FUZZ_CHECK(strchr(e->name, '*'));
        break;
    case SCOPE_EXCLUDED:
        break;
    }
}

static void check_entry(const struct scope *scope, size_t i,
                        const struct given *given)
{
    const struct scope_entry *e = &scope->entries[i];
    const char *nearest[NEAREST];
    size_t nknown;
    const char *const *names = atlas_regions(given->atlas, &nknown);

    FUZZ_CHECK(strlen(e->name) <= SCOPE_NAME_MAX);
    check_kind(e, given);
    /* It is there alone, when all that was asked for is excluded. */
    FUZZ_CHECK(e->kind != SCOPE_EXCLUDED || scope->n == 1);
    for (size_t k = 0; k < i; k++)
        FUZZ_CHECK(strcmp(scope->entries[k].name, e->name) != 0);
    /* It takes its time, and is the same for all. */
    if (i >= 4)
        return;
    FUZZ_CHECK(region_nearest(span_of(e->name), names, nknown, nearest,
                              NEAREST) <= NEAREST);
}

/* Every known region is asked that is allowed, named and not excluded. */
static void check_nothing_is_missing(const struct scope *scope,
                                     const struct given *given)
{
    size_t nknown;
    const char *const *names = atlas_regions(given->atlas, &nknown);
    size_t expected = 0;

    for (size_t i = 0; i < nknown; i++)
        expected +=
            is_allowed(given, names[i]) &&
            !is_named(given->list, '!', SCOPE_NAME_MAX, names[i]) &&
            (scope->all || is_named(given->list, 0, SCOPE_NAME_MAX, names[i]));
    FUZZ_CHECK(scope_count(scope, SCOPE_REGION) == expected);
}

static void check_list(const struct given *given)
{
    struct scope scope = SCOPE_INIT;
    struct err err = {0};
    enum err_code rc = scope_parse(given->list, &scope, &err);

    if (!rc)
        rc = scope_resolve(&scope, given->atlas, &err);
    FUZZ_CHECK(rc == err.code);
    if (rc) {
        FUZZ_CHECK(rc == ERR_LIMIT);
        scope_release(&scope);
        return;
    }
    FUZZ_CHECK(scope.n > 0 && scope.n <= SCOPE_NAMES_MAX);
    for (size_t i = 0; i < scope.n; i++) {
        check_entry(&scope, i, given);
        /* An event's texts are UTF-8, and so is what is cut from them. */
        FUZZ_CHECK(!fuzz_is_utf8(given->list) ||
                   fuzz_is_utf8(span_of(scope.entries[i].name)));
    }
    check_nothing_is_missing(&scope, given);
    scope_release(&scope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    char *configured = fuzz_string(fuzz_until(&in, '\n'));
    struct span asked = fuzz_until(&in, '\n');
    char *list = fuzz_block(asked);
    char *allowed = fuzz_string(in);
    struct atlas_options options = {
        .home_region = "us-east-1",
        .configured = configured[0] ? configured : NULL,
        .allowed = allowed[0] ? allowed : NULL,
    };
    struct atlas *atlas = NULL;
    struct err err = {0};
    enum err_code rc = atlas_new(&options, &atlas, &err);

    FUZZ_CHECK(rc == ERR_OK || rc == ERR_CONFIG || rc == ERR_LIMIT);
    FUZZ_CHECK(rc == err.code);
    if (!rc)
        check_list(&(struct given){
            .atlas = atlas,
            .list = {list, asked.len},
            .allowed = options.allowed,
        });
    atlas_free(atlas);
    free(list);
    free(allowed);
    free(configured);
    return 0;
}
