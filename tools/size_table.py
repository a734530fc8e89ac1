#!/usr/bin/env python3
"""Prints what libsv2 costs on microcontrollers: bytes of flash, static RAM and stack.

usage: tools/size_table.py [--write | --check]

--write puts the table into docs/firmware.md; --check exits with 1 where a goal is missed. Needs
arm-none-eabi-gcc and riscv64-unknown-elf-gcc.

Flash is what a program linked with --gc-sections holds of the library, code and constants. Stack is
the deepest chain of calls by the compiler's own call graph, without the platform's memcpy.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cross

DOCUMENT = cross.ROOT / "docs" / "firmware.md"
BEGIN, END = "<!-- size_table.py writes from here -->\n", "<!-- to here -->\n"
TARGETS = ("cortex-m0plus", "cortex-m4", "rv32imc")

_ANY_MESSAGE = ("sv2_message_decode", "sv2_message_encode_frame", "sv2_frame_header_decode")
_CODEC = (
    *_ANY_MESSAGE,
    *("sv2_find", "sv2_decode", "sv2_encode", "sv2_size", "sv2_frame_encode", "sv2_frame_channel"),
)
_STREAM = ("sv2_stream_init", "sv2_stream_next", "sv2_stream_grow", "sv2_stream_skip")
_TLV = ("sv2_tlv_next", "sv2_frame_append_tlv")
_HASH = ("sv2_merkle_root", "sv2_target_from_compact", "sv2_u256_cmp", "sv2_u256_reverse")
_NAMES = ("sv2_message_name_at", "sv2_status_string")


@dataclass(frozen=True)
class Row:
    """One way to use the library: what keeps a part of it in the program."""

    title: str
    roots: tuple[str, ...] = ()
    program: tuple[str, ...] | None = None  # flags to compile device.c with
    goal: int | None = None  # bytes of flash on Cortex-M4


ROWS = (
    Row("all 44 messages, frames both ways", roots=_ANY_MESSAGE, goal=3500),
    Row("the same, `sv2_size`, stream and TLVs", roots=_CODEC + _STREAM + _TLV, goal=3500),
    Row("a mining device's 14, payloads both ways", program=(), goal=1800),
    Row("a mining device's 14, frames both ways", program=("-DWITH_FRAMES",)),
    Row("apart: names of messages and statuses", roots=_NAMES),
    Row("apart: SHA-256, merkle root, targets", roots=_HASH),
)
STACK_ROWS = (
    Row("decode and encode, stream, TLVs", roots=_CODEC + _STREAM + _TLV, goal=255),
    Row("apart: SHA-256, merkle root, targets", roots=_HASH),
)
RAM_GOAL = 0
# What a caller has on its own stack or in its own memory.
_STRUCTS = ("sv2_message", "sv2_stream")


class CallGraph:
    """The functions of several .ci files, as gcc's -fcallgraph-info=su writes them."""

    def __init__(self, files: list[Path]) -> None:
        self.frames: dict[str, int] = {}
        self.calls: dict[str, set[str]] = {}
        for file in files:
            text = file.read_text()
            for title, size, kind in re.findall(
                r'node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \((\w+)\)', text
            ):
                if kind != "static":
                    raise ValueError(f"the stack of {title} is {kind}")
                self.frames[title] = int(size)
            for caller, callee in re.findall(r'sourcename: "([^"]+)" targetname: "([^"]+)"', text):
                self.calls.setdefault(caller, set()).add(callee)

    def depth(self, function: str, above: tuple[str, ...] = ()) -> int:
        """Bytes of stack from this call down. What lies outside the library counts 0."""
        if function in above or function == "__indirect_call":
            raise ValueError(f"no bound: {' > '.join((*above, function))}")
        below = (self.depth(f, (*above, function)) for f in self.calls.get(function, ()))
        return self.frames.get(function, 0) + max(below, default=0)


@dataclass(frozen=True)
class Sizes:
    """What one program holds of the library, in bytes."""

    flash: int
    ram: int


