"""A template distribution client: follows the tips of a template provider.

usage: template_client.py TIPS URL...

Asks for the transactions of each template, goes along the list of URLs when one fails, and ends
after TIPS new tips.
"""

import asyncio
import sys

from sv2.connection import Protocol
from sv2.net import run
from sv2.services import (
    ClientConfig,
    Reply,
    Sv2ClientService,
    TemplateDistributionClientHandler,
    Upstream,
    UpstreamConfig,
)

from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    NewTemplate,
    RequestTransactionData,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
)


class Follower(TemplateDistributionClientHandler):
    """Keeps the templates of the future until a tip names one."""

    def __init__(self, tips: int) -> None:
        self.tips = tips
        self.future: dict[int, NewTemplate] = {}
        self.finished = asyncio.Event()

    async def on_connect(self, peer: Upstream) -> Reply:
        self.future.clear()
        return CoinbaseOutputConstraints(100, 4)

    async def on_new_template(self, upstream: Upstream, message: NewTemplate) -> Reply:
        if message.future_template:
            self.future[message.template_id] = message
        return RequestTransactionData(message.template_id)

    async def on_set_new_prev_hash(self, upstream: Upstream, message: SetNewPrevHash) -> Reply:
        template = self.future[message.template_id]
        self.future.clear()
        value = template.coinbase_tx_value_remaining
        print(f"tip: template {message.template_id}, {value} satoshi", flush=True)
        self.tips -= 1
        if self.tips <= 0:
            self.finished.set()
        return None

    async def on_request_transaction_data_success(
        self, upstream: Upstream, message: RequestTransactionDataSuccess
    ) -> Reply:
        count = len(message.transaction_list)
        print(f"template {message.template_id}: {count} transactions", flush=True)
        return None


async def main() -> None:
    follower = Follower(int(sys.argv[1]))
    upstreams = UpstreamConfig(sys.argv[2:])
    config = ClientConfig(template_distribution=upstreams, vendor="example")
    async with Sv2ClientService(config, template_distribution=follower) as client:
        await client.connected(Protocol.TEMPLATE_DISTRIBUTION)
        await asyncio.wait_for(follower.finished.wait(), 60)
    print("done", flush=True)


if __name__ == "__main__":
    run(main())
