"""Which engine runs a handshake when nobody names one."""

from __future__ import annotations

import functools
import logging
import os

from sv2.noise.engine import Engine
from sv2.noise.handshake import PythonEngine

ENGINE_VARIABLE = "SV2_NOISE_ENGINE"
"""The environment variable that names the engine: "python" or "c"."""

logger = logging.getLogger("sv2.noise")


def default_engine() -> Engine:
    """The engine in C where sv2_ffi was built with it and it runs, else the one in Python.

    One that was built and does not run, as where its libcrypto is missing, is a warning in the log.
    SV2_NOISE_ENGINE decides where it is set: :class:`ValueError` for another name than "python" and
    "c", :class:`ImportError` for "c" where it was not built or does not run.
    """
    return _engine(os.environ.get(ENGINE_VARIABLE, ""))


@functools.cache
def _engine(name: str) -> Engine:
    match name:
        case "python":
            return PythonEngine()
        case "c":
            return _native()
        case "":
            try:
                return _native()
            except ModuleNotFoundError:
                pass
            except ImportError as error:
                logger.warning("the Noise engine in C does not run, Python's does: %s", error)
            return PythonEngine()
        case _:
            raise ValueError(f'{ENGINE_VARIABLE} is neither "python" nor "c"')


def _native() -> Engine:
    from sv2.noise.native import NativeEngine

    return NativeEngine()
