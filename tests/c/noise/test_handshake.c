/*
 * Handshake, certificates, key text: what has to work, every way to be wrong, every way in which the
 * provider can fail.
 */
#include "session.h"

static const sv2_noise_provider *provider;

/* ---- The handshake ----------------------------------------------------------------------------*/

static void test_both_ends_agree(void)
{
    end client, server;
    connect_ends(&client, &server, provider);
    CHECK(memcmp(client.sender.cipher.key, server.receiver.cipher.key, 32) == 0);
    CHECK(memcmp(client.receiver.cipher.key, server.sender.cipher.key, 32) == 0);
    CHECK(memcmp(client.sender.cipher.key, client.receiver.cipher.key, 32) != 0);
    CHECK(memcmp(client.hash, server.hash, 32) == 0 && !is_zero(client.hash, 32));
}

static void test_two_sessions_have_nothing_in_common(void)
{
    end client[2], server[2];
    connect_ends(&client[0], &server[0], provider);
    connect_ends(&client[1], &server[1], provider);
    CHECK(memcmp(client[0].sender.cipher.key, client[1].sender.cipher.key, 32) != 0);
    CHECK(memcmp(client[0].hash, client[1].hash, 32) != 0);
}

typedef struct attempt {
    uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN], authority[32];
    sv2_noise_initiator initiator;
    sv2_noise_identity identity;
    sv2_noise_certificate shown;
    end client, server;
} attempt;

static void begin(attempt *a)
{
    memset(a, 0x55, sizeof(*a));
    a->identity = make_identity(provider);
    CHECK(sv2_noise_public_key(a->authority, authority_secret, provider) == SV2_OK);
    CHECK(sv2_noise_initiate(&a->initiator, a->act_1, provider) == SV2_OK);
}

static void answer(attempt *a)
{
    CHECK(sv2_noise_respond(&a->server.sender, &a->server.receiver, a->server.hash, a->act_2,
                            a->act_1, &a->identity, provider)
          == SV2_OK);
}

static sv2_status finish(attempt *a, const sv2_noise_policy *policy)
{
    sv2_status status = sv2_noise_finish(&a->initiator, &a->client.sender, &a->client.receiver,
                                         &a->shown, a->client.hash, a->act_2, policy);
    CHECK(is_zero(&a->initiator, sizeof(a->initiator)));
    if (status != SV2_OK)
        CHECK(is_zero(&a->client, sizeof(a->client)));
    return status;
}

static void test_every_wrong_byte_of_act_1_is_noticed(void)
{
    size_t i;
    for (i = 0; i < SV2_NOISE_ACT_1_LEN; i++) {
        attempt a;
        sv2_noise_policy policy;
        begin(&a);
        policy = policy_at(a.authority, NOW);
        a.act_1[i] ^= (uint8_t)(1u << (i % 8));
        answer(&a);
        CHECK(finish(&a, &policy) == SV2_ERR_AUTH);
        CHECK(is_zero(&a.shown, sizeof(a.shown)));
    }
}

static void test_every_wrong_byte_of_act_2_is_noticed(void)
{
    size_t i;
    for (i = 0; i < SV2_NOISE_ACT_2_LEN; i++) {
        attempt a;
        sv2_noise_policy policy;
        begin(&a);
        policy = policy_at(a.authority, NOW);
        answer(&a);
        a.act_2[i] ^= (uint8_t)(1u << (i % 8));
        CHECK(finish(&a, &policy) == SV2_ERR_AUTH);
    }
}

static void test_a_handshake_is_finished_once(void)
{
    attempt a;
    sv2_noise_policy policy;
    sv2_noise_sender before;
    begin(&a);
    policy = policy_at(a.authority, NOW);
    answer(&a);
    CHECK(finish(&a, &policy) == SV2_OK);
    CHECK(memcmp(a.shown.server_key, a.authority, 32) != 0 && a.shown.valid_from == NOW - DAY);
    before = a.client.sender;
    CHECK(sv2_noise_finish(&a.initiator, &a.client.sender, &a.client.receiver, NULL, NULL, a.act_2,
                           &policy)
          == SV2_ERR_ARGUMENT);
    CHECK(memcmp(&before, &a.client.sender, sizeof(before)) == 0);
}

