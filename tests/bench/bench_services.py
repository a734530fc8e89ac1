#!/usr/bin/env python3
"""Services: messages per second through a server, and what each layer adds.

usage: bench_services.py [--json] [--seconds S] [--clients N,N,...]

The server is a process of its own, with one handler that answers every SubmitSharesStandard;
"alone" is the same on sv2.net without a service. Each client sends a window of shares, and the next
when their answers are there. The rows: answered messages per second, and microseconds of the
server's CPU per message, which other load on the machine changes less. In the clear the clients
count bytes and decode nothing, so that the server is the limit; over Noise they open and seal like
any client, and share the machine with it.

The layers are measured without a network: one message through one layer to a handle that does
nothing, minus that handle alone; the fastest of many rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import time
from typing import Any

from sv2 import net
from sv2.address import Address
from sv2.connection import PLAIN
from sv2.net import Limits, Server, Stream, connect, run
from sv2.noise import AuthoritySecretKey, CertificatePolicy, ServerIdentity
from sv2.services import (
    Client,
    Layer,
    Metrics,
    MiningServerHandler,
    Peer,
    Reply,
    ServerConfig,
    Sv2ServerService,
    access_list,
    log_messages,
    rate_limit,
    stack,
    timeout,
)

import sv2_ffi
from sv2_ffi import AnyMessage
from sv2_ffi.common import SetupConnection, SetupConnectionSuccess
from sv2_ffi.mining import SubmitSharesStandard, SubmitSharesSuccess

SETUP = SetupConnection(0, 2, 2, 0, "127.0.0.1", 3333, "bench", "", "", "")
SHARE = SubmitSharesStandard(1, 2, 3, 4, 5, 6)
ANSWER = SubmitSharesSuccess(1, 2, 1, 1)
# Shares that a client has under way, so that at least 256 are with any number of clients.
WINDOW = {1: 256, 100: 16}
AT_ONCE = 64
PATIENCE = 120.0

Row = dict[str, Any]


# The server's process.


class Handler(MiningServerHandler):
    """Answers, and counts the messages."""

    count = 0

    async def on_submit_shares_standard(
        self, client: Client, message: SubmitSharesStandard
    ) -> Reply:
        self.count += 1
        return SubmitSharesSuccess(message.channel_id, message.sequence_number, 1, 1)

    async def alone(self, stream: Stream) -> None:
        """The same on a stream, without a service."""
        await stream.receive()
        await stream.send(SetupConnectionSuccess(2, 0))
        async for message in stream:
            assert isinstance(message, SubmitSharesStandard)
            self.count += 1
            await stream.send(
                SubmitSharesSuccess(message.channel_id, message.sequence_number, 1, 1)
            )


async def serve(noise: bool, alone: bool) -> None:
    """Serve until stdin ends; each line on it is answered with the count and the CPU seconds."""
    authority = AuthoritySecretKey.generate()
    security = ServerIdentity.self_issued(authority) if noise else PLAIN
    handler = Handler()
    limits = Limits(connections=8192, per_host=8192, unready=8192)
    server: Server | Sv2ServerService
    if alone:
        server = await net.serve(handler.alone, "127.0.0.1", 0, security=security, limits=limits)
    else:
        config = ServerConfig("127.0.0.1", 0, security, limits=limits)
        server = Sv2ServerService(config, mining=handler)
    async with server:
        print(Address("127.0.0.1", server.port, authority.public_key if noise else None))
        sys.stdout.flush()
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps([handler.count, time.process_time()]), flush=True)


class ServerProcess:
    """The server, and what it has counted."""

    def __init__(self, noise: bool, alone: bool) -> None:
        command = [sys.executable, __file__, "--serve", "noise" if noise else "plain"]
        command += ["--alone"] if alone else []
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603
        assert self.process.stdout is not None
        self.address = Address.parse(self.process.stdout.readline().strip())

    def count(self) -> tuple[int, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        count, seconds = json.loads(self.process.stdout.readline())
        return count, seconds

    def end(self) -> None:
        self.process.communicate(timeout=PATIENCE)


# The clients.


class Start:
    """All clients begin when the last one is connected."""

    def __init__(self, clients: int) -> None:
        self.connected = 0
        self._clients = clients
        self._all = asyncio.Event()

    async def wait(self) -> None:
        self.connected += 1
        if self.connected == self._clients:
            self._all.set()
        await asyncio.wait_for(self._all.wait(), PATIENCE)


async def pour_plain(address: Address, window: int, start: Start) -> None:
    """A client in the clear: frames made beforehand, answers counted by their bytes."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(sv2_ffi.encode(SETUP))
    await reader.readexactly(len(sv2_ffi.encode(SetupConnectionSuccess(2, 0))))
    await start.wait()
    shares = sv2_ffi.encode(SHARE) * window
    answers = len(sv2_ffi.encode(ANSWER)) * window
    try:
        while True:
            writer.write(shares)
            await reader.readexactly(answers)
    finally:
        writer.transport.abort()


