"""Sv2 payloads for differential tests: valid ones, and damaged ones.

Nothing here uses our codec. The layouts below are a description of the protocol of their own,
transcribed from the specification's message tables (sections 3.5 and 5 to 8 and extension 0x0001),
so that a mistake in the schema does not hide behind the same mistake here. Every choice comes from
one `random.Random`, so a seed is a run.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHANNEL_BIT = 0x8000
_CHANNEL_MESSAGE = True

# One letter a field, in wire order:
#   1 2 4 8  unsigned integer of that many bytes      f  F32            b  BOOL         h  U256
#   s        STR0_255 or B0_255                       e  B0_32          k  B0_64K
#   o        OPTION[U32]                              H  SEQ0_255[U256]
#   w W L T  SEQ0_64K of U16, U32, U256, B0_16M
LAYOUTS: dict[tuple[int, int], tuple[str, bool]] = {
    (0, 0x00): ("1224s2ssss", False),  # SetupConnection
    (0, 0x01): ("24", False),  # SetupConnection.Success
    (0, 0x02): ("4s", False),  # SetupConnection.Error
    (0, 0x03): ("4", _CHANNEL_MESSAGE),  # ChannelEndpointChanged
    (0, 0x04): ("s2", False),  # Reconnect
    (0, 0x10): ("4sfh", False),  # OpenStandardMiningChannel
    (0, 0x11): ("44he4", False),  # OpenStandardMiningChannel.Success
    (0, 0x12): ("4s", False),  # OpenMiningChannel.Error
    (0, 0x13): ("4sfh2", False),  # OpenExtendedMiningChannel
    (0, 0x14): ("44h2e4", False),  # OpenExtendedMiningChannel.Success
    (0, 0x15): ("44o4h", _CHANNEL_MESSAGE),  # NewMiningJob
    (0, 0x16): ("4fh", _CHANNEL_MESSAGE),  # UpdateChannel
    (0, 0x17): ("4s", _CHANNEL_MESSAGE),  # UpdateChannel.Error
    (0, 0x18): ("4s", _CHANNEL_MESSAGE),  # CloseChannel
    (0, 0x19): ("4e", _CHANNEL_MESSAGE),  # SetExtranoncePrefix
    (0, 0x1A): ("444444", _CHANNEL_MESSAGE),  # SubmitSharesStandard
    (0, 0x1B): ("444444e", _CHANNEL_MESSAGE),  # SubmitSharesExtended
    (0, 0x1C): ("4448", _CHANNEL_MESSAGE),  # SubmitShares.Success
    (0, 0x1D): ("44s", _CHANNEL_MESSAGE),  # SubmitShares.Error
    (0, 0x1F): ("44o4bHkk", _CHANNEL_MESSAGE),  # NewExtendedMiningJob
    (0, 0x20): ("44h44", _CHANNEL_MESSAGE),  # SetNewPrevHash (mining)
    (0, 0x21): ("4h", _CHANNEL_MESSAGE),  # SetTarget
    (0, 0x22): ("44s4h444s4k4H", _CHANNEL_MESSAGE),  # SetCustomMiningJob
    (0, 0x23): ("444", _CHANNEL_MESSAGE),  # SetCustomMiningJob.Success
    (0, 0x24): ("44s", _CHANNEL_MESSAGE),  # SetCustomMiningJob.Error
    (0, 0x25): ("4W", False),  # SetGroupChannel
    (0, 0x50): ("s4", False),  # AllocateMiningJobToken
    (0, 0x51): ("4sk", False),  # AllocateMiningJobToken.Success
    (0, 0x55): ("4w", False),  # ProvideMissingTransactions
    (0, 0x56): ("4T", False),  # ProvideMissingTransactions.Success
    (0, 0x57): ("4s4kkLk", False),  # DeclareMiningJob
    (0, 0x58): ("4s", False),  # DeclareMiningJob.Success
    (0, 0x59): ("4sk", False),  # DeclareMiningJob.Error
    (0, 0x60): ("eh4444", False),  # PushSolution
    (0, 0x70): ("42", False),  # CoinbaseOutputConstraints
    (0, 0x71): ("8b44s484k4H", False),  # NewTemplate
    (0, 0x72): ("8h44h", False),  # SetNewPrevHash (template distribution)
    (0, 0x73): ("8", False),  # RequestTransactionData
    (0, 0x74): ("8kT", False),  # RequestTransactionData.Success
    (0, 0x75): ("8s", False),  # RequestTransactionData.Error
    (0, 0x76): ("8444k", False),  # SubmitSolution
    (1, 0x00): ("2w", False),  # RequestExtensions
    (1, 0x01): ("2w", False),  # RequestExtensions.Success
    (1, 0x02): ("2ww", False),  # RequestExtensions.Error
}

_INTEGERS = {"1": 1, "2": 2, "4": 4, "8": 8}
# Of a byte string: size of its length prefix, largest length.
_STRINGS = {"s": (1, 255), "e": (1, 32), "k": (2, 65535), "t": (3, 0xFFFFFF)}
# Of a sequence: size of its count, largest count, letter of its items.
_SEQUENCES = {
    "o": (1, 1, "4"),
    "H": (1, 255, "h"),
    "w": (2, 65535, "2"),
    "W": (2, 65535, "4"),
    "L": (2, 65535, "h"),
    "T": (2, 65535, "t"),
}
_EDGE_FLOATS = [
    0x00000000,
    0x80000000,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0x7F800001,
    0xFFFFFFFF,
    0x00000001,
]


@dataclass(frozen=True, slots=True)
class Case:
    """One payload as a receiver sees it, and where it came from.

    `extension_type` is as on the wire, with the channel bit.
    """

    extension_type: int
    message_type: int
    payload: bytes
    origin: str

    @property
    def key(self) -> tuple[int, int]:
        """The key of `LAYOUTS`: extension type without the channel bit, message type."""
        return self.extension_type & ~CHANNEL_BIT, self.message_type


@dataclass(slots=True)
class Payload:
    """A payload under construction, with the places that a mutation wants to know."""

    data: bytearray = field(default_factory=bytearray)
    boundaries: list[int] = field(default_factory=list)  # offset of each field
    prefixes: list[tuple[int, int]] = field(
        default_factory=list
    )  # offset and size of each length or count
    flags: list[int] = field(default_factory=list)  # offset of each BOOL

    def prefix(self, size: int, value: int) -> None:
        self.prefixes.append((len(self.data), size))
        self.data += value.to_bytes(size, "little")


class Generator:
    """Valid payloads of every message, structure first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def payload(self, layout: str) -> Payload:
        out = Payload()
        for letter in layout:
            out.boundaries.append(len(out.data))
            self._field(out, letter)
        return out

    def _field(self, out: Payload, letter: str) -> None:
        if letter in _INTEGERS:
            out.data += self._integer(_INTEGERS[letter])
        elif letter in _STRINGS:
            size, largest = _STRINGS[letter]
            length = self._length(largest)
            out.prefix(size, length)
            out.data += self._rng.randbytes(length)
        elif letter in _SEQUENCES:
            self._sequence(out, letter)
        elif letter == "h":
            out.data += self._rng.randbytes(32)
        elif letter == "f":
            out.data += self._float()
        else:
            assert letter == "b"
            out.flags.append(len(out.data))
            out.data.append(self._rng.getrandbits(1))

    def _sequence(self, out: Payload, letter: str) -> None:
        size, largest, item = _SEQUENCES[letter]
        count = min(self._count(), largest)
        out.prefix(size, count)
        for _ in range(count):
            self._field(out, item)

    def _integer(self, size: int) -> bytes:
        kind = self._rng.random()
        if kind < 0.1:
            return bytes(size)
        if kind < 0.2:
            return b"\xff" * size
        return self._rng.randbytes(size)

    def _float(self) -> bytes:
        bits = (
            self._rng.choice(_EDGE_FLOATS)
            if self._rng.random() < 0.3
            else self._rng.getrandbits(32)
        )
        return struct.pack("<I", bits)

    def _length(self, largest: int) -> int:
        kind = self._rng.random()
        if kind < 0.15:
            return 0
        if kind < 0.25:
            return min(largest, 255)
        if kind < 0.251:
            return min(largest, 65536)
        return self._rng.randrange(min(largest, 48) + 1)

    def _count(self) -> int:
        kind = self._rng.random()
        if kind < 0.2:
            return 0
        if kind < 0.21:
            return 255
        if kind < 0.212:
            return 300
        return self._rng.randrange(1, 6)


