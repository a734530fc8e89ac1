"""The blocks of a test node on disk.

``blocks.dat`` holds every block the engine stored, in the order it came, each after four magic
bytes and its length: the format of Bitcoin Core's ``-loadblock``. ``invalid.txt`` lists the blocks
that `invalidateblock` named, one hash a line. A record that a kill cut short is dropped on opening.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["DataDirInUse", "Journal"]

REGTEST_MAGIC = bytes.fromhex("fabfb5da")
MAX_BLOCK = 4_000_000


class DataDirInUse(Exception):
    """Another test node runs on this folder."""


class Journal:
    """Opens, or makes, the journal in ``folder`` and holds a lock on it until `close`.

    Raises:
        DataDirInUse: the folder is locked.
        OSError: it cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / ".lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise DataDirInUse(f"another node is using {folder}") from None
        self._invalid = folder / "invalid.txt"
        self._file: BinaryIO = (folder / "blocks.dat").open("a+b")
        self._size = 0

    def close(self) -> None:
        self._file.close()
        self._lock.close()

    @property
    def size(self) -> int:
        """Bytes of the journal on disk."""
        return self._size

    def blocks(self) -> Iterator[bytes]:
        """Every block from the start; cuts an incomplete record off the end."""
        end = self._file.seek(0, os.SEEK_END)
        self._size = 0
        while self._size + 8 <= end:
            self._file.seek(self._size)
            head = self._file.read(8)
            length = int.from_bytes(head[4:], "little")
            if head[:4] != REGTEST_MAGIC or length > MAX_BLOCK or self._size + 8 + length > end:
                break
            yield self._file.read(length)
            self._size += 8 + length
        self._file.truncate(self._size)

    def append(self, raw: bytes) -> None:
        """Write a block; it is in the system's hands, safe from a kill, when this returns."""
        record = REGTEST_MAGIC + len(raw).to_bytes(4, "little") + raw
        self._file.write(record)
        self._file.flush()
        self._size += len(record)

    def read_invalid(self) -> set[bytes]:
        try:
            lines = self._invalid.read_text("ascii").split()
        except FileNotFoundError:
            return set()
        return {bytes.fromhex(line)[::-1] for line in lines}

    def write_invalid(self, hashes: Iterable[bytes]) -> None:
        fresh = self._invalid.with_suffix(".new")
        fresh.write_text("".join(f"{value[::-1].hex()}\n" for value in sorted(hashes)), "ascii")
        fresh.replace(self._invalid)
