#include "connection.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace
{

// What an error says in words. Gives back what it owns; lack of memory is an exception of its own.
std::string consume(const Sv2Error &error)
{
    drop_sv2_error(error);
    switch (error.tag) {
    case Sv2Error::Tag::BinaryError:
        return "a field that is too long or no hash";
    case Sv2Error::Tag::CodecError:
        throw std::bad_alloc();
    case Sv2Error::Tag::EncoderBusy:
        return "an encoder that was not flushed";
    case Sv2Error::Tag::InvalidSv2Frame:
        return "a tag that is no message";
    case Sv2Error::Tag::MissingBytes:
        return "an incomplete frame";
    case Sv2Error::Tag::PayloadTooBig:
        return "more than a frame can hold";
    case Sv2Error::Tag::Unknown:
        return "a malformed or unknown message";
    }
    return "an error without a name";
}

} // namespace

void say(const char *who, const std::string &text)
{
    std::fprintf(stderr, "  %-15s | %s\n", who, text.c_str());
}

std::string printable(const CVec &text)
{
    std::string out;
    for (std::uintptr_t i = 0; i < text.len; i++) {
        const std::uint8_t byte = text.data[i];
        out += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '?';
    }
    return out;
}

const char *name_of(CSv2Message::Tag tag)
{
    switch (tag) {
    case CSv2Message::Tag::CoinbaseOutputConstraints:
        return "CoinbaseOutputConstraints";
    case CSv2Message::Tag::NewTemplate:
        return "NewTemplate";
    case CSv2Message::Tag::RequestTransactionData:
        return "RequestTransactionData";
    case CSv2Message::Tag::RequestTransactionDataError:
        return "RequestTransactionData.Error";
    case CSv2Message::Tag::RequestTransactionDataSuccess:
        return "RequestTransactionData.Success";
    case CSv2Message::Tag::SetNewPrevHash:
        return "SetNewPrevHash";
    case CSv2Message::Tag::SubmitSolution:
        return "SubmitSolution";
    case CSv2Message::Tag::ChannelEndpointChanged:
        return "ChannelEndpointChanged";
    case CSv2Message::Tag::SetupConnection:
        return "SetupConnection";
    case CSv2Message::Tag::SetupConnectionError:
        return "SetupConnection.Error";
    case CSv2Message::Tag::SetupConnectionSuccess:
        return "SetupConnection.Success";
    }
    return "something unnamed";
}

CVec to_cvec(const std::vector<std::uint8_t> &bytes)
{
    const CVec copy = cvec_from_buffer(bytes.data(), bytes.size());
    if (copy.len != bytes.size()) {
        throw std::bad_alloc();
    }
    return copy;
}

CVec to_cvec(const std::string &text)
{
    return to_cvec(std::vector<std::uint8_t>(text.begin(), text.end()));
}

void fill_cvec2(CVec2 &sequence, const std::vector<std::vector<std::uint8_t>> &items)
{
    sequence = init_cvec2();
    for (const std::vector<std::uint8_t> &item : items) {
        const std::uintptr_t before = sequence.len;
        cvec2_push(&sequence, to_cvec(item));
        if (sequence.len == before) {
            throw std::bad_alloc();
        }
    }
}

std::vector<std::uint8_t> to_bytes(const CVec &bytes)
{
    return std::vector<std::uint8_t>(bytes.data, bytes.data + bytes.len);
}

std::vector<std::vector<std::uint8_t>> to_bytes(const CVec2 &sequence)
{
    std::vector<std::vector<std::uint8_t>> items;
    for (std::uintptr_t i = 0; i < sequence.len; i++) {
        items.push_back(to_bytes(sequence.data[i]));
    }
    return items;
}

