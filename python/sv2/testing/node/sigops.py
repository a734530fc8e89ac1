"""Signature operations as blocks count them: in cost units, of which a block may hold 80,000.

Legacy and P2SH operations cost four units each, those in witness programs of version 0 one, and
taproot's none (BIP141, BIP342).
"""

from __future__ import annotations

from collections.abc import Iterator

from sv2.testing.node.chaindata import Tx
from sv2.testing.node.engine import Spend

__all__ = ["sigop_cost"]

WITNESS_SCALE = 4
MAX_KEYS = 20
OP_PUSHDATA1, OP_PUSHDATA4 = 0x4C, 0x4E
OP_1, OP_16 = 0x51, 0x60
CHECKSIG = (0xAC, 0xAD)
CHECKMULTISIG = (0xAE, 0xAF)


def _operations(script: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcodes and what they push; ends where the script is cut short."""
    position = 0
    while position < len(script):
        opcode = script[position]
        position += 1
        if opcode > OP_PUSHDATA4:
            yield opcode, b""
            continue
        size = opcode
        if opcode >= OP_PUSHDATA1:
            width = 1 << (opcode - OP_PUSHDATA1)
            size = int.from_bytes(script[position : position + width], "little")
            position += width
        if position + size > len(script):
            return
        yield opcode, script[position : position + size]
        position += size


def _count(script: bytes, *, accurate: bool) -> int:
    """Operations in a script. A multisig counts its keys where ``accurate``, else twenty."""
    total, previous = 0, 0
    for opcode, _ in _operations(script):
        if opcode in CHECKSIG:
            total += 1
        elif opcode in CHECKMULTISIG:
            known = accurate and OP_1 <= previous <= OP_16
            total += previous - OP_1 + 1 if known else MAX_KEYS
        previous = opcode
    return total


def _last_push(script: bytes) -> bytes:
    """What a script of pushes alone leaves on top; nothing if it holds another operation."""
    top = b""
    for opcode, data in _operations(script):
        if opcode > OP_16:
            return b""
        top = data
    return top


def _is_p2sh(script: bytes) -> bool:
    return len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87"


def _witness_cost(program: bytes, witness: list[bytes]) -> int:
    """Cost of a version 0 witness program (its whole scriptPubKey)."""
    if len(program) == 22 and program[:2] == b"\x00\x14":
        return 1
    if len(program) == 34 and program[:2] == b"\x00\x20" and witness:
        return _count(witness[-1], accurate=True)
    return 0


def sigop_cost(tx: Tx, spends: list[Spend]) -> int:
    """The cost of a transaction that spends these outputs; of a coinbase with ``[]``."""
    legacy = sum(_count(script, accurate=False) for _, script in tx.outputs)
    legacy += sum(_count(item.script_sig.data, accurate=False) for item in tx.body.vin)
    p2sh = witness = 0
    for item, spend in zip(tx.body.vin, spends, strict=bool(spends)):
        program = spend.script
        if _is_p2sh(program):
            program = _last_push(item.script_sig.data)
            p2sh += _count(program, accurate=True)
        witness += _witness_cost(program, item.witness.items)
    return WITNESS_SCALE * (legacy + p2sh) + witness
