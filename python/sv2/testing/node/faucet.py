"""Transactions out of nothing, to fill a mempool for demos and measurements.

They spend coins that anyone can spend (P2WSH of OP_TRUE), so no keys are involved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embit.script import Script, Witness  # type: ignore[import-untyped]
from embit.transaction import (  # type: ignore[import-untyped]
    Transaction,
    TransactionInput,
    TransactionOutput,
)

from sv2.testing.node.chaindata import Outpoint, Tx
from sv2.testing.node.coins import COINBASE_MATURITY
from sv2.testing.node.miner import OP_TRUE, op_true_script

if TYPE_CHECKING:
    from sv2.testing.node.node import RegtestNode

__all__ = ["MAX_FILL", "fill_mempool"]

MAX_FILL = 10_000
OUTPUTS_PER_FAN = 1_000
MIN_COIN = 10_000_000
FAN_FEE = 100_000
LEAST_FEE = 200
FEE_STEP = 37
FEE_SPREAD = 20_000


def spend(outpoint: Outpoint, outputs: list[tuple[int, bytes]]) -> Tx:
    """A transaction that spends one anyone-can-spend coin to these values and scripts."""
    txid, index = outpoint
    body = Transaction(
        version=2,
        vin=[TransactionInput(txid[::-1], index, witness=Witness([OP_TRUE]))],
        vout=[TransactionOutput(value, Script(script)) for value, script in outputs],
        locktime=0,
    )
    return Tx(body.serialize(), body)


async def fill_mempool(node: RegtestNode, count: int) -> list[bytes]:
    """Put ``count`` unrelated transactions of many fee rates in the mempool; their txids.

    Mines what it needs for that: up to 101 blocks for a mature coin, and one that splits it.

    Raises:
        ValueError: more than 10,000, or the chain is past the height that pays enough.
        Rejected: the mempool is full.
    """
    if not 1 <= count <= MAX_FILL:
        raise ValueError(f"1 to {MAX_FILL} transactions at once")
    script = op_true_script()
    pieces: list[tuple[Outpoint, int]] = []
    for start in range(0, count, OUTPUTS_PER_FAN):
        outpoint, value = await _mature_coin(node)
        size = min(OUTPUTS_PER_FAN, count - start)
        piece = (value - FAN_FEE) // size
        fan = spend(outpoint, [(piece, script)] * size)
        node.pool.accept(fan)
        pieces.extend(((fan.txid, index), piece) for index in range(size))
    await node.generate(1, script)
    made = []
    for number, (outpoint, value) in enumerate(pieces):
        fee = LEAST_FEE + number * FEE_STEP % FEE_SPREAD
        tx = spend(outpoint, [(value - fee, script)])
        node.pool.accept(tx)
        made.append(tx.txid)
    return made


async def _mature_coin(node: RegtestNode) -> tuple[Outpoint, int]:
    script = op_true_script()
    for _ in range(2):
        for outpoint, coin in node.chain.coins.by_script(script):
            mature = node.chain.height + 1 - coin.height >= COINBASE_MATURITY
            if coin.coinbase and mature and coin.value >= MIN_COIN and node.pool.is_free(outpoint):
                return outpoint, coin.value
        await node.generate(COINBASE_MATURITY + 1, script)
    raise ValueError("a block reward of this height is too small to split")
