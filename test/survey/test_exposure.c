#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "support/fail_alloc.h"
#include "support/fold_driver.h"

#define NO_ROOM ((struct fold_limits){.pending_max = 0, .rows_max = 1 << 20})
#define FILTER "network-interface.group-id"

/* The rows of instances without name, running, and what a rule looks like. */
#define ROW(id, permissions)                                                   \
    "{\"region\":\"r\",\"instanceId\":\"" id "\",\"instanceName\":\"\","       \
    "\"state\":\"running\",\"publicIp\":\"\",\"ipv6\":\"\",\"permissions\":"   \
    "[" permissions "]}"
#define SSH(name, id, cidr)                                                    \
    "{\"ipProtocol\":\"tcp\",\"fromPort\":22,\"toPort\":22,\"allowFrom\":"     \
    "\"" name "\",\"groupId\":\"" id "\",\"cidr\":\"" cidr "\","               \
    "\"ports\":\"22\"}"

static void must_take(struct fold_driver *d, enum fold_listing listing,
                      const char *text)
{
    struct err err = {0};
    enum err_code rc = listing == FOLD_GROUPS ? drive_group(d, text, &err)
                                              : drive_instance(d, text, &err);

    if (rc)
        fail_msg("%s: %s", text, err.msg);
}

static bool wants_more(const struct fold_driver *d, enum fold_listing listing)
{
    return d->fold->wants_more(d->state, listing);
}

