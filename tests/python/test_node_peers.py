"""The node client against real nodes: Bitcoin Core and btcd, on regtest, where there are any."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from regtest_helpers import run, until
from sv2.node import (
    CookieFile,
    Credentials,
    MethodNotFound,
    Node,
    NodeBack,
    NodeError,
    NodeLost,
    RpcClient,
    RpcError,
    SubmitOutcome,
    TipChanged,
    TipSettings,
    TipSource,
    TipWatcher,
    UserPassword,
)
from sv2.testing.node import make_block, op_true_script
from sv2.testing.node.chaindata import Block, parse_block, rpc_hash
from sv2.testing.node.faucet import spend

ADDRESS = "bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85"
"""Of `op_true_script`."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Peer:
    """A real node's program and how to run it."""

    name: str
    program: str
    folder: Path
    rpc_port: int
    zmq_port: int

    @property
    def arguments(self) -> list[str]:
        if self.name == "btcd":
            return [
                "--regtest",
                "--nolisten",
                "--nodnsseed",
                f"--rpccert={self.certificate}",
                f"--rpckey={self.folder / 'rpc.key'}",
                f"--rpclisten=127.0.0.1:{self.rpc_port}",
                "--rpcuser=user",
                "--rpcpass=password",
                f"--datadir={self.folder / 'data'}",
                f"--logdir={self.folder / 'logs'}",
                f"--configfile={self.folder / 'none.conf'}",
                f"--miningaddr={ADDRESS}",
                "--relaynonstd",
            ]
        return [
            "-regtest",
            "-listen=0",
            "-dnsseed=0",
            "-fixedseeds=0",
            f"-datadir={self.folder}",
            f"-rpcport={self.rpc_port}",
            f"-zmqpubhashblock=tcp://127.0.0.1:{self.zmq_port}",
            "-printtoconsole=0",
        ]

    @property
    def credentials(self) -> Credentials:
        if self.name == "btcd":
            return UserPassword("user", "password")
        return CookieFile(self.folder / "regtest" / ".cookie")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        process = subprocess.Popen(  # noqa: S603
            [self.program, *self.arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 20)
            finally:
                process.kill()

    @property
    def certificate(self) -> Path:
        return self.folder / "rpc.cert"

    async def client(self) -> RpcClient:
        """A client of the node; btcd's speaks TLS with the certificate that btcd makes itself."""
        address = f"127.0.0.1:{self.rpc_port}"
        if self.name != "btcd":
            return RpcClient(f"http://{address}", self.credentials)
        await until(lambda: self.certificate.exists() and bool(self.certificate.read_bytes()), 30)
        tls = ssl.create_default_context(cafile=str(self.certificate))
        return RpcClient(f"https://{address}", self.credentials, tls=tls)

    async def mine(self, node: Node, count: int) -> bytes:
        if self.name == "btcd":
            hashes = await node.rpc.call("generate", count)
        else:
            hashes = await node.rpc.call("generatetoaddress", count, ADDRESS)
        return bytes.fromhex(hashes[-1])[::-1]


@pytest.fixture(params=["bitcoind", "btcd"])
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Peer:
    name: str = request.param
    program = os.environ.get(name.upper()) or shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here: tests/peers/{name}.sh builds it, {name.upper()} names one")
    return Peer(name, program, tmp_path, free_port(), free_port())


async def ready(node: Node, seconds: float = 30.0) -> None:
    """Wait for a node that is starting: everything until then must be worth waiting for."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            await node.best_block_hash()
        except NodeError as error:
            if not error.transient or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def block_from(node: Node, *, spoil: bool = False) -> Block:
    """A solved block from the node's own template."""
    template = await node.block_template()
    value = template.coinbase_value - template.fees + (1 if spoil else 0)
    when = max(template.minimum_time, template.current_time)
    script = op_true_script()
    raw = make_block(template.previous_hash, template.height, when, (), value, script)
    return parse_block(raw)


def test_calls_and_typed_answers(peer: Peer) -> None:
    async def scenario() -> None:
        async with peer.running(), await peer.client() as rpc:
            node = Node(rpc)
            await ready(node)
            tip = await peer.mine(node, 2)
            info = await node.chain_info()
            assert (info.chain, info.blocks, info.best_block_hash) == ("regtest", 2, tip)
            assert await node.block_hash(2) == tip
            header = await node.block_header(tip)
            assert (header.height, header.confirmations, header.bits) == (2, 1, 0x207FFFFF)
            assert parse_block(await node.block(tip)).hash == tip
            template = await node.block_template()
            assert (template.previous_hash, template.height) == (tip, 3)
            assert template.coinbase_value == 50 * 10**8
            assert template.long_poll_id is not None
            with pytest.raises(RpcError):
                await node.block_hash(99)
            with pytest.raises(RpcError) as caught:
                await node.block_header(bytes(32))
            assert caught.value.code == -5
            if peer.name == "btcd":
                with pytest.raises(MethodNotFound):
                    await node.network_info()
                assert await node.zmq_endpoints() == ()
            else:
                assert not (await node.network_info()).is_knots
                (endpoint,) = await node.zmq_endpoints()
                assert endpoint.kind == "pubhashblock"

    run(scenario())


def test_blocks_and_proposals(peer: Peer) -> None:
    async def scenario() -> None:
        async with peer.running(), await peer.client() as rpc:
            node = Node(rpc)
            await ready(node)
            await peer.mine(node, 1)
            block = await block_from(node)
            greedy = await block_from(node, spoil=True)
            assert (await node.propose_block(block.raw)).outcome is SubmitOutcome.ACCEPTED
            assert (await node.propose_block(greedy.raw)).outcome is SubmitOutcome.REJECTED
            assert (await node.submit_block(greedy.raw)).outcome is SubmitOutcome.REJECTED
            assert (await node.submit_block(block.raw)).outcome is SubmitOutcome.ACCEPTED
            assert (await node.submit_block(block.raw)).outcome is SubmitOutcome.DUPLICATE
            assert await node.best_block_hash() == block.hash

    run(scenario())


def test_transactions_appear_in_the_template(peer: Peer) -> None:
    async def scenario() -> None:
        async with peer.running(), await peer.client() as rpc:
            node = Node(rpc)
            await ready(node)
            await peer.mine(node, 101)
            first = parse_block(await node.block(await node.block_hash(1)))
            parent = spend(
                (first.transactions[0].txid, 0), [(50 * 10**8 - 100_000, op_true_script())]
            )
            child = spend((parent.txid, 0), [(50 * 10**8 - 300_000, op_true_script())])
            for tx in (parent, child):
                assert rpc_hash(await node.send_raw_transaction(tx.raw)) == rpc_hash(tx.txid)
            assert set(await node.raw_mempool()) == {parent.txid, child.txid}
            template = await node.block_template()
            for _ in range(40):
                if len(template.transactions) == 2:
                    break
                # A node may serve the template it has for some seconds more.
                await asyncio.sleep(0.25)
                template = await node.block_template()
            shown = template.transactions
            assert [tx.txid for tx in shown] == [parent.txid, child.txid]
            assert [tx.wtxid for tx in shown] == [parent.wtxid, child.wtxid]
            assert [tx.data for tx in shown] == [parent.raw, child.raw]
            assert [tx.fee for tx in shown] == [100_000, 200_000]
            assert [tx.weight for tx in shown] == [parent.weight, child.weight]
            assert [tx.depends for tx in shown] == [(), (0,)]
            assert template.coinbase_value == 50 * 10**8 + 300_000
            assert template.witness_commitment is not None

    run(scenario())


@pytest.mark.parametrize("zmq", [True, False])
def test_new_tips_are_told_and_a_restart_survived(peer: Peer, zmq: bool) -> None:
    if zmq and peer.name == "btcd":
        pytest.skip("btcd publishes nothing over ZMQ")

    async def scenario() -> None:
        address = f"tcp://127.0.0.1:{peer.zmq_port}" if zmq else None
        settings = TipSettings(check_interval=1, poll_interval=0.5, retry_first=0.1)
        async with peer.running():
            # For the certificate that it makes at its first start.
            await (await peer.client()).close()
        async with await peer.client() as rpc:
            node = Node(rpc)
            async with TipWatcher(node, zmq_hashblock=address, settings=settings) as watcher:

                async def next_event() -> object:
                    return await asyncio.wait_for(watcher.next(), 30)

                assert isinstance(await next_event(), NodeLost)
                for _ in range(2):
                    async with peer.running():
                        assert await next_event() == NodeBack()
                        # The subscription, or the wait, takes a moment to be there.
                        await asyncio.sleep(0.5)
                        tips = {await peer.mine(node, 1) for _ in range(3)}
                        seen: list[TipChanged] = []
                        while not (seen and seen[-1].tip_hash == await node.best_block_hash()):
                            event = await next_event()
                            assert isinstance(event, TipChanged)
                            seen.append(event)
                        best = TipSource.WAIT if peer.name == "bitcoind" else TipSource.LONG_POLL
                        assert watcher.source is (TipSource.ZMQ if zmq else best)
                        assert seen[-1].tip_hash in tips
                    while not isinstance(await next_event(), NodeLost):
                        pass

    run(scenario(), timeout=120)
