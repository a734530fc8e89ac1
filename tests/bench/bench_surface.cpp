// Time per message through sv2.h: decode with drop, and encode. One source for every library.
//
//   bench_surface [LABEL]                    all rows as one JSON object, in nanoseconds per message
//   bench_surface ROW decode|encode COUNT    that operation COUNT times, nothing printed
//
// The second form is for counting instructions under callgrind: the difference of two counts leaves
// out the start of the program.
//
// ROW: setup_connection (61 bytes on the wire), new_template (482, 12 hashes), transactions
// (1,509,018: 3000 of 500 bytes). Decoding includes what every caller does: ask for a window, copy
// the bytes into it, call next_frame, drop the message. Encoding takes a message that is already
// decoded, and flushes the encoder. The clock is monotonic; of ROUNDS rounds of at least MIN_ROUND
// each the fastest and the median are reported.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "sv2.h"

namespace
{

using Bytes = std::vector<uint8_t>;
using Clock = std::chrono::steady_clock;
using Decoded = CResult<CSv2Message, Sv2Error>;
using Encoded = CResult<CVec, Sv2Error>;

constexpr int ROUNDS = 7;
constexpr auto MIN_ROUND = std::chrono::milliseconds(40);

[[noreturn]] void stop(const char *what)
{
    std::fprintf(stderr, "bench_surface: %s\n", what);
    std::exit(1);
}

// A plain frame, written here so that the input comes from neither library.
class Frame
{
  public:
    explicit Frame(uint8_t message_type) : bytes_{0, 0, message_type, 0, 0, 0}
    {
    }
    Frame &number(uint64_t value, int size)
    {
        for (int i = 0; i < size; i++)
            bytes_.push_back(static_cast<uint8_t>(value >> 8 * i));
        return *this;
    }
    Frame &filler(size_t len)
    {
        for (size_t i = 0; i < len; i++)
            bytes_.push_back(static_cast<uint8_t>(i * 31 + 7));
        return *this;
    }
    Frame &text(const char *value)
    {
        number(std::strlen(value), 1);
        bytes_.insert(bytes_.end(), value, value + std::strlen(value));
        return *this;
    }
    Bytes finish()
    {
        const size_t payload = bytes_.size() - 6;
        for (int i = 0; i < 3; i++)
            bytes_[3 + i] = static_cast<uint8_t>(payload >> 8 * i);
        return bytes_;
    }

  private:
    Bytes bytes_;
};

Bytes setup_connection()
{
    Frame frame(0x00);
    frame.number(2, 1).number(2, 2).number(2, 2).number(0, 4).text("127.0.0.1").number(8442, 2);
    return frame.text("vendor").text("hardware-1").text("v1.0.0").text("device-1").finish();
}

Bytes new_template()
{
    Frame frame(0x71);
    frame.number(1, 8)
        .number(1, 1)
        .number(0x20000000, 4)
        .number(2, 4)
        .number(4, 1)
        .filler(4)
        .number(0xfffffffe, 4);
    frame.number(5000000000, 8).number(1, 4).number(47, 2).filler(47).number(135, 4).number(12, 1);
    for (int i = 0; i < 12; i++)
        frame.filler(32);
    return frame.finish();
}

Bytes transactions()
{
    Frame frame(0x74);
    frame.number(1, 8).number(0, 2).number(3000, 2);
    for (int i = 0; i < 3000; i++)
        frame.number(500, 3).filler(500);
    return frame.finish();
}

struct Row {
    const char *name;
    size_t wire_bytes;
    Bytes (*make)();
};
const Row ROWS[] = {
    {"setup_connection", 61, setup_connection},
    {"new_template", 482, new_template},
    {"transactions", 1509018, transactions},
};

Decoded decode(DecoderWrapper *decoder, const Bytes &frame)
{
    size_t taken = 0;
    while (taken < frame.size()) {
        const CVec window = get_writable(decoder);
        if (window.len == 0 || window.len > frame.size() - taken)
            stop("a window does not fit the frame");
        std::memcpy(window.data, frame.data() + taken, window.len);
        taken += window.len;
        Decoded result = next_frame(decoder);
        if (is_ok(&result)) {
            if (taken != frame.size())
                stop("a message before the end of its frame");
            return result;
        }
        if (result.err._0.tag != Sv2Error::Tag::MissingBytes)
            stop("a good frame was refused");
        drop_sv2_error(result.err._0);
    }
    stop("a whole frame and no message");
}

class Bench
{
  public:
    explicit Bench(const Row &row)
        : frame_(row.make()), decoder_(new_decoder()), encoder_(new_encoder())
    {
        if (frame_.size() != row.wire_bytes)
            stop("a frame is not as large as its row says");
        message_ = decode(decoder_, frame_).ok._0;
        check_encoding();
    }
    Bench(const Bench &) = delete;
    Bench &operator=(const Bench &) = delete;
    ~Bench()
    {
        drop_sv2_message(message_);
        free_decoder(decoder_); // encoders have no function in common that frees them
    }

