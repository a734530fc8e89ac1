"""Transport ciphers: ChaCha20-Poly1305 with Noise's counter nonces (spec 4.4.1, 4.6)."""

from __future__ import annotations

import struct
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sv2.noise.engine import HEADER_SIZE, MAX_CHUNK, MAX_SEALED_CHUNK, SEALED_HEADER_SIZE, Buffer
from sv2.noise.errors import TransportError

KEY_SIZE = 32
# Noise reserves the last value for rekeying, so it never encrypts a message.
LAST_NONCE = 2**64 - 1

_nonce_bytes = struct.Struct("<IQ").pack


class CipherState:
    """One key and its nonce counter. A send and a receive cipher share nothing."""

    __slots__ = ("_aead", "_nonce")

    def __init__(self, key: bytes, nonce: int = 0) -> None:
        """``key`` is 32 bytes; ``nonce`` is the counter's first value."""
        self._aead = ChaCha20Poly1305(key)
        self._nonce = nonce

    def _refuse(self) -> NoReturn:
        raise TransportError("the nonces of this session are used up")

    def encrypt(self, plain: Buffer, associated: bytes | None = None) -> bytes:
        """Ciphertext and MAC, 16 bytes longer than ``plain``."""
        nonce = self._nonce
        if nonce >= LAST_NONCE:
            self._refuse()
        sealed = self._aead.encrypt(_nonce_bytes(0, nonce), plain, associated)
        self._nonce = nonce + 1
        return sealed

    def decrypt(self, sealed: Buffer, associated: bytes | None = None) -> bytes:
        """The plain bytes; :class:`TransportError` if they do not authenticate.

        A failure does not use up a nonce (spec 4.4.1), but the session must end all the same.
        """
        nonce = self._nonce
        if nonce >= LAST_NONCE:
            self._refuse()
        try:
            plain = self._aead.decrypt(_nonce_bytes(0, nonce), sealed, associated)
        except InvalidTag:
            raise TransportError("received data does not authenticate") from None
        self._nonce = nonce + 1
        return plain

    def __repr__(self) -> str:
        return f"CipherState(nonce={self._nonce})"


class FrameSealer:
    """Encrypts frames: the header by itself, the payload in chunks of at most 65,519 bytes."""

    __slots__ = ("_cipher",)

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher

    def seal(self, header: Buffer, payload: Buffer) -> bytes:
        """The encrypted frame. ``header`` carries the plain payload's length (spec 4.6)."""
        if len(header) != HEADER_SIZE:
            raise ValueError(f"a header is {HEADER_SIZE} bytes")
        encrypt = self._cipher.encrypt
        sealed_header = encrypt(header)
        size = len(payload)
        if size == 0:
            return sealed_header
        if size <= MAX_CHUNK:
            return sealed_header + encrypt(payload)
        view = memoryview(payload)
        chunks = (encrypt(view[at : at + MAX_CHUNK]) for at in range(0, size, MAX_CHUNK))
        return b"".join((sealed_header, *chunks))


class FrameOpener:
    """Decrypts frames, piece by piece, in the order of the wire."""

    __slots__ = ("_cipher",)

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher

    def open_header(self, sealed: Buffer) -> bytes:
        """The 6 header bytes inside 22 sealed ones."""
        if len(sealed) != SEALED_HEADER_SIZE:
            raise ValueError(f"a sealed header is {SEALED_HEADER_SIZE} bytes")
        return self._cipher.decrypt(sealed)

    def open_chunk(self, sealed: Buffer) -> bytes:
        """The plain bytes of one sealed chunk."""
        if len(sealed) > MAX_SEALED_CHUNK:
            raise ValueError(f"a sealed chunk is at most {MAX_SEALED_CHUNK} bytes")
        return self._cipher.decrypt(sealed)