static void test_a_refused_certificate_ends_the_handshake_and_is_shown(void)
{
    attempt a;
    sv2_noise_policy policy;
    begin(&a);
    policy = policy_at(a.authority, NOW + 2 * DAY);
    answer(&a);
    CHECK(finish(&a, &policy) == SV2_ERR_CERT_EXPIRED);
    CHECK(a.shown.not_valid_after == NOW + DAY);
    begin(&a);
    a.authority[3] ^= 1;
    policy = policy_at(a.authority, NOW);
    answer(&a);
    CHECK(finish(&a, &policy) == SV2_ERR_CERT_SIGNATURE);
}

static void test_an_unverified_session_has_to_be_asked_for(void)
{
    attempt a;
    sv2_noise_policy policy;
    memset(&policy, 0, sizeof(policy));
    begin(&a);
    answer(&a);
    CHECK(finish(&a, &policy) == SV2_ERR_ARGUMENT);
    policy.unverified = true;
    begin(&a);
    a.identity.certificate[20] ^= 1;
    answer(&a);
    CHECK(finish(&a, &policy) == SV2_OK);
    policy.authority = a.authority;
    begin(&a);
    answer(&a);
    CHECK(finish(&a, &policy) == SV2_ERR_ARGUMENT);
}

static void test_missing_arguments_are_refused(void)
{
    attempt a;
    sv2_noise_policy policy;
    end *c;
    begin(&a);
    answer(&a);
    c = &a.client;
    policy = policy_at(a.authority, NOW);
    CHECK(sv2_noise_initiate(NULL, a.act_1, provider) == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_initiate(&a.initiator, NULL, provider) == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_initiate(&a.initiator, a.act_1, NULL) == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_finish(NULL, &c->sender, &c->receiver, NULL, NULL, a.act_2, &policy)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_finish(&a.initiator, NULL, &c->receiver, NULL, NULL, a.act_2, &policy)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_finish(&a.initiator, &c->sender, NULL, NULL, NULL, a.act_2, &policy)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_finish(&a.initiator, &c->sender, &c->receiver, NULL, NULL, NULL, &policy)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_finish(&a.initiator, &c->sender, &c->receiver, NULL, NULL, a.act_2, NULL)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_respond(NULL, &c->receiver, NULL, a.act_2, a.act_1, &a.identity, provider)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_respond(&c->sender, NULL, NULL, a.act_2, a.act_1, &a.identity, provider)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_respond(&c->sender, &c->receiver, NULL, NULL, a.act_1, &a.identity, provider)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_respond(&c->sender, &c->receiver, NULL, a.act_2, NULL, &a.identity, provider)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_respond(&c->sender, &c->receiver, NULL, a.act_2, a.act_1, NULL, provider)
          == SV2_ERR_ARGUMENT);
    CHECK(sv2_noise_respond(&c->sender, &c->receiver, NULL, a.act_2, a.act_1, &a.identity, NULL)
          == SV2_ERR_ARGUMENT);
}

static void test_a_secret_that_is_no_scalar_is_refused(void)
{
    attempt a;
    uint8_t key[32];
    sv2_noise_certificate certificate = issue(provider, NOW, NOW);
    static const uint8_t zero[32];
    begin(&a);
    memset(a.identity.secret, 0xff, 32);
    CHECK(sv2_noise_respond(&a.server.sender, &a.server.receiver, a.server.hash, a.act_2, a.act_1,
                            &a.identity, provider)
          == SV2_ERR_PROVIDER);
    CHECK(is_zero(&a.server, sizeof(a.server)) && is_zero(a.act_2, sizeof(a.act_2)));
    CHECK(sv2_noise_public_key(key, zero, provider) == SV2_ERR_PROVIDER && is_zero(key, 32));
    CHECK(sv2_noise_certificate_issue(&certificate, zero, provider) == SV2_ERR_PROVIDER);
}

