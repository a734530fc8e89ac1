/*
 * Runs every vector through libsv2 on the machine itself: no heap, no libc beyond the three
 * functions, no output but text. The first failure is named and ends the program.
 */
#include <string.h>

#include "board.h"
#include "vectors.h"

enum {
    LARGEST_FRAME = 2048,
    PIECE = 7
};

static uint8_t out[LARGEST_FRAME];
static uint8_t payload[LARGEST_FRAME];
static sv2_message decoded;

static bool same_bytes(sv2_bytes a, sv2_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Wanted may be in either form, found is in wire form, as decoding leaves it. */
static bool same_seq(unsigned element, const sv2_seq *wanted, const sv2_seq *found)
{
    const sv2_bytes *items = wanted->data;
    sv2_seq rest = *found;
    uint32_t i;
    if (wanted->count != found->count || found->stride != 0)
        return false;
    if (wanted->stride == 0)
        return wanted->size == found->size && memcmp(wanted->data, found->data, found->size) == 0;
    for (i = 0; i < wanted->count; i++) {
        sv2_bytes item = {NULL, 32};
        if (element == SV2_KIND_U256)
            item.data = sv2_seq_u256(found, i);
        else if (sv2_seq_next(&rest, &item) != SV2_OK)
            return false;
        if (!same_bytes(items[i], item))
            return false;
    }
    return true;
}

static bool same_field(unsigned kind, const void *wanted, const void *found)
{
    static const uint8_t sizes[] = {1, 2, 4, 8, sizeof(bool), 32};
    if (kind < sizeof(sizes))
        return memcmp(wanted, found, sizes[kind]) == 0;
    if (kind == SV2_KIND_OPTION_U32) {
        const sv2_option_u32 *a = wanted, *b = found;
        return a->present == b->present && (!a->present || a->value == b->value);
    }
    if (kind < SV2_SEQ_255)
        return same_bytes(*(const sv2_bytes *)wanted, *(const sv2_bytes *)found);
    return same_seq(kind & 0x0f, wanted, found);
}

static bool same_message(const sv2_descriptor *descriptor, const void *wanted, const void *found)
{
    unsigned i;
    for (i = 0; i < descriptor->field_count; i++) {
        sv2_field field = descriptor->fields[i];
        if (!same_field(field.kind, (const uint8_t *)wanted + field.offset,
                        (const uint8_t *)found + field.offset))
            return false;
    }
    return true;
}

static bool is_frame(const vector *v, sv2_status status, size_t len)
{
    return status == SV2_OK && len == v->len && memcmp(out, v->frame, len) == 0;
}

static const char *check_frame(const vector *v, const sv2_frame *frame)
{
    const sv2_descriptor *descriptor = sv2_find(frame->extension_type, frame->message_type);
    sv2_report report;
    size_t len;
    sv2_status status;
    if (descriptor == NULL)
        return "is not found";
    if (sv2_message_decode(&decoded, &report, frame) != SV2_OK)
        return "does not decode";
    if (report.offset != frame->length || !same_message(descriptor, v->message, &decoded.as))
        return "decodes to other values";
    status = sv2_message_encode_frame(out, sizeof(out), &len, &decoded);
    if (!is_frame(v, status, len))
        return "does not encode back";
    status = sv2_frame_encode(descriptor, out, sizeof(out), &len, v->message);
    if (!is_frame(v, status, len))
        return "does not encode from its values";
    if (sv2_frame_encode(descriptor, out, v->len - 1u, &len, v->message) != SV2_ERR_BUFFER)
        return "encodes into too small a buffer";
    if (sv2_decode(descriptor, &decoded.as, NULL, frame->payload, frame->length - 1)
        != SV2_ERR_TRUNCATED)
        return "decodes without its last byte";
    return NULL;
}

/* Each vector as it would come off a wire: in small pieces, through the stream. */
static const char *check_vector(const vector *v)
{
    sv2_stream stream;
    sv2_frame frame;
    sv2_status status = SV2_NEED_MORE;
    const uint8_t *data = v->frame;
    size_t left = v->len;
    sv2_stream_init(&stream, payload, sizeof(payload), sizeof(payload));
    while (left > 0 && status == SV2_NEED_MORE) {
        size_t piece = left < PIECE ? left : PIECE;
        left -= piece;
        status = sv2_stream_next(&stream, &frame, &data, &piece);
    }
    if (status != SV2_OK || left != 0)
        return "does not come out of the stream";
    return check_frame(v, &frame);
}

int main(void)
{
    unsigned i;
    for (i = 0; i < vector_count; i++) {
        const char *fault = check_vector(&vectors[i]);
        if (fault != NULL) {
            board_print(vectors[i].name);
            board_print(" ");
            board_print(fault);
            board_print("\n");
            return 1;
        }
    }
    board_print("all vectors pass\n");
    return 0;
}
