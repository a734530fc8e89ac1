"""Faults: clients that misbehave at every step and handlers that do. Others are served all along,
and nothing is left behind: no task, no socket, no client in a table."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from networking import NOISE, ON_EACH_LOOP, RunLoop, quick, reason_of_end, run_on_asyncio, until
from servicing import (
    RecordingTemplates,
    client_of,
    dial,
    other_tasks,
    request_data,
    server_config,
    setup,
    share,
)
from sv2.connection import READ_AHEAD, Protocol
from sv2.net import Ended, Options, Stream, StreamClosed, Timeouts
from sv2.services import (
    Cause,
    Client,
    MiningServerHandler,
    Reply,
    Sv2ServerService,
    TemplateDistributionServerHandler,
    rate_limit,
)

import sv2_ffi
from sv2_ffi import UnknownMessage, mining
from sv2_ffi import template_distribution as td

TEMPLATES = Protocol.TEMPLATE_DISTRIBUTION

Misdeed = Callable[["Scene"], Awaitable[None]]


class Scene:
    """A server with a well-behaved client, whose requests are answered to the end."""

    def __init__(self, service: Sv2ServerService, noise: bool, witness: Stream) -> None:
        self.service = service
        self.noise = noise
        self.witness = witness
        self.asked = 0

    async def witness_is_served(self) -> None:
        """One request and its answer."""
        self.asked += 1
        await self.witness.send(request_data(self.asked))
        answer = await self.witness.receive()
        assert answer == td.RequestTransactionDataError(self.asked, "template-id-not-found")

    async def dial(self) -> Stream:
        return await dial(self.service, self.noise)

    async def dial_open(self, protocol: int = TEMPLATES) -> Stream:
        stream = await self.dial()
        await stream.set_up(setup(protocol))
        return stream


def sockets() -> set[str]:
    """The sockets of this process, by inode; empty where /proc is missing."""
    found = set()
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:"):
                found.add(target)
    return found


@contextlib.asynccontextmanager
async def scene(
    noise: bool,
    mining_handler: MiningServerHandler | None = None,
    templates: TemplateDistributionServerHandler | None = None,
    **changes: Any,
) -> AsyncIterator[Scene]:
    """The scene, and the proof that nothing of it is left."""
    gc.collect()
    tasks, open_sockets = other_tasks(), sockets()
    config = server_config(noise, **{"options": quick(close=0.2), **changes})
    service = Sv2ServerService(
        config,
        mining=mining_handler,
        template_distribution=templates or RecordingTemplates(),
    )
    async with service, client_of(service, noise, TEMPLATES) as witness:
        the_scene = Scene(service, noise, witness)
        await the_scene.witness_is_served()
        yield the_scene
        await the_scene.witness_is_served()
        # All but the witness are gone before the server stops, not because of it.
        await until(lambda: len(service._sessions) == 1)
        assert list(service.clients) == [1]
        await until(lambda: len(service._net().streams) == 1)
    assert not service._sessions
    assert not service.clients
    assert not service._background
    assert not service._net().streams
    assert service.stats.left_behind == 0
    assert service.stats.ended.total() >= service.stats.connected
    await until(lambda: other_tasks() == tasks)
    await until(lambda: sockets() == open_sockets)


# Clients.


async def garbage_before_setup(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.service.port)
    writer.write(random.Random(5).randbytes(4096))
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


async def silence_in_the_handshake(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.service.port)
    await scene.witness_is_served()
    writer.write(b"\0" * 3)
    await scene.witness_is_served()
    writer.close()
    await reader.read()


async def a_message_before_setup(scene: Scene) -> None:
    stream = await scene.dial()
    stream._connection._state = type(stream.state).OPEN  # as a client that breaks the rules
    await stream.send(request_data())
    await reason_of_end(stream)
    await stream.close()


async def mining_on_a_template_connection(scene: Scene) -> None:
    stream = await scene.dial_open()
    await stream.send(share())
    assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
    await stream.close()
    assert scene.service.stats.ended == {Cause.UNEXPECTED_MESSAGE: 1}


async def setup_twice(scene: Scene) -> None:
    stream = await scene.dial_open()
    stream._connection._state = type(stream.state).SETUP  # as a client that breaks the rules
    await stream.send(setup(TEMPLATES))
    assert (await reason_of_end(stream)).reason in (Ended.PEER_CLOSED, Ended.LOST)
    await stream.close()
    assert scene.service.stats.ended == {Ended.PROTOCOL: 1}


async def a_message_of_the_server(scene: Scene) -> None:
    stream = await scene.dial_open()
    await stream.send(td.RequestTransactionDataError(1, ""))
    assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
    await stream.close()


async def a_frame_over_the_limit(scene: Scene) -> None:
    stream = await scene.dial_open()
    with contextlib.suppress(StreamClosed):
        await stream.send(UnknownMessage(0, 0x70, bytes(300_000)))
        await reason_of_end(stream)
    await stream.close()


async def half_a_frame_and_the_end(scene: Scene) -> None:
    stream = await scene.dial_open()
    frame = sv2_ffi.encode(request_data())
    assert stream._transport is not None
    stream._transport.write(frame[: len(frame) // 2])
    await stream.close()


MISDEEDS = [
    garbage_before_setup,
    silence_in_the_handshake,
    a_message_before_setup,
    mining_on_a_template_connection,
    setup_twice,
    a_message_of_the_server,
    a_frame_over_the_limit,
    half_a_frame_and_the_end,
]


@ON_EACH_LOOP
@NOISE
@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.__name__)
def test_a_client_that_breaks_the_rules_harms_only_itself(
    run: RunLoop[None], noise: bool, misdeed: Misdeed
) -> None:
    async def main() -> None:
        async with scene(noise) as the_scene:
            await misdeed(the_scene)

    run(main())


class Chatty(MiningServerHandler):
    """Answers a share with a megabyte, in messages of 64 KiB."""

    async def on_submit_shares_standard(
        self, client: Client, message: mining.SubmitSharesStandard
    ) -> Reply:
        return [UnknownMessage(0x4000, 1, bytes(65_000)) for _ in range(16)]


@NOISE
def test_a_client_that_never_reads_is_ended_and_holds_no_more_than_its_queue(noise: bool) -> None:
    async def main() -> None:
        timeouts = Timeouts(write=0.5, close=0.2)
        options = Options(timeouts=timeouts, max_queued=1 << 18)
        async with scene(noise, Chatty(), options=options) as the_scene:
            stream = await the_scene.dial_open(Protocol.MINING)
            assert stream._transport is not None
            stream._transport.pause_reading()
            await until(lambda: 2 in the_scene.service.clients)
            client = the_scene.service.clients[2]
            most = 0
            for number in range(500):
                await stream.send(share(number))
            while client.ended is None:
                most = max(most, client.stream.queued)
                await the_scene.witness_is_served()
            assert most > 0
            assert most <= (1 << 18) + 2 * 65_100
            assert client.ended is Ended.WRITE_TIMEOUT
            stream.abort()

    run_on_asyncio(main())


@NOISE
def test_a_broadcast_does_not_wait_for_a_client_that_never_reads(noise: bool) -> None:
    async def main() -> None:
        options = Options(timeouts=Timeouts(close=0.2), max_queued=1 << 18)
        async with scene(noise, Chatty(), options=options) as the_scene:
            stream = await the_scene.dial_open(Protocol.MINING)
            assert stream._transport is not None
            stream._transport.pause_reading()
            await until(lambda: 2 in the_scene.service.clients)
            client = the_scene.service.clients[2]
            big = UnknownMessage(0x4000, 1, bytes(65_000))
            rounds = 0
            while the_scene.service.broadcast(big, protocol=Protocol.MINING):
                rounds += 1
                await the_scene.witness_is_served()
            await until(lambda: client.ended)
            assert client.ended is Ended.SLOW_READER
            assert rounds >= 4
            stream.abort()

    run_on_asyncio(main())


@NOISE
def test_ten_thousand_messages_from_one_client_starve_nobody(noise: bool) -> None:
    class Counting(MiningServerHandler):
        count = 0

        async def on_submit_shares_standard(
            self, client: Client, message: mining.SubmitSharesStandard
        ) -> Reply:
            self.count += 1
            return None

    async def main() -> None:
        handler = Counting()
        async with scene(noise, handler) as the_scene:
            flood = await the_scene.dial_open(Protocol.MINING)

            # All in one piece, as a client in a process of its own would have it sent by now.
            for number in range(10_000):
                flood._connection.send(share(number))
            flood._flush()
            longest_wait = 0
            while handler.count < 10_000:
                before = handler.count
                await the_scene.witness_is_served()
                longest_wait = max(longest_wait, handler.count - before)
            # In messages of the flood that were handled between a request and its answer.
            assert longest_wait < 500
            await flood.close()

    run_on_asyncio(main())


@NOISE
def test_a_flood_over_the_rate_is_slowed_down_and_not_buffered(noise: bool) -> None:
    async def main() -> None:
        handler = MiningServerHandler()
        layers = [rate_limit(50.0, burst=5)]
        async with scene(noise, handler, layers=layers) as the_scene:
            flood = await the_scene.dial_open(Protocol.MINING)
            await until(lambda: 2 in the_scene.service.clients)
            client = the_scene.service.clients[2]
            big = UnknownMessage(0, 0xEE, bytes(60_000))

            async def pour() -> None:
                with contextlib.suppress(StreamClosed):
                    while True:
                        await flood.send(big)

            pouring = asyncio.create_task(pour())
            # Until what was sent fills all queues on the way: the server does not read on.
            await until(lambda: flood.queued > 500_000)
            for _ in range(20):
                await the_scene.witness_is_served()
                assert client.stream.buffered <= READ_AHEAD + 2 * len(big.payload)
            assert client.stream.messages_received < 1_000
            assert flood.queued > 500_000
            pouring.cancel()
            flood.abort()

    run_on_asyncio(main())


@NOISE
def test_a_client_that_resets_while_it_is_being_answered_is_no_error_of_the_handler(
    noise: bool,
) -> None:
    async def main() -> None:
        async with scene(noise, MiningServerHandler()) as the_scene:
            for _ in range(5):
                flood = await the_scene.dial_open(Protocol.MINING)
                for number in range(1_000):
                    flood._connection.send(share(number))
                flood._flush()
                await flood.receive()
                flood.abort()
                await the_scene.witness_is_served()
            await until(lambda: len(the_scene.service._sessions) == 1)
            assert the_scene.service.stats.handler_errors == 0

    run_on_asyncio(main())


# Clients that leave in the middle of every step.


@NOISE
@pytest.mark.parametrize("abrupt", [False, True], ids=["close", "reset"])
def test_a_client_may_leave_at_every_byte_of_the_handshake_setup_and_a_request(
    noise: bool, abrupt: bool
) -> None:
    """A client's bytes are recorded once; then clients leave after each prefix of a sample.

    Over Noise the recorded bytes mean nothing to another handshake, beyond its first act: those
    clients end in the middle of a frame that does not open."""

    async def record(the_scene: Scene) -> bytes:
        stream = await the_scene.dial()
        written: list[bytes] = []
        assert stream._transport is not None
        write = stream._transport.write

        class Tap:
            def __getattr__(self, name: str) -> Any:
                return getattr(transport, name)

            def write(self, data: bytes) -> None:
                written.append(bytes(data))
                write(data)

        transport = stream._transport
        stream._transport = Tap()  # type: ignore[assignment]
        await stream.set_up(setup(TEMPLATES))
        await stream.send(request_data())
        await stream.receive()
        stream._transport = transport
        await stream.close()
        return b"".join(written)

    async def main() -> None:
        async with scene(noise) as the_scene:
            recorded = (b"\x11" * 64 if noise else b"") + await record(the_scene)
            for size in range(0, len(recorded), 3):
                _, writer = await asyncio.open_connection("127.0.0.1", the_scene.service.port)
                writer.write(recorded[:size])
                if abrupt:
                    writer.transport.abort()
                else:
                    writer.close()
                    with contextlib.suppress(ConnectionError):
                        await writer.wait_closed()
                if size % 30 == 0:
                    await the_scene.witness_is_served()

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize("step", ["handshake", "setup asked", "set up", "asked", "answered"])
@pytest.mark.parametrize("abrupt", [False, True], ids=["close", "reset"])
def test_a_client_may_leave_after_every_step(noise: bool, step: str, abrupt: bool) -> None:
    async def main() -> None:
        templates = RecordingTemplates()
        async with scene(noise, templates=templates) as the_scene:
            stream = await the_scene.dial()
            if step != "handshake":
                await stream.send(setup(TEMPLATES))
            if step not in ("handshake", "setup asked"):
                await stream.receive()
            if step in ("asked", "answered"):
                await stream.send(request_data())
            if step == "answered":
                await stream.receive()
            if abrupt:
                stream.abort()
            await stream.close()
            await until(lambda: len(the_scene.service._sessions) == 1)
            assert templates.heard.count("+2") == templates.heard.count("-2")

    run_on_asyncio(main())


class Slow(TemplateDistributionServerHandler):
    """Keeps on_connect and constraints waiting until told; sends on to a client that has gone."""

    def __init__(self, in_connect: bool) -> None:
        self.in_connect = in_connect
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.handled: list[int] = []
        self.left: list[int] = []

    async def on_connect(self, peer: Client) -> Reply:
        if self.in_connect and peer.id > 1:
            self.entered.set()
            await self.release.wait()
            return td.RequestTransactionDataError(0, "")
        return None

    async def on_submit_solution(self, client: Client, message: td.SubmitSolution) -> Reply:
        self.entered.set()
        await self.release.wait()
        self.handled.append(message.template_id)
        return td.RequestTransactionDataError(0, "")

    async def on_disconnect(self, peer: Client) -> None:
        self.left.append(peer.id)


@NOISE
@pytest.mark.parametrize("abrupt", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("in_connect", [False, True], ids=["in a message", "in on_connect"])
def test_a_client_may_leave_while_its_handler_works_and_what_it_sent_is_handled(
    noise: bool, abrupt: bool, in_connect: bool
) -> None:
    async def main() -> None:
        handler = Slow(in_connect)
        async with scene(noise, templates=handler) as the_scene:
            stream = await the_scene.dial_open()
            if not in_connect:
                await stream.send(td.SubmitSolution(1, 0, 0, 0, b""))
                await stream.send(td.SubmitSolution(2, 0, 0, 0, b""))
            await handler.entered.wait()
            await the_scene.witness_is_served()
            if abrupt:
                client_side = stream
                await until(lambda: client_side.queued == 0)
                stream.abort()
            leaving = asyncio.create_task(stream.close())
            await the_scene.witness_is_served()
            handler.release.set()
            await leaving
            await until(lambda: 2 in handler.left)
            assert handler.handled == ([] if in_connect else [1, 2])
            assert the_scene.service.stats.handler_errors == 0

    run_on_asyncio(main())


# Handlers.


class Bad(MiningServerHandler):
    """Raises, hangs or is slow, as the sequence number says."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.done = 0

    async def on_submit_shares_standard(
        self, client: Client, message: mining.SubmitSharesStandard
    ) -> Reply:
        match message.sequence_number:
            case 0:
                raise ZeroDivisionError
            case 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled += 1
            case _:
                for _ in range(100):
                    await asyncio.sleep(0.001)
                self.done += 1
        return None


