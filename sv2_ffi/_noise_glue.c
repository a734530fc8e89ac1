/*
 * See _noise_glue.h.
 */
#include "_noise_glue.h"

#include <string.h>

sv2_status sv2_noise_glue_seal(sv2_noise_sender *sender, uint8_t *out, const uint8_t *header,
                               const uint8_t *payload, size_t len)
{
    sv2_frame frame;
    size_t size;
    sv2_frame_header_decode(&frame, header);
    if (frame.length != len)
        return SV2_ERR_TRUNCATED;
    frame.payload = payload;
    return sv2_noise_seal_frame(sender, out, sv2_noise_sealed_len(frame.length), &size, &frame);
}

sv2_status sv2_noise_glue_open(sv2_noise_receiver *receiver, uint8_t *out, const uint8_t *sealed,
                               size_t len)
{
    memcpy(out, sealed, len);
    return sv2_noise_open(receiver, out, len);
}

sv2_status sv2_noise_glue_next(sv2_noise_reader *reader, sv2_frame *frame, const uint8_t *data,
                               size_t *at, size_t end)
{
    const uint8_t *input = data + *at;
    size_t left = end - *at;
    sv2_status status = sv2_noise_reader_next(reader, frame, &input, &left);
    *at = end - left;
    return status;
}
