#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "survey/scope.h"

/* A list that is configured needs no client. */
static struct atlas *new_atlas_that_allows(const char *regions,
                                           const char *allowed)
{
    const struct atlas_options options = {
        .home_region = "us-east-1",
        .configured = regions,
        .allowed = allowed,
    };
    struct atlas *atlas = NULL;
    struct err err = {0};

    if (atlas_new(&options, &atlas, &err))
        fail_msg("atlas_new: %s", err.msg);
    return atlas;
}

static struct atlas *new_atlas(const char *regions)
{
    return new_atlas_that_allows(regions, NULL);
}

/* Parses from a block of the exact size. */
static enum err_code parse(struct scope *scope, struct span list,
                           struct err *err)
{
    char *block = list.p ? malloc(list.len) : NULL;
    enum err_code rc;

    if (list.len)
        memcpy(block, list.p, list.len);
    rc = scope_parse((struct span){block, list.len}, scope, err);
    free(block);
    return rc;
}

/* The names with a comma behind each; "all" alone when all are meant. */
static void describe(const struct scope *scope, char *out, size_t size)
{
    size_t len = 0;

    (void)snprintf(out, size, "%s", scope->all ? "all" : "");
    if (scope->all)
        len = strlen(out);
    for (size_t i = 0; i < scope->n; i++) {
        len += (size_t)snprintf(out + len, size - len, "%s,",
                                scope->entries[i].name);
        assert_true(len < size);
    }
}

