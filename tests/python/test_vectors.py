"""Frames from elsewhere: an independent encoder's vectors, and a session with Bitcoin Core."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sv2_ffi

TESTS = Path(__file__).parent.parent
MODULES = {
    "Mining.SetNewPrevHash": sv2_ffi.mining.SetNewPrevHash,
    "TemplateDistribution.SetNewPrevHash": sv2_ffi.template_distribution.SetNewPrevHash,
}
BY_NAME = {cls.name: cls for cls in sv2_ffi.MESSAGES.values()} | MODULES


def load(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TESTS / path).read_text().splitlines()]


VECTORS = load("vectors/messages.jsonl")
SESSION = load("data/regtest/template-session.jsonl")
FRAMES = [bytes.fromhex(vector["frame"]) for vector in VECTORS + SESSION]


def from_json(field_type: str, value: Any) -> Any:
    """A vector's value as the message class holds it: bytes are hex in the vectors."""
    if field_type.startswith("SEQ"):
        element = field_type.partition("[")[2].rstrip("]")
        return [from_json(element, item) for item in value]
    if field_type == "U256" or field_type.startswith("B0_"):
        return bytes.fromhex(value)
    return value


def expected(vector: dict[str, Any]) -> sv2_ffi.Message:
    cls = BY_NAME[vector["message"]]
    values = [from_json(f.type, vector["fields"][f.name]) for f in cls.FIELDS]
    return cls(*values)


def test_there_are_six_vectors_of_each_message() -> None:
    counts: dict[type, int] = {}
    for vector in VECTORS:
        cls = BY_NAME[vector["message"]]
        counts[cls] = counts.get(cls, 0) + 1
    assert set(counts) == set(sv2_ffi.MESSAGES.values())
    assert set(counts.values()) == {6}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["message"])
def test_a_vector_decodes_to_its_fields_and_encodes_back(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    message = sv2_ffi.decode(frame)
    assert message == expected(vector)
    assert sv2_ffi.encode(expected(vector)) == frame
    assert isinstance(message, sv2_ffi.Message)
    assert message.trailing == b""


@pytest.mark.parametrize("as_type", [bytes, bytearray, memoryview])
def test_a_recorded_session_encodes_back(as_type: Callable[[bytes], Any]) -> None:
    for record in SESSION:
        frame = bytes.fromhex(record["frame"])
        message = sv2_ffi.decode(as_type(frame))
        assert type(message) is BY_NAME[record["message"]]
        assert sv2_ffi.encode(message) == frame


def test_a_payload_decodes_with_and_without_the_channel_bit() -> None:
    for frame in FRAMES:
        header = sv2_ffi.parse_header(frame)
        for extension_type in (header.extension_type, header.extension_type ^ 0x8000):
            message = sv2_ffi.decode_payload(extension_type, header.message_type, frame[6:])
            assert sv2_ffi.encode(message) == frame


def test_the_stream_decodes_whole_and_byte_by_byte() -> None:
    stream = b"".join(FRAMES)
    wanted = [sv2_ffi.decode(frame) for frame in FRAMES]
    assert list(sv2_ffi.Decoder().feed(stream)) == wanted
    decoder = sv2_ffi.Decoder()
    found = [m for i in range(len(stream)) for m in decoder.feed(stream[i : i + 1])]
    assert found == wanted
    assert decoder.pending == 0


def test_every_frame_decodes_at_every_split() -> None:
    for frame in FRAMES:
        wanted = sv2_ffi.decode(frame)
        for split in range(1, len(frame)):
            decoder = sv2_ffi.Decoder()
            assert list(decoder.feed(frame[:split])) == []
            assert list(decoder.feed(frame[split:])) == [wanted]
