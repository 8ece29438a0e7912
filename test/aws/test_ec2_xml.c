#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxml/xmlmemory.h>

#include "aws/ec2_memo.h"
#include "aws/ec2_xml.h"
#include "base/buf.h"
#include "support/fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* See README.md and make_expected.py there. */
#define FIXTURES "test/fixtures/ec2_xml"

#define DOCUMENT_MAX ((size_t)8 * 1024 * 1024)

/* --- what was read, as expected.txt has it ------------------------------- */

struct reader {
    struct ec2_xml *xml;
    struct ec2_memo *memo; /* for the documents that are held */
    size_t nunchanged;     /* documents that came from it */
    struct buf got;
    enum err_code refuse; /* what the callbacks return */
};

static void add_quoted(struct buf *out, struct span s)
{
    buf_add_str(out, " \"");
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < ' ' || c == '"' || c == '\\')
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_char(out, s.p[i]);
    }
    buf_add_char(out, '"');
}

static void add_line(struct buf *out, const char *word, struct span a,
                     const struct span *b)
{
    buf_add_str(out, word);
    add_quoted(out, a);
    if (b)
        add_quoted(out, *b);
    buf_add_char(out, '\n');
}

static enum err_code verdict_of(const struct reader *reader, struct err *err)
{
    if (!reader->refuse)
        return ERR_OK;
    return err_set(err, reader->refuse, "test: refused");
}

static const char *const ADDRESS_WORDS[][2] = {
    [EC2_PRIVATE_IP] = {"private-ip", "own-private-ip"},
    [EC2_PUBLIC_IP] = {"public-ip", "own-public-ip"},
    [EC2_IPV6] = {"ipv6", "own-ipv6"},
};

static enum err_code take_instance(void *arg, const struct ec2_instance *in,
                                   struct err *err)
{
    struct reader *reader = arg;

    add_line(&reader->got, "instance", in->id, &in->state);
    for (size_t i = 0; i < in->ntags; i++)
        add_line(&reader->got, "tag", in->tags[i].key, &in->tags[i].value);
    for (size_t i = 0; i < in->ngroup_ids; i++)
        add_line(&reader->got, "group-id", in->group_ids[i], NULL);
    for (size_t i = 0; i < in->naddresses; i++)
        add_line(&reader->got,
                 ADDRESS_WORDS[in->addresses[i].kind][in->addresses[i].own],
                 in->addresses[i].text, NULL);
    if (in->type.p || in->launch_time.p)
        add_line(&reader->got, "type", in->type, &in->launch_time);
    return verdict_of(reader, err);
}

static enum err_code take_group(void *arg, const struct ec2_group *group,
                                struct err *err)
{
    struct reader *reader = arg;
    size_t ncidrs = 0;

    add_line(&reader->got, "group", group->id, &group->name);
    for (size_t i = 0; i < group->npermissions; i++) {
        const struct ec2_permission *p = &group->permissions[i];

        assert_int_equal(p->first_cidr, ncidrs);
        buf_add_str(&reader->got, "permission");
        add_quoted(&reader->got, p->protocol);
        buf_addf(&reader->got, " %d %d %s\n", (int)p->from_port,
                 (int)p->to_port, p->has_ports ? "ports" : "no-ports");
        for (size_t j = 0; j < p->ncidrs; j++)
            add_line(&reader->got, "cidr", group->cidrs[ncidrs++], NULL);
    }
    assert_int_equal(ncidrs, group->ncidrs);
    return verdict_of(reader, err);
}

static enum err_code take_region(void *arg, const struct ec2_region *region,
                                 struct err *err)
{
    struct reader *reader = arg;

    add_line(&reader->got, "region", region->name, &region->opt_in_status);
    return verdict_of(reader, err);
}

static void add_page(struct buf *out, const struct ec2_page *page)
{
    if (page->kind == EC2_DOCUMENT_RESULT)
        add_line(out, "result", page->next_token, NULL);
    else
        add_line(out, "error", page->error_code, &page->error_message);
    add_line(out, "request-id", page->request_id, NULL);
}

static const struct ec2_records RECORDS = {
    .instance = take_instance,
    .group = take_group,
    .region = take_region,
};

static int set_up(void **state)
{
    static struct reader reader;

    reader = (struct reader){.got = BUF_INIT(DOCUMENT_MAX)};
    *state = &reader;
    return ec2_xml_new(&RECORDS, &reader, &reader.xml, NULL) != ERR_OK;
}

static int tear_down(void **state)
{
    struct reader *reader = *state;

    ec2_xml_free(reader->xml);
    buf_release(&reader->got);
    return 0;
}

/* --- feeding ------------------------------------------------------------- */

/* How a document is cut: a first piece, then pieces of step bytes. */
struct cut {
    size_t first;
    size_t step;
};

static const struct cut WHOLE = {SIZE_MAX, SIZE_MAX};
static const struct cut BYTES = {1, 1};

/* From a block of the exact size, so that reading past its end is seen. */
static enum err_code feed_block(struct ec2_xml *xml, struct span part,
                                struct err *err)
{
    char *block = malloc(part.len);
    enum err_code rc;

    assert_non_null(block);
    memcpy(block, part.p, part.len);
    rc = ec2_xml_feed(xml, block, part.len, err);
    free(block);
    return rc;
}

static enum err_code feed(struct ec2_xml *xml, struct span doc, struct cut cut,
                          struct err *err)
{
    size_t len = cut.first;
    enum err_code rc = ERR_OK;

    while (!rc && doc.len) {
        struct span part = {doc.p, len < doc.len ? len : doc.len};

        rc = feed_block(xml, part, err);
        doc.p += part.len;
        doc.len -= part.len;
        len = cut.step;
    }
    return rc;
}

/* The whole course; reader->got holds the records, and the page on success. */
static enum err_code read_once(struct reader *reader, enum ec2_action action,
                               bool hold, struct span doc, struct cut cut,
                               struct err *err)
{
    struct ec2_page page = {0};
    enum err_code rc;

    buf_reset(&reader->got);
    ec2_xml_begin(reader->xml, action, hold, reader->memo);
    rc = feed(reader->xml, doc, cut, err);
    if (!rc)
        rc = ec2_xml_end(reader->xml, &page, err);
    if (!rc)
        add_page(&reader->got, &page);
    reader->nunchanged += page.unchanged;
    return rc;
}

/* Kept at the first time, and, if it can be kept, not parsed at the second. */
static void recall(struct reader *reader, enum ec2_action action,
                   struct span doc, enum err_code expected_rc,
                   const char *expected)
{
    assert_int_equal(ec2_memo_new(&reader->memo, NULL), ERR_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(read_once(reader, action, true, doc, WHOLE, NULL),
                         expected_rc);
        if (!expected_rc)
            assert_string_equal(reader->got.data, expected);
    }
    ec2_memo_free(reader->memo);
    reader->memo = NULL;
}

