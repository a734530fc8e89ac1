"""Settings of ``sv2 tp``: a TOML file, with flags of the command line over it.

A key of the file is named as its flag, with underscores. Unknown keys and values out of range are
errors that name the key, so that a misspelt limit is not a missing one.
"""

# ruff: noqa: RUF009 - the defaults are what dataclasses.field gives, with what to read them by
from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from sv2.net import Limits, Options, SlowReader, Timeouts
from sv2.node import CookieFile, Credentials, TipSettings, UserPassword, template_rules
from sv2.roles.template_provider.provider import ProviderSettings
from sv2.roles.template_provider.source import SourceSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["NETWORKS", "Config", "ConfigFault", "HostPort", "load_config"]

PASSWORD_VARIABLE = "SV2_TP_RPC_PASSWORD"  # noqa: S105 (a name, not a password)
MAX_CONFIG = 1 << 20


class ConfigFault(Exception):
    """A setting that cannot be used; the text names it."""


@dataclass(frozen=True, slots=True)
class Network:
    """A chain: the node's usual RPC port, where its cookie lies, and our usual port."""

    rpc_port: int
    folder: str
    port: int
    names: tuple[str, ...]
    """What nodes call it in getblockchaininfo."""


NETWORKS: dict[str, Network] = {
    "main": Network(8332, "", 8442, ("main", "mainnet")),
    "testnet": Network(18332, "testnet3", 18442, ("test", "testnet3")),
    "testnet4": Network(48332, "testnet4", 48442, ("testnet4",)),
    "signet": Network(38332, "signet", 38442, ("signet",)),
    "regtest": Network(18443, "regtest", 18447, ("regtest",)),
    "simnet": Network(18556, "simnet", 18555, ("simnet",)),
}


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address to listen on. Port 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """Read ``host:port``, with IPv6 in brackets. ValueError where it is something else."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("an address looks like 127.0.0.1:8442 or [::1]:8442")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Reader: TypeAlias = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise ValueError("must be text")
    return value


def _path(value: Any) -> Path:
    return Path(_text(str(value))).expanduser()


def _address(value: Any) -> HostPort:
    return HostPort.parse(_text(value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _one_of(*choices: str) -> Reader:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return read


class _Number:
    """Reads a number within bounds, from TOML or from a flag's text."""

    def __init__(self, low: float, high: float, *, whole: bool = False) -> None:
        self._low, self._high, self._whole = low, high, whole

    def __call__(self, value: Any) -> float:
        kinds = int if self._whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ValueError("must be a whole number" if self._whole else "must be a number")
        if not self._low <= value <= self._high:
            raise ValueError(f"must be from {self._low:g} to {self._high:g}")
        return value

    def from_text(self, text: str) -> float:
        return self(int(text) if self._whole else float(text))


def _setting(default: Any, read: Reader, text: str, metavar: str | None = None) -> Any:
    return field(default=default, metadata={"read": read, "help": text, "metavar": metavar})


