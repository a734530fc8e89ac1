/*
 * The hashing that mining needs: SHA-256, merkle paths, targets.
 *
 * Hashes and targets are 32 bytes, least significant byte first, as they travel in Sv2 messages and
 * in block headers. People read them the other way round.
 */
#ifndef LIBSV2_HASH_H
#define LIBSV2_HASH_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A SHA-256 under way; FIPS 180-4. */
typedef struct sv2_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
} sv2_sha256;

SV2_API void sv2_sha256_init(sv2_sha256 *hash);
SV2_API void sv2_sha256_update(sv2_sha256 *hash, const uint8_t *data, size_t len);
/* Writes the digest; the state is to be initialised anew before further use. */
SV2_API void sv2_sha256_final(sv2_sha256 *hash, uint8_t out[32]);

/* SHA-256 of SHA-256: txid of a transaction (without witness), hash of an 80-byte block header.
 * out may be data. */
SV2_API void sv2_sha256d(uint8_t out[32], const uint8_t *data, size_t len);

/* Folds a merkle path, as NewTemplate and NewExtendedMiningJob carry it, onto the coinbase's txid.
 * path: count hashes of 32 bytes, deepest first. root may be txid. */
SV2_API void sv2_merkle_root(uint8_t root[32], const uint8_t txid[32], const uint8_t *path,
                             size_t count);

/* Expands nBits. Returns SV2_OK, or SV2_ERR_TARGET for one that is negative or does not fit in 256
 * bits; target is then all zero, which no hash meets. */
SV2_API sv2_status sv2_target_from_compact(uint8_t target[32], uint32_t nbits);

/* Compares two numbers of 256 bits, little-endian: below, equal to or above 0, like memcmp. A hash
 * meets a target where sv2_u256_cmp(hash, target) <= 0. Not constant time. */
SV2_API int sv2_u256_cmp(const uint8_t a[32], const uint8_t b[32]);

/* Reverses 32 bytes: from the wire to what people read, and back. out may be in. */
SV2_API void sv2_u256_reverse(uint8_t out[32], const uint8_t in[32]);

#ifdef __cplusplus
}
#endif

#endif
