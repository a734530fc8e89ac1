/*
 * Both ends of Noise sessions on one emulated machine, in memory: handshakes that must and must not
 * succeed, frames in random pieces, tampered bytes. Prints what it did, and how deep the stack got.
 */
#include <string.h>

#include "noise_machine.h"

#define NOW 1800000000u
#define DAY 86400u

enum {
    SEED = 7,
    LARGEST = SV2_NOISE_MAX_CHUNK + 1
};

/* Names what is not so, and gives up. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            machine_print("not so: " #condition ": line", __LINE__);                               \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

/* Paints the stack before a call, and notes in deepest how much of it the call used. */
#define MEASURED(deepest, call)                                                                    \
    (stack_paint(stack_pointer()), status = (call),                                                \
     deeper(&(deepest), stack_depth(stack_pointer())), status)

typedef struct end {
    sv2_noise_sender sender;
    sv2_noise_receiver receiver;
    uint8_t hash[32];
} end;

static const uint8_t authority_secret[32] = {1, 2, 3, 4};
static const uint8_t other_secret[32] = {9, 9, 9, 9};
static const uint8_t static_secret[32] = {5, 6, 7, 8};

static const sv2_noise_provider *crypto;
static uint8_t authority[32], other[32];
static sv2_noise_identity identity;
static end client, server;
static sv2_status status;
static uint8_t plain[6 + LARGEST], sealed[LARGEST + 64], buffer[SV2_NOISE_BUFFER_LEN(LARGEST)];

static struct {
    uint32_t start, key, issue, client, server, transport;
} stack;

static void deeper(uint32_t *deepest, uint32_t depth)
{
    if (depth > *deepest)
        *deepest = depth;
}

static bool is_zero(const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len-- > 0)
        if (*p++ != 0)
            return false;
    return true;
}

/* ---- Keys and certificate ---------------------------------------------------------------------*/

/* The authority's key, by way of its text, as a pool publishes it. */
static bool check_keys(void)
{
    char text[SV2_NOISE_KEY_TEXT_LEN + 1];
    uint8_t key[32];
    REQUIRE(sv2_noise_public_key(key, authority_secret, crypto) == SV2_OK);
    REQUIRE(sv2_noise_public_key(other, other_secret, crypto) == SV2_OK);
    REQUIRE(sv2_noise_key_encode(text, key, crypto) == SV2_OK);
    REQUIRE(
        MEASURED(stack.key, sv2_noise_key_decode(authority, text, SV2_NOISE_KEY_TEXT_LEN, crypto))
        == SV2_OK);
    REQUIRE(memcmp(authority, key, sizeof(key)) == 0);
    board_print("authority ");
    board_print(text);
    board_print("\n");
    text[20] = text[20] == 'z' ? 'y' : 'z';
    REQUIRE(sv2_noise_key_decode(key, text, SV2_NOISE_KEY_TEXT_LEN, crypto)
            == SV2_ERR_KEY_CHECKSUM);
    REQUIRE(is_zero(key, sizeof(key)));
    return true;
}

static bool issue_certificate(void)
{
    static sv2_noise_certificate certificate;
    certificate.valid_from = NOW - DAY;
    certificate.not_valid_after = NOW + DAY;
    REQUIRE(sv2_noise_public_key(certificate.server_key, static_secret, crypto) == SV2_OK);
    REQUIRE(
        MEASURED(stack.issue, sv2_noise_certificate_issue(&certificate, authority_secret, crypto))
        == SV2_OK);
    memcpy(identity.secret, static_secret, sizeof(static_secret));
    sv2_noise_certificate_encode(identity.certificate, &certificate);
    return true;
}

/* ---- Handshake --------------------------------------------------------------------------------*/

static sv2_noise_initiator initiator;
static uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN];

/* The client's end of the handshake under way, on copies: it can be ended many times. tampered is
 * the byte of act 2 that is not as it was sent; past the end: none. */
static sv2_status finish(const uint8_t *whom, uint32_t now, size_t tampered)
{
    static sv2_noise_initiator copy;
    static uint8_t received[SV2_NOISE_ACT_2_LEN];
    static sv2_noise_policy policy;
    policy.authority = whom;
    policy.clock = SV2_NOISE_CLOCK_NOW;
    policy.time = now;
    policy.tolerance = 10;
    copy = initiator;
    memcpy(received, act_2, sizeof(act_2));
    if (tampered < sizeof(received))
        received[tampered] ^= 1;
    return MEASURED(stack.client, sv2_noise_finish(&copy, &client.sender, &client.receiver, NULL,
                                                   client.hash, received, &policy));
}

static bool check_refusal(sv2_status wanted, const uint8_t *whom, uint32_t now, size_t tampered)
{
    REQUIRE(finish(whom, now, tampered) == wanted);
    REQUIRE(is_zero(&client.sender.cipher.key, 32) && is_zero(&client.receiver.cipher.key, 32));
    REQUIRE(is_zero(client.hash, sizeof(client.hash)));
    return true;
}