/* As it comes, held until its end, and from a memo: that makes no difference.
 */
static enum err_code read_document(struct reader *reader,
                                   enum ec2_action action, struct span doc,
                                   struct cut cut, struct err *err)
{
    struct buf got = BUF_INIT(DOCUMENT_MAX);
    enum err_code rc = read_once(reader, action, false, doc, cut, err);

    buf_add_span(&got, buf_span(&reader->got));
    assert_int_equal(read_once(reader, action, true, doc, cut, NULL), rc);
    if (!rc)
        assert_string_equal(reader->got.data, got.data);
    /* Pieces do not matter to it. */
    if (cut.first >= doc.len)
        recall(reader, action, doc, rc, got.data);
    buf_release(&got);
    return rc;
}

static enum err_code read_instances(struct reader *reader, struct span doc,
                                    struct err *err)
{
    return read_document(reader, EC2_DESCRIBE_INSTANCES, doc, WHOLE, err);
}

#define SMALL                                                                  \
    "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>"    \
    "<instanceId>i-1</instanceId></item></instancesSet></item>"                \
    "</reservationSet><nextToken>t</nextToken></DescribeInstancesResponse>"
#define SMALL_READ "instance \"i-1\" \"\"\nresult \"t\"\nrequest-id \"\"\n"

static void assert_reads_small(struct reader *reader)
{
    assert_int_equal(read_instances(reader, SPAN_LIT(SMALL), NULL), ERR_OK);
    assert_string_equal(reader->got.data, SMALL_READ);
}

/* --- fixtures ------------------------------------------------------------ */

struct fixture {
    const char *name;
    enum ec2_action action;
    struct buf input;
    struct buf expected;
};

