"""The machines that libsv2's core is held to, and how to compile, link and run for each.

Freestanding throughout: the compiler's own headers and ours, no C library, no start-up code but
that of tests/firmware/start.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "tests" / "firmware"
# No step here takes more than a second or two; this bounds an emulator that hangs.
STEP_SECONDS = 60

_WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-align -Wvla -Werror"
C_FLAGS = (
    *("-std=c11", "-Os", "-ffreestanding", "-fno-pic", "-fno-asynchronous-unwind-tables"),
    *("-ffunction-sections", "-fdata-sections"),
    *_WARNINGS.split(),
)


class StepFailed(Exception):
    """A compiler, linker or emulator said no; the text is what it said."""


@dataclass(frozen=True)
class Target:
    """A machine: compiler and emulator commands, and the start-up code that fits them."""

    name: str
    title: str
    compiler: str
    flags: tuple[str, ...]
    start: str
    linker_script: str | None
    emulator: tuple[str, ...]
    # What the compiler may call of its own accord, beside memcpy and memset, and where that lies.
    helpers: frozenset[str] = frozenset()
    libraries: tuple[str, ...] = ()

    def tool(self, name: str) -> str:
        """The binutils program that belongs to the compiler: "nm", "size", "ar"."""
        return self.compiler.removesuffix("gcc") + name

    def missing_compiler(self) -> str | None:
        """Why nothing can be compiled for this target, or None."""
        if shutil.which(self.compiler) is None:
            return f"{self.compiler} is not installed"
        try:
            run([self.compiler, *self.flags, "-E", "-x", "c", "/dev/null"])
        except StepFailed:
            return f"{self.compiler} is not one for {self.title}"
        return None

    def missing(self) -> str | None:
        """Why no program can be compiled and run for this target, or None."""
        if self.emulator and shutil.which(self.emulator[0]) is None:
            return f"{self.emulator[0]} is not installed"
        return self.missing_compiler()


_SEMIHOSTING = ("-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config")
_ARM = ("qemu-system-arm", *_SEMIHOSTING, "enable=on,target=native", "-machine")
_RISCV = ("qemu-system-riscv32", *_SEMIHOSTING, "enable=on,target=native", "-machine")

TARGETS = {
    target.name: target
    for target in (
        Target(
            name="cortex-m0plus",
            title="Cortex-M0+",
            compiler="arm-none-eabi-gcc",
            flags=("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
            start="start_cortex_m.c",
            linker_script="microbit.ld",
            emulator=(*_ARM, "microbit", "-kernel"),
            # A jump table: ARMv6-M has no instruction for one. 16 bytes of libgcc.
            helpers=frozenset({"__gnu_thumb1_case_uqi"}),
            libraries=("-lgcc",),
        ),
        Target(
            name="cortex-m4",
            title="Cortex-M4",
            compiler="arm-none-eabi-gcc",
            flags=("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
            start="start_cortex_m.c",
            linker_script="mps2.ld",
            emulator=(*_ARM, "mps2-an386", "-kernel"),
        ),
        Target(
            name="rv32imc",
            title="RV32IMC",
            compiler="riscv64-unknown-elf-gcc",
            flags=("-march=rv32imc", "-mabi=ilp32", "-mcmodel=medany"),
            start="start_riscv32.c",
            linker_script="virt.ld",
            emulator=(*_RISCV, "virt", "-bios", "none", "-kernel"),
        ),
        Target(
            name="i386",
            title="i386",
            compiler="gcc",
            flags=("-m32",),
            start="start_i386.c",
            linker_script=None,
            emulator=("qemu-i386",),
        ),
        Target(
            name="s390x",
            title="s390x, big-endian",
            compiler="s390x-linux-gnu-gcc",
            flags=(),
            start="start_s390x.c",
            linker_script=None,
            emulator=("qemu-s390x",),
        ),
    )
}


def run(command: list[str], cwd: Path | None = None) -> str:
    """Runs a command to its end and returns what it printed. Raises StepFailed."""
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=cwd, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as timeout:
        raise StepFailed(f"{command[0]}: not done after {STEP_SECONDS} s") from timeout
    output = done.stdout + done.stderr
    if done.returncode != 0:
        raise StepFailed(f"{' '.join(command)}\n{output}")
    return output


def _listed(folder: str, name: str) -> list[Path]:
    text = (ROOT / folder / "meson.build").read_text()
    block = re.search(rf"{name}(?: =|':) files\((.*?)\)", text, re.DOTALL)
    assert block is not None
    return [ROOT / folder / file for file in re.findall(r"'([^']+)'", block[1])]


def core_sources() -> list[Path]:
    """The freestanding part of libsv2, as csrc/meson.build lists it."""
    return _listed("csrc", "core_sources")


def noise_sources() -> list[Path]:
    """libsv2-noise without its providers, which is freestanding too."""
    return _listed("csrc/noise", "noise_sources")


def noise_provider_sources(provider: str) -> list[Path]:
    """A provider of cryptography for libsv2-noise: "openssl" or "mbedtls"."""
    return _listed("csrc/noise", provider)


def compile_c(
    target: Target, source: Path, folder: Path, include: Path, *flags: str, name: str = ""
) -> Path:
    """One object file in folder. include is where libsv2.h lies."""
    output = folder / f"{name or source.stem}.o"
    command = [target.compiler, *C_FLAGS, *target.flags, "-isystem", str(FIRMWARE / "include")]
    command += ["-I", str(include), *flags, "-c", str(source), "-o", str(output)]
    run(command)
    return output


def compile_library(
    target: Target, sources: list[Path], folder: Path, include: Path, *flags: str
) -> Path:
    """libsv2.a in folder, and its objects beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = [compile_c(target, source, folder, include, *flags) for source in sources]
    library = folder / "libsv2.a"
    library.unlink(missing_ok=True)
    run([target.tool("ar"), "rcs", str(library), *(str(path) for path in objects)])
    return library


def link(target: Target, objects: list[Path], library: Path, output: Path, *flags: str) -> Path:
    """A program of objects and library, without what no part of it uses."""
    command = [target.compiler, *target.flags, "-nostdlib", "-static", "-no-pie"]
    command += ["-Wl,--gc-sections", "-Wl,--fatal-warnings", "-Wl,-z,noexecstack", *flags]
    inputs = [str(path) for path in (*objects, library)]
    run([*command, *inputs, *target.libraries, "-o", str(output)])
    return output


def link_for_board(target: Target, objects: list[Path], library: Path, output: Path) -> Path:
    """A program that the target's emulator runs: with start-up code and memory functions."""
    start = FIRMWARE / "start"
    # Without the flag gcc recognises memcpy's loop and makes it a call of memcpy.
    plain = ("-fno-tree-loop-distribute-patterns",)
    board = [
        compile_c(target, start / name, output.parent, FIRMWARE / "start", *plain)
        for name in (target.start, "memory.c")
    ]
    script: list[str] = []
    if target.linker_script is not None:
        script = ["-L", str(FIRMWARE / "link"), "-T", target.linker_script]
    return link(target, objects + board, library, output, *script)


def emulate(target: Target, program: Path) -> str:
    """Runs a program and returns what it printed. Raises StepFailed where it does not end in 0."""
    return run([*target.emulator, str(program)])
