"""Faults on demand, restarts and reorganizations of the test node."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from regtest_helpers import client_of, run, running_node, until
from sv2.node import (
    BadAnswer,
    NodeDown,
    NodeHasNoPeers,
    NodeInInitialDownload,
    NodeTimeout,
    NodeWarmingUp,
    RpcError,
    SubmitOutcome,
    WorkQueueFull,
)
from sv2.testing.node import BadFault, Fault, FaultKind, make_block, op_true_script
from sv2.testing.node.faults import MAX_FAULTS, Faults


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "error", "code": -10, "message": "busy"}, NodeInInitialDownload),
        ({"kind": "error", "code": -9}, NodeHasNoPeers),
        ({"kind": "error", "code": -28}, NodeWarmingUp),
        ({"kind": "http", "status": 503}, WorkQueueFull),
        ({"kind": "http", "status": 500}, BadAnswer),
        ({"kind": "garbage"}, BadAnswer),
        ({"kind": "drop"}, NodeDown),
        ({"kind": "lose"}, NodeDown),
        ({"kind": "hang", "seconds": 30}, NodeTimeout),
        ({"kind": "hang", "seconds": 0.1}, NodeDown),
        ({"kind": "latency", "seconds": 30}, NodeTimeout),
    ],
)
def test_each_fault_reaches_the_client_as_what_it_is(
    tmp_path: Path, fault: dict[str, Any], expected: type[Exception]
) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            await client.rpc.call("addfault", {**fault, "method": "getblockcount", "count": 2})
            for _ in range(2):
                with pytest.raises(expected):
                    await client.rpc.call("getblockcount", timeout=1.0)
            assert await client.rpc.call("getblockcount") == 0
            assert await client.rpc.call("listfaults") == []

    run(scenario())


def test_latency_delays_and_then_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            node.faults.add(Fault(FaultKind.LATENCY, seconds=0.3))
            loop = asyncio.get_running_loop()
            start = loop.time()
            assert await client.rpc.call("getblockcount") == 0
            assert loop.time() - start >= 0.3

    run(scenario())


def test_a_lost_answer_was_acted_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            tip = node.chain.tip
            when = node.chain.minimum_time(tip)
            block = make_block(tip.hash, 1, when, (), 50 * 10**8, op_true_script())
            node.faults.add(Fault(FaultKind.LOSE, method="submitblock", count=1))
            with pytest.raises(NodeDown):
                await client.submit_block(block)
            assert node.chain.height == 1
            assert (await client.submit_block(block)).outcome is SubmitOutcome.DUPLICATE

    run(scenario())


def test_faults_of_any_method_spare_the_calls_that_end_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            number = await client.rpc.call("addfault", {"kind": "error", "code": -1})
            with pytest.raises(RpcError):
                await client.rpc.call("getblockcount")
            assert [item["number"] for item in await client.rpc.call("listfaults")] == [number]
            assert await client.rpc.call("clearfaults", number) == 1
            assert await client.rpc.call("getblockcount") == 0
            assert await client.rpc.call("clearfaults") == 0

    run(scenario())


@pytest.mark.parametrize(
    "described",
    [
        3,
        {},
        {"kind": "nosuch"},
        {"kind": ["error"]},
        {"kind": "error", "nosuch": 1},
        {"kind": "error", "code": "x"},
        {"kind": "error", "count": 0},
        {"kind": "error", "count": True},
        {"kind": "latency", "seconds": -1},
        {"kind": "latency", "seconds": float("nan")},
        {"kind": "latency", "seconds": 3601},
        {"kind": "http", "status": 200},
        {"kind": "error", "message": "x" * 301},
        {"kind": "error", "number": 5},
    ],
)
def test_faults_described_wrongly_are_refused(described: object) -> None:
    with pytest.raises(BadFault):
        Fault.parse(described)


def test_there_is_a_limit_to_faults() -> None:
    faults = Faults()
    for _ in range(MAX_FAULTS):
        faults.add(Fault(FaultKind.DROP))
    with pytest.raises(BadFault):
        faults.add(Fault(FaultKind.DROP))


def test_a_restart_ends_waits_and_changes_the_cookie_on_the_same_port(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            await node.generate(3, op_true_script())
            url, cookie = node.rpc_url, node.cookie
            waiting = asyncio.create_task(client.wait_for_new_block(node.chain.tip.hash, 20))
            await until(lambda: node.server._under_way == 1)
            await client.rpc.call("restart", 0.3, 0.3)
            # As Bitcoin Core does, the node ends waits with the tip it has when it stops.
            assert (await waiting).height == 3
            await until(lambda: not node.running)
            with pytest.raises((NodeDown, RpcError)):
                await client.rpc.call("getblockcount")
            await until(lambda: node.running)
            with pytest.raises(NodeWarmingUp):
                await client.rpc.call("getblockcount")
            await until(lambda: not node.warming_up)
            assert await client.rpc.call("getblockcount") == 3
            assert node.rpc_url == url
            assert node.cookie != cookie

    run(scenario())


def test_reorg_on_demand(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            await node.generate(5, op_true_script())
            before = list(node.chain.active)
            await client.rpc.call("reorg", 2)
            assert node.chain.active[:4] == before[:4]
            assert node.chain.height == 6
            assert not set(before[4:]) & set(node.chain.active)
            for depth, length in ((0, 1), (7, 8), (2, 2)):
                with pytest.raises(RpcError):
                    await client.rpc.call("reorg", depth, length)

    run(scenario())
