/*
 * SHA-256 by the examples of FIPS 180-4 and NIST, headers and merkle paths by blocks of the chain,
 * compact targets by Bitcoin Core's documented cases.
 */
#include "libsv2.h"
#include "test.h"

static void from_hex(uint8_t *out, const char *hex)
{
    for (; *hex; hex += 2) {
        unsigned value;
        sscanf(hex, "%2x", &value);
        *out++ = (uint8_t)value;
    }
}

static void check_sha256(const char *text, size_t repeat, const char *hex)
{
    uint8_t wanted[32], found[32];
    sv2_sha256 hash;
    size_t i;
    from_hex(wanted, hex);
    sv2_sha256_init(&hash);
    for (i = 0; i < repeat; i++)
        sv2_sha256_update(&hash, (const uint8_t *)text, strlen(text));
    sv2_sha256_final(&hash, found);
    CHECK(memcmp(found, wanted, 32) == 0);
}

/* Every split of one message gives the same digest. */
static void check_splits(void)
{
    uint8_t data[200], whole[32], parts[32];
    size_t len, split;
    memset(data, 0x5a, sizeof(data));
    for (len = 0; len < sizeof(data); len++) {
        sv2_sha256 hash;
        sv2_sha256_init(&hash);
        sv2_sha256_update(&hash, data, len);
        sv2_sha256_final(&hash, whole);
        for (split = 0; split <= len; split += 13) {
            sv2_sha256_init(&hash);
            sv2_sha256_update(&hash, data, split);
            sv2_sha256_update(&hash, data + split, len - split);
            sv2_sha256_final(&hash, parts);
            CHECK(memcmp(whole, parts, 32) == 0);
        }
    }
}

/* Bitcoin's genesis block: its header, its hash, its only transaction's id as merkle root. */
static void check_genesis(void)
{
    uint8_t header[80], hash[32], wanted[32], root[32], target[32];
    from_hex(header,
             "0100000000000000000000000000000000000000000000000000000000000000000000003ba3ed"
             "fd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac"
             "2b7c");
    from_hex(wanted, "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000");
    sv2_sha256d(hash, header, sizeof(header));
    CHECK(memcmp(hash, wanted, 32) == 0);
    sv2_merkle_root(root, header + 36, NULL, 0);
    CHECK(memcmp(root, header + 36, 32) == 0);
    CHECK(sv2_target_from_compact(target, sv2_load_u32(header + 72)) == SV2_OK);
    CHECK(sv2_u256_cmp(hash, target) < 0 && sv2_u256_cmp(target, hash) > 0);
    CHECK(sv2_u256_cmp(hash, hash) == 0);
    sv2_u256_reverse(hash, hash);
    CHECK(hash[0] == 0 && hash[31] == 0x6f);
}

/* Block 100,000: four transactions, the path of the first. */
static void check_merkle(void)
{
    uint8_t txid[32], path[64], root[32], wanted[32], pair[64];
    from_hex(txid, "876dd0a3ef4a2816ffd1c12ab649825a958b0ff3bb3d6f3e1250f13ddbf0148c");
    from_hex(path, "c40297f730dd7b5a99567eb8d27b78758f607507c52292d02d4031895b52f2ff");
    from_hex(pair, "c46e239ab7d28e2c019b6d66ad8fae98a56ef1f21aeecb94d1b1718186f05963");
    from_hex(pair + 32, "1d0cb83721529a062d9675b98d6e5c587e4a770fc84ed00abc5a5de04568a6e9");
    sv2_sha256d(path + 32, pair, sizeof(pair));
    from_hex(wanted, "6657a9252aacd5c0b2940996ecff952228c3067cc38d4885efb5a4ac4247e9f3");
    sv2_merkle_root(root, txid, path, 2);
    CHECK(memcmp(root, wanted, 32) == 0);
    sv2_merkle_root(txid, txid, path, 2);
    CHECK(memcmp(txid, wanted, 32) == 0);
}

static void check_target(uint32_t nbits, sv2_status status, const char *big_endian)
{
    uint8_t found[32], wanted[32];
    CHECK(sv2_target_from_compact(found, nbits) == status);
    from_hex(wanted, big_endian);
    sv2_u256_reverse(wanted, wanted);
    CHECK(memcmp(found, wanted, 32) == 0);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static void check_targets(void)
{
    check_target(0x1d00ffff, SV2_OK,
                 "00000000ffff0000000000000000000000000000000000000000000000000000");
    check_target(0x207fffff, SV2_OK,
                 "7fffff0000000000000000000000000000000000000000000000000000000000");
    check_target(0x05009234, SV2_OK,
                 "0000000000000000000000000000000000000000000000000000000092340000");
    check_target(0x01123456, SV2_OK,
                 "0000000000000000000000000000000000000000000000000000000000000012");
    check_target(0x02123456, SV2_OK,
                 "0000000000000000000000000000000000000000000000000000000000001234");
    check_target(0x03123456, SV2_OK,
                 "0000000000000000000000000000000000000000000000000000000000123456");
    check_target(0x220000ff, SV2_OK,
                 "ff00000000000000000000000000000000000000000000000000000000000000");
    check_target(0x00123456, SV2_OK, ZEROS);
    check_target(0x01003456, SV2_OK, ZEROS);
    check_target(0x01803456, SV2_OK, ZEROS); /* negative zero is zero */
    check_target(0x01fedcba, SV2_ERR_TARGET, ZEROS);
    check_target(0x04923456, SV2_ERR_TARGET, ZEROS);
    check_target(0x21010000, SV2_ERR_TARGET, ZEROS);
    check_target(0x22000100, SV2_ERR_TARGET, ZEROS);
    check_target(0x23000001, SV2_ERR_TARGET, ZEROS);
    check_target(0xff123456, SV2_ERR_TARGET, ZEROS);
}

int main(void)
{
    check_sha256("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha256("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha256("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check_splits();
    check_genesis();
    check_merkle();
    check_targets();
    return test_result("hash");
}
