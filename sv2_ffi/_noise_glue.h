/*
 * Between sv2_ffi.noise and libsv2-noise: the provider of cryptography that the module was built
 * over, under a name that does not say which, and what would take Python several calls.
 */
#ifndef SV2_NOISE_GLUE_H
#define SV2_NOISE_GLUE_H

#include "libsv2/noise.h"

typedef struct sv2_noise_crypto sv2_noise_crypto;

/* A provider of its own; NULL where it does not start. */
sv2_noise_crypto *sv2_noise_crypto_new(void);

/* crypto may be NULL. */
void sv2_noise_crypto_free(sv2_noise_crypto *crypto);

/* Lives as long as crypto. One thread may seal while another opens. */
const sv2_noise_provider *sv2_noise_crypto_provider(const sv2_noise_crypto *crypto);

/* Seals the frame of a header (6 bytes) and a payload that are apart.
 *
 * Returns: as sv2_noise_seal_frame; SV2_ERR_TRUNCATED where the header does not announce len bytes.
 * Out:     out: sv2_noise_sealed_len(len) bytes, which must be there. */
sv2_status sv2_noise_glue_seal(sv2_noise_sender *sender, uint8_t *out, const uint8_t *header,
                               const uint8_t *payload, size_t len);

/* Opens a sealed piece of len bytes into out, which has room for as many. As sv2_noise_open. */
sv2_status sv2_noise_glue_open(sv2_noise_receiver *receiver, uint8_t *out, const uint8_t *sealed,
                               size_t len);

/* sv2_noise_reader_next over data[*at..end). Out: *at is where it stopped. */
sv2_status sv2_noise_glue_next(sv2_noise_reader *reader, sv2_frame *frame, const uint8_t *data,
                               size_t *at, size_t end);

#endif
