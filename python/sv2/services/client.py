"""A client: handlers for what servers send, connected again and elsewhere when it must be."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NoReturn

from sv2.address import Address
from sv2.connection import ClientSecurity, Plain, Protocol
from sv2.deadline import within
from sv2.net import Options, SetupRefused, connect
from sv2.net.client import security_for
from sv2.services.backoff import Backoff
from sv2.services.client_handlers import (
    ClientHandler,
    JobDeclarationClientHandler,
    MiningClientHandler,
    TemplateDistributionClientHandler,
)
from sv2.services.errors import Cause, ConfigError, Disconnect, NotConnected
from sv2.services.handlers import supported
from sv2.services.layers import Layer
from sv2.services.peer import Peer, Reply, Upstream
from sv2.services.service import Service
from sv2.services.siblings import Sibling
from sv2_ffi import AnyMessage, Sv2Error
from sv2_ffi.common import (
    ChannelEndpointChanged,
    Reconnect,
    SetupConnection,
    SetupConnectionError,
    SetupConnectionSuccess,
)
from sv2_ffi.extensions import RequestExtensionsError, RequestExtensionsSuccess

logger = logging.getLogger("sv2.services.client")

# What a host of Reconnect may look like: a name, an IPv4 or an IPv6 address.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}")


@dataclass(frozen=True)
class UpstreamConfig:
    """The servers of one subprotocol, and what to ask of them."""

    addresses: Sequence[str | Address]
    """In the order of preference: ``stratum2+tcp://host:port/KEY``, or an
    :class:`~sv2.address.Address`."""
    security: ClientSecurity | None = None
    """Whom to believe at addresses without a key, or :data:`~sv2.connection.PLAIN`."""
    flags: int = 0
    """The features to ask for, 32 bits; a server that lacks one refuses."""
    extensions: frozenset[int] = frozenset()
    """The extensions to ask for once setup is done; those that were granted are in
    ``upstream.extensions``."""


@dataclass(frozen=True)
class ClientConfig:
    """Which servers a client connects to, who it says it is, and its limits. Times in seconds."""

    mining: UpstreamConfig | None = None
    job_declaration: UpstreamConfig | None = None
    template_distribution: UpstreamConfig | None = None
    vendor: str = "sv2"
    hardware_version: str = ""
    firmware: str = ""
    device_id: str = ""
    min_version: int = 2
    max_version: int = 2
    backoff: Backoff = field(default_factory=Backoff)
    layers: Sequence[Layer] = ()
    """Around the handling of every message, the first outermost."""
    inactivity_limit: float | None = None
    """A server that sends no message for this long is left for the next connection."""
    handler_timeout: float | None = 60.0
    """A call of a handler that takes longer, its layers included, is cancelled and the connection
    made anew."""
    drain: float = 5.0
    """On stop: how long messages that are in hand may take to be handled."""
    options: Options = field(default_factory=Options)
    """Time-outs, send queue and frame size of each connection."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_version <= self.max_version <= 0xFFFF:
            raise ConfigError("min_version must not be above max_version")


@dataclass(frozen=True)
class _Target:
    """Where to connect to. The security holds for wherever a server there sends us."""

    host: str
    port: int
    security: ClientSecurity

    @property
    def address(self) -> Address:
        return Address(self.host, self.port)

    def moved(self, message: Reconnect) -> _Target | None:
        """Where ``message`` sends us, or None when we must not go there.

        A server that proved itself may send us anywhere, as only its authority's servers will do
        there (spec 3.6.5). One that did not may only name another port of its host.
        """
        host = message.new_host or self.host
        proven = not isinstance(self.security, Plain) and self.security.verified
        if not _HOST.fullmatch(host) or not (proven or host == self.host):
            return None
        return _Target(host, message.new_port or self.port, self.security)


