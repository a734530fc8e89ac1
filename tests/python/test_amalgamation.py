"""tools/amalgamate.py: two files that are the whole freestanding library, in an empty folder."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "firmware"))

import amalgamate
import check_symbols
import cross
import vector_program

FIRMWARE = cross.FIRMWARE
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the two files and nothing else."""
    empty = tmp_path / "empty"
    cross.run([sys.executable, amalgamate.__file__, str(empty)])
    assert sorted(path.name for path in empty.iterdir()) == ["libsv2.c", "libsv2.h"]
    return empty


def installed(compiler: str) -> str:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    return compiler


def test_two_runs_write_the_same_bytes(folder: Path) -> None:
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == amalgamate.amalgamation()


def test_nothing_but_the_standard_headers_is_included(folder: Path) -> None:
    for path in folder.iterdir():
        found = set(re.findall(r"^#\s*include\s+(\S+)", path.read_text(), re.MULTILINE))
        standard = {"<stdbool.h>", "<stddef.h>", "<stdint.h>", "<string.h>"}
        assert found <= standard | {'"libsv2.h"'}


@pytest.mark.parametrize("optimisation", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_it_compiles_without_a_warning(folder: Path, compiler: str, optimisation: str) -> None:
    command = [installed(compiler), "-std=c11", optimisation, *WARNINGS, "-c", "libsv2.c"]
    cross.run(command, cwd=folder)
    assert (folder / "libsv2.o").exists()


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_header_is_cpp_too(folder: Path, compiler: str) -> None:
    (folder / "user.cpp").write_text('#include "libsv2.h"\nsv2_setup_connection setup;\n')
    command = [installed(compiler), "-std=c++11", *WARNINGS, "-c", "user.cpp"]
    cross.run(command, cwd=folder)


def test_it_has_the_same_functions_as_the_separate_files(folder: Path, tmp_path: Path) -> None:
    installed("gcc")
    cross.run(["gcc", "-std=c11", "-c", "libsv2.c"], cwd=folder)
    include = f"-I{cross.ROOT / 'include'}"
    for source in cross.core_sources():
        cross.run(["gcc", "-std=c11", include, "-c", str(source)], cwd=tmp_path)
    separate = set().union(*(public_names(path) for path in tmp_path.glob("*.o")))
    assert public_names(folder / "libsv2.o") == separate
    assert "sv2_message_decode" in separate


def public_names(file: Path) -> set[str]:
    output = cross.run(["nm", "-P", "-g", "--defined-only", str(file)])
    return {line.split()[0] for line in output.splitlines() if line.count(" ") > 1}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_vectors_pass_through_it_under_sanitizers(
    folder: Path, compiler: str, tmp_path: Path
) -> None:
    program = tmp_path / "check_vectors"
    command = [installed(compiler), "-std=c11", "-O1", "-g", *WARNINGS, *SANITIZERS]
    command += ["-Wno-overlength-strings"]
    command += [f"-I{path}" for path in (folder, FIRMWARE, FIRMWARE / "start")]
    command += [str(vector_program.write_table(tmp_path)), str(folder / "libsv2.c")]
    command += [str(FIRMWARE / "check_vectors.c"), str(FIRMWARE / "start" / "hosted.c")]
    cross.run([*command, "-o", str(program)])
    assert cross.run([str(program)]) == vector_program.PASSED


@pytest.mark.parametrize("name", ["cortex-m0plus", "rv32imc"])
def test_the_vectors_pass_through_it_on_a_microcontroller(
    name: str, folder: Path, tmp_path: Path
) -> None:
    target = cross.TARGETS[name]
    if reason := target.missing():
        pytest.skip(reason)
    table = vector_program.write_table(tmp_path)
    program = vector_program.build(target, [folder / "libsv2.c"], folder, table, tmp_path)
    assert cross.emulate(target, program) == vector_program.PASSED
    library = tmp_path / "library" / "libsv2.a"
    assert check_symbols.core_faults([library], target.tool("nm"), target.helpers) == []
