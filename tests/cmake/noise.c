/*
 * A handshake, and a sealed share in each direction, over the provider that NOISE_OPENSSL or
 * NOISE_MBEDTLS names: what the CMake test projects build and run.
 */
#include "session.h"

#include <libsv2.h>

enum {
    LIMIT = 64
};

/* Seals a share, opens it and compares. */
static void carry(sv2_noise_sender *sender, sv2_noise_receiver *receiver)
{
    sv2_submit_shares_standard share = {1, 2, 3, 4, 5, 6}, again = {0};
    uint8_t wire[2 * LIMIT], in[SV2_NOISE_BUFFER_LEN(LIMIT)];
    const uint8_t *left = wire;
    size_t len;
    sv2_noise_reader reader;
    sv2_frame frame;
    CHECK(sv2_submit_shares_standard_encode_frame(wire, sizeof(wire), &len, &share) == SV2_OK);
    CHECK(sv2_noise_seal(sender, wire, sizeof(wire), &len) == SV2_OK);
    sv2_noise_reader_init(&reader, receiver, in, sizeof(in), LIMIT);
    CHECK(sv2_noise_reader_next(&reader, &frame, &left, &len) == SV2_OK);
    CHECK(sv2_submit_shares_standard_decode(&again, NULL, frame.payload, frame.length) == SV2_OK);
    CHECK(again.nonce == share.nonce && again.version == share.version);
}

static void refuse_a_wrong_bit(sv2_noise_sender *sender, sv2_noise_receiver *receiver)
{
    uint8_t wire[SV2_NOISE_HEADER_LEN] = {0};
    size_t len = SV2_FRAME_HEADER_LEN;
    CHECK(sv2_noise_seal(sender, wire, sizeof(wire), &len) == SV2_OK);
    wire[3] ^= 1;
    CHECK(sv2_noise_open(receiver, wire, len) == SV2_ERR_AUTH);
}

int main(void)
{
    crypto crypto;
    end client, server;
    const sv2_noise_provider *provider = crypto_start(&crypto);
    connect_ends(&client, &server, provider);
    CHECK(memcmp(client.hash, server.hash, sizeof(client.hash)) == 0);
    carry(&client.sender, &server.receiver);
    carry(&server.sender, &client.receiver);
    refuse_a_wrong_bit(&client.sender, &server.receiver);
    crypto_stop(&crypto);
    return test_result(CRYPTO_NAME);
}
