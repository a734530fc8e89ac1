"""A template distribution server: sends a template to each client, and a new tip now and then.

usage: template_server.py [SECONDS]

Prints its address, with the key that clients need, and serves until Ctrl-C; every SECONDS (1) it
has a new tip. Its templates are made up: a template provider gets them from its node.
"""

import asyncio
import sys

from sv2.address import Address
from sv2.net import run
from sv2.noise import AuthoritySecretKey, ServerIdentity
from sv2.services import (
    Client,
    Reply,
    ServerConfig,
    Sv2ServerService,
    TemplateDistributionServerHandler,
)

from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    NewTemplate,
    RequestTransactionData,
    RequestTransactionDataError,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
    SubmitSolution,
)


def template(number: int) -> tuple[NewTemplate, SetNewPrevHash]:
    """The template of the tip at this height, and the message that makes it current."""
    prefix = b"\x03" + number.to_bytes(3, "little")
    outputs = bytes(8) + b"\x01\x6a"
    return (
        NewTemplate(
            number, True, 0x20000000, 2, prefix, 0xFFFFFFFE, 5_000_000_000, 1, outputs, 0, []
        ),
        SetNewPrevHash(number, bytes(32), 1_700_000_000, 0x207FFFFF, b"\xff" * 32),
    )


class Provider(TemplateDistributionServerHandler):
    """Clients get templates once they have said what room they need (spec 7.1)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.number = 1_000_000
        self.ready: set[int] = set()

    async def on_start(self, service: Sv2ServerService) -> None:
        service.spawn(self.find_tips(service), "tips")

    async def find_tips(self, service: Sv2ServerService) -> None:
        while True:
            await asyncio.sleep(self.seconds)
            self.number += 1
            service.send_many(self.ready, *template(self.number))

    async def on_coinbase_output_constraints(
        self, client: Client, message: CoinbaseOutputConstraints
    ) -> Reply:
        self.ready.add(client.id)
        return template(self.number)

    async def on_disconnect(self, peer: Client) -> None:
        self.ready.discard(peer.id)

    async def on_request_transaction_data(
        self, client: Client, message: RequestTransactionData
    ) -> Reply:
        if message.template_id != self.number:
            return RequestTransactionDataError(message.template_id, "stale-template-id")
        return RequestTransactionDataSuccess(message.template_id, b"", [])

    async def on_submit_solution(self, client: Client, message: SubmitSolution) -> Reply:
        print(f"client {client.id} solved template {message.template_id}", flush=True)
        return None


async def main() -> None:
    authority = AuthoritySecretKey.generate()
    config = ServerConfig("127.0.0.1", 0, ServerIdentity.self_issued(authority))
    provider = Provider(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    async with Sv2ServerService(config, template_distribution=provider) as server:
        print(Address("127.0.0.1", server.port, authority.public_key), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped", flush=True)
