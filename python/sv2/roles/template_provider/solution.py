"""From SubmitSolution to a block, with everything checked that we can check without the node."""

from __future__ import annotations

from dataclasses import dataclass, field

from sv2.node import hash_text
from sv2.roles.template_provider.blocks import (
    HEADER_SIZE,
    Coinbase,
    CoinbaseFault,
    block_header,
    merkle_root,
    serialize_block,
    sha256d,
)
from sv2.roles.template_provider.template import COINBASE_SEQUENCE, COINBASE_VERSION, Template
from sv2_ffi.template_distribution import SubmitSolution

__all__ = ["BadSolution", "SolvedBlock", "assemble"]

ROLLED_BITS = 0x1FFFE000
"""The bits of a header's version that miners may set at will (BIP323)."""


class BadSolution(Exception):
    """A solution that no node would take. ``code`` is one of a fixed set, for logs and metrics."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SolvedBlock:
    """A whole block with its proof of work. ``hash`` is in internal order.

    ``remarks`` say in what a solution departs from its template. The node is the judge of that: a
    block with its proof of work is never withheld from it.
    """

    hash: bytes
    data: bytes = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The hash as people and RPC write it."""
        return hash_text(self.hash)

    @classmethod
    def of(cls, data: bytes) -> SolvedBlock:
        """A serialized block that was checked before."""
        return cls(sha256d(data[:HEADER_SIZE]), data)


def assemble(template: Template, solution: SubmitSolution) -> SolvedBlock:
    """The block of a solution to ``template``.

    The merkle root is computed from the solution's coinbase and the template's path, so a coinbase
    that was changed after the proof of work was found shows as a hash above the target.

    Raises:
        BadSolution: ``coinbase-malformed``, or ``high-hash``.
    """
    try:
        coinbase = Coinbase.parse(solution.coinbase_tx)
    except CoinbaseFault:
        raise BadSolution("coinbase-malformed") from None
    header = block_header(
        solution.version,
        template.work.previous_hash,
        merkle_root(coinbase.txid, template.path),
        solution.header_timestamp,
        template.work.bits,
        solution.header_nonce,
    )
    block_hash = sha256d(header)
    if int.from_bytes(block_hash, "little") > template.work.target:
        raise BadSolution("high-hash")
    remarks = _remarks(template, solution, coinbase)
    if template.outputs and not coinbase.has_witness:
        # Left out, the block is invalid; put in, its hash is the same.
        coinbase = coinbase.with_witness()
        remarks.append("witness-added")
    block = serialize_block(header, coinbase.raw, template.transactions)
    return SolvedBlock(block_hash, block, tuple(remarks))


def _remarks(template: Template, solution: SubmitSolution, coinbase: Coinbase) -> list[str]:
    departs = {
        "version-bits": (solution.version ^ template.version) & ~ROLLED_BITS & 0xFFFFFFFF,
        "time-too-old": solution.header_timestamp < template.snapshot.minimum_time,
        "coinbase-prefix": not coinbase.script.startswith(template.coinbase_prefix),
        "coinbase-version": coinbase.version != COINBASE_VERSION,
        "coinbase-sequence": coinbase.sequence != COINBASE_SEQUENCE,
        "coinbase-locktime": coinbase.locktime != template.lock_time,
        "coinbase-outputs": not coinbase.outputs.endswith(b"".join(template.outputs)),
    }
    return [name for name, found in departs.items() if found]
