#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_set_rand_method() */
#include <openssl/rand.h>

#include "aws/ec2_memo.h"
#include "base/buf.h"
#include "support/fail_alloc.h"
#include "support/records.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ROOT "<DescribeInstancesResponse xmlns=\"http://x/\">"
#define ID "0f-A9"
#define ID_64 "0123456789012345678901234567890123456789012345678901234567890123"
#define SPAN(s)                                                                \
    {                                                                          \
        (s), sizeof(s) - 1                                                     \
    }
#define DOCUMENT(id)                                                           \
    ROOT "\n <requestId>" id "</requestId><reservationSet><item>a</item>"      \
         "</reservationSet></DescribeInstancesResponse>"

static const char *const INSTANCES[] = {
    "i-1=running|Name=web,Owner=,=x|sg-1 sg-2|t3.micro|own 10.0.0.4 "
    "2001:db8::1 "
    "198.51.100.7",
    "i-2=stopped",
    "=",
};
static const char *const GROUPS[] = {
    "sg-1=web|tcp 22 22 0.0.0.0/0 ::/0|-1 - - 10.0.0.0/8|icmp 8 -1",
    "sg-2=",
};

static const struct ec2_region REGIONS[] = {
    {{"eu-west-1", 9}, {"opted-in", 8}},
    {{"us-east-1", 9}, {NULL, 0}},
};

static int set_up(void **state)
{
    struct ec2_memo *memo = NULL;
    enum err_code rc = ec2_memo_new(&memo, NULL);

    *state = memo;
    return rc != ERR_OK;
}

static int tear_down(void **state)
{
    ec2_memo_free(*state);
    return 0;
}

static bool knows(struct ec2_memo *memo, const char *document)
{
    struct span id;

    return ec2_memo_recall(memo, EC2_DESCRIBE_INSTANCES, span_of(document),
                           &id);
}

static void add_instance(struct ec2_memo *memo, const char *text)
{
    struct instance_record record;

    instance_record_init(&record, text);
    assert_int_equal(ec2_memo_add_instance(memo, &record.instance, NULL),
                     ERR_OK);
    /* What the memo keeps is its own. */
    memset(&record, 0xa5, sizeof(record));
}

/* The document with one instance, seen to its end, and its request id. */
static void learn_with(struct ec2_memo *memo, const char *document,
                       const char *id)
{
    assert_false(knows(memo, document));
    add_instance(memo, "i-1=running");
    ec2_memo_keep(memo, span_of(id));
}

static void learn(struct ec2_memo *memo, const char *document)
{
    learn_with(memo, document, ID);
}

/* --- which documents are the same ---------------------------------------- */

static void test_ec2_memo_recall__the_same_but_for_its_id(void **state)
{
    static const char OTHER[] = DOCUMENT("another-id");
    struct span id = {0};

    learn(*state, DOCUMENT(ID));
    assert_true(knows(*state, DOCUMENT(ID)));
    assert_true(
        ec2_memo_recall(*state, EC2_DESCRIBE_INSTANCES, SPAN_LIT(OTHER), &id));
    assert_true(span_eq_str(id, "another-id"));
    assert_ptr_equal(id.p, strstr(OTHER, "another-id"));
    assert_true(knows(*state, DOCUMENT(ID_64)));
}

static void test_ec2_memo_recall__no_other_document(void **state)
{
    char document[] = DOCUMENT(ID);
    size_t id = (size_t)(strstr(document, ID) - document);

    for (size_t i = 0; i < sizeof(document) - 1; i++) {
        if (i >= id && i < id + sizeof(ID) - 1)
            continue;
        learn(*state, DOCUMENT(ID));
        document[i] ^= 1;
        if (knows(*state, document))
            fail_msg("byte %zu, now '%c'", i, document[i]);
        document[i] ^= 1;
    }
    learn(*state, DOCUMENT(ID));
    assert_false(knows(*state, DOCUMENT(ID) " "));
    learn(*state, DOCUMENT(ID));
    assert_false(knows(*state, ""));
}

static void test_ec2_memo_recall__nothing_of_another_action(void **state)
{
    struct span id;

    learn(*state, DOCUMENT(ID));
    assert_false(ec2_memo_recall(*state, EC2_DESCRIBE_SECURITY_GROUPS,
                                 SPAN_LIT(DOCUMENT(ID)), &id));
    assert_false(knows(*state, DOCUMENT(ID)));
}

