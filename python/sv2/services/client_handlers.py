"""Handlers of the client's side: what servers send, one method per message."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sv2.connection import Protocol
from sv2.services.handlers import Handler, Null, ignored
from sv2.services.peer import Reply, Upstream
from sv2_ffi import AnyMessage
from sv2_ffi.common import ChannelEndpointChanged, Reconnect
from sv2_ffi.job_declaration import (
    AllocateMiningJobTokenSuccess,
    DeclareMiningJobError,
    DeclareMiningJobSuccess,
    ProvideMissingTransactions,
)
from sv2_ffi.mining import (
    CloseChannel,
    NewExtendedMiningJob,
    NewMiningJob,
    OpenExtendedMiningChannelSuccess,
    OpenMiningChannelError,
    OpenStandardMiningChannelSuccess,
    SetCustomMiningJobError,
    SetCustomMiningJobSuccess,
    SetExtranoncePrefix,
    SetGroupChannel,
    SetTarget,
    SubmitSharesError,
    SubmitSharesSuccess,
    UpdateChannelError,
)
from sv2_ffi.mining import SetNewPrevHash as MiningSetNewPrevHash
from sv2_ffi.template_distribution import (
    NewTemplate,
    RequestTransactionDataError,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
)

if TYPE_CHECKING:
    from sv2.services.client import Sv2ClientService


class ClientHandler(Handler[Upstream]):
    """Base of the handlers of a client. Each connection that is made anew is a new ``upstream``,
    with its own on_connect; nothing of the one before it holds any more."""

    accepted_flags: int = 0
    """The bits of SetupConnection.Success.flags that this handler can live with, 32 bits. A server
    that sets another is left for the next one."""

    async def on_start(self, service: Sv2ClientService) -> None:
        """The service starts; it connects after this returned. An error stops the start.

        ``service.spawn`` runs a task in the background for as long as the service does.
        """

    async def on_reconnect(self, upstream: Upstream, message: Reconnect) -> None:
        """The server sends us elsewhere (spec 3.6.5). The service obeys after this returned."""

    async def on_channel_endpoint_changed(
        self, upstream: Upstream, message: ChannelEndpointChanged
    ) -> Reply:
        """Behind a channel is another endpoint (spec 3.6.4). The extensions have been negotiated
        again; state of theirs that the handler keeps is void."""
        return None


class MiningClientHandler(ClientHandler):
    """The client's side of the Mining Protocol (spec 5): a miner or a proxy."""

    protocol: ClassVar[Protocol] = Protocol.MINING

    async def on_open_standard_mining_channel_success(
        self, upstream: Upstream, message: OpenStandardMiningChannelSuccess
    ) -> Reply:
        """A standard channel is open (5.3.3)."""
        return ignored(upstream, message)

    async def on_open_extended_mining_channel_success(
        self, upstream: Upstream, message: OpenExtendedMiningChannelSuccess
    ) -> Reply:
        """An extended channel is open (5.3.5)."""
        return ignored(upstream, message)

    async def on_open_mining_channel_error(
        self, upstream: Upstream, message: OpenMiningChannelError
    ) -> Reply:
        """A channel was refused (5.3.6)."""
        return ignored(upstream, message)

    async def on_update_channel_error(
        self, upstream: Upstream, message: UpdateChannelError
    ) -> Reply:
        """An update was refused (5.3.8)."""
        return ignored(upstream, message)

    async def on_close_channel(self, upstream: Upstream, message: CloseChannel) -> Reply:
        """The server closed a channel, or a group of them (5.3.9)."""
        return ignored(upstream, message)

    async def on_set_extranonce_prefix(
        self, upstream: Upstream, message: SetExtranoncePrefix
    ) -> Reply:
        """The prefix of jobs to come (5.3.10)."""
        return ignored(upstream, message)

    async def on_submit_shares_success(
        self, upstream: Upstream, message: SubmitSharesSuccess
    ) -> Reply:
        """Shares were accepted, up to ``last_sequence_number`` (5.3.13)."""
        return ignored(upstream, message)

    async def on_submit_shares_error(self, upstream: Upstream, message: SubmitSharesError) -> Reply:
        """A share was refused (5.3.14)."""
        return ignored(upstream, message)

    async def on_new_mining_job(self, upstream: Upstream, message: NewMiningJob) -> Reply:
        """A job for a standard channel (5.3.15)."""
        return ignored(upstream, message)

    async def on_new_extended_mining_job(
        self, upstream: Upstream, message: NewExtendedMiningJob
    ) -> Reply:
        """A job for an extended channel or a group (5.3.16)."""
        return ignored(upstream, message)

    async def on_set_new_prev_hash(
        self, upstream: Upstream, message: MiningSetNewPrevHash
    ) -> Reply:
        """A new tip, and the job to work on (5.3.17)."""
        return ignored(upstream, message)

    async def on_set_custom_mining_job_success(
        self, upstream: Upstream, message: SetCustomMiningJobSuccess
    ) -> Reply:
        """A custom job was accepted (5.3.19)."""
        return ignored(upstream, message)

    async def on_set_custom_mining_job_error(
        self, upstream: Upstream, message: SetCustomMiningJobError
    ) -> Reply:
        """A custom job was refused (5.3.20)."""
        return ignored(upstream, message)

    async def on_set_target(self, upstream: Upstream, message: SetTarget) -> Reply:
        """The target of shares to come (5.3.21)."""
        return ignored(upstream, message)

    async def on_set_group_channel(self, upstream: Upstream, message: SetGroupChannel) -> Reply:
        """Which channels form a group (5.3.22)."""
        return ignored(upstream, message)

    async def handle(self, peer: Upstream, message: AnyMessage) -> Reply:
        match message:
            case SubmitSharesSuccess():
                return await self.on_submit_shares_success(peer, message)
            case NewMiningJob():
                return await self.on_new_mining_job(peer, message)
            case NewExtendedMiningJob():
                return await self.on_new_extended_mining_job(peer, message)
            case MiningSetNewPrevHash():
                return await self.on_set_new_prev_hash(peer, message)
            case SetTarget():
                return await self.on_set_target(peer, message)
            case SubmitSharesError():
                return await self.on_submit_shares_error(peer, message)
            case OpenStandardMiningChannelSuccess():
                return await self.on_open_standard_mining_channel_success(peer, message)
            case OpenExtendedMiningChannelSuccess():
                return await self.on_open_extended_mining_channel_success(peer, message)
            case OpenMiningChannelError():
                return await self.on_open_mining_channel_error(peer, message)
            case SetExtranoncePrefix():
                return await self.on_set_extranonce_prefix(peer, message)
            case SetGroupChannel():
                return await self.on_set_group_channel(peer, message)
            case CloseChannel():
                return await self.on_close_channel(peer, message)
            case UpdateChannelError():
                return await self.on_update_channel_error(peer, message)
            case SetCustomMiningJobSuccess():
                return await self.on_set_custom_mining_job_success(peer, message)
            case SetCustomMiningJobError():
                return await self.on_set_custom_mining_job_error(peer, message)
        return await super().handle(peer, message)


