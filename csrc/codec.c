/*
 * One interpreter over descriptor tables, for all messages in both directions. Spec: 3.1.
 */
#include "libsv2/codec.h"

#include "cursor.h"

const uint8_t sv2_reader_nothing[32];

/* Size on the wire of a value of fixed size. */
static size_t fixed_size(unsigned kind)
{
    if (kind == SV2_KIND_U256)
        return 32;
    return kind == SV2_KIND_BOOL ? 1 : (size_t)1 << kind;
}

static int is_fixed(unsigned kind)
{
    return kind <= SV2_KIND_U256;
}

/* ---- Decoding ---------------------------------------------------------------------------------*/

/* A little-endian length of 1 to 3 bytes. */
static uint32_t take_length(sv2_reader *r, unsigned bytes)
{
    const uint8_t *p = sv2_take(r, bytes);
    uint32_t length = p[0];
    if (bytes > 1)
        length |= (uint32_t)p[1] << 8;
    if (bytes > 2)
        length |= (uint32_t)p[2] << 16;
    return length;
}

/* Bytes of the length in front of a B0_*: B0_32 and B0_255 have 1, B0_64K 2, B0_16M 3. */
static unsigned prefix_bytes(unsigned kind)
{
    return kind == SV2_KIND_B0_32 ? 1 : kind - SV2_KIND_B0_32;
}

static void take_bytes(sv2_reader *r, unsigned kind, sv2_bytes *bytes)
{
    bytes->len = take_length(r, prefix_bytes(kind));
    if (kind == SV2_KIND_B0_32 && bytes->len > 32)
        sv2_reader_fail(r, SV2_ERR_LENGTH);
    bytes->data = sv2_take(r, bytes->len);
}

/* Walks count elements, so that they can be iterated later without checks. */
static void skip_elements(sv2_reader *r, unsigned element, uint32_t count)
{
    if (is_fixed(element)) {
        sv2_take(r, (size_t)count * fixed_size(element));
        return;
    }
    while (count-- > 0 && r->status == SV2_OK) {
        sv2_bytes skipped;
        take_bytes(r, element, &skipped);
    }
}

static void take_seq(sv2_reader *r, unsigned kind, sv2_seq *seq)
{
    const uint8_t *elements;
    seq->count = take_length(r, kind & SV2_SEQ_64K ? 2 : 1);
    seq->data = elements = r->pos;
    seq->stride = 0;
    skip_elements(r, kind & 0x0f, seq->count);
    seq->size = (size_t)(r->pos - elements);
}

static void take_option_u32(sv2_reader *r, sv2_option_u32 *option)
{
    unsigned present = *sv2_take(r, 1);
    if (present > 1)
        sv2_reader_fail(r, SV2_ERR_OPTION);
    option->present = present != 0;
    option->value = present != 0 ? sv2_load_u32(sv2_take(r, 4)) : 0;
}

/* out is the struct's member, of the type that the descriptor names. U32 stands for float too, so
 * that it takes memcpy to write either. */
static void decode_field(sv2_reader *r, unsigned kind, void *out)
{
    switch (kind) {
    case SV2_KIND_U8:
        *(uint8_t *)out = *sv2_take(r, 1);
        return;
    case SV2_KIND_BOOL:
        *(bool *)out = *sv2_take(r, 1) & 1; /* the other bits are not ours to read */
        return;
    case SV2_KIND_U16:
        *(uint16_t *)out = sv2_load_u16(sv2_take(r, 2));
        return;
    case SV2_KIND_U32: {
        uint32_t value = sv2_load_u32(sv2_take(r, 4));
        memcpy(out, &value, sizeof(value));
        return;
    }
    case SV2_KIND_U64:
        *(uint64_t *)out = sv2_load_u64(sv2_take(r, 8));
        return;
    case SV2_KIND_U256:
        memcpy(out, sv2_take(r, 32), 32);
        return;
    case SV2_KIND_OPTION_U32:
        take_option_u32(r, out);
        return;
    case SV2_KIND_B0_32:
    case SV2_KIND_B0_255:
    case SV2_KIND_B0_64K:
        take_bytes(r, kind, out);
        return;
    default:
        take_seq(r, kind, out);
        return;
    }
}