static void load(const char *name, const char *file, struct buf *out)
{
    char path[512];
    char chunk[4096];
    size_t len;
    FILE *f;

    (void)snprintf(path, sizeof(path), FIXTURES "/%s/%s", name, file);
    f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read", path);
    while ((len = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_add(out, chunk, len);
    (void)fclose(f);
    assert_int_equal(out->failed, ERR_OK);
}

/* The first line of expected.txt names the action. */
static enum ec2_action action_of(const struct fixture *fixture)
{
    struct span rest = buf_span(&fixture->expected);
    struct span line;

    assert_true(span_split(&rest, '\n', &line));
    assert_true(span_starts_with(line, "action "));
    for (int a = 0; a < EC2_NACTIONS; a++)
        if (span_eq_str((struct span){line.p + 7, line.len - 7},
                        ec2_action_name((enum ec2_action)a)))
            return (enum ec2_action)a;
    fail_msg("%s: unknown action", fixture->name);
    return EC2_NACTIONS;
}

static void check_cut(struct reader *reader, const struct fixture *fixture,
                      struct cut cut)
{
    const char *expected = strchr(fixture->expected.data, '\n') + 1;
    struct err err = {0};
    enum err_code rc = read_document(reader, fixture->action,
                                     buf_span(&fixture->input), cut, &err);

    if (rc)
        fail_msg("%s, first piece of %zu bytes: %s", fixture->name, cut.first,
                 err.msg);
    if (strcmp(reader->got.data, expected) != 0)
        fail_msg("%s, first piece of %zu bytes:\n%s", fixture->name, cut.first,
                 reader->got.data);
}

static void check_fixture(struct reader *reader, const char *name)
{
    struct fixture fixture = {
        .name = name,
        .input = BUF_INIT(DOCUMENT_MAX),
        .expected = BUF_INIT(DOCUMENT_MAX),
    };

    load(name, "input.xml", &fixture.input);
    load(name, "expected.txt", &fixture.expected);
    fixture.action = action_of(&fixture);
    check_cut(reader, &fixture, WHOLE);
    check_cut(reader, &fixture, BYTES);
    for (size_t at = 1; at < fixture.input.len; at++)
        check_cut(reader, &fixture, (struct cut){at, SIZE_MAX});
    buf_release(&fixture.input);
    buf_release(&fixture.expected);
}

static void test_ec2_xml_feed__reads_each_fixture_at_every_split(void **state)
{
    DIR *dir = opendir(FIXTURES);
    struct dirent *entry;
    unsigned ncases = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (strchr(entry->d_name, '.'))
            continue;
        check_fixture(*state, entry->d_name);
        ncases++;
    }
    (void)closedir(dir);
    assert_true(ncases > 20);
}

/* --- documents that must be refused -------------------------------------- */

#define INSTANCES(s) "<DescribeInstancesResponse>" s
#define TOKEN(s)                                                               \
    INSTANCES("<nextToken>" s "</nextToken></DescribeInstancesResponse>")
#define PORT(s)                                                                \
    "<DescribeSecurityGroupsResponse><securityGroupInfo><item>"                \
    "<ipPermissions><item><fromPort>" s "</fromPort></item></ipPermissions>"   \
    "</item></securityGroupInfo></DescribeSecurityGroupsResponse>"
#define ROOT_REFUSED "ec2_xml: not an EC2 answer: another root element"
#define DOCTYPE_REFUSED "ec2_xml: DOCTYPE refused"
#define PORT_REFUSED "ec2_xml: port is not a number"

struct refused {
    const char *name;
    struct span doc;
    const char *text; /* NULL: the library's own */
    enum ec2_action action;
};

#define ROW(n, d, t)                                                           \
    {                                                                          \
        (n), {(d), sizeof(d) - 1}, (t), EC2_DESCRIBE_INSTANCES                 \
    }
#define PORT_ROW(p)                                                            \
    {                                                                          \
        "port " p, {PORT(p), sizeof(PORT(p)) - 1}, PORT_REFUSED,               \
            EC2_DESCRIBE_SECURITY_GROUPS                                       \
    }

static const struct refused REFUSED[] = {
    ROW("nothing", "", NULL),
    ROW("blanks", " \n\t", NULL),
    ROW("text", "Service Unavailable", NULL),
    ROW("json", "{\"__type\":\"AuthFailure\"}", NULL),
    ROW("html", "<html><body><h1>503</h1></body></html>", ROOT_REFUSED),
    ROW("html with doctype", "<!DOCTYPE html><html></html>", DOCTYPE_REFUSED),
    ROW("another action", "<DescribeRegionsResponse/>", ROOT_REFUSED),
    ROW("a longer root", "<DescribeInstancesResponses/>", ROOT_REFUSED),
    ROW("a shorter root", "<DescribeInstances/>", ROOT_REFUSED),
    ROW("a root in other case", "<describeInstancesResponse/>", ROOT_REFUSED),
    ROW("a record as root", "<item><instanceId>i</instanceId></item>",
        ROOT_REFUSED),
    ROW("doctype alone", "<!DOCTYPE DescribeInstancesResponse>" SMALL,
        DOCTYPE_REFUSED),
    ROW("external subset", "<!DOCTYPE r SYSTEM \"http://127.0.0.1:9/x\">" SMALL,
        DOCTYPE_REFUSED),
    ROW("entity of its own", "<!DOCTYPE r [<!ENTITY a \"b\">]>" TOKEN("&a;"),
        DOCTYPE_REFUSED),
    ROW("external entity",
        "<!DOCTYPE r [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>" TOKEN("&a;"),
        DOCTYPE_REFUSED),
    ROW("parameter entity",
        "<!DOCTYPE r [<!ENTITY % a SYSTEM \"file:///etc/passwd\"> %a;]>" SMALL,
        DOCTYPE_REFUSED),
    ROW("billion laughs",
        "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY a \"lolololol\">"
        "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">"
        "<!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">"
        "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\">"
        "<!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">"
        "<!ENTITY g \"&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;\">]>" TOKEN("&g;"),
        DOCTYPE_REFUSED),
    ROW("doctype after the root", SMALL "<!DOCTYPE r>", NULL),
    ROW("unknown entity", TOKEN("&foo;"), NULL),
    ROW("unknown entity in skipped text", INSTANCES("<x>&foo;</x>"), NULL),
    ROW("text after the root", SMALL "x", NULL),
    ROW("an element after the root", SMALL "<a/>", NULL),
    ROW("a second root", SMALL SMALL, NULL),
    ROW("zero after the root", SMALL "\0", NULL),
    ROW("text before the root", "x" SMALL, NULL),
    ROW("blank before the declaration", " <?xml version=\"1.0\"?>" SMALL, NULL),
    ROW("start tag alone", "<DescribeInstancesResponse>", NULL),
    ROW("wrong end tag", INSTANCES("<nextToken></nexttoken>"), NULL),
    ROW("end tag too many", SMALL "</a>", NULL),
    ROW("attribute twice", INSTANCES("<a b=\"1\" b=\"2\"/>"), NULL),
    ROW("attribute without quotes", INSTANCES("<a b=1/>"), NULL),
    ROW("byte FF", TOKEN("a\xff"), NULL),
    ROW("byte FF in skipped text", INSTANCES("<a>\xff</a>"), NULL),
    ROW("overlong zero", TOKEN("\xc0\x80"), NULL),
    ROW("surrogate", TOKEN("\xed\xa0\x80"), NULL),
    ROW("cut character", TOKEN("\xf0\x9f\x98"), NULL),
    ROW("zero byte in text", TOKEN("a\0b"), NULL),
    ROW("zero byte in a tag", INSTANCES("<next\0Token/>"), NULL),
    ROW("zero byte first", "\0" SMALL, NULL),
    ROW("reference to zero", TOKEN("a&#0;"), NULL),
    ROW("reference to a control character", TOKEN("&#1;"), NULL),
    ROW("control character", TOKEN("\x01"), NULL),
    PORT_ROW("80x"),
    PORT_ROW("0x50"),
    PORT_ROW("+80"),
    PORT_ROW("8 0"),
    PORT_ROW("1e3"),
    PORT_ROW("-"),
    PORT_ROW("2147483648"),
    PORT_ROW("-2147483649"),
    PORT_ROW("99999999999999999999"),
};

/* Further feeds and the end must repeat the verdict and bring no record. */
static void check_stays_failed(struct reader *reader, const char *name,
                               enum err_code rc)
{
    struct ec2_page page = {.error_code = SPAN_LIT("untouched")};
    struct err err = {0};

    buf_reset(&reader->got);
    for (int i = 0; i < 2; i++) {
        if (ec2_xml_feed(reader->xml, SMALL, sizeof(SMALL) - 1, &err) != rc ||
            ec2_xml_end(reader->xml, &page, &err) != rc || !err.msg[0])
            fail_msg("%s: another verdict afterwards", name);
    }
    assert_int_equal(reader->got.len, 0);
    assert_true(span_eq_str(page.error_code, "untouched"));
}

static void check_refused(struct reader *reader, const struct refused *row,
                          struct cut cut)
{
    struct err err = {0};
    enum err_code rc = read_document(reader, row->action, row->doc, cut, &err);

    if (rc != ERR_PARSE)
        fail_msg("%s, first piece of %zu bytes: code %d", row->name, cut.first,
                 (int)rc);
    if (!span_starts_with(span_of(err.msg), row->text ? row->text : "ec2_xml:"))
        fail_msg("%s: %s", row->name, err.msg);
    if (strstr(reader->got.data, "result") || strchr(err.msg, '\n'))
        fail_msg("%s: %s%s", row->name, reader->got.data, err.msg);
    check_stays_failed(reader, row->name, rc);
}

static void test_ec2_xml_feed__refuses_what_is_no_answer(void **state)
{
    for (size_t i = 0; i < COUNT(REFUSED); i++) {
        const struct refused *row = &REFUSED[i];

        check_refused(*state, row, WHOLE);
        check_refused(*state, row, BYTES);
        for (size_t at = 1; at < row->doc.len; at++)
            check_refused(*state, row, (struct cut){at, SIZE_MAX});
        assert_reads_small(*state);
    }
}

/* No converter is loaded for a name from outside: the bytes are UTF-8. */
static void test_ec2_xml_feed__does_not_heed_a_declared_encoding(void **state)
{
    static const struct {
        const char *doc;
        enum err_code rc;
    } ROWS[] = {
        {"<?xml version=\"1.0\" encoding=\"nonsense\"?>" TOKEN("\xc3\xa9"),
         ERR_OK},
        {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" TOKEN("\xc3\xa9"),
         ERR_OK},
        {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" TOKEN("\xe9"),
         ERR_PARSE},
        {"<?xml version=\"1.0\" encoding=\"EUC-JP\"?>" TOKEN("\xa4\xa2"),
         ERR_PARSE},
    };
    struct reader *reader = *state;

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        if (read_instances(reader, span_of(ROWS[i].doc), NULL) != ROWS[i].rc)
            fail_msg("%s", ROWS[i].doc);
        if (!ROWS[i].rc)
            assert_string_equal(reader->got.data,
                                "result \"\xc3\xa9\"\nrequest-id \"\"\n");
    }
}

/* The namespace is of no interest: here one that was never declared. */
static void test_ec2_xml_feed__does_not_mind_undeclared_prefixes(void **state)
{
    struct reader *reader = *state;

    assert_int_equal(
        read_instances(reader,
                       SPAN_LIT("<x:DescribeInstancesResponse><y:nextToken>t"
                                "</y:nextToken></x:DescribeInstancesResponse>"),
                       NULL),
        ERR_OK);
    assert_string_equal(reader->got.data, "result \"t\"\nrequest-id \"\"\n");
}

