/*
 * Invariant: over any bytes and in any pieces, Noise delivers exactly the frames that the peer sealed,
 * up to the first byte that is not the peer's; and nothing after it.
 *
 * The first byte of an input chooses what it is: an answer to a handshake, a key's text, a session
 * whose bytes are tampered with, or what a peer with the right keys may send, for which the cipher is
 * taken out so that the fuzzer writes the plain bytes itself.
 */
#include "fuzz.h"
#include "libsv2/noise.h"
#include "libsv2/noise_openssl.h"

#include <stdlib.h>

enum {
    LIMIT = 3000, /* largest payload that the readers accept */
    FRAMES = 6
};

/* ---- What all inputs share ---------------------------------------------------------------------*/

static sv2_noise_openssl crypto;
static uint64_t seed;

/* The same in every run, so that an input means the same. */
static bool repeatable_random(void *context, uint8_t *out, size_t len)
{
    (void)context;
    while (len-- > 0)
        *out++ = (uint8_t)next_random(&seed);
    return true;
}

static struct {
    sv2_noise_provider provider;
    sv2_noise_identity identity;
    sv2_noise_initiator initiator;
    sv2_noise_sender sender;
    sv2_noise_receiver receiver;
    uint8_t authority[32], act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN];
} good;

static sv2_noise_policy policy(void)
{
    sv2_noise_policy p = {good.authority, false, SV2_NOISE_CLOCK_NOW, 1000, 0};
    return p;
}

/* One handshake; its parts are copied for each input. */
static void make_good(void)
{
    static const uint8_t authority_secret[32] = {1, 1};
    sv2_noise_certificate certificate = {0, 2000, 0, {0}, {0}};
    sv2_noise_sender server_sender;
    sv2_noise_receiver server_receiver;
    sv2_noise_initiator initiator;
    uint8_t act_2[SV2_NOISE_ACT_2_LEN];
    sv2_noise_policy p = policy();
    CHECK(sv2_noise_openssl_init(&crypto) == SV2_OK);
    good.provider = crypto.provider;
    good.provider.random = repeatable_random;
    good.identity.secret[0] = 2;
    CHECK(sv2_noise_public_key(good.authority, authority_secret, &good.provider) == SV2_OK);
    CHECK(sv2_noise_public_key(certificate.server_key, good.identity.secret, &good.provider)
          == SV2_OK);
    CHECK(sv2_noise_certificate_issue(&certificate, authority_secret, &good.provider) == SV2_OK);
    sv2_noise_certificate_encode(good.identity.certificate, &certificate);
    CHECK(sv2_noise_initiate(&good.initiator, good.act_1, &good.provider) == SV2_OK);
    CHECK(sv2_noise_respond(&server_sender, &server_receiver, NULL, good.act_2, good.act_1,
                            &good.identity, &good.provider)
          == SV2_OK);
    initiator = good.initiator;
    memcpy(act_2, good.act_2, sizeof(act_2));
    CHECK(sv2_noise_finish(&initiator, &good.sender, &good.receiver, NULL, NULL, act_2, &p)
          == SV2_OK);
    /* What the server receives with: for frames from the client. */
    good.receiver = server_receiver;
}

/* ---- Handshakes and keys -----------------------------------------------------------------------*/

/* An answer that is not the server's is refused; the server's own, with other dates, is not. */
static void fuzz_finish(choices *from)
{
    sv2_noise_initiator initiator = good.initiator;
    sv2_noise_policy p = policy();
    sv2_noise_sender sender;
    sv2_noise_receiver receiver;
    uint8_t act_2[SV2_NOISE_ACT_2_LEN];
    bool changed;
    size_t found, at;
    const uint8_t *bytes;
    memcpy(act_2, good.act_2, sizeof(act_2));
    at = choose_up_to(from, sizeof(act_2) - 1);
    bytes = choose_bytes(from, sizeof(act_2) - at, &found);
    if (found != 0)
        memcpy(act_2 + at, bytes, found);
    changed = memcmp(act_2, good.act_2, sizeof(act_2)) != 0;
    CHECK(sv2_noise_finish(&initiator, &sender, &receiver, NULL, NULL, act_2, &p)
          == (changed ? SV2_ERR_AUTH : SV2_OK));
}

/* Every act 1 has an answer. */
static void fuzz_respond(choices *from)
{
    sv2_noise_sender sender;
    sv2_noise_receiver receiver;
    uint8_t act_1[SV2_NOISE_ACT_1_LEN] = {0}, act_2[SV2_NOISE_ACT_2_LEN];
    size_t found;
    const uint8_t *bytes = choose_bytes(from, sizeof(act_1), &found);
    if (found != 0)
        memcpy(act_1, bytes, found);
    CHECK(sv2_noise_respond(&sender, &receiver, NULL, act_2, act_1, &good.identity, &good.provider)
          == SV2_OK);
}

