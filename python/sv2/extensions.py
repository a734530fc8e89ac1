"""Protocol extensions: negotiation (0x0001) and worker-specific hashrate (0x0002).

Both sides agree on extensions after setup: the client asks with ``RequestExtensions``, the server
answers with ``.Success`` or ``.Error``. Until then, and for all that was not agreed on, no TLV of
an extension may be sent, and one that is received is ignored (spec 3.4, extensions/0x0001).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sv2_ffi import AnyMessage, Sv2Error, Tlv
from sv2_ffi.common import ChannelEndpointChanged
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess

NEGOTIATION = 0x0001
WORKER_HASHRATE = 0x0002

USER_IDENTITY_FIELD = 0x01
MAX_USER_IDENTITY = 32


class ExtensionError(Sv2Error):
    """A TLV that breaks the rules of its extension; the message that carries it is to be rejected
    (spec 3.4.3)."""


@dataclass(frozen=True)
class ExtensionPolicy:
    """Which extensions a server supports, and which it insists on.

    >>> ExtensionPolicy(supported=frozenset({WORKER_HASHRATE}))
    """

    supported: frozenset[int] = frozenset()
    required: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not self.required <= self.supported:
            raise ValueError("a server cannot require an extension that it does not support")

    def answer(
        self, request: RequestExtensions
    ) -> RequestExtensionsSuccess | RequestExtensionsError:
        """The answer to send.

        An error when nothing of what was asked for is supported, or when something required was
        not asked for; its lists say what. Duplicates in the request count once.
        """
        asked = dict.fromkeys(request.requested_extensions)
        granted = [number for number in asked if number in self.supported]
        missing = sorted(self.required - asked.keys())
        if missing or (asked and not granted):
            refused = [number for number in asked if number not in self.supported]
            return RequestExtensionsError(request.request_id, refused, missing)
        return RequestExtensionsSuccess(request.request_id, granted)

    def satisfied_by(self, active: Collection[int]) -> bool:
        """Whether all required extensions are active. If they are not when the client goes on to
        other messages, the server must disconnect it (extensions/0x0001, 4.6)."""
        return self.required <= set(active)


def retry_request(
    request: RequestExtensions, error: RequestExtensionsError, known: Collection[int]
) -> RequestExtensions | None:
    """The request to try after ``error``, or None when no other request can do better.

    It drops what the server does not support and adds what it requires, if all of that is
    ``known`` to us.
    """
    required = set(error.required_extensions)
    if not required or not required <= set(known):
        return None
    kept = set(request.requested_extensions) - set(error.unsupported_extensions)
    retried = sorted(kept | required)
    if retried == sorted(set(request.requested_extensions)):
        return None
    return RequestExtensions((request.request_id + 1) & 0xFFFF, retried)


class Negotiation:
    """The extensions of one connection, followed on either side by watching its messages."""

    __slots__ = ("_request", "active")

    def __init__(self) -> None:
        self.active: frozenset[int] = frozenset()
        self._request: RequestExtensions | None = None

    @property
    def pending(self) -> bool:
        """Whether a request waits for its answer."""
        return self._request is not None

    def abandon(self) -> None:
        """Stop waiting for an answer: the server does not know this extension (it is silent)."""
        self._request = None

    def follow(self, message: AnyMessage) -> None:
        """Take note of a message that was sent or received.

        An answer that nobody waits for, or to another request, changes nothing; nor does an
        extension in it that was not asked for become active.
        """
        request = self._request
        match message:
            case RequestExtensions():
                self._request = message
            case RequestExtensionsSuccess() if request and request.request_id == message.request_id:
                asked = frozenset(request.requested_extensions)
                self.active = asked.intersection(message.supported_extensions)
                self._request = None
            case RequestExtensionsError() if request and request.request_id == message.request_id:
                self._request = None
            case ChannelEndpointChanged():
                self.active = frozenset()
                self._request = None

    def select(self, tlvs: Iterable[Tlv]) -> tuple[Tlv, ...]:
        """Those of ``tlvs`` whose extension is active; the others are to be ignored."""
        return tuple(tlv for tlv in tlvs if tlv.extension_type in self.active)


def user_identity_tlv(user_identity: str) -> Tlv:
    """The TLV that names the worker of a ``SubmitSharesExtended`` (extension 0x0002).

    :class:`ValueError` if the name is longer than 32 bytes in UTF-8.
    """
    value = user_identity.encode("utf-8")
    if len(value) > MAX_USER_IDENTITY:
        raise ValueError(f"user_identity is {len(value)} bytes, at most {MAX_USER_IDENTITY} fit")
    return Tlv(WORKER_HASHRATE, USER_IDENTITY_FIELD, value)


def user_identity(tlvs: Iterable[Tlv]) -> str | None:
    """The worker's name among the negotiated TLVs of a ``SubmitSharesExtended``, or None.

    :class:`ExtensionError` if it is longer than 32 bytes, not UTF-8, or there twice.
    """
    values = [
        tlv.value
        for tlv in tlvs
        if (tlv.extension_type, tlv.field_type) == (WORKER_HASHRATE, USER_IDENTITY_FIELD)
    ]
    if not values:
        return None
    if len(values) > 1:
        raise ExtensionError("user_identity is there more than once")
    if len(values[0]) > MAX_USER_IDENTITY:
        raise ExtensionError(f"user_identity is {len(values[0])} bytes, the limit is 32")
    try:
        return values[0].decode("utf-8")
    except UnicodeDecodeError:
        raise ExtensionError("user_identity is not UTF-8") from None
