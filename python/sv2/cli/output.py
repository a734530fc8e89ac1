"""What the command prints: styled on a terminal, plain lines when piped, JSON when asked for.

Text that comes from peers or files goes through :func:`printable` first, so that it can neither
move the cursor nor pass for our own words.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text


class CommandError(Exception):
    """The command cannot go on; its text is for the user."""


def printable(text: str) -> str:
    """``text`` with everything that is no printable character written as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


class _Console(Console):
    """A console that leaves a broken pipe to the command, which knows that it is no failure."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """Where a command's results go."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        # soft_wrap: what is piped must not be folded at some width.
        self._console = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._errors = _Console(
            stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    def record(self, title: str, fields: Mapping[str, Any], *, good: bool | None = None) -> None:
        """One result: a title and its fields in order, or one line of JSON."""
        if self.as_json:
            print(json.dumps(dict(fields), ensure_ascii=True, allow_nan=False))
            return
        style = {None: "bold", True: "bold green", False: "bold red"}[good]
        self._console.print(Text(printable(title), style=style))
        self._lines(fields.items(), "  ")

    def _lines(self, fields: Iterable[tuple[str, Any]], indent: str) -> None:
        for name, value in fields:
            if isinstance(value, Mapping):
                self._console.print(Text(f"{indent}{name}:", style="cyan"))
                self._lines(value.items(), indent + "  ")
                continue
            line = Text(indent)
            line.append(f"{name}: ", style="cyan")
            line.append(printable(str(value)))
            self._console.print(line)

    def line(self, text: str) -> None:
        """A plain line of result."""
        print(printable(text))

    def error(self, text: str) -> None:
        """Why the command failed, on stderr."""
        sys.stdout.flush()
        self._errors.print(Text(f"sv2: {printable(text)}", style="red"))
