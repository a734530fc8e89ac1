"""Noise for Sv2 in C (spec chapter 4): encrypted sessions that need no Python package but cffi.

    initiator = noise.Initiator()
    sock.sendall(initiator.act_1)
    authority = noise.key_decode("9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh")
    act_2 = receive_exactly(sock, noise.ACT_2_SIZE)
    session = initiator.finish(act_2, noise.Policy.at(authority))

    sock.sendall(session.sender.seal(sv2_ffi.encode(message)))
    reader = noise.Reader(session.receiver)
    for frame in reader.feed(sock.recv(4096)):
        message = sv2_ffi.decode(frame)

It is there where sv2_ffi was built with libsecp256k1, with its module ElligatorSwift, and OpenSSL:

    pip install sv2-ffi --no-binary sv2-ffi --config-settings=setup-args=-Dnoise_openssl=enabled

Elsewhere importing this module raises ModuleNotFoundError; where it is there and does not run, as
over a libcrypto without ChaCha20-Poly1305, another ImportError. Nothing else of sv2_ffi needs it.
sv2.noise has keys in files, certificates that renew themselves and connections, and runs on this
where it can.

Keys and signatures are bytes as libsecp256k1 writes them (big-endian), times are Unix seconds. A
handshake belongs to one thread. Of a session one thread may use the sender while another uses the
receiver; two threads at the same one get a RuntimeError. Keys of a session are wiped when the last
of its objects goes.
"""

from __future__ import annotations

import enum
import functools
import threading
import time as clocks
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

from sv2_ffi._codec import HEADER_SIZE, MAX_FRAME_SIZE, MAX_PAYLOAD_SIZE, FrameHeader
from sv2_ffi._errors import FrameTooLarge, Sv2Error, TruncatedFrame
from sv2_ffi._message import status_text

try:
    from sv2_ffi._noise import ffi, lib
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "this sv2_ffi was built without Noise in C; "
        "build it with --config-settings=setup-args=-Dnoise_openssl=enabled",
        name="sv2_ffi._noise",
    ) from error

Buffer: TypeAlias = bytes | bytearray | memoryview

ACT_1_SIZE: int = lib.SV2_NOISE_ACT_1_LEN
ACT_2_SIZE: int = lib.SV2_NOISE_ACT_2_LEN
MAC_SIZE: int = lib.SV2_NOISE_MAC_LEN
MAX_CHUNK: int = lib.SV2_NOISE_MAX_CHUNK
CERTIFICATE_SIZE: int = lib.SV2_NOISE_CERTIFICATE_LEN
KEY_SIZE = 32
SIGNATURE_SIZE = 64
CLOCK_TOLERANCE = 10
"""Seconds that a certificate's dates may be off; what other implementations grant."""

_U32_MAX = 0xFFFFFFFF
# A reader's buffer begins with this and grows fourfold as a frame arrives; one that has grown
# larger than the second figure is given back after the frame.
_FIRST_BUFFER = 4096
_KEPT_BUFFER = 65536
# Looked up once: every message passes here.
_BYTES = ffi.typeof("uint8_t[]")
_new_bytes = ffi.new_allocator(should_clear_after_alloc=False)
_from_buffer, _buffer = ffi.from_buffer, ffi.buffer
_glue_seal, _glue_open = lib.sv2_noise_glue_seal, lib.sv2_noise_glue_open
_glue_next, _sealed_size = lib.sv2_noise_glue_next, lib.sv2_noise_sealed_len


class Fault(enum.Enum):
    """What went wrong. The value is the sv2_status of libsv2."""

    ARGUMENT = lib.SV2_ERR_ARGUMENT
    LENGTH = lib.SV2_ERR_LENGTH
    AUTH = lib.SV2_ERR_AUTH
    NONCE = lib.SV2_ERR_NONCE
    PROVIDER = lib.SV2_ERR_PROVIDER
    CERT_VERSION = lib.SV2_ERR_CERT_VERSION
    CERT_SIGNATURE = lib.SV2_ERR_CERT_SIGNATURE
    CERT_DATES = lib.SV2_ERR_CERT_DATES
    CERT_EARLY = lib.SV2_ERR_CERT_EARLY
    CERT_EXPIRED = lib.SV2_ERR_CERT_EXPIRED
    CERT_NO_CLOCK = lib.SV2_ERR_CERT_NO_CLOCK
    KEY_LENGTH = lib.SV2_ERR_KEY_LENGTH
    KEY_CHARACTER = lib.SV2_ERR_KEY_CHARACTER
    KEY_CHECKSUM = lib.SV2_ERR_KEY_CHECKSUM
    KEY_VERSION = lib.SV2_ERR_KEY_VERSION
    KEY_VALUE = lib.SV2_ERR_KEY_VALUE