#define WHOLE_REFUSAL                                                          \
    "<?xml version=\"1.0\"?><Response><Errors><Error><Code>Throttling"         \
    "</Code></Error></Errors><RequestID>1</RequestID></Response>"

/* libxml2 2.9.14 lets these pass inside CDATA, and only there. */
/* What libxml2 would read although no declaration names it. */
static void test_ec2_xml_feed__refuses_utf16(void **state)
{
    static const struct {
        const char *mark;
        bool big; /* the zero first */
    } FORMS[] = {
        {"", false}, {"", true}, {"\xff\xfe", false}, {"\xfe\xff", true}};
    static const char NARROW[] = "<?xml version=\"1.0\"?>" SMALL;

    for (size_t i = 0; i < COUNT(FORMS); i++) {
        struct buf wide = BUF_INIT(DOCUMENT_MAX);

        buf_add_str(&wide, FORMS[i].mark);
        for (size_t n = 0; n < sizeof(NARROW) - 1; n++) {
            buf_add_char(&wide, FORMS[i].big ? '\0' : NARROW[n]);
            buf_add_char(&wide, FORMS[i].big ? NARROW[n] : '\0');
        }
        for (unsigned n = 0; n < 2; n++) {
            struct err err = {0};

            assert_int_equal(read_document(*state, EC2_DESCRIBE_INSTANCES,
                                           buf_span(&wide), n ? BYTES : WHOLE,
                                           &err),
                             ERR_PARSE);
            assert_string_equal(err.msg, "ec2_xml: not an EC2 answer: no XML "
                                         "in UTF-8");
        }
        buf_release(&wide);
    }
}

static void test_ec2_xml_feed__mends_what_is_no_utf8(void **state)
{
    static const char doc[] =
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>"
        "<instanceId>i-1</instanceId><tagSet><item><key>Name</key><value>"
        "a<![CDATA[\xC1\x81z]]></value></item></tagSet></item></instancesSet>"
        "</item></reservationSet></DescribeInstancesResponse>";
    struct reader *reader = *state;

    assert_int_equal(read_instances(reader, SPAN_LIT(doc), NULL), ERR_OK);
    assert_string_equal(reader->got.data,
                        "instance \"i-1\" \"\"\n"
                        "tag \"Name\" \"a\xEF\xBF\xBD\xEF\xBF\xBDz\"\n"
                        "result \"\"\nrequest-id \"\"\n");
}

static void test_ec2_xml_end__never_takes_a_part_for_the_whole(void **state)
{
    static const char *const DOCS[] = {
        SMALL,
        WHOLE_REFUSAL,
        "<DescribeInstancesResponse/>",
    };

    for (size_t i = 0; i < COUNT(DOCS); i++) {
        for (size_t len = 0; len < strlen(DOCS[i]); len++) {
            struct err err = {0};
            enum err_code rc =
                read_instances(*state, (struct span){DOCS[i], len}, &err);

            if (rc != ERR_PARSE)
                fail_msg("%zu bytes of %s: code %d", len, DOCS[i], (int)rc);
        }
        assert_int_equal(read_instances(*state, span_of(DOCS[i]), NULL),
                         ERR_OK);
    }
}

/* --- limits -------------------------------------------------------------- */

/* before, then n times each, then after. */
struct repeated {
    const char *name;
    const char *before;
    const char *each;
    const char *after;
    size_t most; /* as often is accepted */
    enum ec2_action action;
};

#define RESULT(s) "<" s "Response>"
#define RESULT_END(s) "</" s "Response>"
#define ONE_INSTANCE                                                           \
    RESULT("DescribeInstances") "<reservationSet><item><instancesSet><item>"
#define ONE_INSTANCE_END                                                       \
    "</item></instancesSet></item></reservationSet>" RESULT_END(               \
        "DescribeInstances")
#define ONE_GROUP                                                              \
    RESULT("DescribeSecurityGroups")                                           \
    "<securityGroupInfo><item><"                                               \
    "ipPermissions>"
#define ONE_GROUP_END                                                          \
    "</ipPermissions></item></securityGroupInfo>" RESULT_END(                  \
        "DescribeSecurityGroups")

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X512 X64 X64 X64 X64 X64 X64 X64 X64

#define OVERLONG64                                                             \
    "\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81"         \
    "\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81"         \
    "\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81"         \
    "\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81\xC1\x81"
#define OVERLONG512                                                            \
    OVERLONG64 OVERLONG64 OVERLONG64 OVERLONG64 OVERLONG64 OVERLONG64          \
        OVERLONG64 OVERLONG64

static const struct repeated REPEATED[] = {
    {"text of a tag", ONE_INSTANCE "<tagSet><item><value>", "x",
     "</value></item></tagSet>" ONE_INSTANCE_END, EC2_XML_TEXT_MAX,
     EC2_DESCRIBE_INSTANCES},
    {"page token", RESULT("DescribeInstances") "<nextToken>", "&#120;",
     "</nextToken>" RESULT_END("DescribeInstances"), EC2_XML_TEXT_MAX,
     EC2_DESCRIBE_INSTANCES},
    {"error message", "<Response><Errors><Error><Message>", "x",
     "</Message></Error></Errors></Response>", EC2_XML_TEXT_MAX,
     EC2_DESCRIBE_INSTANCES},
    {"tags", ONE_INSTANCE "<tagSet>", "<item/>", "</tagSet>" ONE_INSTANCE_END,
     EC2_XML_LIST_MAX, EC2_DESCRIBE_INSTANCES},
    {"groups of an instance", ONE_INSTANCE "<groupSet>",
     "<item><groupId/></item>", "</groupSet>" ONE_INSTANCE_END,
     EC2_XML_LIST_MAX, EC2_DESCRIBE_INSTANCES},
    {"groups of interfaces", ONE_INSTANCE "<networkInterfaceSet>",
     "<item><groupSet><item><groupId/></item></groupSet></item>",
     "</networkInterfaceSet>" ONE_INSTANCE_END, EC2_XML_LIST_MAX,
     EC2_DESCRIBE_INSTANCES},
    {"addresses", ONE_INSTANCE "<networkInterfaceSet>",
     "<item><privateIpAddress>1</privateIpAddress></item>",
     "</networkInterfaceSet>" ONE_INSTANCE_END, EC2_XML_LIST_MAX,
     EC2_DESCRIBE_INSTANCES},
    {"permissions", ONE_GROUP, "<item/>", ONE_GROUP_END, EC2_XML_LIST_MAX,
     EC2_DESCRIBE_SECURITY_GROUPS},
    {"ranges", ONE_GROUP "<item><ipRanges>", "<item><cidrIp/></item>",
     "</ipRanges></item>" ONE_GROUP_END, EC2_XML_LIST_MAX,
     EC2_DESCRIBE_SECURITY_GROUPS},
    {"ranges of several permissions", ONE_GROUP,
     "<item><ipv6Ranges><item><cidrIpv6/></item></ipv6Ranges></item>",
     ONE_GROUP_END, EC2_XML_LIST_MAX, EC2_DESCRIBE_SECURITY_GROUPS},
    {"instances",
     RESULT("DescribeInstances") "<reservationSet><item><instancesSet>",
     "<item/>",
     "</instancesSet></item></reservationSet>" RESULT_END("DescribeInstances"),
     EC2_XML_RECORDS_MAX, EC2_DESCRIBE_INSTANCES},
    {"reservations", RESULT("DescribeInstances") "<reservationSet>",
     "<item><instancesSet><item/></instancesSet></item>",
     "</reservationSet>" RESULT_END("DescribeInstances"), EC2_XML_RECORDS_MAX,
     EC2_DESCRIBE_INSTANCES},
    {"security groups", RESULT("DescribeSecurityGroups") "<securityGroupInfo>",
     "<item/>", "</securityGroupInfo>" RESULT_END("DescribeSecurityGroups"),
     EC2_XML_RECORDS_MAX, EC2_DESCRIBE_SECURITY_GROUPS},
    {"regions", RESULT("DescribeRegions") "<regionInfo>", "<item/>",
     "</regionInfo>" RESULT_END("DescribeRegions"), EC2_XML_RECORDS_MAX,
     EC2_DESCRIBE_REGIONS},
    /* With the end of each. */
    {"strings of one record", ONE_INSTANCE "<tagSet>",
     "<item><value>" X512 "</value></item>", "</tagSet>" ONE_INSTANCE_END,
     EC2_XML_RECORD_MAX / 513, EC2_DESCRIBE_INSTANCES},
    /* Three times as long when it is no UTF-8: 3 * 1024 and the end. */
    {"strings that are mended", ONE_INSTANCE "<tagSet>",
     "<item><value><![CDATA[" OVERLONG512 OVERLONG512 "]]></value></item>",
     "</tagSet>" ONE_INSTANCE_END, EC2_XML_RECORD_MAX / 3073,
     EC2_DESCRIBE_INSTANCES},
};

