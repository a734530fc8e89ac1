"""The RPC methods of the test node: names, parameters, answers and errors as Bitcoin Core's.

`Methods.CONTROL` are this node's own: they order faults and do what a test wants of a node.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from embit.base import EmbitError  # type: ignore[import-untyped]
from embit.descriptor import Descriptor  # type: ignore[import-untyped]
from embit.descriptor.checksum import add_checksum  # type: ignore[import-untyped]
from embit.script import address_to_scriptpubkey  # type: ignore[import-untyped]

from sv2.testing.node.chain import REGTEST_BITS, Entry, UnknownBlock, target_of
from sv2.testing.node.chaindata import (
    Malformed,
    Tx,
    parse_block,
    parse_transaction,
    rpc_hash,
    with_reserved_value,
)
from sv2.testing.node.faucet import fill_mempool
from sv2.testing.node.faults import BadFault, Fault
from sv2.testing.node.mempool import MIN_RELAY_SATS_PER_KVB, VERIFY_ERROR, Rejected
from sv2.testing.node.miner import op_true_script
from sv2.testing.node.publisher import HIGH_WATER_MARK
from sv2.testing.node.template import Reserve
from sv2.testing.node.views import (
    block_json,
    btc,
    difficulty,
    header_json,
    pool_entry_json,
    regtest_address,
    script_json,
    transaction_json,
)

if TYPE_CHECKING:
    from sv2.testing.node.node import RegtestNode

__all__ = ["Methods", "RpcFailure"]

MISC_ERROR = -1
TYPE_ERROR = -3
INVALID_ADDRESS_OR_KEY = -5
INVALID_PARAMETER = -8
CLIENT_NOT_CONNECTED = -9
DESERIALIZATION_ERROR = -22
METHOD_NOT_FOUND = -32601

MAX_INITIAL_DOWNLOAD_AGE = 24 * 60 * 60
DEFAULT_MAX_FEE_RATE = 0.10
NODE_VERSION = 310000
USER_AGENT = "/sv2-testnode:1.0.0/"
KNOTS_USER_AGENT = "/Satoshi:29.1.0/Knots:20250903/sv2-testnode:1.0.0/"

_TYPE_NAMES = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}

T = TypeVar("T")


class RpcFailure(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _typed(value: Any, kind: type[T]) -> T:
    """``value``, if JSON has it as ``kind``; a bool is no number."""
    if type(value) is kind or (kind is float and type(value) is int):
        return cast(T, value)
    raise RpcFailure(
        TYPE_ERROR,
        f"JSON value of type {_TYPE_NAMES.get(type(value), 'unknown')} "
        f"is not of expected type {_TYPE_NAMES[kind]}",
    )


def _unhex(text: str) -> bytes:
    """Raises: ValueError, for spaces too, which `bytes.fromhex` skips."""
    data = bytes.fromhex(text)
    if 2 * len(data) != len(text):
        raise ValueError("not hexadecimal")
    return data


def _hash(value: Any, name: str) -> bytes:
    text = _typed(value, str)
    if len(text) != 64:
        raise RpcFailure(
            INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text[:80]}')"
        )
    try:
        return _unhex(text)[::-1]
    except ValueError:
        raise RpcFailure(
            INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')"
        ) from None


def _transaction(value: Any) -> Tx:
    try:
        return parse_transaction(_unhex(_typed(value, str)))
    except (Malformed, ValueError):
        raise RpcFailure(
            DESERIALIZATION_ERROR,
            "TX decode failed. Make sure the tx has at least one input.",
        ) from None


def _block_bytes(value: Any) -> bytes:
    try:
        raw = _unhex(_typed(value, str))
        parse_block(raw)
    except (Malformed, ValueError):
        raise RpcFailure(DESERIALIZATION_ERROR, "Block decode failed") from None
    return raw


def _address_script(value: Any) -> bytes:
    address = _typed(value, str)
    try:
        parsed = address_to_scriptpubkey(address)
        script: bytes | None = None if parsed is None else parsed.data
    except (EmbitError, ValueError, TypeError, IndexError):
        script = None
    if script is None or regtest_address(script) != address:
        raise RpcFailure(INVALID_ADDRESS_OR_KEY, "Error: Invalid address")
    return script


def _descriptor_script(value: Any) -> bytes:
    """The one script of a descriptor, the first where it has a range. ``raw(hex)`` and
    ``addr(address)`` are taken too, which embit does not know."""
    text = _typed(value, str)
    body, mark, _ = text.partition("#")
    try:
        if mark and add_checksum(body) != text:
            raise ValueError("wrong checksum")
        if body.startswith("raw(") and body.endswith(")"):
            return bytes.fromhex(body[4:-1])
        if body.startswith("addr(") and body.endswith(")"):
            return _address_script(body[5:-1])
        script: bytes = Descriptor.from_string(body).derive(0).script_pubkey().data
    except (EmbitError, ValueError, TypeError, IndexError, AttributeError, KeyError):
        raise RpcFailure(INVALID_ADDRESS_OR_KEY, "Error: Invalid descriptor") from None
    return script


class Methods:
    """Every public coroutine of this class is an RPC method of that name.

    Parameters are taken by position or by name, as bitcoin-cli sends them; a parameter without
    a default is required.
    """

    CONTROL = frozenset(
        {
            "addfault",
            "clearfaults",
            "listfaults",
            "restart",
            "reorg",
            "skipnotices",
            "fillmempool",
            "stop",
        }
    )
    _OTHERS = frozenset({"call", "run_afterwards"})

    def __init__(self, node: RegtestNode) -> None:
        self._node = node
        self._in_initial_download = True
        self.afterwards: list[Callable[[], None]] = []
        """To be run when the answer under way has been sent."""

    def run_afterwards(self) -> None:
        todo, self.afterwards = self.afterwards, []
        for action in todo:
            action()

    async def call(self, name: str, params: list[Any] | dict[str, Any]) -> Any:
        """Run a method.

        Raises:
            RpcFailure: there is no such method, its parameters are wrong, or it failed.
        """
        method = None if name.startswith("_") or name in self._OTHERS else getattr(self, name, None)
        if not inspect.iscoroutinefunction(method):
            raise RpcFailure(METHOD_NOT_FOUND, "Method not found")
        signature = inspect.signature(method)
        known = list(signature.parameters)
        try:
            if isinstance(params, dict):
                named = {key: value for key, value in params.items() if key != "args"}
                bound = signature.bind(*_typed(params.get("args", []), list), **named)
            else:
                bound = signature.bind(*params)
        except TypeError:
            raise RpcFailure(MISC_ERROR, f"{name} {' '.join(known)}") from None
        call: Callable[..., Coroutine[Any, Any, Any]] = method
        try:
            return await call(*bound.args, **bound.kwargs)
        except UnknownBlock:
            raise RpcFailure(INVALID_ADDRESS_OR_KEY, "Block not found") from None

    def _entry(self, blockhash: Any) -> Entry:
        return self._node.chain.entry(_hash(blockhash, "blockhash"))

    # The chain

    async def getbestblockhash(self) -> str:
        return rpc_hash(self._node.chain.tip.hash)

    async def getblockcount(self) -> int:
        return self._node.chain.height

    async def getblockhash(self, height: Any) -> str:
        chain, wanted = self._node.chain, _typed(height, int)
        if not 0 <= wanted <= chain.height:
            raise RpcFailure(INVALID_PARAMETER, "Block height out of range")
        return rpc_hash(chain.active[wanted])

    async def getblockheader(self, blockhash: Any, verbose: Any = True) -> Any:
        entry = self._node.chain.entry(_hash(blockhash, "hash"))
        if not _typed(verbose, bool):
            return entry.header.raw.hex()
        return header_json(self._node.chain, entry)

    async def getblock(self, blockhash: Any, verbosity: Any = 1) -> Any:
        entry = self._entry(blockhash)
        level = int(verbosity) if type(verbosity) is bool else _typed(verbosity, int)
        if level <= 0:
            return entry.block.raw.hex()
        return block_json(self._node.chain, entry, details=level >= 2)

    async def getblockchaininfo(self) -> dict[str, Any]:
        chain = self._node.chain
        tip = chain.tip
        if time.time() - tip.header.time < MAX_INITIAL_DOWNLOAD_AGE:
            self._in_initial_download = False
        return {
            "chain": "regtest",
            "blocks": tip.height,
            "headers": max(chain.height, tip.height),
            "bestblockhash": rpc_hash(tip.hash),
            "bits": f"{tip.header.bits:08x}",
            "target": f"{target_of(tip.header.bits):064x}",
            "difficulty": difficulty(tip.header.bits),
            "time": tip.header.time,
            "mediantime": chain.median_time(tip),
            "verificationprogress": 1,
            "initialblockdownload": self._in_initial_download,
            "chainwork": f"{tip.work:064x}",
            "size_on_disk": chain.size_on_disk,
            "pruned": False,
            "warnings": [],
        }

    async def getdifficulty(self) -> float:
        return difficulty(self._node.chain.tip.header.bits)

    async def invalidateblock(self, blockhash: Any) -> None:
        entry = self._entry(blockhash)
        try:
            self._node.chain.invalidate(entry.hash)
        except ValueError as error:
            raise RpcFailure(MISC_ERROR, str(error)) from None

    async def reconsiderblock(self, blockhash: Any) -> None:
        self._node.chain.reconsider(self._entry(blockhash).hash)

    async def gettxout(self, txid: Any, n: Any, include_mempool: Any = True) -> Any:
        chain, pool = self._node.chain, self._node.pool
        outpoint = (_hash(txid, "txid"), _typed(n, int))
        coin = chain.coins.get(outpoint)
        if _typed(include_mempool, bool):
            parent = pool.get(outpoint[0])
            if parent is not None and 0 <= outpoint[1] < len(parent.tx.outputs):
                value, script = parent.tx.outputs[outpoint[1]]
                return self._txout(0, value, script, coinbase=False)
            if not pool.is_free(outpoint):
                return None
        if coin is None:
            return None
        confirmations = chain.height - coin.height + 1
        return self._txout(confirmations, coin.value, coin.script, coinbase=coin.coinbase)

    def _txout(self, depth: int, value: int, script: bytes, *, coinbase: bool) -> dict[str, Any]:
        return {
            "bestblock": rpc_hash(self._node.chain.tip.hash),
            "confirmations": depth,
            "value": btc(value),
            "scriptPubKey": script_json(script),
            "coinbase": coinbase,
        }

    # Waiting

    def _tip(self) -> dict[str, Any]:
        tip = self._node.chain.tip
        return {"hash": rpc_hash(tip.hash), "height": tip.height}

    @staticmethod
    def _seconds(timeout: Any) -> float | None:
        milliseconds = _typed(timeout, int)
        if milliseconds < 0:
            raise RpcFailure(MISC_ERROR, "Negative timeout")
        return milliseconds / 1000 if milliseconds else None

    async def waitfornewblock(self, timeout: Any = 0, current_tip: Any = None) -> dict[str, Any]:
        seconds = self._seconds(timeout)
        known = self._node.chain.tip.hash
        if current_tip is not None:
            known = _hash(current_tip, "current_tip")
        await self._node.wait_tip_changed(known, seconds)
        return self._tip()

    async def waitforblockheight(self, height: Any, timeout: Any = 0) -> dict[str, Any]:
        seconds, wanted = self._seconds(timeout), _typed(height, int)
        until = None if seconds is None else time.monotonic() + seconds
        node = self._node
        while node.running and node.chain.height < wanted:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                break
            await node.wait_tip_changed(node.chain.tip.hash, left)
        return self._tip()

    # Mining

    async def getblocktemplate(self, template_request: Any) -> Any:
        request = _typed(template_request, dict)
        mode = request.get("mode", "template")
        if mode == "proposal":
            return self._propose(request)
        if mode != "template":
            raise RpcFailure(INVALID_PARAMETER, "Invalid mode")
        if request.get("longpollid") is not None:
            await self._long_poll(request["longpollid"])
        rules = request.get("rules")
        if not isinstance(rules, list) or "segwit" not in rules:
            raise RpcFailure(
                INVALID_PARAMETER,
                "getblocktemplate must be called with the segwit rule set "
                '(call with {"rules": ["segwit"]})',
            )
        template = self._node.template(self._reserve(request))
        return template.answer(self._node.chain, time.time())

    def _propose(self, request: dict[str, Any]) -> str | None:
        data = request.get("data")
        if not isinstance(data, str):
            raise RpcFailure(TYPE_ERROR, "Missing data String key for proposal")
        try:
            return self._node.chain.propose(_block_bytes(data))
        except Malformed:
            raise RpcFailure(DESERIALIZATION_ERROR, "Block decode failed") from None

    def _reserve(self, request: dict[str, Any]) -> Reserve | None:
        """What a request to Knots wants kept free; other nodes do not look at it."""
        weight, sigops = request.get("blockreservedweight"), request.get("blockreservedsigops")
        if not self._node.config.knots or (weight is None and sigops is None):
            return None
        default = Reserve()
        reserve = Reserve(
            default.weight if weight is None else _typed(weight, int),
            default.sigops if sigops is None else _typed(sigops, int),
        )
        if not (0 <= reserve.weight <= 4_000_000 and 0 <= reserve.sigops <= 80_000):
            raise RpcFailure(INVALID_PARAMETER, "reservation out of range")
        return reserve

    async def _long_poll(self, poll_id: Any) -> None:
        """Wait until the tip differs from the one in the id, or for new transactions, which are
        looked for after a minute and then every ten seconds (`NodeConfig` sets both)."""
        node = self._node
        if isinstance(poll_id, str):
            known = _hash(poll_id[:64], "longpollid")
            updates = int(poll_id[64:]) if poll_id[64:].isdecimal() else 0
        else:
            known, updates = node.chain.tip.hash, node.pool.updates
        pause = node.config.longpoll_first
        while node.running:
            await node.wait_tip_changed(known, pause)
            if node.chain.tip.hash != known or node.pool.updates != updates:
                return
            pause = node.config.longpoll_again
        raise RpcFailure(CLIENT_NOT_CONNECTED, "Shutting down")

    async def submitblock(self, hexdata: Any, dummy: Any = None) -> str | None:
        """``dummy`` is BIP22's and ignored."""
        try:
            return self._node.chain.submit(with_reserved_value(_block_bytes(hexdata)))
        except Malformed:
            raise RpcFailure(DESERIALIZATION_ERROR, "Block decode failed") from None

    async def generatetoaddress(
        self, nblocks: Any, address: Any, maxtries: Any = None
    ) -> list[str]:
        return await self._generate(nblocks, _address_script(address))

    async def generatetodescriptor(
        self, num_blocks: Any, descriptor: Any, maxtries: Any = None
    ) -> list[str]:
        return await self._generate(num_blocks, _descriptor_script(descriptor))

    async def _generate(self, count: Any, script: bytes) -> list[str]:
        try:
            hashes = await self._node.generate(_typed(count, int), script)
        except ValueError as error:
            raise RpcFailure(INVALID_PARAMETER, str(error)) from None
        return [rpc_hash(block_hash) for block_hash in hashes]

    async def getmininginfo(self) -> dict[str, Any]:
        tip = self._node.chain.tip
        following = {
            "height": tip.height + 1,
            "bits": f"{REGTEST_BITS:08x}",
            "difficulty": difficulty(REGTEST_BITS),
            "target": f"{target_of(REGTEST_BITS):064x}",
        }
        return {
            "blocks": tip.height,
            "bits": f"{tip.header.bits:08x}",
            "difficulty": difficulty(tip.header.bits),
            "target": f"{target_of(tip.header.bits):064x}",
            "networkhashps": 0,
            "pooledtx": len(self._node.pool),
            "chain": "regtest",
            "next": following,
            "warnings": [],
        }

    # The mempool

    async def sendrawtransaction(
        self, hexstring: Any, maxfeerate: Any = DEFAULT_MAX_FEE_RATE, maxburnamount: Any = 0
    ) -> str:
        """``maxfeerate`` is BTC/kvB, 0 for none. ``maxburnamount`` is ignored."""
        tx, limit = _transaction(hexstring), _typed(maxfeerate, float)
        pool = self._node.pool
        try:
            entry = pool.accept(tx, dry_run=True)
            if limit and entry.fee > limit * 100_000 * tx.vsize:
                raise RpcFailure(
                    VERIFY_ERROR,
                    "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
                )
            pool.accept(tx)
        except Rejected as rejected:
            raise RpcFailure(rejected.code, rejected.reason) from None
        return rpc_hash(tx.txid)

    async def testmempoolaccept(self, rawtxs: Any, maxfeerate: Any = None) -> list[dict[str, Any]]:
        """Each transaction by itself, on the mempool as it is. ``maxfeerate`` is ignored."""
        answers = []
        for raw in _typed(rawtxs, list)[:25]:
            tx = _transaction(raw)
            answer: dict[str, Any] = {"txid": rpc_hash(tx.txid), "wtxid": rpc_hash(tx.wtxid)}
            try:
                if self._node.pool.get(tx.txid) is not None:
                    raise Rejected("txn-already-in-mempool")
                entry = self._node.pool.accept(tx, dry_run=True)
                fees = {"base": btc(entry.fee)}
                answer.update({"allowed": True, "vsize": tx.vsize, "fees": fees})
            except Rejected as rejected:
                answer.update({"allowed": False, "reject-reason": rejected.reason})
            answers.append(answer)
        return answers

    async def getrawmempool(self, verbose: Any = False, mempool_sequence: Any = False) -> Any:
        pool = self._node.pool
        if _typed(verbose, bool):
            if _typed(mempool_sequence, bool):
                raise RpcFailure(
                    INVALID_PARAMETER,
                    "Verbose results cannot contain mempool sequence values.",
                )
            return {rpc_hash(entry.tx.txid): pool_entry_json(entry) for entry in pool.entries()}
        txids = [rpc_hash(entry.tx.txid) for entry in pool.entries()]
        if _typed(mempool_sequence, bool):
            return {"txids": txids, "mempool_sequence": pool.sequence}
        return txids

    async def getmempoolentry(self, txid: Any) -> dict[str, Any]:
        entry = self._node.pool.get(_hash(txid, "txid"))
        if entry is None:
            raise RpcFailure(INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
        return pool_entry_json(entry)

    async def getmempoolinfo(self) -> dict[str, Any]:
        entries = self._node.pool.entries()
        least = btc(MIN_RELAY_SATS_PER_KVB)
        return {
            "loaded": True,
            "size": len(entries),
            "bytes": sum(entry.tx.vsize for entry in entries),
            "total_fee": btc(sum(entry.fee for entry in entries)),
            "mempoolminfee": least,
            "minrelaytxfee": least,
            "incrementalrelayfee": least,
        }

    async def getrawtransaction(self, txid: Any, verbosity: Any = 0, blockhash: Any = None) -> Any:
        """From the mempool, or from the block that is named: there is no index."""
        wanted = _hash(txid, "txid")
        level = int(verbosity) if type(verbosity) is bool else _typed(verbosity, int)
        tx: Tx | None
        if blockhash is not None:
            block = self._entry(blockhash).block
            tx = next((tx for tx in block.transactions if tx.txid == wanted), None)
        else:
            entry = self._node.pool.get(wanted)
            tx = None if entry is None else entry.tx
        if tx is None:
            raise RpcFailure(INVALID_ADDRESS_OR_KEY, "No such mempool or blockchain transaction")
        return transaction_json(tx) if level > 0 else tx.raw.hex()

    # The node

    async def getnetworkinfo(self) -> dict[str, Any]:
        return {
            "version": NODE_VERSION,
            "subversion": KNOTS_USER_AGENT if self._node.config.knots else USER_AGENT,
            "protocolversion": 70016,
            "localservices": "0000000000000000",
            "localservicesnames": [],
            "localrelay": True,
            "timeoffset": 0,
            "networkactive": False,
            "connections": 0,
            "connections_in": 0,
            "connections_out": 0,
            "networks": [],
            "relayfee": btc(MIN_RELAY_SATS_PER_KVB),
            "incrementalfee": btc(MIN_RELAY_SATS_PER_KVB),
            "localaddresses": [],
            "warnings": [],
        }

    async def getconnectioncount(self) -> int:
        return 0

    async def getpeerinfo(self) -> list[Any]:
        return []

    async def getzmqnotifications(self) -> list[dict[str, Any]]:
        return [
            {"type": f"pub{topic.name}", "address": topic.address, "hwm": HIGH_WATER_MARK}
            for topic in self._node.publisher.topics
        ]

    async def uptime(self) -> int:
        return int(time.time() - self._node.started_at)

    async def help(self, command: Any = None) -> str:
        """All methods with their parameters, or one."""
        lines = []
        for name, method in inspect.getmembers(self, inspect.iscoroutinefunction):
            if name.startswith("_") or name in self._OTHERS or command not in (None, name):
                continue
            lines.append(" ".join([name, *inspect.signature(method).parameters]))
        return "\n".join(lines) or f"help: unknown command: {command}"

    async def stop(self) -> str:
        self.afterwards.append(self._node.ask_to_stop)
        return "sv2 testnode stopping"

    # This node's own

    async def addfault(self, fault: Any) -> int:
        """Put a fault in force (`sv2.testing.node.faults.Fault`); its number."""
        try:
            return self._node.faults.add(Fault.parse(_json_or_text(fault)))
        except BadFault as error:
            raise RpcFailure(INVALID_PARAMETER, str(error)) from None

    async def clearfaults(self, number: Any = None) -> int:
        """End one fault or all; how many ended."""
        wanted = _json_or_text(number)
        return self._node.faults.clear(None if wanted is None else _typed(wanted, int))

    async def listfaults(self) -> list[dict[str, Any]]:
        return self._node.faults.to_json()

    async def restart(self, downtime: Any = 0, warmup: Any = 0) -> str:
        """Break all connections, stay away for ``downtime`` seconds, come back with a new cookie
        and answer -28 for ``warmup`` seconds."""
        away, warm = _typed(_json_or_text(downtime), float), _typed(_json_or_text(warmup), float)
        if not (0 <= away <= 600 and 0 <= warm <= 600):
            raise RpcFailure(INVALID_PARAMETER, "0 to 600 seconds")
        self.afterwards.append(lambda: self._node.restart(away, warmup=warm))
        return "sv2 testnode restarting"

    async def reorg(self, depth: Any, length: Any = None) -> list[str]:
        """Replace the last ``depth`` blocks by ``length`` empty ones, one more by default."""
        deep = _typed(_json_or_text(depth), int)
        long = deep + 1 if length is None else _typed(_json_or_text(length), int)
        try:
            hashes = await self._node.reorganize(deep, long, op_true_script())
        except ValueError as error:
            raise RpcFailure(INVALID_PARAMETER, str(error)) from None
        return [rpc_hash(block_hash) for block_hash in hashes]

    async def skipnotices(self, count: Any) -> None:
        """Lose the next ``count`` ZMQ notices, whose numbers are then missing."""
        wanted = _typed(_json_or_text(count), int)
        if not 0 <= wanted <= 1_000_000:
            raise RpcFailure(INVALID_PARAMETER, "0 to 1000000 notices")
        self._node.publisher.skip(wanted)

    async def fillmempool(self, count: Any) -> int:
        """Put ``count`` transactions in the mempool, mining what it takes; how many are there."""
        try:
            await fill_mempool(self._node, _typed(_json_or_text(count), int))
        except ValueError as error:
            raise RpcFailure(INVALID_PARAMETER, str(error)) from None
        except Rejected as rejected:
            raise RpcFailure(rejected.code, rejected.reason) from None
        return len(self._node.pool)


def _json_or_text(value: Any) -> Any:
    """A parameter of a method that bitcoin-cli does not know, which it sends as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
