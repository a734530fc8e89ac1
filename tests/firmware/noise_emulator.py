"""An emulated machine that talks to this process: noise_link.c is the other side."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType

import cross

# From a machine's start to its end.
SECONDS = 60.0
# How long the end of an emulator that says nothing may go unnoticed.
POLL_SECONDS = 0.2


class Gone(Exception):
    """The machine ended, or said nothing for too long; the text is what it printed."""


class Machine:
    """A program in an emulator, from __enter__ to __exit__, with a pipe in each direction.

    ``folder`` must be new: it takes the pipes, and what the program prints.
    """

    def __init__(self, target: cross.Target, program: Path, folder: Path) -> None:
        self._command = [*target.emulator, str(program)]
        self._folder = folder
        self._deadline = time.monotonic() + SECONDS
        self._said = bytearray()

    def __enter__(self) -> Machine:
        self._folder.mkdir()
        for name in ("in", "out"):
            os.mkfifo(self._folder / name)
        # Open in both directions, so that no open waits for the other side.
        self._to, self._from = (
            os.open(self._folder / name, os.O_RDWR | os.O_NONBLOCK) for name in ("in", "out")
        )
        with (self._folder / "printed").open("w") as printed:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed,
            )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def printed(self) -> str:
        """What the program has printed so far."""
        return (self._folder / "printed").read_text()

    def end(self) -> int:
        """Waits for the program's end and returns its exit code."""
        return self._process.wait(timeout=max(0.1, self._deadline - time.monotonic()))

    def _wait(self, *, to_write: bool) -> bool:
        """Until the machine has said something, which is taken, or there is room to write: then
        True. Gone where neither will be."""
        while True:
            ended = self._process.poll() is not None
            pipes = [self._to] if to_write else []
            said, room, _ = select.select([self._from], pipes, [], 0 if ended else POLL_SECONDS)
            if said:
                self._said += os.read(self._from, 1 << 16)
            if said or room:
                return bool(room)
            if ended or time.monotonic() > self._deadline:
                raise Gone(self.printed())

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes from the machine."""
        while len(self._said) < size:
            self._wait(to_write=False)
        data = bytes(self._said[:size])
        del self._said[:size]
        return data

    def write(self, data: bytes) -> None:
        """All of ``data``. A machine that has ended may leave it unread."""
        while data:
            # Meanwhile the machine may write, too, and would stop where nobody took it.
            if self._wait(to_write=True):
                data = data[os.write(self._to, data) :]

    def read_u32(self) -> int:
        """A number, as link_write_u32 writes it."""
        return int(struct.unpack("<I", self.read(4))[0])

    def write_u32(self, number: int) -> None:
        """A number, as link_read_u32 reads it."""
        self.write(struct.pack("<I", number))
