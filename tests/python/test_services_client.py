"""A client service: setup, handlers, connecting again, fail-over, Reconnect, extensions."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from connections import AUTHORITY, IDENTITY, OTHER_AUTHORITY, POLICY, STATIC, vector_messages
from networking import NOISE, PATIENCE, listen, quick, run_on_asyncio, until
from servicing import other_tasks, server_config, share
from sv2.address import Address
from sv2.connection import PLAIN, Protocol
from sv2.net import Ended, Options, Server, SetupRefused, Stream, StreamClosed, Timeouts, serve
from sv2.noise import CertificateError, CertificatePolicy, ServerIdentity
from sv2.services import (
    Backoff,
    Cause,
    ClientConfig,
    ClientHandler,
    ConfigError,
    Disconnect,
    JobDeclarationClientHandler,
    MiningClientHandler,
    MiningServerHandler,
    NotConnected,
    NullMiningClientHandler,
    Reply,
    Sv2ClientService,
    Sv2ServerService,
    TemplateDistributionClientHandler,
    TemplateDistributionServerHandler,
    Upstream,
    UpstreamConfig,
)

from sv2_ffi import AnyMessage, mining
from sv2_ffi import job_declaration as jd
from sv2_ffi import template_distribution as td
from sv2_ffi.common import (
    ChannelEndpointChanged,
    Reconnect,
    SetupConnection,
    SetupConnectionError,
    SetupConnectionSuccess,
)
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsSuccess

TO_CLIENT = {
    Protocol.MINING: {
        mining.OpenStandardMiningChannelSuccess,
        mining.OpenExtendedMiningChannelSuccess,
        mining.OpenMiningChannelError,
        mining.UpdateChannelError,
        mining.CloseChannel,
        mining.SetExtranoncePrefix,
        mining.SubmitSharesSuccess,
        mining.SubmitSharesError,
        mining.NewMiningJob,
        mining.NewExtendedMiningJob,
        mining.SetNewPrevHash,
        mining.SetTarget,
        mining.SetCustomMiningJobSuccess,
        mining.SetCustomMiningJobError,
        mining.SetGroupChannel,
    },
    Protocol.JOB_DECLARATION: {
        jd.AllocateMiningJobTokenSuccess,
        jd.DeclareMiningJobSuccess,
        jd.DeclareMiningJobError,
        jd.ProvideMissingTransactions,
    },
    Protocol.TEMPLATE_DISTRIBUTION: {
        td.NewTemplate,
        td.SetNewPrevHash,
        td.RequestTransactionDataSuccess,
        td.RequestTransactionDataError,
    },
}


class Waits:
    """Stands in for the backoff's sleep: notes the waits, and waits not at all."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


