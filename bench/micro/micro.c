/*
 * micro.c - how much work single steps are, apart from any network.
 *
 *   micro STEP ROUNDS [PAGE.gz]
 *
 * does one step so many times and prints what it handled: "STEP ROUNDS UNITS".
 * micro.py times it, or counts its instructions, and makes a table. PAGE.gz is
 * an answer of DescribeInstances as it comes over the wire. Steps:
 *
 *   inflate  zlib alone on the page, units: bytes of XML
 *   sax      zlib and libxml2's push parser with callbacks that do nothing:
 *            the floor of every program that uses them
 *   count    zlib and this program's reader and fold, fed as by libcurl
 *   sign     a request's signature with the key of the day, units: signatures
 *   json     rows of findings to the envelope of an answer, units: bytes
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <zlib.h>

#include "aws/ec2_xml.h"
#include "aws/sigv4.h"
#include "base/buf.h"
#include "lambda/event.h"
#include "survey/criteria.h"
#include "survey/fold.h"

#define PAGE_MAX ((size_t)64 * 1024 * 1024)
/* What libcurl hands on at a time, in the release build. */
#define INFLATED_LEN 4096
/* A TLS record. */
#define WIRE_LEN ((size_t)16 * 1024)
#define NROWS 1000

/* Every instance is wanted. */
static const struct criteria ALL;

struct page {
    unsigned char *data;
    size_t len;
};

/* Takes bytes of XML; last comes once, with len 0. */
typedef void (*xml_fn)(void *arg, const char *data, size_t len, bool last);

static void fail(const char *what)
{
    (void)fprintf(stderr, "micro: %s\n", what);
    exit(EXIT_FAILURE);
}

static struct page read_page(const char *path)
{
    struct page page = {malloc(PAGE_MAX), 0};
    FILE *file = fopen(path, "rb");

    if (!page.data || !file)
        fail("cannot read the page");
    page.len = fread(page.data, 1, PAGE_MAX, file);
    (void)fclose(file);
    return page;
}

/* Inflates the page as it would come, record by record; bytes of XML. */
static size_t inflate_page(const struct page *page, xml_fn take, void *arg)
{
    char out[INFLATED_LEN];
    z_stream z = {0};
    int status = inflateInit2(&z, 16 + MAX_WBITS);
    size_t total = 0;

    for (size_t at = 0; at < page->len && status == Z_OK; at += WIRE_LEN) {
        size_t left = page->len - at;

        z.next_in = page->data + at;
        z.avail_in = (uInt)(left < WIRE_LEN ? left : WIRE_LEN);
        do {
            size_t len;

            z.next_out = (unsigned char *)out;
            z.avail_out = sizeof(out);
            status = inflate(&z, Z_NO_FLUSH);
            len = sizeof(out) - z.avail_out;
            total += len;
            if (take && len)
                take(arg, out, len, false);
        } while (status == Z_OK && z.avail_out == 0);
        if (status == Z_BUF_ERROR)
            status = Z_OK;
    }
    if (status != Z_STREAM_END)
        fail("the page is not gzip, or cut off");
    (void)inflateEnd(&z);
    if (take)
        take(arg, NULL, 0, true);
    return total;
}

/* --- the floor --------------------------------------------------------------
 */

/* NOLINTNEXTLINE(readability-function-size): the parameters are libxml2's */
static void ignore_start(void *ctx, const xmlChar *name, const xmlChar *prefix,
                         const xmlChar *uri, int nnamespaces,
                         const xmlChar **namespaces, int nattributes,
                         int ndefaulted, const xmlChar **attributes)
{
    (void)ctx;
    (void)name;
    (void)prefix;
    (void)uri;
    (void)nnamespaces;
    (void)namespaces;
    (void)nattributes;
    (void)ndefaulted;
    (void)attributes;
}

static void ignore_end(void *ctx, const xmlChar *name, const xmlChar *prefix,
                       const xmlChar *uri)
{
    (void)ctx;
    (void)name;
    (void)prefix;
    (void)uri;
}

static void ignore_text(void *ctx, const xmlChar *text, int len)
{
    (void)ctx;
    (void)text;
    (void)len;
}

static void feed_sax(void *arg, const char *data, size_t len, bool last)
{
    if (xmlParseChunk(arg, data, (int)len, last))
        fail("the page is not XML");
}