static void test_ec2_memo_recall__the_last_document_only(void **state)
{
    learn(*state, DOCUMENT(ID));
    learn(*state, DOCUMENT(ID) "\n");
    assert_false(knows(*state, DOCUMENT(ID)));
}

/* UTF-16, in which these bytes are one text: "<requestId>" is none there. */
#define WIDE_ROOT "<\0?\0x\0m\0l\0 \0?\0>\0<\0a\0>\0"
#define NARROW "<requestId>" ID "</requestId>"

static const struct {
    struct span document;
    const char *id; /* what the parser might read as such */
} NOT_KEPT[] = {
    {SPAN(""), ""},
    {SPAN("<"), ""},
    {SPAN("<a>"), ""},
    {SPAN("<a><requestId"), ""},
    {SPAN("<a><requestId>"), ""},
    {SPAN("<a><requestId>" ID), ID},
    {SPAN("<requestId>" ID "</requestId>"), ID},
    {SPAN(ROOT "<reservationSet/></DescribeInstancesResponse>"), ""},
    {SPAN(ROOT "<RequestId>" ID "</RequestId>"), ID},
    {SPAN(ROOT "<requestId></requestId>"), ""},
    {SPAN(ROOT "<requestId> " ID "</requestId>"), " " ID},
    {SPAN(ROOT "<requestId>" ID "&#x31;</requestId>"), ID "1"},
    {SPAN(ROOT "<requestId>" ID "&#x31;</requestId>"), ID},
    {SPAN(ROOT "<requestId>" ID_64 "4</requestId>"), ID_64 "4"},
    /* What is in its place may be part of another text, or of none. */
    {SPAN("<!DOCTYPE a>" ROOT NARROW), ID},
    {SPAN(ROOT "<!-- " NARROW " -->"), ID},
    {SPAN(ROOT "<![CDATA[" NARROW "]]>"), ID},
    {SPAN(ROOT "<?p " NARROW "?>"), ID},
    {SPAN("<?p " NARROW "?>" ROOT), ID},
    {SPAN("<?xml <requestId>?" NARROW), ID},
    {SPAN(ROOT "<x>" NARROW "</x>"), ID},
    {SPAN(ROOT "<x/>" NARROW), ID},
    {SPAN(WIDE_ROOT NARROW), ID},
    {SPAN("\0" WIDE_ROOT NARROW), ID},
    {SPAN("\xff\xfe" WIDE_ROOT NARROW), ID},
    {SPAN("\xfe\xff\0" WIDE_ROOT NARROW), ID},
    {SPAN("\xef\xbb\xbf" ROOT NARROW), ID},
    {SPAN("<a\x80>" NARROW), ID},
    {SPAN("<a\x7f>" NARROW), ID},
    {SPAN("<?xml version=\"1.0\" x\x80?><a>" NARROW), ID},
    {SPAN("<a b=\"" ID_64 ID_64 ID_64 ID_64 ID_64 ID_64 ID_64 ID_64
          "\">" NARROW),
     ID},
};

static void test_ec2_memo_recall__nothing_that_could_hide_more(void **state)
{
    for (size_t i = 0; i < COUNT(NOT_KEPT); i++) {
        struct span document = NOT_KEPT[i].document;
        struct span id;

        for (unsigned n = 0; n < 2; n++) {
            if (ec2_memo_recall(*state, EC2_DESCRIBE_INSTANCES, document, &id))
                fail_msg("row %zu", i);
            ec2_memo_keep(*state, span_of(NOT_KEPT[i].id));
        }
    }
}

static const char *const KEPT[] = {
    "<a><requestId>" ID "<",
    "<?xml version=\"1.0\"?>\r\n<a x=\"1\"\t>\n <requestId>" ID "</requestId>",
};

static void test_ec2_memo_recall__what_begins_as_ec2s_answers(void **state)
{
    for (size_t i = 0; i < COUNT(KEPT); i++) {
        learn(*state, KEPT[i]);
        assert_true(knows(*state, KEPT[i]));
    }
    learn_with(*state, DOCUMENT(ID_64), ID_64);
    assert_true(knows(*state, DOCUMENT(ID_64)));
}

