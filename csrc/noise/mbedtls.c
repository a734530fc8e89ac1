/*
 * The provider over libsecp256k1 and mbedTLS.
 */
#include "libsv2/noise_mbedtls.h"

#include <mbedtls/version.h>
#include <stddef.h>
#include <string.h>

#include "curve.h"

#ifndef SV2_NOISE_PSA
#if MBEDTLS_VERSION_MAJOR >= 3 && (defined(MBEDTLS_PSA_CRYPTO_C) || MBEDTLS_VERSION_MAJOR >= 4)
#define SV2_NOISE_PSA 1
#else
#define SV2_NOISE_PSA 0
#endif
#endif

_Static_assert(offsetof(sv2_noise_mbedtls, curve) == 0, "the context begins as sv2_noise_curve");

#if SV2_NOISE_PSA
#include <psa/crypto.h>

static bool sha256(void *context, uint8_t out[32], const sv2_bytes *parts, size_t count)
{
    psa_hash_operation_t hash = PSA_HASH_OPERATION_INIT;
    bool ok = psa_hash_setup(&hash, PSA_ALG_SHA_256) == PSA_SUCCESS;
    size_t len;
    (void)context;
    for (; ok && count > 0; count--, parts++)
        ok = parts->len == 0 || psa_hash_update(&hash, parts->data, parts->len) == PSA_SUCCESS;
    ok = ok && psa_hash_finish(&hash, out, 32, &len) == PSA_SUCCESS;
    psa_hash_abort(&hash);
    return ok;
}

static bool import_key(psa_key_id_t *id, const uint8_t key[32], psa_key_usage_t usage)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_usage_flags(&attributes, usage);
    psa_set_key_algorithm(&attributes, PSA_ALG_CHACHA20_POLY1305);
    psa_set_key_type(&attributes, PSA_KEY_TYPE_CHACHA20);
    return psa_import_key(&attributes, key, 32, id) == PSA_SUCCESS;
}

static bool seal(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                 const uint8_t nonce[12], sv2_bytes associated)
{
    psa_key_id_t id;
    size_t done;
    bool ok;
    (void)context;
    if (!import_key(&id, key, PSA_KEY_USAGE_ENCRYPT))
        return false;
    ok = psa_aead_encrypt(id, PSA_ALG_CHACHA20_POLY1305, nonce, 12, associated.data, associated.len,
                          data, len, data, len + SV2_NOISE_MAC_LEN, &done)
         == PSA_SUCCESS;
    return psa_destroy_key(id) == PSA_SUCCESS && ok;
}

static bool open_sealed(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                        const uint8_t nonce[12], sv2_bytes associated)
{
    psa_key_id_t id;
    size_t done;
    bool ok;
    (void)context;
    if (!import_key(&id, key, PSA_KEY_USAGE_DECRYPT))
        return false;
    ok = psa_aead_decrypt(id, PSA_ALG_CHACHA20_POLY1305, nonce, 12, associated.data, associated.len,
                          data, len + SV2_NOISE_MAC_LEN, data, len, &done)
         == PSA_SUCCESS;
    return psa_destroy_key(id) == PSA_SUCCESS && ok;
}

static int psa_random(void *context, unsigned char *out, size_t len)
{
    (void)context;
    return psa_generate_random(out, len) == PSA_SUCCESS ? 0 : -1;
}

static sv2_status start(sv2_noise_mbedtls *crypto)
{
    if (crypto->rng == NULL)
        crypto->rng = psa_random;
    return psa_crypto_init() == PSA_SUCCESS ? SV2_OK : SV2_ERR_PROVIDER;
}

#else
#include <mbedtls/chachapoly.h>
#include <mbedtls/sha256.h>

/* The functions that report errors: 2.28 calls them _ret, 3.0 gave them the plain names. */
#if MBEDTLS_VERSION_MAJOR < 3
#define sha256_starts mbedtls_sha256_starts_ret
#define sha256_update mbedtls_sha256_update_ret
#define sha256_finish mbedtls_sha256_finish_ret
#else
#define sha256_starts mbedtls_sha256_starts
#define sha256_update mbedtls_sha256_update
#define sha256_finish mbedtls_sha256_finish
#endif

static bool sha256(void *context, uint8_t out[32], const sv2_bytes *parts, size_t count)
{
    mbedtls_sha256_context hash;
    bool ok;
    (void)context;
    mbedtls_sha256_init(&hash);
    ok = sha256_starts(&hash, 0) == 0;
    for (; ok && count > 0; count--, parts++)
        ok = parts->len == 0 || sha256_update(&hash, parts->data, parts->len) == 0;
    ok = ok && sha256_finish(&hash, out) == 0;
    mbedtls_sha256_free(&hash);
    return ok;
}

static bool seal(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                 const uint8_t nonce[12], sv2_bytes associated)
{
    mbedtls_chachapoly_context cipher;
    bool ok;
    (void)context;
    mbedtls_chachapoly_init(&cipher);
    ok = mbedtls_chachapoly_setkey(&cipher, key) == 0
         && mbedtls_chachapoly_encrypt_and_tag(&cipher, len, nonce, associated.data, associated.len,
                                               data, data, data + len)
                == 0;
    mbedtls_chachapoly_free(&cipher);
    return ok;
}

static bool open_sealed(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                        const uint8_t nonce[12], sv2_bytes associated)
{
    mbedtls_chachapoly_context cipher;
    bool ok;
    (void)context;
    mbedtls_chachapoly_init(&cipher);
    ok = mbedtls_chachapoly_setkey(&cipher, key) == 0
         && mbedtls_chachapoly_auth_decrypt(&cipher, len, nonce, associated.data, associated.len,
                                            data + len, data, data)
                == 0;
    mbedtls_chachapoly_free(&cipher);
    return ok;
}

static sv2_status start(sv2_noise_mbedtls *crypto)
{
    return crypto->rng != NULL ? SV2_OK : SV2_ERR_ARGUMENT;
}

#endif

static bool random_bytes(void *context, uint8_t *out, size_t len)
{
    const sv2_noise_mbedtls *crypto = (const sv2_noise_mbedtls *)context;
    return crypto->rng(crypto->rng_context, out, len) == 0;
}

sv2_status sv2_noise_mbedtls_init(sv2_noise_mbedtls *crypto,
                                  const struct secp256k1_context_struct *curve, sv2_noise_rng rng,
                                  void *rng_context)
{
    memset(crypto, 0, sizeof(*crypto));
    if (curve == NULL)
        return SV2_ERR_ARGUMENT;
    crypto->curve = curve;
    crypto->rng = rng;
    crypto->rng_context = rng_context;
    crypto->provider.context = crypto;
    crypto->provider.random = random_bytes;
    crypto->provider.sha256 = sha256;
    crypto->provider.seal = seal;
    crypto->provider.open = open_sealed;
    sv2_noise_use_curve(&crypto->provider);
    return start(crypto);
}
