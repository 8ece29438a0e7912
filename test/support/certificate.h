/*
 * certificate.h - certificates made on the spot, for tests of TLS.
 *
 * ECDSA P-256, good from yesterday until tomorrow. Nothing is stored, so there
 * is no key in the repository and nothing expires.
 */
#ifndef SUPPORT_CERTIFICATE_H
#define SUPPORT_CERTIFICATE_H

#include <stdbool.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
};

struct certificate_request {
    const char *name; /* common name */
    const char *san;  /* OpenSSL's form, "DNS:a,IP:127.0.0.1"; NULL: none */
    bool is_ca;
    const struct certificate *issuer; /* NULL: signs itself */
};

/* Fails the test when it cannot. */
struct certificate certificate_make(const struct certificate_request *request);
void certificate_release(struct certificate *certificate);

/* As PEM text for free(). */
char *certificate_pem(const struct certificate *certificate);

#endif
