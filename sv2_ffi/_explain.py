"""Why a message could not be encoded. Only errors come here, so it may take its time."""

from __future__ import annotations

from sv2_ffi._errors import EncodeError
from sv2_ffi._message import Field, Message, status_text

_MAX_INT = {"U8": 0xFF, "U16": 0xFFFF, "U32": 0xFFFF_FFFF, "U64": 0xFFFF_FFFF_FFFF_FFFF}
_MAX_BYTES = {
    "STR0_255": 255,
    "B0_32": 32,
    "B0_255": 255,
    "B0_64K": 0xFFFF,
    "B0_16M": 0xFF_FFFF,
}
_F32_MAX = (2 - 2**-23) * 2.0**127


def explain(message: Message, status: int | None = None, index: int | None = None) -> EncodeError:
    """The first field at fault, or, where every field is fine by itself, what libsv2 said."""
    for field in message.FIELDS:
        reason = _field_reason(field, message)
        if reason:
            return EncodeError(message.name, field.name, reason)
    if status is None:
        return EncodeError(message.name, None, "the message changed while it was encoded")
    name = None if index is None or index >= len(message.FIELDS) else message.FIELDS[index].name
    return EncodeError(message.name, name, status_text(status))


def _field_reason(field: Field, message: Message) -> str | None:
    try:
        value = getattr(message, field.name)
    except AttributeError:
        return "is not set"
    kind, _, element = field.type.rstrip("]").partition("[")
    if kind == "OPTION":
        return None if value is None else _value_reason(element, value)
    if kind.startswith("SEQ"):
        return _sequence_reason(255 if kind == "SEQ0_255" else 0xFFFF, element, value)
    return _value_reason(kind, value)


def _sequence_reason(most: int, element: str, value: object) -> str | None:
    if not isinstance(value, list | tuple):
        return f"expected a list, got {type(value).__name__}"
    if len(value) > most:
        return f"expected at most {most} items, got {len(value)}"
    for i, item in enumerate(value):
        reason = _value_reason(element, item)
        if reason:
            return f"item {i}: {reason}"
    return None


def _value_reason(kind: str, value: object) -> str | None:
    if kind in _MAX_INT:
        return _int_reason(_MAX_INT[kind], value)
    match kind:
        case "F32":
            return _float_reason(value)
        case "BOOL":
            return None
        case "STR0_255":
            return _text_reason(value)
        case "U256":
            return bytes_reason(value, 32, 32)
        case _:
            return bytes_reason(value, 0, _MAX_BYTES[kind])


def _int_reason(most: int, value: object) -> str | None:
    if not isinstance(value, int):
        return f"expected int, got {type(value).__name__}"
    if 0 <= value <= most:
        return None
    # Python refuses to write out numbers of thousands of digits.
    shown = value if value.bit_length() <= 128 else f"one of {value.bit_length()} bits"
    return f"expected 0 to {most}, got {shown}"


def _float_reason(value: object) -> str | None:
    if not isinstance(value, int | float):
        return f"expected float, got {type(value).__name__}"
    fits = value != value or abs(value) == float("inf") or abs(value) <= _F32_MAX
    return None if fits else "is over the range of a 32-bit float"


def _text_reason(value: object) -> str | None:
    if not isinstance(value, str):
        return f"expected str, got {type(value).__name__}"
    try:
        size = len(value.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return "has a surrogate that stands for no byte"
    return None if size <= 255 else f"expected at most 255 bytes of UTF-8, got {size}"


def _is_plain(view: memoryview) -> bool:
    """Whether len() of a view is what it has of bytes, and they lie end to end."""
    return view.ndim == 1 and view.itemsize == 1 and view.c_contiguous


def bytes_reason(value: object, least: int, most: int) -> str | None:
    """What is wrong with bytes that should be least to most long, or None."""
    if not isinstance(value, bytes | bytearray | memoryview):
        return f"expected bytes, got {type(value).__name__}"
    if isinstance(value, memoryview) and not _is_plain(value):
        return "expected a contiguous view of single bytes"
    size = len(value)
    if least <= size <= most:
        return None
    wanted = f"{least}" if least == most else f"at most {most}"
    return f"expected {wanted} bytes, got {size}"
