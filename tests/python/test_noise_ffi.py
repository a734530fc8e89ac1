"""sv2_ffi.noise: Noise in C for Python programs that have cffi and nothing else."""

from __future__ import annotations

import copy
import gc
import importlib
import logging
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sv2.noise import PythonEngine, default_engine
from sv2.noise.choice import ENGINE_VARIABLE

import sv2_ffi
from sv2_ffi import FrameTooLarge, TruncatedFrame, UnknownMessage
from sv2_ffi.common import SetupConnectionSuccess

# One that was built and does not load is a failure.
noise = pytest.importorskip("sv2_ffi.noise", exc_type=ModuleNotFoundError)

NOW = 1_800_000_000
AUTHORITY_SECRET = b"\x01" * 32
AUTHORITY = noise.public_key(AUTHORITY_SECRET)
STATIC_SECRET = b"\x02" * 32
STATIC = noise.public_key(STATIC_SECRET)
NO_SCALAR = b"\xff" * 32
POLICY = noise.Policy.at(AUTHORITY, NOW)


def certificate(valid_from: int = NOW - 60, not_valid_after: int = NOW + 60) -> Any:
    return noise.Certificate.issue(AUTHORITY_SECRET, STATIC, valid_from, not_valid_after)


IDENTITY = noise.Identity(STATIC_SECRET, certificate())


def sessions() -> tuple[Any, Any]:
    client = noise.Initiator()
    act_2, server = noise.respond(client.act_1, IDENTITY)
    return client.finish(act_2, POLICY), server


def frame(size: int, message_type: int = 7) -> bytes:
    return sv2_ffi.encode(UnknownMessage(0x4001, message_type, random.Random(size).randbytes(size)))


def split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def fault_of(work: Any, *arguments: Any) -> Any:
    with pytest.raises(noise.NoiseError) as caught:
        work(*arguments)
    return caught.value.fault


# Handshake.


def test_both_ends_talk_after_a_handshake() -> None:
    client, server = sessions()
    assert client.handshake_hash == server.handshake_hash
    assert client.certificate == IDENTITY.certificate
    assert server.certificate is None
    message = SetupConnectionSuccess(2, 0)
    for sender, receiver in ((client, server), (server, client)):
        sealed = sender.sender.seal(sv2_ffi.encode(message))
        (plain,) = noise.Reader(receiver.receiver).feed(sealed)
        assert sv2_ffi.decode(plain) == message


def test_a_handshake_of_the_wrong_size_is_a_mistake_and_of_wrong_bytes_a_fault() -> None:
    client = noise.Initiator()
    act_2, _ = noise.respond(client.act_1, IDENTITY)
    with pytest.raises(ValueError, match="act 2 is 234 bytes, not 233"):
        client.finish(act_2[:-1], POLICY)
    bad = bytes([act_2[0], act_2[1] ^ 1]) + act_2[2:]
    assert fault_of(client.finish, bad, POLICY) is noise.Fault.AUTH
    assert fault_of(client.finish, act_2, POLICY) is noise.Fault.ARGUMENT
    with pytest.raises(ValueError, match="act 1 is 64 bytes, not 65"):
        noise.respond(client.act_1 + b"\0", IDENTITY)


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (noise.Policy.at(STATIC, NOW), noise.Fault.CERT_SIGNATURE),
        (noise.Policy.at(AUTHORITY, NOW + 71), noise.Fault.CERT_EXPIRED),
        (noise.Policy.at(AUTHORITY, NOW - 71), noise.Fault.CERT_EARLY),
        (noise.Policy(AUTHORITY), noise.Fault.CERT_NO_CLOCK),
        (noise.Policy(AUTHORITY, noise.Clock.EARLIEST, NOW + 61), noise.Fault.CERT_EXPIRED),
        (noise.Policy.at(AUTHORITY, NOW + 70), None),
        (noise.Policy.at(AUTHORITY, NOW - 70), None),
        (noise.Policy(AUTHORITY, noise.Clock.EARLIEST, 0), None),
        (noise.Policy.unverified(), None),
    ],
)
def test_a_server_is_believed_by_the_policy_alone(policy: Any, fault: Any) -> None:
    client = noise.Initiator()
    act_2, _ = noise.respond(client.act_1, IDENTITY)
    if fault is None:
        assert client.finish(act_2, policy).certificate == IDENTITY.certificate
        IDENTITY.certificate.check(policy)
        return
    with pytest.raises(noise.NoiseError) as caught:
        client.finish(act_2, policy)
    assert caught.value.fault is fault
    assert caught.value.certificate == IDENTITY.certificate
    assert fault_of(IDENTITY.certificate.check, policy) is fault


