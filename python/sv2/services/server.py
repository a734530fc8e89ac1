"""A server: handlers for what clients send, and the ways to send to clients."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from sv2.connection import Protocol, ServerSecurity
from sv2.extensions import ExtensionPolicy
from sv2.net import Limits, Options, QueueFull, Server, ServerStats, Stream, StreamClosed, serve
from sv2.services.errors import Cause, ConfigError, Disconnect, NotConnected
from sv2.services.handlers import supported
from sv2.services.layers import Layer
from sv2.services.peer import Client, Peer, Reply
from sv2.services.server_handlers import (
    JobDeclarationServerHandler,
    MiningServerHandler,
    ServerHandler,
    TemplateDistributionServerHandler,
)
from sv2.services.service import Service
from sv2.services.siblings import Sibling
from sv2_ffi import AnyMessage
from sv2_ffi.common import SetupConnection, SetupConnectionError, SetupConnectionSuccess
from sv2_ffi.extensions import RequestExtensions

logger = logging.getLogger("sv2.services.server")


@dataclass(frozen=True)
class ServerConfig:
    """Where a server listens, whom it is, and its limits. Times are in seconds."""

    host: str | None
    """The interface to listen on; None for all."""
    port: int
    """0 for any free port, see :attr:`Sv2ServerService.port`."""
    security: ServerSecurity
    """The :class:`~sv2.noise.ServerIdentity` to show, or :data:`~sv2.connection.PLAIN`."""
    min_version: int = 2
    max_version: int = 2
    """The protocol versions that we speak; the highest that both know is used."""
    extensions: ExtensionPolicy = field(default_factory=ExtensionPolicy)
    """The extensions that we support, and those without which no message is taken."""
    layers: Sequence[Layer] = ()
    """Around the handling of every message, the first outermost."""
    inactivity_limit: float | None = None
    """A client that sends no message for this long is disconnected. None by default: clients of
    the Template Distribution Protocol are rightly silent for hours, and those that are gone are
    found by TCP keepalive."""
    handler_timeout: float | None = 60.0
    """A call of a handler that takes longer, its layers included, is cancelled and its client
    disconnected."""
    drain: float = 5.0
    """On stop: how long messages that are in hand may take to be handled."""
    limits: Limits = field(default_factory=Limits)
    """How many connections there may be."""
    options: Options = field(default_factory=Options)
    """Time-outs, send queue and frame size of each connection."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_version <= self.max_version <= 0xFFFF:
            raise ConfigError("min_version must not be above max_version")


