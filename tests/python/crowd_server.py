"""A server in a process of its own, so that its memory can be measured; see test_net_crowd.py.

Prints its port, then one JSON object with its figures for each line on stdin; ends at the end of
stdin. A client that sets up for template distribution is flooded, any other is echoed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from pathlib import Path

from connections import IDENTITY, SUCCESS
from sv2.connection import Protocol
from sv2.net import Limits, Options, Server, Stream, Timeouts, run, serve

from sv2_ffi import UnknownMessage
from sv2_ffi.common import SetupConnection

MAX_QUEUED = 65_536
FLOOD_FRAME = 16_384
OPTIONS = Options(timeouts=Timeouts(handshake=4, setup=10, write=3), max_queued=MAX_QUEUED)
LIMITS = Limits(connections=1100, per_host=1100, unready=1100)


async def handler(stream: Stream) -> None:
    setup = await stream.receive()
    assert isinstance(setup, SetupConnection)
    await stream.send(SUCCESS)
    if setup.protocol == Protocol.TEMPLATE_DISTRIBUTION:
        while True:
            await stream.send(UnknownMessage(0x4001, 1, bytes(FLOOD_FRAME)))
    async for message in stream:
        await stream.send(message)


def resident_bytes() -> int:
    statm = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(statm.split()[1]) * resource.getpagesize()


def figures(server: Server) -> dict[str, object]:
    gc.collect()
    streams = server.streams
    return {
        "resident": resident_bytes(),
        "streams": len(streams),
        "stream_objects": sum(isinstance(thing, Stream) for thing in gc.get_objects()),
        "tasks": len(asyncio.all_tasks()),
        "files": len(os.listdir("/proc/self/fd")),
        "largest_queue": max((stream.queued for stream in streams), default=0),
        "largest_buffer": max((stream.buffered for stream in streams), default=0),
        "opened": server.stats.opened,
        "ended": {reason.name: count for reason, count in server.stats.ended.items()},
    }


async def main() -> None:
    server = await serve(handler, "127.0.0.1", 0, security=IDENTITY, limits=LIMITS, options=OPTIONS)
    async with server:
        print(server.port, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(figures(server)), flush=True)


if __name__ == "__main__":
    run(main())
