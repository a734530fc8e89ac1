"""Where to connect to, and whom to believe there: ``stratum2+tcp://host:port/KEY`` (spec 4.7)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sv2.noise import AuthorityPublicKey

SCHEME = "stratum2+tcp"
_MAX_URL = 512


class AddressError(ValueError):
    """A URL or address that cannot be understood."""


@dataclass(frozen=True)
class Address:
    """A host (name, IPv4 or IPv6), a TCP port, and the authority's key when one is known."""

    host: str
    port: int
    authority: AuthorityPublicKey | None = None

    def __post_init__(self) -> None:
        if not self.host:
            raise AddressError("an address needs a host")
        if not 0 < self.port < 65536:
            raise AddressError("a port is a number from 1 to 65535")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read a ``stratum2+tcp`` URL, or ``host:port`` without a key.

        :class:`AddressError`, or :class:`~sv2.noise.KeyFormatError` for a bad key: a key that
        cannot be read never becomes an address without one.
        """
        if len(text) > _MAX_URL:
            raise AddressError(f"a URL is at most {_MAX_URL} characters")
        if "://" not in text:
            text = f"{SCHEME}://{text}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise AddressError("not a host and a port") from None
        if parts.scheme != SCHEME:
            raise AddressError(f"the scheme must be {SCHEME}")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise AddressError("a URL has a host, a port and a key, and nothing else")
        if not host or port is None:
            raise AddressError(f"a URL looks like {SCHEME}://host:port/KEY")
        key = parts.path.removeprefix("/").removesuffix("/")
        return cls(host, port, AuthorityPublicKey.from_text(key) if key else None)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        url = f"{SCHEME}://{host}:{self.port}"
        return f"{url}/{self.authority}" if self.authority else url
