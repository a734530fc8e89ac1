#!/usr/bin/env python3
"""Fuzz corpora: one packed file per harness, because hundreds of small files are a nuisance.

    corpus.py unpack PACK DIR   a file per input, as libFuzzer and AFL++ want them
    corpus.py pack DIR PACK     the other way round, smallest first, without doubles
    corpus.py seed DIR          inputs for every harness from tests/vectors, in DIR/<harness>/

A pack is inputs end to end, each behind its length in 4 bytes, little-endian.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
MAX_INPUT = 1 << 20


def read_pack(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise SystemExit(f"{path} is damaged at byte {at}")
        yield data[at + 4 : end]
        at = end


def write_files(folder: Path, inputs: Iterable[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def write_pack(folder: Path, path: Path) -> None:
    inputs = {file.read_bytes() for file in folder.iterdir() if file.is_file()}
    ordered = sorted((data for data in inputs if len(data) <= MAX_INPUT), key=lambda d: (len(d), d))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(len(data).to_bytes(4, "little") + data for data in ordered))
    print(f"{path}: {len(ordered)} inputs, {path.stat().st_size} bytes")


def vectors() -> list[bytes]:
    lines = (TESTS / "vectors" / "messages.jsonl").read_text().splitlines()
    return [bytes.fromhex(json.loads(line)["frame"]) for line in lines]


def tlv(extension_type: int, field_type: int, value: bytes) -> bytes:
    numbers = extension_type.to_bytes(2, "little") + bytes([field_type])
    return numbers + len(value).to_bytes(2, "little") + value


def chunks(frames: list[bytes], size: int) -> Iterator[bytes]:
    return (b"".join(frames[i : i + size]) for i in range(0, len(frames), size))


def seeds() -> dict[str, list[bytes]]:
    """The beginnings of inputs are explained at the top of each harness."""
    frames = vectors()
    small = [frame for frame in frames if len(frame) < 600]
    settings = bytes([0xFF, 0x01, 40, 128, 1, 2, 3, 4])
    tlvs = [b"", tlv(1, 2, b"worker"), tlv(2, 1, b"") + tlv(0x8001, 0, bytes(300)), b"\x00" * 4]
    numbers = bytes(range(256))
    ends = b"".join(bytes([0x04, slot, 0, 0x05, 0]) for slot in range(2))
    return {
        "decode": [*frames, *(frame + tlv(1, 2, b"worker") for frame in small[::6])],
        "roundtrip": frames,
        "encode": [bytes([i, 0xFF, 0x03]) + numbers[i:] for i in range(44)],
        "stream": [settings + stream for stream in chunks(small, 5)],
        "surface": [
            *(b"\x00\x02\xff\xff" + frame + ends for frame in frames),
            *(
                transactions(size, failing, which)
                for size in (9, 0x7000, 0x9000, 0x1FFE0)
                for failing in (0xFF, 2, 3)
                for which in (0, 0x81)
            ),
            *(without_memory(frame, k) for frame in small[3::6] for k in range(6)),
        ],
        "tlv": [bytes([len(t) % 7, 200, 0]) + t for t in tlvs],
        "hash": [n.to_bytes(4, "little") + b"\x03\x01\x02" + numbers[:size] for n, size in TARGETS],
        "glue": [
            *(b"\x00" + stream for stream in chunks(small, 3)),
            *(bytes([1, i, 64, 0, 16]) + bytes([1] * 20) + numbers[:120] for i in range(44)),
        ],
    }


def transactions(size: int, failing: int, which: int) -> bytes:
    """A program for fuzz_surface: two small transactions and one of size bytes, whose end is made
    up, arrive. Then elements are moved and pushed, allocation number failing fails, and the message
    is encoded and dropped."""
    payload = bytes(10) + b"\x03\x00" + b"\x02\x00\x00ab" * 2 + size.to_bytes(3, "little")
    frame = b"\x00\x00\x74" + (len(payload) + size).to_bytes(3, "little") + payload
    receive = b"\x00\x02" + len(payload).to_bytes(2, "little") + frame
    if len(payload) + size > 65_536:  # two more windows, made up
        receive += b"\x00\x02\x00\x00"
    other = bytes([0x02, 1, 4, 3, 1, 2, 3, 2]) + b"\x02ab" * 2
    move = bytes([0x09, 0, 1, which])
    push = bytes([0x06, failing, 0x08, 0, 5]) + b"hello" + bytes([0x06, 0xFF])
    return receive + other + move + push + bytes([0x04, 0, 0, 0x05, 0, 0x03, 0])


def without_memory(frame: bytes, failing: int) -> bytes:
    """A program for fuzz_surface: a frame arrives, and allocation number failing fails."""
    window = b"\x00\x00\xff\xff"
    return window + frame[:6] + bytes([0x06, failing]) + window + frame[6:]


TARGETS = [(0x1D00FFFF, 64), (0x207FFFFF, 55), (0x21010000, 96), (0x04800001, 130), (0, 0)]


def main() -> None:
    match sys.argv[1:]:
        case ["unpack", pack, folder]:
            write_files(Path(folder), read_pack(Path(pack)))
        case ["pack", folder, pack]:
            write_pack(Path(folder), Path(pack))
        case ["seed", folder]:
            for harness, inputs in seeds().items():
                write_files(Path(folder) / harness, inputs)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
