"""The mining device of examples/firmware on an emulated machine, at examples/firmware's test pool.

noise_device.c says what the machine asks for; here is who does it: one TCP socket on loopback.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cross
from noise_emulator import Machine

POOL = cross.ROOT / "examples" / "firmware" / "test_pool.py"
SOCKET_SECONDS = 30.0
# How long a machine with nothing to do waits for the socket, at most.
WAIT_SECONDS = 0.2
LOST = 0xFFFFFFFF
NUMBERS = (
    *("submitted", "accepted", "refused", "jobs", "ignored", "skipped", "connections"),
    "stack",
)


@dataclass(frozen=True)
class Outcome:
    """What a device did: its exit code, what it printed, and its numbers by name."""

    code: int
    printed: str
    numbers: dict[str, int]


class Bridge:
    """A machine's socket."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._socket: socket.socket | None = None

    def serve(self) -> dict[str, int]:
        """Does what the machine asks for until it has its numbers to tell."""
        machine = self._machine
        try:
            while True:
                match machine.read(1):
                    case b"c":
                        machine.write_u32(self._connect())
                    case b"s":
                        machine.write_u32(self._send(machine.read(machine.read_u32())))
                    case b"r":
                        self._receive(machine.read_u32())
                    case b"w":
                        self._readable(WAIT_SECONDS)
                        machine.write_u32(1)
                    case _:
                        return {name: machine.read_u32() for name in NUMBERS}
        finally:
            self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> bool:
        port = self._machine.read_u32()
        host = self._machine.read(self._machine.read_u32())
        assert host == b"127.0.0.1"
        self._close()
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), SOCKET_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return False
        return True

    def _send(self, data: bytes) -> bool:
        assert self._socket is not None
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def _readable(self, seconds: float) -> bool:
        assert self._socket is not None
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _receive(self, most: int) -> None:
        assert self._socket is not None
        data = b""
        if self._readable(0):
            with contextlib.suppress(OSError):
                data = self._socket.recv(most)
            if not data:
                self._machine.write_u32(LOST)
                return
        self._machine.write_u32(len(data))
        self._machine.write(data)


@contextlib.contextmanager
def pool(*options: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """The test pool, its port and its authority's key."""
    command = [sys.executable, str(POOL), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            _, port, key = process.stdout.readline().split()
            yield process, int(port), key
        finally:
            process.kill()


def mine(
    target: cross.Target, program: Path, folder: Path, port: int, authority: str, shares: int
) -> Outcome:
    """Runs a device until it has ``shares`` accepted shares, or has been turned away."""
    with Machine(target, program, folder) as machine:
        machine.write(authority.encode())
        machine.write_u32(port)
        machine.write_u32(shares)
        numbers = Bridge(machine).serve()
        return Outcome(machine.end(), machine.printed(), numbers)
