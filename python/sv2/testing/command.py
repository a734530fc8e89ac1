"""A bitcoind-like regtest node in one process, for tests and demos.

Blocks are validated by Bitcoin Core's consensus engine; there is no peer-to-peer network and no
wallet. See docs/testnode.md.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["HELP", "add_arguments", "main", "run"]

HELP = "run a regtest node for tests, no bitcoind needed"
NEEDS = "error: this command needs more packages ({}): pip install 'sv2-ffi[roles]'"


def _loopback(text: str) -> str:
    try:
        if ipaddress.ip_address(text).is_loopback:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("a test node listens on a loopback address only")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("a number of seconds from 0 to 3600")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options, which need nothing that a node needs."""
    option = parser.add_argument
    option("--datadir", type=Path, required=True, help="folder for blocks, cookie and mempool")
    option("--rpc-port", type=_port, default=18443, help="0 for any free one (default 18443)")
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


def run(arguments: argparse.Namespace, output: object = None) -> int:
    """Run until ``stop``, SIGINT or SIGTERM; the exit status. ``output``, which a larger command
    passes, is not used: the node says three lines and is done talking."""
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        from sv2.testing.node.serve import serve
    except ModuleNotFoundError as error:
        print(NEEDS.format(error.name), file=sys.stderr)
        return 1
    return serve(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """The command by itself: ``python -m sv2.testing.node``."""
    parser = argparse.ArgumentParser(prog="python -m sv2.testing.node", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))
