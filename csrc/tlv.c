/*
 * TLV fields behind a message. Spec: 3.4.3; little-endian, see the header.
 */
#include "libsv2/tlv.h"

#include <string.h>

sv2_status sv2_tlv_next(sv2_tlv *tlv, const uint8_t **data, size_t *len)
{
    const uint8_t *p = *data;
    size_t size;
    if (*len == 0)
        return SV2_END;
    if (*len < SV2_TLV_HEADER_LEN || sv2_load_u16(p + 3) > *len - SV2_TLV_HEADER_LEN)
        return SV2_ERR_TRUNCATED;
    tlv->extension_type = sv2_load_u16(p);
    tlv->field_type = p[2];
    tlv->value = sv2_view(p + SV2_TLV_HEADER_LEN, sv2_load_u16(p + 3));
    size = SV2_TLV_HEADER_LEN + tlv->value.len;
    *data = p + size;
    *len -= size;
    return SV2_OK;
}

sv2_status sv2_frame_append_tlv(uint8_t *frame, size_t cap, size_t *len, const sv2_tlv *tlv)
{
    sv2_frame header;
    uint8_t *p;
    size_t size;
    if (frame == NULL || len == NULL || tlv == NULL || *len < SV2_FRAME_HEADER_LEN || *len > cap
        || (tlv->value.data == NULL && tlv->value.len != 0))
        return SV2_ERR_ARGUMENT;
    sv2_frame_header_decode(&header, frame);
    if (header.length != *len - SV2_FRAME_HEADER_LEN)
        return SV2_ERR_ARGUMENT;
    if (tlv->value.len > 0xFFFF)
        return SV2_ERR_LENGTH;
    size = SV2_TLV_HEADER_LEN + tlv->value.len;
    if (header.length > SV2_MAX_PAYLOAD - size)
        return SV2_ERR_FRAME_LARGE;
    if (size > cap - *len)
        return SV2_ERR_BUFFER;
    p = frame + *len;
    sv2_store_u16(p, tlv->extension_type);
    p[2] = tlv->field_type;
    sv2_store_u16(p + 3, (uint16_t)tlv->value.len);
    if (tlv->value.len != 0)
        memcpy(p + SV2_TLV_HEADER_LEN, tlv->value.data, tlv->value.len);
    *len += size;
    header.length += (uint32_t)size;
    return sv2_frame_header_encode(frame, &header);
}
