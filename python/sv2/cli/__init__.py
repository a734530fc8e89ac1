"""The ``sv2`` command.

Each subcommand is a module of this package with ``HELP`` (one line), ``add_arguments(parser)``
and ``run(arguments, output) -> int``, named in ``COMMANDS``. Exit codes: 0 all went well, 1 it did
not and the last line says why, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from sv2.cli import decode, keys, ping
from sv2.cli.output import CommandError, Output

COMMANDS: dict[str, ModuleType] = {"keys": keys, "decode": decode, "ping": ping}


def make_parser() -> argparse.ArgumentParser:
    """The command's parser, with every subcommand in it."""
    parser = argparse.ArgumentParser(prog="sv2", description="Stratum V2 tools and roles.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        text = module.__doc__ or ""
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = make_parser().parse_args(argv)
    output = Output(as_json=getattr(arguments, "json", False))
    try:
        code: int = COMMANDS[arguments.command].run(arguments, output)
        sys.stdout.flush()
        return code
    except CommandError as error:
        output.error(str(error))
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
