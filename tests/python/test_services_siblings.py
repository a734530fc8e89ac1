"""Siblings: a server and a client of one process call each other."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest
from connections import POLICY
from networking import NOISE, run_on_asyncio, until
from servicing import client_of, other_tasks, server_config
from sv2.address import Address
from sv2.connection import PLAIN, Protocol
from sv2.services import (
    Client,
    ClientConfig,
    MiningServerHandler,
    NoSibling,
    Reply,
    ServiceError,
    Sibling,
    SiblingClosed,
    SiblingError,
    Sv2ClientService,
    Sv2ServerService,
    TemplateDistributionClientHandler,
    TemplateDistributionServerHandler,
    Upstream,
    UpstreamConfig,
    siblings,
)

from sv2_ffi import mining
from sv2_ffi import template_distribution as td

TEMPLATE = td.NewTemplate(5, True, 2, 2, b"", 0, 0, 0, b"", 0, [])


class Provider(TemplateDistributionServerHandler):
    """Sends one template to whoever says what room it needs."""

    def __init__(self) -> None:
        self.asked: list[td.CoinbaseOutputConstraints] = []

    async def on_coinbase_output_constraints(
        self, client: Client, message: td.CoinbaseOutputConstraints
    ) -> Reply:
        self.asked.append(message)
        return TEMPLATE


class Pool(MiningServerHandler):
    """Turns templates of its sibling into messages to all miners, and says to how many."""

    def __init__(self) -> None:
        self.service: Sv2ServerService | None = None
        self.got: list[object] = []

    async def on_start(self, service: Sv2ServerService) -> None:
        self.service = service

    async def on_sibling(self, request: object) -> object:
        assert self.service is not None
        self.got.append(request)
        if not isinstance(request, td.NewTemplate):
            raise ValueError("not a template")
        return self.service.broadcast(mining.SetTarget(request.template_id, bytes(32)))

    async def on_update_channel(self, client: Client, message: mining.UpdateChannel) -> Reply:
        assert self.service is not None
        room = await self.service.sibling.request(Protocol.TEMPLATE_DISTRIBUTION, "room")
        assert isinstance(room, int)
        return mining.UpdateChannelError(room, "")


class Feed(TemplateDistributionClientHandler):
    """Passes templates on to its sibling."""

    def __init__(self) -> None:
        self.service: Sv2ClientService | None = None
        self.responses: list[object] = []

    async def on_start(self, service: Sv2ClientService) -> None:
        self.service = service

    async def on_connect(self, upstream: Upstream) -> Reply:
        return td.CoinbaseOutputConstraints(1, 1)

    async def on_new_template(self, upstream: Upstream, message: td.NewTemplate) -> Reply:
        assert self.service is not None
        self.responses.append(await self.service.sibling.request(Protocol.MINING, message))
        return None

    async def on_sibling(self, request: object) -> object:
        return 1234


def pair_of_services(
    noise: bool, port: int, pool: MiningServerHandler, feed: TemplateDistributionClientHandler
) -> tuple[Sv2ServerService, Sv2ClientService]:
    for_server, for_client = siblings()
    server = Sv2ServerService(server_config(noise), mining=pool, sibling=for_server)
    there = UpstreamConfig([Address("127.0.0.1", port)], POLICY if noise else PLAIN)
    config = ClientConfig(template_distribution=there)
    return server, Sv2ClientService(config, template_distribution=feed, sibling=for_client)


@NOISE
def test_a_template_goes_from_the_provider_through_the_siblings_to_the_miner(noise: bool) -> None:
    async def main() -> None:
        provider, pool, feed = Provider(), Pool(), Feed()
        async with Sv2ServerService(server_config(noise), template_distribution=provider) as tp:
            server, client = pair_of_services(noise, tp.port, pool, feed)
            async with server, client_of(server, noise) as miner:
                await until(lambda: server.clients)
                async with client:
                    assert await miner.receive() == mining.SetTarget(5, bytes(32))
                    await until(lambda: feed.responses)
                    assert feed.responses == [[1]]
                    assert provider.asked == [td.CoinbaseOutputConstraints(1, 1)]
                    assert pool.got == [TEMPLATE]
                    # And the other way.
                    await miner.send(mining.UpdateChannel(1, 1.0, bytes(32)))
                    assert await miner.receive() == mining.UpdateChannelError(1234, "")
                    assert server.stats.handler_errors == client.stats.handler_errors == 0
        assert not other_tasks()

    run_on_asyncio(main())


@NOISE
def test_requests_get_errors_and_not_silence(noise: bool) -> None:
    async def main() -> None:
        async with Sv2ServerService(server_config(noise), template_distribution=Provider()) as tp:
            server, client = pair_of_services(noise, tp.port, Pool(), Feed())
            async with server, client:
                with pytest.raises(SiblingError) as failed:
                    await client.sibling.request(Protocol.MINING, "no template")
                assert isinstance(failed.value.__cause__, ValueError)
                with pytest.raises(SiblingError) as failed:
                    await client.sibling.request(Protocol.JOB_DECLARATION, TEMPLATE)
                assert isinstance(failed.value.__cause__, ServiceError)
                await server.stop()
                for end in (server, client):
                    with pytest.raises(SiblingClosed):
                        await end.sibling.request(Protocol.MINING, TEMPLATE)

    run_on_asyncio(main())


def test_a_service_without_a_sibling_says_so() -> None:
    service = Sv2ServerService(server_config(noise=False), mining=Pool())
    with pytest.raises(NoSibling):
        _ = service.sibling


@NOISE
def test_a_handler_takes_no_requests_unless_it_says_so(noise: bool) -> None:
    async def main() -> None:
        async with Sv2ServerService(server_config(noise), template_distribution=Provider()) as tp:
            server, client = pair_of_services(noise, tp.port, MiningServerHandler(), Feed())
            async with server, client:
                with pytest.raises(SiblingError) as failed:
                    await client.sibling.request(Protocol.MINING, TEMPLATE)
                assert isinstance(failed.value.__cause__, ServiceError)

    run_on_asyncio(main())


# The pair by itself.


async def double(protocol: Protocol, request: object) -> object:
    assert isinstance(request, int)
    return request * 2


async def serving(sibling: Sibling, answer: Callable[..., object]) -> asyncio.Task[None]:
    return asyncio.create_task(sibling.serve(answer))  # type: ignore[arg-type]


def test_requests_are_answered_in_the_order_of_the_calls() -> None:
    async def main() -> None:
        order: list[object] = []

        async def note(protocol: Protocol, request: object) -> object:
            order.append(request)
            await asyncio.sleep(0)
            return request

        one, other = siblings(max_pending=3)
        worker = await serving(other, note)
        answers = await asyncio.gather(*(one.request(Protocol.MINING, n) for n in range(50)))
        assert answers == order == list(range(50))
        one.close()
        worker.cancel()

    run_on_asyncio(main())


def test_the_queue_is_bounded_and_waiting_for_room_ends_with_the_time_out() -> None:
    async def main() -> None:
        one, other = siblings(max_pending=2)
        waiting = [
            asyncio.ensure_future(one.request(Protocol.MINING, n, timeout=0.05)) for n in range(5)
        ]
        await asyncio.sleep(0)
        assert one._outgoing.queue.qsize() <= 2
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, TimeoutError)
        # What timed out is not handled when somebody comes at last.
        worker = await serving(other, double)
        assert await one.request(Protocol.MINING, 21) == 42
        worker.cancel()

    run_on_asyncio(main())


def test_a_response_that_does_not_come_ends_with_the_time_out_and_the_next_is_answered() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def slow_once(protocol: Protocol, request: object) -> object:
            if request == 0:
                await release.wait()
            return request

        one, other = siblings()
        worker = await serving(other, slow_once)
        with pytest.raises(TimeoutError):
            await one.request(Protocol.MINING, 0, timeout=0.05)
        release.set()
        assert await one.request(Protocol.MINING, 1) == 1
        worker.cancel()

    run_on_asyncio(main())


def test_two_that_wait_for_each_other_end_with_the_time_out() -> None:
    async def main() -> None:
        one, other = siblings()

        async def call_back(protocol: Protocol, request: object) -> object:
            return await other.request(protocol, request, timeout=0.05)

        async def call_on(protocol: Protocol, request: object) -> object:
            return await one.request(protocol, request, timeout=0.05)

        workers = [await serving(other, call_back), await serving(one, call_on)]
        with pytest.raises((SiblingError, TimeoutError)):
            await one.request(Protocol.MINING, 1, timeout=1.0)
        for worker in workers:
            worker.cancel()

    run_on_asyncio(main())


def test_closing_answers_what_waits_what_is_in_hand_and_whoever_waits_for_room() -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def hang(protocol: Protocol, request: object) -> object:
            entered.set()
            return await asyncio.Event().wait()

        one, other = siblings(max_pending=1)
        worker = await serving(other, hang)
        requests = [asyncio.ensure_future(one.request(Protocol.MINING, n)) for n in range(4)]
        await entered.wait()
        worker.cancel()
        other.close()
        for result in await asyncio.gather(*requests, return_exceptions=True):
            assert isinstance(result, SiblingClosed)
        assert one.closed
        assert other.closed

    run_on_asyncio(main())


@NOISE
def test_siblings_hold_neither_each_other_nor_their_services(noise: bool) -> None:
    class Plain(MiningServerHandler):
        async def on_sibling(self, request: object) -> object:
            return request

    async def main() -> list[weakref.ref[object]]:
        async with Sv2ServerService(server_config(noise), template_distribution=Provider()) as tp:
            server, client = pair_of_services(
                noise, tp.port, Plain(), TemplateDistributionClientHandler()
            )
            async with server, client:
                assert await client.sibling.request(Protocol.MINING, 1) == 1
            held = gc.get_referents(client.sibling, client.sibling._incoming)
            assert not any(held_one in (server, client, server.sibling) for held_one in held)
            kept = client.sibling
            references: list[weakref.ref[object]] = [weakref.ref(server), weakref.ref(client)]
            del server, client
            gc.collect()
            assert kept.closed
            return references

    for reference in run_on_asyncio(main()):
        assert reference() is None


def test_a_queue_holds_one_request_at_least() -> None:
    with pytest.raises(ValueError, match="one"):
        siblings(max_pending=0)
