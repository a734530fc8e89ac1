"""A template client: asks for a template, builds a block on it and submits the solution.

usage: template_client.py HOST:PORT
"""

import socket
import sys

import bitcoin
from connection import TIMEOUT_SECONDS, Connection, PeerError, say

import sv2_ffi
from sv2_ffi import common
from sv2_ffi import template_distribution as td

WHO = "Python client"
PAYOUT_SCRIPT = b"\x51"  # OP_TRUE: anyone may spend it, which is fine on a test network
MINER_TAG = b"libsv2 Python"  # our part of the coinbase script; a pool has its extranonce there
UNKNOWN_TEMPLATE = 999
MAX_FRAME_SIZE = sv2_ffi.HEADER_SIZE + sv2_ffi.MAX_PAYLOAD_SIZE  # a whole block comes in one
MAX_NONCES = 1_000_000  # regtest needs two on average


def set_up(connection: Connection, host: str, port: int) -> None:
    """Agree on the protocol and say how much room our coinbase output takes."""
    connection.send(
        common.SetupConnection(
            protocol=2,
            min_version=2,
            max_version=2,
            flags=0,
            endpoint_host=host,
            endpoint_port=port,
            vendor="libsv2",
            hardware_version="",
            firmware="template_client.py",
            device_id="",
        ),
        "template distribution, version 2",
    )
    match connection.receive():
        case common.SetupConnectionSuccess(used_version=2):
            pass
        case common.SetupConnectionError(error_code=code):
            raise PeerError(f"refuses the connection: {code!a}")
        case common.SetupConnectionSuccess(used_version=version):
            raise PeerError(f"answers SetupConnection with version {version}")
        case None:
            raise PeerError("closed the connection instead of answering SetupConnection")
        case other:
            raise PeerError(f"answers SetupConnection with {other.name}")
    size = len(bitcoin.tx_output(0, PAYOUT_SCRIPT))
    connection.send(
        td.CoinbaseOutputConstraints(size, 0), f"keep {size} bytes and no sigops for my output"
    )


def fetch_template(connection: Connection) -> tuple[td.NewTemplate, td.SetNewPrevHash]:
    """Receive the template and the tip that turns it from future to current."""
    template = connection.expect(td.NewTemplate)
    tip = connection.expect(td.SetNewPrevHash)
    if tip.template_id != template.template_id:
        raise PeerError(f"activates template {tip.template_id}, sent {template.template_id}")
    return template, tip


def fetch_transactions(
    connection: Connection, template_id: int
) -> td.RequestTransactionDataSuccess:
    """Ask for the template's transactions, after a question that has no answer."""
    connection.send(td.RequestTransactionData(UNKNOWN_TEMPLATE), "one that does not exist")
    refusal = connection.expect(td.RequestTransactionDataError)
    if refusal.template_id != UNKNOWN_TEMPLATE or refusal.error_code != "template-id-not-found":
        raise PeerError(f"refuses an unknown template with {refusal.error_code!a}")
    connection.send(td.RequestTransactionData(template_id), f"template {template_id}")
    data = connection.expect(td.RequestTransactionDataSuccess)
    if data.template_id != template_id:
        raise PeerError(f"sends transactions of template {data.template_id}")
    return data


def check_transactions(template: td.NewTemplate, data: td.RequestTransactionDataSuccess) -> None:
    """The path in the template has to be the path over these very transactions."""
    txids = [bitcoin.txid_of(transaction) for transaction in data.transaction_list]
    if bitcoin.merkle_path(txids) != template.merkle_path:
        raise PeerError("sends a merkle path that its transactions do not have")
    say(WHO, f"{len(txids)} transactions; the merkle path over them is the template's")


def build_coinbase(template: td.NewTemplate, excess_data: bytes) -> bitcoin.Coinbase:
    """The coinbase: the template's parts, our tag, and our output in front of the template's."""
    witness = excess_data or bytes(bitcoin.WITNESS_RESERVED_SIZE)
    payout = bitcoin.tx_output(template.coinbase_tx_value_remaining, PAYOUT_SCRIPT)
    return bitcoin.Coinbase(
        version=template.coinbase_tx_version,
        script=template.coinbase_prefix + bytes([len(MINER_TAG)]) + MINER_TAG,
        sequence=template.coinbase_tx_input_sequence,
        outputs_count=template.coinbase_tx_outputs_count + 1,
        outputs=payout + template.coinbase_tx_outputs,
        locktime=template.coinbase_tx_locktime,
        witness=witness,
    )


def grind(template: td.NewTemplate, tip: td.SetNewPrevHash, coinbase_txid: bytes) -> int:
    """Try nonces until the header's hash is at or below the target."""
    root = bitcoin.merkle_root(coinbase_txid, template.merkle_path)
    target = int.from_bytes(tip.target, "little")
    for nonce in range(MAX_NONCES):
        header = bitcoin.block_header(
            template.version, tip.prev_hash, root, tip.header_timestamp, tip.n_bits, nonce
        )
        if bitcoin.meets_target(header, target):
            block_hash = bitcoin.sha256d(header)[::-1].hex()
            say(WHO, f"tried {nonce + 1} nonces; with {nonce} the block is {block_hash}")
            return nonce
    raise PeerError(f"set a target that {MAX_NONCES} nonces do not meet: not regtest's")


def run(host: str, port: int) -> None:
    """The whole conversation, from connecting to the submitted solution."""
    sock = socket.create_connection((host, port), TIMEOUT_SECONDS)
    with Connection(sock, WHO, MAX_FRAME_SIZE) as connection:
        set_up(connection, host, port)
        template, tip = fetch_template(connection)
        data = fetch_transactions(connection, template.template_id)
        check_transactions(template, data)
        coinbase = build_coinbase(template, data.excess_data)
        serialized = coinbase.serialize()
        say(WHO, f"built the coinbase: {len(serialized)} bytes, txid {coinbase.txid()[::-1].hex()}")
        nonce = grind(template, tip, coinbase.txid())
        connection.send(
            td.SubmitSolution(
                template_id=template.template_id,
                version=template.version,
                header_timestamp=tip.header_timestamp,
                header_nonce=nonce,
                coinbase_tx=serialized,
            ),
            f"template {template.template_id}, nonce {nonce}",
        )
        connection.finish()


def main() -> int:
    host, separator, port = "".join(sys.argv[1:]).rpartition(":")
    if len(sys.argv) != 2 or not separator or not port.isdecimal():
        print(__doc__, file=sys.stderr)
        return 2
    try:
        run(host, int(port))
    except PeerError as error:
        say(WHO, f"gives up: the provider {error}")
        return 1
    except (OSError, bitcoin.BitcoinError, sv2_ffi.Sv2Error) as error:
        say(WHO, f"gives up: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
