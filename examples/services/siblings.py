"""Siblings: a solo pool in one process. Its client side gets templates, its server side has miners.

usage: siblings.py TEMPLATE_PROVIDER_URL

Prints the address for miners, with the key that they need, and serves until Ctrl-C. Each new tip
goes from the template client through the pair of siblings to every open channel, as an extended
job; the response says how many miners got it.
"""

import asyncio
import sys

from sv2 import services
from sv2.address import Address
from sv2.connection import Protocol
from sv2.net import run
from sv2.noise import AuthoritySecretKey, ServerIdentity
from sv2.services import Client, Reply, Upstream

from sv2_ffi import mining
from sv2_ffi import template_distribution as td

Job = tuple[mining.NewExtendedMiningJob, mining.SetNewPrevHash]


def make_job(template: td.NewTemplate, tip: td.SetNewPrevHash) -> Job:
    """What miners need on channel 1. The coinbase is left out: the pool role has it."""
    path, number = template.merkle_path, template.template_id & 0xFFFFFFFF
    return (
        mining.NewExtendedMiningJob(1, number, None, template.version, True, path, b"", b""),
        mining.SetNewPrevHash(1, number, tip.prev_hash, tip.header_timestamp, tip.n_bits),
    )


class Miners(services.MiningServerHandler):
    async def on_start(self, service: services.Sv2ServerService) -> None:
        self.service = service
        self.job: tuple[()] | Job = ()
        self.open: set[int] = set()

    async def on_sibling(self, request: object) -> object:
        match request:
            case (td.NewTemplate() as template, td.SetNewPrevHash() as tip):
                self.job = make_job(template, tip)
                return len(self.service.send_many(self.open, *self.job))
        raise ValueError("not a tip")

    async def on_open_extended_mining_channel(
        self, client: Client, message: mining.OpenExtendedMiningChannel
    ) -> Reply:
        self.open.add(client.id)
        request, prefix = message.request_id, client.id.to_bytes(4, "little")
        opened = mining.OpenExtendedMiningChannelSuccess(request, 1, b"\xff" * 32, 8, prefix, 0)
        return (opened, *self.job)

    async def on_disconnect(self, peer: Client) -> None:
        self.open.discard(peer.id)


class Templates(services.TemplateDistributionClientHandler):
    async def on_start(self, service: services.Sv2ClientService) -> None:
        self.service = service
        self.future: dict[int, td.NewTemplate] = {}

    async def on_connect(self, peer: Upstream) -> Reply:
        self.future.clear()
        return td.CoinbaseOutputConstraints(100, 4)

    async def on_new_template(self, upstream: Upstream, message: td.NewTemplate) -> Reply:
        self.future[message.template_id] = message
        return None

    async def on_set_new_prev_hash(self, upstream: Upstream, message: td.SetNewPrevHash) -> Reply:
        tip = (self.future.pop(message.template_id), message)
        reached = await self.service.sibling.request(Protocol.MINING, tip)
        print(f"template {message.template_id} went to {reached} miners", flush=True)
        return None


async def main() -> None:
    key = AuthoritySecretKey.generate()
    mine, yours = services.siblings()
    listen = services.ServerConfig("127.0.0.1", 0, ServerIdentity.self_issued(key))
    dial = services.ClientConfig(template_distribution=services.UpstreamConfig(sys.argv[1:]))
    server = services.Sv2ServerService(listen, mining=Miners(), sibling=mine)
    client = services.Sv2ClientService(dial, template_distribution=Templates(), sibling=yours)
    async with server, client:
        print(Address("127.0.0.1", server.port, key.public_key), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped", flush=True)
