#!/usr/bin/env python3
"""Compiles the core and the vectors for other machines and runs them there, in emulators.

usage: tests/firmware/vector_program.py [TARGET]...

Without TARGET: all of tools/cross.py. Exits with 1 where a vector fails; a machine whose compiler
or emulator is missing is named and left out.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import cross
import vector_table

FIRMWARE = cross.FIRMWARE

# The vectors' frames are longer literals than C11 promises to every compiler.
TABLE_FLAGS = ("-Wno-overlength-strings",)
PASSED = "all vectors pass\n"


def write_table(folder: Path) -> Path:
    """The vectors as a C file in folder."""
    path = folder / "vector_table.c"
    path.write_text(vector_table.table())
    return path


def build(
    target: cross.Target, sources: list[Path], include: Path, table: Path, folder: Path
) -> Path:
    """The program that runs all vectors, from the library's sources and the folder of libsv2.h."""
    library = cross.compile_library(target, sources, folder / "library", include)
    own = ("-I", str(FIRMWARE), "-I", str(FIRMWARE / "start"))
    objects = [
        cross.compile_c(target, FIRMWARE / "check_vectors.c", folder, include, *own),
        cross.compile_c(target, table, folder, include, *own, *TABLE_FLAGS),
    ]
    return cross.link_for_board(target, objects, library, folder / "check_vectors.elf")


def main() -> int:
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = write_table(folder)
        for target in [cross.TARGETS[n] for n in sys.argv[1:]] or cross.TARGETS.values():
            if reason := target.missing():
                print(f"{target.title}: skipped, {reason}")
                continue
            try:
                program = build(
                    target,
                    cross.core_sources(),
                    cross.ROOT / "include",
                    table,
                    folder / target.name,
                )
                print(f"{target.title}: {cross.emulate(target, program)}", end="")
            except cross.StepFailed as error:
                failed = True
                print(f"{target.title}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
