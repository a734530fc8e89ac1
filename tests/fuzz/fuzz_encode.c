/* Invariant: any struct encodes to the bytes, the size and the status that an independent reading of spec 3.1 gives, and never past the buffer. */
/*
 * Input: 1 byte message, 2 bytes room, then decisions for each field: values, lengths within and over
 * the limit, NULL views, sequences as views or in wire form, whole or at odds with themselves.
 */
#include "fuzz.h"

#define POOL 70000
#define MAX_VIEWS 300

/* What views point to: more than a B0_64K holds. Views over 16,777,215 bytes must be refused unread. */
static uint8_t pool[POOL];

/* A view and something behind it, as the sv2.h surface has them. */
typedef struct record {
    sv2_bytes bytes;
    size_t more;
} record;

static record records[MAX_VIEWS];
static uint8_t wire[4096];

/* ---- Making a message -------------------------------------------------------------------------*/

/* Lengths at and around the limit, and any other. */
static size_t make_length(choices *from, size_t limit)
{
    uint8_t how = (uint8_t)choose(from, 1);
    switch (how >> 5) {
    case 0:
        return limit;
    case 1:
        return limit + 1;
    case 2:
        return how == 0x40 ? SIZE_MAX : limit + ((size_t)1 << (how & 15));
    default:
        return how & 0x1f;
    }
}

static sv2_bytes make_bytes(choices *from, size_t limit)
{
    size_t len = make_length(from, limit);
    if (len > POOL && len <= SV2_MAX_PAYLOAD)
        len = POOL;
    if (choose(from, 1) == 0xff)
        return sv2_view(NULL, len);
    return sv2_view(pool, len);
}

static sv2_seq make_views(choices *from, unsigned kind)
{
    uint32_t count = choose_up_to(from, MAX_VIEWS), i;
    bool same = (choose(from, 1) & 1) != 0;
    sv2_seq seq = {records, 0, count, sizeof(record)};
    for (i = 0; i < count; i++) {
        records[i].more = SIZE_MAX;
        if (same && i > 0)
            records[i] = records[0];
        else
            records[i].bytes = kind_element(kind) == SV2_KIND_U256 && choose(from, 1) != 0xff
                                   ? sv2_view(pool + i, 32)
                                   : make_bytes(from, 16777215);
    }
    return seq;
}

static sv2_seq make_wire(choices *from, unsigned kind)
{
    uint8_t how = (uint8_t)choose(from, 1);
    unsigned element = kind_element(kind);
    uint32_t count = choose_up_to(from, how & 1 ? 0xffff : 100);
    size_t found, size;
    const uint8_t *p;
    if (element != SV2_KIND_B0_16M) {
        size = count * kind_struct_size(element);
        if (size <= sizeof(pool))
            return sv2_seq_wire(pool, size - (how & 2 && size != 0), count);
        return sv2_seq_wire(pool, 0, count);
    }
    p = choose_bytes(from, choose_up_to(from, sizeof(wire)), &found);
    if (found != 0)
        memcpy(wire, p, found);
    return sv2_seq_wire(how & 4 ? NULL : wire, found, count);
}

static void make_field(choices *from, const sv2_field *field, void *message)
{
    uint8_t *out = (uint8_t *)message + field->offset;
    unsigned kind = field->kind, i;
    if (kind_is_seq(kind)) {
        sv2_seq seq = choose(from, 1) & 1 ? make_views(from, kind) : make_wire(from, kind);
        memcpy(out, &seq, sizeof(seq));
    } else if (kind_is_bytes(kind)) {
        sv2_bytes bytes = make_bytes(from, kind_limit(kind));
        memcpy(out, &bytes, sizeof(bytes));
    } else if (kind == SV2_KIND_OPTION_U32) {
        sv2_option_u32 option = {(uint32_t)choose(from, 4), (choose(from, 1) & 1) != 0};
        memcpy(out, &option, sizeof(option));
    } else if (kind == SV2_KIND_BOOL) {
        bool value = (choose(from, 1) & 1) != 0;
        memcpy(out, &value, sizeof(value));
    } else {
        for (i = 0; i < kind_struct_size(kind); i++)
            out[i] = (uint8_t)choose(from, 1);
    }
}

/* ---- Encoding it a second time ----------------------------------------------------------------*/

typedef struct expected {
    uint8_t bytes[FUZZ_MAX_INPUT]; /* the first of them */
    size_t size;
    sv2_status status;
} expected;

static expected want;

static bool fail(sv2_status status)
{
    want.status = status;
    return false;
}

static bool put(const void *data, size_t n)
{
    if (n > SV2_MAX_PAYLOAD - want.size)
        return fail(SV2_ERR_FRAME_LARGE);
    if (n != 0 && n <= sizeof(want.bytes) && want.size <= sizeof(want.bytes) - n)
        memcpy(want.bytes + want.size, data, n);
    want.size += n;
    return true;
}

