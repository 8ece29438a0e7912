#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "aws/sigv4.h"
#include "support/fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define FILE_MAX ((size_t)64 * 1024)
#define PATH_LEN 512
#define STAMP_LEN 16

/* Folders with one folder a case; see their README.md and make_vectors.*. */
#define SUITE "test/fixtures/sigv4/v4"
#define EC2_CASES "test/fixtures/sigv4-ec2"

/* --- the cases of the fixture folders ---------------------------------- */

struct signing_case {
    const char *folder;
    const char *name;
    struct buf text; /* request.txt, cut into terminated pieces */
    json_t *context;
    struct sigv4_header headers[SIGV4_MAX_ITEMS];
    struct sigv4_request request;
    struct sigv4_scope scope;
    char stamp[STAMP_LEN + 1];
    char body_hash[SIGV4_HEX_LEN + 1];
    unsigned nfailed;
};

static void read_file(const struct signing_case *c, const char *file,
                      struct buf *out)
{
    char path[PATH_LEN];
    char chunk[1024];
    size_t len;
    FILE *in;

    (void)snprintf(path, sizeof(path), "%s/%s/%s", c->folder, c->name, file);
    in = fopen(path, "rb");
    if (!in)
        fail_msg("%s: cannot be read", path);
    while ((len = fread(chunk, 1, sizeof(chunk), in)) > 0)
        buf_add(out, chunk, len);
    (void)fclose(in);
    assert_int_equal(buf_check(out, path, NULL), ERR_OK);
}

static const char *context_text(const struct signing_case *c, const char *key)
{
    const json_t *keys = json_object_get(c->context, "credentials");
    const char *text = json_string_value(json_object_get(c->context, key));

    return text ? text : json_string_value(json_object_get(keys, key));
}

static bool context_is_true(const struct signing_case *c, const char *key)
{
    return json_is_true(json_object_get(c->context, key));
}

/* "2015-08-30T12:36:00Z" as "20150830T123600Z" */
static void set_stamp(struct signing_case *c, const char *text)
{
    size_t len = 0;

    for (; *text && len < STAMP_LEN; text++)
        if (*text != '-' && *text != ':')
            c->stamp[len++] = *text;
    c->stamp[len] = '\0';
}

