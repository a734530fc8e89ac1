"""How long to wait before connecting again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double, with jitter, so that many clients do not come back as one.

    All upstreams of a list are tried without a wait in between; then comes a wait. Times are in
    seconds. ``random``, ``sleep`` and ``clock`` are there for tests.
    """

    first: float = 1.0
    """The wait after the first failed round, at most."""
    factor: float = 2.0
    most: float = 60.0
    """No wait is longer."""
    stable: float = 30.0
    """A connection that was up this long counts as a success: the next round starts with the
    first upstream and the shortest wait. One that was not counts as a failure."""
    rounds: int | None = None
    """Give up after so many failed rounds in a row. None: never."""
    random: Callable[[], float] = random.random
    """From 0 to 1."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    def delay(self, failures: int) -> float:
        """The wait after ``failures`` failed rounds in a row: half of it fixed, half by chance."""
        exponent = min(max(failures - 1, 0), 64)
        longest = min(self.most, self.first * self.factor**exponent)
        return longest * (1 + self.random()) / 2
