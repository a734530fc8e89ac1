"""The connection's state machine: order, sizes, limits and hostile input, plain and over Noise."""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from connections import (
    AUTHORITY,
    IDENTITY,
    OTHER_AUTHORITY,
    POLICY,
    SETUP_MESSAGES,
    STATIC,
    SUCCESS,
    at_random,
    byte_by_byte,
    make_pair,
    open_pair,
    setup_connection,
    vector_frames,
    vector_messages,
)
from engines import default_engine_name
from hypothesis import given, settings
from hypothesis import strategies as st
from sv2.connection import (
    EVENTS,
    MAX_FRAME,
    MAX_FRAME_BEFORE_SETUP,
    MAX_HELD_BEFORE_SETUP,
    PLAIN,
    READ_AHEAD,
    SENDERS,
    TRANSITIONS,
    Connection,
    ConnectionPair,
    Event,
    Fault,
    LocalProtocolError,
    Protocol,
    RemoteProtocolError,
    Role,
    State,
)
from sv2.noise import (
    CertificateError,
    CertificateFault,
    CertificatePolicy,
    HandshakeError,
    NoiseError,
    ServerIdentity,
    TransportError,
    WallClock,
    issue_certificate,
)
from sv2.noise.engine import SEALED_HEADER_SIZE

import sv2_ffi
from sv2_ffi import AnyMessage, Tlv, UnknownMessage
from sv2_ffi.common import (
    ChannelEndpointChanged,
    Reconnect,
    SetupConnection,
    SetupConnectionError,
    SetupConnectionSuccess,
)
from sv2_ffi.mining import CloseChannel, SubmitSharesExtended

# Every test here runs on each engine.
__all__ = ["default_engine_name"]

NOISE = pytest.mark.parametrize("noise", [False, True], ids=["plain", "noise"])


def blob(size: int) -> UnknownMessage:
    """A message of an experimental extension with ``size`` bytes of payload."""
    return UnknownMessage(0x4001, 0x07, random.Random(size).randbytes(size))


def refused(connection: Connection) -> RemoteProtocolError:
    """The error that the next pull gives; it must be final."""
    with pytest.raises(RemoteProtocolError) as caught:
        list(connection.messages())
    assert connection.state is State.FAILED
    assert connection.read_size == 0
    with pytest.raises(RemoteProtocolError):
        connection.next_message()
    with pytest.raises(LocalProtocolError):
        connection.send(setup_connection())
    return caught.value


# The table.


def test_every_state_has_a_row_and_every_row_leads_to_a_state() -> None:
    assert set(TRANSITIONS) == set(State)
    for row in TRANSITIONS.values():
        assert set(row) <= set(Event)
        assert set(row.values()) <= set(State)
        assert Event.END in row


def test_every_state_can_be_reached_from_the_start_or_by_a_fault() -> None:
    reached = {State.HANDSHAKE}
    for _ in State:
        reached |= {target for state in reached for target in TRANSITIONS[state].values()}
    assert reached == set(State) - {State.FAILED}


def bring_to(state: State, role: Role) -> Connection:
    """One end in the given state, with whatever it had to send dropped."""
    pair = make_pair(noise=state is State.HANDSHAKE)
    end = pair.client if role is Role.CLIENT else pair.server
    if state in (State.ANSWER, State.OPEN, State.REFUSED):
        pair.client.send(setup_connection())
        pair.exchange()
    if state is State.OPEN:
        pair.server.send(SUCCESS)
    if state is State.REFUSED:
        pair.server.send(SetupConnectionError(0, "unsupported-protocol"))
    if state is State.CLOSED:
        end.close()
    if state is State.FAILED:
        end.receive_data(b"\xff" * 6)
        with pytest.raises(RemoteProtocolError):
            end.next_message()
    pair.exchange() if state not in (State.HANDSHAKE, State.FAILED) else None
    assert end.state is state
    end.data_to_send()
    return end


EXAMPLES: list[AnyMessage] = [
    setup_connection(),
    SUCCESS,
    SetupConnectionError(1, "unsupported-feature-flags"),
    Reconnect("", 0),
    ChannelEndpointChanged(7),
    CloseChannel(7, "no-reason"),
    UnknownMessage(0x4001, 1, b""),
]


