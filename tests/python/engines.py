"""The Noise engines, for tests that every one of them has to pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sv2.noise import Engine, PythonEngine
from sv2.noise.choice import ENGINE_VARIABLE

ENGINES = ("python", "c")


def engine_named(name: str) -> Engine:
    """The engine; skips the test where sv2_ffi was built without it."""
    if name == "python":
        return PythonEngine()
    try:
        from sv2.noise.native import NativeEngine
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    return NativeEngine()


@pytest.fixture(scope="module", params=ENGINES, autouse=True)
def default_engine_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a module's tests with each engine in turn as the one that nobody names."""
    engine_named(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENGINE_VARIABLE, request.param)
        yield request.param
