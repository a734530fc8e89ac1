/*
 * The curve half of both providers, over libsecp256k1 with its modules ellswift, extrakeys and
 * schnorrsig.
 */
#ifndef SV2_NOISE_CURVE_H
#define SV2_NOISE_CURVE_H

#include "libsv2/noise.h"

struct secp256k1_context_struct;

/* What a provider's context begins with. libsecp256k1 only reads it, so that threads may share it. */
typedef struct sv2_noise_curve {
    const struct secp256k1_context_struct *curve;
} sv2_noise_curve;

/* Sets the six functions of the curve. */
void sv2_noise_use_curve(sv2_noise_provider *provider);

#endif
