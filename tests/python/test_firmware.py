"""The freestanding core on other machines: vectors in emulators, symbols, bytes of flash and stack.

Needs the cross compilers and emulators that docs/firmware.md names.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "firmware"))

import check_symbols
import cross
import size_table
import vector_program

INCLUDE = cross.ROOT / "include"
ALL = pytest.mark.parametrize("name", cross.TARGETS)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vector_program.write_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, size_table.Measurement]:
    for name in size_table.TARGETS:
        if reason := cross.TARGETS[name].missing_compiler():
            pytest.skip(reason)
    return size_table.measure(tmp_path_factory.mktemp("sizes"))


def runnable(name: str) -> cross.Target:
    target = cross.TARGETS[name]
    if reason := target.missing():
        pytest.skip(reason)
    return target


@ALL
def test_every_vector_passes_on_the_machine(name: str, table: Path, tmp_path: Path) -> None:
    target = runnable(name)
    program = vector_program.build(target, cross.core_sources(), INCLUDE, table, tmp_path)
    assert cross.emulate(target, program) == vector_program.PASSED


def test_a_wrong_vector_fails_on_the_machine(table: Path, tmp_path: Path) -> None:
    target = runnable("cortex-m4")
    text = table.read_text()
    wrong = tmp_path / "vector_table.c"
    wrong.write_text(text.replace(".max_version = 65535u", ".max_version = 65534u", 1))
    assert wrong.read_text() != text
    program = vector_program.build(target, cross.core_sources(), INCLUDE, wrong, tmp_path)
    with pytest.raises(cross.StepFailed, match=r"SetupConnection 1 decodes to other values"):
        cross.emulate(target, program)


@ALL
def test_the_core_calls_three_functions_of_libc_and_writes_no_global(
    name: str, tmp_path: Path
) -> None:
    target = cross.TARGETS[name]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    library = cross.compile_library(target, cross.core_sources(), tmp_path, INCLUDE)
    assert check_symbols.core_faults([library], target.tool("nm"), target.helpers) == []


@ALL
def test_noise_without_its_providers_is_freestanding_too(name: str, tmp_path: Path) -> None:
    target = cross.TARGETS[name]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    sources = cross.core_sources() + cross.noise_sources()
    library = cross.compile_library(target, sources, tmp_path, INCLUDE)
    # Keys in base58 take division by 58, which ARMv6-M has no instruction for.
    division = {f"__aeabi_{name}" for name in ("idiv", "idivmod", "uidiv", "uidivmod")}
    helpers = target.helpers | (division if name == "cortex-m0plus" else set())
    assert check_symbols.core_faults([library], target.tool("nm"), helpers) == []


def test_meson_builds_the_static_library_with_the_cross_file(tmp_path: Path) -> None:
    target = cross.TARGETS["cortex-m4"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for tool in (target.compiler, "meson", "ninja"):
        if shutil.which(tool, path=path) is None:
            pytest.skip(f"{tool} is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        cross_file = cross.FIRMWARE / "cross" / "cortex-m4.ini"
        setup = ["meson", "setup", f"--cross-file={cross_file}", "-Dffi=false", str(tmp_path)]
        cross.run([*setup, str(cross.ROOT)])
        cross.run(["ninja", "-j2", "-C", str(tmp_path), "libsv2.a"])
    assert check_symbols.core_faults([tmp_path / "libsv2.a"], target.tool("nm")) == []


def test_a_call_of_malloc_and_a_global_are_found(tmp_path: Path) -> None:
    target = cross.TARGETS["cortex-m4"]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    source = tmp_path / "bad.c"
    source.write_text(
        "#include <stddef.h>\nvoid *malloc(size_t size);\nvoid *sv2_last;\n"
        "void sv2_bad(void);\nvoid sv2_bad(void)\n{\n    sv2_last = malloc(1);\n}\n"
    )
    bad = cross.compile_c(target, source, tmp_path, INCLUDE)
    found = check_symbols.core_faults([bad], target.tool("nm"))
    assert found == ["calls malloc", "can write sv2_last"]


def test_flash_ram_and_stack_are_within_their_goals(
    measured: dict[str, size_table.Measurement],
) -> None:
    assert size_table.missed_goals(measured["cortex-m4"]) == []


def test_the_documented_table_is_what_is_measured(
    measured: dict[str, size_table.Measurement],
) -> None:
    found = size_table.table(measured).splitlines()
    documented = size_table.documented_table().splitlines()
    if found[-1] != documented[-1]:
        pytest.skip("the documented table was made with other compilers")
    assert documented == found, "run tools/size_table.py --write"


def test_a_call_graph_without_a_bound_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "loop.ci"
    file.write_text(
        'node: { title: "a" label: "a\\na.c:1:1\\n8 bytes (static)" }\n'
        'node: { title: "b" label: "b\\na.c:2:1\\n16 bytes (static)" }\n'
        'edge: { sourcename: "a" targetname: "b" label: "a.c:3:1" }\n'
    )
    assert size_table.CallGraph([file]).depth("a") == 24
    with file.open("a") as more:
        more.write('edge: { sourcename: "b" targetname: "a" label: "a.c:4:1" }\n')
    with pytest.raises(ValueError, match="a > b > a"):
        size_table.CallGraph([file]).depth("a")
