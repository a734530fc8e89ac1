"""The C library's Noise for Python tests and benchmarks: built over one provider, and wrapped as an
:class:`sv2.noise.Engine`.

Needs a C compiler, Python's headers and the provider's libraries.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cffi
from sv2.noise import (
    Certificate,
    CertificateFault,
    HandshakeError,
    ServerIdentity,
    Session,
    TransportError,
)
from sv2.noise.engine import ACT_1_SIZE, ACT_2_SIZE, MAX_SEALED_CHUNK, SEALED_HEADER_SIZE, Buffer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PROVIDERS = ("openssl", "mbedtls")
CORE = ("frame", "status", "codec")
NOISE = ("certificate", "handshake", "key_text", "symmetric", "transport", "curve")
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
_HEADER_OF = {"openssl": "openssl/evp.h", "mbedtls": "mbedtls/version.h"}
_LIBRARY_OF = {"openssl": "-lcrypto", "mbedtls": "-lmbedcrypto"}

# How the library calls what the Python engine calls by a fault.
CERTIFICATE_STATUS = {
    CertificateFault.VERSION: "SV2_ERR_CERT_VERSION",
    CertificateFault.SIGNATURE: "SV2_ERR_CERT_SIGNATURE",
    CertificateFault.DATES: "SV2_ERR_CERT_DATES",
    CertificateFault.NOT_YET_VALID: "SV2_ERR_CERT_EARLY",
    CertificateFault.EXPIRED: "SV2_ERR_CERT_EXPIRED",
    CertificateFault.NO_CLOCK: "SV2_ERR_CERT_NO_CLOCK",
}


class Unavailable(Exception):
    """The machine lacks something; the text says what."""


def _run(command: list[str], seconds: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, timeout=seconds, check=False
    )


def secp256k1(*arguments: str) -> str:
    """What secp256k1.sh prints: where the library, or with --source its source, is."""
    os.environ.setdefault("PYTHON", sys.executable)
    done = _run([str(HERE / "secp256k1.sh"), *arguments])
    lines = done.stdout.strip().splitlines()
    if done.returncode == 77:
        raise Unavailable(lines[-1])
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return lines[-1] if lines else ""


def curve_flags() -> list[str]:
    """Compiler and linker flags of libsecp256k1."""
    environment = os.environ | {"PKG_CONFIG_PATH": secp256k1()}
    done = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libsecp256k1"],  # noqa: S607
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.split()


def compile_c(compiler: str, *arguments: str) -> None:
    """Run a C compiler; :class:`Unavailable` where there is none."""
    try:
        done = _run([compiler, *arguments])
    except FileNotFoundError:
        raise Unavailable(f"{compiler} is not installed") from None
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)


def provider_flags(provider: str) -> list[str]:
    """Flags for a program on one provider; :class:`Unavailable` where its headers are missing."""
    probe = _run(["cc", "-E", "-include", _HEADER_OF[provider], "-x", "c", os.devnull])
    if probe.returncode != 0:
        raise Unavailable(f"the development files of {provider} are not installed")
    return [*curve_flags(), _LIBRARY_OF[provider], f"-DNOISE_{provider.upper()}"]


def sources(provider: str) -> list[str]:
    """The library's C files, with one provider."""
    noise = (*NOISE, provider)
    paths = [ROOT / "csrc" / f"{name}.c" for name in CORE]
    return [str(path) for path in [*paths, *(ROOT / "csrc/noise" / f"{name}.c" for name in noise)]]


