"""Solved blocks on disk, so that nothing that happens to this process can lose one.

A block is one file, named for its hash, with the block in hexadecimal as ``submitblock`` takes it.
Its suffix says what is known of it: ``.pending`` until the node has answered, then the answer.
A file gets its name only when it is on the disk as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from pathlib import Path
from typing import IO

from sv2.roles.template_provider.blocks import HEADER_SIZE
from sv2.roles.template_provider.solution import SolvedBlock

__all__ = ["DataDirInUse", "Journal"]

log = logging.getLogger(__name__)

PENDING, CORRUPT, UNFINISHED = ".pending", ".corrupt", ".tmp"
LOCK = "lock"
FINISHED_KEPT = 100


class DataDirInUse(Exception):
    """Another process has this folder."""


class Journal:
    """The folder of solved blocks. One process at a time has it; all methods block on the disk.

    Raises (constructor):
        DataDirInUse: another process has the folder.
        OSError: it cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(folder / LOCK)
        for leftover in folder.glob(f"*{UNFINISHED}"):
            # Whole where the process ended between writing and naming it.
            if _read(leftover) is not None:
                leftover.rename(leftover.with_suffix(PENDING))
            else:
                leftover.unlink()

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def pending(self) -> list[SolvedBlock]:
        """The blocks whose fate is not known, the oldest first. A file that is no such block is
        set aside and logged."""
        found = []
        for path in sorted(self.folder.glob(f"*{PENDING}"), key=lambda p: p.stat().st_mtime):
            block = _read(path)
            if block is not None:
                found.append(block)
                continue
            path.rename(path.with_suffix(CORRUPT))
            log.error("a file in the journal is no block", extra={"file": path.name})
        return found

    def has(self, block: SolvedBlock) -> bool:
        """Whether the block was written before, whatever became of it."""
        return any(self.folder.glob(f"{block.name}.*"))

    def write(self, block: SolvedBlock) -> None:
        """Put a block on the disk. When this returns it survives a power failure."""
        target = self.folder / f"{block.name}{PENDING}"
        unfinished = target.with_suffix(UNFINISHED)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(block.data.hex().encode("ascii"))
            file.write(b"\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(target)
        _sync_folder(self.folder)

    def finish(self, block: SolvedBlock, fate: str) -> None:
        """Note the node's answer. Of finished blocks the last 100 stay."""
        path = self.folder / f"{block.name}{PENDING}"
        with contextlib.suppress(FileNotFoundError):
            # Where writing failed there is none.
            path.rename(path.with_suffix(f".{fate}"))
        finished = [
            path
            for path in self.folder.iterdir()
            if path.name != LOCK and path.suffix not in (PENDING, UNFINISHED)
        ]
        finished.sort(key=lambda path: path.stat().st_mtime)
        for path in finished[:-FINISHED_KEPT]:
            path.unlink()


def _locked(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DataDirInUse(f"another process has {path.parent}") from None
    return file


def _read(path: Path) -> SolvedBlock | None:
    try:
        data = bytes.fromhex(path.read_text("ascii"))
    except (ValueError, UnicodeDecodeError):
        return None
    block = SolvedBlock.of(data)
    return block if len(data) > HEADER_SIZE and block.name == path.stem else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
