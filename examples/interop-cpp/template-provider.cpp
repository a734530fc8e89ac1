// A template provider for one client, written against sv2.h: serves a recorded template and
// rebuilds the block that the client solves.
//
// usage: template-provider SESSION.jsonl BLOCK.hex
//
// SESSION.jsonl is a recorded session with a template provider on Bitcoin Core; what the server
// said in it is the template. Listens on a free port of 127.0.0.1, prints HOST:PORT on stdout,
// serves one client and writes the block. In a node, load_recording() would be what asks the block
// assembler.

#include <sv2.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "bitcoin.hpp"
#include "connection.hpp"

namespace
{

constexpr const char *who = "C++ provider";
constexpr std::uint16_t protocol_version = 2;

// A template in the node's own terms, apart from any message.
struct Template {
    std::uint64_t id = 0;
    std::uint32_t version = 0;
    std::uint32_t coinbase_version = 0;
    Bytes coinbase_prefix;
    std::uint32_t coinbase_sequence = 0;
    std::uint64_t value_remaining = 0;
    std::uint32_t outputs_count = 0;
    Bytes outputs;
    std::uint32_t locktime = 0;
    std::vector<Bytes> merkle_path;

    Hash prev_hash = {};
    std::uint32_t timestamp = 0;
    std::uint32_t bits = 0;
    Hash target = {};

    Bytes excess_data;
    std::vector<Bytes> transactions;

