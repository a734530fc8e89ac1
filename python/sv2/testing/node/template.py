"""Choosing transactions for a block, and the answer to getblocktemplate."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import Any

from sv2.testing.node.chain import REGTEST_BITS, Chain, Entry, target_of
from sv2.testing.node.chaindata import rpc_hash, witness_commitment
from sv2.testing.node.mempool import Mempool, PoolEntry

__all__ = ["BLOCK_VERSION", "Reserve", "Template", "build_template", "subsidy"]

BLOCK_VERSION = 0x20000000
MAX_BLOCK_WEIGHT = 4_000_000
MAX_BLOCK_SIGOPS = 80_000
MAX_BLOCK_SIZE = 4_000_000
HALVING_INTERVAL = 150
"""Regtest's."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Weight units and sigop cost kept free for header and coinbase; Bitcoin Core's defaults."""

    weight: int = 8_000
    sigops: int = 400


@dataclass(frozen=True, slots=True)
class Template:
    """A block on ``parent`` but for its coinbase. ``updates`` is the pool's count when chosen."""

    parent: Entry
    entries: tuple[PoolEntry, ...]
    updates: int
    built_at: float

    @property
    def height(self) -> int:
        return self.parent.height + 1

    @property
    def fees(self) -> int:
        return sum(entry.fee for entry in self.entries)

    @property
    def coinbase_value(self) -> int:
        return subsidy(self.height) + self.fees

    @property
    def commitment(self) -> bytes:
        return witness_commitment([entry.tx.wtxid for entry in self.entries])

    def answer(self, chain: Chain, now: float) -> dict[str, Any]:
        """As getblocktemplate shows it."""
        earliest = chain.minimum_time(self.parent)
        parent = rpc_hash(self.parent.hash)
        return {
            "capabilities": ["proposal"],
            "version": BLOCK_VERSION,
            "rules": ["csv", "!segwit", "taproot"],
            "vbavailable": {},
            "vbrequired": 0,
            "previousblockhash": parent,
            "transactions": self._transactions(),
            "coinbaseaux": {},
            "coinbasevalue": self.coinbase_value,
            "longpollid": f"{parent}{self.updates}",
            "target": f"{target_of(REGTEST_BITS):064x}",
            "mintime": earliest,
            "mutable": ["time", "transactions", "prevblock"],
            "noncerange": "00000000ffffffff",
            "sigoplimit": MAX_BLOCK_SIGOPS,
            "sizelimit": MAX_BLOCK_SIZE,
            "weightlimit": MAX_BLOCK_WEIGHT,
            "curtime": max(earliest, int(now)),
            "bits": f"{REGTEST_BITS:08x}",
            "height": self.height,
            "default_witness_commitment": self.commitment.hex(),
        }

    def _transactions(self) -> list[dict[str, Any]]:
        position = {entry.tx.txid: index for index, entry in enumerate(self.entries, start=1)}
        return [
            {
                "data": entry.tx.raw.hex(),
                "txid": rpc_hash(entry.tx.txid),
                "hash": rpc_hash(entry.tx.wtxid),
                "depends": [position[txid] for txid, _ in entry.tx.spends if txid in position],
                "fee": entry.fee,
                "sigops": entry.sigops,
                "weight": entry.tx.weight,
            }
            for entry in self.entries
        ]


def subsidy(height: int) -> int:
    """The block reward at a height, fees aside."""
    halvings = height // HALVING_INTERVAL
    return 50 * 100_000_000 >> halvings if halvings < 64 else 0


def build_template(chain: Chain, pool: Mempool, now: float, reserve: Reserve) -> Template:
    """The best paying block on the tip that leaves ``reserve`` free."""
    chosen = _choose(
        pool.entries(), MAX_BLOCK_WEIGHT - reserve.weight, MAX_BLOCK_SIGOPS - reserve.sigops
    )
    return Template(chain.tip, tuple(chosen), pool.updates, now)


def _choose(entries: list[PoolEntry], weight: int, sigops: int) -> list[PoolEntry]:
    """Repeatedly the transaction that pays best together with its ancestors not yet chosen.

    A package that does not fit is passed over. When one is chosen its descendants get dearer or
    cheaper, so they are valued again; older values still in the heap are recognised as stale.
    """
    chosen: dict[PoolEntry, None] = {}
    current: dict[PoolEntry, int] = {}
    heap: list[tuple[float, int, int, PoolEntry]] = []
    serial = itertools.count()

    def rate(entry: PoolEntry) -> None:
        package = [entry, *(other for other in entry.ancestors() if other not in chosen)]
        paid = sum(other.fee for other in package) / sum(other.tx.weight for other in package)
        current[entry] = next(serial)
        heapq.heappush(heap, (-paid, entry.order, current[entry], entry))

    for entry in entries:
        rate(entry)
    while heap:
        _, _, number, entry = heapq.heappop(heap)
        if entry in chosen or current[entry] != number:
            continue
        package = [other for other in entry.ancestors() if other not in chosen] + [entry]
        package.sort(key=lambda other: other.order)
        package_weight = sum(other.tx.weight for other in package)
        package_sigops = sum(other.sigops for other in package)
        if package_weight > weight or package_sigops > sigops:
            continue
        weight -= package_weight
        sigops -= package_sigops
        chosen.update(dict.fromkeys(package))
        for other in {child for member in package for child in member.descendants()}:
            if other not in chosen:
                rate(other)
    return list(chosen)
