/*
 * The provider for firmware: libsecp256k1 and mbedTLS, 2.28 or 3.x. In the library
 * libsv2-noise-mbedtls (pkg-config has the same name); in firmware, compile csrc/noise/mbedtls.c and
 * csrc/noise/curve.c with the rest.
 *
 * It uses the PSA API where mbedTLS is 3.0 or later and has it, which hardware accelerators plug
 * into, and mbedTLS's own functions elsewhere. Define SV2_NOISE_PSA as 0 or 1 to decide otherwise.
 * PSA keeps a copy of each cipher key in a key slot for as long as one call lasts; mbedTLS takes that
 * copy from its heap. With SV2_NOISE_PSA 0 nothing is allocated.
 *
 *     sv2_noise_mbedtls crypto;
 *     sv2_noise_mbedtls_init(&crypto, curve, mbedtls_ctr_drbg_random, &drbg);
 *     sv2_noise_initiate(&initiator, act_1, &crypto.provider);
 */
#ifndef LIBSV2_NOISE_MBEDTLS_H
#define LIBSV2_NOISE_MBEDTLS_H

#include "noise.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A random number generator, as mbedTLS's functions take it: 0 for success. */
typedef int (*sv2_noise_rng)(void *rng_context, unsigned char *out, size_t len);

/* Must not move after sv2_noise_mbedtls_init. Holds no secret and needs no cleaning up. Tasks may
 * share it as far as the generator allows (only the handshake and issuing certificates use it), and
 * with PSA as far as mbedTLS was built for threads. All members but provider are the library's. */
typedef struct sv2_noise_mbedtls {
    const struct secp256k1_context_struct *curve;
    sv2_noise_rng rng;
    void *rng_context;
    sv2_noise_provider provider;
} sv2_noise_mbedtls;

/* Returns SV2_OK; SV2_ERR_ARGUMENT where curve is NULL, or rng without PSA; SV2_ERR_PROVIDER where
 * PSA does not start.
 *
 * curve: made by secp256k1_context_create or secp256k1_context_preallocated_create, and blinded by
 *        secp256k1_context_randomize; must live as long as the provider.
 * rng: may be NULL with PSA, whose generator is used then. */
SV2_API sv2_status sv2_noise_mbedtls_init(sv2_noise_mbedtls *crypto,
                                          const struct secp256k1_context_struct *curve,
                                          sv2_noise_rng rng, void *rng_context);

#ifdef __cplusplus
}
#endif

#endif
