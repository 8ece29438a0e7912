#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/records.h"
#include "survey/finding.h"
#include "survey/label.h"

#define ALL_TEXTS ((1U << FINDING_NTEXTS) - 1)

static struct finding pack(struct arena *arena, const char *text,
                           unsigned wanted)
{
    struct instance_record record;
    struct finding finding;

    instance_record_init(&record, text);
    assert_true(finding_pack(arena, &record.instance, wanted, record.group_ids,
                             record.instance.ngroup_ids, &finding));
    return finding;
}

/* Texts in order, then groups; "-": not kept. */
static void assert_says(const struct finding *finding, const char *expected)
{
    struct finding_groups groups = finding_groups(finding);
    char says[512] = "";
    size_t len = 0;
    struct span id;

    for (unsigned i = 0; i < FINDING_NTEXTS; i++) {
        struct span text = finding_text(finding, i);

        len += (size_t)snprintf(says + len, sizeof(says) - len, "%s|",
                                text.p ? text.p : "-");
    }
    while (finding_groups_next(&groups, &id)) {
        assert_int_equal(id.len, strlen(id.p));
        len += (size_t)snprintf(says + len, sizeof(says) - len, "%s ", id.p);
    }
    assert_false(finding_groups_next(&groups, &id));
    assert_string_equal(says, expected);
}

static void test_finding_pack__keeps_what_is_wanted(void **state)
{
    static const char text[] = "i-1=running|Name=web|sg-2 sg-1|t3.micro|"
                               "own 10.0.0.4 198.51.100.7 2001:db8::1";
    struct arena arena = ARENA_INIT(4096);
    struct finding all = pack(&arena, text, ALL_TEXTS);
    struct finding some = pack(&arena, text, FINDING_ALWAYS);

    (void)state;
    assert_says(&all, "i-1|web|running|t3.micro||10.0.0.4|198.51.100.7|"
                      "2001:db8::1|sg-2 sg-1 ");
    assert_says(&some, "i-1|-|running|-|-|-|-|-|sg-2 sg-1 ");
    /* Each text and its end. */
    assert_int_equal(finding_size(&all), 4 + 4 + 8 + 9 + 1 + 9 + 13 + 12 + 10);
    assert_int_equal(finding_size(&some), 4 + 8 + 10);
    arena_release(&arena);
}

static void test_finding_pack__keeps_texts_that_are_empty(void **state)
{
    struct arena arena = ARENA_INIT(4096);
    struct finding finding = pack(&arena, "=", ALL_TEXTS);

    (void)state;
    assert_says(&finding, "||||||||");
    assert_int_equal(finding_size(&finding), FINDING_NTEXTS);
    arena_release(&arena);
}

/* All at their longest, four bytes a character and cut. */
static void test_finding_pack__has_room_for_the_longest_texts(void **state)
{
    static char longest[LABEL_MAX * 8];
    const struct span text = {longest, sizeof(longest)};
    const struct ec2_tag tag = {SPAN_LIT("Name"), text};
    const struct ec2_address addresses[] = {
        {text, EC2_PRIVATE_IP, true},
        {text, EC2_PUBLIC_IP, true},
        {text, EC2_IPV6, true},
    };
    const struct ec2_instance instance = {
        .id = text,
        .state = text,
        .type = text,
        .launch_time = text,
        .tags = &tag,
        .ntags = 1,
        .addresses = addresses,
        .naddresses = 3,
    };
    struct arena arena = ARENA_INIT((size_t)16 * 1024);
    struct finding finding;

    (void)state;
    for (size_t i = 0; i < sizeof(longest); i += 4)
        memcpy(longest + i, "\xF0\x9F\x98\x80", 4);
    assert_true(finding_pack(&arena, &instance, ALL_TEXTS, NULL, 0, &finding));
    for (unsigned i = 0; i < FINDING_NTEXTS; i++)
        assert_int_equal(finding_text(&finding, i).len,
                         (LABEL_MAX - 1) * 4 + 3);
    arena_release(&arena);
}

static void test_finding_pack__leaves_all_as_it_was_without_room(void **state)
{
    struct arena arena = ARENA_INIT(64);
    struct finding finding = pack(&arena, "i-1=running", FINDING_ALWAYS);
    struct instance_record record;
    size_t total = arena_total(&arena);

    (void)state;
    instance_record_init(&record, "i-2=stopped|Name=a-name-of-which-there-is-"
                                  "more-than-there-is-room-for");
    assert_false(
        finding_pack(&arena, &record.instance, ALL_TEXTS, NULL, 0, &finding));
    assert_says(&finding, "i-1|-|running|-|-|-|-|-|");
    assert_int_equal(arena_total(&arena), total);
    arena_release(&arena);
}

static void test_finding_move__takes_all_along(void **state)
{
    struct arena from = ARENA_INIT(4096);
    struct arena to = ARENA_INIT(4096);
    struct arena full = ARENA_INIT(0);
    struct finding finding =
        pack(&from, "i-1=running|Name=web|sg-1 sg-2", ALL_TEXTS);

    (void)state;
    assert_false(finding_move(&full, &finding));
    assert_true(finding_move(&to, &finding));
    arena_release(&from);
    assert_says(&finding, "i-1|web|running||||||sg-1 sg-2 ");
    arena_release(&to);
}

/* arg: the last letters of the ids to keep. */
static bool is_among(const void *arg, struct span id)
{
    return strchr(arg, id.p[id.len - 1]) != NULL;
}

static void test_finding_filter_groups__keeps_some_in_order(void **state)
{
    static const struct {
        const char *keep;
        const char *says;
    } cases[] = {
        {"1234", "i-1|web|running||||||sg-1 sg-22 sg-3 sg-4 "},
        {"24", "i-1|web|running||||||sg-22 sg-4 "},
        {"13", "i-1|web|running||||||sg-1 sg-3 "},
        {"4", "i-1|web|running||||||sg-4 "},
        {"x", "i-1|web|running||||||"},
    };
    struct arena arena = ARENA_INIT(4096);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct finding finding = pack(
            &arena, "i-1=running|Name=web|sg-1 sg-22 sg-3 sg-4", ALL_TEXTS);

        finding_filter_groups(&finding, is_among, cases[i].keep);
        assert_says(&finding, cases[i].says);
        finding_filter_groups(&finding, is_among, cases[i].keep);
        assert_says(&finding, cases[i].says);
    }
    arena_release(&arena);
}

static void test_finding_compare__goes_by_the_id(void **state)
{
    static const char *const ids[] = {"", "i", "i-", "i-1", "i-10", "i-2"};
    struct arena arena = ARENA_INIT(4096);

    (void)state;
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 6; k++) {
            struct ec2_instance x = {.id = span_of(ids[i])};
            struct ec2_instance y = {.id = span_of(ids[k])};
            struct finding a;
            struct finding b;
            int order;

            assert_true(finding_pack(&arena, &x, FINDING_ALWAYS, NULL, 0, &a));
            assert_true(finding_pack(&arena, &y, FINDING_ALWAYS, NULL, 0, &b));
            order = finding_compare(&a, &b);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finding_pack__keeps_what_is_wanted),
        cmocka_unit_test(test_finding_pack__keeps_texts_that_are_empty),
        cmocka_unit_test(test_finding_pack__has_room_for_the_longest_texts),
        cmocka_unit_test(test_finding_pack__leaves_all_as_it_was_without_room),
        cmocka_unit_test(test_finding_move__takes_all_along),
        cmocka_unit_test(test_finding_filter_groups__keeps_some_in_order),
        cmocka_unit_test(test_finding_compare__goes_by_the_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