def allowed(state: State, sender: Role, message: AnyMessage) -> bool:
    event = EVENTS.get(type(message), Event.MESSAGE)
    return event in TRANSITIONS[state] and SENDERS.get(type(message), sender) is sender


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_each_end_sends_exactly_what_the_table_allows(
    state: State, role: Role, message: AnyMessage
) -> None:
    end = bring_to(state, role)
    if allowed(state, role, message):
        end.send(message)
        assert end.data_to_send() == sv2_ffi.encode(message)
        expected = TRANSITIONS[state][EVENTS.get(type(message), Event.MESSAGE)]
        assert end.state is expected
    else:
        with pytest.raises(LocalProtocolError, match=type(message).__name__):
            end.send(message)
        assert end.state is state
        assert end.data_to_send() == b""


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("state", [State.SETUP, State.ANSWER, State.OPEN], ids=lambda s: s.name)
def test_each_end_receives_exactly_what_the_table_allows(
    state: State, role: Role, message: AnyMessage
) -> None:
    end = bring_to(state, role)
    end.receive_data(sv2_ffi.encode(message))
    if allowed(state, role.peer, message):
        assert end.next_message() == message
        assert end.state is TRANSITIONS[state][EVENTS.get(type(message), Event.MESSAGE)]
    else:
        error = refused(end)
        assert error.fault is Fault.UNEXPECTED_MESSAGE
        assert type(message).__name__ in str(error)
        assert state.name in str(error)


# Messages.


@NOISE
@pytest.mark.parametrize(
    "split",
    [None, byte_by_byte, at_random(1), at_random(2, largest=30)],
    ids=["whole", "byte by byte", "random", "random small"],
)
def test_every_message_arrives_in_both_directions(
    noise: bool, split: Callable[[bytes], Iterator[bytes]] | None
) -> None:
    pair = open_pair(noise, split)
    for message in vector_messages():
        kind = type(message)
        if kind in SETUP_MESSAGES:
            continue
        for source, at_client in ((pair.client, False), (pair.server, True)):
            if SENDERS.get(kind, source.role) is not source.role:
                continue
            source.abandon_negotiation()
            source.send(message)
            for_client, for_server = pair.exchange()
            assert (for_client if at_client else for_server) == [message]


@NOISE
def test_setup_messages_arrive_as_they_were_sent(noise: bool) -> None:
    for message in vector_messages():
        pair = make_pair(noise)
        pair.exchange()
        match message:
            case SetupConnection():
                pair.client.send(message)
                assert pair.exchange() == ([], [message])
                assert pair.server.setup == message == pair.client.setup
            case SetupConnectionSuccess() | SetupConnectionError():
                pair.client.send(setup_connection())
                pair.exchange()
                pair.server.send(message)
                assert pair.exchange() == ([message], [])
                assert pair.server.answer == message == pair.client.answer


@NOISE
@pytest.mark.parametrize("size", [0, 1, 1000, 65518, 65519, 65520, 131038, 131039, 1 << 20])
def test_frames_over_one_chunk_arrive(noise: bool, size: int) -> None:
    pair = open_pair(noise, at_random(size, largest=READ_AHEAD), max_frame=2 << 20)
    for source, place in ((pair.client, 1), (pair.server, 0)):
        source.send(blob(size))
        assert pair.exchange()[place] == [blob(size)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3000), max_size=12), st.integers(), st.booleans())
def test_any_sizes_at_any_splits_arrive_in_order(sizes: list[int], seed: int, noise: bool) -> None:
    pair = open_pair(noise, at_random(seed))
    for size in sizes:
        pair.client.send(blob(size))
        pair.server.send(blob(size + 1))
    for_client, for_server = pair.exchange()
    assert for_server == [blob(size) for size in sizes]
    assert for_client == [blob(size + 1) for size in sizes]


def test_plain_frames_are_on_the_wire_as_they_are() -> None:
    pair = open_pair(noise=False)
    for frame in vector_frames():
        message = sv2_ffi.decode(frame)
        if SENDERS.get(type(message), Role.SERVER) is Role.SERVER and type(message) not in EVENTS:
            pair.server.send(message)
            assert pair.server.data_to_send() == frame


