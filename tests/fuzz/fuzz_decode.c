/* Invariant: any payload decodes as an independent reading of spec 3.1 says, to the same offset, with every view inside the payload. */
/*
 * Input: a frame header, whose length is not looked at, and the payload. The payload ends flush
 * against a page without access.
 */
#include "fuzz.h"

static void check_view(const void *data, size_t len, const uint8_t *payload, size_t end)
{
    const uint8_t *p = data;
    if (len == 0)
        return;
    CHECK(p >= payload && len <= end && (size_t)(p - payload) <= end - len);
}

/* Iterating gives count elements inside the sequence and ends where it ends. */
static void check_elements(const sv2_seq *seq)
{
    sv2_seq rest = *seq;
    sv2_bytes item;
    uint32_t count = 0;
    while (sv2_seq_next(&rest, &item) == SV2_OK) {
        check_view(item.data, item.len, seq->data, seq->size);
        count++;
    }
    CHECK(count == seq->count && rest.size == 0);
}

static void check_seq(const sv2_seq *seq, unsigned kind)
{
    unsigned element = kind_element(kind);
    uint32_t last = seq->count - 1, sum = 0;
    CHECK(seq->stride == 0 && seq->count <= kind_limit(kind));
    if (element == SV2_KIND_B0_16M)
        check_elements(seq);
    else
        CHECK(seq->size == seq->count * kind_struct_size(element));
    if (seq->count == 0 || element == SV2_KIND_B0_16M)
        return;
    sum = element == SV2_KIND_U16   ? sv2_seq_u16(seq, last)
          : element == SV2_KIND_U32 ? sv2_seq_u32(seq, last)
                                    : sv2_seq_u256(seq, last)[31];
    CHECK(sum != UINT32_MAX || element == SV2_KIND_U32);
}

static void check_fields(const sv2_descriptor *descriptor, const void *message,
                         const uint8_t *payload, size_t end)
{
    unsigned i;
    for (i = 0; i < descriptor->field_count; i++) {
        const sv2_field *field = &descriptor->fields[i];
        const uint8_t *value = (const uint8_t *)message + field->offset;
        if (kind_is_seq(field->kind)) {
            sv2_seq seq = field_seq(message, field);
            check_view(seq.data, seq.size, payload, end);
            check_seq(&seq, field->kind);
        } else if (kind_is_bytes(field->kind)) {
            sv2_bytes bytes = field_bytes(message, field);
            check_view(bytes.data, bytes.len, payload, end);
            CHECK(bytes.len <= kind_limit(field->kind));
        } else if (field->kind == SV2_KIND_BOOL) {
            CHECK(*value <= 1);
        }
    }
}

static void check_decode(const sv2_frame *frame)
{
    const sv2_descriptor *descriptor = sv2_find(frame->extension_type, frame->message_type);
    sv2_message message;
    sv2_report report = {0, 0}, expected = {0, 0};
    sv2_status status = sv2_message_decode(&message, &report, frame), wanted;
    if (descriptor == NULL) {
        CHECK(status == SV2_ERR_UNKNOWN);
        return;
    }
    wanted = reference_scan(descriptor, frame->payload, frame->length, &expected);
    CHECK(status == wanted);
    CHECK(report.field == expected.field && report.offset == expected.offset);
    if (status == SV2_OK)
        check_fields(descriptor, &message.as, frame->payload, report.offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sv2_frame frame;
    uint32_t channel;
    size_t shorter;
    if (size < SV2_FRAME_HEADER_LEN || size > FUZZ_MAX_INPUT)
        return 0;
    sv2_frame_header_decode(&frame, data);
    shorter = frame.length;
    frame.length = (uint32_t)(size - SV2_FRAME_HEADER_LEN);
    frame.payload = guarded_copy(GUARD_INPUT, data + SV2_FRAME_HEADER_LEN, frame.length);
    check_decode(&frame);
    CHECK(sv2_frame_channel(&frame, &channel)
          == ((frame.extension_type & SV2_CHANNEL_BIT) != 0 && frame.length >= 4));
    /* The same with its end cut off, and without the channel bit. */
    if (shorter >= frame.length)
        return 0;
    frame.length = (uint32_t)shorter;
    frame.payload = guarded_copy(GUARD_INPUT, data + SV2_FRAME_HEADER_LEN, shorter);
    frame.extension_type ^= SV2_CHANNEL_BIT;
    check_decode(&frame);
    return 0;
}