/* One region in one page each, the groups first. */
static void run_region(struct fold_driver *d, const char *const *groups,
                       const char *const *instances)
{
    fold_driver_init(d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    drive_listing(d, FOLD_GROUPS, groups);
    drive_listing(d, FOLD_INSTANCES, instances);
    assert_null(drive_end(d).filter);
}

static void test_exposure__is_a_rule_open_to_the_whole_internet(void **state)
{
    static const struct {
        const char *group;
        bool open;
    } cases[] = {
        {"sg-1=g|tcp 22 22 0.0.0.0/0", true},
        {"sg-1=g|tcp 22 22 ::/0", true},
        {"sg-1=g|tcp 22 22 10.0.0.0/8 ::/0 192.0.2.1/32", true},
        {"sg-1=g|tcp 22 22 10.0.0.0/8|udp 53 53 0.0.0.0/0", true},
        {"sg-1=g", false},
        {"sg-1=g|tcp 22 22", false},
        {"sg-1=g|tcp 22 22 10.0.0.0/8", false},
        {"sg-1=g|-1 - - 0.0.0.0/1 128.0.0.0/1 ::/1", false},
        {"sg-1=g|tcp 22 22 10.0.0.0/0", false},
        {"sg-1=g|tcp 22 22 0.0.0.0/00", false},
        {"sg-1=0.0.0.0/0|tcp 22 22 10.0.0.0/8", false},
        {"sg-2=g|tcp 22 22 0.0.0.0/0", false},
        {"sg-11=g|tcp 22 22 0.0.0.0/0", false},
        {"sg-=g|tcp 22 22 0.0.0.0/0", false},
    };
    static const char *const instances[] = {"i-1=running||sg-1", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const groups[] = {cases[i].group, NULL};
        struct fold_driver d;

        run_region(&d, groups, instances);
        if (d.fold->tally(d.state).nrows != (cases[i].open ? 1 : 0))
            fail_msg("%s", cases[i].group);
        fold_driver_release(&d);
    }
}

static void test_exposure__tells_all_fields_of_a_rule(void **state)
{
    static const char *const groups[] = {"sg-1=my group|-1 - - ::/0", NULL};
    static const char *const instances[] = {"i-1=stopped|Name=db|sg-1", NULL};
    struct fold_driver d;

    (void)state;
    run_region(&d, groups, instances);
    assert_rows(&d, "[{\"region\":\"r\",\"instanceId\":\"i-1\","
                    "\"instanceName\":\"db\",\"state\":\"stopped\","
                    "\"publicIp\":\"\",\"ipv6\":\"\",\"permissions\":[{"
                    "\"ipProtocol\":\"-1\",\"fromPort\":0,"
                    "\"toPort\":0,\"allowFrom\":\"my group\","
                    "\"groupId\":\"sg-1\",\"cidr\":\"::/0\","
                    "\"ports\":\"all traffic\"}]}]");
    fold_driver_release(&d);
}

/* Appends "groupId protocol from to cidr;" for each permission of row 0. */
static void describe_permissions(const struct fold_driver *d, char *out,
                                 size_t size)
{
    json_t *row = fold_row_json(d->fold, d->state, &FIRST_ROW);
    size_t len = 0;
    size_t i;
    const json_t *p;

    out[0] = '\0';
    json_array_foreach(json_object_get(row, "permissions"), i, p)
    {
        len += (size_t)snprintf(
            out + len, size - len, "%s %s %d %d %s;",
            json_string_value(json_object_get(p, "groupId")),
            json_string_value(json_object_get(p, "ipProtocol")),
            (int)json_integer_value(json_object_get(p, "fromPort")),
            (int)json_integer_value(json_object_get(p, "toPort")),
            json_string_value(json_object_get(p, "cidr")));
        assert_true(len < size);
    }
    json_decref(row);
}

static void test_exposure__sorts_permissions_and_gives_each_once(void **state)
{
    static const char *const groups[] = {
        "sg-2=same|tcp 9 9 0.0.0.0/0",
        "sg-1=same|udp 1 1 0.0.0.0/0"
        "|tcp 80 90 ::/0 0.0.0.0/0 0.0.0.0/0"
        "|tcp 9 9 0.0.0.0/0|tcp 80 80 0.0.0.0/0"
        "|icmp -1 -1 ::/0|icmp 8 -1 ::/0|tcp 80 90 ::/0",
        "sg-3=other|tcp 1 1 10.0.0.0/8",
        NULL,
    };
    static const char *const instances[] = {
        "i-1=running||sg-3 sg-2 sg-1 sg-2 sg-9 sg-1", NULL};
    struct fold_driver d;
    char text[1024];

    (void)state;
    run_region(&d, groups, instances);
    describe_permissions(&d, text, sizeof(text));
    assert_string_equal(text, "sg-1 icmp -1 -1 ::/0;"
                              "sg-1 icmp 8 -1 ::/0;"
                              "sg-1 tcp 9 9 0.0.0.0/0;"
                              "sg-1 tcp 80 80 0.0.0.0/0;"
                              "sg-1 tcp 80 90 0.0.0.0/0;"
                              "sg-1 tcp 80 90 ::/0;"
                              "sg-1 udp 1 1 0.0.0.0/0;"
                              "sg-2 tcp 9 9 0.0.0.0/0;");
    fold_driver_release(&d);
}

static void test_exposure__lists_by_id_each_once(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    static const char *const instances[] = {
        "i-3=running||sg-1", "i-1=running||sg-1", "i-2=running||sg-2",
        "i-3=running||sg-1", "i-4=running",       NULL};
    struct fold_driver d;

    (void)state;
    run_region(&d, groups, instances);
    assert_rows(&d, "[" ROW("i-1", SSH("g", "sg-1", "0.0.0.0/0")) "," ROW(
                        "i-3", SSH("g", "sg-1", "0.0.0.0/0")) "]");
    fold_driver_release(&d);
}

/* The second follow-up, after which none is wanted. */
static void end_by_own_groups(struct fold_driver *d, const char *const *texts)
{
    assert_string_equal(drive_end(d).filter, "instance.group-id");
    drive_listing(d, FOLD_FOLLOW_UP, texts);
    assert_null(drive_end(d).filter);
}

static const char *const NOTHING[] = {NULL};

static void test_exposure__asks_again_for_candidates_it_dropped(void **state)
{
    static const char *const instances[] = {"i-1=running||sg-2",
                                            "i-2=running||sg-3", NULL};
    static const char *const groups[] = {"sg-2=two|tcp 22 22 ::/0",
                                         "sg-3=three|tcp 22 22 10.0.0.0/8",
                                         "sg-1=one|tcp 22 22 0.0.0.0/0", NULL};
    static const char *const again[] = {"i-1=running||sg-2", NULL};
    /* One by both filters, one that has no interface. */
    static const char *const own[] = {"i-1=running||sg-2", "i-0=running||sg-1",
                                      NULL};
    struct fold_driver d;
    struct fold_follow_up f;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, NO_ROOM);
    drive_listing(&d, FOLD_INSTANCES, instances);
    assert_false(wants_more(&d, FOLD_INSTANCES));
    assert_true(wants_more(&d, FOLD_GROUPS));
    drive_listing(&d, FOLD_GROUPS, groups);
    f = drive_end(&d);
    assert_string_equal(f.filter, FILTER);
    assert_int_equal(f.nvalues, 2);
    assert_string_equal(f.values[0], "sg-1");
    assert_string_equal(f.values[1], "sg-2");

    drive_listing(&d, FOLD_FOLLOW_UP, again);
    end_by_own_groups(&d, own);
    assert_rows(&d, "[" ROW("i-0", SSH("one", "sg-1", "0.0.0.0/0")) "," ROW(
                        "i-1", SSH("two", "sg-2", "::/0")) "]");
    fold_driver_release(&d);
}

