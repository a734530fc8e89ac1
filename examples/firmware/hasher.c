/*
 * Hashing on the processor.
 */
#include "hasher.h"

#include <string.h>

enum {
    PREV_HASH_AT = 4,
    MERKLE_ROOT_AT = 36,
    NTIME_AT = 68,
    NBITS_AT = 72,
    NONCE_AT = 76
};

void hasher_start(hasher_work *work, uint32_t job_id, uint32_t version, const uint8_t prev_hash[32],
                  const uint8_t merkle_root[32], uint32_t ntime, uint32_t nbits)
{
    sv2_store_u32(work->header, version);
    memcpy(work->header + PREV_HASH_AT, prev_hash, 32);
    memcpy(work->header + MERKLE_ROOT_AT, merkle_root, 32);
    sv2_store_u32(work->header + NBITS_AT, nbits);
    work->job_id = job_id;
    work->version = version;
    work->ntime = ntime;
    work->nonce = 0;
    work->ready = true;
}

bool hasher_run(hasher_work *work, uint32_t count, uint32_t *nonce, uint32_t *ntime)
{
    while (count-- > 0) {
        uint8_t hash[32];
        *nonce = work->nonce;
        *ntime = work->ntime;
        sv2_store_u32(work->header + NTIME_AT, work->ntime);
        sv2_store_u32(work->header + NONCE_AT, work->nonce);
        sv2_sha256d(hash, work->header, HASHER_HEADER_LEN);
        if (++work->nonce == 0)
            work->ntime++;
        if (sv2_u256_cmp(hash, work->target) <= 0)
            return true;
    }
    return false;
}
