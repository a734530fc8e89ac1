"""What the tests of the node client and of the test node share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from sv2.node import CookieFile, Node, RpcClient
from sv2.testing.node import NodeConfig, RegtestNode
from sv2.testing.node.chaindata import parse_transaction

DATA = Path(__file__).parent.parent / "data" / "regtest"
TEST_TIMEOUT = 60.0


def run(test: Coroutine[Any, Any, None], timeout: float = TEST_TIMEOUT) -> None:
    """Run an asynchronous test; nothing waits longer than a minute."""
    asyncio.run(asyncio.wait_for(test, timeout))


def recorded_blocks() -> list[bytes]:
    return [bytes.fromhex(line) for line in (DATA / "chain.hex").read_text("ascii").split()]


def recorded_template() -> dict[str, Any]:
    template: dict[str, Any] = json.loads((DATA / "getblocktemplate.json").read_text("ascii"))
    return template


def solved_block() -> bytes:
    return bytes.fromhex((DATA / "solved-block.hex").read_text("ascii").strip())


@asynccontextmanager
async def running_node(folder: Path, **options: Any) -> AsyncIterator[RegtestNode]:
    """A test node on any free port."""
    async with RegtestNode(NodeConfig(datadir=folder, **options)) as node:
        yield node


@asynccontextmanager
async def recorded_node(folder: Path, **options: Any) -> AsyncIterator[RegtestNode]:
    """A test node where the recorded session began: 135 blocks, 18 transactions."""
    async with running_node(folder, **options) as node:
        for block in recorded_blocks():
            assert node.chain.submit(block) is None
        for item in recorded_template()["transactions"]:
            node.pool.accept(parse_transaction(bytes.fromhex(item["data"])))
        yield node


@asynccontextmanager
async def client_of(node: RegtestNode, **options: Any) -> AsyncIterator[Node]:
    """The client side of a running test node."""
    async with RpcClient(node.rpc_url, CookieFile(node.cookie_path), **options) as rpc:
        yield Node(rpc)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds; fails the test where it never does."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.01)
