#!/usr/bin/env python3
"""Writes all generated files from schema/ and include/.

usage: tools/sv2gen.py [--check]

--check writes nothing; it exits with 1 and a diff where a committed file is not what would be
written. Needs Python 3.11, or 3.10 with tomli; nothing else.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generator import c, cdef, docs, python, schema

ROOT = Path(__file__).resolve().parent.parent

# Headers in the order of inclusion. messages.h is generated, the rest is written by hand.
NATIVE_HEADERS = ("base", "codec", "frame", "messages", "stream", "tlv", "hash")
NOISE_HEADERS = ("base", "codec", "frame", "noise")


def outputs() -> dict[str, str]:
    """Path below the root -> content, for every generated file."""
    protocols = schema.load(ROOT / "schema")
    files = {
        "include/libsv2/messages.h": c.header(protocols),
        "csrc/messages.c": c.source(protocols),
        "docs/messages.md": docs.reference(protocols),
        "sv2_ffi/_table.py": python.table(protocols),
    }
    for protocol in protocols:
        files[f"sv2_ffi/{protocol.name}.py"] = python.module(protocol)

    def text(name: str) -> str:
        return files.get(name) or (ROOT / name).read_text()

    native = [f"include/libsv2/{name}.h" for name in NATIVE_HEADERS]
    native += ["include/sv2.h", "sv2_ffi/_glue.h"]
    files["sv2_ffi/_cdef.h"] = cdef.declarations([text(name) for name in native])
    noise = [f"include/libsv2/{name}.h" for name in NOISE_HEADERS] + ["sv2_ffi/_noise_glue.h"]
    files["sv2_ffi/_noise_cdef.h"] = cdef.declarations([text(name) for name in noise])
    return files


def check(files: dict[str, str]) -> int:
    """Prints how the committed files differ; the number of files that do."""
    stale = 0
    for name, wanted in files.items():
        path = ROOT / name
        found = path.read_text() if path.exists() else ""
        if found != wanted:
            stale += 1
            diff = difflib.unified_diff(
                found.splitlines(True), wanted.splitlines(True), name, "what sv2gen.py writes"
            )
            sys.stdout.writelines(list(diff)[:40])
    if stale:
        print(f"{stale} generated file(s) are stale: run tools/sv2gen.py")
    return stale


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    files = outputs()
    if arguments.check:
        return 1 if check(files) else 0
    for name, content in files.items():
        path = ROOT / name
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
