"""Learning of new tips: by ZMQ, by the ways that stand in for it, across gaps and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from regtest_helpers import client_of, run, running_node, until
from sv2.node import (
    Node,
    NodeBack,
    NodeInInitialDownload,
    NodeLost,
    TipChanged,
    TipEvent,
    TipSettings,
    TipSource,
    TipWatcher,
)
from sv2.testing.node import Fault, FaultKind, RegtestNode, op_true_script

ANY_PORT = "tcp://127.0.0.1:*"
NO_METHOD = -32601
SLOW = TipSettings(check_interval=3600, retry_first=0.05, retry_most=0.2)
QUICK = TipSettings(check_interval=0.2, poll_interval=0.1, retry_first=0.05, retry_most=0.2)


async def next_of(watcher: TipWatcher, seconds: float = 10.0) -> TipEvent:
    return await asyncio.wait_for(watcher.next(), seconds)


async def next_tip(watcher: TipWatcher, tip_hash: bytes) -> TipChanged:
    """The event of this tip; earlier events are passed over."""
    while True:
        match await next_of(watcher):
            case TipChanged(found) as event if found == tip_hash:
                return event


@asynccontextmanager
async def watching(
    node: RegtestNode, settings: TipSettings, *, zmq: bool = False
) -> AsyncIterator[TipWatcher]:
    """A watcher that has announced the first tip."""
    address = node.publisher.address("hashblock") if zmq else None
    async with (
        client_of(node) as client,
        TipWatcher(client, zmq_hashblock=address, settings=settings) as watcher,
    ):
        assert await next_of(watcher) == NodeBack()
        assert await next_of(watcher) == TipChanged(node.chain.tip.hash, TipSource.POLL)
        yield watcher


async def mine(node: RegtestNode) -> bytes:
    (block_hash,) = await node.generate(1, op_true_script())
    return block_hash


@asynccontextmanager
async def told_by_zmq(
    folder: Path, settings: TipSettings = QUICK
) -> AsyncIterator[tuple[RegtestNode, TipWatcher]]:
    """A node, and a watcher at which its notices arrive: a subscription takes a moment after the
    handshake."""
    async with (
        running_node(folder, zmq_hashblock=ANY_PORT) as node,
        watching(node, settings, zmq=True) as watcher,
    ):
        await until(lambda: watcher.source is TipSource.ZMQ)
        while (await next_tip(watcher, await mine(node))).source is not TipSource.ZMQ:
            pass
        yield node, watcher


def without(node: RegtestNode, *methods: str) -> None:
    for method in methods:
        node.faults.add(
            Fault(FaultKind.ERROR, method=method, code=NO_METHOD, message="Method not found")
        )


def recorded_calls(node: RegtestNode) -> list[str]:
    """The methods that are called from now on, as a list that grows."""
    calls: list[str] = []
    take = node.faults.take

    def recording(method: str) -> list[Fault]:
        calls.append(method)
        return take(method)

    node.faults.take = recording  # type: ignore[method-assign]
    return calls


async def calls_after_quiet(node: RegtestNode) -> list[str]:
    """The same from when the watcher asks nothing: what it announces from then on came by ZMQ."""
    calls = recorded_calls(node)
    while True:
        await asyncio.sleep(0.2)
        if not calls:
            return calls
        calls.clear()


def test_zmq_tells_each_tip(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with told_by_zmq(tmp_path, SLOW) as (node, watcher):
            calls = await calls_after_quiet(node)
            for _ in range(3):
                tip = await mine(node)
                assert await next_tip(watcher, tip) == TipChanged(tip, TipSource.ZMQ)
                assert watcher.tip_hash == tip
            assert calls == []

    run(scenario())


def test_a_gap_is_reported_with_the_notice_after_it_and_the_node_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with told_by_zmq(tmp_path, SLOW) as (node, watcher):
            calls = await calls_after_quiet(node)
            node.publisher.skip(2)
            await node.generate(2, op_true_script())
            event = await next_tip(watcher, await mine(node))
            assert (event.source, event.missed) == (TipSource.ZMQ, 2)
            await until(lambda: calls == ["getbestblockhash"])

    run(scenario())


def test_a_notice_that_was_lost_is_made_up_for_by_asking(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with told_by_zmq(tmp_path) as (node, watcher):
            node.publisher.skip(1)
            tip = await mine(node)
            assert (await next_tip(watcher, tip)).source is TipSource.CHECK

    run(scenario())


def test_blocks_taken_away_are_noticed_although_zmq_says_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with told_by_zmq(tmp_path) as (node, watcher):
            before = node.chain.active[-2]
            node.chain.invalidate(node.chain.tip.hash)
            assert (await next_tip(watcher, before)).source is TipSource.CHECK

    run(scenario())


def test_without_zmq_the_node_is_asked_to_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, watching(node, SLOW) as watcher:
            await until(lambda: node.server._under_way == 1)
            for _ in range(3):
                tip = await mine(node)
                assert (await next_tip(watcher, tip)).source in (TipSource.WAIT, TipSource.CHECK)
            assert watcher.source is TipSource.WAIT

    run(scenario())


def test_zmq_configured_but_not_there_falls_back_to_waiting(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running_node(tmp_path) as node,
            client_of(node) as client,
            TipWatcher(client, zmq_hashblock="tcp://127.0.0.1:1", settings=SLOW) as watcher,
        ):
            await next_tip(watcher, node.chain.tip.hash)
            await until(lambda: node.server._under_way == 1)
            event = await next_tip(watcher, await mine(node))
            assert event.source is TipSource.WAIT

    run(scenario())


def test_a_node_that_cannot_wait_is_long_polled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            without(node, "waitfornewblock")
            async with watching(node, SLOW) as watcher:
                await until(lambda: watcher.source is TipSource.LONG_POLL)
                await until(lambda: node.server._under_way == 1)
                await asyncio.sleep(0.1)
                event = await next_tip(watcher, await mine(node))
                assert event.source is TipSource.LONG_POLL

    run(scenario())


def test_a_node_without_templates_is_polled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            without(node, "waitfornewblock", "getblocktemplate")
            async with watching(node, QUICK) as watcher:
                await until(lambda: watcher.source is TipSource.POLL)
                event = await next_tip(watcher, await mine(node))
                assert event.source is TipSource.POLL

    run(scenario())


def test_a_block_between_two_waits_of_an_older_node_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a node waits for the next change from when it is asked. A block just before that must
    not go unnoticed until the wait ends."""
    wait = Node.wait_for_new_block

    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            raced: list[bytes] = []

            async def racing(self: Node, known: bytes, seconds: float) -> Any:
                self._wait_takes_tip = False
                if not raced:
                    raced.append(await mine(node))
                return await wait(self, known, seconds)

            monkeypatch.setattr(Node, "wait_for_new_block", racing)
            async with client_of(node) as client, TipWatcher(client, settings=SLOW) as watcher:
                await until(lambda: bool(raced))
                assert (await next_tip(watcher, raced[0])).source is TipSource.CHECK

    run(scenario(), timeout=15)


