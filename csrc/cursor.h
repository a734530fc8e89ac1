/*
 * Sticky-error cursors. A reader or writer that has failed stays failed and gives harmless pointers,
 * so that code per field needs no branch of its own; the status is looked at once.
 */
#ifndef SV2_CURSOR_H
#define SV2_CURSOR_H

#include <string.h>

#include "libsv2/codec.h"

typedef struct sv2_reader {
    const uint8_t *pos;
    size_t left;
    sv2_status status;
} sv2_reader;

/* What a failed reader hands out: the longest thing that is read from a pointer is a U256. */
extern const uint8_t sv2_reader_nothing[32];

static inline void sv2_reader_fail(sv2_reader *r, sv2_status status)
{
    if (r->status == SV2_OK)
        r->status = status;
    r->left = 0;
}

/* The next n bytes. After a failure: 32 zero bytes for n up to 32; for larger n a pointer that must
 * not be followed, which callers only store. */
static inline const uint8_t *sv2_take(sv2_reader *r, size_t n)
{
    const uint8_t *p = r->pos;
    if (n > r->left) {
        sv2_reader_fail(r, SV2_ERR_TRUNCATED);
        return sv2_reader_nothing;
    }
    r->pos += n;
    r->left -= n;
    return p;
}

typedef struct sv2_writer {
    uint8_t *pos;
    size_t left; /* bytes at pos */
    size_t over; /* bytes that would have gone in with more room */
    size_t cap;  /* of the buffer, as far as it is used; at most SV2_MAX_PAYLOAD */
    sv2_status status;
    uint8_t nowhere[8]; /* where small values go for which there is no room */
} sv2_writer;

static inline void sv2_writer_init(sv2_writer *w, uint8_t *out, size_t cap)
{
    w->pos = out;
    w->left = w->cap = cap;
    w->over = 0;
    w->status = SV2_OK; /* nowhere needs no value: nothing reads it */
}

/* SV2_ERR_BUFFER gives way to any other failure: counting goes on behind a full buffer. */
static inline void sv2_writer_fail(sv2_writer *w, sv2_status status)
{
    if (w->status == SV2_OK || w->status == SV2_ERR_BUFFER)
        w->status = status;
}

/* Counts n bytes for which there is no room. */
void sv2_overflow(sv2_writer *w, size_t n);

/* Where to store the next n bytes, at most 8: never NULL. */
static inline uint8_t *sv2_room(sv2_writer *w, size_t n)
{
    uint8_t *p = w->pos;
    if (n > w->left) {
        sv2_overflow(w, n);
        return w->nowhere;
    }
    w->pos += n;
    w->left -= n;
    return p;
}

/* memcpy, but short runs, which most fields are, without a call where code may be fast instead of
 * small. n is not 0. */
static inline void sv2_copy(uint8_t *to, const void *from, size_t n)
{
#ifndef __OPTIMIZE_SIZE__
    const uint8_t *p = (const uint8_t *)from;
    if (n <= 16) {
        if (n >= 8) {
            uint64_t head, tail; /* they overlap where n is below 16 */
            memcpy(&head, p, 8);
            memcpy(&tail, p + n - 8, 8);
            memcpy(to, &head, 8);
            memcpy(to + n - 8, &tail, 8);
            return;
        }
        if (n >= 4) {
            uint32_t head, tail;
            memcpy(&head, p, 4);
            memcpy(&tail, p + n - 4, 4);
            memcpy(to, &head, 4);
            memcpy(to + n - 4, &tail, 4);
            return;
        }
    }
#endif
    memcpy(to, from, n);
}

static inline void sv2_put(sv2_writer *w, const void *data, size_t n)
{
    uint8_t *p = w->pos;
    if (n > w->left) {
        sv2_overflow(w, n);
        return;
    }
    if (n == 0)
        return;
    sv2_copy(p, data, n);
    w->pos += n;
    w->left -= n;
}

#endif
