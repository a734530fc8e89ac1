/* Invariant: hashes, merkle roots, targets and comparisons are those of a second, plainer implementation, however the input is cut and whatever aliases. */
/*
 * Input: 4 bytes nbits, 1 byte count of path elements, 2 bytes that seed the cuts; data to hash, whose
 * beginning is also the txid and path.
 */
#include "fuzz.h"

/* ---- SHA-256, as FIPS 180-4 tells it -----------------------------------------------------------
 * Constants come from the definition, not from a table: the fractional bits of roots of primes. */

static uint32_t k[64], h0[8];

__extension__ typedef unsigned __int128 wide_number;

static wide_number power(uint64_t x, unsigned root)
{
    wide_number p = (wide_number)x * x;
    return root == 3 ? p * x : p;
}

/* The first 32 fractional bits of the square or cube root of a prime: floor(root(prime) * 2^32),
 * found bit by bit, with the integer part cut off. The cube of a number of 35 bits has 105. */
static uint32_t root_bits(uint64_t prime, unsigned root)
{
    wide_number wanted = (wide_number)prime << (32 * root);
    uint64_t x = 0, bit;
    for (bit = (uint64_t)1 << 37; bit != 0; bit >>= 1)
        if (power(x | bit, root) <= wanted)
            x |= bit;
    return (uint32_t)x;
}

static bool is_prime(uint64_t n)
{
    uint64_t d;
    for (d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return true;
}

static void make_constants(void)
{
    uint64_t n;
    unsigned i = 0;
    for (n = 2; i < 64; n++) {
        if (!is_prime(n))
            continue;
        if (i < 8)
            h0[i] = root_bits(n, 2);
        k[i++] = root_bits(n, 3);
    }
}

static uint32_t turn(uint32_t x, unsigned n)
{
    return (x >> n) | (x << (32 - n));
}

static void reference_block(uint32_t h[8], const uint8_t *block)
{
    uint32_t w[64], v[8], t1, t2;
    unsigned i, j;
    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16
               | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (i = 16; i < 64; i++)
        w[i] = (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >> 10)) + w[i - 7]
               + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >> 3)) + w[i - 16];
    memcpy(v, h, sizeof(v));
    for (i = 0; i < 64; i++) {
        t1 = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25))
             + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        t2 = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22))
             + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (j = 7; j > 0; j--)
            v[j] = v[j - 1];
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (i = 0; i < 8; i++)
        h[i] += v[i];
}

