/*
 * The symmetric half of the handshake: HKDF, transcript hash, handshake cipher. Spec: 4.4.2.
 */
#include "symmetric.h"

#include <string.h>

void sv2_noise_wipe(void *data, size_t len)
{
    volatile uint8_t *p = (volatile uint8_t *)data;
    while (len-- > 0)
        *p++ = 0;
}

void sv2_symmetric_require(sv2_symmetric *state, bool ok)
{
    if (!ok && state->status == SV2_OK)
        state->status = SV2_ERR_PROVIDER;
}

static void sha256(sv2_symmetric *state, uint8_t out[32], const sv2_bytes *parts, size_t count)
{
    const sv2_noise_provider *p = state->provider;
    if (state->status == SV2_OK)
        sv2_symmetric_require(state, p->sha256(p->context, out, parts, count));
}

/* HMAC-SHA256 (RFC 2104) of two parts, with a key of 32 bytes. out may be key or a part. */
static void hmac(sv2_symmetric *state, uint8_t out[32], const uint8_t key[32], sv2_bytes first,
                 sv2_bytes second)
{
    uint8_t pad[64], inner[32] = {0};
    sv2_bytes parts[3];
    unsigned i;
    for (i = 0; i < 64; i++)
        pad[i] = (uint8_t)((i < 32 ? key[i] : 0) ^ 0x36);
    parts[0] = sv2_view(pad, sizeof(pad));
    parts[1] = first;
    parts[2] = second;
    sha256(state, inner, parts, 3);
    for (i = 0; i < 64; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    parts[1] = sv2_view(inner, sizeof(inner));
    sha256(state, out, parts, 2);
    sv2_noise_wipe(pad, sizeof(pad));
    sv2_noise_wipe(inner, sizeof(inner));
}

/* HKDF with the chaining key, no info and two outputs. one may be the chaining key. */
static void hkdf(sv2_symmetric *state, uint8_t one[32], uint8_t two[32], sv2_bytes material)
{
    static const uint8_t counters[2] = {1, 2};
    uint8_t temporary[32] = {0};
    sv2_bytes nothing = {NULL, 0};
    hmac(state, temporary, state->chaining_key, material, nothing);
    hmac(state, one, temporary, nothing, sv2_view(&counters[0], 1));
    hmac(state, two, temporary, sv2_view(one, 32), sv2_view(&counters[1], 1));
    sv2_noise_wipe(temporary, sizeof(temporary));
}

void sv2_symmetric_begin(sv2_symmetric *state, const uint8_t act_1[64],
                         const sv2_noise_provider *provider)
{
    /* SHA-256 of "Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256", and SHA-256 of that. */
    static const uint8_t chaining_key[32] = {
        0x2e, 0xb4, 0x78, 0x81, 0x20, 0x8e, 0x9e, 0xee, 0x1f, 0x66, 0x9f,
        0x67, 0xc6, 0x6e, 0xe7, 0x0e, 0xa9, 0xea, 0x88, 0x09, 0x0d, 0x50,
        0x3f, 0xe8, 0x30, 0xdc, 0x4b, 0xc8, 0x3e, 0x29, 0xbf, 0x10,
    };
    static const uint8_t hash[32] = {
        0x92, 0x2f, 0xa3, 0x2e, 0x4f, 0x48, 0x7c, 0x0d, 0x59, 0xca, 0xa3,
        0xbe, 0xd7, 0x89, 0x9c, 0xe3, 0xd9, 0x8d, 0xb7, 0xe1, 0x3d, 0xbd,
        0x3b, 0x7c, 0xf2, 0xd2, 0x3d, 0xd4, 0x33, 0xdc, 0x61, 0x04,
    };
    state->provider = provider;
    state->status = SV2_OK;
    memcpy(state->chaining_key, chaining_key, 32);
    memcpy(state->hash, hash, 32);
    memset(state->key, 0, 32);
    sv2_symmetric_mix_hash(state, act_1, 64);
    /* Act 1 carries an empty payload, which is hashed too. */
    sv2_symmetric_mix_hash(state, NULL, 0);
}

void sv2_symmetric_mix_hash(sv2_symmetric *state, const uint8_t *data, size_t len)
{
    sv2_bytes parts[2];
    parts[0] = sv2_view(state->hash, 32);
    parts[1] = sv2_view(data, len);
    sha256(state, state->hash, parts, 2);
}

void sv2_symmetric_agree(sv2_symmetric *state, const uint8_t initiator[64],
                         const uint8_t responder[64], const uint8_t secret[32], bool initiating)
{
    const sv2_noise_provider *p = state->provider;
    uint8_t shared[32] = {0};
    if (state->status == SV2_OK)
        sv2_symmetric_require(
            state, p->ellswift_xdh(p->context, shared, initiator, responder, secret, initiating));
    hkdf(state, state->chaining_key, state->key, sv2_view(shared, sizeof(shared)));
    sv2_noise_wipe(shared, sizeof(shared));
}

/* The handshake uses each of its cipher keys once, so that the nonce is always 0. */
void sv2_symmetric_seal(sv2_symmetric *state, uint8_t *data, size_t len)
{
    const sv2_noise_provider *p = state->provider;
    static const uint8_t nonce[12];
    if (state->status == SV2_OK)
        sv2_symmetric_require(
            state, p->seal(p->context, data, len, state->key, nonce, sv2_view(state->hash, 32)));
    sv2_symmetric_mix_hash(state, data, len + SV2_NOISE_MAC_LEN);
}

void sv2_symmetric_open(sv2_symmetric *state, uint8_t *data, size_t len)
{
    const sv2_noise_provider *p = state->provider;
    static const uint8_t nonce[12];
    uint8_t associated[32];
    memcpy(associated, state->hash, 32);
    sv2_symmetric_mix_hash(state, data, len + SV2_NOISE_MAC_LEN);
    if (state->status == SV2_OK
        && !p->open(p->context, data, len, state->key, nonce,
                    sv2_view(associated, sizeof(associated))))
        state->status = SV2_ERR_AUTH;
    if (state->status != SV2_OK)
        sv2_noise_wipe(data, len);
}

static void cipher_begin(sv2_noise_cipher *cipher, const sv2_noise_provider *provider)
{
    memset(cipher, 0, sizeof(*cipher));
    cipher->provider = provider;
    cipher->status = SV2_OK;
}

sv2_status sv2_symmetric_split(sv2_symmetric *state, sv2_noise_cipher *to_server,
                               sv2_noise_cipher *to_client, uint8_t *hash)
{
    sv2_bytes nothing = {NULL, 0};
    sv2_status status;
    cipher_begin(to_server, state->provider);
    cipher_begin(to_client, state->provider);
    hkdf(state, to_server->key, to_client->key, nothing);
    status = state->status;
    if (status != SV2_OK) {
        sv2_noise_wipe(to_server, sizeof(*to_server));
        sv2_noise_wipe(to_client, sizeof(*to_client));
    }
    if (hash != NULL && status == SV2_OK)
        memcpy(hash, state->hash, 32);
    else if (hash != NULL)
        memset(hash, 0, 32);
    sv2_noise_wipe(state, sizeof(*state));
    return status;
}
