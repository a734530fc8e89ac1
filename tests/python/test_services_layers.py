"""Layers: what is ours, and how they stack."""

from __future__ import annotations

import asyncio
import logging

import pytest
from networking import NOISE, reason_of_end, run_on_asyncio, until
from servicing import RecordingMining, client_of, dial, server_config, setup, share
from sv2.net import Ended, SetupRefused
from sv2.services import (
    Cause,
    Client,
    Disconnect,
    Handle,
    Layer,
    Metrics,
    Peer,
    Reply,
    Sv2ServerService,
    access_list,
    log_messages,
    rate_limit,
    timeout,
)

from sv2_ffi import AnyMessage, mining
from sv2_ffi.common import SetupConnection, SetupConnectionError, SetupConnectionSuccess
from sv2_ffi.mining import SubmitSharesError, SubmitSharesStandard


def service_with(
    noise: bool, *layers: Layer, handler: RecordingMining | None = None
) -> Sv2ServerService:
    return Sv2ServerService(
        server_config(noise, layers=layers), mining=handler or RecordingMining()
    )


def noting(name: str, notes: list[str]) -> Layer:
    def layer(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            notes.append(f"> {name} {type(message).__name__}")
            reply = await inner(peer, message)
            notes.append(f"< {name} {type(reply).__name__}")
            return reply

        return handle

    return layer


@NOISE
def test_messages_pass_the_layers_inwards_and_replies_outwards(noise: bool) -> None:
    async def main() -> None:
        notes: list[str] = []
        service = service_with(noise, noting("a", notes), noting("b", notes))
        async with service, client_of(service, noise) as stream:
            await stream.send(share())
            await stream.receive()
        assert notes == [
            "> a SetupConnection",
            "> b SetupConnection",
            "< b SetupConnectionSuccess",
            "< a SetupConnectionSuccess",
            "> a SubmitSharesStandard",
            "> b SubmitSharesStandard",
            "< b SubmitSharesError",
            "< a SubmitSharesError",
        ]

    run_on_asyncio(main())


@NOISE
def test_a_layer_can_answer_by_itself_change_a_reply_and_end_a_connection(noise: bool) -> None:
    def meddling(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            match message:
                case SubmitSharesStandard(sequence_number=1):
                    return mining.SubmitSharesSuccess(1, 1, 1, 1)
                case SubmitSharesStandard(sequence_number=2):
                    return [mining.SetTarget(1, bytes(32)), *([await inner(peer, message)])]  # type: ignore[list-item]
                case SubmitSharesStandard(sequence_number=3):
                    raise Disconnect("three")
            return await inner(peer, message)

        return handle

    async def main() -> None:
        handler = RecordingMining()
        service = service_with(noise, meddling, handler=handler)
        async with service, client_of(service, noise) as stream:
            for number in (1, 2, 3):
                await stream.send(share(number))
            assert await stream.receive() == mining.SubmitSharesSuccess(1, 1, 1, 1)
            assert await stream.receive() == mining.SetTarget(1, bytes(32))
            assert await stream.receive() == SubmitSharesError(1, 2, "invalid-channel-id")
            assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
            assert handler.messages == [share(2)]
            await until(lambda: service.stats.ended == {Cause.DISMISSED: 1})

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize("reply", [None, mining.SetTarget(1, bytes(32)), ValueError])
def test_a_layer_that_breaks_setup_ends_that_setup_only(noise: bool, reply: object) -> None:
    broken = True

    def breaking(inner: Handle) -> Handle:
        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            if broken:
                if reply is ValueError:
                    raise ValueError
                return reply  # type: ignore[return-value]
            return await inner(peer, message)

        return handle

    async def main() -> None:
        nonlocal broken
        handler = RecordingMining()
        async with service_with(noise, breaking, handler=handler) as service:
            stream = await dial(service, noise)
            await stream.send(setup())
            if reply is ValueError:
                assert await stream.receive() == SetupConnectionError(0, "internal-error")
                assert service.stats.handler_errors == 1
            assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
            await stream.close()
            assert handler.heard == []
            broken = False
            async with client_of(service, noise):
                await until(lambda: handler.heard == ["+2"])

    run_on_asyncio(main())


@NOISE
def test_messages_are_logged_by_class_and_never_by_content(
    noise: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service = service_with(noise, log_messages(logging.INFO))
        async with service, client_of(service, noise, vendor="evil\nvendor") as stream:
            await stream.send(share())
            await stream.receive()

    with caplog.at_level(logging.DEBUG):
        run_on_asyncio(main())
    events = [
        record.sv2  # type: ignore[attr-defined]
        for record in caplog.records
        if record.name == "sv2.services.messages"
    ]
    assert events == [
        {
            "event": "handled",
            "peer": 1,
            "message": "SetupConnection",
            "reply": "SetupConnectionSuccess",
        },
        {
            "event": "handled",
            "peer": 1,
            "message": "SubmitSharesStandard",
            "reply": "SubmitSharesError",
        },
    ]
    assert "evil" not in caplog.text


@NOISE
def test_metrics_count_by_class(noise: bool) -> None:
    class Raising(RecordingMining):
        async def on_close_channel(self, client: Client, message: mining.CloseChannel) -> Reply:
            raise ValueError

    async def main() -> None:
        metrics = Metrics()
        service = service_with(noise, metrics.layer, handler=Raising())
        async with service, client_of(service, noise) as stream:
            await stream.send(mining.CloseChannel(1, ""))
            for number in range(3):
                await stream.send(share(number))
                await stream.receive()
        assert metrics.handled == {
            SetupConnection: 1,
            mining.CloseChannel: 1,
            SubmitSharesStandard: 3,
        }
        assert metrics.replied == {SetupConnectionSuccess: 1, SubmitSharesError: 3}
        assert metrics.failed == {mining.CloseChannel: 1}
        assert metrics.seconds.keys() == metrics.handled.keys()
        assert all(seconds > 0 for seconds in metrics.seconds.values())

    run_on_asyncio(main())


@NOISE
def test_a_rate_limit_makes_what_comes_faster_wait_and_only_that(noise: bool) -> None:
    async def main() -> None:
        now, waits = 0.0, []

        async def sleep(seconds: float) -> None:
            nonlocal now
            waits.append(round(seconds, 6))
            now += seconds

        limit = rate_limit(10.0, burst=4, clock=lambda: now, sleep=sleep)
        service = service_with(noise, limit)
        async with service, client_of(service, noise) as stream:

            async def exchange(count: int) -> None:
                for number in range(count):
                    await stream.send(share(number))
                    assert isinstance(await stream.receive(), SubmitSharesError)

            await exchange(3)  # setup was the first of the burst
            assert waits == []
            await exchange(2)
            assert waits == [0.1, 0.1]
            now += 0.25
            await exchange(2)
            assert waits == [0.1, 0.1]
            await exchange(1)
            assert waits == [0.1, 0.1, 0.05]
            now += 1000.0
            await exchange(4)
            assert len(waits) == 3

    run_on_asyncio(main())


@NOISE
def test_a_rate_limit_can_disconnect_instead_and_others_are_not_counted(noise: bool) -> None:
    async def main() -> None:
        service = service_with(noise, rate_limit(1.0, burst=3, end=True, clock=lambda: 0.0))
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as hasty, both[1] as calm:
            for number in range(3):
                await hasty.send(share(number))
            await hasty.receive()
            await hasty.receive()
            assert (await reason_of_end(hasty)).reason is Ended.PEER_CLOSED
            assert service.stats.ended == {Cause.RATE: 1}
            for number in range(2):
                await calm.send(share(number))
                assert isinstance(await calm.receive(), SubmitSharesError)

    run_on_asyncio(main())


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_a_rate_limit_that_lets_nothing_through_is_a_mistake(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        rate_limit(rate, burst)


@NOISE
def test_a_time_out_cancels_the_handler_and_the_connection_goes_on_unless_told(
    noise: bool,
) -> None:
    class Hanging(RecordingMining):
        cancelled = 0

        async def on_close_channel(self, client: Client, message: mining.CloseChannel) -> Reply:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
            return None

    async def main() -> None:
        for end in (False, True):
            handler = Hanging()
            service = service_with(noise, timeout(0.05, end=end), handler=handler)
            async with service, client_of(service, noise) as stream:
                await stream.send(mining.CloseChannel(1, ""))
                await stream.send(share())
                if end:
                    assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
                    assert service.stats.ended == {Cause.HANDLER_TIMEOUT: 1}
                else:
                    assert isinstance(await stream.receive(), SubmitSharesError)
                    assert service.stats.handler_errors == 1
                assert handler.cancelled == 1

    run_on_asyncio(main())


ACCESS = {
    "allowed": (access_list(allow=["127.0.0.0/8"]), True),
    "not among those allowed": (access_list(allow=["192.0.2.0/24", "::/0"]), False),
    "denied": (access_list(deny=["127.0.0.1/32"]), False),
    "not among those denied": (access_list(deny=["127.0.0.2/32"]), True),
    "allowed and denied": (access_list(allow=["127.0.0.0/8"], deny=["127.0.0.1"]), False),
    "nobody is allowed": (access_list(allow=[]), False),
}


@NOISE
@pytest.mark.parametrize(("layer", "permitted"), ACCESS.values(), ids=ACCESS.keys())
def test_an_access_list_refuses_setup_by_address(
    noise: bool, layer: Layer, permitted: bool
) -> None:
    async def main() -> None:
        handler = RecordingMining()
        async with service_with(noise, layer, handler=handler) as service:
            async with await dial(service, noise) as stream:
                if permitted:
                    assert await stream.set_up(setup()) == SetupConnectionSuccess(2, 0)
                    return
                with pytest.raises(SetupRefused) as refused:
                    await stream.set_up(setup())
            assert refused.value.error == SetupConnectionError(0, "access-denied")
            await until(lambda: service.stats.ended == {Cause.REFUSED: 1})
            assert service.stats.refused == {"access-denied": 1}
            assert handler.heard == []

    run_on_asyncio(main())


def test_a_network_that_is_none_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="300"):
        access_list(deny=["300.0.0.0/8"])
