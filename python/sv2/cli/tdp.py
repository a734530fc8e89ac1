"""Show the templates of a template provider as they come; on test networks solve them, too.

sv2 tdp stratum2+tcp://127.0.0.1:18447/9bXiEd8boQV...
sv2 tdp --plain 127.0.0.1:18447 --data         with the transactions of each template
sv2 tdp --plain 127.0.0.1:18447 --solve 1      find a block on regtest and hand it in

On a terminal it prints a table; into a pipe, or with --json, one JSON object a line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from sv2.address import Address, AddressError
from sv2.cli.output import CommandError, Output
from sv2.connection import PLAIN, ClientSecurity
from sv2.net import Options, SetupRefused, Stream, StreamClosed, Timeouts, connect
from sv2.net import run as run_loop
from sv2.node import hash_text
from sv2.noise import CertificatePolicy, KeyFormatError
from sv2.roles.template_provider.miner import NotSolvable, coinbase_for, script_of, solve
from sv2_ffi import Sv2Error
from sv2_ffi.common import SetupConnection
from sv2_ffi.template_distribution import (
    CoinbaseOutputConstraints,
    NewTemplate,
    RequestTransactionData,
    RequestTransactionDataError,
    RequestTransactionDataSuccess,
    SetNewPrevHash,
)

HELP = "show and solve a template provider's templates"

TEMPLATE_DISTRIBUTION, VERSION = 2, 2
REGTEST_BITS = 0x207FFFFF
MAX_KEPT = 64
"""Templates remembered; a provider sends one at a time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="stratum2+tcp://host:port/KEY, or host:port")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--unverified", action="store_true", help="believe any certificate")
    how.add_argument("--plain", action="store_true", help="connect in the clear")
    parser.add_argument(
        "--size", type=int, default=1000, metavar="BYTES", help="room for outputs (1000)"
    )
    parser.add_argument("--sigops", type=int, default=4, metavar="N", help="and sigops in them (4)")
    parser.add_argument("--data", action="store_true", help="fetch transaction data, too")
    parser.add_argument(
        "--solve", type=int, default=0, metavar="N", help="find N blocks and hand them in"
    )
    parser.add_argument("--payout", metavar="ADDRESS", help="whom they pay; anybody by default")
    parser.add_argument("--templates", type=int, metavar="N", help="end after N templates")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to connect")
    parser.add_argument("--wait", type=float, metavar="S", help="end after S seconds in any case")
    parser.add_argument("--json", action="store_true", help="JSON lines on a terminal, too")


def run(arguments: argparse.Namespace, output: Output) -> int:
    if not 0 <= arguments.size <= 0xFFFFFFFF or not 0 <= arguments.sigops <= 0xFFFF:
        raise CommandError("--size and --sigops are 32 and 16 bits")
    try:
        payout = script_of(arguments.payout)
        return run_loop(_Session(arguments, payout).run())
    except (AddressError, KeyFormatError) as error:
        raise CommandError(f"the address: {error}") from None
    except SetupRefused as refused:
        raise CommandError(f"setup refused: {refused.error.error_code}") from None
    except NotSolvable as error:
        raise CommandError(str(error)) from None
    except StreamClosed as closed:
        raise CommandError(f"the connection ended: {closed.reason.value}") from None
    except (Sv2Error, ValueError) as error:
        raise CommandError(str(error)) from None
    except TimeoutError:
        raise CommandError("no answer in time") from None
    except OSError as error:
        raise CommandError(error.strerror or str(error)) from None


def _security(address: Address, arguments: argparse.Namespace) -> ClientSecurity:
    if arguments.plain:
        return PLAIN
    if arguments.unverified:
        return CertificatePolicy.unverified()
    if address.authority is None:
        raise CommandError("no authority key in the address: add it, or --unverified, or --plain")
    return CertificatePolicy(address.authority)


