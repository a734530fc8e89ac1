// Prints what a C++ program sees through sv2.h: layout, decoded fields, encoded bytes, error tags.
//
// The same source is compiled once against the published header and once against ours, and each
// object is linked with both libraries. The four programs must print the same, apart from the
// differences that docs/compatibility.md lists.
//
// Commands come on stdin, one a line; the answer to each starts with "> N", N counting from 0:
//
//   layout         sizes and offsets of every type, values of every constant of the published header
//   decode HEX     feeds the bytes to one decoder, prints each message that comes out and encodes it
//   build CASE     a message put together here, encoded, and the result decoded; --cases lists them
//   symbols        whether every function of the published header is there with its signature
//   busy           a second encode before flush_encoder
//   encode-room    how many bytes `encode` writes behind the caller's result for a value too long
//
// and for our library only, since the published one does not survive them:
//
//   after-busy     flush_encoder and encode again after EncoderBusy
//   drop-errors    drop_sv2_error of an error for a value too long, and of PayloadTooBig
//
// Callers keep to what the published library survives: every window of get_writable is filled whole
// before next_frame is called, a busy encoder is not touched again, and an error for a value too long
// is not dropped (the published library frees it by a wrong layout).

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "sv2.h"

// Only our library has it; with the published one encoders are leaked, as by all its callers.
extern "C" __attribute__((weak)) void free_encoder(EncoderWrapper *encoder);

namespace
{

using Bytes = std::vector<uint8_t>;
using Decoded = CResult<CSv2Message, Sv2Error>;
using Encoded = CResult<CVec, Sv2Error>;

// `encode` writes a result larger than its header declares, so it is always called with room behind
// the result. The address of the result is passed the same way for any large struct.
struct RoomyEncoded {
    Encoded result;
    uint8_t room[256];
};
constexpr uint8_t UNTOUCHED = 0xA5;

void done_with(EncoderWrapper *encoder)
{
    if (free_encoder)
        free_encoder(encoder);
}

void encode_with_room(CSv2Message *message, EncoderWrapper *encoder, RoomyEncoded *out)
{
    using Function = RoomyEncoded (*)(CSv2Message *, EncoderWrapper *);
    auto call = reinterpret_cast<Function>(reinterpret_cast<void *>(&encode));
    std::memset(static_cast<void *>(out), UNTOUCHED, sizeof *out);
    new (out) RoomyEncoded(call(message, encoder));
}

// Values of more than 4 KiB are told by an FNV-1a sum.
void print_hex(const uint8_t *data, size_t len)
{
    if (len <= 4096) {
        for (size_t i = 0; i < len; i++)
            std::printf("%02x", data[i]);
        return;
    }
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ data[i]) * 1099511628211u;
    std::printf("%zu bytes, sum %016" PRIx64, len, sum);
}

void field(const char *name, uint64_t value)
{
    std::printf(" %s=%" PRIu64, name, value);
}

void field(const char *name, const CVec &value)
{
    std::printf(" %s=<", name);
    print_hex(value.data, value.len);
    std::printf(">");
}

void field(const char *name, const CVec2 &value)
{
    std::printf(" %s=[", name);
    for (size_t i = 0; i < value.len; i++) {
        std::printf("%s<", i ? " " : "");
        print_hex(value.data[i].data, value.data[i].len);
        std::printf(">");
    }
    std::printf("]");
}

#define FIELD(name) field(#name, m.name)

