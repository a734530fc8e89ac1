/*
 * Sealed frames: every size that matters, every split, everything that can be wrong with them.
 */
#include "session.h"

enum {
    MOST = 1 << 20,
    PATTERN_TYPE = 0x15
};

static const sv2_noise_provider *provider;
static guarded sealed_pages, buffer_pages, input_pages;

/* A generator that is the same in every run. */
static uint32_t random_state = 1;

static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static uint8_t pattern(uint32_t length, size_t i)
{
    return (uint8_t)(length * 31u + i * 7u + (i >> 8));
}

/* A plain frame of this payload length, with an unreadable page behind it. */
static uint8_t *plain_frame(guarded *pages, uint32_t length, size_t room)
{
    uint8_t *frame = pages->end - room;
    size_t i;
    sv2_store_u16(frame, 0x8000);
    frame[2] = PATTERN_TYPE;
    sv2_store_u24(frame + 3, length);
    for (i = 0; i < length; i++)
        frame[SV2_FRAME_HEADER_LEN + i] = pattern(length, i);
    return frame;
}

/* Seals a frame of this payload length in a buffer that fits exactly. */
static uint8_t *seal_pattern(sv2_noise_sender *sender, uint32_t length, size_t *len)
{
    size_t room = sv2_noise_sealed_len(length);
    uint8_t *frame = plain_frame(&sealed_pages, length, room);
    *len = SV2_FRAME_HEADER_LEN + length;
    CHECK(sv2_noise_seal(sender, frame, room, len) == SV2_OK);
    CHECK(*len == room);
    return frame;
}

static int is_pattern(const sv2_frame *frame, uint32_t length)
{
    size_t i;
    if (frame->length != length || frame->extension_type != 0x8000
        || frame->message_type != PATTERN_TYPE)
        return 0;
    for (i = 0; i < length; i++)
        if (frame->payload[i] != pattern(length, i))
            return 0;
    return 1;
}

static void start_reader(sv2_noise_reader *reader, sv2_noise_receiver *receiver, uint32_t limit)
{
    size_t capacity = SV2_NOISE_BUFFER_LEN((size_t)limit);
    sv2_noise_reader_init(reader, receiver, buffer_pages.end - capacity, capacity, limit);
}

/* Hands len bytes over in pieces of at most most bytes; what the last one returned. Each piece ends
 * at an unreadable page. */
static sv2_status feed(sv2_noise_reader *reader, sv2_frame *frame, const uint8_t *data, size_t len,
                       uint32_t most)
{
    sv2_status status = SV2_NEED_MORE;
    while (len > 0) {
        size_t n = 1 + next_random(most);
        const uint8_t *piece;
        size_t left;
        if (n > len)
            n = len;
        piece = guarded_copy(&input_pages, data, n);
        left = n;
        status = sv2_noise_reader_next(reader, frame, &piece, &left);
        data += n;
        len -= n;
        if (status != SV2_NEED_MORE)
            break;
        CHECK(left == 0);
    }
    CHECK(status != SV2_OK || len == 0);
    return status;
}

static const uint32_t sizes[] = {
    0,   1,    2,    5,     6,     15,    16,     17,     22,     23,   255,
    256, 1291, 4095, 65518, 65519, 65520, 131037, 131038, 131039, MOST,
};

#define EACH(i, array) for (i = 0; i < sizeof(array) / sizeof((array)[0]); i++)

static void test_every_size_comes_back_in_any_pieces(void)
{
    static const uint32_t pieces[] = {MOST * 2, 1, 7, 23, 1400, 70000};
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t i, j, len;
    connect_ends(&client, &server, provider);
    EACH(i, sizes)
    {
        EACH(j, pieces)
        {
            uint8_t *sealed;
            if (pieces[j] < 20 && sizes[i] > 5000)
                continue;
            start_reader(&reader, &server.receiver, sizes[i]);
            sealed = seal_pattern(&client.sender, sizes[i], &len);
            CHECK(feed(&reader, &frame, sealed, len, pieces[j]) == SV2_OK);
            CHECK(is_pattern(&frame, sizes[i]));
        }
    }
}

