"""Certificates: what a server shows in the handshake, and when a client believes it (spec 4.5.3).

A certificate says "this static key speaks for that authority, from then until then". On the wire
it is the 74-byte SIGNATURE_NOISE_MESSAGE; the server's key travels beside it. The signature is
BIP340's, by the authority, over
``SHA256(version u16 | valid_from u32 | not_valid_after u32 | 32-byte x-only server key)``, with
little-endian integers. Times are Unix seconds.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

from sv2.noise.errors import CertificateError, CertificateFault, HandshakeError
from sv2.noise.keys import AuthorityPublicKey, AuthoritySecretKey, StaticSecretKey

CERTIFICATE_VERSION = 0
CERTIFICATE_SIZE = 74
# How far a peer's clock may be off before a date counts; the Rust implementation's figure.
CLOCK_TOLERANCE = 10.0

_SIGNED_PART = struct.Struct("<HII")
_U32_MAX = 0xFFFFFFFF


def format_time(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class WallClock:
    """Check both dates against ``now()``, give or take ``tolerance`` seconds."""

    now: Callable[[], float] = time.time
    tolerance: float = CLOCK_TOLERANCE

    def check(self, certificate: Certificate) -> None:
        now = self.now()
        if certificate.valid_from > now + self.tolerance:
            raise CertificateError(
                CertificateFault.NOT_YET_VALID,
                f"valid from {format_time(certificate.valid_from)}, it is {format_time(now)}",
            )
        if certificate.not_valid_after < now - self.tolerance:
            raise CertificateError(
                CertificateFault.EXPIRED,
                f"valid until {format_time(certificate.not_valid_after)}, it is {format_time(now)}",
            )


@dataclass(frozen=True)
class EarliestTime:
    """For a device that does not know the time, only that it is not before ``earliest``.

    ``earliest`` is for instance the build time of its firmware, or the last time it was told.
    Refuses certificates that ended before it; one that begins later cannot be told from one that
    is valid, and is accepted. Choosing this policy accepts a stolen key until then.
    """

    earliest: int

    def check(self, certificate: Certificate) -> None:
        if certificate.not_valid_after < self.earliest:
            raise CertificateError(
                CertificateFault.EXPIRED,
                f"valid until {format_time(certificate.not_valid_after)}, "
                f"it is at least {format_time(self.earliest)}",
            )


@dataclass(frozen=True)
class NoClock:
    """For a device that must not connect before it knows the time: refuses every certificate."""

    def check(self, certificate: Certificate) -> None:
        raise CertificateError(CertificateFault.NO_CLOCK)


ClockPolicy = WallClock | EarliestTime | NoClock


@dataclass(frozen=True)
class Certificate:
    """A certificate as received or issued; nothing is checked until a policy checks it.

    ``server_key`` is the server's 32-byte x-only static key, ``signature`` 64 bytes.
    """

    version: int
    valid_from: int
    not_valid_after: int
    server_key: bytes
    signature: bytes

    @classmethod
    def from_wire(cls, message: bytes, server_key: bytes) -> Certificate:
        """Split the 74-byte SIGNATURE_NOISE_MESSAGE (spec 4.5.2)."""
        if len(message) != CERTIFICATE_SIZE:
            raise HandshakeError(f"a certificate is {CERTIFICATE_SIZE} bytes, not {len(message)}")
        version, valid_from, not_valid_after = _SIGNED_PART.unpack_from(message)
        signature = message[_SIGNED_PART.size :]
        return cls(version, valid_from, not_valid_after, bytes(server_key), signature)

    def to_wire(self) -> bytes:
        """The 74-byte SIGNATURE_NOISE_MESSAGE; the server key is not part of it."""
        return self._dates() + self.signature

    def digest(self) -> bytes:
        """The 32 bytes that the authority signs (spec 4.5.3.1)."""
        return hashlib.sha256(self._dates() + self.server_key).digest()

    def _dates(self) -> bytes:
        return _SIGNED_PART.pack(self.version, self.valid_from, self.not_valid_after)


@dataclass(frozen=True)
class CertificatePolicy:
    """When a client believes a server: signed by ``authority``, and current by ``clock``.

    ``CertificatePolicy.unverified()`` is the one way to believe anybody. The session is then
    encrypted, but to whoever answered; use it to look at a server, never to mine.
    """

    authority: AuthorityPublicKey | None
    clock: ClockPolicy = field(default_factory=WallClock)
    verified: bool = True
    """Whether this policy checks anything."""

    def __post_init__(self) -> None:
        if self.authority is not None and not isinstance(self.authority, AuthorityPublicKey):
            raise TypeError("authority must be an AuthorityPublicKey")
        # An authority that is missing by mistake never means to believe anybody.
        if self.verified == (self.authority is None):
            raise ValueError("a policy has an authority, or is CertificatePolicy.unverified()")

    @classmethod
    def unverified(cls) -> CertificatePolicy:
        """Accept every certificate, unread."""
        return cls(authority=None, verified=False)

    def check(self, certificate: Certificate) -> None:
        """Raise :class:`CertificateError` unless the certificate is to be believed.

        The signature comes before the dates, so that a date that is complained of is the
        authority's word and not an attacker's.
        """
        if self.authority is None:
            return
        try:
            self._check(self.authority, certificate)
        except CertificateError as error:
            error.certificate = certificate
            raise

    def _check(self, authority: AuthorityPublicKey, certificate: Certificate) -> None:
        if certificate.version != CERTIFICATE_VERSION:
            raise CertificateError(CertificateFault.VERSION, f"version {certificate.version}")
        if not authority.verifies(certificate.digest(), certificate.signature):
            raise CertificateError(CertificateFault.SIGNATURE)
        if certificate.valid_from > certificate.not_valid_after:
            raise CertificateError(CertificateFault.DATES)
        self.clock.check(certificate)


def issue_certificate(
    authority: AuthoritySecretKey,
    server_key: bytes,
    *,
    valid_from: int,
    not_valid_after: int,
    version: int = CERTIFICATE_VERSION,
) -> Certificate:
    """Sign ``server_key`` (32-byte x-only) for the given time, in Unix seconds.

    ``version`` is there for tests of peers; the only one that the spec knows is 0.
    """
    if not 0 <= valid_from <= not_valid_after <= _U32_MAX:
        raise ValueError("a certificate needs 0 <= valid_from <= not_valid_after < 2**32")
    unsigned = Certificate(version, valid_from, not_valid_after, bytes(server_key), b"")
    signature = authority.sign(unsigned.digest())
    return Certificate(version, valid_from, not_valid_after, unsigned.server_key, signature)


class ServerIdentity:
    """What a server shows to clients: a static key and a certificate for it.

    Either fixed, from a certificate that was issued elsewhere, or :meth:`self_issued`, where the
    server holds the authority's key and renews the certificate in time.
    """

    def __init__(self, static_key: StaticSecretKey, certificate: Certificate) -> None:
        if certificate.server_key != static_key.x_only:
            raise ValueError("the certificate is for another static key")
        self.static_key = static_key
        self._certificate = certificate

    @classmethod
    def self_issued(
        cls,
        authority: AuthoritySecretKey,
        static_key: StaticSecretKey | None = None,
        *,
        lifetime: int = 24 * 3600,
        backdate: int = 3600,
        now: Callable[[], float] = time.time,
    ) -> ServerIdentity:
        """An identity whose certificates last ``lifetime`` seconds and are renewed at half of it.

        ``valid_from`` lies ``backdate`` seconds back, for clients whose clock is slow.
        Without ``static_key`` a new one is made, which lives as long as this object.
        """
        if lifetime < 2 or backdate < 0:
            raise ValueError("lifetime must be at least 2 s and backdate not negative")
        return _SelfIssued(
            authority, static_key or StaticSecretKey.generate(), lifetime, backdate, now
        )

    def certificate(self) -> Certificate:
        """The certificate to show now."""
        return self._certificate

    def __repr__(self) -> str:
        return f"{type(self).__name__}(server_key={self.static_key.x_only.hex()})"


class _SelfIssued(ServerIdentity):
    def __init__(
        self,
        authority: AuthoritySecretKey,
        static_key: StaticSecretKey,
        lifetime: int,
        backdate: int,
        now: Callable[[], float],
    ) -> None:
        self._authority = authority
        self._lifetime = lifetime
        self._backdate = backdate
        self._now = now
        self.static_key = static_key
        super().__init__(static_key, self._issue())

    def _issue(self) -> Certificate:
        self._issued_at = int(self._now())
        return issue_certificate(
            self._authority,
            self.static_key.x_only,
            valid_from=max(0, self._issued_at - self._backdate),
            not_valid_after=min(_U32_MAX, self._issued_at + self._lifetime),
        )

    def certificate(self) -> Certificate:
        age = self._now() - self._issued_at
        # A negative age is a clock that was set back: the old dates may then lie in the future.
        if not 0 <= age < self._lifetime / 2:
            self._certificate = self._issue()
        return self._certificate
