/*
 * trust_private.h - the trust store with its two sources made plain.
 *
 * For trust.c and the tests, which have roots and bundles of their own.
 */
#ifndef NET_TRUST_PRIVATE_H
#define NET_TRUST_PRIVATE_H

#include "net/trust.h"

/*
 * As trust_new() without a bundle, from the certificates in pem. What
 * trust_add_system() adds is the first readable of system_files, a list that
 * ends with NULL and is borrowed for the life of the store.
 */
NODISCARD enum err_code trust_from_pem(const char *pem,
                                       const char *const *system_files,
                                       struct trust **out, struct err *err);

#endif