/* Calls with 200 values each may give the same instance twice. */
static void test_exposure__unites_the_calls_of_a_follow_up(void **state)
{
    static const char *const instances[] = {"i-1=running||sg-1", NULL};
    static const char *const first[] = {"i-2=running||sg-000 sg-399",
                                        "i-1=running||sg-001", NULL};
    static const char *const second[] = {"i-2=running||sg-000 sg-399",
                                         "i-0=running||sg-398", NULL};
    struct fold_driver d;
    struct fold_follow_up f;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, NO_ROOM);
    drive_listing(&d, FOLD_INSTANCES, instances);
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_BEGIN);
    for (int i = 399; i >= 0; i--) {
        char text[64];

        (void)snprintf(text, sizeof(text), "sg-%03d=g|tcp 22 22 ::/0", i);
        must_take(&d, FOLD_GROUPS, text);
    }
    drive_event(&d, FOLD_GROUPS, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_END);
    f = drive_end(&d);
    assert_int_equal(f.nvalues, 400);
    for (size_t i = 0; i < 400; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "sg-%03zu", i);
        assert_string_equal(f.values[i], id);
    }
    drive_listing(&d, FOLD_FOLLOW_UP, first);
    drive_listing(&d, FOLD_FOLLOW_UP, second);
    end_by_own_groups(&d, NOTHING);
    assert_rows(
        &d, "[" ROW("i-0", SSH("g", "sg-398", "::/0")) "," ROW(
                "i-1", SSH("g", "sg-001",
                           "::/0")) "," ROW("i-2",
                                            SSH("g", "sg-000", "::/0") "," SSH(
                                                "g", "sg-399", "::/0")) "]");
    fold_driver_release(&d);
}

static void
test_exposure__needs_no_instances_without_an_open_group(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 10.0.0.0/8", NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, NO_ROOM);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    assert_true(wants_more(&d, FOLD_INSTANCES));
    drive_listing(&d, FOLD_GROUPS, groups);
    assert_false(wants_more(&d, FOLD_INSTANCES));
    must_take(&d, FOLD_INSTANCES, "i-1=running||sg-1");
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, "[]");
    fold_driver_release(&d);
}

static void
test_exposure__asks_nothing_again_when_no_group_was_open(void **state)
{
    static const char *const instances[] = {"i-1=running||sg-1", NULL};
    static const char *const groups[] = {"sg-1=g|tcp 22 22 10.0.0.0/8", NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, NO_ROOM);
    drive_listing(&d, FOLD_INSTANCES, instances);
    assert_false(wants_more(&d, FOLD_INSTANCES));
    drive_listing(&d, FOLD_GROUPS, groups);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, "[]");
    fold_driver_release(&d);
}

static void test_exposure__keeps_candidates_up_to_the_limit(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    const size_t max = 4096;
    size_t n = 0;
    struct fold_driver d;

    (void)state;
    fold_driver_init(
        &d, &FOLD_EXPOSURE,
        (struct fold_limits){.pending_max = max, .rows_max = 1 << 20});
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    for (; wants_more(&d, FOLD_INSTANCES); n++)
        must_take(&d, FOLD_INSTANCES, "i-1=running||sg-1");
    /* A candidate: 22 bytes of texts and 16 to find them. */
    assert_int_equal(n, max / 38 + 1);
    /* Those that come after are not gathered anew. */
    must_take(&d, FOLD_INSTANCES, "i-1=running||sg-1");
    assert_int_equal(d.fold->tally(d.state).nrows, 0);
    drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    drive_listing(&d, FOLD_GROUPS, groups);
    assert_string_equal(drive_end(&d).filter, FILTER);
    fold_driver_release(&d);
}

static void
test_exposure__limits_candidates_no_more_once_groups_are_known(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    static const char *const instances[] = {"i-1=running||sg-1",
                                            "i-2=running||sg-1", NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, NO_ROOM);
    drive_listing(&d, FOLD_GROUPS, groups);
    drive_listing(&d, FOLD_INSTANCES, instances);
    assert_null(drive_end(&d).filter);
    assert_int_equal(d.fold->tally(d.state).nrows, 2);
    fold_driver_release(&d);
}

