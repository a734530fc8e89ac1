"""The README's examples do what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


def example(language: str) -> str:
    """The one tested code block of the README in language."""
    found = re.findall(rf"<!-- tested: {language} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def run(command: list[str]) -> str:
    result = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, timeout=120, check=True
    )
    return result.stdout


def test_the_python_example_runs(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(example("python"))
    assert run([sys.executable, str(script)]) == "the client adds up to 200 bytes\n"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_c_example_compiles_without_warnings_and_runs(tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source, program = tmp_path / "example.c", tmp_path / "example"
    source.write_text(example("c"))
    core = [str(path) for path in sorted((ROOT / "csrc").glob("*.c")) if path.name != "ffi.c"]
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}"]
    run([compiler, *flags, str(source), *core, "-o", str(program)])
    assert run([str(program)]) == "version 2\n"


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []


def test_the_two_commands_are_there_and_executable() -> None:
    for command in ("examples/interop-cpp/run.sh", "tests/run.sh"):
        assert command in README
        assert (ROOT / command).stat().st_mode & 0o111
