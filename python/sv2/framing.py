"""Frames out of a byte stream and into it, sealed by Noise or in the clear (spec 3.2, 4.6).

One reader serves both: a stream in the clear is a session whose sealer and opener add nothing.
Received bytes are held as they come and never on the word of a length field.
"""

from __future__ import annotations

from sv2.noise.engine import MAC_SIZE, MAX_CHUNK, Buffer, Opener, Sealer
from sv2_ffi import HEADER_SIZE, FrameHeader, parse_header

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


class OversizeFrame(Exception):
    """A header announces a frame over the limit; nothing of its payload was taken."""

    def __init__(self, header: FrameHeader, limit: int) -> None:
        super().__init__(f"a frame of {HEADER_SIZE + header.length} bytes, the limit is {limit}")


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

    def take(self, size: int) -> bytearray | None:
        """The next ``size`` bytes, or None and nothing taken when fewer are here."""
        end = self._start + size
        if end > len(self._data):
            return None
        piece = self._data[self._start : end]
        self._start = end
        if end == len(self._data):
            self._data.clear()
            self._start = 0
        elif end > _COMPACT_AT:
            del self._data[:end]
            self._start = 0
        return piece

    def clear(self) -> None:
        self._data = bytearray()
        self._start = 0


class FrameReader:
    """Takes whole frames out of an :class:`Inbox`, one piece at a time as the bytes arrive."""

    __slots__ = ("_chunks", "_header", "_held", "_inbox", "_left", "_opener", "_overhead", "limit")

    def __init__(self, inbox: Inbox, opener: Opener | None, limit: int) -> None:
        """``opener`` None reads frames in the clear. ``limit`` bounds a whole plain frame, header
        included; it may be changed between frames."""
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
        """Plain payload bytes of an unfinished frame, in memory besides the inbox."""
        return self._held

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and not ended, as far as the bytes that are here tell."""
        return self._header is not None or len(self._inbox) > 0

    def next_frame(self) -> tuple[FrameHeader, bytes] | None:
        """The next header and whole payload, or None until more bytes have arrived.

        :class:`OversizeFrame` for a frame over the limit, and what the opener raises. After
        either, the reader must not be used again.
        """
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
        if HEADER_SIZE + header.length > self.limit:
            raise OversizeFrame(header, self.limit)
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
