#include "bitcoin.hpp"

#include <libsv2.h>

#include <algorithm>

namespace
{

void put(Bytes &out, const Bytes &bytes)
{
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_number(Bytes &out, std::uint64_t number, int size)
{
    for (int i = 0; i < size; i++) {
        out.push_back(static_cast<std::uint8_t>(number >> (8 * i)));
    }
}

// Bitcoin's variable-length integer, for counts and script lengths.
void put_compact_size(Bytes &out, std::uint64_t number)
{
    if (number < 0xfd) {
        put_number(out, number, 1);
    } else if (number <= 0xffff) {
        put_number(out, 0xfd, 1);
        put_number(out, number, 2);
    } else {
        put_number(out, 0xfe, 1);
        put_number(out, number, 4);
    }
}

Hash sha256d(const std::uint8_t *data, std::size_t size)
{
    Hash hash;
    sv2_sha256d(hash.data(), data, size);
    return hash;
}

// Inputs and outputs: what a transaction's two serializations have in common.
Bytes coinbase_body(const Coinbase &coinbase)
{
    Bytes out;
    put_compact_size(out, 1);
    out.insert(out.end(), 32, 0x00); // a coinbase spends output 0xffffffff of nothing
    put_number(out, 0xffffffff, 4);
    put_compact_size(out, coinbase.script.size());
    put(out, coinbase.script);
    put_number(out, coinbase.sequence, 4);
    put_compact_size(out, coinbase.outputs_count);
    put(out, coinbase.outputs);
    return out;
}

// Reads a transaction from the front and never past its end.
class Reader
{
  public:
    explicit Reader(const Bytes &data) : data_(data)
    {
    }

    std::size_t offset() const
    {
        return offset_;
    }

    void skip(std::uint64_t size)
    {
        if (size > data_.size() - offset_) {
            throw BitcoinError("a transaction ends in the middle of a field");
        }
        offset_ += static_cast<std::size_t>(size);
    }

    std::uint64_t number(std::size_t size)
    {
        skip(size);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < size; i++) {
            value |= static_cast<std::uint64_t>(data_[offset_ - size + i]) << (8 * i);
        }
        return value;
    }

    std::uint64_t compact_size()
    {
        const std::uint64_t first = number(1);
        return first < 0xfd ? first : number(std::size_t{1} << (first - 0xfc));
    }

  private:
    const Bytes &data_;
    std::size_t offset_ = 0;
};

void skip_inputs(Reader &reader, std::uint64_t count)
{
    for (std::uint64_t i = 0; i < count; i++) {
        reader.skip(36);
        reader.skip(reader.compact_size());
        reader.skip(4);
    }
}

void skip_outputs(Reader &reader)
{
    const std::uint64_t count = reader.compact_size();
    for (std::uint64_t i = 0; i < count; i++) {
        reader.skip(8);
        reader.skip(reader.compact_size());
    }
}

void skip_witnesses(Reader &reader, std::uint64_t inputs)
{
    for (std::uint64_t i = 0; i < inputs; i++) {
        const std::uint64_t items = reader.compact_size();
        for (std::uint64_t item = 0; item < items; item++) {
            reader.skip(reader.compact_size());
        }
    }
}

int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    throw BitcoinError("not hex");
}

} // namespace

Bytes from_hex(std::string_view text)
{
    if (text.size() % 2 != 0) {
        throw BitcoinError("an odd number of hex digits");
    }
    Bytes out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        out.push_back(static_cast<std::uint8_t>(16 * hex_digit(text[i]) + hex_digit(text[i + 1])));
    }
    return out;
}

std::string to_hex(const std::uint8_t *data, std::size_t size)
{
    static const char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(2 * size);
    for (std::size_t i = 0; i < size; i++) {
        out += digits[data[i] >> 4];
        out += digits[data[i] & 15];
    }
    return out;
}

