"""What holds for any message and any bytes. SV2_EXAMPLES sets how many of each are tried."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_vectors import FRAMES

import sv2_ffi
from sv2_ffi import AnyMessage, Decoder, Message, Tlv, UnknownMessage

EXAMPLES = int(os.environ.get("SV2_EXAMPLES", "100"))
CLASSES = list(sv2_ffi.MESSAGES.values())
EVERY_CLASS = pytest.mark.parametrize(
    "cls", CLASSES, ids=lambda cls: f"{cls.__module__[8:]}.{cls.name}"
)
BITS = {"U8": 8, "U16": 16, "U32": 32, "U64": 64}
# Lengths beyond these are rare in what hypothesis makes and slow to make.
LIMITS = {"B0_32": 32, "B0_255": 255, "B0_64K": 400, "B0_16M": 400}

TRY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 100,  # the same in every run, unless more is asked for
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TRY_EACH = settings(TRY, max_examples=max(5, EXAMPLES // 5))


# --- making messages ------------------------------------------------------------------------------


def numbers(bits: int) -> st.SearchStrategy[int]:
    top = (1 << bits) - 1
    return st.integers(0, top) | st.sampled_from([0, 1, top - 1, top])


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def values(field_type: str) -> st.SearchStrategy[Any]:
    """Any value that a field of this type can have."""
    kind, _, element = field_type.rstrip("]").partition("[")
    match kind:
        case "U8" | "U16" | "U32" | "U64":
            return numbers(BITS[kind])
        case "BOOL":
            return st.booleans()
        case "F32":
            return st.floats(width=32)
        case "U256":
            return st.binary(min_size=32, max_size=32)
        case "STR0_255":
            return st.binary(max_size=255).map(text_of)
        case "OPTION":
            return st.none() | values(element)
        case "SEQ0_255" | "SEQ0_64K":
            return st.lists(values(element), max_size=12)
        case _:
            return st.binary(max_size=LIMITS[kind])


def messages_of(cls: type[Message]) -> st.SearchStrategy[Message]:
    return st.builds(cls, *(values(field.type) for field in cls.FIELDS))


MESSAGES = st.sampled_from(CLASSES).flatmap(messages_of)
TLVS = st.lists(
    st.builds(Tlv, numbers(16), numbers(8), st.binary(max_size=40)),
    max_size=4,
)


@st.composite
def unknown_messages(draw: st.DrawFn) -> UnknownMessage:
    numbers_of = st.tuples(numbers(16), numbers(8)).filter(
        lambda key: (key[0] & 0x7FFF, key[1]) not in sv2_ffi.MESSAGES
    )
    return UnknownMessage(*draw(numbers_of), draw(st.binary(max_size=80)))


@st.composite
def mutated_frames(draw: st.DrawFn) -> bytes:
    """A vector with a few bytes changed, inserted or taken out, and its length put right or not."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(frame)))
        patch = draw(st.binary(max_size=4))
        frame[at : at + draw(st.integers(0, 4))] = patch
    if draw(st.booleans()) and len(frame) >= sv2_ffi.HEADER_SIZE:
        frame[3:6] = (len(frame) - sv2_ffi.HEADER_SIZE).to_bytes(3, "little")
    return bytes(frame)


# Things that no field, or hardly any, can take.
JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.lists(st.none() | st.integers() | st.binary(max_size=40) | st.text(max_size=3), max_size=4)
    | st.dictionaries(st.integers(), st.integers(), max_size=2)
    | st.sampled_from(
        [object(), 2**64, 10**5000, -1, 1e39, "\ud800", bytes(65_536), [0] * 65_536, [b""] * 256]
    )
)


Result = TypeVar("Result")


def attempt(call: Callable[[], Result]) -> Result | sv2_ffi.Sv2Error:
    """What a call returns, or the documented exception that it raises."""
    try:
        return call()
    except sv2_ffi.Sv2Error as error:
        return error


# --- messages -------------------------------------------------------------------------------------


@EVERY_CLASS
@TRY_EACH
@given(data=st.data())
def test_a_message_of_any_values_encodes_and_decodes_to_itself(
    cls: type[Message], data: st.DataObject
) -> None:
    message = data.draw(messages_of(cls))
    frame = sv2_ffi.encode(message)
    decoded = sv2_ffi.decode(frame)
    assert type(decoded) is cls
    for field in cls.FIELDS:
        before, after = getattr(message, field.name), getattr(decoded, field.name)
        assert before == after or (before != before and after != after), field.name
    assert sv2_ffi.encode(decoded) == frame
    header = sv2_ffi.parse_header(frame)
    assert header.length == len(frame) - sv2_ffi.HEADER_SIZE
    assert bool(header.extension_type & 0x8000) is cls.channel_message


