#include "support/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define DAY_S (24L * 60 * 60)

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void set_name(X509 *x509, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(x509);

    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)name, -1,
                                                -1, 0),
                     1);
}

struct certificate certificate_make(const struct certificate_request *request)
{
    struct certificate made = {X509_new(), EVP_EC_gen("P-256")};
    const struct certificate *issuer =
        request->issuer ? request->issuer : &made;
    int serial = 0;

    assert_non_null(made.x509);
    assert_non_null(made.key);
    assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof(serial)), 1);
    assert_int_equal(X509_set_version(made.x509, X509_VERSION_3), 1);
    assert_int_equal(
        ASN1_INTEGER_set(X509_get_serialNumber(made.x509), serial & INT_MAX),
        1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made.x509), -DAY_S));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made.x509), DAY_S));
    set_name(made.x509, request->name);
    assert_int_equal(
        X509_set_issuer_name(made.x509, X509_get_subject_name(issuer->x509)),
        1);
    assert_int_equal(X509_set_pubkey(made.x509, made.key), 1);
    add_extension(made.x509, issuer->x509, NID_basic_constraints,
                  request->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (request->san)
        add_extension(made.x509, issuer->x509, NID_subject_alt_name,
                      request->san);
    assert_true(X509_sign(made.x509, issuer->key, EVP_sha256()) > 0);
    return made;
}

void certificate_release(struct certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
    *certificate = (struct certificate){0};
}

char *certificate_pem(const struct certificate *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text;
    char *copy;
    long len;

    assert_non_null(bio);
    assert_int_equal(PEM_write_bio_X509(bio, certificate->x509), 1);
    len = BIO_get_mem_data(bio, &text);
    copy = calloc(1, (size_t)len + 1);
    assert_non_null(copy);
    memcpy(copy, text, (size_t)len);
    (void)BIO_free(bio);
    return copy;
}
