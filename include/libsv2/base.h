/*
 * Status codes, borrowed views, sequences and byte order. Spec: 3.1.
 */
#ifndef LIBSV2_BASE_H
#define LIBSV2_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SV2_VERSION_MAJOR 0
#define SV2_VERSION_MINOR 1
#define SV2_VERSION_PATCH 0

/* Marks what the shared library exports. Empty in static builds; a build may predefine it. */
#ifndef SV2_API
#if defined(SV2_BUILD_SHARED) && defined(_WIN32)
#define SV2_API __declspec(dllexport)
#elif defined(SV2_BUILD_SHARED)
#define SV2_API __attribute__((visibility("default")))
#else
#define SV2_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What every fallible function returns. SV2_OK is 0; positive values below SV2_ERR_TRUNCATED are
 * no errors. Values are stable: new ones are added at the end. */
typedef enum sv2_status {
    SV2_OK = 0,
    SV2_NEED_MORE = 1, /* stream: all input is consumed, no frame is complete yet */
    SV2_END = 2,       /* iteration: no element is left */

    SV2_ERR_TRUNCATED = 16,   /* the input ends within a field */
    SV2_ERR_LENGTH = 17,      /* a length or count is beyond what the type allows */
    SV2_ERR_OPTION = 18,      /* the length byte of an OPTION is neither 0 nor 1 */
    SV2_ERR_UNKNOWN = 19,     /* no such message */
    SV2_ERR_BUFFER = 20,      /* the output buffer is too small */
    SV2_ERR_FRAME_LARGE = 21, /* the frame is over the limit */
    SV2_ERR_ARGUMENT =
        22,              /* the caller's mistake: NULL, or a view or sequence at odds with itself */
    SV2_ERR_TARGET = 23, /* a compact target that is negative or over 256 bits */

    /* <libsv2/noise.h> */
    SV2_ERR_AUTH = 24,           /* encrypted data does not authenticate */
    SV2_ERR_NONCE = 25,          /* the nonces of a session are used up */
    SV2_ERR_PROVIDER = 26,       /* the cryptography failed: no random bytes, or a bad secret */
    SV2_ERR_CERT_VERSION = 27,   /* the certificate's format is not version 0 */
    SV2_ERR_CERT_SIGNATURE = 28, /* it is not signed by the expected authority */
    SV2_ERR_CERT_DATES = 29,     /* it ends before it begins */
    SV2_ERR_CERT_EARLY = 30,     /* it is not valid yet */
    SV2_ERR_CERT_EXPIRED = 31,   /* it is not valid any more */
    SV2_ERR_CERT_NO_CLOCK = 32,  /* its dates cannot be checked without a clock */
    SV2_ERR_KEY_LENGTH = 33,     /* the text of a key has a wrong length */
    SV2_ERR_KEY_CHARACTER = 34,  /* it has a character that base58 does not have */
    SV2_ERR_KEY_CHECKSUM = 35,   /* its checksum is wrong */
    SV2_ERR_KEY_VERSION = 36,    /* its version is unknown */
    SV2_ERR_KEY_VALUE = 37       /* it is no key of the curve */
} sv2_status;

/* Text for a status, for logs: never NULL, static. With SV2_NO_NAMES defined when the library is
 * built, always "". */
SV2_API const char *sv2_status_string(sv2_status status);

/* Bytes that somebody else owns. A decoded message's views point into the payload that was decoded
 * and are valid as long as it is. data may be NULL where len is 0. Strings (STR0_255) are views too:
 * bytes with a length, not NUL-terminated, of any content. */
typedef struct sv2_bytes {
    const uint8_t *data;
    size_t len;
} sv2_bytes;

/* OPTION[U32]: value counts only where present is true. */
typedef struct sv2_option_u32 {
    uint32_t value;
    bool present;
} sv2_option_u32;

