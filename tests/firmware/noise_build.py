"""Builds the Noise programs of this folder for emulated machines: libsv2 with its provider over
mbedTLS, libsecp256k1 and mbedTLS, as firmware has them. No C library; what would need a heap does
not link.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import cross

HERE = Path(__file__).resolve().parent
INCLUDE = cross.ROOT / "include"
EXAMPLE = cross.ROOT / "examples" / "firmware"
TARGETS = ("cortex-m4", "rv32imc")
FETCH_SECONDS = 600

# The smallest tables that libsecp256k1 has.
CURVE_FLAGS = (
    *("-DECMULT_WINDOW_SIZE=4", "-DCOMB_BLOCKS=2", "-DCOMB_TEETH=5"),
    *("-DENABLE_MODULE_ELLSWIFT=1", "-DENABLE_MODULE_EXTRAKEYS=1", "-DENABLE_MODULE_SCHNORRSIG=1"),
    "-DUSE_EXTERNAL_DEFAULT_CALLBACKS=1",
)
MBEDTLS_FLAGS = ('-DMBEDTLS_CONFIG_FILE="mbedtls_noise.h"', "-I", str(HERE))
_CURVE_FILES = ("secp256k1", "precomputed_ecmult", "precomputed_ecmult_gen")
_MBEDTLS_FILES = (
    *("chacha20", "poly1305", "chachapoly", "sha256"),
    *("constant_time", "platform_util"),
)
# Before the folder that all programs have: these two libraries name more of a C library.
_LIBC = ("-I", str(HERE / "noise_libc"))
# Ordered as the linker wants them: each before what it calls.
LIBRARIES = ("device", "provider", "sv2-noise", "sv2", "secp256k1", "mbedtls")
_SHARED = (HERE / "noise_machine.c", HERE / "noise_link.c")


class Unavailable(Exception):
    """The machine lacks something; the text says what."""


def _source(script: Path, *arguments: str) -> Path:
    """The folder that a script has fetched a library's source to."""
    environment = os.environ | {"PYTHON": os.environ.get("PYTHON", sys.executable)}
    done = subprocess.run(  # noqa: S603
        [str(script), *arguments],
        env=environment, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    if done.returncode == 77:
        raise Unavailable(lines[-1].removeprefix("skipped: "))
    if done.returncode != 0:
        raise cross.StepFailed(done.stdout + done.stderr)
    return Path(lines[-1])


@dataclass(frozen=True)
class Sources:
    """Where the two libraries lie that are not ours."""

    secp256k1: Path
    mbedtls: Path

    @staticmethod
    def fetch() -> Sources:
        """Raises Unavailable where they are not here and cannot be had."""
        curve = cross.ROOT / "tests" / "c" / "noise" / "secp256k1.sh"
        return Sources(_source(curve, "--source"), _source(HERE / "mbedtls.sh"))

    def mbedtls_version(self) -> str:
        """As "3.6.3"."""
        include = self.mbedtls / "include" / "mbedtls"
        # 2.28 has it in one header, 3.x in the other.
        text = "".join(p.read_text() for p in sorted(include.glob("[bv]*.h")) if p.is_file())
        found = re.search(r'define MBEDTLS_VERSION_STRING\s+"([\d.]+)"', text)
        assert found is not None
        return found[1]


def _target(name: str) -> cross.Target:
    """The machine, with the compiler's helpers: the curve's arithmetic is of 64 bits."""
    target = cross.TARGETS[name]
    if reason := target.missing():
        raise Unavailable(reason)
    return dataclasses.replace(target, libraries=("-lgcc",))


class Build:
    """All libraries for one machine, in a folder; then programs of them."""

    def __init__(self, name: str, sources: Sources, folder: Path) -> None:
        self.target = _target(name)
        self.folder = folder
        self.sources = sources
        folder.mkdir(parents=True, exist_ok=True)
        self.archives = {library: self._archive(library) for library in LIBRARIES}

    def _archive(self, library: str) -> Path:
        files, flags = self._parts(library)
        folder = self.folder / library
        folder.mkdir()
        objects = [cross.compile_c(self.target, file, folder, INCLUDE, *flags) for file in files]
        archive = self.folder / f"lib{library}.a"
        cross.run([self.target.tool("ar"), "rcs", str(archive), *map(str, objects)])
        return archive

    def _parts(self, library: str) -> tuple[list[Path], tuple[str, ...]]:
        """The C files of a library, and what they are compiled with beside the usual. -w: the
        warnings are for our own code."""
        curve = ("-isystem", str(self.sources.secp256k1 / "include"))
        mbedtls = (*MBEDTLS_FLAGS, "-isystem", str(self.sources.mbedtls / "include"))
        match library:
            case "device":
                return [EXAMPLE / "device.c", EXAMPLE / "hasher.c"], ()
            case "provider":
                folder = cross.ROOT / "csrc" / "noise"
                return [folder / "curve.c", folder / "mbedtls.c"], (*curve, *mbedtls)
            case "sv2-noise":
                return cross.noise_sources(), ()
            case "sv2":
                return cross.core_sources(), ()
            case "secp256k1":
                files = [self.sources.secp256k1 / "src" / f"{name}.c" for name in _CURVE_FILES]
                return files, (*_LIBC, *curve, *CURVE_FLAGS, "-w")
            case _:
                files = [self.sources.mbedtls / "library" / f"{name}.c" for name in _MBEDTLS_FILES]
                return files, (*_LIBC, *mbedtls, "-w")

    def program(self, name: str, source: Path | None = None) -> Path:
        """The program ``name``.c of this folder, or another, linked with all that it uses."""
        folder = self.folder / name
        folder.mkdir()
        own = [*(f"-I{path}" for path in (HERE, HERE / "start", EXAMPLE)), "-isystem"]
        own.append(str(self.sources.secp256k1 / "include"))
        objects = [
            cross.compile_c(self.target, file, folder, INCLUDE, *own)
            for file in (source or HERE / f"{name}.c", *_SHARED)
        ]
        # Without the flag gcc recognises memcpy's loop and makes it a call of memcpy.
        plain = ("-fno-tree-loop-distribute-patterns",)
        start = HERE / "start"
        objects += [
            cross.compile_c(self.target, start / part, folder, start, *plain)
            for part in (self.target.start, "memory.c")
        ]
        *archives, last = self.archives.values()
        scripts = [f"-L{HERE / 'noise_ld'}", f"-L{HERE / 'link'}"]
        scripts.append(f"-T{self.target.linker_script}")
        return cross.link(self.target, objects + archives, last, folder / "program.elf", *scripts)


def sections(build: Build, program: Path) -> dict[str, int]:
    """Bytes of each section of a program; noise_ld/sections.ld names them."""
    listing = cross.run([build.target.tool("size"), "-A", str(program)])
    found = re.findall(r"^(\.\S+)\s+(\d+)", listing, re.MULTILINE)
    return {name: int(size) for name, size in found}


def symbols(build: Build, program: Path) -> set[str]:
    """The names of all that a program holds."""
    listing = cross.run([build.target.tool("nm"), "-P", str(program)])
    return {line.split()[0] for line in listing.splitlines()}
