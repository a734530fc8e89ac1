"""Handlers of the server's side: what clients send, one method per message."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sv2.connection import Protocol
from sv2.services.handlers import Handler, Null, ignored
from sv2.services.peer import Client, Reply
from sv2_ffi import AnyMessage
from sv2_ffi.job_declaration import (
    AllocateMiningJobToken,
    DeclareMiningJob,
    DeclareMiningJobError,
    ProvideMissingTransactionsSuccess,
    PushSolution,
)
from sv2_ffi.mining import (
    CloseChannel,
    OpenExtendedMiningChannel,
    OpenMiningChannelError,
    OpenStandardMiningChannel,
    SetCustomMiningJob,
    SetCustomMiningJobError,
    SubmitSharesError,
    SubmitSharesExtended,
    SubmitSharesStandard,
    UpdateChannel,
    UpdateChannelError,
)
from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    RequestTransactionData,
    RequestTransactionDataError,
    SubmitSolution,
)

if TYPE_CHECKING:
    from sv2.services.server import Sv2ServerService


class ServerHandler(Handler[Client]):
    """Base of the handlers of a server."""

    supported_flags: int = 0
    """The bits of SetupConnection.flags that this handler supports, 32 bits. A client that asks
    for another is refused with ``unsupported-feature-flags``."""

    async def on_start(self, service: Sv2ServerService) -> None:
        """The service starts; it listens after this returned. An error stops the start.

        ``service.spawn`` runs a task in the background for as long as the service does.
        """

    def success_flags(self, client: Client) -> int:
        """The flags of SetupConnection.Success, 32 bits: what the server requires (spec 5.3.1).
        ``client.setup`` is there."""
        return 0


class MiningServerHandler(ServerHandler):
    """The server's side of the Mining Protocol (spec 5): a pool, a proxy or a solo server.

    Where nothing is overridden there are no channels: opening one is refused, and what names one is
    answered with ``invalid-channel-id``.
    """

    protocol: ClassVar[Protocol] = Protocol.MINING

    async def on_open_standard_mining_channel(
        self, client: Client, message: OpenStandardMiningChannel
    ) -> Reply:
        """Answer with OpenStandardMiningChannel.Success or OpenMiningChannel.Error (5.3.2)."""
        return OpenMiningChannelError(message.request_id, "unsupported-channel-type")

    async def on_open_extended_mining_channel(
        self, client: Client, message: OpenExtendedMiningChannel
    ) -> Reply:
        """Answer with OpenExtendedMiningChannel.Success or OpenMiningChannel.Error (5.3.4)."""
        return OpenMiningChannelError(message.request_id, "unsupported-channel-type")

    async def on_update_channel(self, client: Client, message: UpdateChannel) -> Reply:
        """Answer with SetTarget, UpdateChannel.Error, or nothing (5.3.7)."""
        return UpdateChannelError(message.channel_id, "invalid-channel-id")

    async def on_close_channel(self, client: Client, message: CloseChannel) -> Reply:
        """Send nothing for this channel, or group of channels, any more (5.3.9)."""
        return ignored(client, message)

    async def on_submit_shares_standard(
        self, client: Client, message: SubmitSharesStandard
    ) -> Reply:
        """Answer with SubmitShares.Success, now or in a batch, or SubmitShares.Error (5.3.11)."""
        return SubmitSharesError(message.channel_id, message.sequence_number, "invalid-channel-id")

    async def on_submit_shares_extended(
        self, client: Client, message: SubmitSharesExtended
    ) -> Reply:
        """Answer with SubmitShares.Success, now or in a batch, or SubmitShares.Error (5.3.12)."""
        return SubmitSharesError(message.channel_id, message.sequence_number, "invalid-channel-id")

    async def on_set_custom_mining_job(self, client: Client, message: SetCustomMiningJob) -> Reply:
        """Answer with SetCustomMiningJob.Success or .Error (5.3.18)."""
        return SetCustomMiningJobError(message.channel_id, message.request_id, "invalid-channel-id")

    async def handle(self, peer: Client, message: AnyMessage) -> Reply:
        match message:
            case SubmitSharesExtended():
                return await self.on_submit_shares_extended(peer, message)
            case SubmitSharesStandard():
                return await self.on_submit_shares_standard(peer, message)
            case OpenStandardMiningChannel():
                return await self.on_open_standard_mining_channel(peer, message)
            case OpenExtendedMiningChannel():
                return await self.on_open_extended_mining_channel(peer, message)
            case UpdateChannel():
                return await self.on_update_channel(peer, message)
            case CloseChannel():
                return await self.on_close_channel(peer, message)
            case SetCustomMiningJob():
                return await self.on_set_custom_mining_job(peer, message)
        return await super().handle(peer, message)


class JobDeclarationServerHandler(ServerHandler):
    """The server's side of the Job Declaration Protocol (spec 6): a job declarator server."""

    protocol: ClassVar[Protocol] = Protocol.JOB_DECLARATION

    async def on_allocate_mining_job_token(
        self, client: Client, message: AllocateMiningJobToken
    ) -> Reply:
        """Answer with AllocateMiningJobToken.Success (6.4.2). There is no error to answer with, so
        the request is ignored by default."""
        return ignored(client, message)

    async def on_declare_mining_job(self, client: Client, message: DeclareMiningJob) -> Reply:
        """Answer with DeclareMiningJob.Success, .Error, or ProvideMissingTransactions (6.4.4)."""
        return DeclareMiningJobError(message.request_id, "invalid-mining-job-token", b"")

    async def on_provide_missing_transactions_success(
        self, client: Client, message: ProvideMissingTransactionsSuccess
    ) -> Reply:
        """The answer to our ProvideMissingTransactions (6.4.8)."""
        return ignored(client, message)

    async def on_push_solution(self, client: Client, message: PushSolution) -> Reply:
        """The client found a block; there is no answer (6.4.9)."""
        return ignored(client, message)

    async def handle(self, peer: Client, message: AnyMessage) -> Reply:
        match message:
            case AllocateMiningJobToken():
                return await self.on_allocate_mining_job_token(peer, message)
            case DeclareMiningJob():
                return await self.on_declare_mining_job(peer, message)
            case ProvideMissingTransactionsSuccess():
                return await self.on_provide_missing_transactions_success(peer, message)
            case PushSolution():
                return await self.on_push_solution(peer, message)
        return await super().handle(peer, message)


