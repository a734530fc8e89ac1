"""What the tests of the template provider share."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from regtest_helpers import recorded_node
from sv2.connection import PLAIN, ClientSecurity
from sv2.net import Stream, connect
from sv2.node import BlockTemplate, TemplateTransaction
from sv2.noise import CertificatePolicy
from sv2.roles.template_provider import App, load_config
from sv2.roles.template_provider.blocks import (
    Coinbase,
    block_header,
    commitment_script,
    merkle_root,
    serialize_block,
    sha256d,
)
from sv2.roles.template_provider.template import Snapshot, snapshot_of
from sv2.testing.node import RegtestNode
from sv2.testing.node.chaindata import parse_transaction
from sv2.testing.node.faucet import spend
from sv2.testing.node.miner import op_true_script

from sv2_ffi import AnyMessage
from sv2_ffi.common import SetupConnection
from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    NewTemplate,
    RequestTransactionData,
    RequestTransactionDataError,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
    SubmitSolution,
)

WITNESS = b"\x01\x20" + bytes(32)
_tags = itertools.count(1)


def made_transaction(
    number: int, fee: int, weight: int, sigops: int = 0, depends: tuple[int, ...] = ()
) -> TemplateTransaction:
    """A transaction of a made-up template: real bytes, made-up numbers."""
    tx = spend((sha256d(number.to_bytes(8, "little")), 0), [(1000, op_true_script())])
    return TemplateTransaction(tx.raw, tx.txid, tx.wtxid, fee, weight, sigops, depends)


def made_template(
    transactions: Sequence[TemplateTransaction] = (), *, height: int = 200, subsidy: int = 50_000
) -> BlockTemplate:
    """A template of these, as a node would give it."""
    return BlockTemplate(
        version=0x20000000,
        previous_hash=sha256d(height.to_bytes(4, "little")),
        height=height,
        bits=0x207FFFFF,
        current_time=1_800_000_000,
        minimum_time=1_799_999_000,
        coinbase_value=subsidy + sum(tx.fee for tx in transactions),
        witness_commitment=commitment_script([tx.wtxid for tx in transactions]),
        transactions=tuple(transactions),
        weight_limit=4_000_000,
        sigop_limit=80_000,
        rules=("csv", "!segwit", "taproot"),
        mutable=("time", "transactions", "prevblock"),
        capabilities=("proposal",),
        long_poll_id=None,
    )


def snapshot(template: BlockTemplate, number: int = 1) -> Snapshot:
    return snapshot_of(template, number, {})


def coinbase_for(template: NewTemplate, *, witness: bool = True, padding: int = 0) -> bytes:
    """A coinbase that pays all to anyone, different each time; ``padding`` bytes more of
    outputs."""
    script = template.coinbase_prefix + b"\x08" + next(_tags).to_bytes(8, "little")
    pay = op_true_script()
    own = template.coinbase_tx_value_remaining.to_bytes(8, "little") + bytes([len(pay)]) + pay
    while padding >= 10:
        # An output of 9 bytes and a script of data that nobody can spend.
        size = min(padding - 9, 252)
        own += bytes(8) + bytes([size]) + b"\x6a" * size
        padding -= 9 + size
    outputs = own + template.coinbase_tx_outputs
    count = 0
    rest = outputs
    while rest:
        rest = rest[9 + rest[8] :]
        count += 1
    body = (
        b"\x01" + bytes(32) + b"\xff" * 4 + bytes([len(script)]) + script
        + template.coinbase_tx_input_sequence.to_bytes(4, "little")
        + (bytes([count]) if count < 0xFD else b"\xfd" + count.to_bytes(2, "little"))
        + outputs
    )  # fmt: skip
    version = template.coinbase_tx_version.to_bytes(4, "little")
    lock_time = template.coinbase_tx_locktime.to_bytes(4, "little")
    if not witness:
        return version + body + lock_time
    return version + b"\x00\x01" + body + WITNESS + lock_time


def solve(
    template: NewTemplate,
    previous: SetNewPrevHash,
    coinbase: bytes | None = None,
    *,
    good: bool = True,
) -> SubmitSolution:
    """A solution on regtest's target; with ``good`` false one that misses it."""
    raw = coinbase_for(template) if coinbase is None else coinbase
    root = merkle_root(Coinbase.parse(raw).txid, template.merkle_path)
    target = int.from_bytes(previous.target, "little")
    time = previous.header_timestamp
    for nonce in range(1 << 20):
        header = block_header(
            template.version, previous.prev_hash, root, time, previous.n_bits, nonce
        )
        if (int.from_bytes(sha256d(header), "little") <= target) is good:
            return SubmitSolution(template.template_id, template.version, time, nonce, raw)
    raise AssertionError("no nonce")


def block_of(
    template: NewTemplate,
    previous: SetNewPrevHash,
    transactions: Sequence[bytes],
    solution: SubmitSolution,
) -> bytes:
    """The block that a solution stands for, by the client's account."""
    coinbase = solution.coinbase_tx
    txid = parse_transaction(coinbase).txid
    header = block_header(
        solution.version,
        previous.prev_hash,
        merkle_root(txid, template.merkle_path),
        solution.header_timestamp,
        previous.n_bits,
        solution.header_nonce,
    )
    return serialize_block(header, coinbase, transactions)


