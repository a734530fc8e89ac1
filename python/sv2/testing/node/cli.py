"""The command line of the test node: ``python -m sv2.testing.node``, also ``sv2 testnode``."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sv2.testing.node.chaindata import Malformed
from sv2.testing.node.journal import DataDirInUse
from sv2.testing.node.miner import op_true_script
from sv2.testing.node.node import NodeConfig, RegtestNode

__all__ = ["add_arguments", "main", "run"]

DESCRIPTION = """\
A bitcoind-like regtest node in one process, for tests and demos. Blocks are validated by Bitcoin
Core's consensus engine; there is no peer-to-peer network and no wallet."""

log = logging.getLogger(__name__)


def _loopback(text: str) -> str:
    try:
        if ipaddress.ip_address(text).is_loopback:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("a test node listens on a loopback address only")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("0 to 3600 seconds")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options, so that a larger command can take them as a subcommand."""
    option = parser.add_argument
    option("--datadir", type=Path, required=True, help="folder for blocks, cookie and mempool")
    option("--rpc-port", type=int, default=18443, help="0 for any free one (default 18443)")
    option("--rpc-bind", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    option("--rpc-user", help="user to accept besides the cookie")
    option("--rpc-password", help="and the password; others on this machine may see it here")
    option("--zmq-hashblock", metavar="ADDR", help="publish new tips, e.g. tcp://127.0.0.1:28332")
    option("--zmq-sequence", metavar="ADDR", help="publish block and mempool events")
    option("--load", type=Path, metavar="FILE", help="submit blocks first: one in hex per line")
    option("--mine-every", type=_seconds, metavar="S", help="mine a block every S seconds")
    option("--template-interval", type=_seconds, default=5.0, metavar="S", help="see the manual")
    option("--warmup", type=_seconds, default=0.0, metavar="S", help="answer -28 for S seconds")
    option("--knots", action="store_true", help="take Knots' reservations in template requests")
    option("--verbose", action="store_true", help="log what happens")


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


def run(arguments: argparse.Namespace) -> int:
    """Run until ``stop``, SIGINT or SIGTERM; the exit status."""
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        asyncio.run(_serve(arguments))
    except (DataDirInUse, OSError, ValueError, Malformed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="sv2 testnode", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(argv))
