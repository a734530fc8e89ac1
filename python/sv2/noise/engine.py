"""The seam between the protocol and whatever does its arithmetic.

An :class:`Engine` runs the NX handshake and gives out one sealer and one opener per session; all
policy (who is believed, limits, errors of the connection) stays above it. The engine in
:mod:`sv2.noise.handshake` is Python over libsecp256k1 and OpenSSL, the one in
:mod:`sv2.noise.native` is C over the same; :mod:`sv2.noise.choice` takes one. An engine has to
offer these five classes and nothing else; the tests take the engine as a parameter.

Failures are :class:`~sv2.noise.errors.HandshakeError` and
:class:`~sv2.noise.errors.TransportError`, and final for the object that raised them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sv2.noise.certificate import Certificate, ServerIdentity

# What may be handed in as bytes; nothing here keeps a reference to it after the call.
Buffer = bytes | bytearray | memoryview

ACT_1_SIZE = 64
ACT_2_SIZE = 234

HEADER_SIZE = 6
MAC_SIZE = 16
SEALED_HEADER_SIZE = HEADER_SIZE + MAC_SIZE
MAX_CHUNK = 65535 - MAC_SIZE
MAX_SEALED_CHUNK = MAX_CHUNK + MAC_SIZE


def sealed_payload_size(size: int) -> int:
    """Ciphertext bytes of a payload of ``size`` plain bytes: 16 more for each chunk of 65,519.

    An empty payload has no chunk and no ciphertext (spec 4.6).
    """
    return size + MAC_SIZE * -(-size // MAX_CHUNK)


class Sealer(Protocol):
    """Encrypts what we send. Not shared between threads."""

    def seal(self, header: Buffer, payload: Buffer) -> bytes:
        """The whole encrypted frame: 22 bytes of header, then the payload's chunks."""


class Opener(Protocol):
    """Decrypts what we receive, in the order of the wire. Not shared between threads."""

    def open_header(self, sealed: Buffer) -> bytes:
        """The 6 header bytes inside exactly 22 received ones."""

    def open_chunk(self, sealed: Buffer) -> bytes:
        """The plain bytes inside one received chunk (17 to 65,535 bytes)."""


class Session(NamedTuple):
    """What a finished handshake leaves. ``handshake_hash`` (32 bytes) names the session and is
    not secret."""

    sealer: Sealer
    opener: Opener
    handshake_hash: bytes

    def __repr__(self) -> str:
        return f"Session({self.handshake_hash.hex()})"


class InitiatorHandshake(Protocol):
    """The client's side; each method is called once, in this order."""

    def write_act_1(self) -> bytes:
        """64 bytes to send."""

    def read_act_2(self, message: Buffer) -> tuple[Certificate, Session]:
        """Take the server's 234 bytes. The certificate is authentic to the session but not yet
        checked: the session must not be used before a policy has checked it."""


class ResponderHandshake(Protocol):
    """The server's side."""

    def read_act_1(self, message: Buffer) -> tuple[bytes, Session]:
        """Take the client's 64 bytes; gives the 234 to send and the session."""


class Engine(Protocol):
    """Makes handshakes. Keeps nothing of them and may be shared, between threads too."""

    @property
    def name(self) -> str:
        """A short name for logs and benchmarks."""

    def initiator(self) -> InitiatorHandshake:
        """A handshake of a connection that we opened."""

    def responder(self, identity: ServerIdentity) -> ResponderHandshake:
        """A handshake of a connection that was opened to us."""
