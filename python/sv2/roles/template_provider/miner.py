"""The client's work on a template: a coinbase, and on test networks a nonce.

For ``sv2 tdp`` and measurements. No miner: it stops where luck alone does not find a block.
"""

from __future__ import annotations

import hashlib
import secrets
import struct

from embit.base import EmbitError  # type: ignore[import-untyped]
from embit.script import Script, Witness, address_to_scriptpubkey  # type: ignore[import-untyped]
from embit.transaction import (  # type: ignore[import-untyped]
    Transaction,
    TransactionInput,
    TransactionOutput,
)

from sv2.roles.template_provider.blocks import Coinbase, block_header, merkle_root, sha256d
from sv2_ffi.template_distribution import NewTemplate, SetNewPrevHash, SubmitSolution

__all__ = ["NotSolvable", "coinbase_for", "script_of", "solve"]

EASIEST_HARD = 1 << 236
"""Targets below need more than a million tries on average."""
MAX_TRIES = 1 << 22
ANYONE = b"\x00\x20" + hashlib.sha256(b"\x51").digest()
"""P2WSH of OP_TRUE."""
EXTRANONCE = 8


class NotSolvable(Exception):
    """The target is for machines."""


def script_of(address: str | None) -> bytes:
    """The scriptPubKey of an address; None is anybody. ValueError for what is no address."""
    if address is None:
        return ANYONE
    try:
        script: bytes = address_to_scriptpubkey(address).data
    except (EmbitError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise ValueError("--payout is no address") from None
    return script


def coinbase_for(template: NewTemplate, script: bytes) -> bytes:
    """A coinbase that pays all that a template leaves to ``script``, different each time."""
    tag = bytes([EXTRANONCE]) + secrets.token_bytes(EXTRANONCE)
    own = TransactionOutput(template.coinbase_tx_value_remaining, Script(script))
    entry = TransactionInput(
        bytes(32),
        0xFFFFFFFF,
        Script(template.coinbase_prefix + tag),
        sequence=template.coinbase_tx_input_sequence,
        witness=Witness([bytes(32)] if template.coinbase_tx_outputs_count else []),
    )
    body = Transaction(
        version=template.coinbase_tx_version,
        vin=[entry],
        vout=[own, *_outputs(template)],
        locktime=template.coinbase_tx_locktime,
    )
    raw: bytes = body.serialize()
    return raw


def _outputs(template: NewTemplate) -> list[TransactionOutput]:
    outputs, rest = [], template.coinbase_tx_outputs
    for _ in range(template.coinbase_tx_outputs_count):
        output = TransactionOutput.parse(rest[: 9 + rest[8]])
        outputs.append(output)
        rest = rest[len(output.serialize()) :]
    return outputs


def solve(
    template: NewTemplate, previous: SetNewPrevHash, coinbase: bytes
) -> tuple[SubmitSolution, bytes]:
    """A solution and its block's hash, in internal order.

    Raises:
        NotSolvable: the target is that of no test network, or luck was very bad.
    """
    target = int.from_bytes(previous.target, "little")
    if target < EASIEST_HARD:
        raise NotSolvable("this target is for mining machines: --solve is for regtest")
    root = merkle_root(Coinbase.parse(coinbase).txid, template.merkle_path)
    start = block_header(
        template.version,
        previous.prev_hash,
        root,
        previous.header_timestamp,
        previous.n_bits,
        0,
    )[:76]
    for nonce in range(MAX_TRIES):
        found = sha256d(start + struct.pack("<I", nonce))
        if int.from_bytes(found, "little") <= target:
            solution = SubmitSolution(
                template.template_id, template.version, previous.header_timestamp, nonce, coinbase
            )
            return solution, found
    raise NotSolvable("no nonce found")
