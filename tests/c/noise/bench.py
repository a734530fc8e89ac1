#!/usr/bin/env python3
"""Noise: handshakes and megabytes per second of C, Python and the Rust peer, in one run.

usage: bench.py [--seconds S]

C is measured on both providers (bench.c), Python as in tests/bench/bench_noise.py, the Rust peer by
its own `bench`, where tests/peers/build.sh has built it. All of them do the same work: a handshake
is both roles with a new static key and a certificate that is signed and checked; a frame is sealed
into a buffer of its own and opened as it arrives.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from noise_native import HERE, PROVIDERS, ROOT, Unavailable, compile_c, provider_flags, sources
from sv2.noise import PythonEngine

sys.path.insert(0, str(ROOT / "tests" / "bench"))

import bench_noise

SIZES = bench_noise.SIZES


def c_figures(provider: str, seconds: float) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "bench")
        try:
            compile_c(
                *("cc", "-O2", "-D_DEFAULT_SOURCE", f"-I{ROOT / 'include'}", str(HERE / "bench.c")),
                *(*sources(provider), "-o", program, *provider_flags(provider)),
            )
        except Unavailable as missing:
            print(f"C on {provider} is left out: {missing}", file=sys.stderr)
            return None
        command = [program, str(seconds)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=300)  # noqa: S603
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    seconds = parser.parse_args().seconds
    columns = {f"C, {provider}": c_figures(provider, seconds) for provider in PROVIDERS}
    columns["Python"] = bench_noise.engine_figures(PythonEngine(), seconds)
    columns["Rust peer"] = bench_noise.peer_figures(seconds)
    found = {name: figures for name, figures in columns.items() if figures is not None}
    print(f"{'':24}" + "".join(f"{name:>14}" for name in found))
    rates = "".join(f"{figures['handshakes_per_s']:14,.0f}" for figures in found.values())
    print(f"{'handshakes per second':24}{rates}")
    for place, size in enumerate(SIZES):
        for operation in ("seal", "open"):
            row = "".join(
                f"{figures['transport'][place][f'{operation}_mb_per_s']:14,.0f}"
                for figures in found.values()
            )
            print(f"{f'{operation} {size:,} B, MB/s':24}{row}")


if __name__ == "__main__":
    main()
