/* Invariant: TLVs come out as they lie in the bytes and stop at the first that is none; appended one by one they give the same bytes; a refused append changes nothing. */
/*
 * Input: 1 byte length of the payload that they are appended to, 2 bytes room behind it; the TLVs.
 */
#include <stdlib.h>

#include "fuzz.h"

/* The TLV at bytes[at], read a second time; its size, or 0. */
static size_t reference_next(const uint8_t *bytes, size_t size, size_t at)
{
    size_t length;
    if (size - at < 5)
        return 0;
    length = (size_t)bytes[at + 3] + 256 * (size_t)bytes[at + 4];
    return length <= size - at - 5 ? 5 + length : 0;
}

static void check_tlv(const sv2_tlv *tlv, const uint8_t *at, size_t size)
{
    CHECK(tlv->extension_type == at[0] + 256 * at[1] && tlv->field_type == at[2]);
    CHECK(tlv->value.data == at + 5 && tlv->value.len == size - 5);
}

typedef struct growing {
    uint8_t *frame;
    uint8_t *before; /* the frame as it was */
    size_t len;
    size_t cap;
} growing;

static void start_frame(growing *g, size_t payload, size_t room)
{
    sv2_frame header = {NULL, (uint32_t)payload, 0x8001, 0x42};
    g->len = SV2_FRAME_HEADER_LEN + payload;
    g->cap = g->len + room;
    g->frame = fuzz_malloc(g->cap);
    g->before = fuzz_malloc(g->cap);
    memset(g->frame, 0x5a, g->cap);
    CHECK(sv2_frame_header_encode(g->frame, &header) == SV2_OK);
}

/* Appends and checks what came of it; false where it did not fit. */
static bool append(growing *g, const sv2_tlv *tlv)
{
    size_t len = g->len, size = SV2_TLV_HEADER_LEN + tlv->value.len;
    sv2_status status;
    sv2_frame header;
    memcpy(g->before, g->frame, g->cap);
    status = sv2_frame_append_tlv(g->frame, g->cap, &g->len, tlv);
    if (status != SV2_OK) {
        CHECK(status == SV2_ERR_BUFFER && size > g->cap - len);
        CHECK(g->len == len && memcmp(g->before, g->frame, g->cap) == 0);
        return false;
    }
    CHECK(g->len == len + size);
    sv2_frame_header_decode(&header, g->frame);
    CHECK(header.length == g->len - SV2_FRAME_HEADER_LEN);
    CHECK(memcmp(g->before + 6, g->frame + 6, len - 6) == 0);
    CHECK(memcmp(g->before + g->len, g->frame + g->len, g->cap - g->len) == 0);
    return true;
}

/* Frames and values that must be refused. */
static void check_refused(growing *g, const sv2_tlv *tlv)
{
    static const sv2_frame full = {NULL, SV2_MAX_PAYLOAD - 4, 0, 0};
    uint8_t header[SV2_FRAME_HEADER_LEN];
    sv2_tlv bad = *tlv;
    size_t len = g->len - 1;
    CHECK(sv2_frame_append_tlv(g->frame, g->cap, &len, tlv) == SV2_ERR_ARGUMENT);
    len = g->len;
    CHECK(sv2_frame_append_tlv(g->frame, g->len - 1, &len, tlv) == SV2_ERR_ARGUMENT);
    CHECK(len == g->len);
    bad.value = sv2_view(NULL, 1);
    CHECK(sv2_frame_append_tlv(g->frame, g->cap, &len, &bad) == SV2_ERR_ARGUMENT);
    bad.value = sv2_view(g->frame, 0x10000);
    CHECK(sv2_frame_append_tlv(g->frame, g->cap, &len, &bad) == SV2_ERR_LENGTH);
    /* A frame that has no room for 5 bytes more is refused by its header alone. */
    CHECK(sv2_frame_header_encode(header, &full) == SV2_OK);
    len = SV2_FRAME_HEADER_LEN + full.length;
    CHECK(sv2_frame_append_tlv(header, SIZE_MAX, &len, tlv) == SV2_ERR_FRAME_LARGE);
    CHECK(len == SV2_FRAME_HEADER_LEN + full.length);
}

/* Appends all TLVs of bytes that fit; the appended bytes are then the start of bytes. */
static void check_append(const uint8_t *bytes, size_t size, size_t payload, size_t room)
{
    growing g;
    size_t left = size, start;
    const uint8_t *data = bytes;
    sv2_tlv tlv;
    start_frame(&g, payload, room);
    start = g.len;
    while (sv2_tlv_next(&tlv, &data, &left) == SV2_OK && append(&g, &tlv))
        continue;
    CHECK(size == 0 || memcmp(g.frame + start, bytes, g.len - start) == 0);
    memset(&tlv, 0, sizeof(tlv));
    check_refused(&g, &tlv);
    free(g.frame);
    free(g.before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices from = {data, size};
    size_t payload, room, left, at = 0, n;
    const uint8_t *bytes, *rest;
    sv2_tlv tlv;
    sv2_status status;
    if (size > FUZZ_MAX_INPUT)
        return 0;
    payload = (size_t)choose(&from, 1);
    room = (size_t)choose(&from, 2);
    bytes = guarded_copy(GUARD_INPUT, from.at, from.left);
    left = from.left;
    rest = bytes;
    while ((n = reference_next(bytes, from.left, at)) != 0) {
        CHECK(sv2_tlv_next(&tlv, &rest, &left) == SV2_OK);
        check_tlv(&tlv, bytes + at, n);
        at += n;
        CHECK(rest == bytes + at && left == from.left - at);
    }
    status = sv2_tlv_next(&tlv, &rest, &left);
    CHECK(status == (left == 0 ? SV2_END : SV2_ERR_TRUNCATED));
    CHECK(rest == bytes + at && left == from.left - at);
    check_append(bytes, from.left, payload, room);
    return 0;
}
