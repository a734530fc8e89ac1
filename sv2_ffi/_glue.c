/*
 * See _glue.h.
 */
#include "_glue.h"

#include <stdlib.h>
#include <string.h>

/* ---- Decoding ---------------------------------------------------------------------------------*/

static unsigned prefix_of(unsigned kind)
{
    if (kind & SV2_SEQ_64K || kind == SV2_KIND_B0_64K)
        return 2;
    return 1;
}

/* Puts one decoded field at flat, returns where its values end. *at runs over the input. */
static uint64_t *flatten_field(uint64_t *flat, unsigned kind, const uint8_t *field,
                               const uint8_t *data, size_t *at)
{
    const uint8_t *p = data + *at;
    size_t size;
    switch (kind) {
    case SV2_KIND_U8:
        *flat++ = *field;
        *at += 1;
        return flat;
    case SV2_KIND_BOOL:
        *flat++ = p[0] & 1;
        *at += 1;
        return flat;
    case SV2_KIND_U16:
        *flat++ = sv2_load_u16(p);
        *at += 2;
        return flat;
    case SV2_KIND_U32:
        *flat++ = sv2_load_u32(p);
        *at += 4;
        return flat;
    case SV2_KIND_U64:
        *flat++ = sv2_load_u64(p);
        *at += 8;
        return flat;
    case SV2_KIND_OPTION_U32:
        *flat++ = p[0];
        *flat++ = p[0] ? sv2_load_u32(p + 1) : 0;
        *at += p[0] ? 5 : 1;
        return flat;
    case SV2_KIND_U256:
        size = 32;
        break;
    case SV2_KIND_B0_32:
    case SV2_KIND_B0_255:
    case SV2_KIND_B0_64K: {
        sv2_bytes bytes;
        memcpy(&bytes, field, sizeof(bytes));
        *at += prefix_of(kind);
        size = bytes.len;
        break;
    }
    default: {
        sv2_seq seq;
        memcpy(&seq, field, sizeof(seq));
        *at += prefix_of(kind);
        size = seq.size;
        break;
    }
    }
    *flat++ = *at;
    *at += size;
    *flat++ = *at;
    return flat;
}

/* Decodes the payload data[at..end) whose numbers are in the head. */
static int flatten(uint64_t *flat, const uint8_t *data, size_t at, size_t end)
{
    size_t index = sv2_index((uint16_t)flat[SV2_GLUE_EXTENSION], (uint8_t)flat[SV2_GLUE_TYPE]);
    const sv2_descriptor *descriptor = sv2_descriptor_at(index);
    uint64_t *value = flat + SV2_GLUE_FIRST;
    sv2_message message;
    sv2_report report;
    sv2_status status = SV2_ERR_UNKNOWN;
    unsigned i;
    flat[SV2_GLUE_PAYLOAD] = at;
    flat[SV2_GLUE_NEXT] = end;
    if (descriptor != NULL)
        status = sv2_decode(descriptor, &message.as, &report, data + at, end - at);
    flat[SV2_GLUE_STATUS] = (uint64_t)status;
    if (status == SV2_ERR_UNKNOWN)
        return -1;
    flat[SV2_GLUE_TRAILING] = at + report.offset;
    if (status != SV2_OK) {
        *value = report.field;
        return -1;
    }
    for (i = 0; i < descriptor->field_count; i++) {
        const sv2_field *field = &descriptor->fields[i];
        const uint8_t *member = (const uint8_t *)&message.as + field->offset;
        value = flatten_field(value, field->kind, member, data, &at);
    }
    return (int)index;
}

