"""Messages to frames and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from sv2_ffi._errors import EncodeError, FrameTooLarge, MalformedMessage, TruncatedFrame
from sv2_ffi._explain import bytes_reason, explain
from sv2_ffi._message import CHANNEL_BIT, Message, Tlv, show, status_text, values_of
from sv2_ffi._native import ffi, lib
from sv2_ffi._table import CLASSES

Buffer: TypeAlias = bytes | bytearray | memoryview

HEADER_SIZE: int = lib.SV2_FRAME_HEADER_LEN
MAX_PAYLOAD_SIZE: int = lib.SV2_MAX_PAYLOAD
MAX_FRAME_SIZE: int = HEADER_SIZE + MAX_PAYLOAD_SIZE

MESSAGES: dict[tuple[int, int], type[Message]] = {
    (cls.extension_type, cls.message_type): cls for cls in CLASSES
}
"""(extension_type without channel bit, message_type) -> class, for every known message."""

for _index, _cls in enumerate(CLASSES):
    _cls._index = _index
    _cls._values = values_of(_cls)

# Looked up once: every message passes here.
_FLAT = ffi.typeof(f"uint64_t[{lib.SV2_GLUE_MAX_VALUES}]")
_new, _buffer = ffi.new, ffi.buffer
# _read_flat[n] gives the first n values of a flat message.
_read_flat = tuple(struct.Struct(f"={n}Q").unpack_from for n in range(lib.SV2_GLUE_MAX_VALUES + 1))
_glue_next, _glue_payload, _glue_encode = (
    lib.sv2_glue_next,
    lib.sv2_glue_payload,
    lib.sv2_glue_encode,
)
_HEADER = struct.Struct("<HBHB")
_new_buffer = ffi.new_allocator(should_clear_after_alloc=False)
_BYTES = ffi.typeof("uint8_t[]")


@dataclass(slots=True, repr=False)
class UnknownMessage:
    """A frame whose message this library does not know. encode() gives the same frame back.

    Args:
        extension_type: as on the wire: bit 15 is the channel bit.
        message_type: 0 to 255.
        payload: everything behind the frame header.
    """

    extension_type: int
    message_type: int
    payload: bytes

    @property
    def name(self) -> str:
        return f"Unknown(0x{self.extension_type:04x}, 0x{self.message_type:02x})"

    @property
    def channel_message(self) -> bool:
        """Whether a proxy is to forward it to the channel it is for (spec 3.4.1)."""
        return bool(self.extension_type & CHANNEL_BIT)

    @property
    def channel_id(self) -> int | None:
        """The channel that it is for, where it is a channel message with a channel id."""
        if not self.channel_message or len(self.payload) < 4:
            return None
        return int.from_bytes(self.payload[:4], "little")

    def __repr__(self) -> str:
        return (
            f"UnknownMessage(extension_type=0x{self.extension_type:04x}, "
            f"message_type=0x{self.message_type:02x}, payload={show(self.payload)})"
        )


AnyMessage: TypeAlias = Message | UnknownMessage


class FrameHeader(NamedTuple):
    """The 6 bytes in front of every payload (spec 3.2).

    extension_type: as on the wire: bit 15 is the channel bit. length: of the payload, in bytes.
    """

    extension_type: int
    message_type: int
    length: int

    def __bytes__(self) -> bytes:
        try:
            low, high = self.length & 0xFFFF, self.length >> 16
            return _HEADER.pack(self.extension_type, self.message_type, low, high)
        except (struct.error, TypeError):
            raise EncodeError("FrameHeader", None, "a value is out of range") from None


def parse_header(data: Buffer) -> FrameHeader:
    """Reads the header at the start of data. Raises TruncatedFrame for less than 6 bytes."""
    if len(data) < HEADER_SIZE:
        raise TruncatedFrame(HEADER_SIZE, len(data))
    extension_type, message_type, low, high = _HEADER.unpack_from(data)
    return FrameHeader(extension_type, message_type, low | high << 16)


def encode(message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> bytes:
    """A whole frame, header included, with tlvs behind the message's last field.

    TLVs go out in the order given; the spec wants them by extension_type (3.4.3).
    Raises EncodeError where a field or TLV does not fit its type, or the payload is over
    16,777,215 bytes.
    """
    if isinstance(message, UnknownMessage):
        frame = _encode_unknown(message)
    else:
        frame = _encode_known(message)
    return _append_tlvs(message.name, frame, list(tlvs)) if tlvs else frame


def _encode_known(message: Message) -> bytes:
    try:
        flat, blob, sizes = message._pack()
    except (struct.error, TypeError, ValueError, OverflowError, AttributeError, BufferError):
        raise explain(message) from None
    # No wire form is larger than this: a value takes at most 8 bytes, an element's length 3.
    capacity = HEADER_SIZE + len(flat) + len(blob) + len(sizes)
    out = _new_buffer(_BYTES, capacity)
    size = _glue_encode(out, capacity, message._index, flat, blob, len(blob), sizes, len(sizes))
    if size < 0:
        raise explain(message, *divmod(-size - 1, 256))
    return bytes(ffi.buffer(out, size))


def _encode_unknown(message: UnknownMessage) -> bytes:
    reason = bytes_reason(message.payload, 0, MAX_PAYLOAD_SIZE)
    if reason:
        raise EncodeError(message.name, "payload", reason)
    header = FrameHeader(message.extension_type, message.message_type, len(message.payload))
    return bytes(header) + message.payload


def _append_tlvs(name: str, frame: bytes, tlvs: Sequence[Tlv]) -> bytes:
    for tlv in tlvs:
        reason = bytes_reason(tlv.value, 0, 0xFFFF)
        if reason:
            raise EncodeError(name, "tlvs", reason)
    capacity = len(frame) + sum(lib.SV2_TLV_HEADER_LEN + len(tlv.value) for tlv in tlvs)
    out = ffi.new("uint8_t[]", capacity)
    ffi.memmove(out, frame, len(frame))
    length = ffi.new("size_t *", len(frame))
    for tlv in tlvs:
        value = ffi.from_buffer("uint8_t[]", tlv.value)
        try:
            raw = ffi.new("sv2_tlv *", ((value, len(value)), tlv.extension_type, tlv.field_type))
        except (OverflowError, TypeError) as error:
            raise EncodeError(name, "tlvs", str(error)) from None
        status = lib.sv2_frame_append_tlv(out, capacity, length, raw)
        if status != lib.SV2_OK:
            raise EncodeError(name, "tlvs", status_text(status))
    return bytes(ffi.buffer(out, length[0]))


def _to_bytes(data: Buffer) -> bytes:
    """data as bytes. TypeError for what is no buffer: bytes() would take an int for a size."""
    return data if type(data) is bytes else bytes(memoryview(data))


def decode(frame: Buffer) -> AnyMessage:
    """The message in one whole frame, header included.

    Raises TruncatedFrame where frame is shorter or longer than its header says, MalformedMessage
    where the payload is not what the header names. A message that is not known is no error.
    """
    data = _to_bytes(frame)
    flat = _new(_FLAT)
    index = _glue_next(flat, data, len(data), 0, MAX_FRAME_SIZE)
    if index < 0:
        if (end := flat[lib.SV2_GLUE_NEXT]) < len(data) and len(data) >= HEADER_SIZE:
            raise TruncatedFrame(end, len(data))
        return _unknown_or_raise(data, flat)
    message, end = _message(data, flat, index)
    if end != len(data):
        raise TruncatedFrame(end, len(data))
    return message


def decode_payload(extension_type: int, message_type: int, payload: Buffer) -> AnyMessage:
    """The message in a payload, with the numbers from its header.

    extension_type may have the channel bit or not. Raises MalformedMessage, and ValueError where a
    number is out of range.
    """
    if not 0 <= extension_type <= 0xFFFF or not 0 <= message_type <= 0xFF:
        raise ValueError("extension_type is no U16 or message_type is no U8")
    data = _to_bytes(payload)
    if len(data) > MAX_PAYLOAD_SIZE:
        size = HEADER_SIZE + len(data)
        raise FrameTooLarge(extension_type, message_type, size, MAX_FRAME_SIZE)
    flat = _new(_FLAT)
    index = _glue_payload(flat, data, len(data), extension_type, message_type)
    return _unknown_or_raise(data, flat) if index < 0 else _message(data, flat, index)[0]


def _message(data: bytes, flat: Any, index: int) -> tuple[Message, int]:
    """The message from the flat form that sv2_glue_next left, and where its frame ends in data."""
    cls = CLASSES[index]
    values = _read_flat[cls._values](_buffer(flat))
    message = cls._unpack(data, values)
    end, trailing = values[0], values[1]
    if trailing != end:
        message.trailing = data[trailing:end]
    return message, end


def _unknown_or_raise(data: bytes, flat: Any) -> UnknownMessage:
    """What a flat form says that holds no message."""
    status = flat[lib.SV2_GLUE_STATUS]
    if status == lib.SV2_NEED_MORE:
        raise TruncatedFrame(max(HEADER_SIZE, flat[lib.SV2_GLUE_NEXT]), len(data))
    extension_type, message_type = flat[lib.SV2_GLUE_EXTENSION], flat[lib.SV2_GLUE_TYPE]
    payload, end = flat[lib.SV2_GLUE_PAYLOAD], flat[lib.SV2_GLUE_NEXT]
    if status == lib.SV2_ERR_UNKNOWN:
        return UnknownMessage(extension_type, message_type, data[payload:end])
    cls = MESSAGES[extension_type & ~CHANNEL_BIT, message_type]
    field = cls.FIELDS[flat[lib.SV2_GLUE_FIRST]].name
    offset = flat[lib.SV2_GLUE_TRAILING] - payload
    raise MalformedMessage(cls.name, field, offset, status_text(status))


class Decoder:
    """Bytes in, messages out, for one direction of one connection (spec 3.2).

        decoder = Decoder(max_frame_size=65_536)
        for message in decoder.feed(sock.recv(4096)):
            ...

    Memory grows with what has arrived, never with what a header announces. Not thread safe.

    Args:
        max_frame_size: largest frame to accept, header included, in bytes. More than
            MAX_FRAME_SIZE is the same as that.
    """

    __slots__ = ("_at", "_data", "_skip", "max_frame_size")

    def __init__(self, max_frame_size: int = MAX_FRAME_SIZE) -> None:
        if max_frame_size < HEADER_SIZE:
            raise ValueError(f"max_frame_size is below {HEADER_SIZE}")
        self.max_frame_size = min(max_frame_size, MAX_FRAME_SIZE)
        # bytes where frames can be read from _at on; a bytearray while one frame comes in pieces.
        self._data: bytes | bytearray = b""
        self._at = 0
        self._skip = 0

    @property
    def pending(self) -> int:
        """Bytes that are held and belong to no message yet."""
        return len(self._data) - self._at

    def feed(self, data: Buffer) -> Iterator[AnyMessage]:
        """Takes data, all of it and at once, and gives the messages that are complete.

        The iterator raises MalformedMessage for a frame that is not what its header names and
        FrameTooLarge for one over the limit. Either frame is dropped; the stream is intact, and
        feed(b"") goes on behind it. What is not iterated over now comes with the next feed.
        """
        self._append(data)
        return self._messages()

    def _append(self, data: Buffer) -> None:
        if isinstance(data, memoryview):
            data = data.tobytes()  # its len() counts items, which may be larger than bytes
        dropped = min(self._skip, len(data))
        if dropped:
            self._skip -= dropped
            data = memoryview(data)[dropped:]
        if self._at == len(self._data):
            self._data, self._at = bytes(data), 0
            return
        if not isinstance(self._data, bytearray):
            self._data = bytearray(memoryview(self._data)[self._at :])
        else:
            del self._data[: self._at]
        self._at = 0
        self._data += data

    def _messages(self) -> Iterator[AnyMessage]:
        while self._is_ready():
            data, at = bytes(self._data), self._at  # bytes already: nothing is copied
            flat = _new(_FLAT)
            index = _glue_next(flat, data, len(data), at, self.max_frame_size)
            if index >= 0:
                message, self._at = _message(data, flat, index)
                yield message
                continue
            match flat[lib.SV2_GLUE_STATUS]:
                case lib.SV2_NEED_MORE:
                    return
                case lib.SV2_ERR_FRAME_LARGE:
                    raise self._refuse(flat[lib.SV2_GLUE_NEXT] - at)
                case _:
                    self._at = flat[lib.SV2_GLUE_NEXT]
                    yield _unknown_or_raise(data, flat)

    def _is_ready(self) -> bool:
        """Whether a frame may be complete; pieces become one run of bytes only when it is."""
        if self.pending < HEADER_SIZE:
            return False
        if isinstance(self._data, bytes):
            return True
        size = HEADER_SIZE + parse_header(self._data).length
        if self.pending < size <= self.max_frame_size:
            return False
        self._data = bytes(self._data)
        return True

    def _refuse(self, size: int) -> FrameTooLarge:
        header = parse_header(bytes(self._data[self._at : self._at + HEADER_SIZE]))
        held = min(size, self.pending)
        self._at += held
        self._skip = size - held
        return FrameTooLarge(header.extension_type, header.message_type, size, self.max_frame_size)
