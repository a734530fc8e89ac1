/*
 * TLV fields: what extensions append to a message. Spec: 3.4.3.
 *
 * The spec's one example writes type and length big-endian; its rule for all integers (3.1) and the
 * reference implementation are little-endian, and so is this library.
 */
#ifndef LIBSV2_TLV_H
#define LIBSV2_TLV_H

#include "frame.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SV2_TLV_HEADER_LEN 5

typedef struct sv2_tlv {
    sv2_bytes value; /* at most 65,535 bytes */
    uint16_t extension_type;
    uint8_t field_type;
} sv2_tlv;

/* Takes the first TLV off the bytes after a message's last field (report.offset of sv2_decode).
 *
 * Returns: SV2_OK; SV2_END where nothing is left; SV2_ERR_TRUNCATED where what is left is no TLV:
 *          ignore it, the message before it stands.
 * Out:     tlv: its value points into data.
 * In/out:  data, len: shortened by the TLV; unchanged unless SV2_OK. */
SV2_API sv2_status sv2_tlv_next(sv2_tlv *tlv, const uint8_t **data, size_t *len);

/* Appends a TLV to a whole frame and corrects the length in its header.
 *
 * Returns: SV2_OK; SV2_ERR_BUFFER; SV2_ERR_LENGTH for a value over 65,535 bytes; SV2_ERR_FRAME_LARGE
 *          where the payload would be over SV2_MAX_PAYLOAD; SV2_ERR_ARGUMENT for NULL or where *len is
 *          not what the frame's header says.
 * In/out:  frame: cap bytes, of which *len are the frame. Unchanged after an error. */
SV2_API sv2_status sv2_frame_append_tlv(uint8_t *frame, size_t cap, size_t *len,
                                        const sv2_tlv *tlv);

#ifdef __cplusplus
}
#endif

#endif
