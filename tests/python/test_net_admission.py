"""Who gets in: connection limits, bytes that are no Sv2, setup and extensions."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from connections import (
    setup_connection,
)
from networking import (
    NOISE,
    ON_EACH_LOOP,
    RunLoop,
    accept,
    blob,
    dial,
    dial_open,
    echo,
    listen,
    quick,
    raw_socket,
    reason_of_end,
    run_on_asyncio,
    until,
)
from sv2.connection import Protocol
from sv2.extensions import ExtensionPolicy, user_identity, user_identity_tlv
from sv2.net import (
    AccessList,
    Ended,
    Limits,
    Options,
    SetupRefused,
    Stream,
    StreamClosed,
)
from sv2.net.server import host_group

import sv2_ffi
from sv2_ffi.common import SetupConnectionError
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsSuccess
from sv2_ffi.mining import SubmitSharesExtended

# Admission.


@ON_EACH_LOOP
def test_handshakes_that_hang_do_not_keep_others_from_being_served(run: RunLoop[None]) -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
            for _, writer in held[::2]:
                writer.write(b"\x01" * 30)
            async with await dial_open(server) as client:
                await client.send(blob(9))
                assert await client.receive() == blob(9)
            for _, writer in held:
                writer.transport.abort()

    run(main())


def test_connections_over_the_limit_are_closed_at_once() -> None:
    async def main() -> None:
        async with await listen(echo, limits=Limits(connections=3)) as server:
            clients = [await dial_open(server) for _ in range(3)]
            with pytest.raises((StreamClosed, OSError)):
                await dial(server)
            assert server.stats.refused_total == 1
            await clients[0].send(blob(1))
            assert await clients[0].receive() == blob(1)
            await clients.pop().close()
            await until(lambda: len(server.streams) == 2)
            clients.append(await dial_open(server))
            for client in clients:
                await client.close()

    run_on_asyncio(main())


def test_an_address_that_is_not_admitted_costs_no_handshake() -> None:
    async def main() -> None:
        denied = Limits(admit=AccessList(deny=["127.0.0.2/32"]).permits)
        async with await listen(echo, limits=denied) as server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
            )
            with contextlib.suppress(OSError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.transport.abort()
            await until(lambda: server.stats.refused_address == 1)
            async with await dial_open(server) as client:
                await client.send(blob(1))
                assert await client.receive() == blob(1)
            assert (server.stats.accepted, server.stats.refused_address) == (1, 1)

    run_on_asyncio(main())


def test_who_cannot_be_judged_is_not_admitted(caplog: pytest.LogCaptureFixture) -> None:
    def broken(host: str) -> bool:
        raise RuntimeError(f"no database for {host}")

    async def main() -> None:
        async with await listen(echo, limits=Limits(admit=broken)) as server:
            with pytest.raises((StreamClosed, OSError)):
                await dial(server)
            assert (server.stats.accepted, server.stats.refused_address) == (0, 1)

    run_on_asyncio(main())
    assert "whether to admit 127.0.0.1 could not be told" in caplog.text


@pytest.mark.parametrize(
    ("allow", "deny", "host", "permitted"),
    [
        (["0.0.0.0/0", "::/0"], [], "192.0.2.1", True),
        (["0.0.0.0/0", "::/0"], ["192.0.2.0/24"], "192.0.2.1", False),
        (["0.0.0.0/0", "::/0"], ["192.0.2.0/24"], "::ffff:192.0.2.1", False),
        (["192.0.2.0/24"], [], "198.51.100.1", False),
        (["192.0.2.0/24"], ["192.0.2.7/32"], "192.0.2.7", False),
        (["2001:db8::/32"], [], "2001:db8::1%eth0", True),
        ([], [], "192.0.2.1", False),
    ],
)
def test_an_access_list_judges_by_network(
    allow: list[str], deny: list[str], host: str, permitted: bool
) -> None:
    assert AccessList(allow=allow, deny=deny).permits(host) == permitted


def test_what_is_no_network_is_refused_when_the_list_is_made() -> None:
    for wrong in ("192.0.2.1/24", "example.com", ""):
        with pytest.raises(ValueError, match=r"network|host bits"):
            AccessList(deny=[wrong])


def test_a_limit_below_a_header_is_refused_before_anything_listens() -> None:
    for size in (5, 0, -1):
        with pytest.raises(ValueError, match="below 6"):
            Options(max_frame=size)
    assert Options(max_frame=6).max_frame == 6


def test_one_host_cannot_take_all_connections() -> None:
    async def main() -> None:
        async with await listen(echo, limits=Limits(per_host=2)) as server:
            clients = [await dial_open(server) for _ in range(2)]
            with pytest.raises((StreamClosed, OSError)):
                await dial(server)
            assert server.stats.refused_host == 1
            # Another address of the loopback network is another host.
            _, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
            )
            await until(lambda: len(server.streams) == 3)
            writer.transport.abort()
            for client in clients:
                await client.close()
            await until(lambda: not server.streams)
            assert not server._hosts

    run_on_asyncio(main())


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_hosts_are_told_apart_by_address_or_network(host: str, group: str) -> None:
    assert host_group(host) == group


def test_the_oldest_unready_connection_makes_room_for_a_new_one() -> None:
    async def main() -> None:
        async with await listen(echo, limits=Limits(unready=3)) as server:
            ready = await dial_open(server)
            held = []
            for count in range(3):
                held.append(await asyncio.open_connection("127.0.0.1", server.port))
                await until(lambda: len(server.streams) == count + 2)  # noqa: B023
            async with await dial_open(server) as client:
                assert await held[0][0].read() == b""
                assert server.stats.ended[Ended.PUSHED_OUT] == 1
                await client.send(blob(1))
                assert await client.receive() == blob(1)
            await ready.send(blob(2))
            assert await ready.receive() == blob(2)
            await ready.close()
            for _, writer in held:
                writer.transport.abort()

    run_on_asyncio(main())


# Hostile bytes.


@ON_EACH_LOOP
@NOISE
def test_garbage_ends_its_own_connection_only(run: RunLoop[None], noise: bool) -> None:
    async def main() -> None:
        rng = random.Random(11)
        async with await listen(echo, noise=noise, options=quick(handshake=1, setup=1)) as server:
            good = await dial_open(server, noise=noise)
            for size in (1, 63, 64, 65, 1000, 3000, 100_000):
                async with raw_socket(server) as (reader, writer):
                    writer.write(rng.randbytes(size))
                    writer.write_eof()
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
                await good.send(blob(size % 100))
                assert await good.receive() == blob(size % 100)
            await until(lambda: len(server.streams) == 1)
            assert server.stats.opened == 1
            await good.close()

    run(main())


@ON_EACH_LOOP
def test_a_flipped_byte_on_the_wire_closes_the_connection(run: RunLoop[None]) -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            client = await dial_open(server)
            client._connection.send(blob(10))
            data = bytearray(client._connection.data_to_send())
            data[30] ^= 1
            assert client._transport is not None
            client._transport.write(bytes(data))
            await reason_of_end(client)
            await until(lambda: not server.streams)
            assert server.stats.ended[Ended.PROTOCOL] == 1

    run(main())


@NOISE
def test_a_message_before_setup_ends_the_connection(noise: bool) -> None:
    async def main() -> None:
        async with await listen(echo, noise=noise) as server:
            client = await dial(server, noise=noise)
            frame = client._connection._writer.write(sv2_ffi.encode(blob(10)))
            assert client._transport is not None
            client._transport.write(frame)
            await reason_of_end(client)
            await until(lambda: not server.streams)
            assert server.stats.ended[Ended.PROTOCOL] == 1

    run_on_asyncio(main())


def test_a_frame_over_the_limit_is_not_read() -> None:
    async def main() -> None:
        async with await listen(echo) as server:
            client = await dial_open(server, protocol=Protocol.MINING)

            async def send_on() -> None:
                for _ in range(100):
                    await client.send(blob(5_000_000))

            with pytest.raises(StreamClosed):
                await send_on()
            await until(lambda: not server.streams)
            assert server.stats.ended[Ended.PROTOCOL] == 1

    run_on_asyncio(main())


# Setup and extensions.


def test_a_refusal_arrives_although_the_client_had_more_to_say() -> None:
    error = SetupConnectionError(5, "unsupported-feature-flags")

    async def refuse(stream: Stream) -> None:
        await stream.receive()
        await asyncio.sleep(0.05)  # the client's further words arrive and are never read
        await stream.send(error)

    async def main() -> None:
        async with await listen(refuse, noise=False) as server:
            for _ in range(20):
                async with raw_socket(server) as (reader, writer):
                    writer.write(sv2_ffi.encode(setup_connection()) + bytes(100_000))
                    assert await reader.read() == sv2_ffi.encode(error)

    run_on_asyncio(main())


@NOISE
def test_a_refused_setup_is_an_exception_without_the_peers_text(noise: bool) -> None:
    error = SetupConnectionError(5, "text-of-the-peer")

    async def refuse(stream: Stream) -> None:
        await stream.receive()
        await stream.send(error)

    async def main() -> None:
        async with await listen(refuse, noise=noise) as server:
            client = await dial(server, noise=noise)
            with pytest.raises(SetupRefused, match="0x00000005") as caught:
                await client.set_up(setup_connection())
            assert caught.value.error == error
            assert "text-of-the-peer" not in str(caught.value)
            with pytest.raises(StreamClosed):
                await client.receive()
            await client.close()

    run_on_asyncio(main())


def test_extensions_are_negotiated_and_used() -> None:
    policy = ExtensionPolicy(frozenset({2, 9}), required=frozenset({9}))
    names: list[str | None] = []

    async def handler(stream: Stream) -> None:
        await accept(stream)
        await stream.send(blob(77))  # not for the negotiation: kept for receive()
        async for message in stream:
            match message:
                case RequestExtensions():
                    await stream.send(policy.answer(message))
                case SubmitSharesExtended():
                    names.append(user_identity(stream.tlvs(message)))

    async def main() -> None:
        async with await listen(handler) as server:
            client = await dial_open(server)
            assert await client.negotiate([2, 3], known=[9]) == {2, 9}
            assert await client.receive() == blob(77)
            share = SubmitSharesExtended(1, 2, 3, 4, 5, 6, b"\x01")
            await client.send(share, [user_identity_tlv("Worker_001")])
            await client.send(share)
            await until(lambda: len(names) == 2)
            assert names == ["Worker_001", None]
            await client.close()

    run_on_asyncio(main())


def test_a_server_that_knows_no_extensions_leaves_none() -> None:
    async def main() -> None:
        async def ignore(stream: Stream) -> None:
            await accept(stream)
            async for message in stream:
                if not isinstance(message, RequestExtensions):
                    await stream.send(message)

        async with await listen(ignore) as server, await dial_open(server) as client:
            assert await client.negotiate([2], timeout=0.1) == frozenset()
            await client.send(blob(1))
            assert await client.receive() == blob(1)

    run_on_asyncio(main())


def test_a_server_that_answers_with_a_flood_is_left() -> None:
    async def chatter(stream: Stream) -> None:
        await accept(stream)
        for number in range(100):
            await stream.send(blob(number))
        await stream.send(RequestExtensionsSuccess(0, [2]))

    async def main() -> None:
        async with await listen(chatter) as server, await dial_open(server) as client:
            with pytest.raises(StreamClosed):
                await client.negotiate([2])

    run_on_asyncio(main())
