/*
 * Bytes in, frames out: cuts a byte stream into frames, over a buffer that the caller gives.
 *
 *     uint8_t buffer[4096];
 *     sv2_stream stream;
 *     sv2_stream_init(&stream, buffer, sizeof(buffer), sizeof(buffer));
 *     for (;;) {
 *         const uint8_t *data = received;
 *         size_t len = number of bytes received, above 0;
 *         sv2_frame frame;
 *         sv2_status status;
 *         while ((status = sv2_stream_next(&stream, &frame, &data, &len)) != SV2_NEED_MORE) {
 *             if (status == SV2_OK)
 *                 handle(&frame);
 *             else
 *                 sv2_stream_skip(&stream);
 *         }
 *     }
 */
#ifndef LIBSV2_STREAM_H
#define LIBSV2_STREAM_H

#include "frame.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Set up by sv2_stream_init; its members are the library's. */
typedef struct sv2_stream {
    uint8_t *buffer;
    size_t capacity;
    size_t held;    /* payload bytes of the current frame in buffer */
    uint32_t limit; /* largest payload that is accepted */
    uint32_t skip;  /* payload bytes still to drop */
    uint8_t header[SV2_FRAME_HEADER_LEN];
    uint8_t header_held; /* bytes in header */
} sv2_stream;

/* Starts a stream.
 *
 * buffer holds the payload of a frame that arrives in pieces: capacity bytes, the caller's, in use
 * until the stream is given up. It may be NULL with capacity 0 and be given later by
 * sv2_stream_grow. limit is the largest payload to accept, in bytes; a fixed buffer wants its own
 * capacity here. */
SV2_API void sv2_stream_init(sv2_stream *stream, uint8_t *buffer, size_t capacity, uint32_t limit);

/* Takes bytes from the input until a frame is complete.
 *
 * Returns: SV2_OK: *frame is a frame. Its payload lies in the input where it came whole, else in the
 *              buffer: valid until the input goes away or sv2_stream_next is called again.
 *          SV2_NEED_MORE: the input is used up; call again with more.
 *          SV2_ERR_FRAME_LARGE: a frame over the limit begins; *frame is its header.
 *          SV2_ERR_BUFFER: the frame is within the limit and the buffer is full; *frame is its header.
 *          After an error call sv2_stream_skip to drop the frame, or after SV2_ERR_BUFFER
 *          sv2_stream_grow to go on with it. Called without either, it returns the same again.
 * In/out:  data, len: the input; what was taken is gone from it. */
SV2_API sv2_status sv2_stream_next(sv2_stream *stream, sv2_frame *frame, const uint8_t **data,
                                   size_t *len);

/* Goes on with a larger buffer. The bytes held so far are copied from the old buffer, so it must still
 * be there (not what realloc has moved) and not overlap the new one, unless both begin at the same
 * place; after the call it is the caller's to release. Returns SV2_OK, or SV2_ERR_BUFFER, with
 * nothing changed, where capacity is less than what is held. Bytes are committed as data arrives: let
 * the buffer follow (double it), not the length that a peer announced. */
SV2_API sv2_status sv2_stream_grow(sv2_stream *stream, uint8_t *buffer, size_t capacity);

/* Drops the frame that sv2_stream_next refused, what has come of it and what will. */
SV2_API void sv2_stream_skip(sv2_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