def build(provider: str, folder: Path) -> ModuleType:
    """Compile the library with one provider into ``folder`` and import it."""
    flags = provider_flags(provider)
    name = f"noise_{provider}"
    ffi = cffi.FFI()
    ffi.cdef((HERE / "cdef.h").read_text())
    ffi.set_source(name, (HERE / "prelude.h").read_text())
    generated = folder / f"{name}.c"
    ffi.emit_c_code(str(generated))
    library = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = [f"-I{ROOT / 'include'}", f"-I{HERE}", f"-I{sysconfig.get_path('include')}"]
    compiler = ["-O2", "-g", "-shared", "-fPIC", "-fvisibility=hidden", *include]
    compile_c("cc", *compiler, str(generated), *sources(provider), "-o", str(library), *flags)
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """``size`` bytes of a socket, whatever pieces they come in; its time-out bounds each wait."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError(f"the peer closed after {len(data)} of {size} bytes")
        data += piece
    return data


class Native:
    """The C API with Python's types, over one provider."""

    def __init__(self, provider: str, module: Any) -> None:
        self.name = provider
        self.ffi = module.ffi
        self.lib = module.lib
        self.provider = module.lib.the_provider()

    def status(self, name: str) -> int:
        """The number of a status, from what the compiler saw in the header."""
        return STATUS[name]

    def check(self, status: int) -> None:
        """Raise what the Python engine raises for it."""
        if status == self.lib.SV2_OK:
            return
        text = self.ffi.string(self.lib.sv2_status_string(status)).decode()
        raise {STATUS["SV2_ERR_NONCE"]: TransportError}.get(status, HandshakeError)(text)

    def array(self, size: int) -> Any:
        return self.ffi.new("uint8_t[]", size)

    def take(self, array: Any) -> bytes:
        return bytes(self.ffi.buffer(array))


def _statuses() -> dict[str, int]:
    """The enum in base.h, read as text: the cdef leaves the values to the compiler."""
    text = (ROOT / "include/libsv2/base.h").read_text()
    body = text.partition("typedef enum sv2_status {")[2].partition("}")[0]
    items = (line.split(",")[0].split("/*")[0] for line in body.splitlines() if "= " in line)
    pairs = (item.split("=") for item in items)
    return {name.strip(): int(value) for name, value in pairs}


STATUS = _statuses()


class NativeSender:
    """An :class:`sv2.noise.engine.Sealer` over sv2_noise_seal_frame."""

    def __init__(self, native: Native, sender: Any) -> None:
        self._native = native
        self._sender = sender

    def seal(self, header: Buffer, payload: Buffer) -> bytes:
        """The whole encrypted frame. The length of ``payload`` goes into the header."""
        ffi, lib = self._native.ffi, self._native.lib
        if len(header) != 6:
            raise ValueError("a header is 6 bytes")
        plain = bytes(header)
        keep = ffi.from_buffer(payload)
        frame = ffi.new("sv2_frame *")
        frame.extension_type = int.from_bytes(plain[:2], "little")
        frame.message_type = plain[2]
        frame.length, frame.payload = len(payload), ffi.cast("const uint8_t *", keep)
        size = lib.sv2_noise_sealed_len(len(payload))
        out, written = self._native.array(size), ffi.new("size_t *")
        status = lib.sv2_noise_seal_frame(self._sender, out, size, written, frame)
        self._native.check(status)
        assert written[0] == size
        return self._native.take(out)


class NativeOpener:
    """An :class:`sv2.noise.engine.Opener` over sv2_noise_open."""

    def __init__(self, native: Native, receiver: Any) -> None:
        self._native = native
        self._receiver = receiver

    def _open(self, sealed: Buffer) -> bytes:
        data = self._native.ffi.new("uint8_t[]", bytes(sealed))
        status = self._native.lib.sv2_noise_open(self._receiver, data, len(sealed))
        if status != self._native.lib.SV2_OK:
            raise TransportError(f"status {status}: received data does not authenticate")
        return bytes(self._native.ffi.buffer(data, len(sealed) - 16))

    def open_header(self, sealed: Buffer) -> bytes:
        if len(sealed) != SEALED_HEADER_SIZE:
            raise ValueError(f"a sealed header is {SEALED_HEADER_SIZE} bytes")
        return self._open(sealed)

    def open_chunk(self, sealed: Buffer) -> bytes:
        if len(sealed) > MAX_SEALED_CHUNK:
            raise ValueError(f"a sealed chunk is at most {MAX_SEALED_CHUNK} bytes")
        return self._open(sealed)


