"""Our library behind sv2.h against the published sv2_ffi crate's: each header with each library.

Needs cargo and a C++ compiler: tests/peers/build.sh and tests/peers/upstream-ffi/build.sh make the
programs, all from one source. What may differ is in the tables of this file, and each row is a row
of docs/compatibility.md too.
"""

from __future__ import annotations

import re
import shutil
import struct
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from payloads import Case, cases, load_vectors
from peer_programs import ROOT, VECTORS, abi_program, run

SEED = 20261121
DECODE_CASES = 30_000

# The 11 messages that sv2.h carries.
SURFACE = {(0, number) for number in (0, 1, 2, 3, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76)}

# Constants that the spec has moved since the published header was made: value there, value here.
MOVED_CONSTANTS = {
    "MESSAGE_TYPE_RECONNECT": (37, 4),
    "MESSAGE_TYPE_SET_GROUP_CHANNEL": (38, 37),
    "CHANNEL_BIT_SET_CUSTOM_MINING_JOB": (0, 1),
    "CHANNEL_BIT_SET_CUSTOM_MINING_JOB_SUCCESS": (0, 1),
    "CHANNEL_BIT_SET_CUSTOM_MINING_JOB_ERROR": (0, 1),
    "CHANNEL_BIT_SUBMIT_SOLUTION_JD": (1, 0),
}

FIRST_WINDOW = 65536
ROOM_OVERRUN = "bytes written behind the result: 48"
NO_OVERRUN = "bytes written behind the result: 0"

