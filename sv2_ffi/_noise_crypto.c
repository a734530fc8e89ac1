/*
 * The provider of sv2_ffi._noise: libsecp256k1 and OpenSSL. See _noise_glue.h.
 */
#include <stdlib.h>

#include "_noise_glue.h"
#include "libsv2/noise_openssl.h"

struct sv2_noise_crypto {
    sv2_noise_openssl openssl;
};

sv2_noise_crypto *sv2_noise_crypto_new(void)
{
    sv2_noise_crypto *crypto = malloc(sizeof(*crypto));
    if (crypto != NULL && sv2_noise_openssl_init(&crypto->openssl) == SV2_OK)
        return crypto;
    free(crypto);
    return NULL;
}

void sv2_noise_crypto_free(sv2_noise_crypto *crypto)
{
    if (crypto == NULL)
        return;
    sv2_noise_openssl_free(&crypto->openssl);
    free(crypto);
}

const sv2_noise_provider *sv2_noise_crypto_provider(const sv2_noise_crypto *crypto)
{
    return &crypto->openssl.provider;
}
