"""`Node`: the calls that the roles make to a node, with typed answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sv2.node.errors import BadAnswer, MethodNotFound, RpcError
from sv2.node.results import (
    BlockHeader,
    BlockTemplate,
    ChainInfo,
    NetworkInfo,
    SubmitResult,
    Tip,
    ZmqEndpoint,
    hash_bytes,
    hash_text,
    hex_field,
)
from sv2.node.rpc import RpcClient

__all__ = ["LONG_POLL_TIMEOUT", "Node"]

LONG_POLL_TIMEOUT = 150.0
"""Seconds to wait for a longpoll answer: Bitcoin Core looks for new fees after a minute."""

WAIT_MARGIN = 10.0
"""Seconds that a waiting call may take longer than the node was asked to wait."""

_HELP_OR_BAD_PARAMETER = (-1, -8, -32602)


class Node:
    """A Bitcoin node over RPC: Bitcoin Core, Bitcoin Knots or btcd.

    Every method raises `sv2.node.errors.NodeError` subclasses and waits for a bounded time.
    """

    def __init__(self, rpc: RpcClient) -> None:
        self.rpc = rpc
        self._wait_takes_tip = True

    async def chain_info(self) -> ChainInfo:
        return ChainInfo.parse(await self.rpc.call("getblockchaininfo"))

    async def network_info(self) -> NetworkInfo:
        """Which node this is. Raises: MethodNotFound (btcd)."""
        return NetworkInfo.parse(await self.rpc.call("getnetworkinfo"))

    async def zmq_endpoints(self) -> tuple[ZmqEndpoint, ...]:
        """What the node publishes over ZMQ; empty where it has no such call (btcd)."""
        try:
            answer = await self.rpc.call("getzmqnotifications")
        except MethodNotFound:
            return ()
        if not isinstance(answer, list):
            raise BadAnswer("getzmqnotifications: not a list")
        return tuple(ZmqEndpoint.parse(item) for item in answer)

    async def best_block_hash(self) -> bytes:
        return hash_bytes(await self.rpc.call("getbestblockhash"))

    async def block_hash(self, height: int) -> bytes:
        """The active chain's block at ``height``; `RpcError` -8 if there is none."""
        return hash_bytes(await self.rpc.call("getblockhash", height))

    async def block_header(self, block_hash: bytes) -> BlockHeader:
        """`RpcError` -5 if the node does not know the block."""
        return BlockHeader.parse(await self.rpc.call("getblockheader", hash_text(block_hash), True))

    async def block(self, block_hash: bytes) -> bytes:
        """The serialized block, witnesses included."""
        return hex_field("getblock", await self.rpc.call("getblock", hash_text(block_hash), 0))

    async def block_template(
        self,
        *,
        rules: Sequence[str] = ("segwit",),
        long_poll_id: str | None = None,
        reserve: Mapping[str, int] | None = None,
        timeout: float | None = None,
    ) -> BlockTemplate:
        """``getblocktemplate``.

        ``rules`` lists the consensus changes we can build blocks for; see `template_rules`.
        With ``long_poll_id`` the node answers when its tip or fees have changed; the call then
        occupies one of its RPC workers for up to `LONG_POLL_TIMEOUT`. ``reserve`` is Knots'
        ``blockreservedweight``, ``blockreservedsigops`` and ``blockreservedsize``; other nodes
        ignore it, so give it only where `NetworkInfo.is_knots`.
        """
        request: dict[str, Any] = {"rules": list(rules), **(reserve or {})}
        if long_poll_id is not None:
            request["longpollid"] = long_poll_id
            timeout = LONG_POLL_TIMEOUT if timeout is None else timeout
        answer = await self.rpc.call("getblocktemplate", request, timeout=timeout)
        return BlockTemplate.parse(answer)

    async def submit_block(self, block: bytes, *, timeout: float | None = None) -> SubmitResult:
        """``submitblock``. After `NodeUnavailable` the node may have taken the block all the same;
        submitting again is safe and then answers DUPLICATE."""
        return SubmitResult.parse(await self.rpc.call("submitblock", block.hex(), timeout=timeout))

    async def propose_block(self, block: bytes, *, timeout: float | None = None) -> SubmitResult:
        """Check a block on the current tip without its proof of work (BIP23). ACCEPTED is valid."""
        request = {"mode": "proposal", "data": block.hex(), "rules": ["segwit"]}
        answer = await self.rpc.call("getblocktemplate", request, timeout=timeout)
        return SubmitResult.parse(answer)

    async def send_raw_transaction(self, transaction: bytes) -> bytes:
        """Hand a transaction to the mempool; its txid."""
        return hash_bytes(await self.rpc.call("sendrawtransaction", transaction.hex()))

    async def raw_mempool(self) -> tuple[bytes, ...]:
        """The txids in the mempool."""
        answer = await self.rpc.call("getrawmempool")
        if not isinstance(answer, list):
            raise BadAnswer("getrawmempool: not a list")
        return tuple(hash_bytes(item) for item in answer)

    @property
    def wait_takes_tip(self) -> bool:
        """Whether `wait_for_new_block` can still be free of its race: the node has not refused the
        parameter that names the known tip (Bitcoin Core has it since 30)."""
        return self._wait_takes_tip

    def forget_capabilities(self) -> None:
        """Assume nothing about what the node can do: it may be another one since its restart."""
        self._wait_takes_tip = True

    async def wait_for_new_block(self, known_tip: bytes, seconds: float) -> Tip:
        """The tip once it differs from ``known_tip``, or after ``seconds`` whatever it is.

        Where the node cannot take ``known_tip`` (`wait_takes_tip` turns False) it waits for the
        next change counted from when it got the request: a block that came earlier is not noticed.

        Raises:
            MethodNotFound: the node cannot wait (btcd).
        """
        milliseconds, timeout = max(1, round(seconds * 1000)), seconds + WAIT_MARGIN
        if self._wait_takes_tip:
            try:
                answer = await self.rpc.call(
                    "waitfornewblock", milliseconds, hash_text(known_tip), timeout=timeout
                )
                return Tip.parse(answer)
            except RpcError as error:
                if error.code not in _HELP_OR_BAD_PARAMETER:
                    raise
                self._wait_takes_tip = False
        answer = await self.rpc.call("waitfornewblock", milliseconds, timeout=timeout)
        return Tip.parse(answer)
