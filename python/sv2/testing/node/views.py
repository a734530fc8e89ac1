"""Blocks, headers and transactions in the shape of Bitcoin Core's JSON (31).

Left out is what nothing here has a use for: the ``asm`` of scripts, fee statistics, peers.
"""

from __future__ import annotations

from typing import Any

from embit.networks import NETWORKS  # type: ignore[import-untyped]
from embit.script import Script  # type: ignore[import-untyped]

from sv2.testing.node.chain import Chain, Entry, target_of
from sv2.testing.node.chaindata import Tx, rpc_hash
from sv2.testing.node.mempool import PoolEntry

__all__ = [
    "block_json",
    "btc",
    "difficulty",
    "header_json",
    "pool_entry_json",
    "regtest_address",
    "transaction_json",
]

REGTEST = NETWORKS["regtest"]


def btc(satoshis: int) -> float:
    """Bitcoins, exact to the satoshi when printed."""
    return satoshis / 100_000_000


def difficulty(bits: int) -> float:
    """How many times harder than the easiest target of the main network, to 16 digits."""
    return float(f"{0xFFFF / (bits & 0xFFFFFF) * 256.0 ** (29 - (bits >> 24)):.16g}")


def regtest_address(script: bytes) -> str | None:
    """The address that stands for a scriptPubKey, if one does."""
    parsed = Script(script)
    if parsed.script_type() is None:
        return None
    address: str = parsed.address(REGTEST)
    return address


def header_json(chain: Chain, entry: Entry) -> dict[str, Any]:
    header, active = entry.header, chain.is_active(entry)
    shown: dict[str, Any] = {
        "hash": rpc_hash(entry.hash),
        "confirmations": chain.height - entry.height + 1 if active else -1,
        "height": entry.height,
        "version": header.version,
        "versionHex": f"{header.version & 0xFFFFFFFF:08x}",
        "merkleroot": rpc_hash(header.merkle_root),
        "time": header.time,
        "mediantime": chain.median_time(entry),
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "target": f"{target_of(header.bits):064x}",
        "difficulty": difficulty(header.bits),
        "chainwork": f"{entry.work:064x}",
        "nTx": len(entry.block.transactions),
    }
    if entry.height > 0:
        shown["previousblockhash"] = rpc_hash(header.previous)
    if active and entry.height < chain.height:
        shown["nextblockhash"] = rpc_hash(chain.active[entry.height + 1])
    return shown


def block_json(chain: Chain, entry: Entry, *, details: bool) -> dict[str, Any]:
    """``details`` shows transactions whole instead of by txid."""
    block = entry.block
    coinbase = block.transactions[0]
    first = coinbase.body.vin[0]
    shown_coinbase = {
        "version": coinbase.body.version,
        "locktime": coinbase.body.locktime,
        "sequence": first.sequence,
        "coinbase": first.script_sig.data.hex(),
    }
    if first.witness.items:
        shown_coinbase["witness"] = first.witness.items[0].hex()
    return {
        **header_json(chain, entry),
        "strippedsize": block.stripped_size,
        "size": len(block.raw),
        "weight": block.weight,
        "coinbase_tx": shown_coinbase,
        "tx": [transaction_json(tx) if details else rpc_hash(tx.txid) for tx in block.transactions],
    }


def transaction_json(tx: Tx) -> dict[str, Any]:
    body = tx.body
    return {
        "txid": rpc_hash(tx.txid),
        "hash": rpc_hash(tx.wtxid),
        "version": body.version,
        "size": len(tx.raw),
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": body.locktime,
        "vin": [_input_json(tx, index) for index in range(len(body.vin))],
        "vout": [
            {"value": btc(value), "n": index, "scriptPubKey": script_json(script)}
            for index, (value, script) in enumerate(tx.outputs)
        ],
        "hex": tx.raw.hex(),
    }


def _input_json(tx: Tx, index: int) -> dict[str, Any]:
    item = tx.body.vin[index]
    script_sig = item.script_sig.data.hex()
    if tx.is_coinbase:
        shown: dict[str, Any] = {"coinbase": script_sig}
    else:
        txid, position = tx.spends[index]
        shown = {"txid": rpc_hash(txid), "vout": position, "scriptSig": {"hex": script_sig}}
    if item.witness.items:
        shown["txinwitness"] = [part.hex() for part in item.witness.items]
    shown["sequence"] = item.sequence
    return shown


def script_json(script: bytes) -> dict[str, Any]:
    address = regtest_address(script)
    return {"hex": script.hex(), **({} if address is None else {"address": address})}


def pool_entry_json(entry: PoolEntry) -> dict[str, Any]:
    ancestors, descendants = entry.ancestors(), entry.descendants()
    return {
        "vsize": entry.tx.vsize,
        "weight": entry.tx.weight,
        "time": entry.time,
        "height": entry.height,
        "descendantcount": 1 + len(descendants),
        "descendantsize": entry.tx.vsize + sum(other.tx.vsize for other in descendants),
        "ancestorcount": 1 + len(ancestors),
        "ancestorsize": entry.tx.vsize + sum(other.tx.vsize for other in ancestors),
        "wtxid": rpc_hash(entry.tx.wtxid),
        "fees": {
            "base": btc(entry.fee),
            "modified": btc(entry.fee),
            "ancestor": btc(entry.fee + sum(other.fee for other in ancestors)),
            "descendant": btc(entry.fee + sum(other.fee for other in descendants)),
        },
        "depends": [rpc_hash(other.tx.txid) for other in entry.parents],
        "spentby": [rpc_hash(other.tx.txid) for other in entry.children],
        "unbroadcast": False,
    }