class NoiseError(Sv2Error):
    """A handshake, a certificate, a key or a sealed piece was refused.

    After one from a handshake, a sender or a receiver the connection must be closed.

    Attributes:
        fault: what went wrong.
        certificate: what the server showed, where its certificate was refused.
    """

    def __init__(self, fault: Fault, certificate: Certificate | None = None) -> None:
        super().__init__(status_text(fault.value))
        self.fault = fault
        self.certificate = certificate

    def __reduce__(self) -> tuple[type[NoiseError], tuple[Fault, Certificate | None]]:
        return type(self), (self.fault, self.certificate)


def _check(status: int) -> None:
    if status != lib.SV2_OK:
        raise NoiseError(Fault(status))


def _octets(value: Buffer) -> bytes:
    """A copy, or value itself. Not bytes(value), which makes zeros of a number."""
    return value if type(value) is bytes else memoryview(value).tobytes()


def _sized(what: str, value: Buffer, size: int) -> bytes:
    data = _octets(value)
    if len(data) != size:
        raise ValueError(f"{what} is {size} bytes, not {len(data)}")
    return data


def _u32(what: str, value: int) -> int:
    if not 0 <= value <= _U32_MAX:
        raise ValueError(f"{what} is not in 0 to {_U32_MAX}")
    return value


class _Unique:
    """Neither copied nor pickled: there is one of each key, nonce and buffer."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled")


class _Crypto:
    """The provider of one handshake and its session, or of one thread's keys and certificates.

    The structs that use the provider are wiped together with it and freed later: of objects in a
    garbage cycle, one that has not been finalized may still use those that have. A wiped struct
    knows no provider, and every function refuses it with Fault.ARGUMENT.
    """

    __slots__ = ("_handle", "_structs", "provider")

    def __init__(self) -> None:
        handle = lib.sv2_noise_crypto_new()
        if handle == ffi.NULL:
            raise NoiseError(Fault.PROVIDER)
        self._structs: list[Any] = []
        self._handle = ffi.gc(handle, functools.partial(_end, self._structs))
        self.provider = lib.sv2_noise_crypto_provider(handle)

    def struct(self, kind: str) -> Any:
        struct = ffi.new(f"{kind} *")
        self._structs.append(struct)
        return struct


def _end(structs: list[Any], handle: Any) -> None:
    for struct in structs:
        _wipe(struct)
    lib.sv2_noise_crypto_free(handle)


def _wipe(struct: Any) -> None:
    lib.sv2_noise_wipe(struct, ffi.sizeof(struct[0]))


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.crypto = _Crypto()


try:
    _per_thread = _PerThread()
except NoiseError as error:
    raise ImportError(
        "Noise in C does not start: this libcrypto lacks ChaCha20-Poly1305, SHA-256 or randomness"
    ) from error


def _provider() -> Any:
    return _per_thread.crypto.provider


def _in_use(what: object) -> RuntimeError:
    return RuntimeError(f"two threads use one {type(what).__name__} at once")


def _take(array: Any) -> bytes:
    return bytes(ffi.buffer(array))


# ---- Keys ----------------------------------------------------------------------------------------


def public_key(secret: Buffer) -> bytes:
    """The x-only public key (32 bytes) of a secret (32 bytes).

    Raises NoiseError with Fault.PROVIDER where secret is no scalar of secp256k1.
    """
    key = ffi.new("uint8_t[32]")
    _check(lib.sv2_noise_public_key(key, _sized("a secret", secret, KEY_SIZE), _provider()))
    return _take(key)


def key_decode(text: str) -> bytes:
    """The 32 bytes of an authority's public key, of the text that pools publish (spec 4.7).

    Raises NoiseError, whose fault says what is wrong with it: KEY_*.
    """
    data = text.encode("ascii", "replace")
    key = ffi.new("uint8_t[32]")
    _check(lib.sv2_noise_key_decode(key, data, len(data), _provider()))
    return _take(key)


def key_encode(key: Buffer) -> str:
    """An authority's public key (32 bytes) as text, in base58check."""
    text = ffi.new("char[]", lib.SV2_NOISE_KEY_TEXT_LEN + 1)
    _check(lib.sv2_noise_key_encode(text, _sized("a key", key, KEY_SIZE), _provider()))
    return str(ffi.string(text), "ascii")