def load_vectors(path: Path) -> list[Case]:
    """The published frames: one JSON object a line, `frame` in hex."""
    cases = []
    for line in path.read_text("utf-8").splitlines():
        frame = bytes.fromhex(json.loads(line)["frame"])
        extension_type, message_type = struct.unpack_from("<HB", frame)
        cases.append(Case(extension_type, message_type, frame[6:], "vector"))
    return cases


def locate(layout: str, data: bytes) -> Payload | None:
    """Finds the fields of a payload; `None` where the layout does not fit it to the last byte."""
    out = Payload(data=bytearray(data))
    at = 0
    for letter in layout:
        out.boundaries.append(at)
        at = _skip(out, letter, at)
        if at > len(data):
            return None
    return out if at == len(data) else None


def _skip(out: Payload, letter: str, at: int) -> int:
    if letter in _STRINGS:
        size = _STRINGS[letter][0]
        out.prefixes.append((at, size))
        return at + size + int.from_bytes(out.data[at : at + size], "little")
    if letter in _SEQUENCES:
        size, _, item = _SEQUENCES[letter]
        out.prefixes.append((at, size))
        count = int.from_bytes(out.data[at : at + size], "little")
        at += size
        for _ in range(count):
            at = _skip(out, item, at)
        return at
    if letter == "b":
        out.flags.append(at)
    return at + {"h": 32, "f": 4, "b": 1}.get(letter, _INTEGERS.get(letter, 0))