class JobDeclarationClientHandler(ClientHandler):
    """The client's side of the Job Declaration Protocol (spec 6): a job declarator client."""

    protocol: ClassVar[Protocol] = Protocol.JOB_DECLARATION

    async def on_allocate_mining_job_token_success(
        self, upstream: Upstream, message: AllocateMiningJobTokenSuccess
    ) -> Reply:
        """A token, and the outputs that the coinbase must have (6.4.3)."""
        return ignored(upstream, message)

    async def on_declare_mining_job_success(
        self, upstream: Upstream, message: DeclareMiningJobSuccess
    ) -> Reply:
        """A declared job was accepted (6.4.5)."""
        return ignored(upstream, message)

    async def on_declare_mining_job_error(
        self, upstream: Upstream, message: DeclareMiningJobError
    ) -> Reply:
        """A declared job was refused (6.4.6)."""
        return ignored(upstream, message)

    async def on_provide_missing_transactions(
        self, upstream: Upstream, message: ProvideMissingTransactions
    ) -> Reply:
        """Answer with ProvideMissingTransactions.Success (6.4.7). There is no error to answer
        with, so the request is ignored by default."""
        return ignored(upstream, message)

    async def handle(self, peer: Upstream, message: AnyMessage) -> Reply:
        match message:
            case AllocateMiningJobTokenSuccess():
                return await self.on_allocate_mining_job_token_success(peer, message)
            case DeclareMiningJobSuccess():
                return await self.on_declare_mining_job_success(peer, message)
            case DeclareMiningJobError():
                return await self.on_declare_mining_job_error(peer, message)
            case ProvideMissingTransactions():
                return await self.on_provide_missing_transactions(peer, message)
        return await super().handle(peer, message)


class TemplateDistributionClientHandler(ClientHandler):
    """The client's side of the Template Distribution Protocol (spec 7): a pool, a job declarator
    client or a solo server. A client sends CoinbaseOutputConstraints first (7.1): return it from
    ``on_connect``."""

    protocol: ClassVar[Protocol] = Protocol.TEMPLATE_DISTRIBUTION

    async def on_new_template(self, upstream: Upstream, message: NewTemplate) -> Reply:
        """A template, to work on now or once a SetNewPrevHash names it (7.2)."""
        return ignored(upstream, message)

    async def on_set_new_prev_hash(self, upstream: Upstream, message: SetNewPrevHash) -> Reply:
        """A new tip, and the template to work on (7.3)."""
        return ignored(upstream, message)

    async def on_request_transaction_data_success(
        self, upstream: Upstream, message: RequestTransactionDataSuccess
    ) -> Reply:
        """The transactions of a template (7.5)."""
        return ignored(upstream, message)

    async def on_request_transaction_data_error(
        self, upstream: Upstream, message: RequestTransactionDataError
    ) -> Reply:
        """There are none to give, or no longer (7.6)."""
        return ignored(upstream, message)

    async def handle(self, peer: Upstream, message: AnyMessage) -> Reply:
        match message:
            case NewTemplate():
                return await self.on_new_template(peer, message)
            case SetNewPrevHash():
                return await self.on_set_new_prev_hash(peer, message)
            case RequestTransactionDataSuccess():
                return await self.on_request_transaction_data_success(peer, message)
            case RequestTransactionDataError():
                return await self.on_request_transaction_data_error(peer, message)
        return await super().handle(peer, message)


class NullMiningClientHandler(MiningClientHandler, Null):
    """The Mining Protocol is not supported."""


class NullJobDeclarationClientHandler(JobDeclarationClientHandler, Null):
    """The Job Declaration Protocol is not supported."""


class NullTemplateDistributionClientHandler(TemplateDistributionClientHandler, Null):
    """The Template Distribution Protocol is not supported."""
