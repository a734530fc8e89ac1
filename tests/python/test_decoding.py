"""Decoding: bad input, unknown messages, TLVs, and the Decoder's stream."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from test_vectors import FRAMES

import sv2_ffi
from sv2_ffi.common import ChannelEndpointChanged, Reconnect, SetupConnection
from sv2_ffi.mining import SubmitSharesExtended
from sv2_ffi.template_distribution import RequestTransactionData

SHARE = SubmitSharesExtended(1, 2, 3, 4, 5, 6, b"\x07")
WORKER = sv2_ffi.Tlv(0x0002, 0x01, b"Worker_001")
GOOD = sv2_ffi.encode(ChannelEndpointChanged(5))


def frame_of(extension_type: int, message_type: int, payload: bytes) -> bytes:
    return bytes(sv2_ffi.FrameHeader(extension_type, message_type, len(payload))) + payload


def test_every_truncation_of_every_vector_is_refused() -> None:
    for frame in FRAMES:
        for size in range(len(frame)):
            with pytest.raises(sv2_ffi.TruncatedFrame):
                sv2_ffi.decode(frame[:size])


def test_every_truncated_payload_says_which_field_and_where() -> None:
    for frame in FRAMES:
        header = sv2_ffi.parse_header(frame)
        cls = sv2_ffi.MESSAGES[header.extension_type & 0x7FFF, header.message_type]
        for size in range(header.length):
            with pytest.raises(sv2_ffi.MalformedMessage) as caught:
                sv2_ffi.decode_payload(header.extension_type, header.message_type, frame[6:][:size])
            error = caught.value
            assert error.message == cls.name
            assert error.field in cls.__match_args__
            assert error.offset <= size
            assert error.reason == "the input ends within a field"


@pytest.mark.parametrize(
    ("message_type", "payload", "field", "offset", "reason"),
    [
        (0x19, b"\0\0\0\0\x21" + bytes(33), "extranonce_prefix", 4, "length"),
        (0x15, bytes(8) + b"\x02" + bytes(50), "min_ntime", 8, "OPTION"),
        (0x74, bytes(8) + b"\0\0\x01\0\xff\xff\xff", "transaction_list", 10, "ends within"),
        (0x25, bytes(4) + b"\xff\xff\0\0\0\0", "channel_ids", 4, "ends within"),
        (0x04, b"\x05pool", "new_host", 0, "ends within"),
    ],
)
def test_a_bad_length_is_refused(
    message_type: int, payload: bytes, field: str, offset: int, reason: str
) -> None:
    with pytest.raises(sv2_ffi.MalformedMessage) as caught:
        sv2_ffi.decode(frame_of(0, message_type, payload))
    assert (caught.value.field, caught.value.offset) == (field, offset)
    assert reason in str(caught.value)


def test_bytes_behind_a_frame_are_refused() -> None:
    for frame in (GOOD, frame_of(0, 0xEE, b"x"), frame_of(0, 0x04, b"\x05x")):
        with pytest.raises(sv2_ffi.TruncatedFrame) as caught:
            sv2_ffi.decode(frame + b"x")
        assert (caught.value.expected, caught.value.found) == (len(frame), len(frame) + 1)


def test_random_bytes_decode_or_raise_a_documented_error() -> None:
    source = random.Random(20261121)
    for _ in range(5000):
        cls = source.choice(list(sv2_ffi.MESSAGES.values()))
        payload = source.randbytes(source.randrange(200))
        try:
            message = sv2_ffi.decode_payload(cls.extension_type, cls.message_type, payload)
        except sv2_ffi.MalformedMessage:
            continue
        assert type(message) is cls
        assert len(sv2_ffi.encode(message)) + len(message.trailing) == 6 + len(payload)


def test_an_unknown_message_keeps_its_frame() -> None:
    for extension_type, message_type in ((0, 0x1E), (0x8000, 0xFF), (0x4001, 0), (0xC001, 3)):
        frame = frame_of(extension_type, message_type, b"\x01\x02\x03\x04rest")
        message = sv2_ffi.decode(frame)
        assert message == sv2_ffi.UnknownMessage(extension_type, message_type, frame[6:])
        assert sv2_ffi.encode(message) == frame
        assert isinstance(message, sv2_ffi.UnknownMessage)
        assert message.channel_message == (extension_type >= 0x8000)
        assert message.channel_id == (0x04030201 if extension_type >= 0x8000 else None)


def test_a_protocol_that_is_not_known_still_decodes() -> None:
    setup = SetupConnection(200, 2, 2, 0, "", 0, "", "", "", "")
    assert sv2_ffi.decode(sv2_ffi.encode(setup)) == setup


def test_a_bool_counts_its_lowest_bit_only() -> None:
    frame = next(f for f in FRAMES if f[2] == 0x71)
    for value in range(256):
        message = sv2_ffi.decode(frame[:14] + bytes([value]) + frame[15:])
        assert isinstance(message, sv2_ffi.template_distribution.NewTemplate)
        assert message.future_template is bool(value & 1)


def test_a_number_is_no_frame_and_no_payload() -> None:
    with pytest.raises(TypeError):
        sv2_ffi.decode(50)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sv2_ffi.decode_payload(0, 1, 6)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [-1, 65536])
def test_numbers_out_of_range_are_a_value_error(number: int) -> None:
    with pytest.raises(ValueError, match="U16"):
        sv2_ffi.decode_payload(number, 0, b"")
    with pytest.raises(sv2_ffi.EncodeError):
        sv2_ffi.encode(sv2_ffi.UnknownMessage(number, 0, b""))


def test_tlvs_travel_behind_a_message_little_endian() -> None:
    frame = sv2_ffi.encode(SHARE, [WORKER])
    assert frame.endswith(bytes.fromhex("0200010a00") + b"Worker_001")
    message = sv2_ffi.decode(frame)
    assert message == SHARE
    assert isinstance(message, sv2_ffi.Message)
    assert message.tlvs == (WORKER,)
    assert "trailing" in repr(message)
    assert sv2_ffi.encode(message) == sv2_ffi.encode(SHARE)
    assert sv2_ffi.encode(message, message.tlvs) == frame


def test_tlvs_follow_an_unknown_message_too() -> None:
    unknown = sv2_ffi.UnknownMessage(0x4000, 1, b"abc")
    frame = sv2_ffi.encode(unknown, (tlv for tlv in [WORKER, WORKER]))
    assert len(frame) == 6 + 3 + 2 * 15
    assert sv2_ffi.parse_header(frame).length == len(frame) - 6


def test_trailing_bytes_that_are_no_tlv_are_ignored() -> None:
    payload = sv2_ffi.encode(SHARE, [WORKER])[6:]
    for junk in (b"\xff", bytes.fromhex("02000105000102")):
        message = sv2_ffi.decode_payload(0, SHARE.message_type, payload + junk)
        assert message == SHARE
        assert isinstance(message, sv2_ffi.Message)
        assert message.tlvs == (WORKER,)


def test_a_solution_shorter_than_its_bytes_keeps_its_own_length() -> None:
    payload = bytes(20) + (93).to_bytes(2, "little") + bytes(116)
    message = sv2_ffi.decode_payload(0, 0x76, payload)
    assert isinstance(message, sv2_ffi.template_distribution.SubmitSolution)
    assert len(message.coinbase_tx) == 93
    assert len(message.trailing) == 23


@pytest.mark.parametrize(
    "tlv",
    [(65536, 0, b""), (0, 256, b""), (-1, 0, b""), (0, 0, bytes(65536)), ("x", 0, b"")],
)
def test_a_tlv_that_does_not_fit_is_refused(tlv: tuple[int, int, bytes]) -> None:
    with pytest.raises(sv2_ffi.EncodeError, match=r"SubmitSharesExtended\.tlvs"):
        sv2_ffi.encode(SHARE, [sv2_ffi.Tlv(*tlv)])


class TestDecoder:
    def test_what_was_fed_and_not_iterated_over_comes_later(self) -> None:
        decoder = sv2_ffi.Decoder()
        decoder.feed(GOOD * 3)
        assert next(decoder.feed(GOOD)) == ChannelEndpointChanged(5)
        assert len(list(decoder.feed(b""))) == 3
        assert decoder.pending == 0

    def test_a_malformed_frame_is_dropped_and_the_stream_goes_on(self) -> None:
        decoder = sv2_ffi.Decoder()
        messages = decoder.feed(GOOD + frame_of(0, 0x04, b"\x05x") + GOOD)
        assert next(messages) == ChannelEndpointChanged(5)
        with pytest.raises(sv2_ffi.MalformedMessage):
            next(messages)
        assert list(decoder.feed(b"")) == [ChannelEndpointChanged(5)]

    @pytest.mark.parametrize("piece", [1, 5, 6, 7, 50, 1000])
    def test_an_oversize_frame_is_skipped_in_pieces_of_any_size(self, piece: int) -> None:
        decoder = sv2_ffi.Decoder(max_frame_size=40)
        stream = GOOD + frame_of(0x8000, 0x42, bytes(200)) + GOOD + frame_of(0, 9, bytes(34)) + GOOD
        found: list[object] = []
        refused: list[sv2_ffi.FrameTooLarge] = []
        for at in range(0, len(stream), piece):
            messages = decoder.feed(stream[at : at + piece])
            while True:
                try:
                    found.extend(messages)
                    break
                except sv2_ffi.FrameTooLarge as error:
                    refused.append(error)
                    messages = decoder.feed(b"")
        good = ChannelEndpointChanged(5)
        assert found == [good, good, sv2_ffi.UnknownMessage(0, 9, bytes(34)), good]
        assert [(e.size, e.limit, e.message_type) for e in refused] == [(206, 40, 0x42)]
        assert decoder.pending == 0

    def test_a_promise_of_16_mib_costs_nothing_before_the_data(self) -> None:
        decoder = sv2_ffi.Decoder()
        tracemalloc.start()
        try:
            assert list(decoder.feed(bytes.fromhex("000074ffffff"))) == []
            assert list(decoder.feed(bytes(1000))) == []
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 64 * 1024
        assert decoder.pending == 1006

    def test_a_limit_below_a_header_is_refused(self) -> None:
        with pytest.raises(ValueError, match="below 6"):
            sv2_ffi.Decoder(max_frame_size=5)

    def test_random_splits_of_a_long_stream(self) -> None:
        source = random.Random(7)
        stream = b"".join(FRAMES)
        wanted = [sv2_ffi.decode(frame) for frame in FRAMES]
        for _ in range(20):
            decoder = sv2_ffi.Decoder()
            found = []
            at = 0
            while at < len(stream):
                size = source.choice((1, 3, 17, 100, 5000))
                found += decoder.feed(memoryview(stream)[at : at + size])
                at += size
            assert found == wanted


def test_parse_header_and_back() -> None:
    header = sv2_ffi.parse_header(GOOD)
    assert header == (0x8000, 3, 4)
    assert bytes(header) == GOOD[:6]
    with pytest.raises(sv2_ffi.TruncatedFrame):
        sv2_ffi.parse_header(b"12345")
    with pytest.raises(sv2_ffi.EncodeError):
        bytes(sv2_ffi.FrameHeader(0, 0, 1 << 24))


def test_an_empty_payload_decodes_to_an_error_or_message() -> None:
    with pytest.raises(sv2_ffi.MalformedMessage):
        sv2_ffi.decode(frame_of(0, RequestTransactionData.message_type, b""))
    with pytest.raises(sv2_ffi.MalformedMessage):
        sv2_ffi.decode_payload(0, Reconnect.message_type, b"")