def test_one_send_gives_one_piece_of_data() -> None:
    pair = open_pair(noise=True)
    pair.client.send(blob(100))
    assert len(pair.client.data_to_send()) == 22 + 100 + 16
    assert pair.client.data_to_send() == b""


def test_an_unsendable_message_changes_nothing() -> None:
    pair = make_pair(noise=False)
    bad = setup_connection()
    bad.min_version = -1
    with pytest.raises(sv2_ffi.EncodeError):
        pair.client.send(bad)
    assert pair.client.state is State.SETUP
    assert pair.client.data_to_send() == b""
    pair.set_up(setup_connection(), SUCCESS)
    assert pair.client.state is pair.server.state is State.OPEN


@NOISE
def test_a_malformed_message_is_told_and_the_next_one_arrives(noise: bool) -> None:
    pair = open_pair(noise)
    broken = sv2_ffi.encode(CloseChannel(1, "reason"))[:-1]
    frame = broken[:3] + (len(broken) - 6).to_bytes(3, "little") + broken[6:]
    pair.client._outbox.append(pair.client._writer.write(frame))
    pair.client.send(CloseChannel(2, "reason"))
    pair.server.receive_data(pair.client.data_to_send())
    with pytest.raises(sv2_ffi.DecodeError):
        pair.server.next_message()
    assert pair.server.state is State.OPEN
    assert pair.server.next_message() == CloseChannel(2, "reason")


def test_a_malformed_setup_is_the_end() -> None:
    server = Connection.server(PLAIN)
    frame = sv2_ffi.encode(setup_connection())
    short = frame[:3] + (len(frame) - 7).to_bytes(3, "little") + frame[6:-1]
    server.receive_data(short)
    assert refused(server).fault is Fault.MALFORMED_SETUP


# Limits.


@NOISE
def test_nothing_makes_us_hold_more_than_2_kib_before_setup(noise: bool) -> None:
    rng = random.Random(7)
    for _ in range(300):
        server = make_pair(noise).server
        held = 0
        for _ in range(200):
            server.receive_data(rng.randbytes(rng.choice([1, 64, 500, 3000, 100_000])))
            held = max(held, server.buffered)
            try:
                server.next_message()
            except (RemoteProtocolError, NoiseError):
                break
        assert held <= MAX_HELD_BEFORE_SETUP == 2048
        assert server.state is State.FAILED
        assert server.buffered == 0


@NOISE
def test_the_largest_setup_fits_byte_by_byte(noise: bool) -> None:
    text = "x" * 255
    largest = SetupConnection(255, 65535, 65535, 2**32 - 1, text, 65535, text, text, text, text)
    pair = make_pair(noise, byte_by_byte)
    pair.exchange()
    pair.client.send(largest)
    assert pair.exchange()[1] == [largest]
    assert len(sv2_ffi.encode(largest)) == 1297 < MAX_FRAME_BEFORE_SETUP


def header_on_the_wire(sender: Connection, header: bytes, noise: bool) -> bytes:
    """The beginning of a frame whose payload has not come yet."""
    frame = header + bytes(int.from_bytes(header[3:], "little"))
    return sender._writer.write(frame)[: SEALED_HEADER_SIZE if noise else len(header)]


@NOISE
def test_a_header_over_the_setup_limit_is_refused_before_its_payload(noise: bool) -> None:
    pair = make_pair(noise)
    pair.exchange()
    for size, fits in ((MAX_FRAME_BEFORE_SETUP - 6, True), (MAX_FRAME_BEFORE_SETUP - 5, False)):
        pair = make_pair(noise)
        pair.exchange()
        header = b"\x00\x00\x00" + size.to_bytes(3, "little")
        pair.server.receive_data(header_on_the_wire(pair.client, header, noise))
        if fits:
            assert pair.server.next_message() is None
        else:
            assert refused(pair.server).fault is Fault.FRAME_TOO_LARGE


