/*
 * SHA-256 (FIPS 180-4), and what mining builds on it.
 */
#include "libsv2/hash.h"

#include <string.h>

/* ---- SHA-256 ----------------------------------------------------------------------------------*/

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void store_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static uint32_t rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* The working variables a to h are s[0] to s[7] of FIPS 180-4; instead of moving them along after each
 * round, round i finds variable n at s[(n - i) mod 8]. The message schedule is a ring of 16 words: 64
 * would cost 192 bytes more of stack. */
static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[16], s[8];
    unsigned i;
    memcpy(s, state, sizeof(s));
    for (i = 0; i < 64; i++) {
        uint32_t a = s[(0 - i) & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7];
        uint32_t e = s[(4 - i) & 7], f = s[(5 - i) & 7], g = s[(6 - i) & 7];
        uint32_t *h = &s[(7 - i) & 7];
        uint32_t *word = &w[i & 15];
        if (i < 16) {
            *word = load_be32(block + 4 * (size_t)i);
        } else {
            uint32_t w15 = w[(i + 1) & 15], w2 = w[(i + 14) & 15];
            *word += (rotr(w15, 7) ^ rotr(w15, 18) ^ w15 >> 3) + w[(i + 9) & 15]
                     + (rotr(w2, 17) ^ rotr(w2, 19) ^ w2 >> 10);
        }
        *h += (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + round_constants[i]
              + *word;
        s[(3 - i) & 7] += *h;
        *h += (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    }
    for (i = 0; i < 8; i++)
        state[i] += s[i];
}

void sv2_sha256_init(sv2_sha256 *hash)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof(start));
    hash->bytes = 0;
}

void sv2_sha256_update(sv2_sha256 *hash, const uint8_t *data, size_t len)
{
    size_t held = (size_t)(hash->bytes & 63);
    hash->bytes += len;
    while (len != 0) {
        size_t n = 64 - held < len ? 64 - held : len;
        memcpy(hash->block + held, data, n);
        data += n;
        len -= n;
        held += n;
        if (held == 64) {
            compress(hash->state, hash->block);
            held = 0;
        }
    }
}

void sv2_sha256_final(sv2_sha256 *hash, uint8_t out[32])
{
    static const uint8_t padding[64] = {0x80};
    uint8_t length[8];
    uint64_t bits = hash->bytes * 8;
    unsigned i;
    store_be32(length, (uint32_t)(bits >> 32));
    store_be32(length + 4, (uint32_t)bits);
    sv2_sha256_update(hash, padding, 1 + (size_t)((119 - hash->bytes) & 63));
    sv2_sha256_update(hash, length, sizeof(length));
    for (i = 0; i < 8; i++)
        store_be32(out + 4 * (size_t)i, hash->state[i]);
}

static void sha256_once(uint8_t out[32], const uint8_t *data, size_t len)
{
    sv2_sha256 hash;
    sv2_sha256_init(&hash);
    sv2_sha256_update(&hash, data, len);
    sv2_sha256_final(&hash, out);
}

/* ---- Mining -----------------------------------------------------------------------------------*/

void sv2_sha256d(uint8_t out[32], const uint8_t *data, size_t len)
{
    sha256_once(out, data, len);
    sha256_once(out, out, 32);
}

void sv2_merkle_root(uint8_t root[32], const uint8_t txid[32], const uint8_t *path, size_t count)
{
    uint8_t pair[64];
    memcpy(pair, txid, 32);
    for (; count > 0; count--, path += 32) {
        memcpy(pair + 32, path, 32);
        sv2_sha256d(pair, pair, sizeof(pair));
    }
    memcpy(root, pair, 32);
}

/* The compact form is a base-256 floating point number with a sign: 1 byte of exponent, 3 of
 * mantissa, whose top bit is the sign. */
sv2_status sv2_target_from_compact(uint8_t target[32], uint32_t nbits)
{
    unsigned exponent = nbits >> 24, i;
    uint32_t mantissa = nbits & 0x7fffff;
    memset(target, 0, 32);
    if (exponent < 3)
        mantissa >>= 8 * (3 - exponent);
    if (mantissa == 0)
        return SV2_OK;
    if (nbits & 0x800000)
        return SV2_ERR_TARGET;
    for (i = 0; mantissa != 0; i++, mantissa >>= 8) {
        unsigned at = exponent > 3 ? exponent - 3 + i : i;
        if (at >= 32) {
            memset(target, 0, 32);
            return SV2_ERR_TARGET;
        }
        target[at] = (uint8_t)mantissa;
    }
    return SV2_OK;
}

int sv2_u256_cmp(const uint8_t a[32], const uint8_t b[32])
{
    unsigned i = 32;
    while (i-- > 0)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

void sv2_u256_reverse(uint8_t out[32], const uint8_t in[32])
{
    unsigned i;
    for (i = 0; i < 16; i++) {
        uint8_t low = in[i];
        out[i] = in[31 - i];
        out[31 - i] = low;
    }
}
