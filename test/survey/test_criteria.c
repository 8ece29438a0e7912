#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/records.h"
#include "survey/match.h"
#include "survey/scope.h"

static const struct criteria_options NO_DEFAULTS = {0};

static const struct question *question(const char *name)
{
    const struct question *q = question_by_name(span_of(name));

    assert_non_null(q);
    return q;
}

/* The criteria of a question that accepts text. */
static struct criteria parsed(const char *name,
                              const struct criteria_text *text)
{
    struct criteria out;
    struct err err = {0};

    if (criteria_parse(&NO_DEFAULTS, question(name), text, &out, &err))
        fail_msg("%s: %s", name, err.msg);
    return out;
}

static void assert_refused(const char *name, const struct criteria_text *text,
                           const char *msg)
{
    static const struct criteria untouched = {.states = 77};
    struct criteria out = untouched;
    struct err err = {0};

    assert_int_equal(
        criteria_parse(&NO_DEFAULTS, question(name), text, &out, &err),
        ERR_ARG);
    assert_string_equal(err.msg, msg);
    assert_memory_equal(&out, &untouched, sizeof(out));
}

/* EC2's states in the order of its list (API reference, InstanceState). */
enum {
    PENDING = 1,
    RUNNING = 2,
    SHUTTING_DOWN = 4,
    TERMINATED = 8,
    STOPPING = 16,
    STOPPED = 32,
};