# ---- Certificates --------------------------------------------------------------------------------


class Clock(enum.Enum):
    """What a client knows of the time."""

    REFUSE = lib.SV2_NOISE_CLOCK_REFUSE
    """Nothing, and it must not connect before it does."""
    NOW = lib.SV2_NOISE_CLOCK_NOW
    """Policy.time is now."""
    EARLIEST = lib.SV2_NOISE_CLOCK_EARLIEST
    """It is not before Policy.time. What begins later is accepted, what ended before is not."""


@dataclass(frozen=True)
class Policy:
    """When a client believes a server.

    authority: the authority's x-only key, 32 bytes; None in unverified() alone. time and
    tolerance: seconds. verified: whether anything is checked.
    """

    authority: bytes | None
    clock: Clock = Clock.REFUSE
    time: int = 0
    tolerance: int = CLOCK_TOLERANCE
    verified: bool = True

    def __post_init__(self) -> None:
        # An authority that is missing by mistake never means to believe anybody.
        if self.verified == (self.authority is None):
            raise ValueError("a policy has an authority's key, or is Policy.unverified()")
        if self.authority is not None:
            _sized("an authority's key", self.authority, KEY_SIZE)
        _u32("time", self.time)
        _u32("tolerance", self.tolerance)

    @classmethod
    def at(cls, authority: bytes, now: float | None = None) -> Policy:
        """Believe the authority's servers, both dates checked against now or the system's clock."""
        return cls(authority, Clock.NOW, int(clocks.time() if now is None else now))

    @classmethod
    def unverified(cls) -> Policy:
        """Believe anybody, unread: to look at a server, never to mine."""
        return cls(None, verified=False)

    def _struct(self) -> tuple[Any, Any]:
        """The C struct, and what it points to."""
        struct = ffi.new("sv2_noise_policy *")
        key = ffi.NULL
        if self.authority is not None:
            # Measured again: a bytearray may have changed.
            key = ffi.new("uint8_t[]", _sized("an authority's key", self.authority, KEY_SIZE))
        struct.authority = key
        struct.unverified = not self.verified
        struct.clock, struct.time, struct.tolerance = self.clock.value, self.time, self.tolerance
        return struct, key


@dataclass(frozen=True)
class Certificate:
    """What a server shows (spec 4.5.3); nothing is checked until check() does.

    server_key: its static key, x-only, 32 bytes. signature: 64 bytes (BIP340).
    """

    version: int
    valid_from: int
    not_valid_after: int
    server_key: bytes
    signature: bytes

    @classmethod
    def from_wire(cls, wire: Buffer, server_key: Buffer) -> Certificate:
        """Split the 74 bytes of SIGNATURE_NOISE_MESSAGE. The server's key travels beside it."""
        struct = ffi.new("sv2_noise_certificate *")
        lib.sv2_noise_certificate_decode(
            struct,
            _sized("a certificate", wire, CERTIFICATE_SIZE),
            _sized("a server's key", server_key, KEY_SIZE),
        )
        return cls._of(struct)

    @classmethod
    def issue(
        cls, authority_secret: Buffer, server_key: Buffer, valid_from: int, not_valid_after: int
    ) -> Certificate:
        """Sign server_key (32 bytes) for a time, by an authority's secret (32 bytes).

        Raises NoiseError: CERT_DATES where it would end before it begins, PROVIDER for a secret
        that is no scalar of secp256k1.
        """
        struct = ffi.new("sv2_noise_certificate *")
        struct.valid_from = _u32("valid_from", valid_from)
        struct.not_valid_after = _u32("not_valid_after", not_valid_after)
        struct.server_key = _sized("a server's key", server_key, KEY_SIZE)
        secret = _sized("an authority's secret", authority_secret, KEY_SIZE)
        _check(lib.sv2_noise_certificate_issue(struct, secret, _provider()))
        return cls._of(struct)

    @classmethod
    def _of(cls, struct: Any) -> Certificate:
        return cls(
            struct.version,
            struct.valid_from,
            struct.not_valid_after,
            _take(struct.server_key),
            _take(struct.signature),
        )

    def _struct(self) -> Any:
        struct = ffi.new("sv2_noise_certificate *")
        if not 0 <= self.version <= 0xFFFF:
            raise ValueError("version is not in 0 to 65535")
        struct.version = self.version
        struct.valid_from = _u32("valid_from", self.valid_from)
        struct.not_valid_after = _u32("not_valid_after", self.not_valid_after)
        struct.server_key = _sized("a server's key", self.server_key, KEY_SIZE)
        struct.signature = _sized("a signature", self.signature, SIGNATURE_SIZE)
        return struct

    def to_wire(self) -> bytes:
        """The 74 bytes of SIGNATURE_NOISE_MESSAGE."""
        wire = ffi.new("uint8_t[]", CERTIFICATE_SIZE)
        lib.sv2_noise_certificate_encode(wire, self._struct())
        return _take(wire)

    def check(self, policy: Policy) -> None:
        """Raise NoiseError, with one of Fault.CERT_*, unless policy believes it."""
        struct, _keep = policy._struct()
        status = lib.sv2_noise_certificate_check(self._struct(), struct, _provider())
        if status != lib.SV2_OK:
            raise NoiseError(Fault(status), self)


