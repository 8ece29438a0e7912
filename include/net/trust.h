/*
 * trust.h - the certificates that a peer's chain may end in.
 *
 * One store for all connections, filled once. Built in are the five roots of
 * Amazon Trust Services (third_party/roots); AWS advises against pinning, so
 * the system's own bundle can be added when a peer's issuer is unknown.
 * Verification cannot be switched off.
 */
#ifndef NET_TRUST_H
#define NET_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct trust;

/* The built-in roots, PEM, made from third_party/roots by the build. */
extern const char TRUST_ROOTS_PEM[];

/*
 * Makes a store from the PEM file ca_bundle, or from the built-in roots when
 * ca_bundle is NULL. ERR_CONFIG (file unreadable, no certificate in it, or
 * a malformed one; the text names AWS_CA_BUNDLE), ERR_CRYPTO, ERR_NOMEM.
 */
NODISCARD enum err_code trust_new(const char *ca_bundle, struct trust **out,
                                  struct err *err);
void trust_free(struct trust *trust);

/*
 * Gives the store to a TLS context (an SSL_CTX *), which then shares it and
 * requires TLS 1.2 or newer and a valid chain. False when out of memory.
 */
NODISCARD bool trust_attach(struct trust *trust, void *ssl_ctx);

/*
 * Adds the system's bundle, once in the life of the store and only if that
 * was made from the built-in roots. True when certificates were added now, so
 * that trying the handshake again can help.
 */
bool trust_add_system(struct trust *trust);

/* Certificates read into the store so far. */
size_t trust_nroots(const struct trust *trust);

#endif
