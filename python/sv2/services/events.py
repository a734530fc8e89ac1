"""Structured logs: an event's name and its fields, both as text and as ``record.sv2``.

Fields are numbers, addresses, names of classes and enum values. What a peer wrote is never one of
them, nor is the text of an exception: a handler may have put a peer's text in it.
"""

from __future__ import annotations

import enum
import logging
import traceback

# Enough to get from a library to the handler that called it.
_FRAMES = 4

Value = str | int | float | bool | enum.Enum | None


def log_event(logger: logging.Logger, level: int, name: str, **fields: Value) -> None:
    """Log ``name key=value ...``; a handler of logs finds the fields in ``record.sv2``."""
    if not logger.isEnabledFor(level):
        return
    shown = {key: _plain(value) for key, value in fields.items() if value is not None}
    text = " ".join([name, *(f"{key}={value}" for key, value in shown.items())])
    logger.log(level, "%s", text, extra={"sv2": {"event": name, **shown}})


def where(error: BaseException) -> str:
    """Where ``error`` was raised, the innermost call first: file, line and function of the last
    calls, without any text of its own."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " < ".join(f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in frames[::-1])


def _plain(value: Value) -> str | int | float | bool | None:
    return value.name if isinstance(value, enum.Enum) else value
