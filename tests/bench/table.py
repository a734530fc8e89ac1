#!/usr/bin/env python3
"""Prints the results of the benchmarks as tables.

usage: table.py RESULTS.jsonl [INSTRUCTIONS.json]

RESULTS has one JSON object per line and library: {"library", "rows": [{"message", "wire_bytes",
"decode_ns": {"fastest", "median"}, "encode_ns": ...}]}. The fastest round is printed:
what else the machine does can only add to it. INSTRUCTIONS maps
"library/message/operation" to instructions per message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

GOALS = (
    # library, message, operation, most nanoseconds, and where they come from
    ("native C", "setup_connection", "decode", 40.0),
    ("native C", "setup_connection", "encode", 40.0),
    ("native C", "new_template", "decode", 40.0),
    ("native C", "new_template", "encode", 40.0),
    ("native C", "submit_shares", "decode", 40.0),
    ("native C", "submit_shares", "encode", 40.0),
    ("native C", "transactions", "decode", 30_000.0),
    ("sv2.h", "setup_connection", "decode", 400.0),
    ("sv2.h", "setup_connection", "encode", 150.0),
    ("Python", "new_template", "decode", 3000.0),
    ("Python", "new_template", "encode", 3000.0),
)


def line(cells: list[str]) -> str:
    return f"{cells[0]:<28}{cells[1]:<20}" + "".join(f"{cell:>14}" for cell in cells[2:])


def speed(row: dict[str, Any], operation: str) -> list[str]:
    """Nanoseconds per message and megabytes per second of one operation, or dashes."""
    times = row.get(f"{operation}_ns")
    if times is None:
        return ["-", "-"]
    nanoseconds = times["fastest"]
    return [f"{nanoseconds:,.0f}", f"{row['wire_bytes'] / nanoseconds * 1000:,.0f}"]


def print_times(results: dict[str, list[dict[str, Any]]]) -> None:
    print("Time per message: fastest of 7 rounds\n")
    print(line(["", "message", "decode ns", "MB/s", "encode ns", "MB/s"]))
    for library, rows in results.items():
        for row in rows:
            cells = [library, row["message"], *speed(row, "decode"), *speed(row, "encode")]
            print(line(cells))
        print()


def find(
    results: dict[str, list[dict[str, Any]]], library: str, message: str, operation: str
) -> float | None:
    for row in results.get(library, []):
        if row["message"] == message and f"{operation}_ns" in row:
            return float(row[f"{operation}_ns"]["fastest"])
    return None


def ratio(what: str, message: str, operation: str, value: float, goal: str) -> str:
    return f"{what:<34}{message:<20}{operation:<8}{value:8.1f}   goal: {goal}"


def print_ratios(results: dict[str, list[dict[str, Any]]]) -> None:
    print("Ratios in this run\n")
    pairs = (
        ("upstream's library", "sv2.h", "decode", "at least 5"),
        ("upstream's library", "sv2.h", "encode", "at least 20"),
        ("Python, struct by hand", "Python", "decode", "none"),
    )
    for slow, fast, operation, goal in pairs:
        for row in results.get(slow, []):
            ours = find(results, fast, row["message"], operation)
            theirs = find(results, slow, row["message"], operation)
            if ours and theirs:
                what = f"{slow} / {fast}"
                print(ratio(what, row["message"], operation, theirs / ours, goal))
    for library in ("native C", "sv2.h"):
        copy = find(results, "native C", "transactions", "memcpy")
        encode = find(results, library, "transactions", "encode")
        if copy and encode:
            print(
                ratio(f"{library} / memcpy", "transactions", "encode", encode / copy, "at most 1.5")
            )
    print()


def print_goals(results: dict[str, list[dict[str, Any]]]) -> None:
    print("Goals in nanoseconds\n")
    for library, message, operation, most in GOALS:
        found = find(results, library, message, operation)
        if found is not None:
            verdict = "met" if found <= most else "MISSED"
            what = f"{library:<12}{message:<20}{operation:<8}"
            print(f"{what}{found:12,.0f} of {most:8,.0f}   {verdict}")
    print()


def print_instructions(path: Path) -> None:
    print("Instructions per message (callgrind), however busy the machine is\n")
    for name, count in json.loads(path.read_text()).items():
        library, message, operation = name.split("/")
        print(f"{library:<28}{message:<20}{operation:<8}{count:14,.0f}")
    print()


def main() -> None:
    lines = Path(sys.argv[1]).read_text().splitlines()
    results = {data["library"]: data["rows"] for data in map(json.loads, lines)}
    print_times(results)
    print_ratios(results)
    print_goals(results)
    if len(sys.argv) > 2:
        print_instructions(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
