#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws/credentials.h"
#include "base/clock.h"
#include "support/fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define KEY "AWS_ACCESS_KEY_ID"
#define SECRET "AWS_SECRET_ACCESS_KEY"
#define TOKEN "AWS_SESSION_TOKEN"
#define RELATIVE "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define AUTH "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define AUTH_FILE "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

#define NONE                                                                   \
    "no AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not " \
    "set, nor AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI; try: eval " \
    "\"$(aws configure export-credentials --format env)\""

/* --- a table in the environment's place --------------------------------- */

struct variable {
    const char *name;
    const char *value;
};

#define NVARIABLES 4

/* A look-up function has no argument, so the table cannot be handed over. */
static const struct variable *variables;

static const char *lookup(const char *name)
{
    for (size_t i = 0; i < NVARIABLES && variables[i].name; i++)
        if (strcmp(variables[i].name, name) == 0)
            return variables[i].value;
    return NULL;
}

static enum err_code from_table(const struct variable *table,
                                struct credentials *creds, struct err *err)
{
    variables = table;
    return credentials_from_environment(lookup, creds, err);
}

static enum err_code source_of(const struct variable *table,
                               struct credentials_container *out,
                               struct err *err)
{
    variables = table;
    return credentials_container_source(lookup, out, err);
}

static const struct variable COMPLETE[NVARIABLES] = {
    {KEY, "TESTKEY"},
    {SECRET, "not-a-real-secret"},
    {TOKEN, "not-a-real-token"},
};

static void assert_empty(const struct credentials *creds)
{
    assert_false(credentials_are_set(creds));
    assert_int_equal(creds->key_id.len, 0);
    assert_int_equal(creds->secret.len, 0);
    assert_int_equal(creds->token.len, 0);
    assert_true(creds->expires_ms == CLOCK_NEVER);
}

/* --- the environment ----------------------------------------------------- */

static void test_credentials_from_environment__reads_three_variables(void **s)
{
    static const struct variable again[NVARIABLES] = {
        {KEY, "OTHER"},
        {SECRET, "x"},
    };
    struct credentials creds;

    (void)s;
    credentials_init(&creds);
    assert_empty(&creds);
    assert_int_equal(from_table(COMPLETE, &creds, NULL), ERR_OK);
    assert_true(credentials_are_set(&creds));
    assert_string_equal(creds.key_id.data, "TESTKEY");
    assert_string_equal(creds.secret.data, "not-a-real-secret");
    assert_string_equal(creds.token.data, "not-a-real-token");
    assert_true(creds.expires_ms == CLOCK_NEVER);
    assert_int_equal(from_table(again, &creds, NULL), ERR_OK);
    assert_string_equal(creds.key_id.data, "OTHER");
    assert_string_equal(creds.secret.data, "x");
    assert_string_equal(creds.token.data, "");
    credentials_release(&creds);
    assert_empty(&creds);
}

static void test_credentials_from_environment__says_what_is_missing(void **s)
{
    static const struct {
        struct variable table[NVARIABLES];
        const char *text;
    } ROWS[] = {
        {{{TOKEN, "t"}}, NONE},
        {{{KEY, "k"}},
         "credentials: AWS_SECRET_ACCESS_KEY is not set, but "
         "AWS_ACCESS_KEY_ID is"},
        {{{SECRET, "s"}},
         "credentials: AWS_ACCESS_KEY_ID is not set, but "
         "AWS_SECRET_ACCESS_KEY is"},
        {{{KEY, "defaultkey"}, {SECRET, "defaultsecret"}},
         "no AWS credentials reached sam local"},
        {{{KEY, "k\r\nX: y"}, {SECRET, "s"}},
         "credentials: AWS_ACCESS_KEY_ID holds a control character"},
        {{{KEY, "k"}, {SECRET, "s\n"}},
         "credentials: AWS_SECRET_ACCESS_KEY holds a control character"},
        {{{KEY, "k"}, {SECRET, "s"}, {TOKEN, "t\x7f"}},
         "credentials: AWS_SESSION_TOKEN holds a control character"},
    };
    struct credentials creds;

    (void)s;
    credentials_init(&creds);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err err = {0};

        assert_int_equal(from_table(COMPLETE, &creds, NULL), ERR_OK);
        assert_int_equal(from_table(ROWS[i].table, &creds, &err), ERR_AUTH);
        assert_string_equal(err.msg, ROWS[i].text);
        assert_empty(&creds);
    }
}

