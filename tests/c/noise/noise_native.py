"""The C library's Noise for Python tests and benchmarks: built over one provider, with the C API at
hand, and as the module that sv2_ffi.noise is over its own.

Needs a C compiler, Python's headers and the provider's libraries.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import cffi
from sv2.noise import CertificateFault

import sv2_ffi

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

import cross

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BINDING = ROOT / "sv2_ffi"
PROVIDERS = ("openssl", "mbedtls")
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
    noise = [*cross.noise_sources(), *cross.noise_provider_sources(provider)]
    return [str(path) for path in [*cross.core_sources(), *noise]]


def build(provider: str, folder: Path) -> ModuleType:
    """Compile what sv2_ffi._noise is, over one provider, into ``folder`` and import it."""
    flags = provider_flags(provider)
    name = f"noise_{provider}"
    ffi = cffi.FFI()
    ffi.cdef((BINDING / "_noise_cdef.h").read_text() + (HERE / "cdef.h").read_text())
    ffi.set_source(name, (HERE / "prelude.h").read_text())
    generated = folder / f"{name}.c"
    ffi.emit_c_code(str(generated))
    library = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    folders = (ROOT / "include", BINDING, HERE, sysconfig.get_path("include"))
    options = ["-O2", "-g", "-shared", "-fPIC", "-fvisibility=hidden"]
    options += [f"-I{folder}" for folder in folders]
    files = [str(generated), str(BINDING / "_noise_glue.c"), *sources(provider)]
    compile_c("cc", *options, *files, "-o", str(library), *flags)
    return _import(name, library)


def _import(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their module up
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
    """The C API with Python's types, over one provider.

    Attributes:
        noise: sv2_ffi.noise over this provider.
    """

    def __init__(self, provider: str, module: Any) -> None:
        self.name = provider
        self.ffi = module.ffi
        self.lib = module.lib
        self.provider = module.lib.the_provider()
        with mock.patch.dict(sys.modules, {"sv2_ffi._noise": module}):
            path = Path(sv2_ffi.__file__).parent / "noise.py"
            loaded = _import(f"sv2_ffi_noise_{provider}", path)
        sys.modules[loaded.__name__] = loaded
        self.noise: Any = loaded

    def array(self, size: int) -> Any:
        return self.ffi.new("uint8_t[]", size)

    def take(self, array: Any) -> bytes:
        return bytes(self.ffi.buffer(array))


STATUS: dict[str, int] = sv2_ffi.ffi.typeof("sv2_status").relements