void print_fields(const CoinbaseOutputConstraints &m)
{
    FIELD(coinbase_output_max_additional_size);
    FIELD(coinbase_output_max_additional_sigops);
}
void print_fields(const CNewTemplate &m)
{
    FIELD(template_id);
    FIELD(future_template);
    FIELD(version);
    FIELD(coinbase_tx_version);
    FIELD(coinbase_prefix);
    FIELD(coinbase_tx_input_sequence);
    FIELD(coinbase_tx_value_remaining);
    FIELD(coinbase_tx_outputs_count);
    FIELD(coinbase_tx_outputs);
    FIELD(coinbase_tx_locktime);
    FIELD(merkle_path);
}
void print_fields(const RequestTransactionData &m)
{
    FIELD(template_id);
}
void print_fields(const CRequestTransactionDataError &m)
{
    FIELD(template_id);
    FIELD(error_code);
}
void print_fields(const CRequestTransactionDataSuccess &m)
{
    FIELD(template_id);
    FIELD(excess_data);
    FIELD(transaction_list);
}
void print_fields(const CSetNewPrevHash &m)
{
    FIELD(template_id);
    FIELD(prev_hash);
    FIELD(header_timestamp);
    FIELD(n_bits);
    FIELD(target);
}
void print_fields(const CSubmitSolution &m)
{
    FIELD(template_id);
    FIELD(version);
    FIELD(header_timestamp);
    FIELD(header_nonce);
    FIELD(coinbase_tx);
}
void print_fields(const ChannelEndpointChanged &m)
{
    FIELD(channel_id);
}
void print_fields(const CSetupConnection &m)
{
    field("protocol", static_cast<uint64_t>(m.protocol));
    FIELD(min_version);
    FIELD(max_version);
    FIELD(flags);
    FIELD(endpoint_host);
    FIELD(endpoint_port);
    FIELD(vendor);
    FIELD(hardware_version);
    FIELD(firmware);
    FIELD(device_id);
}
void print_fields(const CSetupConnectionError &m)
{
    FIELD(flags);
    FIELD(error_code);
}
void print_fields(const SetupConnectionSuccess &m)
{
    FIELD(used_version);
    FIELD(flags);
}

// Every variant of CSv2Message: its tag and the member of the union.
#define VARIANTS(X)                                                                                \
    X(CoinbaseOutputConstraints, coinbase_output_constraints)                                      \
    X(NewTemplate, new_template)                                                                   \
    X(RequestTransactionData, request_transaction_data)                                            \
    X(RequestTransactionDataError, request_transaction_data_error)                                 \
    X(RequestTransactionDataSuccess, request_transaction_data_success)                             \
    X(SetNewPrevHash, set_new_prev_hash)                                                           \
    X(SubmitSolution, submit_solution)                                                             \
    X(ChannelEndpointChanged, channel_endpoint_changed)                                            \
    X(SetupConnection, setup_connection)                                                           \
    X(SetupConnectionError, setup_connection_error)                                                \
    X(SetupConnectionSuccess, setup_connection_success)

