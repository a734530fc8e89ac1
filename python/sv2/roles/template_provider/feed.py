"""A node's current template and what clients with different needs are told of it."""

from __future__ import annotations

import time

from sv2.node import BlockTemplate
from sv2.roles.template_provider.selection import Budget
from sv2.roles.template_provider.template import (
    Constraints,
    Snapshot,
    Template,
    Work,
    budget_of,
    build_template,
    check_usable,
    snapshot_of,
)

__all__ = ["Feed"]

MAX_BUILT = 256
"""Templates kept ready for different constraints; the oldest is built again when it is needed."""


class Feed:
    """One answer of the node. Builds the template for a client's constraints when it is asked for.

    ``previous`` is the feed before it, whose transactions are not held twice.

    Raises:
        UnusableTemplate: no block may be built from the node's template.
    """

    def __init__(self, template: BlockTemplate, number: int, previous: Feed | None = None) -> None:
        check_usable(template)
        known = previous.data_by_wtxid() if previous is not None else {}
        self.template = template
        self.snapshot: Snapshot = snapshot_of(template, number, known)
        self._arrived = time.monotonic()
        self._whole: Template | None = None
        self._built: dict[Constraints, Template] = {}

    @property
    def work(self) -> Work:
        return self.snapshot.work

    @property
    def age(self) -> float:
        """Seconds since the node gave it."""
        return time.monotonic() - self._arrived

    @property
    def header_time(self) -> int:
        """The time for a header that is begun now, by the node's clock."""
        return self.snapshot.current_time + int(self.age)

    def data_by_wtxid(self) -> dict[bytes, bytes]:
        """The transactions it holds."""
        pairs = zip(self.template.transactions, self.snapshot.data, strict=True)
        return {tx.wtxid: data for tx, data in pairs}

    def budget(self, constraints: Constraints) -> Budget:
        """The room that constraints leave for transactions. Raises `NoRoom`."""
        return budget_of(self.template, constraints)

    def template_for(self, constraints: Constraints) -> Template:
        """The template for a client with these constraints. Raises `NoRoom`."""
        found = self._built.get(constraints)
        if found is None:
            found = self._build(constraints)
            if len(self._built) >= MAX_BUILT:
                del self._built[next(iter(self._built))]
            self._built[constraints] = found
        return found

    def _build(self, constraints: Constraints) -> Template:
        built = build_template(self.template, self.snapshot, constraints, self._whole)
        if not built.kept:
            self._whole = built
        return built