static void test_criteria_parse_states__takes_names_in_any_case(void **state)
{
    static const struct {
        const char *list;
        unsigned states;
    } cases[] = {
        {"pending", PENDING},
        {"running", RUNNING},
        {"shutting-down", SHUTTING_DOWN},
        {"terminated", TERMINATED},
        {"stopping", STOPPING},
        {"stopped", STOPPED},
        {" Running ,\tSTOPPED,", RUNNING | STOPPED},
        {"running,running", RUNNING},
        {"", 0},
        {" , ", 0},
        {"all", 0},
        {"stopped,ALL", 0},
        {"stopped,stopping,terminated,shutting-down,running,pending", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned states = 77;

        if (criteria_parse_states(span_of(cases[i].list), &states, NULL) ||
            states != cases[i].states)
            fail_msg("\"%s\": %u", cases[i].list, states);
    }
}

static void test_criteria_parse_states__lists_what_there_is(void **state)
{
    unsigned states = 77;
    struct err err = {0};

    (void)state;
    assert_int_equal(
        criteria_parse_states(SPAN_LIT("running,halted"), &states, &err),
        ERR_ARG);
    assert_string_equal(err.msg,
                        "states: \"halted\" is no state of an instance; use a "
                        "comma list of pending, running, shutting-down, "
                        "terminated, stopping, stopped, or \"all\"");
    assert_int_equal(states, 77);
}

static void test_criteria_wants_state__goes_by_the_list(void **state)
{
    const struct criteria all = {0};
    const struct criteria some = {.states = RUNNING | STOPPED};

    (void)state;
    assert_true(criteria_wants_state(&all, SPAN_LIT("terminated")));
    assert_true(criteria_wants_state(&all, SPAN_LIT("hibernating")));
    assert_true(criteria_wants_state(&all, (struct span){0}));
    assert_true(criteria_wants_state(&some, SPAN_LIT("running")));
    assert_true(criteria_wants_state(&some, SPAN_LIT("stopped")));
    assert_false(criteria_wants_state(&some, SPAN_LIT("stopping")));
    assert_false(criteria_wants_state(&some, SPAN_LIT("hibernating")));
    assert_false(criteria_wants_state(&some, (struct span){0}));
}

static void test_criteria_parse__has_defaults_for_what_is_silent(void **state)
{
    const struct criteria_options defaults = {.default_states = RUNNING,
                                              .names_off = true};
    const struct criteria_text silent = {0};
    const struct criteria_text says = {.states = SPAN_LIT(" all ")};
    struct criteria out;

    (void)state;
    assert_int_equal(criteria_parse(&defaults, question("count_instances"),
                                    &silent, &out, NULL),
                     ERR_OK);
    assert_int_equal(out.states, RUNNING);
    assert_true(out.names_off);
    assert_int_equal(criteria_parse(&defaults, question("count_instances"),
                                    &says, &out, NULL),
                     ERR_OK);
    assert_int_equal(out.states, 0);
}

static void test_criteria_has_tag__compares_key_and_value(void **state)
{
    static const struct {
        const char *tag; /* the parameter; NULL: not given */
        const char *instance;
        bool has;
    } cases[] = {
        {NULL, "i=running|Owner=ops", true},
        {NULL, "i=running|oWNER=ops", true},
        {NULL, "i=running|Owner=", false},
        {NULL, "i=running|Owners=ops", false},
        {NULL, "i=running", false},
        {"CostCenter", "i=running|costcenter=7", true},
        {"CostCenter", "i=running|Owner=ops", false},
        {" costcenter ", "i=running|CostCenter=7", true},
        {"Owner=*@example.com", "i=running|Owner=ann@example.com", true},
        {"Owner=*@example.com", "i=running|owner=Ann@Example.COM", true},
        {"Owner=*@example.com", "i=running|Owner=ann@example.org", false},
        {"Owner=*@example.com", "i=running|Owner=@example.com.org", false},
        {"Owner=*@example.com", "i=running|Owner=,owner=a@example.com", true},
        {"Owner=ops", "i=running|Owner=ops", true},
        {"Owner=ops", "i=running|Owner=ops2", false},
        {"Owner=*", "i=running|Owner=x", true},
        {"Owner=*", "i=running|Owner=", false},
        {"Owner = o*s ", "i=running|Owner=ops", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct criteria_text text = {.tag = span_of(cases[i].tag)};
        const struct criteria c = parsed("instances_without_tag", &text);
        struct instance_record record;

        instance_record_init(&record, cases[i].instance);
        if (criteria_has_tag(&c, &record.instance) != cases[i].has)
            fail_msg("%s of %s", cases[i].tag, cases[i].instance);
    }
}

static void test_criteria_covers__asks_protocol_and_ports(void **state)
{
    static const struct {
        const char *port; /* NULL: not given */
        const char *rule;
        bool covered;
    } cases[] = {
        {NULL, "50 - -", true},
        {NULL, "tcp 22 22", true},
        {"22", "tcp 22 22", true},
        {"22", "udp 22 22", true},
        {"22", "6 22 22", true},
        {"22", "17 20 30", true},
        {"22", "tcp 23 23", false},
        {"22", "tcp 0 65535", true},
        {"22", "tcp - -", true},
        {"22", "-1 - -", true},
        {"22", "icmp -1 -1", false},
        {"22", "50 - -", false},
        {"0", "tcp 0 0", true},
        {"65535", "tcp 0 65534", false},
        {"443/tcp", "tcp 443 443", true},
        {"443/TCP", "tcp 443 443", true},
        {"443/tcp", "udp 443 443", false},
        {"443 / udp", "udp 443 443", true},
        {"53/udp", "udp 53 53", true},
        {"53/udp", "tcp 53 53", false},
        {"53/udp", "-1 - -", true},
        {"8000-8080", "tcp 8080 9000", true},
        {"8000-8080", "tcp 1 8000", true},
        {"8000-8080", "tcp 8010 8010", true},
        {"8000-8080", "tcp 1 65535", true},
        {"8000-8080", "tcp 8081 8081", false},
        {"8000-8080", "tcp 7999 7999", false},
        {"8000 - 8080/udp", "udp 8010 8010", true},
        {"8000-8080/udp", "tcp 8010 8010", false},
        {"tcp", "tcp 1 1", true},
        {"tcp", "udp 1 1", false},
        {"udp", "udp 65535 65535", true},
        {"icmp", "icmp 8 -1", true},
        {"icmp", "1 -1 -1", true},
        {"icmp", "icmpv6 -1 -1", true},
        {"icmp", "-1 - -", true},
        {"icmp", "tcp 0 65535", false},
        {"ICMPv6", "58 128 0", true},
        {"icmpv6", "icmp -1 -1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct criteria_text text = {.port = span_of(cases[i].port)};
        const struct criteria c = parsed("exposed_instances", &text);
        const struct ec2_permission rule = permission_of(cases[i].rule);

        if (criteria_covers(&c, &rule) != cases[i].covered)
            fail_msg("%s: %s", cases[i].port, cases[i].rule);
    }
}

static void test_criteria_matches_query__looks_at_all_of_it(void **state)
{
    static const char *const instance =
        "i-0abc=running|name=Web 1,Note=x|sg-1|t3.micro|"
        "10.0.0.4 own 198.51.100.7 10.0.0.5 2001:db8::a:1";
    static const struct {
        const char *query;
        bool matches;
    } cases[] = {
        {"i-0abc", true},
        {"I-0ABC", true},
        {"i-0ab", false},
        {"i-0*", true},
        {"Web 1", true},
        {"web 1", true},
        {"web*", true},
        {"web", false},
        {" Web 1 ", true},
        {"*eb*", true},
        {"10.0.0.4", true},
        {"10.0.0.5", true},
        {"10.0.0.*", true},
        {"10.0.0.40", false},
        {"198.51.100.7", true},
        {"98.51.100.7", false},
        {"2001:db8::a:1", true},
        {"2001:DB8:0:0::a:1", true},
        {"2001:db8:0:0:0:0:a:1", true},
        {"2001:db8::a:2", false},
        {"2001:db8*", true},
        {"::", false},
        {"x", false},
        {"sg-1", false},
        {"t3.micro", false},
        {"*", true},
    };
    struct instance_record record;

    (void)state;
    instance_record_init(&record, instance);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct criteria_text text = {.query = span_of(cases[i].query)};
        const struct criteria c = parsed("find_instances", &text);

        if (criteria_matches_query(&c, &record.instance) != cases[i].matches)
            fail_msg("%s", cases[i].query);
    }
}

static void test_criteria_parse__needs_a_query_to_find(void **state)
{
    static const char MISSING[] =
        "query: missing; give an instance id, a name that may hold *, or an IP "
        "address";
    const struct criteria_text none = {0};
    const struct criteria_text blank = {.query = SPAN_LIT(" \t")};

    (void)state;
    assert_refused("find_instances", &none, MISSING);
    assert_refused("find_instances", &blank, MISSING);
}

/* Who looks for one instance wants it in any state. */
static void test_criteria_parse__finds_in_every_state(void **state)
{
    const struct criteria_options defaults = {.default_states = RUNNING};
    const struct criteria_text text = {.query = SPAN_LIT("i-1")};
    struct criteria out;

    (void)state;
    assert_int_equal(criteria_parse(&defaults, question("find_instances"),
                                    &text, &out, NULL),
                     ERR_OK);
    assert_int_equal(out.states, 0);
}

static void test_criteria_is_before__goes_by_region_then_id(void **state)
{
    const struct criteria_text text = {.after = SPAN_LIT("us-east-1/i-5")};
    struct criteria c = parsed("exposed_instances", &text);
    const struct criteria none = {0};

    (void)state;
    c.after_position = 3;
    c.after_is_there = true;
    assert_true(criteria_is_before(&c, 2, SPAN_LIT("i-9")));
    assert_true(criteria_is_before(&c, 3, SPAN_LIT("i-4")));
    assert_true(criteria_is_before(&c, 3, SPAN_LIT("i-5")));
    assert_false(criteria_is_before(&c, 3, SPAN_LIT("i-50")));
    assert_false(criteria_is_before(&c, 4, SPAN_LIT("i-0")));
    c.after_is_there = false;
    assert_false(criteria_is_before(&c, 3, SPAN_LIT("i-4")));
    assert_false(criteria_is_before(&none, 0, SPAN_LIT("i-4")));
}

static void test_criteria_parse__says_what_a_port_may_be(void **state)
{
    static const char *const bad[] = {
        "ssh",  "65536",   "-1",      "22-",   "-22",   "80-79", "22/",
        "/tcp", "22/sctp", "22/icmp", "1-2-3", "22,80", "0x16",  "22 23",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct criteria_text text = {.port = span_of(bad[i])};
        char msg[ERR_MSG_MAX];

        (void)snprintf(msg, sizeof(msg),
                       "port: \"%s\" is no port; use one from 0 to 65535 such "
                       "as 22, a range such as 8000-8080, either with /tcp or "
                       "/udp behind it, or tcp, udp, icmp or icmpv6",
                       bad[i]);
        assert_refused("exposed_instances", &text, msg);
    }
}

static void test_criteria_parse__says_what_a_tag_may_be(void **state)
{
    static const char *const bad[] = {"=", "=x", " = x", "Owner=", "Owner= "};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct criteria_text text = {.tag = span_of(bad[i])};
        char msg[ERR_MSG_MAX];

        (void)snprintf(msg, sizeof(msg),
                       "tag: \"%.*s\" is no tag; use a key such as Owner, or a "
                       "key and a value that may hold *, such as "
                       "Owner=*@example.com",
                       SPAN_ARG(span_trim(span_of(bad[i]))));
        assert_refused("instances_without_tag", &text, msg);
    }
}

static void test_criteria_parse__says_what_after_may_be(void **state)
{
    static const char *const bad[] = {
        "i-1",         "us-east-1/",    "us-east-1",         "/i-1",
        "nowhere/i-1", "us-east-1/I 1", "us-east-1/i-1/i-2",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct criteria_text text = {.after = span_of(bad[i])};
        char msg[ERR_MSG_MAX];

        (void)snprintf(msg, sizeof(msg),
                       "after: \"%s\" is no place to go on from; use \"next\" "
                       "of the answer before, such as us-east-1/i-0abc, or "
                       "leave it out to begin at the beginning",
                       bad[i]);
        assert_refused("exposed_instances", &text, msg);
    }
}

static void test_criteria_parse__refuses_what_a_question_lacks(void **state)
{
    const struct criteria_text port = {.port = SPAN_LIT("22")};
    const struct criteria_text tag = {.tag = SPAN_LIT("Owner")};
    const struct criteria_text after = {.after = SPAN_LIT("us-east-1/i-1")};
    const struct criteria_text blank = {.port = SPAN_LIT(" ")};

    (void)state;
    assert_refused("count_instances", &port,
                   "port: count_instances takes no such parameter; it takes "
                   "regions, states");
    assert_refused("count_instances", &after,
                   "after: count_instances takes no such parameter; it takes "
                   "regions, states");
    assert_refused("exposed_instances", &tag,
                   "tag: exposed_instances takes no such parameter; it takes "
                   "regions, states, port, after");
    (void)parsed("count_instances", &blank);
}

static void test_criteria_parse__cuts_what_it_quotes(void **state)
{
    char text[CRITERIA_TEXT_MAX + 1];
    struct err err = {0};
    struct criteria out;
    const struct criteria_text longest = {.port = {text, CRITERIA_TEXT_MAX}};
    const struct criteria_text longer = {.port = {text, sizeof(text)}};

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(criteria_parse(&NO_DEFAULTS, question("exposed_instances"),
                                    &longest, &out, &err),
                     ERR_ARG);
    assert_memory_equal(err.msg + strlen("port: \"") + 64, "\" is no", 7);
    assert_refused("exposed_instances", &longer, "port: longer than 512 bytes");
}

/* Entries in the order asked for; '?' in front: not to be asked. */
static void make_scope(struct scope *out, struct scope_entry *entries,
                       const char *const *names)
{
    *out = (struct scope){.entries = entries};
    for (; *names; names++) {
        struct scope_entry *entry = &entries[out->n++];
        const char *name = *names;

        *entry = (struct scope_entry){.kind = SCOPE_REGION};
        if (*name == '?') {
            entry->kind = SCOPE_UNKNOWN;
            name++;
        }
        (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    }
}

static void test_criteria_place__finds_the_region_as_asked(void **state)
{
    static const char *const names[] = {"us-east-1", "?xx-east-1", "af-south-1",
                                        "eu-west-1", NULL};
    static const struct {
        const char *after;
        size_t position;
        bool is_there;
    } cases[] = {
        {"", 0, false},
        {"us-east-1/i-1", 0, true},
        {"af-south-1/i-1", 1, true},
        {"eu-west-1/i-1", 2, true},
        {"xx-east-1/i-1", 1, false},
    };
    struct scope_entry entries[4];
    struct scope scope;

    (void)state;
    make_scope(&scope, entries, names);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct criteria_text text = {.after = span_of(cases[i].after)};
        struct criteria c = parsed("exposed_instances", &text);

        assert_int_equal(criteria_place(&c, &scope, NULL), ERR_OK);
        if (c.after_position != cases[i].position ||
            c.after_is_there != cases[i].is_there)
            fail_msg("%s: %zu", cases[i].after, c.after_position);
    }
}

/* A region that is gone from "all" is where its name would stand. */
static void test_criteria_place__goes_by_name_among_all(void **state)
{
    static const char *const names[] = {"af-south-1", "eu-west-1", "us-east-1",
                                        NULL};
    static const struct {
        const char *after;
        size_t position;
    } cases[] = {
        {"aa-east-1/i-1", 0},
        {"ap-east-1/i-1", 1},
        {"me-south-1/i-1", 2},
        {"us-west-1/i-1", 3},
    };
    struct scope_entry entries[3];
    struct scope scope;

    (void)state;
    make_scope(&scope, entries, names);
    scope.all = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct criteria_text text = {.after = span_of(cases[i].after)};
        struct criteria c = parsed("exposed_instances", &text);

        assert_int_equal(criteria_place(&c, &scope, NULL), ERR_OK);
        if (c.after_position != cases[i].position || c.after_is_there)
            fail_msg("%s: %zu", cases[i].after, c.after_position);
    }
}