static void test_scope_parse__reads_lists_of_every_kind(void **state)
{
    struct atlas *atlas = new_atlas("us-east-1");
    const struct {
        struct span list;
        const char *names;
    } cases[] = {
        {{NULL, 0}, "all"},
        {SPAN_LIT(""), "all"},
        {SPAN_LIT(" \t\r\n"), "all"},
        {SPAN_LIT(",, ,"), "all"},
        {SPAN_LIT("all"), "all"},
        {SPAN_LIT("ALL"), "all"},
        {SPAN_LIT(" aLl "), "all"},
        {SPAN_LIT("us-east-1,all"), "all"},
        {SPAN_LIT("all,us-east-1"), "all"},
        {SPAN_LIT("us-east-1,no such,All,eu-west-1"), "all"},
        {SPAN_LIT("us-east-1"), "us-east-1,"},
        {SPAN_LIT("us-west-2,eu-west-1,af-south-1"),
         "us-west-2,eu-west-1,af-south-1,"},
        {SPAN_LIT(" us-west-2 ,\teu-west-1\r\n"), "us-west-2,eu-west-1,"},
        {SPAN_LIT(",us-west-2,,eu-west-1,"), "us-west-2,eu-west-1,"},
        {SPAN_LIT("b-b-1,a-a-1,b-b-1,a-a-1,b-b-1"), "b-b-1,a-a-1,"},
        {SPAN_LIT("US-East-1,us-EAST-1,us-east-1"), "us-east-1,"},
        {SPAN_LIT("all regions,allus"), "all regions,allus,"},
        {SPAN_LIT("us-east-1;eu-west-1"), "us-east-1;eu-west-1,"},
        {SPAN_LIT("us-east-1\0.evil,all\0"), "us-east-1?.evil,all?,"},
        {SPAN_LIT("\0"), "?,"},
        {SPAN_LIT("\xC3\x84-\xF0\x9F\x98\x80"), "\xC3\x84-\xF0\x9F\x98\x80,"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scope scope = SCOPE_INIT;
        struct err err = {0};
        char text[256];

        if (parse(&scope, cases[i].list, &err))
            fail_msg("case %zu: %s", i, err.msg);
        if (!scope.all)
            assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
        describe(&scope, text, sizeof(text));
        if (strcmp(text, cases[i].names) != 0)
            fail_msg("case %zu: \"%s\"", i, text);
        scope_release(&scope);
    }
    atlas_free(atlas);
}

static void test_scope_parse__replaces_what_was_there(void **state)
{
    struct atlas *atlas = new_atlas("us-east-1");
    struct scope scope = SCOPE_INIT;
    char text[64];

    (void)state;
    assert_int_equal(parse(&scope, SPAN_LIT("a-a-1,b-b-1"), NULL), ERR_OK);
    assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
    assert_int_equal(parse(&scope, SPAN_LIT("c-c-1"), NULL), ERR_OK);
    assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
    describe(&scope, text, sizeof(text));
    assert_string_equal(text, "c-c-1,");
    assert_int_equal(parse(&scope, SPAN_LIT("all"), NULL), ERR_OK);
    assert_true(scope.all);
    assert_int_equal(scope.n, 0);
    scope_release(&scope);
    atlas_free(atlas);
}

/* "a-a-0,a-a-1,…" of n different names, and each of them again. */
static char *list_of(int n)
{
    size_t size = (size_t)n * 2 * 16 + 1;
    char *list = malloc(size);
    size_t len = 0;

    assert_non_null(list);
    list[0] = '\0';
    for (int i = 0; i < 2 * n; i++)
        len += (size_t)snprintf(list + len, size - len, "a-a-%d,", i % n);
    return list;
}

static void test_scope_parse__takes_so_many_names_and_no_more(void **state)
{
    char *most = list_of(SCOPE_NAMES_MAX);
    char *too_many = list_of(SCOPE_NAMES_MAX + 1);
    struct scope scope = SCOPE_INIT;
    struct err err = {0};

    (void)state;
    assert_int_equal(parse(&scope, span_of(most), &err), ERR_OK);
    assert_int_equal(scope.nitems, 256);
    assert_int_equal(parse(&scope, span_of(too_many), &err), ERR_LIMIT);
    assert_string_equal(err.msg,
                        "more than 256 regions in the list; use \"all\"");
    assert_int_equal(scope.nitems, 0);
    assert_null(scope.items);
    free(most);
    free(too_many);
}

static void test_scope_parse__cuts_long_names_between_characters(void **state)
{
    /* A character of 1 to 4 bytes that begins at offset 60 … 63. */
    static const char *const characters[] = {"z", "\xC3\xBC", "\xE2\x98\x83",
                                             "\xF0\x9F\x98\x80"};
    struct atlas *atlas = new_atlas("us-east-1");

    (void)state;
    for (size_t begin = 60; begin <= 63; begin++) {
        for (size_t bytes = 1; bytes <= 4; bytes++) {
            size_t end = begin + bytes;
            struct scope scope = SCOPE_INIT;
            char name[70];

            memset(name, 'x', sizeof(name));
            memcpy(name + begin, characters[bytes - 1], bytes);
            assert_int_equal(
                parse(&scope, (struct span){name, sizeof(name)}, NULL), ERR_OK);
            assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
            if (strlen(scope.entries[0].name) != (end <= 63 ? 63 : begin))
                fail_msg("%zu bytes at %zu: %s", bytes, begin,
                         scope.entries[0].name);
            assert_memory_equal(scope.entries[0].name, name,
                                strlen(scope.entries[0].name));
            scope_release(&scope);
        }
    }
    atlas_free(atlas);
}

/* Kinds of entries as one letter each. */
static const char KINDS[] = {
    [SCOPE_REGION] = 'r',      [SCOPE_ILL_FORMED] = 'i', [SCOPE_UNKNOWN] = 'u',
    [SCOPE_NOT_ALLOWED] = 'a', [SCOPE_NO_MATCH] = 'm',   [SCOPE_EXCLUDED] = 'x',
};

/* 64 bytes, of which 63 are kept: without the last they would fit more. */
#define STARS "********************************************************"
#define TOO_LONG "us-" STARS "****x"
/* Bytes that only go on a character, up to the limit and past it. */
#define NINE "\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9"
#define NO_UTF8_KEPT NINE NINE NINE NINE NINE "\xA9\xA9\xA9\xA9\xA9\xA9"
#define NO_UTF8 NO_UTF8_KEPT NINE

/* What six regions, of which some may be asked, make of a list. */
static void assert_entries(const char *list, const char *allowed,
                           const char *entries)
{
    struct atlas *atlas = new_atlas_that_allows(
        "us-east-1,us-west-1,us-west-2,eu-west-1,eu-west-2,af-south-1",
        allowed);
    struct scope scope = SCOPE_INIT;
    char text[256] = "";
    size_t len = 0;

    assert_int_equal(parse(&scope, span_of(list), NULL), ERR_OK);
    assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
    for (size_t k = 0; k < scope.n; k++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%c %s,",
                                KINDS[scope.entries[k].kind],
                                scope.entries[k].name);
    if (strcmp(text, entries) != 0)
        fail_msg("%s: %s", list, text);
    scope_release(&scope);
    atlas_free(atlas);
}

static void test_scope_resolve__knows_patterns_and_exclusions(void **state)
{
    static const struct {
        const char *list;
        const char *allowed; /* NULL: all */
        const char *entries; /* kind and name each */
    } cases[] = {
        {"us-*", NULL, "r us-east-1,r us-west-1,r us-west-2,"},
        {"*-1", NULL, "r af-south-1,r eu-west-1,r us-east-1,r us-west-1,"},
        {"US-W*", NULL, "r us-west-1,r us-west-2,"},
        {"us-west-2,us-*", NULL, "r us-west-2,r us-east-1,r us-west-1,"},
        {"eu-*,af-*", NULL, "r eu-west-1,r eu-west-2,r af-south-1,"},
        {"*east*,us-east-1", NULL, "r us-east-1,"},
        {"xx-*", NULL, "m xx-*,"},
        {"xx-*,us-east-1", NULL, "m xx-*,r us-east-1,"},
        {"us-*,!us-west-2", NULL, "r us-east-1,r us-west-1,"},
        {"! us-west-2,us-*", NULL, "r us-east-1,r us-west-1,"},
        {"all,!us-*", NULL, "r af-south-1,r eu-west-1,r eu-west-2,"},
        {"!*-1", NULL, "r eu-west-2,r us-west-2,"},
        {"*,!us-*,!eu-*", NULL, "r af-south-1,"},
        {"all,!me-south-1,!us-*,!eu-*", NULL, "r af-south-1,"},
        {"us-east-1,!us-east-1", NULL, "x us-east-1,"},
        {"us-*,!us-*", NULL, "x us-*,"},
        {"!all", NULL, "x !all,"},
        {"!us-east-1/,us-east-1", NULL, "i !us-east-1/,r us-east-1,"},
        {"all", "us-*", "r us-east-1,r us-west-1,r us-west-2,"},
        {"*-1", "us-*", "r us-east-1,r us-west-1,"},
        {"all", " eu-west-1 , af-* ,", "r af-south-1,r eu-west-1,"},
        {"us-east-1,eu-west-1", "us-*", "r us-east-1,a eu-west-1,"},
        {"us-east-9,eu-east-9", "us-*", "u us-east-9,a eu-east-9,"},
        {"eu-*", "us-*", "m eu-*,"},
        {"all", "xx-*", "m *,"},
        {"all,!us-east-1", "us-east-1", "x all,"},
        {TOO_LONG, NULL, "i us-" STARS "****,"},
        {TOO_LONG ",us-" STARS "****", NULL,
         "i us-" STARS "****,r us-east-1,r us-west-1,r us-west-2,"},
        {"us-east-1" NO_UTF8 ",us-east-1", NULL,
         "i us-east-1" NO_UTF8_KEPT ",r us-east-1,"},
        {"us-east-1,!" TOO_LONG, NULL, "r us-east-1,i !us-" STARS "***,"},
    };

    assert_int_equal(strlen(TOO_LONG), SCOPE_NAME_MAX + 1);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_entries(cases[i].list, cases[i].allowed, cases[i].entries);
}

static void test_scope_resolve__tells_what_each_name_is(void **state)
{
    static const struct {
        const char *name;
        enum scope_kind kind;
    } cases[] = {
        {"us-east-1", SCOPE_REGION},
        {"EU-WEST-1", SCOPE_REGION},
        {"us-east-2", SCOPE_UNKNOWN},
        {"xx-nowhere-9", SCOPE_UNKNOWN},
        {"us-east", SCOPE_ILL_FORMED},
        {"us-east-1.evil.example", SCOPE_ILL_FORMED},
        {"us-east-1/", SCOPE_ILL_FORMED},
        {"us_east_1", SCOPE_ILL_FORMED},
        {"us east 1", SCOPE_ILL_FORMED},
        {"\xC3\xBCs-east-1", SCOPE_ILL_FORMED},
        {"?", SCOPE_ILL_FORMED},
    };
    struct atlas *atlas = new_atlas("us-east-1,eu-west-1");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scope scope = SCOPE_INIT;
        enum scope_kind kind = cases[i].kind;

        assert_int_equal(parse(&scope, span_of(cases[i].name), NULL), ERR_OK);
        assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
        assert_int_equal(scope.n, 1);
        if (scope.entries[0].kind != kind)
            fail_msg("%s: %d", cases[i].name, (int)scope.entries[0].kind);
        assert_int_equal(scope_count(&scope, SCOPE_REGION),
                         kind == SCOPE_REGION);
        assert_int_equal(scope_count(&scope, SCOPE_UNKNOWN),
                         kind == SCOPE_UNKNOWN);
        assert_int_equal(scope_count(&scope, SCOPE_ILL_FORMED),
                         kind == SCOPE_ILL_FORMED);
        scope_release(&scope);
    }
    atlas_free(atlas);
}

