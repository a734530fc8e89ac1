"""What the generated message classes stand on."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from sv2_ffi._native import ffi, lib

CHANNEL_BIT = 0x8000
# Bytes and lists longer than this are shortened in a repr.
_SHOWN_BYTES = 40
_SHOWN_ITEMS = 4


class Field(NamedTuple):
    """One field of a message: its name and its type as the spec writes it."""

    name: str
    type: str


class Tlv(NamedTuple):
    """An optional field that an extension appends to a message (spec 3.4.3).

    extension_type: 0 to 65,535. field_type: 0 to 255. value: at most 65,535 bytes. On the wire type
    and length are little-endian, as the reference implementation has them.
    """

    extension_type: int
    field_type: int
    value: bytes


@dataclass(slots=True, repr=False, eq=False)
class Message:
    """Base of all message classes.

    Attributes:
        name: as in the spec, e.g. "SetupConnection.Success".
        extension_type: without the channel bit.
        message_type: 0 to 255.
        channel_message: whether the message is sent with the channel bit (spec 3.2.1).
        FIELDS: names and types, in wire order.
        trailing: after decoding, the bytes behind the last field. They take no part in equality,
            and encode() does not send them: it sends the TLVs that it is given.
    """

    name: ClassVar[str]
    extension_type: ClassVar[int]
    message_type: ClassVar[int]
    channel_message: ClassVar[bool]
    FIELDS: ClassVar[tuple[Field, ...]]
    _index: ClassVar[int]
    _values: ClassVar[int]

    trailing: bytes = field(default=b"", kw_only=True, compare=False)

    @property
    def tlvs(self) -> tuple[Tlv, ...]:
        """The TLVs in trailing, up to the first bytes that are none; those are ignored."""
        return parse_tlvs(self.trailing)

    def _pack(self) -> tuple[bytes, bytes, bytes]:
        raise NotImplementedError  # every generated class has its own

    @classmethod
    def _unpack(cls, p: bytes, v: tuple[int, ...]) -> Message:
        raise NotImplementedError  # every generated class has its own

    def __repr__(self) -> str:
        shown = [f"{f.name}={show(getattr(self, f.name))}" for f in self.FIELDS]
        if self.trailing:
            shown.append(f"trailing={show(self.trailing)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def show(value: object) -> str:
    """A value for people: bytes in hex as on the wire, long ones and long lists shortened."""
    match value:
        case bytes() | bytearray() | memoryview():
            text = bytes(value[:_SHOWN_BYTES]).hex()
            more = f"... {len(value)} bytes" if len(value) > _SHOWN_BYTES else ""
            return f"<{text}{more}>"
        case list():
            items = [show(item) for item in value[:_SHOWN_ITEMS]]
            if len(value) > _SHOWN_ITEMS:
                items.append(f"... {len(value)} items")
            return f"[{', '.join(items)}]"
        case _:
            return repr(value)


def status_text(status: int) -> str:
    """What a status code of libsv2 means."""
    return str(ffi.string(lib.sv2_status_string(status)), "ascii")


def parse_tlvs(data: bytes, limit: int | None = None) -> tuple[Tlv, ...]:
    """The TLVs at the start of data; stops at the first bytes that are no TLV, and after limit of
    them. An empty TLV takes 5 bytes, so that a peer can put millions into one frame."""
    found: list[Tlv] = []
    most = sys.maxsize if limit is None else limit
    buffer = ffi.from_buffer("uint8_t[]", data)
    at = ffi.new("const uint8_t **", buffer)
    left = ffi.new("size_t *", len(data))
    tlv = ffi.new("sv2_tlv *")
    while len(found) < most and lib.sv2_tlv_next(tlv, at, left) == lib.SV2_OK:
        value = bytes(ffi.buffer(tlv.value.data, tlv.value.len))
        found.append(Tlv(tlv.extension_type, tlv.field_type, value))
    return tuple(found)


def values_of(cls: type[Message]) -> int:
    """How many values the flat form of a decoded message has, head included."""
    single = {"U8", "U16", "U32", "U64", "BOOL", "F32"}
    return int(lib.SV2_GLUE_FIRST) + sum(1 if f.type in single else 2 for f in cls.FIELDS)


# PACK[n] packs n integers for sv2_glue_encode.
PACK = tuple(struct.Struct(f"<{n}Q").pack for n in range(lib.SV2_GLUE_MAX_VALUES))

_F32 = struct.Struct("<f")
_U32 = struct.Struct("<I")
_F64 = struct.Struct("<d")
_U64 = struct.Struct("<Q")


def f32_value(bits: int) -> float:
    """The float with these 32 bits.

    A NaN is widened by hand: the processor's own conversion sets the quiet bit, and the codec keeps
    every bit of a peer's NaN.
    """
    if bits & 0x7F800000 == 0x7F800000 and bits & 0x7FFFFF:
        wide = (bits >> 31) << 63 | 0x7FF << 52 | (bits & 0x7FFFFF) << 29
        return float(_F64.unpack(_U64.pack(wide))[0])
    return float(_F32.unpack(_U32.pack(bits))[0])


def f32_bits(value: float) -> int:
    """The 32 bits of a float, rounded to single precision; OverflowError where it does not fit."""
    if value != value:
        wide = int(_U64.unpack(_F64.pack(value))[0])
        # A payload that lives in the low bits only would turn into infinity: keep it a NaN.
        payload = wide >> 29 & 0x7FFFFF or 0x400000
        return (wide >> 63) << 31 | 0x7F800000 | payload
    return int(_U32.unpack(_F32.pack(value))[0])


def read_u16(p: bytes, start: int, end: int) -> list[int]:
    return list(struct.unpack_from(f"<{(end - start) // 2}H", p, start))


def read_u32(p: bytes, start: int, end: int) -> list[int]:
    return list(struct.unpack_from(f"<{(end - start) // 4}I", p, start))


def _hashes(count: int) -> Callable[[bytes, int], tuple[bytes, ...]]:
    return struct.Struct("32s" * count).unpack_from


# Cuts up to 255 hashes, the longest merkle path, at a third of what slicing costs. Not for longer
# lists: the peer chooses their lengths, and each length would keep a table of its own.
_FEW_HASHES = tuple(_hashes(count) for count in range(256))
_MANY_HASHES = struct.Struct("32s").iter_unpack


def read_u256(p: bytes, start: int, end: int) -> list[bytes]:
    count = (end - start) // 32
    if count < len(_FEW_HASHES):
        return list(_FEW_HASHES[count](p, start))
    return [h for (h,) in _MANY_HASHES(p[start:end])]


def read_b0_16m(p: bytes, start: int, end: int) -> list[bytes]:
    count = lib.sv2_glue_count(p, start, end)
    spans = ffi.new("uint64_t[]", 2 * count)
    lib.sv2_glue_items(spans, p, start, end, count)
    bounds = iter(ffi.unpack(spans, 2 * count))
    return [p[a:b] for a, b in zip(bounds, bounds, strict=True)]


def wire_u16(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def wire_u32(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def wire_u256(values: Sequence[bytes]) -> bytes:
    if not set(map(len, values)) <= {32}:
        raise ValueError("an element is not 32 bytes long")
    return b"".join(values)


def wire_b0_16m(values: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The elements end to end, and their lengths."""
    return b"".join(values), struct.pack(f"<{len(values)}I", *map(len, values))
