"""Message classes: what a Python engineer sees of them."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import struct

import pytest
from test_vectors import FRAMES

import sv2_ffi
from sv2_ffi.common import Reconnect, SetupConnection, SetupConnectionSuccess
from sv2_ffi.mining import NewMiningJob, SubmitSharesExtended, UpdateChannel
from sv2_ffi.template_distribution import NewTemplate, SetNewPrevHash

HASH = bytes(range(32))


def template(**changes: object) -> NewTemplate:
    message = NewTemplate(1, True, 2, 3, b"\x01", 4, 5, 1, b"out", 6, [HASH] * 12)
    return dataclasses.replace(message, **changes)


def test_every_message_is_in_the_table_under_its_own_numbers() -> None:
    assert len(sv2_ffi.MESSAGES) == 44
    for key, cls in sv2_ffi.MESSAGES.items():
        assert key == (cls.extension_type, cls.message_type)
        assert cls.__doc__
        assert [f.name for f in cls.FIELDS] == list(cls.__match_args__)


def test_names_are_those_of_the_c_library() -> None:
    for (extension_type, message_type), cls in sv2_ffi.MESSAGES.items():
        name = sv2_ffi.lib.sv2_message_name(extension_type, message_type)
        assert sv2_ffi.ffi.string(name).decode() == cls.name


def test_messages_of_one_class_compare_by_fields_and_of_two_are_never_equal() -> None:
    assert template() == template()
    assert template() != template(version=9)
    assert sv2_ffi.mining.UpdateChannelError(1, "x") != sv2_ffi.mining.CloseChannel(1, "x")


def test_match_takes_a_message_apart() -> None:
    match sv2_ffi.decode(sv2_ffi.encode(SetupConnectionSuccess(2, 7))):
        case SetupConnectionSuccess(used_version, flags):
            assert (used_version, flags) == (2, 7)
        case _:
            pytest.fail("no match")


@pytest.mark.parametrize("frame", FRAMES[::7], ids=lambda f: f[:6].hex())
def test_messages_pickle_and_copy(frame: bytes) -> None:
    message = sv2_ffi.decode(frame)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(message, protocol)) == message  # noqa: S301
    assert copy.deepcopy(message) == message


def test_repr_shows_hashes_in_hex_and_shortens_long_values() -> None:
    text = repr(template(coinbase_tx_outputs=bytes(1000)))
    assert f"<{HASH.hex()}>" in text
    assert "1000 bytes" in text
    assert "12 items" in text
    assert len(text) < 700


def test_repr_escapes_a_peers_control_characters() -> None:
    assert "\n" not in repr(Reconnect("a\nb\x1b[31m", 1))
    assert "\x1b" not in repr(Reconnect("a\nb\x1b[31m", 1))


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(AttributeError):
        template().versoin = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"caf\xc3\xa9", b"\xed\xa0\x80", b"", bytes(255)])
def test_a_string_of_any_bytes_survives(raw: bytes) -> None:
    payload = bytes([len(raw)]) + raw + b"\x01\x00"
    message = sv2_ffi.decode_payload(0, Reconnect.message_type, payload)
    assert sv2_ffi.encode(message)[6:] == payload
    assert isinstance(message, Reconnect)
    assert message.new_host == raw.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "bits",
    [0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 1, 0x7F7FFFFF],
)
def test_a_float_survives_bit_for_bit(bits: int) -> None:
    payload = struct.pack("<II", 5, bits) + HASH
    message = sv2_ffi.decode_payload(0, UpdateChannel.message_type, payload)
    assert sv2_ffi.encode(message)[6:] == payload


def test_a_plain_nan_is_sent_as_a_nan() -> None:
    frame = sv2_ffi.encode(UpdateChannel(1, math.nan, HASH))
    back = sv2_ffi.decode(frame)
    assert isinstance(back, UpdateChannel)
    assert math.isnan(back.nominal_hash_rate)


def test_an_option_is_a_value_or_none() -> None:
    for value in (None, 0, 5):
        job = NewMiningJob(1, 2, value, 3, HASH)
        assert sv2_ffi.decode(sv2_ffi.encode(job)) == job


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_fields_take_any_kind_of_bytes(kind: type) -> None:
    given = template(coinbase_prefix=kind(b"\x01"), merkle_path=[kind(HASH)] * 12)
    assert sv2_ffi.encode(given) == sv2_ffi.encode(template())


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("template_id", -1, "expected 0 to"),
        ("template_id", 1 << 64, "expected 0 to"),
        ("version", 1 << 32, "expected 0 to 4294967295, got 4294967296"),
        ("version", "2", "expected int, got str"),
        ("version", None, "expected int, got NoneType"),
        ("coinbase_prefix", bytes(256), "expected at most 255 bytes, got 256"),
        ("coinbase_prefix", "text", "expected bytes, got str"),
        ("coinbase_tx_outputs", bytes(65536), "expected at most 65535 bytes, got 65536"),
        ("merkle_path", [HASH, HASH[:31]], "item 1: expected 32 bytes, got 31"),
        ("merkle_path", [HASH[:31], HASH + b"x"], "item 0: expected 32 bytes, got 31"),
        ("merkle_path", [HASH] * 256, "expected at most 255 items, got 256"),
        ("merkle_path", None, "expected a list, got NoneType"),
        ("merkle_path", [3], "item 0: expected bytes, got int"),
    ],
)
def test_a_field_that_does_not_fit_is_named(field: str, value: object, reason: str) -> None:
    with pytest.raises(sv2_ffi.EncodeError) as caught:
        sv2_ffi.encode(template(**{field: value}))
    assert caught.value.message == "NewTemplate"
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"NewTemplate.{field}: ")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (SetupConnection(256, 2, 2, 0, "", 0, "", "", "", ""), "protocol"),
        (SetupConnection(0, 65536, 2, 0, "", 0, "", "", "", ""), "min_version"),
        (SetupConnection(0, 2, 2, 0, "é" * 128, 0, "", "", "", ""), "endpoint_host"),
        (SetupConnection(0, 2, 2, 0, "\ud800", 0, "", "", "", ""), "endpoint_host"),
        (SetupConnection(0, 2, 2, 0, b"x", 0, "", "", "", ""), "endpoint_host"),  # type: ignore
        (SetNewPrevHash(1, HASH[:31], 0, 0, HASH), "prev_hash"),
        (SubmitSharesExtended(1, 2, 3, 4, 5, 6, bytes(33)), "extranonce"),
        (UpdateChannel(1, 1e39, HASH), "nominal_hash_rate"),
        (UpdateChannel(1, "fast", HASH), "nominal_hash_rate"),  # type: ignore[arg-type]
        (NewMiningJob(1, 2, 1 << 32, 3, HASH), "min_ntime"),
        (NewMiningJob(1, 2, "", 3, HASH), "min_ntime"),  # type: ignore[arg-type]
        (sv2_ffi.extensions.RequestExtensions(1, [65536]), "requested_extensions"),
        (sv2_ffi.mining.SetGroupChannel(1, [-1]), "channel_ids"),
        (sv2_ffi.mining.SetGroupChannel(1, [0] * 65536), "channel_ids"),
        (
            sv2_ffi.job_declaration.ProvideMissingTransactionsSuccess(1, [bytes(1 << 24)]),
            "transaction_list",
        ),
    ],
)
def test_every_kind_of_field_is_checked(message: sv2_ffi.Message, field: str) -> None:
    with pytest.raises(sv2_ffi.EncodeError) as caught:
        sv2_ffi.encode(message)
    assert caught.value.field == field


def test_a_payload_over_the_limit_is_refused() -> None:
    transactions = [bytes(9_000_000)] * 2
    message = sv2_ffi.job_declaration.ProvideMissingTransactionsSuccess(1, transactions)
    with pytest.raises(sv2_ffi.EncodeError, match="over the limit"):
        sv2_ffi.encode(message)


class Liar(bytes):
    """Bytes that claim to be longer than they are."""

    def __len__(self) -> int:
        return 200


def test_an_object_that_lies_about_its_length_is_refused() -> None:
    with pytest.raises(sv2_ffi.EncodeError):
        sv2_ffi.encode(template(merkle_path=[], coinbase_tx_outputs=Liar(b"x")))
    message = sv2_ffi.job_declaration.ProvideMissingTransactionsSuccess(1, [Liar(b"x")])
    with pytest.raises(sv2_ffi.EncodeError):
        sv2_ffi.encode(message)


def test_exceptions_pickle_with_their_data() -> None:
    for error in (
        sv2_ffi.EncodeError("A", "b", "c"),
        sv2_ffi.MalformedMessage("A", "b", 3, "c"),
        sv2_ffi.FrameTooLarge(1, 2, 3, 4),
        sv2_ffi.TruncatedFrame(1, 2),
    ):
        back = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert type(back) is type(error)
        assert str(back) == str(error)
        assert vars(back) == vars(error)
        assert isinstance(error, sv2_ffi.Sv2Error)
