"""Loads and checks schema/*.toml."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The order of the modules in documentation and of the subprotocols in the spec.
PROTOCOLS = ("common", "mining", "job_declaration", "template_distribution", "extensions")


@dataclass(frozen=True)
class WireType:
    """A type of spec 3.1: what it is in C and in Python, and its kind for the interpreter."""

    kind: str
    c: str
    c_suffix: str
    python: str
    cdef: str = ""


def _scalar(kind: str, c: str, python: str) -> WireType:
    return WireType(f"SV2_KIND_{kind}", c, "", python)


def _sequence(prefix: str, element: str, python: str) -> WireType:
    return WireType(f"SV2_SEQ_{prefix} + SV2_KIND_{element}", "sv2_seq", "", f"list[{python}]")


TYPES: dict[str, WireType] = {
    "U8": _scalar("U8", "uint8_t", "int"),
    "U16": _scalar("U16", "uint16_t", "int"),
    "U32": _scalar("U32", "uint32_t", "int"),
    "U64": _scalar("U64", "uint64_t", "int"),
    "F32": _scalar("U32", "float", "float"),
    "BOOL": _scalar("BOOL", "bool", "bool"),
    "U256": WireType("SV2_KIND_U256", "uint8_t", "[32]", "bytes"),
    "OPTION[U32]": _scalar("OPTION_U32", "sv2_option_u32", "int | None"),
    "STR0_255": _scalar("B0_255", "sv2_bytes", "str"),
    "B0_32": _scalar("B0_32", "sv2_bytes", "bytes"),
    "B0_255": _scalar("B0_255", "sv2_bytes", "bytes"),
    "B0_64K": _scalar("B0_64K", "sv2_bytes", "bytes"),
    "SEQ0_255[U256]": _sequence("255", "U256", "bytes"),
    "SEQ0_64K[U256]": _sequence("64K", "U256", "bytes"),
    "SEQ0_64K[U16]": _sequence("64K", "U16", "int"),
    "SEQ0_64K[U32]": _sequence("64K", "U32", "int"),
    "SEQ0_64K[B0_16M]": _sequence("64K", "B0_16M", "bytes"),
}


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    doc: str
    unit: str = ""

    @property
    def wire(self) -> WireType:
        return TYPES[self.type]

    @property
    def description(self) -> str:
        """The documentation with its unit, as one paragraph."""
        return f"{self.doc} Unit: {self.unit}." if self.unit else self.doc


@dataclass(frozen=True)
class Constant:
    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Message:
    name: str
    c_name: str
    type: int
    extension_type: int
    channel_msg: bool
    direction: str
    spec: str
    doc: str
    fields: tuple[Field, ...]

    @property
    def class_name(self) -> str:
        return self.name.replace(".", "")

    @property
    def key(self) -> tuple[int, int]:
        return self.extension_type, self.type

    @property
    def wire_extension_type(self) -> int:
        return self.extension_type | (0x8000 if self.channel_msg else 0)


@dataclass(frozen=True)
class Protocol:
    name: str
    title: str
    spec: str
    constants: tuple[Constant, ...]
    messages: tuple[Message, ...]


class SchemaError(Exception):
    """The schema breaks one of its own rules; the text names file, message and field."""


def load(folder: Path) -> list[Protocol]:
    """All protocols in the order of PROTOCOLS. Raises SchemaError."""
    protocols = [_load_one(folder / f"{name}.toml") for name in PROTOCOLS]
    messages = [message for protocol in protocols for message in protocol.messages]
    _unique("extension and message type", [str(message.key) for message in messages])
    _unique("C name", [message.c_name for message in messages])
    return protocols


def sorted_messages(protocols: list[Protocol]) -> list[Message]:
    """All messages in the order of the lookup table: by extension type, then message type."""
    return sorted((m for p in protocols for m in p.messages), key=lambda m: m.key)


def _load_one(path: Path) -> Protocol:
    with path.open("rb") as file:
        data = tomllib.load(file)
    head = data["protocol"]
    return Protocol(
        name=head["name"],
        title=head["title"],
        spec=head["spec"],
        constants=tuple(Constant(**c) for c in data.get("constant", [])),
        messages=tuple(_message(path, head["extension_type"], m) for m in data["message"]),
    )


def _message(path: Path, extension_type: int, data: dict[str, object]) -> Message:
    raw_fields = data.pop("fields")
    assert isinstance(raw_fields, list)
    fields = tuple(Field(**f) for f in raw_fields)
    message = Message(extension_type=extension_type, fields=fields, **data)  # type: ignore[arg-type]
    where = f"{path.name}: {message.name}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", message.c_name):
        raise SchemaError(f"{where}: c_name is not lower case with underscores")
    if not 0 <= message.type <= 0xFF:
        raise SchemaError(f"{where}: type is no U8")
    if message.direction not in ("client to server", "server to client", "both"):
        raise SchemaError(f"{where}: direction is unknown")
    _unique(f"field of {where}", [field.name for field in fields])
    for field in fields:
        if field.type not in TYPES:
            raise SchemaError(f"{where}.{field.name}: type {field.type} is unknown")
        if not field.doc.endswith("."):
            raise SchemaError(f"{where}.{field.name}: doc is no sentence")
    if message.channel_msg and fields[0].type != "U32":
        raise SchemaError(f"{where}: a channel message begins with its channel id")
    return message


def _unique(what: str, values: list[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise SchemaError(f"{what} is there twice: {', '.join(twice)}")
