"""Transactions waiting for a block.

Accepted is what a block on the tip could hold: inputs exist and are mature, amounts add up, lock
times have passed, scripts verify in the consensus engine. Of Bitcoin Core's policy only what bounds
the pool is kept: a minimum fee rate, a size limit, the number of unconfirmed ancestors, and
replacement by a higher fee. There is no standardness: any valid script may be spent or paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sv2.testing.node.chain import Chain, Entry
from sv2.testing.node.chaindata import Outpoint, Tx
from sv2.testing.node.coins import COINBASE_MATURITY, Coin
from sv2.testing.node.engine import Spend, verify_scripts
from sv2.testing.node.sigops import sigop_cost

__all__ = ["Mempool", "PoolEntry", "Rejected"]

MAX_MONEY = 21_000_000 * 100_000_000
MAX_TX_WEIGHT = 400_000
MAX_TX_SIGOPS = 16_000
MAX_ANCESTORS = 25
MAX_TRANSACTIONS = 50_000
MIN_RELAY_SATS_PER_KVB = 100
LOCKTIME_IS_TIME = 500_000_000
SEQUENCE_FINAL = 0xFFFFFFFF
SEQUENCE_DISABLED = 1 << 31
SEQUENCE_IS_TIME = 1 << 22
SEQUENCE_MASK = 0xFFFF
SEQUENCE_SECONDS_SHIFT = 9
MAX_REMEMBERED_SCRIPTS = 100_000

VERIFY_REJECTED = -26
VERIFY_ERROR = -25
ALREADY_IN_CHAIN = -27


class Rejected(Exception):
    """A transaction that is not accepted; ``code`` is the RPC error code for it."""

    def __init__(self, reason: str, code: int = VERIFY_REJECTED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(eq=False, slots=True)
class PoolEntry:
    """A transaction in the pool, with its direct relatives there. Compared by identity."""

    tx: Tx
    fee: int
    sigops: int
    order: int
    height: int
    time: int
    parents: set[PoolEntry] = field(default_factory=set, repr=False)
    children: set[PoolEntry] = field(default_factory=set, repr=False)

    def ancestors(self) -> set[PoolEntry]:
        return _closure(self.parents, lambda entry: entry.parents)

    def descendants(self) -> set[PoolEntry]:
        return _closure(self.children, lambda entry: entry.children)


def _closure(
    start: Iterable[PoolEntry], step: Callable[[PoolEntry], Iterable[PoolEntry]]
) -> set[PoolEntry]:
    found: set[PoolEntry] = set()
    todo = list(start)
    while todo:
        entry = todo.pop()
        if entry not in found:
            found.add(entry)
            todo.extend(step(entry))
    return found


class Mempool:
    """The pool of one chain, which it follows. ``clock`` gives Unix seconds.

    ``added`` and ``removed`` are told of each txid that comes, or goes for another reason than
    a block.
    """

    def __init__(self, chain: Chain, clock: Callable[[], float]) -> None:
        self._chain = chain
        self._clock = clock
        self._entries: dict[bytes, PoolEntry] = {}
        self._spenders: dict[Outpoint, PoolEntry] = {}
        self._verified: dict[bytes, None] = {}
        self._returning: list[Tx] = []
        self._went_back = False
        self.sequence = 1
        """Counts additions and removals, for ZMQ and for who wants to know whether any came."""
        self.updates = 1
        """Counts changes as Bitcoin Core's longpoll ids do: additions and blocks."""
        self.added: Callable[[bytes, int], None] = lambda txid, sequence: None
        self.removed: Callable[[bytes, int], None] = lambda txid, sequence: None

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, txid: bytes) -> PoolEntry | None:
        return self._entries.get(txid)

    def entries(self) -> list[PoolEntry]:
        """In the order they came, so parents before their children."""
        return sorted(self._entries.values(), key=lambda entry: entry.order)

    def is_free(self, outpoint: Outpoint) -> bool:
        """Whether nothing in the pool spends an output."""
        return outpoint not in self._spenders

    # Taking transactions in

    def accept(self, tx: Tx, *, dry_run: bool = False, notify: bool = True) -> PoolEntry:
        """Add a transaction; one that is there already is returned as it is.

        Raises:
            Rejected: why it cannot be added; the pool is as before.
        """
        if (known := self._entries.get(tx.txid)) is not None:
            return known
        _check_alone(tx)
        if self._chain.coins.has_outputs_of(tx):
            raise Rejected("Transaction outputs already in utxo set", ALREADY_IN_CHAIN)
        coins = self._find_coins(tx)
        fee = self._check_amounts(tx, coins)
        self._check_locks(tx, coins)
        spends = [Spend(coin.value, coin.script) for coin in coins]
        entry = self._make_entry(tx, fee, sigop_cost(tx, spends))
        replaced = self._check_replacement(entry)
        if len(self._entries) >= MAX_TRANSACTIONS:
            raise Rejected("mempool full")
        self._check_scripts(tx, spends)
        if not dry_run:
            for victim in replaced:
                self._drop(victim, notify=True)
            self._insert(entry, notify=notify)
        return entry

    def _find_coins(self, tx: Tx) -> list[Coin]:
        coins = []
        for outpoint in tx.spends:
            coin = self._chain.coins.get(outpoint) or self._unconfirmed(outpoint)
            if coin is None:
                raise Rejected("bad-txns-inputs-missingorspent", VERIFY_ERROR)
            depth = self._chain.height + 1 - coin.height
            if coin.coinbase and depth < COINBASE_MATURITY:
                raise Rejected(
                    "bad-txns-premature-spend-of-coinbase, "
                    f"tried to spend coinbase at depth {depth}"
                )
            coins.append(coin)
        return coins

    def _unconfirmed(self, outpoint: Outpoint) -> Coin | None:
        parent = self._entries.get(outpoint[0])
        if parent is None or outpoint[1] >= len(parent.tx.outputs):
            return None
        value, script = parent.tx.outputs[outpoint[1]]
        return Coin(value, script, self._chain.height + 1, False)

    def _check_amounts(self, tx: Tx, coins: list[Coin]) -> int:
        paid_in = sum(coin.value for coin in coins)
        paid_out = sum(value for value, _ in tx.outputs)
        if paid_in < paid_out:
            raise Rejected(f"bad-txns-in-belowout, value in ({paid_in}) < value out ({paid_out})")
        fee = paid_in - paid_out
        needed = tx.vsize * MIN_RELAY_SATS_PER_KVB // 1000
        if fee < needed:
            raise Rejected(f"min relay fee not met, {fee} < {needed}")
        return fee

    def _check_locks(self, tx: Tx, coins: list[Coin]) -> None:
        """Absolute (BIP65, BIP113) and relative (BIP68) lock times, for the next block."""
        tip, height = self._chain.tip, self._chain.height + 1
        now = self._chain.median_time(tip)
        lock = tx.body.locktime
        passed = lock < (height if lock < LOCKTIME_IS_TIME else now)
        if not passed and any(item.sequence != SEQUENCE_FINAL for item in tx.body.vin):
            raise Rejected("non-final")
        if tx.body.version < 2:
            return
        for item, coin in zip(tx.body.vin, coins, strict=True):
            if item.sequence & SEQUENCE_DISABLED:
                continue
            amount = item.sequence & SEQUENCE_MASK
            if item.sequence & SEQUENCE_IS_TIME:
                before = self._chain.active[min(max(coin.height - 1, 0), self._chain.height)]
                start = self._chain.median_time(self._chain.index[before])
                if start + (amount << SEQUENCE_SECONDS_SHIFT) > now:
                    raise Rejected("non-BIP68-final")
            elif coin.height + amount > height:
                raise Rejected("non-BIP68-final")

    def _check_scripts(self, tx: Tx, spends: list[Spend]) -> None:
        if tx.wtxid in self._verified:
            return
        if not verify_scripts(tx.raw, spends):
            raise Rejected("mempool-script-verify-flag-failed")
        self._verified[tx.wtxid] = None
        while len(self._verified) > MAX_REMEMBERED_SCRIPTS:
            del self._verified[next(iter(self._verified))]

    def _make_entry(self, tx: Tx, fee: int, sigops: int) -> PoolEntry:
        if sigops > MAX_TX_SIGOPS:
            raise Rejected("bad-txns-too-many-sigops")
        now = int(self._clock())
        entry = PoolEntry(tx, fee, sigops, self.sequence, self._chain.height, now)
        entry.parents = {
            parent for txid, _ in tx.spends if (parent := self._entries.get(txid)) is not None
        }
        if len(entry.ancestors()) >= MAX_ANCESTORS:
            raise Rejected("too-long-mempool-chain")
        return entry

    def _check_replacement(self, entry: PoolEntry) -> set[PoolEntry]:
        """What ``entry`` would push out. It must pay for all of that and have the better rate."""
        conflicts = {
            other for point in entry.tx.spends if (other := self._spenders.get(point)) is not None
        }
        victims = set(conflicts)
        for conflict in conflicts:
            victims |= conflict.descendants()
        if not victims:
            return victims
        if victims & entry.ancestors():
            raise Rejected("bad-txns-spends-conflicting-tx")
        own_cost = entry.tx.vsize * MIN_RELAY_SATS_PER_KVB // 1000
        if entry.fee < sum(victim.fee for victim in victims) + own_cost:
            raise Rejected("insufficient fee")
        if any(_better_rate(conflict, entry) for conflict in conflicts):
            raise Rejected("insufficient fee")
        return victims

    def _insert(self, entry: PoolEntry, *, notify: bool) -> None:
        self._entries[entry.tx.txid] = entry
        for point in entry.tx.spends:
            self._spenders[point] = entry
        for parent in entry.parents:
            parent.children.add(entry)
        entry.order = self.sequence
        if notify:
            self.added(entry.tx.txid, self.sequence)
        self.sequence += 1
        self.updates += 1

    def _drop(self, entry: PoolEntry, *, notify: bool) -> None:
        del self._entries[entry.tx.txid]
        for point in entry.tx.spends:
            del self._spenders[point]
        for parent in entry.parents:
            parent.children.discard(entry)
        for child in entry.children:
            child.parents.discard(entry)
        if notify:
            self.removed(entry.tx.txid, self.sequence)
        self.sequence += 1
        self.updates += 1

    # Following the chain

    def block_connected(self, entry: Entry) -> None:
        """Drop what the block holds and what can no longer be in one."""
        for tx in entry.block.transactions:
            if (mined := self._entries.get(tx.txid)) is not None:
                self._drop(mined, notify=False)
            for point in tx.spends:
                if (loser := self._spenders.get(point)) is not None:
                    for victim in [loser, *loser.descendants()]:
                        self._drop(victim, notify=True)
        self.updates += 1

    def block_disconnected(self, entry: Entry) -> None:
        """Remember the block's transactions; `chain_changed` takes them back in."""
        self._returning = [*entry.block.transactions[1:], *self._returning]
        self._went_back = True

    def chain_changed(self) -> None:
        """After blocks were disconnected, keep what is still valid, oldest first."""
        if not self._went_back:
            return
        self._went_back = False
        candidates = self._returning + [entry.tx for entry in self.entries()]
        kept_before = set(self._entries)
        self._returning = []
        self._entries.clear()
        self._spenders.clear()
        for tx in candidates:
            try:
                self.accept(tx, notify=tx.txid not in kept_before)
            except Rejected:
                if tx.txid in kept_before:
                    self.removed(tx.txid, self.sequence)
                    self.sequence += 1
        self.updates += 1


def _better_rate(one: PoolEntry, other: PoolEntry) -> bool:
    return one.fee * other.tx.weight >= other.fee * one.tx.weight


def _check_alone(tx: Tx) -> None:
    """What can be said of a transaction without its coins."""
    if not tx.spends:
        raise Rejected("bad-txns-vin-empty")
    if not tx.outputs:
        raise Rejected("bad-txns-vout-empty")
    if tx.weight > MAX_TX_WEIGHT:
        raise Rejected("tx-size")
    if any(value > MAX_MONEY for value, _ in tx.outputs):
        raise Rejected("bad-txns-vout-toolarge")
    if sum(value for value, _ in tx.outputs) > MAX_MONEY:
        raise Rejected("bad-txns-txouttotal-toolarge")
    if len(set(tx.spends)) != len(tx.spends):
        raise Rejected("bad-txns-inputs-duplicate")
    if any(txid == bytes(32) for txid, _ in tx.spends):
        raise Rejected("coinbase")
