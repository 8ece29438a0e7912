/*
 * tls.h - a root of its own and a certificate for each region.
 *
 * All are made when the simulator starts and are gone when it ends; only the
 * root's certificate is written out.
 */
#ifndef EC2SIM_TLS_H
#define EC2SIM_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "pages.h"
#include "stats.h"

struct tls;

/*
 * Makes the certificates and writes the root to ca_path. NULL after a message
 * on standard error. world and stats, which counts the handshakes, are
 * borrowed for as long as the result is used.
 */
struct tls *tls_new(const struct world *world, struct stats *stats, bool rsa,
                    const char *ca_path);
void tls_free(struct tls *tls);

/*
 * Chooses the certificate by the name that the client asks for, from the tls
 * made last: GnuTLS gives this callback no argument. The type is GnuTLS's
 * gnutls_certificate_retrieve_function2.
 */
int tls_choose(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn,
               int nreqs, const gnutls_pk_algorithm_t *pk_algos,
               int pk_algos_length, gnutls_pcert_st **pcert,
               unsigned int *pcert_length, gnutls_privkey_t *pkey);

#endif
