"""The whole role: node, journal, server, monitoring, from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx

from sv2.address import Address
from sv2.connection import PLAIN, ServerSecurity
from sv2.node import MethodNotFound, Node, NodeError, RpcClient, Unauthorized
from sv2.noise import AuthoritySecretKey, KeyFormatError, ServerIdentity
from sv2.roles.template_provider.config import Config, ConfigFault, HostPort
from sv2.roles.template_provider.journal import DataDirInUse, Journal
from sv2.roles.template_provider.monitoring import Metric, Monitor
from sv2.roles.template_provider.provider import TemplateProvider
from sv2.roles.template_provider.submitter import Submitter
from sv2.services import Handle, Layer, Peer, Reply, ServerConfig, Sv2ServerService, rate_limit
from sv2_ffi import AnyMessage
from sv2_ffi.template_distribution import CoinbaseOutputConstraints, RequestTransactionData

__all__ = ["App", "StartError", "load_authority", "open_rpc"]

log = logging.getLogger(__name__)

STALE_AFTER = 3
"""Fee intervals without a new template until the health check fails."""
BURST_SECONDS = 5.0
"""How long a client's rate may be saved up."""
CHAIN_RETRY = 1.0


class StartError(Exception):
    """The role cannot run; the text is for the operator."""


def load_authority(config: Config) -> AuthoritySecretKey:
    """The authority's key; a new one in the datadir at the first start.

    Raises:
        StartError: a file that is no key, or cannot be read or made.
    """
    path = config.key_path
    try:
        if config.authority_key is None and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            AuthoritySecretKey.generate().save(path)
            log.warning("made a new authority key", extra={"file": str(path)})
        return AuthoritySecretKey.load(path)
    except KeyFormatError as error:
        raise StartError(f"{path}: {error}") from None
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}") from None


def open_rpc(config: Config) -> RpcClient:
    """The client of the node's RPC. Raises StartError for settings that cannot be."""
    tls = None
    try:
        if config.rpc_tls_cert is not None:
            tls = ssl.create_default_context(cafile=str(config.rpc_tls_cert))
        credentials = config.credentials()
        return RpcClient(config.url, credentials, timeout=config.rpc_timeout, tls=tls)
    except (OSError, ValueError, ConfigFault) as error:
        raise StartError(f"the node's RPC: {error}") from None


async def find_zmq(node: Node) -> str | None:
    """Where the node says that it publishes new tips, as seen from here; None if nowhere."""
    with contextlib.suppress(NodeError):
        for endpoint in await node.zmq_endpoints():
            if endpoint.kind == "pubhashblock" and endpoint.address.startswith("tcp://"):
                host = httpx.URL(node.rpc.url).host
                return re.sub(r"^tcp://(0\.0\.0\.0|\*|\[::\])", f"tcp://{host}", endpoint.address)
    return None


def _limit(kinds: tuple[type, ...], layer: Layer) -> Layer:
    """``layer`` for messages of some classes only."""

    def only(inner: Handle) -> Handle:
        limited = layer(inner)

        async def handle(peer: Peer, message: AnyMessage) -> Reply:
            chosen = limited if isinstance(message, kinds) else inner
            return await chosen(peer, message)

        return handle

    return only


def _rate(per_second: float) -> Layer:
    return rate_limit(per_second, max(1, int(per_second * BURST_SECONDS)))


