/* Invariant: however a byte stream is split, and whatever the buffer, it yields the frames that it holds, refuses exactly those over a limit, and goes on behind them. */
/*
 * Input: 2 bytes limit, 1 byte first capacity, 1 byte how often to grow rather than skip, 4 bytes that
 * seed the splits; the stream. Each piece of input ends flush against a page without access and is
 * overwritten once it was taken; buffers are allocations of their exact size.
 */
#include <stdlib.h>

#include "fuzz.h"

typedef struct scene {
    sv2_stream stream;
    uint8_t *buffer;
    const uint8_t *bytes; /* the whole stream */
    size_t size;
    size_t given;    /* bytes that the stream has been given */
    size_t expected; /* where the next frame begins */
    uint32_t limit;
    unsigned grow_chance; /* of 256 */
    uint64_t random;
} scene;

static uint32_t length_at(const scene *s, size_t at)
{
    return sv2_load_u24(s->bytes + at + 3);
}

static void check_header(const scene *s, const sv2_frame *frame)
{
    const uint8_t *header = s->bytes + s->expected;
    CHECK(s->expected + SV2_FRAME_HEADER_LEN <= s->given);
    CHECK(frame->extension_type == sv2_load_u16(header) && frame->message_type == header[2]);
    CHECK(frame->length == length_at(s, s->expected));
}

static void check_frame(scene *s, const sv2_frame *frame)
{
    check_header(s, frame);
    CHECK(frame->length <= s->limit);
    s->expected += SV2_FRAME_HEADER_LEN + (size_t)frame->length;
    CHECK(s->expected <= s->given);
    if (frame->length != 0)
        CHECK(memcmp(frame->payload, s->bytes + s->expected - frame->length, frame->length) == 0);
}

static void grow(scene *s, const sv2_frame *frame)
{
    size_t held = s->stream.held, most = frame->length - held;
    size_t capacity = held + 1 + (size_t)(next_random(&s->random) % most);
    uint8_t *buffer = fuzz_malloc(capacity);
    CHECK(held == 0 || sv2_stream_grow(&s->stream, buffer, held - 1) == SV2_ERR_BUFFER);
    CHECK(sv2_stream_grow(&s->stream, buffer, capacity) == SV2_OK);
    free(s->buffer);
    s->buffer = buffer;
}

static void refuse(scene *s, const sv2_frame *frame)
{
    check_header(s, frame);
    CHECK(frame->payload == NULL);
    s->expected += SV2_FRAME_HEADER_LEN + (size_t)frame->length;
    sv2_stream_skip(&s->stream);
}

static void check_buffer_full(scene *s, const sv2_frame *frame)
{
    check_header(s, frame);
    CHECK(frame->length <= s->limit && frame->length > s->stream.capacity);
    if (next_random(&s->random) % 256 < s->grow_chance)
        grow(s, frame);
    else
        refuse(s, frame);
}

/* One piece: everything that comes of it. */
static void give(scene *s, size_t n)
{
    const uint8_t *piece = guarded_copy(GUARD_INPUT, s->bytes + s->given, n), *data = piece;
    size_t len = n;
    sv2_frame frame;
    sv2_status status;
    s->given += n;
    while ((status = sv2_stream_next(&s->stream, &frame, &data, &len)) != SV2_NEED_MORE) {
        CHECK(data >= piece && data + len == piece + n);
        if (status == SV2_OK) {
            check_frame(s, &frame);
        } else if (status == SV2_ERR_FRAME_LARGE) {
            CHECK(frame.length > s->limit);
            refuse(s, &frame);
        } else {
            CHECK(status == SV2_ERR_BUFFER);
            check_buffer_full(s, &frame);
        }
    }
    CHECK(len == 0);
    if (n != 0)
        memset(guarded(GUARD_INPUT, n), 0xee, n);
}

/* What has not come out is one incomplete frame, or the rest of one that was refused. */
static void check_end(const scene *s)
{
    size_t left;
    if (s->expected >= s->size)
        return;
    left = s->size - s->expected;
    CHECK(left < SV2_FRAME_HEADER_LEN
          || (length_at(s, s->expected) <= s->limit
              && left - SV2_FRAME_HEADER_LEN < length_at(s, s->expected)));
}

static size_t next_split(scene *s)
{
    size_t left = s->size - s->given;
    uint64_t r = next_random(&s->random);
    size_t n = r % 4 == 0 ? 1 : r % 4 == 1 ? (size_t)(r >> 8) % 16 : (size_t)(r >> 8) % (left + 1);
    return n < left ? n : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices from = {data, size};
    size_t capacity, empty = 0;
    scene s;
    if (size > FUZZ_MAX_INPUT)
        return 0;
    memset(&s, 0, sizeof(s));
    s.limit = (uint32_t)choose(&from, 2);
    capacity = (size_t)choose(&from, 1);
    s.grow_chance = (unsigned)choose(&from, 1);
    s.random = choose(&from, 4);
    s.bytes = from.at;
    s.size = from.left;
    if (s.limit == 0xffff)
        s.limit = UINT32_MAX;
    s.buffer = capacity != 0 ? fuzz_malloc(capacity) : NULL;
    sv2_stream_init(&s.stream, s.buffer, capacity, s.limit);
    while (s.given < s.size && empty < 64) {
        size_t n = next_split(&s);
        empty = n == 0 ? empty + 1 : 0;
        give(&s, n);
    }
    give(&s, s.size - s.given);
    check_end(&s);
    free(s.buffer);
    return 0;
}
