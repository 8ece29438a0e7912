/*
 * EC2's XML through the push parser, in one piece and in pieces: both must
 * give the same records, and every record must be what ec2_types.h promises.
 * So must they where a memo may know the document, or one much like it.
 *
 * Input: a byte for the action and for a callback that refuses, three for the
 * lengths of the pieces, then the document, in which \x01 <n> <len> stands for
 * 8 x (n + 1) more of the last len bytes, so that limits come within reach.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "aws/ec2_memo.h"
#include "aws/ec2_xml.h"

#define NPIECES 3
#define DOCUMENT_MAX ((size_t)512 * 1024)
/* The parser takes a while for each piece. */
#define PIECES_MAX 4096

/* One way of reading a document, and what came out. */
struct reading {
    size_t refuse_at; /* the record that is refused, 0: none */
    size_t nrecords;
    struct buf trace; /* all records and the page, as text */
    enum err_code rc;
};

static void check_text(struct span text)
{
    FUZZ_CHECK(text.len <= EC2_XML_TEXT_MAX);
    FUZZ_CHECK(fuzz_is_utf8(text));
    FUZZ_CHECK(text.len == 0 || !memchr(text.p, '\0', text.len));
}

static size_t note(struct reading *r, const char *what, struct span text)
{
    check_text(text);
    buf_addf(&r->trace, "%s=%.*s;", what, SPAN_ARG(text));
    return text.len;
}

static enum err_code end_record(struct reading *r, size_t len, struct err *err)
{
    FUZZ_CHECK(r->rc == ERR_OK);
    FUZZ_CHECK(len <= EC2_XML_RECORD_MAX);
    FUZZ_CHECK(r->nrecords < EC2_XML_RECORDS_MAX);
    buf_add_char(&r->trace, '\n');
    r->nrecords++;
    if (r->nrecords != r->refuse_at)
        return ERR_OK;
    return err_set(err, ERR_IO, "fuzz: refused");
}

static enum err_code on_instance(void *arg, const struct ec2_instance *in,
                                 struct err *err)
{
    struct reading *r = arg;
    size_t len = note(r, "instance", in->id) + note(r, "state", in->state);

    FUZZ_CHECK(in->ntags <= EC2_XML_LIST_MAX);
    FUZZ_CHECK(in->ngroup_ids <= EC2_XML_LIST_MAX);
    for (size_t i = 0; i < in->ntags; i++)
        len += note(r, "key", in->tags[i].key) +
               note(r, "value", in->tags[i].value);
    for (size_t i = 0; i < in->ngroup_ids; i++)
        len += note(r, "in", in->group_ids[i]);
    for (size_t i = 0; i < in->naddresses; i++) {
        len += note(r, "address", in->addresses[i].text);
        buf_addf(&r->trace, "%d%d;", in->addresses[i].kind,
                 in->addresses[i].own);
    }
    len += note(r, "type", in->type) + note(r, "launched", in->launch_time);
    return end_record(r, len, err);
}

static enum err_code on_group(void *arg, const struct ec2_group *group,
                              struct err *err)
{
    struct reading *r = arg;
    size_t len = note(r, "group", group->id) + note(r, "name", group->name);

    FUZZ_CHECK(group->npermissions <= EC2_XML_LIST_MAX);
    FUZZ_CHECK(group->ncidrs <= EC2_XML_LIST_MAX);
    for (size_t i = 0; i < group->npermissions; i++) {
        const struct ec2_permission *p = &group->permissions[i];

        FUZZ_CHECK(p->first_cidr <= group->ncidrs);
        FUZZ_CHECK(p->ncidrs <= group->ncidrs - p->first_cidr);
        len += note(r, "protocol", p->protocol);
        buf_addf(&r->trace, "%d %d %d %zu+%zu;", p->from_port, p->to_port,
                 p->has_ports, p->first_cidr, p->ncidrs);
    }
    for (size_t i = 0; i < group->ncidrs; i++)
        len += note(r, "cidr", group->cidrs[i]);
    return end_record(r, len, err);
}

static enum err_code on_region(void *arg, const struct ec2_region *region,
                               struct err *err)
{
    struct reading *r = arg;
    size_t len =
        note(r, "region", region->name) + note(r, "opt", region->opt_in_status);

    return end_record(r, len, err);
}

/* Feeds text from a block of its own size. */
static enum err_code feed(struct ec2_xml *xml, struct span text)
{
    char *block = fuzz_block(text);
    enum err_code rc = ec2_xml_feed(xml, block, text.len, NULL);

    free(block);
    return rc;
}

/* Takes the next piece off *rest. */
static struct span take_piece(struct span *rest, size_t want)
{
    struct span piece = {rest->p, want < rest->len ? want : rest->len};

    rest->p += piece.len;
    rest->len -= piece.len;
    return piece;
}

static void end(struct reading *r, struct ec2_xml *xml)
{
    struct ec2_page page = {0};
    enum err_code fed = r->rc;

    r->rc = ec2_xml_end(xml, &page, NULL);
    FUZZ_CHECK(!fed || r->rc == fed);
    FUZZ_CHECK(ec2_xml_end(xml, &page, NULL) == r->rc || !r->rc);
    if (r->rc)
        return;
    buf_addf(&r->trace, "%d ", page.kind);
    (void)note(r, "token", page.next_token);
    (void)note(r, "id", page.request_id);
    (void)note(r, "code", page.error_code);
    (void)note(r, "message", page.error_message);
}