static void test_frames_that_arrive_together_come_out_one_by_one(void)
{
    static uint8_t stream[4096];
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t total = 0, len;
    uint32_t i;
    const uint8_t *data = stream;
    connect_ends(&client, &server, provider);
    for (i = 0; i < 40; i++) {
        uint8_t *sealed = seal_pattern(&server.sender, i, &len);
        memcpy(stream + total, sealed, len);
        total += len;
    }
    start_reader(&reader, &client.receiver, 39);
    for (i = 0; i < 40; i++) {
        CHECK(sv2_noise_reader_next(&reader, &frame, &data, &total) == SV2_OK);
        CHECK(is_pattern(&frame, i));
    }
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &total) == SV2_NEED_MORE && total == 0);
}

/* As a device reads: straight into the buffer, whatever recv has. */
static void test_bytes_received_in_place(void)
{
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t i, len;
    connect_ends(&client, &server, provider);
    EACH(i, sizes)
    {
        uint8_t *sealed = seal_pattern(&client.sender, sizes[i], &len), *at;
        sv2_status status = SV2_NEED_MORE;
        size_t room;
        start_reader(&reader, &server.receiver, sizes[i]);
        while (status == SV2_NEED_MORE && len > 0) {
            size_t n;
            CHECK(sv2_noise_reader_window(&reader, &at, &room) == SV2_OK);
            CHECK(room > 0 && room <= len && at + room <= buffer_pages.end);
            CHECK(sv2_noise_reader_taken(&reader, &frame, room + 1) == SV2_ERR_ARGUMENT);
            n = next_random(3) == 0 ? room : 1 + next_random((uint32_t)room);
            memcpy(at, sealed, n);
            sealed += n;
            len -= n;
            status = sv2_noise_reader_taken(&reader, &frame, n);
        }
        CHECK(status == SV2_OK && len == 0 && is_pattern(&frame, sizes[i]));
    }
}

static void test_a_payload_anywhere_in_the_first_22_bytes_is_sealed(void)
{
    static uint8_t out[140000];
    static const uint32_t lengths[] = {0, 1, 100, 65519, 65520, 131039};
    sv2_noise_reader reader;
    end client, server;
    size_t i, at, len, n;
    connect_ends(&client, &server, provider);
    EACH(i, lengths)
    {
        for (at = 0; at <= 22; at++) {
            sv2_frame frame = {out + at, 0, 0x8000, PATTERN_TYPE};
            frame.length = lengths[i];
            for (n = 0; n < lengths[i]; n++)
                out[at + n] = pattern(lengths[i], n);
            CHECK(sv2_noise_seal_frame(&client.sender, out, sizeof(out), &len, &frame) == SV2_OK);
            start_reader(&reader, &server.receiver, lengths[i]);
            CHECK(feed(&reader, &frame, out, len, 70000) == SV2_OK);
            CHECK(is_pattern(&frame, lengths[i]));
        }
    }
}

static void test_what_cannot_be_sealed_changes_nothing(void)
{
    uint8_t out[64];
    end client, server;
    sv2_frame frame = {out, 10, 0, 0};
    sv2_noise_cipher before;
    size_t len;
    connect_ends(&client, &server, provider);
    before = client.sender.cipher;
    memset(out, 0, sizeof(out));
    out[3] = 10;
    len = 16;
    CHECK(sv2_noise_seal(&client.sender, out, 47, &len) == SV2_ERR_BUFFER && len == 48);
    len = 15;
    CHECK(sv2_noise_seal(&client.sender, out, 64, &len) == SV2_ERR_ARGUMENT && len == 0);
    len = 17;
    CHECK(sv2_noise_seal(&client.sender, out, 64, &len) == SV2_ERR_ARGUMENT && len == 0);
    len = 5;
    CHECK(sv2_noise_seal(&client.sender, out, 64, &len) == SV2_ERR_ARGUMENT && len == 0);
    len = 16;
    CHECK(sv2_noise_seal(&client.sender, out, 15, &len) == SV2_ERR_ARGUMENT && len == 0);
    CHECK(sv2_noise_seal(&client.sender, NULL, 64, &len) == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_seal(&client.sender, out, 64, NULL) == SV2_ERR_ARGUMENT);
    len = 16;
    CHECK(sv2_noise_seal(NULL, out, 64, &len) == SV2_ERR_ARGUMENT && len == 0);
    frame.length = SV2_MAX_PAYLOAD + 1;
    CHECK(sv2_noise_seal_frame(&client.sender, out, 64, &len, &frame) == SV2_ERR_FRAME_LARGE);
    frame.payload = NULL;
    frame.length = 1;
    CHECK(sv2_noise_seal_frame(&client.sender, out, 64, &len, &frame) == SV2_ERR_ARGUMENT);
    CHECK(memcmp(&before, &client.sender.cipher, sizeof(before)) == 0);
    CHECK(is_zero(out + 4, sizeof(out) - 4) && out[3] == 10);
    len = 16;
    CHECK(sv2_noise_seal(&client.sender, out, 48, &len) == SV2_OK && len == 48);
}