class Measurement:
    """The library compiled for one target in a folder of its own."""

    def __init__(self, target: cross.Target, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self.include = cross.ROOT / "include"
        self.library = cross.compile_library(
            target, cross.core_sources(), folder / "library", self.include, "-fcallgraph-info=su"
        )

    def sizes(self, row: Row) -> Sizes:
        """Flash and static RAM of a program that uses what the row names."""
        start = cross.FIRMWARE / "start"
        objects = [cross.compile_c(self.target, start / "memory.c", self.folder, start)]
        flags = ["-L", str(cross.FIRMWARE / "link"), "-T", "sizes.ld"]
        if row.program is not None:
            device = cross.FIRMWARE / "device.c"
            objects.append(
                cross.compile_c(self.target, device, self.folder, self.include, *row.program)
            )
            flags.append("-Wl,--entry=device")
        else:
            flags.append(f"-Wl,--entry={row.roots[0]}")
            flags += [f"-Wl,--undefined={root}" for root in row.roots]
        program = cross.link(self.target, objects, self.library, self.folder / "sized", *flags)
        listing = cross.run([self.target.tool("size"), "-A", str(program)])
        found = {name: int(size) for name, size in re.findall(r"^(\S+)\s+(\d+)", listing, re.M)}
        if not found.get(".libsv2.code"):
            raise ValueError(f"nothing of the library is in the program:\n{listing}")
        flash = found[".libsv2.code"] + found.get(".libsv2.const", 0)
        return Sizes(flash, found.get(".libsv2.ram", 0))

    @cached_property
    def _graph(self) -> CallGraph:
        return CallGraph(sorted(self.library.parent.glob("*.ci")))

    def stack(self, row: Row) -> int:
        """Worst stack of any function of the row, its own frame included."""
        missing = [root for root in row.roots if root not in self._graph.frames]
        if missing:
            raise ValueError(f"not in the call graph: {missing}")
        return max(self._graph.depth(root) for root in row.roots)

    def size_of(self, struct: str) -> int:
        """sizeof a struct of libsv2.h."""
        source = self.folder / f"sizeof_{struct}.c"
        source.write_text(f"#include <libsv2.h>\nextern {struct} one;\n{struct} one;\n")
        built = cross.compile_c(self.target, source, self.folder, self.include)
        listing = cross.run([self.target.tool("nm"), "-P", str(built)])
        return int(listing.split()[3], 16)

    def compiler(self) -> str:
        return "gcc " + cross.run([self.target.compiler, "-dumpfullversion"]).strip()


def measure(folder: Path) -> dict[str, Measurement]:
    """The library compiled for each target of the table."""
    return {name: Measurement(cross.TARGETS[name], folder / name) for name in TARGETS}


def table(measured: dict[str, Measurement]) -> str:
    """The table, as Markdown."""
    columns = list(measured.values())
    head = ["bytes", *(m.target.title for m in columns), "goal on Cortex-M4"]
    lines = [head, ["---", *["---:"] * (len(columns) + 1)]]
    for row in ROWS:
        values = [f"{m.sizes(row).flash:,}" for m in columns]
        lines.append([f"flash, {row.title}", *values, f"{row.goal:,}" if row.goal else ""])
    ram = [str(max(m.sizes(row).ram for row in ROWS)) for m in columns]
    lines.append(["static RAM, everything", *ram, str(RAM_GOAL)])
    for row in STACK_ROWS:
        values = [str(m.stack(row)) for m in columns]
        lines.append([f"stack, {row.title}", *values, f"under {row.goal + 1}" if row.goal else ""])
    for struct in _STRUCTS:
        values = [str(m.size_of(struct)) for m in columns]
        lines.append([f"the caller's own: `{struct}`", *values, ""])
    lines.append(["compiler", *(m.compiler() for m in columns), ""])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def missed_goals(measured: Measurement) -> list[str]:
    """The goals that are not met, one line each; they are set for Cortex-M4."""
    figures = [(f"flash, {row.title}", measured.sizes(row).flash, row.goal) for row in ROWS]
    figures += [(f"stack, {row.title}", measured.stack(row), row.goal) for row in STACK_ROWS]
    figures += [("static RAM", max(measured.sizes(row).ram for row in ROWS), RAM_GOAL)]
    return [
        f"{title}: {found} bytes, over {goal}"
        for title, found, goal in figures
        if goal is not None and found > goal
    ]


def documented_table() -> str:
    """The table in docs/firmware.md."""
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]


def write(text: str) -> None:
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + text + END + rest.partition(END)[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="put the table into docs/firmware.md")
    action.add_argument("--check", action="store_true", help="fail where a goal is missed")
    arguments = parser.parse_args()
    for name in TARGETS:
        reason = cross.TARGETS[name].missing_compiler()
        if reason is not None:
            print(reason, file=sys.stderr)
            return 2
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
        text = table(measured)
        missed = missed_goals(measured["cortex-m4"])
    print(text, end="")
    if arguments.write:
        write(text)
    for line in missed:
        print(f"missed: {line}")
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
