"""Signature operations in cost units, for each kind of output and input."""

from __future__ import annotations

import pytest

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")

from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from sv2.testing.node.chaindata import Tx
from sv2.testing.node.engine import Spend
from sv2.testing.node.sigops import sigop_cost

KEY = b"\x21" + b"\x02" * 33
CHECKSIG = b"\xac"
P2PKH = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
P2SH = b"\xa9\x14" + bytes(20) + b"\x87"
P2WPKH = b"\x00\x14" + bytes(20)
P2WSH = b"\x00\x20" + bytes(32)
P2TR = b"\x51\x20" + bytes(32)
TWO_OF_THREE = b"\x52" + KEY * 3 + b"\x53\xae"
BARE_MULTISIG = b"\xae"


def push(data: bytes) -> bytes:
    if len(data) < 0x4C:
        return bytes([len(data)]) + data
    return b"\x4c" + bytes([len(data)]) + data


def transaction(script_sig: bytes, witness: list[bytes], output: bytes) -> Tx:
    body = Transaction(
        version=2,
        vin=[TransactionInput(b"\x01" * 32, 0, Script(script_sig), witness=Witness(witness))],
        vout=[TransactionOutput(1, Script(output))],
        locktime=0,
    )
    return Tx(body.serialize(), body)


@pytest.mark.parametrize(
    ("spent", "script_sig", "witness", "cost"),
    [
        (P2PKH, push(bytes(71)) + KEY, [], 0),
        (P2WPKH, b"", [bytes(71), bytes(33)], 1),
        (P2WSH, b"", [b"", bytes(71), TWO_OF_THREE], 3),
        (P2WSH, b"", [KEY + CHECKSIG], 1),
        (P2WSH, b"", [BARE_MULTISIG], 20),
        (P2WSH, b"", [], 0),
        (P2TR, b"", [bytes(64)], 0),
        (P2SH, push(TWO_OF_THREE), [], 12),
        (P2SH, push(P2WPKH), [bytes(71), bytes(33)], 1),
        (P2SH, push(P2WSH), [TWO_OF_THREE], 3),
        (P2SH, push(KEY + CHECKSIG) + b"\x76", [], 0),
        (P2PKH, CHECKSIG, [], 4),
    ],
)
def test_cost_of_spending(spent: bytes, script_sig: bytes, witness: list[bytes], cost: int) -> None:
    tx = transaction(script_sig, witness, P2WPKH)
    assert sigop_cost(tx, [Spend(1, spent)]) == cost


@pytest.mark.parametrize(
    ("output", "cost"),
    [
        (P2WPKH, 0),
        (P2TR, 0),
        (P2PKH, 4),
        (KEY + CHECKSIG, 4),
        (TWO_OF_THREE, 80),
        (b"\xad" * 10, 40),
        (b"\x6a" + push(CHECKSIG * 30), 0),
        (CHECKSIG + b"\x4d\xff\xff" + CHECKSIG * 5, 4),
        (CHECKSIG + b"\x4e", 4),
    ],
)
def test_cost_of_paying(output: bytes, cost: int) -> None:
    """Outputs count by the old rule: a multisig is twenty whatever its keys, data is none, and
    counting ends where a script is cut short."""
    assert sigop_cost(transaction(b"", [], output), [Spend(1, P2TR)]) == cost


def test_a_coinbase_counts_its_own_scripts_only() -> None:
    tx = transaction(CHECKSIG, [bytes(32)], P2PKH)
    assert sigop_cost(tx, []) == 8
