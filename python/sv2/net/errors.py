"""How a stream ends, as data."""

from __future__ import annotations

import enum

from sv2_ffi import Sv2Error
from sv2_ffi.common import SetupConnectionError


class Ended(enum.Enum):
    """Why a stream ended."""

    CLOSED = "closed by us"
    PEER_CLOSED = "closed by the peer"
    LOST = "connection lost"
    PROTOCOL = "the peer broke the protocol"
    HANDSHAKE_TIMEOUT = "handshake timed out"
    SETUP_TIMEOUT = "setup timed out"
    IDLE_TIMEOUT = "idle for too long"
    FRAME_TIMEOUT = "a frame took too long"
    WRITE_TIMEOUT = "the peer reads nothing"
    SLOW_READER = "the peer reads too slowly"
    PUSHED_OUT = "pushed out by newer connections"


class StreamClosed(Sv2Error):
    """The stream has ended; ``reason`` says why."""

    def __init__(self, reason: Ended) -> None:
        super().__init__(reason.value)
        self.reason = reason


class QueueFull(Sv2Error):
    """The peer's send queue is full; the message was not sent."""


class SetupRefused(Sv2Error):
    """The server answered SetupConnection with ``error``. Its text is the peer's: not shown."""

    def __init__(self, error: SetupConnectionError) -> None:
        super().__init__(f"the server refused the setup (flags {error.flags:#010x})")
        self.error = error