/* Text that is a key is that key's text. */
static void fuzz_key_text(choices *from)
{
    char text[SV2_NOISE_KEY_TEXT_LEN + 1];
    uint8_t key[32];
    size_t found;
    const uint8_t *bytes = choose_bytes(from, 100, &found);
    char *input = fuzz_malloc(found);
    if (found != 0)
        memcpy(input, bytes, found);
    if (sv2_noise_key_decode(key, input, found, &good.provider) == SV2_OK) {
        CHECK(sv2_noise_key_encode(text, key, &good.provider) == SV2_OK);
        CHECK(found == SV2_NOISE_KEY_TEXT_LEN && memcmp(text, input, found) == 0);
    }
    free(input);
}

/* ---- Frames ------------------------------------------------------------------------------------*/

/* What should come of a stream: frames as their plain bytes, and where they end in the stream. */
typedef struct expectation {
    const uint8_t *plain[FRAMES];
    uint32_t length[FRAMES];
    unsigned count, next;
    unsigned char large[FRAMES]; /* over LIMIT: to be skipped */
} expectation;

static void expect_frame(expectation *expected, const sv2_frame *frame)
{
    unsigned i = expected->next++;
    CHECK(i < expected->count && !expected->large[i]);
    CHECK(frame->length == expected->length[i]);
    CHECK(frame->length == 0 || memcmp(frame->payload, expected->plain[i], frame->length) == 0);
}

static void expect_skipped(expectation *expected, const sv2_frame *frame, bool large)
{
    unsigned i = expected->next++;
    CHECK(i < expected->count && !expected->large[i] == !large);
    CHECK(frame->length == expected->length[i]);
}

/* Drops the frame under way; sometimes nothing is kept to read the dropped bytes into. */
static void drop_frame(choices *from, sv2_noise_reader *reader, uint8_t **buffer, size_t *capacity)
{
    sv2_noise_reader_skip(reader);
    sv2_noise_reader_set_limit(reader, LIMIT);
    if (choose(from, 1) % 4 != 0)
        return;
    CHECK(sv2_noise_reader_grow(reader, NULL, 0) == SV2_OK);
    free(*buffer);
    *buffer = NULL;
    *capacity = 0;
}

/* Reads a stream in pieces; the status at its end. The buffer grows as it has to, or is there. A
 * limit that is set while a frame is under way is none of that frame's business. */
static sv2_status read_stream(choices *from, sv2_noise_receiver *receiver, expectation *expected,
                              const uint8_t *data, size_t len)
{
    size_t capacity = choose(from, 1) % 2 ? SV2_NOISE_BUFFER_LEN(LIMIT) : choose_up_to(from, 60);
    uint8_t *buffer = fuzz_malloc(capacity);
    sv2_noise_reader reader;
    sv2_status status = SV2_NEED_MORE;
    sv2_noise_reader_init(&reader, receiver, buffer, capacity, LIMIT);
    while (len > 0 && (status == SV2_NEED_MORE || status == SV2_OK)) {
        size_t n = 1 + choose_up_to(from, 600), left;
        const uint8_t *piece;
        n = n < len ? n : len;
        left = n;
        piece = guarded_copy(GUARD_INPUT, data, n);
        data += n;
        len -= n;
        for (;;) {
            sv2_frame frame;
            status = sv2_noise_reader_next(&reader, &frame, &piece, &left);
            if (status == SV2_OK) {
                expect_frame(expected, &frame);
                sv2_noise_reader_set_limit(&reader, LIMIT);
            } else if (status == SV2_ERR_FRAME_LARGE) {
                expect_skipped(expected, &frame, true);
                drop_frame(from, &reader, &buffer, &capacity);
            } else if (status == SV2_ERR_BUFFER && capacity >= SV2_NOISE_HEADER_LEN
                       && choose(from, 1) % 4 == 0) {
                expect_skipped(expected, &frame, false);
                drop_frame(from, &reader, &buffer, &capacity);
            } else if (status == SV2_ERR_BUFFER) {
                uint8_t *larger = fuzz_malloc(capacity * 2 + 22);
                capacity = capacity * 2 + 22;
                CHECK(sv2_noise_reader_grow(&reader, larger, capacity) == SV2_OK);
                free(buffer);
                buffer = larger;
            } else {
                if (status == SV2_NEED_MORE && reader.opened && choose(from, 1) % 2)
                    sv2_noise_reader_set_limit(&reader, choose_up_to(from, 5000));
                break;
            }
        }
    }
    free(buffer);
    return status;
}

