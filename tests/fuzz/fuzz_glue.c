/* Invariant: the Python binding's flat form of a message holds what the native decoder found, encodes back to the same frame, and no flat form makes it read or write out of bounds. */
/*
 * Input: an even first byte: frames end to end, as a connection brings them. An odd one: 1 byte
 * message, 2 bytes length of the blob, 1 byte count of sizes; flat values, sizes, blob.
 */
#include <stdlib.h>

#include "_glue.h"
#include "fuzz.h"

/* ---- Frames -----------------------------------------------------------------------------------*/

/* What sv2_glue_encode takes: made from the native message, not from the flat one. */
typedef struct parts {
    uint8_t flat[8 * SV2_GLUE_MAX_VALUES];
    size_t values;
    uint8_t *blob;
    size_t blob_len;
    uint8_t *sizes;
    size_t count;
} parts;

static void add_value(parts *p, uint64_t value)
{
    CHECK(p->values < SV2_GLUE_MAX_VALUES);
    sv2_store_u64(p->flat + 8 * p->values++, value);
}

static void add_blob(parts *p, const void *data, size_t len)
{
    if (len != 0)
        memcpy(p->blob + p->blob_len, data, len);
    p->blob_len += len;
}

static void add_elements(parts *p, sv2_seq seq, unsigned element)
{
    size_t start = p->blob_len;
    uint32_t count = seq.count;
    sv2_bytes item;
    if (element != SV2_KIND_B0_16M) {
        add_blob(p, seq.data, seq.size);
    } else {
        while (sv2_seq_next(&seq, &item) == SV2_OK) {
            add_blob(p, item.data, item.len);
            sv2_store_u32(p->sizes + 4 * p->count++, (uint32_t)item.len);
        }
    }
    add_value(p, p->blob_len - start);
    add_value(p, count);
}

static void add_number(parts *p, unsigned kind, const uint8_t *in)
{
    uint8_t raw[8];
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    memset(raw, 0, sizeof(raw));
    memcpy(raw, in, kind_struct_size(kind));
    memcpy(&u16, raw, sizeof(u16));
    memcpy(&u32, raw, sizeof(u32));
    memcpy(&u64, raw, sizeof(u64));
    add_value(p, kind == SV2_KIND_U16   ? u16
                 : kind == SV2_KIND_U32 ? u32
                 : kind == SV2_KIND_U64 ? u64
                                        : raw[0]);
}

static void add_field(parts *p, const sv2_field *field, const void *message)
{
    const uint8_t *in = (const uint8_t *)message + field->offset;
    if (kind_is_seq(field->kind)) {
        add_elements(p, field_seq(message, field), kind_element(field->kind));
    } else if (kind_is_bytes(field->kind)) {
        sv2_bytes bytes = field_bytes(message, field);
        add_blob(p, bytes.data, bytes.len);
        add_value(p, bytes.len);
    } else if (field->kind == SV2_KIND_U256) {
        add_blob(p, in, 32);
        add_value(p, 32);
    } else if (field->kind == SV2_KIND_OPTION_U32) {
        sv2_option_u32 option;
        memcpy(&option, in, sizeof(option));
        add_value(p, option.present);
        add_value(p, option.value);
    } else {
        add_number(p, field->kind, in);
    }
}

/* The flat values of a field are where its bytes are; returns the next field's. */
static const uint64_t *check_field(const uint64_t *flat, const sv2_field *field,
                                   const void *message, const uint8_t *data)
{
    unsigned kind = field->kind;
    const uint8_t *in = (const uint8_t *)message + field->offset;
    if (kind_is_seq(kind)) {
        sv2_seq seq = field_seq(message, field);
        CHECK(data + flat[0] == seq.data && flat[1] - flat[0] == seq.size);
        if (kind_element(kind) == SV2_KIND_B0_16M)
            CHECK(sv2_glue_count(data, flat[0], flat[1]) == seq.count);
        return flat + 2;
    }
    if (kind_is_bytes(kind)) {
        sv2_bytes bytes = field_bytes(message, field);
        CHECK(flat[1] - flat[0] == bytes.len);
        CHECK(bytes.len == 0 || data + flat[0] == bytes.data);
        return flat + 2;
    }
    if (kind == SV2_KIND_U256) {
        CHECK(flat[1] - flat[0] == 32 && memcmp(data + flat[0], in, 32) == 0);
        return flat + 2;
    }
    return kind == SV2_KIND_OPTION_U32 ? flat + 2 : flat + 1;
}

static void check_spans(const uint8_t *data, const uint64_t *flat, const sv2_seq *seq)
{
    uint64_t *spans = fuzz_malloc(2 * sizeof(*spans) * seq->count);
    sv2_seq rest = *seq;
    sv2_bytes item;
    uint32_t i;
    sv2_glue_items(spans, data, flat[0], flat[1], seq->count);
    for (i = 0; sv2_seq_next(&rest, &item) == SV2_OK; i++)
        CHECK(data + spans[2 * i] == item.data && spans[2 * i + 1] - spans[2 * i] == item.len);
    free(spans);
}

static void check_encode(int index, const sv2_descriptor *descriptor, const sv2_message *message,
                         size_t size)
{
    parts p = {{0}, 0, fuzz_malloc(size), 0, fuzz_malloc(4 * size), 0};
    size_t cap = SV2_FRAME_HEADER_LEN + size, len;
    uint8_t *native = guarded(GUARD_OUTPUT, cap), *out = fuzz_malloc(cap);
    unsigned i;
    for (i = 0; i < descriptor->field_count; i++)
        add_field(&p, &descriptor->fields[i], &message->as);
    CHECK(sv2_frame_encode(descriptor, native, cap, &len, &message->as) == SV2_OK);
    CHECK(sv2_glue_encode(out, cap, (size_t)index, p.flat, p.blob, p.blob_len, p.sizes, 4 * p.count)
          == (int64_t)len);
    CHECK(memcmp(native, out, len) == 0);
    free(out);
    free(p.blob);
    free(p.sizes);
}

