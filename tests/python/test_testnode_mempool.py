"""What the test node's mempool takes, refuses, replaces and gives back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import regtest_helpers  # noqa: F401  (skips where what it needs is missing)
from embit.ec import PrivateKey
from embit.script import Script, Witness, p2pkh, p2tr, p2wpkh
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from sv2.testing.node import Rejected, make_block, op_true_script
from sv2.testing.node.chain import Chain, ChainListener
from sv2.testing.node.chaindata import Outpoint, Tx
from sv2.testing.node.faucet import spend
from sv2.testing.node.mempool import MAX_ANCESTORS, Mempool
from sv2.testing.node.template import subsidy

SCRIPT = op_true_script()
COIN = 100_000_000


class Bench:
    """A chain with a mempool and no server."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chain(folder)
        self.pool = Mempool(self.chain, time.time)
        self.events: list[tuple[str, bytes]] = []
        self.pool.added = lambda txid, _: self.events.append(("A", txid))
        self.pool.removed = lambda txid, _: self.events.append(("R", txid))
        self.chain.listen(
            ChainListener(
                self.pool.block_connected,
                self.pool.block_disconnected,
                lambda _: self.pool.chain_changed(),
            )
        )

    def mine(self, *txs: Tx, count: int = 1) -> list[Outpoint]:
        """Blocks on the tip; the coins of their coinbases."""
        made = []
        for _ in range(count):
            tip = self.chain.tip
            value = subsidy(tip.height + 1)
            when = max(self.chain.minimum_time(tip), int(time.time()) - 3600)
            block = make_block(tip.hash, tip.height + 1, when, txs, value, SCRIPT)
            assert self.chain.submit(block) is None
            made.append((self.chain.tip.block.transactions[0].txid, 0))
        return made


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.chain.close()