class Mutator:
    """Damages payloads: each kind takes one with its places known and returns bytes to send."""

    def __init__(self, rng: random.Random, donors: list[bytes]) -> None:
        self._rng = rng
        self._donors = donors
        self.kinds: list[Callable[[Payload], bytes]] = [
            self.truncate,
            self.cut_near_a_field,
            self.append_bytes,
            self.append_tlvs,
            self.flip_bits,
            self.set_byte,
            self.set_prefix,
            self.resize,
            self.set_flag,
            self.set_first_byte,
            self.delete_slice,
            self.duplicate_slice,
            self.splice,
            self.replace_all,
        ]

    def mutate(self, payload: Payload) -> tuple[bytes, str]:
        kind = self._rng.choice(self.kinds)
        return kind(payload), kind.__name__

    def _place(self, data: bytearray) -> int:
        return self._rng.randrange(len(data) + 1)

    def truncate(self, payload: Payload) -> bytes:
        return bytes(payload.data[: self._place(payload.data)])

    def cut_near_a_field(self, payload: Payload) -> bytes:
        at = self._rng.choice(payload.boundaries) + self._rng.choice([-1, 0, 1])
        return bytes(payload.data[: max(at, 0)])

    def append_bytes(self, payload: Payload) -> bytes:
        return bytes(payload.data) + self._rng.randbytes(self._rng.randrange(1, 40))

    def append_tlvs(self, payload: Payload) -> bytes:
        data = bytes(payload.data)
        for _ in range(self._rng.randrange(1, 4)):
            value = self._rng.randbytes(self._rng.randrange(33))
            data += struct.pack("<HBH", self._rng.choice([1, 2, 0x4000]), 1, len(value)) + value
        return data[: len(data) - self._rng.choice([0, 0, 0, 1])]

    def flip_bits(self, payload: Payload) -> bytes:
        data = bytearray(payload.data)
        for _ in range(self._rng.randrange(1, 4)):
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def set_byte(self, payload: Payload) -> bytes:
        data = bytearray(payload.data)
        data[self._rng.randrange(len(data))] = self._rng.choice(
            [0, 1, 0x7F, 0x80, 0xFF, self._rng.randrange(256)]
        )
        return bytes(data)

    def set_prefix(self, payload: Payload) -> bytes:
        if not payload.prefixes:
            return self.set_byte(payload)
        data = bytearray(payload.data)
        at, size = self._rng.choice(payload.prefixes)
        old = int.from_bytes(data[at : at + size], "little")
        largest = (1 << 8 * size) - 1
        value = self._rng.choice([0, 1, 2, 31, 32, 33, 255, 256, old - 1, old + 1, 65535, largest])
        data[at : at + size] = min(max(value, 0), largest).to_bytes(size, "little")
        return bytes(data)

    def resize(self, payload: Payload) -> bytes:
        """A length and its bytes made to agree again, at a limit or one beyond."""
        if not payload.prefixes:
            return self.set_byte(payload)
        data = bytearray(payload.data)
        at, size = self._rng.choice(payload.prefixes)
        old = int.from_bytes(data[at : at + size], "little")
        new = min(self._rng.choice([0, 1, 2, 31, 32, 33, 34, 255, 256]), (1 << 8 * size) - 1)
        data[at : at + size] = new.to_bytes(size, "little")
        start = at + size
        data[start : start + old] = data[start : start + min(old, new)].ljust(new, b"\x01")
        return bytes(data)

    def set_flag(self, payload: Payload) -> bytes:
        if not payload.flags:
            return self.flip_bits(payload)
        data = bytearray(payload.data)
        data[self._rng.choice(payload.flags)] = self._rng.randrange(2, 256)
        return bytes(data)

    def set_first_byte(self, payload: Payload) -> bytes:
        return bytes([self._rng.randrange(256)]) + bytes(payload.data[1:])

    def delete_slice(self, payload: Payload) -> bytes:
        start, end = sorted((self._place(payload.data), self._place(payload.data)))
        return bytes(payload.data[:start] + payload.data[end:])

    def duplicate_slice(self, payload: Payload) -> bytes:
        start, end = sorted((self._place(payload.data), self._place(payload.data)))
        return bytes(payload.data[:end] + payload.data[start:])

    def splice(self, payload: Payload) -> bytes:
        donor = self._rng.choice(self._donors)
        at, cut = self._place(payload.data), self._rng.randrange(len(donor) + 1)
        return bytes(payload.data[:at]) + donor[cut : cut + 64] + bytes(payload.data[at:])

    def replace_all(self, payload: Payload) -> bytes:
        if self._rng.random() < 0.5:
            return self._rng.choice(self._donors)
        return self._rng.randbytes(self._rng.randrange(200))


