"""Our connections against the Noise peer of tests/peers, built on the published Rust crates.

Both roles on both sides: every message, frames of up to 1 MiB cut at random places, and every
kind of fault that the peer can make. Needs cargo; its options are at the top of
tests/peers/sri-noise/src/main.rs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from connections import (
    AUTHORITY,
    IDENTITY,
    OTHER_AUTHORITY,
    POLICY,
    SETUP_MESSAGES,
    STATIC,
    SUCCESS,
    setup_connection,
    vector_messages,
)
from engines import default_engine_name
from networking import accept, listen, reason_of_end, run_on_asyncio, until
from sv2.address import Address
from sv2.connection import (
    SENDERS,
    ClientSecurity,
    Connection,
    Fault,
    RemoteProtocolError,
    Role,
    ServerSecurity,
    State,
)
from sv2.net import Ended, Stream, connect
from sv2.noise import (
    CertificateError,
    CertificateFault,
    CertificatePolicy,
    HandshakeError,
    ServerIdentity,
    TransportError,
    issue_certificate,
)

import sv2_ffi
from sv2_ffi import AnyMessage, UnknownMessage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from peer_programs import peer_program

# Every test here runs on each engine.
__all__ = ["default_engine_name"]

SECONDS = 30.0
# None, the smallest, both sides of one chunk (65,519) and of two, and 1 MiB.
SIZES = (0, 1, 2, 65_518, 65_519, 65_520, 131_038, 131_039, 1 << 20)
MAX_FRAME = 2 << 20


@pytest.fixture(scope="module")
def program() -> Path:
    return peer_program("sri-noise")


class Peer:
    """A running peer program, by its lines."""

    def __init__(self, program: Path, *arguments: str) -> None:
        command = [str(program), *arguments, "--timeout", str(int(SECONDS))]
        self.process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        """The next line; the program's own time limit bounds the wait."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def frame(self) -> bytes:
        """The next plain frame that the peer received."""
        word, _, text = self.line().partition(" ")
        assert word == "frame", word
        return bytes.fromhex(text)

    def send(self, frame: bytes) -> None:
        """Let the peer send a plain frame."""
        assert self.process.stdin is not None
        self.process.stdin.write(frame.hex() + "\n")
        self.process.stdin.flush()

    def finish(self) -> int:
        """Close the peer's stdin and give its exit code."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait(timeout=SECONDS)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait(timeout=SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def listening_peer(program: Path, *options: str) -> Iterator[tuple[Peer, int]]:
    """The peer as responder, and its port."""
    secret = AUTHORITY.reveal()
    with Peer(program, "listen", "--authority-secret", secret, *options) as peer:
        word, port = peer.line().split()
        assert word == "listening"
        yield peer, int(port)


class Driver:
    """A connection over a blocking socket; what we send leaves in random pieces."""

    def __init__(self, connection: Connection, sock: socket.socket, seed: int) -> None:
        self.connection = connection
        self._sock = sock
        self._random = random.Random(seed)
        self._deadline = time.monotonic() + SECONDS
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def flush(self) -> None:
        data = self.connection.data_to_send()
        largest = 1400 if len(data) < 100_000 else 40_000
        while data:
            size = self._random.randint(1, largest)
            self._sock.sendall(data[:size])
            data = data[size:]

    def send(self, message: AnyMessage) -> None:
        self.connection.send(message)
        self.flush()

    def read(self) -> None:
        assert time.monotonic() < self._deadline
        size = self._random.randint(1, self.connection.read_size)
        data = self._sock.recv(size)
        if data:
            self.connection.receive_data(data)
        else:
            self.connection.receive_eof()

    def shake_hands(self) -> None:
        self.flush()
        while self.connection.state is State.HANDSHAKE:
            self.read()
            self.connection.next_message()
            self.flush()

    def receive(self) -> AnyMessage | None:
        """The next message; None at the end of the stream."""
        while (message := self.connection.next_message()) is None:
            if self.connection.state is State.CLOSED:
                return None
            self.read()
        return message


@contextlib.contextmanager
def our_client(port: int, security: ClientSecurity = POLICY, seed: int = 1) -> Iterator[Driver]:
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        yield Driver(Connection.client(security, max_frame=MAX_FRAME), sock, seed)


@contextlib.contextmanager
def our_server(
    program: Path, *options: str, security: ServerSecurity = IDENTITY, seed: int = 2
) -> Iterator[tuple[Driver, Peer]]:
    """The peer as initiator of a connection to us."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        port = str(listener.getsockname()[1])
        key = str(AUTHORITY.public_key)
        if "--authority-public" in options:
            options, key = options[2:], options[1]
        with Peer(program, "connect", port, "--authority-public", key, *options) as peer:
            sock, _ = listener.accept()
            with sock:
                yield Driver(Connection.server(security, max_frame=MAX_FRAME), sock, seed), peer


def blob(size: int) -> UnknownMessage:
    return UnknownMessage(0x4001, 0x07, random.Random(size).randbytes(size))