static enum err_code read_repeated(struct reader *reader,
                                   const struct repeated *row, size_t n,
                                   struct err *err)
{
    struct buf doc = BUF_INIT(DOCUMENT_MAX);
    enum err_code rc;

    buf_add_str(&doc, row->before);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&doc, row->each);
    buf_add_str(&doc, row->after);
    assert_int_equal(doc.failed, ERR_OK);
    rc = read_document(reader, row->action, buf_span(&doc),
                       (struct cut){16384, 16384}, err);
    buf_release(&doc);
    return rc;
}

static void test_ec2_xml_feed__keeps_each_limit_to_the_last_item(void **state)
{
    struct reader *reader = *state;

    for (size_t i = 0; i < COUNT(REPEATED); i++) {
        const struct repeated *row = &REPEATED[i];
        struct err err = {0};
        enum err_code rc = read_repeated(reader, row, row->most, &err);

        if (rc)
            fail_msg("%zu %s: %s", row->most, row->name, err.msg);
        rc = read_repeated(reader, row, row->most + 1, &err);
        if (rc != ERR_LIMIT || !span_starts_with(span_of(err.msg), "ec2_xml: "))
            fail_msg("%zu %s: code %d", row->most + 1, row->name, (int)rc);
        check_stays_failed(reader, row->name, ERR_LIMIT);
    }
    assert_reads_small(reader);
}

static void test_ec2_xml_feed__does_not_bound_what_it_skips(void **state)
{
    static const struct repeated ROWS[] = {
        {"skipped text", RESULT("DescribeInstances") "<other>", "x",
         "</other>" RESULT_END("DescribeInstances"), 1000000,
         EC2_DESCRIBE_INSTANCES},
        {"skipped elements", RESULT("DescribeInstances") "<other>", "<item/>",
         "</other>" RESULT_END("DescribeInstances"), 100000,
         EC2_DESCRIBE_INSTANCES},
        {"short comments", RESULT("DescribeInstances"), "<!-- c --><a/>",
         RESULT_END("DescribeInstances"), 50000, EC2_DESCRIBE_INSTANCES},
        {"one comment", RESULT("DescribeInstances") "<!--", "x",
         "-->" RESULT_END("DescribeInstances"), 200000, EC2_DESCRIBE_INSTANCES},
    };

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err err = {0};

        if (read_repeated(*state, &ROWS[i], ROWS[i].most, &err))
            fail_msg("%s: %s", ROWS[i].name, err.msg);
    }
}

/* Elements inside each other, the root counted; known ones or skipped. */
static enum err_code read_nested(struct reader *reader, const char *known,
                                 size_t nknown, size_t depth)
{
    struct buf doc = BUF_INIT(DOCUMENT_MAX);
    enum err_code rc;

    buf_add_str(&doc, known);
    for (size_t i = nknown; i < depth; i++)
        buf_add_str(&doc, "<a>");
    for (size_t i = nknown; i < depth; i++)
        buf_add_str(&doc, "</a>");
    if (nknown == 5)
        buf_add_str(&doc, "</item></instancesSet></item></reservationSet>");
    buf_add_str(&doc, RESULT_END("DescribeInstances"));
    rc = read_instances(reader, buf_span(&doc), NULL);
    buf_release(&doc);
    return rc;
}

static void test_ec2_xml_feed__bounds_the_depth(void **state)
{
    static const struct {
        const char *known;
        size_t nknown;
    } ROWS[] = {{RESULT("DescribeInstances"), 1}, {ONE_INSTANCE, 5}};

    for (size_t i = 0; i < COUNT(ROWS); i++) {
        assert_int_equal(read_nested(*state, ROWS[i].known, ROWS[i].nknown,
                                     EC2_XML_DEPTH_MAX),
                         ERR_OK);
        assert_int_equal(read_nested(*state, ROWS[i].known, ROWS[i].nknown,
                                     EC2_XML_DEPTH_MAX + 1),
                         ERR_LIMIT);
    }
    assert_int_equal(
        read_nested(*state, RESULT("DescribeInstances"), 1, 100000), ERR_LIMIT);
}

