"""Show the messages in plain Sv2 frames.

  sv2 decode 0000010600000002000000000000     frames in hex
  sv2 decode capture.bin                      a file of frames, raw or in hex
  nc -l 3333 | sv2 decode --raw               frames on stdin, as they come
  sv2 decode --json capture.bin               one JSON object a line

Frames that Noise encrypted cannot be read without their session. A frame that is malformed is
reported and skipped; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sv2.cli.output import CommandError, Output
from sv2_ffi import AnyMessage, DecodeError, Decoder, UnknownMessage

HELP = "show the messages in frames"

_READ_SIZE = 65536
_HEX = re.compile(rb"[0-9a-fA-F\s]*")
_SHOWN_BYTES = 64
_SHOWN_ITEMS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", nargs="?", help="hex digits or a file; stdin when absent or -")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="the input is bytes, not hex")
    form.add_argument("--hex", action="store_true", help="the input is hex")
    parser.add_argument("--full", action="store_true", help="do not shorten long values")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in full")


def run(arguments: argparse.Namespace, output: Output) -> int:
    decoder = Decoder()
    bad = 0
    for piece in _pieces(arguments):
        bad += _show_all(decoder, piece, output, full=arguments.full)
    if decoder.pending:
        raise CommandError(f"the input ends within a frame: {decoder.pending} bytes are left over")
    if bad:
        raise CommandError(f"{bad} malformed frame{'s' if bad > 1 else ''}")
    return 0


def _pieces(arguments: argparse.Namespace) -> Iterator[bytes]:
    """The bytes of the frames, piece by piece."""
    source: str | None = arguments.input
    if source is None or source == "-":
        return _from_stream(sys.stdin.buffer, arguments)
    if not _is_file(source):
        if _HEX.fullmatch(source.encode()) is None:
            raise CommandError("the input is no file and no hex")
        return iter([_unhex(source.encode())])
    try:
        with open(source, "rb") as file:
            # A file is read before anything is shown; it is stdin that streams.
            return iter(list(_from_stream(file, arguments)))
    except OSError as error:
        raise CommandError(f"cannot read {source}: {error.strerror}") from None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:
        # A long row of digits is no file name on any system.
        return False


def _from_stream(stream: BinaryIO, arguments: argparse.Namespace) -> Iterator[bytes]:
    # read1 gives what is there instead of waiting for more.
    read = getattr(stream, "read1", stream.read)
    first: bytes = read(_READ_SIZE)
    if arguments.hex or (not arguments.raw and _HEX.fullmatch(first) is not None):
        yield _unhex(first + stream.read())
        return
    piece = first
    while piece:
        yield piece
        piece = read(_READ_SIZE)


def _unhex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(b"".join(text.split()).decode("ascii"))
    except ValueError:
        raise CommandError("the input is not whole bytes in hex") from None


def _show_all(decoder: Decoder, data: bytes, output: Output, *, full: bool) -> int:
    """Show what is complete; the number of malformed frames."""
    bad = 0
    messages = decoder.feed(data)
    while True:
        try:
            message = next(messages)
        except StopIteration:
            return bad
        except DecodeError as error:
            bad += 1
            output.record("malformed", {"error": str(error)}, good=False)
            messages = decoder.feed(b"")
        else:
            output.record(message.name, describe(message, full=full or output.as_json))


def describe(message: AnyMessage, *, full: bool) -> dict[str, Any]:
    """A message as plain data: numbers, strings, bytes in hex."""
    described: dict[str, Any] = {
        "message": message.name,
        "extension_type": message.extension_type & 0x7FFF,
        "message_type": message.message_type,
        "channel_message": message.channel_message,
    }
    if isinstance(message, UnknownMessage):
        described["payload"] = _plain(message.payload, full=full)
        return described
    described["fields"] = {
        field.name: _plain(getattr(message, field.name), full=full) for field in message.FIELDS
    }
    if message.trailing:
        described["tlvs"] = [
            {
                "extension_type": tlv.extension_type,
                "field_type": tlv.field_type,
                "value": tlv.value.hex(),
            }
            for tlv in message.tlvs
        ]
        described["trailing_bytes"] = len(message.trailing)
    return described


def _plain(value: object, *, full: bool) -> Any:
    match value:
        case bytes():
            if full or len(value) <= _SHOWN_BYTES:
                return value.hex()
            return f"{value[:_SHOWN_BYTES].hex()}... ({len(value)} bytes)"
        case list():
            items = [_plain(item, full=full) for item in value]
            if full or len(items) <= _SHOWN_ITEMS:
                return items
            return [*items[:_SHOWN_ITEMS], f"... ({len(items)} items)"]
        case float() if not math.isfinite(value):
            # JSON has no such numbers.
            return str(value)
        case _:
            return value
