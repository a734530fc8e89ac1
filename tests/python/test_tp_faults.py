"""What the reference template provider does wrong, one test per fault and more around it.

1 only the first client hears of a new tip; 2 an unexpected answer to submitblock loses the block;
3 constraints that hang a client; 4 a node that restarts; 5 no limits; 6 memory without bounds and
ids of others (also in test_tp_role.py); 7 never tried with several clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from networking import deaf_socket
from programs import program, said
from regtest_helpers import recorded_node, run, until
from sv2.net import StreamClosed
from sv2.roles.template_provider import App
from sv2.roles.template_provider.journal import DataDirInUse, Journal
from sv2.roles.template_provider.ledger import CURRENT_KEPT, ORPHANS_KEPT
from sv2.roles.template_provider.solution import SolvedBlock
from sv2.services import Cause
from sv2.testing.node import Fault, FaultKind, RegtestNode, op_true_script
from sv2.testing.node.faucet import fill_mempool
from tp_helpers import (
    ZMQ,
    TemplateClient,
    block_of,
    provider_on,
    provider_options,
    running_provider,
    security_of,
    session,
    solve,
    template_client,
)

import sv2_ffi
from sv2_ffi.common import SetupConnection
from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    NewTemplate,
    RequestTransactionData,
    RequestTransactionDataSuccess,
)

SIZES = [0, 100, 1_000, 200_000, 999_608]


async def crowd(stack: AsyncExitStack, app: App, count: int) -> list[TemplateClient]:
    """Clients with different needs, all with their first pair."""
    clients = [
        await stack.enter_async_context(
            template_client(
                app.service.port,
                security=security_of(app),
                constraints=(SIZES[number % len(SIZES)], number),
            )
        )
        for number in range(count)
    ]
    await asyncio.gather(*(client.pair() for client in clients))
    return clients


# 1 and 7: all clients


@pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])
def test_fifty_clients_all_hear_of_every_new_tip(tmp_path: Path, noise: bool) -> None:
    async def scenario() -> None:
        async with (
            running_provider(tmp_path, zmq=True, noise=noise) as (node, app),
            AsyncExitStack() as stack,
        ):
            clients = await crowd(stack, app, 50)
            for _ in range(3):
                await node.generate(1, op_true_script())
                tip = node.chain.tip.hash
                templates = await asyncio.gather(*(client.work_on(tip) for client in clients))
                # `next` holds that none is told of a template on a tip it never heard of.
                assert len({template.template_id for template in templates}) == 50
            # One of them finds a block, and all go on with it.
            await clients[17].submit(templates[17])
            await until(lambda: app.submitter.fates["accepted"] == 1)
            tip = node.chain.tip.hash
            await asyncio.gather(*(client.work_on(tip) for client in clients))

    run(scenario())


# 2: a solved block is never lost


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.ERROR, method="submitblock", code=-32603, message="internal", count=2),
        Fault(FaultKind.ERROR, method="submitblock", code=-28, count=2),
        Fault(FaultKind.HTTP, method="submitblock", status=503, count=2),
        Fault(FaultKind.GARBAGE, method="submitblock", count=2),
        Fault(FaultKind.DROP, method="submitblock", count=2),
        Fault(FaultKind.LOSE, method="submitblock", count=2),
    ],
    ids=lambda fault: f"{fault.kind.value}{fault.code or fault.status or ''}",
)
def test_whatever_the_node_answers_the_block_gets_there(tmp_path: Path, fault: Fault) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            template, _ = await client.pair()
            node.faults.add(fault)
            await client.submit(template)
            await until(lambda: app.submitter.fates.total() == 1)
            assert node.chain.height == 136
            lost = fault.kind is FaultKind.LOSE
            assert app.submitter.fates == {"duplicate" if lost else "accepted": 1}
            assert app.submitter.retries == 2
            # The client is still there, and hears of its own block.
            await client.work_on(node.chain.tip.hash)

    run(scenario())


def test_a_solution_while_the_node_is_away_is_in_the_chain_when_it_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path, zmq=True) as (node, app, client):
            template, _ = await client.pair()
            node.restart(1.0, warmup=0.3)
            await until(lambda: not app.provider.source.stats.up)
            await client.submit(template)
            await until(lambda: app.submitter.pending == 1)
            assert len(list(app.journal.folder.glob("*.pending"))) == 1
            await until(lambda: app.submitter.fates["accepted"] == 1)
            assert node.chain.height == 136
            await client.work_on(node.chain.tip.hash)

    run(scenario())


def test_a_solution_waits_on_disk_through_a_stop_and_a_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            async with (
                provider_on(node, tmp_path) as app,
                template_client(app.service.port) as client,
            ):
                template, _ = await client.pair()
                node.faults.add(Fault(FaultKind.HTTP, method="submitblock", status=503))
                await client.submit(template)
                await until(lambda: app.submitter.retries > 0)
            assert node.chain.height == 135
            node.faults.clear()
            async with provider_on(node, tmp_path) as app:
                await until(lambda: app.submitter.fates["accepted"] == 1)
                assert node.chain.height == 136

    run(scenario())


def test_a_block_that_the_node_took_but_did_not_connect_is_submitted_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            template, _ = await client.pair()
            node.faults.add(
                Fault(FaultKind.ERROR, method="getblockheader", code=-5, message="no", count=2)
            )
            await client.submit(template)
            await until(lambda: app.submitter.fates.total() == 1)
            assert app.submitter.retries == 2
            assert app.submitter.fates == {"duplicate": 1}
            assert node.chain.height == 136

    run(scenario())


def test_a_full_disk_costs_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Journal, block: SolvedBlock) -> None:
        raise OSError(28, "No space left on device")

    async def scenario() -> None:
        async with session(tmp_path) as (node, app, client):
            template, _ = await client.pair()
            monkeypatch.setattr(Journal, "write", full)
            await client.submit(template)
            await until(lambda: app.submitter.fates["accepted"] == 1)
            assert node.chain.height == 136
            assert app.submitter.journal_errors == 1

    run(scenario())


def test_a_late_solution_to_the_previous_tip_is_still_submitted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path, zmq=True) as (node, app, client):
            template, previous = await client.pair()
            await node.generate(1, op_true_script())
            await client.work_on(node.chain.tip.hash)
            await client.stream.send(solve(template, previous))
            await until(lambda: app.submitter.fates["inconclusive"] == 1)

    run(scenario())


def test_the_journal_keeps_what_is_whole_and_sets_aside_what_is_not(tmp_path: Path) -> None:
    block = SolvedBlock.of(bytes(range(200)))
    journal = Journal(tmp_path)
    with pytest.raises(DataDirInUse):
        Journal(tmp_path)
    journal.write(block)
    other = SolvedBlock.of(bytes(range(100, 220)))
    (tmp_path / f"{other.name}.tmp").write_text(other.data.hex())
    (tmp_path / ("00" * 32 + ".tmp")).write_text("abc")
    (tmp_path / ("11" * 32 + ".pending")).write_text(block.data.hex())
    (tmp_path / ("22" * 32 + ".pending")).write_text("no hex")
    journal.close()
    journal = Journal(tmp_path)
    assert {found.name for found in journal.pending()} == {block.name, other.name}
    assert len(list(tmp_path.glob("*.corrupt"))) == 2
    assert not list(tmp_path.glob("*.tmp"))
    assert journal.has(block)
    journal.finish(block, "accepted")
    assert [found.name for found in journal.pending()] == [other.name]
    assert journal.has(block)
    for number in range(150):
        more = SolvedBlock.of(struct.pack("<I", number) * 50)
        journal.write(more)
        journal.finish(more, "rejected")
    assert len(list(tmp_path.glob("*.rejected"))) <= 100
    assert [found.name for found in journal.pending()] == [other.name]
    journal.close()


# Killed


async def killed_rounds(folder: Path, count: int) -> None:
    """Kill the provider at random moments after a client handed in a block; each block that had
    come in must be in the chain after the next start."""
    chooser = random.Random(2026)
    async with recorded_node(folder) as node:
        counted = 0
        for attempt in range(4 * count):
            if counted == count:
                break
            counted += await one_kill(node, folder, chooser, attempt)
        assert counted == count


async def one_kill(node: RegtestNode, folder: Path, chooser: random.Random, attempt: int) -> bool:
    """Whether the block had come in before the end."""
    blocks = folder / "tp" / "blocks" / "regtest"
    async with started(node, folder) as (process, port), template_client(port) as client:
        template, previous = await client.pair()
        assert previous.prev_hash == node.chain.tip.hash, "nothing was left behind"
        data = await client.data(template.template_id)
        assert isinstance(data, RequestTransactionDataSuccess)
        slow = Fault(FaultKind.LATENCY, method="submitblock", seconds=0.02, count=1)
        node.faults.add(
            Fault(FaultKind.LOSE, method="submitblock", count=1) if attempt % 4 == 0 else slow
        )
        solution = solve(template, previous)
        block = SolvedBlock.of(block_of(template, previous, data.transaction_list, solution))
        await client.stream.send(solution)
        await asyncio.sleep(chooser.uniform(0.0, 0.05))
        process.kill()
        await process.wait()
    node.faults.clear()
    came_in = any(
        path.read_bytes().strip() == block.data.hex().encode()
        for path in blocks.glob(f"{block.name}.*")
    )
    async with started(node, folder) as (process, port), template_client(port) as client:
        if came_in:
            await client.work_on(block.hash)
            assert node.chain.tip.hash == block.hash
    return came_in


@contextlib.asynccontextmanager
async def started(
    node: RegtestNode, folder: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The program, listening, and its port."""
    arguments = ["tp", "--plain", *provider_options(node, folder)]
    async with program(*arguments, log=asyncio.subprocess.DEVNULL) as process:
        yield process, int(await said(process, "listening on: 127.0.0.1 port"))


