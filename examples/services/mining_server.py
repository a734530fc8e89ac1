"""A mining server: opens channels, gives each a job, and counts shares.

usage: mining_server.py [PORT]

Prints its address, with the key that clients need, and serves until Ctrl-C. The job is a made-up
one: where real ones come from is what a pool adds.
"""

import asyncio
import sys

from sv2.address import Address
from sv2.net import run
from sv2.noise import AuthoritySecretKey, ServerIdentity
from sv2.services import (
    Client,
    MiningServerHandler,
    Reply,
    ServerConfig,
    Sv2ServerService,
    log_messages,
    rate_limit,
)

from sv2_ffi.mining import (
    CloseChannel,
    NewMiningJob,
    OpenStandardMiningChannel,
    OpenStandardMiningChannelSuccess,
    SetNewPrevHash,
    SubmitSharesError,
    SubmitSharesStandard,
    SubmitSharesSuccess,
)

TARGET = b"\xff" * 32  # every share is good enough
JOB = 1


class Pool(MiningServerHandler):
    """One group of standard channels for each client."""

    def __init__(self) -> None:
        self.shares: dict[Client, dict[int, int]] = {}

    async def on_connect(self, peer: Client) -> Reply:
        self.shares[peer] = {}
        return None

    async def on_disconnect(self, peer: Client) -> None:
        print(
            f"client {peer.id} left with {sum(self.shares.pop(peer).values())} shares", flush=True
        )

    async def on_open_standard_mining_channel(
        self, client: Client, message: OpenStandardMiningChannel
    ) -> Reply:
        channels = self.shares[client]
        channel = max(channels, default=0) + 1
        channels[channel] = 0
        prefix = client.id.to_bytes(4, "little") + channel.to_bytes(4, "little")
        return [
            OpenStandardMiningChannelSuccess(message.request_id, channel, TARGET, prefix, 0),
            NewMiningJob(channel, JOB, None, 0x20000000, bytes(32)),
            SetNewPrevHash(channel, JOB, bytes(32), 1_700_000_000, 0x207FFFFF),
        ]

    async def on_submit_shares_standard(
        self, client: Client, message: SubmitSharesStandard
    ) -> Reply:
        channel, number = message.channel_id, message.sequence_number
        if channel not in self.shares[client]:
            return SubmitSharesError(channel, number, "invalid-channel-id")
        if message.job_id != JOB:
            return SubmitSharesError(channel, number, "invalid-job-id")
        self.shares[client][channel] += 1
        return SubmitSharesSuccess(channel, number, 1, 1)

    async def on_close_channel(self, client: Client, message: CloseChannel) -> Reply:
        self.shares[client].pop(message.channel_id, None)
        return None


async def main() -> None:
    authority = AuthoritySecretKey.generate()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    layers = [log_messages(), rate_limit(100, burst=200)]
    config = ServerConfig("127.0.0.1", port, ServerIdentity.self_issued(authority), layers=layers)
    async with Sv2ServerService(config, mining=Pool()) as server:
        print(Address("127.0.0.1", server.port, authority.public_key), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped", flush=True)