/* A region of which earlier sweeps have told this; by_group_min is 100. */
static void open_known(struct fold_driver *d, uint64_t ninstances,
                       uint64_t nfollowed)
{
    fold_driver_init(d, &FOLD_EXPOSURE,
                     (struct fold_limits){.pending_max = 1 << 20,
                                          .rows_max = 1 << 20,
                                          .by_group_min = 100});
    FOLD_EXPOSURE.region_free(d->state);
    d->options.ninstances = ninstances;
    d->options.nfollowed = nfollowed;
    assert_int_equal(FOLD_EXPOSURE.region_begin(&d->options, &d->state, NULL),
                     ERR_OK);
}

static void test_exposure__asks_by_group_where_it_pays(void **state)
{
    static const struct {
        uint64_t ninstances;
        uint64_t nfollowed;
        bool listed;
    } rows[] = {{0, 0, true},     {99, 0, true},   {100, 0, false},
                {100, 50, false}, {100, 51, true}, {1000, 500, false},
                {1000, 501, true}};
    struct fold_driver d;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        open_known(&d, rows[i].ninstances, rows[i].nfollowed);
        assert_int_equal(wants_more(&d, FOLD_INSTANCES), rows[i].listed);
        assert_true(wants_more(&d, FOLD_GROUPS));
        fold_driver_release(&d);
    }
    fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    FOLD_EXPOSURE.region_free(d.state);
    d.options.ninstances = UINT64_MAX;
    assert_int_equal(FOLD_EXPOSURE.region_begin(&d.options, &d.state, NULL),
                     ERR_OK);
    assert_true(wants_more(&d, FOLD_INSTANCES)); /* 0 is never */
    fold_driver_release(&d);
}

/* Each filter would have brought i-1 and i-2. */
static void test_exposure__tells_what_a_listing_spared(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    static const char *const instances[] = {
        "i-1=running||sg-1", "i-2=running||sg-1", "i-3=running||sg-2", NULL};
    static const char *const none[] = {NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    drive_listing(&d, FOLD_INSTANCES, instances);
    drive_listing(&d, FOLD_GROUPS, groups);
    assert_int_equal(drive_end(&d).nspared, 4 + 1);
    fold_driver_release(&d);
    fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    drive_listing(&d, FOLD_INSTANCES, instances);
    drive_listing(&d, FOLD_GROUPS, none);
    assert_int_equal(drive_end(&d).nspared, 0 + 1);
    fold_driver_release(&d);
}

static void test_exposure__tells_the_same_by_group(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0",
                                         "sg-2=h|tcp 22 22 10.0.0.0/8", NULL};
    static const char *const by_interface[] = {"i-2=running|Name=b|sg-1", NULL};
    static const char *const by_own[] = {"i-2=running|Name=b|sg-1",
                                         "i-1=stopped|Name=a|sg-1", NULL};
    static const char *const all[] = {"i-3=running|Name=c|sg-2",
                                      "i-2=running|Name=b|sg-1",
                                      "i-1=stopped|Name=a|sg-1", NULL};
    struct fold_driver listed;
    struct fold_driver d;
    char *expected;

    (void)state;
    run_region(&listed, groups, all);
    expected = driver_rows(&listed);
    fold_driver_release(&listed);
    open_known(&d, 100, 0);
    drive_listing(&d, FOLD_GROUPS, groups);
    assert_string_equal(drive_end(&d).filter, "network-interface.group-id");
    drive_listing(&d, FOLD_FOLLOW_UP, by_interface);
    assert_string_equal(drive_end(&d).filter, "instance.group-id");
    drive_listing(&d, FOLD_FOLLOW_UP, by_own);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, expected);
    free(expected);
    fold_driver_release(&d);
}

/* Another fold needs all instances, so they are good for this one too. */
static void test_exposure__takes_a_listing_it_did_not_want(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    static const char *const instances[] = {"i-1=running||sg-1", NULL};
    struct fold_driver listed;
    struct fold_driver d;
    char *expected;

    (void)state;
    run_region(&listed, groups, instances);
    expected = driver_rows(&listed);
    fold_driver_release(&listed);
    open_known(&d, 100, 0);
    drive_listing(&d, FOLD_INSTANCES, instances);
    drive_listing(&d, FOLD_GROUPS, groups);
    assert_null(drive_end(&d).filter);
    assert_rows(&d, expected);
    free(expected);
    fold_driver_release(&d);
}

