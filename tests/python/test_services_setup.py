"""Setup: protocol, versions, flags and extensions, before any handler sees a message."""

from __future__ import annotations

import dataclasses

import pytest
from networking import NOISE, quick, reason_of_end, run_on_asyncio, until
from servicing import (
    RecordingJobs,
    RecordingMining,
    RecordingTemplates,
    client_of,
    dial,
    request_data,
    server_config,
    setup,
    share,
)
from sv2.connection import PLAIN, Protocol
from sv2.extensions import ExtensionPolicy
from sv2.net import Ended, SetupRefused
from sv2.services import (
    Cause,
    Client,
    ConfigError,
    NullMiningServerHandler,
    ServerConfig,
    Sv2ServerService,
)

from sv2_ffi.common import SetupConnection, SetupConnectionError, SetupConnectionSuccess
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess
from sv2_ffi.mining import SubmitSharesError
from sv2_ffi.template_distribution import RequestTransactionDataError

REFUSALS = {
    "protocol that nobody handles": (
        setup(Protocol.TEMPLATE_DISTRIBUTION),
        SetupConnectionError(0, "unsupported-protocol"),
    ),
    "protocol that does not exist": (setup(77), SetupConnectionError(0, "unsupported-protocol")),
    "versions below ours": (
        setup(min_version=1, max_version=1),
        SetupConnectionError(0, "protocol-version-mismatch"),
    ),
    "versions above ours": (
        setup(min_version=3, max_version=9),
        SetupConnectionError(0, "protocol-version-mismatch"),
    ),
    "versions the wrong way round": (
        setup(min_version=3, max_version=1),
        SetupConnectionError(0, "protocol-version-mismatch"),
    ),
    "one flag": (setup(flags=0b1000), SetupConnectionError(0b1000, "unsupported-feature-flags")),
    "all flags": (
        setup(flags=0xFFFFFFFF),
        SetupConnectionError(0xFFFFFFFF & ~0b101, "unsupported-feature-flags"),
    ),
}


class Flagged(RecordingMining):
    supported_flags = 0b101

    def success_flags(self, client: Client) -> int:
        return 0b10 if client.flags & 1 else 0


@NOISE
def test_setup_succeeds_and_the_client_is_known(noise: bool) -> None:
    async def main() -> None:
        jobs = RecordingJobs()
        async with Sv2ServerService(server_config(noise), job_declaration=jobs) as service:
            request = setup(Protocol.JOB_DECLARATION)
            async with await dial(service, noise) as stream:
                assert await stream.set_up(request) == SetupConnectionSuccess(2, 0)
                await until(lambda: service.clients)
                (client,) = service.clients.values()
                assert client.id == 1
                assert client.setup == request
                assert client.protocol is Protocol.JOB_DECLARATION
                assert client.address[0] == "127.0.0.1"
                assert jobs.heard == ["+1"]
            await until(lambda: not service.clients)
        assert jobs.heard == ["+1", "-1"]
        assert service.stats.ended == {Ended.PEER_CLOSED: 1}

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize(("request_", "answer"), REFUSALS.values(), ids=REFUSALS.keys())
def test_setup_is_refused_with_the_reason_and_then_the_end(
    noise: bool, request_: SetupConnection, answer: SetupConnectionError
) -> None:
    async def main() -> None:
        handler = Flagged()
        async with Sv2ServerService(server_config(noise), mining=handler) as service:
            stream = await dial(service, noise)
            with pytest.raises(SetupRefused) as refused:
                await stream.set_up(request_)
            assert refused.value.error == answer
            assert (await reason_of_end(stream)).reason is Ended.PEER_CLOSED
            await stream.close()
            await until(lambda: service.stats.ended)
            assert service.stats.ended == {Cause.REFUSED: 1}
            assert service.stats.refused == {answer.error_code: 1}
            assert not service.clients
        assert handler.heard == []

    run_on_asyncio(main())


@NOISE
@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [((2, 2), (2, 2), 2), ((2, 5), (1, 3), 3), ((2, 5), (4, 9), 5), ((2, 5), (0, 2), 2)],
)
def test_the_highest_version_that_both_know_is_used(
    noise: bool, ours: tuple[int, int], theirs: tuple[int, int], used: int
) -> None:
    async def main() -> None:
        config = server_config(noise, min_version=ours[0], max_version=ours[1])
        service = Sv2ServerService(config, mining=RecordingMining())
        async with service, await dial(service, noise) as stream:
            request = setup(min_version=theirs[0], max_version=theirs[1])
            assert await stream.set_up(request) == SetupConnectionSuccess(used, 0)

    run_on_asyncio(main())


