/*
 * Both ends of a session, as the Noise tests need them.
 */
#ifndef SV2_TEST_SESSION_H
#define SV2_TEST_SESSION_H

#include <string.h>

#include "../test.h"
#include "crypto.h"
#include "libsv2/noise.h"

#define NOW 1800000000u
#define DAY 86400u

typedef struct end {
    sv2_noise_sender sender;
    sv2_noise_receiver receiver;
    uint8_t hash[32];
} end;

static const uint8_t authority_secret[32] = {1, 2, 3, 4};
static const uint8_t static_secret[32] = {5, 6, 7, 8};

static inline int is_zero(const void *data, size_t len)
{
    const uint8_t *p = (const uint8_t *)data;
    while (len-- > 0)
        if (*p++ != 0)
            return 0;
    return 1;
}

static inline sv2_noise_certificate issue(const sv2_noise_provider *p, uint32_t from,
                                          uint32_t until)
{
    sv2_noise_certificate certificate;
    memset(&certificate, 0, sizeof(certificate));
    certificate.valid_from = from;
    certificate.not_valid_after = until;
    CHECK(sv2_noise_public_key(certificate.server_key, static_secret, p) == SV2_OK);
    CHECK(sv2_noise_certificate_issue(&certificate, authority_secret, p) == SV2_OK);
    return certificate;
}

static inline sv2_noise_identity make_identity(const sv2_noise_provider *p)
{
    sv2_noise_identity identity;
    sv2_noise_certificate certificate = issue(p, NOW - DAY, NOW + DAY);
    memcpy(identity.secret, static_secret, 32);
    sv2_noise_certificate_encode(identity.certificate, &certificate);
    return identity;
}

static inline sv2_noise_policy policy_at(const uint8_t *authority, uint32_t now)
{
    sv2_noise_policy policy = {authority, false, SV2_NOISE_CLOCK_NOW, 0, 10};
    policy.time = now;
    return policy;
}

/* A whole handshake that has to succeed. */
static inline void connect_ends(end *client, end *server, const sv2_noise_provider *p)
{
    sv2_noise_identity identity = make_identity(p);
    sv2_noise_initiator initiator;
    uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN], authority[32];
    sv2_noise_policy policy = policy_at(authority, NOW);
    CHECK(sv2_noise_public_key(authority, authority_secret, p) == SV2_OK);
    CHECK(sv2_noise_initiate(&initiator, act_1, p) == SV2_OK);
    CHECK(sv2_noise_respond(&server->sender, &server->receiver, server->hash, act_2, act_1,
                            &identity, p)
          == SV2_OK);
    CHECK(sv2_noise_finish(&initiator, &client->sender, &client->receiver, NULL, client->hash,
                           act_2, &policy)
          == SV2_OK);
}

#endif