def _unknown(rng: random.Random, donors: list[bytes]) -> Case:
    while True:
        extension_type, message_type = rng.choice([0, 1, 2, 3, 0x4000, 0x7FFF]), rng.randrange(256)
        if (extension_type, message_type) not in LAYOUTS:
            bit = rng.choice([0, CHANNEL_BIT])
            return Case(extension_type | bit, message_type, rng.choice(donors), "unknown")


def cases(seed: int, count: int, vectors: list[Case]) -> Iterator[Case]:
    """`count` cases: the vectors as they are, then generated ones in turn over all messages.

    Of these about a fifth are valid, one in a hundred is of an unknown type, the rest is damaged.
    """
    rng = random.Random(seed)
    generator = Generator(rng)
    donors = [case.payload for case in vectors if len(case.payload) <= 2048]
    mutator = Mutator(rng, donors)
    pool: dict[tuple[int, int], list[bytes]] = {key: [] for key in LAYOUTS}
    for case in vectors[:count]:
        pool[case.key].append(case.payload)
        yield case
    keys = list(LAYOUTS)
    for number in range(count - len(vectors)):
        if number % 100 == 99:
            yield _unknown(rng, donors)
            continue
        key = keys[number % len(keys)]
        layout, channel_message = LAYOUTS[key]
        bit = CHANNEL_BIT if channel_message != (rng.random() < 0.02) else 0
        seed_payload = rng.choice(pool[key]) if pool[key] and rng.random() < 0.2 else None
        located = locate(layout, seed_payload) if seed_payload is not None else None
        payload = located or generator.payload(layout)
        if located is None and rng.random() < 0.25:
            yield Case(key[0] | bit, key[1], bytes(payload.data), "generated")
            continue
        data, kind = mutator.mutate(payload)
        yield Case(key[0] | bit, key[1], data, kind)


def large_cases() -> Iterator[Case]:
    """Payloads at the largest counts and lengths that the wire can carry, and one step beyond."""
    largest_payload = 0xFFFFFF
    transactions = struct.pack("<QHH", 1, 0, 1)
    length = largest_payload - len(transactions) - 3
    whole = transactions + length.to_bytes(3, "little") + bytes(length)
    yield Case(0, 0x74, whole, "largest frame")
    yield Case(0, 0x74, whole[:-1], "largest frame, one byte short")
    ids = struct.pack("<IH", 1, 65535)
    yield Case(0, 0x25, ids + bytes(4 * 65535), "65,535 channels")
    yield Case(0, 0x25, ids + bytes(4 * 65535 - 1), "65,535 channels, one byte short")
    yield Case(
        0, 0x74, struct.pack("<QHH", 1, 0, 65535) + bytes(3 * 65535), "65,535 empty transactions"
    )
    hashes = struct.pack("<QBIIBIQIHIB", 1, 1, 2, 2, 0, 3, 4, 0, 0, 5, 255)
    yield Case(0, 0x71, hashes + bytes(32 * 255), "a path of 255 hashes")
    yield Case(0, 0x71, hashes + bytes(32 * 255 - 1), "a path of 255 hashes, one byte short")
    solution = struct.pack("<QIII", 1, 2, 3, 4)
    yield Case(0, 0x76, solution + b"\xff\xff" + bytes(65535), "a coinbase of 65,535 bytes")
    for size in (32, 33):
        yield Case(
            CHANNEL_BIT,
            0x19,
            struct.pack("<IB", 1, size) + bytes(size),
            f"a prefix of {size} bytes",
        )
