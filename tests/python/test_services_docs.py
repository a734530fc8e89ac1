"""docs/services.md says what the code does: its tables, and its first example as a program."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest
from programs import Program
from sv2.services import (
    Handler,
    JobDeclarationClientHandler,
    JobDeclarationServerHandler,
    MiningClientHandler,
    MiningServerHandler,
    TemplateDistributionClientHandler,
    TemplateDistributionServerHandler,
)
from sv2.services.client_handlers import ClientHandler

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")

SERVER_HANDLERS = [
    MiningServerHandler,
    JobDeclarationServerHandler,
    TemplateDistributionServerHandler,
]
CLIENT_HANDLERS = [
    MiningClientHandler,
    JobDeclarationClientHandler,
    TemplateDistributionClientHandler,
]


def methods_of(handlers: list[type[Handler]]) -> list[str]:  # type: ignore[type-arg]
    """The methods for messages, in the order of their definition."""
    common = {*vars(Handler), *vars(ClientHandler)}
    return [
        name
        for handler in handlers
        for name in vars(handler)
        if name.startswith("on_") and name not in common
    ]


def table_after(heading: str) -> str:
    return TEXT[TEXT.index(heading) :].split("\n\n")[0]


@pytest.mark.parametrize(
    ("heading", "handlers"),
    [("| server's handler |", SERVER_HANDLERS), ("| client's handler |", CLIENT_HANDLERS)],
    ids=["server", "client"],
)
def test_the_tables_have_every_method_of_every_handler(
    heading: str,
    handlers: list[type[Handler]],  # type: ignore[type-arg]
) -> None:
    documented = re.findall(r"`(on_\w+)`", table_after(heading))
    assert sorted(documented) == sorted(methods_of(handlers))


def test_the_first_example_runs(tmp_path: Path) -> None:
    (program, *_) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "example.py"
    waits = "        await server.serve_forever()"
    program = program.replace("3333", "0").replace(
        waits, f"        print(server.port, flush=True)\n{waits}"
    )
    path.write_text(program)
    running = Program("services", str(path))
    try:
        port = int(running.line())
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass
        code, _, _ = running.interrupt()
        assert code in (-signal.SIGINT, 130)
    finally:
        running.kill()
