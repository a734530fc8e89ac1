"""What `pip install` puts on a machine."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def installed_files() -> list[str]:
    """Files of the installed distribution; skips where it is an editable install."""
    files = [str(path) for path in distribution("sv2-ffi").files or []]
    if not any(name.endswith("sv2_ffi/__init__.py") for name in files):
        pytest.skip("sv2-ffi is installed in editable form")
    return files


def python_files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder.parent)) for p in folder.rglob("*.py")}


def test_every_module_of_the_tree_is_installed() -> None:
    files = set(installed_files())
    wanted = python_files(ROOT / "sv2_ffi") | python_files(ROOT / "python" / "sv2")
    assert sorted(wanted - files) == []


def test_types_and_the_extension_are_installed_and_nothing_of_c() -> None:
    files = installed_files()
    assert "sv2_ffi/py.typed" in files
    assert "sv2/py.typed" in files
    assert "sv2_ffi/_native.pyi" in files
    assert len([name for name in files if name.startswith("sv2_ffi/_native.")]) == 2
    endings = (".c", ".h", ".a", ".toml", ".build")
    assert [name for name in files if name.endswith(endings)] == []


def test_the_codec_alone_depends_on_cffi_only() -> None:
    required = [r for r in distribution("sv2-ffi").requires or [] if "extra ==" not in r]
    assert len(required) == 1
    assert required[0].startswith("cffi")


def test_licenses_are_installed() -> None:
    names = {Path(name).name for name in installed_files()}
    assert {"LICENSE", "LICENSE-MIT", "LICENSE-APACHE"} <= names