int sv2_glue_next(uint64_t *flat, const uint8_t *data, size_t len, size_t at, size_t limit)
{
    sv2_frame frame;
    flat[SV2_GLUE_STATUS] = SV2_NEED_MORE;
    flat[SV2_GLUE_NEXT] = at;
    if (len - at < SV2_FRAME_HEADER_LEN)
        return -1;
    sv2_frame_header_decode(&frame, data + at);
    flat[SV2_GLUE_EXTENSION] = frame.extension_type;
    flat[SV2_GLUE_TYPE] = frame.message_type;
    flat[SV2_GLUE_NEXT] = at + SV2_FRAME_HEADER_LEN + frame.length;
    if (SV2_FRAME_HEADER_LEN + (size_t)frame.length > limit) {
        flat[SV2_GLUE_STATUS] = SV2_ERR_FRAME_LARGE;
        return -1;
    }
    if (flat[SV2_GLUE_NEXT] > len)
        return -1;
    return flatten(flat, data, at + SV2_FRAME_HEADER_LEN, (size_t)flat[SV2_GLUE_NEXT]);
}

int sv2_glue_payload(uint64_t *flat, const uint8_t *data, size_t len, uint16_t extension_type,
                     uint8_t message_type)
{
    flat[SV2_GLUE_EXTENSION] = extension_type;
    flat[SV2_GLUE_TYPE] = message_type;
    return flatten(flat, data, 0, len);
}

uint32_t sv2_glue_count(const uint8_t *data, size_t at, size_t end)
{
    uint32_t count = 0;
    for (; at < end; count++)
        at += 3 + (size_t)sv2_load_u24(data + at);
    return count;
}

void sv2_glue_items(uint64_t *spans, const uint8_t *data, size_t at, size_t end, uint32_t count)
{
    sv2_seq rest = sv2_seq_wire(data + at, end - at, count);
    sv2_bytes item;
    while (sv2_seq_next(&rest, &item) == SV2_OK) {
        *spans++ = (uint64_t)(item.data - data);
        *spans++ = (uint64_t)(item.data - data) + item.len;
    }
}

/* ---- Encoding ---------------------------------------------------------------------------------*/

/* What is left of a message to encode. */
typedef struct source {
    const uint8_t *flat;
    const uint8_t *blob;
    size_t blob_left;
    const uint8_t *sizes;
    size_t sizes_left;
    sv2_bytes *views; /* of B0_16M elements; malloc'd, or NULL */
} source;

static uint64_t next_value(source *in)
{
    uint64_t value = sv2_load_u64(in->flat);
    in->flat += 8;
    return value;
}

/* The next len bytes of the blob; false where it has fewer, as when a Python object lied about its
 * length. */
static bool next_bytes(sv2_bytes *bytes, source *in, uint64_t len)
{
    if (len > in->blob_left)
        return false;
    *bytes = sv2_view(in->blob, (size_t)len);
    in->blob += (size_t)len;
    in->blob_left -= (size_t)len;
    return true;
}

/* Stores an integer of size bytes; false where it does not fit. */
static bool store_int(uint8_t *field, unsigned kind, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;
    switch (kind) {
    case SV2_KIND_U8:
        memcpy(field, &u8, sizeof(u8));
        return u8 == value;
    case SV2_KIND_U16:
        memcpy(field, &u16, sizeof(u16));
        return u16 == value;
    case SV2_KIND_U32:
        memcpy(field, &u32, sizeof(u32));
        return u32 == value;
    default:
        memcpy(field, &value, sizeof(value));
        return true;
    }
}

static sv2_status fill_option(uint8_t *field, source *in)
{
    sv2_option_u32 option;
    uint64_t value;
    option.present = next_value(in) != 0;
    value = next_value(in);
    option.value = (uint32_t)value;
    memcpy(field, &option, sizeof(option));
    return option.value == value ? SV2_OK : SV2_ERR_LENGTH;
}

static sv2_status fill_views(sv2_seq *seq, source *in)
{
    uint32_t i;
    if (seq->count > in->sizes_left / 4)
        return SV2_ERR_ARGUMENT;
    in->views = malloc(((size_t)seq->count + 1) * sizeof(*in->views));
    if (in->views == NULL)
        return SV2_ERR_BUFFER;
    for (i = 0; i < seq->count; i++)
        if (!next_bytes(&in->views[i], in, sv2_load_u32(in->sizes + 4 * (size_t)i)))
            return SV2_ERR_ARGUMENT;
    *seq = sv2_seq_views(in->views, seq->count);
    return SV2_OK;
}