static void test_credentials_from_environment__limits_each_text(void **state)
{
    struct variable table[NVARIABLES] = {{KEY, "k"}, {SECRET, "s"}};
    struct buf longest = BUF_INIT(CREDENTIALS_TEXT_MAX + 1);
    struct credentials creds;

    (void)state;
    credentials_init(&creds);
    while (longest.len < CREDENTIALS_TEXT_MAX)
        buf_add_char(&longest, 'x');
    table[2] = (struct variable){TOKEN, longest.data};
    assert_int_equal(from_table(table, &creds, NULL), ERR_OK);
    assert_int_equal(creds.token.len, CREDENTIALS_TEXT_MAX);
    buf_add_char(&longest, 'x');
    table[2].value = longest.data;
    assert_int_equal(from_table(table, &creds, NULL), ERR_LIMIT);
    assert_empty(&creds);
    buf_release(&longest);
}

static void
test_credentials_from_environment__survives_failed_allocation(void **state)
{
    enum err_code rc = ERR_NOMEM;

    (void)state;
    for (size_t n = 0; rc; n++) {
        struct credentials creds;

        credentials_init(&creds);
        fail_alloc_at(n);
        rc = from_table(COMPLETE, &creds, NULL);
        if (fail_alloc_stop()) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_empty(&creds);
        }
        credentials_release(&creds);
    }
    assert_int_equal(rc, ERR_OK);
}

/* --- the container's address --------------------------------------------- */

static void test_credentials_container_source__builds_the_address(void **state)
{
    static const struct {
        struct variable table[NVARIABLES];
        const char *url;
        const char *authorization;
    } ROWS[] = {
        {{{RELATIVE, "/v2/credentials/abc?x=1"}},
         "http://169.254.170.2/v2/credentials/abc?x=1",
         ""},
        {{{RELATIVE, "/a"}, {FULL, "https://b.example/"}},
         "http://169.254.170.2/a",
         ""},
        {{{FULL, "http://169.254.170.23/v1/credentials"}, {AUTH, "Bearer x"}},
         "http://169.254.170.23/v1/credentials",
         "Bearer x"},
    };
    struct credentials_container out;

    (void)state;
    credentials_container_init(&out);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        assert_int_equal(source_of(ROWS[i].table, &out, NULL), ERR_OK);
        assert_string_equal(out.url.data, ROWS[i].url);
        assert_string_equal(out.authorization.data, ROWS[i].authorization);
    }
    credentials_container_release(&out);
    assert_int_equal(out.url.len + out.authorization.len, 0);
}

