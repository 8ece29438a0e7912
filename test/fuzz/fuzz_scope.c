/*
 * A list of regions: only names of a region's shape that are in the atlas may
 * come out as regions to be asked, each once.
 *
 * Input: the configured list up to a line feed (empty: the built-in one), then
 * the list that is asked for.
 */
#include "fuzz.h"

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

static void check_entry(const struct scope *scope, size_t i,
                        const struct atlas *atlas)
{
    const struct scope_entry *e = &scope->entries[i];
    bool known = is_in_list(atlas, e->name);
    const char *nearest[NEAREST];
    size_t nknown;
    const char *const *names = atlas_regions(atlas, &nknown);

    FUZZ_CHECK(strlen(e->name) <= SCOPE_NAME_MAX);
    FUZZ_CHECK((e->kind != SCOPE_ILL_FORMED) == is_host_part(e->name));
    FUZZ_CHECK((e->kind == SCOPE_REGION) == known);
    for (size_t k = 0; k < i; k++)
        FUZZ_CHECK(strcmp(scope->entries[k].name, e->name) != 0);
    /* It takes its time, and is the same for all. */
    if (i >= 4)
        return;
    FUZZ_CHECK(region_nearest(span_of(e->name), names, nknown, nearest,
                              NEAREST) <= NEAREST);
}

static void check_list(const struct atlas *atlas, struct span list)
{
    struct scope scope = SCOPE_INIT;
    struct err err = {0};
    enum err_code rc = scope_parse(list, &scope, &err);
    size_t nknown;

    (void)atlas_regions(atlas, &nknown);
    if (rc) {
        FUZZ_CHECK(rc == ERR_LIMIT && err.code == rc && scope.n == 0);
        return;
    }
    FUZZ_CHECK(scope_resolve(&scope, atlas, &err) == ERR_OK);
    FUZZ_CHECK(scope.n > 0 && scope.n <= SCOPE_NAMES_MAX);
    FUZZ_CHECK(!scope.all || scope.n == nknown);
    for (size_t i = 0; i < scope.n; i++) {
        check_entry(&scope, i, atlas);
        /* An event's texts are UTF-8, and so is what is cut from them. */
        FUZZ_CHECK(!fuzz_is_utf8(list) ||
                   (scope.entries[i].name[0] &&
                    fuzz_is_utf8(span_of(scope.entries[i].name))));
    }
    FUZZ_CHECK(scope_count(&scope, SCOPE_REGION) +
                   scope_count(&scope, SCOPE_UNKNOWN) +
                   scope_count(&scope, SCOPE_ILL_FORMED) ==
               scope.n);
    scope_release(&scope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    char *configured = fuzz_string(fuzz_until(&in, '\n'));
    char *list = fuzz_block(in);
    struct atlas_options options = {
        .home_region = "us-east-1",
        .configured = configured[0] ? configured : NULL,
    };
    struct atlas *atlas = NULL;
    struct err err = {0};
    enum err_code rc = atlas_new(&options, &atlas, &err);

    FUZZ_CHECK(rc == ERR_OK || rc == ERR_CONFIG || rc == ERR_LIMIT);
    FUZZ_CHECK(rc == err.code);
    if (!rc)
        check_list(atlas, (struct span){list, in.len});
    atlas_free(atlas);
    free(list);
    free(configured);
    return 0;
}
