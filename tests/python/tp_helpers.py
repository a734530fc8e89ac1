"""What the tests of the template provider share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sv2.node import BlockTemplate, TemplateTransaction
from sv2.roles.template_provider.blocks import (
    Coinbase,
    block_header,
    commitment_script,
    merkle_root,
    serialize_block,
    sha256d,
)
from sv2.roles.template_provider.template import Snapshot, snapshot_of
from sv2.testing.node.chaindata import parse_transaction
from sv2.testing.node.faucet import spend
from sv2.testing.node.miner import op_true_script

from sv2_ffi.template_distribution import NewTemplate, SetNewPrevHash, SubmitSolution

WITNESS = b"\x01\x20" + bytes(32)
_tags = itertools.count(1)


def made_transaction(
    number: int, fee: int, weight: int, sigops: int = 0, depends: tuple[int, ...] = ()
) -> TemplateTransaction:
    """A transaction of a made-up template: real bytes, made-up numbers."""
    tx = spend((sha256d(number.to_bytes(8, "little")), 0), [(1000, op_true_script())])
    return TemplateTransaction(tx.raw, tx.txid, tx.wtxid, fee, weight, sigops, depends)


def made_template(
    transactions: Sequence[TemplateTransaction] = (), *, height: int = 200, subsidy: int = 50_000
) -> BlockTemplate:
    """A template of these, as a node would give it."""
    return BlockTemplate(
        version=0x20000000,
        previous_hash=sha256d(height.to_bytes(4, "little")),
        height=height,
        bits=0x207FFFFF,
        current_time=1_800_000_000,
        minimum_time=1_799_999_000,
        coinbase_value=subsidy + sum(tx.fee for tx in transactions),
        witness_commitment=commitment_script([tx.wtxid for tx in transactions]),
        transactions=tuple(transactions),
        weight_limit=4_000_000,
        sigop_limit=80_000,
        rules=("csv", "!segwit", "taproot"),
        mutable=("time", "transactions", "prevblock"),
        capabilities=("proposal",),
        long_poll_id=None,
    )


def snapshot(template: BlockTemplate, number: int = 1) -> Snapshot:
    return snapshot_of(template, number, {})


def coinbase_for(template: NewTemplate, *, witness: bool = True, padding: int = 0) -> bytes:
    """A coinbase that pays all to anyone, different each time; ``padding`` bytes more of
    outputs."""
    script = template.coinbase_prefix + b"\x08" + next(_tags).to_bytes(8, "little")
    pay = op_true_script()
    own = template.coinbase_tx_value_remaining.to_bytes(8, "little") + bytes([len(pay)]) + pay
    while padding >= 10:
        # An output of 9 bytes and a script of data that nobody can spend.
        size = min(padding - 9, 252)
        own += bytes(8) + bytes([size]) + b"\x6a" * size
        padding -= 9 + size
    outputs = own + template.coinbase_tx_outputs
    count = 0
    rest = outputs
    while rest:
        rest = rest[9 + rest[8] :]
        count += 1
    body = (
        b"\x01" + bytes(32) + b"\xff" * 4 + bytes([len(script)]) + script
        + template.coinbase_tx_input_sequence.to_bytes(4, "little")
        + (bytes([count]) if count < 0xFD else b"\xfd" + count.to_bytes(2, "little"))
        + outputs
    )  # fmt: skip
    version = template.coinbase_tx_version.to_bytes(4, "little")
    lock_time = template.coinbase_tx_locktime.to_bytes(4, "little")
    if not witness:
        return version + body + lock_time
    return version + b"\x00\x01" + body + WITNESS + lock_time


def solve(
    template: NewTemplate,
    previous: SetNewPrevHash,
    coinbase: bytes | None = None,
    *,
    good: bool = True,
) -> SubmitSolution:
    """A solution on regtest's target; with ``good`` false one that misses it."""
    raw = coinbase_for(template) if coinbase is None else coinbase
    root = merkle_root(Coinbase.parse(raw).txid, template.merkle_path)
    target = int.from_bytes(previous.target, "little")
    time = previous.header_timestamp
    for nonce in range(1 << 20):
        header = block_header(
            template.version, previous.prev_hash, root, time, previous.n_bits, nonce
        )
        if (int.from_bytes(sha256d(header), "little") <= target) is good:
            return SubmitSolution(template.template_id, template.version, time, nonce, raw)
    raise AssertionError("no nonce")


def block_of(
    template: NewTemplate,
    previous: SetNewPrevHash,
    transactions: Sequence[bytes],
    solution: SubmitSolution,
) -> bytes:
    """The block that a solution stands for, by the client's account."""
    coinbase = solution.coinbase_tx
    txid = parse_transaction(coinbase).txid
    header = block_header(
        solution.version,
        previous.prev_hash,
        merkle_root(txid, template.merkle_path),
        solution.header_timestamp,
        previous.n_bits,
        solution.header_nonce,
    )
    return serialize_block(header, coinbase, transactions)