/* The hosts of botocore's ContainerMetadataFetcher, and https. */
static void test_credentials_container_source__guards_the_full_uri(void **s)
{
    static const struct {
        const char *url;
        bool good;
    } ROWS[] = {
        {"https://anything.example/x", true},
        {"https://anything.example:8443", true},
        {"http://localhost/x", true},
        {"http://LOCALHOST:8080/x", true},
        {"http://127.0.0.1:1234", true},
        {"http://127.255.0.9/", true},
        {"http://[::1]:80/x", true},
        {"http://[fd00:ec2::23]/v1", true},
        {"http://[FD00:EC2::23]/v1", true},
        {"http://169.254.170.2/x", true},
        {"http://169.254.170.23", true},
        {"http://169.254.169.254/latest", false},
        {"http://169.254.170.2.evil.example/", false},
        {"http://169.254.170.2@evil.example/", false},
        {"http://evil.example/@169.254.170.2", false},
        {"http://localhost\\@evil.example/", false},
        {"http://127.evil.example/", false},
        {"http://127.0.0.256/", false},
        {"http://127.0.0/", false},
        {"http://127.0.0.0.1/", false},
        {"http://127.0.0.-1/", false},
        {"http://127.0.0.-0/", false},
        {"http://127.0.0.08/", false},
        {"http://evil.example#localhost", false},
        {"http://evil.example?localhost", false},
        {"http://[::1", false},
        {"http://[::1]evil.example/", false},
        {"http:///x", false},
        {"https:///x", false},
        {"https://", false},
        {"ftp://localhost/x", false},
        {"localhost", false},
        {"https://user@anything.example/", false},
        {"https://anything.example/\r\nX: y", false},
        {"https://anything.example/ x", false},
    };
    struct credentials_container out;

    (void)s;
    credentials_container_init(&out);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const struct variable table[NVARIABLES] = {{FULL, ROWS[i].url}};
        struct err err = {0};
        enum err_code rc = source_of(table, &out, &err);

        if (rc != (ROWS[i].good ? ERR_OK : ERR_AUTH))
            fail_msg("%s", ROWS[i].url);
        assert_string_equal(out.url.data, ROWS[i].good ? ROWS[i].url : "");
        if (!ROWS[i].good)
            assert_string_equal(err.msg,
                                "credentials: " FULL " is not allowed");
    }
    credentials_container_release(&out);
}

static void test_credentials_container_source__refuses_other_input(void **s)
{
    static const struct {
        struct variable table[NVARIABLES];
        const char *text;
    } ROWS[] = {
        {{{AUTH, "x"}}, NONE},
        {{{RELATIVE, "v2"}}, "credentials: " RELATIVE " is not allowed"},
        {{{RELATIVE, ".evil.example/"}},
         "credentials: " RELATIVE " is not allowed"},
        {{{RELATIVE, ":8080/a"}}, "credentials: " RELATIVE " is not allowed"},
        {{{RELATIVE, "/a\nb"}}, "credentials: " RELATIVE " is not allowed"},
        {{{RELATIVE, "/a"}, {AUTH, "x\ny"}},
         "credentials: " AUTH " holds a control character"},
        {{{RELATIVE, "/a"}, {AUTH, "x"}, {AUTH_FILE, "/does/not/exist"}},
         "credentials: /does/not/exist: No such file or directory"},
        {{{RELATIVE, "/a"}, {AUTH_FILE, "/"}},
         "credentials: token file: Is a directory"},
    };
    struct credentials_container out;

    (void)s;
    credentials_container_init(&out);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err err = {0};

        assert_int_equal(source_of(ROWS[i].table, &out, &err), ERR_AUTH);
        assert_string_equal(err.msg, ROWS[i].text);
        assert_int_equal(out.url.len + out.authorization.len, 0);
    }
}

/* A file that the test owns, removed by drop_file(). */
struct token_file {
    char path[sizeof("/tmp/ec2sweep-token-XXXXXX")];
    struct variable table[NVARIABLES];
};

static void make_file(struct token_file *file, struct span content)
{
    int fd;

    memcpy(file->path, "/tmp/ec2sweep-token-XXXXXX", sizeof(file->path));
    fd = mkstemp(file->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.len), content.len);
    assert_int_equal(close(fd), 0);
    memset(file->table, 0, sizeof(file->table));
    file->table[0] = (struct variable){RELATIVE, "/a"};
    file->table[1] = (struct variable){AUTH, "not this one"};
    file->table[2] = (struct variable){AUTH_FILE, file->path};
}

static void drop_file(const struct token_file *file)
{
    assert_int_equal(unlink(file->path), 0);
}

