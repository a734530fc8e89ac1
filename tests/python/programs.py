"""Programs as their users run them: the examples with pipes and Ctrl-C at the end, and ``sv2``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
# No program that a test waits for takes longer; one that does is killed, which ends the wait.
SECONDS = 30


class Program:
    """A Python program of one of the examples, running."""

    def __init__(self, folder: str, *arguments: str) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)
        }
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments],
            cwd=EXAMPLES / folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._deadline = threading.Timer(SECONDS, self.process.kill)
        self._deadline.start()

    def line(self) -> str:
        """The next line of its stdout, "" at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def interrupt(self) -> tuple[int, str, str]:
        """Ctrl-C: exit code, the rest of stdout, stderr."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, the rest of stdout, stderr."""
        out, err = self.process.communicate(timeout=SECONDS)
        self._deadline.cancel()
        return self.process.returncode, out, err

    def kill(self) -> None:
        self.process.kill()
        self.end()


@asynccontextmanager
async def program(
    *arguments: str, log: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``sv2`` with its output to be read; killed at the end where it still runs.

    ``log`` is where its stderr goes: DEVNULL for one that logs more than a pipe holds while nobody
    reads.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sv2", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        cwd=HERE,  # -m would take the packages of the root, which are not built
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process, start: str, seconds: float = 20.0) -> str:
    """Wait for a line of output that starts so; the rest of it."""
    assert process.stdout is not None
    while line := (await asyncio.wait_for(process.stdout.readline(), seconds)).decode():
        if line.startswith(start):
            return line.removeprefix(start).strip()
    raise AssertionError(f"it never said {start!r}")