sv2_status sv2_decode(const sv2_descriptor *descriptor, void *message, sv2_report *report,
                      const uint8_t *payload, size_t len)
{
    sv2_reader r = {payload, len, SV2_OK};
    const uint8_t *start = payload;
    unsigned i;
    if (descriptor == NULL || message == NULL || (payload == NULL && len != 0))
        return SV2_ERR_ARGUMENT;
    if (payload == NULL)
        r.pos = start = payload = sv2_reader_nothing;
    for (i = 0; i < descriptor->field_count; i++) {
        const sv2_field *field = &descriptor->fields[i];
        start = r.pos;
        decode_field(&r, field->kind, (uint8_t *)message + field->offset);
        if (r.status != SV2_OK)
            break;
    }
    if (report != NULL) {
        report->field = (uint8_t)i;
        report->offset = (size_t)((r.status == SV2_OK ? r.pos : start) - payload);
    }
    return r.status;
}

/* ---- Encoding ---------------------------------------------------------------------------------*/

/* A full buffer is no reason to stop: the rest is counted, for the exact size. */
static int is_final(sv2_status status)
{
    return status != SV2_OK && status != SV2_ERR_BUFFER;
}

static size_t written(const sv2_writer *w)
{
    return w->cap - w->left + w->over;
}

void sv2_overflow(sv2_writer *w, size_t n)
{
    if (n > SV2_MAX_PAYLOAD - written(w)) {
        sv2_writer_fail(w, SV2_ERR_FRAME_LARGE);
        return;
    }
    w->over += n;
    w->cap -= w->left; /* nothing behind it goes into the buffer: all of it is counted here */
    w->left = 0;
    if (w->status == SV2_OK)
        w->status = SV2_ERR_BUFFER;
}

/* length fits into bytes: the callers have checked it. */
static void put_length(sv2_writer *w, uint32_t length, unsigned bytes)
{
    uint8_t *p = sv2_room(w, bytes);
    p[0] = (uint8_t)length;
    if (bytes > 1)
        p[1] = (uint8_t)(length >> 8);
    if (bytes > 2)
        p[2] = (uint8_t)(length >> 16);
}

static void put_bytes(sv2_writer *w, unsigned kind, const sv2_bytes *bytes)
{
    unsigned prefix = prefix_bytes(kind);
    size_t most = kind == SV2_KIND_B0_32 ? 32 : ((size_t)1 << (8 * prefix)) - 1;
    if (bytes->data == NULL && bytes->len != 0) {
        sv2_writer_fail(w, SV2_ERR_ARGUMENT);
        return;
    }
    if (bytes->len > most) {
        sv2_writer_fail(w, SV2_ERR_LENGTH);
        return;
    }
    put_length(w, (uint32_t)bytes->len, prefix);
    sv2_put(w, bytes->data, bytes->len);
}

/* Elements in wire form: they must be what the descriptor says, to the last byte. */
static void put_wire_elements(sv2_writer *w, unsigned element, const sv2_seq *seq)
{
    sv2_reader r = {(const uint8_t *)seq->data, seq->size, SV2_OK};
    skip_elements(&r, element, seq->count);
    if (r.status != SV2_OK || r.left != 0)
        sv2_writer_fail(w, SV2_ERR_ARGUMENT);
    else
        sv2_put(w, seq->data, seq->size);
}

