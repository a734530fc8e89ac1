/*
 * Runs under valgrind's memcheck, with every secret marked as undefined: memcheck then complains of
 * each branch and each address in our code that depends on one.
 *
 *     valgrind --error-exitcode=9 secrets          has to be silent
 *     valgrind --error-exitcode=9 secrets branch   branches on a key, has to be found
 *     valgrind --error-exitcode=9 secrets index    uses a key as an index, has to be found
 *
 * The libraries under the provider are not what is looked at here: each call runs on defined copies,
 * and its results are marked by what they are. Secret: what random gives, static and authority
 * secrets, shared secrets, whatever is hashed with a secret, decrypted payloads. Public: encoded
 * keys, ciphertext and MACs, signatures, whether something authenticates, plain headers (6 bytes,
 * which a reader has to follow).
 */
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>

#include "session.h"

static const sv2_noise_provider *real;

static void make_secret(void *data, size_t len)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(data, len);
}

static void make_public(void *data, size_t len)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(data, len);
}

static bool is_secret(const uint8_t *data, size_t len)
{
    uint8_t bits[256];
    size_t i, n;
    for (; len > 0; data += n, len -= n) {
        n = len < sizeof(bits) ? len : sizeof(bits);
        memset(bits, 0, sizeof(bits));
        (void)VALGRIND_GET_VBITS(data, bits, n);
        for (i = 0; i < n; i++)
            if (bits[i] != 0)
                return true;
    }
    return false;
}

/* A defined copy of what may be secret. */
static const uint8_t *reveal(uint8_t *copy, const void *data, size_t len)
{
    if (len != 0)
        memcpy(copy, data, len);
    make_public(copy, len);
    return copy;
}

static bool random_secret(void *context, uint8_t *out, size_t len)
{
    bool ok = real->random(context, out, len);
    make_secret(out, len);
    return ok;
}

static bool sha256(void *context, uint8_t out[32], const sv2_bytes *parts, size_t count)
{
    static uint8_t copies[4][512];
    sv2_bytes revealed[4];
    bool secret = false, ok;
    size_t i;
    CHECK(count <= 4);
    for (i = 0; i < count; i++) {
        CHECK(parts[i].len <= 512);
        secret = secret || is_secret(parts[i].data, parts[i].len);
        revealed[i] = sv2_view(reveal(copies[i], parts[i].data, parts[i].len), parts[i].len);
    }
    ok = real->sha256(context, out, revealed, count);
    make_public(out, 32);
    if (secret)
        make_secret(out, 32);
    return ok;
}

static bool create(void *context, uint8_t encoded[64], const uint8_t secret[32],
                   const uint8_t randomness[32])
{
    uint8_t copy[2][32];
    bool ok;
    CHECK(is_secret(secret, 32) && is_secret(randomness, 32));
    ok = real->ellswift_create(context, encoded, reveal(copy[0], secret, 32),
                               reveal(copy[1], randomness, 32));
    make_public(encoded, 64);
    return ok;
}

static bool xdh(void *context, uint8_t shared[32], const uint8_t initiator[64],
                const uint8_t responder[64], const uint8_t secret[32], bool initiating)
{
    uint8_t copy[32], keys[2][64];
    bool ok;
    CHECK(is_secret(secret, 32));
    ok = real->ellswift_xdh(context, shared, reveal(keys[0], initiator, 64),
                            reveal(keys[1], responder, 64), reveal(copy, secret, 32), initiating);
    make_secret(shared, 32);
    return ok;
}

static bool x_of(void *context, uint8_t x[32], const uint8_t encoded[64])
{
    uint8_t copy[64];
    bool ok = real->ellswift_x(context, x, reveal(copy, encoded, 64));
    make_public(x, 32);
    return ok;
}

static bool sign(void *context, uint8_t signature[64], const uint8_t digest[32],
                 const uint8_t secret[32], const uint8_t randomness[32])
{
    uint8_t copy[3][32];
    bool ok;
    CHECK(is_secret(secret, 32) && is_secret(randomness, 32));
    ok = real->sign(context, signature, reveal(copy[0], digest, 32), reveal(copy[1], secret, 32),
                    reveal(copy[2], randomness, 32));
    make_public(signature, 64);
    return ok;
}

static bool verify(void *context, const uint8_t signature[64], const uint8_t digest[32],
                   const uint8_t key[32])
{
    uint8_t copy[2][64];
    return real->verify(context, reveal(copy[0], signature, 64), reveal(copy[1], digest, 32), key);
}

static bool seal(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                 const uint8_t nonce[12], sv2_bytes associated)
{
    uint8_t copy[32], ad[64];
    bool ok;
    CHECK(is_secret(key, 32) && !is_secret(nonce, 12));
    make_public(data, len);
    ok = real->seal(context, data, len, reveal(copy, key, 32), nonce,
                    sv2_view(reveal(ad, associated.data, associated.len), associated.len));
    make_public(data, len + SV2_NOISE_MAC_LEN);
    return ok;
}

