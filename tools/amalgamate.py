#!/usr/bin/env python3
"""Makes a few files of the freestanding library, to drop into any build, with nothing else needed.

libsv2.c and libsv2.h hold messages, frames and hashing; libsv2_noise.c and libsv2_noise.h, which
need those, hold encrypted connections. A provider of cryptography for Noise is a third pair, and
comes only where it is asked for: it includes headers of other libraries, without which a build that
takes every file of a folder would fail.

The sources are those that csrc/meson.build and csrc/noise/meson.build name; csrc/ffi.c, which
allocates, is not among them. Two runs on the same tree write the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cross import ROOT, core_sources, noise_provider_sources, noise_sources

INCLUDE = ROOT / "include"
PROVIDERS = {"mbedtls": "libsecp256k1 and mbedTLS", "openssl": "libsecp256k1 and OpenSSL"}
_LOCAL_INCLUDE = re.compile(r'#include "([^"]+)"\n')
# C's own headers, which go to the top. Those of other libraries stay in their place: some depend on
# what the ones before them have defined.
_SYSTEM_INCLUDE = re.compile(r"#include <((?:limits|std\w+|string)\.h)>\n")


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
    """Files put one behind the other, each once, where it is first included. Those that are known
    from the start are left out.
    """

    def __init__(self, name: str, known: set[Path]) -> None:
        self.name = name
        self.known = set(known)
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


def _pair(
    name: str, what: str, header: str, sources: list[Path], below: _Joined | None = None
) -> tuple[_Joined, dict[str, str]]:
    """The joined header and the two files. below: the header of the pair that this one needs."""
    top = _Joined(name, below.known if below else set())
    top.add(INCLUDE / header)
    code = _Joined(name, top.known)
    for path in sources:
        code.add(path)
    needs = f'#include "{below.name}.h"\n\n' if below else ""
    return top, {
        f"{name}.h": _banner(f"{what}, the header.") + needs + top.text(),
        f"{name}.c": _banner(f"{what}, the code.") + f'#include "{name}.h"\n\n' + code.text(),
    }


def amalgamation(provider: str | None = None) -> dict[str, str]:
    """File name -> content. provider: of PROVIDERS."""
    core, files = _pair("libsv2", "Stratum V2 messages for C and C++", "libsv2.h", core_sources())
    noise, more = _pair(
        "libsv2_noise", "Noise for Stratum V2", "libsv2/noise.h", noise_sources(), core
    )
    files |= more
    if provider is not None:
        what = f"Cryptography for Noise over {PROVIDERS[provider]}"
        header, sources = f"libsv2/noise_{provider}.h", noise_provider_sources(provider)
        files |= _pair(f"libsv2_noise_{provider}", what, header, sources, noise)[1]
    return files


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", metavar="FOLDER",
                        help="made where it is missing; dist/ by default")  # fmt: skip
    parser.add_argument("--provider", choices=sorted(PROVIDERS),
                        help="write this provider of cryptography too")  # fmt: skip
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, content in amalgamation(arguments.provider).items():
        (arguments.folder / name).write_text(content)
        print(f"wrote {arguments.folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
