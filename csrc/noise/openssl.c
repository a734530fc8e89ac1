/*
 * The provider over libsecp256k1 and OpenSSL's libcrypto.
 */
#include "libsv2/noise_openssl.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <secp256k1.h>
#include <stddef.h>
#include <string.h>

#include "curve.h"

_Static_assert(offsetof(sv2_noise_openssl, curve) == 0, "the context begins as sv2_noise_curve");

/* libcrypto's lengths are ints, of which a Noise message uses 16 bits. */
static bool fits(size_t len)
{
    return len <= INT_MAX;
}

static bool random_bytes(void *context, uint8_t *out, size_t len)
{
    (void)context;
    return fits(len) && RAND_bytes(out, (int)len) == 1;
}

static bool sha256(void *context, uint8_t out[32], const sv2_bytes *parts, size_t count)
{
    EVP_MD_CTX *hashing = ((sv2_noise_openssl *)context)->hashing;
    /* Without a type the context starts over with the one that it has. */
    bool ok = EVP_DigestInit_ex(hashing, NULL, NULL) == 1;
    for (; ok && count > 0; count--, parts++)
        ok = EVP_DigestUpdate(hashing, parts->data, parts->len) == 1;
    return ok && EVP_DigestFinal_ex(hashing, out, NULL) == 1;
}

static bool associate(EVP_CIPHER_CTX *cipher, sv2_bytes associated)
{
    int done;
    return associated.len == 0
           || (fits(associated.len)
               && EVP_CipherUpdate(cipher, NULL, &done, associated.data, (int)associated.len) == 1);
}

static bool seal(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                 const uint8_t nonce[12], sv2_bytes associated)
{
    EVP_CIPHER_CTX *cipher = ((sv2_noise_openssl *)context)->sealing;
    int done;
    return fits(len) && EVP_EncryptInit_ex(cipher, NULL, NULL, key, nonce) == 1
           && associate(cipher, associated)
           && EVP_EncryptUpdate(cipher, data, &done, data, (int)len) == 1
           && EVP_EncryptFinal_ex(cipher, data + len, &done) == 1
           && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, SV2_NOISE_MAC_LEN, data + len)
                  == 1;
}

static bool open_sealed(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                        const uint8_t nonce[12], sv2_bytes associated)
{
    EVP_CIPHER_CTX *cipher = ((sv2_noise_openssl *)context)->opening;
    int done;
    return fits(len) && EVP_DecryptInit_ex(cipher, NULL, NULL, key, nonce) == 1
           && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, SV2_NOISE_MAC_LEN, data + len) == 1
           && associate(cipher, associated)
           && EVP_DecryptUpdate(cipher, data, &done, data, (int)len) == 1
           && EVP_DecryptFinal_ex(cipher, data + len, &done) == 1;
}

/* A context of the curve, blinded against side channels. */
static secp256k1_context *make_curve(void)
{
    secp256k1_context *curve = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    uint8_t seed[32];
    if (curve != NULL
        && (!random_bytes(NULL, seed, sizeof(seed))
            || secp256k1_context_randomize(curve, seed) != 1)) {
        secp256k1_context_destroy(curve);
        curve = NULL;
    }
    sv2_noise_wipe(seed, sizeof(seed));
    return curve;
}

static EVP_CIPHER_CTX *make_cipher(bool sealing)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher != NULL
        && EVP_CipherInit_ex(cipher, EVP_chacha20_poly1305(), NULL, NULL, NULL, sealing) != 1) {
        EVP_CIPHER_CTX_free(cipher);
        cipher = NULL;
    }
    return cipher;
}

static EVP_MD_CTX *make_hash(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        hash = NULL;
    }
    return hash;
}

sv2_status sv2_noise_openssl_init(sv2_noise_openssl *crypto)
{
    memset(crypto, 0, sizeof(*crypto));
    crypto->curve = make_curve();
    crypto->sealing = make_cipher(true);
    crypto->opening = make_cipher(false);
    crypto->hashing = make_hash();
    crypto->provider.context = crypto;
    crypto->provider.random = random_bytes;
    crypto->provider.sha256 = sha256;
    crypto->provider.seal = seal;
    crypto->provider.open = open_sealed;
    sv2_noise_use_curve(&crypto->provider);
    if (crypto->curve != NULL && crypto->sealing != NULL && crypto->opening != NULL
        && crypto->hashing != NULL)
        return SV2_OK;
    sv2_noise_openssl_free(crypto);
    return SV2_ERR_PROVIDER;
}

void sv2_noise_openssl_free(sv2_noise_openssl *crypto)
{
    EVP_MD_CTX_free(crypto->hashing);
    EVP_CIPHER_CTX_free(crypto->opening);
    EVP_CIPHER_CTX_free(crypto->sealing);
    if (crypto->curve != NULL)
        secp256k1_context_destroy((secp256k1_context *)(uintptr_t)crypto->curve);
    memset(crypto, 0, sizeof(*crypto));
}
