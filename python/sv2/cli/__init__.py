"""The ``sv2`` command.

Each subcommand is a module of this package with ``HELP`` (one line), ``add_arguments(parser)``
and ``run(arguments, output) -> int``, named in ``COMMANDS``. Those of ``ROLES`` need an extra of
the package and are imported when they are asked for. Exit codes: 0 all went well, 1 it did not and
the last line says why, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from sv2.cli import decode, keys, ping
from sv2.cli.output import CommandError, Output
from sv2.noise import default_engine
from sv2.testing import command as testnode

COMMANDS: dict[str, ModuleType] = {
    "keys": keys,
    "decode": decode,
    "ping": ping,
    "testnode": testnode,
}

ROLES: dict[str, tuple[str, str]] = {
    "tp": ("serve a node's block templates", "roles"),
    "tdp": ("show and solve a template provider's templates", "roles"),
}
"""What ``sv2 --help`` says of each, and the extra that it needs."""


def _module(name: str) -> ModuleType | None:
    """A command's module; None for no command.

    Raises:
        CommandError: its extra is not installed.
    """
    if name not in ROLES:
        return COMMANDS.get(name)
    try:
        return importlib.import_module(f"sv2.cli.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "sv2").startswith("sv2"):
            raise
        extra = ROLES[name][1]
        raise CommandError(f"{name} needs {error.name}: pip install 'sv2-ffi[{extra}]'") from None


def make_parser(asked: str | None = None) -> argparse.ArgumentParser:
    """The command's parser. Of the roles only the one that is ``asked`` for has its arguments."""
    parser = argparse.ArgumentParser(prog="sv2", description="Stratum V2 tools and roles.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*COMMANDS, *ROLES):
        module = _module(name) if name in COMMANDS or name == asked else None
        subparser = subparsers.add_parser(
            name,
            help=module.HELP if module is not None else ROLES[name][0],
            description=(module.__doc__ or "") if module is not None else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module is not None:
            module.add_arguments(subparser)
    return parser


def _check_engine() -> None:
    """A wrong choice of the Noise engine ends the command, not its first connection."""
    try:
        default_engine()
    except (ImportError, ValueError) as error:
        raise CommandError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    words = sys.argv[1:] if argv is None else argv
    output = Output()
    try:
        arguments = make_parser(words[0] if words else None).parse_args(words)
        output = Output(as_json=getattr(arguments, "json", False))
        module = _module(arguments.command)
        assert module is not None
        _check_engine()
        code: int = module.run(arguments, output)
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
