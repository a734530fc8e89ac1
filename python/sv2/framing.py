"""Frames out of a byte stream and into it, sealed by Noise or in the clear (spec 3.2, 4.6).

One reader serves both: a stream in the clear is a session whose sealer and opener add nothing.
Received bytes are held as they come and never on the word of a length field.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sv2.noise.engine import MAC_SIZE, MAX_CHUNK, Buffer, Opener, Sealer
from sv2_ffi import HEADER_SIZE, FrameHeader, FrameTooLarge, parse_header

# Consumed bytes are cut off the front of the buffer once they are more than this.
_COMPACT_AT = 65536


class ClearSealer:
    """A sealer that leaves frames as they are."""

    def seal(self, header: Buffer, payload: Buffer) -> bytes:
        return b"".join((header, payload))


class ClearOpener:
    """An opener for frames in the clear."""

    def open_header(self, sealed: Buffer) -> bytes:
        return bytes(sealed)

    def open_chunk(self, sealed: Buffer) -> bytes:
        return bytes(sealed)


class Inbox:
    """Received bytes that nobody has taken yet."""

    __slots__ = ("_data", "_start")

    def __init__(self) -> None:
        self._data = bytearray()
        self._start = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def add(self, data: Buffer) -> None:
        self._data += data

    def peek(self) -> tuple[bytearray, int]:
        """What is held, and where in it the bytes begin that nobody has taken."""
        return self._data, self._start

    def take_to(self, end: int) -> None:
        """Note that the bytes before ``end`` of what :meth:`peek` gave were taken."""
        self._start = end
        if end == len(self._data):
            self._data.clear()
            self._start = 0
        elif end > _COMPACT_AT:
            del self._data[:end]
            self._start = 0

    def take(self, size: int) -> bytearray | None:
        """The next ``size`` bytes, or None and nothing taken when fewer are here."""
        end = self._start + size
        if end > len(self._data):
            return None
        piece = self._data[self._start : end]
        self.take_to(end)
        return piece

    def clear(self) -> None:
        self._data = bytearray()
        self._start = 0


class FrameSource(Protocol):
    """Takes whole frames out of an :class:`Inbox`, as the bytes arrive."""

    limit: int
    """Bytes of the largest plain frame to accept, header included; from the next header on."""

    @property
    def held(self) -> int:
        """Bytes of an unfinished frame that are in memory besides the inbox."""

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and not ended, as far as the bytes that are here tell."""

    def next_frame(self) -> tuple[FrameHeader, bytes] | None:
        """The next header and whole payload, or None until more bytes have arrived.

        :class:`sv2_ffi.FrameTooLarge` for a frame over the limit, and what the opener raises.
        After either, the source must not be used again.
        """


@runtime_checkable
class FramingOpener(Protocol):
    """An opener that finds the frames by itself: an engine in C does both in one call."""

    def frames(self, inbox: Inbox, limit: int) -> FrameSource:
        """The frames of what arrives in ``inbox``. The opener is the source's from now on."""


def frame_source(inbox: Inbox, opener: Opener | None, limit: int) -> FrameSource:
    """The frames of what arrives in ``inbox``; in the clear where ``opener`` is None."""
    if isinstance(opener, FramingOpener):
        return opener.frames(inbox, limit)
    return FrameReader(inbox, opener, limit)


class FrameReader:
    """A :class:`FrameSource` over any opener: takes one piece at a time."""

    __slots__ = ("_chunks", "_header", "_held", "_inbox", "_left", "_opener", "_overhead", "limit")

    def __init__(self, inbox: Inbox, opener: Opener | None, limit: int) -> None:
        self._inbox = inbox
        self._opener: Opener = ClearOpener() if opener is None else opener
        self._overhead = 0 if opener is None else MAC_SIZE
        self._header: FrameHeader | None = None
        self._chunks: list[bytes] = []
        self._left = 0
        self._held = 0
        self.limit = limit

    @property
    def held(self) -> int:
        return self._held

    @property
    def mid_frame(self) -> bool:
        return self._header is not None or len(self._inbox) > 0

    def next_frame(self) -> tuple[FrameHeader, bytes] | None:
        if self._header is None and not self._read_header():
            return None
        while self._left:
            size = min(self._left, MAX_CHUNK)
            piece = self._inbox.take(size + self._overhead)
            if piece is None:
                return None
            self._chunks.append(self._opener.open_chunk(piece))
            self._left -= size
            self._held += size
        header, chunks = self._header, self._chunks
        assert header is not None
        self._header, self._chunks, self._held = None, [], 0
        return header, chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _read_header(self) -> bool:
        piece = self._inbox.take(HEADER_SIZE + self._overhead)
        if piece is None:
            return False
        header = parse_header(self._opener.open_header(piece))
        size = HEADER_SIZE + header.length
        if size > self.limit:
            raise FrameTooLarge(header.extension_type, header.message_type, size, self.limit)
        self._header, self._left = header, header.length
        return True


class FrameWriter:
    """Seals whole plain frames for sending."""

    __slots__ = ("_sealer",)

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer

    def write(self, frame: bytes) -> bytes:
        """The bytes of ``frame`` (header and payload) as they go on the wire."""
        if self._sealer is None:
            return frame
        view = memoryview(frame)
        return self._sealer.seal(view[:HEADER_SIZE], view[HEADER_SIZE:])
