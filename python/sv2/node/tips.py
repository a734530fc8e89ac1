"""Learning of a new tip as soon as the node has it, by the best means the node offers.

In order: ZMQ ``hashblock``; where ZMQ is not configured or not connected, ``waitfornewblock``;
where the node has no such call, longpoll on ``getblocktemplate``; where it has no longpoll,
polling. ZMQ loses notices without saying so, so the node is also asked at a slow pace while ZMQ
is up, and at once when ZMQ connects or a gap shows. A node that goes away is asked again, slower
and slower up to a limit, and everything is tried from the top once it is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, final

from sv2.deadline import within
from sv2.node.client import Node
from sv2.node.errors import MethodNotFound, NodeError, RpcError
from sv2.node.results import hash_text
from sv2.node.zmq_hashblock import HashBlock, HashBlockSubscriber

__all__ = [
    "NodeBack",
    "NodeLost",
    "TipChanged",
    "TipEvent",
    "TipSettings",
    "TipSource",
    "TipWatcher",
]

log = logging.getLogger(__name__)

MAX_PENDING_EVENTS = 64
RACE_CHECK_DELAY = 0.2


class TipSource(Enum):
    """How a new tip was noticed."""

    ZMQ = "zmq"
    WAIT = "waitfornewblock"
    LONG_POLL = "longpoll"
    POLL = "poll"
    CHECK = "check"
    """Asked to be sure, while ZMQ was up or a wait was on: another way missed it or is later."""


@dataclass(frozen=True, slots=True)
class TipChanged:
    """The node has another tip than before. ``tip_hash`` is in internal order.

    ``missed`` counts ZMQ notices that were lost just before this one. Only the newest tip matters:
    an event that nobody has taken is replaced by the next.
    """

    tip_hash: bytes
    source: TipSource
    missed: int = 0


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The node stopped answering; sent once per outage."""

    error: NodeError


@dataclass(frozen=True, slots=True)
class NodeBack:
    """The node answers (again); also the first event of all."""


TipEvent: TypeAlias = TipChanged | NodeLost | NodeBack


@dataclass(frozen=True, slots=True)
class TipSettings:
    """Times in seconds."""

    check_interval: float = 10.0
    """Between two questions while ZMQ is up."""
    poll_interval: float = 1.0
    """Between two questions where polling is all there is."""
    wait: float = 20.0
    """How long one ``waitfornewblock`` lasts."""
    retry_first: float = 0.25
    """Until the first retry after a failure; doubles with each further one."""
    retry_most: float = 5.0
    """Upper limit of the same."""
    rules: tuple[str, ...] = ("segwit",)
    """Rules for the longpoll's template request ("signet" too on signet)."""


class _Fallback(Enum):
    WAIT = 0
    LONG_POLL = 1
    POLL = 2