def test_killed_at_random_moments_it_loses_no_block(tmp_path: Path) -> None:
    run(killed_rounds(tmp_path, 4))


@pytest.mark.full
def test_killed_at_fifty_random_moments_it_loses_no_block(tmp_path: Path) -> None:
    run(killed_rounds(tmp_path, 50), timeout=600)


# 3: constraints


@pytest.mark.parametrize("size", [0, 1_000, 999_608, 999_708])
@pytest.mark.parametrize("sigops", [0, 400, 0xFFFF])
def test_constraints_that_a_block_can_meet_are_met(tmp_path: Path, size: int, sigops: int) -> None:
    async def scenario() -> None:
        async with session(tmp_path, constraints=(size, sigops)) as (_, app, client):
            template, _ = await client.pair()
            data = await client.data(template.template_id)
            assert isinstance(data, RequestTransactionDataSuccess)
            assert len(data.transaction_list) == (18 if size <= 1_000 else 0)
            await client.submit(template)
            await until(lambda: app.submitter.fates["accepted"] == 1)

    run(scenario())


@pytest.mark.parametrize("size", [999_709, 1_000_000, 0xFFFFFFFF])
def test_constraints_that_no_block_can_meet_end_the_connection(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        async with (
            session(tmp_path) as (_, app, good),
            template_client(app.service.port, constraints=(size, 0)) as client,
        ):
            with pytest.raises(StreamClosed):
                await client.next(5)
            assert app.service.stats.ended == {Cause.DISMISSED: 1}
            assert app.provider.stats.no_room == 1
            await good.pair()

    run(scenario())


# 4: a node that restarts


def test_ten_clients_outlive_a_restart_of_the_node(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running_provider(tmp_path, zmq=True) as (node, app),
            AsyncExitStack() as stack,
        ):
            clients = await crowd(stack, app, 10)
            for _ in range(2):
                node.restart(0.5, warmup=0.3)
                await until(lambda: not app.provider.source.stats.up)
                # A client that comes meanwhile gets the work there is.
                late = await stack.enter_async_context(template_client(app.service.port))
                await late.pair()
                clients.append(late)
                await until(lambda: node.running and not node.warming_up)
                await node.generate(1, op_true_script())
                tip = node.chain.tip.hash
                templates = await asyncio.gather(*(client.work_on(tip) for client in clients))
            await clients[3].submit(templates[3])
            await until(lambda: app.submitter.fates["accepted"] == 1)
            assert all(client.stream.ended is None for client in clients)

    run(scenario())


def test_a_reorganization_gives_work_on_the_new_tip(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path, zmq=True) as (node, app, client):
            await client.pair()
            await node.reorganize(2, 3, op_true_script())
            template = await client.work_on(node.chain.tip.hash)
            await client.submit(template)
            await until(lambda: app.submitter.fates["accepted"] == 1)

    run(scenario())


def test_lost_notices_and_no_notices_are_made_up_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        # No ZMQ at all: the tip is waited for.
        async with (
            recorded_node(tmp_path, template_interval=0.0) as node,
            provider_on(node, tmp_path, fee_interval=3600.0) as app,
            template_client(app.service.port) as client,
        ):
            await client.pair()
            await node.generate(1, op_true_script())
            await client.work_on(node.chain.tip.hash)

    run(scenario())


# 5: a public port


def frame(message: sv2_ffi.AnyMessage) -> bytes:
    return sv2_ffi.encode(message)


SETUP = frame(SetupConnection(2, 2, 2, 0, "127.0.0.1", 1, "tests", "", "", ""))


def test_a_client_that_never_reads_costs_little_and_stops_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path, **ZMQ) as node:
            await fill_mempool(node, 3_000)
            async with (
                provider_on(node, tmp_path, write_timeout=2.0, max_queued=65_536) as app,
                template_client(app.service.port) as reader,
                deaf_socket(app.service) as (_, writer),  # type: ignore[arg-type]
            ):
                await reader.pair()
                writer.write(SETUP + frame(CoinbaseOutputConstraints(100, 0)))
                await until(lambda: app.provider.clients == 2)
                deaf = next(c for c in app.service.clients.values() if c.id != 1)
                (number,) = app.provider._clients[deaf].ledger._offers
                # Half a megabyte each: more than kernel buffers hold, many times over.
                writer.write(frame(RequestTransactionData(number)) * 200)
                await until(lambda: deaf.stream.queued > 65_536)
                await node.generate(1, op_true_script())
                await reader.work_on(node.chain.tip.hash)
                size = len(frame(template_data(app)))
                assert deaf.stream.queued <= 65_536 + 2 * size
                await until(lambda: len(app.service.clients) == 1)
                assert await reader.data(reader.ids[-1])

    run(scenario())


