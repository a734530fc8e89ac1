"""The server's side of the Template Distribution Protocol: templates out, solutions in."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sv2.net import QueueFull, StreamClosed
from sv2.node import Node, hash_text
from sv2.roles.template_provider.feed import Feed
from sv2.roles.template_provider.ledger import (
    Ledger,
    Orphans,
    StaleTemplate,
    UnknownTemplate,
    template_ids,
)
from sv2.roles.template_provider.selection import Budget, NoRoom
from sv2.roles.template_provider.solution import BadSolution, assemble
from sv2.roles.template_provider.source import SourceSettings, TemplateSource
from sv2.roles.template_provider.submitter import Submitter, TooManyPending
from sv2.roles.template_provider.template import Constraints, Template, Work
from sv2.services import (
    Client,
    Disconnect,
    Reply,
    Sv2ServerService,
    TemplateDistributionServerHandler,
)
from sv2_ffi import AnyMessage
from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    RequestTransactionData,
    RequestTransactionDataError,
    SubmitSolution,
)

__all__ = ["ProviderSettings", "ProviderStats", "TemplateProvider"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """When clients hear of better templates, and how long they may say nothing."""

    fee_threshold: int = 1000
    """Satoshis that a new template must pay more than the last one that a client got."""
    first_message: float = 30.0
    """Seconds from setup to CoinbaseOutputConstraints, before the connection is ended."""


@dataclass
class ProviderStats:
    """What has been done for clients. All are counts since the start."""

    templates: Counter[str] = field(default_factory=Counter)
    """NewTemplate sent: ``future`` or ``current``."""
    prev_hashes: int = 0
    data_requests: Counter[str] = field(default_factory=Counter)
    """RequestTransactionData: ``success`` or the error code."""
    solutions: Counter[str] = field(default_factory=Counter)
    """SubmitSolution: ``accepted``, ``repeated``, or why it was not taken."""
    no_room: int = 0
    caught_up: int = 0
    """Clients that were behind because they read slowly, and were told the newest then."""
    tips_served: int = 0
    tip_seconds: float = 0.0
    """From the notice of a new tip until the last client's SetNewPrevHash was queued."""


@dataclass
class _State:
    """What is known of one client."""

    ledger: Ledger = field(default_factory=Ledger)
    constraints: Constraints | None = None
    behind: bool = False
    """Its queue is full: it hears the newest when there is room again."""
    deadline: asyncio.TimerHandle | None = None


