"""`RegtestNode`: chain, mempool, mining, notices and the RPC server, as one node."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from sv2.deadline import within
from sv2.testing.node.chain import Chain, ChainListener, Entry
from sv2.testing.node.chaindata import (
    HEADER_SIZE,
    Malformed,
    Tx,
    parse_transaction,
    rpc_hash,
    sha256d,
)
from sv2.testing.node.faults import Faults
from sv2.testing.node.mempool import Mempool, Rejected
from sv2.testing.node.miner import make_block
from sv2.testing.node.publisher import Publisher
from sv2.testing.node.server import RpcServer
from sv2.testing.node.template import Reserve, Template, build_template, subsidy

__all__ = ["NodeConfig", "RegtestNode"]

log = logging.getLogger(__name__)

COOKIE_USER = "__cookie__"
MAX_MINING_PER_CALL = 10_000


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Port 0, and a ZMQ port of ``*``, are chosen by the system. Times are in seconds."""

    datadir: Path
    rpc_host: str = "127.0.0.1"
    rpc_port: int = 0
    rpc_user: str | None = None
    rpc_password: str | None = field(default=None, repr=False)
    zmq_hashblock: str | None = None
    zmq_sequence: str | None = None
    template_interval: float = 5.0
    """How old a template may get although the mempool changed; Bitcoin Core's."""
    longpoll_first: float = 60.0
    """When a longpoll first looks at the mempool; Bitcoin Core's."""
    longpoll_again: float = 10.0
    """And how often after that."""
    work_queue: int = 64
    """Calls under way at once; further ones get HTTP 503."""
    warmup: float = 0.0
    """How long calls answer -28 after each start."""
    knots: bool = False
    """Name itself Knots and take ``blockreservedweight`` and ``blockreservedsigops``."""


