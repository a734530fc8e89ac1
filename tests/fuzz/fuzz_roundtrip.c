/* Invariant: what decodes encodes to the bytes it came from (BOOL made 0 or 1), at their exact size, and decodes to the same message again. */
/*
 * Input: as fuzz_decode. Outputs end flush against a page without access.
 */
#include <stdlib.h>

#include "fuzz.h"

/* The encoder may differ from what came in only where a BOOL had other bits than bit 0. */
static void check_same_wire(const uint8_t *in, const uint8_t *out, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++)
        CHECK(in[i] == out[i] || out[i] == (in[i] & 1));
}

static const uint8_t *encode_exactly(const sv2_descriptor *descriptor, const void *message,
                                     size_t size)
{
    uint8_t *out = guarded(GUARD_OUTPUT, size);
    sv2_report report;
    CHECK(sv2_size(descriptor, message) == size);
    CHECK(sv2_encode(descriptor, out, size, &report, message) == SV2_OK);
    CHECK(report.offset == size && report.field == descriptor->field_count);
    return out;
}

/* A buffer that is too small is never overrun, and the size that is asked for is the same. */
static void check_small_buffer(const sv2_descriptor *descriptor, const void *message, size_t size,
                               size_t cap)
{
    uint8_t *out = guarded(GUARD_OUTPUT, cap);
    sv2_report report;
    size_t len;
    if (cap >= size)
        return;
    CHECK(sv2_encode(descriptor, out, cap, &report, message) == SV2_ERR_BUFFER);
    CHECK(report.offset == size);
    CHECK(sv2_frame_encode(descriptor, out, cap, &len, message) == SV2_ERR_BUFFER);
    CHECK(len == SV2_FRAME_HEADER_LEN + size);
}

static void check_frame(const sv2_message *message, const uint8_t *payload, size_t size)
{
    const sv2_descriptor *descriptor = sv2_find((uint16_t)(message->id >> 8), (uint8_t)message->id);
    uint8_t *out = guarded(GUARD_OUTPUT, SV2_FRAME_HEADER_LEN + size);
    sv2_frame frame;
    size_t len;
    CHECK(sv2_message_encode_frame(out, SV2_FRAME_HEADER_LEN + size, &len, message) == SV2_OK);
    CHECK(len == SV2_FRAME_HEADER_LEN + size);
    sv2_frame_header_decode(&frame, out);
    CHECK(frame.length == size && frame.extension_type == descriptor->extension_type
          && frame.message_type == descriptor->message_type);
    check_same_wire(payload, out + SV2_FRAME_HEADER_LEN, size);
}

/* Views on the elements of a sequence; NULL for elements that have no such form. */
static sv2_bytes *views_of(const sv2_seq *seq, unsigned element)
{
    sv2_bytes *views;
    sv2_seq rest = *seq;
    uint32_t i;
    if (element != SV2_KIND_U256 && element != SV2_KIND_B0_16M)
        return NULL;
    views = fuzz_malloc(seq->count * sizeof(*views));
    for (i = 0; i < seq->count; i++) {
        if (element == SV2_KIND_U256)
            views[i] = sv2_view(sv2_seq_u256(seq, i), 32);
        else
            CHECK(sv2_seq_next(&rest, &views[i]) == SV2_OK);
    }
    return views;
}

/* Sequences given as views encode to the same bytes as in wire form. */
static void check_views(const sv2_descriptor *descriptor, const sv2_message *message,
                        const uint8_t *payload, size_t size)
{
    unsigned i;
    for (i = 0; i < descriptor->field_count; i++) {
        const sv2_field *field = &descriptor->fields[i];
        sv2_message other = *message;
        sv2_bytes *views;
        sv2_seq seq;
        if (!kind_is_seq(field->kind))
            continue;
        seq = field_seq(&message->as, field);
        views = views_of(&seq, kind_element(field->kind));
        if (views == NULL)
            continue;
        seq = sv2_seq_views(views, seq.count);
        memcpy((uint8_t *)&other.as + field->offset, &seq, sizeof(seq));
        check_same_wire(payload, encode_exactly(descriptor, &other.as, size), size);
        free(views);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sv2_descriptor *descriptor;
    const uint8_t *payload;
    sv2_message message, again;
    sv2_report report;
    sv2_frame frame;
    if (size < SV2_FRAME_HEADER_LEN || size > FUZZ_MAX_INPUT - SV2_FRAME_HEADER_LEN)
        return 0;
    sv2_frame_header_decode(&frame, data);
    size -= SV2_FRAME_HEADER_LEN;
    payload = guarded_copy(GUARD_INPUT, data + SV2_FRAME_HEADER_LEN, size);
    descriptor = sv2_find(frame.extension_type, frame.message_type);
    memset(&message, 0, sizeof(message));
    frame.payload = payload;
    frame.length = (uint32_t)size;
    if (sv2_message_decode(&message, &report, &frame) != SV2_OK)
        return 0;
    size = report.offset;
    check_same_wire(payload, encode_exactly(descriptor, &message.as, size), size);
    CHECK(sv2_decode(descriptor, &again.as, &report, guarded(GUARD_OUTPUT, size), size) == SV2_OK);
    CHECK(report.offset == size && messages_equal(descriptor, &message.as, &again.as));
    check_small_buffer(descriptor, &message.as, size, size - 1);
    check_small_buffer(descriptor, &message.as, size, data[3]);
    check_frame(&message, payload, size);
    check_views(descriptor, &message, payload, size);
    return 0;
}