static size_t step_sax(const struct page *page)
{
    xmlSAXHandler handler = {
        .characters = ignore_text,
        .ignorableWhitespace = ignore_text,
        .initialized = XML_SAX2_MAGIC,
        .startElementNs = ignore_start,
        .endElementNs = ignore_end,
    };
    xmlParserCtxtPtr parser =
        xmlCreatePushParserCtxt(&handler, NULL, NULL, 0, NULL);
    size_t total;

    if (!parser)
        fail("out of memory");
    (void)xmlCtxtUseOptions(parser, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    total = inflate_page(page, feed_sax, parser);
    xmlFreeParserCtxt(parser);
    return total;
}

static size_t step_inflate(const struct page *page)
{
    return inflate_page(page, NULL, NULL);
}

/* --- the program's own ------------------------------------------------------
 */

static void feed_reader(void *arg, const char *data, size_t len, bool last)
{
    struct ec2_page page;
    struct err err = {0};
    enum err_code rc = last ? ec2_xml_end(arg, &page, &err)
                            : ec2_xml_feed(arg, data, len, &err);

    if (rc)
        fail(err_text(&err));
}

static size_t step_count(const struct page *page)
{
    const struct fold_options options = {.criteria = &ALL};
    struct ec2_records records = {.instance = FOLD_COUNT.instance};
    struct ec2_xml *xml = NULL;
    struct err err = {0};
    void *state = NULL;
    size_t total;

    if (FOLD_COUNT.region_begin(&options, &state, &err) ||
        ec2_xml_new(&records, state, &xml, &err))
        fail(err_text(&err));
    ec2_xml_begin(xml, EC2_DESCRIBE_INSTANCES, false, NULL);
    FOLD_COUNT.event(state, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    total = inflate_page(page, feed_reader, xml);
    FOLD_COUNT.event(state, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    ec2_xml_free(xml);
    FOLD_COUNT.region_free(state);
    return total;
}

static size_t step_sign(const struct page *page)
{
    static const struct sigv4_header headers[] = {
        {"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
        {"host", "ec2.ap-southeast-2.amazonaws.com"},
        {"x-amz-date", "20260102T030405Z"},
        {"x-amz-security-token", "IQoJb3JpZ2luX2VjEExampleExampleExample"},
    };
    static const char body[] =
        "Action=DescribeInstances&MaxResults=1000&Version=2016-11-15";
    const struct sigv4_request request = {
        .method = "POST",
        .path = "/",
        .query = "",
        .headers = headers,
        .nheaders = sizeof(headers) / sizeof(headers[0]),
        .body = body,
        .body_len = sizeof(body) - 1,
    };
    const struct sigv4_scope scope = {"20260102T030405Z", "ap-southeast-2",
                                      "ec2"};
    struct buf out = BUF_INIT(SIGV4_MAX_TEXT);
    struct err err = {0};
    struct sigv4_key key;

    (void)page;
    if (sigv4_derive_key(&scope, "not-a-real-secret", &key, &err))
        fail(err_text(&err));
    for (size_t i = 0; i < NROWS; i++) {
        buf_reset(&out);
        if (sigv4_sign(&request, &scope, "TESTKEY", &key, &out, &err))
            fail(err_text(&err));
    }
    buf_release(&out);
    return NROWS;
}

/* Rows of the question after owners, one a stopped instance. */
static void *make_rows(struct err *err)
{
    const struct fold_options options = {
        .limits = {.rows_max = PAGE_MAX},
        .criteria = &ALL,
    };
    struct fold_follow_up none = {0};
    struct ec2_instance instance = {.id = SPAN_LIT("i-0123456789abcdef0"),
                                    .state = SPAN_LIT("stopped")};
    void *state = NULL;

    if (FOLD_OWNER.region_begin(&options, &state, err))
        fail(err_text(err));
    FOLD_OWNER.event(state, FOLD_INSTANCES, FOLD_LISTING_BEGIN);
    for (size_t i = 0; i < NROWS; i++) {
        char id[] = "i-00000000000000000";

        (void)snprintf(id, sizeof(id), "i-%017zx", i);
        instance.id = span_of(id);
        if (FOLD_OWNER.instance(state, &instance, err))
            fail(err_text(err));
    }
    FOLD_OWNER.event(state, FOLD_INSTANCES, FOLD_PAGE_COMMIT);
    FOLD_OWNER.event(state, FOLD_INSTANCES, FOLD_LISTING_END);
    if (FOLD_OWNER.region_end(state, &none, err))
        fail(err_text(err));
    return state;
}

static size_t step_json(const struct page *page)
{
    static const char event[] =
        "{\"messageVersion\":\"1.0\",\"actionGroup\":\"ec2\",\"apiPath\":"
        "\"/check-without-owner/{regions}\",\"httpMethod\":\"GET\"}";
    const struct event_source source = {.json = SPAN_LIT(event)};
    struct buf body = BUF_INIT(EVENT_SIZE_MAX);
    struct buf out = BUF_INIT(EVENT_SIZE_MAX);
    struct call call = {0};
    struct err err = {0};
    void *state = make_rows(&err);
    size_t nrows = FOLD_OWNER.tally(state).nrows;
    size_t total;

    (void)page;
    for (size_t i = 0; i < nrows; i++) {
        const struct fold_row which = {.region = "ap-southeast-2", .i = i};

        buf_add_str(&body, i ? "," : "[");
        (void)FOLD_OWNER.row(state, &which, &body);
    }
    buf_add_str(&body, "]");
    if (event_parse(&source, &call, &err) ||
        event_render(&call,
                     &(struct event_answer){
                         .http_status = 200,
                         .body = buf_span(&body),
                     },
                     &out, &err))
        fail(err_text(&err));
    total = out.len;
    call_release(&call);
    buf_release(&out);
    buf_release(&body);
    FOLD_OWNER.region_free(state);
    return total;
}

static const struct {
    const char *name;
    bool needs_page;
    size_t (*run)(const struct page *page);
} STEPS[] = {
    {"inflate", true, step_inflate}, {"sax", true, step_sax},
    {"count", true, step_count},     {"sign", false, step_sign},
    {"json", false, step_json},
};

int main(int argc, char **argv)
{
    struct page page = {0};
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    size_t total = 0;

    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
        if (rounds < 1 || strcmp(STEPS[i].name, argv[1]) != 0 ||
            argc != (STEPS[i].needs_page ? 4 : 3))
            continue;
        if (STEPS[i].needs_page)
            page = read_page(argv[3]);
        for (long round = 0; round < rounds; round++)
            total += STEPS[i].run(&page);
        free(page.data);
        (void)printf("%s %ld %zu\n", argv[1], rounds, total);
        return EXIT_SUCCESS;
    }
    fail("usage: micro inflate|sax|count ROUNDS PAGE.gz, or sign|json ROUNDS");
}
