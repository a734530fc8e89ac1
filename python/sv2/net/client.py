"""Connecting, and the event loop to do it on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from sv2.address import Address
from sv2.connection import ClientSecurity, Connection, Plain
from sv2.deadline import within
from sv2.net.errors import Ended, StreamClosed
from sv2.net.options import Options
from sv2.net.stream import Stream
from sv2.noise import CertificatePolicy

_T = TypeVar("_T")


def security_for(address: Address, security: ClientSecurity | None) -> ClientSecurity:
    """Whom to believe, without ever falling back to less than was asked for."""
    if security is None:
        if address.authority is None:
            raise ValueError(
                "no authority key in the address: pass security=CertificatePolicy(...), "
                "CertificatePolicy.unverified() or PLAIN"
            )
        return CertificatePolicy(address.authority)
    if isinstance(security, Plain):
        if address.authority is not None:
            raise ValueError("an address with an authority key cannot be used in the clear")
    elif address.authority is not None and security.authority not in (None, address.authority):
        raise ValueError("the address and the policy name different authorities")
    return security


class _Opening:
    """Waits for the handshake of one stream."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _made(self, stream: Stream) -> bool:
        return True

    def _secured(self, stream: Stream) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _opened(self, stream: Stream) -> None:
        pass

    def _lost(self, stream: Stream) -> None:
        if not self.done.done():
            self.done.set_exception(stream.error or StreamClosed(stream.ended or Ended.PEER_CLOSED))
            # Whoever waits takes it out; a caller that was cancelled leaves it unread.
            self.done.exception()


async def connect(
    target: str | Address,
    *,
    security: ClientSecurity | None = None,
    options: Options | None = None,
) -> Stream:
    """Connect and finish the handshake.

    ``target`` is an :class:`Address`, a ``stratum2+tcp://host:port/KEY`` URL or ``host:port``.
    The key in it is believed and none other; without one, ``security`` has to say whom to
    believe, or that the connection is to be in the clear.

    Raises OSError (TimeoutError included) when there is no TCP connection;
    :class:`~sv2.noise.CertificateError` when the server is not who it should be; other
    :class:`~sv2.noise.NoiseError` and :class:`~sv2.connection.RemoteProtocolError` for a broken
    handshake; :class:`StreamClosed` for one that the server ended or that timed out.
    """
    address = Address.parse(target) if isinstance(target, str) else target
    options = options or Options()
    connection = Connection.client(
        security_for(address, security), engine=options.engine, max_frame=options.max_frame
    )
    opening = _Opening()
    stream = Stream(connection, options, opening)
    loop = asyncio.get_running_loop()
    try:
        await within(
            options.timeouts.connect,
            loop.create_connection(stream.protocol, address.host, address.port),
        )
        await opening.done
    except asyncio.TimeoutError:
        stream.abort()
        raise TimeoutError("no TCP connection in time") from None
    except BaseException:
        stream.abort()
        raise
    return stream


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a program's main coroutine, on uvloop when it is installed.

    Ctrl-C cancels it, and KeyboardInterrupt is raised once it has ended.
    """
    if sys.version_info < (3, 11):
        main = _until_interrupted(main)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


async def _until_interrupted(main: Coroutine[Any, Any, _T]) -> _T:
    """What asyncio does by itself since Python 3.11: before that, Ctrl-C hits any task."""
    task = asyncio.ensure_future(main)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    # Elsewhere than in the main thread of a POSIX system, there is no signal to handle.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