/* ---- Certificates -----------------------------------------------------------------------------*/

static sv2_status check_at(const sv2_noise_certificate *certificate, sv2_noise_clock clock,
                           uint32_t time, uint32_t tolerance)
{
    uint8_t authority[32];
    sv2_noise_policy policy = {authority, false, SV2_NOISE_CLOCK_REFUSE, 0, 0};
    policy.clock = clock;
    policy.time = time;
    policy.tolerance = tolerance;
    CHECK(sv2_noise_public_key(authority, authority_secret, provider) == SV2_OK);
    return sv2_noise_certificate_check(certificate, &policy, provider);
}

static void test_dates_count_to_the_second(void)
{
    sv2_noise_certificate c = issue(provider, NOW, NOW + DAY);
    const sv2_noise_clock now = SV2_NOISE_CLOCK_NOW, earliest = SV2_NOISE_CLOCK_EARLIEST;
    CHECK(check_at(&c, now, NOW, 0) == SV2_OK);
    CHECK(check_at(&c, now, NOW - 1, 0) == SV2_ERR_CERT_EARLY);
    CHECK(check_at(&c, now, NOW - 10, 10) == SV2_OK);
    CHECK(check_at(&c, now, NOW - 11, 10) == SV2_ERR_CERT_EARLY);
    CHECK(check_at(&c, now, NOW + DAY, 0) == SV2_OK);
    CHECK(check_at(&c, now, NOW + DAY + 1, 0) == SV2_ERR_CERT_EXPIRED);
    CHECK(check_at(&c, now, NOW + DAY + 10, 10) == SV2_OK);
    CHECK(check_at(&c, now, NOW + DAY + 11, 10) == SV2_ERR_CERT_EXPIRED);
    CHECK(check_at(&c, earliest, 0, 0) == SV2_OK);
    CHECK(check_at(&c, earliest, NOW + DAY, 0) == SV2_OK);
    CHECK(check_at(&c, earliest, NOW + DAY + 1, 1000) == SV2_ERR_CERT_EXPIRED);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_REFUSE, NOW, 1000) == SV2_ERR_CERT_NO_CLOCK);
    CHECK(check_at(&c, (sv2_noise_clock)7, NOW, 1000) == SV2_ERR_CERT_NO_CLOCK);
}

static void test_dates_at_the_ends_of_time(void)
{
    sv2_noise_certificate c = issue(provider, 0, UINT32_MAX);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, 0, 0) == SV2_OK);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, UINT32_MAX, UINT32_MAX) == SV2_OK);
    c = issue(provider, UINT32_MAX, UINT32_MAX);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, UINT32_MAX - 1, 0) == SV2_ERR_CERT_EARLY);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, UINT32_MAX - 1, UINT32_MAX) == SV2_OK);
    c = issue(provider, 0, 5);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, UINT32_MAX, 10) == SV2_ERR_CERT_EXPIRED);
}

static void test_a_certificate_that_ends_before_it_begins(void)
{
    sv2_noise_certificate c = issue(provider, NOW, NOW);
    c.not_valid_after = NOW - 1;
    CHECK(sv2_noise_certificate_issue(&c, authority_secret, provider) == SV2_ERR_CERT_DATES);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, NOW, 0) == SV2_ERR_CERT_SIGNATURE);
}

/* Signs what sv2_noise_certificate_issue would not, by way of a certificate with the same digest. */
static void test_reversed_dates_of_a_true_authority_are_refused(void)
{
    sv2_noise_certificate c = issue(provider, NOW, NOW);
    uint8_t wire[10], digest[32];
    sv2_bytes parts[2];
    c.valid_from = NOW + 1;
    sv2_store_u16(wire, 0);
    sv2_store_u32(wire + 2, c.valid_from);
    sv2_store_u32(wire + 6, c.not_valid_after);
    parts[0] = sv2_view(wire, sizeof(wire));
    parts[1] = sv2_view(c.server_key, 32);
    CHECK(provider->sha256(provider->context, digest, parts, 2));
    CHECK(provider->sign(provider->context, c.signature, digest, authority_secret, digest));
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, NOW, 1000) == SV2_ERR_CERT_DATES);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_EARLIEST, 0, 0) == SV2_ERR_CERT_DATES);
}