static void test_credentials_container_source__reads_the_token_file(void **s)
{
    static const struct {
        const char *content;
        const char *authorization; /* NULL: refused */
    } ROWS[] = {
        {"Basic abc", "Basic abc"},
        {"\tBasic abc \r\n", "Basic abc"},
        {"", ""},
        {"a\nb", NULL},
        {"a\rb\n", NULL},
    };
    struct credentials_container out;

    (void)s;
    credentials_container_init(&out);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const char *expected = ROWS[i].authorization;
        struct token_file file;

        make_file(&file, span_of(ROWS[i].content));
        assert_int_equal(source_of(file.table, &out, NULL),
                         expected ? ERR_OK : ERR_AUTH);
        assert_string_equal(out.authorization.data, expected ? expected : "");
        drop_file(&file);
    }
    credentials_container_release(&out);
}

static void test_credentials_container_source__limits_the_token_file(void **s)
{
    struct buf content = BUF_INIT(CREDENTIALS_TEXT_MAX + 1);
    struct credentials_container out;
    struct token_file file;

    (void)s;
    credentials_container_init(&out);
    while (content.len < CREDENTIALS_TEXT_MAX)
        buf_add_char(&content, 'x');
    make_file(&file, buf_span(&content));
    assert_int_equal(source_of(file.table, &out, NULL), ERR_OK);
    assert_int_equal(out.authorization.len, CREDENTIALS_TEXT_MAX);
    drop_file(&file);
    buf_add_char(&content, 'x');
    make_file(&file, buf_span(&content));
    assert_int_equal(source_of(file.table, &out, NULL), ERR_LIMIT);
    assert_int_equal(out.url.len + out.authorization.len, 0);
    drop_file(&file);
    buf_release(&content);
}

static void
test_credentials_container_source__survives_failed_allocation(void **state)
{
    struct token_file file;
    enum err_code rc = ERR_NOMEM;

    (void)state;
    make_file(&file, SPAN_LIT("Basic abc"));
    for (size_t n = 0; rc; n++) {
        struct credentials_container out;

        credentials_container_init(&out);
        fail_alloc_at(n);
        rc = source_of(file.table, &out, NULL);
        if (fail_alloc_stop()) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(out.url.len + out.authorization.len, 0);
        }
        credentials_container_release(&out);
    }
    assert_int_equal(rc, ERR_OK);
    drop_file(&file);
}

/* --- the container's answer ---------------------------------------------- */

#define PAIR "\"AccessKeyId\":\"K\",\"SecretAccessKey\":\"S\""

static void test_credentials_from_document__reads_what_containers_send(void **s)
{
    static const char DOCUMENT[] =
        "{\"RoleArn\":\"arn:aws:iam::123456789012:role/r\",\n"
        " \"AccessKeyId\":\"TESTKEY\",\n"
        " \"SecretAccessKey\":\"not/a\\/real+secret\",\n"
        " \"Token\":\"not-a-real-token==\",\n"
        " \"Expiration\":\"2026-08-07T12:34:56Z\", \"More\": [1, {}]}";
    struct credentials creds;

    (void)s;
    credentials_init(&creds);
    assert_int_equal(credentials_from_document(span_of(DOCUMENT), &creds, NULL),
                     ERR_OK);
    assert_string_equal(creds.key_id.data, "TESTKEY");
    assert_string_equal(creds.secret.data, "not/a/real+secret");
    assert_string_equal(creds.token.data, "not-a-real-token==");
    assert_true(creds.expires_ms == 1786106096000);
    credentials_release(&creds);
}

static void
test_credentials_from_document__token_and_time_may_be_absent(void **s)
{
    static const char *const ROWS[] = {
        "{" PAIR "}",
        "{" PAIR ",\"Token\":null,\"Expiration\":null}",
        "{" PAIR ",\"Token\":\"\"}",
    };
    struct credentials creds;

    (void)s;
    credentials_init(&creds);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        assert_int_equal(
            credentials_from_document(span_of(ROWS[i]), &creds, NULL), ERR_OK);
        assert_string_equal(creds.key_id.data, "K");
        assert_string_equal(creds.secret.data, "S");
        assert_string_equal(creds.token.data, "");
        assert_true(creds.expires_ms == CLOCK_NEVER);
    }
    credentials_release(&creds);
}