/* Pages of one instance, the largest id first: the smallest ids stay. Closed
 * groups do not count. */
static void test_exposure__counts_what_is_past_the_limit(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    struct fold_driver d;
    struct fold_tally tally;
    json_t *row = NULL;

    (void)state;
    fold_driver_init(
        &d, &FOLD_EXPOSURE,
        (struct fold_limits){.pending_max = 1 << 20, .rows_max = 200});
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    for (int i = 99; i >= 0; i--) {
        char text[64];

        if (i == 50)
            drive_listing(&d, FOLD_GROUPS, groups);
        (void)snprintf(text, sizeof(text),
                       "i-%02d=running||sg-0 sg-%d sg-7 sg-8", i, i % 2);
        must_take(&d, FOLD_INSTANCES, text);
        drive_event(&d, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    }
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_END);
    (void)drive_end(&d);
    tally = d.fold->tally(d.state);
    /* A row: 23 bytes of texts and 16 to find them. */
    assert_int_equal(tally.nrows, 200 / 39);
    assert_int_equal(tally.nrows + tally.nbeyond, 50);
    row = fold_row_json(d.fold, d.state, &FIRST_ROW);
    assert_string_equal(json_string_value(json_object_get(row, "instanceId")),
                        "i-01");
    json_decref(row);
    fold_driver_release(&d);
}

/* Those told before are counted, also when they had to wait for the groups or
 * come in two calls. */
static void test_exposure__goes_on_after_an_instance(void **state)
{
    static const char *const groups[] = {"sg-1=g|tcp 22 22 0.0.0.0/0", NULL};
    static const char *const instances[] = {
        "i-4=running||sg-1", "i-1=running||sg-1", "i-2=running||sg-2",
        "i-3=running||sg-1", NULL};

    (void)state;
    for (int way = 0; way < 3; way++) {
        struct fold_driver d;
        struct fold_tally tally;
        char *rows;

        fold_driver_init(&d, &FOLD_EXPOSURE, way == 2 ? NO_ROOM : ROOMY_LIMITS);
        d.criteria.after_region = SPAN_LIT("us-east-1");
        d.criteria.after_id = SPAN_LIT("i-3");
        d.criteria.after_is_there = true;
        if (way == 0)
            drive_listing(&d, FOLD_GROUPS, groups);
        drive_listing(&d, FOLD_INSTANCES, instances);
        if (way != 0)
            drive_listing(&d, FOLD_GROUPS, groups);
        while (drive_end(&d).filter)
            drive_listing(&d, FOLD_FOLLOW_UP, instances);
        tally = d.fold->tally(d.state);
        assert_int_equal(tally.nrows, 1);
        assert_int_equal(tally.nbefore, 2);
        assert_int_equal(tally.nbeyond, 0);
        rows = driver_rows(&d);
        assert_non_null(strstr(rows, "\"instanceId\":\"i-4\""));
        free(rows);
        fold_driver_release(&d);
    }
}

static void test_exposure__shortens_a_row_and_says_so(void **state)
{
    static const char *const groups[] = {
        "sg-1=g|tcp 1 1 ::/0|tcp 2 2 ::/0|tcp 3 3 ::/0",
        "sg-2=g|tcp 4 4 ::/0|tcp 5 5 ::/0", NULL};
    static const char *const instances[] = {"i-1=running||sg-1 sg-2", NULL};
    struct fold_driver d;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    drive_listing(&d, FOLD_GROUPS, groups);
    drive_listing(&d, FOLD_INSTANCES, instances);
    (void)drive_end(&d);
    for (size_t max = 0; max < 7; max++) {
        struct fold_row which = {.region = "r", .list_max = max};
        size_t shown = max < 5 ? max : 5;
        json_t *row = fold_row_json(d.fold, d.state, &which);
        const json_t *omitted = json_object_get(row, "permissionsOmitted");

        assert_int_equal(json_array_size(json_object_get(row, "permissions")),
                         shown);
        assert_int_equal(json_integer_value(omitted), 5 - shown);
        assert_int_equal(omitted == NULL, shown == 5);
        json_decref(row);
    }
    fold_driver_release(&d);
}

