"""What the tests of services share: recording handlers, services on loopback, leak checks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from connections import IDENTITY, POLICY
from networking import PATIENCE
from sv2.connection import PLAIN, Protocol
from sv2.net import Options, Stream, Timeouts, connect
from sv2.services import (
    Client,
    JobDeclarationServerHandler,
    MiningServerHandler,
    Peer,
    Reply,
    ServerConfig,
    ServerHandler,
    Sv2ServerService,
    TemplateDistributionServerHandler,
)

from sv2_ffi import AnyMessage
from sv2_ffi.common import SetupConnection
from sv2_ffi.mining import CloseChannel, SubmitSharesStandard
from sv2_ffi.template_distribution import RequestTransactionData

# Long enough for any machine; what a test waits for comes sooner.
GENEROUS = Options(timeouts=Timeouts(close=PATIENCE))


class Recording(ServerHandler):
    """Notes what it hears, in order: ``+id``, ``id Message``, ``-id``."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.messages: list[AnyMessage] = []
        self.peers: list[Peer] = []

    async def on_connect(self, peer: Client) -> Reply:
        self.heard.append(f"+{peer.id}")
        self.peers.append(peer)
        return None

    async def on_disconnect(self, peer: Client) -> None:
        self.heard.append(f"-{peer.id}")

    async def handle(self, peer: Client, message: AnyMessage) -> Reply:
        self.heard.append(f"{peer.id} {type(message).__name__}")
        self.messages.append(message)
        return await super().handle(peer, message)


class RecordingMining(Recording, MiningServerHandler):
    pass


class RecordingJobs(Recording, JobDeclarationServerHandler):
    pass


class RecordingTemplates(Recording, TemplateDistributionServerHandler):
    pass


def server_config(noise: bool, **changes: Any) -> ServerConfig:
    config = ServerConfig("127.0.0.1", 0, IDENTITY if noise else PLAIN)
    return dataclasses.replace(config, **changes)


async def dial(service: Sv2ServerService, noise: bool) -> Stream:
    """A bare connection to a service, after the handshake and before setup."""
    return await connect(f"127.0.0.1:{service.port}", security=POLICY if noise else PLAIN)


@contextlib.asynccontextmanager
async def client_of(
    service: Sv2ServerService, noise: bool, protocol: int = Protocol.MINING, **changes: Any
) -> AsyncIterator[Stream]:
    """A bare client of a service, set up; closed hard at the end."""
    stream = await dial(service, noise)
    try:
        await stream.set_up(setup(protocol, **changes))
        yield stream
    finally:
        stream.abort()
        await stream.wait_closed()


def setup(protocol: int = Protocol.MINING, **changes: Any) -> SetupConnection:
    request = SetupConnection(protocol, 2, 2, 0, "localhost", 3333, "tests", "hw", "fw", "id")
    return dataclasses.replace(request, **changes)


def share(sequence_number: int = 0) -> SubmitSharesStandard:
    return SubmitSharesStandard(1, sequence_number, 1, 2, 3, 4)


def request_data(template_id: int = 7) -> RequestTransactionData:
    return RequestTransactionData(template_id)


def close_channel() -> CloseChannel:
    return CloseChannel(1, "")


def other_tasks() -> set[asyncio.Task[Any]]:
    """The tasks of this loop but for the test's own and those that run and bound it."""
    runners = ("run_on_", "run.<locals>.wrapper")  # the latter is uvloop's
    return {
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
        and not any(runner in repr(task.get_coro()) for runner in runners)
    }
