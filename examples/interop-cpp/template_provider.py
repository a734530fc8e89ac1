"""A template provider for one client: serves a getblocktemplate answer and rebuilds the block.

usage: template_provider.py GETBLOCKTEMPLATE.json BLOCK.hex

Listens on a free port of 127.0.0.1, prints HOST:PORT on stdout, serves one client and writes the
block that the client solved. A provider in production would ask its node again on every new tip.
"""

import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitcoin
from connection import TIMEOUT_SECONDS, Connection, PeerError, say

import sv2_ffi
from sv2_ffi import common
from sv2_ffi import template_distribution as td

WHO = "Python provider"
TEMPLATE_ID = 1
TEMPLATE_DISTRIBUTION = 2
VERSION = 2
# The longest thing a client has to say is a coinbase transaction of 65,535 bytes.
MAX_FRAME_SIZE = sv2_ffi.HEADER_SIZE + 22 + 65_535
# Block header, transaction count, and a coinbase with a 100-byte script, before its extra outputs.
RESERVED_WEIGHT = 1168


@dataclass(frozen=True, slots=True)
class Template:
    """What one answer of getblocktemplate becomes on the wire, and what a block needs of it."""

    new_template: td.NewTemplate
    set_new_prev_hash: td.SetNewPrevHash
    transactions: list[bytes]
    free_weight: int

    @classmethod
    def from_getblocktemplate(cls, answer: dict[str, Any]) -> "Template":
        """Convert; the node writes hashes reversed and the target in nBits form."""
        txids = [bytes.fromhex(tx["txid"])[::-1] for tx in answer["transactions"]]
        bits = int(answer["bits"], 16)
        outputs = []
        if commitment := answer.get("default_witness_commitment"):
            outputs.append(bitcoin.tx_output(0, bytes.fromhex(commitment)))
        return cls(
            new_template=td.NewTemplate(
                template_id=TEMPLATE_ID,
                future_template=True,
                version=answer["version"],
                coinbase_tx_version=2,
                coinbase_prefix=bitcoin.push_height(answer["height"]),
                coinbase_tx_input_sequence=0xFFFFFFFE,
                coinbase_tx_value_remaining=answer["coinbasevalue"],
                coinbase_tx_outputs_count=len(outputs),
                coinbase_tx_outputs=b"".join(outputs),
                coinbase_tx_locktime=answer["height"] - 1,
                merkle_path=bitcoin.merkle_path(txids),
            ),
            set_new_prev_hash=td.SetNewPrevHash(
                template_id=TEMPLATE_ID,
                prev_hash=bytes.fromhex(answer["previousblockhash"])[::-1],
                header_timestamp=answer["curtime"],
                n_bits=bits,
                target=bitcoin.target_from_bits(bits).to_bytes(32, "little"),
            ),
            transactions=[bytes.fromhex(tx["data"]) for tx in answer["transactions"]],
            free_weight=answer["weightlimit"] - sum(tx["weight"] for tx in answer["transactions"]),
        )

    def rebuild(self, solution: td.SubmitSolution) -> bytes:
        """The block that a solution stands for.

        Raises:
            PeerError: the solution names another template, or its hash is above the target.
        """
        if solution.template_id != self.new_template.template_id:
            raise PeerError(f"solves template {solution.template_id}, which was never sent")
        tip = self.set_new_prev_hash
        root = bitcoin.merkle_root(
            bitcoin.txid_of(solution.coinbase_tx), self.new_template.merkle_path
        )
        header = bitcoin.block_header(
            solution.version,
            tip.prev_hash,
            root,
            solution.header_timestamp,
            tip.n_bits,
            solution.header_nonce,
        )
        if not bitcoin.meets_target(header, int.from_bytes(tip.target, "little")):
            raise PeerError("submits a block whose hash is above the target")
        return bitcoin.block(header, solution.coinbase_tx, self.transactions)