    // The room for the client's outputs that was kept when the transactions were selected.
    CoinbaseOutputConstraints reserved = {};
};

// Takes over what one recorded message says about the template. The message owns its CVecs and goes
// away with the caller's Message, so everything is copied out.
void apply(Template &block, const CSv2Message &message)
{
    switch (message.tag) {
    case CSv2Message::Tag::CoinbaseOutputConstraints:
        block.reserved = message.coinbase_output_constraints._0;
        break;
    case CSv2Message::Tag::NewTemplate: {
        const CNewTemplate &from = message.new_template._0;
        block.id = from.template_id;
        block.version = from.version;
        block.coinbase_version = from.coinbase_tx_version;
        block.coinbase_prefix = to_bytes(from.coinbase_prefix);
        block.coinbase_sequence = from.coinbase_tx_input_sequence;
        block.value_remaining = from.coinbase_tx_value_remaining;
        block.outputs_count = from.coinbase_tx_outputs_count;
        block.outputs = to_bytes(from.coinbase_tx_outputs);
        block.locktime = from.coinbase_tx_locktime;
        block.merkle_path = to_bytes(from.merkle_path);
        break;
    }
    case CSv2Message::Tag::SetNewPrevHash: {
        const CSetNewPrevHash &from = message.set_new_prev_hash._0;
        block.prev_hash = to_hash(to_bytes(from.prev_hash));
        block.timestamp = from.header_timestamp;
        block.bits = from.n_bits;
        block.target = to_hash(to_bytes(from.target));
        break;
    }
    case CSv2Message::Tag::RequestTransactionDataSuccess: {
        const CRequestTransactionDataSuccess &from = message.request_transaction_data_success._0;
        block.excess_data = to_bytes(from.excess_data);
        block.transactions = to_bytes(from.transaction_list);
        break;
    }
    default:
        break; // questions, refusals and the recorded solution say nothing about the template
    }
}

// The value of "frame" in one line of the recording.
Bytes frame_of(const std::string &line)
{
    const std::string key = "\"frame\": \"";
    const std::size_t start = line.find(key);
    const std::size_t end = line.find('"', start + key.size());
    if (start == std::string::npos || end == std::string::npos) {
        throw BitcoinError("the recording has a line without a frame");
    }
    return from_hex(line.substr(start + key.size(), end - start - key.size()));
}

Template load_recording(const char *path)
{
    std::ifstream file(path);
    if (!file) {
        throw std::system_error(errno, std::generic_category(), path);
    }
    Template block;
    const Decoder decoder = make_decoder();
    for (std::string line; std::getline(file, line);) {
        const Bytes frame = frame_of(line);
        std::size_t offset = 0;
        const auto fill = [&](std::uint8_t *data, std::size_t size) {
            const std::size_t count = std::min(size, frame.size() - offset);
            std::copy_n(frame.data() + offset, count, data);
            offset += count;
            return count;
        };
        while (std::optional<Message> message = read_message(decoder.get(), who, fill)) {
            apply(block, *message->get());
        }
    }
    if (block.id == 0 || block.bits == 0 || block.transactions.empty()) {
        throw BitcoinError("the recording holds no whole template");
    }
    return block;
}

// Building a message: start from one that is all zero, fill in numbers, let to_cvec() copy bytes.
void send_new_template(Connection &client, const Template &block)
{
    Message message(CSv2Message::Tag::NewTemplate);
    CNewTemplate &body = message->new_template._0;
    body.template_id = block.id;
    body.future_template = true; // it becomes current with the SetNewPrevHash that names it
    body.version = block.version;
    body.coinbase_tx_version = block.coinbase_version;
    body.coinbase_prefix = to_cvec(block.coinbase_prefix);
    body.coinbase_tx_input_sequence = block.coinbase_sequence;
    body.coinbase_tx_value_remaining = block.value_remaining;
    body.coinbase_tx_outputs_count = block.outputs_count;
    body.coinbase_tx_outputs = to_cvec(block.outputs);
    body.coinbase_tx_locktime = block.locktime;
    fill_cvec2(body.merkle_path, block.merkle_path);
    client.send(message, "template " + std::to_string(block.id) + ": "
                             + std::to_string(block.value_remaining) + " satoshi, merkle path of "
                             + std::to_string(block.merkle_path.size()));
}

void send_prev_hash(Connection &client, const Template &block)
{
    Message message(CSv2Message::Tag::SetNewPrevHash);
    CSetNewPrevHash &body = message->set_new_prev_hash._0;
    body.template_id = block.id;
    body.prev_hash = to_cvec(Bytes(block.prev_hash.begin(), block.prev_hash.end()));
    body.header_timestamp = block.timestamp;
    body.n_bits = block.bits;
    body.target = to_cvec(Bytes(block.target.begin(), block.target.end()));
    client.send(message,
                "template " + std::to_string(block.id) + " is on " + hash_text(block.prev_hash));
}

// Why a SetupConnection cannot be accepted, or nothing; `flags` are then the offending ones.
std::string refusal_of(const CSetupConnection &request, std::uint32_t &flags)
{
    flags = 0;
    if (request.protocol != Protocol::TemplateDistributionProtocol) {
        return "unsupported-protocol";
    }
    if (request.min_version > protocol_version || request.max_version < protocol_version) {
        return "protocol-version-mismatch";
    }
    flags = request.flags; // this protocol defines none
    return flags != 0 ? "unsupported-feature-flags" : "";
}

void set_up(Connection &client)
{
    const Message request = client.expect(CSv2Message::Tag::SetupConnection);
    std::uint32_t flags = 0;
    const std::string refusal = refusal_of(request->setup_connection._0, flags);
    if (!refusal.empty()) {
        Message answer(CSv2Message::Tag::SetupConnectionError);
        answer->setup_connection_error._0.flags = flags;
        answer->setup_connection_error._0.error_code = to_cvec(refusal);
        client.send(answer, refusal);
        throw PeerError("was refused: " + refusal);
    }
    Message answer(CSv2Message::Tag::SetupConnectionSuccess);
    answer->setup_connection_success._0.used_version = protocol_version;
    answer->setup_connection_success._0.flags = 0;
    client.send(answer, "version " + std::to_string(protocol_version));
}

// Waits for the client's constraints, then sends the template and the tip it builds on.
void send_template(Connection &client, const Template &block)
{
    const Message message = client.expect(CSv2Message::Tag::CoinbaseOutputConstraints);
    const CoinbaseOutputConstraints &wanted = message->coinbase_output_constraints._0;
    if (wanted.coinbase_output_max_additional_size
            > block.reserved.coinbase_output_max_additional_size
        || wanted.coinbase_output_max_additional_sigops
               > block.reserved.coinbase_output_max_additional_sigops) {
        throw PeerError("wants more room for outputs than this template has kept");
    }
    send_new_template(client, block);
    send_prev_hash(client, block);
}

void send_transactions(Connection &client, const Template &block, std::uint64_t template_id)
{
    if (template_id != block.id) {
        const std::string code = "template-id-not-found";
        Message answer(CSv2Message::Tag::RequestTransactionDataError);
        answer->request_transaction_data_error._0.template_id = template_id;
        answer->request_transaction_data_error._0.error_code = to_cvec(code);
        client.send(answer, code);
        return;
    }
    Message answer(CSv2Message::Tag::RequestTransactionDataSuccess);
    CRequestTransactionDataSuccess &body = answer->request_transaction_data_success._0;
    body.template_id = template_id;
    body.excess_data = to_cvec(block.excess_data);
    fill_cvec2(body.transaction_list, block.transactions);
    std::size_t size = 0;
    for (const Bytes &transaction : block.transactions) {
        size += transaction.size();
    }
    client.send(answer, std::to_string(block.transactions.size()) + " transactions, "
                            + std::to_string(size) + " bytes");
}

// The block that a solution stands for. Throws PeerError where it names another template or its
// hash is above the target, BitcoinError where its coinbase is no transaction.
Bytes rebuild(const Template &block, const CSubmitSolution &solution)
{
    if (solution.template_id != block.id) {
        throw PeerError("solves a template that was never sent");
    }
    const Bytes coinbase = to_bytes(solution.coinbase_tx);
    const Hash root = merkle_root(txid_of(coinbase), block.merkle_path);
    const Header header = block_header(solution.version, block.prev_hash, root,
                                       solution.header_timestamp, block.bits,
                                       solution.header_nonce);
    if (!meets_target(header, block.target)) {
        throw PeerError("submits a block whose hash is above the target");
    }
    return assemble_block(header, coinbase, block.transactions);
}

// The whole conversation with one client; returns the block that it solved.
Bytes serve(Connection &client, const Template &block)
{
    set_up(client);
    send_template(client, block);
    while (std::optional<Message> message = client.receive()) {
        switch ((*message)->tag) {
        case CSv2Message::Tag::RequestTransactionData:
            send_transactions(client, block, (*message)->request_transaction_data._0.template_id);
            break;
        case CSv2Message::Tag::SubmitSolution:
            return rebuild(block, (*message)->submit_solution._0);
        default:
            throw PeerError(std::string("sent ") + name_of((*message)->tag)
                            + ", which no client may send now");
        }
    }
    throw PeerError("closed the connection without a solution");
}

[[noreturn]] void throw_errno(const char *what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

// Listens on a free port of 127.0.0.1, announces it, and waits for one client.
Socket accept_client()
{
    const Socket listener(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = {};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr *generic = reinterpret_cast<struct sockaddr *>(&address);
    if (listener.fd() < 0 || bind(listener.fd(), generic, size) != 0
        || listen(listener.fd(), 1) != 0 || getsockname(listener.fd(), generic, &size) != 0) {
        throw_errno("listen");
    }
    const std::string where = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    say(who, "listens on " + where);
    std::puts(where.c_str());
    std::fflush(stdout);

    struct pollfd ready = {listener.fd(), POLLIN, 0};
    const int count = poll(&ready, 1, timeout_seconds * 1000);
    if (count < 0) {
        throw_errno("poll");
    }
    if (count == 0) {
        throw PeerError("did not come within " + std::to_string(timeout_seconds) + " seconds");
    }
    Socket client(accept(listener.fd(), nullptr, nullptr));
    if (client.fd() < 0) {
        throw_errno("accept");
    }
    return client;
}

void write_block(const char *path, const Bytes &block)
{
    std::ofstream file(path);
    file << to_hex(block.data(), block.size()) << '\n';
    file.close();
    if (!file) {
        throw std::runtime_error(std::string("cannot write ") + path);
    }
}

void run(const char *recording, const char *block_path)
{
    const Template block = load_recording(recording);
    Connection client(accept_client(), who);
    const Bytes solved = serve(client, block);
    say(who, "rebuilt the block: " + std::to_string(solved.size()) + " bytes, "
                 + std::to_string(1 + block.transactions.size()) + " tx");
    write_block(block_path, solved);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fputs("usage: template-provider SESSION.jsonl BLOCK.hex\n", stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN); // a lost connection is an error of send(), not the end of us
    try {
        run(argv[1], argv[2]);
    } catch (const PeerError &error) {
        say(who, std::string("gives up: the client ") + error.what());
        return 1;
    } catch (const std::exception &error) {
        say(who, std::string("gives up: ") + error.what());
        return 1;
    }
    return 0;
}
