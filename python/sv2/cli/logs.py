"""Logs for people or for machines, on stderr.

Events carry their fields in ``record.sv2`` or as extra attributes of the record; both are shown as
``key=value`` in text, and as keys of one object a line in JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from sv2.cli.output import printable

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_QUIET = ("httpx", "httpcore", "asyncio", "aiohttp")
_MAX_VALUE = 500


def _fields(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The event and its fields."""
    events = record.__dict__.get("sv2")
    if isinstance(events, dict):
        fields = dict(events)
        return str(fields.pop("event", record.msg)), fields
    extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    return record.getMessage(), extra


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return printable(str(value))[:_MAX_VALUE]


class TextFormatter(logging.Formatter):
    """``2026-11-21T08:00:00Z INFO event key=value``, one line but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _fields(record)
        pairs = (f"{key}={_plain(value)}" for key, value in fields.items())
        line = " ".join([_time(record), record.levelname, printable(event), *pairs])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _fields(record)
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": printable(event),
            **{key: _plain(value) for key, value in fields.items()},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def set_up(form: str, level: str) -> None:
    """Log to stderr from ``level`` on, as ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
