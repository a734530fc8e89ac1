#!/usr/bin/env python3
"""Counts instructions per message with callgrind.

usage: instructions.py OUTPUT.json LABEL=PROGRAM...

PROGRAM takes ROW OPERATION COUNT. What a program does besides is the same for two counts, so the
difference of two runs, divided by the difference of the counts, is the cost of one message.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROWS = {"setup_connection": 1000, "new_template": 1000, "transactions": 4}


def total(program: str, row: str, operation: str, count: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    result = subprocess.run(  # noqa: S603
        [*command, program, row, operation, str(count)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", result.stderr)
    if found is None:
        raise RuntimeError(f"callgrind said nothing of {program}")
    return int(found.group(1))


def main() -> None:
    counts: dict[str, float] = {}
    for pair in sys.argv[2:]:
        label, _, program = pair.partition("=")
        for row, count in ROWS.items():
            for operation in ("decode", "encode"):
                few = total(program, row, operation, count)
                many = total(program, row, operation, 2 * count)
                counts[f"{label}/{row}/{operation}"] = (many - few) / count
    Path(sys.argv[1]).write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
