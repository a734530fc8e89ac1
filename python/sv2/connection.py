"""One Sv2 connection as a state machine: bytes in, messages out, and back. No I/O in here.

Use it as h11 or wsproto are used. A client over Noise, with the socket left out::

    connection = Connection.client(CertificatePolicy(authority_key))
    write(connection.data_to_send())                      # the first act of the handshake
    while connection.state is State.HANDSHAKE:
        connection.receive_data(read())
        connection.next_message()
    connection.send(SetupConnection(...))
    write(connection.data_to_send())
    connection.receive_data(read())
    while (message := connection.next_message()) is not None:
        ...                                               # SetupConnectionSuccess, and on

The driver calls :meth:`~Connection.receive_data` with whatever arrived, pulls messages with
:meth:`~Connection.next_message` until it gives None, and writes :meth:`~Connection.data_to_send`
after each of these and after each :meth:`~Connection.send`. Because messages are pulled, a driver
that stops pulling stops the peer: it reads no more than :attr:`~Connection.read_size` bytes ahead.

What goes wrong:

- :class:`LocalProtocolError`: we tried what the state does not allow. Nothing was sent, the
  connection is as it was.
- :class:`RemoteProtocolError` and :class:`~sv2.noise.NoiseError` (certificates, handshake,
  decryption): the peer's fault, and final. The state is FAILED, the transport is to be closed.
- :class:`sv2_ffi.DecodeError` from ``next_message`` in state OPEN: one message was malformed. The
  stream is intact, so the driver may go on or close; what the next call gives is the next message.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator

import sv2_ffi
from sv2.extensions import Negotiation
from sv2.framing import FrameWriter, Inbox, frame_source
from sv2.noise import (
    Certificate,
    CertificatePolicy,
    Engine,
    NoiseError,
    ServerIdentity,
    Session,
    default_engine,
)
from sv2.noise.engine import ACT_1_SIZE, ACT_2_SIZE, Buffer
from sv2_ffi import AnyMessage, DecodeError, FrameTooLarge, Sv2Error, Tlv, UnknownMessage
from sv2_ffi.common import (
    ChannelEndpointChanged,
    Reconnect,
    SetupConnection,
    SetupConnectionError,
    SetupConnectionSuccess,
)
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess

MAX_TLVS = 64
"""How many TLVs of a message are looked at. No extension has more than one; a frame has room for
millions."""

# Until setup is done, a peer can make us hold this much and no more: the largest SetupConnection
# is a frame of 1,297 bytes (1,335 sealed), which leaves room for TLVs.
MAX_FRAME_BEFORE_SETUP = 1536
MAX_HELD_BEFORE_SETUP = 2048
# After it, this much may lie here unread besides the frame that is being put together: the largest
# sealed chunk (65,535 bytes) and some.
READ_AHEAD = 69632

_SMALL_FRAME = 256 * 1024
_LARGEST_FRAME = sv2_ffi.HEADER_SIZE + sv2_ffi.MAX_PAYLOAD_SIZE


class Role(enum.Enum):
    """Which end of the connection we are."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> Role:
        """The other end."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class Plain(enum.Enum):
    """Says that a connection is to be in the clear, which is never the default."""

    PLAIN = "plain"


PLAIN = Plain.PLAIN
ClientSecurity = CertificatePolicy | Plain
ServerSecurity = ServerIdentity | Plain


class Protocol(enum.IntEnum):
    """The subprotocols that SetupConnection can ask for (spec 3.6.1)."""

    MINING = 0
    JOB_DECLARATION = 1
    TEMPLATE_DISTRIBUTION = 2


# The largest frame that we accept after setup, by what we are and what the connection speaks.
# Only these messages are large: DeclareMiningJob and ProvideMissingTransactions.Success to a
# server, RequestTransactionData.Success to a client. 64 KiB fields fit the small limit.
MAX_FRAME: dict[tuple[Role, int], int] = {
    (Role.CLIENT, Protocol.MINING): _SMALL_FRAME,
    (Role.SERVER, Protocol.MINING): _SMALL_FRAME,
    (Role.CLIENT, Protocol.JOB_DECLARATION): _SMALL_FRAME,
    (Role.SERVER, Protocol.JOB_DECLARATION): _LARGEST_FRAME,
    (Role.CLIENT, Protocol.TEMPLATE_DISTRIBUTION): _LARGEST_FRAME,
    (Role.SERVER, Protocol.TEMPLATE_DISTRIBUTION): _SMALL_FRAME,
}


class State(enum.Enum):
    """How far a connection is."""

    # Members are unique, and Enum's own hash costs as much as the rest of a transition.
    __hash__ = object.__hash__

    HANDSHAKE = "the Noise handshake is under way"
    SETUP = "the client's SetupConnection is due"
    ANSWER = "the server's answer to SetupConnection is due"
    OPEN = "set up: messages go both ways"
    REFUSED = "setup was refused: nothing follows but the end"
    CLOSED = "ended"
    FAILED = "broken by the peer"


class Event(enum.Enum):
    """What moves a connection from one state to another."""

    __hash__ = object.__hash__

    SECURED = "handshake done"
    SETUP = "SetupConnection"
    ACCEPT = "SetupConnection.Success"
    REFUSE = "SetupConnection.Error"
    MESSAGE = "any other message"
    END = "end of the stream, or closed by us"


# The whole machine, the same at both ends. What is not in a row is a protocol error in that state.
TRANSITIONS: dict[State, dict[Event, State]] = {
    State.HANDSHAKE: {Event.SECURED: State.SETUP, Event.END: State.CLOSED},
    State.SETUP: {Event.SETUP: State.ANSWER, Event.END: State.CLOSED},
    State.ANSWER: {
        Event.ACCEPT: State.OPEN,
        Event.REFUSE: State.REFUSED,
        Event.END: State.CLOSED,
    },
    State.OPEN: {Event.MESSAGE: State.OPEN, Event.END: State.CLOSED},
    State.REFUSED: {Event.END: State.CLOSED},
    State.CLOSED: {Event.END: State.CLOSED},
    State.FAILED: {Event.END: State.FAILED},
}

EVENTS: dict[type[AnyMessage], Event] = {
    SetupConnection: Event.SETUP,
    SetupConnectionSuccess: Event.ACCEPT,
    SetupConnectionError: Event.REFUSE,
}

# Messages that only one end may send (spec 3.6 and extensions/0x0001). Those of the subprotocols
# are for the roles to judge, which know what they speak.
SENDERS: dict[type[AnyMessage], Role] = {
    SetupConnection: Role.CLIENT,
    SetupConnectionSuccess: Role.SERVER,
    SetupConnectionError: Role.SERVER,
    ChannelEndpointChanged: Role.SERVER,
    Reconnect: Role.SERVER,
    RequestExtensions: Role.CLIENT,
    RequestExtensionsSuccess: Role.SERVER,
    RequestExtensionsError: Role.SERVER,
}


class ProtocolError(Sv2Error):
    """Base class of the errors of a connection."""


class LocalProtocolError(ProtocolError):
    """We asked for what the state of the connection does not allow."""


class Fault(enum.Enum):
    """How a peer broke a connection."""

    UNEXPECTED_MESSAGE = "a message that does not belong here"
    MALFORMED_SETUP = "a malformed message before setup was done"
    FRAME_TOO_LARGE = "a frame over the limit"
    HELD_TOO_MUCH = "too many bytes before setup was done"
    TRUNCATED = "the stream ended within a message"


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; ``fault`` says how. The connection is over."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault


class Connection:
    """One end of one connection. Make it with :meth:`client` or :meth:`server`."""

    def __init__(self, role: Role, state: State, max_frame: int | None) -> None:
        if max_frame is not None and max_frame < sv2_ffi.HEADER_SIZE:
            raise ValueError(f"max_frame is below {sv2_ffi.HEADER_SIZE}")
        self._role = role
        self._state = state
        self._max_frame = max_frame
        self._inbox = Inbox()
        self._outbox: list[bytes] = []
        self._reader = frame_source(self._inbox, None, MAX_FRAME_BEFORE_SETUP)
        self._writer = FrameWriter(None)
        self._act_size = 0
        self._take_act: Callable[[bytearray], Session] | None = None
        self._certificate: Certificate | None = None
        self._handshake_hash: bytes | None = None
        self._setup: SetupConnection | None = None
        self._answer: SetupConnectionSuccess | SetupConnectionError | None = None
        self._negotiation = Negotiation()
        self._failure: Sv2Error | None = None
        self._eof = False

    @classmethod
    def client(
        cls,
        security: ClientSecurity,
        *,
        engine: Engine | None = None,
        max_frame: int | None = None,
    ) -> Connection:
        """Our end of a connection that we open.

        ``security`` says whom to believe, or PLAIN. ``max_frame`` replaces the row of MAX_FRAME:
        the largest plain frame in bytes, header included, that is accepted after setup;
        :class:`ValueError` below the 6 of a header.
        """
        if isinstance(security, Plain):
            return cls(Role.CLIENT, State.SETUP, max_frame)
        self = cls(Role.CLIENT, State.HANDSHAKE, max_frame)
        handshake = (engine or default_engine()).initiator()
        policy = security

        def take_act_2(act: bytearray) -> Session:
            self._certificate, session = handshake.read_act_2(act)
            policy.check(self._certificate)
            return session

        self._act_size, self._take_act = ACT_2_SIZE, take_act_2
        self._outbox.append(handshake.write_act_1())
        return self

    @classmethod
    def server(
        cls,
        security: ServerSecurity,
        *,
        engine: Engine | None = None,
        max_frame: int | None = None,
    ) -> Connection:
        """Our end of a connection that was opened to us; ``security`` is what we show, or PLAIN."""
        if isinstance(security, Plain):
            return cls(Role.SERVER, State.SETUP, max_frame)
        self = cls(Role.SERVER, State.HANDSHAKE, max_frame)
        handshake = (engine or default_engine()).responder(security)

        def take_act_1(act: bytearray) -> Session:
            answer, session = handshake.read_act_1(act)
            self._outbox.append(answer)
            return session

        self._act_size, self._take_act = ACT_1_SIZE, take_act_1
        return self

    # What is known of the connection.

    @property
    def role(self) -> Role:
        """Which end we are."""
        return self._role

    @property
    def state(self) -> State:
        """How far the connection is."""
        return self._state

    @property
    def certificate(self) -> Certificate | None:
        """What the server showed us, also when it was then refused. None on the server's side,
        in the clear, and before."""
        return self._certificate

    @property
    def handshake_hash(self) -> bytes | None:
        """32 bytes that name the Noise session, the same at both ends and not secret."""
        return self._handshake_hash

    @property
    def setup(self) -> SetupConnection | None:
        """What the client asked for, once it has."""
        return self._setup

    @property
    def answer(self) -> SetupConnectionSuccess | SetupConnectionError | None:
        """What the server answered, once it has."""
        return self._answer

    @property
    def extensions(self) -> frozenset[int]:
        """The extensions that both ends agreed on."""
        return self._negotiation.active

    @property
    def negotiating(self) -> bool:
        """Whether a RequestExtensions waits for its answer."""
        return self._negotiation.pending

    @property
    def buffered(self) -> int:
        """Received bytes that are held here: those unread and those of an unfinished frame."""
        return len(self._inbox) + self._reader.held

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of a handshake act or a frame are here whose rest is still to come, or
        that nobody has pulled."""
        return self._reader.mid_frame

    @property
    def read_size(self) -> int:
        """How many bytes the driver may read now. At 0 it should stop reading until messages were
        pulled, or for good once the connection is over."""
        match self._state:
            case State.OPEN:
                return max(0, READ_AHEAD - len(self._inbox))
            case State.REFUSED | State.CLOSED | State.FAILED:
                return 0
            case _:
                return max(0, MAX_HELD_BEFORE_SETUP - self.buffered)

    # Receiving.

    def receive_data(self, data: Buffer) -> None:
        """Take bytes that arrived, in any portions. Never raises for what the peer did.

        Before setup is done no more than 2 KiB are held: a portion that exceeds that together
        with what is here breaks the connection. After it, pull before the next portion, as
        ``read_size`` says.
        """
        if self._eof:
            raise LocalProtocolError("data after the end of the stream")
        if self._state in (State.REFUSED, State.CLOSED, State.FAILED):
            return
        self._inbox.add(data)
        if self._state is not State.OPEN and self.buffered > MAX_HELD_BEFORE_SETUP:
            self._fail(
                RemoteProtocolError(
                    Fault.HELD_TOO_MUCH, f"{self.buffered}, the limit is {MAX_HELD_BEFORE_SETUP}"
                )
            )

    def receive_eof(self) -> None:
        """The peer will send no more. What is here can still be pulled."""
        self._eof = True

    def next_message(self) -> AnyMessage | None:
        """The next message, or None when more bytes are needed or the connection is over.

        Drives the handshake too, so call it after each :meth:`receive_data`. Raises what the
        module's text lists.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._pull()
        except (RemoteProtocolError, NoiseError) as error:
            self._fail(error)
            raise
        except FrameTooLarge as error:
            failure = RemoteProtocolError(Fault.FRAME_TOO_LARGE, str(error))
            self._fail(failure)
            raise failure from None

    def messages(self) -> Iterator[AnyMessage]:
        """The messages that are here, pulled one at a time."""
        while (message := self.next_message()) is not None:
            yield message

    def tlvs(self, message: AnyMessage) -> tuple[Tlv, ...]:
        """The TLVs at the end of a received message whose extensions were agreed on. All others
        are to be ignored (spec 3.4.3), and all behind the first :data:`MAX_TLVS`."""
        if isinstance(message, UnknownMessage) or not self._negotiation.active:
            return ()
        return self._negotiation.select(sv2_ffi.parse_tlvs(message.trailing, MAX_TLVS))

    # Sending.

    def send(self, message: AnyMessage, tlvs: Iterable[Tlv] = ()) -> None:
        """Queue a message, with TLVs behind its fields.

        :class:`LocalProtocolError` or :class:`sv2_ffi.EncodeError` when it cannot be sent; nothing
        has changed then."""
        tlvs = tuple(tlvs)
        self._check_sending(message, tlvs)
        self._outbox.append(self._writer.write(sv2_ffi.encode(message, tlvs)))
        self._follow(message)

    def data_to_send(self) -> bytes:
        """The bytes to write now, in the order they were queued; b"" when there are none."""
        match self._outbox:
            case []:
                return b""
            case [data]:
                pass
            case several:
                data = b"".join(several)
        self._outbox.clear()
        return data

    def abandon_negotiation(self) -> None:
        """Stop waiting for the answer to RequestExtensions: a server that does not know this
        extension ignores the request."""
        self._negotiation.abandon()

    def close(self) -> None:
        """End the connection from our side. Queued bytes can still be written; bytes that were
        received and not pulled are dropped."""
        self._enter(Event.END)

    # Inside.

    def _pull(self) -> AnyMessage | None:
        if self._state is State.HANDSHAKE:
            # Nothing can follow an act before its answer, so there is no message to look for.
            if not self._shake_hands():
                self._note_end()
            return None
        over = self._state is State.REFUSED or self._state is State.CLOSED
        frame = None if over else self._reader.next_frame()
        if frame is None:
            self._note_end()
            return None
        header, payload = frame
        try:
            message = sv2_ffi.decode_payload(header.extension_type, header.message_type, payload)
        except DecodeError as error:
            if self._state is State.OPEN:
                raise
            raise RemoteProtocolError(Fault.MALFORMED_SETUP, str(error)) from error
        if not self._may_send(self._role.peer, message):
            raise RemoteProtocolError(
                Fault.UNEXPECTED_MESSAGE, f"{type(message).__name__} in state {self._state.name}"
            )
        self._follow(message)
        return message

    def _note_end(self) -> None:
        """There is no message now: if the stream has ended, there will be none."""
        if not self._eof or self._state is State.CLOSED:
            return
        if self._reader.mid_frame and self._state is not State.REFUSED:
            raise RemoteProtocolError(
                Fault.TRUNCATED, f"{self.buffered} bytes of it came, in state {self._state.name}"
            )
        self._enter(Event.END)

    def _shake_hands(self) -> bool:
        act = self._inbox.take(self._act_size)
        if act is None:
            return False
        assert self._take_act is not None
        session = self._take_act(act)
        self._take_act = None
        self._handshake_hash = session.handshake_hash
        self._reader = frame_source(self._inbox, session.opener, MAX_FRAME_BEFORE_SETUP)
        self._writer = FrameWriter(session.sealer)
        self._enter(Event.SECURED)
        return True

    def _may_send(self, sender: Role, message: AnyMessage) -> bool:
        kind = type(message)
        if EVENTS.get(kind, Event.MESSAGE) not in TRANSITIONS[self._state]:
            return False
        return SENDERS.get(kind, sender) is sender

    def _check_sending(self, message: AnyMessage, tlvs: tuple[Tlv, ...]) -> None:
        name = type(message).__name__
        if not self._may_send(self._role, message):
            raise LocalProtocolError(
                f"a {self._role.value} cannot send {name} in state {self._state.name}"
            )
        if self._role is Role.CLIENT and self._negotiation.pending:
            raise LocalProtocolError(f"{name} must wait for the answer to RequestExtensions")
        for tlv in tlvs:
            if tlv.extension_type not in self._negotiation.active:
                raise LocalProtocolError(
                    f"a TLV of extension {tlv.extension_type:#06x}, which was not agreed on"
                )

    def _follow(self, message: AnyMessage) -> None:
        """Note what a message that passed in either direction means for the connection."""
        kind = type(message)
        if kind in SENDERS:
            self._negotiation.follow(message)
            self._follow_setup(message)
        self._enter(EVENTS.get(kind, Event.MESSAGE))

    def _follow_setup(self, message: AnyMessage) -> None:
        match message:
            case SetupConnection():
                self._setup = message
            case SetupConnectionSuccess():
                assert self._setup is not None
                self._answer = message
                limit = MAX_FRAME.get((self._role, self._setup.protocol), _SMALL_FRAME)
                self._reader.limit = limit if self._max_frame is None else self._max_frame
            case SetupConnectionError():
                self._answer = message

    def _enter(self, event: Event) -> None:
        self._state = TRANSITIONS[self._state][event]
        if self._state is State.REFUSED or self._state is State.CLOSED:
            self._drop_input()

    def _fail(self, failure: Sv2Error) -> None:
        self._failure = failure
        self._state = State.FAILED
        self._drop_input()

    def _drop_input(self) -> None:
        """Let go of what was received and of what could read it."""
        self._inbox.clear()
        self._take_act = None
        self._reader = frame_source(self._inbox, None, MAX_FRAME_BEFORE_SETUP)


class ConnectionPair:
    """A client and a server joined in memory, for tests.

    ``split`` cuts what one end sends into the portions in which the other receives it.
    """

    def __init__(
        self,
        client: Connection,
        server: Connection,
        split: Callable[[bytes], Iterable[bytes]] = lambda data: (data,),
    ) -> None:
        self.client = client
        self.server = server
        self._split = split

    def exchange(self) -> tuple[list[AnyMessage], list[AnyMessage]]:
        """Carry bytes both ways until none are left; what the client and the server received.

        Raises what :meth:`Connection.next_message` raises, at the end where it happens.
        """
        for_client: list[AnyMessage] = []
        for_server: list[AnyMessage] = []
        while self._carry(self.client, self.server, for_server) or self._carry(
            self.server, self.client, for_client
        ):
            pass
        return for_client, for_server

    def _carry(self, source: Connection, target: Connection, received: list[AnyMessage]) -> bool:
        data = source.data_to_send()
        for portion in self._split(data):
            target.receive_data(portion)
            received.extend(target.messages())
        return bool(data)

    def set_up(self, setup: SetupConnection, answer: SetupConnectionSuccess) -> None:
        """Bring both ends to OPEN."""
        self.exchange()
        self.client.send(setup)
        self.exchange()
        self.server.send(answer)
        self.exchange()
