"""One test per bug that was found in sv2_ffi and mended."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import pytest

import sv2_ffi
from sv2_ffi import Tlv, UnknownMessage
from sv2_ffi.common import SetupConnectionError, SetupConnectionSuccess
from sv2_ffi.template_distribution import (
    NewTemplate,
    RequestTransactionDataSuccess,
    SubmitSolution,
)

WIDE = memoryview(array.array("I", [1, 2, 3]))  # len() 3, 12 bytes
FLAT = memoryview(bytes(range(6))).cast("B", (2, 3))  # len() 2, 6 bytes
HOLED = memoryview(bytes(range(6)))[::2]
VIEWS = pytest.mark.parametrize(
    "view", [WIDE, FLAT, HOLED], ids=["wide", "two-dimensional", "holed"]
)


@VIEWS
def test_views_of_other_things_than_bytes_do_not_shift_the_fields_behind_them(
    view: memoryview,
) -> None:
    template = NewTemplate(1, True, 2, 2, view, 5, 6, 7, b"outputs", 9, [])  # type: ignore[arg-type]
    with pytest.raises(sv2_ffi.EncodeError) as error:
        sv2_ffi.encode(template)
    assert error.value.field == "coinbase_prefix"
    transactions = RequestTransactionDataSuccess(1, b"", [view, b"next"])  # type: ignore[list-item]
    with pytest.raises(sv2_ffi.EncodeError) as error:
        sv2_ffi.encode(transactions)
    assert error.value.field == "transaction_list"


@VIEWS
def test_an_unknown_message_announces_the_bytes_that_it_carries(view: memoryview) -> None:
    with pytest.raises(sv2_ffi.EncodeError):
        sv2_ffi.encode(UnknownMessage(5, 5, view))  # type: ignore[arg-type]


@pytest.mark.parametrize("payload", ["text", None, 7, [1, 2]])
def test_an_unknown_message_without_bytes_is_an_encode_error(payload: Any) -> None:
    with pytest.raises(sv2_ffi.EncodeError):
        sv2_ffi.encode(UnknownMessage(5, 5, payload))


@pytest.mark.parametrize("value", ["text", None, 7, WIDE, FLAT, HOLED, bytes(65_536)])
def test_a_tlv_that_does_not_fit_is_an_encode_error(value: Any) -> None:
    with pytest.raises(sv2_ffi.EncodeError) as error:
        sv2_ffi.encode(SetupConnectionSuccess(2, 0), [Tlv(1, 1, value)])
    assert error.value.field == "tlvs"


@pytest.mark.parametrize("length", ["6", None, 1.5])
def test_a_frame_header_of_other_things_than_numbers_is_an_encode_error(length: Any) -> None:
    with pytest.raises(sv2_ffi.EncodeError):
        bytes(sv2_ffi.FrameHeader(0, 0, length))


def holed(data: bytes) -> memoryview:
    return memoryview(bytes(byte for pair in zip(data, data, strict=True) for byte in pair))[::2]


def wide(data: bytes) -> memoryview:
    return memoryview(data).cast("H")


@pytest.mark.parametrize("as_view", [memoryview, wide, holed])
def test_a_view_of_any_shape_is_fed_by_its_bytes(as_view: Callable[[bytes], memoryview]) -> None:
    small = sv2_ffi.encode(SubmitSolution(1, 2, 3, 4, b"!!"))
    large = sv2_ffi.encode(SetupConnectionError(0, "x" * 91))
    decoder = sv2_ffi.Decoder(max_frame_size=40)
    assert list(decoder.feed(small[:10])) == []
    assert list(decoder.feed(as_view(small[10:]))) == [SubmitSolution(1, 2, 3, 4, b"!!")]
    with pytest.raises(sv2_ffi.FrameTooLarge):
        list(decoder.feed(large[:10]))
    rest = large[10:] + small
    assert list(decoder.feed(as_view(rest))) == [SubmitSolution(1, 2, 3, 4, b"!!")]
    assert decoder.pending == 0


def test_a_limit_beyond_every_frame_is_no_limit() -> None:
    frame = sv2_ffi.encode(SetupConnectionSuccess(2, 0))
    assert list(sv2_ffi.Decoder(max_frame_size=2**70).feed(frame)) == [SetupConnectionSuccess(2, 0)]


@pytest.mark.parametrize("number", [10**5000, -(10**5000)], ids=["large", "negative"])
def test_a_number_too_long_to_be_written_out_is_an_encode_error(number: int) -> None:
    with pytest.raises(sv2_ffi.EncodeError) as error:
        sv2_ffi.encode(SetupConnectionSuccess(2, number))
    assert error.value.field == "flags"