Answer = list[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is meant to be; `name` is its row in docs/compatibility.md."""

    name: str
    applies: Callable[[str, Answer, Answer], bool]


def _windows(answer: Answer) -> list[int]:
    return [int(line.split()[1]) for line in answer if line.startswith("window ")]


def _without_windows(answer: Answer) -> Answer:
    return [line for line in answer if not line.startswith("window ")]


def _expected_windows(payload: int) -> list[int]:
    """The first window is of 64 KiB; then each is as large as all that has arrived."""
    windows: list[int] = []
    while (arrived := sum(windows)) < payload:
        windows.append(min(payload - arrived, max(arrived, FIRST_WINDOW)))
    return windows


def _windowed_payload(_: str, theirs: Answer, ours: Answer) -> bool:
    match _windows(theirs), _windows(ours):
        case [6, payload], [6, *windows]:
            return (
                _without_windows(theirs) == _without_windows(ours)
                and payload > FIRST_WINDOW
                and windows == _expected_windows(payload)
            )
        case _:
            return False


def _foreign_extension(command: str, theirs: Answer, ours: Answer) -> bool:
    frame = re.match("decode ([0-9a-f]{4})", command)
    return (
        frame is not None
        and int.from_bytes(bytes.fromhex(frame[1]), "little") & 0x7FFF != 0
        and theirs[2].startswith("message ")
        and ours[2:] == ["error Unknown", "left 0"]
    )


def _room(_: str, theirs: Answer, ours: Answer) -> bool:
    return theirs == [ROOM_OVERRUN] and ours == [NO_OVERRUN]


DIFFERENCES = (
    Difference("windowed-payload", _windowed_payload),
    Difference("foreign-extension", _foreign_extension),
    Difference("encode-room", _room),
)


def run_probe(program: Path, commands: list[str]) -> list[Answer]:
    done = run(program, stdin="".join(f"{command}\n" for command in commands).encode())
    answers = re.split(r"^> \d+\n", done.stdout.decode(), flags=re.MULTILINE)[1:]
    assert done.returncode == 0, (
        f"stopped in command {len(answers) - 1}: {commands[len(answers) - 1][:200]}"
    )
    assert len(answers) == len(commands)
    return [answer.splitlines() for answer in answers]


@pytest.fixture(scope="module")
def probes() -> dict[tuple[str, str], Path]:
    """The programs, by header and library."""
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler (c++); on Debian: apt-get install g++")
    sides = ("published", "ours")
    return {
        (header, library): abi_program(f"probe-{header}-{library}")
        for header in sides
        for library in sides
    }


@pytest.fixture(scope="module")
def vectors() -> list[Case]:
    return load_vectors(VECTORS)


def _frame(case: Case) -> bytes:
    return (
        struct.pack("<HB", case.extension_type, case.message_type)
        + struct.pack("<I", len(case.payload))[:3]
        + case.payload
    )


def _decode(stream: bytes) -> str:
    return f"decode {stream.hex()}"


def decode_commands(vectors: list[Case]) -> list[str]:
    """Frames of every message, whole and damaged inside; then frames in a row, and cut anywhere."""
    commands = [
        _decode(_frame(case))
        for case in cases(SEED, DECODE_CASES, vectors)
        if len(case.payload) < 4096
    ]
    frames = [_frame(case) for case in vectors if case.key in SURFACE and len(case.payload) < 512]
    commands.append(_decode(b"".join(frames)))
    # A frame that is refused must not disturb the one behind it.
    bad = bytes.fromhex("000071010000ff")
    commands.append(_decode(b"".join(bad + frame for frame in frames)))
    commands += [_decode(frames[0][:length]) for length in range(len(frames[0]))]
    commands.append(_decode(bytes.fromhex("000000000000")))
    return commands


def compare(commands: list[str], theirs: list[Answer], ours: list[Answer]) -> Counter[str]:
    """Fails on differences that no row explains; else how often each row did."""
    explanations: Counter[str] = Counter()
    unexplained = []
    for command, their_answer, our_answer in zip(commands, theirs, ours, strict=True):
        if their_answer == our_answer:
            continue
        name = next(
            (d.name for d in DIFFERENCES if d.applies(command, their_answer, our_answer)), None
        )
        if name is None:
            unexplained.append(
                f"{command[:300]}\n theirs {their_answer!r:.600}\n ours {our_answer!r:.600}"
            )
        else:
            explanations[name] += 1
    shown = "\n".join(unexplained[:5])
    assert not unexplained, f"{len(unexplained)} unexplained differences, the first:\n{shown}"
    return explanations


@pytest.mark.parametrize("header", ["published", "ours"])
def test_layout_and_constants_are_the_published_ones_but_for_those_that_moved(
    probes: dict[tuple[str, str], Path], header: str
) -> None:
    [reference] = run_probe(probes["published", "published"], ["layout"])
    [layout] = run_probe(probes[header, "ours"], ["layout"])
    assert len(reference) > 200
    moved = {}
    for theirs, ours in zip(reference, layout, strict=True):
        if theirs != ours:
            (_, name, before, *width), (_, same_name, after, *same_width) = (
                theirs.split(),
                ours.split(),
            )
            assert (name, width) == (same_name, same_width)
            moved[name] = (int(before), int(after))
    assert moved == (MOVED_CONSTANTS if header == "ours" else {})


def test_our_header_drives_the_published_library_as_its_own_does(
    probes: dict[tuple[str, str], Path], vectors: list[Case]
) -> None:
    commands = (
        [_decode(_frame(case)) for case in vectors]
        + build_commands(probes)
        + ["symbols", "busy", "encode-room"]
    )
    theirs = run_probe(probes["published", "published"], commands)
    assert run_probe(probes["ours", "published"], commands) == theirs


def build_commands(probes: dict[tuple[str, str], Path]) -> list[str]:
    listed = run(probes["ours", "ours"], "--cases")
    names = listed.stdout.decode().split()
    assert len(names) > 30
    return [f"build {name}" for name in names]


@pytest.mark.parametrize("header", ["published", "ours"])
def test_decoded_fields_encoded_bytes_and_errors_are_the_same(
    probes: dict[tuple[str, str], Path], vectors: list[Case], header: str
) -> None:
    commands = (
        decode_commands(vectors) + build_commands(probes) + ["symbols", "busy", "encode-room"]
    )
    theirs = run_probe(probes["published", "published"], commands)
    ours = run_probe(probes[header, "ours"], commands)
    explanations = compare(commands, theirs, ours)
    assert set(explanations) == {difference.name for difference in DIFFERENCES}
    kinds = Counter(answer[2].split()[0] for answer in ours if len(answer) > 2)
    assert kinds["message"] > 1000
    assert kinds["error"] > 1000


def test_messages_outside_the_surface_are_unknown_to_both(
    probes: dict[tuple[str, str], Path], vectors: list[Case]
) -> None:
    base = [case for case in vectors if case.key[0] == 0 and case.key not in SURFACE]
    outside = [_decode(_frame(case)) for case in base]
    assert len(outside) > 100
    for side in ("published", "ours"):
        for answer in run_probe(probes[side, side], outside):
            assert answer[-2:] == ["error Unknown", "left 0"]


def test_an_encoder_that_was_busy_works_again_after_flush(
    probes: dict[tuple[str, str], Path],
) -> None:
    [answer] = run_probe(probes["ours", "ours"], ["after-busy"])
    assert answer == [
        "encoded 12 000001060000020000000040",
        "encode error EncoderBusy",
        "encoded 12 000001060000020000000040",
    ]


def test_every_error_may_be_dropped(probes: dict[tuple[str, str], Path]) -> None:
    [answer] = run_probe(probes["ours", "ours"], ["drop-errors"])
    assert answer == ["dropping BinaryError", "dropping PayloadTooBig"]


def test_our_library_makes_no_memory_error_and_loses_nothing(
    probes: dict[tuple[str, str], Path], vectors: list[Case]
) -> None:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        pytest.skip("no valgrind; on Debian: apt-get install valgrind")
    commands = [
        *decode_commands(vectors)[::10],
        *build_commands(probes),
        "after-busy",
        "drop-errors",
    ]
    checks = ["--quiet", "--leak-check=full", "--show-leak-kinds=all", "--error-exitcode=9"]
    stdin = "".join(f"{command}\n" for command in commands).encode()
    done = run(Path(valgrind), *checks, str(probes["ours", "ours"]), stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    assert done.stdout.count(b"> ") >= len(commands)


def test_every_difference_is_a_row_of_the_compatibility_page() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
    for difference in DIFFERENCES:
        assert f"| `{difference.name}` |" in page
    for name, (before, after) in MOVED_CONSTANTS.items():
        assert f"| `{name}` | {before} | {after} |" in page


@pytest.mark.parametrize("library", ["published", "ours"])
@pytest.mark.parametrize("row", ["setup_connection", "new_template", "transactions"])
@pytest.mark.parametrize("operation", ["decode", "encode"])
def test_the_surface_benchmark_runs_with_either_library(
    library: str, row: str, operation: str
) -> None:
    program = abi_program(f"bench-{library}")
    assert run(program, row, operation, "2").returncode == 0
