/*
 * Between Python and the codec: a message in flat form, so that one call crosses the language border
 * per message instead of one per field.
 *
 * A flat message is SV2_GLUE_FIRST head values and then, for each field, one or two values:
 *
 *     U8 to U64, BOOL    decode: the value                     encode: the value
 *     F32                decode: its 32 bits                   encode: its 32 bits
 *     OPTION[U32]        decode: present, value                encode: present, value
 *     U256, B0_*, STR    decode: start, end in the input       encode: length of its bytes in blob
 *     SEQ                decode: start, end of the elements    encode: length in blob, count
 *
 * For encoding blob holds the bytes of all fields end to end; elements of U16, U32 and U256 are in
 * wire form, those of B0_16M bare, with their lengths in sizes.
 */
#ifndef SV2_GLUE_H
#define SV2_GLUE_H

#include "libsv2.h"

#define SV2_GLUE_MAX_VALUES 40

/* Head values of a decoded flat message. After a malformed payload SV2_GLUE_TRAILING is the offset of
 * the field at fault, and the first value behind the head its number. */
#define SV2_GLUE_NEXT 0      /* where the next frame begins in the input */
#define SV2_GLUE_TRAILING 1  /* where the bytes after the last field begin; they end at NEXT */
#define SV2_GLUE_PAYLOAD 2   /* where the payload begins */
#define SV2_GLUE_EXTENSION 3 /* extension_type as on the wire */
#define SV2_GLUE_TYPE 4      /* message_type */
#define SV2_GLUE_STATUS 5    /* sv2_status */
#define SV2_GLUE_FIRST 6

/* Cuts the frame at data[at] off and decodes it. Returns the message's index (sv2_descriptor_at), or
 * -1 with SV2_GLUE_STATUS and as much of the head as is known: SV2_NEED_MORE, SV2_ERR_FRAME_LARGE,
 * SV2_ERR_UNKNOWN, or what sv2_decode returns. limit: largest frame, header included. */
int sv2_glue_next(uint64_t *flat, const uint8_t *data, size_t len, size_t at, size_t limit);

/* Decodes a payload, which is the whole of data. As sv2_glue_next. */
int sv2_glue_payload(uint64_t *flat, const uint8_t *data, size_t len, uint16_t extension_type,
                     uint8_t message_type);

/* Encodes the frame of message index. Returns its size, or -(sv2_status * 256 + field) - 1. flat: the
 * fields' values without a head, 8 bytes each. sizes: lengths of B0_16M elements, 4 bytes each. */
int64_t sv2_glue_encode(uint8_t *out, size_t cap, size_t index, const uint8_t *flat,
                        const uint8_t *blob, size_t blob_len, const uint8_t *sizes,
                        size_t sizes_len);

/* Start and end in data of count B0_16M elements that begin at data[at]; decoding has checked them. */
void sv2_glue_items(uint64_t *spans, const uint8_t *data, size_t at, size_t end, uint32_t count);

/* How many elements a checked run of B0_16M elements has. */
uint32_t sv2_glue_count(const uint8_t *data, size_t at, size_t end);

#endif
