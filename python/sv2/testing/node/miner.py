"""Making blocks: coinbase, merkle root, and a nonce that meets regtest's target."""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from collections.abc import Sequence

from embit.script import Script, Witness  # type: ignore[import-untyped]
from embit.transaction import (  # type: ignore[import-untyped]
    Transaction,
    TransactionInput,
    TransactionOutput,
)

from sv2.testing.node.chain import REGTEST_BITS, solve
from sv2.testing.node.chaindata import Tx, compact_size, merkle_root, witness_commitment
from sv2.testing.node.template import BLOCK_VERSION

__all__ = ["height_push", "make_block", "op_true_script"]

OP_TRUE = b"\x51"
COINBASE_SEQUENCE = 0xFFFFFFFE
_extra_nonces = itertools.count(int.from_bytes(os.urandom(6), "little"))


def height_push(height: int) -> bytes:
    """The push of a height that a coinbase must start with (BIP34)."""
    if 1 <= height <= 16:
        return bytes([0x50 + height])
    number = height.to_bytes((height.bit_length() + 8) // 8, "little")
    return bytes([len(number)]) + number


def op_true_script() -> bytes:
    """A scriptPubKey that anyone can spend with the witness ``[b"\\x51"]``: P2WSH of OP_TRUE."""
    return b"\x00\x20" + hashlib.sha256(OP_TRUE).digest()


def make_coinbase(height: int, value: int, script: bytes, commitment: bytes) -> Tx:
    """A coinbase that pays ``value`` to ``script``, different from every other one made here."""
    script_sig = height_push(height) + b"\x08" + next(_extra_nonces).to_bytes(8, "little")
    body = Transaction(
        version=2,
        vin=[
            TransactionInput(
                bytes(32),
                0xFFFFFFFF,
                Script(script_sig),
                sequence=COINBASE_SEQUENCE,
                witness=Witness([bytes(32)]),
            )
        ],
        vout=[TransactionOutput(value, Script(script)), TransactionOutput(0, Script(commitment))],
        locktime=height - 1,
    )
    return Tx(body.serialize(), body)


def make_block(
    parent_hash: bytes,
    height: int,
    time: int,
    transactions: Sequence[Tx],
    value: int,
    script: bytes,
) -> bytes:
    """A solved regtest block of these transactions after a coinbase that pays ``value``."""
    commitment = witness_commitment([tx.wtxid for tx in transactions])
    coinbase = make_coinbase(height, value, script, commitment)
    root = merkle_root([coinbase.txid, *(tx.txid for tx in transactions)])
    header = struct.pack("<i32s32sIII", BLOCK_VERSION, parent_hash, root, time, REGTEST_BITS, 0)
    count = compact_size(1 + len(transactions))
    return solve(header) + count + coinbase.raw + b"".join(tx.raw for tx in transactions)