static void reference_sha256(uint8_t out[32], const uint8_t *data, size_t len)
{
    uint8_t tail[128] = {0};
    size_t whole = len / 64 * 64, rest = len - whole, end = rest < 56 ? 64 : 128, i;
    uint32_t h[8];
    memcpy(h, h0, sizeof(h));
    for (i = 0; i < whole; i += 64)
        reference_block(h, data + i);
    if (rest != 0)
        memcpy(tail, data + whole, rest);
    tail[rest] = 0x80;
    for (i = 0; i < 8; i++)
        tail[end - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (i = 0; i < end; i += 64)
        reference_block(h, tail + i);
    for (i = 0; i < 32; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void reference_sha256d(uint8_t out[32], const uint8_t *data, size_t len)
{
    uint8_t once[32];
    reference_sha256(once, data, len);
    reference_sha256(out, once, 32);
}

/* ---- Checks -----------------------------------------------------------------------------------*/

static void check_cut(const uint8_t *data, size_t len, uint64_t random)
{
    uint8_t expected[32], found[32];
    sv2_sha256 hash;
    size_t at = 0;
    reference_sha256(expected, data, len);
    sv2_sha256_init(&hash);
    while (at < len) {
        uint64_t r = next_random(&random);
        size_t n = (size_t)(r >> 8) % (r % 2 ? 130 : len + 1);
        n = n < len - at ? n : len - at;
        sv2_sha256_update(&hash, data + at, n);
        at += n;
    }
    sv2_sha256_final(&hash, found);
    CHECK(memcmp(found, expected, 32) == 0);
}

static void check_double(const uint8_t *data, size_t len)
{
    uint8_t expected[32], found[32];
    reference_sha256d(expected, data, len);
    sv2_sha256d(found, data, len);
    CHECK(memcmp(found, expected, 32) == 0);
    if (len < 32 || len > FUZZ_MAX_INPUT)
        return;
    /* out may be data. */
    uint8_t *both = guarded(GUARD_OUTPUT, len);
    memcpy(both, data, len);
    sv2_sha256d(both, both, len);
    CHECK(memcmp(both, expected, 32) == 0);
}

static void check_merkle(const uint8_t *data, size_t len, size_t count)
{
    uint8_t expected[64], root[32];
    size_t i;
    if (len < 32)
        return;
    if (count > len / 32 - 1)
        count = len / 32 - 1;
    memcpy(expected, data, 32);
    for (i = 1; i <= count; i++) {
        memcpy(expected + 32, data + 32 * i, 32);
        reference_sha256d(expected, expected, 64);
    }
    sv2_merkle_root(root, data, data + 32, count);
    CHECK(memcmp(root, expected, 32) == 0);
    memcpy(root, data, 32);
    sv2_merkle_root(root, root, data + 32, count);
    CHECK(memcmp(root, expected, 32) == 0);
}

/* mantissa * 256^(exponent - 3) in a number of 300 bytes: nothing can fall off its end. */
static void check_target(uint32_t nbits)
{
    uint8_t wide[300] = {0}, target[32], zero[32] = {0};
    uint32_t mantissa = nbits & 0x7fffff;
    unsigned exponent = nbits >> 24, i;
    bool large = false, none;
    sv2_status status = sv2_target_from_compact(target, nbits);
    for (i = 0; i < 3; i++) /* byte i of the mantissa has the weight 256^(i + exponent - 3) */
        if (i + exponent >= 3)
            wide[i + exponent - 3] = (uint8_t)(mantissa >> (8 * i));
    for (i = 32; i < sizeof(wide); i++)
        large |= wide[i] != 0;
    none = !large && memcmp(wide, zero, 32) == 0;
    if (!none && (large || (nbits & 0x800000) != 0)) {
        CHECK(status == SV2_ERR_TARGET && memcmp(target, zero, 32) == 0);
        return;
    }
    CHECK(status == SV2_OK && memcmp(target, wide, 32) == 0);
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void check_numbers(const uint8_t *data, size_t len)
{
    uint8_t a[32], b[32], c[32];
    if (len < 64)
        return;
    sv2_u256_reverse(a, data);
    memcpy(b, data + 32, 32);
    sv2_u256_reverse(b, b);
    CHECK(sign(sv2_u256_cmp(data, data + 32)) == sign(memcmp(a, b, 32)));
    CHECK(sv2_u256_cmp(data, data) == 0);
    sv2_u256_reverse(c, a);
    CHECK(memcmp(c, data, 32) == 0 && a[0] == data[31]);
    /* Differ in one byte alone, which random numbers seldom do. */
    c[data[0] % 32] ^= data[1];
    sv2_u256_reverse(b, c);
    CHECK(sign(sv2_u256_cmp(data, c)) == sign(memcmp(a, b, 32)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices from = {data, size};
    uint32_t nbits;
    size_t count;
    uint64_t random;
    if (size > FUZZ_MAX_INPUT)
        return 0;
    if (k[0] == 0)
        make_constants();
    nbits = (uint32_t)choose(&from, 4);
    count = (size_t)choose(&from, 1);
    random = choose(&from, 2);
    data = guarded_copy(GUARD_INPUT, from.at, from.left);
    check_target(nbits);
    check_cut(data, from.left, random);
    check_double(data, from.left);
    check_merkle(data, from.left, count);
    check_numbers(data, from.left);
    return 0;
}
