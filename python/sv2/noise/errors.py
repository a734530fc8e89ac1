"""What can go wrong in :mod:`sv2.noise`, as one hierarchy whose members carry a reason as data.

No error of this package holds a secret, a decrypted payload or a peer's raw bytes, neither in its
text nor as an exception context.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from sv2_ffi import Sv2Error

if TYPE_CHECKING:
    from sv2.noise.certificate import Certificate


class NoiseError(Sv2Error):
    """Base class of every error raised by :mod:`sv2.noise`."""


class HandshakeError(NoiseError):
    """The handshake cannot be completed: a message of the wrong size, or one that does not
    authenticate. The session must be closed (spec 4.5)."""


class TransportError(NoiseError):
    """A transport message does not authenticate, or a nonce counter is used up. The session must
    be closed: a cipher never resumes after either (spec 4.4.1, 4.6)."""


class KeyFault(enum.Enum):
    """Why a key was refused."""

    CHARACTER = "a character that base58 does not have"
    CHECKSUM = "a wrong checksum"
    LENGTH = "a wrong length"
    VERSION = "an unknown version prefix"
    VALUE = "a value that is no key on secp256k1"
    FILE_MODE = "a file that others than its owner can read or write"


class KeyFormatError(NoiseError, ValueError):
    """A key was refused; ``fault`` says why. A refused key never means "go on unverified"."""

    def __init__(self, what: str, fault: KeyFault) -> None:
        super().__init__(f"{what} refused: it has {fault.value}")
        self.fault = fault


class CertificateFault(enum.Enum):
    """Why a server's certificate was refused."""

    VERSION = "its format version is not 0"
    SIGNATURE = "it is not signed by the expected authority"
    DATES = "it ends before it begins"
    NOT_YET_VALID = "it is not valid yet"
    EXPIRED = "it has expired"
    NO_CLOCK = "its dates cannot be checked without a clock"


class CertificateError(HandshakeError):
    """The server's certificate was refused.

    ``fault`` says why, ``detail`` adds figures, ``certificate`` is what the server showed.
    """

    certificate: Certificate | None = None

    def __init__(self, fault: CertificateFault, detail: str = "") -> None:
        super().__init__(f"certificate refused: {fault.value}" + (f" ({detail})" if detail else ""))
        self.fault = fault
        self.detail = detail
