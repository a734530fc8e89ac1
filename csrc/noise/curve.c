/*
 * The curve half of both providers.
 */
#include "curve.h"

#include <secp256k1.h>
#include <secp256k1_ellswift.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>

static const secp256k1_context *curve_of(const void *context)
{
    return ((const sv2_noise_curve *)context)->curve;
}

static bool ellswift_create(void *context, uint8_t encoded[64], const uint8_t secret[32],
                            const uint8_t randomness[32])
{
    return secp256k1_ellswift_create(curve_of(context), encoded, secret, randomness) == 1;
}

static bool ellswift_xdh(void *context, uint8_t shared[32], const uint8_t initiator[64],
                         const uint8_t responder[64], const uint8_t secret[32], bool initiating)
{
    return secp256k1_ellswift_xdh(curve_of(context), shared, initiator, responder, secret,
                                  !initiating, secp256k1_ellswift_xdh_hash_function_bip324, NULL)
           == 1;
}

static bool ellswift_x(void *context, uint8_t x[32], const uint8_t encoded[64])
{
    const secp256k1_context *curve = curve_of(context);
    secp256k1_pubkey point;
    secp256k1_xonly_pubkey x_only;
    return secp256k1_ellswift_decode(curve, &point, encoded) == 1
           && secp256k1_xonly_pubkey_from_pubkey(curve, &x_only, NULL, &point) == 1
           && secp256k1_xonly_pubkey_serialize(curve, x, &x_only) == 1;
}

static bool is_public_key(void *context, const uint8_t key[32])
{
    secp256k1_xonly_pubkey point;
    return secp256k1_xonly_pubkey_parse(curve_of(context), &point, key) == 1;
}

static bool sign(void *context, uint8_t signature[64], const uint8_t digest[32],
                 const uint8_t secret[32], const uint8_t randomness[32])
{
    const secp256k1_context *curve = curve_of(context);
    secp256k1_keypair pair;
    bool ok = secp256k1_keypair_create(curve, &pair, secret) == 1
              && secp256k1_schnorrsig_sign32(curve, signature, digest, &pair, randomness) == 1;
    sv2_noise_wipe(&pair, sizeof(pair));
    return ok;
}

static bool verify(void *context, const uint8_t signature[64], const uint8_t digest[32],
                   const uint8_t key[32])
{
    const secp256k1_context *curve = curve_of(context);
    secp256k1_xonly_pubkey point;
    return secp256k1_xonly_pubkey_parse(curve, &point, key) == 1
           && secp256k1_schnorrsig_verify(curve, signature, digest, 32, &point) == 1;
}

void sv2_noise_use_curve(sv2_noise_provider *provider)
{
    provider->ellswift_create = ellswift_create;
    provider->ellswift_xdh = ellswift_xdh;
    provider->ellswift_x = ellswift_x;
    provider->is_public_key = is_public_key;
    provider->sign = sign;
    provider->verify = verify;
}