def template_data(app: App) -> RequestTransactionDataSuccess:
    """The largest answer there is."""
    kept = [t for s in app.provider._clients.values() for _, t in s.ledger.newest(99)]
    return max((t.transaction_data(0) for t in kept), key=lambda m: len(frame(m)))


def test_a_slow_reader_is_told_the_newest_when_it_reads_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path, **ZMQ) as node:
            await fill_mempool(node, 3_000)
            async with (
                provider_on(node, tmp_path, max_queued=65_536) as app,
                template_client(app.service.port) as client,
            ):
                template, _ = await client.pair()
                transport = client.stream._transport
                assert transport is not None
                transport.pause_reading()
                (state,) = app.provider._clients.values()
                requests = 0
                while not state.behind:
                    requests += 1
                    await client.stream.send(RequestTransactionData(template.template_id))
                    if requests == 30:
                        await node.generate(1, op_true_script())
                    await asyncio.sleep(0.02)
                await node.generate(2, op_true_script())
                transport.resume_reading()
                await client.work_on(node.chain.tip.hash)
                assert app.provider.stats.caught_up >= 1
                # Of the tips that came meanwhile only the last was worth telling.
                assert len(client.ids) < 4

    run(scenario())


@pytest.mark.parametrize("claimed", [1 << 11, 0xFFFFFF])
def test_large_frames_before_setup_are_not_taken(tmp_path: Path, claimed: int) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (_, app, good):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.service.port)
            writer.write(struct.pack("<HB", 0, 0) + claimed.to_bytes(3, "little") + bytes(4096))
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await good.pair()

    run(scenario())