class _Link:
    """The one connection of a subprotocol, over all its lives."""

    def __init__(self, handler: ClientHandler, config: UpstreamConfig) -> None:
        self.handler = handler
        self.config = config
        self.targets = [_target(address, config.security) for address in config.addresses]
        self.upstream: Upstream | None = None
        self.error: Exception | None = None
        self.gave_up = False
        # Set while there is something for those who wait to be connected.
        self.news = asyncio.Event()

    def settle(self, upstream: Upstream | None, *, gave_up: bool = False) -> None:
        self.upstream = upstream
        self.gave_up = gave_up
        if upstream is not None or gave_up:
            self.news.set()
        else:
            self.news.clear()


def _target(address: str | Address, security: ClientSecurity | None) -> _Target:
    parsed = Address.parse(address) if isinstance(address, str) else address
    try:
        return _Target(parsed.host, parsed.port, security_for(parsed, security))
    except ValueError as error:
        raise ConfigError(str(error)) from None


class _Itinerary:
    """Which target is next, and how long to wait before it."""

    def __init__(self, targets: Sequence[_Target], backoff: Backoff) -> None:
        self._targets = targets
        self._backoff = backoff
        self._position = 0
        self._detour: _Target | None = None
        self._failures = 0
        self._wait = False

    @property
    def target(self) -> _Target:
        return self._detour or self._targets[self._position]

    @property
    def delay(self) -> float | None:
        return self._backoff.delay(self._failures) if self._wait else None

    @property
    def exhausted(self) -> bool:
        rounds = self._backoff.rounds
        return rounds is not None and self._failures >= rounds

    def note(self, *, lasted: float, moved: _Target | None) -> None:
        """The connection to ``target`` is over; it was up for ``lasted`` seconds."""
        stable = lasted >= self._backoff.stable
        if stable:
            self._failures = 0
        if moved is not None:
            # Servers that send us to each other in turn are as good as servers that are down.
            self._detour, self._wait = moved, True
            self._failures += 0 if stable else 1
        elif stable or self._detour is not None:
            self._detour, self._position, self._wait = None, 0, True
            self._failures += 0 if stable else 1
        else:
            self._position = (self._position + 1) % len(self._targets)
            self._wait = self._position == 0
            self._failures += 1 if self._wait else 0


