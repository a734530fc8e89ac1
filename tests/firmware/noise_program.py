#!/usr/bin/env python3
"""Runs Noise with its provider over mbedTLS on emulated microcontrollers, and prints what it costs.

usage: tests/firmware/noise_program.py [--write] [--mbedtls FOLDER]

For each of Cortex-M4 and RV32IMC: libsv2, libsv2-noise, provider, libsecp256k1 and mbedTLS are
compiled without a C library; noise_program.c runs both ends of sessions in memory, and the device
of examples/firmware mines a share at its test pool. Flash is what each library has in the linked
program, code and constants; stack was painted. --write puts the table into docs/noise-c.md;
--mbedtls takes another source than the one that mbedtls.sh fetches.

Needs sv2-ffi, cross compilers and emulators (docs/firmware.md), and for the first run a network.
Exit code 77: something of that is missing, and is named.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import cross
import noise_bridge
import noise_build
from noise_build import Build, Sources, Unavailable

DOCUMENT = cross.ROOT / "docs" / "noise-c.md"
BEGIN, END = "<!-- noise_program.py writes from here -->\n", "<!-- to here -->\n"
LAST_LINE = "all as it should be"
HEAP = frozenset({"malloc", "free", "calloc", "realloc", "aligned_alloc"})

NOISE = "flash, libsv2-noise: client, server, certificates, key text, transport"
# Sections of a program that uses all of it.
LIBRARIES = {
    ".provider": "provider: `curve.c` and `mbedtls.c`",
    ".secp256k1": "libsecp256k1 and its tables, `ECMULT_WINDOW_SIZE=4 COMB_BLOCKS=2 COMB_TEETH=5`",
    ".mbedtls": "mbedTLS {mbedtls}: ChaCha20, Poly1305, SHA-256",
    ".helpers": "the compiler's helpers",
}
STACKS = {
    "client": "a client's handshake",
    "server": "a server's handshake",
    "issue": "issuing a certificate",
    "key": "reading an authority's key",
    "start": "making and blinding libsecp256k1's context",
    "transport": "sealing and opening",
}
# What tests/c/noise/size.c has an array of.
STRUCTS = {
    "sender": "a connection's sender",
    "receiver": "a connection's receiver",
    "reader": "a connection's reader, without its buffer",
    "initiator": "a client during the handshake, without act 2",
}


@dataclass(frozen=True)
class Ran:
    """A program that has run on its machine."""

    program: Path
    printed: str

    def numbers(self, word: str) -> dict[str, int]:
        """The lines "word name number"."""
        found = re.findall(rf"^{word} (\w+) (\d+)$", self.printed, re.MULTILINE)
        return {name: int(number) for name, number in found}


class Measurement:
    """All for one machine, in a folder of its own."""

    def __init__(self, name: str, sources: Sources, folder: Path) -> None:
        self.build = Build(name, sources, folder)

    @cached_property
    def ends(self) -> Ran:
        """Both ends in memory. Raises cross.StepFailed where something is not as it should be."""
        program = self.build.program("noise_program")
        return Ran(program, cross.emulate(self.build.target, program))

    @cached_property
    def device(self) -> Path:
        """The mining device's program."""
        return self.build.program("noise_device")

    @cached_property
    def device_stack(self) -> int:
        """Bytes of stack of a device that connects and mines a share."""
        folder = self.build.folder / "mining"
        with noise_bridge.pool("--shares", "1") as (_, port, key):
            done = noise_bridge.mine(self.build.target, self.device, folder, port, key, 1)
        if done.code != 0:
            raise cross.StepFailed(f"the device does not mine:\n{done.printed}")
        return done.numbers["stack"]

    def flash(self, program: Path, *sections: str) -> int:
        """Bytes of a program's sections."""
        found = noise_build.sections(self.build, program)
        return sum(found.get(section, 0) for section in sections)

    def whole_noise(self) -> int:
        """Bytes of code and constants in libsv2-noise, whatever a program uses of it."""
        archive = str(self.build.archives["sv2-noise"])
        listing = cross.run([self.build.target.tool("size"), "-t", archive])
        return int(listing.splitlines()[-1].split()[0])

    def structs(self) -> dict[str, int]:
        """Bytes of RAM of each struct."""
        source = cross.ROOT / "tests" / "c" / "noise" / "size.c"
        built = cross.compile_c(self.build.target, source, self.build.folder, noise_build.INCLUDE)
        listing = cross.run([self.build.target.tool("nm"), "-P", str(built)])
        rows = (line.split() for line in listing.splitlines())
        return {row[0].removeprefix("ram_"): int(row[3], 16) for row in rows}

    def provider_ram(self) -> int:
        """Bytes of what noise_machine.c holds for the provider."""
        listing = cross.run([self.build.target.tool("nm"), "-P", str(self.device)])
        rows = {line.split()[0]: line.split()[3:] for line in listing.splitlines()}
        return sum(int(rows[name][0], 16) for name in ("crypto", "curve_memory"))

    def figures(self) -> dict[str, int]:
        """All rows of the table, by title."""
        version = self.build.sources.mbedtls_version()
        rows = {NOISE: self.whole_noise()}
        rows |= {
            f"flash, {title.format(mbedtls=version)}": self.flash(self.ends.program, section)
            for section, title in LIBRARIES.items()
        }
        structs = self.structs()
        rows |= {f"RAM, {title}": structs[name] for name, title in STRUCTS.items()}
        rows["RAM, the provider and libsecp256k1's context"] = self.provider_ram()
        stacks = self.ends.numbers("stack")
        rows |= {f"stack, {title}": stacks[name] for name, title in STACKS.items()}
        mine, theirs = (".device", ".codec", ".noise"), tuple(LIBRARIES)
        rows["the mining device: flash of device, codec and libsv2-noise"] = self.flash(
            self.device, *mine
        )
        rows["the mining device: flash, all libraries included"] = self.flash(
            self.device, *mine, *theirs
        )
        rows["the mining device: static RAM, all of it"] = self.flash(self.device, ".bss")
        rows["the mining device: stack"] = self.device_stack
        return rows

    def compiler(self) -> str:
        return "gcc " + cross.run([self.build.target.compiler, "-dumpfullversion"]).strip()