static void test_the_sealed_length(void)
{
    CHECK(sv2_noise_sealed_len(0) == 22);
    CHECK(sv2_noise_sealed_len(1) == 39);
    CHECK(sv2_noise_sealed_len(65519) == 22 + 65535);
    CHECK(sv2_noise_sealed_len(65520) == 22 + 65535 + 17);
    CHECK(sv2_noise_sealed_len(SV2_MAX_PAYLOAD) == 22 + SV2_MAX_PAYLOAD + 16 * 257);
}

/* ---- Bad input --------------------------------------------------------------------------------*/

static void check_dead(sv2_noise_reader *reader)
{
    static const uint8_t more[22];
    const uint8_t *data = more;
    uint8_t piece[22], *at;
    sv2_frame frame;
    size_t len = sizeof(more), room;
    CHECK(is_zero(reader->receiver->cipher.key, 32));
    CHECK(sv2_noise_reader_next(reader, &frame, &data, &len) == SV2_ERR_AUTH);
    CHECK(sv2_noise_reader_window(reader, &at, &room) == SV2_ERR_AUTH && room == 0);
    memset(piece, 1, sizeof(piece));
    CHECK(sv2_noise_open(reader->receiver, piece, sizeof(piece)) == SV2_ERR_AUTH);
    CHECK(is_zero(piece, sizeof(piece)));
}

static void test_every_wrong_byte_is_noticed(void)
{
    static const uint32_t lengths[] = {0, 1, 40};
    size_t i, at;
    EACH(i, lengths)
    {
        for (at = 0; at < sv2_noise_sealed_len(lengths[i]); at++) {
            sv2_noise_reader reader;
            sv2_frame frame;
            end client, server;
            size_t len;
            uint8_t *sealed;
            connect_ends(&client, &server, provider);
            sealed = seal_pattern(&client.sender, lengths[i], &len);
            sealed[at] ^= (uint8_t)(1u << (at % 8));
            start_reader(&reader, &server.receiver, lengths[i]);
            CHECK(feed(&reader, &frame, sealed, len, MOST) == SV2_ERR_AUTH);
            check_dead(&reader);
        }
    }
}

static void test_a_wrong_byte_in_any_chunk_is_noticed(void)
{
    static const size_t at[] = {
        0, 21, 22, 22 + 65535 - 1, 22 + 65535, 22 + 65535 + 65535, 22 + 2 * 65535 + 18};
    size_t i;
    EACH(i, at)
    {
        sv2_noise_reader reader;
        sv2_frame frame;
        end client, server;
        size_t len;
        uint8_t *sealed;
        connect_ends(&client, &server, provider);
        sealed = seal_pattern(&client.sender, 2 * 65519 + 3, &len);
        CHECK(at[i] < len);
        sealed[at[i]] ^= 1;
        start_reader(&reader, &server.receiver, 2 * 65519 + 3);
        CHECK(feed(&reader, &frame, sealed, len, 70000) == SV2_ERR_AUTH);
        check_dead(&reader);
    }
}

static void test_no_prefix_is_a_frame(void)
{
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t len, i;
    uint8_t *sealed;
    connect_ends(&client, &server, provider);
    sealed = seal_pattern(&client.sender, 300, &len);
    start_reader(&reader, &server.receiver, 300);
    for (i = 0; i < len - 1; i++)
        CHECK(feed(&reader, &frame, sealed + i, 1, 1) == SV2_NEED_MORE);
    CHECK(feed(&reader, &frame, sealed + i, 1, 1) == SV2_OK && is_pattern(&frame, 300));
}

