"""A node's answers as typed values, and answers that are not what they should be."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("zmq", reason="pyzmq is not installed")

from hypothesis import given
from hypothesis import strategies as st
from sv2.node import (
    BadAnswer,
    BlockHeader,
    BlockTemplate,
    ChainInfo,
    NetworkInfo,
    SubmitOutcome,
    SubmitResult,
    Tip,
    ZmqEndpoint,
    hash_bytes,
    hash_text,
    target_from_bits,
    template_rules,
)

RECORDED = Path(__file__).parent.parent / "data" / "regtest" / "getblocktemplate.json"


def recorded() -> dict[str, Any]:
    template: dict[str, Any] = json.loads(RECORDED.read_text("ascii"))
    return template


def test_recorded_template_parses_field_by_field() -> None:
    raw, template = recorded(), BlockTemplate.parse(recorded())
    assert template.version == 0x20000000
    assert hash_text(template.previous_hash) == raw["previousblockhash"]
    assert (template.height, template.bits) == (136, 0x207FFFFF)
    assert (template.current_time, template.minimum_time) == (raw["curtime"], raw["mintime"])
    assert template.target == int(raw["target"], 16)
    assert template.coinbase_value == 50 * 10**8 + template.fees
    assert template.witness_commitment == bytes.fromhex(raw["default_witness_commitment"])
    assert (template.weight_limit, template.sigop_limit) == (4_000_000, 80_000)
    assert template.rules == ("csv", "!segwit", "taproot")
    assert template.long_poll_id == raw["longpollid"]
    assert template.capabilities == ("proposal",)
    assert len(template.transactions) == 18
    for parsed, item in zip(template.transactions, raw["transactions"], strict=True):
        assert parsed.data.hex() == item["data"]
        assert hash_text(parsed.txid) == item["txid"]
        assert hash_text(parsed.wtxid) == item["hash"]
        assert (parsed.fee, parsed.weight) == (item["fee"], item["weight"])
        assert parsed.sigops == item["sigops"]
        assert [index + 1 for index in parsed.depends] == item["depends"]
    assert template.transactions[1].depends == (0,)


def test_transaction_data_stays_out_of_repr() -> None:
    shown = repr(BlockTemplate.parse(recorded()).transactions[0])
    assert "data" not in shown
    assert len(repr(BlockTemplate.parse(recorded()))) < 1500


@pytest.mark.parametrize(
    ("field", "attribute", "value"),
    [
        ("default_witness_commitment", "witness_commitment", None),
        ("longpollid", "long_poll_id", None),
        ("rules", "rules", ()),
        ("capabilities", "capabilities", ()),
        ("mutable", "mutable", ()),
        ("weightlimit", "weight_limit", 1_000_000),
    ],
)
def test_fields_that_other_nodes_leave_out(field: str, attribute: str, value: object) -> None:
    raw = recorded()
    raw["sizelimit"] = 1_000_000
    del raw[field]
    assert getattr(BlockTemplate.parse(raw), attribute) == value


def test_a_dependency_named_for_each_input_counts_once() -> None:
    raw = recorded()
    raw["transactions"][1]["depends"] = [1, 1, 1]
    assert BlockTemplate.parse(raw).transactions[1].depends == (0,)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["version"], "1"),
        (["version"], 1 << 31),
        (["height"], 0),
        (["height"], True),
        (["height"], 1.0),
        (["bits"], "207fff"),
        (["bits"], 0x207FFFFF),
        (["bits"], "xx7fffff"),
        (["previousblockhash"], "00"),
        (["previousblockhash"], "0x" + "0" * 62),
        (["previousblockhash"], " " * 64),
        (["coinbasevalue"], -1),
        (["coinbasevalue"], 21_000_001 * 10**8),
        (["curtime"], 1 << 32),
        (["rules"], "segwit"),
        (["rules"], [1]),
        (["rules"], ["x" * 101]),
        (["transactions"], {}),
        (["transactions"], None),
        (["transactions", 0], 3),
        (["transactions", 0, "data"], "0g"),
        (["transactions", 0, "data"], "00"),
        (["transactions", 0, "txid"], "00" * 31),
        (["transactions", 0, "fee"], -1),
        (["transactions", 0, "weight"], 4_000_001),
        (["transactions", 0, "sigops"], None),
        (["transactions", 0, "depends"], [1]),
        (["transactions", 1, "depends"], [2]),
        (["transactions", 1, "depends"], [0]),
        (["transactions", 1, "depends"], ["1"]),
        (["transactions", 1, "depends"], 1),
    ],
)
def test_fields_out_of_range_are_a_bad_answer(path: list[Any], value: object) -> None:
    raw = recorded()
    inner: Any = raw
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(BadAnswer):
        BlockTemplate.parse(raw)


@pytest.mark.parametrize("field", ["version", "height", "bits", "transactions", "coinbasevalue"])
def test_missing_fields_are_a_bad_answer(field: str) -> None:
    raw = recorded()
    del raw[field]
    with pytest.raises(BadAnswer, match=field):
        BlockTemplate.parse(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_a_template_with_any_field_replaced_parses_or_is_a_bad_answer(data: st.DataObject) -> None:
    raw = copy.deepcopy(recorded())
    target = data.draw(st.sampled_from([raw, raw["transactions"][0]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON)
    with suppress(BadAnswer):
        BlockTemplate.parse(raw)


@given(JSON)
def test_any_answer_of_the_smaller_calls_parses_or_is_a_bad_answer(value: object) -> None:
    for kind in (Tip, ChainInfo, NetworkInfo, ZmqEndpoint, BlockHeader, SubmitResult):
        with suppress(BadAnswer):
            kind.parse(value)  # type: ignore[attr-defined]


def test_hashes_turn_between_text_and_internal_order() -> None:
    text = "00" * 31 + "01"
    assert hash_bytes(text) == b"\x01" + bytes(31)
    assert hash_text(hash_bytes(text)) == text
    for bad in ("", "00", None, 3, "zz" * 32, "0 " * 32):
        with pytest.raises(BadAnswer):
            hash_bytes(bad)


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x1D00FFFF, 0xFFFF << 208),
        (0x207FFFFF, 0x7FFFFF << 232),
        (0x03123456, 0x123456),
        (0x02123456, 0x1234),
        (0x01003456, 0),
        (0x04923456, 0),
        (0x00000000, 0),
        (0x21010000, 0),
        (0x2100FFFF, 0xFFFF << 240),
        (0xFF7FFFFF, 0),
        (0x170331DB, 0x0331DB << 160),
    ],
)
def test_bits_expand_to_the_target(bits: int, target: int) -> None:
    assert target_from_bits(bits) == target


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (None, SubmitOutcome.ACCEPTED, ""),
        ("duplicate", SubmitOutcome.DUPLICATE, "duplicate"),
        (
            "rejected: already have block 00ff",
            SubmitOutcome.DUPLICATE,
            "rejected: already have block 00ff",
        ),
        ("inconclusive", SubmitOutcome.INCONCLUSIVE, "inconclusive"),
        ("duplicate-inconclusive", SubmitOutcome.INCONCLUSIVE, "duplicate-inconclusive"),
        ("duplicate-invalid", SubmitOutcome.REJECTED, "duplicate-invalid"),
        ("high-hash", SubmitOutcome.REJECTED, "high-hash"),
        ("bad\nline\x1b[2J", SubmitOutcome.REJECTED, "bad?line?[2J"),
        ("x" * 1000, SubmitOutcome.REJECTED, "x" * 200),
    ],
)
def test_submission_answers_are_told_apart(
    answer: object, outcome: SubmitOutcome, reason: str
) -> None:
    assert SubmitResult.parse(answer) == SubmitResult(outcome, reason)


def test_only_the_knots_user_agent_is_knots() -> None:
    info = {"version": 1, "connections": 0}
    core = NetworkInfo.parse({**info, "subversion": "/Satoshi:31.0.0/"})
    knots = NetworkInfo.parse({**info, "subversion": "/Satoshi:29.1.0/Knots:20250903/"})
    assert (core.is_knots, knots.is_knots) == (False, True)


def test_signet_needs_a_rule_of_its_own() -> None:
    assert template_rules("main") == template_rules("regtest") == ("segwit",)
    assert template_rules("signet") == ("segwit", "signet")


def test_header_of_the_first_block_has_no_previous_hash() -> None:
    header = BlockHeader.parse(
        {
            "hash": "ab" * 32,
            "confirmations": -1,
            "height": 0,
            "version": -1,
            "merkleroot": "cd" * 32,
            "time": 1,
            "bits": "1d00ffff",
            "nonce": 2,
        }
    )
    assert header.previous_hash == bytes(32)
    assert (header.confirmations, header.bits) == (-1, 0x1D00FFFF)