std::optional<Message> read_message(DecoderWrapper *decoder, const char *who, const Fill &fill)
{
    bool started = false;
    for (;;) {
        // The buffer is lent by the decoder until the next call on it. It asks for a header first,
        // then for the payload, a long one in several windows; each has to be filled whole.
        const CVec window = get_writable(decoder);
        if (window.len == 0) {
            throw std::bad_alloc();
        }
        const std::size_t filled = fill(window.data, window.len);
        if (filled == 0 && !started) {
            return std::nullopt;
        }
        if (filled < window.len) {
            throw PeerError("closed the connection in the middle of a message");
        }
        started = true;
        CResult<CSv2Message, Sv2Error> result = next_frame(decoder);
        if (is_ok(&result)) {
            return Message(result.ok._0);
        }
        switch (result.err._0.tag) {
        case Sv2Error::Tag::MissingBytes:
            break; // the frame goes on in the next window
        case Sv2Error::Tag::Unknown:
            started = false; // that frame is dropped, and the decoder is ready for the next one
            say(who, "ignores a frame that is malformed or of a type that sv2.h does not have");
            break;
        default:
            throw PeerError("sent " + consume(result.err._0));
        }
    }
}

Decoder make_decoder()
{
    Decoder decoder(new_decoder());
    if (decoder == nullptr) {
        throw std::bad_alloc();
    }
    return decoder;
}

Encoder make_encoder()
{
    Encoder encoder(new_encoder());
    if (encoder == nullptr) {
        throw std::bad_alloc();
    }
    return encoder;
}

Socket::~Socket()
{
    if (fd_ >= 0) {
        close(fd_);
    }
}

Connection::Connection(Socket socket, const char *who)
    : socket_(std::move(socket)), who_(who), decoder_(make_decoder()), encoder_(make_encoder())
{
    struct timeval limit = {};
    limit.tv_sec = timeout_seconds;
    if (setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0
        || setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
        throw std::system_error(errno, std::generic_category(), "setsockopt");
    }
}

void Connection::send(Message &message, const std::string &meaning)
{
    char line[64];
    std::snprintf(line, sizeof line, "-> %-30s ", name_of(message->tag));
    say(who_, line + meaning);
    // encode() does not take the message over: it is still ours, and Message drops it.
    CResult<CVec, Sv2Error> result = encode(message.get(), encoder_.get());
    if (result.tag == CResult<CVec, Sv2Error>::Tag::Err) {
        throw std::logic_error("cannot encode " + consume(result.err._0));
    }
    // The frame lies in the encoder's buffer, lent until flush_encoder(). Without the flush the
    // next encode() is refused as EncoderBusy.
    write_all(result.ok._0.data, result.ok._0.len);
    flush_encoder(encoder_.get());
}

std::optional<Message> Connection::receive()
{
    return read_message(decoder_.get(), who_, [this](std::uint8_t *data, std::size_t size) {
        return read_full(data, size);
    });
}

Message Connection::expect(CSv2Message::Tag tag)
{
    std::optional<Message> message = receive();
    if (!message) {
        throw PeerError(std::string("closed the connection instead of sending ") + name_of(tag));
    }
    if ((*message)->tag != tag) {
        throw PeerError(std::string("sent ") + name_of((*message)->tag) + " instead of "
                        + name_of(tag));
    }
    return std::move(*message);
}

void Connection::finish()
{
    if (shutdown(socket_.fd(), SHUT_WR) != 0) {
        throw PeerError(std::string("is gone: ") + std::strerror(errno));
    }
    if (std::optional<Message> message = receive()) {
        throw PeerError(std::string("sent ") + name_of((*message)->tag) + " after the end");
    }
}

void Connection::write_all(const std::uint8_t *data, std::size_t size)
{
    while (size > 0) {
        const ssize_t sent = ::send(socket_.fd(), data, size, 0);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            throw PeerError(std::string("does not take what is sent: ") + std::strerror(errno));
        }
        data += sent;
        size -= static_cast<std::size_t>(sent);
    }
}

std::size_t Connection::read_full(std::uint8_t *data, std::size_t size)
{
    std::size_t filled = 0;
    while (filled < size) {
        const ssize_t got = recv(socket_.fd(), data + filled, size - filled, 0);
        if (got == 0) {
            break;
        }
        if (got > 0) {
            filled += static_cast<std::size_t>(got);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            throw PeerError("was silent for " + std::to_string(timeout_seconds) + " seconds");
        } else if (errno != EINTR) {
            throw PeerError(std::string("is gone: ") + std::strerror(errno));
        }
    }
    return filled;
}
