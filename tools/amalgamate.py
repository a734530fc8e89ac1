#!/usr/bin/env python3
"""Makes two files of the freestanding library, to drop into any build: libsv2.c and libsv2.h.

usage: tools/amalgamate.py [FOLDER]

FOLDER is dist/ by default and is made where it is missing. The sources are those that
csrc/meson.build names core_sources; csrc/ffi.c, which allocates, is not among them. Two runs on the
same tree write the same bytes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cross import ROOT, core_sources

INCLUDE = ROOT / "include"
_LOCAL_INCLUDE = re.compile(r'#include "([^"]+)"\n')
_SYSTEM_INCLUDE = re.compile(r"#include <([^>]+)>\n")


def _version() -> str:
    base = (INCLUDE / "libsv2" / "base.h").read_text()
    return ".".join(
        re.findall(rf"#define SV2_VERSION_{part} (\d+)", base)[0]
        for part in ("MAJOR", "MINOR", "PATCH")
    )


def _banner(what: str) -> str:
    licence = (ROOT / "LICENSE-MIT").read_text().strip()
    lines = [
        f"libsv2 {_version()}: {what}",
        "",
        "Made by tools/amalgamate.py of smaller files, which are better to read and to change.",
        "SPDX-License-Identifier: MIT OR Apache-2.0",
        "",
        *licence.splitlines(),
    ]
    return "/*\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


class _Joined:
    """Files put one behind the other, each once, where it is first included."""

    def __init__(self, known: set[Path]) -> None:
        self.known = known
        self.system: list[str] = []
        self.parts: list[str] = []

    def add(self, path: Path) -> None:
        if path in self.known:
            return
        self.known.add(path)
        for match in _SYSTEM_INCLUDE.finditer(text := path.read_text()):
            if match[1] not in self.system:
                self.system.append(match[1])
        for match in _LOCAL_INCLUDE.finditer(text):
            self.add(_resolve(match[1], path.parent))
        body = _SYSTEM_INCLUDE.sub("", _LOCAL_INCLUDE.sub("", text))
        body = re.sub(r"\n{3,}", "\n\n", body).strip()
        self.parts.append(f"/* ---- {path.relative_to(ROOT)} ---- */\n\n{body}\n")

    def text(self) -> str:
        includes = "".join(f"#include <{name}>\n" for name in sorted(self.system))
        return f"{includes}\n" + "\n".join(self.parts)


def _resolve(name: str, folder: Path) -> Path:
    for candidate in (folder / name, INCLUDE / name):
        if candidate.exists():
            return candidate.resolve()
    raise FileNotFoundError(f"{name}, included in {folder}")


def amalgamation() -> dict[str, str]:
    """File name -> content."""
    header = _Joined(set())
    header.add(INCLUDE / "libsv2.h")
    source = _Joined(header.known)
    for path in core_sources():
        source.add(path)
    return {
        "libsv2.h": _banner("Stratum V2 messages for C and C++, the header.") + header.text(),
        "libsv2.c": _banner("Stratum V2 messages for C and C++, the code.")
        + '#include "libsv2.h"\n\n'
        + source.text(),
    }


def main() -> int:
    if len(sys.argv) > 2 or "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else ROOT / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in amalgamation().items():
        (folder / name).write_text(content)
        print(f"wrote {folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
