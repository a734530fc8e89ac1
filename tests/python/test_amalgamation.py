"""tools/amalgamate.py: two files that are the whole freestanding library, two more that are Noise,
and a provider's two, in an empty folder.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "firmware"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c" / "noise"))

import amalgamate
import check_symbols
import cross
import noise_native
import vector_program

FIRMWARE = cross.FIRMWARE
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
FILES = ["libsv2.c", "libsv2.h", "libsv2_noise.c", "libsv2_noise.h"]
CODE = ["libsv2.c", "libsv2_noise.c"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the four files and nothing else."""
    empty = tmp_path / "empty"
    cross.run([sys.executable, amalgamate.__file__, str(empty)])
    assert sorted(path.name for path in empty.iterdir()) == FILES
    return empty


def installed(compiler: str) -> str:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    return compiler


def test_two_runs_write_the_same_bytes(folder: Path) -> None:
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == amalgamate.amalgamation()


def test_nothing_but_the_standard_headers_is_included(folder: Path) -> None:
    standard = {"<stdbool.h>", "<stddef.h>", "<stdint.h>", "<string.h>"}
    for path in folder.iterdir():
        found = set(re.findall(r"^#\s*include\s+(\S+)", path.read_text(), re.MULTILINE))
        ours = {'"libsv2.h"'}
        if path.name == "libsv2_noise.c":
            ours = {'"libsv2_noise.h"'}
        assert found <= standard | ours


@pytest.mark.parametrize("optimisation", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_it_compiles_without_a_warning(folder: Path, compiler: str, optimisation: str) -> None:
    for name in CODE:
        cross.run(
            [installed(compiler), "-std=c11", optimisation, *WARNINGS, "-c", name], cwd=folder
        )


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_header_is_cpp_too(folder: Path, compiler: str) -> None:
    (folder / "user.cpp").write_text(
        '#include "libsv2_noise.h"\nsv2_setup_connection setup;\nsv2_noise_reader reader;\n'
        "size_t length = sv2_noise_sealed_len(1);\n"
    )
    command = [installed(compiler), "-std=c++11", *WARNINGS, "-c", "user.cpp"]
    cross.run(command, cwd=folder)


def test_it_has_the_same_functions_as_the_separate_files(folder: Path, tmp_path: Path) -> None:
    installed("gcc")
    cross.run(["gcc", "-std=c11", "-c", *CODE], cwd=folder)
    include = f"-I{cross.ROOT / 'include'}"
    sources = {"libsv2": cross.core_sources(), "libsv2_noise": cross.noise_sources()}
    for name, files in sources.items():
        apart = tmp_path / name
        apart.mkdir()
        cross.run(["gcc", "-std=c11", include, "-c", *map(str, files)], cwd=apart)
        separate = set().union(*(public_names(path) for path in apart.glob("*.o")))
        assert public_names(folder / f"{name}.o") == separate
    assert "sv2_noise_finish" in separate


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


# Noise.

# ARMv6-M has no instruction for a division, which the digits of a key take.
DIVISION = {"__aeabi_idiv", "__aeabi_idivmod", "__aeabi_uidiv", "__aeabi_uidivmod"}


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4", "rv32imc"])
def test_noise_has_no_heap_and_no_libc(name: str, folder: Path, tmp_path: Path) -> None:
    target = cross.TARGETS[name]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    sources = [folder / source for source in CODE]
    library = cross.compile_library(target, sources, tmp_path / "library", folder)
    helpers = target.helpers | (DIVISION if name == "cortex-m0plus" else set())
    assert check_symbols.core_faults([library], target.tool("nm"), helpers) == []


@pytest.mark.parametrize("program", ["test_handshake", "test_transport"])
@pytest.mark.parametrize(("provider", "compiler"), [("openssl", "gcc"), ("mbedtls", "clang")])
def test_the_tests_of_noise_pass_through_it(
    provider: str, compiler: str, program: str, tmp_path: Path
) -> None:
    installed(compiler)
    installed("pkg-config")
    try:
        flags = noise_native.provider_flags(provider)
    except noise_native.Unavailable as missing:
        pytest.skip(str(missing))
    folder, code = provider_folder(provider, tmp_path)
    # The tests know the headers by the names that they have when installed.
    names = tmp_path / "names" / "libsv2"
    names.mkdir(parents=True)
    for header in ("noise", f"noise_{provider}"):
        (names / f"{header}.h").write_text(f'#include "libsv2_{header}.h"\n')
    command = [compiler, "-std=c11", "-O1", "-g", "-D_DEFAULT_SOURCE", *WARNINGS, *SANITIZERS]
    command += [f"-I{folder}", f"-I{names.parent}", str(noise_native.HERE / f"{program}.c")]
    cross.run([*command, *code, "-o", str(tmp_path / program), *flags])
    assert re.search(r" [1-9]\d+ checks, 0 failed", cross.run([str(tmp_path / program)]))


def provider_folder(provider: str, tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder with a provider too, and its C files."""
    folder = tmp_path / "with_provider"
    cross.run([sys.executable, amalgamate.__file__, "--provider", provider, str(folder)])
    names = [f"libsv2_noise_{provider}.{ending}" for ending in "ch"]
    assert sorted(path.name for path in folder.iterdir()) == FILES + names
    return folder, [str(folder / name) for name in [*CODE, names[0]]]


def test_a_header_that_depends_on_the_version_of_mbedtls_stays_in_its_place() -> None:
    code = amalgamate.amalgamation("mbedtls")["libsv2_noise_mbedtls.c"]
    assert "#if SV2_NOISE_PSA\n#include <psa/crypto.h>\n" in code
