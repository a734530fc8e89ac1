"""Which templates a client was given, and for how long they are remembered.

The policy: of the current work (tip and nBits) the newest `CURRENT_KEPT` templates of a client,
which answers requests and solutions; of the work before it the newest `PREVIOUS_KEPT`, for
solutions that were under way when it changed; of all others nothing but the last `NUMBERS_KEPT`
ids, which tell a stale id from one that was never given. When a connection ends, the newest
`PREVIOUS_KEPT` of it go to `Orphans`, for as long as their work is the current or the one before,
so that a client that comes back can still hand in a block.
Templates refer to shared transactions, so one costs a few kilobytes.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Collection, Iterator

from sv2.roles.template_provider.template import Template, Work

__all__ = ["Ledger", "Orphans", "StaleTemplate", "UnknownTemplate", "template_ids"]

CURRENT_KEPT = 64
PREVIOUS_KEPT = 8
NUMBERS_KEPT = 256
ORPHANS_KEPT = 512


def template_ids() -> Iterator[int]:
    """Ids that rise strictly, over restarts too as long as the clock does: Unix seconds in the
    upper bits, room for a million a second below."""
    return itertools.count(int(time.time()) << 20)


class UnknownTemplate(Exception):
    """An id that this client was never given, or so long ago that it is forgotten."""


class StaleTemplate(UnknownTemplate):
    """An id whose template was given to this client but is kept no longer."""


class Ledger:
    """The templates of one client. ``work`` and ``fees`` are what it knows: None before the first.

    A client's ids rise strictly; `add` is called in their order.
    """

    def __init__(self) -> None:
        self.work: Work | None = None
        self.fees = 0
        self._offers: dict[int, Template] = {}
        self._gone: deque[int] = deque(maxlen=NUMBERS_KEPT)

    def __len__(self) -> int:
        return len(self._offers)

    def add(self, template_id: int, template: Template) -> None:
        """Note what the client is being given."""
        newest = next(reversed(self._offers.values()), None)
        if newest is not None and newest.work != template.work:
            self._retire(newest.work)
        self._offers[template_id] = template
        if len(self._offers) > CURRENT_KEPT + PREVIOUS_KEPT:
            self._forget(next(iter(self._offers)))

    def _retire(self, last: Work) -> None:
        """The work changes: keep the newest of ``last`` and none that is older."""
        ids = [number for number, template in self._offers.items() if template.work == last]
        keep = set(ids[-PREVIOUS_KEPT:])
        for number in [number for number in self._offers if number not in keep]:
            self._forget(number)

    def _forget(self, template_id: int) -> None:
        del self._offers[template_id]
        self._gone.append(template_id)

    def kept(self, template_id: int) -> Template:
        """A template that is still here, of whatever work.

        Raises:
            StaleTemplate, UnknownTemplate: there is none.
        """
        template = self._offers.get(template_id)
        if template is not None:
            return template
        raise StaleTemplate if template_id in self._gone else UnknownTemplate

    def current(self, template_id: int) -> Template:
        """A template of the work that the client knows.

        Raises:
            StaleTemplate, UnknownTemplate: there is none.
        """
        template = self.kept(template_id)
        if template.work != self.work:
            raise StaleTemplate
        return template

    def newest(self, count: int) -> list[tuple[int, Template]]:
        """The last ``count`` of what was given, the oldest first."""
        return list(self._offers.items())[-count:]


class Orphans:
    """The last templates of connections that have ended."""

    def __init__(self) -> None:
        self._offers: dict[int, Template] = {}

    def __len__(self) -> int:
        return len(self._offers)

    def adopt(self, ledger: Ledger) -> None:
        """Take over what a client leaves behind."""
        self._offers.update(ledger.newest(PREVIOUS_KEPT))
        while len(self._offers) > ORPHANS_KEPT:
            del self._offers[next(iter(self._offers))]

    def keep_only(self, works: Collection[Work]) -> None:
        """Forget what is for any other work."""
        for number in [n for n, template in self._offers.items() if template.work not in works]:
            del self._offers[number]

    def find(self, template_id: int) -> Template | None:
        return self._offers.get(template_id)
