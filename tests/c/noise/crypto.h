/*
 * The provider that a test program was built for: define NOISE_OPENSSL or NOISE_MBEDTLS.
 */
#ifndef SV2_TEST_CRYPTO_H
#define SV2_TEST_CRYPTO_H

#include <stdio.h>
#include <stdlib.h>

static inline void crypto_start_failed(void)
{
    fputs("the provider does not start\n", stderr);
    exit(1);
}

#ifdef NOISE_OPENSSL
#include "libsv2/noise_openssl.h"

#define CRYPTO_NAME "openssl"

typedef sv2_noise_openssl crypto;

static inline const sv2_noise_provider *crypto_start(crypto *c)
{
    if (sv2_noise_openssl_init(c) != SV2_OK)
        crypto_start_failed();
    return &c->provider;
}

static inline void crypto_stop(crypto *c)
{
    sv2_noise_openssl_free(c);
}

#elif defined(NOISE_MBEDTLS)
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <secp256k1.h>

#include "libsv2/noise_mbedtls.h"

#define CRYPTO_NAME "mbedtls"

typedef struct crypto {
    secp256k1_context *curve;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context drbg;
    sv2_noise_mbedtls noise;
} crypto;

static inline const sv2_noise_provider *crypto_start(crypto *c)
{
    c->curve = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    mbedtls_entropy_init(&c->entropy);
    mbedtls_ctr_drbg_init(&c->drbg);
    if (c->curve == NULL
        || mbedtls_ctr_drbg_seed(&c->drbg, mbedtls_entropy_func, &c->entropy, NULL, 0) != 0
        || sv2_noise_mbedtls_init(&c->noise, c->curve, mbedtls_ctr_drbg_random, &c->drbg) != SV2_OK)
        crypto_start_failed();
    return &c->noise.provider;
}

static inline void crypto_stop(crypto *c)
{
    mbedtls_ctr_drbg_free(&c->drbg);
    mbedtls_entropy_free(&c->entropy);
    secp256k1_context_destroy(c->curve);
}

#else
#error "define NOISE_OPENSSL or NOISE_MBEDTLS"
#endif

#endif
