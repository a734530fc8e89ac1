"""From a node's template to NewTemplate: the mapping, and room for the client's outputs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regtest_helpers import DATA, recorded_node, recorded_template, run
from sv2.node import BlockTemplate, TemplateTransaction
from sv2.roles.template_provider.blocks import (
    Coinbase,
    CoinbaseFault,
    commitment_script,
    height_prefix,
    merkle_path,
)
from sv2.roles.template_provider.blocks import merkle_root as fold
from sv2.roles.template_provider.selection import NoRoom, budget_for, select
from sv2.roles.template_provider.template import (
    Constraints,
    UnusableTemplate,
    build_template,
    check_usable,
)
from sv2.testing.node.chaindata import merkle_root, parse_block, witness_commitment
from tp_helpers import block_of, coinbase_for, made_template, made_transaction, snapshot, solve

import sv2_ffi
from sv2_ffi.template_distribution import (
    NewTemplate,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
    SubmitSolution,
)

SMALL = Constraints(200, 4)


def recorded_messages() -> dict[type[object], object]:
    lines = (DATA / "template-session.jsonl").read_text("ascii").splitlines()
    frames = [sv2_ffi.decode(bytes.fromhex(json.loads(line)["frame"])) for line in lines]
    return {type(message): message for message in frames}


def parsed() -> BlockTemplate:
    return BlockTemplate.parse(recorded_template())


def test_the_recorded_template_gives_the_recorded_messages() -> None:
    recorded = recorded_messages()
    node = parsed()
    built = build_template(node, snapshot(node), SMALL)
    assert built.new_template(2, future=True) == recorded[NewTemplate]
    told = recorded[SetNewPrevHash]
    assert isinstance(told, SetNewPrevHash)
    assert built.set_new_prev_hash(2, told.header_timestamp) == told
    assert built.transaction_data(2) == recorded[RequestTransactionDataSuccess]


def test_the_recorded_solution_and_our_transactions_make_the_recorded_block() -> None:
    recorded = recorded_messages()
    node = parsed()
    built = build_template(node, snapshot(node), SMALL)
    solution = recorded[SubmitSolution]
    told = recorded[SetNewPrevHash]
    assert isinstance(solution, SubmitSolution)
    assert isinstance(told, SetNewPrevHash)
    template = built.new_template(2, future=True)
    expected = bytes.fromhex((DATA / "solved-block.hex").read_text("ascii").strip())
    assert block_of(template, told, built.transactions, solution) == expected


@pytest.mark.parametrize(
    ("height", "prefix"),
    [
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (135, "028700"),
        (32767, "02ff7f"),
        (32768, "03008000"),
        (8388608, "0400008000"),
        (0x7FFFFFFF, "04ffffff7f"),
    ],
)
def test_heights_are_pushed_as_bip34_asks(height: int, prefix: str) -> None:
    assert height_prefix(height).hex() == prefix
    assert len(height_prefix(height)) <= 8


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 100])
def test_the_path_leads_to_the_root_of_the_whole_tree(count: int) -> None:
    txids = [bytes([number + 1]) * 32 for number in range(count)]
    assert fold(bytes(32), merkle_path(txids)) == merkle_root([bytes(32), *txids])
    assert commitment_script(txids) == witness_commitment(txids)


def test_versions_with_the_top_bit_and_missing_commitments_are_mapped() -> None:
    node = dataclasses.replace(made_template(), version=-1, witness_commitment=None)
    message = build_template(node, snapshot(node), SMALL).new_template(9, future=False)
    assert message.version == 0xFFFFFFFF
    assert (message.coinbase_tx_outputs_count, message.coinbase_tx_outputs) == (0, b"")
    assert not message.future_template
    assert build_template(node, snapshot(node), SMALL).transaction_data(9).excess_data == b""


def test_a_commitment_given_as_its_bare_hash_is_put_in_its_script() -> None:
    node = made_template([made_transaction(1, 500, 400)])
    assert node.witness_commitment is not None
    bare = dataclasses.replace(node, witness_commitment=node.witness_commitment[6:])
    check_usable(bare)
    built = build_template(bare, snapshot(bare), SMALL)
    assert built.outputs == build_template(node, snapshot(node), SMALL).outputs


@pytest.mark.parametrize(
    "change",
    [
        {"rules": ("!segwit", "!unheard-of")},
        {"witness_commitment": b"\x6a"},
        {"witness_commitment": bytes(38)},
        {"bits": 0x01FEDCBA},
        {"coinbase_value": 0},
    ],
    ids=str,
)
def test_templates_that_would_make_invalid_blocks_are_refused(change: dict[str, object]) -> None:
    node = made_template([made_transaction(1, 500, 400)])
    check_usable(node)
    with pytest.raises(UnusableTemplate):
        check_usable(dataclasses.replace(node, **change))  # type: ignore[arg-type]


# Room


def budget(size: int, sigops: int = 0) -> tuple[int, int]:
    room = budget_for(size, sigops, weight_limit=4_000_000, sigop_limit=80_000, segwit=True)
    return room.reserved_weight, room.reserved_sigops


def test_the_reserve_is_that_of_the_specification() -> None:
    assert budget(0) == (2_000, 0)
    assert budget(208) == (2_000, 0)
    assert budget(209, 3) == (2_004, 12)
    assert budget(1_000) == (5_168, 0)
    assert budget(999_608) == (3_999_600, 0)
    assert budget(999_708, 0xFFFF) == (4_000_000, 80_000)
    legacy = budget_for(1_000, 0, weight_limit=4_000_000, sigop_limit=80_000, segwit=False)
    assert legacy.reserved_weight == 4_944


@pytest.mark.parametrize("size", [999_709, 1_000_000, 0xFFFFFFFF])
def test_more_room_than_a_block_has_is_refused(size: int) -> None:
    with pytest.raises(NoRoom, match="999708 is the most"):
        budget(size)


def kept_of(
    transactions: list[TemplateTransaction], size: int, sigops: int = 0
) -> list[int] | None:
    node = made_template(transactions)
    room = budget_for(size, sigops, weight_limit=4_000_000, sigop_limit=80_000, segwit=True)
    kept = select(node, room)
    return None if kept is None else list(kept)


def test_all_stay_where_all_fit() -> None:
    assert kept_of([made_transaction(n, 100, 1_000) for n in range(20)], 1_000) is None


def test_the_worst_paid_goes_first() -> None:
    txs = [made_transaction(n, 1_000 * (n + 1), 1_000_000) for n in range(4)]
    assert kept_of(txs, 1_000) == [1, 2, 3]
    assert kept_of(txs, 260_000) == [2, 3]
    assert kept_of(txs, 999_000) == []


def test_what_others_spend_from_stays_as_long_as_they_do() -> None:
    parent = made_transaction(1, 1, 1_000_000)
    other = made_transaction(2, 5_000, 2_000_000)
    child = made_transaction(3, 90_000, 1_000_000, depends=(0,))
    assert kept_of([parent, other, child], 1_000) == [0, 2]


def test_room_won_by_a_large_one_is_filled_again() -> None:
    cheap = made_transaction(1, 1_000, 5_000)
    large = made_transaction(2, 400_000, 1_999_000)
    best = made_transaction(3, 900_000, 1_992_000)
    # The cheap one goes first and does not help; the large one does, and the cheap one fits again.
    assert kept_of([cheap, large, best], 100_000) == [0, 2]


def test_too_many_sigops_cost_those_that_pay_least_for_them() -> None:
    txs = [
        made_transaction(1, 9_000, 1_000, sigops=40_000),
        made_transaction(2, 100, 1_000, sigops=0),
        made_transaction(3, 8_000, 1_000, sigops=39_000),
        made_transaction(4, 50, 1_000, depends=(2,)),
    ]
    assert kept_of(txs, 0, 250) is None
    assert kept_of(txs, 0, 251) == [0, 1]
    assert kept_of(txs, 0, 0xFFFF) == [1]


@st.composite
def pools(draw: st.DrawFn) -> list[TemplateTransaction]:
    made: list[TemplateTransaction] = []
    for number in range(draw(st.integers(0, 25))):
        depends = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        made.append(
            TemplateTransaction(
                data=b"x" * 60,
                txid=bytes([number]) * 32,
                wtxid=bytes([number, 1]) * 16,
                fee=draw(st.integers(0, 10_000)),
                weight=draw(st.integers(240, 400_000)),
                sigops=draw(st.integers(0, 9_000)),
                depends=tuple(sorted(depends)),
            )
        )
    return made


@settings(max_examples=200, deadline=None)
@given(pools(), st.integers(0, 999_708), st.integers(0, 0xFFFF))
def test_what_is_kept_fits_and_is_complete(
    transactions: list[TemplateTransaction], size: int, sigops: int
) -> None:
    node = made_template(transactions)
    built = build_template(node, snapshot(node), Constraints(size, sigops))
    kept = [tx for tx, keep in zip(transactions, built.kept or [1] * 99, strict=False) if keep]
    room = budget_for(size, sigops, weight_limit=4_000_000, sigop_limit=80_000, segwit=True)
    assert sum(tx.weight for tx in kept) <= room.weight
    assert sum(tx.sigops for tx in kept) <= room.sigops
    for tx in kept:
        assert all(transactions[parent] in kept for parent in tx.depends)
    assert built.value == 50_000 + sum(tx.fee for tx in kept)
    assert list(built.path) == merkle_path([tx.txid for tx in kept])
    assert built.outputs[0].endswith(witness_commitment([tx.wtxid for tx in kept]))


@pytest.mark.parametrize("left_out", [0, 900, 2_000, 3_000])
def test_a_block_of_what_was_kept_is_valid_with_all_the_room_used(
    tmp_path: Path, left_out: int
) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            answer = node.template().answer(node.chain, node.started_at)
            # A block so small that some of these transactions have no place.
            limit = sum(tx["weight"] for tx in answer["transactions"]) - left_out + 5_168
            whole = BlockTemplate.parse({**answer, "weightlimit": limit})
            built = build_template(whole, snapshot(whole), Constraints(1_000, 0))
            assert (len(built.transactions) < len(whole.transactions)) is (left_out > 0)
            template = built.new_template(1, future=True)
            told = built.set_new_prev_hash(1, whole.current_time)
            coinbase = coinbase_for(template, padding=1_000 - 43)
            solution = solve(template, told, coinbase)
            block = block_of(template, told, built.transactions, solution)
            assert parse_block(block).weight <= limit
            assert node.chain.submit(block) is None
            assert node.chain.height == whole.height

    run(scenario())


# Coinbases


def test_a_coinbase_is_read_and_given_its_witness() -> None:
    node = made_template()
    template = build_template(node, snapshot(node), SMALL).new_template(1, future=True)
    raw = coinbase_for(template)
    coinbase = Coinbase.parse(raw)
    assert coinbase.has_witness
    assert coinbase.script.startswith(template.coinbase_prefix)
    assert coinbase.outputs.endswith(template.coinbase_tx_outputs)
    assert (coinbase.version, coinbase.locktime) == (2, node.height - 1)
    assert coinbase.sequence == template.coinbase_tx_input_sequence
    bare = Coinbase.parse(coinbase_for(template, witness=False))
    assert not bare.has_witness
    clothed = bare.with_witness()
    assert clothed.has_witness
    assert clothed.txid == bare.txid
    assert Coinbase.parse(clothed.raw) == clothed


def test_bytes_that_are_no_coinbase_are_refused() -> None:
    node = made_template()
    template = build_template(node, snapshot(node), SMALL).new_template(1, future=True)
    raw = coinbase_for(template)
    not_coinbase = made_transaction(1, 1, 1).data
    for bad in [b"", raw[:-1], raw + b"\0", b"\xff" * 200, not_coinbase, bytes(100)]:
        with pytest.raises(CoinbaseFault):
            Coinbase.parse(bad)
    for size in range(len(raw)):
        with pytest.raises(CoinbaseFault):
            Coinbase.parse(raw[:size])
