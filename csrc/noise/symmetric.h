/*
 * What handshake and transport share: the transcript of a handshake, and the AEAD's nonces.
 */
#ifndef SV2_NOISE_SYMMETRIC_H
#define SV2_NOISE_SYMMETRIC_H

#include "libsv2/noise.h"

/* Chaining key, hash and cipher key of a handshake (spec 4.4.2). Errors are sticky: after the first,
 * nothing more is computed and status holds it. */
typedef struct sv2_symmetric {
    const sv2_noise_provider *provider;
    sv2_status status;
    uint8_t chaining_key[32];
    uint8_t hash[32];
    uint8_t key[32];
} sv2_symmetric;

/* Begins a transcript with act 1, which both sides know from its 64 bytes. */
void sv2_symmetric_begin(sv2_symmetric *state, const uint8_t act_1[64],
                         const sv2_noise_provider *provider);

void sv2_symmetric_mix_hash(sv2_symmetric *state, const uint8_t *data, size_t len);

/* Key agreement between the initiator's and the responder's encoded key, mixed into all keys. */
void sv2_symmetric_agree(sv2_symmetric *state, const uint8_t initiator[64],
                         const uint8_t responder[64], const uint8_t secret[32], bool initiating);

/* EncryptAndHash and DecryptAndHash, in place: len plain bytes, and a MAC behind them. */
void sv2_symmetric_seal(sv2_symmetric *state, uint8_t *data, size_t len);
void sv2_symmetric_open(sv2_symmetric *state, uint8_t *data, size_t len);

/* The two transport ciphers, or wiped ones after a failure; hash may be NULL. Wipes the state and
 * returns its status. */
sv2_status sv2_symmetric_split(sv2_symmetric *state, sv2_noise_cipher *to_server,
                               sv2_noise_cipher *to_client, uint8_t *hash);

/* false makes the status SV2_ERR_PROVIDER, if none was there before. */
void sv2_symmetric_require(sv2_symmetric *state, bool ok);

/* 32 zero bits and a little-endian counter (spec 4.4.1). */
static inline void sv2_noise_nonce(uint8_t nonce[12], uint64_t counter)
{
    sv2_store_u32(nonce, 0);
    sv2_store_u64(nonce + 4, counter);
}

#endif
