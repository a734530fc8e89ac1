/*
 * The NX handshake, both sides. Spec: 4.5.
 *
 * Act 1: the client's ephemeral key. Act 2: the server's ephemeral key, its static key sealed, its
 * certificate sealed.
 */
#include "symmetric.h"

#include <string.h>

enum {
    STATIC_AT = 64,
    STATIC_LEN = 64,
    CERTIFICATE_AT = STATIC_AT + STATIC_LEN + SV2_NOISE_MAC_LEN
};

/* An encoding of the key of secret, one that nothing else has used. */
static bool encode_key(const sv2_noise_provider *p, uint8_t encoded[64], const uint8_t secret[32])
{
    uint8_t randomness[32];
    bool ok = p->random(p->context, randomness, sizeof(randomness))
              && p->ellswift_create(p->context, encoded, secret, randomness);
    sv2_noise_wipe(randomness, sizeof(randomness));
    return ok;
}

/* One attempt: a secret that is no scalar comes up once in 2^128, or from a broken generator. */
static bool make_key(const sv2_noise_provider *p, uint8_t secret[32], uint8_t encoded[64])
{
    return p->random(p->context, secret, 32) && encode_key(p, encoded, secret);
}

sv2_status sv2_noise_initiate(sv2_noise_initiator *initiator, uint8_t act_1[SV2_NOISE_ACT_1_LEN],
                              const sv2_noise_provider *provider)
{
    if (initiator == NULL || act_1 == NULL || provider == NULL)
        return SV2_ERR_ARGUMENT;
    if (!make_key(provider, initiator->secret, initiator->encoded)) {
        sv2_noise_wipe(initiator, sizeof(*initiator));
        memset(act_1, 0, SV2_NOISE_ACT_1_LEN);
        return SV2_ERR_PROVIDER;
    }
    initiator->provider = provider;
    memcpy(act_1, initiator->encoded, SV2_NOISE_ACT_1_LEN);
    return SV2_OK;
}

/* Fills in the certificate and checks it, as the last step before the session is given out. */
static void check_server(sv2_symmetric *state, sv2_noise_certificate *shown, const uint8_t *act_2,
                         const sv2_noise_policy *policy)
{
    const sv2_noise_provider *p = state->provider;
    uint8_t server_key[32] = {0};
    if (state->status != SV2_OK)
        return;
    sv2_symmetric_require(state, p->ellswift_x(p->context, server_key, act_2 + STATIC_AT));
    sv2_noise_certificate_decode(shown, act_2 + CERTIFICATE_AT, server_key);
    if (state->status == SV2_OK)
        state->status = sv2_noise_certificate_check(shown, policy, p);
}

sv2_status sv2_noise_finish(sv2_noise_initiator *initiator, sv2_noise_sender *sender,
                            sv2_noise_receiver *receiver, sv2_noise_certificate *shown,
                            uint8_t *hash, uint8_t act_2[SV2_NOISE_ACT_2_LEN],
                            const sv2_noise_policy *policy)
{
    sv2_noise_certificate certificate;
    sv2_symmetric state;
    if (initiator == NULL || sender == NULL || receiver == NULL || act_2 == NULL || policy == NULL
        || initiator->provider == NULL)
        return SV2_ERR_ARGUMENT;
    memset(&certificate, 0, sizeof(certificate));
    sv2_symmetric_begin(&state, initiator->encoded, initiator->provider);
    sv2_symmetric_mix_hash(&state, act_2, STATIC_AT);
    sv2_symmetric_agree(&state, initiator->encoded, act_2, initiator->secret, true);
    sv2_symmetric_open(&state, act_2 + STATIC_AT, STATIC_LEN);
    sv2_symmetric_agree(&state, initiator->encoded, act_2 + STATIC_AT, initiator->secret, true);
    sv2_symmetric_open(&state, act_2 + CERTIFICATE_AT, SV2_NOISE_CERTIFICATE_LEN);
    check_server(&state, &certificate, act_2, policy);
    if (shown != NULL)
        *shown = certificate;
    sv2_noise_wipe(initiator, sizeof(*initiator));
    return sv2_symmetric_split(&state, &sender->cipher, &receiver->cipher, hash);
}

sv2_status sv2_noise_respond(sv2_noise_sender *sender, sv2_noise_receiver *receiver, uint8_t *hash,
                             uint8_t act_2[SV2_NOISE_ACT_2_LEN],
                             const uint8_t act_1[SV2_NOISE_ACT_1_LEN],
                             const sv2_noise_identity *identity, const sv2_noise_provider *provider)
{
    uint8_t secret[32] = {0}, encoded[64] = {0};
    sv2_symmetric state;
    sv2_status status;
    if (sender == NULL || receiver == NULL || act_2 == NULL || act_1 == NULL || identity == NULL
        || provider == NULL)
        return SV2_ERR_ARGUMENT;
    memset(act_2, 0, SV2_NOISE_ACT_2_LEN);
    sv2_symmetric_begin(&state, act_1, provider);
    sv2_symmetric_require(&state, make_key(provider, secret, act_2));
    sv2_symmetric_mix_hash(&state, act_2, STATIC_AT);
    sv2_symmetric_agree(&state, act_1, act_2, secret, false);
    sv2_symmetric_require(&state, encode_key(provider, encoded, identity->secret));
    memcpy(act_2 + STATIC_AT, encoded, STATIC_LEN);
    sv2_symmetric_seal(&state, act_2 + STATIC_AT, STATIC_LEN);
    sv2_symmetric_agree(&state, act_1, encoded, identity->secret, false);
    memcpy(act_2 + CERTIFICATE_AT, identity->certificate, SV2_NOISE_CERTIFICATE_LEN);
    sv2_symmetric_seal(&state, act_2 + CERTIFICATE_AT, SV2_NOISE_CERTIFICATE_LEN);
    status = sv2_symmetric_split(&state, &receiver->cipher, &sender->cipher, hash);
    if (status != SV2_OK)
        sv2_noise_wipe(act_2, SV2_NOISE_ACT_2_LEN);
    sv2_noise_wipe(secret, sizeof(secret));
    sv2_noise_wipe(encoded, sizeof(encoded));
    return status;
}

sv2_status sv2_noise_public_key(uint8_t key[32], const uint8_t secret[32],
                                const sv2_noise_provider *provider)
{
    uint8_t encoded[64];
    bool ok = encode_key(provider, encoded, secret)
              && provider->ellswift_x(provider->context, key, encoded);
    if (!ok)
        memset(key, 0, 32);
    return ok ? SV2_OK : SV2_ERR_PROVIDER;
}
