"""What a node answers, as typed values.

Hashes are ``bytes`` in internal order (the order of the wire and of merkle trees), that is the
reverse of the hexadecimal text that RPC and block explorers show; `hash_text` gives that text.
Amounts are satoshis, times are Unix seconds, weights are weight units, sigops are in cost units
(a legacy signature operation counts four).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sv2.node.errors import BadAnswer

__all__ = [
    "BlockHeader",
    "BlockTemplate",
    "ChainInfo",
    "NetworkInfo",
    "SubmitOutcome",
    "SubmitResult",
    "TemplateTransaction",
    "Tip",
    "ZmqEndpoint",
    "hash_bytes",
    "hash_text",
    "hex_field",
    "target_from_bits",
    "template_rules",
]

MAX_MONEY = 21_000_000 * 100_000_000
MAX_TEMPLATE_TRANSACTIONS = 100_000
MAX_INPUTS = 100_000
BTCD_DUPLICATE = "rejected: already have block"


def hash_text(value: bytes) -> str:
    """The 64 hex digits people and RPC use for a hash in internal order."""
    return value[::-1].hex()


def hash_bytes(text: object) -> bytes:
    """The internal-order bytes of a hash that RPC gave as text.

    Raises:
        BadAnswer: not 64 hexadecimal digits.
    """
    return hex_field("hash", text, 32)[::-1]


def target_from_bits(bits: int) -> int:
    """The target that a block header's nBits stands for; 0 where nBits is negative or overflows."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000 and mantissa:
        return 0
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    return target if target < 1 << 256 else 0


def hex_field(name: str, value: object, length: int | None = None) -> bytes:
    """The bytes of hexadecimal text, ``length`` of them where it is given.

    Raises:
        BadAnswer: it is something else; the message calls it ``name``.
    """
    if isinstance(value, str) and (length is None or len(value) == 2 * length):
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if 2 * len(data) == len(value):  # fromhex skips spaces
            return data
    raise BadAnswer(f"{name} is not hexadecimal of the expected length")


def template_rules(chain: str) -> tuple[str, ...]:
    """The rules to list in a template request on this chain (`ChainInfo.chain`)."""
    return ("segwit", "signet") if chain == "signet" else ("segwit",)


