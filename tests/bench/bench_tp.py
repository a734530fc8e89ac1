"""How fast `sv2 tp` tells its clients of a new tip, and what it costs.

    python tests/bench/bench_tp.py                    1, 100 and 1,000 clients over Noise
    python tests/bench/bench_tp.py --plain --clients 100 --rounds 5

Node, provider and clients are three processes on one machine. The node is the test node, with
3,000 transactions in its mempool; empty blocks are submitted to it, so that each template has them
all. A round lasts from the node's ZMQ notice, as it arrives here, until the last client has its
SetNewPrevHash. What the node takes to answer getblocktemplate is part of it, and shown.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import statistics
import sys
import tempfile
import time
import tracemalloc
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from sv2.connection import PLAIN
from sv2.net import Stream, connect, run
from sv2.node import CookieFile, Node, RpcClient
from sv2.roles.template_provider.feed import Feed
from sv2.roles.template_provider.template import Constraints
from sv2.testing.node import make_block, op_true_script

from sv2_ffi.common import SetupConnection
from sv2_ffi.template_distribution import CoinbaseOutputConstraints, SetNewPrevHash

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from programs import program, said

TRANSACTIONS = 3_000
PATIENCE = 120.0
IDLE_SECONDS = 10.0
PAGE = resource.getpagesize()
TICKS = os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Bench:
    """A node with a full mempool, a provider beside it, and what is measured on them."""

    def __init__(self, node: Node, zmq_address: str, url: str, plain: bool, pid: int) -> None:
        self.node, self.url, self.plain, self.pid = node, url, plain, pid
        self._socket = zmq.asyncio.Context.instance().socket(zmq.SUB)
        self._socket.connect(zmq_address)
        self._socket.subscribe(b"hashblock")

    async def notice(self) -> tuple[float, bytes]:
        """When the node's next notice came, and of which block."""
        _, text, _ = await asyncio.wait_for(self._socket.recv_multipart(), PATIENCE)
        return time.perf_counter(), bytes(text)[::-1]

    async def client(self, stack: AsyncExitStack) -> Stream:
        stream = await connect(self.url, security=PLAIN if self.plain else None)
        stack.callback(stream.abort)
        await stream.set_up(SetupConnection(2, 2, 2, 0, "127.0.0.1", 1, "bench", "", "", ""))
        await stream.send(CoinbaseOutputConstraints(1_000, 4))
        while not isinstance(await stream.receive(PATIENCE), SetNewPrevHash):
            pass
        return stream

    async def empty_block(self) -> bytes:
        template = await self.node.block_template()
        subsidy = template.coinbase_value - template.fees
        when = max(template.minimum_time, template.current_time)
        return make_block(
            template.previous_hash, template.height, when, (), subsidy, op_true_script()
        )

    async def round(self, streams: list[Stream]) -> float:
        """Seconds from the notice of a new tip to the last client's SetNewPrevHash."""
        block = await self.empty_block()
        waiting = [asyncio.ensure_future(told(stream)) for stream in streams]
        noticed = asyncio.ensure_future(self.notice())
        await asyncio.sleep(0)
        await self.node.submit_block(block)
        began, tip = await noticed
        heard = await asyncio.gather(*waiting)
        assert all(previous == tip for _, previous in heard)
        return max(when for when, _ in heard) - began


async def told(stream: Stream) -> tuple[float, bytes]:
    """When this client heard of a new tip, and of which."""
    while True:
        message = await stream.receive(PATIENCE)
        if isinstance(message, SetNewPrevHash):
            return time.perf_counter(), message.prev_hash


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(bench: Bench, count: int, rounds: int) -> None:
    before = memory(bench.pid)
    async with AsyncExitStack() as stack:
        streams: list[Stream] = []
        for _ in range(count):
            streams.append(await bench.client(stack))
        each = (memory(bench.pid) - before) / count
        await bench.round(streams)  # the first is not counted
        seconds = [await bench.round(streams) for _ in range(rounds)]
        used = processor(bench.pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (processor(bench.pid) - used) / IDLE_SECONDS
    median, worst = statistics.median(seconds), percentile(seconds, 0.99)
    print(
        f"{count:>7}  {median * 1000:>8.1f}  {worst * 1000:>8.1f}  {rounds:>6}"
        f"  {each / 1024:>10.1f}  {idle * 100:>5.2f}",
        flush=True,
    )


async def template_cost(node: Node, count: int = 200) -> tuple[float, float]:
    """Bytes held for one answer of the node with its transactions, and for each further template
    of it, all with other transactions left out."""
    tracemalloc.start()
    feed = Feed(await node.block_template(), 1)
    gc.collect()
    answer = tracemalloc.get_traced_memory()[0]
    kept = [feed.template_for(Constraints(700_000 + 1_000 * n, 4)) for n in range(count)]
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - answer) / len(kept)
    tracemalloc.stop()
    return answer, each


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ["--rpc-port=0", "--zmq-hashblock=tcp://127.0.0.1:*", f"--datadir={folder}"]
        async with program("testnode", *options, log=asyncio.subprocess.DEVNULL) as node_process:
            rpc_url = (await said(node_process, "RPC on ", PATIENCE)).partition(",")[0]
            zmq_address = await said(node_process, "ZMQ hashblock on ", PATIENCE)
            cookie = folder / "regtest" / ".cookie"
            async with RpcClient(rpc_url, CookieFile(cookie), timeout=PATIENCE) as rpc:
                await rpc.call("fillmempool", TRANSACTIONS)
                await with_provider(arguments, Node(rpc), rpc_url, zmq_address, folder)


async def with_provider(
    arguments: argparse.Namespace, node: Node, rpc_url: str, zmq_address: str, folder: Path
) -> None:
    most = 2 * max(arguments.clients)
    options: list[Any] = [
        *("--network=regtest", f"--datadir={folder / 'tp'}", "--listen=127.0.0.1:0"),
        *(f"--rpc-url={rpc_url}", f"--rpc-cookie={folder / 'regtest' / '.cookie'}"),
        *(f"--max-clients={most}", f"--max-clients-per-host={most}", f"--max-unready={most}"),
        *("--requests-per-second=10000", "--messages-per-second=10000"),
    ]
    if arguments.plain:
        options.append("--plain")
    async with program("tp", *options, log=asyncio.subprocess.DEVNULL) as provider:
        url = await said(provider, "for pools: ", PATIENCE)
        bench = Bench(node, zmq_address, url, arguments.plain, provider.pid)
        began = time.perf_counter()
        for _ in range(5):
            template = await node.block_template()
        asked = (time.perf_counter() - began) / 5
        print(
            f"{len(template.transactions)} transactions, {'plain' if arguments.plain else 'Noise'};"
            f" the node's answer to getblocktemplate, read: {asked * 1000:.1f} ms\n"
            "clients  median/ms   99th/ms  rounds  KiB/client  idle/%"
        )
        async with AsyncExitStack() as stack:
            # What the first client costs is the role's own start.
            await bench.round([await bench.client(stack)])
        for count in arguments.clients:
            await measure(bench, count, arguments.rounds)
        answer, each = await template_cost(node)
        print(f"one answer of the node, held with its transactions: {answer / 2**20:.1f} MiB")
        print(f"a template of it with transactions left out: {each / 1024:.1f} KiB")
        print(f"memory of the provider at the end: {memory(provider.pid) / 2**20:.1f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--plain", action="store_true")
    run(main(parser.parse_args()))