def test_believing_anybody_takes_its_own_name() -> None:
    for missing in (lambda: noise.Policy(None), lambda: noise.Policy.at(None, NOW)):
        with pytest.raises(ValueError, match=r"or is Policy\.unverified"):
            missing()
    with pytest.raises(ValueError, match=r"or is Policy\.unverified"):
        noise.Policy(AUTHORITY, verified=False)
    assert not noise.Policy.unverified().verified


def test_a_number_is_not_that_many_bytes() -> None:
    client, server = sessions()
    for work in (
        lambda: noise.respond(64, IDENTITY),
        lambda: noise.Initiator().finish(234, POLICY),
        lambda: noise.Policy(32),
        lambda: noise.public_key(32),
        lambda: noise.key_encode(32),
        lambda: noise.Reader(server.receiver).feed(5),
        lambda: noise.Reader(server.receiver).next_frame(5),
        lambda: server.receiver.open(22),
        lambda: client.sender.seal(6),
    ):
        with pytest.raises(TypeError):
            work()


def test_what_shrinks_behind_our_back_is_not_read_past_its_end() -> None:
    authority, secret = bytearray(AUTHORITY), bytearray(STATIC_SECRET)
    policy, identity = noise.Policy.at(authority, NOW), noise.Identity(secret, certificate())
    authority.clear()
    secret.clear()
    client = noise.Initiator()
    with pytest.raises(ValueError, match="32 bytes, not 0"):
        noise.respond(client.act_1, identity)
    act_2, _ = noise.respond(client.act_1, IDENTITY)
    with pytest.raises(ValueError, match="32 bytes, not 0"):
        client.finish(act_2, policy)
    assert client.finish(act_2, POLICY)


def test_what_is_no_policy_certificate_or_identity_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="authority's key is 32 bytes"):
        noise.Policy(AUTHORITY[:-1])
    for time in (-1, 2**32):
        with pytest.raises(ValueError, match="time is not in 0 to"):
            noise.Policy.at(AUTHORITY, time)
        with pytest.raises(ValueError, match="valid_from is not in"):
            noise.Certificate.issue(AUTHORITY_SECRET, STATIC, time, NOW)
    with pytest.raises(ValueError, match="certificate is for another"):
        noise.Identity(b"\x03" * 32, IDENTITY.certificate)
    assert fault_of(certificate, 2, 1) is noise.Fault.CERT_DATES
    wire = IDENTITY.certificate.to_wire()
    assert noise.Certificate.from_wire(wire, STATIC) == IDENTITY.certificate
    with pytest.raises(ValueError, match="certificate is 74 bytes, not 75"):
        noise.Certificate.from_wire(wire + b"\0", STATIC)
    with pytest.raises(ValueError, match="version is not in"):
        noise.Certificate(1 << 16, 0, 0, STATIC, bytes(64)).to_wire()


# Keys.


def test_keys_as_text_and_what_is_wrong_with_them() -> None:
    text = noise.key_encode(AUTHORITY)
    assert noise.key_decode(text) == AUTHORITY
    for bad, fault in (
        ("", noise.Fault.KEY_LENGTH),
        (text + text, noise.Fault.KEY_LENGTH),
        (text[:-1] + "0", noise.Fault.KEY_CHARACTER),
        (text[:-1] + "é", noise.Fault.KEY_CHARACTER),
        (text[:-1] + ("1" if text[-1] != "1" else "2"), noise.Fault.KEY_CHECKSUM),
    ):
        assert fault_of(noise.key_decode, bad) is fault
    assert fault_of(noise.public_key, NO_SCALAR) is noise.Fault.PROVIDER
    with pytest.raises(ValueError, match="secret is 32 bytes, not 31"):
        noise.public_key(bytes(31))
    with pytest.raises(ValueError, match="key is 32 bytes, not 33"):
        noise.key_encode(bytes(33))


