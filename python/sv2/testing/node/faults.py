"""Faults on demand: what a node does to its clients on a bad day, ordered by a test."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

__all__ = ["ANY_METHOD", "BadFault", "Fault", "FaultKind", "Faults"]

ANY_METHOD = "*"
MAX_FAULTS = 100
MAX_SECONDS = 3600.0
MAX_MESSAGE = 300


class FaultKind(Enum):
    """What happens to a call."""

    LATENCY = "latency"
    """It takes ``seconds`` longer."""
    HANG = "hang"
    """It is not carried out and gets no answer for ``seconds``, then its connection breaks."""
    ERROR = "error"
    """It is not carried out and answers the RPC error ``code`` with ``message``."""
    HTTP = "http"
    """It is not carried out and answers HTTP ``status`` without JSON."""
    GARBAGE = "garbage"
    """It is not carried out and answers HTTP 200 with something that is no JSON."""
    DROP = "drop"
    """It is not carried out and its connection breaks."""
    LOSE = "lose"
    """It is carried out, and its connection breaks before the answer."""


class BadFault(ValueError):
    """A fault that was described wrongly; the text says how."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``method`` is an RPC method or ``*``; ``count`` calls are affected, None is all of them."""

    kind: FaultKind
    method: str = ANY_METHOD
    seconds: float = 0.0
    code: int = -1
    message: str = "fault on demand"
    status: int = 500
    count: int | None = None
    number: int = 0

    @classmethod
    def parse(cls, value: object) -> Fault:
        """From a JSON object with these fields, ``kind`` as its text.

        Raises:
            BadFault: a field is unknown, missing or out of range.
        """
        if not isinstance(value, dict):
            raise BadFault("a fault is a JSON object")
        expected: dict[str, tuple[type, ...]] = {
            "kind": (str,),
            "method": (str,),
            "seconds": (int, float),
            "code": (int,),
            "message": (str,),
            "status": (int,),
            "count": (int, type(None)),
        }
        for name, item in value.items():
            if name not in expected:
                raise BadFault(f"unknown field {name!r}; known: {', '.join(expected)}")
            if not isinstance(item, expected[name]) or isinstance(item, bool):
                raise BadFault(f"wrong type for {name}")
        try:
            kind = FaultKind(value.get("kind"))
        except ValueError:
            raise BadFault(f"kind is one of {', '.join(k.value for k in FaultKind)}") from None
        fault = cls(**{**value, "kind": kind})
        if not 0 <= fault.seconds <= MAX_SECONDS or len(fault.message) > MAX_MESSAGE:
            raise BadFault(f"seconds go up to {MAX_SECONDS:g}, a message to {MAX_MESSAGE}")
        if not 400 <= fault.status <= 599 or (fault.count is not None and fault.count < 1):
            raise BadFault("status is 400 to 599, count at least 1")
        return fault

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.value}


class Faults:
    """The faults in force, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(self, fault: Fault) -> int:
        """Put a fault in force; its number.

        Raises:
            BadFault: there are 100 already.
        """
        if len(self._faults) >= MAX_FAULTS:
            raise BadFault(f"no more than {MAX_FAULTS} faults")
        number = next(self._numbers)
        self._faults.append(replace(fault, number=number))
        return number

    def clear(self, number: int | None = None) -> int:
        """End one fault, or all; how many ended."""
        before = len(self._faults)
        self._faults = [f for f in self._faults if number is not None and f.number != number]
        return before - len(self._faults)

    def to_json(self) -> list[dict[str, Any]]:
        return [fault.to_json() for fault in self._faults]

    def take(self, method: str) -> list[Fault]:
        """The faults that hit this call, delays first; each counts it."""
        hit = [f for f in self._faults if f.method in (method, ANY_METHOD)]
        for fault in hit:
            if fault.count is None:
                continue
            position = self._faults.index(fault)
            if fault.count == 1:
                del self._faults[position]
            else:
                self._faults[position] = replace(fault, count=fault.count - 1)
        return sorted(hit, key=lambda fault: fault.kind is not FaultKind.LATENCY)