/* SEQ0_255[T] and SEQ0_64K[T], borrowed.
 *
 * As decoding leaves it (stride 0): data points at count elements back to back in wire form, size
 * bytes in all, already checked. Read them with sv2_seq_u16, sv2_seq_u32, sv2_seq_u256 (by index) or
 * sv2_seq_next (in order).
 *
 * For encoding there are two forms. Wire form, as above: see sv2_seq_wire. Or views (stride not 0):
 * data points at count records, stride bytes apart, each beginning with an sv2_bytes; see
 * sv2_seq_views. Views fit elements of type U256 (each 32 bytes long) and B0_16M. */
typedef struct sv2_seq {
    const void *data;
    size_t size;
    uint32_t count;
    uint32_t stride;
} sv2_seq;

/* count elements in wire form, size bytes in all. For U16 and U32 elements write them with
 * sv2_store_u16 and sv2_store_u32; U256 elements are 32 bytes each; a B0_16M element is a 3-byte
 * little-endian length and that many bytes. */
static inline sv2_seq sv2_seq_wire(const uint8_t *data, size_t size, uint32_t count)
{
    sv2_seq seq = {data, size, count, 0};
    return seq;
}

/* count views, for sequences of U256 or B0_16M. */
static inline sv2_seq sv2_seq_views(const sv2_bytes *items, uint32_t count)
{
    sv2_seq seq = {items, 0, count, sizeof(sv2_bytes)};
    return seq;
}

/* A view of len bytes at data. */
static inline sv2_bytes sv2_view(const void *data, size_t len)
{
    sv2_bytes bytes = {(const uint8_t *)data, len};
    return bytes;
}

/* A view of a NUL-terminated string, without its NUL. */
static inline sv2_bytes sv2_str(const char *text)
{
    size_t len = 0;
    while (text[len] != '\0')
        len++;
    return sv2_view(text, len);
}

/* Little-endian load and store; p needs no alignment. */
static inline uint16_t sv2_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}

static inline uint32_t sv2_load_u24(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static inline uint32_t sv2_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t sv2_load_u64(const uint8_t *p)
{
    return (uint64_t)sv2_load_u32(p) | (uint64_t)sv2_load_u32(p + 4) << 32;
}

static inline void sv2_store_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void sv2_store_u24(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
}

static inline void sv2_store_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

static inline void sv2_store_u64(uint8_t *p, uint64_t value)
{
    sv2_store_u32(p, (uint32_t)value);
    sv2_store_u32(p + 4, (uint32_t)(value >> 32));
}

/* Element index of a decoded sequence of U16, U32 or U256. index must be below seq->count. */
static inline uint16_t sv2_seq_u16(const sv2_seq *seq, uint32_t index)
{
    return sv2_load_u16((const uint8_t *)seq->data + (size_t)index * 2);
}

static inline uint32_t sv2_seq_u32(const sv2_seq *seq, uint32_t index)
{
    return sv2_load_u32((const uint8_t *)seq->data + (size_t)index * 4);
}

static inline const uint8_t *sv2_seq_u256(const sv2_seq *seq, uint32_t index)
{
    return (const uint8_t *)seq->data + (size_t)index * 32;
}

/* Takes the first element off a decoded sequence of B0_16M: sets *item, shortens *seq.
 * Work on a copy of the message's sequence. Returns SV2_OK; SV2_END where none is left;
 * SV2_ERR_TRUNCATED where seq was not made by decoding and is at odds with itself. */
static inline sv2_status sv2_seq_next(sv2_seq *seq, sv2_bytes *item)
{
    const uint8_t *p = (const uint8_t *)seq->data;
    uint32_t len;
    if (seq->count == 0)
        return SV2_END;
    if (seq->size < 3 || (len = sv2_load_u24(p)) > seq->size - 3)
        return SV2_ERR_TRUNCATED;
    *item = sv2_view(p + 3, len);
    seq->data = p + 3 + len;
    seq->size -= 3 + (size_t)len;
    seq->count--;
    return SV2_OK;
}

#ifdef __cplusplus
}
#endif

#endif