    void decode_many(uint64_t count)
    {
        for (uint64_t i = 0; i < count; i++)
            drop_sv2_message(decode(decoder_, frame_).ok._0);
    }

    void encode_many(uint64_t count)
    {
        for (uint64_t i = 0; i < count; i++) {
            const Encoded encoded = encode(&message_, encoder_);
            if (encoded.tag != Encoded::Tag::Ok || encoded.ok._0.len != frame_.size())
                stop("an encoding failed");
            flush_encoder(encoder_);
        }
    }

  private:
    void check_encoding()
    {
        const Encoded encoded = encode(&message_, encoder_);
        if (encoded.tag != Encoded::Tag::Ok || encoded.ok._0.len != frame_.size()
            || std::memcmp(encoded.ok._0.data, frame_.data(), frame_.size()) != 0)
            stop("a message is not encoded as it came");
        flush_encoder(encoder_);
    }

    Bytes frame_;
    DecoderWrapper *decoder_;
    EncoderWrapper *encoder_;
    CSv2Message message_;
};

using Operation = void (Bench::*)(uint64_t);

double round_ns(Bench &bench, Operation operation, uint64_t count)
{
    const auto start = Clock::now();
    (bench.*operation)(count);
    const std::chrono::duration<double, std::nano> spent = Clock::now() - start;
    return spent.count() / static_cast<double>(count);
}

struct Times {
    double fastest;
    double median;
};

Times measure(Bench &bench, Operation operation)
{
    uint64_t count = 1;
    const double wanted = std::chrono::duration<double, std::nano>(MIN_ROUND).count();
    while (round_ns(bench, operation, count) * static_cast<double>(count) < wanted)
        count *= 2;
    std::vector<double> rounds;
    for (int i = 0; i < ROUNDS; i++)
        rounds.push_back(round_ns(bench, operation, count));
    std::sort(rounds.begin(), rounds.end());
    return {rounds.front(), rounds[ROUNDS / 2]};
}

void print_times(const char *name, const Times &times, const char *after)
{
    std::printf("\"%s_ns\": {\"fastest\": %.1f, \"median\": %.1f}%s", name, times.fastest,
                times.median, after);
}

void print_all(const char *label)
{
    std::printf("{\"library\": \"%s\", \"rows\": [", label);
    const char *separator = "";
    for (const Row &row : ROWS) {
        Bench bench(row);
        std::printf("%s{\"message\": \"%s\", \"wire_bytes\": %zu, ", separator, row.name,
                    row.wire_bytes);
        print_times("decode", measure(bench, &Bench::decode_many), ", ");
        print_times("encode", measure(bench, &Bench::encode_many), "}");
        separator = ", ";
    }
    std::printf("]}\n");
}

void run_one(const std::string &name, const std::string &operation, uint64_t count)
{
    for (const Row &row : ROWS) {
        if (name != row.name)
            continue;
        Bench bench(row);
        if (operation == "decode")
            return bench.decode_many(count);
        if (operation == "encode")
            return bench.encode_many(count);
    }
    stop("usage: bench_surface [LABEL] | ROW decode|encode COUNT");
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 4)
        run_one(argv[1], argv[2], std::strtoull(argv[3], nullptr, 10));
    else
        print_all(argc > 1 ? argv[1] : "sv2.h");
    return 0;
}