/* What is begun next must show no trace of it. */
static void leave_in_the_middle(struct ec2_xml *xml)
{
    static const char PART[] =
        "<DescribeRegionsResponse><nextToken>a</nextToken><requestId>b"
        "</requestId><regionInfo><item><regionName>c</regionName><regionE";

    ec2_xml_begin(xml, EC2_DESCRIBE_REGIONS, false, NULL);
    FUZZ_CHECK(feed(xml, SPAN_LIT(PART)) == ERR_OK);
}

/* lengths: of the pieces, in turn; NULL: all at once, and held. */
static void read_document(struct reading *r, enum ec2_action action,
                          struct span document, const size_t *lengths,
                          struct ec2_memo *memo)
{
    const struct ec2_records records = {on_instance, on_group, on_region};
    struct ec2_xml *xml = NULL;
    size_t least = document.len / PIECES_MAX;

    r->trace = buf_of(64 * DOCUMENT_MAX);
    FUZZ_CHECK(ec2_xml_new(&records, r, &xml, NULL) == ERR_OK);
    if (!lengths)
        leave_in_the_middle(xml);
    ec2_xml_begin(xml, action, !lengths, memo);
    for (size_t i = 0; document.len; i++) {
        size_t want = lengths ? lengths[i % NPIECES] + least : document.len;
        enum err_code before = r->rc;

        r->rc = feed(xml, take_piece(&document, want));
        FUZZ_CHECK(!before || r->rc == before);
    }
    end(r, xml);
    FUZZ_CHECK(buf_check(&r->trace, "fuzz", NULL) == ERR_OK);
    ec2_xml_free(xml);
}

static void add_expanded(struct buf *out, struct span in)
{
    while (in.len) {
        char c = (char)fuzz_byte(&in);
        size_t times;
        size_t len;

        if (c != '\x01') {
            buf_add_char(out, c);
            continue;
        }
        times = 8 * ((size_t)fuzz_byte(&in) + 1);
        len = fuzz_byte(&in);
        if (len > out->len || times * len > DOCUMENT_MAX)
            continue;
        buf_reserve(out, times * len);
        for (; times && out->len + len <= DOCUMENT_MAX; times--)
            buf_add(out, out->data + out->len - len, len);
    }
}

static bool is_refused(const struct reading *r)
{
    return r->rc == ERR_PARSE || r->rc == ERR_LIMIT;
}

/*
 * Both ways come to the same. Only a document with two faults, a text too long
 * and bytes in it that are none, is refused for the one that shows first: the
 * text's beginning is handed over before its end has come.
 */
static void compare(const struct reading *whole, const struct reading *parts)
{
    struct span a = buf_span(&whole->trace);
    struct span b = buf_span(&parts->trace);
    size_t len = a.len < b.len ? a.len : b.len;

    if (whole->rc == parts->rc) {
        FUZZ_CHECK(span_eq(a, b));
        return;
    }
    FUZZ_CHECK(is_refused(whole) && is_refused(parts));
    FUZZ_CHECK(span_eq((struct span){a.p, len}, (struct span){b.p, len}));
}

/* With the memo, which may know it, as without. */
static void recall(enum ec2_action action, const struct buf *document,
                   size_t refuse_at, struct ec2_memo *memo)
{
    struct reading with = {.refuse_at = refuse_at};
    struct reading without = {.refuse_at = refuse_at};

    read_document(&with, action, buf_span(document), NULL, memo);
    read_document(&without, action, buf_span(document), NULL, NULL);
    FUZZ_CHECK(with.rc == without.rc);
    FUZZ_CHECK(span_eq(buf_span(&with.trace), buf_span(&without.trace)));
    buf_release(&with.trace);
    buf_release(&without.trace);
}

/* A document twice, then with one byte changed, then as it was. */
static void check_memo(enum ec2_action action, struct buf *document,
                       size_t refuse_at, const size_t *at)
{
    struct ec2_memo *memo = NULL;
    size_t i = at[0] + at[1] * at[2];

    FUZZ_CHECK(ec2_memo_new(&memo, NULL) == ERR_OK);
    recall(action, document, 0, memo);
    recall(action, document, refuse_at, memo);
    if (i < document->len) {
        document->data[i] ^= 1 << at[0] % 8;
        recall(action, document, 0, memo);
        document->data[i] ^= 1 << at[0] % 8;
        recall(action, document, 0, memo);
    }
    ec2_memo_free(memo);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span in = fuzz_input(data, len);
    unsigned how = fuzz_byte(&in);
    struct reading whole = {.refuse_at = how / EC2_NACTIONS % 4};
    struct reading parts = {.refuse_at = whole.refuse_at};
    struct buf document = BUF_INIT(DOCUMENT_MAX);
    size_t lengths[NPIECES];

    for (size_t i = 0; i < NPIECES; i++)
        lengths[i] = (size_t)fuzz_byte(&in) + 1;
    add_expanded(&document, in);
    read_document(&whole, how % EC2_NACTIONS, buf_span(&document), NULL, NULL);
    read_document(&parts, how % EC2_NACTIONS, buf_span(&document), lengths,
                  NULL);
    /* What counts as silence depends on the pieces, by one of them. */
    if (document.len < EC2_XML_SILENT_MAX)
        compare(&whole, &parts);
    check_memo(how % EC2_NACTIONS, &document, whole.refuse_at, lengths);
    buf_release(&whole.trace);
    buf_release(&parts.trace);
    buf_release(&document);
    return 0;
}
