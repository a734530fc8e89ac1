/*
 * Certificates: what the authority signs, and when a client believes it. Spec: 4.5.3.
 */
#include <string.h>

#include "libsv2/noise.h"

enum {
    DATES_LEN = 10
};

static void encode_dates(uint8_t wire[DATES_LEN], const sv2_noise_certificate *certificate)
{
    sv2_store_u16(wire, certificate->version);
    sv2_store_u32(wire + 2, certificate->valid_from);
    sv2_store_u32(wire + 6, certificate->not_valid_after);
}

void sv2_noise_certificate_decode(sv2_noise_certificate *certificate,
                                  const uint8_t wire[SV2_NOISE_CERTIFICATE_LEN],
                                  const uint8_t server_key[32])
{
    certificate->version = sv2_load_u16(wire);
    certificate->valid_from = sv2_load_u32(wire + 2);
    certificate->not_valid_after = sv2_load_u32(wire + 6);
    memcpy(certificate->signature, wire + DATES_LEN, 64);
    memcpy(certificate->server_key, server_key, 32);
}

void sv2_noise_certificate_encode(uint8_t wire[SV2_NOISE_CERTIFICATE_LEN],
                                  const sv2_noise_certificate *certificate)
{
    encode_dates(wire, certificate);
    memcpy(wire + DATES_LEN, certificate->signature, 64);
}

/* What the authority signs (spec 4.5.3.1). */
static bool digest(uint8_t out[32], const sv2_noise_certificate *certificate,
                   const sv2_noise_provider *provider)
{
    uint8_t dates[DATES_LEN];
    sv2_bytes parts[2];
    encode_dates(dates, certificate);
    parts[0] = sv2_view(dates, DATES_LEN);
    parts[1] = sv2_view(certificate->server_key, 32);
    return provider->sha256(provider->context, out, parts, 2);
}

static sv2_status check_dates(const sv2_noise_certificate *certificate,
                              const sv2_noise_policy *policy)
{
    bool now = policy->clock == SV2_NOISE_CLOCK_NOW;
    uint32_t tolerance = now ? policy->tolerance : 0;
    if (certificate->valid_from > certificate->not_valid_after)
        return SV2_ERR_CERT_DATES;
    if (!now && policy->clock != SV2_NOISE_CLOCK_EARLIEST)
        return SV2_ERR_CERT_NO_CLOCK;
    if (now && certificate->valid_from > (uint64_t)policy->time + tolerance)
        return SV2_ERR_CERT_EARLY;
    if ((uint64_t)certificate->not_valid_after + tolerance < policy->time)
        return SV2_ERR_CERT_EXPIRED;
    return SV2_OK;
}

sv2_status sv2_noise_certificate_check(const sv2_noise_certificate *certificate,
                                       const sv2_noise_policy *policy,
                                       const sv2_noise_provider *provider)
{
    uint8_t signed_digest[32];
    if (policy->unverified != (policy->authority == NULL))
        return SV2_ERR_ARGUMENT;
    if (policy->unverified)
        return SV2_OK;
    if (certificate->version != 0)
        return SV2_ERR_CERT_VERSION;
    if (!digest(signed_digest, certificate, provider))
        return SV2_ERR_PROVIDER;
    if (!provider->verify(provider->context, certificate->signature, signed_digest,
                          policy->authority))
        return SV2_ERR_CERT_SIGNATURE;
    return check_dates(certificate, policy);
}

sv2_status sv2_noise_certificate_issue(sv2_noise_certificate *certificate,
                                       const uint8_t authority_secret[32],
                                       const sv2_noise_provider *provider)
{
    uint8_t to_sign[32], randomness[32];
    bool ok;
    if (certificate->valid_from > certificate->not_valid_after)
        return SV2_ERR_CERT_DATES;
    ok = provider->random(provider->context, randomness, sizeof(randomness))
         && digest(to_sign, certificate, provider)
         && provider->sign(provider->context, certificate->signature, to_sign, authority_secret,
                           randomness);
    sv2_noise_wipe(randomness, sizeof(randomness));
    return ok ? SV2_OK : SV2_ERR_PROVIDER;
}
