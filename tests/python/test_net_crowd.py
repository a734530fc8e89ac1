"""A thousand connections at once on one server, many of them hostile.

The bound on the server's memory, which the test asserts: 32 KiB for each connection, and for each
that does not read its send queue as well (``max_queued`` and one frame), twice for what the
allocator makes of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from connections import POLICY, setup_connection
from crowd_server import FLOOD_FRAME, MAX_QUEUED
from networking import run_on_asyncio
from sv2.connection import Protocol
from sv2.net import Stream, connect

from sv2_ffi import UnknownMessage

resource = pytest.importorskip("resource", reason="needs POSIX")

GOOD, SILENT, DEAF = 800, 100, 100
EVERYONE = GOOD + SILENT + DEAF
BOUND = EVERYONE * 32_768 + DEAF * 2 * (MAX_QUEUED + FLOOD_FRAME + 1024)
SECONDS = 60.0


class CrowdServer:
    """The server's process."""

    def __init__(self) -> None:
        script = str(Path(__file__).parent / "crowd_server.py")
        # The modules of these tests and the package must be found as they were here.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)
        }
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def _ask(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    async def figures(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._ask)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.wait(timeout=10)
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def files_allowed() -> Any:
    """As many open files as one wave of connections needs, in this process and its child."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = EVERYONE + 200
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"needs {needed} open files, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def join(port: int, protocol: Protocol) -> Stream:
    stream = await connect(f"127.0.0.1:{port}", security=POLICY)
    await stream.set_up(setup_connection(protocol))
    return stream


async def be_served(stream: Stream, number: int) -> None:
    message = UnknownMessage(0x4001, 0, number.to_bytes(4, "little") * 50)
    await stream.send(message)
    assert await stream.receive(timeout=20) == message


async def in_groups(coroutines: list[Any]) -> list[Any]:
    """Run many, a hundred at a time."""
    results: list[Any] = []
    for at in range(0, len(coroutines), 100):
        results += await asyncio.gather(*coroutines[at : at + 100])
    return results


async def wave(server: CrowdServer, before: dict[str, Any], number: int) -> None:
    """Everyone comes, the good are served, the others are ended, everyone goes."""
    silent = await in_groups(
        [asyncio.open_connection("127.0.0.1", server.port) for _ in range(SILENT)]
    )
    for _, writer in silent[::2]:
        writer.write(bytes(30))
    deaf: list[Stream] = await in_groups(
        [join(server.port, Protocol.TEMPLATE_DISTRIBUTION) for _ in range(DEAF)]
    )
    # From here on these never read: nobody pulls, so their streams stop at READ_AHEAD.
    good: list[Stream] = await in_groups([join(server.port, Protocol.MINING) for _ in range(GOOD)])
    await in_groups([be_served(stream, place) for place, stream in enumerate(good)])
    crowded = await server.figures()
    assert crowded["opened"] == number * (GOOD + DEAF)
    assert crowded["largest_buffer"] <= 2048
    assert crowded["largest_queue"] <= MAX_QUEUED + FLOOD_FRAME + 1024
    assert crowded["resident"] - before["resident"] < BOUND
    deadline = time.monotonic() + SECONDS
    while True:
        await in_groups([be_served(stream, place) for place, stream in enumerate(good)])
        figures = await server.figures()
        assert figures["resident"] - before["resident"] < BOUND
        if figures["streams"] == GOOD:
            break
        assert time.monotonic() < deadline
    assert figures["ended"]["HANDSHAKE_TIMEOUT"] == number * SILENT
    assert figures["ended"]["WRITE_TIMEOUT"] == number * DEAF
    await in_groups([stream.close() for stream in [*good, *deaf]])
    for _, writer in silent:
        writer.transport.abort()


async def empty(server: CrowdServer) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while (figures := await server.figures())["streams"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return figures


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_thousand_connections_at_once(files_allowed: None) -> None:
    async def main() -> None:
        before = await server.figures()
        assert before["stream_objects"] == 0
        for number in (1, 2):
            await wave(server, before, number)
            after = await empty(server)
            for figure in ("stream_objects", "tasks", "files"):
                assert after[figure] == before[figure], figure

    server = CrowdServer()
    try:
        run_on_asyncio(main(), patience=2 * SECONDS)
    finally:
        server.stop()
