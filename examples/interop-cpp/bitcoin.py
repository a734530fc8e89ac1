"""The little Bitcoin that a template client and a template provider need, in hashlib and struct.

Nothing here knows Stratum. Hashes are 32 bytes in the order in which they are hashed and sent
(the reverse of the order in which people write them).
"""

import hashlib
import struct
from dataclasses import dataclass

WITNESS_RESERVED_SIZE = 32


class BitcoinError(Exception):
    """The bytes at hand are not what Bitcoin asks for; the text says what is wrong."""


def sha256d(data: bytes) -> bytes:
    """SHA-256 of SHA-256: the hash of transactions, of merkle nodes and of block headers."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def compact_size(number: int) -> bytes:
    """Bitcoin's variable-length integer, for counts and script lengths."""
    if number < 0xFD:
        return struct.pack("<B", number)
    if number <= 0xFFFF:
        return struct.pack("<BH", 0xFD, number)
    return struct.pack("<BI", 0xFE, number)


def push_height(height: int) -> bytes:
    """The start of a coinbase script: the block height as BIP34 wants it.

    Heights 1 to 16 have one-byte opcodes; all others are a push of a signed little-endian number
    without spare bytes, so a zero byte follows where the top bit would read as a minus sign.
    """
    if 1 <= height <= 16:
        return bytes([0x50 + height])
    number = height.to_bytes((height.bit_length() // 8) + 1, "little")
    return bytes([len(number)]) + number


def merkle_path(txids: list[bytes]) -> list[bytes]:
    """The siblings that lead from the coinbase, still unknown, to the merkle root.

    `txids` are those of all other transactions, in block order. The first sibling is the deepest.
    """
    path = []
    level = [bytes(32), *txids]  # the coinbase's place, never read
    while len(level) > 1:
        path.append(level[1])
        if len(level) % 2:
            level.append(level[-1])
        pairs = range(2, len(level), 2)
        level = [bytes(32), *(sha256d(level[i] + level[i + 1]) for i in pairs)]
    return path


def merkle_root(coinbase_txid: bytes, path: list[bytes]) -> bytes:
    """Fold a merkle path: the coinbase is always the left child."""
    root = coinbase_txid
    for sibling in path:
        root = sha256d(root + sibling)
    return root


def target_from_bits(bits: int) -> int:
    """The number that a block hash must not exceed, from the header's compact form (nBits)."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    return mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)


def block_header(
    version: int, prev_hash: bytes, root: bytes, time: int, bits: int, nonce: int
) -> bytes:
    """The 80 bytes that miners hash."""
    return struct.pack("<I32s32sIII", version, prev_hash, root, time, bits, nonce)


def meets_target(header: bytes, target: int) -> bool:
    """Whether a header's hash, read as a little-endian number, is at or below the target."""
    return int.from_bytes(sha256d(header), "little") <= target


def block(header: bytes, coinbase: bytes, transactions: list[bytes]) -> bytes:
    """A whole block: header, number of transactions, coinbase, all others in template order."""
    return header + compact_size(1 + len(transactions)) + coinbase + b"".join(transactions)


@dataclass(frozen=True, slots=True)
class Coinbase:
    """A coinbase transaction with one input.

    `outputs` are serialized outputs without their count (that is how a template sends its own),
    `witness` is the 32-byte witness reserved value that the block's witness commitment covers.
    """

    version: int
    script: bytes
    sequence: int
    outputs_count: int
    outputs: bytes
    locktime: int
    witness: bytes

    def _body(self) -> bytes:
        previous_output = bytes(32) + b"\xff\xff\xff\xff"
        tx_input = previous_output + compact_size(len(self.script)) + self.script
        tx_input += struct.pack("<I", self.sequence)
        return b"\x01" + tx_input + compact_size(self.outputs_count) + self.outputs

    def txid(self) -> bytes:
        """The transaction's hash, which leaves the witness out."""
        version, locktime = struct.pack("<I", self.version), struct.pack("<I", self.locktime)
        return sha256d(version + self._body() + locktime)

    def serialize(self) -> bytes:
        """The full transaction, witness included: what SubmitSolution carries."""
        version, locktime = struct.pack("<I", self.version), struct.pack("<I", self.locktime)
        witness = b"\x01" + compact_size(len(self.witness)) + self.witness
        return version + b"\x00\x01" + self._body() + witness + locktime


def tx_output(value: int, script: bytes) -> bytes:
    """One serialized output: satoshi and the script that may spend them."""
    return struct.pack("<Q", value) + compact_size(len(script)) + script


def txid_of(transaction: bytes) -> bytes:
    """The txid of a serialized transaction: its hash without marker, flag and witness.

    Raises:
        BitcoinError: the bytes end early, go on after the transaction, or hold no input.
    """
    reader = _Reader(transaction)
    version = reader.take(4)
    if transaction[4:6] != b"\x00\x01":
        return sha256d(transaction)
    reader.take(2)
    start = reader.offset
    inputs = reader.compact_size()
    for _ in range(inputs):
        reader.take(36)
        reader.take(reader.compact_size())
        reader.take(4)
    for _ in range(reader.compact_size()):
        reader.take(8)
        reader.take(reader.compact_size())
    body = transaction[start : reader.offset]
    for _ in range(inputs):
        for _ in range(reader.compact_size()):
            reader.take(reader.compact_size())
    locktime = reader.take(4)
    if reader.offset != len(transaction):
        raise BitcoinError(f"{len(transaction) - reader.offset} bytes follow the transaction")
    return sha256d(version + body + locktime)


class _Reader:
    """Reads a transaction from the front and never past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self.offset:
            raise BitcoinError(f"the transaction ends before byte {self.offset + size}")
        self.offset += size
        return self._data[self.offset - size : self.offset]

    def compact_size(self) -> int:
        first = self.take(1)[0]
        if first < 0xFD:
            return first
        return int.from_bytes(self.take({0xFD: 2, 0xFE: 4, 0xFF: 8}[first]), "little")