# Sending.


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_frame_may_be_any_kind_of_bytes(kind: Any) -> None:
    client, server = sessions()
    for size in (0, 1, 100):
        sealed = client.sender.seal(kind(frame(size)))
        assert list(noise.Reader(server.receiver).feed(kind(sealed))) == [frame(size)]
    halves = client.sender.seal_parts(kind(frame(9)[:6]), kind(frame(9)[6:]))
    assert list(noise.Reader(server.receiver).feed(halves)) == [frame(9)]


def test_what_is_not_one_frame_is_not_sealed_and_uses_no_nonce() -> None:
    client, server = sessions()
    for bad in (b"", frame(5)[:5], frame(5)[:-1], frame(5) + b"\0"):
        with pytest.raises(TruncatedFrame):
            client.sender.seal(bad)
    with pytest.raises(TruncatedFrame):
        client.sender.seal_parts(b"\0\0\0\xff\xff\xff", bytes(1 << 24))
    with pytest.raises(ValueError, match="header is 6 bytes, not 7"):
        client.sender.seal_parts(bytes(7), b"")
    assert list(noise.Reader(server.receiver).feed(client.sender.seal(frame(5)))) == [frame(5)]


def test_the_last_nonce_is_never_used() -> None:
    client, server = sessions()
    for cipher in (client.sender._struct.cipher, server.receiver._struct.cipher):
        cipher.nonce = 2**64 - 3
    sealed = client.sender.seal(frame(1))
    assert list(noise.Reader(server.receiver).feed(sealed)) == [frame(1)]
    for _ in range(2):
        assert fault_of(client.sender.seal, frame(0)) is noise.Fault.NONCE
        assert fault_of(server.receiver.open, bytes(22)) is noise.Fault.NONCE


# Receiving.


@given(
    sizes=st.lists(st.integers(0, 300) | st.integers(60_000, 140_000), max_size=6),
    piece=st.integers(1, 70_000),
)
def test_frames_arrive_in_any_pieces(sizes: list[int], piece: int) -> None:
    client, server = sessions()
    frames = [frame(size) for size in sizes]
    stream = b"".join(client.sender.seal(each) for each in frames)
    reader = noise.Reader(server.receiver)
    step = max(piece, len(stream) // 2000)
    assert [got for part in split(stream, step) for got in reader.feed(part)] == frames
    assert reader.pending == 0
    assert not reader.mid_frame


def test_a_stream_that_stops_is_known_to_be_within_a_frame() -> None:
    client, server = sessions()
    sealed = client.sender.seal(frame(30))
    reader = noise.Reader(server.receiver)
    assert not reader.mid_frame
    for at in range(len(sealed) - 1):
        assert not list(reader.feed(sealed[at : at + 1]))
        assert reader.mid_frame
    assert list(reader.feed(sealed[-1:])) == [frame(30)]
    assert not reader.mid_frame


def test_what_is_not_iterated_over_comes_with_the_next_feed() -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver)
    reader.feed(client.sender.seal(frame(1)) + client.sender.seal(frame(2)))
    assert next(reader.feed(client.sender.seal(frame(3)))) == frame(1)
    assert list(reader.feed(b"")) == [frame(2), frame(3)]


def test_a_frame_over_the_limit_is_dropped_and_the_stream_goes_on() -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver, max_frame_size=106)
    assert reader.max_frame_size == 106
    stream = b"".join(client.sender.seal(frame(size)) for size in (100, 101, 70_000, 0, 100))
    got, refused = [], []
    for part in split(stream, 4000):
        pending: Iterable[bytes] = reader.feed(part)
        while True:
            try:
                got.extend(pending)
                break
            except FrameTooLarge as error:
                refused.append((error.size, error.limit))
                pending = reader.feed(b"")
    assert got == [frame(100), frame(0), frame(100)]
    assert refused == [(107, 106), (70_006, 106)]


def test_a_new_limit_holds_from_the_next_header_on() -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver, max_frame_size=70_006)
    sealed = client.sender.seal(frame(70_000))
    assert not list(reader.feed(sealed[:30]))
    reader.max_frame_size = 106
    assert list(reader.feed(sealed[30:])) == [frame(70_000)]
    with pytest.raises(FrameTooLarge):
        list(reader.feed(client.sender.seal(frame(101))))