/* libxml2 2.9.14 swallows these without one event. */
static void test_ec2_xml_feed__bounds_what_brings_no_event(void **state)
{
    static const char *const BEGINS[] = {
        "<",
        "<!--",
        "<?pi ",
        "<a b=\"",
        INSTANCES("<"),
        INSTANCES("<!--"),
        INSTANCES("<?pi "),
        INSTANCES("<a b=\""),
        SMALL "<!--",
    };
    static const size_t PIECES[] = {100, 16384, 3000000};
    struct buf rest = BUF_INIT(DOCUMENT_MAX);
    struct reader *reader = *state;

    for (size_t i = 0; i < 3000000; i++)
        buf_add_char(&rest, 'x');
    for (size_t i = 0; i < COUNT(BEGINS) * COUNT(PIECES); i++) {
        const char *begin = BEGINS[i / COUNT(PIECES)];
        size_t piece = PIECES[i % COUNT(PIECES)];
        struct err err = {0};
        enum err_code rc;
        size_t fed = 0;

        ec2_xml_begin(reader->xml, EC2_DESCRIBE_INSTANCES, i % 2, NULL);
        rc = ec2_xml_feed(reader->xml, begin, strlen(begin), &err);
        for (; !rc && fed < rest.len; fed += piece)
            rc = ec2_xml_feed(reader->xml, rest.data, piece, &err);
        /* The library itself refuses names of 50,000 bytes. */
        if (rc != ERR_LIMIT && rc != ERR_PARSE)
            fail_msg("%s in pieces of %zu: code %d", begin, piece, (int)rc);
        /* What was held is given to the parser by 4 kB. */
        if (fed > EC2_XML_SILENT_MAX + (i % 2 ? 4096 : 0) + piece)
            fail_msg("%s in pieces of %zu: %zu bytes fed", begin, piece, fed);
    }
    buf_release(&rest);
}

/* --- callbacks ----------------------------------------------------------- */

#define TWO_OF(action, set, inner)                                             \
    RESULT(action)                                                             \
    "<" set "><item>" inner "</item><item>" inner "</item></" set              \
    ">" RESULT_END(action)

static void test_ec2_xml_feed__passes_on_what_a_callback_returns(void **state)
{
    static const struct {
        const char *doc;
        enum ec2_action action;
    } ROWS[] = {
        {TWO_OF("DescribeInstances", "reservationSet",
                "<instancesSet><item/><item/></instancesSet>"),
         EC2_DESCRIBE_INSTANCES},
        {TWO_OF("DescribeSecurityGroups", "securityGroupInfo", ""),
         EC2_DESCRIBE_SECURITY_GROUPS},
        {TWO_OF("DescribeRegions", "regionInfo", ""), EC2_DESCRIBE_REGIONS},
    };
    static const enum err_code CODES[] = {ERR_NOMEM, ERR_LIMIT, ERR_ARG};
    struct reader *reader = *state;

    for (size_t i = 0; i < COUNT(ROWS) * COUNT(CODES); i++) {
        struct err err = {0};

        reader->refuse = CODES[i % COUNT(CODES)];
        assert_int_equal(read_document(reader, ROWS[i / COUNT(CODES)].action,
                                       span_of(ROWS[i / COUNT(CODES)].doc),
                                       WHOLE, &err),
                         reader->refuse);
        assert_string_equal(err.msg, "test: refused");
        /* One record alone came, and none will. */
        assert_ptr_equal(strchr(reader->got.data, '\n'),
                         reader->got.data + reader->got.len - 1);
        check_stays_failed(reader, "callback", reader->refuse);
    }
}

static void test_ec2_xml_feed__takes_no_records_without_callbacks(void **state)
{
    static const struct {
        const char *doc;
        enum ec2_action action;
    } ROWS[] = {
        {SMALL, EC2_DESCRIBE_INSTANCES},
        {TWO_OF("DescribeSecurityGroups", "securityGroupInfo", ""),
         EC2_DESCRIBE_SECURITY_GROUPS},
        {TWO_OF("DescribeRegions", "regionInfo", ""), EC2_DESCRIBE_REGIONS},
    };
    const struct ec2_records none = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct ec2_page page;
        struct ec2_xml *xml;

        assert_int_equal(ec2_xml_new(&none, NULL, &xml, NULL), ERR_OK);
        ec2_xml_begin(xml, ROWS[i].action, false, NULL);
        assert_int_equal(feed(xml, span_of(ROWS[i].doc), WHOLE, NULL), ERR_OK);
        assert_int_equal(ec2_xml_end(xml, &page, NULL), ERR_OK);
        assert_int_equal(page.kind, EC2_DOCUMENT_RESULT);
        ec2_xml_free(xml);
    }
}

/* --- begin and memory ---------------------------------------------------- */

static void test_ec2_xml_begin__forgets_what_was_before(void **state)
{
    static const char ALL[] =
        "<Response><Errors><Error><Code>C</Code><Message>M</Message></Error>"
        "</Errors><RequestID>1</RequestID>";
    struct reader *reader = *state;

    /* A whole error document, then half of one, then half of a record. */
    assert_int_equal(
        read_instances(reader,
                       SPAN_LIT("<Response><RequestID>1</RequestID>"
                                "</Response>"),
                       NULL),
        ERR_OK);
    assert_int_equal(read_instances(reader, SPAN_LIT(ALL), NULL), ERR_PARSE);
    assert_reads_small(reader);
    assert_int_equal(
        read_instances(
            reader, SPAN_LIT(ONE_INSTANCE "<tagSet><item><key>k</key>"), NULL),
        ERR_PARSE);
    assert_reads_small(reader);
    assert_int_equal(
        read_instances(reader, SPAN_LIT("<DescribeInstancesResponse/>"), NULL),
        ERR_OK);
    assert_string_equal(reader->got.data, "result \"\"\nrequest-id \"\"\n");
}

/* Feeds doc in the present document. */
static void feed_ok(struct reader *reader, const char *doc)
{
    assert_int_equal(ec2_xml_feed(reader->xml, doc, strlen(doc), NULL), ERR_OK);
}

/* Nothing comes of a held document before its end, unless it is long. */
static void test_ec2_xml_begin__holds_what_is_short(void **state)
{
    static const size_t FILLS[] = {0, 60000, 65536, 200000};
    struct reader *reader = *state;

    for (size_t i = 0; i < COUNT(FILLS); i++) {
        struct buf doc = BUF_INIT(DOCUMENT_MAX);
        struct ec2_page page;

        buf_add_str(&doc, ONE_INSTANCE "<instanceId>i-1</instanceId></item>");
        for (size_t n = 0; n < FILLS[i]; n++)
            buf_add_char(&doc, ' ');
        buf_reset(&reader->got);
        ec2_xml_begin(reader->xml, EC2_DESCRIBE_INSTANCES, true, NULL);
        for (size_t at = 0; at < doc.len; at += 1000) {
            size_t left = doc.len - at;

            assert_int_equal(ec2_xml_feed(reader->xml, doc.data + at,
                                          left < 1000 ? left : 1000, NULL),
                             ERR_OK);
        }
        assert_int_equal(reader->got.len > 0, doc.len > 65536);
        feed_ok(reader, "</instancesSet></item></reservationSet>" RESULT_END(
                            "DescribeInstances"));
        assert_int_equal(ec2_xml_end(reader->xml, &page, NULL), ERR_OK);
        assert_string_equal(reader->got.data, "instance \"i-1\" \"\"\n");
        buf_release(&doc);
    }
}

