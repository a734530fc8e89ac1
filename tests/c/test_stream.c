/*
 * The stream decoder: limits, skipping, growing, and many frames in one input.
 */
#include "libsv2.h"
#include "test.h"

static uint8_t input[4096];

/* A frame of type and length whose payload counts up. */
static size_t make_frame(uint8_t *out, uint8_t type, uint32_t length)
{
    sv2_frame frame = {NULL, length, 0, type};
    uint32_t i;
    CHECK(sv2_frame_header_encode(out, &frame) == SV2_OK);
    for (i = 0; i < length; i++)
        out[SV2_FRAME_HEADER_LEN + i] = (uint8_t)i;
    return SV2_FRAME_HEADER_LEN + length;
}

static void check_many(void)
{
    sv2_stream stream;
    sv2_frame frame;
    const uint8_t *data = input;
    size_t len = 0;
    unsigned i;
    for (i = 0; i < 20; i++)
        len += make_frame(input + len, (uint8_t)i, i);
    sv2_stream_init(&stream, NULL, 0, 100);
    for (i = 0; i < 20; i++) {
        CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_OK);
        CHECK(frame.message_type == i && frame.length == i);
        CHECK(i == 0 || frame.payload[i - 1] == i - 1);
    }
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_NEED_MORE && len == 0);
}

/* An oversize frame between two others, in pieces of every size. */
static void check_skip(size_t piece)
{
    uint8_t buffer[16];
    sv2_stream stream;
    sv2_frame frame;
    size_t total = 0, at, found = 0, refused = 0;
    total += make_frame(input, 1, 10);
    total += make_frame(input + total, 2, 200);
    total += make_frame(input + total, 3, 16);
    sv2_stream_init(&stream, buffer, sizeof(buffer), sizeof(buffer));
    for (at = 0; at < total; at += piece) {
        const uint8_t *data = input + at;
        size_t len = piece < total - at ? piece : total - at;
        sv2_status status;
        while ((status = sv2_stream_next(&stream, &frame, &data, &len)) != SV2_NEED_MORE) {
            if (status == SV2_OK) {
                CHECK(frame.message_type == (found == 0 ? 1 : 3));
                CHECK(frame.payload[9] == 9);
                found++;
                continue;
            }
            CHECK(status == SV2_ERR_FRAME_LARGE);
            CHECK(frame.message_type == 2 && frame.length == 200 && frame.payload == NULL);
            /* Asked again, it says the same. */
            CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_ERR_FRAME_LARGE);
            sv2_stream_skip(&stream);
            refused++;
        }
        CHECK(len == 0);
    }
    CHECK(found == 2 && refused == 1);
}

/* A frame larger than the buffer: grown until it fits, or skipped. */
static void check_grow(void)
{
    uint8_t small[8], middle[64], large[256];
    sv2_stream stream;
    sv2_frame frame;
    size_t total = make_frame(input, 7, 200), len;
    const uint8_t *data = input;
    total += make_frame(input + total, 8, 5);
    sv2_stream_init(&stream, small, sizeof(small), 1000);
    len = 100;
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_ERR_BUFFER);
    CHECK(len == 100 - 6 - 8 && frame.length == 200);
    CHECK(sv2_stream_grow(&stream, middle, 4) == SV2_ERR_BUFFER);
    CHECK(sv2_stream_grow(&stream, middle, sizeof(middle)) == SV2_OK);
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_ERR_BUFFER && len == 100 - 6 - 64);
    CHECK(sv2_stream_grow(&stream, large, sizeof(large)) == SV2_OK);
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_NEED_MORE && len == 0);
    len = total - 100;
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_OK);
    CHECK(frame.payload == large && frame.payload[199] == 199);
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_OK && frame.message_type == 8);
}

static void check_skip_after_buffer(void)
{
    uint8_t small[8];
    sv2_stream stream;
    sv2_frame frame;
    size_t total = make_frame(input, 7, 200), len, i;
    total += make_frame(input + total, 8, 5);
    sv2_stream_init(&stream, small, sizeof(small), 1000);
    for (i = 0; i < total; i++) {
        const uint8_t *data = input + i;
        sv2_status status;
        len = 1;
        status = sv2_stream_next(&stream, &frame, &data, &len);
        if (status == SV2_ERR_BUFFER) {
            CHECK(len == 1);
            sv2_stream_skip(&stream);
            status = sv2_stream_next(&stream, &frame, &data, &len);
        }
        CHECK(status == (i + 1 < total ? SV2_NEED_MORE : SV2_OK));
    }
    CHECK(frame.message_type == 8 && frame.length == 5 && frame.payload[4] == 4);
    /* Without a frame at fault there is nothing to skip. */
    sv2_stream_skip(&stream);
    CHECK(stream.skip == 0);
}

static void check_headers(void)
{
    sv2_frame frame = {NULL, 0x1000000, 0x8001, 2};
    uint8_t header[6] = {9, 9, 9, 9, 9, 9};
    uint8_t payload[4] = {1, 2, 3, 4};
    uint32_t channel = 0;
    CHECK(sv2_frame_header_encode(header, &frame) == SV2_ERR_FRAME_LARGE && header[0] == 9);
    frame.length = 0x030201;
    CHECK(sv2_frame_header_encode(header, &frame) == SV2_OK);
    CHECK(memcmp(header, "\x01\x80\x02\x01\x02\x03", 6) == 0);
    frame.length = 4;
    frame.payload = payload;
    CHECK(sv2_frame_channel(&frame, &channel) && channel == 0x04030201);
    frame.length = 3;
    CHECK(!sv2_frame_channel(&frame, &channel));
    frame.length = 4;
    frame.extension_type = 1;
    CHECK(!sv2_frame_channel(&frame, &channel));
}

int main(void)
{
    size_t piece;
    check_many();
    for (piece = 1; piece < 250; piece++)
        check_skip(piece);
    check_grow();
    check_skip_after_buffer();
    check_headers();
    return test_result("stream");
}