async def pour_noise(address: Address, window: int, start: Start) -> None:
    """A client over Noise."""
    assert address.authority is not None
    stream = await connect(address, security=CertificatePolicy(address.authority))
    await stream.set_up(SETUP)
    await start.wait()
    try:
        while True:
            for _ in range(window):
                await stream.send(SHARE)
            for _ in range(window):
                await stream.receive()
    finally:
        stream.abort()


async def throughput(noise: bool, clients: int, seconds: float, alone: bool = False) -> Row:
    """One row: so many clients for so long, of a service or of sv2.net alone."""
    server = ServerProcess(noise, alone)
    pour = pour_noise if noise else pour_plain
    window = WINDOW.get(clients, 4)
    start = Start(clients)
    tasks: list[asyncio.Task[None]] = []
    try:
        while start.connected < clients:
            # So many at once that the server's queue of new connections does not run over.
            if len(tasks) < min(clients, start.connected + AT_ONCE):
                tasks.append(asyncio.create_task(pour(server.address, window, start)))
            else:
                await asyncio.sleep(0.001)
                for task in filter(asyncio.Task.done, tasks):
                    task.result()  # a client that could not connect
        await asyncio.sleep(seconds / 4)  # until all of them are at it
        began, (count, cpu) = time.perf_counter(), server.count()
        await asyncio.sleep(seconds)
        ended, (count_after, cpu_after) = time.perf_counter(), server.count()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.end()
    messages = count_after - count
    return {
        "server": "sv2.net alone" if alone else "service",
        "noise": noise,
        "clients": clients,
        "per_second": messages / (ended - began),
        "cpu_us": (cpu_after - cpu) / messages * 1e6,
    }


# The layers.


class NobodysStream:
    """Enough of a stream for a peer that only layers look at."""

    peer = ("127.0.0.1", 1)


async def nothing(peer: Peer, message: AnyMessage) -> Reply:
    return ANSWER


async def time_of(layers: list[Layer], rounds: int = 40, count: int = 1000) -> float:
    """Nanoseconds of one message through ``layers``: the fastest round."""
    handle = stack(layers, nothing)
    peer = Client(1, NobodysStream())  # type: ignore[arg-type]
    fastest = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(count):
            await handle(peer, SHARE)
        fastest = min(fastest, time.perf_counter() - began)
    return fastest / count * 1e9


async def layer_rows() -> list[Row]:
    quiet = logging.getLogger("sv2.services.messages")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())
    metrics = Metrics()
    alone = await time_of([])
    layers: list[tuple[str, Layer, int]] = [
        ("log_messages, level off", log_messages(logging.DEBUG), logging.WARNING),
        ("log_messages, level on", log_messages(logging.DEBUG), logging.DEBUG),
        ("metrics", metrics.layer, logging.WARNING),
        ("rate_limit", rate_limit(1e9, burst=1000), logging.WARNING),
        ("timeout", timeout(60), logging.WARNING),
        ("access_list", access_list(deny=["192.0.2.0/24"]), logging.WARNING),
    ]
    rows = [{"layer": "none", "ns": alone}]
    for name, layer, level in layers:
        quiet.setLevel(level)
        rows.append({"layer": name, "ns": await time_of([layer]) - alone})
    return rows


async def measure(arguments: argparse.Namespace) -> dict[str, list[Row]]:
    rows = [
        await throughput(noise, clients, arguments.seconds, alone)
        for noise in (False, True)
        for clients in arguments.clients
        for alone in (True, False)
    ]
    return {"throughput": rows, "layers": await layer_rows()}


def show(results: dict[str, list[Row]]) -> None:
    print(f"{'':<24}{'clients':>8}{'messages/s':>14}{'server us/message':>20}")
    for row in results["throughput"]:
        name = f"{'noise' if row['noise'] else 'plain'}, {row['server']}"
        print(f"{name:<24}{row['clients']:>8}{row['per_second']:>14,.0f}{row['cpu_us']:>20.1f}")
    print(f"\n{'layer':<28}{'ns/message':>12}")
    for row in results["layers"]:
        print(f"{row['layer']:<28}{row['ns']:>12,.0f}")


def whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--clients", type=whole_numbers, default=[1, 100, 1000])
    parser.add_argument("--serve", choices=["plain", "noise"], help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        run(serve(arguments.serve == "noise", arguments.alone))
        return
    results = run(measure(arguments))
    if arguments.json:
        print(json.dumps(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