# The role on a test node

# A node that publishes its tips, and has a new template as soon as its mempool changes.
ZMQ: dict[str, Any] = {"zmq_hashblock": "tcp://127.0.0.1:*", "template_interval": 0.0}


@asynccontextmanager
async def provider_on(
    node: RegtestNode, folder: Path, *, noise: bool = False, **changes: Any
) -> AsyncIterator[App]:
    """The whole role on a free port; ``changes`` are of its settings."""
    settings: dict[str, Any] = {
        "network": "regtest",
        "datadir": str(folder / "tp"),
        "listen": "127.0.0.1:0",
        "plain": not noise,
        "rpc_url": node.rpc_url,
        "rpc_cookie": str(node.cookie_path),
        "fee_interval": 0.3,
        "max_clients_per_host": 512,
        "messages_per_second": 1000.0,
        "requests_per_second": 1000.0,
    }
    async with App(load_config(None, {**settings, **changes})) as app:
        yield app


@asynccontextmanager
async def running_provider(
    folder: Path, *, zmq: bool = False, **changes: Any
) -> AsyncIterator[tuple[RegtestNode, App]]:
    """The role on a node where the recorded session began; the node is as `ZMQ` says or without
    notices."""
    async with (
        recorded_node(folder, **(ZMQ if zmq else {})) as node,
        provider_on(node, folder, **changes) as app,
    ):
        yield node, app


def provider_options(node: RegtestNode, folder: Path) -> list[str]:
    """Of ``sv2 tp``, to run it on a free port."""
    return [
        "--network=regtest",
        f"--datadir={folder / 'tp'}",
        f"--rpc-url={node.rpc_url}",
        f"--rpc-cookie={node.cookie_path}",
        "--listen=127.0.0.1:0",
    ]


def security_of(app: App) -> ClientSecurity:
    """What a client of this provider is to believe."""
    return PLAIN if app.authority is None else CertificatePolicy(app.authority.public_key)


class TemplateClient:
    """A client that keeps what it is told."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.templates: dict[int, NewTemplate] = {}
        self.ids: list[int] = []
        self.previous: SetNewPrevHash | None = None

    async def constrain(self, size: int = 100, sigops: int = 0) -> None:
        await self.stream.send(CoinbaseOutputConstraints(size, sigops))

    async def next(self, timeout: float = 10.0) -> AnyMessage:
        """The next message, checked against what a client may rely on."""
        message = await self.stream.receive(timeout)
        match message:
            case NewTemplate(template_id=template_id):
                assert not self.ids or template_id > self.ids[-1], "ids rise strictly"
                self.ids.append(template_id)
                self.templates[template_id] = message
                assert message.future_template or self.previous is not None
            case SetNewPrevHash(template_id=template_id):
                assert self.templates[template_id].future_template
                self.previous = message
        return message

    async def pair(self) -> tuple[NewTemplate, SetNewPrevHash]:
        """The next two messages, which are to be a future template and what names it."""
        template, previous = await self.next(), await self.next()
        assert isinstance(template, NewTemplate)
        assert template.future_template
        assert isinstance(previous, SetNewPrevHash)
        assert previous.template_id == template.template_id
        return template, previous

    async def work_on(self, tip: bytes) -> NewTemplate:
        """Take messages until they are about ``tip``; its template."""
        while self.previous is None or self.previous.prev_hash != tip:
            await self.next()
        return self.templates[self.previous.template_id]

    async def data(
        self, template_id: int
    ) -> RequestTransactionDataSuccess | RequestTransactionDataError:
        await self.stream.send(RequestTransactionData(template_id))
        while True:
            message = await self.next()
            match message:
                case RequestTransactionDataSuccess() | RequestTransactionDataError():
                    assert message.template_id == template_id
                    return message

    async def submit(self, template: NewTemplate, coinbase: bytes | None = None) -> SubmitSolution:
        """Solve a template of the current work and hand it in."""
        assert self.previous is not None
        solution = solve(template, self.previous, coinbase)
        await self.stream.send(solution)
        return solution


@asynccontextmanager
async def template_client(
    port: int, *, security: ClientSecurity = PLAIN, constraints: tuple[int, int] | None = (100, 0)
) -> AsyncIterator[TemplateClient]:
    """A client after setup, and after its constraints where there are any."""
    stream = await connect(f"127.0.0.1:{port}", security=security)
    try:
        await stream.set_up(SetupConnection(2, 2, 2, 0, "127.0.0.1", port, "tests", "", "", ""))
        client = TemplateClient(stream)
        if constraints is not None:
            await client.constrain(*constraints)
        yield client
    finally:
        stream.abort()
        await stream.wait_closed()


@asynccontextmanager
async def session(
    folder: Path,
    *,
    zmq: bool = False,
    constraints: tuple[int, int] | None = (100, 0),
    **changes: Any,
) -> AsyncIterator[tuple[RegtestNode, App, TemplateClient]]:
    """A `running_provider` and one client of it."""
    async with (
        running_provider(folder, zmq=zmq, **changes) as (node, app),
        template_client(
            app.service.port, security=security_of(app), constraints=constraints
        ) as client,
    ):
        yield node, app, client