static sv2_status fill_seq(uint8_t *field, unsigned kind, source *in)
{
    uint64_t size = next_value(in), count = next_value(in);
    sv2_bytes elements;
    sv2_seq seq;
    sv2_status status = SV2_OK;
    if (count > (kind & SV2_SEQ_64K ? 0xFFFFu : 0xFFu))
        return SV2_ERR_LENGTH;
    seq = sv2_seq_wire(NULL, 0, (uint32_t)count);
    if ((kind & 0x0f) == SV2_KIND_B0_16M) {
        status = fill_views(&seq, in);
    } else {
        if (!next_bytes(&elements, in, size))
            return SV2_ERR_ARGUMENT;
        seq = sv2_seq_wire(elements.data, elements.len, (uint32_t)count);
    }
    memcpy(field, &seq, sizeof(seq));
    return status;
}

static sv2_status fill_bytes(uint8_t *field, unsigned kind, source *in)
{
    uint64_t len = next_value(in);
    sv2_bytes bytes;
    if (kind == SV2_KIND_U256 && len != 32)
        return SV2_ERR_LENGTH;
    if (!next_bytes(&bytes, in, len))
        return SV2_ERR_ARGUMENT;
    if (kind == SV2_KIND_U256)
        memcpy(field, bytes.data, 32);
    else
        memcpy(field, &bytes, sizeof(bytes));
    return SV2_OK;
}

static sv2_status fill_field(uint8_t *field, unsigned kind, source *in)
{
    switch (kind) {
    case SV2_KIND_U8:
    case SV2_KIND_U16:
    case SV2_KIND_U32:
    case SV2_KIND_U64:
        return store_int(field, kind, next_value(in)) ? SV2_OK : SV2_ERR_LENGTH;
    case SV2_KIND_BOOL: {
        bool value = next_value(in) != 0;
        memcpy(field, &value, sizeof(value));
        return SV2_OK;
    }
    case SV2_KIND_OPTION_U32:
        return fill_option(field, in);
    case SV2_KIND_U256:
    case SV2_KIND_B0_32:
    case SV2_KIND_B0_255:
    case SV2_KIND_B0_64K:
        return fill_bytes(field, kind, in);
    default:
        return fill_seq(field, kind, in);
    }
}

static int64_t failure(sv2_status status, unsigned field)
{
    return -((int64_t)status * 256 + (int64_t)field) - 1;
}

static int64_t encode_filled(uint8_t *out, size_t cap, const sv2_descriptor *descriptor,
                             const sv2_message *message)
{
    sv2_report report;
    size_t len;
    sv2_status status = sv2_frame_encode(descriptor, out, cap, &len, &message->as);
    if (status == SV2_OK)
        return (int64_t)len;
    sv2_encode(descriptor, NULL, 0, &report, &message->as);
    return failure(status, report.field);
}

int64_t sv2_glue_encode(uint8_t *out, size_t cap, size_t index, const uint8_t *flat,
                        const uint8_t *blob, size_t blob_len, const uint8_t *sizes,
                        size_t sizes_len)
{
    const sv2_descriptor *descriptor = sv2_descriptor_at(index);
    source in = {flat, blob, blob_len, sizes, sizes_len, NULL};
    sv2_message message;
    int64_t result = 0;
    unsigned i;
    for (i = 0; i < descriptor->field_count && result == 0; i++) {
        const sv2_field *field = &descriptor->fields[i];
        sv2_status status = fill_field((uint8_t *)&message.as + field->offset, field->kind, &in);
        if (status != SV2_OK)
            result = failure(status, i);
    }
    /* Python's len() of a view counts items, of any size: then the fields' bytes are not where they
     * seem to be. */
    if (result == 0 && in.blob_left != 0)
        result = failure(SV2_ERR_ARGUMENT, descriptor->field_count);
    if (result == 0)
        result = encode_filled(out, cap, descriptor, &message);
    free(in.views);
    return result;
}