void print_message(const CSv2Message &message)
{
    switch (message.tag) {
#define PRINT(tag_name, member)                                                                    \
    case CSv2Message::Tag::tag_name:                                                               \
        std::printf("message " #tag_name);                                                         \
        print_fields(message.member._0);                                                           \
        std::printf("\n");                                                                         \
        return;
        VARIANTS(PRINT)
#undef PRINT
    }
    std::printf("message with tag %d\n", static_cast<int>(message.tag));
}

const char *error_name(Sv2Error::Tag tag)
{
    switch (tag) {
    case Sv2Error::Tag::BinaryError:
        return "BinaryError";
    case Sv2Error::Tag::CodecError:
        return "CodecError";
    case Sv2Error::Tag::EncoderBusy:
        return "EncoderBusy";
    case Sv2Error::Tag::InvalidSv2Frame:
        return "InvalidSv2Frame";
    case Sv2Error::Tag::MissingBytes:
        return "MissingBytes";
    case Sv2Error::Tag::PayloadTooBig:
        return "PayloadTooBig";
    case Sv2Error::Tag::Unknown:
        return "Unknown";
    }
    return "out of range";
}

// The published library does not survive, or does nothing, when these are dropped.
bool may_drop(Sv2Error::Tag tag)
{
    if (free_encoder)
        return true;
    return tag != Sv2Error::Tag::BinaryError && tag != Sv2Error::Tag::PayloadTooBig;
}

bool is_missing_bytes(const Decoded &result)
{
    return result.tag == Decoded::Tag::Err && result.err._0.tag == Sv2Error::Tag::MissingBytes;
}

Bytes print_encoded(CSv2Message *message, EncoderWrapper *encoder)
{
    RoomyEncoded out;
    encode_with_room(message, encoder, &out);
    if (out.result.tag == Encoded::Tag::Err) {
        std::printf("encode error %s\n", error_name(out.result.err._0.tag));
        if (may_drop(out.result.err._0.tag))
            drop_sv2_error(out.result.err._0);
        return {};
    }
    const CVec frame = out.result.ok._0;
    std::printf("encoded %zu ", static_cast<size_t>(frame.len));
    print_hex(frame.data, frame.len);
    std::printf("\n");
    return Bytes(frame.data, frame.data + frame.len);
}

// Both ways to free a message take turns: drop_sv2_message, and the function of its own type.
void release(const CSv2Message &message)
{
    static bool by_type = false;
    by_type = !by_type;
    if (!by_type)
        return drop_sv2_message(message);
    switch (message.tag) {
    case CSv2Message::Tag::SetupConnection:
        return free_setup_connection(message.setup_connection._0);
    case CSv2Message::Tag::SetupConnectionError:
        return free_setup_connection_error(message.setup_connection_error._0);
    case CSv2Message::Tag::NewTemplate:
        return free_new_template(message.new_template._0);
    case CSv2Message::Tag::RequestTransactionDataSuccess:
        return free_request_tx_data_success(message.request_transaction_data_success._0);
    case CSv2Message::Tag::RequestTransactionDataError:
        return free_request_tx_data_error(message.request_transaction_data_error._0);
    case CSv2Message::Tag::SetNewPrevHash:
        return free_set_new_prev_hash(message.set_new_prev_hash._0);
    case CSv2Message::Tag::SubmitSolution:
        return free_submit_solution(message.submit_solution._0);
    default:
        return drop_sv2_message(message);
    }
}

void report(Decoded *result, EncoderWrapper *encoder)
{
    if (is_ok(result) != (result->tag == Decoded::Tag::Ok))
        std::printf("is_ok disagrees with the tag\n");
    if (result->tag == Decoded::Tag::Err) {
        std::printf("error %s\n", error_name(result->err._0.tag));
        drop_sv2_error(result->err._0);
        return;
    }
    print_message(result->ok._0);
    print_encoded(&result->ok._0, encoder);
    flush_encoder(encoder);
    release(result->ok._0);
}

void decode_stream(const Bytes &stream)
{
    DecoderWrapper *decoder = new_decoder();
    EncoderWrapper *encoder = new_encoder();
    size_t taken = 0;
    while (taken < stream.size()) {
        const CVec window = get_writable(decoder);
        const size_t left = stream.size() - taken;
        std::printf("window %zu\n", static_cast<size_t>(window.len));
        if (window.len == 0 || window.len > left)
            break;
        std::memcpy(window.data, stream.data() + taken, window.len);
        taken += window.len;
        Decoded result = next_frame(decoder);
        if (!is_missing_bytes(result))
            report(&result, encoder);
    }
    std::printf("left %zu\n", stream.size() - taken);
    free_decoder(decoder);
    done_with(encoder);
}

CVec bytes_of(size_t len, uint8_t first)
{
    Bytes data(len);
    for (size_t i = 0; i < len; i++)
        data[i] = static_cast<uint8_t>(first + i);
    return cvec_from_buffer(data.data(), data.size());
}

CVec text(const char *value)
{
    return cvec_from_buffer(reinterpret_cast<const uint8_t *>(value), std::strlen(value));
}

CVec2 list_of(size_t count, size_t len)
{
    CVec2 list = init_cvec2();
    for (size_t i = 0; i < count; i++)
        cvec2_push(&list, bytes_of(len, static_cast<uint8_t>(i)));
    return list;
}

CSv2Message new_template(size_t prefix, size_t hashes, size_t hash_size, size_t outputs)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::NewTemplate;
    message.new_template._0 = CNewTemplate{
        7,          true, 0x20000000,           2,   bytes_of(prefix, 1),       0xfffffffe,
        5000000000, 1,    bytes_of(outputs, 3), 135, list_of(hashes, hash_size)};
    return message;
}

