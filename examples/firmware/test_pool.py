"""A pool to try the device with: one connection at a time, on loopback, on fixed work.

It shows a device what a pool does (jobs that wait and jobs for now, a new tip, another target, a
message of an extension, a frame that is too large for it, a move to another port) and checks each
share by itself, with hashlib. It knows no block chain: the work is invented.

usage: python test_pool.py [--shares N] [--authority-secret KEY] [--expired]

Prints "listening PORT KEY" first, then one line for each event; ends when the device has left after
N accepted shares, or after 60 seconds. Exit code 0: all shares were good and N came; 1: not so.
"""

from __future__ import annotations

import argparse
import hashlib
import socket
import sys
import time
from dataclasses import dataclass, field

from sv2.connection import Connection
from sv2.noise import AuthoritySecretKey, NoiseError, ServerIdentity, StaticSecretKey

from sv2_ffi import AnyMessage, Sv2Error, UnknownMessage
from sv2_ffi.common import Reconnect, SetupConnection, SetupConnectionSuccess
from sv2_ffi.mining import (
    NewMiningJob,
    OpenStandardMiningChannel,
    OpenStandardMiningChannelSuccess,
    SetNewPrevHash,
    SetTarget,
    SubmitSharesError,
    SubmitSharesStandard,
    SubmitSharesSuccess,
)

CHANNEL = 7
GROUP = 3
NBITS = 0x1D00FFFF
SECONDS = 60.0
# One hash in 2**12 and in 2**14 is a share.
FIRST_TARGET = (1 << (256 - 12)) - 1
LATER_TARGET = (1 << (256 - 14)) - 1


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass
class Work:
    """What the device is to hash: a job on a tip."""

    job_id: int
    merkle_root: bytes
    prev_hash: bytes
    min_ntime: int
    target: int
    version: int = 0x20000000

    def judge(self, share: SubmitSharesStandard, seen: set[tuple[int, int]]) -> str:
        """The error code that the share deserves; "" for a good one."""
        if share.job_id != self.job_id:
            return "invalid-job-id"
        if not self.min_ntime <= share.ntime <= self.min_ntime + 60:
            return "invalid-share"
        if (share.ntime, share.nonce) in seen:
            return "duplicate-share"
        header = share.version.to_bytes(4, "little") + self.prev_hash + self.merkle_root
        for number in (share.ntime, NBITS, share.nonce):
            header += number.to_bytes(4, "little")
        block_hash = hashlib.sha256(hashlib.sha256(header).digest()).digest()
        if share.version != self.version or int.from_bytes(block_hash, "little") > self.target:
            return "difficulty-too-low"
        seen.add((share.ntime, share.nonce))
        return ""


@dataclass
class Session:
    """One device: what it works on, and what it has done."""

    pool: Pool
    connection: Connection
    work: Work | None = None
    stale: set[int] = field(default_factory=set)
    seen: set[tuple[int, int]] = field(default_factory=set)
    accepted: int = 0
    told_to_leave: bool = False

    def handle(self, message: AnyMessage) -> None:
        send = self.connection.send
        match message:
            case SetupConnection(flags=flags):
                print(f"setup vendor {message.vendor!r} flags {flags}", flush=True)
                send(SetupConnectionSuccess(2, 0))
            case OpenStandardMiningChannel(request_id=request):
                target = FIRST_TARGET.to_bytes(32, "little")
                send(OpenStandardMiningChannelSuccess(request, CHANNEL, target, b"\1\2", GROUP))
                self.new_tip(1, FIRST_TARGET)
            case SubmitSharesStandard():
                self.take_share(message)
            case _:
                print(f"unexpected {type(message).__name__}", flush=True)

    def new_tip(self, job_id: int, target: int) -> None:
        """Three jobs that wait, and the tip that makes the second of them the work."""
        if self.work is not None:
            self.stale.add(self.work.job_id)
        for number in (job_id, job_id + 1, job_id + 2):
            root = digest(f"merkle root {number}")
            self.connection.send(NewMiningJob(CHANNEL, number, None, 0x20000000, root))
        now = int(time.time())
        self.work = Work(
            job_id + 1, digest(f"merkle root {job_id + 1}"), digest(f"tip {job_id}"), now, target
        )
        self.connection.send(
            SetNewPrevHash(GROUP, job_id + 1, self.work.prev_hash, now, NBITS),
        )

    def take_share(self, share: SubmitSharesStandard) -> None:
        assert self.work is not None
        if self.told_to_leave:
            return  # it was under way, and nobody waits for the answer
        if share.job_id in self.stale:
            # It was under way when the job changed.
            self.connection.send(
                SubmitSharesError(CHANNEL, share.sequence_number, "stale-share"),
            )
            return
        error = self.work.judge(share, self.seen)
        if error:
            self.pool.bad += 1
            print(f"refused {error}", flush=True)
            self.connection.send(SubmitSharesError(CHANNEL, share.sequence_number, error))
            return
        self.accepted += 1
        self.pool.accepted += 1
        self.connection.send(SubmitSharesSuccess(CHANNEL, share.sequence_number, 1, 1))
        self.pool.after_share(self)