/* Ends the line at *rest, one folded over several lines as a whole. */
static char *take_line(char **rest)
{
    char *line = *rest;
    char *end = strchr(line, '\n');

    while (end && (end[1] == ' ' || end[1] == '\t'))
        end = strchr(end + 1, '\n');
    *rest = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

static void add_header(struct signing_case *c, const char *name,
                       const char *value)
{
    assert_true(c->request.nheaders < SIGV4_MAX_ITEMS);
    c->headers[c->request.nheaders++] = (struct sigv4_header){name, value};
}

static void parse_request(struct signing_case *c)
{
    char *rest = c->text.data;
    char *target = strchr(take_line(&rest), ' ');
    char *query;
    char *line;

    assert_non_null(target);
    *target++ = '\0';
    *strrchr(target, ' ') = '\0'; /* before HTTP/1.1; paths may hold blanks */
    query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    c->request.method = c->text.data;
    c->request.path = target;
    c->request.query = query ? query : "";
    while (*(line = take_line(&rest))) {
        char *colon = strchr(line, ':');

        assert_non_null(colon);
        *colon = '\0';
        add_header(c, line, colon + 1);
    }
    c->request.body = rest;
    c->request.body_len = strlen(rest);
}

static void load_case(struct signing_case *c)
{
    struct buf json = BUF_INIT(FILE_MAX);

    c->text = buf_of(FILE_MAX);
    read_file(c, "context.json", &json);
    c->context = json_loadb(json.data, json.len, 0, NULL);
    assert_non_null(c->context);
    buf_release(&json);
    read_file(c, "request.txt", &c->text);
    c->request.headers = c->headers;
    parse_request(c);
    set_stamp(c, context_text(c, "timestamp"));
    c->scope = (struct sigv4_scope){c->stamp, context_text(c, "region"),
                                    context_text(c, "service")};
    c->request.normalize_path = context_is_true(c, "normalize");
    add_header(c, "X-Amz-Date", c->stamp);
    if (context_text(c, "token") && !context_is_true(c, "omit_session_token"))
        add_header(c, "X-Amz-Security-Token", context_text(c, "token"));
    if (context_is_true(c, "sign_body")) {
        assert_int_equal(sigv4_sha256_hex((struct span){c->request.body,
                                                        c->request.body_len},
                                          c->body_hash, NULL),
                         ERR_OK);
        add_header(c, "x-amz-content-sha256", c->body_hash);
    }
}

static void compare(struct signing_case *c, const char *stage,
                    const char *expected, const struct buf *actual)
{
    if (strcmp(expected, actual->data) == 0)
        return;
    print_error("%s: %s differs\n--- expected\n%s\n--- got\n%s\n", c->name,
                stage, expected, actual->data);
    c->nfailed++;
}

static void compare_file(struct signing_case *c, const char *file,
                         const struct buf *actual)
{
    struct buf expected = BUF_INIT(FILE_MAX);

    read_file(c, file, &expected);
    compare(c, file, expected.data, actual);
    buf_release(&expected);
}

static void check_authorization(struct signing_case *c, const struct buf *value)
{
    static const char NAME[] = "\nAuthorization:";
    static const char SIGNATURE[] = "Signature=";
    struct buf file = BUF_INIT(FILE_MAX);
    struct buf signature = BUF_INIT(FILE_MAX);
    char *expected;
    const char *at = strstr(value->data, SIGNATURE);

    read_file(c, "header-signed-request.txt", &file);
    expected = strstr(file.data, NAME);
    assert_non_null(expected);
    expected += strlen(NAME);
    expected[strcspn(expected, "\n")] = '\0';
    compare(c, "Authorization", expected, value);
    assert_non_null(at);
    buf_add_str(&signature, at + strlen(SIGNATURE));
    compare_file(c, "header-signature.txt", &signature);
    buf_release(&signature);
    buf_release(&file);
}

/* Every stage, so that a wrong signature shows where it went wrong. */
static void check_case(struct signing_case *c)
{
    struct buf canonical = BUF_INIT(SIGV4_MAX_TEXT);
    struct buf to_sign = BUF_INIT(SIGV4_MAX_TEXT);
    struct buf value = BUF_INIT(SIGV4_MAX_TEXT);
    struct sigv4_key key;

    load_case(c);
    assert_int_equal(sigv4_canonical_request(&c->request, &canonical, NULL),
                     ERR_OK);
    compare_file(c, "header-canonical-request.txt", &canonical);
    assert_int_equal(
        sigv4_string_to_sign(&c->scope, &canonical, &to_sign, NULL), ERR_OK);
    compare_file(c, "header-string-to-sign.txt", &to_sign);
    assert_int_equal(sigv4_derive_key(&c->scope,
                                      context_text(c, "secret_access_key"),
                                      &key, NULL),
                     ERR_OK);
    assert_int_equal(sigv4_sign(&c->request, &c->scope,
                                context_text(c, "access_key_id"), &key, &value,
                                NULL),
                     ERR_OK);
    check_authorization(c, &value);
    buf_release(&value);
    buf_release(&to_sign);
    buf_release(&canonical);
    buf_release(&c->text);
    json_decref(c->context);
}

static void check_folder(const char *folder, unsigned ncases)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    unsigned nseen = 0;
    unsigned nfailed = 0;

    if (!dir)
        fail_msg("%s: cannot be read", folder);
    while ((entry = readdir(dir))) {
        struct signing_case c = {.folder = folder, .name = entry->d_name};

        /* Beside the cases there may be files, which have a '.'. */
        if (strchr(entry->d_name, '.'))
            continue;
        check_case(&c);
        nfailed += c.nfailed;
        nseen++;
    }
    (void)closedir(dir);
    assert_int_equal(nfailed, 0);
    assert_int_equal(nseen, ncases);
}