/* Else a proxy's "503" in plain words would cost the connection. */
static void test_ec2_xml_begin__judges_what_is_held_at_its_end(void **state)
{
    struct reader *reader = *state;
    struct ec2_page page;

    ec2_xml_begin(reader->xml, EC2_DESCRIBE_INSTANCES, true, NULL);
    feed_ok(reader, "Service Unavailable");
    assert_int_equal(ec2_xml_end(reader->xml, &page, NULL), ERR_PARSE);
}

/* 200,000 bytes without an event, twice, are too much for one document. */
static void test_ec2_xml_begin__counts_silent_bytes_anew(void **state)
{
    struct buf comment = BUF_INIT(DOCUMENT_MAX);
    struct reader *reader = *state;

    buf_add_str(&comment, "<!--");
    while (comment.len < 200000)
        buf_add_char(&comment, 'x');
    for (int i = 0; i < 3; i++) {
        ec2_xml_begin(reader->xml, EC2_DESCRIBE_INSTANCES, false, NULL);
        assert_int_equal(
            ec2_xml_feed(reader->xml, comment.data, comment.len, NULL), ERR_OK);
    }
    assert_int_equal(ec2_xml_feed(reader->xml, comment.data, comment.len, NULL),
                     ERR_LIMIT);
    buf_release(&comment);
}

static void test_ec2_xml_feed__needs_no_more_memory_for_more_records(void **s)
{
    static const char RECORD[] =
        "<item><instanceId>i-1</instanceId><tagSet><item><key>k</key>"
        "<value>v</value></item></tagSet><groupSet><item><groupId>sg</groupId>"
        "</item></groupSet></item>";
    struct reader *reader = *s;

    ec2_xml_begin(reader->xml, EC2_DESCRIBE_INSTANCES, false, NULL);
    feed_ok(reader,
            RESULT("DescribeInstances") "<reservationSet><item><instancesSet>");
    feed_ok(reader, RECORD);
    buf_reserve(&reader->got, DOCUMENT_MAX / 2);
    fail_alloc_from(0);
    for (int i = 0; i < 5000; i++)
        feed_ok(reader, RECORD);
    assert_false(fail_alloc_stop());
    assert_int_equal(fail_alloc_count(), 0);
}

static const char RICH[] = ONE_INSTANCE
    "<instanceId>i-1</instanceId><tagSet><item><key>k</key><value>v</value>"
    "</item></tagSet><groupSet><item><groupId>sg-1</groupId></item></groupSet>"
    "</item></instancesSet></item></reservationSet><nextToken>t</nextToken>"
    "<requestId>r</requestId>" RESULT_END("DescribeInstances");
#define RICH_READ                                                              \
    "instance \"i-1\" \"\"\ntag \"k\" \"v\"\ngroup-id \"sg-1\"\n"              \
    "result \"t\"\nrequest-id \"r\"\n"

static const char RICH_GROUP[] =
    ONE_GROUP "<item><ipRanges><item><cidrIp>::/0</cidrIp></item></ipRanges>"
              "<ipProtocol>tcp</ipProtocol></item>" ONE_GROUP_END;
#define RICH_GROUP_READ                                                        \
    "group \"\" \"\"\npermission \"tcp\" 0 0 no-ports\ncidr \"::/0\"\n"        \
    "result \"\"\nrequest-id \"\"\n"

static const struct {
    struct span doc;
    const char *read;
    enum ec2_action action;
} RICHES[] = {
    {{RICH, sizeof(RICH) - 1}, RICH_READ, EC2_DESCRIBE_INSTANCES},
    {{RICH_GROUP, sizeof(RICH_GROUP) - 1},
     RICH_GROUP_READ,
     EC2_DESCRIBE_SECURITY_GROUPS},
};

/* Case i: document i / 2, held when i is odd. */
#define NRICH (2 * COUNT(RICHES))

/* From new to end with what reader->got has room for already. */
static enum err_code read_rich(struct reader *reader, size_t i, struct err *err)
{
    struct ec2_page page;
    enum err_code rc;

    buf_reset(&reader->got);
    rc = ec2_xml_new(&RECORDS, reader, &reader->xml, err);
    if (rc)
        return rc;
    ec2_xml_begin(reader->xml, RICHES[i / 2].action, i % 2, NULL);
    rc = ec2_xml_feed(reader->xml, RICHES[i / 2].doc.p, RICHES[i / 2].doc.len,
                      err);
    if (!rc)
        rc = ec2_xml_end(reader->xml, &page, err);
    if (!rc)
        add_page(&reader->got, &page);
    return rc;
}

static void
test_ec2_xml_new__and_all_after_survive_a_failed_allocation(void **s)
{
    struct reader reader = {.got = BUF_INIT(DOCUMENT_MAX)};

    (void)s;
    buf_reserve(&reader.got, 4096);
    for (size_t i = 0; i < NRICH; i++) {
        enum err_code rc = ERR_NOMEM;

        for (size_t n = 0; rc; n++) {
            struct err err = {0};

            reader.xml = NULL;
            fail_alloc_at(n);
            rc = read_rich(&reader, i, &err);
            if (fail_alloc_stop()) {
                assert_int_equal(rc, ERR_NOMEM);
                assert_non_null(strstr(err.msg, "out of memory"));
                if (reader.xml) {
                    check_stays_failed(&reader, "no memory", ERR_NOMEM);
                    assert_reads_small(&reader);
                }
            }
            ec2_xml_free(reader.xml);
        }
        assert_int_equal(rc, ERR_OK);
        assert_true(fail_alloc_count() > 5);
    }
    buf_release(&reader.got);
}

/* --- libxml2's own memory ------------------------------------------------ */

/* What its allocator does has no argument, so this cannot be handed over. */
static struct {
    bool on;
    size_t left; /* allocations until the one that fails */
    bool failed;
    size_t n; /* allocations so far */
} library;

static bool library_fails(void)
{
    library.n++;
    if (!library.on || library.left-- > 0)
        return false;
    library.on = false;
    library.failed = true;
    return true;
}

static void *library_malloc(size_t size)
{
    return library_fails() ? NULL : malloc(size);
}

static void *library_realloc(void *p, size_t size)
{
    return library_fails() ? NULL : realloc(p, size);
}

static char *library_strdup(const char *s)
{
    return library_fails() ? NULL : strdup(s);
}

/* Standard error, which is the log's alone, to a file for a while. */
struct diversion {
    int standard_error;
    FILE *file;
};

static void divert(struct diversion *d)
{
    d->standard_error = dup(STDERR_FILENO);
    d->file = tmpfile();
    assert_true(d->standard_error >= 0);
    assert_non_null(d->file);
    assert_int_equal(dup2(fileno(d->file), STDERR_FILENO), STDERR_FILENO);
}

