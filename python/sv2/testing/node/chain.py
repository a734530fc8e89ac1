"""The test node's block chain: engine, journal, coins and an index of every block seen."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sv2.testing.node.chaindata import (
    Block,
    Header,
    Malformed,
    parse_block,
    rpc_hash,
)
from sv2.testing.node.coins import CoinSet
from sv2.testing.node.engine import Change, Engine, Verdict
from sv2.testing.node.journal import Journal

__all__ = ["REGTEST_BITS", "Chain", "ChainListener", "Entry", "UnknownBlock", "solve", "target_of"]

log = logging.getLogger(__name__)

REGTEST_BITS = 0x207FFFFF
"""Regtest never retargets."""

MEDIAN_SPAN = 11
INTERVAL = 2016
MAX_TIMEWARP = 600


class UnknownBlock(Exception):
    """No block with that hash was ever seen."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A block in the index. ``work`` is the total of its chain."""

    block: Block
    height: int
    work: int

    @property
    def hash(self) -> bytes:
        return self.block.header.hash

    @property
    def header(self) -> Header:
        return self.block.header


@dataclass(frozen=True, slots=True)
class ChainListener:
    """Called for each step of the active chain, and once after the last step of a change."""

    connected: Callable[[Entry], None]
    disconnected: Callable[[Entry], None]
    changed: Callable[[bool], None]
    """Its argument: whether new blocks were connected (as opposed to some only taken away)."""


def target_of(bits: int) -> int:
    return (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)


def solve(header: bytes) -> bytes:
    """A header like this one whose nonce meets regtest's target; two tries on average."""
    target = target_of(REGTEST_BITS)
    for nonce in range(1 << 32):
        solved = header[:76] + nonce.to_bytes(4, "little")
        if int.from_bytes(Header.parse(solved).hash, "little") <= target:
            return solved
    raise AssertionError("regtest's target is met by every second hash")