@NOISE
def test_handlers_that_raise_hang_or_are_slow_hold_up_only_their_own_client(noise: bool) -> None:
    async def main() -> None:
        handler = Bad()
        async with scene(noise, handler, handler_timeout=2.0) as the_scene:
            streams = [await the_scene.dial_open(Protocol.MINING) for _ in range(6)]
            for number, stream in enumerate(streams):
                await stream.send(share(number % 3))
            served = 0
            while not (handler.done == 2 and handler.cancelled == 2):
                await the_scene.witness_is_served()
                served += 1
            assert served > 20
            stats = the_scene.service.stats
            assert stats.handler_errors == 2
            await until(lambda: stats.ended == {Cause.HANDLER_TIMEOUT: 2})
            assert len(the_scene.service.clients) == 5
            for stream in streams:
                stream.abort()

    run_on_asyncio(main())


@ON_EACH_LOOP
@NOISE
def test_a_hundred_clients_at_once_are_served_and_gone(run: RunLoop[None], noise: bool) -> None:
    async def main() -> None:
        async with scene(noise) as the_scene:

            async def visit(number: int) -> None:
                stream = await the_scene.dial_open()
                await stream.send(request_data(number))
                answer = await stream.receive()
                assert answer == td.RequestTransactionDataError(number, "template-id-not-found")
                await stream.close()

            await asyncio.gather(*(visit(number) for number in range(100)))
            assert the_scene.service.stats.connected == 101

    run(main())


@NOISE
def test_a_handshake_that_never_ends_does_not_hold_up_others(noise: bool) -> None:
    async def main() -> None:
        async with scene(noise) as the_scene:
            port = the_scene.service.port
            hanging = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
            stream = await the_scene.dial_open()
            await stream.close()
            for _, writer in hanging:
                writer.transport.abort()

    run_on_asyncio(main())