static bool check_handshake(void)
{
    /* The ephemeral key, the static key, its MAC's last byte, the certificate, its MAC. */
    static const size_t tampered[] = {0, 64, 143, 144, 233};
    const size_t untouched = SV2_NOISE_ACT_2_LEN;
    size_t i;
    REQUIRE(MEASURED(stack.client, sv2_noise_initiate(&initiator, act_1, crypto)) == SV2_OK);
    REQUIRE(MEASURED(stack.server, sv2_noise_respond(&server.sender, &server.receiver, server.hash,
                                                     act_2, act_1, &identity, crypto))
            == SV2_OK);
    REQUIRE(check_refusal(SV2_ERR_CERT_SIGNATURE, other, NOW, untouched));
    REQUIRE(check_refusal(SV2_ERR_CERT_EXPIRED, authority, NOW + 2 * DAY, untouched));
    REQUIRE(check_refusal(SV2_ERR_CERT_EARLY, authority, NOW - 2 * DAY, untouched));
    for (i = 0; i < sizeof(tampered) / sizeof(tampered[0]); i++)
        REQUIRE(check_refusal(SV2_ERR_AUTH, authority, NOW, tampered[i]));
    board_print("refused: another authority, expired, not yet valid, tampered\n");
    REQUIRE(finish(authority, NOW, untouched) == SV2_OK);
    REQUIRE(memcmp(client.hash, server.hash, sizeof(client.hash)) == 0);
    REQUIRE(!is_zero(client.hash, sizeof(client.hash)));
    board_print("handshake: both ends agree\n");
    return true;
}

/* ---- Transport --------------------------------------------------------------------------------*/

static void fill(uint32_t length)
{
    uint32_t i;
    for (i = 0; i < length; i++)
        plain[SV2_FRAME_HEADER_LEN + i] = (uint8_t)machine_random(256);
    plain[0] = 1;
    plain[1] = 0;
    plain[2] = 0x42;
    sv2_store_u24(plain + 3, length);
}

/* One frame from one end to the other, which receives where it decrypts, in pieces of any size. */
static bool carry(end *from, end *to, uint32_t length)
{
    static sv2_noise_reader reader;
    static sv2_frame frame;
    size_t len = SV2_FRAME_HEADER_LEN + length, done = 0;
    fill(length);
    memcpy(sealed, plain, len);
    REQUIRE(MEASURED(stack.transport, sv2_noise_seal(&from->sender, sealed, sizeof(sealed), &len))
            == SV2_OK);
    REQUIRE(len == sv2_noise_sealed_len(length));
    sv2_noise_reader_init(&reader, &to->receiver, buffer, SV2_NOISE_BUFFER_LEN(length), length);
    status = SV2_NEED_MORE;
    while (status == SV2_NEED_MORE && done < len) {
        uint8_t *at;
        size_t room, piece;
        REQUIRE(sv2_noise_reader_window(&reader, &at, &room) == SV2_OK);
        REQUIRE(room > 0 && room <= len - done);
        piece = 1 + machine_random((uint32_t)room);
        memcpy(at, sealed + done, piece);
        done += piece;
        (void)MEASURED(stack.transport, sv2_noise_reader_taken(&reader, &frame, piece));
    }
    REQUIRE(status == SV2_OK && done == len);
    REQUIRE(frame.extension_type == 1 && frame.message_type == 0x42 && frame.length == length);
    REQUIRE(memcmp(frame.payload, plain + SV2_FRAME_HEADER_LEN, length) == 0);
    return true;
}

static bool check_frames(void)
{
    static const uint32_t lengths[] = {0, 1, 16, 32, 1000, SV2_NOISE_MAX_CHUNK, LARGEST};
    size_t i;
    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        REQUIRE(carry(&client, &server, lengths[i]));
        REQUIRE(carry(&server, &client, lengths[i]));
        machine_print("both ways:", lengths[i]);
    }
    return true;
}

/* A frame with one byte changed, at every place: refused, and nothing is believed from then on. */
static bool check_tampering(void)
{
    enum {
        LENGTH = 16
    };
    static end broken;
    static sv2_noise_reader reader;
    size_t len = SV2_FRAME_HEADER_LEN + LENGTH, i;
    fill(LENGTH);
    memcpy(sealed, plain, len);
    REQUIRE(sv2_noise_seal(&client.sender, sealed, sizeof(sealed), &len) == SV2_OK);
    for (i = 0; i < len; i++) {
        const uint8_t *data = sealed;
        size_t left = len;
        sv2_frame frame;
        broken = server;
        sealed[i] ^= 0x10;
        sv2_noise_reader_init(&reader, &broken.receiver, buffer, sizeof(buffer), LARGEST);
        REQUIRE(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_AUTH);
        sealed[i] ^= 0x10;
        data = sealed;
        left = len;
        REQUIRE(sv2_noise_reader_next(&reader, &frame, &data, &left) == SV2_ERR_AUTH);
        REQUIRE(is_zero(broken.receiver.cipher.key, 32));
    }
    REQUIRE(sv2_noise_open(&server.receiver, sealed, SV2_NOISE_HEADER_LEN) == SV2_OK);
    machine_print("refused: each tampered byte of", (uint32_t)len);
    return true;
}

static bool start(void)
{
    (void)MEASURED(stack.start, (crypto = machine_start(SEED)) != NULL ? SV2_OK : SV2_ERR_PROVIDER);
    return crypto != NULL;
}

int main(void)
{
    if (!start() || !check_keys() || !issue_certificate() || !check_handshake() || !check_frames()
        || !check_tampering())
        return 1;
    machine_print("stack start", stack.start);
    machine_print("stack key", stack.key);
    machine_print("stack issue", stack.issue);
    machine_print("stack client", stack.client);
    machine_print("stack server", stack.server);
    machine_print("stack transport", stack.transport);
    board_print("all as it should be\n");
    return 0;
}