def test_connections_are_limited_in_all_and_by_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            running_provider(tmp_path, max_clients=20, max_clients_per_host=3) as (_, app),
            AsyncExitStack() as stack,
        ):
            await crowd(stack, app, 3)
            with pytest.raises((OSError, StreamClosed)):
                async with template_client(app.service.port):
                    pass
            assert app.service.net_stats.refused_host == 1

    run(scenario())


def test_too_many_requests_wait_their_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            session(tmp_path, requests_per_second=20.0) as (_, app, client),
            template_client(app.service.port) as other,
        ):
            template, _ = await client.pair()
            await other.pair()
            for _ in range(140):
                await client.stream.send(RequestTransactionData(template.template_id))
            # A hundred at once, and the rest at their pace; others do not wait.
            await until(lambda: app.provider.stats.data_requests["success"] >= 99)
            assert await other.data(other.ids[0])
            assert app.provider.stats.data_requests["success"] < 140
            await until(lambda: app.provider.stats.data_requests["success"] == 141)

    run(scenario())


def test_another_protocol_and_wrong_messages_end_one_connection_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with session(tmp_path) as (_, app, good):
            template, _ = await good.pair()
            async with template_client(app.service.port) as bad:
                await bad.pair()
                await bad.stream.send(template)
                with pytest.raises(StreamClosed):
                    await bad.next(5)
            assert await good.data(template.template_id)

    run(scenario())


