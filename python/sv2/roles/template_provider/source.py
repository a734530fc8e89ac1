"""Following a node: a new feed at each new tip and at intervals, through whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from sv2.deadline import within
from sv2.node import (
    BadAnswer,
    BlockTemplate,
    MethodNotFound,
    Node,
    NodeBack,
    NodeError,
    NodeLost,
    TipChanged,
    TipSettings,
    TipWatcher,
    hash_text,
)
from sv2.roles.template_provider.feed import Feed
from sv2.roles.template_provider.selection import Budget
from sv2.roles.template_provider.template import UnusableTemplate

__all__ = ["SourceSettings", "SourceStats", "TemplateSource"]

log = logging.getLogger(__name__)

KNOTS_RESERVE = (8_000, 400)
"""Weight and sigop cost that Knots, as Core, keeps free unasked."""
MAX_RESERVATIONS = 4
"""Templates asked of a Knots node for special needs, besides the one for everybody."""
RESTART_DELAY = 1.0


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Times in seconds."""

    fee_interval: float = 30.0
    """Between two templates while the tip stays."""
    template_timeout: float = 30.0
    """For the answer to one template request."""
    retry_first: float = 0.25
    """Until the first retry after a failure; doubles with each further one."""
    retry_most: float = 5.0
    """Upper limit of the same."""
    behind_delay: float = 0.05
    """Until the next question while the node's template is not on the tip that it told us of."""
    behind_tries: int = 40
    """And how often, before the template is taken as it is."""
    rules: tuple[str, ...] = ("segwit",)
    zmq_hashblock: str | None = None
    tips: TipSettings = field(default_factory=TipSettings)


@dataclass
class SourceStats:
    """What has been seen of the node."""

    up: bool = False
    """It answered last time."""
    trouble: str = "not asked yet"
    """Why there is no (newer) template, for people; empty when all is well."""
    fetched: int = 0
    fetch_seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    """Failed template requests, by class of error."""
    tips: int = 0
    missed_notices: int = 0