static void test_every_wrong_byte_of_a_certificate_is_noticed(void)
{
    const sv2_noise_certificate good = issue(provider, NOW - DAY, NOW + DAY);
    uint8_t wire[SV2_NOISE_CERTIFICATE_LEN], key[32];
    sv2_noise_certificate c;
    size_t i;
    for (i = 0; i < SV2_NOISE_CERTIFICATE_LEN + 32; i++) {
        sv2_noise_certificate_encode(wire, &good);
        memcpy(key, good.server_key, 32);
        if (i < SV2_NOISE_CERTIFICATE_LEN)
            wire[i] ^= 0x80;
        else
            key[i - SV2_NOISE_CERTIFICATE_LEN] ^= 0x80;
        sv2_noise_certificate_decode(&c, wire, key);
        CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, NOW, 0)
              == (i < 2 ? SV2_ERR_CERT_VERSION : SV2_ERR_CERT_SIGNATURE));
    }
    sv2_noise_certificate_encode(wire, &good);
    sv2_noise_certificate_decode(&c, wire, good.server_key);
    CHECK(check_at(&c, SV2_NOISE_CLOCK_NOW, NOW, 0) == SV2_OK);
}

/* ---- Keys as text -----------------------------------------------------------------------------*/

/* The vector of the spec (4.7.1). */
static const char vector_text[] = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
static const uint8_t vector_key[32] = {
    118, 99, 112, 0,   151, 156, 28, 17, 175, 12,  48, 11,  205, 140, 127, 228,
    134, 16, 252, 233, 185, 193, 30, 61, 174, 227, 90, 224, 176, 138, 116, 85,
};

static sv2_status decode_text(const char *text, size_t len)
{
    uint8_t key[32];
    sv2_status status;
    memset(key, 0x55, sizeof(key));
    status = sv2_noise_key_decode(key, text, len, provider);
    if (status == SV2_OK)
        CHECK(memcmp(key, vector_key, 32) == 0);
    else
        CHECK(is_zero(key, sizeof(key)));
    return status;
}

static void test_the_published_key(void)
{
    char text[SV2_NOISE_KEY_TEXT_LEN + 1];
    CHECK(sizeof(vector_text) == sizeof(text));
    CHECK(decode_text(vector_text, SV2_NOISE_KEY_TEXT_LEN) == SV2_OK);
    CHECK(sv2_noise_key_encode(text, vector_key, provider) == SV2_OK);
    CHECK(strcmp(text, vector_text) == 0);
}

static void test_key_text_of_every_other_length_is_refused(void)
{
    char text[80];
    size_t len;
    memset(text, '1', sizeof(text));
    memcpy(text, vector_text, SV2_NOISE_KEY_TEXT_LEN);
    for (len = 0; len < sizeof(text); len++)
        if (len != SV2_NOISE_KEY_TEXT_LEN)
            CHECK(decode_text(text, len) == SV2_ERR_KEY_LENGTH);
}

static void test_key_text_with_any_other_character_is_refused(void)
{
    char text[sizeof(vector_text)];
    size_t i;
    unsigned c;
    for (i = 0; i < SV2_NOISE_KEY_TEXT_LEN; i++) {
        for (c = 0; c < 256; c++) {
            sv2_status status;
            memcpy(text, vector_text, sizeof(text));
            if (text[i] == (char)c)
                continue;
            text[i] = (char)c;
            status = decode_text(text, SV2_NOISE_KEY_TEXT_LEN);
            CHECK(status == SV2_ERR_KEY_CHECKSUM || status == SV2_ERR_KEY_CHARACTER);
        }
    }
    memset(text, 'z', SV2_NOISE_KEY_TEXT_LEN);
    CHECK(decode_text(text, SV2_NOISE_KEY_TEXT_LEN) == SV2_ERR_KEY_CHECKSUM);
}

