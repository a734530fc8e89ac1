"""The unspent outputs of the active chain, kept up to date block by block."""

from __future__ import annotations

from dataclasses import dataclass

from sv2.testing.node.chaindata import Block, Outpoint, Tx

__all__ = ["COINBASE_MATURITY", "Coin", "CoinSet"]

COINBASE_MATURITY = 100


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output: satoshis, scriptPubKey, the height of its block and whether a coinbase
    made it."""

    value: int
    script: bytes
    height: int
    coinbase: bool


class CoinSet:
    """Blocks given to `connect` and `disconnect` have been validated: nothing is checked here."""

    def __init__(self) -> None:
        self._coins: dict[Outpoint, Coin] = {}
        self._undo: dict[bytes, list[tuple[Outpoint, Coin]]] = {}

    def get(self, outpoint: Outpoint) -> Coin | None:
        return self._coins.get(outpoint)

    def has_outputs_of(self, tx: Tx) -> bool:
        """Whether any output of ``tx`` is unspent on the chain."""
        return any((tx.txid, index) in self._coins for index in range(len(tx.outputs)))

    def by_script(self, script: bytes) -> list[tuple[Outpoint, Coin]]:
        """The coins of one scriptPubKey, oldest first."""
        found = [item for item in self._coins.items() if item[1].script == script]
        return sorted(found, key=lambda item: (item[1].height, item[0]))

    def connect(self, block: Block, height: int) -> None:
        spent: list[tuple[Outpoint, Coin]] = []
        for tx in block.transactions:
            if not tx.is_coinbase:
                spent.extend((outpoint, self._coins.pop(outpoint)) for outpoint in tx.spends)
            for index, (value, script) in enumerate(tx.outputs):
                if not script.startswith(b"\x6a"):
                    self._coins[tx.txid, index] = Coin(value, script, height, tx.is_coinbase)
        self._undo[block.hash] = spent

    def disconnect(self, block: Block) -> None:
        for outpoint, coin in self._undo.pop(block.hash):
            self._coins[outpoint] = coin
        for tx in block.transactions:
            for index in range(len(tx.outputs)):
                self._coins.pop((tx.txid, index), None)