/* The ids that a document may have instead of the one that it was kept with. */
static void test_ec2_memo_recall__plain_ids_only(void **state)
{
    static const char *const BAD[] = {
        DOCUMENT(""),      DOCUMENT("a&amp;b"), DOCUMENT("a b"),
        DOCUMENT("a;"),    DOCUMENT("a&#x31;"), DOCUMENT("a\xc3\xa9"),
        DOCUMENT("a\x01"), DOCUMENT(ID_64 "4"), DOCUMENT("a]]>b"),
    };

    for (size_t i = 0; i < COUNT(BAD); i++) {
        learn(*state, DOCUMENT(ID));
        if (knows(*state, BAD[i]))
            fail_msg("row %zu: %s", i, BAD[i]);
    }
}

static void test_ec2_memo_document_len__is_of_the_last(void **state)
{
    (void)knows(*state, "");
    assert_int_equal(ec2_memo_document_len(*state), 0);
    learn(*state, DOCUMENT(ID));
    assert_int_equal(ec2_memo_document_len(*state), sizeof(DOCUMENT(ID)) - 1);
    assert_false(knows(*state, "<short/>"));
    assert_int_equal(ec2_memo_document_len(*state), 8);
    ec2_memo_forget(*state);
    assert_int_equal(ec2_memo_document_len(*state), 8);
}

static void test_ec2_memo_keep__is_needed(void **state)
{
    assert_false(knows(*state, DOCUMENT(ID)));
    add_instance(*state, "i-1=running");
    assert_false(knows(*state, DOCUMENT(ID)));
    /* The parser saw another id than the text that was passed over. */
    ec2_memo_keep(*state, SPAN_LIT("0f-A8"));
    assert_false(knows(*state, DOCUMENT(ID)));
    ec2_memo_keep(*state, SPAN_LIT(ID));
    assert_true(knows(*state, DOCUMENT(ID)));
    ec2_memo_forget(*state);
    assert_false(knows(*state, DOCUMENT(ID)));
}

/* --- the key ------------------------------------------------------------- */

/* What OpenSSL's interface has no argument for. */
static struct {
    int asked; /* bytes */
    int gives; /* 1: them */
} chance;

static int take_chance(unsigned char *to, int len)
{
    memset(to, 1, (size_t)len);
    chance.asked += len;
    return chance.gives;
}

static void test_ec2_memo_new__needs_a_random_key(void **state)
{
    static const RAND_METHOD METHOD = {.bytes = take_chance};
    struct ec2_memo *memo = NULL;
    struct err err = {0};
    enum err_code rc;

    (void)state;
    assert_true(RAND_set_rand_method(&METHOD));
    assert_int_equal(ec2_memo_new(&memo, &err), ERR_CRYPTO);
    assert_string_equal(err.msg, "ec2_memo: no random bytes");
    assert_null(memo);
    assert_int_equal(chance.asked, 16);
    chance.gives = 1;
    rc = ec2_memo_new(&memo, NULL);
    assert_true(RAND_set_rand_method(NULL));
    assert_int_equal(rc, ERR_OK);
    ec2_memo_free(memo);
}

/* --- what they hold ------------------------------------------------------ */

struct told {
    struct buf text;
    size_t n;
    size_t refuse_at; /* 0: none */
};

static void tell_text(struct told *told, struct span s)
{
    buf_addf(&told->text, " %.*s;", SPAN_ARG(s));
}

static enum err_code end_record(struct told *told, struct err *err)
{
    buf_add_char(&told->text, '\n');
    if (++told->n == told->refuse_at)
        return err_set(err, ERR_IO, "test: refused");
    return ERR_OK;
}

static enum err_code take_instance(void *arg, const struct ec2_instance *in,
                                   struct err *err)
{
    struct told *told = arg;

    tell_text(told, in->id);
    tell_text(told, in->state);
    tell_text(told, in->type);
    tell_text(told, in->launch_time);
    for (size_t i = 0; i < in->ntags; i++) {
        tell_text(told, in->tags[i].key);
        tell_text(told, in->tags[i].value);
    }
    for (size_t i = 0; i < in->ngroup_ids; i++)
        tell_text(told, in->group_ids[i]);
    for (size_t i = 0; i < in->naddresses; i++) {
        tell_text(told, in->addresses[i].text);
        buf_addf(&told->text, "%d%d", in->addresses[i].kind,
                 in->addresses[i].own);
    }
    buf_addf(&told->text, "%zu %zu %zu", in->ntags, in->ngroup_ids,
             in->naddresses);
    return end_record(told, err);
}

static enum err_code take_group(void *arg, const struct ec2_group *group,
                                struct err *err)
{
    struct told *told = arg;