static void test_a_key_that_is_not_on_the_curve_is_refused(void)
{
    char text[SV2_NOISE_KEY_TEXT_LEN + 1];
    uint8_t key[32];
    memset(key, 0xff, sizeof(key));
    CHECK(sv2_noise_key_encode(text, key, provider) == SV2_OK);
    CHECK(decode_text(text, SV2_NOISE_KEY_TEXT_LEN) == SV2_ERR_KEY_VALUE);
}

/* Made with version 02 00 by an independent implementation of base58check. */
static void test_a_key_of_another_version_is_refused(void)
{
    static const char text[] = "JBAHPz2mxKdgM8HBhdW2bZpLLBd8uXGnum2FVdm5rH2Kt8nBY8G";
    CHECK(strlen(text) == SV2_NOISE_KEY_TEXT_LEN);
    CHECK(decode_text(text, SV2_NOISE_KEY_TEXT_LEN) == SV2_ERR_KEY_VERSION);
}

/* ---- A provider that fails --------------------------------------------------------------------*/

/* The calls of random, sha256, ellswift_create, ellswift_xdh, ellswift_x, sign, seal; the one that
 * leaves 0 calls fails. */
static unsigned calls_left;

static bool allowed(void)
{
    return calls_left == 0 || --calls_left != 0;
}

static bool failing_random(void *context, uint8_t *out, size_t len)
{
    return allowed() && provider->random(context, out, len);
}

static bool failing_sha256(void *context, uint8_t out[32], const sv2_bytes *parts, size_t count)
{
    return allowed() && provider->sha256(context, out, parts, count);
}

static bool failing_create(void *context, uint8_t encoded[64], const uint8_t secret[32],
                           const uint8_t randomness[32])
{
    return allowed() && provider->ellswift_create(context, encoded, secret, randomness);
}

static bool failing_xdh(void *context, uint8_t shared[32], const uint8_t initiator[64],
                        const uint8_t responder[64], const uint8_t secret[32], bool initiating)
{
    return allowed()
           && provider->ellswift_xdh(context, shared, initiator, responder, secret, initiating);
}

static bool failing_x(void *context, uint8_t x[32], const uint8_t encoded[64])
{
    return allowed() && provider->ellswift_x(context, x, encoded);
}

static bool failing_sign(void *context, uint8_t signature[64], const uint8_t digest[32],
                         const uint8_t secret[32], const uint8_t randomness[32])
{
    return allowed() && provider->sign(context, signature, digest, secret, randomness);
}

static bool failing_seal(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                         const uint8_t nonce[12], sv2_bytes associated)
{
    return allowed() && provider->seal(context, data, len, key, nonce, associated);
}

static sv2_noise_provider failing_provider(void)
{
    sv2_noise_provider p = *provider;
    p.random = failing_random;
    p.sha256 = failing_sha256;
    p.ellswift_create = failing_create;
    p.ellswift_xdh = failing_xdh;
    p.ellswift_x = failing_x;
    p.sign = failing_sign;
    p.seal = failing_seal;
    return p;
}

/* Whether call number n came to be; the handshake then has to fail and leave nothing behind. */
static bool client_survives(unsigned n)
{
    sv2_noise_provider failing = failing_provider();
    attempt a;
    sv2_noise_policy policy;
    sv2_status status;
    begin(&a);
    policy = policy_at(a.authority, NOW);
    calls_left = n;
    status = sv2_noise_initiate(&a.initiator, a.act_1, &failing);
    if (status != SV2_OK) {
        CHECK(status == SV2_ERR_PROVIDER && is_zero(&a.initiator, sizeof(a.initiator)));
        CHECK(is_zero(a.act_1, sizeof(a.act_1)));
        return false;
    }
    answer(&a);
    status = finish(&a, &policy);
    CHECK(status == SV2_ERR_PROVIDER || (status == SV2_OK && calls_left != 0));
    calls_left = 0;
    return status == SV2_OK;
}