def messages_of(sender: Role) -> list[AnyMessage]:
    """All of the vectors that ``sender`` may send after setup."""
    return [
        message
        for message in vector_messages()
        if type(message) not in SETUP_MESSAGES and SENDERS.get(type(message), sender) is sender
    ]


def exchange(driver: Driver, peer: Peer) -> None:
    """Every message and every size, in both directions, after setup."""
    role = driver.connection.role
    for message in [*messages_of(role), *map(blob, SIZES)]:
        driver.connection.abandon_negotiation()
        driver.send(message)
        assert peer.frame() == sv2_ffi.encode(message)
    for message in [*messages_of(role.peer), *map(blob, SIZES)]:
        peer.send(sv2_ffi.encode(message))
        assert driver.receive() == message


@pytest.mark.parametrize("seed", [3, 4])
def test_every_message_and_size_as_initiator(program: Path, seed: int) -> None:
    with (
        listening_peer(program, "--mode", "talk", "--split", str(seed)) as (peer, port),
        our_client(port, seed=seed) as driver,
    ):
        driver.shake_hands()
        assert peer.line() == "handshake ok"
        driver.send(setup_connection())
        assert peer.frame() == sv2_ffi.encode(setup_connection())
        peer.send(sv2_ffi.encode(SUCCESS))
        assert driver.receive() == SUCCESS
        exchange(driver, peer)


@pytest.mark.parametrize("seed", [5, 6])
def test_every_message_and_size_as_responder(program: Path, seed: int) -> None:
    with our_server(program, "--mode", "talk", "--split", str(seed), seed=seed) as (driver, peer):
        driver.shake_hands()
        assert peer.line() == "handshake ok"
        peer.send(sv2_ffi.encode(setup_connection()))
        assert driver.receive() == setup_connection()
        driver.send(SUCCESS)
        assert peer.frame() == sv2_ffi.encode(SUCCESS)
        exchange(driver, peer)


def test_setup_messages_of_every_content(program: Path) -> None:
    for message in vector_messages():
        if type(message) not in SETUP_MESSAGES:
            continue
        with our_server(program, "--mode", "talk", "--split", "7") as (driver, peer):
            driver.shake_hands()
            assert peer.line() == "handshake ok"
            opening = message if isinstance(message, sv2_ffi.common.SetupConnection) else None
            peer.send(sv2_ffi.encode(opening or setup_connection()))
            assert driver.receive() == (opening or setup_connection())
            if opening is None:
                driver.send(message)
                assert peer.frame() == sv2_ffi.encode(message)


def test_asyncio_client_and_peer(program: Path) -> None:
    async def main(peer: Peer, port: int) -> None:
        async with await connect(Address("127.0.0.1", port, AUTHORITY.public_key)) as stream:
            await asyncio.to_thread(peer.send, sv2_ffi.encode(SUCCESS))
            await stream.set_up(setup_connection())
            await stream.send(blob(70_000))
            assert peer.process.stdin is not None
            peer.process.stdin.close()

    with listening_peer(program, "--mode", "talk") as (peer, port):
        run_on_asyncio(main(peer, port))
        assert peer.line() == "handshake ok"
        assert peer.frame() == sv2_ffi.encode(setup_connection())
        assert peer.frame() == sv2_ffi.encode(blob(70_000))
        assert peer.line().startswith("closed 2 ")
        assert peer.finish() == 0


def test_asyncio_server_and_peer(program: Path) -> None:
    async def handler(stream: Stream) -> None:
        await accept(stream)
        async for message in stream:
            await stream.send(message)

    def talk(port: int) -> None:
        with Peer(
            program,
            *("connect", str(port), "--mode", "talk"),
            *("--authority-public", str(AUTHORITY.public_key)),
        ) as peer:
            assert peer.line() == "handshake ok"
            for sent, answer in (
                (setup_connection(), SUCCESS),
                (blob(5), blob(5)),
                (blob(70_000), blob(70_000)),
            ):
                peer.send(sv2_ffi.encode(sent))
                assert peer.frame() == sv2_ffi.encode(answer)
            assert peer.finish() == 0

    async def main() -> None:
        async with await listen(handler) as server:
            await asyncio.to_thread(talk, server.port)
            await until(lambda: server.stats.ended[Ended.PEER_CLOSED] == 1)

    run_on_asyncio(main())


# Certificates.


@pytest.mark.parametrize(
    ("options", "security", "fault"),
    [
        ([], CertificatePolicy(OTHER_AUTHORITY.public_key), CertificateFault.SIGNATURE),
        (
            ["--clock-offset", "-7200", "--validity", "3600"],
            POLICY,
            CertificateFault.EXPIRED,
        ),
        (["--clock-offset", "7200"], POLICY, CertificateFault.NOT_YET_VALID),
    ],
    ids=["wrong authority", "expired", "not yet valid"],
)
def test_a_bad_certificate_of_the_peer_is_refused_with_its_fault(
    program: Path, options: list[str], security: ClientSecurity, fault: CertificateFault
) -> None:
    with (
        listening_peer(program, *options) as (_, port),
        our_client(port, security) as driver,
    ):
        with pytest.raises(CertificateError) as caught:
            driver.shake_hands()
        assert caught.value.fault is fault
        assert driver.connection.state is State.FAILED