class Recording(ClientHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.messages: list[AnyMessage] = []
        self.upstreams: list[Upstream] = []

    async def on_connect(self, peer: Upstream) -> Reply:
        self.heard.append(f"+{peer.id}")
        self.upstreams.append(peer)
        return None

    async def on_disconnect(self, peer: Upstream) -> None:
        self.heard.append(f"-{peer.id}")

    async def handle(self, peer: Upstream, message: AnyMessage) -> Reply:
        self.messages.append(message)
        return await super().handle(peer, message)


class RecordingMining(Recording, MiningClientHandler):
    pass


class RecordingJobs(Recording, JobDeclarationClientHandler):
    pass


class RecordingTemplates(Recording, TemplateDistributionClientHandler):
    pass


def upstreams(noise: bool, *ports: int, **changes: Any) -> UpstreamConfig:
    config = UpstreamConfig(
        [Address("127.0.0.1", port) for port in ports], POLICY if noise else PLAIN
    )
    return dataclasses.replace(config, **changes)


def impatient(rounds: int | None = None, stable: float = 1e9) -> Backoff:
    return Backoff(sleep=Waits().sleep, rounds=rounds, stable=stable)


def miner(
    noise: bool,
    ports: Sequence[int],
    handler: MiningClientHandler | None = None,
    *,
    extensions: frozenset[int] = frozenset(),
    flags: int = 0,
    **changes: Any,
) -> Sv2ClientService:
    """A mining client of 127.0.0.1, whose backoff does not wait."""
    changes.setdefault("backoff", impatient())
    config = ClientConfig(
        mining=upstreams(noise, *ports, extensions=extensions, flags=flags), **changes
    )
    return Sv2ClientService(config, mining=handler or RecordingMining())


@contextlib.asynccontextmanager
async def scripted(
    noise: bool, *scripts: Any, identity: ServerIdentity = IDENTITY
) -> AsyncIterator[Server]:
    """A server whose n-th connection runs the n-th script, the last one from there on."""
    remaining = list(scripts)

    async def handler(stream: Stream) -> None:
        script = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        await script(stream)

    security = identity if noise else PLAIN
    server = await serve(handler, "127.0.0.1", 0, security=security, options=quick(close=0.5))
    async with server:
        yield server


async def stay(stream: Stream) -> None:
    """Accept, then read to the end."""
    await stream.receive()
    await stream.send(SetupConnectionSuccess(2, 0))
    async for _ in stream:
        pass


async def drop(stream: Stream) -> None:
    """Accept, then close."""
    await stream.receive()
    await stream.send(SetupConnectionSuccess(2, 0))


def answer(reply: AnyMessage) -> Any:
    async def script(stream: Stream) -> None:
        await stream.receive()
        await stream.send(reply)
        async for _ in stream:
            pass

    return script


def send_away(host: str, port: int) -> Any:
    async def script(stream: Stream) -> None:
        await stream.receive()
        await stream.send(SetupConnectionSuccess(2, 0))
        await stream.send(Reconnect(host, port))
        async for _ in stream:
            pass

    return script


# Setup and handlers.


@NOISE
def test_a_client_sets_up_and_is_connected(noise: bool) -> None:
    async def main() -> None:
        seen: list[AnyMessage] = []

        async def accept(stream: Stream) -> None:
            seen.append(await stream.receive())
            await stream.send(SetupConnectionSuccess(3, 0b10))
            async for _ in stream:
                pass

        class Accepting(RecordingMining):
            accepted_flags = 0b11

        async with scripted(noise, accept) as server:
            handler = Accepting()
            client = miner(
                noise,
                [server.port],
                handler,
                flags=0b101,
                vendor="v",
                hardware_version="h",
                firmware="f",
                device_id="d",
                max_version=4,
            )
            async with client:
                upstream = await client.connected(Protocol.MINING)
                assert client.is_connected(Protocol.MINING)
                assert handler.heard == ["+1"]
                assert client.upstreams == {1: upstream}
                assert upstream.endpoint == Address("127.0.0.1", server.port)
                assert client.last_error(Protocol.MINING) is None
            assert handler.heard == ["+1", "-1"]
            assert not client.is_connected(Protocol.MINING)
            assert client.stats.ended == {Cause.STOPPED: 1}
        assert seen == [
            SetupConnection(0, 2, 4, 0b101, "127.0.0.1", server_port(seen), "v", "h", "f", "d")
        ]
        assert not other_tasks()

    def server_port(seen: list[AnyMessage]) -> int:
        (request,) = seen
        assert isinstance(request, SetupConnection)
        return request.endpoint_port

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda protocol: protocol.name)
def test_every_message_reaches_the_handler_and_none_is_unexpected(
    noise: bool, protocol: Protocol
) -> None:
    messages = [message for message in vector_messages() if type(message) in TO_CLIENT[protocol]]

    async def send_all(stream: Stream) -> None:
        await stream.receive()
        await stream.send(SetupConnectionSuccess(2, 0))
        for message in messages:
            await stream.send(message)
        async for _ in stream:
            pass

    async def main() -> None:
        async with scripted(noise, send_all) as server:
            there = upstreams(noise, server.port)
            match protocol:
                case Protocol.MINING:
                    mine = RecordingMining()
                    handler: Recording = mine
                    client = Sv2ClientService(ClientConfig(mining=there), mining=mine)
                case Protocol.JOB_DECLARATION:
                    jobs = RecordingJobs()
                    handler, config = jobs, ClientConfig(job_declaration=there)
                    client = Sv2ClientService(config, job_declaration=jobs)
                case _:
                    feed = RecordingTemplates()
                    handler, config = feed, ClientConfig(template_distribution=there)
                    client = Sv2ClientService(config, template_distribution=feed)
            async with client:
                await until(lambda: len(handler.messages) == len(messages))
                assert handler.messages == messages
                assert client.is_connected(protocol)
                assert client.stats.handler_errors == 0

    assert {type(message) for message in messages} == TO_CLIENT[protocol]
    run_on_asyncio(main())