static bool server_survives(unsigned n)
{
    sv2_noise_provider failing = failing_provider();
    attempt a;
    sv2_status status;
    begin(&a);
    calls_left = n;
    status = sv2_noise_respond(&a.server.sender, &a.server.receiver, a.server.hash, a.act_2,
                               a.act_1, &a.identity, &failing);
    if (status != SV2_OK) {
        CHECK(status == SV2_ERR_PROVIDER && is_zero(&a.server, sizeof(a.server)));
        CHECK(is_zero(a.act_2, sizeof(a.act_2)));
    }
    calls_left = 0;
    return status == SV2_OK;
}

static bool issuing_survives(unsigned n)
{
    sv2_noise_provider failing = failing_provider();
    sv2_noise_certificate c = issue(provider, NOW, NOW);
    sv2_status status;
    calls_left = n;
    status = sv2_noise_certificate_issue(&c, authority_secret, &failing);
    calls_left = 0;
    CHECK(status == SV2_OK || status == SV2_ERR_PROVIDER);
    return status == SV2_OK;
}

static bool key_text_survives(unsigned n)
{
    sv2_noise_provider failing = failing_provider();
    char text[SV2_NOISE_KEY_TEXT_LEN + 1];
    uint8_t key[32];
    sv2_status status;
    calls_left = n;
    status = sv2_noise_key_encode(text, vector_key, &failing);
    if (status == SV2_OK)
        status = sv2_noise_key_decode(key, text, strlen(text), &failing);
    calls_left = 0;
    CHECK(status == SV2_OK || status == SV2_ERR_PROVIDER);
    return status == SV2_OK;
}

static void test_every_failure_of_the_provider(bool (*survives)(unsigned), unsigned calls)
{
    unsigned n;
    for (n = 1; n <= calls; n++)
        CHECK(!survives(n));
    CHECK(survives(calls + 1));
}

/* ---- Sizes ------------------------------------------------------------------------------------*/

static void test_a_connection_is_small(void)
{
    CHECK(sizeof(sv2_noise_sender) + sizeof(sv2_noise_receiver) + sizeof(sv2_noise_reader)
              + sizeof(sv2_noise_initiator)
          <= 600);
}

static void test_wiping_wipes(void)
{
    uint8_t data[70];
    memset(data, 0xaa, sizeof(data));
    sv2_noise_wipe(data + 1, 68);
    CHECK(data[0] == 0xaa && is_zero(data + 1, 68) && data[69] == 0xaa);
}

int main(void)
{
    crypto c;
    provider = crypto_start(&c);
    test_both_ends_agree();
    test_two_sessions_have_nothing_in_common();
    test_every_wrong_byte_of_act_1_is_noticed();
    test_every_wrong_byte_of_act_2_is_noticed();
    test_a_handshake_is_finished_once();
    test_a_refused_certificate_ends_the_handshake_and_is_shown();
    test_an_unverified_session_has_to_be_asked_for();
    test_missing_arguments_are_refused();
    test_a_secret_that_is_no_scalar_is_refused();
    test_dates_count_to_the_second();
    test_dates_at_the_ends_of_time();
    test_a_certificate_that_ends_before_it_begins();
    test_reversed_dates_of_a_true_authority_are_refused();
    test_every_wrong_byte_of_a_certificate_is_noticed();
    test_the_published_key();
    test_key_text_of_every_other_length_is_refused();
    test_key_text_with_any_other_character_is_refused();
    test_a_key_that_is_not_on_the_curve_is_refused();
    test_a_key_of_another_version_is_refused();
    /* How many calls each takes. A call more or less is a change that deserves a look. */
    test_every_failure_of_the_provider(client_survives, 30);
    test_every_failure_of_the_provider(server_survives, 32);
    test_every_failure_of_the_provider(issuing_survives, 3);
    test_every_failure_of_the_provider(key_text_survives, 4);
    test_a_connection_is_small();
    test_wiping_wipes();
    crypto_stop(&c);
    return test_result("noise handshake, " CRYPTO_NAME);
}
