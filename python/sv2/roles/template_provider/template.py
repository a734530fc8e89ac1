"""From a node's block template to what the Template Distribution Protocol says of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress

from sv2.node import BlockTemplate, target_from_bits
from sv2.roles.template_provider.blocks import (
    COMMITMENT_PREFIX,
    COMMITMENT_SIZE,
    HASH_SIZE,
    commitment_output,
    commitment_script,
    height_prefix,
    merkle_path,
)
from sv2.roles.template_provider.selection import Budget, budget_for, select
from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    NewTemplate,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
)

__all__ = [
    "Constraints",
    "Snapshot",
    "Template",
    "UnusableTemplate",
    "Work",
    "budget_of",
    "build_template",
    "check_usable",
    "snapshot_of",
]

COINBASE_VERSION = 2
COINBASE_SEQUENCE = 0xFFFFFFFE
"""Not final, so that the lock time is binding and the coinbase unique at its height."""
KNOWN_RULES = frozenset({"segwit", "signet"})
"""Rules of BIP9's ``!`` kind whose blocks we can build."""


class UnusableTemplate(Exception):
    """A node's template that we must not build blocks from; the text says why."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a client adds to the coinbase at most: bytes of outputs, and legacy sigops in them."""

    size: int
    sigops: int

    @classmethod
    def of(cls, message: CoinbaseOutputConstraints) -> Constraints:
        return cls(
            message.coinbase_output_max_additional_size,
            message.coinbase_output_max_additional_sigops,
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What blocks are built on: a change of it is what SetNewPrevHash tells.

    Part of it is nBits, which test networks change while the tip stays.
    """

    previous_hash: bytes
    bits: int

    @property
    def target(self) -> int:
        return target_from_bits(self.bits)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node's template at one moment. ``data`` are the serialized transactions.

    Templates refer to it and hold no transactions of their own.
    """

    number: int
    work: Work
    height: int
    minimum_time: int
    current_time: int
    data: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Template:
    """What a client is told of a snapshot. Shared by the clients for which it is the same.

    ``kept`` is one byte per transaction of the snapshot, 1 where it is part of the template;
    empty where all are.
    """

    snapshot: Snapshot
    version: int
    coinbase_prefix: bytes
    value: int
    fees: int
    outputs: tuple[bytes, ...]
    path: tuple[bytes, ...]
    kept: bytes = field(default=b"", repr=False)

    @property
    def work(self) -> Work:
        return self.snapshot.work

    @property
    def transactions(self) -> tuple[bytes, ...]:
        """The serialized transactions after the coinbase, in block order."""
        if not self.kept:
            return self.snapshot.data
        return tuple(compress(self.snapshot.data, self.kept))

    @property
    def lock_time(self) -> int:
        return self.snapshot.height - 1

    def new_template(self, template_id: int, *, future: bool) -> NewTemplate:
        """As NewTemplate (spec 7.2)."""
        return NewTemplate(
            template_id=template_id,
            future_template=future,
            version=self.version,
            coinbase_tx_version=COINBASE_VERSION,
            coinbase_prefix=self.coinbase_prefix,
            coinbase_tx_input_sequence=COINBASE_SEQUENCE,
            coinbase_tx_value_remaining=self.value,
            coinbase_tx_outputs_count=len(self.outputs),
            coinbase_tx_outputs=b"".join(self.outputs),
            coinbase_tx_locktime=self.lock_time,
            merkle_path=list(self.path),
        )

    def set_new_prev_hash(self, template_id: int, timestamp: int) -> SetNewPrevHash:
        """As the SetNewPrevHash that names it (spec 7.3)."""
        return SetNewPrevHash(
            template_id=template_id,
            prev_hash=self.work.previous_hash,
            header_timestamp=timestamp,
            n_bits=self.work.bits,
            target=self.work.target.to_bytes(32, "little"),
        )

    def transaction_data(self, template_id: int) -> RequestTransactionDataSuccess:
        """As RequestTransactionData.Success (spec 7.5). The excess data is the witness reserved
        value that the commitment covers."""
        excess = bytes(32) if self.outputs else b""
        return RequestTransactionDataSuccess(template_id, excess, list(self.transactions))


def snapshot_of(template: BlockTemplate, number: int, known: dict[bytes, bytes]) -> Snapshot:
    """A snapshot whose transactions share memory with those in ``known``, by wtxid."""
    data = tuple(known.get(tx.wtxid, tx.data) for tx in template.transactions)
    work = Work(template.previous_hash, template.bits)
    current = max(template.current_time, template.minimum_time)
    return Snapshot(number, work, template.height, template.minimum_time, current, data)


def script_of_commitment(template: BlockTemplate) -> bytes | None:
    """The scriptPubKey of the node's witness commitment. Bitcoin Core gives the script, btcd the
    hash that belongs in it."""
    given = template.witness_commitment
    if given is not None and len(given) == HASH_SIZE:
        return COMMITMENT_PREFIX + given
    return given


def is_commitment(script: bytes) -> bool:
    """Whether a scriptPubKey commits to witnesses (BIP141)."""
    return len(script) >= COMMITMENT_SIZE and script.startswith(COMMITMENT_PREFIX)


def check_usable(template: BlockTemplate) -> None:
    """Raise `UnusableTemplate` for what would make us build invalid blocks."""
    for rule in template.rules:
        if rule.startswith("!") and rule[1:] not in KNOWN_RULES:
            raise UnusableTemplate("the node's template has a consensus rule unknown to us")
    script = script_of_commitment(template)
    if script is not None and not is_commitment(script):
        raise UnusableTemplate("the node's witness commitment is none")
    if not template.target > 0:
        raise UnusableTemplate("the node's nBits stands for no target")
    if template.fees > template.coinbase_value:
        raise UnusableTemplate("the node's template has more fees than coinbase value")


def budget_of(template: BlockTemplate, constraints: Constraints) -> Budget:
    """Room for transactions in a block from ``template``. Raises `NoRoom`."""
    return budget_for(
        constraints.size,
        constraints.sigops,
        weight_limit=template.weight_limit,
        sigop_limit=template.sigop_limit,
        segwit=template.witness_commitment is not None,
    )


def build_template(
    template: BlockTemplate,
    snapshot: Snapshot,
    constraints: Constraints,
    whole: Template | None = None,
) -> Template:
    """What a client with ``constraints`` is told of ``template``, of which ``snapshot`` is.

    ``whole`` is what was built before with all transactions; it is given again where all fit.

    Raises:
        NoRoom: no block has the room that the constraints ask for.
    """
    positions = select(template, budget_of(template, constraints))
    if positions is None:
        return whole or _template_of(template, snapshot, script_of_commitment(template), None)
    script = None
    if template.witness_commitment is not None:
        script = commitment_script([template.transactions[p].wtxid for p in positions])
    return _template_of(template, snapshot, script, positions)


def _template_of(
    template: BlockTemplate,
    snapshot: Snapshot,
    script: bytes | None,
    positions: tuple[int, ...] | None,
) -> Template:
    kept = template.transactions
    flags = b""
    if positions is not None:
        kept = tuple(template.transactions[p] for p in positions)
        marks = bytearray(len(template.transactions))
        for position in positions:
            marks[position] = 1
        flags = bytes(marks)
    fees = sum(tx.fee for tx in kept)
    return Template(
        snapshot=snapshot,
        version=template.version & 0xFFFFFFFF,
        coinbase_prefix=height_prefix(template.height),
        value=template.coinbase_value - template.fees + fees,
        fees=fees,
        outputs=(commitment_output(script),) if script is not None else (),
        path=tuple(merkle_path([tx.txid for tx in kept])),
        kept=flags,
    )