static void test_exposure__leaves_names_out_where_they_are_off(void **state)
{
    static const char *const groups[] = {"sg-1=secret|tcp 1 1 ::/0", NULL};
    static const char *const instances[] = {"i-1=running|Name=secret|sg-1",
                                            NULL};
    const struct criteria no_names = {.names_off = true};
    const struct fold_options options = {.limits = ROOMY_LIMITS,
                                         .criteria = &no_names};
    struct fold_driver d = {.fold = &FOLD_EXPOSURE};
    char *rows;

    (void)state;
    assert_int_equal(FOLD_EXPOSURE.region_begin(&options, &d.state, NULL),
                     ERR_OK);
    drive_listing(&d, FOLD_GROUPS, groups);
    drive_listing(&d, FOLD_INSTANCES, instances);
    (void)drive_end(&d);
    rows = driver_rows(&d);
    assert_non_null(strstr(rows, "\"groupId\":\"sg-1\""));
    assert_null(strstr(rows, "secret"));
    assert_null(strstr(rows, "instanceName"));
    assert_null(strstr(rows, "allowFrom"));
    free(rows);
    fold_driver_release(&d);
}

static void test_exposure__ends_at_the_limit_of_groups(void **state)
{
    /* The limit is 16 MiB; each of these takes some 50 kB. */
    char *text = malloc(50 * 1024);
    struct fold_driver d;
    struct err err = {0};
    int n = 0;

    (void)state;
    memset(text, 'x', 50 * 1024);
    (void)snprintf(text + 49 * 1024, 1024, "=g|tcp 22 22 ::/0");
    fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_BEGIN);
    while (n < 1000 && !drive_group(&d, text, &err))
        n++;
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.msg,
                        "exposure: open groups take more than 16777216 bytes");
    assert_in_range(n, 16 * 1024 / 60, 16 * 1024 / 49);
    fold_driver_release(&d);
    free(text);
}

/*
 * The two listings against a model, in every order: what is found is what was
 * committed on both sides, whether or not candidates were dropped.
 */
static const char *const INSTANCES[] = {
    "i-c=running||sg-1",
    "i-a=running||sg-9 sg-2",
    "i-b=running||sg-9",
};
static const char *const GROUPS[] = {
    "sg-2=two|tcp 22 22 ::/0",
    "sg-9=nine|tcp 22 22 10.0.0.0/8",
    "sg-1=one|tcp 22 22 0.0.0.0/0",
};
#define NRECORDS 3

/* The rows of INSTANCES[0] and [1] when the groups [2] and [0] are open. */
static const char ROW_0[] = ROW("i-c", SSH("one", "sg-1", "0.0.0.0/0"));
static const char ROW_1[] = ROW("i-a", SSH("two", "sg-2", "::/0"));

enum op {
    RECORD,
    COMMIT,
    ROLLBACK,
    RESTART,
    END,
    NOPS,
};
#define LENGTH 5
#define NSEQUENCES 59049 /* (2 * NOPS - 1) to the power of LENGTH */

struct side {
    const char *const *records;
    unsigned next;
    unsigned fresh, committed; /* one bit a record */
    bool ended;
};

struct model {
    struct side sides[2]; /* by enum fold_listing */
};

static void do_op(enum op op, enum fold_listing listing, struct fold_driver *d,
                  struct model *m)
{
    static const enum fold_event events[NOPS] = {
        [COMMIT] = FOLD_PAGE_COMMIT,
        [ROLLBACK] = FOLD_PAGE_ROLLBACK,
        [RESTART] = FOLD_LISTING_RESTART,
        [END] = FOLD_LISTING_END,
    };
    struct side *side = &m->sides[listing];

    if (side->ended)
        return;
    if (op == RECORD) {
        unsigned i = side->next++ % NRECORDS;

        side->fresh |= 1U << i;
        must_take(d, listing, side->records[i]);
        return;
    }
    if (op == END)
        do_op(COMMIT, listing, d, m);
    if (op == COMMIT)
        side->committed |= side->fresh;
    if (op == RESTART)
        side->committed = 0;
    if (op != END)
        side->fresh = 0;
    side->ended = op == END;
    drive_event(d, listing, events[op]);
}

