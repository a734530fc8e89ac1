"""Which transactions of a node's template stay when the client needs more room than it left."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sv2.node import BlockTemplate, TemplateTransaction

__all__ = ["Budget", "NoRoom", "budget_for", "select"]

WITNESS_FACTOR = 4
"""What one byte weighs, and one legacy signature operation costs, outside of witnesses."""
BLOCK_OVERHEAD = 320 + 12
"""Header and transaction count."""
COINBASE_FIXED_SEGWIT, COINBASE_FIXED_LEGACY = 236, 200
COINBASE_SCRIPT, OUTPUT_COUNT, COMMITMENT_OUTPUT = 400, 12, 188
CORE_FLOOR = 2_000
"""Bitcoin Core reserves no less, so neither do we."""


class NoRoom(Exception):
    """No block can have the room that a client asks for."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What the transactions of a block may take, and what is kept free of it for the rest.

    ``weight`` and ``reserved_weight`` are weight units, ``sigops`` and ``reserved_sigops`` are
    cost units.
    """

    weight: int
    sigops: int
    reserved_weight: int
    reserved_sigops: int


def budget_for(
    additional_size: int,
    additional_sigops: int,
    *,
    weight_limit: int,
    sigop_limit: int,
    segwit: bool,
) -> Budget:
    """The room that is left for transactions (spec 7.1).

    ``additional_size`` is in bytes and ``additional_sigops`` counts legacy operations, both as
    CoinbaseOutputConstraints has them. More operations than a block may hold reserve them all.

    Raises:
        NoRoom: header and coinbase alone are larger than a block.
    """
    fixed = BLOCK_OVERHEAD + COINBASE_SCRIPT + OUTPUT_COUNT
    fixed += COINBASE_FIXED_SEGWIT + COMMITMENT_OUTPUT if segwit else COINBASE_FIXED_LEGACY
    weight = fixed + WITNESS_FACTOR * additional_size
    if weight > weight_limit:
        most = (weight_limit - fixed) // WITNESS_FACTOR
        raise NoRoom(f"{additional_size} additional bytes asked for, {most} is the most")
    weight = max(weight, CORE_FLOOR)
    sigops = min(WITNESS_FACTOR * additional_sigops, sigop_limit)
    return Budget(weight_limit - weight, sigop_limit - sigops, weight, sigops)


def select(template: BlockTemplate, budget: Budget) -> tuple[int, ...] | None:
    """The positions of the transactions that stay, in their order; None where all do.

    What goes first is what pays least for the weight it takes, never before what spends from it.
    Where only signature operations are too many, what pays least for each of them goes, with all
    that spends from it. At the end whatever fits the room that was won comes back.
    """
    chosen = _Choice(template.transactions, budget)
    if chosen.fits:
        return None
    chosen.free_sigops()
    chosen.free_weight()
    chosen.fill()
    return tuple(sorted(chosen.kept))


class _Choice:
    """The transactions that are kept while others are given up."""

    def __init__(self, transactions: Sequence[TemplateTransaction], budget: Budget) -> None:
        self.transactions = transactions
        self.kept = set(range(len(transactions)))
        self._dropped: list[int] = []
        self._weight = budget.weight - sum(tx.weight for tx in transactions)
        self._sigops = budget.sigops - sum(tx.sigops for tx in transactions)
        self._children: list[list[int]] = [[] for _ in transactions]
        for position, tx in enumerate(transactions):
            for parent in tx.depends:
                self._children[parent].append(position)

    @property
    def fits(self) -> bool:
        return self._weight >= 0 and self._sigops >= 0

    def _rate(self, position: int) -> float:
        tx = self.transactions[position]
        return tx.fee / max(tx.weight, 1)

    def _is_leaf(self, position: int) -> bool:
        return not any(child in self.kept for child in self._children[position])

    def _drop(self, position: int) -> None:
        self.kept.remove(position)
        self._dropped.append(position)
        self._weight += self.transactions[position].weight
        self._sigops += self.transactions[position].sigops

    def free_sigops(self) -> None:
        """Give up transactions with signature operations until those left are few enough."""
        if self._sigops >= 0:
            return
        costly = [p for p, tx in enumerate(self.transactions) if tx.sigops]
        costly.sort(key=lambda p: self._family_fee(p) / self.transactions[p].sigops)
        for position in costly:
            if self._sigops >= 0:
                return
            for member in self._family(position):
                self._drop(member)

    def _family(self, position: int) -> list[int]:
        """A kept transaction and all kept ones that spend from it, the last first."""
        found, pending = set(), [position]
        while pending:
            member = pending.pop()
            if member in self.kept and member not in found:
                found.add(member)
                pending.extend(self._children[member])
        return sorted(found, reverse=True)

    def _family_fee(self, position: int) -> int:
        return sum(self.transactions[member].fee for member in self._family(position))

    def free_weight(self) -> None:
        """Give up what pays worst until the rest is light enough."""
        if self._weight >= 0:
            return
        leaves = [(self._rate(p), p) for p in self.kept if self._is_leaf(p)]
        heapq.heapify(leaves)
        while self._weight < 0:
            _, position = heapq.heappop(leaves)
            self._drop(position)
            for parent in self.transactions[position].depends:
                if parent in self.kept and self._is_leaf(parent):
                    heapq.heappush(leaves, (self._rate(parent), parent))

    def fill(self) -> None:
        """Take back what fits after all, the best paying first."""
        for position in self._by_rate(self._dropped):
            tx = self.transactions[position]
            complete = all(parent in self.kept for parent in tx.depends)
            if complete and tx.weight <= self._weight and tx.sigops <= self._sigops:
                self.kept.add(position)
                self._weight -= tx.weight
                self._sigops -= tx.sigops

    def _by_rate(self, positions: Iterable[int]) -> list[int]:
        # Of equal rate the earlier first, so that a parent comes before its child.
        return sorted(positions, key=lambda p: (-self._rate(p), p))
