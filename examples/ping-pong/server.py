"""Answers every Ping with a Pong of the same payload.

python server.py                    with Noise; prints the URL for the client
python server.py --plain            without
"""

import argparse

from messages import is_ping, pong
from sv2.connection import PLAIN, ServerSecurity
from sv2.net import Stream, run, serve
from sv2.noise import AuthoritySecretKey, ServerIdentity

from sv2_ffi import UnknownMessage
from sv2_ffi.common import SetupConnectionSuccess


async def handler(stream: Stream) -> None:
    host, port = stream.peer
    await stream.receive()  # SetupConnection: nothing else can come first
    await stream.send(SetupConnectionSuccess(used_version=2, flags=0))
    async for message in stream:
        if isinstance(message, UnknownMessage) and is_ping(message):
            await stream.send(pong(message.payload))
            print(f"{host}:{port} ping of {len(message.payload)} bytes", flush=True)


async def main(arguments: argparse.Namespace) -> None:
    authority = AuthoritySecretKey.generate()
    security: ServerSecurity = PLAIN
    if not arguments.plain:
        # The server holds its authority's key and signs its own certificates.
        security = ServerIdentity.self_issued(authority)
    async with await serve(handler, "127.0.0.1", arguments.port, security=security) as server:
        url = f"stratum2+tcp://127.0.0.1:{server.port}"
        print(url if arguments.plain else f"{url}/{authority.public_key}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free one")
    parser.add_argument("--plain", action="store_true", help="without Noise")
    try:
        run(main(parser.parse_args()))
    except KeyboardInterrupt:
        print("stopped")
