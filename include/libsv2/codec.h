/*
 * Messages by descriptor: the interpreter behind every sv2_<message>_* function, and what code that
 * handles any message uses. Most programs want <libsv2/messages.h>.
 */
#ifndef LIBSV2_CODEC_H
#define LIBSV2_CODEC_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a field lies on the wire, and so what it is in the struct (spec 3.1). A sequence is
 * SV2_SEQ_255 or SV2_SEQ_64K, plus the kind of its elements. */
enum {
    SV2_KIND_U8 = 0,  /* uint8_t */
    SV2_KIND_U16 = 1, /* uint16_t */
    SV2_KIND_U32 = 2, /* uint32_t, or float for F32 */
    SV2_KIND_U64 = 3, /* uint64_t */
    SV2_KIND_BOOL = 4,
    SV2_KIND_U256 = 5,       /* uint8_t[32], as on the wire */
    SV2_KIND_OPTION_U32 = 6, /* sv2_option_u32 */
    SV2_KIND_B0_32 = 8,      /* sv2_bytes, as all below */
    SV2_KIND_B0_255 = 9,     /* STR0_255 too */
    SV2_KIND_B0_64K = 10,
    SV2_KIND_B0_16M = 11, /* as an element only */
    SV2_SEQ_255 = 0x40,   /* sv2_seq, as below */
    SV2_SEQ_64K = 0x80
};

/* One field: its kind, and where it lies in the message's struct. */
typedef struct sv2_field {
    uint8_t kind;
    uint8_t offset;
} sv2_field;

/* What the interpreter knows of a message. Made by the generator; treat it as read-only data. */
typedef struct sv2_descriptor {
    const sv2_field *fields;
    uint16_t extension_type; /* as sent: bit 15 is channel_msg (spec 3.2.1) */
    uint8_t message_type;
    uint8_t field_count;
} sv2_descriptor;

/* Bit 15 of extension_type: the message belongs to a channel, whose id its payload begins with. */
#define SV2_CHANNEL_BIT 0x8000u

/* Largest payload of a frame, in bytes: its length field is a U24. */
#define SV2_MAX_PAYLOAD 0xFFFFFFu

/* Where decoding or encoding ended. On success: every field was done and offset is the number of
 * payload bytes; after decoding, bytes from there on are TLVs. On failure: field is the number of the
 * field at fault, from 0, and offset is where it begins in the payload. */
typedef struct sv2_report {
    size_t offset;
    uint8_t field;
} sv2_report;

/* The place of a message in the ascending order of extension type and message type: what
 * sv2_descriptor_at takes. A number past the last one where there is no such message. Bit 15 of
 * extension_type does not count. */
SV2_API size_t sv2_index(uint16_t extension_type, uint8_t message_type);

/* The descriptor of a message, or NULL where there is no such message. Bit 15 of extension_type
 * does not count. */
SV2_API const sv2_descriptor *sv2_find(uint16_t extension_type, uint8_t message_type);

/* The name of a message as in the spec, or "" where there is no such message or the library was
 * built with SV2_NO_NAMES. Static. */
SV2_API const char *sv2_message_name(uint16_t extension_type, uint8_t message_type);

/* Decodes a payload.
 *
 * Returns: SV2_OK; SV2_ERR_TRUNCATED, SV2_ERR_LENGTH or SV2_ERR_OPTION for a malformed payload;
 *          SV2_ERR_ARGUMENT for NULL.
 * Out:     message: the struct that belongs to descriptor. Its views and sequences point into
 *          payload. After an error its content is not to be used.
 *          report: where decoding ended, see sv2_report. May be NULL.
 * In:      payload: len bytes without the frame header. May be NULL where len is 0. Bytes after the
 *          last field are no error: they are TLVs, or to be ignored (spec 3.4.3). */
SV2_API sv2_status sv2_decode(const sv2_descriptor *descriptor, void *message, sv2_report *report,
                              const uint8_t *payload, size_t len);

/* Encodes a payload.
 *
 * Returns: SV2_OK; SV2_ERR_BUFFER where cap is too small; SV2_ERR_LENGTH for a field that its type
 *          cannot hold; SV2_ERR_FRAME_LARGE for a payload over SV2_MAX_PAYLOAD; SV2_ERR_ARGUMENT for
 *          NULL, or a view or sequence at odds with itself.
 * Out:     out: the payload. After an error its content is not to be used. It must not overlap what
 *          message points to: what was decoded from a buffer cannot be encoded into it.
 *          report: offset is the exact size, after SV2_ERR_BUFFER too. May be NULL.
 * In:      cap: bytes at out. out may be NULL where cap is 0. */
SV2_API sv2_status sv2_encode(const sv2_descriptor *descriptor, uint8_t *out, size_t cap,
                              sv2_report *report, const void *message);

/* The exact size of the payload, in bytes; SIZE_MAX for a message that cannot be encoded. */
SV2_API size_t sv2_size(const sv2_descriptor *descriptor, const void *message);

#ifdef __cplusplus
}
#endif

#endif
