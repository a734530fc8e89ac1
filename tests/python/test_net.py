"""asyncio connections over real sockets on loopback: messages, time-outs, limits, the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct

import pytest
from connections import (
    AUTHORITY,
    IDENTITY,
    OTHER_AUTHORITY,
    POLICY,
    SETUP_MESSAGES,
    SUCCESS,
    setup_connection,
    vector_messages,
)
from networking import (
    NOISE,
    ON_EACH_LOOP,
    QUICK,
    RunLoop,
    accept,
    blob,
    deaf_socket,
    dial,
    dial_open,
    echo,
    hear,
    listen,
    quick,
    raw_socket,
    reason_of_end,
    run_on_asyncio,
    until,
)
from sv2.address import Address
from sv2.connection import PLAIN, READ_AHEAD, SENDERS, RemoteProtocolError, Role, State
from sv2.net import (
    Ended,
    Options,
    QueueFull,
    SlowReader,
    Stream,
    StreamClosed,
    Timeouts,
    connect,
    run,
    serve,
)
from sv2.noise import (
    CertificateError,
    CertificateFault,
    CertificatePolicy,
    HandshakeError,
    NoiseError,
)

import sv2_ffi
from sv2_ffi import AnyMessage, UnknownMessage
from sv2_ffi.mining import CloseChannel

# Messages.


@ON_EACH_LOOP
@NOISE
def test_every_message_goes_both_ways(run: RunLoop[None], noise: bool) -> None:
    messages = [
        message
        for message in vector_messages()
        if type(message) not in SETUP_MESSAGES and type(message) not in SENDERS
    ]

    async def main() -> None:
        async with (
            await listen(echo, noise=noise) as server,
            await dial_open(server, noise=noise) as client,
        ):
            for message in messages:
                await client.send(message)
                assert await client.receive() == message
            assert client.messages_sent == client.messages_received == len(messages) + 1

    run(main())


@ON_EACH_LOOP
@NOISE
def test_frames_of_a_megabyte_go_both_ways(run: RunLoop[None], noise: bool) -> None:
    options = Options(max_frame=2 << 20)

    async def main() -> None:
        async with (
            await listen(echo, noise=noise, options=options) as server,
            await dial_open(server, noise=noise, options=options) as client,
        ):
            for size in (0, 1, 65519, 65520, 1 << 20):
                await client.send(blob(size))
                assert await client.receive() == blob(size)

    run(main())


@ON_EACH_LOOP
def test_one_frame_is_one_write(run: RunLoop[None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with await listen(echo) as server, await dial_open(server) as client:
            writes: list[int] = []

            class Counting:
                def __init__(self, transport: asyncio.Transport) -> None:
                    self._transport = transport

                def write(self, data: bytes) -> None:
                    writes.append(len(data))
                    self._transport.write(data)

                def __getattr__(self, name: str) -> object:
                    return getattr(self._transport, name)

            monkeypatch.setattr(client, "_transport", Counting(client._transport))  # type: ignore[arg-type]
            for size in (0, 10, 100_000):
                await client.send(blob(size))
            assert writes == [22, 22 + 10 + 16, 22 + 100_000 + 2 * 16]
            for size in (0, 10, 100_000):
                assert await client.receive() == blob(size)

    run(main())


@ON_EACH_LOOP
def test_messages_of_several_tasks_leave_in_the_order_of_their_calls(run: RunLoop[None]) -> None:
    received: list[AnyMessage] = []
    go = asyncio.Event()

    async def handler(stream: Stream) -> None:
        await accept(stream)
        await go.wait()
        async for message in stream:
            received.append(message)

    async def main() -> None:
        # A small queue, so that most of them have to wait.
        async with await listen(handler) as server:
            client = await dial_open(server, options=Options(max_queued=1000))
            messages = [blob(50_000 + number) for number in range(300)]
            tasks = [asyncio.create_task(client.send(message)) for message in messages]
            await until(lambda: client.queued >= 1000)
            assert not all(task.done() for task in tasks)
            go.set()
            await asyncio.gather(*tasks)
            await client.close()
            await until(lambda: len(received) == len(messages))
            assert received == messages

    run(main())


@ON_EACH_LOOP
def test_a_cancelled_receive_loses_no_message(run: RunLoop[None]) -> None:
    async def main() -> None:
        async with await listen(echo) as server, await dial_open(server) as client:
            for number in range(50):
                receiving = asyncio.create_task(client.receive())
                await asyncio.sleep(0)
                await client.send(blob(number))
                receiving.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await receiving
                assert await client.receive() == blob(number)

    run(main())


def test_receiving_has_a_time_limit_and_one_receiver() -> None:
    async def main() -> None:
        async with await listen(echo) as server, await dial_open(server) as client:
            with pytest.raises(TimeoutError):
                await client.receive(timeout=0.01)
            waiting = asyncio.create_task(client.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await client.receive()
            await client.send(blob(5))
            assert await waiting == blob(5)

    run_on_asyncio(main())


def test_one_malformed_message_does_not_end_the_stream() -> None:
    errors: list[sv2_ffi.DecodeError] = []

    async def handler(stream: Stream) -> None:
        await accept(stream)
        try:
            await stream.receive()
        except sv2_ffi.DecodeError as error:
            errors.append(error)
        await stream.send(await stream.receive())

    async def main() -> None:
        async with (
            await listen(handler, noise=False) as server,
            raw_socket(server) as (
                reader,
                writer,
            ),
        ):
            broken = sv2_ffi.encode(CloseChannel(1, "reason"))
            broken = broken[:3] + (len(broken) - 7).to_bytes(3, "little") + broken[6:-1]
            writer.write(sv2_ffi.encode(setup_connection()) + broken)
            writer.write(sv2_ffi.encode(blob(3)))
            assert await reader.readexactly(12) == sv2_ffi.encode(SUCCESS)
            assert await reader.readexactly(9) == sv2_ffi.encode(blob(3))
        assert len(errors) == 1

    run_on_asyncio(main())


# Whom to believe.


def test_the_key_of_a_url_is_believed() -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            url = f"stratum2+tcp://127.0.0.1:{server.port}/{AUTHORITY.public_key}"
            async with await connect(url) as client:
                assert client.certificate == IDENTITY.certificate()
                assert client.state is State.SETUP

    run_on_asyncio(main())


def test_another_key_is_refused_with_its_fault() -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            target = Address("127.0.0.1", server.port, OTHER_AUTHORITY.public_key)
            with pytest.raises(CertificateError) as caught:
                await connect(target)
            assert caught.value.fault is CertificateFault.SIGNATURE
            await until(lambda: not server.streams)

    run_on_asyncio(main())


def test_nobody_connects_unverified_by_omission() -> None:
    async def main() -> None:
        here = Address("127.0.0.1", 1)
        with pytest.raises(ValueError, match="no authority key"):
            await connect(here)
        keyed = Address("127.0.0.1", 1, AUTHORITY.public_key)
        with pytest.raises(ValueError, match="in the clear"):
            await connect(keyed, security=PLAIN)
        with pytest.raises(ValueError, match="different authorities"):
            await connect(keyed, security=CertificatePolicy(OTHER_AUTHORITY.public_key))

    run_on_asyncio(main())


def test_unverified_connects_to_anybody_when_asked_to() -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            target = Address("127.0.0.1", server.port, OTHER_AUTHORITY.public_key)
            async with await connect(target, security=CertificatePolicy.unverified()) as client:
                await client.set_up(setup_connection())

    run_on_asyncio(main())


def test_a_port_where_nobody_listens_is_an_os_error() -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                await connect(f"127.0.0.1:{unused.getsockname()[1]}", security=PLAIN)

    run_on_asyncio(main())


@ON_EACH_LOOP
@pytest.mark.parametrize("answer", [b"", b"\x01" * 100, b"\x02" * 234, b"\x03" * 5000])
def test_a_server_that_breaks_the_handshake_is_told_apart(
    run: RunLoop[None], answer: bytes
) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(64)
        writer.write(answer)
        writer.write_eof()
        await reader.read()
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(break_off, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            expected = {0: StreamClosed, 100: RemoteProtocolError}.get(len(answer), HandshakeError)
            with pytest.raises(expected):
                await connect(f"127.0.0.1:{port}", security=POLICY)

    run(main())


# Time-outs.


@ON_EACH_LOOP
def test_a_handshake_that_does_not_end_is_ended(run: RunLoop[None]) -> None:
    async def main() -> None:
        options = quick(handshake=QUICK)
        async with await listen(echo, options=options) as server:
            async with raw_socket(server) as (reader, writer):
                writer.write(bytes(63))
                assert await reader.read() == b""
            assert server.stats.ended[Ended.HANDSHAKE_TIMEOUT] == 1
            assert server.stats.secured == 0

    run(main())


def test_a_client_does_not_wait_for_ever_for_a_handshake() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            with pytest.raises(StreamClosed) as caught:
                await connect(f"127.0.0.1:{port}", security=POLICY, options=quick(handshake=QUICK))
            assert caught.value.reason is Ended.HANDSHAKE_TIMEOUT

    run_on_asyncio(main())


@NOISE
def test_a_client_that_never_sets_up_is_ended(noise: bool) -> None:
    async def main() -> None:
        async with await listen(echo, noise=noise, options=quick(setup=QUICK)) as server:
            client = await dial(server, noise=noise)
            assert (await reason_of_end(client)).reason in (Ended.PEER_CLOSED, Ended.LOST)
            assert server.stats.ended[Ended.SETUP_TIMEOUT] == 1

    run_on_asyncio(main())


def test_a_server_that_never_answers_the_setup_is_left() -> None:
    async def mute(stream: Stream) -> None:
        await stream.receive()
        await stream.wait_closed()

    async def main() -> None:
        async with await listen(mute) as server:
            client = await dial(server, options=quick(setup=QUICK))
            with pytest.raises(StreamClosed) as caught:
                await client.set_up(setup_connection())
            assert caught.value.reason is Ended.SETUP_TIMEOUT

    run_on_asyncio(main())


@ON_EACH_LOOP
def test_an_idle_connection_ends_and_a_busy_one_does_not(run: RunLoop[None]) -> None:
    async def main() -> None:
        async with await listen(echo, options=quick(idle=QUICK)) as server:
            idle, busy = await dial_open(server), await dial_open(server)
            end = asyncio.get_running_loop().time() + 3 * QUICK
            while asyncio.get_running_loop().time() < end:
                await busy.send(blob(1))
                await busy.receive()
                await asyncio.sleep(QUICK / 10)
            assert busy.ended is None
            assert (await reason_of_end(idle)).reason in (Ended.PEER_CLOSED, Ended.LOST)
            assert server.stats.ended[Ended.IDLE_TIMEOUT] == 1
            await busy.close()

    run(main())


def test_no_silence_is_too_long_by_default() -> None:
    assert Timeouts().idle is None


@ON_EACH_LOOP
def test_a_frame_that_drips_in_is_ended(run: RunLoop[None]) -> None:
    async def main() -> None:
        async with (
            await listen(echo, noise=False, options=quick(frame=QUICK)) as server,
            raw_socket(server) as (reader, writer),
        ):
            writer.write(sv2_ffi.encode(setup_connection()))
            await reader.readexactly(12)
            frame = sv2_ffi.encode(blob(10_000))
            for at in range(len(frame)):
                writer.write(frame[at : at + 1])
                if server.stats.ended[Ended.FRAME_TIMEOUT]:
                    break
                await asyncio.sleep(0.005)
            assert server.stats.ended[Ended.FRAME_TIMEOUT] == 1

    run(main())


def test_whole_frames_that_keep_coming_are_not_a_slow_frame() -> None:
    async def main() -> None:
        async with (
            await listen(echo, noise=False, options=quick(frame=QUICK)) as server,
            raw_socket(server) as (reader, writer),
        ):
            writer.write(sv2_ffi.encode(setup_connection()))
            await reader.readexactly(12)
            frame = sv2_ffi.encode(blob(100))
            # At every moment the server holds a part of a frame, never the same for long.
            half = len(frame) // 2
            writer.write(frame[:half])
            end = asyncio.get_running_loop().time() + 3 * QUICK
            while asyncio.get_running_loop().time() < end:
                writer.write(frame[half:] + frame[:half])
                assert await reader.readexactly(len(frame)) == frame
                await asyncio.sleep(QUICK / 10)
            assert len(server.streams) == 1

    run_on_asyncio(main())


async def flood(stream: Stream) -> None:
    """Sends for as long as it can, and never reads after setup."""
    await accept(stream)
    while True:
        await stream.send(blob(30_000))


@ON_EACH_LOOP
def test_a_peer_that_reads_nothing_is_ended_and_the_queue_bounded(run: RunLoop[None]) -> None:
    largest = 0

    async def main() -> None:
        nonlocal largest
        options = Options(timeouts=Timeouts(write=QUICK), max_queued=100_000)
        async with (
            await listen(flood, noise=False, options=options) as server,
            deaf_socket(server) as (_, writer),
        ):
            writer.write(sv2_ffi.encode(setup_connection()))
            await until(lambda: server.stats.opened == 1)
            while not server.stats.ended[Ended.WRITE_TIMEOUT]:
                largest = max([largest, *(stream.queued for stream in server.streams)])
                await asyncio.sleep(0.002)
            assert 100_000 <= largest < 100_000 + 30_006
            assert not server.streams

    run(main())


# Backpressure.


@ON_EACH_LOOP
@NOISE
def test_a_receiver_that_does_not_pull_stops_the_sender(run: RunLoop[None], noise: bool) -> None:
    go = asyncio.Event()
    streams: list[Stream] = []
    received = 0

    async def lazy(stream: Stream) -> None:
        nonlocal received
        await accept(stream)
        streams.append(stream)
        await go.wait()
        async for _ in stream:
            received += 1

    async def main() -> None:
        async with await listen(lazy, noise=noise) as server:
            client = await dial_open(server, noise=noise, options=Options(max_queued=50_000))
            count = 400

            async def send_all() -> None:
                for _ in range(count):
                    await client.send(blob(40_000))
                await client.close()

            sending = asyncio.create_task(send_all())
            await until(lambda: client.queued >= 50_000)
            assert streams[0].buffered <= READ_AHEAD
            assert client.queued <= 50_000 + 40_100
            assert not sending.done()
            go.set()
            await sending
            await until(lambda: received == count)

    run(main())


@ON_EACH_LOOP
@pytest.mark.parametrize("policy", list(SlowReader), ids=lambda policy: policy.name)
def test_sending_without_waiting_meets_the_slow_reader_policy(
    run: RunLoop[None], policy: SlowReader
) -> None:
    met: list[Exception] = []

    async def broadcast(stream: Stream) -> None:
        await accept(stream)
        try:
            while True:
                stream.send_nowait(blob(30_000))
                await asyncio.sleep(0)
        except (QueueFull, StreamClosed) as error:
            met.append(error)
            assert stream.queued < 100_000 + 30_100
            if isinstance(error, QueueFull):
                await stream.drain()
                stream.send_nowait(blob(1))

    async def main() -> None:
        options = Options(max_queued=100_000, slow_reader=policy)
        async with (
            await listen(broadcast, noise=False, options=options) as server,
            deaf_socket(server) as (reader, writer),
        ):
            writer.write(sv2_ffi.encode(setup_connection()))
            await until(lambda: met)
            if policy is SlowReader.DISCONNECT:
                assert isinstance(met[0], StreamClosed)
                assert met[0].reason is Ended.SLOW_READER
                await until(lambda: not server.streams)
            else:
                assert isinstance(met[0], QueueFull)
                hear(writer)
                data = await reader.read(-1)
                assert data.endswith(sv2_ffi.encode(blob(1)))

    run(main())


# The end.


@ON_EACH_LOOP
@NOISE
def test_the_last_message_arrives_before_the_end(run: RunLoop[None], noise: bool) -> None:
    async def last_words(stream: Stream) -> None:
        await accept(stream)
        await stream.send(blob(200_000))

    async def main() -> None:
        options = Options(max_frame=1 << 20)
        async with await listen(last_words, noise=noise) as server:
            async with await dial_open(server, noise=noise, options=options) as client:
                assert await client.receive() == blob(200_000)
                assert (await reason_of_end(client)).reason is Ended.PEER_CLOSED
            await until(lambda: not server.streams)
            assert server.stats.ended == {Ended.CLOSED: 1}

    run(main())


@ON_EACH_LOOP
def test_iteration_ends_when_the_peer_closes_and_raises_when_it_breaks_off(
    run: RunLoop[None],
) -> None:
    ends: list[object] = []

    async def handler(stream: Stream) -> None:
        await accept(stream)
        try:
            async for _ in stream:
                pass
            ends.append("end")
        except (StreamClosed, RemoteProtocolError) as error:
            ends.append(type(error))
            raise

    async def main() -> None:
        async with await listen(handler, noise=False) as server:
            for cut in (0, 5):
                async with raw_socket(server) as (reader, writer):
                    writer.write(sv2_ffi.encode(setup_connection()))
                    await reader.readexactly(12)
                    writer.write(sv2_ffi.encode(blob(10))[:cut])
                    writer.write_eof()
                    assert await reader.read() == b""
            await until(lambda: len(ends) == 2)
            assert ends == ["end", RemoteProtocolError]

    run(main())


@ON_EACH_LOOP
def test_stopping_a_server_leaves_no_task_socket_or_stream(run: RunLoop[None]) -> None:
    cancelled = 0

    async def sleeper(stream: Stream) -> None:
        nonlocal cancelled
        await accept(stream)
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async def main() -> None:
        before = asyncio.all_tasks()
        server = await listen(sleeper)
        port = server.port
        serving = asyncio.create_task(server.serve_forever())
        clients = [await dial_open(server) for _ in range(5)]
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        await until(lambda: len(server.streams) == 10)
        closing = [asyncio.create_task(reason_of_end(client)) for client in clients]
        for reader, _ in held:
            closing.append(asyncio.create_task(reader.read()))  # type: ignore[arg-type]
        started = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(server.stop())
        await asyncio.gather(*closing)
        for client in clients:
            await client.close()
        for _, writer in held:
            writer.close()
        await stopping
        await serving
        assert asyncio.get_running_loop().time() - started < Timeouts().close
        assert cancelled == 5
        assert server.streams == ()
        assert server.addresses == ()
        assert asyncio.all_tasks() == before
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run(main())


@ON_EACH_LOOP
def test_a_peer_that_does_not_close_cannot_hold_up_the_end(run: RunLoop[None]) -> None:
    async def main() -> None:
        server = await listen(flood, noise=False, options=quick(close=QUICK))
        async with deaf_socket(server) as (_, writer):
            writer.write(sv2_ffi.encode(setup_connection()))
            await until(lambda: server.streams and server.streams[0].queued > 0)
            await server.stop()
            assert server.streams == ()

    run(main())


def test_a_handler_that_fails_ends_its_own_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(stream: Stream) -> None:
        await accept(stream)
        async for message in stream:
            assert isinstance(message, UnknownMessage)
            if message.payload == blob(13).payload:
                raise KeyError("a defect")
            await stream.send(message)

    async def main() -> None:
        async with await listen(handler) as server:
            bad, good = await dial_open(server), await dial_open(server)
            await bad.send(blob(13))
            assert (await reason_of_end(bad)).reason is Ended.PEER_CLOSED
            await bad.close()
            await good.send(blob(12))
            assert await good.receive() == blob(12)
            assert server.stats.handler_errors == 1
            await good.close()

    run_on_asyncio(main())
    assert "handler" in caplog.text
    assert "a defect" in caplog.text


def test_what_a_handler_does_wrong_is_not_the_peers_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(stream: Stream) -> None:
        await accept(stream)
        await stream.send(SUCCESS)

    async def main() -> None:
        async with await listen(handler) as server, await dial_open(server) as client:
            await reason_of_end(client)
            assert server.stats.handler_errors == 1

    run_on_asyncio(main())
    assert "cannot send SetupConnectionSuccess in state OPEN" in caplog.text


def test_a_handler_that_ignores_its_cancellation_does_not_block_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = asyncio.Event()

    async def stubborn(stream: Stream) -> None:
        await accept(stream)
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        server = await listen(stubborn, options=quick(close=QUICK))
        client = await dial_open(server)
        await server.stop()
        assert server.streams == ()
        released.set()
        await reason_of_end(client)

    run_on_asyncio(main())
    assert "ignores its cancellation" in caplog.text


@ON_EACH_LOOP
def test_a_reset_connection_is_lost_for_whoever_receives_or_sends(run: RunLoop[None]) -> None:
    ends: dict[str, StreamClosed] = {}

    async def handler(stream: Stream) -> None:
        await accept(stream)
        message = await stream.receive()
        assert isinstance(message, UnknownMessage)
        if message.payload == b"receive":
            ends["receive"] = await reason_of_end(stream)
            return
        try:
            while True:
                stream.send_nowait(blob(10))
                await asyncio.sleep(0.001)
        except StreamClosed as closed:
            ends["send"] = closed

    async def main() -> None:
        async with await listen(handler, noise=False) as server:
            for name in (b"receive", b"send"):
                async with raw_socket(server) as (reader, writer):
                    writer.write(sv2_ffi.encode(setup_connection()))
                    await reader.readexactly(12)
                    writer.write(sv2_ffi.encode(UnknownMessage(0x4001, 0, name)))
                    if name == b"send":
                        await reader.readexactly(16)
                    # Closing with a linger of no time resets the connection.
                    reset = struct.pack("ii", 1, 0)
                    with socket.socket(
                        fileno=os.dup(writer.get_extra_info("socket").fileno())
                    ) as handle:
                        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            await until(lambda: len(ends) == 2 and not server.streams)
            assert {end.reason for end in ends.values()} == {Ended.LOST}
            assert server.stats.ended == {Ended.LOST: 2}

    run(main())


def test_sending_to_a_peer_that_closed_says_so() -> None:
    async def main() -> None:
        async with await listen(accept) as server, await dial_open(server) as client:
            assert (await reason_of_end(client)).reason is Ended.PEER_CLOSED
            with pytest.raises(StreamClosed) as caught:
                await client.send(blob(1))
            assert caught.value.reason is Ended.PEER_CLOSED

    run_on_asyncio(main())


def test_a_tcp_connection_that_is_not_answered_times_out() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            address = full.getsockname()
            fillers = []
            try:
                # A listener that never accepts answers no more once its backlog is full.
                for _ in range(4):
                    filler = socket.socket()
                    filler.setblocking(False)
                    fillers.append(filler)
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(loop.sock_connect(filler, address), 0.1)
                with pytest.raises(TimeoutError):
                    await connect(
                        f"127.0.0.1:{address[1]}", security=PLAIN, options=quick(connect=QUICK)
                    )
            finally:
                for filler in fillers:
                    filler.close()

    run_on_asyncio(main())


def test_using_a_stream_after_its_end_says_why() -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            client = await dial_open(server)
            await client.close()
            for call in (client.receive, client.drain, lambda: client.send(blob(1))):
                with pytest.raises(StreamClosed) as caught:
                    await call()
                assert caught.value.reason is Ended.CLOSED
            with pytest.raises(StreamClosed):
                client.send_nowait(blob(1))
            await client.close()
            client.abort()

    run_on_asyncio(main())


def test_errors_of_peers_are_logged_without_their_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="sv2")

    async def main() -> None:
        async with await listen(echo, noise=False) as server, raw_socket(server) as (r, w):
            setup = setup_connection()
            setup.vendor = "SECRET-VENDOR"
            w.write(sv2_ffi.encode(setup))
            await r.readexactly(12)
            w.write(sv2_ffi.encode(setup))
            assert await r.read() == b""
            await until(lambda: not server.streams)

    run_on_asyncio(main())
    assert "SetupConnection" in caplog.text
    assert "SECRET" not in caplog.text


def test_programs_run_on_uvloop_when_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def loop_class() -> type:
        return type(asyncio.get_running_loop())

    assert issubclass(run(loop_class()), uvloop.Loop)


def test_programs_run_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def loop_class() -> type:
        return type(asyncio.get_running_loop())

    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    assert run(loop_class()).__module__.startswith("asyncio")


def test_a_server_can_listen_on_ipv6() -> None:
    async def main() -> None:
        try:
            server = await serve(echo, "::1", 0, security=IDENTITY)
        except OSError:
            pytest.skip("no IPv6 loopback")
        async with server:
            url = f"stratum2+tcp://[::1]:{server.port}/{AUTHORITY.public_key}"
            async with await connect(url) as client:
                assert client.peer == ("::1", server.port)

    run_on_asyncio(main())


def test_tcp_keepalive_is_on_at_both_ends() -> None:
    async def main() -> None:
        async with await listen(echo) as server, await dial_open(server) as client:
            for stream in (client, server.streams[0]):
                assert stream._transport is not None
                sock = stream._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    run_on_asyncio(main())


def test_both_ends_know_each_other(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with await listen(echo) as server, await dial_open(server) as client:
            other = server.streams[0]
            assert client.handshake_hash == other.handshake_hash is not None
            assert client.setup == other.setup == setup_connection()
            assert client.answer == other.answer == SUCCESS
            assert (client.role, other.role) == (Role.CLIENT, Role.SERVER)
            assert other.peer[0] == "127.0.0.1"
            assert client.peer == ("127.0.0.1", server.port)
            assert repr(client) == f"<Stream client 127.0.0.1:{server.port} OPEN>"
            assert client.bytes_sent == other.bytes_received > 0

    run_on_asyncio(main())
    assert not caplog.records


def test_noise_errors_are_of_one_family() -> None:
    assert issubclass(CertificateError, HandshakeError)
    assert issubclass(HandshakeError, NoiseError)
    assert issubclass(NoiseError, sv2_ffi.Sv2Error)
    assert issubclass(StreamClosed, sv2_ffi.Sv2Error)
