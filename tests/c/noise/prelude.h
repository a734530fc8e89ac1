/* What the Python tests compile the library with: the providers that sv2_ffi.noise asks for, one that
 * lives as long as the process, and its functions, which cffi cannot call through the struct. */
#include "_noise_glue.h"
#include "crypto.h"

struct sv2_noise_crypto {
    crypto crypto;
    const sv2_noise_provider *provider;
};

sv2_noise_crypto *sv2_noise_crypto_new(void)
{
    sv2_noise_crypto *c = malloc(sizeof(*c));
    if (c != NULL)
        c->provider = crypto_start(&c->crypto);
    return c;
}

void sv2_noise_crypto_free(sv2_noise_crypto *c)
{
    if (c != NULL)
        crypto_stop(&c->crypto);
    free(c);
}

const sv2_noise_provider *sv2_noise_crypto_provider(const sv2_noise_crypto *c)
{
    return c->provider;
}

static const sv2_noise_provider *the_provider(void)
{
    static crypto c;
    static const sv2_noise_provider *provider;
    if (provider == NULL)
        provider = crypto_start(&c);
    return provider;
}

#define CALL(function, ...) (the_provider()->function(the_provider()->context, __VA_ARGS__))

static bool provider_create(uint8_t *encoded, const uint8_t *secret, const uint8_t *randomness)
{
    return CALL(ellswift_create, encoded, secret, randomness);
}

static bool provider_xdh(uint8_t *shared, const uint8_t *initiator, const uint8_t *responder,
                         const uint8_t *secret, bool initiating)
{
    return CALL(ellswift_xdh, shared, initiator, responder, secret, initiating);
}

static bool provider_x(uint8_t *x, const uint8_t *encoded)
{
    return CALL(ellswift_x, x, encoded);
}

static bool provider_is_public_key(const uint8_t *key)
{
    return CALL(is_public_key, key);
}

static bool provider_sign(uint8_t *signature, const uint8_t *digest, const uint8_t *secret,
                          const uint8_t *randomness)
{
    return CALL(sign, signature, digest, secret, randomness);
}

static bool provider_verify(const uint8_t *signature, const uint8_t *digest, const uint8_t *key)
{
    return CALL(verify, signature, digest, key);
}

/* In two parts, to see that they are joined. */
static bool provider_sha256(uint8_t *out, const uint8_t *data, size_t len)
{
    sv2_bytes parts[2];
    parts[0] = sv2_view(data, len / 3);
    parts[1] = sv2_view(data + len / 3, len - len / 3);
    return CALL(sha256, out, parts, 2);
}

static bool provider_seal(uint8_t *data, size_t len, const uint8_t *key, const uint8_t *nonce,
                          const uint8_t *associated, size_t associated_len)
{
    return CALL(seal, data, len, key, nonce, sv2_view(associated, associated_len));
}

static bool provider_open(uint8_t *data, size_t len, const uint8_t *key, const uint8_t *nonce,
                          const uint8_t *associated, size_t associated_len)
{
    return CALL(open, data, len, key, nonce, sv2_view(associated, associated_len));
}
