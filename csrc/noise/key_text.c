/*
 * Authority keys as text: base58check of a version, a key and a checksum. Spec: 4.7.
 */
#include <string.h>

#include "libsv2/noise.h"

enum {
    KEY_AT = 2,
    CHECKSUM_AT = KEY_AT + 32,
    CHECKSUM_LEN = 4,
    RAW_LEN = CHECKSUM_AT + CHECKSUM_LEN
};

/* 38 bytes that begin with 1 are a number from 2^296 to 2^297: 51 digits, always. */
static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* The first 4 bytes of SHA-256 of SHA-256. */
static bool checksum(uint8_t out[CHECKSUM_LEN], const uint8_t raw[RAW_LEN],
                     const sv2_noise_provider *provider)
{
    uint8_t hash[32];
    sv2_bytes once = sv2_view(raw, CHECKSUM_AT), twice = sv2_view(hash, sizeof(hash));
    if (!provider->sha256(provider->context, hash, &once, 1)
        || !provider->sha256(provider->context, hash, &twice, 1))
        return false;
    memcpy(out, hash, CHECKSUM_LEN);
    return true;
}

/* raw = raw * 58 + digit, big-endian. 51 digits do not overflow it. */
static void append_digit(uint8_t raw[RAW_LEN], unsigned digit)
{
    unsigned i = RAW_LEN, carry = digit;
    while (i-- > 0) {
        carry += raw[i] * 58u;
        raw[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

/* raw = raw / 58; returns the remainder. */
static unsigned take_digit(uint8_t raw[RAW_LEN])
{
    unsigned i, rest = 0;
    for (i = 0; i < RAW_LEN; i++) {
        rest = rest << 8 | raw[i];
        raw[i] = (uint8_t)(rest / 58);
        rest %= 58;
    }
    return rest;
}

static sv2_status decode_raw(uint8_t raw[RAW_LEN], const char *text, size_t len)
{
    size_t i;
    if (len != SV2_NOISE_KEY_TEXT_LEN)
        return SV2_ERR_KEY_LENGTH;
    memset(raw, 0, RAW_LEN);
    for (i = 0; i < len; i++) {
        unsigned digit = 0;
        while (digit < 58 && alphabet[digit] != text[i])
            digit++;
        if (digit == 58)
            return SV2_ERR_KEY_CHARACTER;
        append_digit(raw, digit);
    }
    return SV2_OK;
}

static sv2_status check_raw(const uint8_t raw[RAW_LEN], const sv2_noise_provider *provider)
{
    uint8_t sum[CHECKSUM_LEN];
    if (!checksum(sum, raw, provider))
        return SV2_ERR_PROVIDER;
    if (memcmp(sum, raw + CHECKSUM_AT, CHECKSUM_LEN) != 0)
        return SV2_ERR_KEY_CHECKSUM;
    if (sv2_load_u16(raw) != 1)
        return SV2_ERR_KEY_VERSION;
    if (!provider->is_public_key(provider->context, raw + KEY_AT))
        return SV2_ERR_KEY_VALUE;
    return SV2_OK;
}

sv2_status sv2_noise_key_decode(uint8_t key[32], const char *text, size_t len,
                                const sv2_noise_provider *provider)
{
    uint8_t raw[RAW_LEN];
    sv2_status status = decode_raw(raw, text, len);
    if (status == SV2_OK)
        status = check_raw(raw, provider);
    if (status == SV2_OK)
        memcpy(key, raw + KEY_AT, 32);
    else
        memset(key, 0, 32);
    return status;
}

sv2_status sv2_noise_key_encode(char text[SV2_NOISE_KEY_TEXT_LEN + 1], const uint8_t key[32],
                                const sv2_noise_provider *provider)
{
    uint8_t raw[RAW_LEN] = {0};
    unsigned i = SV2_NOISE_KEY_TEXT_LEN;
    sv2_store_u16(raw, 1);
    memcpy(raw + KEY_AT, key, 32);
    text[0] = '\0';
    if (!checksum(raw + CHECKSUM_AT, raw, provider))
        return SV2_ERR_PROVIDER;
    text[i] = '\0';
    while (i-- > 0)
        text[i] = alphabet[take_digit(raw)];
    return SV2_OK;
}