class NativeReader:
    """An sv2_noise_reader with a buffer of its own."""

    def __init__(self, native: Native, receiver: Any, limit: int) -> None:
        self._native = native
        self._buffer = native.array(limit + 22)
        self._receiver = receiver
        self._reader = native.ffi.new("sv2_noise_reader *")
        native.lib.sv2_noise_reader_init(self._reader, receiver, self._buffer, limit + 22, limit)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The plain frames that become complete; TransportError for anything wrong."""
        ffi, lib = self._native.ffi, self._native.lib
        keep = ffi.from_buffer(data)
        at, left = ffi.new("const uint8_t **"), ffi.new("size_t *", len(data))
        at[0] = ffi.cast("const uint8_t *", keep)
        frame = ffi.new("sv2_frame *")
        while True:
            status = lib.sv2_noise_reader_next(self._reader, frame, at, left)
            if status == lib.SV2_NEED_MORE:
                return
            if status != lib.SV2_OK:
                raise TransportError(f"status {status}")
            payload = bytes(ffi.buffer(frame.payload, frame.length))
            header = frame.extension_type.to_bytes(2, "little") + bytes([frame.message_type])
            yield header + frame.length.to_bytes(3, "little") + payload


class NativeSession(Session):
    """A session that can also read as the C library does."""

    def reader(self, limit: int) -> NativeReader:
        assert isinstance(self.opener, NativeOpener)
        return NativeReader(self.opener._native, self.opener._receiver, limit)


def _session(native: Native, sender: Any, receiver: Any, digest: Any) -> NativeSession:
    sealer, opener = NativeSender(native, sender), NativeOpener(native, receiver)
    return NativeSession(sealer, opener, native.take(digest))


def _sized(message: Buffer, size: int) -> bytes:
    if len(message) != size:
        raise HandshakeError(f"a handshake message is {size} bytes, not {len(message)}")
    return bytes(message)


class NativeInitiator:
    """The client's side. Without a policy the certificate is left to the caller."""

    def __init__(self, native: Native, policy: Any = None) -> None:
        self._native = native
        self._policy = policy or native.ffi.new("sv2_noise_policy *", {"unverified": True})
        self._initiator = native.ffi.new("sv2_noise_initiator *")
        self._started = False

    def write_act_1(self) -> bytes:
        if self._started:
            raise HandshakeError("act 1 was written already")
        self._started = True
        act, native = self._native.array(ACT_1_SIZE), self._native
        native.check(native.lib.sv2_noise_initiate(self._initiator, act, native.provider))
        return native.take(act)

    def read_act_2(self, message: Buffer) -> tuple[Certificate, NativeSession]:
        native, ffi = self._native, self._native.ffi
        act = ffi.new("uint8_t[]", _sized(message, ACT_2_SIZE))
        sender, receiver = ffi.new("sv2_noise_sender *"), ffi.new("sv2_noise_receiver *")
        shown, digest = ffi.new("sv2_noise_certificate *"), native.array(32)
        native.check(
            native.lib.sv2_noise_finish(
                self._initiator, sender, receiver, shown, digest, act, self._policy
            )
        )
        certificate = Certificate(
            shown.version,
            shown.valid_from,
            shown.not_valid_after,
            native.take(shown.server_key),
            native.take(shown.signature),
        )
        return certificate, _session(native, sender, receiver, digest)


class NativeResponder:
    """The server's side."""

    def __init__(self, native: Native, identity: ServerIdentity) -> None:
        self._native = native
        self._identity = native.ffi.new("sv2_noise_identity *")
        self._identity.secret = identity.static_key._secret
        self._identity.certificate = identity.certificate().to_wire()
        self._done = False

    def read_act_1(self, message: Buffer) -> tuple[bytes, NativeSession]:
        if self._done:
            raise HandshakeError("this handshake is over")
        self._done = True
        native, ffi = self._native, self._native.ffi
        sender, receiver = ffi.new("sv2_noise_sender *"), ffi.new("sv2_noise_receiver *")
        act_1 = ffi.new("uint8_t[]", _sized(message, ACT_1_SIZE))
        act_2, digest = native.array(ACT_2_SIZE), native.array(32)
        native.check(
            native.lib.sv2_noise_respond(
                sender, receiver, digest, act_2, act_1, self._identity, native.provider
            )
        )
        return native.take(act_2), _session(native, sender, receiver, digest)


class NativeEngine:
    """An :class:`sv2.noise.Engine` whose work is done in C."""

    def __init__(self, native: Native) -> None:
        self.native = native
        self.name = native.name

    def initiator(self) -> NativeInitiator:
        return NativeInitiator(self.native)

    def responder(self, identity: ServerIdentity) -> NativeResponder:
        return NativeResponder(self.native, identity)