static void test_sigv4_sign__passes_the_suite_of_aws(void **state)
{
    (void)state;
    check_folder(SUITE, 38);
}

static void test_sigv4_sign__agrees_with_botocore_and_openssl(void **state)
{
    (void)state;
    check_folder(EC2_CASES, 7);
}

/* --- one request, turned this way and that ----------------------------- */

static const char BODY[] = "Action=DescribeInstances&Version=2016-11-15";

static const struct sigv4_scope SCOPE = {
    .timestamp = "20300102T030405Z",
    .region = "eu-test-1",
    .service = "ec2",
};

static const char SECRET[] = "not-a-real-secret";

static const struct sigv4_header HEADERS[] = {
    {"content-type", "application/x-www-form-urlencoded"},
    {"host", "ec2.eu-test-1.example"},
    {"x-amz-date", "20300102T030405Z"},
};

static const struct sigv4_request REQUEST = {
    .method = "POST",
    .path = "/",
    .query = "",
    .headers = HEADERS,
    .nheaders = 3,
    .body = BODY,
    .body_len = sizeof(BODY) - 1,
    .normalize_path = true,
};

/* openssl(1): the HMAC chain of "AWS4" + SECRET over SCOPE. */
static const unsigned char KEY[SIGV4_KEY_LEN] = {
    0xb7, 0xc4, 0x53, 0x15, 0x84, 0x59, 0xc3, 0xdf, 0x86, 0x4f, 0x65,
    0xf2, 0x22, 0x5f, 0x7d, 0x43, 0x4e, 0x26, 0x4c, 0x84, 0x3e, 0xfc,
    0xdc, 0xa3, 0x7f, 0x8a, 0x2d, 0x6f, 0xd1, 0x7e, 0x3a, 0x57,
};

/* openssl(1), see test/fixtures/sigv4-ec2/make_vectors.sh for the way. */
static const char AUTHORIZATION[] =
    "AWS4-HMAC-SHA256 "
    "Credential=TESTKEY/20300102/eu-test-1/ec2/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, "
    "Signature="
    "f26da5e69b9ed9e34802a7c2354360e1bebc0db87414b1fc891624494137e139";

static struct sigv4_key known_key(void)
{
    struct sigv4_key key;

    memcpy(key.bytes, KEY, sizeof(KEY));
    return key;
}

static void test_sigv4_derive_key__matches_openssl(void **state)
{
    struct sigv4_key key;

    (void)state;
    assert_int_equal(sigv4_derive_key(&SCOPE, SECRET, &key, NULL), ERR_OK);
    assert_memory_equal(key.bytes, KEY, sizeof(KEY));
}

static void test_sigv4_sign__appends_the_value(void **state)
{
    struct sigv4_key key = known_key();
    struct buf out = BUF_INIT(1024);

    (void)state;
    buf_add_str(&out, "Authorization: ");
    assert_int_equal(sigv4_sign(&REQUEST, &SCOPE, "TESTKEY", &key, &out, NULL),
                     ERR_OK);
    assert_string_equal(out.data + strlen("Authorization: "), AUTHORIZATION);
    buf_release(&out);
}

static void test_sigv4_sign__takes_headers_in_any_order_and_case(void **state)
{
    const struct sigv4_header mixed[] = {
        {"X-Amz-Date", " 20300102T030405Z "},
        {"Host", "ec2.eu-test-1.example"},
        {"CONTENT-TYPE", "application/x-www-form-urlencoded\t"},
    };
    struct sigv4_request request = REQUEST;
    struct sigv4_key key = known_key();
    struct buf out = BUF_INIT(1024);

    (void)state;
    request.headers = mixed;
    assert_int_equal(sigv4_sign(&request, &SCOPE, "TESTKEY", &key, &out, NULL),
                     ERR_OK);
    assert_string_equal(out.data, AUTHORIZATION);
    buf_release(&out);
}