@final
class TipWatcher:
    """Watches one node. Use as an async context manager and await `next` for events::

        async with TipWatcher(node, zmq_hashblock="tcp://127.0.0.1:28332") as watcher:
            while True:
                match await watcher.next():
                    case TipChanged(tip_hash): ...

    The first tip is announced too. Events that nobody takes do not pile up.
    """

    def __init__(
        self,
        node: Node,
        *,
        zmq_hashblock: str | None = None,
        settings: TipSettings | None = None,
    ) -> None:
        self._node = node
        self._zmq_address = zmq_hashblock
        self._settings = settings if settings is not None else TipSettings()
        self._events: deque[TipEvent] = deque(maxlen=MAX_PENDING_EVENTS)
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tip: bytes | None = None
        self._generation = 0
        self._zmq_up = False
        self._fallback = _Fallback.WAIT
        self._answering = False
        self._lost = False
        self._failures = 0
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    @property
    def tip_hash(self) -> bytes | None:
        """The last tip announced, in internal order; None before the first."""
        return self._tip

    @property
    def source(self) -> TipSource:
        """The means in use at this moment."""
        if self._zmq_up:
            return TipSource.ZMQ
        match self._fallback:
            case _Fallback.WAIT:
                return TipSource.WAIT
            case _Fallback.LONG_POLL:
                return TipSource.LONG_POLL
            case _Fallback.POLL:
                return TipSource.POLL

    async def __aenter__(self) -> TipWatcher:
        if self._zmq_address is not None:
            subscriber = HashBlockSubscriber(self._zmq_address, self._on_zmq, self._on_zmq_state)
            await self._stack.enter_async_context(subscriber)
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._arrived.set())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._stack.aclose()

    async def next(self) -> TipEvent:
        """The next event; waits for it as long as it takes.

        Raises:
            RuntimeError: the watcher is not running.
        """
        while not self._events:
            if self._task is None or self._task.done():
                raise RuntimeError("the tip watcher is not running")
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def check_now(self) -> None:
        """Ask the node for its tip without waiting for the next turn."""
        self._hurry.set()

    def _emit(self, event: TipEvent) -> None:
        if isinstance(event, TipChanged) and self._events:
            newest = self._events[-1]
            if isinstance(newest, TipChanged):
                self._events.pop()
        self._events.append(event)
        self._arrived.set()

    def _announce(self, tip_hash: bytes, source: TipSource, missed: int = 0) -> None:
        if tip_hash == self._tip:
            return
        self._tip = tip_hash
        log.info(
            "new tip",
            extra={"tip": hash_text(tip_hash), "source": source.value, "missed": missed},
        )
        self._emit(TipChanged(tip_hash, source, missed))

    def _on_zmq(self, notice: HashBlock, missing: int) -> None:
        self._generation += 1
        self._announce(notice.block_hash, TipSource.ZMQ, missing)
        if missing:
            log.warning("ZMQ notices were lost", extra={"missed": missing})
            self._hurry.set()

    def _on_zmq_state(self, connected: bool) -> None:
        log.info("ZMQ is %s", "connected" if connected else "not connected")
        self._zmq_up = connected
        self._hurry.set()

    async def _run(self) -> None:
        while True:
            self._hurry.clear()
            try:
                await self._turn()
            except NodeError as error:
                self._node_failed(error)
                await self._nap(self._retry_delay())

    async def _turn(self) -> None:
        """Ask once for the tip, then use the best means there is until it ends or is overtaken."""
        await self._check(TipSource.CHECK if self._answering else TipSource.POLL)
        if self._zmq_up:
            await self._nap(self._settings.check_interval)
        elif self._fallback is _Fallback.WAIT:
            await self._until_hurried(self._wait_for_block)
        elif self._fallback is _Fallback.LONG_POLL:
            await self._until_hurried(self._long_poll)
        else:
            await self._nap(self._settings.poll_interval)
        self._failures = 0

    async def _check(self, source: TipSource) -> None:
        """Ask for the tip. An answer that ZMQ overtook on its way may be old and does not count."""
        if not self._zmq_up and self._fallback is _Fallback.POLL:
            source = TipSource.POLL
        generation = self._generation
        tip_hash = await self._node.best_block_hash()
        self._node_answered()
        if generation == self._generation:
            self._announce(tip_hash, source)
        else:
            self._hurry.set()

    async def _wait_for_block(self) -> None:
        known = self._tip
        assert known is not None
        waiting = asyncio.ensure_future(self._node.wait_for_new_block(known, self._settings.wait))
        try:
            await asyncio.wait({waiting}, timeout=RACE_CHECK_DELAY)
            if not waiting.done() and not self._node.wait_takes_tip:
                # The node counts changes from when it got the call: one may have come before.
                await self._check(TipSource.CHECK)
            tip = await waiting
            self._announce(tip.hash, TipSource.WAIT)
        except MethodNotFound:
            self._fallback = _Fallback.LONG_POLL
            log.info("the node cannot wait for blocks; using longpoll")
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _long_poll(self) -> None:
        """One longpoll. It ends on new fees too, which costs a template more than a new tip would;
        the id is taken from a fresh template so that a change since then ends it at once."""
        rules = self._settings.rules
        try:
            template = await self._node.block_template(rules=rules)
            self._announce(template.previous_hash, TipSource.LONG_POLL)
            if (known := template.long_poll_id) is not None:
                template = await self._node.block_template(rules=rules, long_poll_id=known)
                self._announce(template.previous_hash, TipSource.LONG_POLL)
                return
            reason = "it has no longpoll"
        except RpcError as error:
            reason = str(error)
        self._fallback = _Fallback.POLL
        log.info("polling the node for its tip", extra={"reason": reason})

    async def _until_hurried(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run ``step``, given up as soon as someone asks for a check."""
        running = asyncio.ensure_future(step())
        hurried = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({running, hurried}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            for future in (running, hurried):
                future.cancel()
            await asyncio.gather(running, hurried, return_exceptions=True)

    async def _nap(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await within(seconds, self._hurry.wait())

    def _node_answered(self) -> None:
        if self._answering:
            return
        self._answering, self._lost = True, False
        self._emit(NodeBack())

    def _node_failed(self, error: NodeError) -> None:
        """Note a failure. The means are tried from the top once the node is back."""
        self._failures += 1
        self._answering = False
        self._fallback = _Fallback.WAIT
        self._node.forget_capabilities()
        if not self._lost:
            self._lost = True
            log.warning("the node does not answer", extra={"error": str(error)})
            self._emit(NodeLost(error))

    def _retry_delay(self) -> float:
        most = self._settings.retry_most
        delay: float = min(most, self._settings.retry_first * 2.0 ** min(self._failures - 1, 16))
        return delay * random.uniform(0.8, 1.2)
