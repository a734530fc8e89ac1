/*
 * sv2_message_encode_frame looked at the low bits of an id that is none of ours, and encoded the message
 * that they name.
 */
#include "libsv2.h"

#include "test.h"

int main(void)
{
    static const unsigned ids[] = {0x01000001u, 0x7f000001u, 0x00800001u, 0x0000ffffu};
    uint8_t out[64];
    sv2_message message;
    size_t i, len;
    memset(&message, 0, sizeof(message));
    message.id = SV2_ID_SETUP_CONNECTION_SUCCESS;
    CHECK(sv2_message_encode_frame(out, sizeof(out), &len, &message) == SV2_OK && len == 12);
    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        memcpy(&message.id, &ids[i], sizeof(message.id));
        CHECK(sv2_message_encode_frame(out, sizeof(out), &len, &message) == SV2_ERR_UNKNOWN);
        CHECK(len == 0);
    }
    return test_result("regress_message_id");
}