@EVERY_CLASS
@TRY_EACH
@given(data=st.data())
def test_a_message_with_any_thing_in_a_field_encodes_or_raises_encode_error(
    cls: type[Message], data: st.DataObject
) -> None:
    message = data.draw(messages_of(cls))
    field = data.draw(st.sampled_from(cls.FIELDS))
    setattr(message, field.name, data.draw(JUNK))
    match attempt(lambda: sv2_ffi.encode(message)):
        case sv2_ffi.EncodeError() as error:
            assert error.message == cls.name
            assert error.field in (field.name, None)
        case frame:
            assert isinstance(frame, bytes)
            assert type(sv2_ffi.decode(frame)) is cls


def test_the_flat_form_has_room_for_every_message() -> None:
    """What sv2_ffi/_glue.c relies on, for messages that may be added."""
    for cls in CLASSES:
        assert cls._values <= sv2_ffi.lib.SV2_GLUE_MAX_VALUES
        assert sum("B0_16M" in field.type for field in cls.FIELDS) <= 1


@TRY
@given(message=MESSAGES | unknown_messages(), tlvs=TLVS)
def test_tlvs_travel_behind_any_message(message: AnyMessage, tlvs: list[Tlv]) -> None:
    frame = sv2_ffi.encode(message, tlvs)
    decoded = sv2_ffi.decode(frame)
    if isinstance(decoded, UnknownMessage):
        assert isinstance(message, UnknownMessage)
        assert decoded.payload.startswith(message.payload)
        return
    assert decoded.tlvs == tuple(tlvs)
    assert sv2_ffi.encode(decoded, decoded.tlvs) == frame
    assert sv2_ffi.encode(decoded) == sv2_ffi.encode(message)


@TRY
@given(data=st.binary(max_size=200))
def test_tlvs_are_the_longest_start_that_is_tlvs(data: bytes) -> None:
    def wire(tlv: Tlv) -> bytes:
        return struct.pack("<HBH", tlv.extension_type, tlv.field_type, len(tlv.value)) + tlv.value

    found = b"".join(map(wire, sv2_ffi.parse_tlvs(data)))
    assert data.startswith(found)
    rest = data[len(found) :]
    assert len(rest) < 5 or int.from_bytes(rest[3:5], "little") > len(rest) - 5


@TRY
@given(header=st.tuples(numbers(16), numbers(8), numbers(24)))
def test_any_six_bytes_are_a_header(header: tuple[int, int, int]) -> None:
    raw = bytes(sv2_ffi.FrameHeader(*header))
    assert len(raw) == sv2_ffi.HEADER_SIZE
    assert sv2_ffi.parse_header(raw) == header


# --- any bytes ------------------------------------------------------------------------------------


def check_decoded(message: AnyMessage, frame: bytes) -> None:
    """Encoding what was decoded gives the frame again, but for a BOOL's other bits."""
    if isinstance(message, UnknownMessage):
        assert sv2_ffi.encode(message) == frame
        return
    again = sv2_ffi.encode(message) + message.trailing
    size = sv2_ffi.HEADER_SIZE
    assert len(again) == len(frame)
    assert all(a == b or a == b & 1 for a, b in zip(again[size:], frame[size:], strict=True))


@TRY
@given(frame=st.binary(max_size=120) | mutated_frames())
def test_any_bytes_decode_or_raise_decode_error(frame: bytes) -> None:
    match attempt(lambda: sv2_ffi.decode(frame)):
        case sv2_ffi.TruncatedFrame() as error:
            assert error.found == len(frame) != error.expected
        case sv2_ffi.MalformedMessage() as error:
            assert 0 <= error.offset <= len(frame) - sv2_ffi.HEADER_SIZE
        case message:
            assert isinstance(message, Message | UnknownMessage)
            check_decoded(message, frame)


@TRY
@given(
    numbers_of=st.sampled_from(list(sv2_ffi.MESSAGES)) | st.tuples(numbers(16), numbers(8)),
    channel=st.sampled_from([0, 0x8000]),
    payload=st.binary(max_size=200),
)
def test_any_payload_decodes_or_is_malformed(
    numbers_of: tuple[int, int], channel: int, payload: bytes
) -> None:
    extension_type, message_type = numbers_of
    cls = sv2_ffi.MESSAGES.get((extension_type & 0x7FFF, message_type))
    match attempt(lambda: sv2_ffi.decode_payload(extension_type | channel, message_type, payload)):
        case sv2_ffi.MalformedMessage() as error:
            assert cls is not None
            assert error.message == cls.name
            assert error.field in {field.name for field in cls.FIELDS}
            assert 0 <= error.offset <= len(payload)
        case message:
            assert type(message) is (cls or UnknownMessage)


