"""What goes wrong in a service, as data."""

from __future__ import annotations

import enum

from sv2.net import Ended
from sv2_ffi import AnyMessage, Sv2Error


class Cause(enum.Enum):
    """Why a service ended a connection, where the connection itself was sound.

    What ends a connection from below (its peer, its time-outs) is :class:`sv2.net.Ended`.
    """

    REFUSED = "setup refused"
    SETUP_UNACCEPTABLE = "the answer to setup is unacceptable"
    UNEXPECTED_MESSAGE = "a message of another protocol or of the wrong side"
    MALFORMED_MESSAGE = "a malformed message"
    EXTENSIONS_REQUIRED = "went on without the required extensions"
    DISMISSED = "a handler or a layer ended it"
    HANDLER_FAILED = "a handler failed where the connection depends on it"
    HANDLER_TIMEOUT = "a handler took too long"
    RATE = "more messages than its rate allows"
    INACTIVE = "no message for too long"
    RECONNECT = "the server sent us elsewhere"
    STOPPED = "the service stops"


End = Cause | Ended


class ServiceError(Sv2Error):
    """Base class of the errors of services."""


class ConfigError(ServiceError, ValueError):
    """Handlers and configuration do not belong together."""


class Disconnect(ServiceError):
    """Raised by a handler or a layer to end the connection whose message is being handled.

    ``cause`` is counted, ``note`` is logged: say in it what a reader of the log needs, and nothing
    that the peer wrote.
    """

    def __init__(self, note: str = "", cause: Cause = Cause.DISMISSED) -> None:
        super().__init__(note or cause.value)
        self.note = note
        self.cause = cause


class UnexpectedMessage(Disconnect):
    """A message that the receiving side of the negotiated protocol does not take."""

    def __init__(self, message: AnyMessage) -> None:
        super().__init__(type(message).__name__, Cause.UNEXPECTED_MESSAGE)


class NotConnected(ServiceError):
    """There is no connection to send on."""
