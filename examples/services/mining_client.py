"""A miner: opens a standard channel and submits shares for the job that it gets.

usage: mining_client.py SHARES URL...

Goes along the list of URLs when one fails, and ends when SHARES have been accepted. It does not
hash: the example server takes any share.
"""

import asyncio
import sys

from sv2.connection import Protocol
from sv2.net import run
from sv2.services import (
    ClientConfig,
    MiningClientHandler,
    Reply,
    Sv2ClientService,
    Upstream,
    UpstreamConfig,
)

from sv2_ffi.mining import (
    NewMiningJob,
    OpenMiningChannelError,
    OpenStandardMiningChannel,
    OpenStandardMiningChannelSuccess,
    SetNewPrevHash,
    SubmitSharesError,
    SubmitSharesStandard,
    SubmitSharesSuccess,
)


class Miner(MiningClientHandler):
    """One channel; every answer to a share sends the next."""

    def __init__(self, shares: int) -> None:
        self.wanted = shares
        self.accepted = 0
        self.finished = asyncio.Event()
        self.jobs: dict[int, NewMiningJob] = {}

    async def on_connect(self, peer: Upstream) -> Reply:
        self.jobs.clear()
        return OpenStandardMiningChannel(1, "example", 1e12, b"\xff" * 32)

    async def on_open_standard_mining_channel_success(
        self, upstream: Upstream, message: OpenStandardMiningChannelSuccess
    ) -> Reply:
        print(f"channel {message.channel_id} at {upstream.endpoint}", flush=True)
        return None

    async def on_open_mining_channel_error(
        self, upstream: Upstream, message: OpenMiningChannelError
    ) -> Reply:
        self.finished.set()
        return None

    async def on_new_mining_job(self, upstream: Upstream, message: NewMiningJob) -> Reply:
        self.jobs[message.job_id] = message
        return None

    async def on_set_new_prev_hash(self, upstream: Upstream, message: SetNewPrevHash) -> Reply:
        job = self.jobs[message.job_id]
        return SubmitSharesStandard(
            message.channel_id, 0, job.job_id, 0, message.min_ntime, job.version
        )

    async def on_submit_shares_success(
        self, upstream: Upstream, message: SubmitSharesSuccess
    ) -> Reply:
        self.accepted += message.new_submits_accepted_count
        if self.accepted >= self.wanted:
            self.finished.set()
            return None
        number = message.last_sequence_number + 1
        job = next(iter(self.jobs.values()))
        return SubmitSharesStandard(message.channel_id, number, job.job_id, number, 0, job.version)

    async def on_submit_shares_error(self, upstream: Upstream, message: SubmitSharesError) -> Reply:
        print(f"share {message.sequence_number} was refused", flush=True)
        return None


async def main() -> None:
    miner = Miner(int(sys.argv[1]))
    config = ClientConfig(mining=UpstreamConfig(sys.argv[2:]), vendor="example")
    async with Sv2ClientService(config, mining=miner) as client:
        await client.connected(Protocol.MINING)
        await asyncio.wait_for(miner.finished.wait(), 60)
    print(f"{miner.accepted} shares accepted", flush=True)


if __name__ == "__main__":
    run(main())