def test_the_limit_changes_between_frames() -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver, max_frame_size=6)
    stream = client.sender.seal(frame(0)) + client.sender.seal(frame(50))
    frames = reader.feed(stream)
    assert next(frames) == frame(0)
    reader.max_frame_size = 56
    assert next(frames) == frame(50)
    reader.max_frame_size = 1 << 30
    assert reader.max_frame_size == sv2_ffi.MAX_FRAME_SIZE
    for wrong in (5, 0, -1):
        with pytest.raises(ValueError, match="below 6"):
            reader.max_frame_size = wrong


def test_frames_come_out_of_a_buffer_of_the_callers() -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver)
    data = bytearray(client.sender.seal(frame(9)) + client.sender.seal(frame(0)))
    at, first = reader.next_frame(data)
    assert first == (sv2_ffi.parse_header(frame(9)), frame(9)[6:])
    assert at == 22 + 9 + 16
    at, second = reader.next_frame(data, at)
    assert second == (sv2_ffi.parse_header(frame(0)), b"")
    assert reader.next_frame(data, at) == (len(data), None)
    data.clear()  # nothing holds on to it


@pytest.mark.parametrize("at", [-1, 4, 5000, 1 << 40, (1 << 64) - 1])
def test_a_place_that_is_not_in_the_data_is_refused(at: int) -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver)
    with pytest.raises(ValueError, match="at is not in 0 to 3"):
        reader.next_frame(b"abc", at)
    assert list(reader.feed(client.sender.seal(frame(1)))) == [frame(1)]


def test_what_waits_to_be_iterated_over_is_not_copied_by_each_feed() -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver)
    for size in range(50):
        held = reader._input
        reader.feed(client.sender.seal(frame(size)))
        assert size < 2 or reader._input is held
    frames = reader.feed(b"")
    assert [next(frames) for _ in range(20)] == [frame(size) for size in range(20)]
    assert reader._input is held
    assert list(reader.feed(client.sender.seal(frame(50)))) == [frame(n) for n in range(20, 51)]
    assert reader.pending == 0


def test_memory_follows_what_arrives_and_is_given_back() -> None:
    client, server = sessions()
    sealed = client.sender.seal(frame(1_000_000))
    reader = noise.Reader(server.receiver)
    for at in range(0, 100_000, 10_000):
        assert not list(reader.feed(sealed[at : at + 10_000]))
        assert reader._struct.capacity <= max(4096, 4 * (at + 10_000))
    assert list(reader.feed(sealed[100_000:])) == [frame(1_000_000)]
    assert reader._struct.capacity == 4096


@pytest.mark.parametrize("size", [4080, 4081, 65_519, 65_520, 65_521, 65_536, 65_537])
def test_no_more_than_64_kib_is_kept_for_the_next_frame(size: int) -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver)
    assert list(reader.feed(client.sender.seal(frame(size)))) == [frame(size)]
    assert reader._struct.capacity <= 65_536


@pytest.mark.parametrize("size", [0, 40])
def test_a_wrong_byte_ends_the_session_for_good(size: int) -> None:
    for at in range(22 + (size + 16 if size else 0)):
        client, server = sessions()
        good = client.sender.seal(frame(3))
        bad = bytearray(client.sender.seal(frame(size)))
        bad[at] ^= 0x10
        reader = noise.Reader(server.receiver)
        frames = reader.feed(good + bytes(bad) + client.sender.seal(frame(3)))
        assert next(frames) == frame(3)
        assert fault_of(next, frames) is noise.Fault.AUTH
        assert fault_of(list, reader.feed(b"")) is noise.Fault.AUTH


@pytest.mark.parametrize("size", [0, 1, 16, 65_536, 1 << 20])
def test_a_piece_of_no_possible_size_is_refused_and_changes_nothing(size: int) -> None:
    client, server = sessions()
    assert fault_of(server.receiver.open, bytes(size)) is noise.Fault.LENGTH
    assert server.receiver.open(client.sender.seal(frame(0))) == frame(0)


# Secrets, threads, errors.


