"""A node's ZMQ ``hashblock`` notices: parsing, gap detection, and a subscriber that says whether
it is connected.

ZMQ publishing is fire and forget: a subscriber that was away, slow or just connecting has missed
notices and is never told. The counter that each notice carries shows a gap once the next notice
arrives; until then only asking the node helps, which is `sv2.node.tips`' part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

__all__ = ["GapDetector", "HashBlock", "HashBlockSubscriber", "parse_hashblock"]

TOPIC = b"hashblock"
MAX_MESSAGE = 1024
RECONNECT_FIRST_MS = 100
RECONNECT_MOST_MS = 3_000
HEARTBEAT_MS = 5_000
_COUNTER_RANGE = 1 << 32


@dataclass(frozen=True, slots=True)
class HashBlock:
    """One notice. ``block_hash`` is in internal order; on the wire it is reversed, as RPC text is.

    ``counter`` is None where the publisher sends none.
    """

    block_hash: bytes
    counter: int | None


def parse_hashblock(parts: Sequence[bytes]) -> HashBlock | None:
    """The notice in a multipart message, or None if it is none: another topic or malformed."""
    match list(parts):
        case [topic, body] if topic == TOPIC and len(body) == 32:
            return HashBlock(body[::-1], None)
        case [topic, body, counter] if topic == TOPIC and len(body) == 32 and len(counter) == 4:
            return HashBlock(body[::-1], int.from_bytes(counter, "little"))
        case _:
            return None


class GapDetector:
    """Counts what a publisher sent and we did not get, for one connection.

    Counters are 32 bits and wrap.
    """

    def __init__(self) -> None:
        self._expected: int | None = None

    def observe(self, counter: int | None) -> int:
        """How many notices are missing before this one; 0 for the first.

        A counter that went back means a restarted publisher: 1, for at least something may be lost.
        """
        if counter is None:
            return 0
        expected, self._expected = self._expected, (counter + 1) % _COUNTER_RANGE
        if expected is None:
            return 0
        missing = (counter - expected) % _COUNTER_RANGE
        return missing if missing < _COUNTER_RANGE // 2 else 1


@final
class HashBlockSubscriber:
    """Subscribes to ``hashblock`` at ``address`` and reconnects by itself for as long as it runs.

    ``on_block(notice, missing)`` is called for each notice, ``on_connected(bool)`` when the
    connection comes up (after ZMQ's handshake) and when it is lost. A publisher that sends more
    than a kilobyte at once is disconnected.

    Raises (`__aenter__`):
        ValueError: ZMQ does not accept the address.
    """

    def __init__(
        self,
        address: str,
        on_block: Callable[[HashBlock, int], None],
        on_connected: Callable[[bool], None],
    ) -> None:
        self._address = address
        self._on_block = on_block
        self._on_connected = on_connected
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HashBlockSubscriber:
        self._open()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._close()

    def _open(self) -> None:
        """A socket that connects as soon as it can, and its monitor."""
        self._socket: zmq.asyncio.Socket = zmq.asyncio.Context.instance().socket(zmq.SUB)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.RCVHWM, 1_000),
            (zmq.MAXMSGSIZE, MAX_MESSAGE),
            (zmq.RECONNECT_IVL, RECONNECT_FIRST_MS),
            (zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, 2 * HEARTBEAT_MS),
        ):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        self._monitor: Any = self._socket.get_monitor_socket(events)
        try:
            self._socket.connect(self._address)
        except zmq.ZMQError as error:
            self._close()
            raise ValueError(f"ZMQ address {self._address!r}: {error.strerror}") from None

    def _close(self) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._socket.close(linger=0)

    async def _run(self) -> None:
        """One socket after another: ZMQ reconnects one by itself after a lost connection, but not
        after an error in what the publisher sent."""
        while True:
            receiving = asyncio.create_task(self._receive())
            try:
                await self._until_disconnected()
            finally:
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)
                self._close()
            await asyncio.sleep(RECONNECT_FIRST_MS / 1000)
            self._open()

    async def _receive(self) -> None:
        gaps = GapDetector()
        while True:
            notice = parse_hashblock(await self._socket.recv_multipart())
            if notice is not None:
                self._on_block(notice, gaps.observe(notice.counter))

    async def _until_disconnected(self) -> None:
        connected = True
        while connected:
            # Annotated as returning a dict; on an asyncio socket it is an awaitable of one.
            event: Any = recv_monitor_message(self._monitor)
            connected = (await event)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._on_connected(connected)