static void test_sigv4_sign__leaves_a_full_buffer_as_it_was(void **state)
{
    struct sigv4_key key = known_key();
    struct buf out = BUF_INIT(sizeof(AUTHORIZATION) - 1);
    struct err err = {0};

    (void)state;
    buf_add_char(&out, 'x');
    assert_int_equal(sigv4_sign(&REQUEST, &SCOPE, "TESTKEY", &key, &out, &err),
                     ERR_LIMIT);
    assert_string_equal(out.data, "x");
    assert_string_equal(err.msg, "sigv4: authorization: longer than 191 bytes");
    buf_release(&out);
}

static void test_sigv4_sign__wants_a_timestamp_of_the_right_form(void **state)
{
    static const char *const BAD[] = {
        "",
        "20300102",
        "20300102T030405",
        "20300102T030405Zx",
        "20300102 030405Z",
        "2030-01-02T03:04",
        "2030010xT030405Z",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct sigv4_scope scope = SCOPE;
        struct sigv4_key key = known_key();
        struct sigv4_key derived = known_key();
        struct buf out = BUF_INIT(1024);

        scope.timestamp = BAD[i];
        if (sigv4_sign(&REQUEST, &scope, "K", &key, &out, NULL) != ERR_ARG ||
            out.len != 0)
            fail_msg("sign took \"%s\"", BAD[i]);
        if (sigv4_derive_key(&scope, SECRET, &derived, NULL) != ERR_ARG)
            fail_msg("derive_key took \"%s\"", BAD[i]);
        key = (struct sigv4_key){{0}};
        assert_memory_equal(&derived, &key, sizeof(key));
        buf_release(&out);
    }
}

static void test_sigv4_sign__wants_1_to_64_headers(void **state)
{
    struct sigv4_header many[SIGV4_MAX_ITEMS + 1];
    struct sigv4_request request = REQUEST;
    struct sigv4_key key = known_key();
    struct buf out = BUF_INIT(1024);
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = HEADERS[1];
    request.headers = many;
    request.nheaders = 0;
    assert_int_equal(sigv4_sign(&request, &SCOPE, "K", &key, &out, &err),
                     ERR_ARG);
    assert_string_equal(err.msg, "sigv4: no header to sign");
    request.nheaders = SIGV4_MAX_ITEMS + 1;
    assert_int_equal(sigv4_sign(&request, &SCOPE, "K", &key, &out, NULL),
                     ERR_ARG);
    assert_int_equal(sigv4_signed_headers(&request, &out, NULL), ERR_ARG);
    assert_int_equal(out.len, 0);
    request.nheaders = SIGV4_MAX_ITEMS;
    assert_int_equal(sigv4_sign(&request, &SCOPE, "K", &key, &out, NULL),
                     ERR_OK);
    buf_release(&out);
}

static void test_sigv4_signed_headers__names_each_once(void **state)
{
    const struct sigv4_header headers[] = {
        {"X-B", "1"}, {"host", "h"}, {"x-a", "2"}, {"x-b", "3"}, {"X-BC", "4"},
    };
    struct sigv4_request request = REQUEST;
    struct buf out = BUF_INIT(1024);

    (void)state;
    request.headers = headers;
    request.nheaders = COUNT(headers);
    assert_int_equal(sigv4_signed_headers(&request, &out, NULL), ERR_OK);
    assert_string_equal(out.data, "host;x-a;x-b;x-bc");
    buf_release(&out);
}

