"""Connect to a server, look at its certificate, set up, and tell how long each step took.

sv2 ping stratum2+tcp://pool.example:3333/9bXiEd8boQV...
sv2 ping --protocol template-distribution stratum2+tcp://127.0.0.1:8442/9bXiEd8boQV...
sv2 ping --unverified 192.0.2.7:3333        without its key: believes anybody
sv2 ping --plain 127.0.0.1:3333             without Noise
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from sv2.address import Address, AddressError
from sv2.cli.output import CommandError, Output
from sv2.connection import PLAIN, ClientSecurity, Protocol
from sv2.net import Options, SetupRefused, Stream, Timeouts, connect
from sv2.net import run as run_loop
from sv2.noise import Certificate, CertificateError, CertificatePolicy, KeyFormatError
from sv2.noise.certificate import format_time
from sv2_ffi import Sv2Error
from sv2_ffi.common import SetupConnection

HELP = "test a server: handshake, certificate, setup, latency"

_PROTOCOLS = {protocol.name.lower().replace("_", "-"): protocol for protocol in Protocol}
_VERSION = 2
_MAX_COUNT = 1000


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= _MAX_COUNT:
        raise argparse.ArgumentTypeError(f"a number from 1 to {_MAX_COUNT}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("seconds, up to 3600")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="stratum2+tcp://host:port/KEY, or host:port")
    parser.add_argument(
        "--protocol",
        choices=sorted(_PROTOCOLS),
        default="mining",
        help="what to set up for (default: mining)",
    )
    parser.add_argument(
        "--flags", type=lambda text: int(text, 0), default=0, help="flags to ask for (default: 0)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--unverified", action="store_true", help="believe any certificate")
    how.add_argument("--plain", action="store_true", help="connect in the clear")
    parser.add_argument("--count", type=_count, default=1, help="connect so many times")
    parser.add_argument("--timeout", type=_seconds, default=10.0, help="seconds for each step")
    parser.add_argument("--json", action="store_true", help="one JSON object for each connection")


@dataclass
class _Result:
    """What one connection showed, as far as it came."""

    fields: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


def run(arguments: argparse.Namespace, output: Output) -> int:
    try:
        address = Address.parse(arguments.url)
    except (AddressError, KeyFormatError) as error:
        raise CommandError(str(error)) from None
    security = _security(arguments, address)
    return run_loop(_ping_all(address, security, arguments, output))


def _security(arguments: argparse.Namespace, address: Address) -> ClientSecurity:
    if arguments.plain:
        if address.authority is not None:
            raise CommandError("--plain does not go with a key in the URL")
        return PLAIN
    if arguments.unverified:
        return CertificatePolicy.unverified()
    if address.authority is None:
        raise CommandError("the URL has no key: give one, or --unverified, or --plain")
    return CertificatePolicy(address.authority)


async def _ping_all(
    address: Address, security: ClientSecurity, arguments: argparse.Namespace, output: Output
) -> int:
    failures = 0
    for number in range(arguments.count):
        if number:
            await asyncio.sleep(1)
        result = await _ping(address, security, arguments)
        failures += result.fault is not None
        if result.fault is not None:
            result.fields["error"] = result.fault
        output.record(f"{address.host}:{address.port}", result.fields, good=result.fault is None)
    return 1 if failures else 0


async def _ping(
    address: Address, security: ClientSecurity, arguments: argparse.Namespace
) -> _Result:
    timeouts = Timeouts(
        connect=arguments.timeout,
        handshake=arguments.timeout,
        setup=arguments.timeout,
        close=min(1.0, arguments.timeout),
    )
    result = _Result()
    started = time.perf_counter()
    try:
        stream = await connect(address, security=security, options=Options(timeouts=timeouts))
        async with stream:
            _note_connection(result, stream, started, security)
            await _set_up(result, stream, address, arguments)
    except SetupRefused as refused:
        result.fields["error_flags"] = f"{refused.error.flags:#010x}"
        result.fields["error_code"] = refused.error.error_code
        result.fault = "the server refused the setup"
    except CertificateError as error:
        if error.certificate is not None:
            result.fields["certificate"] = _describe(error.certificate)
        result.fault = str(error)
    except Sv2Error as error:
        result.fault = str(error)
    except OSError as error:
        result.fault = error.strerror or str(error) or type(error).__name__
    return result


def _note_connection(
    result: _Result, stream: Stream, started: float, security: ClientSecurity
) -> None:
    assert stream.made_at is not None
    assert stream.secured_at is not None
    result.fields["address"] = f"{stream.peer[0]} port {stream.peer[1]}"
    result.fields["tcp_ms"] = _milliseconds(stream.made_at - started)
    if stream.certificate is None:
        result.fields["noise"] = "none: in the clear"
        return
    result.fields["handshake_ms"] = _milliseconds(stream.secured_at - stream.made_at)
    verified = isinstance(security, CertificatePolicy) and security.verified
    result.fields["verified"] = "yes" if verified else "NO: any certificate was accepted"
    result.fields["certificate"] = _describe(stream.certificate)


async def _set_up(
    result: _Result, stream: Stream, address: Address, arguments: argparse.Namespace
) -> None:
    request = SetupConnection(
        protocol=_PROTOCOLS[arguments.protocol],
        min_version=_VERSION,
        max_version=_VERSION,
        flags=arguments.flags,
        endpoint_host=address.host,
        endpoint_port=address.port,
        vendor="sv2 ping",
        hardware_version="",
        firmware="",
        device_id="",
    )
    asked = time.perf_counter()
    success = await stream.set_up(request)
    result.fields["setup_ms"] = _milliseconds(time.perf_counter() - asked)
    result.fields["used_version"] = success.used_version
    result.fields["flags"] = f"{success.flags:#010x}"


def _describe(certificate: Certificate) -> dict[str, Any]:
    return {
        "version": certificate.version,
        "valid_from": format_time(certificate.valid_from),
        "not_valid_after": format_time(certificate.not_valid_after),
        "server_key": certificate.server_key.hex(),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
