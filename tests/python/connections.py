"""What the connection tests share: keys, the usual setup, and the messages of the vectors."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from sv2.connection import Connection, ConnectionPair, Plain
from sv2.noise import (
    AuthoritySecretKey,
    CertificatePolicy,
    ServerIdentity,
    StaticSecretKey,
)

import sv2_ffi
from sv2_ffi import AnyMessage
from sv2_ffi.common import SetupConnection, SetupConnectionError, SetupConnectionSuccess

VECTORS = Path(__file__).parent.parent / "vectors"

AUTHORITY = AuthoritySecretKey(hashlib.sha256(b"authority").digest())
OTHER_AUTHORITY = AuthoritySecretKey(hashlib.sha256(b"another authority").digest())
STATIC = StaticSecretKey(hashlib.sha256(b"static").digest())
IDENTITY = ServerIdentity.self_issued(AUTHORITY, STATIC)
POLICY = CertificatePolicy(AUTHORITY.public_key)

SUCCESS = SetupConnectionSuccess(2, 0)
SETUP_MESSAGES = (SetupConnection, SetupConnectionSuccess, SetupConnectionError)


def setup_connection(protocol: int = 0) -> SetupConnection:
    return SetupConnection(protocol, 2, 2, 0, "localhost", 3333, "tests", "", "", "")


def vector_frames() -> list[bytes]:
    """The frames of tests/vectors/messages.jsonl: every message, several times."""
    with open(VECTORS / "messages.jsonl", encoding="utf-8") as file:
        return [bytes.fromhex(json.loads(line)["frame"]) for line in file]


def vector_messages() -> list[AnyMessage]:
    return [sv2_ffi.decode(frame) for frame in vector_frames()]


def make_pair(
    noise: bool,
    split: Callable[[bytes], Iterator[bytes]] | None = None,
    max_frame: int | None = None,
) -> ConnectionPair:
    """Two ends that have exchanged nothing yet."""
    client = Connection.client(POLICY if noise else Plain.PLAIN, max_frame=max_frame)
    server = Connection.server(IDENTITY if noise else Plain.PLAIN, max_frame=max_frame)
    return ConnectionPair(client, server, split) if split else ConnectionPair(client, server)


def open_pair(
    noise: bool,
    split: Callable[[bytes], Iterator[bytes]] | None = None,
    protocol: int = 0,
    max_frame: int | None = None,
) -> ConnectionPair:
    """Two ends that have finished setup."""
    pair = make_pair(noise, split, max_frame)
    pair.set_up(setup_connection(protocol), SUCCESS)
    return pair


def at_random(seed: int, largest: int = 700) -> Callable[[bytes], Iterator[bytes]]:
    """Cuts data in portions of 1 to ``largest`` bytes."""
    rng = random.Random(seed)

    def split(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = rng.randint(1, largest)
            yield data[at : at + size]
            at += size

    return split


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]