class TemplateProvider(TemplateDistributionServerHandler):
    """Serves the templates of one node. The service listens once the node gave the first.

    Each client has ids of its own, which rise strictly; see `ledger` for what is remembered.
    """

    def __init__(
        self,
        node: Node,
        submitter: Submitter,
        settings: ProviderSettings | None = None,
        source: SourceSettings | None = None,
    ) -> None:
        self._submitter = submitter
        self._settings = settings or ProviderSettings()
        self._ids: Iterator[int] = template_ids()
        self._clients: dict[Client, _State] = {}
        self._orphans = Orphans()
        self._works: deque[Work] = deque(maxlen=2)
        self._service: Sv2ServerService | None = None
        self.stats = ProviderStats()
        self.source = TemplateSource(
            node,
            source or SourceSettings(),
            on_feed=self._serve_all,
            on_back=submitter.retry_now,
            reservations=self._reservations,
        )

    @property
    def clients(self) -> int:
        """Clients that have said what room they need."""
        return sum(state.constraints is not None for state in self._clients.values())

    @property
    def templates_kept(self) -> int:
        """Templates that are remembered, each once."""
        kept = {
            id(template)
            for state in self._clients.values()
            for _, template in state.ledger.newest(len(state.ledger))
        }
        return len(kept)

    async def on_start(self, service: Sv2ServerService) -> None:
        self._service = service
        following = service.spawn(self.source.follow(), "follow the node")
        ready = asyncio.ensure_future(self.source.ready.wait())
        try:
            await asyncio.wait({following, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()

    # Clients come and go.

    async def on_connect(self, peer: Client) -> Reply:
        state = self._clients[peer] = _State()
        loop = asyncio.get_running_loop()
        state.deadline = loop.call_later(self._settings.first_message, self._silent, peer)
        return None

    def _silent(self, client: Client) -> None:
        log.info("no CoinbaseOutputConstraints in time", extra={"peer": client.id})
        client.stream.abort()

    async def on_disconnect(self, peer: Client) -> None:
        state = self._clients.pop(peer, None)
        if state is None:
            return
        self._orphans.adopt(state.ledger)
        if state.deadline is not None:
            state.deadline.cancel()

    async def on_error(self, peer: Client, message: AnyMessage, error: Exception) -> bool:
        # A client that is not answered waits for ever; one that is disconnected comes back.
        return True

    async def on_coinbase_output_constraints(
        self, client: Client, message: CoinbaseOutputConstraints
    ) -> Reply:
        state = self._clients[client]
        feed = self.source.feed
        constraints = Constraints.of(message)
        if feed is not None:
            try:
                feed.budget(constraints)
            except NoRoom as error:
                # The protocol has no message for it, and silence would look like a dead node.
                self.stats.no_room += 1
                raise Disconnect(f"constraints leave no room for a block: {error}") from None
        if state.deadline is not None:
            state.deadline.cancel()
            state.deadline = None
        state.constraints = constraints
        state.ledger.work = None
        self._bring_up_to_date(client, state)
        return None

    # Templates.

    async def _serve_all(self, feed: Feed) -> None:
        """Tell every client what it does not know yet, those with the commonest needs first."""
        if feed.work not in self._works:
            self._works.append(feed.work)
            self._orphans.keep_only(self._works)
        groups: defaultdict[Constraints, list[Client]] = defaultdict(list)
        for client, state in self._clients.items():
            if state.constraints is not None:
                groups[state.constraints].append(client)
        new_work = any(s.ledger.work not in (None, feed.work) for s in self._clients.values())
        for members in sorted(groups.values(), key=len, reverse=True):
            for client in members:
                current = self._clients.get(client)
                if current is not None:
                    self._bring_up_to_date(client, current)
            # A template for other constraints takes milliseconds to build.
            await asyncio.sleep(0)
        self._note_served(feed, new_work)

    def _note_served(self, feed: Feed, new_work: bool) -> None:
        source, now = self.source, asyncio.get_running_loop().time()
        if source.tip_seen_at is not None:
            self.stats.tips_served += 1
            self.stats.tip_seconds += now - source.tip_seen_at
            source.tip_seen_at = None
        if new_work:
            tip = hash_text(feed.work.previous_hash)
            told = {"tip": tip, "height": feed.snapshot.height, "clients": self.clients}
            log.info("clients were told of new work", extra=told)

    def _reservations(self, feed: Feed) -> Iterable[Budget]:
        counted = Counter(s.constraints for s in self._clients.values() if s.constraints)
        return [feed.budget(constraints) for constraints, _ in counted.most_common()]

    def _template_for(self, constraints: Constraints) -> tuple[Feed, Template] | None:
        feed = self.source.feed
        if feed is None:
            return None
        budget = feed.budget(constraints)
        key = (budget.reserved_weight, budget.reserved_sigops)
        feed = self.source.reserved.get(key, feed)
        return feed, feed.template_for(constraints)

    def _bring_up_to_date(self, client: Client, state: _State) -> None:
        """Queue what the client is to know now. Does nothing where it knows or is behind."""
        if state.behind:
            return
        messages = self._due(client, state)
        for position, message in enumerate(messages):
            try:
                client.send_nowait(message)
            except QueueFull:
                state.behind = True
                assert self._service is not None
                self._service.spawn(self._catch_up(client, state, messages[position:]), "catch up")
                return
            except StreamClosed:
                return  # its session ends by itself

    async def _catch_up(
        self, client: Client, state: _State, messages: Sequence[AnyMessage]
    ) -> None:
        """Tell a slow reader what it missed, as it makes room: the newest, not what came between.
        One that reads nothing is ended by the stream's own time limit, which ends this too."""
        try:
            while messages:
                for message in messages:
                    await client.send(message)
                messages = self._due(client, state)
        except StreamClosed:
            return
        state.behind = False
        self.stats.caught_up += 1

    def _due(self, client: Client, state: _State) -> Sequence[AnyMessage]:
        """What the client does not know and is to hear, noted as told."""
        if state.constraints is None:
            return ()
        try:
            found = self._template_for(state.constraints)
        except NoRoom:
            self.stats.no_room += 1
            client.stream.abort()
            return ()
        if found is None:
            return ()
        feed, template = found
        ledger = state.ledger
        future = template.work != ledger.work
        if not future and template.fees - ledger.fees < max(1, self._settings.fee_threshold):
            return ()
        template_id = next(self._ids)
        ledger.add(template_id, template)
        ledger.work, ledger.fees = template.work, template.fees
        self.stats.templates["future" if future else "current"] += 1
        messages: list[AnyMessage] = [template.new_template(template_id, future=future)]
        if future:
            messages.append(template.set_new_prev_hash(template_id, feed.header_time))
            self.stats.prev_hashes += 1
        return messages

    # Requests and solutions.

    async def on_request_transaction_data(
        self, client: Client, message: RequestTransactionData
    ) -> Reply:
        template_id = message.template_id
        try:
            template = self._clients[client].ledger.current(template_id)
        except UnknownTemplate as error:
            stale = isinstance(error, StaleTemplate)
            code = "stale-template-id" if stale else "template-id-not-found"
            self.stats.data_requests[code] += 1
            return RequestTransactionDataError(template_id, code)
        self.stats.data_requests["success"] += 1
        return template.transaction_data(template_id)

    async def on_submit_solution(self, client: Client, message: SubmitSolution) -> Reply:
        verdict = await self._judge(client, message)
        self.stats.solutions[verdict] += 1
        level = logging.WARNING if verdict == "accepted" else logging.ERROR
        found = {"peer": client.id, "template": message.template_id, "verdict": verdict}
        log.log(level, "a client handed in a solution", extra=found)
        return None

    async def _judge(self, client: Client, message: SubmitSolution) -> str:
        try:
            block = assemble(self._solved_template(client, message.template_id), message)
            if block.remarks:
                departs = {"block": block.name, "remarks": ",".join(block.remarks)}
                log.warning("a solution departs from its template", extra=departs)
            new = await self._submitter.accept(block)
        except UnknownTemplate:
            return "template-id-not-found"
        except BadSolution as error:
            return error.code
        except TooManyPending:
            return "too-many-pending"
        return "accepted" if new else "repeated"

    def _solved_template(self, client: Client, template_id: int) -> Template:
        """A template of this client, on this connection or on one that has ended."""
        try:
            return self._clients[client].ledger.kept(template_id)
        except UnknownTemplate:
            template = self._orphans.find(template_id)
            if template is None:
                raise
            return template