class TemplateSource:
    """Asks one node for templates. ``on_feed`` is awaited with each, one at a time.

    ``reservations`` gives the budgets of clients that need more than a node leaves free; they are
    asked for where the node can heed them. ``on_back`` is called when the node answers again.
    """

    def __init__(
        self,
        node: Node,
        settings: SourceSettings,
        *,
        on_feed: Callable[[Feed], Awaitable[None]],
        on_back: Callable[[], None],
        reservations: Callable[[Feed], Iterable[Budget]],
    ) -> None:
        self._node = node
        self._settings = settings
        self._on_feed = on_feed
        self._on_back = on_back
        self._reservations = reservations
        self._wanted = asyncio.Event()
        self._tip: bytes | None = None
        self._number = 0
        self.zmq_hashblock = settings.zmq_hashblock
        """Where the node publishes new tips, for the next time that they are followed."""
        self._knots: bool | None = None
        self._watcher: TipWatcher | None = None
        self.feed: Feed | None = None
        self.reserved: dict[tuple[int, int], Feed] = {}
        """Feeds that a Knots node made for a reservation (weight, sigop cost)."""
        self.ready = asyncio.Event()
        self.stats = SourceStats()
        self.tip_seen_at: float | None = None
        """When the last new tip was noticed, by the event loop's clock; None once it was served."""

    def check_now(self) -> None:
        """Look for a new tip at once."""
        if self._watcher is not None:
            self._watcher.check_now()
        self._wanted.set()

    async def follow(self) -> None:
        """Run until cancelled. What goes wrong is logged and begun anew."""
        await asyncio.gather(
            self._forever("tips", self._follow_tips), self._forever("templates", self._fetch_loop)
        )

    async def _forever(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("following the node failed", extra={"part": what})
            await asyncio.sleep(RESTART_DELAY)

    async def _follow_tips(self) -> None:
        watcher = TipWatcher(
            self._node, zmq_hashblock=self.zmq_hashblock, settings=self._settings.tips
        )
        async with watcher:
            self._watcher = watcher
            while True:
                match await watcher.next():
                    case TipChanged(tip_hash=tip_hash, missed=missed):
                        self.stats.tips += 1
                        self.stats.missed_notices += missed
                        self._tip = tip_hash
                        if self.feed is None or self.feed.work.previous_hash != tip_hash:
                            self.tip_seen_at = asyncio.get_running_loop().time()
                        self._wanted.set()
                    case NodeLost(error=error):
                        self._failed(error)
                    case NodeBack():
                        self._knots = None
                        self._on_back()
                        self._wanted.set()

    async def _fetch_loop(self) -> None:
        failures = behind = 0
        while True:
            self._wanted.clear()
            try:
                feed = await self._fetch()
            except (NodeError, UnusableTemplate) as error:
                failures += 1
                self._failed(error)
                await self._pause(self._retry_delay(failures))
                continue
            failures = 0
            if self._is_behind(feed) and behind < self._settings.behind_tries:
                behind += 1
                await self._pause(self._settings.behind_delay)
                continue
            behind = 0
            await self._take(feed)
            await self._pause(self._settings.fee_interval)

    def _is_behind(self, feed: Feed) -> bool:
        """The node told us of a tip that its template is not on yet."""
        known = self.feed is not None and self.feed.work.previous_hash
        return feed.work.previous_hash == known and self._tip not in (known, None)

    async def _take(self, feed: Feed) -> None:
        self.stats.trouble = ""
        self.feed = feed
        self.reserved = {
            key: reserved for key, reserved in self.reserved.items() if reserved.work == feed.work
        }
        self.ready.set()
        await self._on_feed(feed)
        if await self._is_knots():
            await self._take_reserved(feed)

    async def _take_reserved(self, feed: Feed) -> None:
        """Have a node that can leave more room leave it, for clients that need it."""
        weight, sigops = KNOTS_RESERVE
        keys = [
            (budget.reserved_weight, budget.reserved_sigops)
            for budget in self._reservations(feed)
            if budget.reserved_weight > weight or budget.reserved_sigops > sigops
        ]
        fresh: dict[tuple[int, int], Feed] = {}
        for key in list(dict.fromkeys(keys))[:MAX_RESERVATIONS]:
            request = {
                "blockreservedweight": max(key[0], weight),
                "blockreservedsigops": max(key[1], sigops),
            }
            try:
                special = await self._fetch(request)
            except (NodeError, UnusableTemplate) as error:
                # The template for everybody serves them, with transactions dropped.
                self.stats.errors[type(error).__name__] += 1
                continue
            if special.work == feed.work:
                fresh[key] = special
        self.reserved = fresh
        if fresh:
            await self._on_feed(feed)

    async def _fetch(self, reserve: dict[str, int] | None = None) -> Feed:
        began = asyncio.get_running_loop().time()
        template: BlockTemplate = await self._node.block_template(
            rules=self._settings.rules, reserve=reserve, timeout=self._settings.template_timeout
        )
        self._number += 1
        feed = Feed(template, self._number, self.feed)
        self.stats.up = True
        self.stats.fetched += 1
        self.stats.fetch_seconds += asyncio.get_running_loop().time() - began
        return feed

    async def _is_knots(self) -> bool:
        if self._knots is None:
            try:
                self._knots = (await self._node.network_info()).is_knots
            except (MethodNotFound, BadAnswer):
                self._knots = False
            except NodeError:
                return False
        return self._knots

    def _failed(self, error: NodeError | UnusableTemplate) -> None:
        self.stats.up = False
        self.stats.errors[type(error).__name__] += 1
        text = str(error)
        if text != self.stats.trouble:
            self.stats.trouble = text
            log.warning("no new template from the node", extra={"error": text})

    def _retry_delay(self, failures: int) -> float:
        settings = self._settings
        delay = settings.retry_first * 2.0 ** min(failures - 1, 16)
        return min(settings.retry_most, delay) * random.uniform(0.8, 1.2)

    async def _pause(self, seconds: float) -> None:
        """Wait, or until a template is wanted at once."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(seconds, self._wanted.wait())

    def describe(self) -> dict[str, object]:
        """The state for a health check."""
        feed = self.feed
        return {
            "node": "up" if self.stats.up else "down",
            "trouble": self.stats.trouble,
            "height": feed.snapshot.height if feed else None,
            "previous_hash": hash_text(feed.work.previous_hash) if feed else None,
            "template_age": round(feed.age, 1) if feed else None,
        }