class Sv2ServerService(Service[Client, ServerHandler]):
    """A server of one or more subprotocols, each supported exactly when its handler is given::

        class Pool(MiningServerHandler):
            async def on_submit_shares_standard(self, client, message):
                ...
                return SubmitSharesSuccess(message.channel_id, message.sequence_number, 1, 1)

        config = ServerConfig("0.0.0.0", 3333, identity)
        async with Sv2ServerService(config, mining=Pool()) as server:
            await server.serve_forever()

    Setup is negotiated before a handler hears of a client. Leaving the block, by cancellation too,
    stops the server: see :meth:`stop`.

    None and the ``Null`` handlers mean the same: not supported. Raises :class:`ConfigError` where
    no handler is given.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        mining: MiningServerHandler | None = None,
        job_declaration: JobDeclarationServerHandler | None = None,
        template_distribution: TemplateDistributionServerHandler | None = None,
        sibling: Sibling | None = None,
    ) -> None:
        given: list[ServerHandler | None] = [mining, job_declaration, template_distribution]
        super().__init__(
            logger,
            [handler for handler in given if supported(handler)],
            layers=config.layers,
            handler_timeout=config.handler_timeout,
            inactivity_limit=config.inactivity_limit,
            drain=config.drain,
            sibling=sibling,
        )
        if not self._handlers:
            raise ConfigError("a server needs a handler of at least one protocol")
        self.config = config
        self._server: Server | None = None
        self._port = config.port

    # Its life.

    async def start(self) -> None:
        """Start the handlers, then listen. OSError when the port cannot be had."""
        self._begin()
        try:
            for handler in self._handlers.values():
                await handler.on_start(self)
                self._started.append(handler)
            self._server = await serve(
                self._serve,
                self.config.host,
                self.config.port,
                security=self.config.security,
                limits=self.config.limits,
                options=self.config.options,
            )
            self._port = self._server.port
        except BaseException:
            await self.stop()
            raise
        self._start_background()

    async def serve_forever(self) -> None:
        """Wait until the service was stopped, or this is cancelled."""
        await self._net().serve_forever()

    def _net(self) -> Server:
        if self._server is None:
            raise RuntimeError("the server has not been started")
        return self._server

    async def _close_net(self) -> None:
        if self._server is not None:
            await self._server.stop()

    async def __aenter__(self) -> Sv2ServerService:
        await self.start()
        return self

    # What is known.

    @property
    def port(self) -> int:
        """The port that it listens on; after a stop, that it listened on."""
        self._net()
        return self._port

    @property
    def net_stats(self) -> ServerStats:
        """Counts of the connections below: those turned away, failed handshakes, and so on."""
        return self._net().stats

    @property
    def clients(self) -> Mapping[int, Client]:
        """The clients whose setup has succeeded, by id. A live view."""
        return MappingProxyType(self._peers)

    # Sending.

    async def send(self, client_id: int, *messages: AnyMessage) -> None:
        """Queue messages for one client, in this order; waits while its queue is full.

        :class:`NotConnected` if there is no such client, :class:`~sv2.net.StreamClosed` if it
        goes meanwhile.
        """
        client = self._peers.get(client_id)
        if client is None:
            raise NotConnected(f"no client {client_id}")
        for message in messages:
            await client.send(message)

    def send_many(self, client_ids: Iterable[int], *messages: AnyMessage) -> list[int]:
        """Queue messages for several clients, to each in this order, without waiting for any.

        A client whose queue is full is disconnected, or left out from there on, as
        ``options.slow_reader`` says. Returns the ids of those that all messages were queued for.
        """
        reached = []
        for client_id in client_ids:
            client = self._peers.get(client_id)
            if client is not None and self._send_at_once(client, messages):
                reached.append(client_id)
        return reached

    def broadcast(
        self,
        *messages: AnyMessage,
        protocol: Protocol | None = None,
        where: Callable[[Client], bool] = lambda client: True,
    ) -> list[int]:
        """:meth:`send_many` to all clients, to those of ``protocol``, or to those chosen by
        ``where``. A message belongs to one protocol: name it where several are served."""
        chosen = [
            client.id
            for client in self._peers.values()
            if (protocol is None or client.protocol is protocol) and where(client)
        ]
        return self.send_many(chosen, *messages)

    def _send_at_once(self, client: Client, messages: Collection[AnyMessage]) -> bool:
        with contextlib.suppress(StreamClosed, QueueFull):
            for message in messages:
                client.send_nowait(message)
            return True
        return False

    # One connection.

    async def _serve(self, stream: Stream) -> None:
        await self._session(Client(next(self._numbers), stream))

    async def _open(self, peer: Client) -> ServerHandler:
        request = await peer.stream.receive()
        answer = await self._answer_setup(peer, request)
        await peer.send(answer)
        if not isinstance(answer, SetupConnectionSuccess):
            raise Disconnect(cause=Cause.REFUSED)
        return self._handler_of(peer)

    async def _answer_setup(
        self, client: Client, request: AnyMessage
    ) -> SetupConnectionSuccess | SetupConnectionError:
        """The answer of the layers, or of :meth:`_negotiate` within them."""
        try:
            answer = await self._guard(client, self._stack(client, request))
        except Disconnect:
            raise
        except Exception as error:
            self._note_error(client, type(request).__name__, error)
            answer = SetupConnectionError(0, "internal-error")
        match answer:
            case SetupConnectionSuccess():
                return answer
            case SetupConnectionError():
                self.stats.refused[answer.error_code] += 1
                return answer
        raise Disconnect("a layer gave no answer to SetupConnection", Cause.HANDLER_FAILED)

    def _negotiate(
        self, client: Client, request: SetupConnection
    ) -> SetupConnectionSuccess | SetupConnectionError:
        """Protocol, version and flags, in this order (spec 3.6.1). The flags of an error are all
        those asked for that are not supported; 0 says that flags are not the reason."""
        handler = self._handlers.get(request.protocol)
        if handler is None:
            return SetupConnectionError(0, "unsupported-protocol")
        used = min(request.max_version, self.config.max_version)
        if used < max(request.min_version, self.config.min_version):
            return SetupConnectionError(0, "protocol-version-mismatch")
        unsupported = request.flags & ~handler.supported_flags
        if unsupported:
            return SetupConnectionError(unsupported, "unsupported-feature-flags")
        return SetupConnectionSuccess(used, handler.success_flags(client))

    async def _dispatch(self, peer: Peer, message: AnyMessage) -> Reply:
        assert isinstance(peer, Client)
        match message:
            case SetupConnection():
                return self._negotiate(peer, message)
            case RequestExtensions():
                return self.config.extensions.answer(message)
        policy = self.config.extensions
        if policy.required and not policy.satisfied_by(peer.extensions):
            raise Disconnect(cause=Cause.EXTENSIONS_REQUIRED)
        return await self._handler_of(peer).handle(peer, message)