static void test_credentials_from_document__understands_rfc_3339(void **state)
{
    /* Python: datetime.fromisoformat(), less the epoch, in milliseconds */
    static const struct {
        const char *text;
        int64_t ms; /* INT64_MIN: refused */
    } ROWS[] = {
        {"2026-08-07T12:34:56Z", 1786106096000},
        {"1970-01-01T00:00:00Z", 0},
        {"2024-02-29T23:59:59Z", 1709251199000},
        {"2026-08-07T12:34:56+02:00", 1786098896000},
        {"2026-08-07T12:34:56-05:30", 1786125896000},
        {"2026-08-07T12:34:56+00:00", 1786106096000},
        {"9999-12-31T23:59:59Z", 253402300799000},
        {"1969-12-31T23:59:59Z", -1000},
        {"2026-12-31T23:59:59.123456Z", 1798761599000},
        {"2026-12-31T23:59:59.5+00:00", 1798761599000},
        {"", INT64_MIN},
        {"2026-08-07", INT64_MIN},
        {"2026-08-07T12:34:56", INT64_MIN},
        {"2026-08-07 12:34:56Z", INT64_MIN},
        {"2026-08-07T12:34:56z", INT64_MIN},
        {"2026-08-07T12:34:56.Z", INT64_MIN},
        {"2026-08-07T12:34:56Zx", INT64_MIN},
        {"2026-08-07T12:34:56+0200", INT64_MIN},
        {"2026-08-07T12:34:56 02:00", INT64_MIN},
        {"2026-8-07T12:34:56Z", INT64_MIN},
        {"2026-00-07T12:34:56Z", INT64_MIN},
        {"2026-13-07T12:34:56Z", INT64_MIN},
        {"2026-08-00T12:34:56Z", INT64_MIN},
        {"2026-08-32T12:34:56Z", INT64_MIN},
        {"2026-02-29T12:34:56Z", INT64_MIN},
        {"2026-08-07T24:00:00Z", INT64_MIN},
        {"2026-08-07T12:60:00Z", INT64_MIN},
        {"2026-08-07T12:34:60Z", INT64_MIN},
        {"-026-08-07T12:34:56Z", INT64_MIN},
        {"Fri, 07 Aug 2026 12:34:56 GMT", INT64_MIN},
        {"1786106096", INT64_MIN},
    };
    struct credentials creds;

    (void)state;
    credentials_init(&creds);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        bool good = ROWS[i].ms != INT64_MIN;
        struct buf json = BUF_INIT(256);

        buf_addf(&json, "{" PAIR ",\"Expiration\":\"%s\"}", ROWS[i].text);
        if (credentials_from_document(buf_span(&json), &creds, NULL) !=
                (good ? ERR_OK : ERR_AUTH) ||
            creds.expires_ms != (good ? ROWS[i].ms : CLOCK_NEVER))
            fail_msg("%s", ROWS[i].text);
        buf_release(&json);
    }
    credentials_release(&creds);
}

static void test_credentials_from_document__refuses_other_documents(void **s)
{
    static const struct {
        struct span json;
        const char *text;
    } ROWS[] = {
#define ROW(json, text) {{(json), sizeof(json) - 1}, "credentials: " text}
#define NO_OBJECT "the container's answer is not a JSON object"
#define NO_PAIR "no AccessKeyId or SecretAccessKey in the container's answer"
        ROW("", NO_OBJECT),
        ROW("not json", NO_OBJECT),
        ROW("[]", NO_OBJECT),
        ROW("{" PAIR, NO_OBJECT),
        ROW("{" PAIR "} x", NO_OBJECT),
        ROW("{}", NO_PAIR),
        ROW("{\"code\":\"NoSuchRole\",\"message\":\"secret\"}", NO_PAIR),
        ROW("{\"AccessKeyId\":\"K\"}", NO_PAIR),
        ROW("{\"AccessKeyId\":\"K\",\"SecretAccessKey\":\"\"}", NO_PAIR),
        ROW("{\"AccessKeyId\":1,\"SecretAccessKey\":\"S\"}",
            "AccessKeyId is not a string"),
        ROW("{" PAIR ",\"Token\":[]}", "Token is not a string"),
        ROW("{" PAIR ",\"Token\":\"a\\nb\"}",
            "Token holds a control character"),
        ROW("{" PAIR ",\"Expiration\":1786106096}",
            "Expiration is not a string"),
        ROW("{" PAIR ",\"Expiration\":\"soon\"}",
            "Expiration is not an RFC 3339 time"),
#undef NO_PAIR
#undef NO_OBJECT
#undef ROW
    };
    struct credentials creds;

    (void)s;
    credentials_init(&creds);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err err = {0};

        assert_int_equal(from_table(COMPLETE, &creds, NULL), ERR_OK);
        assert_int_equal(credentials_from_document(ROWS[i].json, &creds, &err),
                         ERR_AUTH);
        assert_string_equal(err.msg, ROWS[i].text);
        assert_empty(&creds);
    }
}