@dataclass(frozen=True)
class Config:
    """All settings of the role. Times are in seconds. See docs/template-provider.md."""

    network: str = _setting("main", _one_of(*NETWORKS), "the chain that the node is on")
    datadir: Path = _setting(
        Path("~/.sv2-tp").expanduser(), _path, "folder for key and solved blocks", "DIR"
    )
    listen: HostPort | None = _setting(
        None, _address, "where clients connect; 127.0.0.1 and the network's port", "HOST:PORT"
    )
    public_host: str | None = _setting(
        None, _text, "host name or address in the URL that is printed for pools", "HOST"
    )
    authority_key: Path | None = _setting(
        None, _path, "authority key (sv2 keys); made in the datadir where absent", "FILE"
    )
    certificate_hours: float = _setting(
        24.0, _Number(0.01, 24 * 365), "life of a certificate; renewed at half of it", "HOURS"
    )
    plain: bool = _setting(False, _flag, "no Noise; on a loopback address only")

    rpc_url: str | None = _setting(None, _text, "the node; http://127.0.0.1 and its port", "URL")
    rpc_cookie: Path | None = _setting(None, _path, "the node's cookie file", "FILE")
    rpc_user: str | None = _setting(None, _text, "RPC user, where there is no cookie", "USER")
    rpc_password_file: Path | None = _setting(
        None, _path, f"file with its password; else the variable {PASSWORD_VARIABLE}", "FILE"
    )
    rpc_tls_cert: Path | None = _setting(
        None, _path, "certificate to believe, for a node that speaks TLS (btcd)", "FILE"
    )
    rpc_timeout: float = _setting(30.0, _Number(0.1, 600), "for one answer of the node", "S")
    zmq_hashblock: str | None = _setting(
        None, _text, "the node's zmqpubhashblock address; without, it is asked", "ADDR"
    )

    fee_threshold: int = _setting(
        1000, _Number(0, 10**12, whole=True), "fees that make a new template worth it", "SAT"
    )
    fee_interval: float = _setting(
        30.0, _Number(0.1, 3600), "between two templates on one tip", "S"
    )

    max_clients: int = _setting(512, _Number(1, 100_000, whole=True), "connections in all", "N")
    max_clients_per_host: int = _setting(
        64, _Number(1, 100_000, whole=True), "connections of one IPv4 address or IPv6 /64", "N"
    )
    max_unready: int = _setting(
        128, _Number(1, 100_000, whole=True), "connections that have not finished setup", "N"
    )
    max_queued: int = _setting(
        262_144, _Number(4096, 1 << 26, whole=True), "bytes that may wait for a slow client", "N"
    )
    handshake_timeout: float = _setting(10.0, _Number(0.1, 600), "for handshake and setup", "S")
    first_message_timeout: float = _setting(
        30.0, _Number(0.1, 600), "from setup to CoinbaseOutputConstraints", "S"
    )
    write_timeout: float = _setting(30.0, _Number(0.1, 600), "for a client that reads nothing", "S")
    messages_per_second: float = _setting(
        20.0, _Number(0.1, 10_000), "of one client in the long run; faster ones wait", "N"
    )
    requests_per_second: float = _setting(
        2.0, _Number(0.1, 10_000), "constraints and data requests of one client, likewise", "N"
    )

    metrics: HostPort | None = _setting(
        None, _address, "serve /metrics and /health there; off by default", "HOST:PORT"
    )
    log_format: str = _setting("text", _one_of("text", "json"), "form of the log")
    log_level: str = _setting(
        "info", _one_of("debug", "info", "warning", "error"), "least level that is logged"
    )

    def __post_init__(self) -> None:
        if self.rpc_cookie is not None and self.rpc_user is not None:
            raise ConfigFault("rpc_cookie and rpc_user: give one of them")
        if self.plain and self.address.host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigFault("plain: without Noise listen on a loopback address only")

    @property
    def chain(self) -> Network:
        return NETWORKS[self.network]

    @property
    def address(self) -> HostPort:
        """Where clients connect."""
        return self.listen or HostPort("127.0.0.1", self.chain.port)

    @property
    def url(self) -> str:
        """The node's RPC address."""
        return self.rpc_url or f"http://127.0.0.1:{self.chain.rpc_port}"

    @property
    def key_path(self) -> Path:
        return self.authority_key or self.datadir / "authority.key"

    @property
    def cookie_path(self) -> Path:
        if self.rpc_cookie is not None:
            return self.rpc_cookie
        return Path("~/.bitcoin").expanduser() / self.chain.folder / ".cookie"

    def credentials(self) -> Credentials:
        """For the node's RPC. Raises ConfigFault where a password is missing."""
        if self.rpc_user is None:
            return CookieFile(self.cookie_path)
        password = os.environ.get(PASSWORD_VARIABLE)
        if self.rpc_password_file is not None:
            try:
                password = self.rpc_password_file.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise ConfigFault("rpc_password_file: cannot be read") from None
        if not password:
            raise ConfigFault(f"rpc_user: no rpc_password_file and no {PASSWORD_VARIABLE}")
        return UserPassword(self.rpc_user, password)

    # What the parts of the role take of it.

    def limits(self) -> Limits:
        return Limits(self.max_clients, self.max_clients_per_host, self.max_unready)

    def options(self) -> Options:
        timeouts = Timeouts(
            handshake=self.handshake_timeout,
            setup=self.handshake_timeout,
            write=self.write_timeout,
        )
        return Options(timeouts=timeouts, max_queued=self.max_queued, slow_reader=SlowReader.REFUSE)

    def provider_settings(self) -> ProviderSettings:
        return ProviderSettings(self.fee_threshold, self.first_message_timeout)

    def source_settings(self) -> SourceSettings:
        rules = template_rules(self.network)
        return SourceSettings(
            fee_interval=self.fee_interval,
            template_timeout=self.rpc_timeout,
            rules=rules,
            zmq_hashblock=self.zmq_hashblock,
            tips=TipSettings(rules=rules),
        )


def flag_reader(name: str) -> Callable[[str], Any] | None:
    """What reads the text of a setting's flag; None for a switch without one."""
    setting = next(item for item in dataclasses.fields(Config) if item.name == name)
    read = setting.metadata["read"]
    if read is _flag:
        return None
    if isinstance(read, _Number):
        return read.from_text
    return str


def load_config(path: Path | None, flags: Mapping[str, Any]) -> Config:
    """The settings of a file and the flags over them; None in ``flags`` is not given.

    Raises:
        ConfigFault: a file that cannot be read, an unknown key, a value that cannot be.
    """
    values = {**(_read_file(path) if path is not None else {})}
    values.update({key: value for key, value in flags.items() if value is not None})
    known = {item.name: item for item in dataclasses.fields(Config)}
    settings: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigFault(f"{key[:40]!r} is no setting")
        try:
            settings[key] = known[key].metadata["read"](value)
        except ValueError as error:
            raise ConfigFault(f"{key}: {error}") from None
    return Config(**settings)


def _read_file(path: Path) -> dict[str, Any]:
    """The keys of a TOML file, those of its tables along with the others."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG).decode("utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise ConfigFault(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigFault(f"{path}: {error}") from None
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        pairs = value.items() if isinstance(value, dict) else [(key, value)]
        for name, item in pairs:
            if name in flat:
                raise ConfigFault(f"{name}: given twice in {path}")
            flat[name] = item
    return flat