class Pool:
    """Counts over all connections, and the course of events."""

    def __init__(self, identity: ServerIdentity, shares: int) -> None:
        self.identity = identity
        self.shares = shares
        self.accepted = 0
        self.bad = 0
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]

    def after_share(self, session: Session) -> None:
        """Each step once, at its share."""
        send = session.connection.send
        work = session.work
        assert work is not None
        match self.accepted:
            case 2:  # things that a device has no use for
                send(UnknownMessage(0x4001, 0x07, b"of an extension"))
                send(UnknownMessage(0x4001, 0x08, bytes(70_000)))
            case 4:  # a job for now, on the same tip, with a higher target that is not for it yet
                session.stale.add(work.job_id)
                root = digest("merkle root 50")
                send(NewMiningJob(CHANNEL, 50, work.min_ntime, work.version, root))
                session.work = Work(50, root, work.prev_hash, work.min_ntime, work.target)
                session.seen = set()
                send(SetTarget(CHANNEL, LATER_TARGET.to_bytes(32, "little")))
            case 6:  # a new tip, and with it the new target
                session.new_tip(60, LATER_TARGET)
            case 8:
                session.told_to_leave = True
                send(Reconnect("", self.listeners[1].getsockname()[1]))

    def serve_one(self, listener: socket.socket, deadline: float) -> None:
        """One connection, until the device leaves: it may miss an answer where we end first."""
        listener.settimeout(max(0.1, deadline - time.monotonic()))
        sock, _ = listener.accept()
        connection = Connection.server(self.identity)
        session = Session(self, connection)
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < deadline:
                sock.settimeout(max(0.1, deadline - time.monotonic()))
                data = sock.recv(max(1, connection.read_size))
                if not data:
                    break
                connection.receive_data(data)
                for message in connection.messages():
                    session.handle(message)
                sock.sendall(connection.data_to_send())
        print(f"end of a connection with {session.accepted} good shares", flush=True)

    def run(self) -> int:
        deadline = time.monotonic() + SECONDS
        while self.accepted < self.shares and time.monotonic() < deadline:
            listener = self.listeners[1 if self.accepted >= 8 else 0]
            try:
                self.serve_one(listener, deadline)
            except NoiseError as error:
                print(f"noise: {error}", flush=True)
            except (OSError, Sv2Error) as error:
                print(f"lost: {type(error).__name__}", flush=True)
        print(f"accepted {self.accepted} bad {self.bad}", flush=True)
        return 0 if self.accepted >= self.shares and self.bad == 0 else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shares", type=int, default=10)
    parser.add_argument("--authority-secret", help="base58check; default: a new one")
    parser.add_argument("--expired", action="store_true", help="show a certificate of yesterday")
    options = parser.parse_args()
    secret = options.authority_secret
    authority = AuthoritySecretKey.from_text(secret) if secret else AuthoritySecretKey.generate()
    past = 2 * 24 * 3600 if options.expired else 0
    identity = ServerIdentity.self_issued(
        authority, StaticSecretKey.generate(), now=lambda: time.time() - past
    )
    pool = Pool(identity, options.shares)
    port = pool.listeners[0].getsockname()[1]
    print(f"listening {port} {authority.public_key}", flush=True)
    return pool.run()


if __name__ == "__main__":
    sys.exit(main())