def test_a_peer_that_talks_on_before_it_is_answered_is_held_to_2_kib() -> None:
    server = Connection.server(PLAIN)
    server.receive_data(sv2_ffi.encode(setup_connection()))
    assert server.next_message() == setup_connection()
    more = sv2_ffi.encode(blob(500))
    for _ in range(4):
        assert server.read_size >= len(more)
        server.receive_data(more)
        assert server.buffered <= MAX_HELD_BEFORE_SETUP
    assert server.read_size < len(more)
    # What was within the limit is served after the answer.
    server.send(SUCCESS)
    assert [server.next_message() for _ in range(5)] == [blob(500)] * 4 + [None]


@NOISE
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda protocol: protocol.name)
def test_each_protocol_has_its_frame_limit_after_setup(
    noise: bool, role: Role, protocol: Protocol
) -> None:
    limit = MAX_FRAME[role, protocol]
    for size, fits in ((limit - 6, True), (limit - 5, False)):
        if size > sv2_ffi.MAX_PAYLOAD_SIZE:
            continue
        pair = open_pair(noise, protocol=protocol)
        end, peer = pair.client, pair.server
        if role is Role.SERVER:
            end, peer = peer, end
        header = b"\x01\x40\x07" + size.to_bytes(3, "little")
        end.receive_data(header_on_the_wire(peer, header, noise))
        if fits:
            assert end.next_message() is None
            assert end.buffered == 0
        else:
            assert refused(end).fault is Fault.FRAME_TOO_LARGE


def test_the_limit_can_be_set() -> None:
    pair = open_pair(noise=True, max_frame=106)
    pair.client.send(blob(100))
    assert pair.exchange()[1] == [blob(100)]
    pair.client.send(blob(101))
    pair.server.receive_data(pair.client.data_to_send())
    assert refused(pair.server).fault is Fault.FRAME_TOO_LARGE


@NOISE
def test_memory_is_held_for_what_arrived_and_not_for_what_was_promised(noise: bool) -> None:
    pair = open_pair(noise, protocol=Protocol.JOB_DECLARATION)
    header = b"\x01\x40\x07" + (0xFFFFFF).to_bytes(3, "little")
    data = pair.client._writer.write(header + bytes(0xFFFFFF))
    at = 0
    while at < 1_000_000:
        size = pair.server.read_size
        pair.server.receive_data(data[at : at + size])
        at += size
        assert pair.server.next_message() is None
        assert pair.server.buffered <= at


def test_a_driver_that_does_not_pull_is_told_to_stop_reading() -> None:
    pair = open_pair(noise=True)
    data = bytearray()
    while len(data) < 2 * READ_AHEAD:
        pair.client.send(blob(5000))
        data += pair.client.data_to_send()
    pair.server.receive_data(data[: pair.server.read_size])
    assert pair.server.read_size == 0
    assert pair.server.buffered == READ_AHEAD
    while pair.server.next_message() is not None:
        pass
    assert pair.server.read_size > READ_AHEAD - 6000


# Hostile input.


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_every_prefix_of_a_handshake_act_ends_in_a_clean_error(role: Role) -> None:
    pair = make_pair(noise=True)
    act_1 = pair.client.data_to_send()
    pair.server.receive_data(act_1)
    pair.server.next_message()
    act = act_1 if role is Role.SERVER else pair.server.data_to_send()
    for size in range(len(act)):
        fresh = make_pair(noise=True)
        end = fresh.server if role is Role.SERVER else fresh.client
        end.receive_data(act[:size])
        assert end.next_message() is None
        end.receive_eof()
        if size == 0:
            assert end.next_message() is None
            assert end.state is State.CLOSED
        else:
            assert refused(end).fault is Fault.TRUNCATED


@pytest.mark.parametrize("at", range(64 + 234))
def test_a_flipped_handshake_byte_ends_both_connections(at: int) -> None:
    sent = 0

    def flip(data: bytes) -> tuple[bytes, ...]:
        nonlocal sent
        place, sent = at - sent, sent + len(data)
        if 0 <= place < len(data):
            data = data[:place] + bytes([data[place] ^ (1 << at % 8)]) + data[place + 1 :]
        return (data,)

    base = make_pair(noise=True)
    pair = ConnectionPair(base.client, base.server, flip)
    with pytest.raises(HandshakeError):
        pair.exchange()
    assert pair.client.state is State.FAILED
    # The client hangs up, and so the server ends as well, before any message.
    pair.server.receive_eof()
    assert pair.server.next_message() is None
    assert pair.server.state is State.CLOSED


