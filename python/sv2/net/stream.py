"""A connection's messages over an asyncio transport."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Protocol, cast

from sv2.connection import Connection, RemoteProtocolError, Role, State
from sv2.extensions import retry_request
from sv2.net.errors import Ended, QueueFull, SetupRefused, StreamClosed
from sv2.net.options import KeepAlive, Options, SlowReader
from sv2.noise import Certificate, NoiseError
from sv2_ffi import AnyMessage, Sv2Error, Tlv
from sv2_ffi.common import SetupConnection, SetupConnectionError, SetupConnectionSuccess
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess

# One read takes at most this much; a buffer of this size exists only while there is data to read.
_READ_SIZE = 32768
# Messages that arrive while an answer is awaited are kept for receive(), up to this many.
_MAX_SET_ASIDE = 64


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("no message in time"))


def _keep_alive(transport: asyncio.Transport, policy: KeepAlive) -> None:
    shared = transport.get_extra_info("socket")
    if shared is None:
        return
    wanted = {
        "TCP_KEEPIDLE": policy.idle,
        "TCP_KEEPINTVL": policy.interval,
        "TCP_KEEPCNT": policy.count,
    }
    # A duplicate of the descriptor, because not every loop's socket object takes options.
    with socket.socket(fileno=socket.dup(shared.fileno())) as handle:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in wanted.items():
            if hasattr(socket, name):
                handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _Owner(Protocol):
    """Who is told how a stream fares: a server, or the caller of connect."""

    def _made(self, stream: Stream) -> bool:
        """The TCP connection stands; False turns it away."""

    def _secured(self, stream: Stream) -> None:
        """The handshake is done: messages may flow."""

    def _opened(self, stream: Stream) -> None:
        """Setup was accepted."""

    def _lost(self, stream: Stream) -> None:
        """The socket is closed. Called also for a stream that was turned away."""


class _Callbacks(asyncio.BufferedProtocol):
    """Passes the event loop's calls on to a stream, off its public surface."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Always a TCP transport; uvloop's is no subclass of asyncio's.
        self._stream._on_made(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._stream._on_get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self._stream._on_data(nbytes)

    def eof_received(self) -> bool:
        return self._stream._on_eof()

    def pause_writing(self) -> None:
        self._stream._on_pause_writing()

    def resume_writing(self) -> None:
        self._stream._on_resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream._on_lost()


class Stream:
    """A connection's messages, both ways. Made by :func:`connect` and :func:`serve`.

    One task may receive at a time; any number may send, and messages leave in the order of the
    calls. Cancelling any method leaves the stream as it was, with no message lost.
    """

    def __init__(self, connection: Connection, options: Options, owner: _Owner) -> None:
        self._connection = connection
        self._options = options
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._peer: tuple[str, int] = ("", 0)
        self._buffer = bytearray()
        self._set_aside: deque[AnyMessage] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._send_lock = asyncio.Lock()
        self._senders = 0
        self._room: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._ended: Ended | None = None
        self._error: Sv2Error | None = None
        self._lingering = False
        self._peer_ended = False
        self._ticker: asyncio.TimerHandle | None = None
        now = self._loop.time()
        self._stage_since = now
        self._last_activity = now
        self._frame_since: float | None = None
        self._write_since = now
        self._written = 0
        self._flushed = 0
        self._closing_since = now
        self._seen_open = False
        self.made_at: float | None = None
        """When the TCP connection stood, by time.perf_counter()."""
        self.secured_at: float | None = None
        """When the handshake was done, by time.perf_counter()."""
        self.bytes_received = 0
        self.messages_received = 0
        self.messages_sent = 0

    def protocol(self) -> asyncio.BufferedProtocol:
        """What the event loop talks to; for ``connect`` and ``serve``."""
        return _Callbacks(self)

    # What is known of the stream.

    @property
    def role(self) -> Role:
        """Which end we are."""
        return self._connection.role

    @property
    def state(self) -> State:
        """How far the connection is."""
        return self._connection.state

    @property
    def peer(self) -> tuple[str, int]:
        """The peer's IP address and port."""
        return self._peer

    @property
    def certificate(self) -> Certificate | None:
        """What the server showed (client)."""
        return self._connection.certificate

    @property
    def handshake_hash(self) -> bytes | None:
        """The name of the Noise session, the same at both ends."""
        return self._connection.handshake_hash

    @property
    def setup(self) -> SetupConnection | None:
        """The client's SetupConnection, once it passed."""
        return self._connection.setup

    @property
    def answer(self) -> SetupConnectionSuccess | SetupConnectionError | None:
        """The server's answer to it, once it passed."""
        return self._connection.answer

    @property
    def extensions(self) -> frozenset[int]:
        """The extensions that both ends agreed on."""
        return self._connection.extensions

    @property
    def ended(self) -> Ended | None:
        """Why the stream ended, or None while it lives."""
        return self._ended

    @property
    def error(self) -> Sv2Error | None:
        """What the peer did wrong, when ``ended`` is PROTOCOL."""
        return self._error

    @property
    def bytes_sent(self) -> int:
        """Bytes handed to the operating system."""
        return self._written - self.queued

    @property
    def queued(self) -> int:
        """Bytes that wait to be sent."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    @property
    def buffered(self) -> int:
        """Bytes received and not yet pulled, those of an unfinished frame included."""
        return self._connection.buffered

    def tlvs(self, message: AnyMessage) -> tuple[Tlv, ...]:
        """The TLVs of a received message whose extensions were agreed on."""
        return self._connection.tlvs(message)

    def __repr__(self) -> str:
        host, port = self._peer
        return f"<Stream {self.role.value} {host}:{port} {self.state.name}>"

    # Receiving.

    async def receive(self, timeout: float | None = None) -> AnyMessage:
        """The next message.

        Raises :class:`StreamClosed` when there is none any more; TimeoutError after ``timeout``
        seconds; :class:`sv2_ffi.DecodeError` for one malformed message, after which the stream
        goes on; :class:`RemoteProtocolError` or :class:`NoiseError` when the peer broke the
        connection, which is then closed.
        """
        if self._set_aside:
            return self._set_aside.popleft()
        return await self._receive(timeout)

    async def _receive(self, timeout: float | None) -> AnyMessage:
        if self._waiter is not None:
            raise RuntimeError("another task is receiving from this stream")
        deadline = None if timeout is None else self._loop.time() + timeout
        while True:
            message = self._pull()
            if message is not None:
                self.messages_received += 1
                return message
            self._check_not_over()
            self._resume_reading()
            await self._wait_for_data(deadline)

    def __aiter__(self) -> AsyncIterator[AnyMessage]:
        """The messages to come; ends when either side closes the stream, raises otherwise."""
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[AnyMessage]:
        while True:
            try:
                message = await self.receive()
            except StreamClosed as closed:
                if closed.reason in (Ended.CLOSED, Ended.PEER_CLOSED):
                    return
                raise
            yield message

    def _pull(self) -> AnyMessage | None:
        if self._ended is not None and self._ended is not Ended.LOST:
            return None
        try:
            message = self._connection.next_message()
        except (RemoteProtocolError, NoiseError) as error:
            self._error = error
            self._abort(Ended.PROTOCOL)
            raise
        if message is not None:
            self._frame_since = None
            self._note_open()
        return message

    def _check_not_over(self) -> None:
        if self._ended is not None:
            raise StreamClosed(self._ended) from self._error
        if self.state in (State.CLOSED, State.REFUSED):
            raise StreamClosed(Ended.PEER_CLOSED)

    async def _wait_for_data(self, deadline: float | None) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = None
        if deadline is not None:
            timer = self._loop.call_at(deadline, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake_receiver(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Sending.

    async def send(self, message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> None:
        """Queue a message; waits while the queue is full.

        Raises :class:`StreamClosed`; :class:`~sv2.connection.LocalProtocolError` and
        :class:`sv2_ffi.EncodeError` when the message cannot be sent, with nothing changed.
        """
        if self._senders or self._writing_paused:
            self._senders += 1
            try:
                async with self._send_lock:
                    await self._wait_for_room()
                    self._write(message, tlvs)
            finally:
                self._senders -= 1
        else:
            self._write(message, tlvs)

    def send_nowait(self, message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> None:
        """Queue a message at once, for sending to many peers without waiting for the slowest.

        With a full queue, ``Options.slow_reader`` decides: the connection ends and
        :class:`StreamClosed` is raised, or :class:`QueueFull` is.
        """
        if self._senders or self._writing_paused:
            self._check_writable()
            if self._options.slow_reader is SlowReader.REFUSE:
                raise QueueFull(f"{self.queued} bytes wait already")
            self._abort(Ended.SLOW_READER)
        self._write(message, tlvs)

    def _write(self, message: AnyMessage, tlvs: Iterable[Tlv]) -> None:
        self._check_writable()
        was = self._connection.state
        self._connection.send(message, tlvs)
        self.messages_sent += 1
        self._flush()
        if was is not self._connection.state:
            self._stage_since = self._loop.time()
            self._note_open()

    def _check_writable(self) -> None:
        if self._ended is not None:
            raise StreamClosed(self._ended) from self._error
        if self._transport is None or self._transport.is_closing():
            raise StreamClosed(Ended.LOST)
        if self._connection.state is State.CLOSED:
            raise StreamClosed(Ended.PEER_CLOSED)

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if not data or self._transport is None or self._transport.is_closing():
            return
        now = self._loop.time()
        if self.queued == 0:
            self._write_since = now
        self._written += len(data)
        self._last_activity = now
        self._transport.write(data)

    async def _wait_for_room(self) -> None:
        while self._writing_paused and self._ended is None and not self._lost.done():
            room = self._room = self._loop.create_future()
            try:
                await room
            finally:
                self._room = None

    async def drain(self) -> None:
        """Wait until the queue is no longer full. Raises :class:`StreamClosed`."""
        async with self._send_lock:
            await self._wait_for_room()
        self._check_writable()

    # Setup and extensions, as most clients do them.

    async def set_up(self, request: SetupConnection) -> SetupConnectionSuccess:
        """Send SetupConnection and wait for Success; :class:`SetupRefused` for an Error.

        ``Timeouts.setup`` bounds the wait. The versions and flags of the answer are for the
        caller to judge.
        """
        await self.send(request)
        match await self.receive():
            case SetupConnectionSuccess() as success:
                return success
            case SetupConnectionError() as error:
                raise SetupRefused(error)
            case other:
                raise AssertionError(f"{type(other).__name__} passed the state machine")

    async def negotiate(
        self, wanted: Collection[int], *, known: Collection[int] = (), timeout: float = 5.0
    ) -> frozenset[int]:
        """Ask for extensions (client, after setup) and give those that are active then.

        A server that requires more, all of it in ``known``, gets a second request. One that does
        not answer within ``timeout`` seconds knows no extensions, and none are active. Messages
        that come meanwhile are kept for :meth:`receive`.
        """
        request = RequestExtensions(0, sorted(wanted))
        deadline = self._loop.time() + timeout
        for again in (True, False):
            await self.send(request)
            try:
                answer = await self._await_answer(request.request_id, deadline)
            except TimeoutError:
                self._connection.abandon_negotiation()
                break
            if isinstance(answer, RequestExtensionsSuccess):
                break
            retried = retry_request(request, answer, {*known, *wanted})
            if not again or retried is None:
                break
            request = retried
        return self.extensions

    async def _await_answer(
        self, request_id: int, deadline: float
    ) -> RequestExtensionsSuccess | RequestExtensionsError:
        while True:
            message = await self._receive(deadline - self._loop.time())
            match message:
                case RequestExtensionsSuccess() | RequestExtensionsError():
                    if message.request_id == request_id:
                        return message
                case _ if len(self._set_aside) < _MAX_SET_ASIDE:
                    self._set_aside.append(message)
                case _:
                    self._abort(Ended.PROTOCOL)
                    raise StreamClosed(Ended.PROTOCOL)

    # Ending.

    async def close(self) -> None:
        """Send what is queued, close, and wait for the end; ``Timeouts.close`` bounds it all."""
        self._begin_close()
        await self.wait_closed()

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self._abort(Ended.CLOSED)

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._lost)

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _begin_close(self) -> None:
        if self._lingering or self._lost.done():
            return
        if self._ended is None:
            self._ended = Ended.CLOSED if self.state is not State.CLOSED else Ended.PEER_CLOSED
        self._connection.close()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        # Closing a socket with unread bytes makes the kernel drop what the peer has not read yet
        # of our last words. So: end our side, read on until the peer ends its own, then close.
        self._lingering = True
        self._closing_since = self._loop.time()
        self._wake_receiver()
        self._wake_senders()
        if self._peer_ended:
            transport.close()
            return
        with contextlib.suppress(OSError, RuntimeError):
            transport.write_eof()
        self._resume_reading()

    def _abort(self, reason: Ended) -> None:
        if self._ended is None:
            self._ended = reason
        self._connection.close()
        if self._transport is not None:
            self._transport.abort()
        self._wake_receiver()
        self._wake_senders()

    # The event loop's side.

    def _on_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.made_at = time.perf_counter()
        self._stage_since = self._loop.time()
        peer = transport.get_extra_info("peername")
        if peer:
            self._peer = (str(peer[0]), int(peer[1]))
        high = self._options.max_queued
        transport.set_write_buffer_limits(high=max(0, high - 1), low=high // 2)
        if self._options.keepalive is not None:
            _keep_alive(transport, self._options.keepalive)
        if not self._owner._made(self):
            transport.abort()
            return
        self._ticker = self._loop.call_later(self._options.timeouts.tick(), self._tick)
        self._flush()
        if self._connection.state is not State.HANDSHAKE:
            self._note_secured()

    def _on_get_buffer(self) -> bytearray:
        size = _READ_SIZE if self._lingering else min(_READ_SIZE, self._connection.read_size)
        # The loop wants a buffer even when it is about to be told to stop reading.
        self._buffer = bytearray(max(size, 1))
        return self._buffer

    def _on_data(self, nbytes: int) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        self.bytes_received += nbytes
        if self._lingering or self._ended is not None:
            return
        self._last_activity = self._loop.time()
        with memoryview(buffer) as view:
            self._connection.receive_data(view[:nbytes])
        if self._connection.state is State.HANDSHAKE:
            self._shake_hands()
        self._wake_receiver()
        if self._connection.read_size == 0:
            self._pause_reading()

    def _shake_hands(self) -> None:
        try:
            self._connection.next_message()
        except (RemoteProtocolError, NoiseError) as error:
            self._error = error
            self._abort(Ended.PROTOCOL)
            return
        self._flush()
        match self._connection.state:
            case State.SETUP:
                self._note_secured()
            case State.CLOSED:
                self._abort(Ended.PEER_CLOSED)

    def _on_eof(self) -> bool:
        self._peer_ended = True
        if self._lingering or self._ended is not None:
            return False
        self._connection.receive_eof()
        if self._connection.state is State.HANDSHAKE:
            self._shake_hands()
            return False
        self._wake_receiver()
        # The sending side stays: a handler may still answer what it has not pulled yet.
        return True

    def _on_pause_writing(self) -> None:
        self._writing_paused = True

    def _on_resume_writing(self) -> None:
        self._writing_paused = False
        self._wake_senders()

    def _on_lost(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if self._connection.state not in (State.CLOSED, State.FAILED):
            self._connection.receive_eof()
        if self._ended is None:
            # What came before can still be pulled.
            self._ended = Ended.LOST
        if not self._lost.done():
            self._lost.set_result(None)
        self._wake_receiver()
        self._wake_senders()
        self._owner._lost(self)

    def _wake_senders(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._transport and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _note_secured(self) -> None:
        self.secured_at = time.perf_counter()
        self._stage_since = self._loop.time()
        self._owner._secured(self)

    def _note_open(self) -> None:
        if not self._seen_open and self._connection.state is State.OPEN:
            self._seen_open = True
            self._owner._opened(self)

    # Time.

    def _tick(self) -> None:
        now = self._loop.time()
        overdue = self._overdue(now)
        if overdue is not None:
            self._abort(overdue)
            return
        self._ticker = self._loop.call_later(self._options.timeouts.tick(), self._tick)

    def _overdue(self, now: float) -> Ended | None:
        limits = self._options.timeouts
        if self._lingering:
            return Ended.CLOSED if now - self._closing_since > limits.close else None
        if self._stalled(now):
            return Ended.WRITE_TIMEOUT
        match self.state:
            case State.HANDSHAKE if now - self._stage_since > limits.handshake:
                return Ended.HANDSHAKE_TIMEOUT
            case State.SETUP if self.role is Role.CLIENT:
                return None
            case State.SETUP | State.ANSWER if now - self._stage_since > limits.setup:
                return Ended.SETUP_TIMEOUT
            case State.OPEN if limits.idle and now - self._last_activity > limits.idle:
                return Ended.IDLE_TIMEOUT
            case State.OPEN if self._frame_overdue(now):
                return Ended.FRAME_TIMEOUT
        return None

    def _stalled(self, now: float) -> bool:
        flushed = self.bytes_sent
        if self.queued == 0 or flushed != self._flushed:
            self._flushed = flushed
            self._write_since = now
        return now - self._write_since > self._options.timeouts.write

    def _frame_overdue(self, now: float) -> bool:
        # Only while somebody waits for it: bytes that we do not pull are not the peer's delay.
        if self._waiter is None or not self._connection.mid_frame:
            self._frame_since = None
        elif self._frame_since is None:
            self._frame_since = now
        return (
            self._frame_since is not None and now - self._frame_since > self._options.timeouts.frame
        )
