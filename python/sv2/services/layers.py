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

from collections.abc import Awaitable, Callable, Sequence

from sv2.services.peer import Peer, Reply
from sv2_ffi import AnyMessage

Handle = Callable[[Peer, AnyMessage], Awaitable[Reply]]
Layer = Callable[[Handle], Handle]


def stack(layers: Sequence[Layer], innermost: Handle) -> Handle:
    """One handle out of ``layers``, the first outermost, around ``innermost``."""
    handle = innermost
    for layer in reversed(layers):
        handle = layer(handle)
    return handle
