"""Blocks and transactions as the test node keeps them, read with embit.

Hashes are ``bytes`` in internal order throughout the test node; `rpc_hash` gives RPC's text.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any

from embit import compact  # type: ignore[import-untyped]
from embit.base import EmbitError  # type: ignore[import-untyped]
from embit.script import Witness  # type: ignore[import-untyped]
from embit.transaction import Transaction  # type: ignore[import-untyped]

__all__ = [
    "HEADER_SIZE",
    "Block",
    "Header",
    "Malformed",
    "Outpoint",
    "Tx",
    "compact_size",
    "merkle_root",
    "parse_block",
    "parse_transaction",
    "rpc_hash",
    "sha256d",
    "with_reserved_value",
    "witness_commitment",
]

HEADER_SIZE = 80
COMMITMENT_PREFIX = bytes.fromhex("6a24aa21a9ed")

_UNREADABLE = (EmbitError, ValueError, TypeError, RuntimeError, OverflowError, IndexError)
"""What embit raises on bytes that are no transaction."""

Outpoint = tuple[bytes, int]
"""txid in internal order and output index."""


class Malformed(Exception):
    """Bytes that are no transaction or block."""


def compact_size(value: int) -> bytes:
    """A count as blocks and transactions write it."""
    encoded: bytes = compact.to_bytes(value)
    return encoded


def sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def rpc_hash(value: bytes) -> str:
    """A hash as RPC shows it."""
    return value[::-1].hex()


@dataclass(frozen=True, slots=True)
class Header:
    """The 80 bytes of a block header."""

    raw: bytes
    hash: bytes
    version: int
    previous: bytes
    merkle_root: bytes
    time: int
    bits: int
    nonce: int

    @classmethod
    def parse(cls, raw: bytes) -> Header:
        if len(raw) != HEADER_SIZE:
            raise Malformed("a header has 80 bytes")
        version, previous, root, time, bits, nonce = struct.unpack("<i32s32sIII", raw)
        return cls(raw, sha256d(raw), version, previous, root, time, bits, nonce)


@dataclass(frozen=True)
class Tx:
    """A transaction, its serialization and what is computed from it once."""

    raw: bytes
    body: Any = field(repr=False)

    @cached_property
    def stripped(self) -> bytes:
        """The serialization without witnesses, which the txid commits to."""
        body = self.body
        if not body.is_segwit:
            return self.raw
        return b"".join(
            [
                body.version.to_bytes(4, "little"),
                compact.to_bytes(len(body.vin)),
                *(item.serialize() for item in body.vin),
                compact.to_bytes(len(body.vout)),
                *(item.serialize() for item in body.vout),
                body.locktime.to_bytes(4, "little"),
            ]
        )

    @cached_property
    def txid(self) -> bytes:
        return sha256d(self.stripped)

    @cached_property
    def wtxid(self) -> bytes:
        return sha256d(self.raw)

    @cached_property
    def weight(self) -> int:
        return 3 * len(self.stripped) + len(self.raw)

    @property
    def vsize(self) -> int:
        return (self.weight + 3) // 4

    @cached_property
    def spends(self) -> tuple[Outpoint, ...]:
        return tuple((item.txid[::-1], item.vout) for item in self.body.vin)

    @cached_property
    def outputs(self) -> tuple[tuple[int, bytes], ...]:
        """Value in satoshis and scriptPubKey of each output."""
        return tuple((item.value, item.script_pubkey.data) for item in self.body.vout)

    @property
    def is_coinbase(self) -> bool:
        return self.spends == ((bytes(32), 0xFFFFFFFF),)


@dataclass(frozen=True)
class Block:
    """A block and its transactions, coinbase first."""

    raw: bytes
    header: Header
    transactions: tuple[Tx, ...] = field(repr=False)

    @property
    def hash(self) -> bytes:
        return self.header.hash

    @cached_property
    def stripped_size(self) -> int:
        count = len(compact.to_bytes(len(self.transactions)))
        return HEADER_SIZE + count + sum(len(tx.stripped) for tx in self.transactions)

    @property
    def weight(self) -> int:
        return 3 * self.stripped_size + len(self.raw)


def _read_transaction(stream: BytesIO, data: bytes) -> Tx:
    start = stream.tell()
    body = Transaction.read_from(stream)
    return Tx(data[start : stream.tell()], body)


def parse_transaction(data: bytes) -> Tx:
    """One transaction that fills ``data`` exactly.

    Raises:
        Malformed: it does not.
    """
    stream = BytesIO(data)
    try:
        tx = _read_transaction(stream, data)
        whole = tx.body.serialize() == data
    except _UNREADABLE as error:
        raise Malformed(f"no transaction: {type(error).__name__}") from None
    if not whole:
        raise Malformed("no transaction: not a canonical serialization of the whole input")
    return tx


def parse_block(data: bytes) -> Block:
    """A block; bytes after it are dropped, as Bitcoin Core does.

    Raises:
        Malformed: it is none.
    """
    header = Header.parse(data[:HEADER_SIZE])
    stream = BytesIO(data)
    stream.seek(HEADER_SIZE)
    try:
        count = compact.read_from(stream)
        if count * 60 > len(data):
            raise Malformed("more transactions than fit")
        transactions = tuple(_read_transaction(stream, data) for _ in range(count))
    except _UNREADABLE as error:
        raise Malformed(f"no block: {type(error).__name__}") from None
    return Block(data[: stream.tell()], header, transactions)


def with_reserved_value(data: bytes) -> bytes:
    """A block whose coinbase commits to witnesses but has none itself, with the usual one: 32 zero
    bytes. Any other block as it is. Bitcoin Core mends submitted blocks like this.

    Raises:
        Malformed: no block.
    """
    block = parse_block(data)
    if not block.transactions:
        return data
    coinbase = block.transactions[0]
    commits = any(script.startswith(COMMITMENT_PREFIX) for _, script in coinbase.outputs)
    if not commits or coinbase.body.is_segwit or not coinbase.is_coinbase:
        return data
    body = Transaction.parse(coinbase.raw)
    body.vin[0].witness = Witness([bytes(32)])
    count = compact_size(len(block.transactions))
    rest = b"".join(tx.raw for tx in block.transactions[1:])
    mended: bytes = block.header.raw + count + body.serialize() + rest
    return mended


def merkle_root(hashes: list[bytes]) -> bytes:
    """The root over ``hashes`` in internal order; the last of an odd level pairs with itself."""
    level = hashes or [bytes(32)]
    while len(level) > 1:
        if len(level) % 2:
            level = [*level, level[-1]]
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def witness_commitment(wtxids: list[bytes], reserved: bytes = bytes(32)) -> bytes:
    """The scriptPubKey that commits to the witnesses of these transactions after a coinbase
    (BIP141)."""
    root = merkle_root([bytes(32), *wtxids])
    return COMMITMENT_PREFIX + sha256d(root + reserved)
