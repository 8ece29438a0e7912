#include "net/trust.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "trust_private.h"

/* Certificates read from one source; more are left out (a system has 150). */
#define CERTIFICATES_MAX 2000

/* What a PEM text held. */
struct tally {
    size_t added;
    size_t malformed;
};

struct trust {
    X509_STORE *store;
    const char *const *system_files; /* NULL: not to be added, or no more */
    size_t nroots;
};

/* Amazon Linux and Fedora, Debian, RHEL, Alpine and macOS, SUSE. */
static const char *const SYSTEM_FILES[] = {
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    NULL,
};

static const char ADDED[] =
    "a peer's certificate has an unknown issuer: added the system's roots";
static const char NONE_ADDED[] =
    "a peer's certificate has an unknown issuer and the system has no roots";

/* An encrypted block must not make the library ask at the terminal. */
static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/* The end of a PEM text shows as a missing start line. */
static bool at_end(void)
{
    unsigned long last = ERR_peek_last_error();

    return ERR_GET_LIB(last) == ERR_LIB_PEM &&
           ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

/* Adds the certificates of a PEM text to the store. */
static struct tally add_pem(struct trust *trust, BIO *pem)
{
    struct tally tally = {0};

    while (tally.added + tally.malformed < CERTIFICATES_MAX) {
        X509 *certificate;

        ERR_clear_error();
        certificate = PEM_read_bio_X509(pem, NULL, no_password, NULL);
        if (!certificate && at_end())
            break;
        if (certificate && X509_STORE_add_cert(trust->store, certificate) == 1)
            tally.added++;
        else
            tally.malformed++;
        X509_free(certificate);
    }
    ERR_clear_error();
    trust->nroots += tally.added;
    return tally;
}

/* NULL when out of memory. */
static struct trust *trust_empty(void)
{
    struct trust *trust = calloc(1, sizeof(*trust));

    if (!trust)
        return NULL;
    trust->store = X509_STORE_new();
    if (!trust->store) {
        free(trust);
        return NULL;
    }
    return trust;
}

enum err_code trust_from_pem(const char *pem, const char *const *system_files,
                             struct trust **out, struct err *err)
{
    struct trust *trust = trust_empty();
    BIO *bio = NULL;
    struct tally tally;
    enum err_code rc = ERR_OK;

    if (!trust) {
        rc = err_nomem(err, "trust");
        goto out;
    }
    bio = BIO_new_mem_buf(pem, -1);
    if (!bio) {
        rc = err_nomem(err, "trust: roots");
        goto out;
    }
    tally = add_pem(trust, bio);
    if (tally.malformed || tally.added == 0) {
        rc = err_set(err, ERR_CRYPTO, "trust: built-in roots are unreadable");
        goto out;
    }
    trust->system_files = system_files;
    *out = trust;
    trust = NULL;

out:
    (void)BIO_free(bio);
    trust_free(trust);
    return rc;
}

static enum err_code trust_from_file(const char *path, struct trust **out,
                                     struct err *err)
{
    struct trust *trust = trust_empty();
    BIO *bio = NULL;
    struct tally tally;
    enum err_code rc = ERR_OK;

    if (!trust) {
        rc = err_nomem(err, "trust");
        goto out;
    }
    bio = BIO_new_file(path, "r");
    if (!bio) {
        ERR_clear_error();
        rc = err_set(err, ERR_CONFIG, "trust: AWS_CA_BUNDLE cannot be read, %s",
                     path);
        goto out;
    }
    tally = add_pem(trust, bio);
    if (tally.malformed || tally.added == 0) {
        rc = err_set(err, ERR_CONFIG, "trust: AWS_CA_BUNDLE has %s, %s",
                     tally.malformed ? "a malformed certificate"
                                     : "no certificate in PEM form",
                     path);
        goto out;
    }
    *out = trust;
    trust = NULL;

out:
    (void)BIO_free(bio);
    trust_free(trust);
    return rc;
}

enum err_code trust_new(const char *ca_bundle, struct trust **out,
                        struct err *err)
{
    if (ca_bundle)
        return trust_from_file(ca_bundle, out, err);
    return trust_from_pem(TRUST_ROOTS_PEM, SYSTEM_FILES, out, err);
}

void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    X509_STORE_free(trust->store);
    free(trust);
}

bool trust_attach(struct trust *trust, void *ssl_ctx)
{
    SSL_CTX *ctx = ssl_ctx;

    SSL_CTX_set1_cert_store(ctx, trust->store);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    /* Libcurl asks for 64 kB of read-ahead each (8.12 and later), and idle
     * connections would keep their buffers: here that is all memory grows by
     * with the size of the answers. */
    SSL_CTX_set_read_ahead(ctx, 0);
    SSL_CTX_set_default_read_buffer_len(ctx, 0);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
}

bool trust_add_system(struct trust *trust)
{
    const char *const *path = trust->system_files;
    struct tally tally = {0};

    if (!path)
        return false;
    trust->system_files = NULL;
    for (; *path && tally.added == 0; path++) {
        BIO *bio = BIO_new_file(*path, "r");

        if (!bio)
            continue;
        tally = add_pem(trust, bio);
        (void)BIO_free(bio);
        if (tally.added)
            log_write(LOG_WARN, ADDED,
                      LOG_FIELDS(LOG_STR("file", *path),
                                 LOG_INT("roots", (int64_t)tally.added)));
    }
    ERR_clear_error();
    if (tally.added == 0)
        log_write(LOG_WARN, NONE_ADDED, NULL);
    return tally.added > 0;
}

size_t trust_nroots(const struct trust *trust)
{
    return trust->nroots;
}
