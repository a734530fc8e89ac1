#!/usr/bin/env python3
"""Turns frames with their fields into C, for tests without a JSON parser.

usage: make_vectors.py VECTORS.jsonl SESSION.jsonl OUTPUT.h

The output has, for each frame of VECTORS, the frame, its message's descriptor and a struct with the
expected fields; a function that compares two structs of each message; and the frames of SESSION.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from generator import schema

NAMES = {
    "Mining.SetNewPrevHash": "mining_set_new_prev_hash",
    "TemplateDistribution.SetNewPrevHash": "template_distribution_set_new_prev_hash",
}


def byte_array(name: str, data: bytes) -> str:
    body = ",".join(str(byte) for byte in data) or "0"
    return f"static const uint8_t {name}[] = {{{body}}};\n"


def initializer(field: schema.Field, value: Any, name: str, out: list[str]) -> str:
    """The C initializer of a field; arrays that it points to go to out."""
    match field.type:
        case "BOOL":
            return "true" if value else "false"
        case "F32":
            return f"{float(value).hex()}f"
        case "OPTION[U32]":
            return "{0, false}" if value is None else f"{{{value}u, true}}"
        case "U64":
            return f"{value}ull"
        case "U8" | "U16" | "U32":
            return f"{value}u"
        case "U256":
            return "{" + ",".join(str(byte) for byte in bytes.fromhex(value)) + "}"
        case "STR0_255":
            return view(name, value.encode("utf-8", "surrogateescape"), out)
        case "B0_32" | "B0_255" | "B0_64K":
            return view(name, bytes.fromhex(value), out)
        case _:
            return sequence(field.type.partition("[")[2].rstrip("]"), value, name, out)


def view(name: str, data: bytes, out: list[str]) -> str:
    out.append(byte_array(name, data))
    return f"{{{name}, {len(data)}}}"


def sequence(element: str, values: list[Any], name: str, out: list[str]) -> str:
    sizes = {"U16": 2, "U32": 4}
    wire = b""
    for value in values:
        if element in sizes:
            wire += value.to_bytes(sizes[element], "little")
            continue
        item = bytes.fromhex(value)
        wire += item if element == "U256" else len(item).to_bytes(3, "little") + item
    out.append(byte_array(name, wire))
    return f"{{{name}, {len(wire)}, {len(values)}, 0}}"


def comparison(message: schema.Message) -> str:
    tests = []
    for field in message.fields:
        a, b = f"a->{field.name}", f"b->{field.name}"
        match field.type:
            case "U256":
                tests.append(f"memcmp({a}, {b}, 32) == 0")
            case "F32":
                tests.append(f"memcmp(&{a}, &{b}, 4) == 0")
            case "OPTION[U32]":
                tests.append(f"{a}.present == {b}.present && {a}.value == {b}.value")
            case kind if kind.startswith("SEQ"):
                tests.append(
                    f"{a}.count == {b}.count && {a}.size == {b}.size"
                    f" && memcmp({a}.data, {b}.data, {a}.size) == 0"
                )
            case kind if kind.startswith(("STR", "B0")):
                tests.append(f"{a}.len == {b}.len && memcmp({a}.data, {b}.data, {a}.len) == 0")
            case _:
                tests.append(f"{a} == {b}")
    body = "\n        && ".join(tests)
    name = message.c_name
    return (
        f"static bool equal_{name}(const void *x, const void *y)\n{{\n"
        f"    const sv2_{name} *a = (const sv2_{name} *)x, *b = (const sv2_{name} *)y;\n"
        f"    return {body};\n}}\n"
    )


def main() -> None:
    vectors, session, output = (Path(argument) for argument in sys.argv[1:4])
    protocols = schema.load(Path(__file__).resolve().parents[2] / "schema")
    messages = {m.name: m for p in protocols for m in p.messages}
    messages |= {
        name: m for p in protocols for m in p.messages for name, c in NAMES.items() if m.c_name == c
    }
    out = ['#include <string.h>\n\n#include "libsv2.h"\n\n']
    out += [comparison(m) for m in {m.c_name: m for m in messages.values()}.values()]
    rows = []
    for i, line in enumerate(vectors.read_text().splitlines()):
        data = json.loads(line)
        message = messages[data["message"]]
        frame = bytes.fromhex(data["frame"])
        out.append(byte_array(f"frame_{i}", frame))
        fields = [
            initializer(f, data["fields"][f.name], f"v{i}_{f.name}", out) for f in message.fields
        ]
        struct = f"sv2_{message.c_name}"
        out.append(f"static const {struct} message_{i} = {{{', '.join(fields)}}};\n")
        rows.append(
            f"    {{frame_{i}, {len(frame)}, &{struct}_descriptor, &message_{i},"
            f" equal_{message.c_name}}},\n"
        )
    for i, line in enumerate(session.read_text().splitlines()):
        frame = bytes.fromhex(json.loads(line)["frame"])
        out.append(byte_array(f"session_{i}", frame))
        rows.append(f"    {{session_{i}, {len(frame)}, NULL, NULL, NULL}},\n")
    out.append(
        "/* descriptor, message and equal are NULL for the frames of the session. */\n"
        "typedef struct test_vector {\n    const uint8_t *frame;\n    size_t len;\n"
        "    const sv2_descriptor *descriptor;\n    const void *message;\n"
        "    bool (*equal)(const void *, const void *);\n} test_vector;\n\n"
        f"static const test_vector test_vectors[] = {{\n{''.join(rows)}}};\n"
        "#define TEST_VECTORS (sizeof(test_vectors) / sizeof(test_vectors[0]))\n"
    )
    output.write_text("".join(out))


if __name__ == "__main__":
    main()