def answer_setup(request: common.SetupConnection) -> sv2_ffi.Message:
    """Success, or the error that names what does not fit."""
    if request.protocol != TEMPLATE_DISTRIBUTION:
        return common.SetupConnectionError(0, "unsupported-protocol")
    if not request.min_version <= VERSION <= request.max_version:
        return common.SetupConnectionError(0, "protocol-version-mismatch")
    if request.flags:  # this protocol defines none
        return common.SetupConnectionError(request.flags, "unsupported-feature-flags")
    return common.SetupConnectionSuccess(VERSION, 0)


def set_up(connection: Connection) -> None:
    """Answer SetupConnection; a connection that was refused goes no further."""
    match answer_setup(connection.expect(common.SetupConnection)):
        case common.SetupConnectionError(error_code=code) as refusal:
            connection.send(refusal, code)
            raise PeerError(f"was refused: {code}")
        case success:
            connection.send(success, f"version {VERSION}")


def send_template(connection: Connection, template: Template) -> None:
    """Wait for the client's constraints, then send the template and the tip it builds on."""
    wanted = connection.expect(td.CoinbaseOutputConstraints)
    if RESERVED_WEIGHT + 4 * wanted.coinbase_output_max_additional_size > template.free_weight:
        raise PeerError(
            f"wants {wanted.coinbase_output_max_additional_size} bytes of coinbase outputs, "
            "more than this block has left"
        )
    new, tip = template.new_template, template.set_new_prev_hash
    connection.send(
        new,
        f"template {new.template_id}: {new.coinbase_tx_value_remaining} satoshi, "
        f"merkle path of {len(new.merkle_path)}",
    )
    connection.send(tip, f"template {tip.template_id} is on {tip.prev_hash[::-1].hex()}")


def answer_request(template: Template, template_id: int) -> tuple[sv2_ffi.Message, str]:
    """The transactions of a template, or the error for one that is not ours."""
    if template_id != template.new_template.template_id:
        code = "template-id-not-found"
        return td.RequestTransactionDataError(template_id, code), code
    reserved = bytes(bitcoin.WITNESS_RESERVED_SIZE)
    answer = td.RequestTransactionDataSuccess(template_id, reserved, template.transactions)
    size = sum(len(tx) for tx in template.transactions)
    return answer, f"{len(template.transactions)} transactions, {size} bytes"


def serve(connection: Connection, template: Template) -> bytes:
    """The whole conversation with one client; returns the block that it solved."""
    set_up(connection)
    send_template(connection, template)
    while True:
        match connection.receive():
            case td.RequestTransactionData(template_id=template_id):
                connection.send(*answer_request(template, template_id))
            case td.SubmitSolution() as solution:
                return template.rebuild(solution)
            case None:
                raise PeerError("closed the connection without a solution")
            case other:
                raise PeerError(f"sent {other.name}, which no client may send now")


def run(template: Template, block_path: Path) -> None:
    """Listen, serve one client, write its block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_SECONDS)
        host, port = listener.getsockname()
        say(WHO, f"listens on {host}:{port}")
        print(f"{host}:{port}", flush=True)
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            raise PeerError(f"did not come within {TIMEOUT_SECONDS:.0f} seconds") from None
    with Connection(sock, WHO, MAX_FRAME_SIZE) as connection:
        block = serve(connection, template)
        say(WHO, f"rebuilt the block: {len(block)} bytes, {1 + len(template.transactions)} tx")
        block_path.write_text(block.hex() + "\n")


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        answer = json.loads(Path(sys.argv[1]).read_text())
        run(Template.from_getblocktemplate(answer), Path(sys.argv[2]))
    except PeerError as error:
        say(WHO, f"gives up: the client {error}")
        return 1
    except KeyError as error:
        say(WHO, f"gives up: {sys.argv[1]} has no {error}")
        return 1
    except (OSError, ValueError, bitcoin.BitcoinError, sv2_ffi.Sv2Error) as error:
        say(WHO, f"gives up: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