class App:
    """One template provider. Use as an async context manager; it serves while inside.

    Raises (entering):
        StartError: it cannot run as configured. A node that is away is waited for.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stack = AsyncExitStack()
        self.authority = None if config.plain else load_authority(config)
        self.rpc = open_rpc(config)
        self.node = Node(self.rpc)

    async def __aenter__(self) -> App:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        config, stack = self.config, self._stack
        await stack.enter_async_context(self.rpc)
        try:
            self.journal = Journal(config.datadir / "blocks" / config.network)
        except (OSError, DataDirInUse) as error:
            raise StartError(f"datadir: {error}") from None
        stack.callback(self.journal.close)
        self.submitter = Submitter(self.node, self.journal, on_taken=self._block_taken)
        self.provider = TemplateProvider(
            self.node, self.submitter, config.provider_settings(), config.source_settings()
        )
        stack.push_async_callback(self.submitter.close)
        self.service = Sv2ServerService(self._server_config(), template_distribution=self.provider)
        self.monitor_address = await self._start_monitor()
        await self.submitter.recover()
        await self._check_chain()
        await stack.enter_async_context(self._serving())

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        try:
            await self.service.start()
        except OSError as error:
            raise StartError(f"listen {self.config.address}: {error.strerror}") from None
        try:
            yield
        finally:
            await self.service.stop()

    async def _start_monitor(self) -> HostPort | None:
        if self.config.metrics is None:
            return None
        monitor = Monitor(self.config.metrics, self.metrics, self.health)
        self._stack.push_async_callback(monitor.stop)
        try:
            return await monitor.start()
        except OSError as error:
            raise StartError(f"metrics {self.config.metrics}: {error.strerror}") from None

    async def _check_chain(self) -> None:
        """Wait until the node answers, and make sure that it is on our network."""
        told = ""
        while True:
            try:
                info = await self.node.chain_info()
                break
            except NodeError as error:
                if isinstance(error, (Unauthorized, MethodNotFound)) and not error.transient:
                    raise StartError(f"the node: {error}") from None
                if str(error) != told:
                    told = str(error)
                    log.warning("waiting for the node", extra={"error": told})
                self.provider.source.stats.trouble = told
            await asyncio.sleep(CHAIN_RETRY)
        if info.chain not in self.config.chain.names:
            raise StartError(f"the node is on {info.chain!r}, not on {self.config.network}")
        if self.config.zmq_hashblock is None:
            self.provider.source.zmq_hashblock = await find_zmq(self.node)

    def _server_config(self) -> ServerConfig:
        config = self.config
        costly = (CoinbaseOutputConstraints, RequestTransactionData)
        return ServerConfig(
            config.address.host,
            config.address.port,
            self._security(),
            layers=[
                _rate(config.messages_per_second),
                _limit(costly, _rate(config.requests_per_second)),
            ],
            limits=config.limits(),
            options=config.options(),
        )

    def _security(self) -> ServerSecurity:
        if self.authority is None:
            return PLAIN
        lifetime = max(2, int(self.config.certificate_hours * 3600))
        return ServerIdentity.self_issued(self.authority, lifetime=lifetime)

    def _block_taken(self) -> None:
        self.provider.source.check_now()

    # What an operator sees.

    @property
    def url(self) -> str:
        """What a pool is given: address and authority key."""
        host = self.config.public_host or self.config.address.host
        key = self.authority.public_key if self.authority is not None else None
        return str(Address(host, self.service.port, key))

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether clients get good templates, and the state in numbers."""
        source = self.provider.source
        limit = STALE_AFTER * self.config.fee_interval + 2 * self.config.rpc_timeout
        fresh = source.feed is not None and source.feed.age < limit
        state = {
            **source.describe(),
            "clients": self.provider.clients,
            "blocks_pending": self.submitter.pending,
        }
        return fresh and source.stats.up, state

    def metrics(self) -> list[Metric]:
        return [*self._node_metrics(), *self._client_metrics(), *self._block_metrics()]

    def _node_metrics(self) -> list[Metric]:
        source = self.provider.source
        stats, feed = source.stats, source.feed
        metrics = [
            Metric("sv2_tp_node_up", "gauge", "The node answered last time.", stats.up),
            Metric("sv2_tp_node_errors_total", "counter", "Failed requests.", stats.errors),
            Metric("sv2_tp_tips_total", "counter", "New tips noticed.", stats.tips),
            Metric(
                "sv2_tp_missed_notices_total", "counter", "ZMQ lost them.", stats.missed_notices
            ),
            Metric("sv2_tp_node_templates_total", "counter", "Templates got.", stats.fetched),
            Metric(
                "sv2_tp_node_template_seconds_total",
                "counter",
                "Time that the node took for them.",
                stats.fetch_seconds,
            ),
        ]
        if feed is not None:
            snapshot = feed.snapshot
            metrics += [
                Metric("sv2_tp_height", "gauge", "Of the block in work.", snapshot.height),
                Metric("sv2_tp_fees_satoshis", "gauge", "In the template.", feed.template.fees),
                Metric("sv2_tp_transactions", "gauge", "In the template.", len(snapshot.data)),
                Metric("sv2_tp_template_age_seconds", "gauge", "Since the node gave it.", feed.age),
            ]
        return metrics

    def _client_metrics(self) -> list[Metric]:
        stats = self.provider.stats
        metrics = [
            Metric("sv2_tp_clients", "gauge", "That get templates.", self.provider.clients),
            Metric("sv2_tp_templates_kept", "gauge", "In memory.", self.provider.templates_kept),
            Metric("sv2_tp_new_templates_total", "counter", "Sent.", stats.templates),
            Metric("sv2_tp_set_new_prev_hash_total", "counter", "Sent.", stats.prev_hashes),
            Metric("sv2_tp_data_requests_total", "counter", "By answer.", stats.data_requests),
            Metric("sv2_tp_no_room_total", "counter", "Impossible constraints.", stats.no_room),
            Metric("sv2_tp_caught_up_total", "counter", "Slow readers served.", stats.caught_up),
            Metric("sv2_tp_tips_served_total", "counter", "Told to all.", stats.tips_served),
            Metric(
                "sv2_tp_tip_seconds_total",
                "counter",
                "From the notice to the last client.",
                stats.tip_seconds,
            ),
        ]
        service = self.service.stats
        ended = {cause.name.lower(): count for cause, count in service.ended.items()}
        return [
            *metrics,
            Metric("sv2_tp_connected_total", "counter", "Set up.", service.connected),
            Metric("sv2_tp_refused_total", "counter", "Setups refused.", service.refused),
            Metric("sv2_tp_ended_total", "counter", "Connections over.", ended, "cause"),
        ]

    def _block_metrics(self) -> list[Metric]:
        submitter = self.submitter
        return [
            Metric(
                "sv2_tp_solutions_total", "counter", "By verdict.", self.provider.stats.solutions
            ),
            Metric("sv2_tp_blocks_total", "counter", "By fate.", submitter.fates, "fate"),
            Metric("sv2_tp_blocks_pending", "gauge", "Not answered yet.", submitter.pending),
            Metric("sv2_tp_submit_retries_total", "counter", "Of blocks.", submitter.retries),
            Metric("sv2_tp_journal_errors_total", "counter", "Disk.", submitter.journal_errors),
        ]
