"""Finds, or builds once, the peer programs of this directory for the tests."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

PEERS = Path(__file__).resolve().parent
ROOT = PEERS.parent.parent
BUILD = ROOT / "build" / "peers"
VECTORS = ROOT / "tests" / "vectors" / "messages.jsonl"

_SKIPPED = 77  # build.sh: cargo is missing, or the crates cannot be fetched
_BUILD_SECONDS = (
    900  # a cold build of all peers takes half a minute of two cores; slow machines exist
)


def run(
    program: Path, *arguments: str, stdin: bytes = b"", seconds: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Runs one of our peer programs to its end, at most `seconds`."""
    return subprocess.run(  # noqa: S603
        [str(program), *arguments], input=stdin, capture_output=True, timeout=seconds, check=False
    )


@functools.cache
def _run_script(script: Path, *arguments: str) -> tuple[int, str]:
    done = run(script, *arguments, seconds=_BUILD_SECONDS)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _require(script: Path, *arguments: str) -> None:
    code, output = _run_script(script, *arguments)
    if code == _SKIPPED:
        pytest.skip(output.strip().splitlines()[-1])
    assert code == 0, output


def peer_program(name: str) -> Path:
    """The program `sri-codec` or `sri-noise`. Skips the test where it cannot be built."""
    _require(PEERS / "build.sh", name)
    return BUILD / "bin" / name


def native_codec() -> Path:
    """Our C codec as a program with the line protocol of `sri-codec`, built with sanitizers."""
    _require(PEERS / "native-codec" / "build.sh")
    return BUILD / "bin" / "native-codec"


def abi_program(name: str) -> Path:
    """A program of build/peers/abi, like `probe-published-ours`. Skips as `peer_program` does."""
    _require(PEERS / "build.sh", "upstream-ffi")
    _require(PEERS / "upstream-ffi" / "build.sh")
    return BUILD / "abi" / name