CSv2Message transactions(size_t count, size_t len)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::RequestTransactionDataSuccess;
    message.request_transaction_data_success._0 =
        CRequestTransactionDataSuccess{9, bytes_of(3, 9), list_of(count, len)};
    return message;
}

CSv2Message setup_connection(size_t host)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::SetupConnection;
    message.setup_connection._0 = CSetupConnection{Protocol::TemplateDistributionProtocol,
                                                   2,
                                                   2,
                                                   0x80000001,
                                                   bytes_of(host, 'a'),
                                                   8442,
                                                   text("vendor"),
                                                   text(""),
                                                   text("1.0"),
                                                   text("id")};
    return message;
}

CSv2Message set_new_prev_hash(size_t hash)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::SetNewPrevHash;
    message.set_new_prev_hash._0 =
        CSetNewPrevHash{5, bytes_of(hash, 4), 1700000000, 0x207fffff, bytes_of(32, 8)};
    return message;
}

CSv2Message submit_solution(size_t coinbase)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::SubmitSolution;
    message.submit_solution._0 =
        CSubmitSolution{5, 0x20000000, 1700000000, 77, bytes_of(coinbase, 2)};
    return message;
}

CSv2Message transactions_error(size_t len)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::RequestTransactionDataError;
    message.request_transaction_data_error._0 = CRequestTransactionDataError{5, bytes_of(len, 'a')};
    return message;
}

CSv2Message setup_error(size_t len)
{
    CSv2Message message;
    message.tag = CSv2Message::Tag::SetupConnectionError;
    message.setup_connection_error._0 = CSetupConnectionError{1, bytes_of(len, 'a')};
    return message;
}

CSv2Message plain(CSv2Message::Tag tag)
{
    CSv2Message message;
    message.tag = tag;
    switch (tag) {
    case CSv2Message::Tag::CoinbaseOutputConstraints:
        message.coinbase_output_constraints._0 = CoinbaseOutputConstraints{100000, 400};
        break;
    case CSv2Message::Tag::RequestTransactionData:
        message.request_transaction_data._0 = RequestTransactionData{0x0102030405060708};
        break;
    case CSv2Message::Tag::ChannelEndpointChanged:
        message.channel_endpoint_changed._0 = ChannelEndpointChanged{0x01020304};
        break;
    default:
        message.tag = CSv2Message::Tag::SetupConnectionSuccess;
        message.setup_connection_success._0 = SetupConnectionSuccess{2, 0x40000000};
    }
    return message;
}

struct Case {
    const char *name;
    CSv2Message (*make)();
};

