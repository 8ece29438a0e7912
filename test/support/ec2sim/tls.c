/*
 * tls.c - a root of its own and a certificate for each region.
 *
 * OpenSSL makes them, GnuTLS serves them. The leaves share one key, as making
 * an RSA key for each of 34 regions would take seconds.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S (24L * 60 * 60)
#define SERIAL_BITS 120
#define RSA_BITS 2048

struct tls {
    const struct world *world;
    struct stats *stats;
    size_t ncerts;          /* one for each region, then one for loopback */
    gnutls_pcert_st *certs; /* those loaded so far */
    gnutls_privkey_t key;
};

/* See tls_choose(). Written before the server starts. */
static struct tls *serving;

static EVP_PKEY *make_key(bool rsa)
{
    return rsa ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = extension && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

static bool set_serial(X509 *cert)
{
    BIGNUM *serial = BN_new();
    bool ok =
        serial &&
        BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
        BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));

    BN_free(serial);
    return ok;
}

/* A certificate with names and dates but no signature; NULL: failed. */
static X509 *begin_cert(const char *name, EVP_PKEY *key, X509 *issuer)
{
    X509 *cert = X509_new();
    X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

    if (subject && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), 30 * DAY_S) &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)name, -1, -1, 0) &&
        X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer)
                                          : subject) &&
        X509_set_pubkey(cert, key))
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_root(EVP_PKEY *key)
{
    X509 *cert = begin_cert("ec2sim test root", key, NULL);

    if (cert &&
        add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
        add_extension(cert, cert, NID_key_usage,
                      "critical,keyCertSign,cRLSign") &&
        add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
        X509_sign(cert, key, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

struct authority {
    X509 *cert;
    EVP_PKEY *key;
};

static X509 *make_leaf(const struct authority *root, EVP_PKEY *key,
                       const char *name, const char *names)
{
    X509 *cert = begin_cert(name, key, root->cert);

    if (cert &&
        add_extension(cert, root->cert, NID_basic_constraints,
                      "critical,CA:FALSE") &&
        add_extension(cert, root->cert, NID_key_usage,
                      "critical,digitalSignature,keyEncipherment") &&
        add_extension(cert, root->cert, NID_ext_key_usage, "serverAuth") &&
        add_extension(cert, root->cert, NID_authority_key_identifier,
                      "keyid") &&
        add_extension(cert, root->cert, NID_subject_alt_name, names) &&
        X509_sign(cert, root->key, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

static bool load_cert(struct tls *tls, X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    bool ok = false;

    if (len > 0) {
        gnutls_datum_t datum = {der, (unsigned)len};

        ok = gnutls_pcert_import_x509_raw(&tls->certs[tls->ncerts], &datum,
                                          GNUTLS_X509_FMT_DER, 0) == 0;
    }
    if (ok)
        tls->ncerts++;
    OPENSSL_free(der);
    return ok;
}

static bool load_key(struct tls *tls, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PrivateKey(key, &der);
    bool ok = false;

    if (len > 0) {
        gnutls_datum_t datum = {der, (unsigned)len};

        ok = gnutls_privkey_init(&tls->key) == 0 &&
             gnutls_privkey_import_x509_raw(tls->key, &datum,
                                            GNUTLS_X509_FMT_DER, NULL, 0) == 0;
    }
    OPENSSL_free(der);
    return ok;
}

static bool add_leaf(struct tls *tls, const struct authority *root,
                     EVP_PKEY *key, const char *region)
{
    char name[REGION_NAME_MAX + 32] = "localhost";
    char names[256] = "DNS:localhost,IP:127.0.0.1,IP:::1";
    X509 *cert;
    bool ok;

    if (region) {
        snprintf(name, sizeof(name), "ec2.%s.localhost", region);
        snprintf(names, sizeof(names), "DNS:%s,DNS:ec2.%s.amazonaws.com", name,
                 region);
    }
    cert = make_leaf(root, key, name, names);
    ok = cert && load_cert(tls, cert);
    X509_free(cert);
    return ok;
}

static bool make_all(struct tls *tls, const struct authority *root,
                     EVP_PKEY *key)
{
    for (size_t i = 0; i < tls->world->nregions; i++) {
        if (!add_leaf(tls, root, key, tls->world->regions[i].name))
            return false;
    }
    return add_leaf(tls, root, key, NULL) && load_key(tls, key);
}

static bool write_root(const char *path, X509 *cert)
{
    FILE *file = fopen(path, "w");
    bool ok = file && PEM_write_X509(file, cert);

    if (file && fclose(file) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "ec2sim: cannot write %s\n", path);
    return ok;
}

struct tls *tls_new(const struct world *world, struct stats *stats, bool rsa,
                    const char *ca_path)
{
    struct tls *tls = must_calloc(1, sizeof(*tls));
    struct authority root = {.key = make_key(rsa)};
    EVP_PKEY *key = make_key(rsa);
    bool ok = false;

    tls->world = world;
    tls->stats = stats;
    tls->certs = must_calloc(world->nregions + 1, sizeof(*tls->certs));
    if (root.key && key)
        root.cert = make_root(root.key);
    if (root.cert && make_all(tls, &root, key))
        ok = write_root(ca_path, root.cert);
    else
        fputs("ec2sim: cannot make certificates\n", stderr);
    X509_free(root.cert);
    EVP_PKEY_free(root.key);
    EVP_PKEY_free(key);
    if (!ok) {
        tls_free(tls);
        return NULL;
    }
    serving = tls;
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    for (size_t i = 0; i < tls->ncerts; i++)
        gnutls_pcert_deinit(&tls->certs[i]);
    if (tls->key)
        gnutls_privkey_deinit(tls->key);
    free(tls->certs);
    free(tls);
}

/* NOLINTNEXTLINE(readability-function-size): GnuTLS's parameters */
int tls_choose(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn,
               int nreqs, const gnutls_pk_algorithm_t *pk_algos,
               int pk_algos_length, gnutls_pcert_st **pcert,
               unsigned int *pcert_length, gnutls_privkey_t *pkey)
{
    const struct tls *tls = serving;
    const struct region *region = NULL;
    size_t which = tls->ncerts - 1;
    unsigned type = GNUTLS_NAME_DNS;
    char name[256];
    size_t len = sizeof(name) - 1;

    (void)req_ca_rdn;
    (void)nreqs;
    (void)pk_algos;
    (void)pk_algos_length;
    if (gnutls_server_name_get(session, name, &len, &type, 0) == 0) {
        name[len] = '\0';
        if (strncmp(name, "ec2.", 4) == 0)
            region = world_region(tls->world, name + 4, strcspn(name + 4, "."));
    }
    if (region) {
        which = (size_t)(region - tls->world->regions);
        stats_handshake_of(tls->stats, region);
    }
    *pcert = &tls->certs[which];
    *pcert_length = 1;
    *pkey = tls->key;
    return 0;
}