static void put_view_elements(sv2_writer *w, unsigned element, const sv2_seq *seq)
{
    const uint8_t *record = (const uint8_t *)seq->data;
    uint32_t left;
    for (left = seq->count; left > 0; left--, record += seq->stride) {
        sv2_bytes item;
        memcpy(&item, record, sizeof(item)); /* a record is the caller's, of any type */
        if (element == SV2_KIND_B0_16M)
            put_bytes(w, element, &item);
        else if (element != SV2_KIND_U256 || item.len != 32 || item.data == NULL)
            sv2_writer_fail(w, SV2_ERR_ARGUMENT);
        else
            sv2_put(w, item.data, 32);
        if (is_final(w->status))
            return;
    }
}

static void put_seq(sv2_writer *w, unsigned kind, const sv2_seq *seq)
{
    unsigned prefix = kind & SV2_SEQ_64K ? 2 : 1;
    if ((seq->data == NULL && (seq->count != 0 || seq->size != 0))
        || (seq->stride != 0 && seq->stride < sizeof(sv2_bytes))) {
        sv2_writer_fail(w, SV2_ERR_ARGUMENT);
        return;
    }
    if (seq->count >> (8 * prefix) != 0) {
        sv2_writer_fail(w, SV2_ERR_LENGTH);
        return;
    }
    put_length(w, seq->count, prefix);
    if (seq->data == NULL)
        return;
    if (seq->stride == 0)
        put_wire_elements(w, kind & 0x0f, seq);
    else
        put_view_elements(w, kind & 0x0f, seq);
}

static void put_option_u32(sv2_writer *w, const sv2_option_u32 *option)
{
    *sv2_room(w, 1) = option->present;
    if (option->present)
        sv2_store_u32(sv2_room(w, 4), option->value);
}

static void encode_field(sv2_writer *w, unsigned kind, const void *in)
{
    switch (kind) {
    case SV2_KIND_U8:
        *sv2_room(w, 1) = *(const uint8_t *)in;
        return;
    case SV2_KIND_BOOL:
        *sv2_room(w, 1) = *(const uint8_t *)in != 0; /* whatever C calls true */
        return;
    case SV2_KIND_U16:
        sv2_store_u16(sv2_room(w, 2), *(const uint16_t *)in);
        return;
    case SV2_KIND_U32: {
        uint32_t value;
        memcpy(&value, in, sizeof(value));
        sv2_store_u32(sv2_room(w, 4), value);
        return;
    }
    case SV2_KIND_U64:
        sv2_store_u64(sv2_room(w, 8), *(const uint64_t *)in);
        return;
    case SV2_KIND_U256:
        sv2_put(w, in, 32);
        return;
    case SV2_KIND_OPTION_U32:
        put_option_u32(w, in);
        return;
    case SV2_KIND_B0_32:
    case SV2_KIND_B0_255:
    case SV2_KIND_B0_64K:
        put_bytes(w, kind, in);
        return;
    default:
        put_seq(w, kind, in);
        return;
    }
}

sv2_status sv2_encode(const sv2_descriptor *descriptor, uint8_t *out, size_t cap,
                      sv2_report *report, const void *message)
{
    sv2_writer w;
    size_t start = 0;
    unsigned i;
    if (descriptor == NULL || message == NULL || (out == NULL && cap != 0))
        return SV2_ERR_ARGUMENT;
    sv2_writer_init(&w, out, cap < SV2_MAX_PAYLOAD ? cap : SV2_MAX_PAYLOAD);
    for (i = 0; i < descriptor->field_count; i++) {
        const sv2_field *field = &descriptor->fields[i];
        start = written(&w);
        encode_field(&w, field->kind, (const uint8_t *)message + field->offset);
        if (is_final(w.status))
            break;
    }
    if (report != NULL) {
        report->field = (uint8_t)i;
        report->offset = i == descriptor->field_count ? written(&w) : start;
    }
    return w.status;
}

size_t sv2_size(const sv2_descriptor *descriptor, const void *message)
{
    sv2_report report;
    sv2_status status = sv2_encode(descriptor, NULL, 0, &report, message);
    return is_final(status) ? SIZE_MAX : report.offset;
}