static void test_frames_out_of_order_repeated_or_reflected_are_refused(void)
{
    uint8_t first[64], second[64];
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t one, two;
    connect_ends(&client, &server, provider);
    memcpy(first, seal_pattern(&client.sender, 1, &one), 39);
    memcpy(second, seal_pattern(&client.sender, 2, &two), 40);
    start_reader(&reader, &server.receiver, 10);
    CHECK(feed(&reader, &frame, first, one, MOST) == SV2_OK);
    CHECK(feed(&reader, &frame, first, one, MOST) == SV2_ERR_AUTH);
    connect_ends(&client, &server, provider);
    memcpy(first, seal_pattern(&client.sender, 1, &one), 39);
    memcpy(second, seal_pattern(&client.sender, 2, &two), 40);
    start_reader(&reader, &server.receiver, 10);
    CHECK(feed(&reader, &frame, second, two, MOST) == SV2_ERR_AUTH);
    start_reader(&reader, &client.receiver, 10);
    CHECK(feed(&reader, &frame, first, one, MOST) == SV2_ERR_AUTH);
}

static void test_pieces_of_an_impossible_length_are_refused(void)
{
    static uint8_t data[65536 + 16];
    end client, server;
    connect_ends(&client, &server, provider);
    CHECK(sv2_noise_open(&server.receiver, data, 0) == SV2_ERR_LENGTH);
    CHECK(sv2_noise_open(&server.receiver, data, 16) == SV2_ERR_LENGTH);
    CHECK(sv2_noise_open(&server.receiver, data, 65536) == SV2_ERR_LENGTH);
    CHECK(sv2_noise_open(NULL, data, 22) == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_open(&server.receiver, NULL, 22) == SV2_ERR_ARGUMENT);
    CHECK(server.receiver.cipher.nonce == 0 && server.receiver.cipher.status == SV2_OK);
    CHECK(sv2_noise_open(&server.receiver, data, 65535) == SV2_ERR_AUTH);
}

static void test_ends_that_never_were_connected(void)
{
    sv2_noise_sender sender;
    sv2_noise_receiver receiver;
    uint8_t data[64] = {0};
    size_t len = SV2_FRAME_HEADER_LEN;
    memset(&sender, 0, sizeof(sender));
    memset(&receiver, 0, sizeof(receiver));
    CHECK(sv2_noise_seal(&sender, data, sizeof(data), &len) == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_open(&receiver, data, 22) == SV2_ERR_ARGUMENT);
}

/* ---- Limits -----------------------------------------------------------------------------------*/

/* A frame over the limit, then one within: refused again and again, or dropped and gone on. */
static void check_oversize(uint32_t length, uint32_t limit, uint32_t pieces)
{
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t len, rest;
    const uint8_t *data;
    connect_ends(&client, &server, provider);
    start_reader(&reader, &server.receiver, limit);
    data = seal_pattern(&client.sender, length, &len);
    CHECK(feed(&reader, &frame, data, SV2_NOISE_HEADER_LEN, pieces) == SV2_ERR_FRAME_LARGE);
    data += SV2_NOISE_HEADER_LEN;
    rest = len - SV2_NOISE_HEADER_LEN;
    CHECK(frame.length == length && frame.message_type == PATTERN_TYPE && frame.payload == NULL);
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &rest) == SV2_ERR_FRAME_LARGE);
    CHECK(rest == len - SV2_NOISE_HEADER_LEN && frame.length == length);
    sv2_noise_reader_skip(&reader);
    CHECK(feed(&reader, &frame, data, rest, pieces) == SV2_NEED_MORE);
    data = seal_pattern(&client.sender, limit, &len);
    CHECK(feed(&reader, &frame, data, len, pieces) == SV2_OK && is_pattern(&frame, limit));
}

static void test_oversize_frames_are_skipped(void)
{
    check_oversize(1, 0, MOST);
    check_oversize(101, 100, MOST);
    check_oversize(101, 100, 3);
    check_oversize(65519, 100, 1000);
    check_oversize(65520, 1000, 70000);
    check_oversize(MOST, 1000, 70000);
}

static void test_a_full_buffer_grows_or_drops_the_frame(void)
{
    static uint8_t small[1000], large[140000];
    size_t given, len, left;
    for (given = 0; given < 2; given++) {
        sv2_noise_reader reader;
        sv2_frame frame;
        end client, server;
        const uint8_t *data;
        connect_ends(&client, &server, provider);
        data = seal_pattern(&client.sender, 131000, &len);
        left = len;
        sv2_noise_reader_init(&reader, &server.receiver, small, sizeof(small), 131000);
        CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_BUFFER);
        CHECK(left == len - 1022 && frame.length == 131000 && frame.payload == NULL);
        CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_BUFFER);
        CHECK(sv2_noise_reader_grow(&reader, large, 999) == SV2_ERR_BUFFER);
        CHECK(sv2_noise_reader_grow(&reader, large, 70000) == SV2_OK);
        CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_BUFFER);
        if (given == 0) {
            CHECK(sv2_noise_reader_grow(&reader, large, sizeof(large)) == SV2_OK);
            CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_OK);
            CHECK(left == 0 && is_pattern(&frame, 131000));
        } else {
            sv2_noise_reader_skip(&reader);
            CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_NEED_MORE);
            CHECK(left == 0);
        }
        data = seal_pattern(&client.sender, 500, &len);
        CHECK(feed(&reader, &frame, data, len, 100) == SV2_OK && is_pattern(&frame, 500));
    }
}