def table(measured: dict[str, Measurement]) -> str:
    """The table, as Markdown."""
    columns = list(measured.values())
    figures = [m.figures() for m in columns]
    lines = [["bytes", *(m.build.target.title for m in columns)], ["---", *["---:"] * len(columns)]]
    lines += [[title, *(f"{f[title]:,}" for f in figures)] for title in figures[0]]
    lines.append(["compiler", *(m.compiler() for m in columns)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def documented() -> dict[str, dict[str, int]]:
    """The figures in docs/noise-c.md: machine's title, row's title, bytes."""
    text = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    head, _, *rows = (re.split(r" ?\| ?", line)[1:-1] for line in text.splitlines())
    return {
        machine: {row[0]: int(row[place].replace(",", "")) for row in rows[:-1]}
        for place, machine in enumerate(head)
        if place > 0
    }


def write(text: str) -> None:
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + text + END + rest.partition(END)[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/noise-c.md")
    parser.add_argument("--mbedtls", type=Path, help="folder with include/ and library/")
    arguments = parser.parse_args()
    try:
        if importlib.util.find_spec("sv2") is None:
            raise Unavailable("sv2-ffi is not installed")
        sources = Sources.fetch()
        if arguments.mbedtls is not None:
            sources = dataclasses.replace(sources, mbedtls=arguments.mbedtls)
        with tempfile.TemporaryDirectory() as folder:
            measured = {
                name: Measurement(name, sources, Path(folder) / name)
                for name in noise_build.TARGETS
            }
            for one in measured.values():
                print(f"{one.build.target.title}:\n{one.ends.printed}")
            text = table(measured)
    except Unavailable as missing:
        print(missing, file=sys.stderr)
        return 77
    except cross.StepFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    print(text, end="")
    if arguments.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
