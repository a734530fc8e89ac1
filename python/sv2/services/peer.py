"""The other end of a connection, as handlers and layers see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from sv2.address import Address
from sv2.connection import Protocol
from sv2.net import Stream, StreamClosed
from sv2.services.errors import End
from sv2_ffi import AnyMessage, Message, Tlv, UnknownMessage
from sv2_ffi.common import Reconnect, SetupConnection

Reply = AnyMessage | Sequence[AnyMessage] | None
"""What a handler returns: nothing, one message, or several to send in their order."""

_ONE = (Message, UnknownMessage)


def replies(reply: Reply) -> Sequence[AnyMessage]:
    """The messages of a reply."""
    if reply is None:
        return ()
    if isinstance(reply, _ONE):
        return (reply,)
    return reply


class Peer:
    """One connection. It lives from the end of the handshake until ``ended`` says why not.

    Peers are hashable by identity, so a handler may keep its state in a dict by peer, and drop it
    in ``on_disconnect``. A connection that is made anew is a new peer.
    """

    def __init__(self, number: int, stream: Stream) -> None:
        self.id = number
        """Never used twice in the life of a service; from 1."""
        self.stream = stream
        self.ended: End | None = None
        """Why the connection is over; None while it lives."""
        self.turn = asyncio.Lock()
        """Held while a message of this peer is handled: one at a time, in their order."""
        self._protocol: Protocol | None = None
        self._task: asyncio.Task[Any] | None = None
        # For the service: who handles its message now, since when, and what was decided on it.
        self._worker: asyncio.Task[Any] | None = None
        self._busy_since: float | None = None
        self._overdue = False
        self._abandoned = False
        self._errors = 0
        self._leaving = False
        self._unreachable = False
        self._last_message = asyncio.get_running_loop().time()
        self._verdict: End | None = None

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port of the other end."""
        return self.stream.peer

    @property
    def setup(self) -> SetupConnection:
        """The client's SetupConnection. RuntimeError before it passed."""
        setup = self.stream.setup
        if setup is None:
            raise RuntimeError("SetupConnection has not passed yet")
        return setup

    @property
    def protocol(self) -> Protocol:
        """The subprotocol that was agreed on."""
        if self._protocol is None:
            self._protocol = Protocol(self.setup.protocol)
        return self._protocol

    @property
    def flags(self) -> int:
        """The client's feature flags, 32 bits (the server's are in ``stream.answer``)."""
        return self.setup.flags

    @property
    def extensions(self) -> frozenset[int]:
        """The extensions that both ends agreed on."""
        return self.stream.extensions

    def tlvs(self, message: AnyMessage) -> tuple[Tlv, ...]:
        """The TLVs of a received message whose extensions were agreed on."""
        return self.stream.tlvs(message)

    async def send(self, message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> None:
        """Queue a message, with TLVs behind it; waits while the peer's send queue is full.

        The order of messages is the order of the calls, over all senders. Raises
        :class:`~sv2.net.StreamClosed`, :class:`~sv2.connection.LocalProtocolError` or
        :class:`sv2_ffi.EncodeError`, and then nothing was sent.
        """
        try:
            await self.stream.send(message, tlvs)
        except StreamClosed:
            self._unreachable = True
            raise

    def send_nowait(self, message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> None:
        """Queue a message at once. A full queue ends the connection (``Options.slow_reader``)."""
        try:
            self.stream.send_nowait(message, tlvs)
        except StreamClosed:
            self._unreachable = True
            raise

    @property
    def unreachable(self) -> bool:
        """Whether nothing can be sent any more. What came before is still handled."""
        return self._unreachable or self.stream.ended is not None

    async def close(self) -> None:
        """End the connection: what is queued goes out, nothing more is handled."""
        await self.stream.close()

    def __repr__(self) -> str:
        host, port = self.address
        return f"<{type(self).__name__} {self.id} {host}:{port} {self.stream.state.name}>"


class Client(Peer):
    """A client of our server."""


class Upstream(Peer):
    """A server that our client is connected to."""

    def __init__(self, number: int, stream: Stream, protocol: Protocol, endpoint: Address) -> None:
        super().__init__(number, stream)
        self.endpoint = endpoint
        """Where we connected to, as it was configured."""
        self.since: float | None = None
        """When ``on_connect`` was done, by the clock of the backoff; None before."""
        self.moved_to: Reconnect | None = None
        """The server's Reconnect, once it came."""
        self._protocol = protocol
        self._gate = asyncio.Lock()

    async def send(self, message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> None:
        """As :meth:`Peer.send`; waits also while extensions are being negotiated, when nothing
        else may be sent (extensions/0x0001)."""
        async with self._gate:
            await super().send(message, tlvs)

    async def negotiate(self, wanted: frozenset[int]) -> frozenset[int]:
        """Ask for extensions, and give those that are active then. For the service, in its turn:
        nobody else may be receiving."""
        async with self._gate:
            return await self.stream.negotiate(wanted)
