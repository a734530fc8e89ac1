"""ZMQ hashblock notices: parsing, gaps, and what the test node publishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq
import zmq.asyncio
from hypothesis import given
from hypothesis import strategies as st
from regtest_helpers import recorded_node, recorded_template, run, running_node, until
from sv2.node.zmq_hashblock import GapDetector, HashBlock, HashBlockSubscriber, parse_hashblock
from sv2.testing.node import RegtestNode, op_true_script

ANY_PORT = "tcp://127.0.0.1:*"
HASH = bytes(range(32))


@pytest.mark.parametrize(
    ("parts", "notice"),
    [
        ([b"hashblock", HASH, b"\x02\x01\0\0"], HashBlock(HASH[::-1], 0x102)),
        ([b"hashblock", HASH], HashBlock(HASH[::-1], None)),
        ([b"hashblock", HASH[:-1], bytes(4)], None),
        ([b"hashblock", HASH, bytes(3)], None),
        ([b"hashblock", HASH, bytes(4), b""], None),
        ([b"hashblock2", HASH, bytes(4)], None),
        ([b"hashblock"], None),
        ([], None),
    ],
)
def test_notices_parse_and_anything_else_is_none(
    parts: list[bytes], notice: HashBlock | None
) -> None:
    assert parse_hashblock(parts) == notice


@given(st.lists(st.binary(max_size=40) | st.just(b"hashblock") | st.just(HASH), max_size=4))
def test_no_message_makes_the_parser_fail(parts: list[bytes]) -> None:
    notice = parse_hashblock(parts)
    assert notice is None or len(notice.block_hash) == 32


@pytest.mark.parametrize(
    ("counters", "missing"),
    [
        ([5, 6, 7], [0, 0, 0]),
        ([0, 3, 4, 10], [0, 2, 0, 5]),
        ([0xFFFFFFFF, 0, 1], [0, 0, 0]),
        ([0xFFFFFFFE, 1], [0, 2]),
        ([9, 9], [0, 1]),
        ([9, 0, 1], [0, 1, 0]),
        ([None, 4, None, 6], [0, 0, 0, 1]),
    ],
)
def test_gaps_in_the_counter_are_counted(counters: list[int | None], missing: list[int]) -> None:
    gaps = GapDetector()
    assert [gaps.observe(counter) for counter in counters] == missing


@asynccontextmanager
async def listening(node: RegtestNode, topic: str) -> AsyncIterator[zmq.asyncio.Socket]:
    """A plain subscriber whose subscription has reached the publisher."""
    socket = zmq.asyncio.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    socket.connect(node.publisher.address(topic))
    await asyncio.wait_for(monitor.recv_multipart(), 10)
    # The publisher learns of the subscription a moment after the handshake.
    while not await socket.poll(50):
        await node.generate(1, op_true_script())
    while await socket.poll(50):
        await socket.recv_multipart()
    try:
        yield socket
    finally:
        socket.disable_monitor()
        socket.close(linger=0)


async def take(socket: zmq.asyncio.Socket, count: int) -> list[list[bytes]]:
    return [await asyncio.wait_for(socket.recv_multipart(), 10) for _ in range(count)]


def test_hashblock_tells_each_new_tip_with_a_counter(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running_node(tmp_path, zmq_hashblock=ANY_PORT) as node,
            listening(node, "hashblock") as socket,
        ):
            hashes = await node.generate(3, op_true_script())
            notices = [parse_hashblock(parts) for parts in await take(socket, 3)]
            assert [notice and notice.block_hash for notice in notices] == hashes
            first = notices[0] and notices[0].counter
            assert first is not None
            assert [notice and notice.counter for notice in notices] == [
                first,
                first + 1,
                first + 2,
            ]
            node.publisher.skip(2)
            await node.generate(3, op_true_script())
            (parts,) = await take(socket, 1)
            assert int.from_bytes(parts[2], "little") == first + 5
            # As in Bitcoin Core, taking blocks away is told by "sequence" only.
            node.chain.invalidate(node.chain.tip.hash)
            assert await socket.poll(200) == 0

    run(scenario())


def test_sequence_tells_blocks_and_transactions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            recorded_node(tmp_path, zmq_sequence=ANY_PORT) as node,
            listening(node, "sequence") as socket,
        ):
            (mined,) = await node.generate(1, op_true_script())
            node.chain.invalidate(mined)
            events = [parts[1] for parts in await take(socket, 2)]
            assert events == [mined[::-1] + b"C", mined[::-1] + b"D"]
            assert await socket.poll(200) == 0

    run(scenario())


def test_sequence_tells_transactions_that_come_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path, zmq_sequence=ANY_PORT) as node:
            (mined,) = await node.generate(1, op_true_script())
            async with listening(node, "sequence") as socket:
                node.chain.invalidate(mined)
                bodies = [parts[1] for parts in await take(socket, 18 + 1)]
                while await socket.poll(50):
                    bodies.append((await socket.recv_multipart())[1])
            added = [body[:32].hex() for body in bodies if body[32:33] == b"A"]
            assert added == [item["txid"] for item in recorded_template()["transactions"]]
            numbers = [
                int.from_bytes(body[33:], "little") for body in bodies if body[32:33] == b"A"
            ]
            assert numbers == list(range(numbers[0], numbers[0] + 18))

    run(scenario())


def test_the_subscriber_reports_connection_loss_and_return(tmp_path: Path) -> None:
    """The counter of a node that came back starts again, and that is no gap."""

    async def scenario() -> None:
        states: list[bool] = []
        blocks: list[tuple[HashBlock, int]] = []

        async def notice_of_a_block() -> None:
            blocks.clear()
            while not blocks:
                await node.generate(1, op_true_script())
                await asyncio.sleep(0.02)
            assert blocks[-1][0].block_hash in node.chain.active
            assert {missing for _, missing in blocks} == {0}

        async with running_node(tmp_path, zmq_hashblock=ANY_PORT) as node:
            address = node.publisher.address("hashblock")
            assert address is not None
            async with HashBlockSubscriber(
                address, lambda notice, missing: blocks.append((notice, missing)), states.append
            ):
                await until(lambda: states == [True])
                await notice_of_a_block()
                node.restart(0.1)
                await until(lambda: states == [True, False, True])
                await until(lambda: node.running)
                await notice_of_a_block()

    run(scenario())


def test_a_publisher_that_sends_too_much_is_cut_off() -> None:
    async def scenario() -> None:
        states: list[bool] = []
        blocks: list[HashBlock] = []
        publisher = zmq.Context.instance().socket(zmq.PUB)
        try:
            publisher.bind(ANY_PORT)
            address = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
            async with HashBlockSubscriber(
                address, lambda notice, _: blocks.append(notice), states.append
            ):
                await until(lambda: states == [True])
                while states == [True]:
                    publisher.send_multipart([b"hashblock", bytes(4096), bytes(4)])
                    await asyncio.sleep(0.02)
                await until(lambda: states == [True, False, True])
                assert blocks == []
                while not blocks:
                    publisher.send_multipart([b"hashblock", HASH, bytes(4)])
                    await asyncio.sleep(0.02)
                assert blocks[0] == HashBlock(HASH[::-1], 0)
        finally:
            publisher.close(linger=0)

    run(scenario())


@pytest.mark.parametrize("address", ["", "nonsense", "tcp://127.0.0.1", "udp://127.0.0.1:5555"])
def test_addresses_zmq_does_not_take_are_refused(tmp_path: Path, address: str) -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="ZMQ address"):
            async with HashBlockSubscriber(address, lambda *_: None, lambda _: None):
                pass
        with pytest.raises(ValueError, match="ZMQ address"):
            async with running_node(tmp_path, zmq_hashblock=address):
                pass
        async with running_node(tmp_path):
            pass

    run(scenario())