static void test_credentials_from_document__limits_the_document(void **state)
{
    struct buf json = BUF_INIT(CREDENTIALS_DOCUMENT_MAX + 1);
    struct credentials creds;

    (void)state;
    credentials_init(&creds);
    buf_add_str(&json, "{" PAIR "}");
    while (json.len < CREDENTIALS_DOCUMENT_MAX)
        buf_add_char(&json, ' ');
    assert_int_equal(credentials_from_document(buf_span(&json), &creds, NULL),
                     ERR_OK);
    buf_add_char(&json, ' ');
    assert_int_equal(credentials_from_document(buf_span(&json), &creds, NULL),
                     ERR_LIMIT);
    assert_empty(&creds);
    buf_release(&json);
}

/* jansson's allocations are among those that fail. */
static void test_credentials_from_document__survives_failed_allocation(void **s)
{
    static const char DOCUMENT[] =
        "{\"AccessKeyId\":\"TESTKEY-which-is-longer-than-16-bytes\","
        "\"SecretAccessKey\":\"not-a-real-secret-of-more-than-32-bytes\","
        "\"Token\":\"not-a-real-token\","
        "\"Expiration\":\"2026-08-07T12:34:56Z\"}";
    enum err_code rc = ERR_NOMEM;
    size_t n;

    (void)s;
    for (n = 0; rc; n++) {
        struct credentials creds;
        struct err err = {0};

        credentials_init(&creds);
        fail_alloc_at(n);
        rc = credentials_from_document(span_of(DOCUMENT), &creds, &err);
        if (fail_alloc_stop()) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(err.code, ERR_NOMEM);
            assert_empty(&creds);
        } else {
            assert_string_equal(creds.key_id.data,
                                "TESTKEY-which-is-longer-than-16-bytes");
        }
        credentials_release(&creds);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_credentials_from_environment__reads_three_variables),
        cmocka_unit_test(
            test_credentials_from_environment__says_what_is_missing),
        cmocka_unit_test(test_credentials_from_environment__limits_each_text),
        cmocka_unit_test(
            test_credentials_from_environment__survives_failed_allocation),
        cmocka_unit_test(test_credentials_container_source__builds_the_address),
        cmocka_unit_test(
            test_credentials_container_source__guards_the_full_uri),
        cmocka_unit_test(
            test_credentials_container_source__refuses_other_input),
        cmocka_unit_test(
            test_credentials_container_source__reads_the_token_file),
        cmocka_unit_test(
            test_credentials_container_source__limits_the_token_file),
        cmocka_unit_test(
            test_credentials_container_source__survives_failed_allocation),
        cmocka_unit_test(
            test_credentials_from_document__reads_what_containers_send),
        cmocka_unit_test(
            test_credentials_from_document__token_and_time_may_be_absent),
        cmocka_unit_test(test_credentials_from_document__understands_rfc_3339),
        cmocka_unit_test(
            test_credentials_from_document__refuses_other_documents),
        cmocka_unit_test(test_credentials_from_document__limits_the_document),
        cmocka_unit_test(
            test_credentials_from_document__survives_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
