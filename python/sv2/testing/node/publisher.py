"""The ZMQ notices of a node: ``hashblock`` and ``sequence``."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

__all__ = ["Publisher", "Topic"]

HIGH_WATER_MARK = 1000


@dataclass(slots=True)
class Topic:
    """One kind of notice. ``counter`` goes with each one and shows a subscriber what it missed."""

    name: str
    address: str
    socket: zmq.Socket[bytes]
    counter: int = 0


class Publisher:
    """Binds a PUB socket for each address; topics may share one.

    A port of ``*`` is chosen by the system; `address` then tells it. Publishing never blocks.

    Raises:
        ValueError: an address cannot be bound.
    """

    def __init__(self, hashblock: str | None, sequence: str | None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._topics: dict[str, Topic] = {}
        self._skip = 0
        for name, address in (("hashblock", hashblock), ("sequence", sequence)):
            if address is not None:
                socket = self._bind(address)
                bound = socket.getsockopt_string(zmq.LAST_ENDPOINT)
                self._topics[name] = Topic(name, bound, socket)

    def _bind(self, address: str) -> zmq.Socket[bytes]:
        if address not in self._sockets:
            socket = self._context.socket(zmq.PUB)
            socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
            socket.setsockopt(zmq.LINGER, 0)
            try:
                socket.bind(address)
            except zmq.ZMQError as error:
                socket.close()
                self.close()
                raise ValueError(f"ZMQ address {address!r}: {error.strerror}") from None
            self._sockets[address] = socket
        return self._sockets[address]

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close(linger=0)
        self._context.term()

    @property
    def topics(self) -> tuple[Topic, ...]:
        return tuple(self._topics.values())

    def address(self, name: str) -> str | None:
        """Where ``hashblock`` or ``sequence`` is published, port included; None if it is not."""
        topic = self._topics.get(name)
        return None if topic is None else topic.address

    def skip(self, count: int) -> None:
        """Lose the next ``count`` notices: they take their number and are not sent."""
        self._skip = count

    def block_tip(self, block_hash: bytes) -> None:
        self._send("hashblock", block_hash[::-1])

    def block_connected(self, block_hash: bytes) -> None:
        self._send("sequence", block_hash[::-1] + b"C")

    def block_disconnected(self, block_hash: bytes) -> None:
        self._send("sequence", block_hash[::-1] + b"D")

    def transaction_added(self, txid: bytes, sequence: int) -> None:
        self._send("sequence", txid[::-1] + b"A" + sequence.to_bytes(8, "little"))

    def transaction_removed(self, txid: bytes, sequence: int) -> None:
        self._send("sequence", txid[::-1] + b"R" + sequence.to_bytes(8, "little"))

    def _send(self, name: str, body: bytes) -> None:
        topic = self._topics.get(name)
        if topic is None:
            return
        counter = topic.counter.to_bytes(4, "little")
        topic.counter = (topic.counter + 1) % (1 << 32)
        if self._skip > 0:
            self._skip -= 1
            return
        topic.socket.send_multipart([name.encode(), body, counter], zmq.NOBLOCK)