def test_nothing_shows_a_secret() -> None:
    client, server = sessions()
    shown = repr((client, server, client.sender, server.receiver, IDENTITY, noise.Initiator()))
    assert client.handshake_hash.hex() in shown
    session_key = bytes(noise.ffi.buffer(client.sender._struct.cipher.key))
    for secret in (STATIC_SECRET, session_key):
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_keys_are_wiped_when_a_session_goes() -> None:
    wiped: list[bytes] = []

    def watch(struct: Any, size: int) -> None:
        real.sv2_noise_wipe(struct, size)
        wiped.append(bytes(noise.ffi.buffer(struct, size)))

    real = noise.lib

    class Watching:
        sv2_noise_wipe = staticmethod(watch)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "lib", Watching())
        ends = sessions()
        size = noise.ffi.sizeof("sv2_noise_sender")
        assert ends[0].handshake_hash
        gc.collect()
        before = sum(len(each) == size for each in wiped)
        del ends
        gc.collect()
    assert sum(len(each) == size for each in wiped) - before == 4
    assert all(not any(each) for each in wiped)


def test_an_identity_does_not_compare_its_secret() -> None:
    other = noise.Identity(STATIC_SECRET, IDENTITY.certificate)
    assert other != IDENTITY
    assert hash(IDENTITY) == object.__hash__(IDENTITY)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_there_is_one_of_is_neither_copied_nor_pickled(copied: Any) -> None:
    client, server = sessions()
    reader = noise.Reader(server.receiver)
    for one in (IDENTITY, noise.Initiator(), client.sender, server.receiver, reader):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            copied(one)


@pytest.mark.parametrize("made", [0, 1, 2])
def test_a_session_in_a_garbage_cycle_works_or_is_refused_whatever_goes_first(made: int) -> None:
    """Python may finalize the cycle's objects in the order in which they were made."""
    seen: list[Any] = []

    class Owner:
        session: Any
        first: bytes
        second: bytes
        me: Any

        def __del__(self) -> None:
            for work in (
                lambda: self.session.sender.seal(frame(1)),
                lambda: self.session.receiver.open(self.first),
                lambda: list(noise.Reader(self.session.receiver).feed(self.second)),
            ):
                try:
                    seen.append(work())
                except noise.NoiseError as error:
                    seen.append(error.fault)

    gc.collect()
    owners = [Owner()] if made == 0 else []
    client = noise.Initiator()
    owners += [Owner()] if made == 1 else []
    act_2, server = noise.respond(client.act_1, IDENTITY)
    session = client.finish(act_2, POLICY)
    owners += [Owner()] if made == 2 else []
    (owner,) = owners
    owner.session, owner.me = session, owner
    owner.first, owner.second = server.sender.seal(frame(0)), server.sender.seal(frame(1))
    del owner, owners, session, client
    gc.collect()
    assert len(seen) == 3
    assert all(each is noise.Fault.ARGUMENT or isinstance(each, bytes | list) for each in seen)


def test_two_threads_at_one_end_are_told_so() -> None:
    client, server = sessions()
    sealed = client.sender.seal(frame(1))
    reader = noise.Reader(server.receiver)
    for busy, work in (
        (client.sender._busy, lambda: client.sender.seal(frame(1))),
        (server.receiver._busy, lambda: server.receiver.open(sealed[:22])),
        (server.receiver._busy, lambda: reader.next_frame(sealed)),
        (server.receiver._busy, lambda: list(reader.feed(sealed))),
    ):
        with busy, pytest.raises(RuntimeError, match="two threads use one"):
            work()
    assert list(reader.feed(b"")) == [frame(1)]


def test_no_nonce_is_used_twice_by_two_threads() -> None:
    client, _ = sessions()
    header, payload = frame(60_000)[:6], frame(60_000)[6:]
    sealed: list[bytes] = []

    def send() -> None:
        for _ in range(500):
            try:
                sealed.append(client.sender.seal_parts(header, payload)[:22])
            except RuntimeError:
                continue

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sealed
    assert len(set(sealed)) == len(sealed)


