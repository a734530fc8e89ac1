"""Running a test node until it is told to stop, with the options of `sv2.testing.command`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from sv2.testing.node.chaindata import Malformed
from sv2.testing.node.journal import DataDirInUse
from sv2.testing.node.miner import op_true_script
from sv2.testing.node.node import NodeConfig, RegtestNode

__all__ = ["serve"]


def _config(arguments: argparse.Namespace) -> NodeConfig:
    return NodeConfig(
        datadir=arguments.datadir,
        rpc_host=arguments.rpc_bind,
        rpc_port=arguments.rpc_port,
        rpc_user=arguments.rpc_user,
        rpc_password=arguments.rpc_password,
        zmq_hashblock=arguments.zmq_hashblock,
        zmq_sequence=arguments.zmq_sequence,
        template_interval=arguments.template_interval,
        warmup=arguments.warmup,
        knots=arguments.knots,
    )


def _load(node: RegtestNode, path: Path) -> None:
    """Submit the blocks of a file. Raises: ValueError for one that is not accepted."""
    for number, line in enumerate(path.read_text("ascii").split(), start=1):
        try:
            reason = node.chain.submit(bytes.fromhex(line))
        except (Malformed, ValueError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        if reason not in (None, "duplicate"):
            raise ValueError(f"{path}, line {number}: {reason}")


def _announce(node: RegtestNode) -> None:
    print(f"RPC on {node.rpc_url}, cookie {node.cookie_path}")
    for topic in node.publisher.topics:
        print(f"ZMQ {topic.name} on {topic.address}")
    print(f"ready at height {node.chain.height}", flush=True)


async def _mine(node: RegtestNode, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        await node.generate(1, op_true_script())


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    async with RegtestNode(_config(arguments)) as node:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, node.ask_to_stop)
        if arguments.load is not None:
            _load(node, arguments.load)
        _announce(node)
        mining = None
        if arguments.mine_every:
            mining = asyncio.create_task(_mine(node, arguments.mine_every))
        await node.stop_asked.wait()
        if mining is not None:
            mining.cancel()


def serve(arguments: argparse.Namespace) -> int:
    """Run until ``stop``, SIGINT or SIGTERM; the exit status."""
    try:
        asyncio.run(_serve(arguments))
    except (DataDirInUse, OSError, ValueError, Malformed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