/* What EC2 would give for the follow-up: instances in one of the groups. */
static void answer_follow_up(struct fold_driver *d, const struct model *m,
                             const struct fold_follow_up *f)
{
    unsigned instances = m->sides[FOLD_INSTANCES].committed;
    unsigned groups = m->sides[FOLD_GROUPS].committed & 5U;
    const char *const values[] = {groups & 4 ? "sg-1" : "sg-2", "sg-2"};
    const char *texts[NRECORDS + 1] = {NULL};
    size_t n = 0;

    assert_string_equal(f->filter, FILTER);
    assert_int_equal(f->nvalues, groups == 5 ? 2 : 1);
    for (size_t i = 0; i < f->nvalues; i++)
        assert_string_equal(f->values[i], values[i]);
    if (instances & 1 && groups & 4)
        texts[n++] = INSTANCES[0];
    if (instances & 2 && groups & 1)
        texts[n++] = INSTANCES[1];
    drive_listing(d, FOLD_FOLLOW_UP, texts);
}

static void run_sequence(unsigned sequence, struct fold_limits limits)
{
    struct fold_driver d;
    struct model m = {.sides = {{.records = INSTANCES}, {.records = GROUPS}}};
    struct fold_follow_up f;
    char expected[1024];
    bool row_0;
    bool row_1;

    fold_driver_init(&d, &FOLD_EXPOSURE, limits);
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_BEGIN);
    for (int i = 0; i < LENGTH; i++, sequence /= 2 * NOPS - 1) {
        unsigned op = sequence % (2 * NOPS - 1);

        if (op < NOPS)
            do_op((enum op)op, FOLD_GROUPS, &d, &m);
        else
            do_op((enum op)(op - NOPS), FOLD_INSTANCES, &d, &m);
    }
    do_op(END, FOLD_INSTANCES, &d, &m);
    do_op(END, FOLD_GROUPS, &d, &m);
    f = drive_end(&d);
    if (f.filter) {
        answer_follow_up(&d, &m, &f);
        end_by_own_groups(&d, NOTHING);
    }
    row_0 = m.sides[0].committed & 1 && m.sides[1].committed & 4;
    row_1 = m.sides[0].committed & 2 && m.sides[1].committed & 1;
    (void)snprintf(expected, sizeof(expected), "[%s%s%s]", row_1 ? ROW_1 : "",
                   row_0 && row_1 ? "," : "", row_0 ? ROW_0 : "");
    assert_rows(&d, expected);
    fold_driver_release(&d);
}

static void test_exposure__keeps_to_what_was_committed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NSEQUENCES; i++)
        run_sequence(i, ROOMY_LIMITS);
}

static void
test_exposure__keeps_to_what_was_committed_without_room(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NSEQUENCES; i++)
        run_sequence(i, NO_ROOM);
}

/* One region with a follow-up, from begin to the last row. */
static enum err_code run_all(struct err *err)
{
    const struct criteria all = {0};
    const struct fold_options options = {.limits = NO_ROOM, .criteria = &all};
    struct fold_driver d = {.fold = &FOLD_EXPOSURE};
    struct fold_follow_up f = {0};
    struct buf row = BUF_INIT(1000);
    enum err_code rc = FOLD_EXPOSURE.region_begin(&options, &d.state, err);

    if (rc)
        goto out;
    drive_event(&d, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    rc = drive_instance(&d, INSTANCES[0], err);
    if (rc)
        goto out;
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_BEGIN);
    rc = drive_group(&d, GROUPS[2], err);
    if (rc)
        goto out;
    drive_event(&d, FOLD_GROUPS, FOLD_PAGE_COMMIT);
    drive_event(&d, FOLD_GROUPS, FOLD_LISTING_END);
    rc = FOLD_EXPOSURE.region_end(d.state, &f, err);
    if (rc)
        goto out;
    drive_event(&d, FOLD_FOLLOW_UP, FOLD_LISTING_BEGIN);
    rc = drive_instance(&d, INSTANCES[0], err);
    if (rc)
        goto out;
    rc = FOLD_EXPOSURE.region_end(d.state, &f, err);
    if (rc)
        goto out;
    (void)FOLD_EXPOSURE.row(d.state, &FIRST_ROW, &row);
    rc = buf_check(&row, "row", err);

out:
    buf_release(&row);
    FOLD_EXPOSURE.region_free(d.state);
    return rc;
}

