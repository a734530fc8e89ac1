"""One Stratum V2 connection: a blocking socket, sv2_ffi on top, and a deadline on every wait."""

import socket
import sys
from types import TracebackType
from typing import TypeVar

import sv2_ffi

READ_SIZE = 65536
TIMEOUT_SECONDS = 10.0

M = TypeVar("M", bound=sv2_ffi.Message)


class PeerError(Exception):
    """The other side did something that ends the conversation; the text says what."""


def say(who: str, text: str) -> None:
    """One line of narration, on stderr: stdout is for what a program answers to another."""
    print(f"  {who:<15} | {text}", file=sys.stderr, flush=True)


class Connection:
    """Sends and receives whole messages; use it in a `with` block.

    `max_frame_size` counts a frame's header too. Allow what the other side has reason to send and
    no more: a longer frame ends the conversation as soon as its header is in.

    Raises:
        PeerError: from every method, on silence for longer than TIMEOUT_SECONDS, on a lost
            connection and on bytes that are not Stratum V2.
    """

    def __init__(self, sock: socket.socket, who: str, max_frame_size: int) -> None:
        sock.settimeout(TIMEOUT_SECONDS)
        self._socket = sock
        self._who = who
        self._decoder = sv2_ffi.Decoder(max_frame_size=max_frame_size)
        self._received: list[sv2_ffi.Message] = []

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, message: sv2_ffi.Message, meaning: str) -> None:
        """Encode a message and send it; `meaning` goes to the narration."""
        say(self._who, f"-> {message.name:<30} {meaning}")
        try:
            self._socket.sendall(sv2_ffi.encode(message))
        except OSError as error:
            raise PeerError(f"does not take {message.name}: {error}") from error

    def receive(self) -> sv2_ffi.Message | None:
        """The next message, or None when the peer has closed the connection between messages.

        Messages of a type that sv2_ffi does not know are skipped, as the protocol asks.
        """
        while not self._received:
            try:
                data = self._socket.recv(READ_SIZE)
            except TimeoutError:
                raise PeerError(f"was silent for {TIMEOUT_SECONDS:.0f} seconds") from None
            except OSError as error:
                raise PeerError(f"is gone: {error}") from error
            if not data and self._decoder.pending:
                raise PeerError("closed the connection in the middle of a message")
            if not data:
                return None
            try:
                for message in self._decoder.feed(data):
                    match message:
                        case sv2_ffi.UnknownMessage():
                            say(self._who, f"ignores {message.name}")
                        case _:
                            self._received.append(message)
            except sv2_ffi.Sv2Error as error:
                raise PeerError(f"sent what is no valid message: {error}") from error
        return self._received.pop(0)

    def expect(self, kind: type[M]) -> M:
        """The next message, which has to be of this class."""
        match self.receive():
            case None:
                raise PeerError(f"closed the connection instead of sending {kind.name}")
            case message if isinstance(message, kind):
                return message
            case message:
                raise PeerError(f"sent {message.name} instead of {kind.name}")

    def finish(self) -> None:
        """Say that nothing more comes, and wait until the peer has closed its side too."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise PeerError(f"is gone: {error}") from error
        if (message := self.receive()) is not None:
            raise PeerError(f"sent {message.name} after the end")
