"""``sv2 tp`` and ``sv2 tdp`` on real nodes: Bitcoin Core and btcd, on regtest, where there are any.

btcd comes from the Go module registry where Go is installed and no btcd is.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from programs import program, said
from regtest_helpers import run, until
from sv2.node import Node
from sv2.testing.node import op_true_script
from sv2.testing.node.chaindata import parse_block
from sv2.testing.node.faucet import spend
from test_node_peers import Peer, free_port, ready
from tp_helpers import block_of, template_client

ROOT = Path(__file__).parent.parent.parent
BTCD = "github.com/btcsuite/btcd@latest"
BUILT = ROOT / "build" / "btcd"
INSTALL_TIMEOUT = 400.0
FEE = 200_000


def find(name: str) -> str:
    """The node's program; skips where there is none."""
    program = os.environ.get(name.upper()) or shutil.which(name)
    if program is not None:
        return program
    if name != "btcd":
        pytest.skip(f"no {name} here: tests/peers/{name}.sh builds it, {name.upper()} names one")
    return str(built_btcd())


def built_btcd() -> Path:
    """btcd, installed under build/ by Go; skips where that is impossible."""
    target = BUILT / "btcd"
    if target.exists():
        return target
    go = shutil.which("go")
    if go is None:
        pytest.skip("neither btcd nor go on this machine: set BTCD to one")
    try:
        subprocess.run(  # noqa: S603
            [go, "install", BTCD],
            env={**os.environ, "GOBIN": str(BUILT)},
            check=True,
            capture_output=True,
            timeout=INSTALL_TIMEOUT,
        )
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"go install {BTCD} failed: {type(error).__name__}")
    return target


@pytest.fixture(params=["bitcoind", "btcd"])
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Peer:
    name: str = request.param
    return Peer(name, find(name), tmp_path, free_port(), free_port())


def options(peer: Peer, folder: Path) -> list[str]:
    """Of ``sv2 tp``."""
    if peer.name == "btcd":
        password = folder / "password"
        password.write_text("password")
        how = [
            f"--rpc-url=https://127.0.0.1:{peer.rpc_port}",
            f"--rpc-tls-cert={peer.certificate}",
            "--rpc-user=user",
            f"--rpc-password-file={password}",
        ]
    else:
        how = [
            f"--rpc-url=http://127.0.0.1:{peer.rpc_port}",
            f"--rpc-cookie={folder / 'regtest' / '.cookie'}",
        ]
    common = ["--network=regtest", f"--datadir={folder / 'tp'}", "--listen=127.0.0.1:0"]
    return [*common, "--fee-interval=0.5", *how]


class Watched:
    """``sv2 tdp`` and the events that it tells."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next event of a kind, with these fields."""
        assert self._process.stdout is not None
        while line := await asyncio.wait_for(self._process.stdout.readline(), 90):
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event and all(told[key] == fields[key] for key in fields):
                return told
        assert self._process.stderr is not None
        raise AssertionError((await self._process.stderr.read()).decode())


@asynccontextmanager
async def watching(*arguments: str) -> AsyncIterator[Watched]:
    async with program("tdp", *arguments) as process:
        yield Watched(process)


async def pay(node: Node, height: int) -> None:
    """A transaction with a fee, of the coinbase at a height."""
    coinbase = parse_block(await node.block(await node.block_hash(height))).transactions[0]
    value = coinbase.outputs[0][0]
    tx = spend((coinbase.txid, 0), [(value - FEE, op_true_script())])
    await node.send_raw_transaction(tx.raw)


@pytest.mark.parametrize("noise", [True, False], ids=["noise", "plain"])
def test_template_fees_tip_data_and_a_solved_block(
    peer: Peer, tmp_path: Path, noise: bool, request: pytest.FixtureRequest
) -> None:
    # btcd makes a new template on the same tip once a minute at most.
    with_fees = peer.name != "btcd" or request.config.getoption("--full")

    async def scenario() -> None:
        plain = [] if noise else ["--plain"]
        async with peer.running(), await peer.client() as rpc:
            node = Node(rpc)
            await ready(node)
            tip = await peer.mine(node, 110)
            async with program("tp", *options(peer, tmp_path), "--check", *plain) as checker:
                out, _ = await checker.communicate()
                assert checker.returncode == 0, out
            async with program("tp", *options(peer, tmp_path), *plain) as provider:
                url = await said(provider, "for pools: ")
                async with watching(url, "--data", *plain) as client:
                    first = await client.next("template")
                    assert first["height"] == 111
                    await client.next("tip", previous=tip[::-1].hex())
                    assert (await client.next("data"))["transactions"] == 0
                    await pay(node, 1)
                    if with_fees:
                        more = await client.next("template", **{"for": "now"})
                        assert more["value"] == first["value"] + FEE
                        data = await client.next("data", template=more["template"])
                        assert data["transactions"] == 1
                    tip = await peer.mine(node, 1)
                    await client.next("tip", previous=tip[::-1].hex())
                    await pay(node, 2)
                    # On the second of its blocks, if not on the first, that payment is in.
                    async with watching(url, "--solve=2", "--wait=60", *plain) as miner:
                        solved = await miner.next("solved")
                        assert (await miner.next("accepted"))["block"] == solved["block"]
                        solved = await miner.next("accepted")
                    await client.next("tip", previous=solved["block"])
                    assert (await node.best_block_hash())[::-1].hex() == solved["block"]
                    assert await node.raw_mempool() == ()

    run(scenario(), timeout=200)


def test_a_block_found_while_the_node_is_away_is_in_its_chain_afterwards(
    peer: Peer, tmp_path: Path
) -> None:
    if peer.name == "btcd":
        pytest.skip("btcd begins an empty regtest chain at each start")

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            async with peer.running(), await peer.client() as rpc:
                node = Node(rpc)
                await ready(node)
                tip = await peer.mine(node, 10)
                provider = await stack.enter_async_context(
                    program("tp", *options(peer, tmp_path), "--plain")
                )
                port = int(await said(provider, "listening on: 127.0.0.1 port"))
                client = await stack.enter_async_context(template_client(port))
                template, previous = await client.pair()
                assert previous.prev_hash == tip
            # The node is gone.
            solution = await client.submit(template)
            block = block_of(template, previous, (), solution)
            journal = tmp_path / "tp" / "blocks" / "regtest"
            await until(lambda: len(list(journal.glob("*.pending"))) == 1)
            async with peer.running(), await peer.client() as rpc:
                node = Node(rpc)
                await ready(node)
                await client.work_on(parse_block(block).hash)
                assert await node.block(await node.best_block_hash()) == block
                await until(lambda: len(list(journal.glob("*.accepted"))) == 1)

    run(scenario(), timeout=100)