def test_every_flipped_transport_byte_ends_the_connection() -> None:
    size = len(sealed_frame())
    for at in range(size):
        pair = open_pair(noise=True)
        pair.client.send(blob(40))
        data = bytearray(pair.client.data_to_send())
        data[at] ^= 1 << (at % 8)
        pair.server.receive_data(data)
        with pytest.raises(TransportError):
            pair.server.next_message()
        assert pair.server.state is State.FAILED
        assert pair.server.buffered == 0


def sealed_frame() -> bytes:
    pair = open_pair(noise=True)
    pair.client.send(blob(40))
    return pair.client.data_to_send()


def drain(end: Connection) -> None:
    """Pull to the end; only what the module's text lists may be raised."""
    while end.state not in (State.CLOSED, State.FAILED):
        try:
            if end.next_message() is None:
                return
        except sv2_ffi.DecodeError:
            assert end.state is State.OPEN
        except (RemoteProtocolError, NoiseError):
            assert end.state.name == "FAILED"


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([State.HANDSHAKE, State.SETUP, State.ANSWER, State.OPEN]),
    st.sampled_from(list(Role)),
    st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(vector_frames())), max_size=12),
    st.integers(),
)
def test_no_bytes_raise_anything_but_the_documented_errors(
    state: State, role: Role, pieces: list[bytes], seed: int
) -> None:
    end = bring_to(state, role)
    for portion in at_random(seed, largest=2000)(b"".join(pieces)):
        end.receive_data(portion)
        drain(end)
        if end.state is not State.OPEN:
            assert end.buffered <= MAX_HELD_BEFORE_SETUP
    end.receive_eof()
    drain(end)
    assert end.state in (State.CLOSED, State.FAILED)
    assert end.buffered == 0


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), min_size=1, max_size=5))
def test_any_damage_to_a_sealed_stream_ends_it_before_a_wrong_message(
    damage: list[tuple[int, int]],
) -> None:
    pair = open_pair(noise=True)
    messages = [blob(size) for size in (0, 10, 700, 1, 3000)]
    for message in messages:
        pair.client.send(message)
    data = bytearray(pair.client.data_to_send())
    before = bytes(data)
    for at, mask in damage:
        data[at % len(data)] ^= mask
    pair.server.receive_data(data)
    received: list[AnyMessage] = []
    with contextlib.suppress(TransportError):
        received.extend(pair.server.messages())
    assert received == messages[: len(received)]
    assert (len(received) == len(messages)) == (data == before)


@NOISE
def test_every_prefix_of_a_frame_followed_by_the_end_is_told(noise: bool) -> None:
    pair = open_pair(noise)
    pair.client.send(blob(40))
    data = pair.client.data_to_send()
    for size in range(len(data)):
        pair = open_pair(noise)
        pair.client.send(blob(40))
        pair.server.receive_data(pair.client.data_to_send()[:size])
        pair.server.receive_eof()
        if size:
            assert refused(pair.server).fault is Fault.TRUNCATED
        else:
            assert pair.server.next_message() is None
            assert pair.server.state is State.CLOSED


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"authority": OTHER_AUTHORITY}, CertificateFault.SIGNATURE),
        ({"version": 1}, CertificateFault.VERSION),
        ({"valid_from": 1000, "not_valid_after": 2000}, CertificateFault.EXPIRED),
        ({"valid_from": 4000, "not_valid_after": 5000}, CertificateFault.NOT_YET_VALID),
    ],
    ids=["wrong authority", "wrong version", "expired", "not yet valid"],
)
def test_a_bad_certificate_ends_the_connection_and_says_which(
    changes: dict[str, object], fault: CertificateFault
) -> None:
    options: dict[str, object] = {"valid_from": 2000, "not_valid_after": 4000, **changes}
    authority = options.pop("authority", AUTHORITY)
    shown = issue_certificate(authority, STATIC.x_only, **options)  # type: ignore[arg-type]
    policy = CertificatePolicy(AUTHORITY.public_key, WallClock(lambda: 3000))
    pair = ConnectionPair(
        Connection.client(policy), Connection.server(ServerIdentity(STATIC, shown))
    )
    with pytest.raises(CertificateError) as caught:
        pair.exchange()
    assert caught.value.fault is fault
    assert pair.client.state is State.FAILED
    assert pair.client.certificate == shown
    with pytest.raises(LocalProtocolError):
        pair.client.send(setup_connection())


