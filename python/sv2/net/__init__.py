"""Sv2 over TCP with asyncio: ``connect`` and ``serve``. Bytes, timers and backpressure only.

A server hands every connection whose handshake is done to ``handler(stream)``, in a task of its
own; the connection ends when the handler returns::

    async def handler(stream: Stream) -> None:
        setup = await stream.receive()                    # SetupConnection, nothing else can come
        await stream.send(SetupConnectionSuccess(2, 0))
        async for message in stream:
            ...

    async with await serve(handler, "0.0.0.0", 3333, security=identity) as server:
        await server.serve_forever()

A client gets the same :class:`Stream`::

    async with await connect("stratum2+tcp://pool.example:3333/9bXi...") as stream:
        await stream.set_up(SetupConnection(...))
        await stream.send(...)
        async for message in stream:
            ...

What bounds the memory of a connection: before setup, 2 KiB received; after it, ``READ_AHEAD``
received and unread (the socket is not read on), one frame of the limit of its protocol, and
``Options.max_queued`` bytes to send plus the one frame that went over it. What bounds its time:
:class:`Timeouts`. What bounds their number: :class:`Limits`.
"""

from sv2.net.access import AccessList
from sv2.net.client import connect, run
from sv2.net.errors import Ended, QueueFull, SetupRefused, StreamClosed
from sv2.net.options import KeepAlive, Limits, Options, SlowReader, Timeouts
from sv2.net.server import Handler, Server, ServerStats, serve
from sv2.net.stream import Stream

__all__ = [
    "AccessList",
    "Ended",
    "Handler",
    "KeepAlive",
    "Limits",
    "Options",
    "QueueFull",
    "Server",
    "ServerStats",
    "SetupRefused",
    "SlowReader",
    "Stream",
    "StreamClosed",
    "Timeouts",
    "connect",
    "run",
    "serve",
]