# --- streams --------------------------------------------------------------------------------------

Event: TypeAlias = tuple[str, bytes]
# Far more than come of what is fed here: a decoder that stays where it is must not hang a test.
MOST_EVENTS = 100


def event_of(outcome: AnyMessage | Exception) -> Event:
    """All that there is to a message or to an error, comparable."""
    if isinstance(outcome, Exception):
        return repr(outcome), b""
    trailing = outcome.trailing if isinstance(outcome, Message) else b""
    return outcome.name, sv2_ffi.encode(outcome) + trailing


def events_of(frames: list[bytes], limit: int) -> Iterator[Event]:
    """What a decoder is to make of whole frames, one after the other."""
    for frame in frames:
        try:
            if len(frame) > limit:
                raise sv2_ffi.FrameTooLarge(*sv2_ffi.parse_header(frame)[:2], len(frame), limit)
            yield event_of(sv2_ffi.decode(frame))
        except sv2_ffi.DecodeError as error:
            yield event_of(error)


def feed_all(decoder: Decoder, data: bytes) -> Iterator[Event]:
    """Everything that comes of data, errors included: feed(b"") goes on behind each."""
    for _ in range(MOST_EVENTS):
        try:
            yield from map(event_of, itertools.islice(decoder.feed(data), MOST_EVENTS))
        except sv2_ffi.DecodeError as error:
            yield event_of(error)
            data = b""
        else:
            return
    pytest.fail("a decoder stays where it is after an error")


def split(data: st.DataObject, stream: bytes) -> list[bytes]:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    bounds = [0, *cuts, len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(bounds)]


def whole(frame: bytes) -> bytes:
    """The frame with a header that fits, so that the stream stays in step."""
    frame = frame.ljust(sv2_ffi.HEADER_SIZE, b"\0")
    return frame[:3] + (len(frame) - sv2_ffi.HEADER_SIZE).to_bytes(3, "little") + frame[6:]


WHOLE_FRAMES = st.lists(
    st.sampled_from(FRAMES)
    | mutated_frames().map(whole)
    | (MESSAGES | unknown_messages()).map(sv2_ffi.encode),
    max_size=6,
)


@TRY
@given(frames=WHOLE_FRAMES, limit=st.integers(6, 2000), data=st.data())
def test_a_stream_gives_the_same_however_it_is_split(
    frames: list[bytes], limit: int, data: st.DataObject
) -> None:
    decoder = Decoder(max_frame_size=limit)
    pieces = split(data, b"".join(frames))
    found = [event for piece in pieces for event in feed_all(decoder, piece)]
    assert found == list(events_of(frames, limit))
    assert decoder.pending == 0


@TRY
@given(stream=st.binary(max_size=300), limit=st.integers(6, 200), data=st.data())
def test_any_stream_gives_messages_or_decode_errors_and_holds_no_more_than_the_limit(
    stream: bytes, limit: int, data: st.DataObject
) -> None:
    decoder = Decoder(max_frame_size=limit)
    for piece in split(data, stream):
        for _ in feed_all(decoder, piece):
            continue
        assert decoder.pending < limit


@TRY
@given(frames=WHOLE_FRAMES.filter(len), data=st.data())
def test_what_is_fed_is_taken_at_once_and_comes_out_when_it_is_asked_for(
    frames: list[bytes], data: st.DataObject
) -> None:
    """Iterators that are left alone, or used late or in turns, lose nothing."""
    decoder = Decoder()
    found: list[Event] = []
    iterators = []
    for piece in split(data, b"".join(frames)):
        buffer = bytearray(piece)
        iterators.append(decoder.feed(buffer))
        buffer[:] = bytes(len(buffer))  # the caller's again
        for iterator in data.draw(st.lists(st.sampled_from(iterators), max_size=2)):
            outcome = attempt(lambda iterator=iterator: next(iterator, None))  # type: ignore[misc]
            if outcome is not None:
                found.append(event_of(outcome))
    found += feed_all(decoder, b"")
    assert found == list(events_of(frames, sv2_ffi.MAX_FRAME_SIZE))
