"""Every limit of a connection and of a server, in one place, with its default and its reason."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from sv2.noise import Engine
from sv2_ffi import HEADER_SIZE


@dataclass(frozen=True)
class Timeouts:
    """How long things may take, in seconds. What takes longer ends the connection."""

    connect: float = 10.0
    """Resolving the name and opening the TCP connection (client)."""
    handshake: float = 10.0
    """From the TCP connection to the end of the Noise handshake."""
    setup: float = 10.0
    """From there to the answer to SetupConnection; a client's time runs from its sending it."""
    idle: float | None = None
    """Without a byte in either direction, after setup. None by default: Sv2 has no keepalive
    message, and a Template Distribution client is rightly silent for hours. Peers that are gone
    are found by TCP keepalive within about two minutes."""
    frame: float = 60.0
    """From the first byte of a frame to its last."""
    write: float = 30.0
    """Without a queued byte leaving, while there are any."""
    close: float = 5.0
    """For the last bytes to leave and the peer to close, once we close."""

    def tick(self) -> float:
        """How often a stream looks at its clocks: often enough to be a quarter late at most."""
        shortest = min(self.handshake, self.setup, self.frame, self.write, self.close)
        if self.idle is not None:
            shortest = min(shortest, self.idle)
        return min(max(shortest / 4, 0.01), 5.0)


class SlowReader(enum.Enum):
    """What :meth:`Stream.send_nowait` does when a peer's queue is full."""

    DISCONNECT = "end the connection"
    REFUSE = "raise QueueFull and keep the connection"


@dataclass(frozen=True)
class KeepAlive:
    """TCP's own probes, which find a peer that is gone without a word. In whole seconds."""

    idle: int = 60
    """Silence before the first probe."""
    interval: int = 15
    """From one probe to the next."""
    count: int = 4
    """Probes without an answer until the connection is lost."""


@dataclass(frozen=True)
class Options:
    """How a stream behaves, on either side."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    max_queued: int = 1 << 20
    """Bytes that may wait to be sent. A frame is queued when fewer wait, so a frame larger than
    this still goes out, and the queue never holds more than this and one frame."""
    slow_reader: SlowReader = SlowReader.DISCONNECT
    keepalive: KeepAlive | None = field(default_factory=KeepAlive)
    """None: no probes. Sv2 has no keepalive message of its own."""
    max_frame: int | None = None
    """Replaces :data:`sv2.connection.MAX_FRAME`."""
    engine: Engine | None = None
    """Another Noise engine than the default."""

    def __post_init__(self) -> None:
        if self.max_frame is not None and self.max_frame < HEADER_SIZE:
            raise ValueError(f"max_frame is below {HEADER_SIZE}")


@dataclass(frozen=True)
class Limits:
    """How many connections a server has."""

    connections: int = 4096
    """In all. Further ones are closed at once."""
    per_host: int = 1024
    """From one IPv4 address or one IPv6 /64. Further ones are closed at once."""
    unready: int = 512
    """That have not finished setup. A further one pushes out the oldest of them, so that
    handshakes which never end cannot keep others out."""
    admit: Callable[[str], bool] | None = None
    """Asked with a peer's IP address before anything else is done for it; where it returns False
    or raises, the connection is closed at once. ``AccessList(deny=["192.0.2.0/24"]).permits`` is
    one. It must not block."""
