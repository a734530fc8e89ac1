/*
 * Frames: a 6-byte header and a payload. Spec: 3.2.
 */
#ifndef LIBSV2_FRAME_H
#define LIBSV2_FRAME_H

#include "codec.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SV2_FRAME_HEADER_LEN 6

/* A frame whose payload somebody else owns. */
typedef struct sv2_frame {
    const uint8_t *payload;
    uint32_t length;         /* of the payload, in bytes */
    uint16_t extension_type; /* as on the wire: bit 15 is channel_msg */
    uint8_t message_type;
} sv2_frame;

/* Reads a header; leaves frame->payload alone. Every 6 bytes are a header, so this cannot fail. */
SV2_API void sv2_frame_header_decode(sv2_frame *frame, const uint8_t header[SV2_FRAME_HEADER_LEN]);

/* Writes a header. Returns SV2_OK, or SV2_ERR_FRAME_LARGE where frame->length is over
 * SV2_MAX_PAYLOAD. */
SV2_API sv2_status sv2_frame_header_encode(uint8_t header[SV2_FRAME_HEADER_LEN],
                                           const sv2_frame *frame);

/* Encodes a whole frame, header and payload.
 *
 * Returns: as sv2_encode.
 * Out:     out: the frame. After an error its content is not to be used.
 *          len: the frame's size in bytes, after SV2_ERR_BUFFER too; else 0 after an error. */
SV2_API sv2_status sv2_frame_encode(const sv2_descriptor *descriptor, uint8_t *out, size_t cap,
                                    size_t *len, const void *message);

/* The channel that the frame belongs to, for proxies: true and *channel_id where bit 15 of
 * extension_type is set and the payload has its first 4 bytes. False for a frame without payload, as
 * sv2_stream_next leaves one that it refuses. */
SV2_API bool sv2_frame_channel(const sv2_frame *frame, uint32_t *channel_id);

#ifdef __cplusplus
}
#endif

#endif