@NOISE
def test_a_message_of_the_wrong_side_ends_the_connection_and_another_is_made(noise: bool) -> None:
    async def wrong(stream: Stream) -> None:
        await drop(stream)
        await stream.send(share())
        async for _ in stream:
            pass

    async def main() -> None:
        async with scripted(noise, wrong, stay) as server:
            handler = RecordingMining()
            async with miner(noise, [server.port], handler) as client:
                await until(lambda: handler.heard == ["+1", "-1", "+2"])
                assert handler.upstreams[0].ended is Cause.UNEXPECTED_MESSAGE
                assert (await client.connected(Protocol.MINING)).id == 2

    run_on_asyncio(main())


@NOISE
def test_one_client_speaks_several_protocols_each_on_its_own_connection(noise: bool) -> None:
    class Templates(TemplateDistributionServerHandler):
        async def on_coinbase_output_constraints(self, client: Any, message: Any) -> Reply:
            return td.RequestTransactionDataError(0, "hello")

    async def main() -> None:
        service = Sv2ServerService(
            server_config(noise), mining=MiningServerHandler(), template_distribution=Templates()
        )
        async with service:
            there = upstreams(noise, service.port)
            mine, feed = RecordingMining(), RecordingTemplates()
            config = ClientConfig(mining=there, template_distribution=there)
            client = Sv2ClientService(config, mining=mine, template_distribution=feed)
            async with client:
                await client.connected(Protocol.MINING)
                await client.connected(Protocol.TEMPLATE_DISTRIBUTION)
                await client.send(
                    Protocol.TEMPLATE_DISTRIBUTION, td.CoinbaseOutputConstraints(1, 1)
                )
                await client.send(Protocol.MINING, share(1), share(2))
                await until(lambda: feed.messages and len(mine.messages) == 2)
                assert feed.messages == [td.RequestTransactionDataError(0, "hello")]
                assert mine.messages == [
                    mining.SubmitSharesError(1, number, "invalid-channel-id") for number in (1, 2)
                ]
                with pytest.raises(NotConnected):
                    await client.send(Protocol.JOB_DECLARATION, jd.AllocateMiningJobToken("", 1))

    run_on_asyncio(main())


@NOISE
def test_an_injected_message_is_handled_as_if_the_server_had_sent_it(noise: bool) -> None:
    class Wanting(RecordingTemplates):
        async def on_new_template(self, upstream: Upstream, message: td.NewTemplate) -> Reply:
            return td.RequestTransactionData(message.template_id)

    async def main() -> None:
        got: list[AnyMessage] = []

        async def read(stream: Stream) -> None:
            await drop(stream)
            async for message in stream:
                got.append(message)

        async with scripted(noise, read) as server:
            there = ClientConfig(template_distribution=upstreams(noise, server.port))
            async with Sv2ClientService(there, template_distribution=Wanting()) as client:
                upstream = await client.connected(Protocol.TEMPLATE_DISTRIBUTION)
                template = td.NewTemplate(9, True, 2, 2, b"", 0, 0, 0, b"", 0, [])
                await client.inject(upstream.id, template)
                await until(lambda: got)
                assert got == [td.RequestTransactionData(9)]

    run_on_asyncio(main())


# What is wrong with the answer, or with its absence.

BAD_ANSWERS = {
    "refused": (SetupConnectionError(1, "unsupported-feature-flags"), Cause.REFUSED),
    "a version that we do not speak": (SetupConnectionSuccess(9, 0), Cause.SETUP_UNACCEPTABLE),
    "a version below ours": (SetupConnectionSuccess(1, 0), Cause.SETUP_UNACCEPTABLE),
    "flags that we cannot live with": (SetupConnectionSuccess(2, 2), Cause.SETUP_UNACCEPTABLE),
    "no answer to setup": (mining.SetTarget(1, bytes(32)), Ended.PROTOCOL),
}


