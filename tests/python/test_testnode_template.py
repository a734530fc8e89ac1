"""The test node's templates: those of a real Bitcoin Core for the same chain and mempool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from regtest_helpers import (
    client_of,
    recorded_node,
    recorded_template,
    run,
    running_node,
    solved_block,
)
from sv2.node import RpcError, SubmitOutcome, SubmitResult
from sv2.testing.node import RegtestNode, op_true_script
from sv2.testing.node.chaindata import Block, parse_block
from sv2.testing.node.faucet import spend
from sv2.testing.node.mempool import Mempool
from sv2.testing.node.template import Reserve, build_template

REQUEST = {"rules": ["segwit"]}


def test_answers_the_recorded_template_for_the_recorded_chain_and_transactions(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            answer = await client.rpc.call("getblocktemplate", REQUEST)
        recorded = recorded_template()
        # The time is the only thing that a later replay changes.
        assert answer.pop("curtime") >= recorded.pop("curtime")
        assert answer == recorded

    run(scenario())


def test_accepts_the_block_that_bitcoin_core_accepted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            block = solved_block()
            assert await client.submit_block(block) == SubmitResult(SubmitOutcome.ACCEPTED)
            assert (await client.submit_block(block)).outcome is SubmitOutcome.DUPLICATE
            assert await client.best_block_hash() == parse_block(block).hash
            assert await client.block(parse_block(block).hash) == block
            assert await client.raw_mempool() == ()

    run(scenario())


def test_a_coinbase_without_the_witness_it_commits_to_is_mended(tmp_path: Path) -> None:
    """Bitcoin Core accepts the solved block in this form too."""

    async def scenario() -> None:
        block = parse_block(solved_block())
        stripped = block.transactions[0].stripped
        at = 81 + len(block.transactions[0].raw)
        assert block.raw[81:at] == block.transactions[0].raw
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            bare = block.raw[:81] + stripped + block.raw[at:]
            assert await client.submit_block(bare) == SubmitResult(SubmitOutcome.ACCEPTED)
            assert await client.block(block.hash) == block.raw

    run(scenario())


def flip(block: bytes, position: int) -> bytes:
    changed = bytearray(block)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "submitted", "proposed"),
    [
        (lambda b: flip(b, -1), "bad-txnmrklroot", "bad-txnmrklroot"),
        (lambda b: flip(b, 4), "high-hash", "inconclusive-not-best-prevblk"),
        (lambda b: flip(b, 72), "high-hash", "bad-diffbits"),
        (lambda b: b[:68] + bytes(4) + b[72:], None, "time-too-old"),
        (lambda b: b"\x01\0\0\0" + b[4:], None, "bad-version(0x00000001)"),
        (lambda b: b[:76] + bytes(4) + b[80:], "high-hash", None),
    ],
    ids=["transaction", "previous", "bits", "time", "version", "nonce"],
)
def test_names_what_is_wrong_with_a_block_as_bitcoin_core_does(
    tmp_path: Path, change: Any, submitted: str | None, proposed: str | None
) -> None:
    """Expected reasons are the answers of Bitcoin Core 31.99 to the same blocks."""

    async def scenario() -> None:
        block = change(solved_block())
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            tip = await client.best_block_hash()
            assert (await client.propose_block(block)).reason == (proposed or "")
            if submitted is not None:
                assert (await client.submit_block(block)).reason == submitted
            assert await client.best_block_hash() == tip

    run(scenario())


def test_proposals_leave_the_chain_alone_and_can_be_repeated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node, client_of(node) as client:
            for _ in range(3):
                assert (await client.propose_block(solved_block())).reason == ""
                bad = await client.propose_block(flip(solved_block(), -1))
                assert bad.outcome is SubmitOutcome.REJECTED
            assert node.chain.height == 135
            await client.submit_block(solved_block())
            assert (await client.propose_block(solved_block())).reason == "duplicate"

    run(scenario())


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, -8),
        ({"rules": ["csv"]}, -8),
        ({"mode": "other"}, -8),
        ({"mode": "proposal"}, -3),
        ({"mode": "proposal", "data": "00"}, -22),
        ("segwit", -3),
    ],
)
def test_refuses_template_requests_as_bitcoin_core_does(
    tmp_path: Path, request_: object, code: int
) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            with pytest.raises(RpcError) as caught:
                await client.rpc.call("getblocktemplate", request_)
            assert caught.value.code == code

    run(scenario())


def test_longpoll_ends_when_the_tip_changes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node, client_of(node) as client:
            first = await client.block_template()
            polling = asyncio.create_task(client.block_template(long_poll_id=first.long_poll_id))
            await asyncio.wait({polling}, timeout=0.2)
            assert not polling.done()
            await node.generate(1, op_true_script())
            second = await polling
            assert second.height == first.height + 1
            assert second.previous_hash == node.chain.tip.hash

    run(scenario())


def test_longpoll_ends_for_new_transactions_when_it_looks_at_the_mempool(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = {"longpoll_first": 0.2, "longpoll_again": 0.1, "template_interval": 0.0}
        async with running_node(tmp_path, **options) as node, client_of(node) as client:
            (block_hash, *_) = await node.generate(101, op_true_script())
            first = await client.block_template()
            polling = asyncio.create_task(client.block_template(long_poll_id=first.long_poll_id))
            await asyncio.wait({polling}, timeout=0.5)
            assert not polling.done()
            coinbase = node.chain.entry(block_hash).block.transactions[0]
            node.pool.accept(spend((coinbase.txid, 0), [(1_000_000, op_true_script())]))
            second = await polling
            assert second.height == first.height
            assert len(second.transactions) == 1

    run(scenario())


def test_template_is_kept_for_the_interval_and_a_new_tip_replaces_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path, template_interval=3600.0) as node:
            (block_hash, *_) = await node.generate(101, op_true_script())
            before = node.template()
            coinbase = node.chain.entry(block_hash).block.transactions[0]
            node.pool.accept(spend((coinbase.txid, 0), [(1_000_000, op_true_script())]))
            assert node.template() is before
            await node.generate(1, op_true_script())
            assert node.template().parent.hash == node.chain.tip.hash

    run(scenario())


async def coins(node: RegtestNode, count: int) -> list[tuple[tuple[bytes, int], int]]:
    """Mature coins that anyone can spend, with their values."""
    hashes = await node.generate(100 + count, op_true_script())
    blocks: list[Block] = [node.chain.entry(block_hash).block for block_hash in hashes[:count]]
    return [((b.transactions[0].txid, 0), b.transactions[0].outputs[0][0]) for b in blocks]


def chosen(node: RegtestNode, reserve: Reserve | None = None) -> list[bytes]:
    pool: Mempool = node.pool
    template = build_template(node.chain, pool, 0.0, reserve or Reserve())
    return [entry.tx.txid for entry in template.entries]


def test_a_child_that_pays_for_its_parent_brings_it_forward(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            script = op_true_script()
            (poor_coin, value), (rich_coin, _) = await coins(node, 2)
            poor = spend(poor_coin, [(value - 100, script)])
            middling = spend(rich_coin, [(value - 5_000, script)])
            child = spend((poor.txid, 0), [(value - 100 - 50_000, script)])
            for tx in (poor, middling, child):
                node.pool.accept(tx)
            assert chosen(node) == [poor.txid, child.txid, middling.txid]
            answer = node.template().answer(node.chain, 0.0)
            assert [item["depends"] for item in answer["transactions"]] == [[], [1], []]

    run(scenario())


def test_a_child_does_not_profit_from_a_parent_that_is_chosen_already(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            script = op_true_script()
            (rich_coin, value), (other_coin, _) = await coins(node, 2)
            rich = spend(rich_coin, [(value - 50_000, script)])
            child = spend((rich.txid, 0), [(value - 51_000, script)])
            middling = spend(other_coin, [(value - 10_000, script)])
            for tx in (rich, child, middling):
                node.pool.accept(tx)
            assert chosen(node) == [rich.txid, middling.txid, child.txid]

    run(scenario())


def test_what_does_not_fit_is_left_out_with_all_that_spends_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            script = op_true_script()
            (first, value), (second, _) = await coins(node, 2)
            large = spend(first, [(value // 200, script)] * 100)
            child = spend((large.txid, 0), [(value // 200 - 500_000, script)])
            small = spend(second, [(value - 1_000, script)])
            for tx in (large, child, small):
                node.pool.accept(tx)
            everything = sum(tx.weight for tx in (large, child, small))
            assert set(chosen(node)) == {large.txid, child.txid, small.txid}
            tight = Reserve(weight=4_000_000 - everything + 1, sigops=0)
            assert set(chosen(node, tight)) == {large.txid, child.txid}
            tighter = Reserve(weight=4_000_000 - large.weight + 1, sigops=0)
            assert chosen(node, tighter) == [small.txid]
            assert chosen(node, Reserve(weight=4_000_000)) == []

    run(scenario())


@pytest.mark.parametrize("knots", [True, False])
def test_only_knots_heeds_a_reservation_in_the_request(tmp_path: Path, knots: bool) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path, knots=knots) as node, client_of(node) as client:
            ((coin, value),) = await coins(node, 1)
            node.pool.accept(spend(coin, [(value - 1_000, op_true_script())]))
            reserve = {"blockreservedweight": 4_000_000, "blockreservedsigops": 0}
            template = await client.block_template(reserve=reserve)
            assert len(template.transactions) == (0 if knots else 1)
            assert (await client.network_info()).is_knots is knots

    run(scenario())