def test_the_peer_is_believed_by_a_client_that_believes_anybody(program: Path) -> None:
    unverified = CertificatePolicy.unverified()
    with listening_peer(program) as (peer, port), our_client(port, unverified) as driver:
        driver.shake_hands()
        assert peer.line() == "handshake ok"
        assert driver.connection.certificate is not None
        POLICY.check(driver.connection.certificate)


NOW = int(time.time())


@pytest.mark.parametrize(
    ("identity", "options"),
    [
        (IDENTITY, ["--authority-public", str(OTHER_AUTHORITY.public_key)]),
        (
            ServerIdentity(
                STATIC,
                issue_certificate(
                    AUTHORITY, STATIC.x_only, valid_from=NOW - 7200, not_valid_after=NOW - 3600
                ),
            ),
            [],
        ),
        (
            ServerIdentity(
                STATIC,
                issue_certificate(
                    AUTHORITY, STATIC.x_only, valid_from=NOW + 3600, not_valid_after=NOW + 7200
                ),
            ),
            [],
        ),
    ],
    ids=["wrong authority", "expired", "not yet valid"],
)
def test_the_peer_refuses_a_bad_certificate_of_ours(
    program: Path, identity: ServerIdentity, options: list[str]
) -> None:
    with our_server(program, *options, security=identity) as (driver, peer):
        driver.shake_hands()
        assert peer.line() == "error certificate"
        assert driver.receive() is None
        assert peer.finish() == 2


# Faults on the wire. The exhaustive flips are in test_connection.py; here a sample, by the peer.


@pytest.mark.parametrize("at", [0, 31, 63, 64, 100, 143, 144, 200, 233])
def test_a_byte_that_the_peer_flips_in_act_2_is_refused(program: Path, at: int) -> None:
    with listening_peer(program, "--flip", str(at)) as (_, port), our_client(port) as driver:
        with pytest.raises(HandshakeError):
            driver.shake_hands()
        assert driver.connection.state is State.FAILED


@pytest.mark.parametrize("at", [0, 1, 63])
def test_a_byte_that_the_peer_flips_in_act_1_fails_its_handshake(program: Path, at: int) -> None:
    with our_server(program, "--flip", str(at)) as (driver, peer):
        driver.shake_hands()
        assert peer.line() == "error handshake"
        assert driver.receive() is None
        assert driver.connection.state is State.CLOSED


@pytest.mark.parametrize("at", [0, 5, 6, 21, 22, 50, 110, 125])
def test_a_byte_that_the_peer_flips_in_a_frame_is_refused(program: Path, at: int) -> None:
    frame = sv2_ffi.encode(setup_connection())
    with our_server(program, "--mode", "talk", "--flip", str(64 + at % (len(frame) + 32))) as (
        driver,
        peer,
    ):
        driver.shake_hands()
        peer.send(frame)
        with pytest.raises(TransportError):
            driver.receive()
        assert driver.connection.state is State.FAILED


@pytest.mark.parametrize("cut", [0, 1, 63, 64, 65, 85, 86, 100])
def test_a_stream_that_the_peer_cuts_off_is_told(program: Path, cut: int) -> None:
    with our_server(program, "--mode", "talk", "--cut", str(cut)) as (driver, peer):
        if cut >= 64:
            driver.shake_hands()
            peer.send(sv2_ffi.encode(setup_connection()))
        if cut in (0, 64):
            assert driver.receive() is None
            assert driver.connection.state is State.CLOSED
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                driver.receive()
            assert caught.value.fault is Fault.TRUNCATED


@pytest.mark.parametrize("at", [0, 40, 64, 120, 200, 233])
def test_the_peer_refuses_what_we_flip(program: Path, at: int) -> None:
    with our_server(program) as (driver, peer):
        while not driver.connection._outbox:
            driver.read()
            driver.connection.next_message()
        act = bytearray(driver.connection._outbox[0])
        act[at] ^= 1
        driver.connection._outbox[0] = bytes(act)
        driver.flush()
        assert peer.line() == "error handshake"
        assert driver.receive() is None


def test_a_peer_that_floods_is_served_at_the_pace_of_our_reading(program: Path) -> None:
    async def slow(stream: Stream) -> None:
        await reason_of_end(stream)

    async def main() -> None:
        async with await listen(slow) as server:
            with Peer(
                program,
                *("connect", str(server.port), "--mode", "flood", "--size", "40000"),
                *("--count", "500", "--authority-public", str(AUTHORITY.public_key)),
            ):
                # Frames before setup: refused at the first header, without 20 MB being read.
                await until(lambda: server.stats.ended[Ended.PROTOCOL] == 1)
                assert not server.streams

    run_on_asyncio(main())