    tell_text(told, group->id);
    tell_text(told, group->name);
    for (size_t i = 0; i < group->npermissions; i++) {
        const struct ec2_permission *p = &group->permissions[i];

        tell_text(told, p->protocol);
        buf_addf(&told->text, "%d %d %d %zu %zu", (int)p->from_port,
                 (int)p->to_port, p->has_ports, p->first_cidr, p->ncidrs);
    }
    for (size_t i = 0; i < group->ncidrs; i++)
        tell_text(told, group->cidrs[i]);
    return end_record(told, err);
}

static enum err_code take_region(void *arg, const struct ec2_region *region,
                                 struct err *err)
{
    tell_text(arg, region->name);
    tell_text(arg, region->opt_in_status);
    return end_record(arg, err);
}

static const struct ec2_records RECORDS = {
    .instance = take_instance,
    .group = take_group,
    .region = take_region,
};

/* Learns all records of the action; *direct is what they are told as. */
static void learn_all(struct ec2_memo *memo, enum ec2_action action,
                      struct told *direct)
{
    struct span id;

    assert_false(ec2_memo_recall(memo, action, SPAN_LIT(DOCUMENT(ID)), &id));
    for (size_t i = 0; i < COUNT(INSTANCES); i++) {
        struct instance_record record;

        if (action != EC2_DESCRIBE_INSTANCES)
            break;
        instance_record_init(&record, INSTANCES[i]);
        assert_int_equal(take_instance(direct, &record.instance, NULL), ERR_OK);
        add_instance(memo, INSTANCES[i]);
    }
    for (size_t i = 0; i < COUNT(GROUPS); i++) {
        struct group_record record;

        if (action != EC2_DESCRIBE_SECURITY_GROUPS)
            break;
        group_record_init(&record, GROUPS[i]);
        assert_int_equal(take_group(direct, &record.group, NULL), ERR_OK);
        assert_int_equal(ec2_memo_add_group(memo, &record.group, NULL), ERR_OK);
        memset(&record, 0xa5, sizeof(record));
    }
    for (size_t i = 0; i < COUNT(REGIONS); i++) {
        struct ec2_region record = REGIONS[i];

        if (action != EC2_DESCRIBE_REGIONS)
            break;
        assert_int_equal(take_region(direct, &record, NULL), ERR_OK);
        assert_int_equal(ec2_memo_add_region(memo, &record, NULL), ERR_OK);
        memset(&record, 0xa5, sizeof(record));
    }
    ec2_memo_keep(memo, SPAN_LIT(ID));
}

static void check_told(struct ec2_memo *memo, enum ec2_action action,
                       size_t nrecords)
{
    struct told direct = {.text = BUF_INIT(4096)};
    struct told told = {.text = BUF_INIT(4096)};
    struct span id;

    learn_all(memo, action, &direct);
    /* As often as it is asked. */
    for (unsigned i = 0; i < 2; i++) {
        buf_reset(&told.text);
        assert_true(ec2_memo_recall(memo, action, SPAN_LIT(DOCUMENT(ID)), &id));
        assert_int_equal(ec2_memo_tell(memo, &RECORDS, &told, NULL), ERR_OK);
        assert_string_equal(told.text.data, direct.text.data);
    }
    assert_int_equal(direct.n, nrecords);
    buf_release(&direct.text);
    buf_release(&told.text);
}

static void test_ec2_memo_tell__gives_all_of_each_record(void **state)
{
    check_told(*state, EC2_DESCRIBE_INSTANCES, COUNT(INSTANCES));
    check_told(*state, EC2_DESCRIBE_SECURITY_GROUPS, COUNT(GROUPS));
    check_told(*state, EC2_DESCRIBE_REGIONS, COUNT(REGIONS));
}

static void test_ec2_memo_tell__stops_at_a_refusal(void **state)
{
    struct told direct = {.text = BUF_INIT(4096)};
    struct told told = {.text = BUF_INIT(4096), .refuse_at = 2};
    struct err err = {0};

    learn_all(*state, EC2_DESCRIBE_INSTANCES, &direct);
    assert_true(knows(*state, DOCUMENT(ID)));
    assert_int_equal(ec2_memo_tell(*state, &RECORDS, &told, &err), ERR_IO);
    assert_string_equal(err_text(&err), "test: refused");
    assert_int_equal(told.n, 2);
    buf_release(&direct.text);
    buf_release(&told.text);
}