@pytest.mark.parametrize("zmq", [True, False])
def test_a_node_that_restarts_with_a_new_cookie_is_picked_up_again(
    tmp_path: Path, zmq: bool
) -> None:
    async def scenario() -> None:
        async with (
            running_node(tmp_path, zmq_hashblock=ANY_PORT) as node,
            watching(node, QUICK, zmq=zmq) as watcher,
        ):
            cookie = node.cookie
            # What an older version could not do, the one that comes back perhaps can.
            watcher._node._wait_takes_tip = False
            node.restart(0.5, warmup=0.3)
            event = await next_of(watcher)
            while not isinstance(event, NodeLost):
                event = await next_of(watcher)
            assert event.error.transient
            assert await next_of(watcher) == NodeBack()
            assert node.cookie != cookie
            assert watcher._node.wait_takes_tip
            tip = await mine(node)
            assert isinstance(await next_tip(watcher, tip), TipChanged)

    run(scenario())


def test_a_block_found_while_the_node_was_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, watching(node, QUICK) as watcher:
            node.restart(0.3)
            await until(lambda: not node.running)
            tip = await mine(node)
            assert isinstance(await next_of(watcher), NodeLost)
            assert await next_of(watcher) == NodeBack()
            event = await next_of(watcher)
            assert isinstance(event, TipChanged)
            assert event.tip_hash == tip

    run(scenario())


def test_a_node_not_ready_is_lost_once_and_told_when_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            busy = Fault(FaultKind.ERROR, method="getbestblockhash", code=-10, count=4)
            node.faults.add(busy)
            async with (
                client_of(node) as client,
                TipWatcher(client, settings=QUICK) as watcher,
            ):
                event = await next_of(watcher)
                assert isinstance(event, NodeLost)
                assert isinstance(event.error, NodeInInitialDownload)
                assert await next_of(watcher) == NodeBack()
                assert isinstance(await next_of(watcher), TipChanged)
                assert node.faults.to_json() == []

    run(scenario())


def test_events_nobody_takes_do_not_pile_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with told_by_zmq(tmp_path) as (node, watcher):
            await node.generate(200, op_true_script())
            await until(lambda: watcher.tip_hash == node.chain.tip.hash)
            assert len(watcher._events) <= 1
            event = await next_of(watcher)
            assert isinstance(event, TipChanged)
            assert event.tip_hash == node.chain.tip.hash

    run(scenario())


def test_a_reorganization_is_one_new_tip(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with told_by_zmq(tmp_path) as (node, watcher):
            await node.generate(2, op_true_script())
            await next_tip(watcher, node.chain.tip.hash)
            hashes = await node.reorganize(2, 3, op_true_script())
            event = await next_of(watcher)
            assert isinstance(event, TipChanged)
            assert event.tip_hash == hashes[-1]

    run(scenario())


def test_a_watcher_ends_even_if_it_is_told_something_at_that_moment(tmp_path: Path) -> None:
    """The wait for the next check and the order to end may come true in one turn of the loop."""

    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            without(node, "waitfornewblock", "getblocktemplate")
            for _ in range(5):
                async with watching(node, TipSettings(poll_interval=3600)) as watcher:
                    await until(lambda: watcher.source is TipSource.POLL)
                    await asyncio.sleep(0.1)
                    watcher.check_now()
                assert watcher._task is not None
                assert watcher._task.done()

    run(scenario(), timeout=20)


def test_a_watcher_that_was_left_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            async with watching(node, QUICK) as watcher:
                pass
            with pytest.raises(RuntimeError, match="not running"):
                await next_of(watcher)

    run(scenario())


def test_waiting_does_not_keep_the_node_busy(tmp_path: Path) -> None:
    """An idle watcher makes a bounded number of calls: one wait at a time and a check for each."""

    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            calls = recorded_calls(node)
            settings = TipSettings(wait=0.5)
            async with watching(node, settings):
                await asyncio.sleep(1.2)
            assert calls.count("waitfornewblock") <= 3
            assert len(calls) <= 8

    run(scenario())
