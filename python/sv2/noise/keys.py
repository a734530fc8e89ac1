"""Keys of a pool's authority and of a server, and how they are written down.

Text forms (base58check, spec 4.7):

- authority public key: ``01 00 | 32-byte x-only key``, as in ``stratum2+tcp://host:port/KEY``;
- secret keys: the 32-byte secret alone, the form that the Rust roles use in their configuration.

A secret key shows its public half in ``repr``; its text is given out only by ``reveal``.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import NoReturn, TypeVar

import base58

from sv2.noise import _secp256k1
from sv2.noise.errors import KeyFault, KeyFormatError

PUBLIC_KEY_VERSION = b"\x01\x00"
# 38 bytes are 52 base58 characters at most; longer text is refused before any decoding.
MAX_KEY_TEXT = 64
_OWNER_ONLY = 0o600

_Secret = TypeVar("_Secret", bound="SecretKey")


def _decode_text(what: str, text: str) -> bytes:
    if len(text) > MAX_KEY_TEXT:
        raise KeyFormatError(what, KeyFault.LENGTH)
    if not (text.isascii() and text.isalnum()):
        raise KeyFormatError(what, KeyFault.CHARACTER)
    fault = KeyFault.CHARACTER
    try:
        base58.b58decode(text)
        fault = KeyFault.CHECKSUM
        return base58.b58decode_check(text)
    except ValueError:
        # Dropping the library's error keeps key text out of tracebacks.
        raise KeyFormatError(what, fault) from None


class AuthorityPublicKey:
    """The x-only public key of the authority that signs a pool's certificates."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        """Take the 32 bytes of a BIP340 x-only key; :class:`KeyFormatError` if they are none."""
        if len(raw) != _secp256k1.X_ONLY_SIZE:
            raise KeyFormatError("authority public key", KeyFault.LENGTH)
        if not _secp256k1.is_x_only(raw):
            raise KeyFormatError("authority public key", KeyFault.VALUE)
        self._raw = bytes(raw)

    @classmethod
    def from_text(cls, text: str) -> AuthorityPublicKey:
        """Read the base58check form of spec 4.7; :class:`KeyFormatError` says what is wrong."""
        what = "authority public key"
        data = _decode_text(what, text)
        if len(data) != len(PUBLIC_KEY_VERSION) + _secp256k1.X_ONLY_SIZE:
            raise KeyFormatError(what, KeyFault.LENGTH)
        if data[: len(PUBLIC_KEY_VERSION)] != PUBLIC_KEY_VERSION:
            raise KeyFormatError(what, KeyFault.VERSION)
        return cls(data[len(PUBLIC_KEY_VERSION) :])

    def __bytes__(self) -> bytes:
        return self._raw

    def __str__(self) -> str:
        return base58.b58encode_check(PUBLIC_KEY_VERSION + self._raw).decode("ascii")

    def __repr__(self) -> str:
        return f"AuthorityPublicKey({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AuthorityPublicKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def verifies(self, digest: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this authority's BIP340 signature of ``digest``."""
        return _secp256k1.schnorr_verify(self._raw, digest, signature)


class SecretKey:
    """A secp256k1 secret. Use :class:`AuthoritySecretKey` or :class:`StaticSecretKey`."""

    __slots__ = ("_secret", "_x_only")
    _what = "secret key"

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes of a secret; :class:`KeyFormatError` if they are no valid scalar."""
        if len(secret) != _secp256k1.SECRET_SIZE:
            raise KeyFormatError(self._what, KeyFault.LENGTH)
        if not _secp256k1.is_secret(secret):
            raise KeyFormatError(self._what, KeyFault.VALUE)
        self._secret = bytes(secret)
        self._x_only: bytes | None = None

    @classmethod
    def generate(cls: type[_Secret]) -> _Secret:
        """A new key from the system's random source."""
        while True:
            candidate = secrets.token_bytes(_secp256k1.SECRET_SIZE)
            # One in 2**128 candidates is out of range.
            if _secp256k1.is_secret(candidate):
                return cls(candidate)

    @classmethod
    def from_text(cls: type[_Secret], text: str) -> _Secret:
        """Read the base58check form; the error never repeats the text."""
        return cls(_decode_text(cls._what, text))

    @classmethod
    def load(cls: type[_Secret], path: str | os.PathLike[str]) -> _Secret:
        """Read a key file. One that group or others may read or write is refused."""
        with open(path, encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & ~(_OWNER_ONLY | stat.S_IXUSR):
                raise KeyFormatError(f"{cls._what} file (mode {mode:04o})", KeyFault.FILE_MODE)
            text = file.read(MAX_KEY_TEXT + 2)
        return cls.from_text(text.strip())

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the key to a file of mode 0600, whole or not at all.

        :class:`FileExistsError` if there is a file already and ``overwrite`` is not set.
        """
        target = Path(path)
        written = (
            target.with_name(f".{target.name}.{secrets.token_hex(8)}") if overwrite else target
        )
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(self.reveal() + "\n")
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                os.replace(written, target)
        except BaseException:
            written.unlink(missing_ok=True)
            raise

    def reveal(self) -> str:
        """The secret as base58check text. The only way to get it out: keep it off logs."""
        return base58.b58encode_check(self._secret).decode("ascii")

    @property
    def x_only(self) -> bytes:
        """The 32-byte x-only public key."""
        if self._x_only is None:
            self._x_only = _secp256k1.x_only(self._secret)
        return self._x_only

    def __repr__(self) -> str:
        return f"{type(self).__name__}(public={self.x_only.hex()})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SecretKey)
            and type(self) is type(other)
            and secrets.compare_digest(self._secret, other._secret)
        )

    def __hash__(self) -> int:
        return hash(self.x_only)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {self._what} cannot be pickled or copied; use save or reveal")


class AuthoritySecretKey(SecretKey):
    """The key that signs server certificates. Servers need it only to issue them."""

    __slots__ = ()
    _what = "authority secret key"

    @property
    def public_key(self) -> AuthorityPublicKey:
        """The key that clients are given."""
        return AuthorityPublicKey(self.x_only)

    def sign(self, digest: bytes) -> bytes:
        """The 64-byte BIP340 signature of a 32-byte digest."""
        return _secp256k1.schnorr_sign(self._secret, digest, secrets.token_bytes(32))


class ExchangeSecretKey(SecretKey):
    """A key for key agreement: an ephemeral one as it is, a server's as its subclass."""

    __slots__ = ()
    _what = "ephemeral secret key"

    def ellswift(self, randomness: bytes) -> bytes:
        """A 64-byte ElligatorSwift encoding of the public key, picked by 32 random bytes."""
        return _secp256k1.ellswift_create(self._secret, randomness)

    def agree(self, ours: bytes, theirs: bytes, *, initiator: bool) -> bytes:
        """BIP324's shared secret (32 bytes) between ``ours``, an encoding of this key that
        :meth:`ellswift` made, and the peer's encoding ``theirs``."""
        return _secp256k1.ellswift_xdh(self._secret, ours, theirs, initiator=initiator)


class StaticSecretKey(ExchangeSecretKey):
    """The key that a server proves to hold in the Noise handshake."""

    __slots__ = ()
    _what = "static secret key"
