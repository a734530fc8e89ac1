/*
 * The provider for hosts: libsecp256k1 and OpenSSL's libcrypto, 3.0 or later. In the library
 * libsv2-noise-openssl (pkg-config has the same name).
 *
 *     sv2_noise_openssl crypto;
 *     if (sv2_noise_openssl_init(&crypto) == SV2_OK)
 *         sv2_noise_initiate(&initiator, act_1, &crypto.provider);
 *
 * The two libraries allocate memory of their own in sv2_noise_openssl_init.
 */
#ifndef LIBSV2_NOISE_OPENSSL_H
#define LIBSV2_NOISE_OPENSSL_H

#include "noise.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Must not move after sv2_noise_openssl_init. One thread may seal while another opens; for anything
 * else give each thread a provider of its own. All members but provider are the library's. */
typedef struct sv2_noise_openssl {
    const struct secp256k1_context_struct *curve;
    struct evp_cipher_ctx_st *sealing;
    struct evp_cipher_ctx_st *opening;
    struct evp_md_ctx_st *hashing;
    sv2_noise_provider provider;
} sv2_noise_openssl;

/* Returns SV2_OK, or SV2_ERR_PROVIDER with nothing left to free. */
SV2_API sv2_status sv2_noise_openssl_init(sv2_noise_openssl *crypto);

/* Frees what init made. One that is all zero, or freed already, is left alone. */
SV2_API void sv2_noise_openssl_free(sv2_noise_openssl *crypto);

#ifdef __cplusplus
}
#endif

#endif