/* The second line of the canonical request, or the third. */
static void assert_canonical_line(const struct sigv4_request *request,
                                  unsigned line, const char *expected)
{
    struct buf out = BUF_INIT(SIGV4_MAX_TEXT);
    struct span rest;
    struct span part = {NULL, 0};

    assert_int_equal(sigv4_canonical_request(request, &out, NULL), ERR_OK);
    rest = buf_span(&out);
    for (unsigned i = 0; i < line; i++)
        assert_true(span_split(&rest, '\n', &part));
    if (!span_eq_str(part, expected))
        fail_msg("%s?%s: got %.*s, not %s", request->path, request->query,
                 SPAN_ARG(part), expected);
    buf_release(&out);
}

static void test_sigv4_canonical_request__normalizes_paths(void **state)
{
    /* botocore 1.44.5, SigV4Auth._normalize_url_path() */
    static const struct {
        const char *wire;
        const char *canonical;
    } ROWS[] = {
        {"/a/b/..", "/a"},
        {"/a%20b/c", "/a%2520b/c"},
        {"/a/./b//c/", "/a/b/c/"},
        {"/..", "/"},
        {"/../../x", "/x"},
        {"/a/b/../../../c/", "/c/"},
        {"/..a/.b/c..", "/..a/.b/c.."},
        {"/a*b+c=d@e:f", "/a%2Ab%2Bc%3Dd%40e%3Af"},
        {"", "/"},
    };
    struct sigv4_request request = REQUEST;

    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        request.path = ROWS[i].wire;
        assert_canonical_line(&request, 2, ROWS[i].canonical);
    }
}

static void test_sigv4_canonical_request__sorts_and_recodes_queries(void **s)
{
    /* By hand, from "Create a canonical request" in the IAM user guide. */
    static const struct {
        const char *wire;
        const char *canonical;
    } ROWS[] = {
        {"b=2&a=1", "a=1&b=2"},
        {"a=2&a=10&a=1", "a=1&a=10&a=2"},
        {"a-b=1&a=2&A=3", "A=3&a=2&a-b=1"},
        {"a", "a="},
        {"&&a=&", "a="},
        {"a=b=c", "a=b%3Dc"},
        {"a=%7e%2f%2F~/", "a=~%2F%2F~%2F"},
        {"a=%zz%4", "a=%25zz%254"},
        {"a=b c+d", "a=b%20c%2Bd"},
    };
    struct sigv4_request request = REQUEST;

    (void)s;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        request.query = ROWS[i].wire;
        assert_canonical_line(&request, 3, ROWS[i].canonical);
    }
}

static void test_sigv4_canonical_request__limits_query_parameters(void **state)
{
    struct sigv4_request request = REQUEST;
    struct buf query = BUF_INIT(1024);
    struct buf out = BUF_INIT(SIGV4_MAX_TEXT);

    (void)state;
    for (size_t i = 0; i < SIGV4_MAX_ITEMS; i++)
        buf_add_str(&query, "&a=1");
    request.query = query.data;
    assert_int_equal(sigv4_canonical_request(&request, &out, NULL), ERR_OK);
    buf_add_str(&query, "&a=1");
    request.query = query.data;
    buf_reset(&out);
    assert_int_equal(sigv4_canonical_request(&request, &out, NULL), ERR_ARG);
    buf_release(&out);
    buf_release(&query);
}

static void test_sigv4_sha256_hex__matches_fips_180(void **state)
{
    char out[SIGV4_HEX_LEN + 1];

    (void)state;
    assert_int_equal(sigv4_sha256_hex(SPAN_LIT("abc"), out, NULL), ERR_OK);
    assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(sigv4_sha256_hex((struct span){NULL, 0}, out, NULL),
                     ERR_OK);
    assert_string_equal(out, "e3b0c44298fc1c149afbf4c8996fb924"
                             "27ae41e4649b934ca495991b7852b855");
}

/* --- failures ----------------------------------------------------------- */

/* So that OpenSSL's allocations, too, pass support/fail_alloc. */
static void *crypto_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(len);
}