def test_a_server_in_the_clear_fails_a_client_that_wants_noise() -> None:
    client, server = Connection.client(POLICY), Connection.server(PLAIN)
    with pytest.raises(RemoteProtocolError):
        ConnectionPair(client, server).exchange()


# The end.


@NOISE
def test_a_stream_that_ends_between_frames_is_closed(noise: bool) -> None:
    pair = open_pair(noise)
    pair.client.send(blob(10))
    pair.server.receive_data(pair.client.data_to_send())
    pair.server.receive_eof()
    assert pair.server.next_message() == blob(10)
    assert pair.server.next_message() is None
    assert pair.server.state is State.CLOSED
    with pytest.raises(LocalProtocolError):
        pair.server.send(blob(1))
    with pytest.raises(LocalProtocolError):
        pair.server.receive_data(b"more")


@NOISE
def test_after_a_refusal_nothing_follows(noise: bool) -> None:
    pair = make_pair(noise)
    pair.exchange()
    pair.client.send(setup_connection())
    pair.exchange()
    error = SetupConnectionError(0, "unsupported-protocol")
    pair.server.send(error)
    assert pair.exchange() == ([error], [])
    for end in (pair.client, pair.server):
        assert end.state is State.REFUSED
        end.receive_data(bytes(100_000))
        assert end.next_message() is None
        assert end.buffered == 0
        end.receive_eof()
        assert end.next_message() is None
        assert end.state.name == "CLOSED"


def test_closing_keeps_what_was_queued_and_drops_what_came() -> None:
    pair = open_pair(noise=False)
    pair.server.send(blob(3))
    pair.server.receive_data(b"half a frame")
    pair.server.close()
    assert pair.server.state is State.CLOSED
    assert pair.server.buffered == 0
    assert pair.server.data_to_send() == sv2_ffi.encode(blob(3))
    pair.server.close()
    assert pair.server.next_message() is None


def test_both_ends_know_the_session_by_one_name() -> None:
    pair = open_pair(noise=True)
    assert pair.client.handshake_hash == pair.server.handshake_hash is not None
    assert pair.client.certificate == IDENTITY.certificate()
    assert pair.server.certificate is None
    assert open_pair(noise=True).client.handshake_hash != pair.client.handshake_hash
    assert open_pair(noise=False).client.handshake_hash is None


def test_an_abandoned_connection_leaves_no_cycle() -> None:
    pair = open_pair(noise=True)
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, Connection) for thing in gc.get_objects())
        del pair
        after = sum(isinstance(thing, Connection) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert before - after == 2


# TLVs.


def share() -> SubmitSharesExtended:
    return SubmitSharesExtended(1, 2, 3, 4, 5, 6, b"\x01\x02")


def test_a_tlv_of_an_extension_that_was_not_agreed_on_is_not_sent() -> None:
    pair = open_pair(noise=False)
    with pytest.raises(LocalProtocolError, match="0x0002"):
        pair.client.send(share(), [Tlv(2, 1, b"worker")])
    assert pair.client.data_to_send() == b""
    pair.client.send(share())
    assert pair.exchange()[1] == [share()]


def test_a_tlv_of_an_extension_that_was_not_agreed_on_is_ignored() -> None:
    pair = open_pair(noise=False)
    pair.server.receive_data(sv2_ffi.encode(share(), [Tlv(2, 1, b"worker")]))
    received = pair.server.next_message()
    assert isinstance(received, SubmitSharesExtended)
    assert received.extranonce == b"\x01\x02"
    assert pair.server.tlvs(received) == ()


def test_split_functions_of_these_tests_lose_nothing() -> None:
    data = bytes(range(256)) * 20
    for split in (byte_by_byte, at_random(5), at_random(6, largest=3)):
        assert b"".join(itertools.chain(split(data))) == data
