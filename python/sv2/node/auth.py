"""Credentials for a node's RPC: a cookie file that may change, or a fixed user and password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sv2.node.errors import CookieUnreadable

__all__ = ["CookieFile", "Credentials", "UserPassword"]

MAX_COOKIE_BYTES = 1024


class Credentials(Protocol):
    """Where the RPC client takes its user and password from."""

    @property
    def changes(self) -> bool:
        """Whether reading again after a 401 can give something else."""

    def read(self) -> tuple[str, str]:
        """User and password.

        Raises:
            CookieUnreadable: there is none at the moment.
        """


@dataclass(frozen=True, slots=True)
class UserPassword:
    """``rpcuser``/``rpcpassword`` or ``rpcauth`` credentials. The password stays out of repr."""

    user: str
    password: str = field(repr=False)

    @property
    def changes(self) -> bool:
        return False

    def read(self) -> tuple[str, str]:
        return self.user, self.password


@dataclass(frozen=True, slots=True)
class CookieFile:
    """The ``.cookie`` file that bitcoind writes at start; it is read anew whenever it is needed."""

    path: Path

    @property
    def changes(self) -> bool:
        return True

    def read(self) -> tuple[str, str]:
        try:
            with self.path.open("rb") as file:
                raw = file.read(MAX_COOKIE_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CookieUnreadable(f"cookie file {self.path}: {reason}") from None
        user, colon, password = raw.strip().partition(b":")
        if len(raw) > MAX_COOKIE_BYTES or not colon or not user or not password:
            raise CookieUnreadable(f"cookie file {self.path}: not of the form user:password")
        try:
            return user.decode("ascii"), password.decode("ascii")
        except UnicodeDecodeError:
            raise CookieUnreadable(f"cookie file {self.path}: not ASCII") from None