static void test_ec2_memo_tell__needs_no_callback(void **state)
{
    static const struct ec2_records none;

    learn(*state, DOCUMENT(ID));
    assert_true(knows(*state, DOCUMENT(ID)));
    assert_int_equal(ec2_memo_tell(*state, &none, NULL, NULL), ERR_OK);
}

/* How many instances with an id of that length are kept. */
static size_t keep_ids(struct ec2_memo *memo, size_t n, size_t len)
{
    static char text[EC2_MEMO_MAX + 1];
    struct told told = {.text = BUF_INIT(2 * EC2_MEMO_MAX)};
    const struct ec2_instance instance = {.id = {text, len}};

    memset(text, 'x', sizeof(text));
    assert_false(knows(memo, DOCUMENT(ID)));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ec2_memo_add_instance(memo, &instance, NULL), ERR_OK);
    ec2_memo_keep(memo, SPAN_LIT(ID));
    if (knows(memo, DOCUMENT(ID)))
        assert_int_equal(ec2_memo_tell(memo, &RECORDS, &told, NULL), ERR_OK);
    buf_release(&told.text);
    assert_false(knows(memo, ""));
    return told.n;
}

static void test_ec2_memo_add__keeps_all_or_nothing(void **state)
{
    size_t most = 0;

    assert_int_equal(keep_ids(*state, 1, EC2_MEMO_MAX), 0);
    assert_int_equal(keep_ids(*state, 1, EC2_MEMO_MAX / 2), 1);
    assert_int_equal(keep_ids(*state, 2, EC2_MEMO_MAX / 2), 0);
    for (size_t n = 1; n < EC2_MEMO_MAX; n++) {
        size_t kept = keep_ids(*state, n, 0);

        if (kept == 0)
            break;
        assert_int_equal(kept, n);
        most = n;
    }
    assert_in_range(most, 100, EC2_MEMO_MAX / sizeof(struct ec2_instance));
}

/* A memo of one record of the action, with the n-th allocation failing; *failed
 * is false once none did. */
static enum err_code make_with(enum ec2_action action, size_t n, bool *failed,
                               struct ec2_memo **out)
{
    static const struct ec2_instance instance = {.id = {"i-1", 3}};
    static const struct ec2_group group = {.id = {"sg-1", 4}};
    static const struct ec2_region region = {.name = {"r", 1}};
    struct err err = {0};
    enum err_code rc;
    struct span id;

    fail_alloc_at(n);
    rc = ec2_memo_new(out, &err);
    if (!rc) {
        assert_false(
            ec2_memo_recall(*out, action, SPAN_LIT(DOCUMENT(ID)), &id));
        if (action == EC2_DESCRIBE_INSTANCES)
            rc = ec2_memo_add_instance(*out, &instance, &err);
        else if (action == EC2_DESCRIBE_SECURITY_GROUPS)
            rc = ec2_memo_add_group(*out, &group, &err);
        else
            rc = ec2_memo_add_region(*out, &region, &err);
    }
    *failed = fail_alloc_stop();
    if (rc)
        assert_string_equal(err.msg, "ec2_memo: out of memory");
    return rc;
}

static void test_ec2_memo_add__reports_each_failed_allocation(void **state)
{
    (void)state;
    for (int action = 0; action < EC2_NACTIONS; action++) {
        bool failed = true;
        size_t n;

        for (n = 0; failed; n++) {
            struct ec2_memo *memo = NULL;
            enum err_code rc =
                make_with((enum ec2_action)action, n, &failed, &memo);

            assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
            ec2_memo_free(memo);
        }
        assert_int_equal(n, 3);
    }
}

static void test_ec2_memo_free__accepts_null(void **state)
{
    (void)state;
    ec2_memo_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_recall__the_same_but_for_its_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_memo_recall__no_other_document,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_recall__nothing_of_another_action, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_recall__the_last_document_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_recall__nothing_that_could_hide_more, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_recall__what_begins_as_ec2s_answers, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_memo_recall__plain_ids_only,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_document_len__is_of_the_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_memo_keep__is_needed, set_up,
                                        tear_down),
        cmocka_unit_test(test_ec2_memo_new__needs_a_random_key),
        cmocka_unit_test_setup_teardown(
            test_ec2_memo_tell__gives_all_of_each_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_memo_tell__stops_at_a_refusal,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_memo_tell__needs_no_callback,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_memo_add__keeps_all_or_nothing,
                                        set_up, tear_down),
        cmocka_unit_test(test_ec2_memo_add__reports_each_failed_allocation),
        cmocka_unit_test(test_ec2_memo_free__accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