# ---- Handshake -----------------------------------------------------------------------------------


class Sender(_Unique):
    """Encrypts what we send. Made by a handshake."""

    __slots__ = ("_busy", "_crypto", "_struct")

    def __init__(self, crypto: _Crypto) -> None:
        self._crypto = crypto
        self._struct = crypto.struct("sv2_noise_sender")
        self._busy = threading.Lock()

    def seal(self, frame: Buffer) -> bytes:
        """The sealed form of one whole plain frame: 22 bytes of header, then the payload, and 16
        bytes more for each 65,519 of it (spec 4.6).

        Raises TruncatedFrame where frame is not one frame; NoiseError with Fault.NONCE where the
        session has sent all that it can, with Fault.PROVIDER where the cryptography failed.
        """
        view = memoryview(frame).cast("B")
        if len(view) < HEADER_SIZE:
            raise TruncatedFrame(HEADER_SIZE, len(view))
        return self.seal_parts(view[:HEADER_SIZE], view[HEADER_SIZE:])

    def seal_parts(self, header: Buffer, payload: Buffer) -> bytes:
        """The same for a header (6 bytes) and a payload that are apart."""
        head, plain = _from_buffer(_BYTES, header), _from_buffer(_BYTES, payload)
        size = len(plain)
        if len(head) != HEADER_SIZE:
            raise ValueError(f"a header is {HEADER_SIZE} bytes, not {len(head)}")
        if size > MAX_PAYLOAD_SIZE:
            raise TruncatedFrame(MAX_FRAME_SIZE, HEADER_SIZE + size)
        out = _new_bytes(_BYTES, _sealed_size(size))
        # C runs without the interpreter's lock. A second thread would seal with the same nonce.
        if not self._busy.acquire(False):
            raise _in_use(self)
        try:
            status = _glue_seal(self._struct, out, head, plain, size)
        finally:
            self._busy.release()
        if status != 0:
            if status == lib.SV2_ERR_TRUNCATED:
                announced = int.from_bytes(bytes(header)[3:], "little")
                raise TruncatedFrame(HEADER_SIZE + announced, HEADER_SIZE + size)
            _check(status)
        sealed: bytes = _buffer(out)[:]
        return sealed


class Receiver(_Unique):
    """The key of what we receive. Made by a handshake; most code wants a Reader around it."""

    __slots__ = ("_busy", "_crypto", "_struct")

    def __init__(self, crypto: _Crypto) -> None:
        self._crypto = crypto
        self._struct = crypto.struct("sv2_noise_receiver")
        self._busy = threading.Lock()

    def open(self, sealed: Buffer) -> bytes:
        """The plain bytes of one sealed piece: a header (22 bytes) or a chunk (17 to 65,535), in
        the order of the wire.

        Raises NoiseError: Fault.LENGTH for another size; AUTH where it does not authenticate, NONCE
        where the session has received all that it can, both for good.
        """
        data = _from_buffer(_BYTES, sealed)
        size = len(data)
        out = _new_bytes(_BYTES, size)
        if not self._busy.acquire(False):
            raise _in_use(self)
        try:
            status = _glue_open(self._struct, out, data, size)
        finally:
            self._busy.release()
        if status != 0:
            _check(status)
        plain: bytes = _buffer(out, size - MAC_SIZE)[:]
        return plain


class Session(NamedTuple):
    """What a handshake leaves. handshake_hash (32 bytes) names the session and is no secret.
    certificate is the server's; None on the server's side."""

    sender: Sender
    receiver: Receiver
    handshake_hash: bytes
    certificate: Certificate | None

    def __repr__(self) -> str:
        return f"Session({self.handshake_hash.hex()})"