static void test_exposure__reports_every_failed_allocation(void **state)
{
    size_t n;

    (void)state;
    for (n = 0;; n++) {
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = run_all(&err);
        if (!fail_alloc_stop()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_non_null(strstr(err.msg, "out of memory"));
    }
    assert_true(n > 9);
}

/* A group with a text that just fits a block of the arena (16 KiB), and one
 * that does not, so that each part of it is allocated by itself. */
static void
test_exposure__reports_no_memory_for_any_part_of_a_group(void **state)
{
    static char text[16350 + 20000 + 64];
    size_t len = 16350;
    size_t n;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text + len, "=g|", 3);
    len += 3 + 20000;
    (void)snprintf(text + len, sizeof(text) - len, " 22 22 ::/0");
    for (n = 0;; n++) {
        struct fold_driver d;
        struct err err = {0};
        enum err_code rc;

        fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
        fail_alloc_at(n);
        rc = drive_group(&d, text, &err);
        fold_driver_release(&d);
        if (!fail_alloc_stop()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_string_equal(err.msg, "exposure: out of memory");
    }
    /* The list of groups, the id, the rules, the protocol, the range. */
    assert_int_equal(n, 5);
}

static void test_exposure__keeps_to_the_criteria(void **state)
{
    static const char *const groups[] = {
        "sg-1=web|tcp 443 443 0.0.0.0/0|tcp 20 30 0.0.0.0/0 ::/0",
        "sg-2=all|-1 - - ::/0", "sg-3=dns|udp 53 53 0.0.0.0/0", NULL};
    static const char *const instances[] = {
        "i-1=running||sg-1", "i-2=stopped||sg-1", "i-3=running||sg-3",
        "i-4=running||sg-2 sg-3", NULL};
    struct fold_driver d;
    char *rows;
    json_t *json;

    (void)state;
    fold_driver_init(&d, &FOLD_EXPOSURE, ROOMY_LIMITS);
    d.criteria.states = 1U << 1; /* running */
    d.criteria.protocol = CRITERIA_TCP;
    d.criteria.from_port = d.criteria.to_port = 22;
    drive_listing(&d, FOLD_INSTANCES, instances);
    drive_listing(&d, FOLD_GROUPS, groups);
    (void)drive_end(&d);
    rows = driver_rows(&d);
    json = json_loads(rows, 0, NULL);
    assert_int_equal(json_array_size(json), 2);
    assert_non_null(strstr(rows, "\"instanceId\":\"i-1\""));
    assert_non_null(strstr(rows, "\"instanceId\":\"i-4\""));
    /* The rules that do not let port 22 in are not told either. */
    assert_null(strstr(rows, "443"));
    assert_null(strstr(rows, "sg-3"));
    assert_int_equal(json_array_size(json_object_get(json_array_get(json, 0),
                                                     "permissions")),
                     2);
    json_decref(json);
    free(rows);
    fold_driver_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exposure__keeps_to_the_criteria),
        cmocka_unit_test(test_exposure__is_a_rule_open_to_the_whole_internet),
        cmocka_unit_test(test_exposure__tells_all_fields_of_a_rule),
        cmocka_unit_test(test_exposure__sorts_permissions_and_gives_each_once),
        cmocka_unit_test(test_exposure__lists_by_id_each_once),
        cmocka_unit_test(test_exposure__asks_again_for_candidates_it_dropped),
        cmocka_unit_test(test_exposure__unites_the_calls_of_a_follow_up),
        cmocka_unit_test(
            test_exposure__needs_no_instances_without_an_open_group),
        cmocka_unit_test(
            test_exposure__asks_nothing_again_when_no_group_was_open),
        cmocka_unit_test(test_exposure__keeps_candidates_up_to_the_limit),
        cmocka_unit_test(
            test_exposure__limits_candidates_no_more_once_groups_are_known),
        cmocka_unit_test(test_exposure__counts_what_is_past_the_limit),
        cmocka_unit_test(test_exposure__goes_on_after_an_instance),
        cmocka_unit_test(test_exposure__shortens_a_row_and_says_so),
        cmocka_unit_test(test_exposure__leaves_names_out_where_they_are_off),
        cmocka_unit_test(test_exposure__asks_by_group_where_it_pays),
        cmocka_unit_test(test_exposure__tells_what_a_listing_spared),
        cmocka_unit_test(test_exposure__tells_the_same_by_group),
        cmocka_unit_test(test_exposure__takes_a_listing_it_did_not_want),
        cmocka_unit_test(test_exposure__ends_at_the_limit_of_groups),
        cmocka_unit_test(test_exposure__keeps_to_what_was_committed),
        cmocka_unit_test(
            test_exposure__keeps_to_what_was_committed_without_room),
        cmocka_unit_test(test_exposure__reports_every_failed_allocation),
        cmocka_unit_test(
            test_exposure__reports_no_memory_for_any_part_of_a_group),
    };

    /* So that fail_alloc reaches jansson's allocations. */
    json_set_alloc_funcs(malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
