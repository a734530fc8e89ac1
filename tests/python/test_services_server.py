"""A server service at work: its handlers, sending, injecting, errors, time and the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import pytest
from connections import vector_messages
from networking import NOISE, quick, reason_of_end, run_on_asyncio, until
from servicing import (
    GENEROUS,
    Recording,
    RecordingJobs,
    RecordingMining,
    RecordingTemplates,
    client_of,
    dial,
    other_tasks,
    server_config,
    setup,
    share,
)
from sv2.connection import Protocol
from sv2.extensions import ExtensionPolicy, user_identity, user_identity_tlv
from sv2.net import Ended, KeepAlive, Options, StreamClosed
from sv2.services import (
    Cause,
    Client,
    Disconnect,
    MiningServerHandler,
    NotConnected,
    Reply,
    Sv2ServerService,
)

import sv2_ffi
from sv2_ffi import AnyMessage, UnknownMessage, mining
from sv2_ffi import job_declaration as jd
from sv2_ffi import template_distribution as td
from sv2_ffi.common import SetupConnectionSuccess

TO_SERVER: dict[Protocol, dict[type[AnyMessage], type[AnyMessage] | None]] = {
    Protocol.MINING: {
        mining.OpenStandardMiningChannel: mining.OpenMiningChannelError,
        mining.OpenExtendedMiningChannel: mining.OpenMiningChannelError,
        mining.UpdateChannel: mining.UpdateChannelError,
        mining.CloseChannel: None,
        mining.SubmitSharesStandard: mining.SubmitSharesError,
        mining.SubmitSharesExtended: mining.SubmitSharesError,
        mining.SetCustomMiningJob: mining.SetCustomMiningJobError,
    },
    Protocol.JOB_DECLARATION: {
        jd.AllocateMiningJobToken: None,
        jd.DeclareMiningJob: jd.DeclareMiningJobError,
        jd.ProvideMissingTransactionsSuccess: None,
        jd.PushSolution: None,
    },
    Protocol.TEMPLATE_DISTRIBUTION: {
        td.CoinbaseOutputConstraints: None,
        td.RequestTransactionData: td.RequestTransactionDataError,
        td.SubmitSolution: None,
    },
}
HANDLERS = {
    Protocol.MINING: RecordingMining,
    Protocol.JOB_DECLARATION: RecordingJobs,
    Protocol.TEMPLATE_DISTRIBUTION: RecordingTemplates,
}


def service_of(handler: Recording, noise: bool, **changes: object) -> Sv2ServerService:
    config = server_config(noise, **changes)
    match handler:
        case RecordingMining():
            return Sv2ServerService(config, mining=handler)
        case RecordingJobs():
            return Sv2ServerService(config, job_declaration=handler)
        case RecordingTemplates():
            return Sv2ServerService(config, template_distribution=handler)
    raise TypeError


# Messages and their handlers.


@NOISE
@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda protocol: protocol.name)
def test_a_handler_that_overrides_nothing_answers_as_the_spec_asks(
    noise: bool, protocol: Protocol
) -> None:
    table = TO_SERVER[protocol]
    messages = [message for message in vector_messages() if type(message) in table]

    async def main() -> None:
        handler = HANDLERS[protocol]()
        service = service_of(handler, noise)
        async with service, client_of(service, noise, protocol) as stream:
            for message in messages:
                await stream.send(message)
                expected = table[type(message)]
                if expected is not None:
                    assert type(await stream.receive()) is expected
            await until(lambda: len(handler.messages) == len(messages))
            assert handler.messages == messages
            assert service.stats.handler_errors == 0

    assert {type(message) for message in messages} == set(table)
    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda protocol: protocol.name)
def test_messages_of_the_other_side_and_of_other_protocols_end_the_connection(
    noise: bool, protocol: Protocol
) -> None:
    kinds = {type(message): message for message in vector_messages()}
    alien = [
        message
        for kind, message in kinds.items()
        if kind not in TO_SERVER[protocol]
        and kind.__module__ not in ("sv2_ffi.common", "sv2_ffi.extensions")
    ]

    async def main() -> None:
        handler = HANDLERS[protocol]()
        async with service_of(handler, noise) as service:
            for message in alien:
                async with client_of(service, noise, protocol) as stream:
                    await stream.send(message)
                    assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
            await until(lambda: service.stats.ended.total() == len(alien))
            assert service.stats.ended == {Cause.UNEXPECTED_MESSAGE: len(alien)}
            assert service.stats.handler_errors == 0

    assert len(alien) > 20
    run_on_asyncio(main())


@NOISE
def test_unknown_messages_are_ignored(noise: bool) -> None:
    async def main() -> None:
        handler = RecordingMining()
        service = service_of(handler, noise)
        async with service, client_of(service, noise) as stream:
            await stream.send(UnknownMessage(0x0000, 0xEE, b"?"))
            await stream.send(UnknownMessage(0xC0DE, 0x01, b"\x01\0\0\0"))
            await stream.send(share(3))
            assert await stream.receive() == mining.SubmitSharesError(1, 3, "invalid-channel-id")
            assert handler.heard[1:3] == ["1 UnknownMessage", "1 UnknownMessage"]

    run_on_asyncio(main())


@NOISE
def test_a_malformed_message_ends_only_its_connection(noise: bool) -> None:
    class Malformed(UnknownMessage):
        """OpenStandardMiningChannel, cut off."""

    async def main() -> None:
        service = service_of(RecordingMining(), noise)
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as good, both[1] as bad:
            await bad.send(Malformed(0, mining.OpenStandardMiningChannel.message_type, b"\1\2"))
            assert (await reason_of_end(bad)).reason is Ended.PEER_CLOSED
            assert service.stats.ended == {Cause.MALFORMED_MESSAGE: 1}
            await good.send(share())
            assert isinstance(await good.receive(), mining.SubmitSharesError)

    run_on_asyncio(main())


@NOISE
def test_a_reply_may_be_nothing_one_message_or_several(noise: bool) -> None:
    class Several(RecordingMining):
        async def on_connect(self, peer: Client) -> Reply:
            return [mining.SetTarget(0, bytes(32)), mining.SetTarget(1, bytes(32))]

        async def on_close_channel(self, client: Client, message: mining.CloseChannel) -> Reply:
            return mining.CloseChannel(message.channel_id, "bye")

    async def main() -> None:
        service = service_of(Several(), noise)
        async with service, client_of(service, noise) as stream:
            assert await stream.receive() == mining.SetTarget(0, bytes(32))
            assert await stream.receive() == mining.SetTarget(1, bytes(32))
            await stream.send(mining.CloseChannel(4, ""))
            assert await stream.receive() == mining.CloseChannel(4, "bye")

    run_on_asyncio(main())


@NOISE
def test_a_handler_sees_the_tlvs_that_were_agreed_on_and_can_send_some(noise: bool) -> None:
    class Named(RecordingMining):
        async def on_submit_shares_extended(
            self, client: Client, message: mining.SubmitSharesExtended
        ) -> Reply:
            name = user_identity(client.tlvs(message))
            assert name is not None
            success = mining.SubmitSharesSuccess(message.channel_id, 1, 1, 1)
            await client.send(success, [user_identity_tlv(name.upper())])
            return None

    async def main() -> None:
        policy = ExtensionPolicy(supported=frozenset({2}))
        service = service_of(Named(), noise, extensions=policy)
        async with service, client_of(service, noise) as stream:
            await stream.negotiate({2})
            message = mining.SubmitSharesExtended(1, 1, 1, 1, 1, 1, b"")
            await stream.send(message, [user_identity_tlv("worker")])
            answer = await stream.receive()
            assert user_identity(stream.tlvs(answer)) == "WORKER"
            assert service.stats.handler_errors == 0

    run_on_asyncio(main())


# Sending from outside.


@NOISE
def test_messages_to_one_client_arrive_in_the_order_of_the_calls(noise: bool) -> None:
    async def main() -> None:
        service = service_of(RecordingMining(), noise)
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as first, both[1] as second:
            await until(lambda: len(service.clients) == 2)
            for number in range(0, 200, 4):
                await service.send(1, *(mining.SetTarget(number + i, bytes(32)) for i in (0, 1)))
                assert service.send_many([1], mining.SetTarget(number + 2, bytes(32))) == [1]
                await service.clients[1].send(mining.SetTarget(number + 3, bytes(32)))
            await service.send(2, mining.SetTarget(999, bytes(32)))
            got = [await first.receive() for _ in range(200)]
            assert got == [mining.SetTarget(number, bytes(32)) for number in range(200)]
            assert await second.receive() == mining.SetTarget(999, bytes(32))

    run_on_asyncio(main())


@NOISE
def test_messages_go_to_many_to_all_and_to_a_choice(noise: bool) -> None:
    a, b, c = (mining.SetTarget(number, bytes(32)) for number in range(3))

    async def main() -> None:
        handler, templates = RecordingMining(), RecordingTemplates()
        service = Sv2ServerService(
            server_config(noise), mining=handler, template_distribution=templates
        )
        three = [client_of(service, noise) for _ in range(3)]
        other = client_of(service, noise, Protocol.TEMPLATE_DISTRIBUTION)
        async with service, three[0] as one, three[1] as two, three[2] as gone, other as pool:
            await until(lambda: len(service.clients) == 4)
            gone.abort()
            await until(lambda: 3 not in service.clients)
            assert service.send_many([1, 2, 3, 77], a, b) == [1, 2]
            assert service.broadcast(c, protocol=Protocol.MINING) == [1, 2]
            assert service.broadcast(a, where=lambda client: client.id == 2) == [2]
            template = td.SetNewPrevHash(1, bytes(32), 2, 3, bytes(32))
            assert service.broadcast(template, protocol=Protocol.TEMPLATE_DISTRIBUTION) == [4]
            assert [await one.receive() for _ in range(3)] == [a, b, c]
            assert [await two.receive() for _ in range(4)] == [a, b, c, a]
            assert await pool.receive() == template
            with pytest.raises(NotConnected):
                await service.send(3, a)

    run_on_asyncio(main())


@NOISE
def test_a_broadcast_while_a_client_connects_reaches_it_after_setup(noise: bool) -> None:
    class Slow(RecordingMining):
        def __init__(self) -> None:
            super().__init__()
            self.reached: list[int] = []

        async def on_connect(self, peer: Client) -> Reply:
            self.reached = service.broadcast(mining.SetTarget(7, bytes(32)))
            return None

    handler = Slow()
    service = service_of(handler, noise)

    async def main() -> None:
        async with service, await dial(service, noise) as stream:
            assert await stream.set_up(setup()) == SetupConnectionSuccess(2, 0)
            assert await stream.receive() == mining.SetTarget(7, bytes(32))
            assert handler.reached == [1]

    run_on_asyncio(main())


@NOISE
def test_an_injected_message_is_handled_as_if_it_had_come_from_the_client(noise: bool) -> None:
    async def main() -> None:
        handler = RecordingMining()
        service = service_of(handler, noise)
        async with service, client_of(service, noise) as stream:
            await until(lambda: handler.heard)
            await service.inject(1, share(8))
            assert handler.heard == ["+1", "1 SubmitSharesStandard"]
            assert await stream.receive() == mining.SubmitSharesError(1, 8, "invalid-channel-id")
            with pytest.raises(NotConnected):
                await service.inject(2, share())
            with pytest.raises(Disconnect):
                await service.inject(1, mining.SetTarget(1, bytes(32)))
            assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
            await until(lambda: not service.clients)
            assert service.stats.ended == {Cause.UNEXPECTED_MESSAGE: 1}

    run_on_asyncio(main())


# Errors of handlers.


class Failing(RecordingMining):
    """Fails on shares whose sequence number says how."""

    def __init__(self, fatal: bool = False) -> None:
        super().__init__()
        self.fatal = fatal

    async def on_submit_shares_standard(
        self, client: Client, message: mining.SubmitSharesStandard
    ) -> Reply:
        match message.sequence_number:
            case 1:
                raise ValueError("secret text of a peer\x1b[31m")
            case 2:
                raise Disconnect("enough")
            case 3:
                return mining.SubmitSharesError(1 << 40, 0, "does not fit")
            case 4:
                raise StreamClosed(Ended.LOST)
            case 5:
                raise sv2_ffi.MalformedMessage("Other", "field", 0, "decoded by the handler")
        return await super().on_submit_shares_standard(client, message)

    async def on_error(self, peer: Client, message: AnyMessage, error: Exception) -> bool:
        return self.fatal


@NOISE
@pytest.mark.parametrize("number", [1, 3, 4, 5])
def test_an_error_of_a_handler_is_counted_and_the_connection_goes_on(
    noise: bool, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service = service_of(Failing(), noise)
        async with service, client_of(service, noise) as stream:
            await stream.send(share(number))
            await stream.send(share(0))
            assert await stream.receive() == mining.SubmitSharesError(1, 0, "invalid-channel-id")
            assert service.stats.handler_errors == 1

    with caplog.at_level(logging.ERROR, "sv2.services.server"):
        run_on_asyncio(main())
    (record,) = caplog.records
    fields = record.sv2  # type: ignore[attr-defined]
    assert fields["event"] == "handler-error"
    assert (fields["peer"], fields["message"]) == (1, "SubmitSharesStandard")
    if number != 3:  # which fails after the handler, when its reply is sent
        assert "on_submit_shares_standard" in fields["at"]
    assert "secret" not in caplog.text
    assert "\x1b" not in caplog.text


@NOISE
def test_a_peer_that_makes_a_handler_fail_again_and_again_does_not_fill_the_log(
    noise: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service = service_of(Failing(), noise)
        async with service, client_of(service, noise) as stream:
            for _ in range(100):
                await stream.send(share(1))
            await until(lambda: service.stats.handler_errors == 100)

    with caplog.at_level(logging.ERROR, "sv2.services.server"):
        run_on_asyncio(main())
    logged = [record.sv2["errors"] for record in caplog.records]  # type: ignore[attr-defined]
    assert logged == [1, 2, 4, 8, 16, 32, 64]


@NOISE
def test_an_error_of_a_handler_ends_the_connection_where_it_says_so(noise: bool) -> None:
    async def main() -> None:
        service = service_of(Failing(fatal=True), noise)
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as good, both[1] as bad:
            await bad.send(share(1))
            assert (await reason_of_end(bad)).reason is Ended.PEER_CLOSED
            assert service.stats.ended == {Cause.HANDLER_FAILED: 1}
            await good.send(share(2))
            assert (await reason_of_end(good)).reason is Ended.PEER_CLOSED
            assert service.stats.ended == {Cause.HANDLER_FAILED: 1, Cause.DISMISSED: 1}
            assert service.stats.handler_errors == 1

    run_on_asyncio(main())


@NOISE
def test_an_error_in_on_connect_ends_the_connection_and_on_disconnect_follows(noise: bool) -> None:
    class Moody(RecordingMining):
        async def on_connect(self, peer: Client) -> Reply:
            await super().on_connect(peer)
            raise RuntimeError

        async def on_disconnect(self, peer: Client) -> None:
            await super().on_disconnect(peer)
            raise RuntimeError

    async def main() -> None:
        handler = Moody()
        service = service_of(handler, noise)
        async with service, client_of(service, noise) as stream:
            assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
            await until(lambda: handler.heard == ["+1", "-1"])
            assert handler.peers[0].ended is Cause.HANDLER_FAILED
            await until(lambda: service.stats.handler_errors == 2)

    run_on_asyncio(main())


# Time.


@NOISE
def test_a_client_that_sends_no_message_for_too_long_is_disconnected(noise: bool) -> None:
    async def main() -> None:
        handler = RecordingMining()
        service = service_of(handler, noise, inactivity_limit=1.0)
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as busy, both[1] as silent:
            end = asyncio.ensure_future(reason_of_end(silent))
            while not end.done():
                await busy.send(share())
                await busy.receive()
            assert end.result().reason is Ended.PEER_CLOSED
            await until(lambda: 2 not in service.clients)
            assert service.stats.ended == {Cause.INACTIVE: 1}
            assert 1 in service.clients
            assert "-2" in handler.heard

    run_on_asyncio(main())


@NOISE
def test_without_an_inactivity_limit_a_silent_client_stays(noise: bool) -> None:
    async def main() -> None:
        service = service_of(RecordingMining(), noise, handler_timeout=0.04)
        async with service, client_of(service, noise) as stream:
            # The watch runs every 10 ms: it has looked at this client many times.
            await asyncio.sleep(0.2)
            await stream.send(share())
            assert isinstance(await stream.receive(), mining.SubmitSharesError)

    run_on_asyncio(main())


class Hanging(RecordingMining):
    """Waits for ``release`` on shares; refuses cancellation when stubborn."""

    def __init__(self, stubborn: bool = False) -> None:
        super().__init__()
        self.stubborn = stubborn
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def on_submit_shares_standard(
        self, client: Client, message: mining.SubmitSharesStandard
    ) -> Reply:
        self.entered.set()
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
        return mining.SubmitSharesSuccess(1, 1, 1, 1)


@NOISE
def test_a_handler_that_hangs_is_cancelled_and_its_client_ended(noise: bool) -> None:
    async def main() -> None:
        handler = Hanging()
        service = service_of(handler, noise, handler_timeout=0.1)
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as good, both[1] as bad:
            await bad.send(share())
            await handler.entered.wait()
            await good.send(mining.UpdateChannel(1, 1.0, bytes(32)))
            assert isinstance(await good.receive(), mining.UpdateChannelError)
            assert (await reason_of_end(bad)).reason is Ended.PEER_CLOSED
            assert service.stats.handler_timeouts == 1
            await until(lambda: service.stats.ended == {Cause.HANDLER_TIMEOUT: 1})
            await until(lambda: "-2" in handler.heard)

    run_on_asyncio(main())


@NOISE
def test_the_socket_of_a_handler_that_ignores_its_cancellation_is_freed(noise: bool) -> None:
    async def main() -> None:
        handler = Hanging(stubborn=True)
        service = service_of(handler, noise, handler_timeout=0.05)
        async with service, client_of(service, noise) as stream:
            await stream.send(share())
            assert isinstance(await reason_of_end(stream), StreamClosed)
            assert not service.clients
            handler.release.set()
            await until(lambda: "-1" in handler.heard)

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize("policy", [KeepAlive(idle=7, interval=3, count=2), None])
def test_the_keepalive_policy_is_that_of_the_options(noise: bool, policy: KeepAlive | None) -> None:
    async def main() -> None:
        service = service_of(RecordingMining(), noise, options=Options(keepalive=policy))
        async with service, client_of(service, noise):
            await until(lambda: service.clients)
            transport = service.clients[1].stream._transport
            assert transport is not None
            sock = transport.get_extra_info("socket")
            on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert bool(on) is (policy is not None)
            if policy is not None and hasattr(socket, "TCP_KEEPIDLE"):
                idle = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                assert idle == policy.idle

    run_on_asyncio(main())


@NOISE
def test_the_socket_is_freed_when_on_disconnect_ignores_its_cancellation(noise: bool) -> None:
    class Clinging(RecordingMining):
        def __init__(self) -> None:
            super().__init__()
            self.release = asyncio.Event()

        async def on_disconnect(self, peer: Client) -> None:
            while not self.release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self.release.wait()
            self.heard.append("let go")

    async def main() -> None:
        handler = Clinging()
        service = service_of(handler, noise, handler_timeout=0.05)
        async with service, client_of(service, noise) as stream:
            await until(lambda: service.clients)
            await stream.send(mining.SetTarget(1, bytes(32)))
            assert isinstance(await reason_of_end(stream), StreamClosed)
            await until(lambda: not service._net().streams)
            handler.release.set()
            await until(lambda: "let go" in handler.heard)
            await until(lambda: not service._sessions)

    run_on_asyncio(main())


# The beginning and the end.


@NOISE
def test_a_server_without_clients_stops(noise: bool) -> None:
    async def main() -> None:
        service = service_of(RecordingMining(), noise)
        async with service:
            assert other_tasks()
        assert not other_tasks()
        with pytest.raises(OSError, match="onnect"):
            await dial(service, noise)

    run_on_asyncio(main())


@NOISE
def test_stopping_disconnects_all_clients_and_leaves_nothing(noise: bool) -> None:
    async def main() -> None:
        handler = RecordingMining()
        async with contextlib.AsyncExitStack() as exits:
            async with service_of(handler, noise, options=quick(close=0.2)) as service:
                clients = [
                    await exits.enter_async_context(client_of(service, noise)) for _ in range(3)
                ]
                await until(lambda: len(service.clients) == 3)
            for stream in clients:
                assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
        assert sorted(handler.heard) == ["+1", "+2", "+3", "-1", "-2", "-3"]
        assert service.stats.ended == {Cause.STOPPED: 3}
        assert not service.clients
        assert not other_tasks()

    run_on_asyncio(main())


@NOISE
def test_stopping_lets_the_message_in_hand_finish(noise: bool) -> None:
    async def main() -> None:
        handler = Hanging()
        service = service_of(handler, noise, drain=20.0, options=GENEROUS)
        await service.start()
        async with client_of(service, noise) as stream:
            await stream.send(share())
            await stream.send(mining.UpdateChannel(1, 1.0, bytes(32)))
            await handler.entered.wait()
            stopping = asyncio.create_task(service.stop())
            await until(lambda: service._stopping)
            handler.release.set()
            assert await stream.receive() == mining.SubmitSharesSuccess(1, 1, 1, 1)
            with pytest.raises(StreamClosed):
                await stream.receive()
            await stream.close()
            await stopping
        assert handler.heard == ["+1", "1 SubmitSharesStandard", "-1"]

    run_on_asyncio(main())


@NOISE
def test_stopping_cancels_what_outlasts_the_drain_time(noise: bool) -> None:
    async def main() -> None:
        handler = Hanging()
        service = service_of(handler, noise, drain=0.05, options=quick(close=0.1))
        await service.start()
        async with client_of(service, noise) as stream:
            await stream.send(share())
            await handler.entered.wait()
            await service.stop()
            assert service.stats.ended == {Cause.STOPPED: 1}
            assert handler.heard[-1] == "-1"

    run_on_asyncio(main())


@NOISE
def test_cancelling_the_program_stops_the_server(noise: bool) -> None:
    async def main() -> None:
        handler = RecordingMining()
        service = service_of(handler, noise)

        async def program() -> None:
            async with service:
                await service.serve_forever()

        running = asyncio.create_task(program())
        await until(lambda: service._server)
        async with client_of(service, noise) as stream:
            await until(lambda: handler.heard)
            running.cancel()
            assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
        with pytest.raises(asyncio.CancelledError):
            await running
        assert handler.heard == ["+1", "-1"]
        assert not other_tasks()

    run_on_asyncio(main())


class Living(RecordingMining):
    """Runs a task in the background, and may fail to start."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails

    async def on_start(self, service: Sv2ServerService) -> None:
        self.heard.append("start")
        service.spawn(self._work(), "work")
        service.spawn(self._break(), "break")
        await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError("no node")

    async def _work(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.heard.append("work cancelled")

    async def _break(self) -> None:
        raise KeyError("broken")

    async def on_stop(self) -> None:
        self.heard.append("stop")


def test_background_work_lives_as_long_as_the_service_and_its_errors_are_counted() -> None:
    async def main() -> None:
        handler = Living()
        async with service_of(handler, noise=False) as service:
            await until(lambda: service.stats.handler_errors == 1)
        assert handler.heard == ["start", "work cancelled", "stop"]
        assert not other_tasks()

    run_on_asyncio(main())


def test_a_handler_that_cannot_start_keeps_the_server_from_starting() -> None:
    async def main() -> None:
        handler = Living(fails=True)
        service = service_of(handler, noise=False)
        with pytest.raises(RuntimeError, match="no node"):
            await service.start()
        assert handler.heard == ["start", "work cancelled"]
        assert not other_tasks()

    run_on_asyncio(main())


def test_a_port_that_is_taken_is_said_and_nothing_is_left() -> None:
    async def main() -> None:
        async with service_of(RecordingMining(), noise=False) as first:
            handler = Living()
            second = service_of(handler, noise=False, port=first.port)
            with pytest.raises(OSError, match="address already in use"):
                await second.start()
            assert handler.heard == ["start", "work cancelled", "stop"]

    run_on_asyncio(main())


def test_a_service_starts_once_and_stops_as_often_as_it_is_told() -> None:
    async def main() -> None:
        service = Sv2ServerService(server_config(noise=False), mining=MiningServerHandler())
        async with service:
            with pytest.raises(RuntimeError):
                await service.start()
            await service.stop()
            await service.serve_forever()
        await service.stop()

    run_on_asyncio(main())


@NOISE
def test_a_handler_may_stop_its_own_service(noise: bool) -> None:
    class Last(RecordingMining):
        async def on_close_channel(self, client: Client, message: mining.CloseChannel) -> Reply:
            await service.stop()
            return None

    service = service_of(Last(), noise, options=quick(close=0.2))

    async def main() -> None:
        async with service, client_of(service, noise) as stream:
            await stream.send(mining.CloseChannel(1, ""))
            assert isinstance(await reason_of_end(stream), StreamClosed)
            await service.serve_forever()

    run_on_asyncio(main())