static void *crypto_realloc(void *p, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(p, len);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* OpenSSL gets along without some of its allocations: then the result, too,
 * must be the right one. */
static void test_sigv4_derive_key__leaves_no_key_after_failure(void **state)
{
    static const struct sigv4_key ZERO;
    unsigned nfailed[ERR_TIME + 1] = {0};
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct sigv4_key key = known_key();
        struct err err = {0};
        enum err_code rc;

        fail_alloc_at(n);
        rc = sigv4_derive_key(&SCOPE, SECRET, &key, &err);
        failed = fail_alloc_stop();
        assert_true(!rc || (failed && (rc == ERR_NOMEM || rc == ERR_CRYPTO)));
        assert_int_equal(err.code, rc);
        assert_memory_equal(key.bytes, rc ? ZERO.bytes : KEY, sizeof(KEY));
        nfailed[rc]++;
    }
    assert_int_equal(nfailed[ERR_NOMEM], 1);
    assert_true(nfailed[ERR_CRYPTO] > 0);
}

static void test_sigv4_sign__survives_every_failed_allocation(void **state)
{
    static const char EMPTY[] = "";
    struct sigv4_key key = known_key();
    unsigned nfailed[ERR_TIME + 1] = {0};
    bool failed = true;

    (void)state;
    for (size_t n = 0; failed; n++) {
        struct buf out = BUF_INIT(1024);
        enum err_code rc;

        fail_alloc_at(n);
        rc = sigv4_sign(&REQUEST, &SCOPE, "TESTKEY", &key, &out, NULL);
        failed = fail_alloc_stop();
        assert_true(!rc || (failed && (rc == ERR_NOMEM || rc == ERR_CRYPTO)));
        assert_string_equal(out.data, rc ? EMPTY : AUTHORIZATION);
        nfailed[rc]++;
        buf_release(&out);
    }
    assert_true(nfailed[ERR_NOMEM] > 3);
    assert_true(nfailed[ERR_CRYPTO] > 0);
}

static void test_sigv4_canonical_request__reports_a_failed_allocation(void **s)
{
    struct sigv4_request request = REQUEST;
    bool failed = true;

    (void)s;
    request.query = "b=2&a=1";
    for (size_t n = 0; failed; n++) {
        struct buf out = BUF_INIT(1024);
        enum err_code rc;

        fail_alloc_at(n);
        rc = sigv4_canonical_request(&request, &out, NULL);
        failed = fail_alloc_stop();
        assert_true(!rc || (failed && (rc == ERR_NOMEM || rc == ERR_CRYPTO)));
        if (!rc)
            assert_non_null(strstr(out.data, "\na=1&b=2\n"));
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigv4_sign__passes_the_suite_of_aws),
        cmocka_unit_test(test_sigv4_sign__agrees_with_botocore_and_openssl),
        cmocka_unit_test(test_sigv4_derive_key__matches_openssl),
        cmocka_unit_test(test_sigv4_sign__appends_the_value),
        cmocka_unit_test(test_sigv4_sign__takes_headers_in_any_order_and_case),
        cmocka_unit_test(test_sigv4_sign__leaves_a_full_buffer_as_it_was),
        cmocka_unit_test(test_sigv4_sign__wants_a_timestamp_of_the_right_form),
        cmocka_unit_test(test_sigv4_sign__wants_1_to_64_headers),
        cmocka_unit_test(test_sigv4_signed_headers__names_each_once),
        cmocka_unit_test(test_sigv4_canonical_request__normalizes_paths),
        cmocka_unit_test(
            test_sigv4_canonical_request__sorts_and_recodes_queries),
        cmocka_unit_test(test_sigv4_canonical_request__limits_query_parameters),
        cmocka_unit_test(test_sigv4_sha256_hex__matches_fips_180),
        cmocka_unit_test(test_sigv4_derive_key__leaves_no_key_after_failure),
        cmocka_unit_test(test_sigv4_sign__survives_every_failed_allocation),
        cmocka_unit_test(
            test_sigv4_canonical_request__reports_a_failed_allocation),
    };

    /* Before OpenSSL's first allocation, else it refuses. */
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
