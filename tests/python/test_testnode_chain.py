"""The test node's chain: what survives a stop or a kill, invalidated blocks, reorganizations."""

from __future__ import annotations

from pathlib import Path

import pytest
from regtest_helpers import recorded_blocks, recorded_node, run, running_node, solved_block
from sv2.testing.node import DataDirInUse, NodeConfig, RegtestNode, make_block, op_true_script
from sv2.testing.node.chain import Chain
from sv2.testing.node.chaindata import Malformed, parse_block
from sv2.testing.node.journal import Journal


def replayed(folder: Path) -> Chain:
    chain = Chain(folder)
    for block in recorded_blocks():
        assert chain.submit(block) is None
    return chain


def test_blocks_survive_without_a_clean_stop(tmp_path: Path) -> None:
    chain = replayed(tmp_path)
    assert chain.submit(solved_block()) is None
    # No close: what a killed process leaves is what is on disk now.
    survivor = tmp_path / "copy"
    survivor.mkdir()
    (survivor / "blocks.dat").write_bytes((tmp_path / "blocks.dat").read_bytes())
    again = Chain(survivor)
    assert again.tip.hash == parse_block(solved_block()).hash
    assert again.height == 136
    again.close()
    chain.close()


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 200])
def test_a_record_cut_short_is_dropped_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    replayed(tmp_path).close()
    path = tmp_path / "blocks.dat"
    whole = path.read_bytes()
    last = 8 + len(recorded_blocks()[-1])
    path.write_bytes(whole[: len(whole) - last + cut])
    chain = Chain(tmp_path)
    assert chain.height == 134
    assert chain.submit(recorded_blocks()[-1]) is None
    chain.close()
    assert path.read_bytes() == whole


def test_the_journal_reads_back_what_was_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for block in recorded_blocks()[:3]:
        journal.append(block)
    assert list(journal.blocks()) == recorded_blocks()[:3]
    journal.close()


def test_one_node_at_a_time_has_the_data_directory(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    with pytest.raises(DataDirInUse):
        Chain(tmp_path)
    chain.close()
    Chain(tmp_path).close()


def test_engine_files_of_a_killed_node_are_removed(tmp_path: Path) -> None:
    stale = tmp_path / "engine-stale" / "blocks"
    stale.mkdir(parents=True)
    (stale / "blk00000.dat").write_bytes(b"x")
    Chain(tmp_path).close()
    assert not list(tmp_path.glob("engine-*"))


@pytest.mark.parametrize("data", [b"", bytes(80), bytes(79), solved_block()[:200]])
def test_bytes_that_are_no_block_are_malformed(tmp_path: Path, data: bytes) -> None:
    chain = Chain(tmp_path)
    with pytest.raises(Malformed):
        chain.submit(data)
    with pytest.raises(Malformed):
        chain.propose(data)
    chain.close()


def test_an_unknown_parent_is_named(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    assert chain.submit(recorded_blocks()[1]) == "prev-blk-not-found"
    chain.close()


def test_invalidating_takes_a_block_and_its_descendants_off_until_reconsidered(
    tmp_path: Path,
) -> None:
    chain = replayed(tmp_path)
    tip, victim = chain.tip.hash, chain.active[130]
    coins = dict(chain.coins._coins)
    chain.invalidate(victim)
    assert chain.height == 129
    assert chain.submit(recorded_blocks()[129]) == "duplicate-invalid"
    assert chain.submit(recorded_blocks()[130]) == "bad-prevblk"
    chain.reconsider(tip)
    assert chain.tip.hash == tip
    assert chain.coins._coins == coins
    chain.close()


def test_an_invalidated_block_stays_so_after_a_restart(tmp_path: Path) -> None:
    chain = replayed(tmp_path)
    victim = chain.active[130]
    chain.invalidate(victim)
    chain.close()
    again = Chain(tmp_path)
    assert again.height == 129
    again.reconsider(victim)
    assert again.height == 135
    again.close()


def test_a_block_that_fails_when_connected_is_refused_again_and_after_a_restart(
    tmp_path: Path,
) -> None:
    """The engine stores such a block before it finds the fault."""
    chain = replayed(tmp_path)
    greedy = _sibling(chain, value=50 * 10**8 + 1)
    assert chain.submit(greedy) == "bad-cb-amount"
    assert chain.submit(greedy) == "duplicate-invalid"
    assert chain.propose(greedy) == "duplicate-invalid"
    assert chain.height == 135
    chain.close()
    again = Chain(tmp_path)
    assert again.height == 135
    assert again.submit(greedy) == "duplicate-invalid"
    assert again.submit(_sibling(again)) is None
    again.close()


def test_genesis_cannot_be_invalidated(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    with pytest.raises(ValueError, match="genesis"):
        chain.invalidate(chain.active[0])
    chain.close()


def test_a_longer_branch_takes_over_and_its_transactions_return_to_the_mempool(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            waiting = {entry.tx.txid for entry in node.pool.entries()}
            await node.generate(1, op_true_script())
            assert len(node.pool) == 0
            old_tip, old_coins = node.chain.tip.hash, dict(node.chain.coins._coins)
            hashes = await node.reorganize(1, 2, op_true_script())
            assert node.chain.active[-2:] == hashes
            assert {entry.tx.txid for entry in node.pool.entries()} == waiting
            assert not node.chain.is_active(node.chain.entry(old_tip))
            node.chain.invalidate(hashes[0])
            assert node.chain.tip.hash == old_tip
            assert node.chain.coins._coins == old_coins

    run(scenario())


def test_a_branch_of_equal_length_does_not_take_over(tmp_path: Path) -> None:
    chain = replayed(tmp_path)
    tip = chain.tip.hash
    chain.invalidate(tip)
    assert chain.submit(_sibling(chain)) is None
    sibling = chain.tip.hash
    chain.reconsider(tip)
    assert chain.tip.hash == tip
    assert chain.entry(sibling).height == chain.height
    assert chain.propose(chain.entry(sibling).block.raw) == "duplicate"
    third = make_block(chain.tip.header.previous, 135, 1795234909, (), 50 * 10**8, b"\x51")
    assert chain.submit(third) == "inconclusive"
    assert chain.propose(third) == "duplicate-inconclusive"
    chain.close()


def _sibling(chain: Chain, value: int = 50 * 10**8) -> bytes:
    parent = chain.tip
    when = chain.minimum_time(parent)
    return make_block(parent.hash, parent.height + 1, when, (), value, op_true_script())


def test_the_mempool_survives_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            before = [entry.tx.txid for entry in node.pool.entries()]
        async with running_node(tmp_path) as node:
            assert [entry.tx.txid for entry in node.pool.entries()] == before

    run(scenario())


def test_a_port_that_is_taken_leaves_the_data_directory_free(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path / "one") as first:
            port = int(first.rpc_url.rpartition(":")[2])
            second = RegtestNode(NodeConfig(datadir=tmp_path / "two", rpc_port=port))
            with pytest.raises(OSError, match="address already in use"):
                await second.start()
            async with running_node(tmp_path / "two"):
                pass

    run(scenario())