class Initiator(_Unique):
    """A handshake as the client.

    Attributes:
        act_1: 64 bytes to send.
    """

    __slots__ = ("_crypto", "_once", "_struct", "act_1")

    def __init__(self) -> None:
        self._crypto = _Crypto()
        self._struct = self._crypto.struct("sv2_noise_initiator")
        self._once = threading.Lock()
        act_1 = ffi.new("uint8_t[]", ACT_1_SIZE)
        _check(lib.sv2_noise_initiate(self._struct, act_1, self._crypto.provider))
        self.act_1 = _take(act_1)

    def finish(self, act_2: Buffer, policy: Policy) -> Session:
        """Take the server's answer, 234 bytes, and check its certificate. Once.

        Raises NoiseError: Fault.AUTH where it does not authenticate, CERT_* where the policy does
        not believe it, ARGUMENT the second time. ValueError for another size.
        """
        act = ffi.new("uint8_t[]", _sized("act 2", act_2, ACT_2_SIZE))
        sender, receiver = Sender(self._crypto), Receiver(self._crypto)
        shown, digest = ffi.new("sv2_noise_certificate *"), ffi.new("uint8_t[32]")
        struct, _keep = policy._struct()
        if not self._once.acquire(False):
            raise NoiseError(Fault.ARGUMENT)
        status = lib.sv2_noise_finish(
            self._struct, sender._struct, receiver._struct, shown, digest, act, struct
        )
        certificate = Certificate._of(shown)
        if status != lib.SV2_OK:
            refused = lib.SV2_ERR_CERT_VERSION <= status <= lib.SV2_ERR_CERT_NO_CLOCK
            raise NoiseError(Fault(status), certificate if refused else None)
        return Session(sender, receiver, _take(digest), certificate)


@dataclass(frozen=True, repr=False, eq=False)
class Identity(_Unique):
    """What a server shows: the secret of its static key (32 bytes) and a certificate for it."""

    secret: bytes
    certificate: Certificate

    def __post_init__(self) -> None:
        if public_key(self.secret) != self.certificate.server_key:
            raise ValueError("the certificate is for another static key")

    def __repr__(self) -> str:
        return f"Identity(server_key={self.certificate.server_key.hex()})"


def respond(act_1: Buffer, identity: Identity) -> tuple[bytes, Session]:
    """The whole handshake as the server: takes the client's 64 bytes, gives the 234 to send.

    Every 64 bytes get an answer: a client that is none is found out with its first frame. Raises
    ValueError for another size, NoiseError with Fault.PROVIDER where the cryptography failed.
    """
    crypto = _Crypto()
    message = _sized("act 1", act_1, ACT_1_SIZE)
    sender, receiver = Sender(crypto), Receiver(crypto)
    act_2, digest = ffi.new("uint8_t[]", ACT_2_SIZE), ffi.new("uint8_t[32]")
    shown = ffi.new("sv2_noise_identity *")
    try:
        shown.secret = _sized("a secret", identity.secret, KEY_SIZE)
        shown.certificate = identity.certificate.to_wire()
        status = lib.sv2_noise_respond(
            sender._struct, receiver._struct, digest, act_2, message, shown, crypto.provider
        )
    finally:
        _wipe(shown)
    _check(status)
    return _take(act_2), Session(sender, receiver, _take(digest), None)


# ---- Receiving -----------------------------------------------------------------------------------