static bool put_number(uint64_t value, size_t n)
{
    uint8_t out[8];
    size_t i;
    for (i = 0; i < n; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    return put(out, n);
}

static bool put_bytes(unsigned kind, sv2_bytes bytes)
{
    size_t prefix = kind == SV2_KIND_B0_16M ? 3 : kind == SV2_KIND_B0_64K ? 2 : 1;
    if (bytes.data == NULL && bytes.len != 0)
        return fail(SV2_ERR_ARGUMENT);
    if (bytes.len > kind_limit(kind))
        return fail(SV2_ERR_LENGTH);
    return put_number(bytes.len, prefix) && put(bytes.data, bytes.len);
}

static bool put_view(unsigned element, sv2_bytes bytes)
{
    if (element == SV2_KIND_B0_16M)
        return put_bytes(element, bytes);
    if (element != SV2_KIND_U256 || bytes.len != 32 || bytes.data == NULL)
        return fail(SV2_ERR_ARGUMENT);
    return put(bytes.data, 32);
}

/* Whether size bytes in wire form are just count elements. */
static bool wire_is_whole(const sv2_seq *seq, unsigned element)
{
    const uint8_t *data = seq->data;
    size_t at = 0;
    uint32_t i;
    if (element != SV2_KIND_B0_16M)
        return seq->size == seq->count * kind_struct_size(element);
    for (i = 0; i < seq->count; i++) {
        if (seq->size < at + 3)
            return false;
        at += 3 + (size_t)sv2_load_u24(data + at);
    }
    return at == seq->size;
}

static bool put_seq(unsigned kind, const sv2_seq *seq)
{
    uint32_t i;
    if (seq->data == NULL && (seq->count != 0 || seq->size != 0))
        return fail(SV2_ERR_ARGUMENT);
    if (seq->count > kind_limit(kind))
        return fail(SV2_ERR_LENGTH);
    if (!put_number(seq->count, kind & SV2_SEQ_64K ? 2 : 1))
        return false;
    if (seq->stride == 0)
        return wire_is_whole(seq, kind_element(kind)) ? put(seq->data, seq->size)
                                                      : fail(SV2_ERR_ARGUMENT);
    for (i = 0; i < seq->count; i++)
        if (!put_view(kind_element(kind), records[i].bytes))
            return false;
    return true;
}

static bool put_field(const sv2_field *field, const void *message)
{
    const uint8_t *in = (const uint8_t *)message + field->offset;
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    sv2_option_u32 option;
    sv2_seq seq;
    switch (field->kind) {
    case SV2_KIND_U8:
    case SV2_KIND_BOOL:
        return put(in, 1);
    case SV2_KIND_U16:
        memcpy(&u16, in, sizeof(u16));
        return put_number(u16, 2);
    case SV2_KIND_U32:
        memcpy(&u32, in, sizeof(u32));
        return put_number(u32, 4);
    case SV2_KIND_U64:
        memcpy(&u64, in, sizeof(u64));
        return put_number(u64, 8);
    case SV2_KIND_U256:
        return put(in, 32);
    case SV2_KIND_OPTION_U32:
        memcpy(&option, in, sizeof(option));
        return put_number(option.present, 1) && (!option.present || put_number(option.value, 4));
    default:
        if (kind_is_bytes(field->kind))
            return put_bytes(field->kind, field_bytes(message, field));
        seq = field_seq(message, field);
        return put_seq(field->kind, &seq);
    }
}

/* The number of the field at fault, or of fields; *start is where it begins. */
static unsigned encode_again(const sv2_descriptor *descriptor, const void *message, size_t *start)
{
    unsigned i;
    want.size = 0;
    want.status = SV2_OK;
    for (i = 0; i < descriptor->field_count; i++) {
        *start = want.size;
        if (!put_field(&descriptor->fields[i], message))
            return i;
    }
    *start = want.size;
    return i;
}

/* ---- Checks -----------------------------------------------------------------------------------*/

static void check_frame(const sv2_descriptor *descriptor, const void *message, size_t room)
{
    uint8_t *out = guarded(GUARD_OUTPUT, room);
    size_t len = 1;
    sv2_status status = sv2_frame_encode(descriptor, out, room, &len, message);
    if (want.status != SV2_OK) {
        CHECK(status == want.status && len == 0);
        return;
    }
    CHECK(len == SV2_FRAME_HEADER_LEN + want.size);
    CHECK(status == (len > room ? SV2_ERR_BUFFER : SV2_OK));
    if (status == SV2_OK)
        CHECK(memcmp(out + SV2_FRAME_HEADER_LEN, want.bytes, want.size) == 0
              && sv2_load_u24(out + 3) == want.size);
}

static void check_encode(const sv2_descriptor *descriptor, const void *message, size_t room)
{
    size_t start = 0;
    unsigned field = encode_again(descriptor, message, &start);
    uint8_t *out = guarded(GUARD_OUTPUT, room);
    sv2_report report;
    sv2_status status = sv2_encode(descriptor, out, room, &report, message);
    CHECK(sv2_size(descriptor, message) == (want.status == SV2_OK ? want.size : SIZE_MAX));
    CHECK(report.field == field && report.offset == start);
    if (want.status != SV2_OK) {
        CHECK(status == want.status);
    } else {
        CHECK(status == (want.size > room ? SV2_ERR_BUFFER : SV2_OK));
        CHECK(status != SV2_OK || memcmp(out, want.bytes, want.size) == 0);
    }
    check_frame(descriptor, message, room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices from = {data, size};
    const sv2_descriptor *descriptor;
    sv2_message message;
    size_t room, i;
    if (size > FUZZ_MAX_INPUT)
        return 0;
    if (pool[1] == 0)
        for (i = 0; i < POOL; i++)
            pool[i] = (uint8_t)(i * 7 + i / 251);
    memset(&message, 0, sizeof(message));
    descriptor = sv2_descriptor_at((size_t)choose(&from, 1) % SV2_MESSAGE_COUNT);
    room = (size_t)choose(&from, 2);
    if (room > 0xff00)
        room = FUZZ_MAX_INPUT;
    for (i = 0; i < descriptor->field_count; i++)
        make_field(&from, &descriptor->fields[i], &message.as);
    check_encode(descriptor, &message.as, room);
    return 0;
}
