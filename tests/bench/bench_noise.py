#!/usr/bin/env python3
"""Noise: handshakes, messages and megabytes per second, against the limit and the Rust peer.

usage: bench_noise.py [--json] [--seconds S]

Everything in one run on one thread, in memory unless a row says loopback, which counts seconds of
CPU time because both ends and their sockets share this process. MB are payload, 10**6 bytes. What
is opened arrives in the portions in which sockets are read. The limit of the transport is
ChaCha20-Poly1305 of the same bytes in the same pieces through `cryptography` alone: no framing, no
buffers. The Rust peer (tests/peers/sri-noise, on the published crates) is measured where it has
been built. Like there, one handshake is both roles with a new static key and a certificate that is
signed and checked; "server" is the same with the identity of a running server, which keeps both.
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
from sv2.framing import FrameReader, FrameWriter, Inbox
from sv2.net import Options, Stream, connect, run, serve
from sv2.noise import (
    AuthoritySecretKey,
    CertificatePolicy,
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


def shake_hands(identity: ServerIdentity) -> tuple[Session, Session]:
    client, server = PythonEngine().initiator(), PythonEngine().responder(identity)
    act_2, server_session = server.read_act_1(client.write_act_1())
    certificate, client_session = client.read_act_2(act_2)
    POLICY.check(certificate)
    return client_session, server_session


def fresh_handshake() -> None:
    shake_hands(ServerIdentity.self_issued(AUTHORITY, StaticSecretKey.generate()))


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


def our_rates(size: int, seconds: float) -> tuple[float, float]:
    """Seal and open in MB/s, frames in and out of a byte stream."""
    frame = b"\x01\x40\x07" + size.to_bytes(3, "little") + bytes(size)
    client, server = shake_hands(IDENTITY)
    writer, inbox = FrameWriter(client.sealer), Inbox()
    reader = FrameReader(inbox, server.opener, MAX_FRAME)
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


def messages_per_second(seconds: float) -> tuple[float, float]:
    """Typed messages sent and received by a Connection over Noise: a share, 39 bytes of frame."""
    pair = ConnectionPair(Connection.client(POLICY), Connection.server(IDENTITY))
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


async def over_loopback(size: int, seconds: float) -> float:
    """Messages per second of CPU time from a client to a server over TCP, both in this process."""
    received = 0

    async def count(stream: Stream) -> None:
        nonlocal received
        await stream.receive()
        await stream.send(SUCCESS)
        async for _ in stream:
            received += 1

    message = UnknownMessage(0x4001, 7, bytes(size))
    options = Options(max_frame=MAX_FRAME)
    async with await serve(count, "127.0.0.1", 0, security=IDENTITY, options=options) as server:
        stream = await connect(f"127.0.0.1:{server.port}", security=POLICY)
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


def measure(seconds: float) -> Row:
    rust = peer_figures(seconds)
    by_size = {row["payload"]: row for row in rust["transport"]} if rust else {}
    transport = []
    for size in SIZES:
        ours, limit = our_rates(size, seconds), limit_rates(size, seconds)
        row: Row = {"payload": size}
        for place, operation in enumerate(("seal", "open")):
            row[operation] = {
                "ours_mb_per_s": ours[place],
                "limit_mb_per_s": limit[place],
                "rust_mb_per_s": by_size.get(size, {}).get(f"{operation}_mb_per_s"),
            }
        transport.append(row)
    sent, received = messages_per_second(seconds)
    loopback = {size: run(over_loopback(size, seconds)) for size in (33, 65_519)}
    return {
        "handshakes_per_s": {
            "ours": rate(fresh_handshake, seconds, 20),
            "server": rate(lambda: shake_hands(IDENTITY), seconds, 20),
            "rust": rust["handshakes_per_s"] if rust else None,
        },
        "transport": transport,
        "messages_per_s": {"sent": sent, "received": received, "loopback": loopback[33]},
        "loopback_mb_per_s": loopback[65_519] * 65_519 / 1e6,
    }


def ratio(ours: float, other: float | None) -> str:
    return f"{ours / other:6.2f}" if other else "     -"


def show(figures: Row) -> None:
    shakes = figures["handshakes_per_s"]
    print("handshakes per second, both roles")
    print(f"  the same work as the Rust peer  {shakes['ours']:10,.0f}")
    print(f"  with a running server's key     {shakes['server']:10,.0f}")
    if shakes["rust"]:
        print(f"  Rust peer                       {shakes['rust']:10,.0f}")
        print(f"  ours / Rust                     {ratio(shakes['ours'], shakes['rust']):>10}")
    print("\ntransport, MB/s           ours     limit      Rust   ours/limit   ours/Rust")
    for row in figures["transport"]:
        for operation in ("seal", "open"):
            found = row[operation]
            ours, limit, rust = (found[f"{who}_mb_per_s"] for who in ("ours", "limit", "rust"))
            rust_text = f"{rust:10,.0f}" if rust else "         -"
            print(
                f"  {row['payload']:>9,} B {operation}  {ours:10,.0f}{limit:10,.0f}{rust_text}"
                f"{ratio(ours, limit):>12}{ratio(ours, rust):>12}"
            )
    messages = figures["messages_per_s"]
    print("\nmessages per second (a share of 33 bytes)")
    print(f"  Connection.send      {messages['sent']:12,.0f}")
    print(f"  Connection.receive   {messages['received']:12,.0f}")
    print(f"  client to server over loopback, one process  {messages['loopback']:12,.0f}")
    print(
        f"\n64 KiB frames over loopback, one process: {figures['loopback_mb_per_s']:,.0f} MB/s"
        " (sealed and opened)"
    )


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
