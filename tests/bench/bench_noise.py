#!/usr/bin/env python3
"""Noise: handshakes, messages and megabytes per second of each engine, against the limit and the
Rust peer.

usage: bench_noise.py [--json] [--seconds S]

The engine in C is measured where sv2_ffi was built with it. Everything in one run on one thread, in
memory unless a row says loopback, which counts seconds of CPU time because both ends and their
sockets share this process. MB are payload, 10**6 bytes. What is opened arrives in the portions in
which sockets are read. "Cipher alone" is ChaCha20-Poly1305 of the same bytes in the same pieces
through `cryptography`: no framing, no buffers. The Rust peer (tests/peers/sri-noise, on the
published crates) is measured where it has been built. Like there, one handshake is both roles with
a new static key and a certificate that is signed and checked; "a running server's key" is the same
with the identity of a running server, which keeps both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from sv2.connection import Connection, ConnectionPair
from sv2.framing import FrameWriter, Inbox, frame_source
from sv2.net import Options, Stream, connect, run, serve
from sv2.noise import (
    AuthoritySecretKey,
    CertificatePolicy,
    Engine,
    PythonEngine,
    ServerIdentity,
    Session,
    StaticSecretKey,
)
from sv2.noise.engine import MAC_SIZE, MAX_CHUNK, SEALED_HEADER_SIZE

from sv2_ffi import UnknownMessage
from sv2_ffi.common import SetupConnection, SetupConnectionSuccess
from sv2_ffi.mining import SubmitSharesExtended

PEER = Path(__file__).resolve().parents[2] / "build" / "peers" / "bin" / "sri-noise"
SIZES = (64, 1024, 65_519, 1 << 20)
MAX_FRAME = 2 << 20
READ_SIZE = 32768

AUTHORITY = AuthoritySecretKey.generate()
IDENTITY = ServerIdentity.self_issued(AUTHORITY)
POLICY = CertificatePolicy(AUTHORITY.public_key)
SETUP = SetupConnection(0, 2, 2, 0, "127.0.0.1", 3333, "bench", "", "", "")
SUCCESS = SetupConnectionSuccess(2, 0)
SHARE = SubmitSharesExtended(1, 2, 3, 4, 5, 6, bytes(8))

Row = dict[str, Any]


def rate(operation: Callable[[], object], seconds: float, batch: int = 1) -> float:
    """Operations per second, by the fastest of the batches that fit the time."""
    fastest = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(batch):
            operation()
        fastest = min(fastest, time.perf_counter() - start)
    return batch / fastest


def engines() -> list[Engine]:
    """The engines that there are."""
    try:
        from sv2.noise.native import NativeEngine
    except ImportError:
        return [PythonEngine()]
    return [PythonEngine(), NativeEngine()]


def shake_hands(engine: Engine, identity: ServerIdentity) -> tuple[Session, Session]:
    client, server = engine.initiator(), engine.responder(identity)
    act_2, server_session = server.read_act_1(client.write_act_1())
    certificate, client_session = client.read_act_2(act_2)
    POLICY.check(certificate)
    return client_session, server_session


def fresh_handshake(engine: Engine) -> None:
    shake_hands(engine, ServerIdentity.self_issued(AUTHORITY, StaticSecretKey.generate()))


def nonce(number: int) -> bytes:
    return number.to_bytes(12, "little")


def limit_rates(size: int, seconds: float) -> tuple[float, float]:
    """Seal and open in MB/s, with the cipher alone."""
    header = bytes(6)
    chunks = [bytes(min(MAX_CHUNK, size - at)) for at in range(0, size, MAX_CHUNK)]
    cipher = ChaCha20Poly1305(bytes(32))
    sealed = [cipher.encrypt(nonce(0), part, None) for part in (header, *chunks)]

    def seal() -> None:
        for part in (header, *chunks):
            cipher.encrypt(nonce(0), part, None)

    def open_() -> None:
        for part in sealed:
            cipher.decrypt(nonce(0), part, None)

    batch = max(1, 20_000 // size)
    return tuple(rate(work, seconds, batch) * size / 1e6 for work in (seal, open_))  # type: ignore[return-value]


def our_rates(engine: Engine, size: int, seconds: float) -> tuple[float, float]:
    """Seal and open in MB/s, frames in and out of a byte stream."""
    frame = b"\x01\x40\x07" + size.to_bytes(3, "little") + bytes(size)
    client, server = shake_hands(engine, IDENTITY)
    writer, inbox = FrameWriter(client.sealer), Inbox()
    reader = frame_source(inbox, server.opener, MAX_FRAME)
    batch = max(1, 20_000 // size)
    fastest = [float("inf"), float("inf")]
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        sealed = [writer.write(frame) for _ in range(batch)]
        between = time.perf_counter()
        for data in sealed:
            found = None
            for at in range(0, len(data), READ_SIZE):
                inbox.add(data[at : at + READ_SIZE])
                found = reader.next_frame()
            assert found is not None
        fastest[0] = min(fastest[0], between - start)
        fastest[1] = min(fastest[1], time.perf_counter() - between)
    return size * batch / fastest[0] / 1e6, size * batch / fastest[1] / 1e6


def messages_per_second(engine: Engine, seconds: float) -> tuple[float, float]:
    """Typed messages sent and received by a Connection over Noise: a share, 39 bytes of frame."""
    client = Connection.client(POLICY, engine=engine)
    pair = ConnectionPair(client, Connection.server(IDENTITY, engine=engine))
    pair.set_up(SETUP, SUCCESS)
    batch = 200
    fastest = [float("inf"), float("inf")]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(batch):
            pair.client.send(SHARE)
        data = pair.client.data_to_send()
        between = time.perf_counter()
        pair.server.receive_data(data)
        assert sum(1 for _ in pair.server.messages()) == batch
        fastest[0] = min(fastest[0], between - start)
        fastest[1] = min(fastest[1], time.perf_counter() - between)
    return batch / fastest[0], batch / fastest[1]


async def over_loopback(engine: Engine, size: int, seconds: float) -> float:
    """Messages per second of CPU time from a client to a server over TCP, both in this process."""
    received = 0

    async def count(stream: Stream) -> None:
        nonlocal received
        await stream.receive()
        await stream.send(SUCCESS)
        async for _ in stream:
            received += 1

    message = UnknownMessage(0x4001, 7, bytes(size))
    options = Options(max_frame=MAX_FRAME, engine=engine)
    async with await serve(count, "127.0.0.1", 0, security=IDENTITY, options=options) as server:
        address = f"127.0.0.1:{server.port}"
        stream = await connect(address, security=POLICY, options=options)
        await stream.set_up(SETUP)
        sent = 0
        start = time.process_time()
        while time.process_time() - start < seconds:
            for _ in range(max(1, 20_000 // size)):
                await stream.send(message)
                sent += 1
            # send() returns at once while there is room: let the server have its turn.
            await asyncio.sleep(0)
        while received < sent:
            await asyncio.sleep(0.001)
        spent = time.process_time() - start
        await stream.close()
    return sent / spent


def peer_figures(seconds: float) -> Row | None:
    if not PEER.exists():
        return None
    command = [str(PEER), "bench", "--seconds", str(max(1, round(seconds)))]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)  # noqa: S603
    figures: Row = json.loads(done.stdout)
    return figures


def engine_figures(engine: Engine, seconds: float) -> Row:
    transport = []
    for size in SIZES:
        sealed, opened = our_rates(engine, size, seconds)
        transport.append({"payload": size, "seal_mb_per_s": sealed, "open_mb_per_s": opened})
    sent, received = messages_per_second(engine, seconds)
    loopback = {size: run(over_loopback(engine, size, seconds)) for size in (33, 65_519)}
    return {
        "handshakes_per_s": rate(lambda: fresh_handshake(engine), seconds, 20),
        "server_handshakes_per_s": rate(lambda: shake_hands(engine, IDENTITY), seconds, 20),
        "transport": transport,
        "messages_sent_per_s": sent,
        "messages_received_per_s": received,
        "messages_over_loopback_per_s": loopback[33],
        "loopback_mb_per_s": loopback[65_519] * 65_519 / 1e6,
    }


def limit_figures(seconds: float) -> Row:
    transport = []
    for size in SIZES:
        sealed, opened = limit_rates(size, seconds)
        transport.append({"payload": size, "seal_mb_per_s": sealed, "open_mb_per_s": opened})
    return {"transport": transport}


def measure(seconds: float) -> dict[str, Row]:
    """Column -> figures; a column has what it can have."""
    columns = {f"{engine.name} engine": engine_figures(engine, seconds) for engine in engines()}
    columns["cipher alone"] = limit_figures(seconds)
    rust = peer_figures(seconds)
    return columns if rust is None else columns | {"Rust peer": rust}


ROWS = {
    "handshakes, as the Rust peer, per second": "handshakes_per_s",
    "handshakes with a running server's key": "server_handshakes_per_s",
    "Connection.send, shares per second": "messages_sent_per_s",
    "Connection.receive": "messages_received_per_s",
    "client to server, loopback, one process": "messages_over_loopback_per_s",
    "64 KiB frames over loopback, MB/s": "loopback_mb_per_s",
}


def show(columns: dict[str, Row]) -> None:
    rows: list[tuple[str, list[float | None]]] = [
        (label, [figures.get(key) for figures in columns.values()]) for label, key in ROWS.items()
    ]
    for place, size in enumerate(SIZES):
        for operation in ("seal", "open"):
            key = f"{operation}_mb_per_s"
            found = [figures["transport"][place][key] for figures in columns.values()]
            rows.append((f"{operation} {size:,} B, MB/s", found))
    print(f"{'':42}" + "".join(f"{name:>15}" for name in columns))
    for label, values in rows:
        shown = (f"{value:15,.0f}" if value is not None else f"{'-':>15}" for value in values)
        print(f"{label:42}" + "".join(shown))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    arguments = parser.parse_args()
    figures = measure(arguments.seconds)
    assert SEALED_HEADER_SIZE == 6 + MAC_SIZE
    if arguments.json:
        print(json.dumps(figures))
    else:
        show(figures)


if __name__ == "__main__":
    main()