class Chain:
    """Opens the chain in ``folder`` (see `Journal`) and validates what it holds again.

    Raises:
        DataDirInUse, OSError: as `Journal`.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder)
        self._folder = folder
        for stale in folder.glob("engine-*"):
            shutil.rmtree(stale)
        self._listeners: list[ChainListener] = []
        self._scratch: Engine | None = None
        self.index: dict[bytes, Entry] = {}
        self._order: list[bytes] = []
        self._proven: set[bytes] = set()
        self._failed: set[bytes] = set()
        self._invalid = self._journal.read_invalid()
        self._start_engine()
        for raw in self._journal.blocks():
            block = self._remember(raw)
            if block is not None and not self._is_cut_off(block.hash):
                self._apply(*self._engine.submit(block.raw, block.hash))

    def _start_engine(self) -> None:
        self._engine = Engine(self._folder)
        genesis = parse_block(self._engine.genesis)
        self.index.setdefault(genesis.hash, Entry(genesis, 0, _work(genesis.header.bits)))
        self.active: list[bytes] = [genesis.hash]
        self.coins = CoinSet()

    def close(self) -> None:
        self._engine.close()
        self._drop_scratch()
        self._journal.close()

    def listen(self, listener: ChainListener) -> None:
        self._listeners.append(listener)

    # Reading

    @property
    def height(self) -> int:
        return len(self.active) - 1

    @property
    def tip(self) -> Entry:
        return self.index[self.active[-1]]

    @property
    def size_on_disk(self) -> int:
        return self._journal.size

    def entry(self, block_hash: bytes) -> Entry:
        """Raises: UnknownBlock."""
        try:
            return self.index[block_hash]
        except KeyError:
            raise UnknownBlock from None

    def is_active(self, entry: Entry) -> bool:
        return entry.height <= self.height and self.active[entry.height] == entry.hash

    def median_time(self, entry: Entry) -> int:
        """Median time of a block and the ten before it: a child must be later."""
        times, walk = [], entry
        for _ in range(MEDIAN_SPAN):
            times.append(walk.header.time)
            if walk.height == 0:
                break
            walk = self.index[walk.header.previous]
        return sorted(times)[len(times) // 2]

    def minimum_time(self, parent: Entry) -> int:
        """Earliest time a child of ``parent`` may have."""
        earliest = self.median_time(parent) + 1
        if (parent.height + 1) % INTERVAL == 0:
            earliest = max(earliest, parent.header.time - MAX_TIMEWARP)
        return earliest

    # Changing

    def submit(self, raw: bytes) -> str | None:
        """Process a block. None where it was accepted, else BIP22's word for why not.

        Raises:
            Malformed: ``raw`` is no block.
        """
        block = parse_block(raw)
        if block.hash in self._invalid:
            return "duplicate-invalid"
        if self._is_cut_off(block.header.previous):
            return "bad-prevblk"
        try:
            verdict, changes = self._engine.submit(block.raw, block.hash)
        except ValueError as error:
            raise Malformed(str(error)) from None
        if verdict.new:
            self._journal.append(block.raw)
            self._remember(block.raw)
        self._apply(verdict, changes)
        self._tell(changes)
        if verdict.stored and not verdict.new:
            return "duplicate"
        return verdict.reason if verdict.checked else "inconclusive"

    def propose(self, raw: bytes) -> str | None:
        """Whether a block would be valid on the tip, its proof of work aside (BIP23).

        The check is the engine's: a second one with the same chain gets the block, solved.

        Raises:
            Malformed: ``raw`` is no block.
        """
        block = parse_block(raw)
        if block.hash in self.index:
            if block.hash in self._failed or self._is_cut_off(block.hash):
                return "duplicate-invalid"
            return "duplicate" if block.hash in self._proven else "duplicate-inconclusive"
        if block.header.previous != self.tip.hash:
            return "inconclusive-not-best-prevblk"
        bits = REGTEST_BITS.to_bytes(4, "little")
        header = solve(block.raw[:72] + bits + block.raw[76:80])
        scratch = self._scratch_at_tip()
        solved = header + block.raw[80:]
        try:
            verdict, _ = scratch.submit(solved, Header.parse(header).hash)
        except ValueError as error:
            raise Malformed(str(error)) from None
        if verdict.reason is None and block.header.bits != REGTEST_BITS:
            return "bad-diffbits"
        return verdict.reason

    def invalidate(self, block_hash: bytes) -> None:
        """Treat a block and all that build on it as invalid.

        Raises:
            UnknownBlock: there is no such block.
            ValueError: it is the genesis block.
        """
        if self.entry(block_hash).height == 0:
            raise ValueError("the genesis block stays")
        self._invalid.add(block_hash)
        self._rebuild()

    def reconsider(self, block_hash: bytes) -> None:
        """Undo `invalidate` for a block, its ancestors and its descendants.

        Raises:
            UnknownBlock: there is no such block.
        """
        entry = self.entry(block_hash)
        self._invalid = {bad for bad in self._invalid if not self._related(self.index[bad], entry)}
        self._rebuild()

    def _remember(self, raw: bytes) -> Block | None:
        """Index a block whose parent is known."""
        block = parse_block(raw)
        parent = self.index.get(block.header.previous)
        if parent is None:
            log.warning(
                "a block without its parent in the journal", extra={"block": rpc_hash(block.hash)}
            )
            return None
        if block.hash not in self.index:
            self._order.append(block.hash)
            work = parent.work + _work(block.header.bits)
            self.index[block.hash] = Entry(block, parent.height + 1, work)
        return block

    def _is_cut_off(self, block_hash: bytes) -> bool:
        """Whether a block or an ancestor of it was invalidated."""
        if not self._invalid:
            return False
        entry = self.index.get(block_hash)
        while entry is not None and not self.is_active(entry):
            if entry.hash in self._invalid:
                return True
            entry = self.index.get(entry.header.previous)
        return entry is not None and entry.hash in self._invalid

    def _related(self, one: Entry, other: Entry) -> bool:
        """Whether one of two blocks builds on the other."""
        low, high = sorted((one, other), key=lambda entry: entry.height)
        while high.height > low.height:
            high = self.index[high.header.previous]
        return high.hash == low.hash

    def _apply(self, verdict: Verdict, changes: list[Change]) -> None:
        self._failed |= verdict.failed & self.index.keys()
        for change in changes:
            entry = self.index[change.block_hash]
            if change.connected:
                self._proven.add(entry.hash)
                self.coins.connect(entry.block, entry.height)
                self.active.append(entry.hash)
            else:
                self.coins.disconnect(entry.block)
                self.active.pop()

    def _tell(self, changes: list[Change]) -> None:
        """Tell listeners once everything of theirs to read is up to date."""
        if not changes:
            return
        for listener in self._listeners:
            for change in changes:
                entry = self.index[change.block_hash]
                (listener.connected if change.connected else listener.disconnected)(entry)
            listener.changed(changes[-1].connected)

    def _rebuild(self) -> None:
        """Give every block that still counts to a fresh engine, in the order they came."""
        before = self.active
        self._drop_scratch()
        self._engine.close()
        self._journal.write_invalid(self._invalid)
        self._start_engine()
        cut_off = set(self._invalid)
        for block_hash in self._order:
            block = self.index[block_hash].block
            if block.header.previous in cut_off:
                cut_off.add(block_hash)
            if block_hash not in cut_off:
                self._apply(*self._engine.submit(block.raw, block_hash))
        same = sum(1 for a, b in zip(before, self.active, strict=False) if a == b)
        gone = [Change(False, block_hash) for block_hash in reversed(before[same:])]
        self._tell(gone + [Change(True, block_hash) for block_hash in self.active[same:]])

    def _scratch_at_tip(self) -> Engine:
        """An engine on the same chain to try a block on. A valid one moves its tip, after which
        it is of no more use."""
        if self._scratch is None or self._scratch.tip != self.tip.hash:
            self._drop_scratch()
            self._scratch = Engine(self._folder)
            for block_hash in self.active[1:]:
                self._scratch.submit(self.index[block_hash].block.raw, block_hash)
        return self._scratch

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None


def _work(bits: int) -> int:
    return (1 << 256) // (target_of(bits) + 1)
