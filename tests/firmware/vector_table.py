#!/usr/bin/env python3
"""Writes tests/vectors/messages.jsonl as a C file that defines the table of vectors.h.

usage: tests/firmware/vector_table.py OUTPUT

Every vector becomes its frame and a struct made from its values, not from its frame: a codec that
mirrors a mistake in both directions does not pass. Sequences of byte strings take turns as views
and in wire form.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from generator import schema

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "messages.jsonl"
_SCALARS = {"U8", "U16", "U32", "U64"}
_SUFFIX = {"U64": "ull"}


def _text(data: bytes) -> str:
    """data as a C string literal that no trigraph or following digit can change."""
    return '"' + "".join(f"\\{byte:03o}" for byte in data) + '"'


def _bytes(data: bytes) -> str:
    return f"{{(const uint8_t *){_text(data)}, {len(data)}}}" if data else "{NULL, 0}"


def _sequence(name: str, element: str, values: list[Any], views: bool) -> tuple[str, str]:
    """What has to be defined before the struct, and the member's initialiser."""
    match element:
        case "U16" | "U32":
            wire = struct.pack(f"<{len(values)}{'H' if element == 'U16' else 'I'}", *values)
            return "", f"{{{_text(wire)}, {len(wire)}, {len(values)}, 0}}"
        case "U256" | "B0_16M":
            items = [bytes.fromhex(value) for value in values]
    if views and items:
        rows = "".join(f"    {_bytes(item)},\n" for item in items)
        before = f"static const sv2_bytes {name}[] = {{\n{rows}}};\n"
        return before, f"{{{name}, 0, {len(items)}, sizeof(sv2_bytes)}}"
    prefix = 3 if element == "B0_16M" else 0
    wire = b"".join(len(item).to_bytes(4, "little")[:prefix] + item for item in items)
    return "", f"{{{_text(wire)}, {len(wire)}, {len(items)}, 0}}"


def _value(field_type: str, value: Any) -> str:
    match field_type:
        case "F32":
            return f"{float(value).hex()}f"
        case "BOOL":
            return "true" if value else "false"
        case "OPTION[U32]":
            return "{0, false}" if value is None else f"{{{value}u, true}}"
        case "STR0_255":
            return _bytes(value.encode())
        case "U256":
            return "{" + ", ".join(str(byte) for byte in bytes.fromhex(value)) + "}"
        case _ if field_type in _SCALARS:
            return f"{value}{_SUFFIX.get(field_type, 'u')}"
        case _:
            return _bytes(bytes.fromhex(value))


def _vector(index: int, message: schema.Message, vector: dict[str, Any]) -> str:
    before, members = "", ""
    for field in message.fields:
        value = vector["fields"][field.name]
        if field.type.startswith("SEQ"):
            element = field.type.partition("[")[2].rstrip("]")
            name = f"items_{index}_{field.name}"
            items, text = _sequence(name, element, value, views=index % 2 == 1)
            before += items
        else:
            text = _value(field.type, value)
        members += f"    .{field.name} = {text},\n"
    struct_name = f"sv2_{message.c_name}"
    return f"{before}static const {struct_name} message_{index} = {{\n{members}}};\n"


def table() -> str:
    """The C file."""
    protocols = schema.load(ROOT / "schema")
    messages = {m.key: m for m in schema.sorted_messages(protocols)}
    parts = ['#include "vectors.h"\n\n']
    rows = ""
    for index, line in enumerate(VECTORS.read_text().splitlines()):
        vector = json.loads(line)
        frame = bytes.fromhex(vector["frame"])
        extension_type, message_type = struct.unpack_from("<HB", frame)
        message = messages[extension_type & 0x7FFF, message_type]
        parts.append(_vector(index, message, vector))
        rows += (
            f'    {{"{message.name} {index % 6}", &message_{index},\n'
            f"     (const uint8_t *){_text(frame)}, {len(frame)}}},\n"
        )
    parts.append(f"\nconst vector vectors[] = {{\n{rows}}};\n")
    parts.append("const unsigned vector_count = sizeof(vectors) / sizeof(vectors[0]);\n")
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table())