static void check_message(int index, const uint64_t *flat, const uint8_t *data,
                          const sv2_frame *frame)
{
    const sv2_descriptor *descriptor = sv2_descriptor_at((size_t)index);
    const uint64_t *values = flat + SV2_GLUE_FIRST;
    sv2_message message;
    sv2_report report;
    unsigned i;
    memset(&message, 0, sizeof(message));
    CHECK(sv2_message_decode(&message, &report, frame) == SV2_OK);
    CHECK(data + flat[SV2_GLUE_TRAILING] == frame->payload + report.offset);
    for (i = 0; i < descriptor->field_count; i++) {
        const sv2_field *field = &descriptor->fields[i];
        if (kind_is_seq(field->kind) && kind_element(field->kind) == SV2_KIND_B0_16M) {
            sv2_seq seq = field_seq(&message.as, field);
            check_spans(data, values, &seq);
        }
        values = check_field(values, field, &message.as, data);
    }
    CHECK(values <= flat + SV2_GLUE_MAX_VALUES);
    check_encode(index, descriptor, &message, report.offset);
}

static void check_refusal(const uint64_t *flat, const sv2_frame *frame)
{
    sv2_message message;
    sv2_report report = {0, 0};
    sv2_status status = sv2_message_decode(&message, &report, frame);
    CHECK(status != SV2_OK && flat[SV2_GLUE_STATUS] == (uint64_t)status);
    if (status == SV2_ERR_UNKNOWN)
        return;
    CHECK(flat[SV2_GLUE_FIRST] == report.field);
    CHECK(flat[SV2_GLUE_TRAILING] == flat[SV2_GLUE_PAYLOAD] + report.offset);
}

static void check_frames(const uint8_t *data, size_t size)
{
    uint64_t flat[SV2_GLUE_MAX_VALUES] = {0};
    size_t at = 0;
    sv2_frame frame;
    while (size - at >= SV2_FRAME_HEADER_LEN) {
        int index = sv2_glue_next(flat, data, size, at, SIZE_MAX);
        sv2_frame_header_decode(&frame, data + at);
        if (frame.length > size - at - SV2_FRAME_HEADER_LEN) {
            CHECK(index == -1 && flat[SV2_GLUE_STATUS] == SV2_NEED_MORE);
            return;
        }
        frame.payload = data + at + SV2_FRAME_HEADER_LEN;
        at += SV2_FRAME_HEADER_LEN + (size_t)frame.length;
        CHECK(flat[SV2_GLUE_NEXT] == at);
        if (index >= 0)
            check_message(index, flat, data, &frame);
        else
            check_refusal(flat, &frame);
    }
    CHECK(sv2_glue_next(flat, data, size, at, SIZE_MAX) == -1);
    CHECK(flat[SV2_GLUE_STATUS] == SV2_NEED_MORE);
}

/* ---- Any flat form ----------------------------------------------------------------------------*/

static size_t values_of(const sv2_descriptor *descriptor)
{
    size_t values = 0;
    unsigned i;
    for (i = 0; i < descriptor->field_count; i++) {
        unsigned kind = descriptor->fields[i].kind;
        values += kind <= SV2_KIND_BOOL ? 1 : 2;
        if (kind == SV2_KIND_U256 || kind_is_bytes(kind))
            values--; /* in this direction they are a length alone */
    }
    return values;
}

/* A copy of the next n bytes in an allocation of their size; zeros where the input is short. */
static uint8_t *exact(choices *from, size_t n)
{
    uint8_t *copy = fuzz_malloc(n);
    size_t found;
    const uint8_t *p = choose_bytes(from, n, &found);
    memset(copy, 0, n);
    if (found != 0)
        memcpy(copy, p, found);
    return copy;
}

/* One byte of input gives small values, which get further than those of 8 random bytes. */
static uint8_t *make_flat(choices *from, size_t values)
{
    uint8_t *flat = fuzz_malloc(8 * values);
    size_t i;
    for (i = 0; i < values; i++) {
        uint64_t value = choose(from, 1);
        sv2_store_u64(flat + 8 * i, value == 0xff ? choose(from, 8) : value);
    }
    return flat;
}

static void check_any(choices *from)
{
    size_t index = (size_t)choose(from, 1) % SV2_MESSAGE_COUNT;
    const sv2_descriptor *descriptor = sv2_descriptor_at(index);
    size_t values = values_of(descriptor), blob_len = choose_up_to(from, 4096);
    size_t sizes_len = (size_t)choose(from, 1), cap;
    uint8_t *flat = make_flat(from, values), *sizes = exact(from, sizes_len);
    uint8_t *blob = exact(from, blob_len), *out;
    int64_t size;
    cap = SV2_FRAME_HEADER_LEN + 8 * values + blob_len + sizes_len;
    out = fuzz_malloc(cap);
    size = sv2_glue_encode(out, cap, index, flat, blob, blob_len, sizes, sizes_len);
    /* The room that the binding gives is always enough. */
    CHECK(size < 0 ? (-size - 1) / 256 != SV2_ERR_BUFFER : (uint64_t)size <= cap);
    if (size >= 0)
        check_frames(out, (size_t)size);
    free(flat);
    free(sizes);
    free(blob);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices from = {data, size};
    if (size > FUZZ_MAX_INPUT / 8)
        return 0;
    if (choose(&from, 1) & 1)
        check_any(&from);
    else
        check_frames(guarded_copy(GUARD_INPUT, from.at, from.left), from.left);
    return 0;
}
