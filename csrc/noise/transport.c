/*
 * Transport ciphers, sealed frames, and the reader that opens them. Spec: 4.6.
 */
#include <string.h>

#include "symmetric.h"

/* The Noise framework reserves the last nonce, so that it never encrypts a message. */
#define LAST_NONCE UINT64_MAX

static sv2_status cipher_fail(sv2_noise_cipher *cipher, sv2_status status)
{
    sv2_noise_wipe(cipher, sizeof(*cipher));
    cipher->status = status;
    return status;
}

/* SV2_OK where the cipher can be used for count more pieces. */
static sv2_status cipher_ready(sv2_noise_cipher *cipher, uint32_t count)
{
    if (cipher->status != SV2_OK)
        return cipher->status;
    if (cipher->provider == NULL)
        return SV2_ERR_ARGUMENT;
    return count > LAST_NONCE - cipher->nonce ? cipher_fail(cipher, SV2_ERR_NONCE) : SV2_OK;
}

static uint32_t least(size_t a, size_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static uint32_t chunk_count(uint32_t length)
{
    return (length + SV2_NOISE_MAX_CHUNK - 1) / SV2_NOISE_MAX_CHUNK;
}

/* ---- Sending ----------------------------------------------------------------------------------*/

static bool seal_piece(const sv2_noise_cipher *cipher, uint8_t *data, size_t len, uint32_t index)
{
    const sv2_noise_provider *p = cipher->provider;
    uint8_t nonce[12];
    sv2_noise_nonce(nonce, cipher->nonce + index);
    return p->seal(p->context, data, len, cipher->key, nonce, sv2_view(NULL, 0));
}

/* memmove towards the end, or from elsewhere: blocks from the last to the first. */
static void move(uint8_t *to, const uint8_t *from, size_t len)
{
    uint8_t block[16];
    for (; len >= sizeof(block); len -= sizeof(block)) {
        memcpy(block, from + len - sizeof(block), sizeof(block));
        memcpy(to + len - sizeof(block), block, sizeof(block));
    }
    memcpy(block, from, len);
    memcpy(to, block, len);
}

/* From the last chunk to the first: each moves towards the end, and never over one that is still to
 * be moved, since chunk i lies at most 22 + 16 * i bytes before its place. */
static bool seal_payload(const sv2_noise_cipher *cipher, uint8_t *out, const sv2_frame *frame)
{
    uint32_t i = chunk_count(frame->length);
    while (i-- > 0) {
        const uint8_t *from = frame->payload + (size_t)i * SV2_NOISE_MAX_CHUNK;
        uint8_t *to = out + (size_t)i * (SV2_NOISE_MAX_CHUNK + SV2_NOISE_MAC_LEN);
        size_t len = least(frame->length - i * SV2_NOISE_MAX_CHUNK, SV2_NOISE_MAX_CHUNK);
        if (to != from)
            move(to, from, len);
        if (!seal_piece(cipher, to, len, i + 1))
            return false;
    }
    return true;
}

sv2_status sv2_noise_seal_frame(sv2_noise_sender *sender, uint8_t *out, size_t cap, size_t *len,
                                const sv2_frame *frame)
{
    sv2_noise_cipher *cipher;
    sv2_status status;
    uint32_t pieces;
    if (len == NULL)
        return SV2_ERR_ARGUMENT;
    *len = 0;
    if (sender == NULL || out == NULL || frame == NULL
        || (frame->payload == NULL && frame->length != 0))
        return SV2_ERR_ARGUMENT;
    if (frame->length > SV2_MAX_PAYLOAD)
        return SV2_ERR_FRAME_LARGE;
    cipher = &sender->cipher;
    pieces = 1 + chunk_count(frame->length);
    if ((status = cipher_ready(cipher, pieces)) != SV2_OK)
        return status;
    *len = sv2_noise_sealed_len(frame->length);
    if (cap < *len)
        return SV2_ERR_BUFFER;
    if (!seal_payload(cipher, out + SV2_NOISE_HEADER_LEN, frame)
        || sv2_frame_header_encode(out, frame) != SV2_OK
        || !seal_piece(cipher, out, SV2_FRAME_HEADER_LEN, 0)) {
        *len = 0;
        return cipher_fail(cipher, SV2_ERR_PROVIDER);
    }
    cipher->nonce += pieces;
    return SV2_OK;
}

sv2_status sv2_noise_seal(sv2_noise_sender *sender, uint8_t *frame, size_t cap, size_t *len)
{
    sv2_frame plain;
    size_t given;
    if (len == NULL)
        return SV2_ERR_ARGUMENT;
    given = *len;
    *len = 0;
    if (frame == NULL || given < SV2_FRAME_HEADER_LEN || given > cap)
        return SV2_ERR_ARGUMENT;
    sv2_frame_header_decode(&plain, frame);
    if (given - SV2_FRAME_HEADER_LEN != plain.length)
        return SV2_ERR_ARGUMENT;
    plain.payload = frame + SV2_FRAME_HEADER_LEN;
    return sv2_noise_seal_frame(sender, frame, cap, len, &plain);
}

/* ---- Receiving --------------------------------------------------------------------------------*/

sv2_status sv2_noise_open(sv2_noise_receiver *receiver, uint8_t *data, size_t len)
{
    sv2_noise_cipher *cipher;
    const sv2_noise_provider *p;
    sv2_status status;
    uint8_t nonce[12];
    if (receiver == NULL || data == NULL)
        return SV2_ERR_ARGUMENT;
    if (len <= SV2_NOISE_MAC_LEN || len > SV2_NOISE_MAX_CHUNK + SV2_NOISE_MAC_LEN)
        return SV2_ERR_LENGTH;
    cipher = &receiver->cipher;
    status = cipher_ready(cipher, 1);
    if (status == SV2_OK) {
        p = cipher->provider;
        sv2_noise_nonce(nonce, cipher->nonce++);
        if (p->open(p->context, data, len - SV2_NOISE_MAC_LEN, cipher->key, nonce,
                    sv2_view(NULL, 0)))
            return SV2_OK;
        status = cipher_fail(cipher, SV2_ERR_AUTH);
    }
    sv2_noise_wipe(data, len);
    return status;
}

void sv2_noise_reader_init(sv2_noise_reader *reader, sv2_noise_receiver *receiver, uint8_t *buffer,
                           size_t capacity, uint32_t limit)
{
    memset(reader, 0, sizeof(*reader));
    reader->receiver = receiver;
    reader->buffer = buffer;
    reader->capacity = capacity;
    reader->limit = limit;
}

static uint32_t frame_length(const sv2_noise_reader *reader)
{
    return sv2_load_u24(reader->header + 3);
}

/* Where in the buffer the piece under way will end: a sealed header, or a sealed chunk that lies
 * behind the plain bytes of those before it and overwrites the last one's MAC. */
static size_t piece_end(const sv2_noise_reader *reader)
{
    uint32_t chunk;
    if (!reader->opened)
        return SV2_NOISE_HEADER_LEN;
    chunk = least(frame_length(reader) - reader->plain, SV2_NOISE_MAX_CHUNK);
    return (size_t)reader->plain + chunk + SV2_NOISE_MAC_LEN;
}

sv2_status sv2_noise_reader_window(const sv2_noise_reader *reader, uint8_t **at, size_t *room)
{
    size_t end = piece_end(reader);
    *at = NULL;
    *room = 0;
    if (reader->receiver->cipher.status != SV2_OK)
        return reader->receiver->cipher.status;
    if (reader->large)
        return SV2_ERR_FRAME_LARGE;
    if (reader->skip != 0)
        end = reader->skip;
    if (reader->held == reader->capacity)
        return SV2_ERR_BUFFER;
    *at = reader->buffer + reader->held;
    *room = least(end, reader->capacity) - reader->held;
    return SV2_OK;
}

static void fill_frame(const sv2_noise_reader *reader, sv2_frame *frame)
{
    memset(frame, 0, sizeof(*frame));
    if (reader->opened)
        sv2_frame_header_decode(frame, reader->header);
}

static sv2_status give_frame(sv2_noise_reader *reader, sv2_frame *frame)
{
    fill_frame(reader, frame);
    frame->payload = reader->buffer;
    reader->held = 0;
    reader->plain = 0;
    reader->opened = false;
    return SV2_OK;
}

/* Opens the piece that has just become complete. */
static sv2_status open_piece(sv2_noise_reader *reader, sv2_frame *frame)
{
    uint8_t *piece = reader->buffer + reader->plain;
    size_t len = reader->held - reader->plain;
    sv2_status status = sv2_noise_open(reader->receiver, piece, len);
    if (status != SV2_OK) {
        reader->held = reader->plain; /* what was sealed is wiped */
        return status;
    }
    if (reader->opened) {
        reader->plain += (uint32_t)(len - SV2_NOISE_MAC_LEN);
    } else {
        memcpy(reader->header, piece, SV2_FRAME_HEADER_LEN);
        reader->opened = true;
        reader->large = frame_length(reader) > reader->limit;
    }
    reader->held = reader->plain;
    return reader->plain == frame_length(reader) ? give_frame(reader, frame) : SV2_NEED_MORE;
}

sv2_status sv2_noise_reader_taken(sv2_noise_reader *reader, sv2_frame *frame, size_t n)
{
    uint8_t *at;
    size_t room;
    sv2_status status = sv2_noise_reader_window(reader, &at, &room);
    fill_frame(reader, frame);
    if (n > room)
        return status == SV2_OK ? SV2_ERR_ARGUMENT : status;
    if (status == SV2_OK && reader->skip != 0) {
        reader->skip -= (uint32_t)n;
        return SV2_NEED_MORE;
    }
    reader->held += n;
    if (status == SV2_OK && reader->held == piece_end(reader)) {
        status = open_piece(reader, frame);
        if (status != SV2_NEED_MORE)
            return status;
        fill_frame(reader, frame);
    }
    status = sv2_noise_reader_window(reader, &at, &room);
    return status == SV2_OK ? SV2_NEED_MORE : status;
}

sv2_status sv2_noise_reader_next(sv2_noise_reader *reader, sv2_frame *frame, const uint8_t **data,
                                 size_t *len)
{
    sv2_status status = SV2_NEED_MORE;
    do {
        uint8_t *at;
        size_t room, n;
        status = sv2_noise_reader_window(reader, &at, &room);
        n = least(room, *len);
        if (n != 0) {
            memcpy(at, *data, n);
            *data += n;
            *len -= n;
        }
        status = sv2_noise_reader_taken(reader, frame, n);
    } while (status == SV2_NEED_MORE && *len != 0);
    return status;
}

sv2_status sv2_noise_reader_grow(sv2_noise_reader *reader, uint8_t *buffer, size_t capacity)
{
    if (capacity < reader->held)
        return SV2_ERR_BUFFER;
    if (reader->held != 0 && buffer != reader->buffer)
        memcpy(buffer, reader->buffer, reader->held);
    reader->buffer = buffer;
    reader->capacity = capacity;
    return SV2_OK;
}

void sv2_noise_reader_skip(sv2_noise_reader *reader)
{
    uint32_t length = frame_length(reader), left, chunks;
    sv2_noise_cipher *cipher = &reader->receiver->cipher;
    if (!reader->opened)
        return;
    left = length - reader->plain;
    chunks = chunk_count(left);
    if (cipher_ready(cipher, chunks) != SV2_OK)
        return;
    cipher->nonce += chunks;
    reader->skip = left + chunks * SV2_NOISE_MAC_LEN - (uint32_t)(reader->held - reader->plain);
    reader->held = 0;
    reader->plain = 0;
    reader->opened = false;
    reader->large = false;
}
