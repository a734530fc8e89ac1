"""What all handlers have in common: the life of a service and of its connections."""

from __future__ import annotations

import logging
from typing import ClassVar, Generic, TypeGuard, TypeVar

from sv2.connection import Protocol
from sv2.services.errors import ServiceError, UnexpectedMessage
from sv2.services.events import log_event
from sv2.services.peer import Peer, Reply
from sv2_ffi import AnyMessage, UnknownMessage

logger = logging.getLogger("sv2.services")

PeerT = TypeVar("PeerT", bound=Peer)
HandlerT = TypeVar("HandlerT")


class Handler(Generic[PeerT]):
    """Base of the six handlers. One handler serves all connections of its protocol.

    Its methods for one peer run one at a time and in the order of the messages; for different
    peers they run concurrently. A method returns what is to be sent to that peer: None, a message,
    or a sequence of messages; it can also send by itself, to any peer. What a method raises is
    logged and counted, and the connection goes on, unless :meth:`on_error` says otherwise;
    :class:`~sv2.services.Disconnect` ends it.
    """

    protocol: ClassVar[Protocol]

    async def on_stop(self) -> None:
        """The service has ended its connections."""

    async def on_connect(self, peer: PeerT) -> Reply:
        """Setup has succeeded: the first that a handler hears of a peer. An error ends it."""
        return None

    async def on_disconnect(self, peer: PeerT) -> None:
        """The connection is over, ``peer.ended`` says why. Called once for each on_connect."""

    async def on_error(self, peer: PeerT, message: AnyMessage, error: Exception) -> bool:
        """A method raised ``error`` on ``message``. True ends the connection; by default it goes
        on without an answer."""
        return False

    async def on_sibling(self, request: object) -> object:
        """A request from the sibling service; what is returned is its response, and what is
        raised becomes the sibling's :class:`~sv2.services.SiblingError`."""
        raise ServiceError(f"{type(self).__name__} takes no requests from a sibling")

    async def on_unknown(self, peer: PeerT, message: UnknownMessage) -> Reply:
        """A message that this library does not know. Ignored, as the spec asks (3.4); a proxy
        forwards those with the channel bit."""
        return ignored(peer, message)

    async def handle(self, peer: PeerT, message: AnyMessage) -> Reply:
        """Call the method for ``message``. :class:`UnexpectedMessage` if there is none, which ends
        the connection."""
        if isinstance(message, UnknownMessage):
            return await self.on_unknown(peer, message)
        raise UnexpectedMessage(message)


class Null:
    """Marks a handler that stands for a protocol which is not supported."""


def supported(handler: HandlerT | None) -> TypeGuard[HandlerT]:
    """Whether there is a handler, and not one that stands for there being none."""
    return handler is not None and not isinstance(handler, Null)


def ignored(peer: Peer, message: AnyMessage) -> Reply:
    """Log that a message was ignored; no reply."""
    log_event(
        logger, logging.DEBUG, "message-ignored", peer=peer.id, message=type(message).__name__
    )
    return None