@NOISE
@pytest.mark.parametrize(("reply", "cause"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_to_setup_moves_the_client_to_the_next_upstream(
    noise: bool, reply: AnyMessage, cause: object
) -> None:
    async def bad(stream: Stream) -> None:
        await stream.receive()
        if isinstance(reply, mining.SetTarget):
            stream._connection._state = type(stream.state).OPEN  # a server that breaks the rules
        await stream.send(reply)
        async for _ in stream:
            pass

    async def main() -> None:
        async with scripted(noise, bad) as first, scripted(noise, stay) as second:
            handler = RecordingMining()
            async with miner(noise, [first.port, second.port], handler) as client:
                upstream = await client.connected(Protocol.MINING)
                assert upstream.endpoint.port == second.port
                assert client.stats.ended == {cause: 1}
                assert handler.heard == ["+2"]

    run_on_asyncio(main())


@NOISE
def test_a_refusal_is_given_to_whoever_waits(noise: bool) -> None:
    async def main() -> None:
        refusal = SetupConnectionError(0, "unsupported-protocol")
        async with scripted(noise, answer(refusal)) as server:
            client = miner(noise, [server.port], backoff=impatient(rounds=2))
            async with client:
                with pytest.raises(NotConnected) as failed:
                    await client.connected(Protocol.MINING)
                assert isinstance(failed.value.__cause__, SetupRefused)
                assert failed.value.__cause__.error == refusal
                assert client.stats.ended == {Cause.REFUSED: 2}

    run_on_asyncio(main())


@NOISE
def test_a_server_that_says_nothing_is_left_after_the_setup_time_out(noise: bool) -> None:
    async def silent(stream: Stream) -> None:
        await stream.receive()
        await stream.wait_closed()

    async def main() -> None:
        async with scripted(noise, silent) as first, scripted(noise, stay) as second:
            options = quick(setup=0.2)
            async with miner(noise, [first.port, second.port], options=options) as client:
                upstream = await client.connected(Protocol.MINING)
                assert upstream.endpoint.port == second.port
                assert client.stats.ended == {Ended.SETUP_TIMEOUT: 1}

    run_on_asyncio(main())


def test_a_server_that_hangs_in_the_handshake_is_left_too() -> None:
    async def main() -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        hanging = await asyncio.start_server(hold, "127.0.0.1", 0)
        port = hanging.sockets[0].getsockname()[1]
        async with hanging, scripted(True, stay) as second:
            options = quick(handshake=0.2)
            async with miner(True, [port, second.port], options=options) as client:
                upstream = await client.connected(Protocol.MINING)
                assert upstream.endpoint.port == second.port
                assert isinstance(client.last_error(Protocol.MINING), type(None))

    run_on_asyncio(main())


def test_a_server_of_another_authority_is_never_spoken_to() -> None:
    impostor = ServerIdentity.self_issued(OTHER_AUTHORITY, STATIC)

    async def main() -> None:
        async with scripted(True, stay, identity=impostor) as server:
            async with miner(True, [server.port], backoff=impatient(rounds=1)) as client:
                with pytest.raises(NotConnected) as failed:
                    await client.connected(Protocol.MINING)
                assert isinstance(failed.value.__cause__, CertificateError)
            assert server.stats.opened == 0

    run_on_asyncio(main())


# Connecting again.


@NOISE
def test_a_client_that_finds_nobody_waits_longer_and_longer_with_jitter(noise: bool) -> None:
    async def main() -> None:
        waits = Waits()
        backoff = Backoff(1.0, 2.0, 8.0, rounds=7, sleep=waits.sleep, random=lambda: 0.5)
        async with await listen(stay, noise=noise) as server:
            port = server.port
        async with miner(noise, [port], backoff=backoff) as client:
            with pytest.raises(NotConnected) as failed:
                await client.connected(Protocol.MINING)
            assert isinstance(failed.value.__cause__, ConnectionRefusedError)
        assert waits.waits == [0.75, 1.5, 3.0, 6.0, 6.0, 6.0]

    run_on_asyncio(main())


def test_the_jitter_is_between_half_of_a_wait_and_all_of_it() -> None:
    shortest = Backoff(2.0, 3.0, 100.0, random=lambda: 0.0)
    longest = Backoff(2.0, 3.0, 100.0, random=lambda: 1.0)
    assert [shortest.delay(n) for n in (0, 1, 2, 3, 9)] == [1.0, 1.0, 3.0, 9.0, 50.0]
    assert [longest.delay(n) for n in (0, 1, 2, 3, 9)] == [2.0, 2.0, 6.0, 18.0, 100.0]
    assert longest.delay(10**9) == 100.0


@NOISE
def test_a_lost_connection_is_made_again_as_a_new_upstream(noise: bool) -> None:
    async def main() -> None:
        async with scripted(noise, drop, drop, stay) as server:
            handler = RecordingMining()
            async with miner(noise, [server.port], handler) as client:
                await until(lambda: handler.heard == ["+1", "-1", "+2", "-2", "+3"])
                assert (await client.connected(Protocol.MINING)) is handler.upstreams[2]
                assert handler.upstreams[0].ended is Ended.PEER_CLOSED
                assert client.stats.ended == {Ended.PEER_CLOSED: 2}
                with pytest.raises(StreamClosed):
                    await handler.upstreams[0].send(share())

    run_on_asyncio(main())


@NOISE
def test_a_client_fails_over_along_its_list_and_comes_back_to_the_first(noise: bool) -> None:
    async def main() -> None:
        async with await listen(stay, noise=noise) as down:
            nobody = down.port
        async with scripted(noise, drop) as flaky, scripted(noise, drop, stay) as good:
            waits, handler = Waits(), RecordingMining()
            backoff = Backoff(stable=1e9, sleep=waits.sleep)
            ports = [nobody, flaky.port, good.port]
            async with miner(noise, ports, handler, backoff=backoff):
                await until(lambda: len(handler.upstreams) == 4)
                seen = [upstream.endpoint.port for upstream in handler.upstreams]
                assert seen == [flaky.port, good.port, flaky.port, good.port]
                assert len(waits.waits) == 1

    run_on_asyncio(main())


@NOISE
def test_a_connection_that_was_stable_starts_the_list_again_with_the_shortest_wait(
    noise: bool,
) -> None:
    async def main() -> None:
        now = 0.0
        waits = Waits()
        backoff = Backoff(stable=30.0, sleep=waits.sleep, random=lambda: 1.0, clock=lambda: now)
        end = asyncio.Event()

        async def until_told(stream: Stream) -> None:
            await drop(stream)
            await end.wait()

        handler = RecordingMining()
        servers = scripted(noise, drop, drop, stay), scripted(noise, drop, until_told)
        async with servers[0] as first, servers[1] as second:
            ports = [first.port, second.port]
            async with miner(noise, ports, handler, backoff=backoff) as client:
                await until(lambda: len(handler.upstreams) == 4)
                await client.connected(Protocol.MINING)
                now = 31.0
                end.set()
                await until(lambda: len(handler.upstreams) == 5)
        seen = [upstream.endpoint.port for upstream in handler.upstreams]
        assert seen == [ports[0], ports[1], ports[0], ports[1], ports[0]]
        assert waits.waits == [1.0, 1.0]

    run_on_asyncio(main())


@NOISE
def test_losing_one_upstream_leaves_the_other_protocols_alone(noise: bool) -> None:
    async def main() -> None:
        async with scripted(noise, drop) as bad, scripted(noise, stay) as good:
            mine, feed = RecordingMining(), RecordingTemplates()
            config = ClientConfig(
                mining=upstreams(noise, bad.port),
                template_distribution=upstreams(noise, good.port),
                backoff=impatient(rounds=5),
            )
            client = Sv2ClientService(config, mining=mine, template_distribution=feed)
            async with client:
                await until(lambda: len(mine.upstreams) == 5)
                with contextlib.suppress(NotConnected):
                    while True:
                        await client.connected(Protocol.MINING)
                        await asyncio.sleep(0)
                assert client.is_connected(Protocol.TEMPLATE_DISTRIBUTION)
                assert feed.heard == ["+2"] or feed.heard == ["+1"]

    run_on_asyncio(main())


@NOISE
def test_a_handler_can_send_its_connection_to_the_next_upstream(noise: bool) -> None:
    class Picky(RecordingMining):
        async def on_set_target(self, upstream: Upstream, message: mining.SetTarget) -> Reply:
            raise Disconnect("too hard")

    async def hard(stream: Stream) -> None:
        await drop(stream)
        await stream.send(mining.SetTarget(1, bytes(32)))
        async for _ in stream:
            pass

    async def main() -> None:
        async with scripted(noise, hard) as first, scripted(noise, stay) as second:
            handler = Picky()
            async with miner(noise, [first.port, second.port], handler):
                await until(lambda: len(handler.upstreams) == 2)
                assert handler.upstreams[0].ended is Cause.DISMISSED
                assert handler.upstreams[1].endpoint.port == second.port

    run_on_asyncio(main())


@NOISE
def test_a_server_that_sends_no_message_for_too_long_is_left(noise: bool) -> None:
    async def main() -> None:
        async with scripted(noise, stay) as server:
            handler = RecordingMining()
            async with miner(noise, [server.port], handler, inactivity_limit=0.1) as client:
                await until(lambda: len(handler.upstreams) >= 2)
                assert handler.upstreams[0].ended is Cause.INACTIVE
                assert client.stats.ended[Cause.INACTIVE] >= 1

    run_on_asyncio(main())


# Reconnect.


@NOISE
def test_reconnect_to_another_port_is_obeyed(noise: bool) -> None:
    async def main() -> None:
        heard: list[Reconnect] = []

        class Told(RecordingMining):
            async def on_reconnect(self, upstream: Upstream, message: Reconnect) -> None:
                heard.append(message)

        async with scripted(noise, stay) as second:
            handler = Told()
            sending = scripted(noise, send_away("", second.port))
            async with sending as first, miner(noise, [first.port], handler):
                await until(lambda: len(handler.upstreams) == 2)
                assert handler.upstreams[0].ended is Cause.RECONNECT
                assert handler.upstreams[1].endpoint == Address("127.0.0.1", second.port)
                assert heard == [Reconnect("", second.port)]
                assert handler.messages == []

    run_on_asyncio(main())


@NOISE
def test_reconnect_does_not_wait_for_the_old_server_nor_for_a_handler_that_fails(
    noise: bool,
) -> None:
    class Failing(RecordingMining):
        async def on_reconnect(self, upstream: Upstream, message: Reconnect) -> None:
            raise RuntimeError

    async def main() -> None:
        holding = asyncio.Event()

        async def hold(stream: Stream) -> None:
            await drop(stream)
            await stream.send(Reconnect("", second.port))
            await holding.wait()

        async with scripted(noise, stay) as second, scripted(noise, hold) as first:
            handler = Failing()
            # A client that waits for the old server's end would be late for this test.
            options = Options(timeouts=Timeouts(close=10 * PATIENCE))
            async with miner(noise, [first.port], handler, options=options) as client:
                await until(lambda: len(handler.upstreams) == 2)
                upstream = await client.connected(Protocol.MINING)
                assert upstream.endpoint.port == second.port
                assert client.stats.handler_errors == 1
                holding.set()

    run_on_asyncio(main())


@NOISE
def test_a_solution_is_submitted_and_reaches_the_provider(noise: bool) -> None:
    class Provider(TemplateDistributionServerHandler):
        def __init__(self) -> None:
            self.solutions: list[td.SubmitSolution] = []

        async def on_submit_solution(self, client: Any, message: td.SubmitSolution) -> Reply:
            self.solutions.append(message)
            return None

    async def main() -> None:
        provider = Provider()
        async with Sv2ServerService(server_config(noise), template_distribution=provider) as tp:
            there = ClientConfig(template_distribution=upstreams(noise, tp.port))
            solution = td.SubmitSolution(1, 2, 3, 4, bytes(65_000))
            async with Sv2ClientService(there, template_distribution=RecordingTemplates()) as pool:
                await pool.connected(Protocol.TEMPLATE_DISTRIBUTION)
                await pool.send(Protocol.TEMPLATE_DISTRIBUTION, solution)
            # Sent, and at once stopped: what was queued went out.
            await until(lambda: provider.solutions)
            assert provider.solutions == [solution]

    run_on_asyncio(main())


@NOISE
def test_a_client_whose_connection_is_gone_is_not_connected(noise: bool) -> None:
    async def main() -> None:
        states: list[bool] = []

        class Watching(RecordingMining):
            async def on_disconnect(self, peer: Upstream) -> None:
                states.append(client.is_connected(Protocol.MINING))
                with pytest.raises(NotConnected):
                    await client.send(Protocol.MINING, share())
                await super().on_disconnect(peer)

        async with scripted(noise, drop, stay) as server:
            handler = Watching()
            client = miner(noise, [server.port], handler)
            async with client:
                await until(lambda: handler.heard == ["+1", "-1", "+2"])
                assert states == [False]

    run_on_asyncio(main())


@NOISE
def test_reconnect_without_host_and_port_means_the_same_server(noise: bool) -> None:
    async def main() -> None:
        async with scripted(noise, send_away("", 0), stay) as server:
            handler = RecordingMining()
            async with miner(noise, [server.port, 1], handler):
                await until(lambda: len(handler.upstreams) == 2)
                assert handler.upstreams[1].endpoint.port == server.port

    run_on_asyncio(main())


@NOISE
def test_only_a_proven_server_may_name_another_host(noise: bool) -> None:
    """127.0.0.2 is another host than 127.0.0.1, and listens as well."""

    async def main() -> None:
        security = IDENTITY if noise else PLAIN
        elsewhere = await serve(stay, "127.0.0.2", 0, security=security)
        async with elsewhere, scripted(noise, send_away("127.0.0.2", elsewhere.port), stay) as home:
            handler = RecordingMining()
            async with miner(noise, [home.port], handler):
                await until(lambda: len(handler.upstreams) == 2)
                host = "127.0.0.2" if noise else "127.0.0.1"
                assert handler.upstreams[1].endpoint.host == host

    run_on_asyncio(main())


def test_reconnect_to_a_server_of_another_authority_is_refused() -> None:
    impostor = ServerIdentity.self_issued(OTHER_AUTHORITY, STATIC)

    async def main() -> None:
        async with scripted(True, stay, identity=impostor) as trap:
            async with scripted(True, send_away("", trap.port), stay) as home:
                handler = RecordingMining()
                async with miner(True, [home.port], handler):
                    await until(lambda: len(handler.upstreams) == 2)
                    assert handler.upstreams[1].endpoint.port == home.port
            assert trap.stats.opened == 0
            assert trap.stats.accepted == 1

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize(
    "host", ["a b", "\x1b[2J", "-x", "ex\udcffample", "..", "a..b", "h" * 255, "::::"]
)
def test_reconnect_to_what_is_no_host_is_not_followed_and_does_no_harm(
    noise: bool, host: str
) -> None:
    async def main() -> None:
        async with scripted(noise, send_away(host, 0), stay) as server:
            handler = RecordingMining()
            async with miner(noise, [server.port], handler) as client:
                await until(lambda: len(handler.upstreams) == 2)
                assert handler.upstreams[1].endpoint == Address("127.0.0.1", server.port)
                assert client.stats.handler_errors == 0

    run_on_asyncio(main())


@NOISE
def test_servers_that_send_us_around_in_a_circle_are_backed_off_from(noise: bool) -> None:
    async def main() -> None:
        waits, handler = Waits(), RecordingMining()
        backoff = Backoff(1.0, 2.0, 60.0, rounds=6, sleep=waits.sleep, random=lambda: 1.0)
        async with scripted(noise, send_away("", 0)) as server:
            client = miner(noise, [server.port], handler, backoff=backoff)
            async with client:
                await until(lambda: client._links[Protocol.MINING].gave_up)
        assert len(handler.upstreams) == 6
        assert waits.waits == [1.0, 2.0, 4.0, 8.0, 16.0]

    run_on_asyncio(main())


# Extensions.


def granting(*numbers: int) -> Any:
    """Accept, grant these extensions whenever asked, and say when an endpoint has changed."""

    async def script(stream: Stream) -> None:
        await drop(stream)
        changed = False
        async for message in stream:
            match message:
                case RequestExtensions():
                    await stream.send(RequestExtensionsSuccess(message.request_id, list(numbers)))
                case mining.CloseChannel() if not changed:
                    changed = True
                    await stream.send(ChannelEndpointChanged(message.channel_id))
                    await stream.send(mining.SetTarget(1, bytes(32)))

    return script


@NOISE
def test_extensions_are_negotiated_before_the_handler_hears_of_the_connection(noise: bool) -> None:
    class Asking(RecordingMining):
        granted: frozenset[int] | None = None

        async def on_connect(self, peer: Upstream) -> Reply:
            self.granted = peer.extensions
            return await super().on_connect(peer)

    async def main() -> None:
        async with scripted(noise, granting(2)) as server:
            handler = Asking()
            client = miner(noise, [server.port], handler, extensions=frozenset({2, 3}))
            async with client:
                await client.connected(Protocol.MINING)
                assert handler.granted == frozenset({2})

    run_on_asyncio(main())


@NOISE
def test_an_endpoint_that_changes_resets_the_extensions_and_they_are_negotiated_again(
    noise: bool,
) -> None:
    class Changing(RecordingMining):
        changes: tuple[int, frozenset[int]] | None = None

        async def on_channel_endpoint_changed(
            self, upstream: Upstream, message: ChannelEndpointChanged
        ) -> Reply:
            self.changes = (message.channel_id, upstream.extensions)
            return None

    async def main() -> None:
        requests: list[RequestExtensions] = []
        grant = granting(2)

        async def counting(stream: Stream) -> None:
            receive = stream.receive

            async def noted(timeout: float | None = None) -> AnyMessage:
                message = await receive(timeout)
                if isinstance(message, RequestExtensions):
                    requests.append(message)
                return message

            stream.receive = noted  # type: ignore[method-assign]
            await grant(stream)

        async with scripted(noise, counting) as server:
            handler = Changing()
            client = miner(noise, [server.port], handler, extensions=frozenset({2}))
            async with client:
                upstream = await client.connected(Protocol.MINING)
                await client.send(Protocol.MINING, mining.CloseChannel(5, ""))
                await until(lambda: handler.messages)
                assert handler.changes == (5, frozenset({2}))
                assert len(requests) == 2
                assert upstream.extensions == {2}
                # The message that came meanwhile was kept, and handled after.
                assert handler.messages == [mining.SetTarget(1, bytes(32))]
                assert client.stats.connected == 1

    run_on_asyncio(main())


# Configuration and the end.


def test_handlers_and_upstreams_belong_together() -> None:
    there = upstreams(False, 1)
    with pytest.raises(ConfigError, match="no upstreams for MINING"):
        Sv2ClientService(ClientConfig(), mining=RecordingMining())
    with pytest.raises(ConfigError, match="no upstreams for MINING"):
        Sv2ClientService(ClientConfig(mining=upstreams(False)), mining=RecordingMining())
    with pytest.raises(ConfigError, match="no handler for MINING"):
        Sv2ClientService(ClientConfig(mining=there))
    with pytest.raises(ConfigError, match="no handler for MINING"):
        Sv2ClientService(ClientConfig(mining=there), mining=NullMiningClientHandler())
    with pytest.raises(ConfigError, match="no handler"):
        Sv2ClientService(
            ClientConfig(mining=there, job_declaration=there), mining=RecordingMining()
        )
    with pytest.raises(ConfigError, match="at least one"):
        Sv2ClientService(ClientConfig())


@pytest.mark.parametrize(
    ("address", "security"),
    [
        ("127.0.0.1:3333", None),
        (f"127.0.0.1:3333/{AUTHORITY.public_key}", PLAIN),
        (f"127.0.0.1:3333/{AUTHORITY.public_key}", CertificatePolicy(OTHER_AUTHORITY.public_key)),
    ],
    ids=["nobody to believe", "a key in the clear", "two authorities"],
)
def test_an_upstream_whose_security_is_in_doubt_is_a_mistake(address: str, security: Any) -> None:
    config = ClientConfig(mining=UpstreamConfig([address], security))
    with pytest.raises(ConfigError):
        Sv2ClientService(config, mining=RecordingMining())


@NOISE
def test_stopping_while_connected_leaves_nothing(noise: bool) -> None:
    async def main() -> None:
        ended: list[StreamClosed] = []

        async def watch(stream: Stream) -> None:
            await drop(stream)
            try:
                await stream.receive()
            except StreamClosed as closed:
                ended.append(closed)

        async with scripted(noise, watch) as server:
            client = miner(noise, [server.port])
            async with client:
                await client.connected(Protocol.MINING)
            assert not client.upstreams
            with pytest.raises(NotConnected):
                await client.connected(Protocol.MINING)
            await until(lambda: ended)
            assert ended[0].reason is Ended.PEER_CLOSED
            await until(lambda: not server.streams)
        assert not other_tasks()

    run_on_asyncio(main())


@NOISE
def test_stopping_while_not_connected_leaves_nothing(noise: bool) -> None:
    async def main() -> None:
        async with await listen(stay, noise=noise) as server:
            port = server.port
        client = miner(noise, [port], backoff=Backoff(first=1000.0, most=1000.0))
        async with client:
            await until(lambda: client.last_error(Protocol.MINING))
            assert not client.is_connected(Protocol.MINING)
            with pytest.raises(TimeoutError):
                await client.connected(Protocol.MINING, timeout=0.01)
        assert not other_tasks()

    run_on_asyncio(main())


def test_stopping_while_a_connection_is_being_made_leaves_nothing() -> None:
    async def main() -> None:
        accepted = asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await reader.read()
            writer.close()

        hanging = await asyncio.start_server(hold, "127.0.0.1", 0)
        async with hanging:
            port = hanging.sockets[0].getsockname()[1]
            async with miner(True, [port]):
                await accepted.wait()
            await until(lambda: not other_tasks())

    run_on_asyncio(main())