static void test_criteria_place__refuses_a_region_of_another_list(void **state)
{
    static const char *const names[] = {"us-east-1", NULL};
    const struct criteria_text text = {.after = SPAN_LIT("eu-west-1/i-1")};
    struct criteria c = parsed("exposed_instances", &text);
    struct scope_entry entries[1];
    struct scope scope;
    struct err err = {0};

    (void)state;
    make_scope(&scope, entries, names);
    assert_int_equal(criteria_place(&c, &scope, &err), ERR_ARG);
    assert_string_equal(err.msg, "after: region eu-west-1 is not among those "
                                 "asked; ask for the same regions as before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_criteria_parse_states__takes_names_in_any_case),
        cmocka_unit_test(test_criteria_parse_states__lists_what_there_is),
        cmocka_unit_test(test_criteria_wants_state__goes_by_the_list),
        cmocka_unit_test(test_criteria_parse__has_defaults_for_what_is_silent),
        cmocka_unit_test(test_criteria_has_tag__compares_key_and_value),
        cmocka_unit_test(test_criteria_covers__asks_protocol_and_ports),
        cmocka_unit_test(test_criteria_matches_query__looks_at_all_of_it),
        cmocka_unit_test(test_criteria_parse__needs_a_query_to_find),
        cmocka_unit_test(test_criteria_parse__finds_in_every_state),
        cmocka_unit_test(test_criteria_is_before__goes_by_region_then_id),
        cmocka_unit_test(test_criteria_parse__says_what_a_port_may_be),
        cmocka_unit_test(test_criteria_parse__says_what_a_tag_may_be),
        cmocka_unit_test(test_criteria_parse__says_what_after_may_be),
        cmocka_unit_test(test_criteria_parse__refuses_what_a_question_lacks),
        cmocka_unit_test(test_criteria_parse__cuts_what_it_quotes),
        cmocka_unit_test(test_criteria_place__finds_the_region_as_asked),
        cmocka_unit_test(test_criteria_place__goes_by_name_among_all),
        cmocka_unit_test(test_criteria_place__refuses_a_region_of_another_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
