"""Listening: admission, one task per secured connection, and a clean stop."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sv2.connection import Connection, RemoteProtocolError, ServerSecurity
from sv2.net.errors import Ended, StreamClosed
from sv2.net.options import Limits, Options
from sv2.net.stream import Stream
from sv2.noise import NoiseError
from sv2_ffi import DecodeError

logger = logging.getLogger("sv2.net.server")

Handler = Callable[[Stream], Awaitable[None]]

# Connections that the kernel may hold for us until we accept them.
_BACKLOG = 1024


@dataclass
class ServerStats:
    """What a server has seen since it started."""

    accepted: int = 0
    refused_total: int = 0
    """Turned away by ``Limits.connections``."""
    refused_host: int = 0
    """Turned away by ``Limits.per_host``."""
    refused_address: int = 0
    """Turned away by ``Limits.admit``."""
    secured: int = 0
    """Finished the handshake."""
    opened: int = 0
    """Finished setup."""
    handler_errors: int = 0
    """Handlers that raised what no peer can cause."""
    ended: Counter[Ended] = field(default_factory=Counter)
    """Accepted connections that are over, by reason."""


def host_group(host: str) -> str:
    """What counts as one host: an IPv4 address, mapped or not, or an IPv6 /64."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Server:
    """A listening server. Made by :func:`serve`; use it with ``async with``."""

    def __init__(
        self, handler: Handler, security: ServerSecurity, limits: Limits, options: Options
    ) -> None:
        self._handler = handler
        self._security = security
        self._limits = limits
        self._options = options
        self._listener: asyncio.Server | None = None
        self._hosts: Counter[str] = Counter()
        self._streams: dict[Stream, str] = {}
        # In the order of their arrival: the first is the oldest.
        self._unready: dict[Stream, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._stopped = asyncio.Event()
        self.stats = ServerStats()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The connections there are, those in the handshake included."""
        return tuple(self._streams)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each listening socket."""
        sockets = self._listener.sockets if self._listener else ()
        return tuple((str(name[0]), int(name[1])) for name in (s.getsockname() for s in sockets))

    @property
    def port(self) -> int:
        """The port of the first listening socket, for when 0 was asked for."""
        return self.addresses[0][1]

    async def serve_forever(self) -> None:
        """Wait until :meth:`stop` has been called and is done."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Accept no more, cancel the handlers, send what is queued, close every connection.

        Takes ``Timeouts.close`` for well-behaved handlers and slow peers, and twice that at most:
        a handler that does not end when it is cancelled is left behind and logged.
        """
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        patience = self._options.timeouts.close
        if self._tasks:
            _, stuck = await asyncio.wait(set(self._tasks), timeout=patience)
            for task in stuck:
                logger.error("a handler ignores its cancellation: %s", task.get_name())
        streams = self.streams
        for stream in streams:
            stream._begin_close()
        if streams:
            closing = [asyncio.ensure_future(stream.wait_closed()) for stream in streams]
            await asyncio.wait(closing, timeout=patience)
            for stream in streams:
                stream.abort()
            await asyncio.wait(closing, timeout=patience)
        self._stopped.set()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def _listen(self, host: str | None, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._make_stream, host, port, backlog=_BACKLOG, reuse_address=True
        )

    def _make_stream(self) -> asyncio.BufferedProtocol:
        connection = Connection.server(
            self._security, engine=self._options.engine, max_frame=self._options.max_frame
        )
        return Stream(connection, self._options, self).protocol()

    # What streams tell us.

    def _made(self, stream: Stream) -> bool:
        group = host_group(stream.peer[0])
        if not self._admitted(stream.peer[0]):
            self.stats.refused_address += 1
            return False
        if self._stopping or len(self._streams) >= self._limits.connections:
            self.stats.refused_total += 1
            return False
        if self._hosts[group] >= self._limits.per_host:
            self.stats.refused_host += 1
            return False
        if len(self._unready) >= self._limits.unready:
            oldest = next(iter(self._unready))
            del self._unready[oldest]
            oldest._abort(Ended.PUSHED_OUT)
        self.stats.accepted += 1
        self._hosts[group] += 1
        self._streams[stream] = group
        self._unready[stream] = None
        return True

    def _admitted(self, host: str) -> bool:
        if self._limits.admit is None:
            return True
        try:
            return self._limits.admit(host)
        except Exception:
            logger.exception("whether to admit %s could not be told", host)
            return False

    def _secured(self, stream: Stream) -> None:
        self.stats.secured += 1
        task = asyncio.get_running_loop().create_task(
            self._run(stream), name=f"sv2 {stream.peer[0]}:{stream.peer[1]}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _opened(self, stream: Stream) -> None:
        self.stats.opened += 1
        self._unready.pop(stream, None)

    def _lost(self, stream: Stream) -> None:
        group = self._streams.pop(stream, None)
        if group is None:
            return
        self._unready.pop(stream, None)
        self._hosts[group] -= 1
        if not self._hosts[group]:
            del self._hosts[group]
        reason = stream.ended or Ended.PEER_CLOSED
        self.stats.ended[reason] += 1
        logger.debug("connection of %s:%d ended: %s", *stream.peer, reason.value)

    async def _run(self, stream: Stream) -> None:
        try:
            await self._handler(stream)
        except StreamClosed:
            pass
        except (RemoteProtocolError, NoiseError, DecodeError) as error:
            logger.info("connection of %s:%d broken: %s", *stream.peer, error)
        except Exception:
            self.stats.handler_errors += 1
            logger.exception("the handler of %s:%d failed", *stream.peer)
        finally:
            stream._begin_close()
        await stream.wait_closed()


async def serve(
    handler: Handler,
    host: str | None,
    port: int,
    *,
    security: ServerSecurity,
    limits: Limits | None = None,
    options: Options | None = None,
) -> Server:
    """Listen on ``host`` (None: every interface) and ``port`` (0: any free one).

    ``handler(stream)`` runs in a task of its own for each connection once its handshake is done,
    and the connection is closed when it returns. What peers do wrong ends their own connection
    and is logged; so is what a handler raises. ``security`` is the server's identity, or
    :data:`~sv2.connection.PLAIN` for a connection in the clear.
    """
    server = Server(handler, security, limits or Limits(), options or Options())
    await server._listen(host, port)
    return server