class TemplateDistributionServerHandler(ServerHandler):
    """The server's side of the Template Distribution Protocol (spec 7): a template provider."""

    protocol: ClassVar[Protocol] = Protocol.TEMPLATE_DISTRIBUTION

    async def on_coinbase_output_constraints(
        self, client: Client, message: CoinbaseOutputConstraints
    ) -> Reply:
        """Send NewTemplate and SetNewPrevHash that leave this room (7.1)."""
        return ignored(client, message)

    async def on_request_transaction_data(
        self, client: Client, message: RequestTransactionData
    ) -> Reply:
        """Answer with RequestTransactionData.Success or .Error (7.4)."""
        return RequestTransactionDataError(message.template_id, "template-id-not-found")

    async def on_submit_solution(self, client: Client, message: SubmitSolution) -> Reply:
        """The client found a block; there is no answer (7.7)."""
        return ignored(client, message)

    async def handle(self, peer: Client, message: AnyMessage) -> Reply:
        match message:
            case CoinbaseOutputConstraints():
                return await self.on_coinbase_output_constraints(peer, message)
            case RequestTransactionData():
                return await self.on_request_transaction_data(peer, message)
            case SubmitSolution():
                return await self.on_submit_solution(peer, message)
        return await super().handle(peer, message)


class NullMiningServerHandler(MiningServerHandler, Null):
    """The Mining Protocol is not supported."""


class NullJobDeclarationServerHandler(JobDeclarationServerHandler, Null):
    """The Job Declaration Protocol is not supported."""


class NullTemplateDistributionServerHandler(TemplateDistributionServerHandler, Null):
    """The Template Distribution Protocol is not supported."""