static void test_scope_resolve__fills_in_all_regions_by_name(void **state)
{
    struct atlas *few = new_atlas("us-west-2,af-south-1,eu-west-1");
    struct atlas *other = new_atlas("eu-west-1,sa-east-1");
    struct scope scope = SCOPE_INIT;
    char text[128];

    (void)state;
    assert_int_equal(parse(&scope, SPAN_LIT("All"), NULL), ERR_OK);
    assert_int_equal(scope_resolve(&scope, few, NULL), ERR_OK);
    describe(&scope, text, sizeof(text));
    assert_string_equal(text, "allaf-south-1,eu-west-1,us-west-2,");
    assert_int_equal(scope_count(&scope, SCOPE_REGION), 3);

    /* Again, after the list of regions has changed. */
    assert_int_equal(scope_resolve(&scope, other, NULL), ERR_OK);
    describe(&scope, text, sizeof(text));
    assert_string_equal(text, "alleu-west-1,sa-east-1,");
    assert_int_equal(scope_count(&scope, SCOPE_REGION), 2);
    scope_release(&scope);
    atlas_free(few);
    atlas_free(other);
}

static void test_scope_resolve__keeps_the_order_asked_for(void **state)
{
    struct atlas *atlas = new_atlas("af-south-1,eu-west-1,us-west-2");
    struct atlas *grown = new_atlas("af-south-1,us-west-2,xx-new-1");
    struct scope scope = SCOPE_INIT;
    char text[128];

    (void)state;
    assert_int_equal(
        parse(&scope, SPAN_LIT("us-west-2,xx-new-1,af-south-1"), NULL), ERR_OK);
    assert_int_equal(scope_resolve(&scope, atlas, NULL), ERR_OK);
    assert_int_equal(scope_count(&scope, SCOPE_UNKNOWN), 1);
    assert_int_equal(scope_resolve(&scope, grown, NULL), ERR_OK);
    assert_int_equal(scope_count(&scope, SCOPE_REGION), 3);
    describe(&scope, text, sizeof(text));
    assert_string_equal(text, "us-west-2,xx-new-1,af-south-1,");
    scope_release(&scope);
    atlas_free(atlas);
    atlas_free(grown);
}