// Good and bad values of every field with a limit, at the limit and one beyond.
using Tag = CSv2Message::Tag;
const Case BUILD_CASES[] = {
    {"setup_connection", [] { return setup_connection(9); }},
    {"setup_connection-empty-host", [] { return setup_connection(0); }},
    {"setup_connection-host-255", [] { return setup_connection(255); }},
    {"setup_connection-host-256", [] { return setup_connection(256); }},
    {"setup_connection_success", [] { return plain(Tag::SetupConnectionSuccess); }},
    {"setup_connection_error", [] { return setup_error(20); }},
    {"setup_connection_error-255", [] { return setup_error(255); }},
    {"setup_connection_error-256", [] { return setup_error(256); }},
    {"channel_endpoint_changed", [] { return plain(Tag::ChannelEndpointChanged); }},
    {"coinbase_output_constraints", [] { return plain(Tag::CoinbaseOutputConstraints); }},
    {"new_template", [] { return new_template(4, 12, 32, 47); }},
    {"new_template-empty", [] { return new_template(0, 0, 32, 0); }},
    {"new_template-prefix-256", [] { return new_template(256, 0, 32, 0); }},
    {"new_template-255-hashes", [] { return new_template(4, 255, 32, 47); }},
    {"new_template-256-hashes", [] { return new_template(4, 256, 32, 47); }},
    {"new_template-hash-31", [] { return new_template(4, 3, 31, 47); }},
    {"new_template-hash-33", [] { return new_template(4, 3, 33, 47); }},
    {"new_template-outputs-65535", [] { return new_template(4, 0, 32, 65535); }},
    {"new_template-outputs-65536", [] { return new_template(4, 0, 32, 65536); }},
    {"request_transaction_data", [] { return plain(Tag::RequestTransactionData); }},
    {"transactions", [] { return transactions(3, 500); }},
    {"transactions-none", [] { return transactions(0, 0); }},
    {"transactions-empty-ones", [] { return transactions(5, 0); }},
    {"transactions-65535", [] { return transactions(65535, 1); }},
    {"transactions-65536", [] { return transactions(65536, 1); }},
    {"transactions-16-mb", [] { return transactions(16, 1000000); }},
    {"transactions-17-mb", [] { return transactions(17, 1000000); }},
    {"transactions_error", [] { return transactions_error(21); }},
    {"transactions_error-256", [] { return transactions_error(256); }},
    {"set_new_prev_hash", [] { return set_new_prev_hash(32); }},
    {"set_new_prev_hash-31", [] { return set_new_prev_hash(31); }},
    {"set_new_prev_hash-33", [] { return set_new_prev_hash(33); }},
    {"submit_solution", [] { return submit_solution(200); }},
    {"submit_solution-65535", [] { return submit_solution(65535); }},
    {"submit_solution-65536", [] { return submit_solution(65536); }},
};

bool build(const std::string &name)
{
    for (const Case &item : BUILD_CASES) {
        if (name != item.name)
            continue;
        EncoderWrapper *encoder = new_encoder();
        CSv2Message message = item.make();
        const Bytes frame = print_encoded(&message, encoder);
        drop_sv2_message(message);
        done_with(encoder);
        if (!frame.empty())
            decode_stream(frame);
        return true;
    }
    return false;
}

void busy()
{
    EncoderWrapper *encoder = new_encoder();
    CSv2Message message = plain(CSv2Message::Tag::SetupConnectionSuccess);
    print_encoded(&message, encoder);
    print_encoded(&message, encoder);
    done_with(encoder);
}

// The functions that the rest of this program does not call. Assigning checks their signatures, and
// linking that they are there; export_cerror must not be called, the others do nothing.
void symbols()
{
    CError (*const volatile error)() = export_cerror;
    void (*const volatile u24)(U24) = _c_export_u24;
    void (*const volatile vec)(CVec) = _c_export_cvec;
    void (*const volatile vec2)(CVec2) = _c_export_cvec2;
    void (*const volatile changed)(ChannelEndpointChanged) = _c_export_channel_endpoint_changed;
    void (*const volatile success)(SetupConnectionSuccess) = _c_export_setup_conn_succ;
    void (*const volatile constraints)(CoinbaseOutputConstraints) = _c_export_coinbase_out;
    void (*const volatile request)(RequestTransactionData) = _c_export_req_tx_data;
    const CVec2 none = init_cvec2();
    u24(U24{1});
    vec(CVec{nullptr, 0, 0});
    vec2(none);
    changed(ChannelEndpointChanged{1});
    success(SetupConnectionSuccess{2, 0});
    constraints(CoinbaseOutputConstraints{1, 2});
    request(RequestTransactionData{1});
    std::printf("export_cerror %d, a new list has %zu elements\n", error != nullptr,
                static_cast<size_t>(none.len));
}

void after_busy()
{
    EncoderWrapper *encoder = new_encoder();
    CSv2Message message = plain(CSv2Message::Tag::SetupConnectionSuccess);
    print_encoded(&message, encoder);
    print_encoded(&message, encoder);
    flush_encoder(encoder);
    print_encoded(&message, encoder);
    done_with(encoder);
}