class Sv2ClientService(Service[Upstream, ClientHandler]):
    """A client of one or more subprotocols, one connection for each::

        class Feed(TemplateDistributionClientHandler):
            async def on_connect(self, upstream):
                return CoinbaseOutputConstraints(100, 0)

            async def on_new_template(self, upstream, message):
                ...

        upstreams = UpstreamConfig(["stratum2+tcp://tp.example:8442/9bXi..."])
        config = ClientConfig(template_distribution=upstreams)
        async with Sv2ClientService(config, template_distribution=Feed()) as client:
            await client.connected(Protocol.TEMPLATE_DISTRIBUTION, timeout=10)
            ...

    A connection that ends is made again: at the next upstream of the list, or from its first when
    it had been stable, with jittered waits. ``Reconnect`` is obeyed. Each protocol fares for
    itself. Leaving the block, by cancellation too, stops the client: see :meth:`stop`.

    None and the ``Null`` handlers mean the same: not supported. Raises :class:`ConfigError` where
    handlers and upstreams do not belong together.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        mining: MiningClientHandler | None = None,
        job_declaration: JobDeclarationClientHandler | None = None,
        template_distribution: TemplateDistributionClientHandler | None = None,
        sibling: Sibling | None = None,
    ) -> None:
        given: list[tuple[Protocol, ClientHandler | None, UpstreamConfig | None]] = [
            (Protocol.MINING, mining, config.mining),
            (Protocol.JOB_DECLARATION, job_declaration, config.job_declaration),
            (Protocol.TEMPLATE_DISTRIBUTION, template_distribution, config.template_distribution),
        ]
        self._links: dict[Protocol, _Link] = {}
        for protocol, handler, upstreams in given:
            if supported(handler):
                if upstreams is None or not upstreams.addresses:
                    raise ConfigError(f"a handler but no upstreams for {protocol.name}")
                self._links[protocol] = _Link(handler, upstreams)
            elif upstreams is not None:
                raise ConfigError(f"upstreams but no handler for {protocol.name}")
        if not self._links:
            raise ConfigError("a client needs a handler of at least one protocol")
        super().__init__(
            logger,
            [link.handler for link in self._links.values()],
            layers=config.layers,
            handler_timeout=config.handler_timeout,
            inactivity_limit=config.inactivity_limit,
            drain=config.drain,
            sibling=sibling,
        )
        self.config = config
        self._closing: set[asyncio.Task[None]] = set()

    # Its life.

    async def start(self) -> None:
        """Start the handlers, then begin to connect. Does not wait for a connection."""
        self._begin()
        try:
            for handler in self._handlers.values():
                await handler.on_start(self)
                self._started.append(handler)
        except BaseException:
            await self.stop()
            raise
        self._start_background()
        for protocol in self._links:
            self.spawn(self._keep_connected(protocol), f"sv2 link {protocol.name}")

    async def __aenter__(self) -> Sv2ClientService:
        await self.start()
        return self

    # What is known.

    @property
    def upstreams(self) -> Mapping[int, Upstream]:
        """The connections whose setup has succeeded, by id. A live view."""
        return MappingProxyType(self._peers)

    def is_connected(self, protocol: Protocol) -> bool:
        """Whether there is a connection of ``protocol`` whose ``on_connect`` is done."""
        return protocol in self._links and self._links[protocol].upstream is not None

    def last_error(self, protocol: Protocol) -> Exception | None:
        """Why the last attempt to connect failed, if it did."""
        return self._links[protocol].error

    async def connected(self, protocol: Protocol, timeout: float = 30.0) -> Upstream:
        """The connection of ``protocol``; waits for it.

        Raises TimeoutError after ``timeout`` seconds, :class:`NotConnected` when the service gave
        up or stopped; the last error is the ``__cause__`` of both.
        """
        link = self._links.get(protocol)
        if link is None:
            raise NotConnected(f"no handler for {protocol.name}")
        try:
            await within(timeout, link.news.wait())
        except asyncio.TimeoutError:
            raise TimeoutError(f"no connection for {protocol.name} in time") from link.error
        if link.upstream is None:
            raise NotConnected(f"gave up on {protocol.name}") from link.error
        return link.upstream

    async def send(self, protocol: Protocol, *messages: AnyMessage) -> None:
        """Queue messages for the server of ``protocol``, in this order; waits while the queue is
        full.

        :class:`NotConnected` if there is no connection now, :class:`~sv2.net.StreamClosed` if it
        ends meanwhile. Nothing is kept for the next connection.
        """
        upstream = self._links[protocol].upstream if protocol in self._links else None
        if upstream is None:
            raise NotConnected(f"no connection for {protocol.name}")
        for message in messages:
            await upstream.send(message)

    # One subprotocol.

    async def _keep_connected(self, protocol: Protocol) -> None:
        link = self._links[protocol]
        itinerary = _Itinerary(link.targets, self.config.backoff)
        try:
            while not self._stopping and not itinerary.exhausted:
                await self._next_visit(link, protocol, itinerary)
        finally:
            link.settle(None, gave_up=True)
        if not self._stopping:
            self._log(logging.ERROR, "gave-up", protocol=protocol)

    async def _next_visit(self, link: _Link, protocol: Protocol, itinerary: _Itinerary) -> None:
        backoff = self.config.backoff
        if itinerary.delay is not None:
            await backoff.sleep(itinerary.delay)
        target = itinerary.target
        upstream = await self._visit(link, protocol, target)
        lasted, moved = 0.0, None
        if upstream is not None and upstream.since is not None:
            lasted = backoff.clock() - upstream.since
        if upstream is not None and upstream.ended is Cause.RECONNECT:
            moved = self._moved(target, upstream)
        itinerary.note(lasted=lasted, moved=moved)

    async def _visit(self, link: _Link, protocol: Protocol, target: _Target) -> Upstream | None:
        """Connect and stay until the connection is over. None when there was none."""
        options = self.config.options
        try:
            stream = await connect(target.address, security=target.security, options=options)
        except (OSError, Sv2Error, UnicodeError) as error:
            link.error = error
            self._log(
                logging.WARNING,
                "connect-failed",
                protocol=protocol,
                host=target.host,
                port=target.port,
                error=type(error).__name__,
            )
            return None
        upstream = Upstream(next(self._numbers), stream, protocol, target.address)
        try:
            await self._session(upstream)
        finally:
            # Not waited for here: the next connection need not wait for the end of this one.
            closing = asyncio.get_running_loop().create_task(stream.close(), name="sv2 close")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return upstream

    async def _close_net(self) -> None:
        if self._closing:
            # Each is bounded by options.timeouts.close.
            await asyncio.wait(self._closing)

    def _moved(self, target: _Target, upstream: Upstream) -> _Target | None:
        message = upstream.moved_to
        moved = target.moved(message) if message is not None else None
        if moved is None:
            self._log_peer(logging.WARNING, "reconnect-not-followed", upstream)
        else:
            self._log(logging.INFO, "reconnect", host=moved.host, port=moved.port)
        return moved

    # One connection.

    async def _open(self, peer: Upstream) -> ClientHandler:
        link = self._links[peer.protocol]
        await peer.send(self._request(link, peer))
        answer = await peer.stream.receive()
        try:
            await self._guard(peer, self._stack(peer, answer))
        except Disconnect as error:
            link.error = error
            if isinstance(answer, SetupConnectionError):
                link.error = SetupRefused(answer)
            raise
        except Exception as error:
            self._note_error(peer, type(answer).__name__, error)
            raise Disconnect(cause=Cause.HANDLER_FAILED) from error
        if link.config.extensions:
            await peer.negotiate(link.config.extensions)
        return link.handler

    def _request(self, link: _Link, peer: Upstream) -> SetupConnection:
        config = self.config
        return SetupConnection(
            protocol=peer.protocol,
            min_version=config.min_version,
            max_version=config.max_version,
            flags=link.config.flags,
            endpoint_host=peer.endpoint.host,
            endpoint_port=peer.endpoint.port,
            vendor=config.vendor,
            hardware_version=config.hardware_version,
            firmware=config.firmware,
            device_id=config.device_id,
        )

    def _check_answer(self, upstream: Upstream, answer: SetupConnectionSuccess) -> None:
        """Version and flags (spec 3.6.2)."""
        if not self.config.min_version <= answer.used_version <= self.config.max_version:
            raise Disconnect(f"version {answer.used_version}", Cause.SETUP_UNACCEPTABLE)
        alien = answer.flags & ~self._links[upstream.protocol].handler.accepted_flags
        if alien:
            raise Disconnect(f"flags {alien:#x}", Cause.SETUP_UNACCEPTABLE)

    async def _dispatch(self, peer: Peer, message: AnyMessage) -> Reply:
        assert isinstance(peer, Upstream)
        match message:
            case SetupConnectionSuccess():
                self._check_answer(peer, message)
                return None
            case SetupConnectionError():
                raise Disconnect(cause=Cause.REFUSED)
            case Reconnect():
                await self._reconnect(peer, message)
            case ChannelEndpointChanged():
                return await self._endpoint_changed(peer, message)
            case RequestExtensionsSuccess() | RequestExtensionsError():
                return None  # an answer that came after we had stopped waiting for it
        return await self._handler_of(peer).handle(peer, message)

    async def _reconnect(self, peer: Upstream, message: Reconnect) -> NoReturn:
        peer.moved_to = message
        try:
            await self._handler_of(peer).on_reconnect(peer, message)
        except Disconnect:
            pass
        except Exception as error:
            self._note_error(peer, "Reconnect", error)
        raise Disconnect(cause=Cause.RECONNECT)

    async def _endpoint_changed(self, peer: Upstream, message: ChannelEndpointChanged) -> Reply:
        """The connection has dropped what was agreed on (spec 3.6.4): agree anew."""
        wanted = self._links[peer.protocol].config.extensions
        if wanted:
            await peer.negotiate(wanted)
        return await self._handler_of(peer).on_channel_endpoint_changed(peer, message)

    def _on_ready(self, peer: Upstream) -> None:
        link = self._links[peer.protocol]
        peer.since = self.config.backoff.clock()
        link.error = None
        link.settle(peer)

    def _on_gone(self, peer: Upstream) -> None:
        self._links[peer.protocol].settle(None)
