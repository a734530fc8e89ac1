/*
 * The sv2-ffi surface from C: the same header, C names; constants that work in a switch.
 */
#include "sv2.h"
#include "test.h"

static const char *name_of(unsigned type)
{
    switch (type) {
    case MESSAGE_TYPE_SETUP_CONNECTION:
        return "SetupConnection";
    case MESSAGE_TYPE_NEW_TEMPLATE:
        return "NewTemplate";
    default:
        return "other";
    }
}

int main(void)
{
    DecoderWrapper *decoder = new_decoder();
    EncoderWrapper *encoder = new_encoder();
    CSv2Message message;
    CResult_CVec_Sv2Error encoded;
    CResult_CSv2Message_Sv2Error decoded;
    CVec window;
    memset(&message, 0, sizeof(message));
    message.tag = CSv2Message_SetupConnection;
    message.setup_connection._0.protocol = Protocol_TemplateDistributionProtocol;
    message.setup_connection._0.min_version = 2;
    message.setup_connection._0.max_version = 2;
    message.setup_connection._0.vendor = cvec_from_buffer((const uint8_t *)"acme", 4);
    encoded = encode(&message, encoder);
    CHECK(encoded.tag == CResult_Ok);
    CHECK(strcmp(name_of(encoded.ok._0.data[2]), "SetupConnection") == 0);
    CHECK(strcmp(name_of(0x71), "NewTemplate") == 0 && strcmp(name_of(1), "other") == 0);

    window = get_writable(decoder);
    memcpy(window.data, encoded.ok._0.data, window.len);
    decoded = next_frame(decoder);
    CHECK(!is_ok(&decoded) && decoded.err._0.tag == Sv2Error_MissingBytes);
    window = get_writable(decoder);
    CHECK(window.len == encoded.ok._0.len - SV2_FRAME_HEADER_SIZE);
    memcpy(window.data, encoded.ok._0.data + SV2_FRAME_HEADER_SIZE, window.len);
    decoded = next_frame(decoder);
    CHECK(is_ok(&decoded) && decoded.ok._0.tag == CSv2Message_SetupConnection);
    CHECK(strcmp((char *)decoded.ok._0.setup_connection._0.vendor.data, "acme") == 0);

    drop_sv2_message(decoded.ok._0);
    drop_sv2_message(message);
    flush_encoder(encoder);
    free_encoder(encoder);
    free_decoder(decoder);
    return test_result("surface-c");
}
