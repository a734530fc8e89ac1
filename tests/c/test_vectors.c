/*
 * Frames of an independent encoder and of a session with Bitcoin Core: fields, re-encoding, and the
 * stream decoder whole, byte by byte and at every split.
 */
#include "test.h"
#include "vectors.h"

static uint8_t out[64 * 1024];

static void check_payload(const test_vector *vector, const sv2_frame *frame)
{
    const sv2_descriptor *descriptor = sv2_find(frame->extension_type, frame->message_type);
    sv2_message message;
    sv2_report report;
    size_t len;
    CHECK(descriptor != NULL);
    CHECK(sv2_message_decode(&message, &report, frame) == SV2_OK);
    CHECK(report.offset == frame->length && report.field == descriptor->field_count);
    CHECK(sv2_size(descriptor, &message.as) == frame->length);
    CHECK(sv2_message_encode_frame(out, sizeof(out), &len, &message) == SV2_OK);
    CHECK(len == vector->len && memcmp(out, vector->frame, len) == 0);
    CHECK(sv2_encode(descriptor, out, frame->length, &report, &message.as) == SV2_OK);
    CHECK(report.offset == frame->length && memcmp(out, frame->payload, frame->length) == 0);
    if (vector->message == NULL)
        return;
    CHECK(descriptor == vector->descriptor);
    CHECK(vector->equal(&message.as, vector->message));
    CHECK(sv2_frame_encode(descriptor, out, vector->len, &len, vector->message) == SV2_OK);
    CHECK(len == vector->len && memcmp(out, vector->frame, len) == 0);
}

/* Feeds one frame in two pieces, over a buffer that ends at an unreadable page. */
static void check_split(const test_vector *vector, size_t split, guarded *room, guarded *input)
{
    sv2_stream stream;
    sv2_frame frame;
    sv2_status status;
    size_t capacity = vector->len - SV2_FRAME_HEADER_LEN, len = split;
    const uint8_t *data = guarded_copy(input, vector->frame, split);
    sv2_stream_init(&stream, room->end - capacity, capacity, SV2_MAX_PAYLOAD);
    status = sv2_stream_next(&stream, &frame, &data, &len);
    CHECK(len == 0);
    if (split < vector->len) {
        CHECK(status == SV2_NEED_MORE);
        len = vector->len - split;
        data = guarded_copy(input, vector->frame + split, len);
        status = sv2_stream_next(&stream, &frame, &data, &len);
    }
    CHECK(status == SV2_OK && len == 0);
    CHECK(frame.length == capacity);
    CHECK(memcmp(frame.payload, vector->frame + SV2_FRAME_HEADER_LEN, frame.length) == 0);
    check_payload(vector, &frame);
}

static void check_byte_by_byte(sv2_stream *stream, const test_vector *vector)
{
    sv2_frame frame;
    size_t i;
    for (i = 0; i < vector->len; i++) {
        const uint8_t *data = vector->frame + i;
        size_t len = 1;
        sv2_status status = sv2_stream_next(stream, &frame, &data, &len);
        CHECK(len == 0);
        CHECK(status == (i + 1 < vector->len ? SV2_NEED_MORE : SV2_OK));
    }
    check_payload(vector, &frame);
}

/* A frame that lies whole in the input is not copied. */
static void check_whole(const test_vector *vector)
{
    sv2_stream stream;
    sv2_frame frame;
    const uint8_t *data = vector->frame;
    size_t len = vector->len;
    sv2_stream_init(&stream, NULL, 0, SV2_MAX_PAYLOAD);
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_OK);
    CHECK(len == 0 && frame.payload == vector->frame + SV2_FRAME_HEADER_LEN);
    check_payload(vector, &frame);
}

int main(void)
{
    static uint8_t buffer[64 * 1024];
    guarded room = guarded_new(64 * 1024), input = guarded_new(64 * 1024);
    sv2_stream stream;
    size_t i, split;
    sv2_stream_init(&stream, buffer, sizeof(buffer), sizeof(buffer));
    for (i = 0; i < TEST_VECTORS; i++) {
        const test_vector *vector = &test_vectors[i];
        check_whole(vector);
        check_byte_by_byte(&stream, vector);
        for (split = 0; split <= vector->len; split++)
            check_split(vector, split, &room, &input);
    }
    CHECK(TEST_VECTORS >= 264 + 8);
    guarded_free(&room);
    guarded_free(&input);
    return test_result("vectors");
}
