#!/usr/bin/env python3
"""Checks what libsv2 asks of its surroundings and what it shows to them.

usage: tools/check_symbols.py core [--nm NM] [--allow NAME]... FILE...
       tools/check_symbols.py exports LIBRARY

core     objects or archives of the freestanding part: they may call memcpy, memset and memcmp, and
         hold no data that can be written. --allow names a helper that the compiler calls by itself.
exports  the shared library shows exactly the names in docs/symbols.txt.

Exits with 1 and the names at fault. Needs nm of binutils.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTED = ROOT / "docs" / "symbols.txt"
LIBC = frozenset({"memcpy", "memset", "memcmp"})
# Types of nm: initialised data, zeroed data, common, and the small-data forms of both.
_WRITABLE = frozenset("dDbBCgGsS")


def _nm(nm: str, *arguments: str) -> list[tuple[str, str]]:
    """(type, name) of each symbol."""
    done = subprocess.run(  # noqa: S603
        [nm, "-P", *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    rows = (line.split() for line in done.stdout.splitlines())
    return [(row[1], row[0].partition("@")[0]) for row in rows if len(row) >= 2]


def core_faults(files: Iterable[Path], nm: str, allowed: Iterable[str] = ()) -> list[str]:
    """What is wrong with the core, one line each."""
    symbols = _nm(nm, *(str(path) for path in files))
    defined = {name for kind, name in symbols if kind != "U"}
    outside = {name for kind, name in symbols if kind == "U"} - defined - LIBC - set(allowed)
    writable = {name for kind, name in symbols if kind in _WRITABLE}
    if not defined:
        return ["no symbol is defined at all"]
    return [f"calls {name}" for name in sorted(outside)] + [
        f"can write {name}" for name in sorted(writable)
    ]


def exported(library: Path, nm: str = "nm") -> set[str]:
    """The names that a shared library shows."""
    return {name for _, name in _nm(nm, "-D", "--defined-only", str(library))}


def documented() -> set[str]:
    """The names in docs/symbols.txt."""
    lines = DOCUMENTED.read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def export_faults(found: set[str], wanted: set[str]) -> list[str]:
    """What is wrong with a set of exports, one line each."""
    return [f"shows {name}, which is not documented" for name in sorted(found - wanted)] + [
        f"does not show {name}, which is documented" for name in sorted(wanted - found)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    core = commands.add_parser("core")
    core.add_argument("--nm", default="nm")
    core.add_argument("--allow", action="append", default=[])
    core.add_argument("files", nargs="+", type=Path)
    exports = commands.add_parser("exports")
    exports.add_argument("library", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "core":
        faults = core_faults(arguments.files, arguments.nm, arguments.allow)
    else:
        faults = export_faults(exported(arguments.library), documented())
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
