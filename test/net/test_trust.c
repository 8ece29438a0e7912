/* The store: what it is filled with, and what a TLS context gets from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "../../src/net/trust_private.h"
#include "base/buf.h"
#include "base/log.h"
#include "net/trust.h"
#include "support/certificate.h"
#include "support/fail_alloc.h"
#include "support/fake_clock.h"

/* A certificate whose base64 holds no certificate. */
#define MALFORMED                                                              \
    "-----BEGIN CERTIFICATE-----\nQUJDREVG\n-----END CERTIFICATE-----\n"
#define NO_CERTIFICATE                                                         \
    "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"
/* As RFC 1421 §4.6.1 marks what needs a pass phrase to be read. */
#define ENCRYPTED                                                              \
    "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"                    \
    "DEK-Info: DES-EDE3-CBC,0123456789ABCDEF\n\nQUJDREVGQUJDREVG\n"            \
    "-----END CERTIFICATE-----\n"

struct world {
    char *ca[2]; /* PEM */
    char path[2][32];
};

static int set_up(void **state)
{
    static const char *const names[] = {"ca a", "ca b"};
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    for (size_t i = 0; i < 2; i++) {
        struct certificate ca = certificate_make(
            &(struct certificate_request){.name = names[i], .is_ca = true});
        int fd;

        w->ca[i] = certificate_pem(&ca);
        certificate_release(&ca);
        (void)snprintf(w->path[i], sizeof(w->path[i]), "/tmp/ec2sweep-XXXXXX");
        fd = mkstemp(w->path[i]);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        (void)unlink(w->path[i]);
        free(w->ca[i]);
    }
    free(w);
    return 0;
}

/* Fills the i-th file with the texts, one after the other. */
static void fill(struct world *w, size_t i, const char *first,
                 const char *second)
{
    FILE *file = fopen(w->path[i], "w");

    assert_non_null(file);
    assert_true(fputs(first, file) >= 0);
    assert_true(fputs(second, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static SSL_CTX *attached(struct trust *trust)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    assert_true(trust_attach(trust, ctx));
    return ctx;
}

/* The common names in the store, each with a ";" behind it. */
static void names_of(struct trust *trust, char names[512])
{
    SSL_CTX *ctx = attached(trust);
    STACK_OF(X509_OBJECT) *objects =
        X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));

    names[0] = '\0';
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
        size_t len = strlen(names);

        (void)X509_NAME_get_text_by_NID(
            X509_get_subject_name(X509_OBJECT_get0_X509(object)),
            NID_commonName, names + len, 510 - (int)len);
        (void)snprintf(names + strlen(names), 512 - strlen(names), ";");
    }
    SSL_CTX_free(ctx);
}

static void assert_names(struct trust *trust, const char *const *names,
                         size_t n)
{
    char found[512];
    size_t len = 0;

    names_of(trust, found);
    for (size_t i = 0; i < n; i++) {
        char entry[128];

        (void)snprintf(entry, sizeof(entry), "%s;", names[i]);
        if (!strstr(found, entry))
            fail_msg("%s not in %s", names[i], found);
        len += strlen(entry);
    }
    assert_int_equal(strlen(found), len);
}

/* The names are those that `openssl x509 -subject` prints of the files. */
static void test_trust_new__has_amazons_five_roots(void **state)
{
    static const char *const names[] = {
        "Amazon Root CA 1", "Amazon Root CA 2", "Amazon Root CA 3",
        "Amazon Root CA 4",
        "Starfield Services Root Certificate Authority - G2"};
    struct trust *trust = NULL;

    (void)state;
    assert_int_equal(trust_new(NULL, &trust, NULL), ERR_OK);
    assert_names(trust, names, 5);
    trust_free(trust);
}

static void test_trust_new__reads_every_certificate_of_a_bundle(void **state)
{
    static const char *const names[] = {"ca a", "ca b"};
    struct world *w = *state;
    struct trust *trust = NULL;

    fill(w, 0, "# some words before\n", w->ca[0]);
    assert_int_equal(trust_new(w->path[0], &trust, NULL), ERR_OK);
    assert_names(trust, names, 1);
    trust_free(trust);
    fill(w, 0, w->ca[0], w->ca[1]);
    assert_int_equal(trust_new(w->path[0], &trust, NULL), ERR_OK);
    assert_names(trust, names, 2);
    trust_free(trust);
}

static void test_trust_new__bundle_without_certificate_is_config(void **state)
{
    static const char *const texts[] = {
        "",        "no PEM at all\n",
        MALFORMED, "-----BEGIN CERTIFICATE-----\nQUJDRE",
        ENCRYPTED, NO_CERTIFICATE,
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct trust *trust = NULL;
        struct err err = {0};

        fill(w, 0, texts[i], "");
        if (trust_new(w->path[0], &trust, &err) != ERR_CONFIG)
            fail_msg("row %zu: accepted", i);
        assert_null(trust);
        assert_non_null(strstr(err.msg, "AWS_CA_BUNDLE"));
        assert_non_null(strstr(err.msg, w->path[0]));
    }
}

static void test_trust_new__half_a_bundle_is_not_enough(void **state)
{
    struct world *w = *state;
    struct trust *trust = NULL;
    struct err err = {0};

    fill(w, 0, w->ca[0], MALFORMED);
    assert_int_equal(trust_new(w->path[0], &trust, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "malformed"));
}

static void test_trust_new__bundle_that_is_not_there_is_config(void **state)
{
    static const char *const paths[] = {"/nonexistent/bundle.pem", "/", ""};
    struct trust *trust = NULL;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct err err = {0};

        assert_int_equal(trust_new(paths[i], &trust, &err), ERR_CONFIG);
        assert_non_null(strstr(err.msg, "AWS_CA_BUNDLE"));
    }
}