/* Frames of a true peer, with one byte changed or none, or cut short. */
static void fuzz_session(choices *from)
{
    static uint8_t stream[FRAMES * 5000], plain[FRAMES][4001];
    sv2_noise_sender sender = good.sender;
    sv2_noise_receiver receiver = good.receiver;
    expectation expected = {{NULL}, {0}, 0, 0, {0}};
    size_t len = 0, change, whole;
    bool changed;
    unsigned i, count = 1 + (unsigned)(choose(from, 1) % FRAMES);
    for (i = 0; i < count; i++) {
        sv2_frame frame = {plain[i], 0, 0x8000, (uint8_t)i};
        size_t n, sealed;
        frame.length = choose_up_to(from, 4000);
        for (n = 0; n < frame.length; n++)
            plain[i][n] = (uint8_t)(n * 13 + i);
        expected.plain[i] = plain[i];
        expected.length[i] = frame.length;
        expected.large[i] = frame.length > LIMIT;
        expected.count++;
        CHECK(sv2_noise_seal_frame(&sender, stream + len, sizeof(stream) - len, &sealed, &frame)
              == SV2_OK);
        len += sealed;
    }
    whole = len;
    changed = choose(from, 1) % 2;
    change = (size_t)choose(from, 3) % len;
    if (changed)
        stream[change] ^= (uint8_t)(1 + choose(from, 1) % 255);
    else if (choose(from, 1) % 2)
        len = change;
    if (changed) {
        /* Frames before the change arrive. One that is skipped is not looked at. */
        sv2_status status = read_stream(from, &receiver, &expected, stream, len);
        CHECK(status == SV2_ERR_AUTH || expected.next == expected.count);
    } else {
        sv2_status status = read_stream(from, &receiver, &expected, stream, len);
        CHECK(status == SV2_OK || status == SV2_NEED_MORE);
        CHECK(len != whole || expected.next == expected.count);
    }
}

static bool open_anything(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                          const uint8_t nonce[12], sv2_bytes associated)
{
    (void)context, (void)data, (void)len, (void)key, (void)nonce, (void)associated;
    return true;
}

/* Any plain bytes: what a hostile peer can make of headers. Read a second time by hand. */
static void fuzz_plain_bytes(choices *from)
{
    static uint8_t joined[FRAMES][LIMIT];
    sv2_noise_receiver receiver = good.receiver;
    sv2_noise_provider permissive = good.provider;
    expectation expected = {{NULL}, {0}, 0, 0, {0}};
    choices decisions = *from;
    bool partial = false;
    const uint8_t *data, *at;
    size_t len, left;
    (void)choose(from, 8);
    data = choose_bytes(from, FUZZ_MAX_INPUT, &len);
    permissive.open = open_anything;
    receiver.cipher.provider = &permissive;
    for (at = data, left = len; left >= SV2_NOISE_HEADER_LEN && expected.count < FRAMES;) {
        uint32_t length = sv2_load_u24(at + 3);
        size_t sealed = sv2_noise_sealed_len(length);
        unsigned i = expected.count;
        expected.length[i] = length;
        expected.large[i] = length > LIMIT;
        expected.count++;
        if (!expected.large[i] && sealed > left) {
            partial = true;
            break;
        }
        if (!expected.large[i])
            memcpy(joined[i], at + SV2_NOISE_HEADER_LEN, length);
        expected.plain[i] = joined[i];
        sealed = sealed < left ? sealed : left;
        at += sealed;
        left -= sealed;
    }
    /* What lies behind the last frame that was looked at is not read. */
    if (expected.count == FRAMES && !partial)
        len = (size_t)(at - data);
    read_stream(&decisions, &receiver, &expected, data, len);
    /* A last frame that has not come whole may have been skipped, but not delivered. */
    CHECK(expected.next == expected.count || (partial && expected.next == expected.count - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices from = {data, size};
    if (size > FUZZ_MAX_INPUT)
        return 0;
    if (crypto.curve == NULL)
        make_good();
    seed = 1;
    switch (choose(&from, 1) % 8) {
    case 0:
        fuzz_finish(&from);
        break;
    case 1:
        fuzz_respond(&from);
        break;
    case 2:
        fuzz_key_text(&from);
        break;
    case 3:
    case 4:
        fuzz_session(&from);
        break;
    default:
        fuzz_plain_bytes(&from);
        break;
    }
    return 0;
}
