// The sv2-ffi surface from C++, as a program written for upstream's header uses it.
#include <initializer_list>
#include <string>
#include <vector>

#include "layout.h"
#include "test.h"
#include "vectors.h"

typedef CSv2Message::Tag Tag;
typedef CResult<CSv2Message, Sv2Error> Decoded;
typedef CResult<CVec, Sv2Error> Encoded;
typedef std::vector<uint8_t> Bytes;

// Feeds a whole frame the way upstream's example does: fill the window, ask for the frame.
static Decoded feed(DecoderWrapper *decoder, const uint8_t *data, size_t len)
{
    for (;;) {
        CVec window = get_writable(decoder);
        size_t n = window.len < len ? window.len : len;
        if (n < window.len) // not enough to fill the window
            return next_frame(nullptr);
        if (n != 0)
            memcpy(window.data, data, n);
        data += n;
        len -= n;
        Decoded result = next_frame(decoder);
        if (is_ok(&result) || result.err._0.tag != Sv2Error::Tag::MissingBytes) {
            CHECK(len == 0);
            return result;
        }
    }
}

static Decoded feed(DecoderWrapper *decoder, const Bytes &frame)
{
    return feed(decoder, frame.data(), frame.size());
}

static Bytes frame_of(uint16_t extension, uint8_t type, const Bytes &payload)
{
    sv2_frame frame = {nullptr, (uint32_t)payload.size(), extension, type};
    Bytes bytes(SV2_FRAME_HEADER_LEN);
    CHECK(sv2_frame_header_encode(bytes.data(), &frame) == SV2_OK);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

static std::string text(CVec vec)
{
    return std::string((const char *)vec.data, vec.len);
}

static bool in_surface(const uint8_t *frame)
{
    unsigned type = frame[2], extension = sv2_load_u16(frame) & 0x7fff;
    return extension == 0 && (type <= 3 || (type >= 0x70 && type <= 0x76));
}

// Every vector through the surface and back. What the surface has no message for is Unknown, and the
// decoder goes on.
static void check_vectors()
{
    DecoderWrapper *decoder = new_decoder();
    EncoderWrapper *encoder = new_encoder();
    size_t passed = 0;
    for (size_t i = 0; i < TEST_VECTORS; i++) {
        const test_vector &vector = test_vectors[i];
        Decoded result = feed(decoder, vector.frame, vector.len);
        bool protocol_fits = vector.frame[2] != 0 || vector.frame[6] <= 2;
        if (!in_surface(vector.frame) || !protocol_fits) {
            CHECK(!is_ok(&result) && result.err._0.tag == Sv2Error::Tag::Unknown);
            continue;
        }
        CHECK(is_ok(&result));
        Encoded encoded = encode(&result.ok._0, encoder);
        CHECK(encoded.tag == Encoded::Tag::Ok && encoded.ok._0.len == vector.len);
        CHECK(memcmp(encoded.ok._0.data, vector.frame, vector.len) == 0);
        drop_sv2_message(result.ok._0);
        flush_encoder(encoder);
        passed++;
    }
    CHECK(passed >= 11 * 6 + 8 - 6);
    free_decoder(decoder);
    free_encoder(encoder);
}

static void check_fields()
{
    DecoderWrapper *decoder = new_decoder();
    const Bytes setup = {0x02, 2,   0,    3,    0, 9,   8, 7, 6,   4,   'h', 'o',
                         's',  't', 0xfa, 0x20, 1, 'v', 0, 2, 'f', 'w', 0};
    Decoded result = feed(decoder, frame_of(0, 0, setup));
    CHECK(result.tag == Decoded::Tag::Ok && result.ok._0.tag == Tag::SetupConnection);
    const CSetupConnection &m = result.ok._0.setup_connection._0;
    CHECK(m.protocol == Protocol::TemplateDistributionProtocol);
    CHECK(m.min_version == 2 && m.max_version == 3 && m.flags == 0x06070809);
    CHECK(text(m.endpoint_host) == "host" && m.endpoint_port == 8442 && text(m.vendor) == "v");
    CHECK(text(m.hardware_version).empty() && text(m.firmware) == "fw" && m.device_id.len == 0);
    // Upstream's example prints strings as C strings.
    CHECK(m.endpoint_host.data[4] == 0 && m.device_id.data[0] == 0);
    free_setup_connection(m);
    free_decoder(decoder);
}

// Malformed, unknown, of an extension, an unknown Protocol, trailing TLVs: all defined, and the next
// frame decodes.
static void check_bad_frames()
{
    DecoderWrapper *decoder = new_decoder();
    const Bytes good = frame_of(0x8000, 3, {1, 2, 3, 4});
    const Bytes setup = {3, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const std::vector<Bytes> bad = {
        frame_of(0, 0x73, {1, 2, 3}), frame_of(0, 0x02, {0, 0, 0, 0, 200}),  frame_of(0, 0xee, {1}),
        frame_of(0, 0x10, {1}),       frame_of(1, 0x01, {1, 0, 0, 0, 0, 0}), frame_of(0, 0, setup),
        frame_of(0, 0x73, {}),
    };
    for (const Bytes &frame : bad) {
        Decoded result = feed(decoder, frame);
        CHECK(!is_ok(&result) && result.err._0.tag == Sv2Error::Tag::Unknown);
        drop_sv2_error(result.err._0);
        result = feed(decoder, good);
        CHECK(is_ok(&result) && result.ok._0.tag == Tag::ChannelEndpointChanged);
        CHECK(result.ok._0.channel_endpoint_changed._0.channel_id == 0x04030201);
        drop_sv2_message(result.ok._0);
    }
    Decoded tlv = feed(decoder, frame_of(0, 0x73, {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1, 0, 'w'}));
    CHECK(is_ok(&tlv) && tlv.ok._0.request_transaction_data._0.template_id == 1);
    free_decoder(decoder);
}

// Every truncation of every vector's payload, with a header that tells the truth about it.
static void check_truncations()
{
    DecoderWrapper *decoder = new_decoder();
    for (size_t i = 0; i < TEST_VECTORS; i++) {
        const test_vector &vector = test_vectors[i];
        for (size_t len = 0; len + SV2_FRAME_HEADER_LEN < vector.len; len++) {
            const uint8_t *payload = vector.frame + SV2_FRAME_HEADER_LEN;
            Bytes frame = frame_of(sv2_load_u16(vector.frame), vector.frame[2],
                                   Bytes(payload, payload + len));
            Decoded result = feed(decoder, frame);
            CHECK(!is_ok(&result) && result.err._0.tag == Sv2Error::Tag::Unknown);
        }
    }
    free_decoder(decoder);
}

static void check_null()
{
    Decoded result = next_frame(nullptr);
    CHECK(!is_ok(&result) && result.err._0.tag == Sv2Error::Tag::InvalidSv2Frame);
    CHECK(!is_ok(nullptr));
    CHECK(get_writable(nullptr).len == 0);
    CSv2Message message = c_makes_with_tag((int)Tag::SetupConnectionSuccess);
    EncoderWrapper *encoder = new_encoder();
    Encoded encoded = encode(nullptr, encoder);
    CHECK(encoded.tag == Encoded::Tag::Err && encoded.err._0.tag == Sv2Error::Tag::InvalidSv2Frame);
    encoded = encode(&message, nullptr);
    CHECK(encoded.tag == Encoded::Tag::Err && encoded.err._0.tag == Sv2Error::Tag::InvalidSv2Frame);
    message.tag = (Tag)99;
    encoded = encode(&message, encoder);
    CHECK(encoded.tag == Encoded::Tag::Err && encoded.err._0.tag == Sv2Error::Tag::InvalidSv2Frame);
    drop_sv2_message(message);
    free_encoder(encoder);
    free_encoder(nullptr);
    free_decoder(nullptr);
    flush_encoder(nullptr);
    cvec2_push(nullptr, cvec_from_buffer((const uint8_t *)"x", 1));
    CHECK(cvec_from_buffer(nullptr, 5).len == 0);
}

static void check_busy()
{
    EncoderWrapper *encoder = new_encoder();
    CSv2Message message = c_makes_with_tag((int)Tag::RequestTransactionData);
    message.request_transaction_data._0.template_id = 5;
    Encoded first = encode(&message, encoder);
    CHECK(first.tag == Encoded::Tag::Ok && first.ok._0.len == 14);
    Encoded second = encode(&message, encoder);
    CHECK(second.tag == Encoded::Tag::Err && second.err._0.tag == Sv2Error::Tag::EncoderBusy);
    drop_sv2_error(second.err._0);
    CHECK(first.ok._0.data[6] == 5); // the lent frame is still there
    flush_encoder(encoder);
    CHECK(encode(&message, encoder).tag == Encoded::Tag::Ok);
    free_encoder(encoder);
}

// What cannot be encoded is an error with a name, and the encoder is not busy after it.
static void check_not_encodable()
{
    EncoderWrapper *encoder = new_encoder();
    static uint8_t big[70000];
    CSv2Message message = c_makes_with_tag((int)Tag::SetupConnectionError);
    message.setup_connection_error._0.error_code = {big, 256, 0};
    CHECK(encode(&message, encoder).err._0.tag == Sv2Error::Tag::BinaryError);
    message = c_makes_with_tag((int)Tag::SetNewPrevHash);
    message.set_new_prev_hash._0.prev_hash = {big, 32, 0};
    message.set_new_prev_hash._0.target = {big, 31, 0};
    CHECK(encode(&message, encoder).err._0.tag == Sv2Error::Tag::BinaryError);
    message = c_makes_with_tag((int)Tag::SubmitSolution);
    message.submit_solution._0.coinbase_tx = {big, 65536, 0};
    CHECK(encode(&message, encoder).err._0.tag == Sv2Error::Tag::BinaryError);
    message.submit_solution._0.coinbase_tx = {nullptr, 1, 0};
    CHECK(encode(&message, encoder).err._0.tag == Sv2Error::Tag::BinaryError);
    message = c_makes_with_tag((int)Tag::SetupConnection);
    message.setup_connection._0.protocol = (Protocol)7;
    CHECK(encode(&message, encoder).err._0.tag == Sv2Error::Tag::BinaryError);
    message = c_makes_with_tag((int)Tag::NewTemplate);
    CVec hash = {big, 33, 0};
    message.new_template._0.merkle_path = {&hash, 1, 0};
    CHECK(encode(&message, encoder).err._0.tag == Sv2Error::Tag::BinaryError);
    hash.len = 32;
    CHECK(encode(&message, encoder).tag == Encoded::Tag::Ok);
    flush_encoder(encoder);
    drop_sv2_message(message); // owns nothing: every capacity is 0
    free_encoder(encoder);
}

static void check_too_big()
{
    EncoderWrapper *encoder = new_encoder();
    Bytes big(9000000);
    CSv2Message message = c_makes_with_tag((int)Tag::RequestTransactionDataSuccess);
    CVec2 list = init_cvec2();
    cvec2_push(&list, CVec{big.data(), big.size(), 0});
    cvec2_push(&list, CVec{big.data(), big.size(), 0});
    message.request_transaction_data_success._0.transaction_list = list;
    Encoded encoded = encode(&message, encoder);
    CHECK(encoded.tag == Encoded::Tag::Err && encoded.err._0.tag == Sv2Error::Tag::PayloadTooBig);
    CHECK(encoded.err._0.payload_too_big._0.len > 10);
    drop_sv2_error(encoded.err._0);
    drop_sv2_message(message);
    free_encoder(encoder);
}

static Bytes transactions_frame(size_t count, size_t size)
{
    Bytes payload = {9, 0, 0, 0, 0, 0, 0, 0, 0, 0, (uint8_t)count, (uint8_t)(count >> 8)};
    for (size_t i = 0; i < count; i++) {
        uint8_t length[3];
        sv2_store_u24(length, (uint32_t)size);
        payload.insert(payload.end(), length, length + 3);
        payload.insert(payload.end(), size, (uint8_t)i);
    }
    return frame_of(0, 0x74, payload);
}

// A large payload comes in windows; none is larger than what has arrived, past the first.
static void check_windows()
{
    DecoderWrapper *decoder = new_decoder();
    const Bytes frame = transactions_frame(3000, 500);
    size_t at = 0, windows = 0, largest = 0;
    for (;;) {
        CVec window = get_writable(decoder);
        CVec again = get_writable(decoder); // the same window until next_frame
        CHECK(window.data == again.data && window.len == again.len && window.len != 0);
        CHECK(window.len <= 65536 || window.len <= at);
        largest = window.len > largest ? window.len : largest;
        memcpy(window.data, frame.data() + at, window.len);
        at += window.len;
        windows++;
        Decoded result = next_frame(decoder);
        if (!is_ok(&result)) {
            CHECK(result.err._0.tag == Sv2Error::Tag::MissingBytes);
            continue;
        }
        const CVec2 &list = result.ok._0.request_transaction_data_success._0.transaction_list;
        CHECK(list.len == 3000 && list.data[2999].len == 500);
        CHECK(list.data[2999].data[499] == (uint8_t)2999);
        drop_sv2_message(result.ok._0);
        break;
    }
    CHECK(at == frame.size() && windows > 3 && largest > 65536);
    // next_frame without a window takes nothing.
    Decoded result = next_frame(decoder);
    CHECK(!is_ok(&result) && result.err._0.tag == Sv2Error::Tag::MissingBytes);
    result = feed(decoder, frame_of(0, 0x73, {1, 0, 0, 0, 0, 0, 0, 0}));
    CHECK(is_ok(&result));
    free_decoder(decoder);
}

// A header that promises 16 MiB commits 64 KiB.
static void check_promise()
{
    DecoderWrapper *decoder = new_decoder();
    CVec window = get_writable(decoder);
    const uint8_t header[6] = {0, 0, 0x74, 0xff, 0xff, 0xff};
    CHECK(window.len == 6);
    memcpy(window.data, header, 6);
    Decoded result = next_frame(decoder);
    CHECK(!is_ok(&result) && result.err._0.tag == Sv2Error::Tag::MissingBytes);
    CHECK(get_writable(decoder).len == 65536);
    free_decoder(decoder);
}

static CVec vec_of(const char *s)
{
    return cvec_from_buffer((const uint8_t *)s, strlen(s));
}

// Lists: pushed, decoded, pushed onto after decoding, and with elements moved from one to another.
static void check_lists()
{
    DecoderWrapper *decoder = new_decoder();
    EncoderWrapper *encoder = new_encoder();
    Decoded result = feed(decoder, transactions_frame(3, 5));
    CHECK(is_ok(&result));
    CVec2 *list = &result.ok._0.request_transaction_data_success._0.transaction_list;
    cvec2_push(list, vec_of("pushed"));
    CHECK(list->len == 4 && text(list->data[3]) == "pushed" && list->data[2].data[4] == 2);
    Encoded encoded = encode(&result.ok._0, encoder);
    CHECK(encoded.tag == Encoded::Tag::Ok && encoded.ok._0.len == 6 + 12 + 3 * 8 + 9);
    drop_sv2_message(result.ok._0);

    // As code for upstream moves elements: into another list, the first one left without them.
    result = feed(decoder, transactions_frame(3, 5));
    list = &result.ok._0.request_transaction_data_success._0.transaction_list;
    static CVec *block = list->data; // stays for the moved elements: not a leak to look for
    CVec2 other = init_cvec2();
    for (size_t i = 0; i < list->len; i++)
        cvec2_push(&other, list->data[i]);
    list->len = 0;
    drop_sv2_message(result.ok._0);
    CHECK(other.len == 3 && other.data[1].len == 5 && other.data[1].data[4] == 1);
    CHECK(other.data[0].data == (const uint8_t *)(block + 3) + 3);
    CSv2Message message = c_makes_with_tag((int)Tag::RequestTransactionDataSuccess);
    message.request_transaction_data_success._0.transaction_list = other;
    drop_sv2_message(message);

    other = init_cvec2();
    for (int i = 0; i < 100; i++)
        cvec2_push(&other, vec_of(std::to_string(i).c_str()));
    CHECK(other.len == 100 && text(other.data[99]) == "99");
    message.request_transaction_data_success._0.transaction_list = other;
    drop_sv2_message(message);
    free_decoder(decoder);
    free_encoder(encoder);
}

static void check_layout()
{
    CSv2Message message = c_makes_new_template();
    CHECK(cpp_knows_new_template(&message));
    Decoded error = c_makes_error();
    CHECK(error.tag == Decoded::Tag::Err && error.err._0.tag == Sv2Error::Tag::CodecError);
    CHECK(error.err._0.codec_error._0.tag == CError::Tag::MissingBytes);
    CHECK(error.err._0.codec_error._0.missing_bytes._0 == 77);
    EncoderWrapper *encoder = new_encoder();
    CHECK(encode(&message, encoder).ok._0.len == 6 + 79);
    free_encoder(encoder);
}

static void check_markers()
{
    _c_export_u24(U24{1});
    _c_export_cvec(CVec{nullptr, 0, 0});
    _c_export_cvec2(init_cvec2());
    _c_export_channel_endpoint_changed(ChannelEndpointChanged{1});
    _c_export_setup_conn_succ(SetupConnectionSuccess{2, 0});
    _c_export_coinbase_out(CoinbaseOutputConstraints{1, 2});
    _c_export_req_tx_data(RequestTransactionData{1});
    CHECK(export_cerror().tag == CError::Tag::UnexpectedNoiseState);
    CHECK(MESSAGE_TYPE_RECONNECT == 0x04 && MESSAGE_TYPE_SET_GROUP_CHANNEL == 0x25);
    CHECK(ENCRYPTED_SV2_FRAME_HEADER_SIZE == 22
          && INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE == 234);
}

int main()
{
    check_vectors();
    check_fields();
    check_bad_frames();
    check_truncations();
    check_null();
    check_busy();
    check_not_encodable();
    check_too_big();
    check_windows();
    check_promise();
    check_lists();
    check_layout();
    check_markers();
    return test_result("surface");
}
