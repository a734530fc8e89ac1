"""The engine in C: :mod:`sv2_ffi.noise` behind :class:`sv2.noise.engine.Engine`.

Importing this module raises ImportError where sv2_ffi was built without it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import sv2_ffi.noise
from sv2.noise.certificate import Certificate, ServerIdentity
from sv2.noise.engine import (
    ACT_1_SIZE,
    ACT_2_SIZE,
    MAX_SEALED_CHUNK,
    SEALED_HEADER_SIZE,
    Buffer,
    Session,
)
from sv2.noise.errors import HandshakeError, TransportError
from sv2_ffi import FrameHeader
from sv2_ffi.noise import Fault

if TYPE_CHECKING:
    from sv2.framing import Inbox


def _act(message: Buffer, size: int) -> bytes:
    if len(message) != size:
        raise HandshakeError(f"a handshake message is {size} bytes, not {len(message)}")
    return bytes(message)


def _same_as(kind: Any, certificate: Any) -> Any:
    """A certificate of the other package's class, whose fields are the same."""
    return kind(
        version=certificate.version,
        valid_from=certificate.valid_from,
        not_valid_after=certificate.not_valid_after,
        server_key=certificate.server_key,
        signature=certificate.signature,
    )


def _handshake_error(error: Any) -> HandshakeError:
    if error.fault.value == Fault.AUTH.value:
        return HandshakeError("a handshake message does not authenticate")
    return HandshakeError(str(error))


class NativeEngine:
    """An :class:`sv2.noise.engine.Engine` over libsv2-noise, libsecp256k1 and OpenSSL.

    ``noise`` is :mod:`sv2_ffi.noise`; tests give one that was built over another provider.
    """

    name = "c"

    def __init__(self, noise: ModuleType = sv2_ffi.noise) -> None:
        self._noise: Any = noise
        # What was shown last, and in C's form: a server checks its own key once, not per handshake.
        self._shown: WeakKeyDictionary[ServerIdentity, tuple[Certificate, Any]]
        self._shown = WeakKeyDictionary()

    def initiator(self) -> NativeInitiator:
        return NativeInitiator(self._noise)

    def responder(self, identity: ServerIdentity) -> NativeResponder:
        return NativeResponder(self._noise, lambda: self._identity(identity))

    def _identity(self, identity: ServerIdentity) -> Any:
        certificate, last = identity.certificate(), self._shown.get(identity)
        if last is not None and last[0] == certificate:
            return last[1]
        shown = _same_as(self._noise.Certificate, certificate)
        made = self._noise.Identity(identity.static_key._secret, shown)
        self._shown[identity] = certificate, made
        return made


class NativeInitiator:
    """The client's side; see :class:`sv2.noise.engine.InitiatorHandshake`."""

    def __init__(self, noise: Any) -> None:
        self._noise = noise
        self._initiator: Any = None
        self._done = False

    def write_act_1(self) -> bytes:
        if self._initiator is not None:
            raise HandshakeError("act 1 was written already")
        try:
            self._initiator = self._noise.Initiator()
        except self._noise.NoiseError as error:
            raise _handshake_error(error) from None
        act_1: bytes = self._initiator.act_1
        return act_1

    def read_act_2(self, message: Buffer) -> tuple[Certificate, Session]:
        if self._initiator is None:
            raise HandshakeError("act 2 came before act 1")
        if self._done:
            raise HandshakeError("this handshake is over")
        self._done = True
        act = _act(message, ACT_2_SIZE)
        try:
            # The policy above this engine checks the certificate, as for every engine.
            session = self._initiator.finish(act, self._noise.Policy.unverified())
        except self._noise.NoiseError as error:
            raise _handshake_error(error) from None
        return _same_as(Certificate, session.certificate), _session(self._noise, session)


class NativeResponder:
    """The server's side; see :class:`sv2.noise.engine.ResponderHandshake`."""

    def __init__(self, noise: Any, identity: Callable[[], Any]) -> None:
        self._noise = noise
        self._identity = identity
        self._done = False

    def read_act_1(self, message: Buffer) -> tuple[bytes, Session]:
        if self._done:
            raise HandshakeError("this handshake is over")
        self._done = True
        act_1 = _act(message, ACT_1_SIZE)
        try:
            answer, session = self._noise.respond(act_1, self._identity())
        except self._noise.NoiseError as error:
            raise _handshake_error(error) from None
        return answer, _session(self._noise, session)


def _session(noise: Any, session: Any) -> Session:
    return Session(
        NativeSealer(noise, session.sender),
        NativeOpener(noise, session.receiver),
        session.handshake_hash,
    )


class NativeSealer:
    """See :class:`sv2.noise.engine.Sealer`."""

    __slots__ = ("_noise", "_sender")

    def __init__(self, noise: Any, sender: Any) -> None:
        self._noise = noise
        self._sender = sender

    def seal(self, header: Buffer, payload: Buffer) -> bytes:
        try:
            sealed: bytes = self._sender.seal_parts(header, payload)
        except self._noise.NoiseError as error:
            raise TransportError(str(error)) from None
        return sealed


class NativeOpener:
    """See :class:`sv2.noise.engine.Opener`."""

    __slots__ = ("_noise", "_receiver")

    def __init__(self, noise: Any, receiver: Any) -> None:
        self._noise = noise
        self._receiver = receiver

    def open_header(self, sealed: Buffer) -> bytes:
        if len(sealed) != SEALED_HEADER_SIZE:
            raise ValueError(f"a sealed header is {SEALED_HEADER_SIZE} bytes")
        return self._open(sealed)

    def open_chunk(self, sealed: Buffer) -> bytes:
        if len(sealed) > MAX_SEALED_CHUNK:
            raise ValueError(f"a sealed chunk is at most {MAX_SEALED_CHUNK} bytes")
        return self._open(sealed)

    def _open(self, sealed: Buffer) -> bytes:
        try:
            plain: bytes = self._receiver.open(sealed)
        except self._noise.NoiseError as error:
            raise TransportError(str(error)) from None
        return plain

    def frames(self, inbox: Inbox, limit: int) -> NativeFrames:
        """See :class:`sv2.framing.FramingOpener`."""
        return NativeFrames(self._noise, self._receiver, inbox, limit)


class NativeFrames:
    """See :class:`sv2.framing.FrameSource`."""

    __slots__ = ("_inbox", "_noise", "_reader")

    def __init__(self, noise: Any, receiver: Any, inbox: Inbox, limit: int) -> None:
        self._noise = noise
        self._reader = noise.Reader(receiver, limit)
        self._inbox = inbox

    @property
    def limit(self) -> int:
        return int(self._reader.max_frame_size)

    @limit.setter
    def limit(self, size: int) -> None:
        self._reader.max_frame_size = size

    @property
    def held(self) -> int:
        return int(self._reader.pending)

    @property
    def mid_frame(self) -> bool:
        return len(self._inbox) > 0 or bool(self._reader.mid_frame)

    def next_frame(self) -> tuple[FrameHeader, bytes] | None:
        data, start = self._inbox.peek()
        if start == len(data):
            return None
        found: tuple[FrameHeader, bytes] | None
        try:
            end, found = self._reader.next_frame(data, start)
        except self._noise.NoiseError as error:
            raise TransportError(str(error)) from None
        self._inbox.take_to(end)
        return found