class _Fields:
    """Typed access to one JSON object; what is missing or out of range raises `BadAnswer`."""

    __slots__ = ("_object", "_what")

    def __init__(self, what: str, value: object) -> None:
        if not isinstance(value, dict):
            raise BadAnswer(f"{what} is not a JSON object")
        self._what = what
        self._object: dict[str, Any] = value

    def has(self, name: str) -> bool:
        return self._object.get(name) is not None

    def get(self, name: str) -> Any:
        if name not in self._object:
            raise BadAnswer(f"{self._what} lacks {name}")
        return self._object[name]

    def integer(self, name: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        value = self.get(name)
        if type(value) is not int or not low <= value <= high:
            raise BadAnswer(f"{self._what}.{name} is no integer from {low} to {high}")
        return value

    def boolean(self, name: str) -> bool:
        value = self.get(name)
        if type(value) is not bool:
            raise BadAnswer(f"{self._what}.{name} is no boolean")
        return value

    def text(self, name: str, limit: int = 1000) -> str:
        value = self.get(name)
        if not isinstance(value, str) or len(value) > limit:
            raise BadAnswer(f"{self._what}.{name} is no text of up to {limit} characters")
        return value

    def hex(self, name: str, length: int | None = None) -> bytes:
        return hex_field(f"{self._what}.{name}", self.get(name), length)

    def hash(self, name: str) -> bytes:
        return self.hex(name, 32)[::-1]

    def items(self, name: str, limit: int) -> list[Any]:
        value = self.get(name)
        if not isinstance(value, list) or len(value) > limit:
            raise BadAnswer(f"{self._what}.{name} is no list of up to {limit} items")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        if not self.has(name):
            return ()
        values = self.items(name, 100)
        if not all(isinstance(value, str) and len(value) <= 100 for value in values):
            raise BadAnswer(f"{self._what}.{name} is no list of short texts")
        return tuple(values)


@dataclass(frozen=True, slots=True)
class Tip:
    """The block a node builds on."""

    hash: bytes
    height: int

    @classmethod
    def parse(cls, value: object) -> Tip:
        fields = _Fields("tip", value)
        return cls(fields.hash("hash"), fields.integer("height", high=0x7FFFFFFF))


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """``getblockchaininfo``. ``chain`` is main, test, testnet4, signet or regtest.

    btcd has its own names for some (testnet3, simnet).
    """

    chain: str
    blocks: int
    headers: int
    best_block_hash: bytes
    initial_block_download: bool

    @classmethod
    def parse(cls, value: object) -> ChainInfo:
        fields = _Fields("getblockchaininfo", value)
        initial = "initialblockdownload"
        return cls(
            chain=fields.text("chain", 40),
            blocks=fields.integer("blocks"),
            headers=fields.integer("headers"),
            best_block_hash=fields.hash("bestblockhash"),
            initial_block_download=fields.boolean(initial) if fields.has(initial) else False,
        )


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """``getnetworkinfo``: which node this is. ``subversion`` is its user agent (BIP14)."""

    version: int
    subversion: str
    connections: int

    @classmethod
    def parse(cls, value: object) -> NetworkInfo:
        fields = _Fields("getnetworkinfo", value)
        return cls(
            version=fields.integer("version"),
            subversion=fields.text("subversion", 300),
            connections=fields.integer("connections"),
        )

    @property
    def is_knots(self) -> bool:
        """Whether the node takes ``blockreservedweight`` and its like in a template request."""
        return "/Knots:" in self.subversion


@dataclass(frozen=True, slots=True)
class ZmqEndpoint:
    """One line of ``getzmqnotifications``: ``kind`` is ``pubhashblock``, ``pubsequence``, ..."""

    kind: str
    address: str

    @classmethod
    def parse(cls, value: object) -> ZmqEndpoint:
        fields = _Fields("getzmqnotifications", value)
        return cls(kind=fields.text("type", 100), address=fields.text("address", 300))


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """``getblockheader``. ``confirmations`` is -1 for a block outside the active chain."""

    hash: bytes
    confirmations: int
    height: int
    version: int
    previous_hash: bytes
    merkle_root: bytes
    time: int
    median_time: int
    bits: int
    nonce: int

    @classmethod
    def parse(cls, value: object) -> BlockHeader:
        fields = _Fields("getblockheader", value)
        previous = "previousblockhash"
        return cls(
            hash=fields.hash("hash"),
            confirmations=fields.integer("confirmations", low=-1),
            height=fields.integer("height"),
            version=fields.integer("version", low=-0x80000000, high=0x7FFFFFFF),
            previous_hash=fields.hash(previous) if fields.has(previous) else bytes(32),
            merkle_root=fields.hash("merkleroot"),
            time=fields.integer("time"),
            median_time=fields.integer("mediantime") if fields.has("mediantime") else 0,
            bits=int.from_bytes(fields.hex("bits", 4), "big"),
            nonce=fields.integer("nonce"),
        )


@dataclass(frozen=True, slots=True)
class TemplateTransaction:
    """One transaction of a block template.

    ``data`` is the serialization with witness. ``depends`` holds the positions, in the template's
    ``transactions`` and counted from zero, of the transactions this one spends from: each is
    smaller than this one's own position and named once. ``fee``, ``weight`` and ``sigops`` are
    this one's alone.
    """

    data: bytes = field(repr=False)
    txid: bytes
    wtxid: bytes
    fee: int
    weight: int
    sigops: int
    depends: tuple[int, ...]

    @classmethod
    def parse(cls, value: object, position: int) -> TemplateTransaction:
        fields = _Fields(f"transactions[{position}]", value)
        depends = fields.items("depends", MAX_INPUTS) if fields.has("depends") else []
        if not all(type(item) is int and 1 <= item <= position for item in depends):
            raise BadAnswer(f"transactions[{position}].depends names a later transaction")
        data = fields.hex("data")
        if not 60 <= len(data) <= 4_000_000:
            raise BadAnswer(f"transactions[{position}].data has {len(data)} bytes")
        return cls(
            data=data,
            txid=fields.hash("txid"),
            wtxid=fields.hash("hash"),
            fee=fields.integer("fee", high=MAX_MONEY),
            weight=fields.integer("weight", high=4_000_000),
            sigops=fields.integer("sigops", high=80_000),
            depends=tuple(dict.fromkeys(item - 1 for item in depends)),
        )


@dataclass(frozen=True, slots=True)
class BlockTemplate:
    """``getblocktemplate`` (BIP22, BIP23, BIP9, BIP145).

    ``coinbase_value`` is subsidy plus the fees of ``transactions``. ``witness_commitment`` is the
    scriptPubKey of the commitment output for exactly these transactions in this order, or None
    where the node gave none. ``long_poll_id`` is None where the node has no longpoll. A rule that
    starts with ``!`` changes how a block must be built; one that is not known must stop us.
    """

    version: int
    previous_hash: bytes
    height: int
    bits: int
    current_time: int
    minimum_time: int
    coinbase_value: int
    witness_commitment: bytes | None
    transactions: tuple[TemplateTransaction, ...] = field(repr=False)
    weight_limit: int
    sigop_limit: int
    rules: tuple[str, ...]
    mutable: tuple[str, ...]
    capabilities: tuple[str, ...]
    long_poll_id: str | None

    @classmethod
    def parse(cls, value: object) -> BlockTemplate:
        """From the RPC's JSON.

        Raises:
            BadAnswer: a field is missing, malformed or out of range.
        """
        fields = _Fields("getblocktemplate", value)
        transactions = fields.items("transactions", MAX_TEMPLATE_TRANSACTIONS)
        commitment, long_poll = "default_witness_commitment", "longpollid"
        return cls(
            version=fields.integer("version", low=-0x80000000, high=0x7FFFFFFF),
            previous_hash=fields.hash("previousblockhash"),
            height=fields.integer("height", low=1, high=0x7FFFFFFF),
            bits=int.from_bytes(fields.hex("bits", 4), "big"),
            current_time=fields.integer("curtime"),
            minimum_time=fields.integer("mintime"),
            coinbase_value=fields.integer("coinbasevalue", high=MAX_MONEY),
            witness_commitment=fields.hex(commitment) if fields.has(commitment) else None,
            transactions=tuple(
                TemplateTransaction.parse(item, position)
                for position, item in enumerate(transactions)
            ),
            weight_limit=_weight_limit(fields),
            sigop_limit=fields.integer("sigoplimit"),
            rules=fields.texts("rules"),
            mutable=fields.texts("mutable"),
            capabilities=fields.texts("capabilities"),
            long_poll_id=fields.text(long_poll) if fields.has(long_poll) else None,
        )

    @property
    def target(self) -> int:
        """The target that ``bits`` stands for."""
        return target_from_bits(self.bits)

    @property
    def fees(self) -> int:
        """The fees of all transactions together."""
        return sum(transaction.fee for transaction in self.transactions)


def _weight_limit(fields: _Fields) -> int:
    """``weightlimit`` exists once segwit is active; before that only ``sizelimit`` does."""
    name = "weightlimit" if fields.has("weightlimit") else "sizelimit"
    return fields.integer(name, high=4_000_000)


class SubmitOutcome(Enum):
    """What became of a submitted block."""

    ACCEPTED = "accepted"
    """Valid and now part of the node's active chain."""
    DUPLICATE = "duplicate"
    """The node already has this block, valid as far as it checked."""
    INCONCLUSIVE = "inconclusive"
    """Stored, but not on the active chain: another block of the same height came first."""
    REJECTED = "rejected"
    """Invalid; the reason says why (``high-hash``, ``bad-txnmrklroot``, ...)."""


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """Answer of ``submitblock`` or of a proposal. ``reason`` is the node's word, or ""."""

    outcome: SubmitOutcome
    reason: str = ""

    @classmethod
    def parse(cls, value: object) -> SubmitResult:
        if value is None:
            return cls(SubmitOutcome.ACCEPTED)
        if not isinstance(value, str):
            raise BadAnswer("submitblock: neither null nor a reason")
        reason = "".join(c if " " <= c <= "~" else "?" for c in value[:200])
        match reason:
            case "duplicate":
                return cls(SubmitOutcome.DUPLICATE, reason)
            case _ if reason.startswith(BTCD_DUPLICATE):
                return cls(SubmitOutcome.DUPLICATE, reason)
            case "inconclusive" | "duplicate-inconclusive" | "inconclusive-not-best-prevblk":
                return cls(SubmitOutcome.INCONCLUSIVE, reason)
            case _:
                return cls(SubmitOutcome.REJECTED, reason)