static bool open_sealed(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                        const uint8_t nonce[12], sv2_bytes associated)
{
    uint8_t copy[32], ad[64];
    bool ok;
    CHECK(is_secret(key, 32) && !is_secret(nonce, 12));
    ok = real->open(context, data, len, reveal(copy, key, 32), nonce,
                    sv2_view(reveal(ad, associated.data, associated.len), associated.len));
    /* In the handshake the server's key and certificate: public to the client. */
    if (associated.len == 0 && len != SV2_FRAME_HEADER_LEN)
        make_secret(data, len);
    else
        make_public(data, len);
    return ok;
}

static sv2_noise_provider watched(void)
{
    sv2_noise_provider p = *real;
    p.random = random_secret;
    p.sha256 = sha256;
    p.ellswift_create = create;
    p.ellswift_xdh = xdh;
    p.ellswift_x = x_of;
    p.sign = sign;
    p.verify = verify;
    p.seal = seal;
    p.open = open_sealed;
    return p;
}

static void issue_watched(sv2_noise_identity *identity, uint8_t authority[32],
                          const sv2_noise_provider *p)
{
    sv2_noise_certificate certificate = {NOW - DAY, NOW + DAY, 0, {0}, {0}};
    uint8_t secret[32];
    memcpy(secret, authority_secret, 32);
    memcpy(identity->secret, static_secret, 32);
    make_secret(secret, 32);
    make_secret(identity->secret, 32);
    CHECK(sv2_noise_public_key(authority, secret, p) == SV2_OK);
    CHECK(sv2_noise_public_key(certificate.server_key, identity->secret, p) == SV2_OK);
    CHECK(sv2_noise_certificate_issue(&certificate, secret, p) == SV2_OK);
    sv2_noise_certificate_encode(identity->certificate, &certificate);
}

/* Frames in both senses of size; the payload is secret on both sides. */
static void exchange(sv2_noise_sender *sender, sv2_noise_receiver *receiver)
{
    static const uint32_t lengths[] = {0, 1, 100, 65520, 3000};
    static uint8_t frame[66000], buffer[66000];
    sv2_noise_reader reader;
    size_t i, len;
    sv2_noise_reader_init(&reader, receiver, buffer, sizeof(buffer), 65520);
    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const uint8_t *data = frame;
        sv2_frame got;
        memset(frame, 0, sizeof(frame));
        sv2_store_u24(frame + 3, lengths[i]);
        make_secret(frame + SV2_FRAME_HEADER_LEN, lengths[i]);
        len = SV2_FRAME_HEADER_LEN + lengths[i];
        CHECK(sv2_noise_seal(sender, frame, sizeof(frame), &len) == SV2_OK);
        if (lengths[i] == 3000)
            reader.limit = 2999;
        while (sv2_noise_reader_next(&reader, &got, &data, &len) == SV2_ERR_FRAME_LARGE)
            sv2_noise_reader_skip(&reader);
        CHECK(len == 0 && got.length == (lengths[i] == 3000 ? 0 : lengths[i]));
    }
}

/* What this program is to find: the two ways in which code gives a secret away. */
static int leak(const char *how, const uint8_t *secret)
{
    static const volatile uint8_t table[256];
    volatile int seen = 0;
    if (strcmp(how, "branch") == 0 && secret[0] > 7)
        seen = 1;
    if (strcmp(how, "index") == 0)
        seen = table[secret[0]];
    return seen;
}

int main(int argc, char **argv)
{
    static const uint8_t zero[48];
    crypto c;
    sv2_noise_provider p;
    sv2_noise_identity identity;
    sv2_noise_initiator initiator;
    sv2_noise_policy policy;
    end client, server;
    uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN], authority[32];
    uint8_t bad[48];
    if (!RUNNING_ON_VALGRIND) {
        fputs("run this under valgrind\n", stderr);
        return 1;
    }
    real = crypto_start(&c);
    p = watched();
    issue_watched(&identity, authority, &p);
    policy = policy_at(authority, NOW);
    CHECK(sv2_noise_initiate(&initiator, act_1, &p) == SV2_OK);
    CHECK(sv2_noise_respond(&server.sender, &server.receiver, server.hash, act_2, act_1, &identity,
                            &p)
          == SV2_OK);
    CHECK(sv2_noise_finish(&initiator, &client.sender, &client.receiver, NULL, client.hash, act_2,
                           &policy)
          == SV2_OK);
    CHECK(is_secret(client.sender.cipher.key, 32) && is_secret(server.sender.cipher.key, 32));
    CHECK(!is_secret(client.hash, 32) && memcmp(client.hash, server.hash, 32) == 0);
    exchange(&client.sender, &server.receiver);
    exchange(&server.sender, &client.receiver);
    if (argc > 1)
        CHECK(leak(argv[1], client.sender.cipher.key) < 2);
    memcpy(bad, zero, sizeof(bad));
    CHECK(sv2_noise_open(&client.receiver, bad, sizeof(bad)) == SV2_ERR_AUTH);
    CHECK(is_zero(client.receiver.cipher.key, 32));
    crypto_stop(&c);
    return test_result("noise secrets, " CRYPTO_NAME);
}
