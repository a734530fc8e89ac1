// The little Bitcoin that a template client and a template provider need.
//
// Nothing here knows Stratum, and nothing here is in sv2.h: a node has all of it already. Hashing
// is libsv2.h's. Hashes are 32 bytes in the order in which they are hashed and sent, the reverse of
// the order in which people write them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using Bytes = std::vector<std::uint8_t>;
using Hash = std::array<std::uint8_t, 32>;
using Header = std::array<std::uint8_t, 80>;

// The bytes at hand are not what Bitcoin asks for.
struct BitcoinError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Hex to bytes and back. from_hex throws BitcoinError on anything but pairs of hex digits.
Bytes from_hex(std::string_view text);
std::string to_hex(const std::uint8_t *data, std::size_t size);

// Bytes as a hash. Throws BitcoinError unless there are 32.
Hash to_hash(const Bytes &bytes);

// A hash as people write it.
std::string hash_text(const Hash &hash);

// A coinbase transaction with one input. outputs: serialized, without their count. witness: the
// witness reserved value that the block's witness commitment covers.
struct Coinbase {
    std::uint32_t version;
    Bytes script;
    std::uint32_t sequence;
    std::uint32_t outputs_count;
    Bytes outputs;
    std::uint32_t locktime;
    Bytes witness;

    Hash txid() const;       // leaves the witness out
    Bytes serialize() const; // with the witness, as SubmitSolution carries it
};

// One serialized output: satoshi and the script that may spend them.
Bytes tx_output(std::uint64_t value, const Bytes &script);

// The txid of a serialized transaction: its hash without marker, flag and witness. Throws
// BitcoinError where the bytes end early or go on after the transaction.
Hash txid_of(const Bytes &transaction);

// Folds a merkle path (deepest sibling first) onto the coinbase, which is always the left child.
Hash merkle_root(const Hash &coinbase_txid, const std::vector<Bytes> &path);

// The 80 bytes that miners hash.
Header block_header(std::uint32_t version, const Hash &prev_hash, const Hash &root,
                    std::uint32_t time, std::uint32_t bits, std::uint32_t nonce);

Hash block_hash(const Header &header);

// Whether the header's hash, read as a number, is at or below the target.
bool meets_target(const Header &header, const Hash &target);

// A whole block: header, number of transactions, coinbase, all others in template order.
Bytes assemble_block(const Header &header, const Bytes &coinbase,
                     const std::vector<Bytes> &transactions);