def test_sessions_live_in_many_threads_at_once() -> None:
    failures: list[BaseException] = []

    def talk(seed: int) -> None:
        try:
            for _ in range(5):
                client, server = sessions()
                reader = noise.Reader(server.receiver)
                for size in (0, 33, 70_000, seed):
                    assert list(reader.feed(client.sender.seal(frame(size)))) == [frame(size)]
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_one_thread_sends_while_another_receives() -> None:
    client, server = sessions()
    frames = [frame(size) for size in range(0, 60_000, 500)]
    there = [client.sender.seal(each) for each in frames]
    back: list[bytes] = []
    sending = threading.Thread(target=lambda: back.extend(map(server.sender.seal, frames)))
    sending.start()
    reader = noise.Reader(server.receiver)
    assert [got for sealed in there for got in reader.feed(sealed)] == frames
    sending.join(60)
    reader = noise.Reader(client.receiver)
    assert [got for sealed in back for got in reader.feed(sealed)] == frames


def test_an_error_is_data_and_can_be_pickled() -> None:
    error = noise.NoiseError(noise.Fault.CERT_EXPIRED, IDENTITY.certificate)
    assert str(error) == "the certificate has expired"
    assert isinstance(error, sv2_ffi.Sv2Error)
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (copied.fault, copied.certificate) == (error.fault, error.certificate)


def test_the_example_in_the_docs_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "noise.md").read_text()
    (example,) = re.findall(r"```python\n(import sv2_ffi\n.*?)```", text, re.DOTALL)
    exec(example, {})  # noqa: S102
    assert capsys.readouterr().out == "SetupConnectionSuccess(used_version=2, flags=0)\n"


# Where it is missing, and which engine is chosen.


def test_without_the_extension_the_import_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sv2_ffi._noise", None)
    monkeypatch.delitem(sys.modules, "sv2_ffi.noise")
    with pytest.raises(ModuleNotFoundError, match="noise_openssl=enabled"):
        importlib.import_module("sv2_ffi.noise")


def test_an_extension_that_does_not_load_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise ImportError("libcrypto.so.3: cannot open shared object file")

    monkeypatch.setitem(sys.modules, "sv2_ffi._noise", Broken())
    monkeypatch.delitem(sys.modules, "sv2_ffi.noise")
    with pytest.raises(ImportError, match=r"libcrypto\.so\.3") as caught:
        importlib.import_module("sv2_ffi.noise")
    assert not isinstance(caught.value, ModuleNotFoundError)


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    from sv2.noise import choice

    choice._engine.cache_clear()
    yield
    choice._engine.cache_clear()


@pytest.mark.usefixtures("fresh_choice")
def test_the_engine_in_c_is_taken_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    assert default_engine().name == "c"
    for name in ("python", "c"):
        monkeypatch.setenv(ENGINE_VARIABLE, name)
        assert default_engine().name == name


@pytest.mark.usefixtures("fresh_choice")
def test_without_it_the_one_in_python_is_taken_unless_c_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "sv2.noise.native", None)
    assert isinstance(default_engine(), PythonEngine)
    monkeypatch.setenv(ENGINE_VARIABLE, "c")
    with pytest.raises(ImportError):
        default_engine()


@pytest.mark.usefixtures("fresh_choice")
def test_one_that_does_not_run_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise ImportError("libcrypto.so.3: cannot open shared object file")

    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr("sv2.noise.choice._native", broken)
    with caplog.at_level(logging.WARNING):
        assert all(isinstance(default_engine(), PythonEngine) for _ in range(3))
    (record,) = caplog.records
    assert "libcrypto.so.3" in record.getMessage()
    monkeypatch.setenv(ENGINE_VARIABLE, "c")
    with pytest.raises(ImportError, match=r"libcrypto\.so\.3"):
        default_engine()


def test_over_a_libcrypto_without_the_cipher_the_engine_in_python_runs(tmp_path: Path) -> None:
    """As one that is held to FIPS 140."""
    settings = tmp_path / "openssl.cnf"
    settings.write_text("openssl_conf = a\n[a]\nproviders = b\n[b]\nbase = c\n[c]\nactivate = 1\n")
    environment = {key: os.environ[key] for key in os.environ if key != ENGINE_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", "from sv2.noise import *; print(default_engine().name)"],
        env=environment | {"OPENSSL_CONF": str(settings)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "python\n"
    assert "does not start" in done.stderr


def test_another_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "rust")
    with pytest.raises(ValueError, match='neither "python" nor "c"'):
        default_engine()
