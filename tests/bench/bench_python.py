#!/usr/bin/env python3
"""Time per message in Python: sv2_ffi, and parsing by struct alone, as JSON objects.

One object per line, in the form of the other benchmarks here. The parser that it is held against
is what one writes by hand for one message: struct, slices and a tuple as result, no checks of
lengths but those that slicing makes and no message class.
"""

from __future__ import annotations

import json
import struct
import timeit
from collections.abc import Callable
from typing import Any

import sv2_ffi
from sv2_ffi.common import SetupConnection
from sv2_ffi.mining import SubmitSharesExtended
from sv2_ffi.template_distribution import NewTemplate, RequestTransactionDataSuccess

ROUNDS = 7
MIN_ROUND = 0.04

HASHES = [bytes([i] * 32) for i in range(12)]
MESSAGES = {
    "setup_connection": SetupConnection(
        2, 2, 2, 0, "127.0.0.1", 8442, "vendor", "hardware-1", "v1.0.0", "device-1"
    ),
    "new_template": NewTemplate(
        1, True, 1 << 29, 2, b"1234", 0xFFFFFFFE, 5_000_000_000, 1, bytes(47), 135, HASHES
    ),
    "submit_shares": SubmitSharesExtended(1, 2, 3, 4, 5, 6, bytes(8)),
    "transactions": RequestTransactionDataSuccess(1, b"", [bytes(500)] * 3000),
}
SIZES = {
    "setup_connection": 61,
    "new_template": 482,
    "submit_shares": 39,
    "transactions": 1509018,
}


def parse_setup_connection(p: bytes) -> tuple[Any, ...]:
    head = struct.unpack_from("<BHHI", p, 6)
    at = 15
    texts = []
    for i in range(5):
        size = p[at]
        texts.append(p[at + 1 : at + 1 + size].decode())
        at += 1 + size
        if i == 0:
            port = struct.unpack_from("<H", p, at)[0]
            at += 2
    return (*head, texts[0], port, *texts[1:])


def parse_new_template(p: bytes) -> tuple[Any, ...]:
    head = struct.unpack_from("<Q?II", p, 6)
    at = 23
    size = p[at]
    prefix = p[at + 1 : at + 1 + size]
    at += 1 + size
    middle = struct.unpack_from("<IQI", p, at)
    size = struct.unpack_from("<H", p, at + 16)[0]
    outputs = p[at + 18 : at + 18 + size]
    at += 18 + size
    locktime, count = struct.unpack_from("<IB", p, at)
    at += 5
    path = [p[i : i + 32] for i in range(at, at + 32 * count, 32)]
    return (*head, prefix, *middle, outputs, locktime, path)


def parse_submit_shares(p: bytes) -> tuple[Any, ...]:
    return (*struct.unpack_from("<IIIIII", p, 6), p[31 : 31 + p[30]])


def parse_transactions(p: bytes) -> tuple[Any, ...]:
    template_id, size = struct.unpack_from("<QH", p, 6)
    at = 16 + size
    excess = p[16:at]
    count = struct.unpack_from("<H", p, at)[0]
    at += 2
    transactions = []
    for _ in range(count):
        size = int.from_bytes(p[at : at + 3], "little")
        transactions.append(p[at + 3 : at + 3 + size])
        at += 3 + size
    return template_id, excess, transactions


PARSERS: dict[str, Callable[[bytes], tuple[Any, ...]]] = {
    "setup_connection": parse_setup_connection,
    "new_template": parse_new_template,
    "submit_shares": parse_submit_shares,
    "transactions": parse_transactions,
}


def measure(operation: Callable[[], object]) -> dict[str, float]:
    timer = timeit.Timer(operation)
    count = 1
    while timer.timeit(count) < MIN_ROUND:
        count *= 2
    rounds = sorted(timer.timeit(count) / count * 1e9 for _ in range(ROUNDS))
    return {"fastest": round(rounds[0], 1), "median": round(rounds[ROUNDS // 2], 1)}


def check(name: str, frame: bytes) -> None:
    """Both parsers see the same message, and the frame is of the size that its row says."""
    message = sv2_ffi.decode(frame)
    assert isinstance(message, sv2_ffi.Message)
    fields = tuple(getattr(message, field.name) for field in message.FIELDS)
    assert fields == PARSERS[name](frame), name
    assert len(frame) == SIZES[name], (name, len(frame))


def main() -> None:
    ours, plain = [], []
    for name, message in MESSAGES.items():
        frame = sv2_ffi.encode(message)
        check(name, frame)
        row = {"message": name, "wire_bytes": len(frame)}
        decode = measure(lambda frame=frame: sv2_ffi.decode(frame))  # type: ignore[misc]
        encode = measure(lambda message=message: sv2_ffi.encode(message))  # type: ignore[misc]
        parse = PARSERS[name]
        by_hand = measure(lambda frame=frame, parse=parse: parse(frame))  # type: ignore[misc]
        ours.append({**row, "decode_ns": decode, "encode_ns": encode})
        plain.append({**row, "decode_ns": by_hand})
    print(json.dumps({"library": "Python", "rows": ours}))
    print(json.dumps({"library": "Python, struct by hand", "rows": plain}))


if __name__ == "__main__":
    main()
