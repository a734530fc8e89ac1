"""Siblings: a server service and a client service of one process that call each other.

::

    for_server, for_client = siblings()
    server = Sv2ServerService(server_config, mining=Pool(), sibling=for_server)
    client = Sv2ClientService(client_config, template_distribution=Feed(), sibling=for_client)

and in a handler of the client, once ``on_start`` gave it its service::

    response = await service.sibling.request(Protocol.MINING, new_template)

which calls ``on_sibling(new_template)`` of the mining handler of the server. An end holds two
queues and knows neither its service nor the other end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sv2.connection import Protocol
from sv2.deadline import within
from sv2.services.errors import ServiceError

Answer = Callable[[Protocol, object], Awaitable[object]]


class SiblingError(ServiceError):
    """The sibling's handler raised; its exception is the ``__cause__``."""


class SiblingClosed(ServiceError):
    """The pair is closed: one of the two services has stopped."""


class NoSibling(ServiceError):
    """This service has no sibling."""


class _Request(NamedTuple):
    protocol: Protocol
    request: object
    response: asyncio.Future[object]


class _Channel:
    """Requests in one direction, in the order of the calls."""

    def __init__(self, max_pending: int) -> None:
        self.queue: asyncio.Queue[_Request] = asyncio.Queue(max_pending)
        self.closed = False

    def close(self) -> None:
        """Answer all that waits here; whoever waits for room finds it closed."""
        self.closed = True
        while not self.queue.empty():
            _refuse(self.queue.get_nowait().response)


def _refuse(response: asyncio.Future[object]) -> None:
    if not response.done():
        response.set_exception(SiblingClosed("the sibling has stopped"))


class Sibling:
    """One end of a pair, made by :func:`siblings`; each service gets one."""

    def __init__(self, outgoing: _Channel, incoming: _Channel) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    @property
    def closed(self) -> bool:
        """Whether one of the two services has stopped."""
        return self._outgoing.closed

    async def request(
        self, protocol: Protocol, request: object, *, timeout: float = 10.0
    ) -> object:
        """Ask the sibling's handler of ``protocol``, and give its response.

        Requests are answered one at a time, in the order of the calls; one that calls back into a
        handler which waits for it ends with the time-out. Raises :class:`SiblingError` for what
        the handler raised, :class:`SiblingClosed`, and TimeoutError after ``timeout`` seconds,
        those of waiting for room in the queue included. What timed out is not handled later.
        """
        try:
            return await within(timeout, self._exchange(protocol, request))
        except asyncio.TimeoutError:
            raise TimeoutError("no response from the sibling in time") from None

    async def _exchange(self, protocol: Protocol, request: object) -> object:
        channel = self._outgoing
        if channel.closed:
            raise SiblingClosed("the sibling has stopped")
        response: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        try:
            await channel.queue.put(_Request(protocol, request, response))
            if channel.closed:
                channel.close()
            return await response
        finally:
            response.cancel()

    async def serve(self, answer: Answer) -> None:
        """Answer requests with ``answer(protocol, request)`` until cancelled, or closed by the
        other end. For services."""
        while not self.closed:
            protocol, request, response = await self._incoming.queue.get()
            if response.done():
                continue
            try:
                result = await answer(protocol, request)
            except Exception as error:
                failure = SiblingError(type(error).__name__)
                failure.__cause__ = error
                if not response.done():
                    response.set_exception(failure)
            except BaseException:
                _refuse(response)
                raise
            else:
                if not response.done():
                    response.set_result(result)

    def close(self) -> None:
        """End both directions: all that waits is answered with :class:`SiblingClosed`."""
        self._outgoing.close()
        self._incoming.close()


def siblings(max_pending: int = 64) -> tuple[Sibling, Sibling]:
    """A pair of ends; in each direction at most ``max_pending`` requests wait, and whoever makes
    one more waits for room."""
    if max_pending < 1:
        raise ValueError("a queue holds one request at least")
    one, other = _Channel(max_pending), _Channel(max_pending)
    return Sibling(one, other), Sibling(other, one)
