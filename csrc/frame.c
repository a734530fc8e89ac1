/*
 * Frame header and whole frames. Spec: 3.2.
 */
#include "libsv2/frame.h"

void sv2_frame_header_decode(sv2_frame *frame, const uint8_t header[SV2_FRAME_HEADER_LEN])
{
    frame->extension_type = sv2_load_u16(header);
    frame->message_type = header[2];
    frame->length = sv2_load_u24(header + 3);
}

static void put_header(uint8_t *header, uint16_t extension_type, uint8_t message_type,
                       uint32_t length)
{
    sv2_store_u16(header, extension_type);
    header[2] = message_type;
    sv2_store_u24(header + 3, length);
}

sv2_status sv2_frame_header_encode(uint8_t header[SV2_FRAME_HEADER_LEN], const sv2_frame *frame)
{
    if (frame->length > SV2_MAX_PAYLOAD)
        return SV2_ERR_FRAME_LARGE;
    put_header(header, frame->extension_type, frame->message_type, frame->length);
    return SV2_OK;
}

sv2_status sv2_frame_encode(const sv2_descriptor *descriptor, uint8_t *out, size_t cap, size_t *len,
                            const void *message)
{
    sv2_report report;
    sv2_status status;
    size_t room = cap < SV2_FRAME_HEADER_LEN ? 0 : cap - SV2_FRAME_HEADER_LEN;
    if (len == NULL)
        return SV2_ERR_ARGUMENT;
    *len = 0;
    if (out == NULL && cap != 0)
        return SV2_ERR_ARGUMENT;
    status = sv2_encode(descriptor, room != 0 ? out + SV2_FRAME_HEADER_LEN : NULL, room, &report,
                        message);
    if (status != SV2_OK && status != SV2_ERR_BUFFER)
        return status;
    *len = SV2_FRAME_HEADER_LEN + report.offset;
    if (cap < *len)
        return SV2_ERR_BUFFER;
    put_header(out, descriptor->extension_type, descriptor->message_type, (uint32_t)report.offset);
    return SV2_OK;
}

bool sv2_frame_channel(const sv2_frame *frame, uint32_t *channel_id)
{
    if (!(frame->extension_type & SV2_CHANNEL_BIT) || frame->length < 4 || frame->payload == NULL)
        return false;
    *channel_id = sv2_load_u32(frame->payload);
    return true;
}
