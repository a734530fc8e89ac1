// One Stratum V2 connection over a TCP socket, written against sv2.h.
//
// sv2.h hands memory back and forth by hand, as C does. The two classes below give each kind of it
// one owner, and are all that the two programs of this example need: Message for what has to be
// dropped exactly once, Connection for the decoder, the encoder and the buffers they lend.
#pragma once

#include <sv2.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

// The other side did something that ends the conversation.
struct PeerError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr int timeout_seconds = 10; // of silence, on any socket

// One line of narration on stderr: stdout is for what a program answers to another.
void say(const char *who, const std::string &text);

// A peer's text made fit for a terminal: whatever is not printable ASCII becomes '?'.
std::string printable(const CVec &text);

// Owns a message, decoded or built here, with every CVec in it.
class Message
{
  public:
    // An empty message to fill in: all numbers and all CVecs are zero.
    explicit Message(CSv2Message::Tag tag) : raw_{}
    {
        raw_.tag = tag;
    }
    // Takes over what next_frame() returned.
    explicit Message(const CSv2Message &decoded) : raw_(decoded)
    {
    }
    Message(Message &&other) noexcept : raw_(other.raw_), owned_(other.owned_)
    {
        other.owned_ = false;
    }
    Message(const Message &) = delete;
    Message &operator=(const Message &) = delete;
    Message &operator=(Message &&) = delete;
    ~Message()
    {
        if (owned_) {
            drop_sv2_message(raw_);
        }
    }

    CSv2Message *operator->()
    {
        return &raw_;
    }
    const CSv2Message *operator->() const
    {
        return &raw_;
    }
    CSv2Message *get()
    {
        return &raw_;
    }

  private:
    CSv2Message raw_;
    bool owned_ = true;
};

// The name of a message type as the protocol writes it.
const char *name_of(CSv2Message::Tag tag);

// CVecs to put into a message that is being built. The library copies the bytes; the message owns
// the copy. Throws std::bad_alloc.
CVec to_cvec(const std::vector<std::uint8_t> &bytes);
CVec to_cvec(const std::string &text);
// The same for a sequence: appends copies to a CVec2 that belongs to a message already, so that
// nothing is lost if memory runs out half way.
void fill_cvec2(CVec2 &sequence, const std::vector<std::vector<std::uint8_t>> &items);

// Copies out of a decoded message, for what has to outlive it.
std::vector<std::uint8_t> to_bytes(const CVec &bytes);
std::vector<std::vector<std::uint8_t>> to_bytes(const CVec2 &sequence);

// Writes up to `size` bytes to `data` and returns how many; fewer only where the stream has ended.
using Fill = std::function<std::size_t(std::uint8_t *data, std::size_t size)>;

// The next message of a stream of bytes, or nothing where the stream ends between two messages.
// Frames that are no message of sv2.h are skipped, as the protocol asks. Throws PeerError,
// std::bad_alloc, and what `fill` throws.
std::optional<Message> read_message(DecoderWrapper *decoder, const char *who, const Fill &fill);

// A decoder and an encoder are freed once each, after the last use of what they lend.
struct FreeDecoder {
    void operator()(DecoderWrapper *decoder) const
    {
        free_decoder(decoder);
    }
};
struct FreeEncoder {
    void operator()(EncoderWrapper *encoder) const
    {
        free_encoder(encoder);
    }
};
using Decoder = std::unique_ptr<DecoderWrapper, FreeDecoder>;
using Encoder = std::unique_ptr<EncoderWrapper, FreeEncoder>;

Decoder make_decoder(); // throws std::bad_alloc
Encoder make_encoder(); // throws std::bad_alloc

// Owns a file descriptor.
class Socket
{
  public:
    explicit Socket(int fd) : fd_(fd)
    {
    }
    Socket(Socket &&other) noexcept : fd_(other.fd_)
    {
        other.fd_ = -1;
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;
    Socket &operator=(Socket &&) = delete;
    ~Socket();

    int fd() const
    {
        return fd_;
    }

  private:
    int fd_;
};

class Connection
{
  public:
    // Takes over a connected socket. Throws std::bad_alloc, std::system_error.
    Connection(Socket socket, const char *who);

    // Encodes and sends; `meaning` goes to the narration. Throws PeerError, std::bad_alloc, and
    // std::logic_error for a message that was built wrong.
    void send(Message &message, const std::string &meaning);

    // The next message, or nothing when the peer has closed. Throws PeerError, also on silence.
    std::optional<Message> receive();

    // The next message, which has to be of this type. Throws PeerError.
    Message expect(CSv2Message::Tag tag);

    // Says that nothing more comes, and waits until the peer has closed its side too.
    void finish();

  private:
    void write_all(const std::uint8_t *data, std::size_t size);
    std::size_t read_full(std::uint8_t *data, std::size_t size);

    Socket socket_;
    const char *who_;
    Decoder decoder_;
    Encoder encoder_;
};
