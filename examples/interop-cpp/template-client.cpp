// A template client, written against sv2.h: asks for a template, builds a block on it and submits
// the solution.
//
// usage: template-client HOST:PORT
//
// HOST is a numeric IPv4 address. What Stratum does not do (coinbase, merkle root, hashing) is in
// bitcoin.hpp, on the hashes of libsv2.h.

#include <sv2.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "bitcoin.hpp"
#include "connection.hpp"

namespace
{

constexpr const char *who = "C++ client";
constexpr std::uint64_t unknown_template = 999;
constexpr std::uint32_t max_nonces = 1000000; // regtest needs two on average

const Bytes payout_script = {0x51}; // OP_TRUE: anyone may spend it, fine on a test network
// Our part of the coinbase script; a pool has its extranonce there.
const std::string miner_tag = "libsv2 C++";

struct Address {
    std::string host;
    std::uint16_t port;
};

void send_setup(Connection &provider, const Address &address)
{
    Message message(CSv2Message::Tag::SetupConnection);
    CSetupConnection &body = message->setup_connection._0;
    body.protocol = Protocol::TemplateDistributionProtocol;
    body.min_version = 2;
    body.max_version = 2;
    body.flags = 0;
    body.endpoint_host = to_cvec(address.host);
    body.endpoint_port = address.port;
    body.vendor = to_cvec(std::string("libsv2"));
    body.firmware = to_cvec(std::string("template-client.cpp"));
    // hardware_version and device_id stay as they are: a CVec of zeros is empty.
    provider.send(message, "template distribution, version 2");
}

// Agrees on the protocol and says how much room our coinbase output takes.
void set_up(Connection &provider, const Address &address)
{
    send_setup(provider, address);
    const std::optional<Message> answer = provider.receive();
    if (!answer) {
        throw PeerError("closed the connection instead of answering SetupConnection");
    }
    if ((*answer)->tag == CSv2Message::Tag::SetupConnectionError) {
        throw PeerError("refuses the connection: "
                        + printable((*answer)->setup_connection_error._0.error_code));
    }
    if ((*answer)->tag != CSv2Message::Tag::SetupConnectionSuccess
        || (*answer)->setup_connection_success._0.used_version != 2) {
        throw PeerError("does not answer SetupConnection with version 2");
    }
    const std::size_t size = tx_output(0, payout_script).size();
    Message message(CSv2Message::Tag::CoinbaseOutputConstraints);
    message->coinbase_output_constraints._0.coinbase_output_max_additional_size =
        static_cast<std::uint32_t>(size);
    message->coinbase_output_constraints._0.coinbase_output_max_additional_sigops = 0;
    provider.send(message, "keep " + std::to_string(size) + " bytes and no sigops for my output");
}

void send_request(Connection &provider, std::uint64_t template_id, const std::string &meaning)
{
    Message request(CSv2Message::Tag::RequestTransactionData);
    request->request_transaction_data._0.template_id = template_id;
    provider.send(request, meaning);
}

// Asks for the template's transactions, after a question that has no answer. The client needs the
// witness reserved value from them; a job declarator would inspect the transactions too.
Message fetch_transactions(Connection &provider, std::uint64_t template_id)
{
    send_request(provider, unknown_template, "one that does not exist");
    const Message refusal = provider.expect(CSv2Message::Tag::RequestTransactionDataError);
    const CRequestTransactionDataError &error = refusal->request_transaction_data_error._0;
    if (error.template_id != unknown_template
        || printable(error.error_code) != "template-id-not-found") {
        throw PeerError("refuses an unknown template with " + printable(error.error_code));
    }
    send_request(provider, template_id, "template " + std::to_string(template_id));
    Message answer = provider.expect(CSv2Message::Tag::RequestTransactionDataSuccess);
    if (answer->request_transaction_data_success._0.template_id != template_id) {
        throw PeerError("sends the transactions of another template");
    }
    return answer;
}

// The coinbase: the template's parts, our tag, and our output in front of the template's.
Coinbase build_coinbase(const CNewTemplate &from, const CVec &excess_data)
{
    Coinbase coinbase = {};
    coinbase.version = from.coinbase_tx_version;
    coinbase.script = to_bytes(from.coinbase_prefix);
    coinbase.script.push_back(static_cast<std::uint8_t>(miner_tag.size()));
    coinbase.script.insert(coinbase.script.end(), miner_tag.begin(), miner_tag.end());
    coinbase.sequence = from.coinbase_tx_input_sequence;
    coinbase.outputs = tx_output(from.coinbase_tx_value_remaining, payout_script);
    const Bytes required = to_bytes(from.coinbase_tx_outputs);
    coinbase.outputs.insert(coinbase.outputs.end(), required.begin(), required.end());
    coinbase.outputs_count = from.coinbase_tx_outputs_count + 1;
    coinbase.locktime = from.coinbase_tx_locktime;
    coinbase.witness = excess_data.len != 0 ? to_bytes(excess_data) : Bytes(32, 0);
    return coinbase;
}

// Tries nonces until the header's hash is at or below the target.
std::uint32_t grind(const CNewTemplate &from, const CSetNewPrevHash &tip, const Hash &txid)
{
    const Hash root = merkle_root(txid, to_bytes(from.merkle_path));
    const Hash prev_hash = to_hash(to_bytes(tip.prev_hash));
    const Hash target = to_hash(to_bytes(tip.target));
    for (std::uint32_t nonce = 0; nonce < max_nonces; nonce++) {
        const Header header =
            block_header(from.version, prev_hash, root, tip.header_timestamp, tip.n_bits, nonce);
        if (meets_target(header, target)) {
            say(who, "tried " + std::to_string(nonce + 1) + " nonces; with " + std::to_string(nonce)
                         + " the block is " + hash_text(block_hash(header)));
            return nonce;
        }
    }
    throw PeerError("set a target that " + std::to_string(max_nonces)
                    + " nonces do not meet: not regtest's");
}

Message solve(const CNewTemplate &from, const CSetNewPrevHash &tip, const CVec &excess_data)
{
    const Coinbase coinbase = build_coinbase(from, excess_data);
    const Bytes serialized = coinbase.serialize();
    say(who, "built the coinbase: " + std::to_string(serialized.size()) + " bytes, txid "
                 + hash_text(coinbase.txid()));
    Message message(CSv2Message::Tag::SubmitSolution);
    CSubmitSolution &solution = message->submit_solution._0;
    solution.template_id = from.template_id;
    solution.version = from.version;
    solution.header_timestamp = tip.header_timestamp;
    solution.header_nonce = grind(from, tip, coinbase.txid());
    solution.coinbase_tx = to_cvec(serialized);
    return message;
}

[[noreturn]] void throw_errno(const std::string &what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

Socket connect_to(const Address &address)
{
    Socket connected(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in target = {};
    target.sin_family = AF_INET;
    target.sin_port = htons(address.port);
    if (connected.fd() < 0) {
        throw_errno("socket");
    }
    if (inet_pton(AF_INET, address.host.c_str(), &target.sin_addr) != 1) {
        throw std::runtime_error(address.host + " is not an IPv4 address");
    }
    if (connect(connected.fd(), reinterpret_cast<struct sockaddr *>(&target), sizeof target) != 0) {
        throw_errno("connect to " + address.host + ":" + std::to_string(address.port));
    }
    return connected;
}

// The whole conversation, from connecting to the submitted solution. Each Message keeps what it
// owns until the end of the block, so the CVecs behind `from`, `tip` and `body` stay valid.
void run(const Address &address)
{
    Connection provider(connect_to(address), who);
    set_up(provider, address);
    const Message offer = provider.expect(CSv2Message::Tag::NewTemplate);
    const Message activation = provider.expect(CSv2Message::Tag::SetNewPrevHash);
    const CNewTemplate &from = offer->new_template._0;
    const CSetNewPrevHash &tip = activation->set_new_prev_hash._0;
    if (tip.template_id != from.template_id) {
        throw PeerError("activates a template that it did not send");
    }
    const Message data = fetch_transactions(provider, from.template_id);
    const CRequestTransactionDataSuccess &body = data->request_transaction_data_success._0;
    say(who, "received " + std::to_string(body.transaction_list.len) + " transactions");
    Message solution = solve(from, tip, body.excess_data);
    provider.send(solution, "template " + std::to_string(from.template_id) + ", nonce "
                                + std::to_string(solution->submit_solution._0.header_nonce));
    provider.finish();
}

std::optional<Address> parse_address(const std::string &text)
{
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) {
        return std::nullopt;
    }
    char *end = nullptr;
    const long port = std::strtol(text.c_str() + colon + 1, &end, 10);
    if (*end != '\0' || port < 1 || port > 65535) {
        return std::nullopt;
    }
    return Address{text.substr(0, colon), static_cast<std::uint16_t>(port)};
}

} // namespace

int main(int argc, char **argv)
{
    const std::optional<Address> address = argc == 2 ? parse_address(argv[1])
                                                     : std::optional<Address>();
    if (!address) {
        std::fputs("usage: template-client HOST:PORT\n", stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN); // a lost connection is an error of send(), not the end of us
    try {
        run(*address);
    } catch (const PeerError &error) {
        say(who, std::string("gives up: the provider ") + error.what());
        return 1;
    } catch (const std::exception &error) {
        say(who, std::string("gives up: ") + error.what());
        return 1;
    }
    return 0;
}
