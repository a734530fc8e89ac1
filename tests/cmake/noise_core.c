/*
 * libsv2-noise without a provider: one whose generator has failed, and a frame that cannot be sent.
 * What the CMake test projects build and run.
 */
#include <libsv2/noise.h>

static bool no_random(void *context, uint8_t *out, size_t len)
{
    (void)context;
    (void)out;
    (void)len;
    return false;
}

int main(void)
{
    sv2_noise_provider provider = {0};
    sv2_noise_initiator initiator;
    sv2_noise_sender sender = {0};
    uint8_t act_1[SV2_NOISE_ACT_1_LEN], frame[SV2_NOISE_HEADER_LEN] = {0};
    size_t len = SV2_FRAME_HEADER_LEN;
    provider.random = no_random;
    if (sv2_noise_initiate(&initiator, act_1, &provider) != SV2_ERR_PROVIDER)
        return 1;
    return sv2_noise_seal(&sender, frame, sizeof(frame), &len) == SV2_ERR_ARGUMENT ? 0 : 2;
}