static void test_a_reader_without_a_buffer_asks_for_one(void)
{
    uint8_t buffer[SV2_NOISE_BUFFER_LEN(5)];
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    const uint8_t *data;
    size_t len, left;
    connect_ends(&client, &server, provider);
    data = seal_pattern(&client.sender, 5, &len);
    left = len;
    sv2_noise_reader_init(&reader, &server.receiver, NULL, 0, 5);
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_BUFFER && left == len);
    sv2_noise_reader_skip(&reader);
    CHECK(sv2_noise_reader_grow(&reader, buffer, sizeof(buffer)) == SV2_OK);
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_OK && left == 0);
    CHECK(is_pattern(&frame, 5));
}

static void test_a_frame_is_dropped_without_a_buffer_or_a_session_too(void)
{
    uint8_t buffer[SV2_NOISE_BUFFER_LEN(100)], piece[22] = {0};
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    const uint8_t *data;
    size_t len, left = 50;
    connect_ends(&client, &server, provider);
    start_reader(&reader, &server.receiver, 100);
    data = seal_pattern(&client.sender, 101, &len);
    CHECK(feed(&reader, &frame, data, 30, 30) == SV2_ERR_FRAME_LARGE);
    data += SV2_NOISE_HEADER_LEN;
    sv2_noise_reader_skip(&reader);
    CHECK(sv2_noise_reader_grow(&reader, NULL, 0) == SV2_OK);
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_BUFFER && left == 50);
    CHECK(sv2_noise_reader_grow(&reader, buffer, sizeof(buffer)) == SV2_OK);
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_NEED_MORE && left == 0);
    CHECK(sv2_noise_open(&server.receiver, piece, sizeof(piece)) == SV2_ERR_AUTH);
    left = 50;
    CHECK(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_AUTH && left == 50);
}

static void test_a_new_limit_holds_from_the_next_header_on(void)
{
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    const uint8_t *data;
    size_t len;
    connect_ends(&client, &server, provider);
    start_reader(&reader, &server.receiver, 200);
    sv2_noise_reader_set_limit(&reader, 100);
    data = seal_pattern(&client.sender, 100, &len);
    CHECK(feed(&reader, &frame, data, 30, 30) == SV2_NEED_MORE);
    sv2_noise_reader_set_limit(&reader, 99);
    CHECK(feed(&reader, &frame, data + 30, len - 30, MOST) == SV2_OK && is_pattern(&frame, 100));
    data = seal_pattern(&client.sender, 100, &len);
    CHECK(feed(&reader, &frame, data, 22, 22) == SV2_ERR_FRAME_LARGE);
    sv2_noise_reader_set_limit(&reader, 200);
    CHECK(feed(&reader, &frame, data + 22, 1, 1) == SV2_ERR_FRAME_LARGE);
    sv2_noise_reader_skip(&reader);
    CHECK(feed(&reader, &frame, data + 22, len - 22, MOST) == SV2_NEED_MORE);
    data = seal_pattern(&client.sender, 200, &len);
    CHECK(feed(&reader, &frame, data, len, MOST) == SV2_OK && is_pattern(&frame, 200));
}

/* ---- Nonces -----------------------------------------------------------------------------------*/

