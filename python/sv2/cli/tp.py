"""Serve block templates of a node to pools and job declarators. See docs/template-provider.md.

sv2 tp --network regtest                    beside a node with default settings
sv2 tp --config /etc/sv2-tp.toml            everything from a file; flags come over it
sv2 tp --config /etc/sv2-tp.toml --check    look at the set-up, say what is wrong, and end
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import signal
from pathlib import Path
from typing import Any

from sv2.cli import logs
from sv2.cli.output import CommandError, Output, printable
from sv2.net import run as run_loop
from sv2.roles.template_provider import App, Config, ConfigFault, StartError, load_config
from sv2.roles.template_provider.check import Level, check
from sv2.roles.template_provider.config import flag_reader

HELP = "serve a node's block templates"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings")
    parser.add_argument("--check", action="store_true", help="examine the set-up and end")
    settings = parser.add_argument_group(
        "settings", "also keys of the file, with underscores; a flag wins"
    )
    for item in dataclasses.fields(Config):
        flag, text = "--" + item.name.replace("_", "-"), item.metadata["help"]
        reader = flag_reader(item.name)
        if reader is None:
            settings.add_argument(flag, action="store_true", default=None, help=text)
            continue
        settings.add_argument(
            flag, type=reader, metavar=item.metadata["metavar"] or "NAME", help=text
        )


def run(arguments: argparse.Namespace, output: Output) -> int:
    names = [item.name for item in dataclasses.fields(Config)]
    flags: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    try:
        config = load_config(arguments.config, flags)
    except ConfigFault as error:
        raise CommandError(str(error)) from None
    logs.set_up(config.log_format, "error" if arguments.check else config.log_level)
    if arguments.check:
        return run_loop(_check(config))
    try:
        return run_loop(_serve(config))
    except StartError as error:
        raise CommandError(str(error)) from None


async def _check(config: Config) -> int:
    worst = Level.GOOD
    async for finding in check(config):
        worst = max(worst, finding.level)
        print(printable(f"{finding.level.name.lower():7} {finding.subject}: {finding.text}"))
        if finding.advice:
            print(printable(f"        -> {finding.advice}"), flush=True)
    return 1 if worst is Level.BAD else 0


async def _serve(config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.ensure_future(_run(config, stop))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        # A signal. Where it is still waiting for its node there is nothing to finish.
        _, late = await asyncio.wait({serving}, timeout=0.1)
        for task in late:
            task.cancel()
    stopped.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return 0


async def _run(config: Config, stop: asyncio.Event) -> None:
    app = App(config)
    _announce("authority key", app.authority.public_key if app.authority else "none: no Noise")
    async with app:
        _announce("listening on", f"{config.address.host} port {app.service.port}")
        _announce("for pools", app.url)
        if app.monitor_address is not None:
            _announce("metrics", f"http://{app.monitor_address}/metrics")
        await stop.wait()


def _announce(name: str, value: object) -> None:
    print(printable(f"{name}: {value}"), flush=True)
