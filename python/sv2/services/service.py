"""What a server service and a client service share: the life of a connection after its handshake.

A connection is a session: set up, ``on_connect``, its messages one at a time through the layers to
the handler, ``on_disconnect``. Everything that a peer, a handler or a layer can do wrong ends in
one place, :meth:`Service._session`, as the ``ended`` of that one peer.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sv2.connection import Protocol, RemoteProtocolError
from sv2.deadline import within
from sv2.net import Ended, StreamClosed
from sv2.noise import NoiseError
from sv2.services.errors import Cause, Disconnect, End, NotConnected, ServiceError
from sv2.services.events import Value, log_event, where
from sv2.services.handlers import Handler
from sv2.services.layers import Handle, Layer, stack
from sv2.services.peer import Peer, Reply, replies
from sv2.services.siblings import NoSibling, Sibling
from sv2_ffi import AnyMessage, DecodeError, Sv2Error

PeerT = TypeVar("PeerT", bound=Peer)
HandlerT = TypeVar("HandlerT", bound=Handler[Any])
_T = TypeVar("_T")

# So many messages of one peer that are here already are handled before others have their turn.
_FAIR_SHARE = 16
# How long tasks that were cancelled may take to end before they are left behind and logged.
_PATIENCE = 5.0


@dataclass
class ServiceStats:
    """What a service has seen since it started."""

    connected: int = 0
    """Connections whose setup succeeded."""
    refused: Counter[str] = field(default_factory=Counter)
    """Setups that were refused, by error code (server)."""
    ended: Counter[End] = field(default_factory=Counter)
    """Connections that are over, by reason."""
    handler_errors: int = 0
    """Exceptions raised in handlers and layers that were none of ours."""
    handler_timeouts: int = 0
    """Calls of handlers that took longer than ``handler_timeout`` and were cancelled."""
    left_behind: int = 0
    """Tasks that ignored their cancellation."""


def cause_of(error: BaseException, verdict: End | None) -> End:
    """Why a session is over that ended with ``error``."""
    match error:
        case StreamClosed():
            return error.reason
        case RemoteProtocolError() | NoiseError():
            return Ended.PROTOCOL
        case DecodeError():
            return Cause.MALFORMED_MESSAGE
        case Disconnect():
            return error.cause
        case asyncio.CancelledError():
            return verdict or Cause.STOPPED
    return Cause.HANDLER_FAILED


def _is_loss_of(peer: Peer, error: Exception) -> bool:
    """Whether ``error`` says that this peer is gone, and not another one."""
    return isinstance(error, StreamClosed) and peer.unreachable


def _forget_cancellation(task: asyncio.Task[Any] | None) -> None:
    """A cancellation of ours ends here: the task goes on."""
    if sys.version_info >= (3, 11) and task is not None:
        task.uncancel()


class Service(Generic[PeerT, HandlerT]):
    """Base of :class:`Sv2ServerService` and :class:`Sv2ClientService`."""

    def __init__(
        self,
        logger: logging.Logger,
        handlers: Iterable[HandlerT],
        *,
        layers: Sequence[Layer],
        handler_timeout: float | None,
        inactivity_limit: float | None,
        drain: float,
        sibling: Sibling | None,
    ) -> None:
        self._logger = logger
        self._handlers: dict[int, HandlerT] = {handler.protocol: handler for handler in handlers}
        self._handler_timeout = handler_timeout
        self._inactivity_limit = inactivity_limit
        self._drain = drain
        self._sibling = sibling
        self._stack: Handle = stack(layers, self._dispatch)
        self._numbers = itertools.count(1)
        # Sessions from their first moment; peers from the success of their setup.
        self._sessions: set[PeerT] = set()
        self._peers: dict[int, PeerT] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._began = False
        self._started: list[HandlerT] = []
        self._stopping = False
        self._stopper: asyncio.Task[None] | None = None
        self.stats = ServiceStats()

    # Its life.

    def _begin(self) -> None:
        if self._began:
            raise RuntimeError("a service starts once")
        self._began = True

    def _start_background(self) -> None:
        self.spawn(self._watch(), "sv2 watch")
        if self._sibling is not None:
            self.spawn(self._sibling.serve(self._answer_sibling), "sv2 sibling")

    async def stop(self) -> None:
        """Stop: take no more messages, let those in hand finish, send what is queued, close.

        Bounded: ``drain`` seconds for the messages in hand, then ``options.timeouts.close`` for
        the queues, and what was left running is cancelled. ``on_disconnect`` is called for every
        connection, and ``on_stop`` for every handler. Called within the handling of a message,
        which is in hand itself, it only begins to stop.
        """
        if self._stopper is None:
            self._stopping = True
            self._stopper = asyncio.get_running_loop().create_task(self._stop(), name="sv2 stop")
        task = asyncio.current_task()
        if not any(peer._worker is task for peer in self._sessions):
            await asyncio.shield(self._stopper)

    async def _stop(self) -> None:
        await self._stop_sessions()
        await self._close_net()
        if self._sibling is not None:
            self._sibling.close()
        await self._cancel(set(self._background))
        await self._stop_handlers()

    async def _close_net(self) -> None:
        """Close what is not a session."""

    async def _stop_handlers(self) -> None:
        while self._started:
            handler = self._started.pop()
            try:
                await within(self._handler_timeout, handler.on_stop())
            except Exception as error:
                self.stats.handler_errors += 1
                name, kind = type(handler).__name__, type(error).__name__
                self._log(logging.ERROR, "stop-failed", handler=name, error=kind, at=where(error))

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    # For handlers and for the outside.

    @property
    def protocols(self) -> frozenset[Protocol]:
        """The subprotocols that are supported."""
        return frozenset(handler.protocol for handler in self._handlers.values())

    @property
    def sibling(self) -> Sibling:
        """Our end of the pair with the sibling service. :class:`NoSibling` if there is none."""
        if self._sibling is None:
            raise NoSibling("this service was made without a sibling")
        return self._sibling

    async def _answer_sibling(self, protocol: Protocol, request: object) -> object:
        handler = self._handlers.get(protocol)
        if handler is None:
            raise ServiceError(f"no handler for {protocol.name}")
        return await within(self._handler_timeout, handler.on_sibling(request))

    def spawn(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Run ``work`` in the background until the service stops, which cancels it.

        What it raises is logged and counted as a handler's error.
        """
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._work_done)
        return task

    def _work_done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.stats.handler_errors += 1
            self._log(
                logging.ERROR,
                "background-failed",
                task=task.get_name(),
                error=type(error).__name__,
                at=where(error),
            )

    async def inject(self, peer_id: int, message: AnyMessage) -> None:
        """Handle ``message`` as if that peer had sent it now: through the layers to the handler,
        after the message that is being handled; what is replied goes to the peer.

        For tests. Returns when the handler is done. :class:`NotConnected` if there is no such
        peer; :class:`Disconnect` if the message ended the connection.
        """
        peer = self._peers.get(peer_id)
        if peer is None:
            raise NotConnected(f"no peer {peer_id}")
        try:
            await self.spawn(self._deliver(peer, message), "inject")
        except Disconnect as ended:
            self._end(peer, ended.cause)
            raise

    # The life of a connection.

    async def _open(self, peer: PeerT) -> HandlerT:
        """Set up; the handler of what was agreed on. Raises what ends the session."""
        raise NotImplementedError

    async def _dispatch(self, peer: Peer, message: AnyMessage) -> Reply:
        """The innermost handle: what the service answers itself, and the handler's call."""
        raise NotImplementedError

    async def _session(self, peer: PeerT) -> None:
        """All of one connection. Returns when it is over; only a foreign cancellation raises."""
        peer._task = peer._worker = asyncio.current_task()
        self._sessions.add(peer)
        handler: HandlerT | None = None
        note = ""
        try:
            if self._stopping:
                raise Disconnect(cause=Cause.STOPPED)
            handler = await self._open(peer)
            await self._live(peer, handler)
        except (Sv2Error, asyncio.CancelledError) as error:
            peer.ended = cause_of(error, peer._verdict)
            if isinstance(error, Disconnect):
                note = error.note
            if isinstance(error, asyncio.CancelledError):
                if not peer._verdict and not self._stopping:
                    raise
                _forget_cancellation(peer._task)
        finally:
            self._peers.pop(peer.id, None)
            self._on_gone(peer)
            peer.ended = peer.ended or Cause.HANDLER_FAILED
            self.stats.ended[peer.ended] += 1
            self._log_peer(logging.INFO, "ended", peer, cause=peer.ended, note=note or None)
            if handler is not None:
                await self._farewell(peer, handler)
            self._sessions.discard(peer)

    async def _live(self, peer: PeerT, handler: HandlerT) -> None:
        self.stats.connected += 1
        self._log_peer(logging.INFO, "connected", peer, protocol=peer.protocol)
        # Before on_connect, so that a broadcast meanwhile misses nobody.
        self._peers[peer.id] = peer
        try:
            async with peer.turn:
                await self._greet(peer, handler)
            self._on_ready(peer)
            in_a_row = 0
            while not peer._leaving:
                message = await peer.stream.receive()
                peer._last_message = asyncio.get_running_loop().time()
                await self._deliver(peer, message)
                in_a_row = in_a_row + 1 if peer.stream.buffered else 0
                if in_a_row == _FAIR_SHARE:
                    in_a_row = 0
                    await asyncio.sleep(0)
        except BaseException:
            # What was sent meanwhile may fail; on_disconnect is what tells the handler.
            self._peers.pop(peer.id, None)
            raise
        raise Disconnect(cause=Cause.STOPPED)

    def _on_ready(self, peer: PeerT) -> None:
        """``on_connect`` is done."""

    def _on_gone(self, peer: PeerT) -> None:
        """The session is over, ``on_disconnect`` comes next."""

    async def _greet(self, peer: PeerT, handler: HandlerT) -> None:
        try:
            reply = await self._guard(peer, handler.on_connect(peer))
            await self._send(peer, reply)
        except Disconnect:
            raise
        except Exception as error:
            if _is_loss_of(peer, error):
                raise
            self._note_error(peer, "on_connect", error)
            raise Disconnect(cause=Cause.HANDLER_FAILED) from error

    async def _farewell(self, peer: PeerT, handler: HandlerT) -> None:
        try:
            await self._guard(peer, handler.on_disconnect(peer))
        except Disconnect:
            pass
        except Exception as error:
            if not _is_loss_of(peer, error):
                self._note_error(peer, "on_disconnect", error)

    async def _deliver(self, peer: PeerT, message: AnyMessage) -> None:
        """Handle one message and send the reply. Raises Disconnect to end the session."""
        async with peer.turn:
            try:
                reply = await self._guard(peer, self._stack(peer, message))
                await self._send(peer, reply)
            except Disconnect:
                raise
            except Exception as error:
                if _is_loss_of(peer, error):
                    return  # receive() has what is still here of this peer, and then says why
                self._note_error(peer, type(message).__name__, error)
                await self._judge(peer, message, error)

    async def _judge(self, peer: PeerT, message: AnyMessage, error: Exception) -> None:
        """Ask the handler whether its error is the end of the connection."""
        handler = self._handler_of(peer)
        try:
            fatal = await self._guard(peer, handler.on_error(peer, message, error))
        except Disconnect:
            raise
        except Exception as second:
            self._note_error(peer, "on_error", second)
            fatal = True
        if fatal:
            raise Disconnect(cause=Cause.HANDLER_FAILED) from error

    def _handler_of(self, peer: PeerT) -> HandlerT:
        return self._handlers[peer.protocol]

    async def _send(self, peer: PeerT, reply: Reply) -> None:
        for message in replies(reply):
            await peer.send(message)

    async def _guard(self, peer: PeerT, foreign: Awaitable[_T]) -> _T:
        """Await code of a handler or layer; the watch cancels it when it takes too long."""
        task = peer._worker = asyncio.current_task()
        peer._busy_since = asyncio.get_running_loop().time()
        peer._overdue = False
        try:
            return await foreign
        except asyncio.CancelledError:
            if not peer._overdue:
                raise
            _forget_cancellation(task)
            raise Disconnect(cause=Cause.HANDLER_TIMEOUT) from None
        finally:
            peer._busy_since = None

    # Time.

    async def _watch(self) -> None:
        """Look after the clocks of all sessions, until cancelled."""
        limits = [x for x in (self._handler_timeout, self._inactivity_limit) if x is not None]
        if not limits:
            return
        tick = min(max(min(limits) / 4, 0.01), 1.0)
        while True:
            await asyncio.sleep(tick)
            now = asyncio.get_running_loop().time()
            for peer in tuple(self._sessions):
                self._check(peer, now)

    def _check(self, peer: PeerT, now: float) -> None:
        if peer._busy_since is not None:
            self._check_busy(peer, now - peer._busy_since)
        elif (
            self._inactivity_limit is not None
            and peer.id in self._peers
            and not peer.turn.locked()
            and now - peer._last_message > self._inactivity_limit
        ):
            self._end(peer, Cause.INACTIVE)

    def _check_busy(self, peer: PeerT, busy: float) -> None:
        limit = self._handler_timeout
        if limit is None or busy <= limit:
            return
        if not peer._overdue:
            peer._overdue = True
            self.stats.handler_timeouts += 1
            self._log_peer(logging.ERROR, "handler-timeout", peer, seconds=limit)
            if peer._worker is not None:
                peer._worker.cancel()
        elif busy > 2 * limit and not peer._abandoned:
            # It ignores its cancellation. The task is its own; the socket is ours to free.
            self._log_peer(logging.ERROR, "handler-stuck", peer)
            peer._abandoned = True
            peer.ended = peer.ended or Cause.HANDLER_TIMEOUT
            peer.stream.abort()
            self._peers.pop(peer.id, None)

    def _end(self, peer: PeerT, cause: End) -> None:
        """End a session from outside its task."""
        if peer._task is not None and peer._verdict is None and peer.ended is None:
            peer._verdict = cause
            peer._task.cancel()

    # Stopping.

    async def _stop_sessions(self) -> None:
        """Let every session finish the message that it has in hand, for ``drain`` seconds."""
        tasks = set()
        for peer in tuple(self._sessions):
            if peer._task is None:
                continue
            tasks.add(peer._task)
            if peer.turn.locked():
                peer._leaving = True
            else:
                self._end(peer, Cause.STOPPED)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._drain)
            await self._cancel(late)

    async def _cancel(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, stuck = await asyncio.wait(tasks, timeout=_PATIENCE)
        self.stats.left_behind += len(stuck)
        for task in stuck:
            self._log(logging.ERROR, "task-left-behind", task=task.get_name())

    # Logging.

    def _note_error(self, peer: PeerT, what: str, error: Exception) -> None:
        """Count every error, and log the 1st, 2nd, 4th, 8th ... of a peer: one that found how to
        make a handler fail does not fill the log."""
        self.stats.handler_errors += 1
        peer._errors += 1
        if peer._errors & (peer._errors - 1):
            return
        self._log_peer(
            logging.ERROR,
            "handler-error",
            peer,
            message=what,
            error=type(error).__name__,
            at=where(error),
            errors=peer._errors,
        )

    def _log_peer(self, level: int, name: str, peer: PeerT, **fields: Value) -> None:
        if self._logger.isEnabledFor(level):
            host, port = peer.address
            self._log(level, name, peer=peer.id, host=host, port=port, **fields)

    def _log(self, level: int, name: str, **fields: Value) -> None:
        log_event(self._logger, level, name, **fields)
