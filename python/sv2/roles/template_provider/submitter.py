"""Bringing solved blocks to the node: on disk first, then again and again until it has answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sv2.deadline import within
from sv2.node import Node, NodeError, RpcError, SubmitOutcome, SubmitResult
from sv2.roles.template_provider.journal import Journal
from sv2.roles.template_provider.solution import SolvedBlock

__all__ = ["SubmitSettings", "Submitter", "TooManyPending"]

log = logging.getLogger(__name__)

NOT_YET = ("prev-blk-not-found", "time-too-new", "rejected: orphan")
"""Refusals that time can heal: a node that was rolled back lacks the parent for a while."""


NO_SUCH_BLOCK = -5


class TooManyPending(Exception):
    """More blocks wait for the node than are kept."""


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    """Times in seconds."""

    timeout: float = 60.0
    """For one answer; a node that is busy may take long over a block."""
    retry_first: float = 0.25
    """Until the first retry; doubles with each further one."""
    retry_most: float = 10.0
    """Upper limit of the same, for as long as it takes."""
    patience: float = 7200.0
    """How long a refusal that time can heal is not taken for final."""
    max_pending: int = 1000
    """Blocks that may wait. On a real network one is rare; on regtest anybody can make them."""


class Submitter:
    """Every block given to `accept` is submitted until the node has said what it thinks of it.

    ``on_taken`` is called when the node has a block that it may build on.
    """

    def __init__(
        self,
        node: Node,
        journal: Journal,
        settings: SubmitSettings | None = None,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._journal = journal
        self._settings = settings or SubmitSettings()
        self._on_taken = on_taken
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()
        self.fates: Counter[str] = Counter()
        """Blocks whose fate is known, by `SubmitOutcome` value."""
        self.retries = 0
        self.journal_errors = 0

    @property
    def pending(self) -> int:
        """Blocks whose fate is not known yet."""
        return len(self._tasks)

    async def recover(self) -> int:
        """Submit what an earlier process left behind; how many blocks that is."""
        blocks = await asyncio.to_thread(self._journal.pending)
        for block in blocks:
            log.warning("a solved block was left behind", extra={"block": block.name})
            self._start(block)
        return len(blocks)

    async def accept(self, block: SolvedBlock) -> bool:
        """Write a block to the disk and begin to submit it. False where it is not new.

        Once begun it is carried through, even where the caller is cancelled.

        Raises:
            TooManyPending: the block is neither written nor submitted.
        """
        if block.hash in self._tasks:
            return False
        if len(self._tasks) >= self._settings.max_pending:
            raise TooManyPending
        # Taken before anything is awaited, so that a second solution of the same finds it.
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._tasks[block.hash] = asyncio.create_task(self._carry(block, written))
        return await asyncio.shield(written)

    def _start(self, block: SolvedBlock) -> None:
        if block.hash not in self._tasks:
            self._tasks[block.hash] = asyncio.create_task(self._carry(block, None))

    def retry_now(self) -> None:
        """The node is back: try at once what waits for its next turn."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    async def close(self, patience: float = 5.0) -> None:
        """Wait a little for answers. What is unanswered then stays on the disk for the next
        start."""
        tasks = set(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, block: SolvedBlock, written: asyncio.Future[bool] | None) -> None:
        try:
            if written is not None and not await self._write(block, written):
                return
            result = await self._submit(block)
            await self._conclude(block, result)
        finally:
            del self._tasks[block.hash]

    async def _write(self, block: SolvedBlock, written: asyncio.Future[bool]) -> bool:
        """Whether the block is new and is to be submitted."""
        new = True
        try:
            new = not await asyncio.to_thread(self._journal.has, block)
            if new:
                await asyncio.to_thread(self._journal.write, block)
        except OSError as error:
            # A full disk must not cost the block: the node may well have room.
            self.journal_errors += 1
            log.critical(
                "a solved block could not be written to disk",
                extra={"block": block.name, "error": error.strerror or type(error).__name__},
            )
        finally:
            if not written.done():
                written.set_result(new)
        return new

    async def _submit(self, block: SolvedBlock) -> SubmitResult:
        began = asyncio.get_running_loop().time()
        attempt = 0
        while True:
            hurry = self._hurry
            try:
                result = await self._node.submit_block(block.data, timeout=self._settings.timeout)
                waited = asyncio.get_running_loop().time() - began
                if waited > self._settings.patience or await self._is_final(block, result):
                    return result
                reason = result.reason or "taken, but not connected to the chain"
            except NodeError as error:
                reason = str(error)
            self.retries += 1
            delay = min(
                self._settings.retry_most, self._settings.retry_first * 2.0 ** min(attempt, 16)
            )
            attempt += 1
            log.error(
                "a solved block is not submitted yet",
                extra={"block": block.name, "attempt": attempt, "error": reason, "again_in": delay},
            )
            with contextlib.suppress(asyncio.TimeoutError):
                await within(delay, hurry.wait())

    async def _is_final(self, block: SolvedBlock, result: SubmitResult) -> bool:
        """Whether the answer will stay the same. btcd takes a block whose parent it lacks without
        a word; it then knows no header of it."""
        if result.outcome is SubmitOutcome.REJECTED:
            return result.reason not in NOT_YET
        try:
            await self._node.block_header(block.hash)
        except RpcError as error:
            return error.code != NO_SUCH_BLOCK
        except NodeError:
            pass  # its answer stands
        return True

    async def _conclude(self, block: SolvedBlock, result: SubmitResult) -> None:
        fate = result.outcome
        self.fates[fate.value] += 1
        level = logging.ERROR if fate is SubmitOutcome.REJECTED else logging.WARNING
        log.log(
            level,
            "the node has answered for a solved block",
            extra={"block": block.name, "fate": fate.value, "reason": result.reason},
        )
        if fate is not SubmitOutcome.REJECTED:
            self._on_taken()
        try:
            await asyncio.to_thread(self._journal.finish, block, fate.value)
        except OSError as error:
            # It stays pending: the next start submits it again and hears "duplicate".
            self.journal_errors += 1
            log.error("the journal cannot be written", extra={"error": type(error).__name__})