# 6: memory


def test_templates_of_gone_clients_and_old_tips_are_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path, zmq=True) as (node, app):
            for _ in range(ORPHANS_KEPT // 8 + 20):
                async with template_client(app.service.port) as client:
                    await client.pair()
            await until(lambda: not app.service.clients)
            orphans = app.provider._orphans
            assert 8 < len(orphans) <= ORPHANS_KEPT
            async with template_client(app.service.port) as client:
                await client.pair()
                for _ in range(12):
                    await node.generate(1, op_true_script())
                    await client.work_on(node.chain.tip.hash)
                (state,) = app.provider._clients.values()
                works = {template.work for _, template in state.ledger.newest(CURRENT_KEPT)}
                assert len(works) == 2
            # What gone clients left behind was for tips of long ago, but for the last client's.
            assert len(orphans) <= 8

    run(scenario())


def test_transactions_are_held_once_for_all_templates(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path, **ZMQ) as node:
            await fill_mempool(node, 50)
            async with (
                provider_on(node, tmp_path) as app,
                template_client(app.service.port) as client,
            ):
                await client.pair()
                first = app.provider.source.feed
                assert first is not None
                await until(lambda: app.provider.source.feed is not first)
                second = app.provider.source.feed
                assert second is not None
                old = {id(data) for data in first.snapshot.data}
                assert old
                assert old == {id(data) for data in second.snapshot.data}

    run(scenario())


def test_a_template_is_never_given_twice_and_ids_rise_over_restarts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            seen: list[int] = []
            for _ in range(2):
                async with (
                    provider_on(node, tmp_path) as app,
                    template_client(app.service.port) as one,
                    template_client(app.service.port) as two,
                ):
                    for client in (one, two):
                        template, _ = await client.pair()
                        assert isinstance(template, NewTemplate)
                        seen.append(template.template_id)
                await asyncio.sleep(1.1)  # ids begin with the second of the start
            assert seen == sorted(set(seen))

    run(scenario())