static void test_scope__reports_every_failed_allocation(void **state)
{
    static const char *const lists[] = {"a-a-1,b-b-1,c-c-1", "all"};
    struct atlas *atlas = new_atlas("us-east-1,eu-west-1,af-south-1");

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t n;

        for (n = 0;; n++) {
            struct scope scope = SCOPE_INIT;
            struct err err = {0};
            enum err_code rc;

            fail_alloc_at(n);
            rc = scope_parse(span_of(lists[i]), &scope, &err);
            if (!rc)
                rc = scope_resolve(&scope, atlas, &err);
            scope_release(&scope);
            if (!fail_alloc_stop()) {
                assert_int_equal(rc, ERR_OK);
                break;
            }
            assert_int_equal(rc, ERR_NOMEM);
            assert_string_equal(err.msg, "scope: out of memory");
        }
        assert_int_equal(n, i ? 4 : 6); /* items, entries */
    }
    atlas_free(atlas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope_parse__reads_lists_of_every_kind),
        cmocka_unit_test(test_scope_parse__replaces_what_was_there),
        cmocka_unit_test(test_scope_parse__takes_so_many_names_and_no_more),
        cmocka_unit_test(test_scope_parse__cuts_long_names_between_characters),
        cmocka_unit_test(test_scope_resolve__knows_patterns_and_exclusions),
        cmocka_unit_test(test_scope_resolve__tells_what_each_name_is),
        cmocka_unit_test(test_scope_resolve__fills_in_all_regions_by_name),
        cmocka_unit_test(test_scope_resolve__keeps_the_order_asked_for),
        cmocka_unit_test(test_scope__reports_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