def payment(
    outpoint: Outpoint,
    value: int,
    *,
    version: int = 2,
    sequence: int = 0xFFFFFFFD,
    locktime: int = 0,
    witness: bytes = b"\x51",
    outputs: int = 1,
) -> Tx:
    txid, index = outpoint
    body = Transaction(
        version=version,
        vin=[TransactionInput(txid[::-1], index, sequence=sequence, witness=Witness([witness]))],
        vout=[TransactionOutput(value // outputs, Script(SCRIPT)) for _ in range(outputs)],
        locktime=locktime,
    )
    return Tx(body.serialize(), body)


def reason(bench: Bench, tx: Tx) -> str:
    before = [entry.tx.txid for entry in bench.pool.entries()]
    with pytest.raises(Rejected) as caught:
        bench.pool.accept(tx)
    assert [entry.tx.txid for entry in bench.pool.entries()] == before
    return caught.value.reason


def test_a_valid_transaction_is_taken_once_and_leaves_with_its_block(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    tx = payment(coin, 49 * COIN)
    entry = bench.pool.accept(tx)
    assert entry.fee == COIN
    assert bench.pool.accept(tx) is entry
    bench.mine(tx)
    assert len(bench.pool) == 0
    assert bench.events == [("A", tx.txid)]
    with pytest.raises(Rejected) as caught:
        bench.pool.accept(tx)
    assert caught.value.code == -27


def test_a_dry_run_adds_nothing(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    bench.pool.accept(payment(coin, 49 * COIN), dry_run=True)
    assert len(bench.pool) == 0
    assert bench.events == []


def test_missing_and_immature_coins_are_refused(bench: Bench) -> None:
    first, second, *_ = bench.mine(count=100)
    assert reason(bench, payment((bytes(32), 1), 1)) == "coinbase"
    missing = payment((b"\x01" * 32, 0), 1)
    assert reason(bench, missing) == "bad-txns-inputs-missingorspent"
    bench.pool.accept(payment(first, 49 * COIN))
    assert reason(bench, payment(second, 49 * COIN)) == (
        "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 99"
    )
    # The engine draws the same line: a block with the one is valid, with the other not.
    tip, height = bench.chain.tip.hash, bench.chain.height + 1
    when = bench.chain.minimum_time(bench.chain.tip)
    block = make_block(tip, height, when, [payment(second, 49 * COIN)], 50 * COIN, SCRIPT)
    assert bench.chain.propose(block) == "bad-txns-premature-spend-of-coinbase"
    block = make_block(tip, height, when, [payment(first, 49 * COIN)], 50 * COIN, SCRIPT)
    assert bench.chain.propose(block) is None


def test_amounts_must_add_up_and_pay_the_least_fee(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    assert reason(bench, payment(coin, 50 * COIN + 1)).startswith("bad-txns-in-belowout")
    assert reason(bench, payment(coin, 50 * COIN)) == "min relay fee not met, 0 < 9"
    bench.pool.accept(payment(coin, 50 * COIN - 9))


def test_a_wrong_witness_is_refused_by_the_engine(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    wrong = payment(coin, 49 * COIN, witness=b"\x00")
    assert reason(bench, wrong) == "mempool-script-verify-flag-failed"


def signed_payment(outpoint: Outpoint, key: PrivateKey, script: Script, value: int) -> Tx:
    """Spends the whole of a coin of ``key``, P2WPKH or P2TR, to the same script."""
    txid, index = outpoint
    body = Transaction(
        version=2,
        vin=[TransactionInput(txid[::-1], index)],
        vout=[TransactionOutput(value - 1000, script)],
        locktime=0,
    )
    if script.script_type() == "p2tr":
        digest = body.sighash_taproot(0, [script], [value])
        signature = key.taproot_tweak(b"").schnorr_sign(digest).serialize()
        witness = [signature]
    else:
        digest = body.sighash_segwit(0, p2pkh(key.get_public_key()), value)
        signature = key.sign(digest).serialize() + b"\x01"
        witness = [signature, key.get_public_key().serialize()]
    body.vin[0].witness = Witness(witness)
    return Tx(body.serialize(), body)


@pytest.mark.parametrize("kind", [p2wpkh, p2tr])
def test_signatures_are_verified_by_the_engine(bench: Bench, kind: Any) -> None:
    key = PrivateKey(b"\x07" * 32)
    script = kind(key.get_public_key())
    coin, *_ = bench.mine(count=101)
    funding = spend(coin, [(COIN, script.data)])
    bench.mine(funding)
    good = signed_payment((funding.txid, 0), key, script, COIN)
    for_another_amount = signed_payment((funding.txid, 0), key, script, COIN - 1)
    broken = Transaction.parse(good.raw)
    broken.vout[0].value -= 1
    for tx in (for_another_amount, Tx(broken.serialize(), broken)):
        assert reason(bench, tx) == "mempool-script-verify-flag-failed"
    bench.pool.accept(good)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"locktime": 103}, "non-final"),
        ({"locktime": 102}, None),
        ({"locktime": 103, "sequence": 0xFFFFFFFF}, None),
        ({"locktime": 4_000_000_000}, "non-final"),
        ({"sequence": 101}, None),
        ({"sequence": 102}, "non-BIP68-final"),
        ({"sequence": 102, "version": 1}, None),
        ({"sequence": (1 << 31) | 102}, None),
        ({"sequence": (1 << 22) | 0xFFFF}, "non-BIP68-final"),
        ({"sequence": 1 << 22}, None),
    ],
)
def test_lock_times_are_those_of_the_engine(
    bench: Bench, change: dict[str, Any], expected: str | None
) -> None:
    """The spent coin is in block 2 and the next block is 103."""
    _, coin, *_ = bench.mine(count=102)
    tx = payment(coin, 49 * COIN, **({"sequence": 0xFFFFFFFD} | change))
    tip = bench.chain.tip
    block = make_block(
        tip.hash, tip.height + 1, bench.chain.minimum_time(tip), [tx], 50 * COIN, SCRIPT
    )
    valid = bench.chain.propose(block) is None
    assert valid is (expected is None)
    if expected is None:
        bench.pool.accept(tx)
    else:
        assert reason(bench, tx) == expected


def test_chains_of_unconfirmed_transactions_are_limited(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    outpoint, value = coin, 49 * COIN
    for _ in range(MAX_ANCESTORS):
        tx = payment(outpoint, value)
        bench.pool.accept(tx)
        outpoint, value = (tx.txid, 0), value - 1000
    assert reason(bench, payment(outpoint, value)) == "too-long-mempool-chain"


def test_a_better_paying_transaction_replaces_another_and_its_child(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    old = payment(coin, 50 * COIN - 1000)
    child = payment((old.txid, 0), 50 * COIN - 3000)
    bench.pool.accept(old)
    bench.pool.accept(child)
    assert reason(bench, payment(coin, 50 * COIN - 1001)) == "insufficient fee"
    assert reason(bench, payment(coin, 50 * COIN - 3000)) == "insufficient fee"
    new = payment(coin, 50 * COIN - 3500)
    bench.pool.accept(new)
    assert [entry.tx.txid for entry in bench.pool.entries()] == [new.txid]
    assert sorted(bench.events[2:]) == sorted([("R", old.txid), ("R", child.txid), ("A", new.txid)])


def test_a_block_that_spends_a_coin_otherwise_removes_the_loser_and_its_child(
    bench: Bench,
) -> None:
    coin, *_ = bench.mine(count=101)
    loser = payment(coin, 49 * COIN)
    child = payment((loser.txid, 0), 48 * COIN)
    bench.pool.accept(loser)
    bench.pool.accept(child)
    bench.mine(payment(coin, 47 * COIN))
    assert len(bench.pool) == 0
    assert {txid for kind, txid in bench.events if kind == "R"} == {loser.txid, child.txid}


def test_disconnected_transactions_return_before_those_that_spend_them(bench: Bench) -> None:
    coin, *_ = bench.mine(count=102)
    parent = payment(coin, 49 * COIN)
    bench.mine(parent)
    child = payment((parent.txid, 0), 48 * COIN)
    bench.pool.accept(child)
    bench.chain.invalidate(bench.chain.tip.hash)
    assert [entry.tx.txid for entry in bench.pool.entries()] == [parent.txid, child.txid]
    assert bench.events == [("A", child.txid), ("A", parent.txid)]


def test_what_a_reorganization_makes_invalid_leaves(bench: Bench) -> None:
    coin, *_ = bench.mine(count=100)
    tx = payment(coin, 49 * COIN)
    bench.pool.accept(tx)
    bench.chain.invalidate(bench.chain.tip.hash)
    assert len(bench.pool) == 0
    assert bench.events[-1] == ("R", tx.txid)


def test_unrelated_spends_of_one_fan_are_all_taken(bench: Bench) -> None:
    coin, *_ = bench.mine(count=101)
    fan = spend(coin, [(10_000, SCRIPT)] * 200)
    bench.mine(fan)
    for index in range(200):
        bench.pool.accept(payment((fan.txid, index), 9_000))
    assert len(bench.pool) == 200