class _Display:
    """Rows of a table on a terminal, JSON lines elsewhere."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json or not sys.stdout.isatty()
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._headed = False

    def show(self, event: str, **fields: Any) -> None:
        now = time.time()
        if self._json:
            print(json.dumps({"time": round(now, 3), "event": event, **fields}), flush=True)
            return
        if not self._headed:
            self._headed = True
            self._console.print(f"{'time':8}  {'event':13}  what", style="bold")
        shown = "  ".join(f"{key} {value}" for key, value in fields.items() if value is not None)
        style = {"template": "cyan", "tip": "bold green", "solved": "bold yellow"}.get(event)
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        self._console.print(f"{clock}  {event:13}  {shown}", style=style, soft_wrap=True)


@dataclass
class _Work:
    """What is mined on now."""

    template: NewTemplate
    previous: SetNewPrevHash


class _Session:
    """One connection, from setup until what was asked for is done."""

    def __init__(self, arguments: argparse.Namespace, payout: bytes) -> None:
        self._arguments = arguments
        self._payout = payout
        self._display = _Display(arguments.json)
        self._templates: dict[int, NewTemplate] = {}
        self._previous: SetNewPrevHash | None = None
        self._shown = 0
        self._solved: dict[bytes, float] = {}
        self._confirmed = 0

    async def run(self) -> int:
        address = Address.parse(self._arguments.url)
        security = _security(address, self._arguments)
        timeouts = Timeouts(
            connect=self._arguments.timeout,
            handshake=self._arguments.timeout,
            setup=self._arguments.timeout,
            close=1.0,
        )
        stream = await connect(
            Address(address.host, address.port), security=security, options=Options(timeouts)
        )
        async with stream:
            await stream.set_up(_setup(address))
            self._display.show("connected", address=str(address))
            await stream.send(
                CoinbaseOutputConstraints(self._arguments.size, self._arguments.sigops)
            )
            await self._listen(stream)
        return 0

    async def _listen(self, stream: Stream) -> None:
        limit = self._arguments.wait
        deadline = None if limit is None else asyncio.get_running_loop().time() + limit
        while not self._done():
            left = None
            if deadline is not None:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
            try:
                message = await stream.receive(left)
            except TimeoutError:
                break
            match message:
                case NewTemplate():
                    await self._on_template(stream, message)
                case SetNewPrevHash():
                    await self._on_tip(stream, message)
                case RequestTransactionDataSuccess() | RequestTransactionDataError():
                    self._on_data(message)
        if self._confirmed < self._arguments.solve:
            raise TimeoutError

    def _done(self) -> bool:
        if self._arguments.solve:
            return bool(self._confirmed >= self._arguments.solve)
        most: int | None = self._arguments.templates
        return most is not None and self._shown >= most and not self._arguments.data

    async def _on_template(self, stream: Stream, message: NewTemplate) -> None:
        self._templates[message.template_id] = message
        if len(self._templates) > MAX_KEPT:
            del self._templates[next(iter(self._templates))]
        self._shown += 1
        self._display.show("template", **_described(message), fees=self._fees(message))
        if self._arguments.data:
            await stream.send(RequestTransactionData(message.template_id))

    def _fees(self, template: NewTemplate) -> int | None:
        """What a template pays beyond the subsidy; None before nBits told which chain this is."""
        if self._previous is None:
            return None
        interval = 150 if self._previous.n_bits == REGTEST_BITS else 210_000
        subsidy = 50 * 10**8 >> (template.coinbase_tx_locktime + 1) // interval
        return template.coinbase_tx_value_remaining - subsidy

    async def _on_tip(self, stream: Stream, message: SetNewPrevHash) -> None:
        template = self._templates.get(message.template_id)
        if template is None:
            raise CommandError("the provider named a template that it never sent")
        self._previous = message
        self._display.show(
            "tip",
            previous=hash_text(message.prev_hash),
            template=message.template_id,
            bits=f"{message.n_bits:08x}",
            header_time=message.header_timestamp,
            fees=self._fees(template),
        )
        found = self._solved.pop(message.prev_hash, None)
        if found is not None:
            self._confirmed += 1
            seconds = round(time.monotonic() - found, 3)
            self._display.show("accepted", block=hash_text(message.prev_hash), seconds=seconds)
        if self._confirmed < self._arguments.solve:
            await self._solve(stream, _Work(template, message))

    async def _solve(self, stream: Stream, work: _Work) -> None:
        coinbase = coinbase_for(work.template, self._payout)
        solution, block_hash = await asyncio.to_thread(
            solve, work.template, work.previous, coinbase
        )
        await stream.send(solution)
        self._solved[block_hash] = time.monotonic()
        self._display.show("solved", block=hash_text(block_hash), nonce=solution.header_nonce)

    def _on_data(
        self, message: RequestTransactionDataSuccess | RequestTransactionDataError
    ) -> None:
        if isinstance(message, RequestTransactionDataError):
            # Told as one of the codes that are known: the text is the peer's.
            known = ("template-id-not-found", "stale-template-id")
            code = message.error_code if message.error_code in known else "another error"
            self._display.show("no data", template=message.template_id, error=code)
        else:
            size = sum(len(data) for data in message.transaction_list)
            self._display.show(
                "data",
                template=message.template_id,
                transactions=len(message.transaction_list),
                bytes=size,
            )
        if self._arguments.templates is not None and self._shown >= self._arguments.templates:
            self._arguments.data = False


def _setup(address: Address) -> SetupConnection:
    return SetupConnection(
        protocol=TEMPLATE_DISTRIBUTION,
        min_version=VERSION,
        max_version=VERSION,
        flags=0,
        endpoint_host=address.host,
        endpoint_port=address.port,
        vendor="sv2 tdp",
        hardware_version="",
        firmware="",
        device_id="",
    )


def _described(message: NewTemplate) -> dict[str, Any]:
    return {
        "template": message.template_id,
        "for": "next tip" if message.future_template else "now",
        "height": message.coinbase_tx_locktime + 1,
        "value": message.coinbase_tx_value_remaining,
        "transactions": f"{_fewest(message)}..{2 ** len(message.merkle_path) - 1}",
        "path": len(message.merkle_path),
        "version": f"{message.version:08x}",
        "outputs": message.coinbase_tx_outputs_count,
    }


def _fewest(message: NewTemplate) -> int:
    """A path of n hashes is that of 2**(n-1) transactions at least, besides the coinbase."""
    depth = len(message.merkle_path)
    return 2 ** (depth - 1) if depth else 0
