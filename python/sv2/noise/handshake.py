"""The handshake ``Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256`` (spec 4.5) in Python.

Act 1 is the client's ephemeral key, 64 bytes. Act 2 is the server's ephemeral key (64), its
encrypted static key (64 + 16) and its encrypted certificate (74 + 16): 234 bytes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sv2.noise import _secp256k1
from sv2.noise.certificate import CERTIFICATE_SIZE, Certificate, ServerIdentity
from sv2.noise.cipher import KEY_SIZE, CipherState, FrameOpener, FrameSealer
from sv2.noise.engine import ACT_1_SIZE, ACT_2_SIZE, MAC_SIZE, Buffer, Session
from sv2.noise.errors import HandshakeError, TransportError
from sv2.noise.keys import ExchangeSecretKey

PROTOCOL_NAME = b"Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256"
# The name is longer than a hash, so the first chaining key is its hash (spec 4.5.1).
INITIAL_CHAINING_KEY = hashlib.sha256(PROTOCOL_NAME).digest()
# The empty prologue of the Noise framework: the hash once more.
INITIAL_HASH = hashlib.sha256(INITIAL_CHAINING_KEY).digest()

_PUBLIC_SIZE = _secp256k1.ELLSWIFT_SIZE
_STATIC_END = _PUBLIC_SIZE + _PUBLIC_SIZE + MAC_SIZE
assert ACT_1_SIZE == _PUBLIC_SIZE
assert ACT_2_SIZE == _STATIC_END + CERTIFICATE_SIZE + MAC_SIZE

RandomBytes = Callable[[int], bytes]


class SymmetricState:
    """The chaining key, the transcript hash and the handshake cipher (spec 4.4.2)."""

    __slots__ = ("_chaining_key", "_cipher", "hash")

    def __init__(self) -> None:
        self._chaining_key = INITIAL_CHAINING_KEY
        self._cipher: CipherState | None = None
        self.hash = INITIAL_HASH

    def _derive(self, material: bytes) -> tuple[bytes, bytes]:
        kdf = HKDF(algorithm=SHA256(), length=2 * KEY_SIZE, salt=self._chaining_key, info=b"")
        output = kdf.derive(material)
        return output[:KEY_SIZE], output[KEY_SIZE:]

    def mix_hash(self, data: Buffer) -> None:
        """Make ``data`` part of the transcript."""
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, shared_secret: bytes) -> None:
        """Make the result of a key agreement part of all keys from here on."""
        self._chaining_key, key = self._derive(shared_secret)
        self._cipher = CipherState(key)

    def encrypt_and_hash(self, plain: bytes) -> bytes:
        """Ciphertext of a handshake field; plain before the first key agreement."""
        sealed = plain if self._cipher is None else self._cipher.encrypt(plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        """The inverse; :class:`HandshakeError` if the field does not authenticate."""
        try:
            plain = sealed if self._cipher is None else self._cipher.decrypt(sealed, self.hash)
        except TransportError:
            raise HandshakeError("a handshake message does not authenticate") from None
        self.mix_hash(sealed)
        return plain

    def split(self) -> tuple[CipherState, CipherState]:
        """The transport ciphers: client to server, and server to client."""
        to_server, to_client = self._derive(b"")
        return CipherState(to_server), CipherState(to_client)


class _Handshake:
    """What both sides share: one transcript, one ephemeral key, one use."""

    def __init__(self, random_bytes: RandomBytes) -> None:
        self._random_bytes = random_bytes
        self._state = SymmetricState()
        self._done = False

    def _make_ephemeral(self) -> tuple[ExchangeSecretKey, bytes]:
        while True:
            secret = self._random_bytes(_secp256k1.SECRET_SIZE)
            # One in 2**128 candidates is out of range.
            if _secp256k1.is_secret(secret):
                break
        key = ExchangeSecretKey(secret)
        return key, key.ellswift(self._random_bytes(32))

    def _take(self, message: Buffer, size: int) -> bytes:
        if self._done:
            raise HandshakeError("this handshake is over")
        self._done = True
        if len(message) != size:
            raise HandshakeError(f"a handshake message is {size} bytes, not {len(message)}")
        return bytes(message)


class PythonInitiator(_Handshake):
    """The client's side; see :class:`sv2.noise.engine.InitiatorHandshake`."""

    def __init__(self, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        super().__init__(random_bytes)
        self._ephemeral, self._public = self._make_ephemeral()
        self._started = False

    def write_act_1(self) -> bytes:
        if self._started:
            raise HandshakeError("act 1 was written already")
        self._started = True
        self._state.mix_hash(self._public)
        return self._public + self._state.encrypt_and_hash(b"")

    def read_act_2(self, message: Buffer) -> tuple[Certificate, Session]:
        if not self._started:
            raise HandshakeError("act 2 came before act 1")
        act = self._take(message, ACT_2_SIZE)
        state = self._state
        server_ephemeral = act[:_PUBLIC_SIZE]
        state.mix_hash(server_ephemeral)
        state.mix_key(self._agree(server_ephemeral))
        server_static = state.decrypt_and_hash(act[_PUBLIC_SIZE:_STATIC_END])
        state.mix_key(self._agree(server_static))
        signed = state.decrypt_and_hash(act[_STATIC_END:])
        server_key = _secp256k1.x_only_from_ellswift(server_static)
        to_server, to_client = state.split()
        session = Session(FrameSealer(to_server), FrameOpener(to_client), state.hash)
        return Certificate.from_wire(signed, server_key), session

    def _agree(self, theirs: bytes) -> bytes:
        return self._ephemeral.agree(self._public, theirs, initiator=True)


class PythonResponder(_Handshake):
    """The server's side; see :class:`sv2.noise.engine.ResponderHandshake`."""

    def __init__(
        self, identity: ServerIdentity, random_bytes: RandomBytes = secrets.token_bytes
    ) -> None:
        super().__init__(random_bytes)
        self._identity = identity

    def read_act_1(self, message: Buffer) -> tuple[bytes, Session]:
        client_ephemeral = self._take(message, ACT_1_SIZE)
        state = self._state
        state.mix_hash(client_ephemeral)
        state.decrypt_and_hash(b"")
        ephemeral, public = self._make_ephemeral()
        state.mix_hash(public)
        state.mix_key(ephemeral.agree(public, client_ephemeral, initiator=False))
        static = self._identity.static_key
        static_public = static.ellswift(self._random_bytes(32))
        act = public + state.encrypt_and_hash(static_public)
        state.mix_key(static.agree(static_public, client_ephemeral, initiator=False))
        act += state.encrypt_and_hash(self._identity.certificate().to_wire())
        to_server, to_client = state.split()
        return act, Session(FrameSealer(to_client), FrameOpener(to_server), state.hash)


class PythonEngine:
    """The :class:`sv2.noise.engine.Engine` that is always there.

    ``random_bytes`` is the source of ephemeral keys; tests replace it to replay a handshake.
    """

    name = "python"

    def __init__(self, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes

    def initiator(self) -> PythonInitiator:
        return PythonInitiator(self._random_bytes)

    def responder(self, identity: ServerIdentity) -> PythonResponder:
        return PythonResponder(identity, self._random_bytes)
