/*
 * Cuts a byte stream into frames. Spec: 3.2.
 */
#include "libsv2/stream.h"

#include <string.h>

void sv2_stream_init(sv2_stream *stream, uint8_t *buffer, size_t capacity, uint32_t limit)
{
    stream->buffer = buffer;
    stream->capacity = capacity;
    stream->held = 0;
    stream->limit = limit;
    stream->skip = 0;
    stream->header_held = 0;
}

static void advance(const uint8_t **data, size_t *len, size_t n)
{
    *data += n;
    *len -= n;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void drop_skipped(sv2_stream *stream, const uint8_t **data, size_t *len)
{
    size_t n = least(stream->skip, *len);
    stream->skip -= (uint32_t)n;
    advance(data, len, n);
}

static void fill_header(sv2_stream *stream, const uint8_t **data, size_t *len)
{
    size_t n = least((size_t)SV2_FRAME_HEADER_LEN - stream->header_held, *len);
    memcpy(stream->header + stream->header_held, *data, n);
    stream->header_held = (uint8_t)(stream->header_held + n);
    advance(data, len, n);
}

static sv2_status give_frame(sv2_stream *stream, sv2_frame *frame, const uint8_t *payload)
{
    frame->payload = payload;
    stream->held = 0;
    stream->header_held = 0;
    return SV2_OK;
}

/* Collects a payload that comes in pieces. */
static sv2_status fill_payload(sv2_stream *stream, sv2_frame *frame, const uint8_t **data,
                               size_t *len)
{
    size_t end = least(frame->length, stream->capacity);
    size_t n = stream->held < end ? least(end - stream->held, *len) : 0;
    if (n != 0) {
        memcpy(stream->buffer + stream->held, *data, n);
        stream->held += n;
        advance(data, len, n);
    }
    if (stream->held == frame->length)
        return give_frame(stream, frame, stream->buffer);
    return *len == 0 ? SV2_NEED_MORE : SV2_ERR_BUFFER;
}

sv2_status sv2_stream_next(sv2_stream *stream, sv2_frame *frame, const uint8_t **data, size_t *len)
{
    if (*len != 0) {
        drop_skipped(stream, data, len);
        if (*len != 0)
            fill_header(stream, data, len);
    }
    if (stream->header_held < SV2_FRAME_HEADER_LEN)
        return SV2_NEED_MORE;
    sv2_frame_header_decode(frame, stream->header);
    frame->payload = NULL;
    if (frame->length > stream->limit)
        return SV2_ERR_FRAME_LARGE;
    if (stream->held == 0 && *len >= frame->length) {
        const uint8_t *payload = *data;
        if (frame->length != 0)
            advance(data, len, frame->length);
        return give_frame(stream, frame, payload);
    }
    return fill_payload(stream, frame, data, len);
}

sv2_status sv2_stream_grow(sv2_stream *stream, uint8_t *buffer, size_t capacity)
{
    if (capacity < stream->held)
        return SV2_ERR_BUFFER;
    if (stream->held != 0 && buffer != stream->buffer)
        memcpy(buffer, stream->buffer, stream->held);
    stream->buffer = buffer;
    stream->capacity = capacity;
    return SV2_OK;
}

void sv2_stream_skip(sv2_stream *stream)
{
    sv2_frame frame;
    if (stream->header_held < SV2_FRAME_HEADER_LEN)
        return;
    sv2_frame_header_decode(&frame, stream->header);
    stream->skip = frame.length - (uint32_t)stream->held;
    stream->held = 0;
    stream->header_held = 0;
}
