"""Layers around the handling of messages.

A layer takes the handle that it wraps and gives another one; a handle takes a peer and a message
and gives the reply. Every message that arrives passes through the layers of its service, from the
first to the last of the list, SetupConnection included; the reply passes back the same way::

    def shout(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            print(type(message).__name__)
            return await inner(peer, message)
        return handle

    ServerConfig(..., layers=[shout, rate_limit(100)])

A layer may answer by itself (to SetupConnection too), wait, raise :class:`Disconnect` to end the
connection, or keep state by peer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from weakref import WeakKeyDictionary

from sv2.deadline import within
from sv2.net import AccessList
from sv2.services.errors import Cause, Disconnect
from sv2.services.events import log_event
from sv2.services.peer import Client, Peer, Reply, replies
from sv2_ffi import AnyMessage
from sv2_ffi.common import SetupConnection, SetupConnectionError

logger = logging.getLogger("sv2.services.messages")

# Seconds below which a wait is rounding.
_NO_WAIT = 1e-6

Handle = Callable[[Peer, AnyMessage], Awaitable[Reply]]
Layer = Callable[[Handle], Handle]


def stack(layers: Sequence[Layer], innermost: Handle) -> Handle:
    """One handle out of ``layers``, the first outermost, around ``innermost``."""
    handle = innermost
    for layer in reversed(layers):
        handle = layer(handle)
    return handle


def log_messages(level: int = logging.DEBUG) -> Layer:
    """Log each message and its reply by their classes, to ``sv2.services.messages``."""

    def layer(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            reply = await inner(peer, message)
            if not logger.isEnabledFor(level):
                return reply
            names = ",".join(type(answer).__name__ for answer in replies(reply)) or None
            name = type(message).__name__
            log_event(logger, level, "handled", peer=peer.id, message=name, reply=names)
            return reply

        return handle

    return layer


@dataclass
class Metrics:
    """Counts and times of handling, by the class of the message; its :meth:`layer` fills it."""

    handled: Counter[type[AnyMessage]] = field(default_factory=Counter)
    replied: Counter[type[AnyMessage]] = field(default_factory=Counter)
    failed: Counter[type[AnyMessage]] = field(default_factory=Counter)
    """Messages on which a handler or an inner layer raised, Disconnect included."""
    seconds: dict[type[AnyMessage], float] = field(default_factory=lambda: defaultdict(float))
    """Time spent: waits of inner layers included, sending of the reply not."""

    def layer(self, inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            kind, begun = type(message), perf_counter()
            try:
                reply = await inner(peer, message)
            except BaseException:
                self.failed[kind] += 1
                raise
            finally:
                self.handled[kind] += 1
                self.seconds[kind] += perf_counter() - begun
            self.replied.update(map(type, replies(reply)))
            return reply

        return handle


def rate_limit(
    per_second: float,
    burst: int = 1,
    *,
    end: bool = False,
    clock: Callable[[], float] = perf_counter,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Layer:
    """Let each peer send ``burst`` messages at once and ``per_second`` in the long run.

    What comes faster waits. While it does, nothing more is read of that peer, so that TCP slows
    it down and no memory grows; no other peer waits. With ``end`` it is disconnected instead.
    """
    if per_second <= 0 or burst < 1:
        raise ValueError("a rate above 0 and a burst of 1 at least")

    def layer(inner: Handle) -> Handle:
        # When the peer will have been silent for long enough to have its whole burst again.
        full_at: WeakKeyDictionary[Peer, float] = WeakKeyDictionary()

        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            now = clock()
            full = max(now, full_at.get(peer, now)) + 1 / per_second
            wait = full - now - burst / per_second
            if wait > _NO_WAIT and end:
                raise Disconnect(cause=Cause.RATE)
            full_at[peer] = full
            if wait > _NO_WAIT:
                await sleep(wait)
            return await inner(peer, message)

        return handle

    return layer


def timeout(seconds: float, *, end: bool = False) -> Layer:
    """Cancel the handling of a message that takes longer: TimeoutError, which is counted as a
    handler's error. The connection goes on without an answer, unless ``end``."""

    def layer(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            try:
                return await within(seconds, _awaited(inner(peer, message)))
            except asyncio.TimeoutError:
                if end:
                    raise Disconnect(cause=Cause.HANDLER_TIMEOUT) from None
                raise

        return handle

    return layer


async def _awaited(work: Awaitable[Reply]) -> Reply:
    return await work


def access_list(
    *,
    allow: Iterable[str] = ("0.0.0.0/0", "::/0"),
    deny: Iterable[str] = (),
    error_code: str = "access-denied",
) -> Layer:
    """Refuse the setup of clients by their address, with an answer; see
    :class:`sv2.net.AccessList`. :attr:`sv2.net.Limits.admit` refuses them without, before they have
    cost a handshake."""
    access = AccessList(allow=allow, deny=deny)

    def layer(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            match message:
                case SetupConnection() if isinstance(peer, Client) and not access.permits(
                    peer.address[0]
                ):
                    return SetupConnectionError(0, error_code)
            return await inner(peer, message)

        return handle

    return layer