void drop_errors()
{
    EncoderWrapper *encoder = new_encoder();
    for (CSv2Message message : {setup_connection(256), transactions(17, 1000000)}) {
        Encoded encoded = encode(&message, encoder);
        std::printf("dropping %s\n", error_name(encoded.err._0.tag));
        drop_sv2_error(encoded.err._0);
        flush_encoder(encoder);
        drop_sv2_message(message);
    }
    done_with(encoder);
}

void encode_room()
{
    EncoderWrapper *encoder = new_encoder();
    CSv2Message message = setup_connection(256);
    RoomyEncoded out;
    encode_with_room(&message, encoder, &out);
    drop_sv2_message(message);
    done_with(encoder);
    size_t used = sizeof out.room;
    while (used > 0 && out.room[used - 1] == UNTOUCHED)
        used--;
    std::printf("bytes written behind the result: %zu\n", used);
}

#define SIZE(type) std::printf("size " #type " %zu align %zu\n", sizeof(type), alignof(type))
#define OFFSET(type, member)                                                                       \
    std::printf("offset " #type "." #member " %zu\n", offsetof(type, member))
#define VALUE(name)                                                                                \
    std::printf("value " #name " %" PRIu64 " in %zu\n", static_cast<uint64_t>(name), sizeof(name))
#define ENUM(name) std::printf("value " #name " %d in %zu\n", static_cast<int>(name), sizeof(name))

void print_sizes()
{
    SIZE(CVec);
    SIZE(CVec2);
    SIZE(U24);
    SIZE(Protocol);
    SIZE(CSv2Message);
    SIZE(Sv2Error);
    SIZE(CError);
    SIZE(Decoded);
    SIZE(Encoded);
#define SIZE_OF_BODY(tag_name, member)                                                             \
    std::printf("size of body " #tag_name " %zu\n",                                                \
                sizeof(static_cast<CSv2Message *>(nullptr)->member._0));
    VARIANTS(SIZE_OF_BODY)
#undef SIZE_OF_BODY
}

void print_offsets()
{
    OFFSET(CVec, data);
    OFFSET(CVec, len);
    OFFSET(CVec, capacity);
    OFFSET(CVec2, data);
    OFFSET(CVec2, len);
    OFFSET(CVec2, capacity);
    OFFSET(CSv2Message, tag);
    OFFSET(CSv2Message, new_template);
    OFFSET(Sv2Error, tag);
    OFFSET(Sv2Error, binary_error);
    OFFSET(Sv2Error, codec_error);
    OFFSET(Sv2Error, payload_too_big);
    OFFSET(CError, tag);
    OFFSET(CError, missing_bytes);
    OFFSET(Decoded, ok);
    OFFSET(Decoded, err);
    OFFSET(Encoded, ok);
    OFFSET(Encoded, err);
    OFFSET(CoinbaseOutputConstraints, coinbase_output_max_additional_size);
    OFFSET(CoinbaseOutputConstraints, coinbase_output_max_additional_sigops);
    OFFSET(CNewTemplate, template_id);
    OFFSET(CNewTemplate, future_template);
    OFFSET(CNewTemplate, version);
    OFFSET(CNewTemplate, coinbase_tx_version);
    OFFSET(CNewTemplate, coinbase_prefix);
    OFFSET(CNewTemplate, coinbase_tx_input_sequence);
    OFFSET(CNewTemplate, coinbase_tx_value_remaining);
    OFFSET(CNewTemplate, coinbase_tx_outputs_count);
    OFFSET(CNewTemplate, coinbase_tx_outputs);
    OFFSET(CNewTemplate, coinbase_tx_locktime);
    OFFSET(CNewTemplate, merkle_path);
    OFFSET(CRequestTransactionDataSuccess, excess_data);
    OFFSET(CRequestTransactionDataSuccess, transaction_list);
    OFFSET(CRequestTransactionDataError, error_code);
    OFFSET(CSetNewPrevHash, prev_hash);
    OFFSET(CSetNewPrevHash, header_timestamp);
    OFFSET(CSetNewPrevHash, n_bits);
    OFFSET(CSetNewPrevHash, target);
    OFFSET(CSubmitSolution, version);
    OFFSET(CSubmitSolution, header_timestamp);
    OFFSET(CSubmitSolution, header_nonce);
    OFFSET(CSubmitSolution, coinbase_tx);
    OFFSET(CSetupConnection, protocol);
    OFFSET(CSetupConnection, min_version);
    OFFSET(CSetupConnection, max_version);
    OFFSET(CSetupConnection, flags);
    OFFSET(CSetupConnection, endpoint_host);
    OFFSET(CSetupConnection, endpoint_port);
    OFFSET(CSetupConnection, vendor);
    OFFSET(CSetupConnection, hardware_version);
    OFFSET(CSetupConnection, firmware);
    OFFSET(CSetupConnection, device_id);
    OFFSET(CSetupConnectionError, flags);
    OFFSET(CSetupConnectionError, error_code);
    OFFSET(SetupConnectionSuccess, used_version);
    OFFSET(SetupConnectionSuccess, flags);
}

void print_enums()
{
    ENUM(Protocol::MiningProtocol);
    ENUM(Protocol::JobDeclarationProtocol);
    ENUM(Protocol::TemplateDistributionProtocol);
#define TAG(tag_name, member) ENUM(CSv2Message::Tag::tag_name);
    VARIANTS(TAG)
#undef TAG
    ENUM(Sv2Error::Tag::BinaryError);
    ENUM(Sv2Error::Tag::CodecError);
    ENUM(Sv2Error::Tag::EncoderBusy);
    ENUM(Sv2Error::Tag::InvalidSv2Frame);
    ENUM(Sv2Error::Tag::MissingBytes);
    ENUM(Sv2Error::Tag::PayloadTooBig);
    ENUM(Sv2Error::Tag::Unknown);
    ENUM(CError::Tag::AeadError);
    ENUM(CError::Tag::BinarySv2Error);
    ENUM(CError::Tag::FramingError);
    ENUM(CError::Tag::FramingSv2Error);
    ENUM(CError::Tag::InvalidStepForInitiator);
    ENUM(CError::Tag::InvalidStepForResponder);
    ENUM(CError::Tag::MissingBytes);
    ENUM(CError::Tag::NoiseSv2Error);
    ENUM(CError::Tag::NotInHandShakeState);
    ENUM(CError::Tag::UnexpectedNoiseState);
    ENUM(Decoded::Tag::Ok);
    ENUM(Decoded::Tag::Err);
}

void print_constants()
{
#include "constants.inc" // made by tests/peers/build.sh from the published header
}

void layout()
{
    print_sizes();
    print_offsets();
    print_enums();
    print_constants();
}

int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool parse_hex(const std::string &hex, Bytes *out)
{
    if (hex.size() % 2)
        return false;
    for (size_t i = 0; i < hex.size(); i += 2) {
        const int high = digit(hex[i]), low = digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->push_back(static_cast<uint8_t>(high << 4 | low));
    }
    return true;
}

bool run(const std::string &line)
{
    Bytes bytes;
    if (line == "layout")
        layout();
    else if (line == "symbols")
        symbols();
    else if (line == "busy")
        busy();
    else if (line == "encode-room")
        encode_room();
    else if (line == "after-busy")
        after_busy();
    else if (line == "drop-errors")
        drop_errors();
    else if (line.rfind("decode ", 0) == 0 && parse_hex(line.substr(7), &bytes))
        decode_stream(bytes);
    else
        return line.rfind("build ", 0) == 0 && build(line.substr(6));
    return true;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 2 && std::string(argv[1]) == "--cases") {
        for (const Case &item : BUILD_CASES)
            std::printf("%s\n", item.name);
        return 0;
    }
    std::string line;
    for (size_t number = 0; std::getline(std::cin, line); number++) {
        std::printf("> %zu\n", number);
        std::fflush(stdout);
        if (!run(line)) {
            std::fprintf(stderr, "abi_probe: bad command\n");
            return 2;
        }
        std::fflush(stdout);
    }
    return 0;
}