static void test_the_last_nonce_is_never_used(void)
{
    uint8_t out[64];
    sv2_frame frame = {out, 0, 0, 0};
    end client, server;
    size_t len;
    connect_ends(&client, &server, provider);
    client.sender.cipher.nonce = server.receiver.cipher.nonce = UINT64_MAX - 2;
    frame.length = 1;
    CHECK(sv2_noise_seal_frame(&client.sender, out, sizeof(out), &len, &frame) == SV2_OK);
    CHECK(sv2_noise_open(&server.receiver, out, 22) == SV2_OK);
    CHECK(sv2_noise_open(&server.receiver, out + 22, 17) == SV2_OK);
    CHECK(sv2_noise_seal_frame(&client.sender, out, sizeof(out), &len, &frame) == SV2_ERR_NONCE);
    CHECK(len == 0 && is_zero(client.sender.cipher.key, 32));
    CHECK(sv2_noise_seal_frame(&client.sender, out, sizeof(out), &len, &frame) == SV2_ERR_NONCE);
    CHECK(sv2_noise_open(&server.receiver, out, 22) == SV2_ERR_NONCE);
    CHECK(is_zero(server.receiver.cipher.key, 32));
    connect_ends(&client, &server, provider);
    client.sender.cipher.nonce = UINT64_MAX - 1;
    CHECK(sv2_noise_seal_frame(&client.sender, out, sizeof(out), &len, &frame) == SV2_ERR_NONCE);
}

static void test_skipping_ends_at_the_last_nonce_too(void)
{
    sv2_noise_reader reader;
    sv2_frame frame;
    end client, server;
    size_t len;
    uint8_t *sealed;
    connect_ends(&client, &server, provider);
    client.sender.cipher.nonce = server.receiver.cipher.nonce = UINT64_MAX - 3;
    sealed = seal_pattern(&client.sender, 65520, &len);
    start_reader(&reader, &server.receiver, 10);
    CHECK(feed(&reader, &frame, sealed, 22, MOST) == SV2_ERR_FRAME_LARGE);
    server.receiver.cipher.nonce++;
    sv2_noise_reader_skip(&reader);
    CHECK(feed(&reader, &frame, sealed, 1, 1) == SV2_ERR_NONCE);
}

/* ---- A provider that fails --------------------------------------------------------------------*/

static unsigned seals_left;

static bool failing_seal(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                         const uint8_t nonce[12], sv2_bytes associated)
{
    return seals_left-- != 0 && provider->seal(context, data, len, key, nonce, associated);
}

static void test_a_frame_that_could_not_be_sealed_ends_the_session(void)
{
    sv2_noise_provider failing = *provider;
    unsigned n;
    failing.seal = failing_seal;
    for (n = 0; n < 3; n++) {
        end client, server;
        size_t len = SV2_FRAME_HEADER_LEN + 65520;
        uint8_t *frame = plain_frame(&sealed_pages, 65520, sv2_noise_sealed_len(65520));
        connect_ends(&client, &server, provider);
        client.sender.cipher.provider = &failing;
        seals_left = n;
        CHECK(sv2_noise_seal(&client.sender, frame, sv2_noise_sealed_len(65520), &len)
              == SV2_ERR_PROVIDER);
        CHECK(len == 0 && is_zero(client.sender.cipher.key, 32));
        len = SV2_FRAME_HEADER_LEN;
        memset(frame, 0, SV2_FRAME_HEADER_LEN);
        CHECK(sv2_noise_seal(&client.sender, frame, 22, &len) == SV2_ERR_PROVIDER && len == 0);
    }
}

int main(void)
{
    crypto c;
    provider = crypto_start(&c);
    sealed_pages = guarded_new(MOST + 1024);
    buffer_pages = guarded_new(MOST + 1024);
    input_pages = guarded_new(MOST + 1024);
    test_every_size_comes_back_in_any_pieces();
    test_frames_that_arrive_together_come_out_one_by_one();
    test_bytes_received_in_place();
    test_a_payload_anywhere_in_the_first_22_bytes_is_sealed();
    test_what_cannot_be_sealed_changes_nothing();
    test_the_sealed_length();
    test_every_wrong_byte_is_noticed();
    test_a_wrong_byte_in_any_chunk_is_noticed();
    test_no_prefix_is_a_frame();
    test_frames_out_of_order_repeated_or_reflected_are_refused();
    test_pieces_of_an_impossible_length_are_refused();
    test_ends_that_never_were_connected();
    test_oversize_frames_are_skipped();
    test_a_full_buffer_grows_or_drops_the_frame();
    test_a_reader_without_a_buffer_asks_for_one();
    test_a_frame_is_dropped_without_a_buffer_or_a_session_too();
    test_a_new_limit_holds_from_the_next_header_on();
    test_the_last_nonce_is_never_used();
    test_skipping_ends_at_the_last_nonce_too();
    test_a_frame_that_could_not_be_sealed_ends_the_session();
    crypto_stop(&c);
    return test_result("noise transport, " CRYPTO_NAME);
}
