"""Both engines, seen through a Connection: the same bytes in the same portions give the same
messages, the same errors, and the same figures at every step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from connections import IDENTITY, POLICY, SUCCESS, setup_connection
from engines import engine_named
from hypothesis import given, settings
from hypothesis import strategies as st
from sv2.connection import READ_AHEAD, Connection, RemoteProtocolError, Role, State
from sv2.noise import Engine, NoiseError, PythonEngine, TransportError

import sv2_ffi
from sv2_ffi import AnyMessage, DecodeError, UnknownMessage

T = TypeVar("T")

PYTHON = PythonEngine()
FAILURES = (RemoteProtocolError, sv2_ffi.MalformedMessage)


@pytest.fixture(scope="module")
def native() -> Engine:
    return engine_named("c")


def raw(size: int, announced: int | None = None, message_type: int = 7) -> bytes:
    """A frame of extension 0x4001, whose header may announce another size than it has."""
    header = b"\x01\x40" + bytes([message_type])
    return header + (size if announced is None else announced).to_bytes(3, "little") + bytes(size)


SETUP = sv2_ffi.encode(setup_connection())
ANSWER = sv2_ffi.encode(SUCCESS)
# A SetupConnectionSuccess that ends within a field: a message of its own state, and malformed.
MALFORMED = ANSWER[:3] + b"\x01\x00\x00" + b"\x02"
FIRST = {Role.SERVER: SETUP, Role.CLIENT: ANSWER}


@dataclass(frozen=True)
class Script:
    """What one end is put through.

    pieces: plain frames that the peer seals. flip: the byte of the sealed stream to change, with
    what. cut: where the stream ends. portions, pulls: sizes of what arrives, and how many messages
    are asked for then, over and over. delay: portions between a SetupConnection and our answer.
    """

    role: Role
    pieces: tuple[bytes, ...]
    flip: tuple[int, int] | None = None
    cut: int | None = None
    portions: tuple[int, ...] = (4096,)
    pulls: tuple[int, ...] = (1000,)
    delay: int = 0
    max_frame: int | None = None

    def split(self, data: bytes) -> Iterator[bytes]:
        at = turn = 0
        while at < len(data):
            size = max(self.portions[turn % len(self.portions)], len(data) // 1000)
            yield data[at : at + size]
            at, turn = at + size, turn + 1


class Run:
    """One script on one engine; what was seen is in ``log``."""

    def __init__(self, engine: Engine, script: Script) -> None:
        self.script = script
        self.log: list[object] = []
        self.answered_in = script.delay
        server = script.role is Role.SERVER
        make = (self._server, self._client) if server else (self._client, self._server)
        self.end = make[0](engine, script.max_frame)
        self.peer = make[1](PYTHON, 1 << 24)

    @staticmethod
    def _server(engine: Engine, max_frame: int | None) -> Connection:
        return Connection.server(IDENTITY, engine=engine, max_frame=max_frame)

    @staticmethod
    def _client(engine: Engine, max_frame: int | None) -> Connection:
        return Connection.client(POLICY, engine=engine, max_frame=max_frame)

    def run(self) -> list[object]:
        if self.script.role is Role.CLIENT:
            self._to_peer()
        self._receive(self.peer.data_to_send())
        self._to_peer()
        if self.script.role is Role.CLIENT and self.end.state is State.SETUP:
            self.end.send(setup_connection())
        sealed = [self.peer._writer.write(piece) for piece in self.script.pieces]
        stream = self._changed(b"".join(sealed))
        # What the setup is arrives by itself; what comes behind it need not wait for the answer.
        first = len(sealed[0]) if sealed else 0
        self._receive(stream[:first])
        self._receive(stream[first:])
        self.end.receive_eof()
        self._pull(1000)
        return self.log

    def _to_peer(self) -> None:
        self.peer.receive_data(self.end.data_to_send())
        assert self.peer.next_message() is None

    def _changed(self, stream: bytes) -> bytes:
        data = bytearray(stream[: self.script.cut])
        if self.script.flip is not None and data:
            at, bits = self.script.flip
            data[at % len(data)] ^= bits
        return bytes(data)

    def _receive(self, data: bytes) -> None:
        for turn, portion in enumerate(self.script.split(data)):
            if self.end.state is State.FAILED:
                return
            self.end.receive_data(portion)
            self._note()
            self._pull(self.script.pulls[turn % len(self.script.pulls)])
            self._answer()

    def _answer(self) -> None:
        if self.script.role is Role.SERVER and self.end.state is State.ANSWER:
            if self.answered_in == 0:
                self.end.send(SUCCESS)
            self.answered_in -= 1

    def _pull(self, count: int) -> None:
        for _ in range(count):
            try:
                message = self.end.next_message()
            except (RemoteProtocolError, DecodeError) as error:
                self.log.append((type(error), str(error)))
            except NoiseError as error:
                # What they say of it differs.
                self.log.append(type(error))
            else:
                self.log.append(message)
                if message is None:
                    break
            self._note()
            if self.end.state is State.FAILED:
                break
        self._note()

    def _note(self) -> None:
        end = self.end
        self.log.append((end.state, end.buffered, end.mid_frame))
        if end.state is not State.OPEN:
            self.log.append(end.read_size)
        else:
            # The engine in C takes a chunk in before it is whole, so that more may be read.
            assert READ_AHEAD - end.buffered <= end.read_size <= READ_AHEAD


def messages(log: list[object]) -> list[AnyMessage]:
    return [item for item in log if isinstance(item, UnknownMessage)]


def both(native: Engine, script: Script) -> list[object]:
    log = Run(PYTHON, script).run()
    assert Run(native, script).run() == log
    return log


GOOD = (st.integers(0, 300) | st.integers(0, 3000) | st.integers(60_000, 140_000)).map(raw)
BAD = st.sampled_from([SETUP, ANSWER, MALFORMED, raw(0, 0xFFFFFF), raw(40, 41), raw(41, 40)])


def sometimes(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """One time in six: what most scripts go through without."""
    return st.integers(0, 5).flatmap(lambda turn: strategy if turn == 5 else st.none())


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    role = draw(st.sampled_from(Role))
    first = FIRST[role]
    frames = sometimes(BAD).flatmap(lambda bad: GOOD if bad is None else st.just(bad))
    pieces = draw(st.lists(frames, min_size=1, max_size=5))
    return Script(
        role,
        (draw(sometimes(GOOD | BAD)) or first, *pieces),
        draw(sometimes(st.tuples(st.integers(0, 1 << 19), st.integers(1, 255)))),
        draw(sometimes(st.integers(0, 5000))),
        tuple(draw(st.lists(st.integers(1, 300) | st.integers(1, 70_000), min_size=1, max_size=8))),
        tuple(draw(st.lists(st.sampled_from([0, 1, 2, 1000]), min_size=1, max_size=4))),
        draw(sometimes(st.integers(1, 6))) or 0,
        draw(sometimes(st.integers(6, 4000))),
    )


@settings(deadline=None, max_examples=150)
@given(script=scripts())
def test_any_script_runs_alike_on_both(native: Engine, script: Script) -> None:
    both(native, script)


@pytest.mark.parametrize("portion", [7, 1000, 70_000])
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_what_scripts_go_through(native: Engine, role: Role, portion: int) -> None:
    """That they get as far as they are meant to: two that fail alike at once say little."""
    frames = (FIRST[role], raw(0), raw(140_000), raw(5))
    portions = (portion,)

    def last(**more: Any) -> tuple[list[int], object, object]:
        log = both(native, Script(**{"role": role, "pieces": frames, "portions": portions} | more))
        failures = [item for item in log if isinstance(item, type)]
        failures += [item[0] for item in log if isinstance(item, tuple) and item[0] in FAILURES]
        sizes = [len(each.payload) for each in messages(log)]
        return sizes, log[-2], failures[-1] if failures else None

    closed, failed = (State.CLOSED, 0, False), (State.FAILED, 0, False)
    assert last() == ([0, 140_000, 5], closed, None)
    assert last(flip=(-1, 1)) == ([0, 140_000], failed, TransportError)
    assert last(flip=(-50, 1)) == ([0], failed, TransportError)
    assert last(cut=-1) == ([0, 140_000], failed, RemoteProtocolError)
    assert last(max_frame=140_005) == ([0], failed, RemoteProtocolError)
    assert last(pieces=(*frames, raw(0, 0xFFFFFF)))[2] is RemoteProtocolError
    assert last(pieces=(*frames, raw(41, 40)))[2] is TransportError
    malformed = last(pieces=(*frames, MALFORMED, raw(1)))
    assert malformed == ([0, 140_000, 5, 1], closed, sv2_ffi.MalformedMessage)


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_every_byte_by_itself_is_the_same_to_both(native: Engine, role: Role) -> None:
    pieces = (FIRST[role], raw(0), raw(1), raw(300), raw(0))
    log = both(native, Script(role, pieces, portions=(1,)))
    assert [len(each.payload) for each in messages(log)] == [0, 1, 300, 0]


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_the_end_at_every_byte_is_the_same_to_both(native: Engine, role: Role) -> None:
    pieces = (FIRST[role], raw(3), raw(0), raw(20))
    whole = sum(22 + len(piece) - 6 + 16 * (len(piece) > 6) for piece in pieces)
    ends = [both(native, Script(role, pieces, cut=at, pulls=(1,)))[-2] for at in range(whole + 1)]
    assert ends.count((State.CLOSED, 0, False)) == 5
    assert ends.count((State.FAILED, 0, False)) == whole - 4


@pytest.mark.parametrize(("size", "arrives"), [(1500, True), (1531, False)])
def test_a_limit_that_falls_while_a_frame_arrives_is_for_the_next(
    native: Engine, size: int, arrives: bool
) -> None:
    """A client that does not wait for the answer has half a frame here when it is given."""
    pieces = (SETUP, raw(size), raw(101))
    script = Script(Role.SERVER, pieces, portions=(200,), delay=1, max_frame=106)
    log = both(native, script)
    assert [len(each.payload) for each in messages(log)] == ([size] if arrives else [])
    assert log[-2] == (State.FAILED, 0, False)


@pytest.mark.parametrize("max_frame", [-1, 0, 5])
def test_a_limit_that_no_frame_fits_is_refused_at_once(max_frame: int) -> None:
    for make in (
        lambda: Connection.client(POLICY, max_frame=max_frame),
        lambda: Connection.server(IDENTITY, max_frame=max_frame),
    ):
        with pytest.raises(ValueError, match="below 6"):
            make()


def test_a_server_shows_the_certificate_that_is_current(native: Engine) -> None:
    """The engine in C keeps what it showed last."""
    for _ in range(2):
        client, server = PYTHON.initiator(), native.responder(IDENTITY)
        shown, _ = client.read_act_2(server.read_act_1(client.write_act_1())[0])
        assert shown == IDENTITY.certificate()
