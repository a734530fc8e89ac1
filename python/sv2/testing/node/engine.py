"""Bitcoin Core's consensus engine on regtest (py-bitcoinkernel), kept in memory.

The engine decides what is a valid block and which chain is active. It reports a coarse class for a
rejected block; the reason by name (``bad-txnmrklroot``, ...) is only in its log, where it is read
from. The engine has no call to invalidate a block and none to look a coin up: `sv2.testing.node`
rebuilds an engine for the first and follows its connect and disconnect events for the second.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pbk  # type: ignore[import-untyped]

__all__ = ["Change", "Engine", "Spend", "Verdict", "verify_scripts"]

MAX_REMEMBERED_REASONS = 1000
MUTATED = "MUTATED"
"""The engine's class for a block that is not what its header commits to; another may be."""
_CHECKED = re.compile(r"BlockChecked: block hash=([0-9a-f]{64}) state=([^,\n]*)")


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the active chain: a block connected to it or disconnected from it."""

    connected: bool
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine made of a block.

    ``checked`` says whether it came to a full check (a block off the best chain does not), and
    ``reason`` is the rule it breaks by Bitcoin Core's name, None if it breaks none that was looked
    at. ``new`` is False for a block that the engine had. ``failed`` are the blocks, this one or
    others of its branch, that turned out to be invalid whatever their witnesses.
    """

    stored: bool
    new: bool
    checked: bool
    reason: str | None
    failed: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Spend:
    """An output that a transaction's input spends."""

    value: int
    script: bytes


class _ReasonLog:
    """Reads rejection reasons from the engine's log, which is one for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: OrderedDict[bytes, str] = OrderedDict()
        self._connection: Any = None

    def start(self) -> None:
        with self._lock:
            if self._connection is None:
                pbk.set_log_level_category(pbk.LogCategory.VALIDATION, pbk.LogLevel.DEBUG)
                pbk.enable_log_category(pbk.LogCategory.VALIDATION)
                self._connection = pbk.LoggingConnection(self._line)

    def _line(self, line: str) -> None:
        found = _CHECKED.search(line)
        if found is None or found[2] == "Valid":
            return
        with self._lock:
            self._reasons[bytes.fromhex(found[1])[::-1]] = found[2].strip()
            while len(self._reasons) > MAX_REMEMBERED_REASONS:
                self._reasons.popitem(last=False)

    def take(self, block_hash: bytes) -> str | None:
        with self._lock:
            return self._reasons.pop(block_hash, None)


_reasons = _ReasonLog()


class Engine:
    """One regtest chain. Not safe to share between threads.

    ``scratch`` is a folder for the engine's files; it makes one of its own inside and removes it
    on `close`. The genesis block is connected from the start.
    """

    def __init__(self, scratch: Path) -> None:
        _reasons.start()
        self._folder = tempfile.TemporaryDirectory(prefix="engine-", dir=scratch)
        self._changes: list[Change] = []
        self._invalid: dict[bytes, str] = {}
        self._checked: set[bytes] = set()
        callbacks = pbk.ValidationInterfaceCallbacks(
            block_checked=self._on_checked,
            block_connected=self._on_connected,
            block_disconnected=self._on_disconnected,
        )
        context = pbk.make_context(pbk.ChainType.REGTEST, callbacks)
        folder = str(Path(self._folder.name).absolute())
        options = pbk.ChainstateManagerOptions(context, folder, f"{folder}/blocks")
        options.update_block_tree_db_in_memory(True)
        options.update_chainstate_db_in_memory(True)
        options.set_worker_threads_num(0)
        self._manager: Any = pbk.ChainstateManager(options)
        self.genesis: bytes = bytes(
            self._manager.blocks[self._manager.get_active_chain().block_tree_entries[0]]
        )
        self._changes.clear()

    def close(self) -> None:
        self._manager = None
        self._folder.cleanup()

    # The engine calls these from inside `submit`, and an exception in them would be lost.

    def _on_checked(self, _: object, block: Any, state: Any) -> None:
        block_hash = bytes(block.block_hash)
        self._checked.add(block_hash)
        if state.validation_mode != pbk.ValidationMode.VALID:
            self._invalid[block_hash] = state.block_validation_result.name

    def _on_connected(self, _: object, __: Any, entry: Any) -> None:
        self._changes.append(Change(True, bytes(entry.block_hash)))

    def _on_disconnected(self, _: object, __: Any, entry: Any) -> None:
        self._changes.append(Change(False, bytes(entry.block_hash)))

    @property
    def height(self) -> int:
        height: int = self._manager.get_active_chain().height
        return height

    @property
    def tip(self) -> bytes:
        chain = self._manager.get_active_chain()
        return bytes(chain.block_tree_entries[chain.height].block_hash)

    def submit(self, raw: bytes, block_hash: bytes) -> tuple[Verdict, list[Change]]:
        """Check a block, store it if it can be, and move to the best chain.

        Raises:
            ValueError: ``raw`` is no block.
        """
        try:
            block = pbk.Block(raw)
        except RuntimeError:
            raise ValueError("Block decode failed") from None
        self._checked.clear()
        self._invalid.clear()
        self._changes = []
        try:
            new, stored = bool(self._manager.process_block(block)), True
        except pbk.ProcessBlockException:
            new, stored = False, False
        checked, reason = block_hash in self._checked, self._reason(block_hash)
        failed = frozenset(h for h, coarse in self._invalid.items() if coarse != MUTATED)
        verdict = Verdict(stored, new, checked, reason, failed)
        return verdict, self._changes

    def _reason(self, block_hash: bytes) -> str | None:
        logged = _reasons.take(block_hash)
        coarse = self._invalid.get(block_hash)
        return None if coarse is None else logged or coarse.lower().replace("_", "-")


def verify_scripts(raw: bytes, spends: list[Spend]) -> bool:
    """Whether every input of a transaction satisfies the script it spends, under consensus rules.

    ``spends`` has one entry per input, in order.
    """
    tx = pbk.Transaction(raw)
    outputs = [
        pbk.TransactionOutput(pbk.ScriptPubkey(spend.script), spend.value) for spend in spends
    ]
    precomputed = pbk.script.PrecomputedTransactionData(tx, outputs)
    flags = pbk.ScriptVerificationFlags.ALL
    return all(
        output.script_pubkey.verify(spend.value, tx, precomputed, index, flags)
        for index, (output, spend) in enumerate(zip(outputs, spends, strict=True))
    )
