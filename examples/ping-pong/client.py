"""Sends a Ping of random bytes every second and checks the Pong.

python client.py stratum2+tcp://127.0.0.1:3333/KEY
python client.py --plain stratum2+tcp://127.0.0.1:3333
"""

import argparse
import asyncio
import random
import time

from messages import is_pong, ping
from sv2.connection import PLAIN
from sv2.net import connect, run

from sv2_ffi import Sv2Error, UnknownMessage
from sv2_ffi.common import SetupConnection


async def main(arguments: argparse.Namespace) -> None:
    security = PLAIN if arguments.plain else None  # None: believe the key in the URL
    async with await connect(arguments.url, security=security) as stream:
        host, port = stream.peer
        await stream.set_up(
            SetupConnection(
                protocol=0,
                min_version=2,
                max_version=2,
                flags=0,
                endpoint_host=host,
                endpoint_port=port,
                vendor="ping-pong",
                hardware_version="",
                firmware="",
                device_id="",
            )
        )
        while True:
            payload = random.randbytes(random.randint(1, 1000))
            started = time.perf_counter()
            await stream.send(ping(payload))
            answer = await stream.receive(timeout=10)
            took = (time.perf_counter() - started) * 1000
            if not isinstance(answer, UnknownMessage) or not is_pong(answer):
                raise SystemExit("the answer is no Pong")
            if answer.payload != payload:
                raise SystemExit("the Pong has another payload than the Ping")
            print(f"pong of {len(payload)} bytes after {took:.2f} ms", flush=True)
            await asyncio.sleep(arguments.interval)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--plain", action="store_true", help="without Noise")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between pings")
    try:
        run(main(parser.parse_args()))
    except KeyboardInterrupt:
        print("stopped")
    except (Sv2Error, OSError) as error:
        raise SystemExit(f"client: {error}") from None
