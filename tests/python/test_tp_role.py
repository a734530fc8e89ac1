"""The template provider on the test node: what clients get, and what becomes of their blocks."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from regtest_helpers import recorded_node, run, running_node, until
from sv2.net import StreamClosed
from sv2.node import BlockTemplate
from sv2.roles.template_provider import SubmitSettings
from sv2.roles.template_provider.blocks import Coinbase, block_header, merkle_root, sha256d
from sv2.roles.template_provider.ledger import CURRENT_KEPT
from sv2.testing.node import Fault, FaultKind, RegtestNode, op_true_script
from sv2.testing.node.chaindata import parse_block
from sv2.testing.node.faucet import fill_mempool, spend
from tp_helpers import (
    block_of,
    coinbase_for,
    provider_on,
    running_provider,
    security_of,
    session,
    solve,
    template_client,
)

from sv2_ffi.template_distribution import (
    NewTemplate,
    RequestTransactionDataError,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
    SubmitSolution,
)


def tip_of(node: RegtestNode) -> bytes:
    return node.chain.tip.hash


@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])
def test_a_session_from_setup_to_an_accepted_block(tmp_path: Path, noise: bool) -> None:
    async def scenario() -> None:
        async with session(tmp_path, zmq=True, noise=noise) as (node, app, client):
            if app.authority is not None:
                assert str(app.authority.public_key) in app.url
            template, previous = await client.pair()
            assert previous.prev_hash == tip_of(node)
            answer = await client.data(template.template_id)
            assert isinstance(answer, RequestTransactionDataSuccess)
            assert len(answer.transaction_list) == 18
            # Fees rise.
            await fill_mempool_once(node)
            update = await client.next()
            assert isinstance(update, NewTemplate)
            assert not update.future_template
            assert update.coinbase_tx_value_remaining > template.coinbase_tx_value_remaining
            # A new tip, and a block of ours on it.
            await node.generate(1, op_true_script())
            template = await client.work_on(tip_of(node))
            data = await client.data(template.template_id)
            assert isinstance(data, RequestTransactionDataSuccess)
            solution = await client.submit(template)
            assert client.previous is not None
            block = block_of(template, client.previous, data.transaction_list, solution)
            await until(lambda: tip_of(node) == parse_block(block).hash)
            await client.work_on(tip_of(node))
            await until(lambda: app.submitter.fates["accepted"] == 1)
            assert app.provider.stats.solutions == {"accepted": 1}

    run(scenario())


async def fill_mempool_once(node: RegtestNode) -> None:
    """One more transaction that pays well, without a block."""
    script = op_true_script()
    outpoint, coin = next(
        (outpoint, coin)
        for outpoint, coin in node.chain.coins.by_script(script)
        if node.chain.height + 1 - coin.height >= 100 and node.pool.is_free(outpoint)
    )
    node.pool.accept(spend(outpoint, [(coin.value - 50_000, script)]))


def test_small_rises_of_fees_are_not_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path, zmq=True, fee_threshold=50_001) as (node, app, client):
            await client.pair()
            await fill_mempool_once(node)
            fetched = app.provider.source.stats.fetched
            await until(lambda: app.provider.source.stats.fetched >= fetched + 3)
            assert app.provider.stats.templates == {"future": 1}
            await fill_mempool_once(node)
            update = await client.next()
            assert isinstance(update, NewTemplate)
            assert not update.future_template

    run(scenario())


def test_a_threshold_of_nothing_still_needs_a_rise(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path, zmq=True, fee_threshold=0) as (_, app, client):
            await client.pair()
            fetched = app.provider.source.stats.fetched
            await until(lambda: app.provider.source.stats.fetched >= fetched + 3)
            assert app.provider.stats.templates == {"future": 1}

    run(scenario())


def test_other_bits_on_the_same_tip_are_told_as_new_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            first, _ = await client.pair()
            ask = app.node.block_template

            async def easier(**options: Any) -> BlockTemplate:
                return dataclasses.replace(await ask(**options), bits=0x1F7FFFFF)

            monkeypatch.setattr(app.node, "block_template", easier)
            _, previous = await client.pair()
            assert previous.prev_hash == tip_of(node)
            assert previous.n_bits == 0x1F7FFFFF
            assert int.from_bytes(previous.target, "little") == 0x7FFFFF << 8 * 28
            stale = await client.data(first.template_id)
            assert stale == RequestTransactionDataError(first.template_id, "stale-template-id")

    run(scenario())


def test_a_solution_that_rolls_what_it_may_not_is_submitted_with_a_remark(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (_, app, client):
            template, previous = await client.pair()
            template.version ^= 1
            await client.stream.send(solve(template, previous))
            await until(lambda: app.submitter.fates["accepted"] == 1)
            assert [r.remarks for r in caplog.records if hasattr(r, "remarks")] == ["version-bits"]

    with caplog.at_level("WARNING"):
        run(scenario())


def test_more_blocks_than_may_wait_are_not_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            template, previous = await client.pair()
            app.submitter._settings = SubmitSettings(max_pending=3)
            node.faults.add(Fault(FaultKind.HTTP, method="submitblock", status=503))
            for _ in range(5):
                await client.submit(template)
            await until(lambda: app.provider.stats.solutions.total() == 5)
            assert app.provider.stats.solutions == {"accepted": 3, "too-many-pending": 2}
            node.faults.clear()
            await until(lambda: app.submitter.fates.total() == 3)
            assert previous.prev_hash != tip_of(node)

    run(scenario())


def test_new_constraints_give_a_fresh_pair(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            first, _ = await client.pair()
            await client.constrain(999_608)
            second, previous = await client.pair()
            assert previous.prev_hash == tip_of(node)
            assert second.merkle_path == []
            assert second.coinbase_tx_value_remaining < first.coinbase_tx_value_remaining
            # What was given before is still good.
            assert isinstance(await client.data(first.template_id), RequestTransactionDataSuccess)
            answer = await client.data(second.template_id)
            assert isinstance(answer, RequestTransactionDataSuccess)
            assert answer.transaction_list == []
            await client.submit(second)
            await until(lambda: app.submitter.fates["accepted"] == 1)

    run(scenario())


def test_transaction_data_of_current_superseded_stale_and_unknown_templates(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with (
            session(tmp_path, zmq=True) as (node, app, client),
            template_client(app.service.port) as other,
        ):
            first, _ = await client.pair()
            theirs, _ = await other.pair()
            await fill_mempool_once(node)
            second = await client.next()
            assert isinstance(second, NewTemplate)
            superseded = await client.data(first.template_id)
            current = await client.data(second.template_id)
            assert isinstance(superseded, RequestTransactionDataSuccess)
            assert isinstance(current, RequestTransactionDataSuccess)
            assert len(current.transaction_list) == len(superseded.transaction_list) + 1
            await node.generate(1, op_true_script())
            await client.work_on(tip_of(node))
            for template_id, code in [
                (first.template_id, "stale-template-id"),
                (second.template_id, "stale-template-id"),
                (theirs.template_id, "template-id-not-found"),
                (0, "template-id-not-found"),
                (client.ids[-1] + 1000, "template-id-not-found"),
            ]:
                answer = await client.data(template_id)
                assert answer == RequestTransactionDataError(template_id, code)

    run(scenario())


def test_solutions_that_no_node_would_take_are_not_submitted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            session(tmp_path) as (node, app, client),
            template_client(app.service.port) as other,
        ):
            template, previous = await client.pair()
            theirs, their_previous = await other.pair()
            bad = solve(template, previous, good=False)
            changed = solve(template, previous)
            while True:
                changed.coinbase_tx = coinbase_for(template)
                if not meets(template, previous, changed):
                    break
            unknown = solve(template, previous)
            unknown.template_id = 12345
            foreign = solve(theirs, their_previous)
            cut = solve(template, previous)
            cut.coinbase_tx = cut.coinbase_tx[:93]
            for solution in (bad, changed, unknown, foreign, cut):
                await client.stream.send(solution)
            stats = app.provider.stats
            await until(lambda: stats.solutions.total() == 5)
            assert stats.solutions == {
                "high-hash": 2,
                "template-id-not-found": 2,
                "coinbase-malformed": 1,
            }
            assert app.submitter.pending == 0
            assert node.chain.height == 135

    run(scenario())


def meets(template: NewTemplate, previous: SetNewPrevHash, solution: SubmitSolution) -> bool:
    root = merkle_root(Coinbase.parse(solution.coinbase_tx).txid, template.merkle_path)
    header = block_header(
        solution.version,
        previous.prev_hash,
        root,
        solution.header_timestamp,
        previous.n_bits,
        solution.header_nonce,
    )
    return int.from_bytes(sha256d(header), "little") <= 0x7FFFFF << 232


def test_a_block_that_the_node_refuses_is_counted_and_kept_on_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            template, _ = await client.pair()
            template.coinbase_tx_value_remaining += 1
            await client.submit(template)
            await until(lambda: app.submitter.fates["rejected"] == 1)
            await until(lambda: len(list(app.journal.folder.glob("*.rejected"))) == 1)
            # A coinbase without its witness is mended: its hash is the same.
            template.coinbase_tx_value_remaining -= 1
            await client.submit(template, coinbase_for(template, witness=False))
            await until(lambda: app.submitter.fates["accepted"] == 1)
            assert node.chain.height == 136

    run(scenario())


def test_the_same_solution_twice_is_one_block(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (_, app, client):
            template, previous = await client.pair()
            solution = solve(template, previous)
            for _ in range(3):
                await client.stream.send(solution)
            await until(lambda: app.provider.stats.solutions.total() == 3)
            assert app.provider.stats.solutions == {"accepted": 1, "repeated": 2}
            await until(lambda: app.submitter.fates.total() == 1)
            assert app.submitter.fates == {"accepted": 1}

    run(scenario())


def test_a_client_that_comes_back_can_hand_in_its_block(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path) as (node, app):
            async with template_client(app.service.port) as client:
                template, previous = await client.pair()
            await until(lambda: not app.service.clients)
            async with template_client(app.service.port) as client:
                await client.pair()
                await client.stream.send(solve(template, previous))
                await until(lambda: app.submitter.fates["accepted"] == 1)
            assert node.chain.height == 136

    run(scenario())


def test_a_client_that_says_nothing_after_setup_is_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            session(tmp_path, first_message_timeout=0.2) as (_, app, speaker),
            template_client(app.service.port, constraints=None) as silent,
        ):
            await speaker.pair()
            with pytest.raises(StreamClosed):
                await silent.stream.receive(5)
            assert isinstance(await speaker.data(speaker.ids[0]), RequestTransactionDataSuccess)

    run(scenario())


def test_memory_of_templates_is_bounded_on_one_tip(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (_, app, client):
            first, _ = await client.pair()
            for size in range(2 * CURRENT_KEPT):
                await client.constrain(size)
                await client.pair()
            (state,) = app.provider._clients.values()
            assert len(state.ledger) <= CURRENT_KEPT + 8
            assert await client.data(first.template_id) == RequestTransactionDataError(
                first.template_id, "stale-template-id"
            )
            # They differ in nothing, so they are one.
            assert app.provider.templates_kept == 1

    run(scenario())


def test_a_knots_node_chooses_the_transactions_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path, knots=True) as node:
            await node.generate(120, op_true_script())
            await fill_mempool(node, 300)
            await node.generate(0, op_true_script())
            async with (
                provider_on(node, tmp_path) as app,
                template_client(app.service.port, constraints=(980_000, 0)) as client,
            ):
                template, _ = await client.pair()
                source = app.provider.source
                await until(lambda: bool(source.reserved))
                (key,) = source.reserved
                assert key == (1168 + 4 * 980_000, 0)
                assert source.feed is not None
                special = source.reserved[key]
                assert len(special.snapshot.data) < len(source.feed.snapshot.data)
                await client.submit(template)
                await until(lambda: app.submitter.fates["accepted"] == 1)

    run(scenario())


def test_certificates_are_renewed_while_it_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        # 36 seconds at least; one of 2 is renewed every second.
        async with running_provider(tmp_path, noise=True, certificate_hours=0.01) as (_, app):
            assert app.authority is not None
            identity = app.service.config.security
            shown = identity.certificate()  # type: ignore[union-attr]
            identity._now = lambda: shown.valid_from + 3600 + 19  # type: ignore[union-attr]
            async with template_client(app.service.port, security=security_of(app)) as client:
                await client.pair()
                seen = client.stream.certificate
                assert seen is not None
                assert seen.not_valid_after == shown.not_valid_after + 19

    run(scenario())


def test_the_port_opens_when_the_node_has_given_a_template(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            node.faults.add(Fault(FaultKind.ERROR, method="getblocktemplate", code=-10, count=2))
            node.faults.add(Fault(FaultKind.ERROR, method="getblockchaininfo", code=-28, count=1))
            async with (
                provider_on(node, tmp_path) as app,
                template_client(app.service.port) as client,
            ):
                await asyncio.wait_for(client.pair(), 5)
                assert app.provider.source.stats.errors["NodeInInitialDownload"] == 2

    run(scenario())