/* How much was written there. */
static long end_diversion(const struct diversion *d)
{
    long len;

    assert_int_equal(dup2(d->standard_error, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(fseek(d->file, 0, SEEK_END), 0);
    len = ftell(d->file);
    (void)fclose(d->file);
    (void)close(d->standard_error);
    return len;
}

/* One round with the n-th allocation failing; false when there is none. */
static bool read_without_memory(struct reader *reader, size_t i, size_t n)
{
    struct diversion diversion;
    struct err err = {0};
    enum err_code rc;

    reader->xml = NULL;
    divert(&diversion);
    library.left = n;
    library.failed = false;
    library.on = true;
    rc = read_rich(reader, i, &err);
    library.on = false;
    assert_int_equal(end_diversion(&diversion), 0);
    if (rc && (!library.failed || rc != ERR_NOMEM))
        fail_msg("allocation %zu: code %d, %s", n, (int)rc, err.msg);
    if (!rc && strcmp(reader->got.data, RICHES[i / 2].read) != 0)
        fail_msg("allocation %zu:\n%s", n, reader->got.data);
    if (rc)
        check_stays_failed(reader, "no memory", rc);
    assert_reads_small(reader);
    ec2_xml_free(reader->xml);
    return library.failed;
}

static void test_ec2_xml_feed__survives_libxml2_without_memory(void **state)
{
    struct reader reader = {.got = BUF_INIT(DOCUMENT_MAX)};

    (void)state;
    for (size_t i = 0; i < NRICH; i++) {
        size_t n = 0;

        while (read_without_memory(&reader, i, n))
            n++;
        assert_true(n > 10);
    }
    buf_release(&reader.got);
}

static void test_ec2_xml_free__accepts_null(void **state)
{
    (void)state;
    ec2_xml_free(NULL);
}

static enum err_code read_with(struct reader *reader, struct ec2_memo *memo,
                               const char *document)
{
    enum err_code rc;

    reader->memo = memo;
    rc = read_once(reader, EC2_DESCRIBE_INSTANCES, true, span_of(document),
                   WHOLE, NULL);
    reader->memo = NULL;
    return rc;
}

/* What must not be kept, and what it must not leave behind. */
static void test_ec2_xml_end__keeps_whole_results_only(void **state)
{
    static const char REFUSAL[] =
        "<Response><requestId>r</requestId><Errors><Error><Code>C</Code>"
        "</Error></Errors><RequestID>r</RequestID></Response>";
    static const char TWO_IDS[] =
        "<DescribeInstancesResponse><requestId>r</requestId>"
        "<requestId>r</requestId></DescribeInstancesResponse>";
    static const char TWO[] =
        "<DescribeInstancesResponse><requestId>r</requestId><reservationSet>"
        "<item><instancesSet><item/><item/></instancesSet></item>"
        "</reservationSet></DescribeInstancesResponse>";
    static const char *const TWO_READ =
        "instance \"\" \"\"\ninstance \"\" \"\"\nresult \"\"\n"
        "request-id \"r\"\n";
    struct ec2_memo *memo = NULL;
    struct reader *reader = *state;
    struct buf more = BUF_INIT(DOCUMENT_MAX);

    assert_int_equal(ec2_memo_new(&memo, NULL), ERR_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(read_with(reader, memo, REFUSAL), ERR_OK);
        assert_string_equal(reader->got.data,
                            "error \"C\" \"\"\nrequest-id \"r\"\n");
    }
    reader->refuse = ERR_IO;
    assert_int_equal(read_with(reader, memo, TWO), ERR_IO);
    reader->refuse = ERR_OK;
    buf_addf(&more, "%s junk", TWO);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(read_with(reader, memo, more.data), ERR_PARSE);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(read_with(reader, memo, TWO_IDS), ERR_OK);
    assert_int_equal(reader->nunchanged, 0);
    assert_int_equal(read_with(reader, memo, TWO), ERR_OK);
    assert_string_equal(reader->got.data, TWO_READ);
    /* The refusal before it is not its own. */
    assert_int_equal(read_with(reader, NULL, REFUSAL), ERR_OK);
    assert_int_equal(read_with(reader, memo, TWO), ERR_OK);
    assert_string_equal(reader->got.data, TWO_READ);
    assert_int_equal(reader->nunchanged, 1);
    buf_release(&more);
    ec2_memo_free(memo);
}

static void test_ec2_xml_end__parses_nothing_twice(void **state)
{
    static const char *const NAMES[] = {"instances-indented", "sim-groups",
                                        "regions"};
    struct reader *reader = *state;

    for (size_t i = 0; i < COUNT(NAMES); i++) {
        struct fixture fixture = {.name = NAMES[i],
                                  .input = BUF_INIT(DOCUMENT_MAX),
                                  .expected = BUF_INIT(DOCUMENT_MAX)};
        size_t before;

        load(fixture.name, "input.xml", &fixture.input);
        load(fixture.name, "expected.txt", &fixture.expected);
        fixture.action = action_of(&fixture);
        check_cut(reader, &fixture, WHOLE);
        assert_int_equal(reader->nunchanged, i + 1);

        assert_int_equal(ec2_memo_new(&reader->memo, NULL), ERR_OK);
        for (unsigned n = 0; n < 3; n++) {
            before = library.n;
            assert_int_equal(read_once(reader, fixture.action, true,
                                       buf_span(&fixture.input), WHOLE, NULL),
                             ERR_OK);
            assert_int_equal(library.n == before, n > 0);
        }
        ec2_memo_free(reader->memo);
        reader->memo = NULL;
        reader->nunchanged = i + 1;
        buf_release(&fixture.input);
        buf_release(&fixture.expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__mends_what_is_no_utf8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_xml_feed__refuses_utf16,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__reads_each_fixture_at_every_split, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__refuses_what_is_no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__does_not_heed_a_declared_encoding, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__does_not_mind_undeclared_prefixes, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_end__never_takes_a_part_for_the_whole, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__keeps_each_limit_to_the_last_item, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__does_not_bound_what_it_skips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_xml_feed__bounds_the_depth,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__bounds_what_brings_no_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__passes_on_what_a_callback_returns, set_up,
            tear_down),
        cmocka_unit_test(test_ec2_xml_feed__takes_no_records_without_callbacks),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_begin__forgets_what_was_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_begin__counts_silent_bytes_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_begin__judges_what_is_held_at_its_end, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_xml_begin__holds_what_is_short,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_end__keeps_whole_results_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ec2_xml_end__parses_nothing_twice,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ec2_xml_feed__needs_no_more_memory_for_more_records, set_up,
            tear_down),
        cmocka_unit_test(
            test_ec2_xml_new__and_all_after_survive_a_failed_allocation),
        cmocka_unit_test(test_ec2_xml_feed__survives_libxml2_without_memory),
        cmocka_unit_test(test_ec2_xml_free__accepts_null),
    };

    if (xmlMemSetup(free, library_malloc, library_realloc, library_strdup))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
