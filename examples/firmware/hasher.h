/*
 * What hashes. The version in hasher.c does it on the processor; with an ASIC, give it the header and
 * the target in hasher_start, and in hasher_run ask it what it has found.
 */
#ifndef HASHER_H
#define HASHER_H

#include "libsv2/hash.h"

enum {
    HASHER_HEADER_LEN = 80
};

/* A job under way. */
typedef struct hasher_work {
    uint8_t header[HASHER_HEADER_LEN];
    uint8_t target[32]; /* little-endian: a hash up to it is a share */
    uint32_t job_id, version, ntime, nonce;
    bool ready;
} hasher_work;

/* Begins a job. work->target stays as it is. */
void hasher_start(hasher_work *work, uint32_t job_id, uint32_t version, const uint8_t prev_hash[32],
                  const uint8_t merkle_root[32], uint32_t ntime, uint32_t nbits);

/* Tries up to count nonces. True where one was found: *nonce and *ntime are those of the share. When
 * all nonces of a second have been tried the header's time goes on by one: below 4.29 GH/s that is no
 * faster than time itself. */
bool hasher_run(hasher_work *work, uint32_t count, uint32_t *nonce, uint32_t *ntime);

#endif
