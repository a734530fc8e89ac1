"""The Bitcoin that a template provider needs: heights, merkle paths, commitments, coinbases.

Nothing here knows Stratum. Hashes are 32 bytes in internal order, the order in which they are
hashed and sent. Transactions are read with embit.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from embit import compact  # type: ignore[import-untyped]
from embit.base import EmbitError  # type: ignore[import-untyped]
from embit.script import Witness  # type: ignore[import-untyped]
from embit.transaction import Transaction  # type: ignore[import-untyped]

__all__ = [
    "COMMITMENT_PREFIX",
    "COMMITMENT_SIZE",
    "HASH_SIZE",
    "HEADER_SIZE",
    "Coinbase",
    "CoinbaseFault",
    "block_header",
    "commitment_output",
    "commitment_script",
    "height_prefix",
    "merkle_path",
    "merkle_root",
    "serialize_block",
    "sha256d",
]

HEADER_SIZE = 80
HASH_SIZE = 32
COMMITMENT_PREFIX = bytes.fromhex("6a24aa21a9ed")
COMMITMENT_SIZE = len(COMMITMENT_PREFIX) + HASH_SIZE
WITNESS_RESERVED_VALUE = bytes(32)
COINBASE_INPUT = (bytes(32), 0xFFFFFFFF)

_UNREADABLE = (EmbitError, ValueError, TypeError, RuntimeError, OverflowError, IndexError)
"""What embit raises on bytes that are no transaction."""


def _compact_size(value: int) -> bytes:
    encoded: bytes = compact.to_bytes(value)
    return encoded


def sha256d(data: bytes) -> bytes:
    """SHA-256 of SHA-256."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def height_prefix(height: int) -> bytes:
    """What a coinbase script must begin with at a height (BIP34).

    Heights 1 to 16 are one opcode; such a script is a byte too short to stand alone.
    """
    if height < 1:
        raise ValueError("no template is for the genesis block")
    if height <= 16:
        return bytes([0x50 + height])
    # One more bit than the number has: the topmost is its sign.
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes([len(number)]) + number


def _next_level(level: list[bytes]) -> list[bytes]:
    if len(level) % 2:
        level.append(level[-1])
    return [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]


def merkle_path(txids: Sequence[bytes]) -> list[bytes]:
    """The siblings from the coinbase to the root, deepest first.

    ``txids`` are those of all other transactions in block order.
    """
    path = []
    rest = list(txids)
    while rest:
        path.append(rest[0])
        # The pair of the coinbase is open: what is left of this level pairs among itself.
        rest = _next_level(rest[1:])
    return path


def merkle_root(coinbase_txid: bytes, path: Iterable[bytes]) -> bytes:
    """The root that a path leads to."""
    root = coinbase_txid
    for sibling in path:
        root = sha256d(root + sibling)
    return root


def commitment_script(wtxids: Sequence[bytes]) -> bytes:
    """The scriptPubKey that commits to the witnesses of these transactions after a coinbase
    (BIP141), for the witness reserved value of 32 zero bytes."""
    coinbase_wtxid = bytes(32)
    root = merkle_root(coinbase_wtxid, merkle_path(wtxids))
    return COMMITMENT_PREFIX + sha256d(root + WITNESS_RESERVED_VALUE)


def commitment_output(script: bytes) -> bytes:
    """A serialized output of no value that carries ``script``."""
    return struct.pack("<Q", 0) + _compact_size(len(script)) + script


def block_header(
    version: int, previous_hash: bytes, root: bytes, time: int, bits: int, nonce: int
) -> bytes:
    """The 80 bytes that are mined. All numbers unsigned 32 bits."""
    return struct.pack("<I32s32sIII", version, previous_hash, root, time, bits, nonce)


def serialize_block(header: bytes, coinbase: bytes, transactions: Sequence[bytes]) -> bytes:
    """A block: header, count, coinbase, the others in order."""
    count = _compact_size(1 + len(transactions))
    return b"".join([header, count, coinbase, *transactions])


class CoinbaseFault(Exception):
    """Bytes that are no coinbase transaction; the text says why and quotes none of them."""


@dataclass(frozen=True, slots=True)
class Coinbase:
    """A coinbase transaction as a miner made it. ``outputs`` are serialized, without a count."""

    raw: bytes
    txid: bytes
    version: int
    script: bytes
    sequence: int
    outputs: bytes
    locktime: int
    has_witness: bool

    @classmethod
    def parse(cls, raw: bytes) -> Coinbase:
        """Read the full serialization, witness included.

        Raises:
            CoinbaseFault: no transaction, bytes left over, or no coinbase.
        """
        stream = BytesIO(raw)
        try:
            body = Transaction.read_from(stream)
            whole = body.serialize() == raw
        except _UNREADABLE:
            raise CoinbaseFault("no transaction") from None
        if not whole:
            raise CoinbaseFault("not the serialization of one transaction")
        if len(body.vin) != 1 or (body.vin[0].txid, body.vin[0].vout) != COINBASE_INPUT:
            raise CoinbaseFault("not the input of a coinbase")
        if not body.vout:
            raise CoinbaseFault("no outputs")
        return cls._of(raw, body)

    @classmethod
    def _of(cls, raw: bytes, body: Any) -> Coinbase:
        return cls(
            raw=raw,
            txid=body.txid()[::-1],
            version=body.version,
            script=body.vin[0].script_sig.data,
            sequence=body.vin[0].sequence,
            outputs=b"".join(output.serialize() for output in body.vout),
            locktime=body.locktime,
            has_witness=bool(body.vin[0].witness),
        )

    def with_witness(self) -> Coinbase:
        """The same coinbase with the witness reserved value that its commitment covers. Its txid
        does not change."""
        body = Transaction.read_from(BytesIO(self.raw))
        body.vin[0].witness = Witness([WITNESS_RESERVED_VALUE])
        body.clear_cache()
        return Coinbase._of(body.serialize(), body)