class Reader(_Unique):
    """Sealed bytes in, plain frames out: what sv2_ffi.Decoder is to a connection in the clear.

    Memory grows with what has arrived, never with what a header announces.

    Args:
        receiver: the session's, in the reader's hands from now on.
        max_frame_size: largest plain frame to accept, header included, in bytes. More than
            MAX_FRAME_SIZE is the same as that.
    """

    __slots__ = ("_at", "_buffer", "_cursor", "_frame", "_input", "_receiver", "_struct")

    def __init__(self, receiver: Receiver, max_frame_size: int = MAX_FRAME_SIZE) -> None:
        self._receiver = receiver
        self._struct = ffi.new("sv2_noise_reader *")
        lib.sv2_noise_reader_init(self._struct, receiver._struct, ffi.NULL, 0, 0)
        self.max_frame_size = max_frame_size
        self._buffer: Any = None
        self._frame = ffi.new("sv2_frame *")
        self._cursor = ffi.new("size_t *")
        # What feed() took; from _at on no frame has it yet. A bytearray while some is left over.
        self._input: bytes | bytearray = b""
        self._at = 0

    @property
    def max_frame_size(self) -> int:
        """May be set at any time, and holds from the next header on."""
        return HEADER_SIZE + int(self._struct.limit)

    @max_frame_size.setter
    def max_frame_size(self, size: int) -> None:
        if size < HEADER_SIZE:
            raise ValueError(f"max_frame_size is below {HEADER_SIZE}")
        lib.sv2_noise_reader_set_limit(self._struct, min(size - HEADER_SIZE, MAX_PAYLOAD_SIZE))

    @property
    def pending(self) -> int:
        """Bytes that are held and have not come out as a frame."""
        return int(self._struct.held) + len(self._input) - self._at

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun that is not complete, or bytes wait to be iterated over."""
        return len(self._input) > self._at or lib.sv2_noise_reader_is_mid_frame(self._struct)

    def feed(self, data: Buffer) -> Iterator[bytes]:
        """Takes data, all of it and at once, and gives the plain frames that are complete.

        The iterator raises FrameTooLarge for a frame over the limit, which is dropped: the stream
        is intact, and feed(b"") goes on behind it. NoiseError (AUTH, NONCE) is final. What is not
        iterated over now comes with the next feed.
        """
        self._append(_octets(data))
        return self._frames()

    def _append(self, data: bytes) -> None:
        if self._at == len(self._input):
            self._input, self._at = data, 0
        elif data:
            if isinstance(self._input, bytearray):
                del self._input[: self._at]
            else:
                self._input = bytearray(memoryview(self._input)[self._at :])
            self._at = 0
            self._input += data

    def _frames(self) -> Iterator[bytes]:
        while True:
            try:
                self._at, found = self.next_frame(self._input, self._at)
            except (FrameTooLarge, NoiseError, MemoryError):
                self._at = self._cursor[0]
                raise
            if found is None:
                return
            header, payload = found
            yield bytes(header) + payload

    def next_frame(self, data: Buffer, at: int = 0) -> tuple[int, tuple[FrameHeader, bytes] | None]:
        """The next frame out of data[at:], which the caller holds: instead of feed().

        Returns where it stopped reading, and the frame's header and payload; None where data is
        used up and no frame complete. Raises what feed()'s iterator raises, with the same meaning
        for the stream but that the rest of data is lost; ValueError where at is not in data.
        """
        busy = self._receiver._busy
        if not busy.acquire(False):
            raise _in_use(self)
        try:
            return self._next_frame(data, at)
        finally:
            busy.release()

    def _next_frame(self, data: Buffer, at: int) -> tuple[int, tuple[FrameHeader, bytes] | None]:
        cursor = self._cursor
        with _from_buffer(_BYTES, data) as view:
            end = len(view)
            if not 0 <= at <= end:
                raise ValueError(f"at is not in 0 to {end}")
            cursor[0] = at
            while (
                status := _glue_next(self._struct, self._frame, view, cursor, end)
            ) == lib.SV2_ERR_BUFFER:
                self._grow()
        match status:
            case lib.SV2_OK:
                return cursor[0], self._give()
            case lib.SV2_NEED_MORE:
                return cursor[0], None
            case lib.SV2_ERR_FRAME_LARGE:
                raise self._refuse()
            case _:
                raise NoiseError(Fault(status))

    def _give(self) -> tuple[FrameHeader, bytes]:
        frame = self._frame
        size = frame.length
        header = FrameHeader(frame.extension_type, frame.message_type, size)
        payload = _buffer(frame.payload, size)[:]
        if size + MAC_SIZE > _KEPT_BUFFER:
            self._resize(_FIRST_BUFFER)
        return header, payload

    def _refuse(self) -> FrameTooLarge:
        frame = self._frame
        lib.sv2_noise_reader_skip(self._struct)
        return FrameTooLarge(
            frame.extension_type,
            frame.message_type,
            HEADER_SIZE + frame.length,
            self.max_frame_size,
        )

    def _grow(self) -> None:
        needed = self._frame.length + MAC_SIZE
        self._resize(max(min(4 * self._struct.capacity, needed), _FIRST_BUFFER))

    def _resize(self, capacity: int) -> None:
        buffer = _new_bytes(_BYTES, capacity)
        _check(lib.sv2_noise_reader_grow(self._struct, buffer, capacity))
        self._buffer = buffer
