/*
 * What a mining device's firmware asks of libsv2: the messages that open a connection and a channel,
 * bring jobs and take shares, each decoded and encoded. Linked with --gc-sections to see what of the
 * library stays; never run. WITH_FRAMES adds the frame header in both directions.
 */
#include "libsv2.h"

union any {
    sv2_setup_connection setup_connection;
    sv2_setup_connection_success setup_connection_success;
    sv2_open_standard_mining_channel open_standard_mining_channel;
    sv2_open_standard_mining_channel_success open_standard_mining_channel_success;
    sv2_open_extended_mining_channel open_extended_mining_channel;
    sv2_open_extended_mining_channel_success open_extended_mining_channel_success;
    sv2_new_mining_job new_mining_job;
    sv2_new_extended_mining_job new_extended_mining_job;
    sv2_mining_set_new_prev_hash mining_set_new_prev_hash;
    sv2_set_target set_target;
    sv2_submit_shares_standard submit_shares_standard;
    sv2_submit_shares_extended submit_shares_extended;
    sv2_submit_shares_success submit_shares_success;
    sv2_submit_shares_error submit_shares_error;
};

#ifdef WITH_FRAMES
#define ENCODE(name) sv2_##name##_encode_frame(out, cap, &len, &m->name)
#else
#define ENCODE(name) sv2_##name##_encode(out, cap, NULL, &m->name)
#endif

/* Both directions of one message. out is what the compiler must not see through. */
#define BOTH_WAYS(name)                                                                            \
    status |= sv2_##name##_decode(&m->name, NULL, in, in_len);                                     \
    status |= ENCODE(name)

unsigned device(union any *m, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len);

unsigned device(union any *m, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len)
{
    unsigned status = 0;
#ifdef WITH_FRAMES
    size_t len;
    sv2_frame frame;
    sv2_frame_header_decode(&frame, in);
    status |= frame.message_type;
#endif
    BOTH_WAYS(setup_connection);
    BOTH_WAYS(setup_connection_success);
    BOTH_WAYS(open_standard_mining_channel);
    BOTH_WAYS(open_standard_mining_channel_success);
    BOTH_WAYS(open_extended_mining_channel);
    BOTH_WAYS(open_extended_mining_channel_success);
    BOTH_WAYS(new_mining_job);
    BOTH_WAYS(new_extended_mining_job);
    BOTH_WAYS(mining_set_new_prev_hash);
    BOTH_WAYS(set_target);
    BOTH_WAYS(submit_shares_standard);
    BOTH_WAYS(submit_shares_extended);
    BOTH_WAYS(submit_shares_success);
    BOTH_WAYS(submit_shares_error);
    return status;
}