@NOISE
def test_supported_flags_are_accepted_and_the_handler_sets_its_own(noise: bool) -> None:
    async def main() -> None:
        async with Sv2ServerService(server_config(noise), mining=Flagged()) as service:
            for flags, answer in ((0b101, 0b10), (0b100, 0), (0, 0)):
                async with await dial(service, noise) as stream:
                    success = await stream.set_up(setup(flags=flags))
                    assert success == SetupConnectionSuccess(2, answer)

    run_on_asyncio(main())


@NOISE
def test_each_client_reaches_the_handler_of_its_protocol(noise: bool) -> None:
    async def main() -> None:
        mining, templates = RecordingMining(), RecordingTemplates()
        service = Sv2ServerService(
            server_config(noise), mining=mining, template_distribution=templates
        )
        async with service:
            assert service.protocols == {Protocol.MINING, Protocol.TEMPLATE_DISTRIBUTION}
            async with (
                client_of(service, noise) as miner,
                client_of(service, noise, Protocol.TEMPLATE_DISTRIBUTION) as pool,
            ):
                await miner.send(share(5))
                assert await miner.receive() == SubmitSharesError(1, 5, "invalid-channel-id")
                await pool.send(request_data(9))
                assert await pool.receive() == RequestTransactionDataError(
                    9, "template-id-not-found"
                )
                assert len(service.clients) == 2
        assert mining.heard[:2] == ["+1", "1 SubmitSharesStandard"]
        assert templates.heard[:2] == ["+2", "2 RequestTransactionData"]

    run_on_asyncio(main())


@NOISE
def test_a_client_that_never_sets_up_is_ended_and_no_handler_hears_of_it(noise: bool) -> None:
    async def main() -> None:
        handler = RecordingMining()
        config = server_config(noise, options=quick(setup=0.1))
        async with Sv2ServerService(config, mining=handler) as service:
            stream = await dial(service, noise)
            assert (await reason_of_end(stream)).reason in (Ended.PEER_CLOSED, Ended.LOST)
            await until(lambda: service.stats.ended)
            assert service.stats.ended == {Ended.SETUP_TIMEOUT: 1}
        assert handler.heard == []

    run_on_asyncio(main())


@NOISE
def test_extensions_are_answered_by_the_policy(noise: bool) -> None:
    async def main() -> None:
        policy = ExtensionPolicy(supported=frozenset({2, 3}))
        handler = RecordingMining()
        config = server_config(noise, extensions=policy)
        service = Sv2ServerService(config, mining=handler)
        async with service, client_of(service, noise) as stream:
            await stream.send(RequestExtensions(1, [2, 9]))
            assert await stream.receive() == RequestExtensionsSuccess(1, [2])
            (client,) = service.clients.values()
            assert client.extensions == {2}
            await stream.send(RequestExtensions(2, [9]))
            assert await stream.receive() == RequestExtensionsError(2, [9], [])
        assert handler.heard == ["+1", "-1"]

    run_on_asyncio(main())


@NOISE
def test_a_client_that_goes_on_without_a_required_extension_is_ended(noise: bool) -> None:
    async def main() -> None:
        policy = ExtensionPolicy(supported=frozenset({2}), required=frozenset({2}))
        handler = RecordingMining()
        config = server_config(noise, extensions=policy)
        service = Sv2ServerService(config, mining=handler)
        both = client_of(service, noise), client_of(service, noise)
        async with service, both[0] as good, both[1] as bad:
            await bad.send(share())
            assert (await reason_of_end(bad)).reason is Ended.PEER_CLOSED
            assert await good.negotiate({2}) == {2}
            await good.send(share())
            assert isinstance(await good.receive(), SubmitSharesError)
            assert service.stats.ended == {Cause.EXTENSIONS_REQUIRED: 1}
        assert "2 SubmitSharesStandard" not in handler.heard

    run_on_asyncio(main())


def test_a_server_without_handlers_is_a_mistake() -> None:
    with pytest.raises(ConfigError):
        Sv2ServerService(server_config(noise=False))


def test_a_null_handler_is_no_support() -> None:
    with pytest.raises(ConfigError):
        Sv2ServerService(server_config(noise=False), mining=NullMiningServerHandler())
    service = Sv2ServerService(
        server_config(noise=False),
        mining=NullMiningServerHandler(),
        job_declaration=RecordingJobs(),
    )
    assert service.protocols == {Protocol.JOB_DECLARATION}


def test_versions_the_wrong_way_round_are_a_mistake() -> None:
    with pytest.raises(ConfigError):
        ServerConfig("127.0.0.1", 0, PLAIN, min_version=3, max_version=2)
    assert dataclasses.replace(server_config(noise=False), max_version=3).max_version == 3


def test_a_handler_that_is_empty_is_a_handler() -> None:
    class Empty(RecordingMining):
        def __len__(self) -> int:
            return 0

    service = Sv2ServerService(server_config(noise=False), mining=Empty())
    assert service.protocols == {Protocol.MINING}