@final
class RegtestNode:
    """Use as an async context manager, or call `start` and `stop`.

    Raises (`start`):
        DataDirInUse, OSError: the data directory or the port is not to be had.
        ValueError: a ZMQ address is not.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.folder = config.datadir / "regtest"
        self.faults = Faults()
        self.stopped = asyncio.Event()
        self.stop_asked = asyncio.Event()
        self.started_at = time.time()
        self._template: Template | None = None
        self._changed = asyncio.Event()
        self._running = False
        self._warm_at = 0.0
        self._rpc_port = config.rpc_port
        self._restart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RegtestNode:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    # Life

    async def start(self) -> None:
        self.chain = Chain(self.folder)
        self.pool = Mempool(self.chain, time.time)
        self.pool.added = lambda txid, number: self.publisher.transaction_added(txid, number)
        self.pool.removed = lambda txid, number: self.publisher.transaction_removed(txid, number)
        self.chain.listen(
            ChainListener(self._block_connected, self._block_disconnected, self._chain_changed)
        )
        try:
            self.publisher = Publisher(self.config.zmq_hashblock, self.config.zmq_sequence)
            self._load_pool()
            await self._open()
        except BaseException:
            self.chain.close()
            raise

    async def stop(self) -> None:
        """Stop serving and save the mempool. Calls under way break off."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        if self._running:
            await self._close()
        if not self.stopped.is_set():
            self.publisher.close()
            self._save_pool()
            self.chain.close()
            self.stopped.set()

    def ask_to_stop(self) -> None:
        """What the RPC ``stop`` does: whoever runs the node sees `stop_asked` and stops it."""
        self.stop_asked.set()

    async def _open(self) -> None:
        self._running = True
        self.started_at = time.time()
        self._warm_at = time.monotonic() + self.config.warmup
        self._write_cookie()
        self.server = RpcServer(self)
        try:
            self._rpc_port = await self.server.start(self.config.rpc_host, self._rpc_port)
        except OSError:
            self._running = False
            self.cookie_path.unlink(missing_ok=True)
            self.publisher.close()
            raise
        log.info("serving RPC", extra={"url": self.rpc_url, "height": self.chain.height})

    async def _close(self) -> None:
        self._running = False
        self._wake()
        await self.server.stop()
        self.cookie_path.unlink(missing_ok=True)

    def restart(self, downtime: float, *, warmup: float = 0.0) -> None:
        """Go away, breaking all connections, and come back after ``downtime`` with a new cookie on
        the same ports. Chain and mempool stay."""
        if self._restart is None or self._restart.done():
            self._restart = asyncio.create_task(self._do_restart(downtime, warmup))

    async def _do_restart(self, downtime: float, warmup: float) -> None:
        log.info("restart on demand", extra={"downtime": downtime})
        # Bound again to the ports they had, which may have been chosen by the system.
        hashblock, sequence = (self.publisher.address(n) for n in ("hashblock", "sequence"))
        await self._close()
        self.publisher.close()
        await asyncio.sleep(downtime)
        self.publisher = Publisher(hashblock, sequence)
        await self._open()
        self._warm_at = time.monotonic() + warmup

    @property
    def running(self) -> bool:
        return self._running

    @property
    def warming_up(self) -> bool:
        return time.monotonic() < self._warm_at

    @property
    def rpc_url(self) -> str:
        return f"http://{self.config.rpc_host}:{self._rpc_port}"

    @property
    def cookie_path(self) -> Path:
        return self.folder / ".cookie"

    def _write_cookie(self) -> None:
        self.cookie = f"{COOKIE_USER}:{os.urandom(32).hex()}"
        fresh = self.folder / ".cookie.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.cookie)
        fresh.replace(self.cookie_path)

    def _pool_path(self) -> Path:
        return self.folder / "mempool.txt"

    def _save_pool(self) -> None:
        lines = [f"{entry.tx.raw.hex()}\n" for entry in self.pool.entries()]
        fresh = self._pool_path().with_suffix(".new")
        fresh.write_text("".join(lines), "ascii")
        fresh.replace(self._pool_path())

    def _load_pool(self) -> None:
        try:
            lines = self._pool_path().read_text("ascii").split()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                self.pool.accept(parse_transaction(bytes.fromhex(line)))
            except (Malformed, Rejected, ValueError) as error:
                log.info("a saved transaction is not valid any more", extra={"error": str(error)})

    # Following the chain

    def _block_connected(self, entry: Entry) -> None:
        self.pool.block_connected(entry)
        self.publisher.block_connected(entry.hash)

    def _block_disconnected(self, entry: Entry) -> None:
        self.pool.block_disconnected(entry)
        self.publisher.block_disconnected(entry.hash)

    def _chain_changed(self, connected: bool) -> None:
        self.pool.chain_changed()
        tip = self.chain.tip
        log.info("new tip", extra={"tip": rpc_hash(tip.hash), "height": tip.height})
        if connected:
            self.publisher.block_tip(tip.hash)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_tip_changed(self, known: bytes, seconds: float | None) -> None:
        """Return when the tip is not ``known``, after ``seconds``, or when the node stops."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._running and self.chain.tip.hash == known:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            try:
                await within(left, self._changed.wait())
            except asyncio.TimeoutError:
                return

    # Templates and blocks

    def template(self, reserve: Reserve | None = None) -> Template:
        """The template to serve: kept while the tip is the same and the pool is, or for at most
        `template_interval` though the pool changed. With ``reserve`` a new one for that."""
        now = time.time()
        if reserve is not None:
            return build_template(self.chain, self.pool, now, reserve)
        old = self._template
        if (
            old is None
            or old.parent.hash != self.chain.tip.hash
            or (
                old.updates != self.pool.updates
                and now - old.built_at >= self.config.template_interval
            )
        ):
            self._template = build_template(self.chain, self.pool, now, Reserve())
            return self._template
        return old

    async def generate(self, count: int, script: bytes) -> list[bytes]:
        """Mine ``count`` blocks of what is in the mempool to ``script``; their hashes.

        Raises:
            ValueError: more than 10,000 at once.
        """
        if not 0 <= count <= MAX_MINING_PER_CALL:
            raise ValueError(f"0 to {MAX_MINING_PER_CALL} blocks at once")
        hashes = []
        for _ in range(count):
            template = build_template(self.chain, self.pool, time.time(), Reserve())
            transactions = [entry.tx for entry in template.entries]
            hashes.append(
                self._mine_on(template.parent, transactions, template.coinbase_value, script)
            )
            await asyncio.sleep(0)
        return hashes

    async def reorganize(self, depth: int, length: int, script: bytes) -> list[bytes]:
        """Replace the last ``depth`` blocks by ``length`` others, empty ones; their hashes.

        Raises:
            ValueError: depth is not 1 to the chain's height, or length does not exceed it.
        """
        if not 1 <= depth <= self.chain.height or not depth < length <= MAX_MINING_PER_CALL:
            raise ValueError("depth is 1 to the height, length above depth")
        hashes: list[bytes] = []
        parent = self.chain.entry(self.chain.active[-1 - depth])
        for _ in range(length):
            block_hash = self._mine_on(parent, (), subsidy(parent.height + 1), script)
            hashes.append(block_hash)
            parent = self.chain.entry(block_hash)
            await asyncio.sleep(0)
        return hashes

    def _mine_on(self, parent: Entry, txs: Sequence[Tx], value: int, script: bytes) -> bytes:
        when = max(self.chain.minimum_time(parent), int(time.time()))
        block = make_block(parent.hash, parent.height + 1, when, txs, value, script)
        reason = self.chain.submit(block)
        if reason not in (None, "inconclusive"):
            raise RuntimeError(f"our own block is not valid: {reason}")
        return sha256d(block[:HEADER_SIZE])
