"""What the network tests share: event loops, servers on loopback, and peers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest
from connections import IDENTITY, POLICY, SUCCESS, setup_connection
from sv2.connection import PLAIN
from sv2.net import Limits, Options, Server, Stream, StreamClosed, Timeouts, connect, serve

from sv2_ffi import UnknownMessage

_T = TypeVar("_T")

# No test waits longer than this for anything.
PATIENCE = 20.0
# Short enough for tests to meet every time-out, long enough for a busy machine to meet none.
QUICK = 0.5

RunLoop = Callable[[Coroutine[Any, Any, _T]], _T]


def run_on_asyncio(main: Coroutine[Any, Any, _T], patience: float = PATIENCE) -> _T:
    async def bounded() -> _T:
        return await asyncio.wait_for(main, patience)

    return asyncio.run(bounded())


def run_on_uvloop(main: Coroutine[Any, Any, _T]) -> _T:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def bounded() -> _T:
        return await asyncio.wait_for(main, PATIENCE)

    result: _T = uvloop.run(bounded())
    return result


ON_EACH_LOOP = pytest.mark.parametrize(
    "run", [run_on_asyncio, run_on_uvloop], ids=["asyncio", "uvloop"]
)
NOISE = pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])


async def accept(stream: Stream) -> None:
    """The server's half of a setup that succeeds."""
    await stream.receive()
    await stream.send(SUCCESS)


async def echo(stream: Stream) -> None:
    """A handler that sends every message back after setup."""
    await accept(stream)
    async for message in stream:
        await stream.send(message)


async def listen(
    handler: Callable[[Stream], Coroutine[Any, Any, None]],
    *,
    noise: bool = True,
    limits: Limits | None = None,
    options: Options | None = None,
) -> Server:
    """A server on a free port of 127.0.0.1."""
    security = IDENTITY if noise else PLAIN
    return await serve(handler, "127.0.0.1", 0, security=security, limits=limits, options=options)


async def dial(server: Server, *, noise: bool = True, options: Options | None = None) -> Stream:
    """A client after the handshake and before setup."""
    return await connect(
        f"127.0.0.1:{server.port}", security=POLICY if noise else PLAIN, options=options
    )


async def dial_open(
    server: Server, *, noise: bool = True, protocol: int = 0, options: Options | None = None
) -> Stream:
    """A client after setup."""
    stream = await dial(server, noise=noise, options=options)
    await stream.set_up(setup_connection(protocol))
    return stream


@contextlib.asynccontextmanager
async def raw_socket(
    server: Server,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection without any protocol on it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def deaf_socket(
    server: Server,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection that reads nothing until :func:`hear`."""
    async with raw_socket(server) as (reader, writer):
        cast(asyncio.Transport, writer.transport).pause_reading()
        yield reader, writer


def hear(writer: asyncio.StreamWriter) -> None:
    """Let a deaf socket read."""
    cast(asyncio.Transport, writer.transport).resume_reading()


async def until(condition: Callable[[], object]) -> None:
    """Wait until ``condition()`` is true; the test's own time limit bounds it."""
    while not condition():
        await asyncio.sleep(0.002)


async def reason_of_end(stream: Stream) -> StreamClosed:
    """Receive to the end and give what says why."""
    try:
        while True:
            await stream.receive()
    except StreamClosed as closed:
        return closed


def quick(**changes: float) -> Options:
    """Options whose time-outs are long but for those given."""
    return Options(timeouts=Timeouts(**changes))


def blob(size: int) -> UnknownMessage:
    """A message of any size, the same bytes for the same size."""
    return UnknownMessage(0x4001, 0x07, random.Random(size).randbytes(size))