Hash to_hash(const Bytes &bytes)
{
    Hash hash = {};
    if (bytes.size() != hash.size()) {
        throw BitcoinError("a hash that is not 32 bytes");
    }
    std::copy(bytes.begin(), bytes.end(), hash.begin());
    return hash;
}

std::string hash_text(const Hash &hash)
{
    Hash reversed;
    std::reverse_copy(hash.begin(), hash.end(), reversed.begin());
    return to_hex(reversed.data(), reversed.size());
}

Hash Coinbase::txid() const
{
    Bytes out;
    put_number(out, version, 4);
    put(out, coinbase_body(*this));
    put_number(out, locktime, 4);
    return sha256d(out.data(), out.size());
}

Bytes Coinbase::serialize() const
{
    Bytes out;
    put_number(out, version, 4);
    put(out, {0x00, 0x01}); // marker and flag: a witness follows the outputs
    put(out, coinbase_body(*this));
    put_compact_size(out, 1);
    put_compact_size(out, witness.size());
    put(out, witness);
    put_number(out, locktime, 4);
    return out;
}

Bytes tx_output(std::uint64_t value, const Bytes &script)
{
    Bytes out;
    put_number(out, value, 8);
    put_compact_size(out, script.size());
    put(out, script);
    return out;
}

Hash txid_of(const Bytes &transaction)
{
    Reader reader(transaction);
    reader.skip(6);
    if (transaction[4] != 0x00 || transaction[5] != 0x01) {
        return sha256d(transaction.data(), transaction.size());
    }
    const std::uint64_t inputs = reader.compact_size();
    skip_inputs(reader, inputs);
    skip_outputs(reader);
    const std::size_t body_end = reader.offset();
    skip_witnesses(reader, inputs);
    const std::size_t locktime = reader.offset();
    reader.skip(4);
    if (reader.offset() != transaction.size()) {
        throw BitcoinError("bytes follow a transaction");
    }
    Bytes stripped(transaction.begin(), transaction.begin() + 4);
    const auto at = [&](std::size_t offset) {
        return transaction.begin() + static_cast<std::ptrdiff_t>(offset);
    };
    stripped.insert(stripped.end(), at(6), at(body_end));
    stripped.insert(stripped.end(), at(locktime), at(locktime + 4));
    return sha256d(stripped.data(), stripped.size());
}

Hash merkle_root(const Hash &coinbase_txid, const std::vector<Bytes> &path)
{
    Bytes joined;
    for (const Bytes &sibling : path) {
        if (sibling.size() != 32) {
            throw BitcoinError("a merkle path holds something that is no hash");
        }
        put(joined, sibling);
    }
    Hash root;
    sv2_merkle_root(root.data(), coinbase_txid.data(), joined.data(), path.size());
    return root;
}

Header block_header(std::uint32_t version, const Hash &prev_hash, const Hash &root,
                    std::uint32_t time, std::uint32_t bits, std::uint32_t nonce)
{
    Bytes out;
    put_number(out, version, 4);
    out.insert(out.end(), prev_hash.begin(), prev_hash.end());
    out.insert(out.end(), root.begin(), root.end());
    put_number(out, time, 4);
    put_number(out, bits, 4);
    put_number(out, nonce, 4);
    Header header;
    std::copy(out.begin(), out.end(), header.begin());
    return header;
}

Hash block_hash(const Header &header)
{
    return sha256d(header.data(), header.size());
}

bool meets_target(const Header &header, const Hash &target)
{
    return sv2_u256_cmp(block_hash(header).data(), target.data()) <= 0;
}

Bytes assemble_block(const Header &header, const Bytes &coinbase,
                     const std::vector<Bytes> &transactions)
{
    Bytes out(header.begin(), header.end());
    put_compact_size(out, 1 + transactions.size());
    put(out, coinbase);
    for (const Bytes &transaction : transactions) {
        put(out, transaction);
    }
    return out;
}