static void test_trust_from_pem__unreadable_roots_are_crypto(void **state)
{
    static const char *const texts[] = {"", "words", MALFORMED};
    static const char *const none[] = {NULL};
    struct world *w = *state;
    struct trust *trust = NULL;
    struct buf half = BUF_INIT(65536);

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(trust_from_pem(texts[i], none, &trust, NULL),
                         ERR_CRYPTO);
    buf_addf(&half, "%s%s", w->ca[0], MALFORMED);
    assert_int_equal(trust_from_pem(half.data, none, &trust, NULL), ERR_CRYPTO);
    buf_release(&half);
}

static void test_trust_attach__demands_tls_1_2_and_a_chain(void **state)
{
    struct world *w = *state;
    struct trust *trust = NULL;
    SSL_CTX *ctx;

    fill(w, 0, w->ca[0], "");
    assert_int_equal(trust_new(w->path[0], &trust, NULL), ERR_OK);
    ctx = attached(trust);
    assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_get_verify_mode(ctx), SSL_VERIFY_PEER);
    /* A context may outlive the trust: it holds the store. */
    trust_free(trust);
    assert_non_null(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx)));
    SSL_CTX_free(ctx);
}

static void test_trust_attach__contexts_share_one_store(void **state)
{
    struct world *w = *state;
    struct trust *trust = NULL;
    SSL_CTX *a;
    SSL_CTX *b;

    fill(w, 0, w->ca[0], "");
    assert_int_equal(trust_new(w->path[0], &trust, NULL), ERR_OK);
    a = attached(trust);
    b = attached(trust);
    assert_ptr_equal(SSL_CTX_get_cert_store(a), SSL_CTX_get_cert_store(b));
    SSL_CTX_free(a);
    SSL_CTX_free(b);
    trust_free(trust);
}

/* What trust_add_system() logs, as one text for free(). */
static char *log_of_adding(struct trust *trust, bool *added)
{
    struct fake_clock fake;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct log_options options = {.out = out, .min = LOG_INFO};

    assert_non_null(out);
    fake_clock_init(&fake);
    options.clock = &fake.clock;
    log_setup(&options);
    *added = trust_add_system(trust);
    log_setup(&(struct log_options){0});
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_trust_add_system__adds_the_first_file_once(void **state)
{
    static const char *const names[] = {"ca a", "ca b"};
    struct world *w = *state;
    const char *const files[] = {"/nonexistent/a.pem", w->path[0], w->path[1],
                                 NULL};
    struct trust *trust = NULL;
    bool added;
    char *text;

    fill(w, 0, "nothing here\n", "");
    fill(w, 1, MALFORMED, w->ca[1]);
    assert_int_equal(trust_from_pem(w->ca[0], files, &trust, NULL), ERR_OK);
    assert_names(trust, names, 1);
    text = log_of_adding(trust, &added);
    assert_true(added);
    assert_non_null(strstr(text, " WARN "));
    assert_non_null(strstr(text, w->path[1]));
    assert_non_null(strstr(text, "roots=1\n"));
    free(text);
    assert_names(trust, names, 2);
    text = log_of_adding(trust, &added);
    assert_false(added);
    assert_string_equal(text, "");
    free(text);
    trust_free(trust);
}

static void test_trust_add_system__says_when_there_is_none(void **state)
{
    static const char *const none[] = {"/nonexistent/a.pem", NULL};
    struct world *w = *state;
    struct trust *trust = NULL;
    bool added;
    char *text;

    assert_int_equal(trust_from_pem(w->ca[0], none, &trust, NULL), ERR_OK);
    text = log_of_adding(trust, &added);
    assert_false(added);
    assert_non_null(strstr(text, " WARN "));
    free(text);
    trust_free(trust);
}

static void test_trust_add_system__leaves_a_bundle_alone(void **state)
{
    static const char *const names[] = {"ca a"};
    struct world *w = *state;
    struct trust *trust = NULL;

    fill(w, 0, w->ca[0], "");
    assert_int_equal(trust_new(w->path[0], &trust, NULL), ERR_OK);
    assert_false(trust_add_system(trust));
    assert_names(trust, names, 1);
    trust_free(trust);
}

static void test_trust_new__failed_allocations_are_reported(void **state)
{
    struct world *w = *state;
    enum err_code rc = ERR_NOMEM;

    fill(w, 0, w->ca[0], "");
    for (size_t n = 0; rc; n++) {
        struct trust *trust = NULL;

        fail_alloc_at(n);
        rc = trust_new(w->path[0], &trust, NULL);
        assert_int_equal(rc, fail_alloc_stop() ? ERR_NOMEM : ERR_OK);
        trust_free(trust);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust_new__has_amazons_five_roots),
        cmocka_unit_test(test_trust_new__reads_every_certificate_of_a_bundle),
        cmocka_unit_test(test_trust_new__bundle_without_certificate_is_config),
        cmocka_unit_test(test_trust_new__half_a_bundle_is_not_enough),
        cmocka_unit_test(test_trust_new__bundle_that_is_not_there_is_config),
        cmocka_unit_test(test_trust_from_pem__unreadable_roots_are_crypto),
        cmocka_unit_test(test_trust_attach__demands_tls_1_2_and_a_chain),
        cmocka_unit_test(test_trust_attach__contexts_share_one_store),
        cmocka_unit_test(test_trust_add_system__adds_the_first_file_once),
        cmocka_unit_test(test_trust_add_system__says_when_there_is_none),
        cmocka_unit_test(test_trust_add_system__leaves_a_bundle_alone),
        cmocka_unit_test(test_trust_new__failed_allocations_are_reported),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
