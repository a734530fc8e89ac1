"""CMake: find_package of what either build installs, add_subdirectory, and the ESP-IDF component.

Needs cmake, a C and C++ compiler, and meson for one of them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import cross

ROOT = cross.ROOT
PROJECTS = ROOT / "tests" / "cmake"


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def configure(source: Path, build: Path, *definitions: str) -> None:
    options = [f"-D{definition}" for definition in definitions]
    cross.run(["cmake", "-S", str(source), "-B", str(build), *options])


def cmake(source: Path, build: Path, *definitions: str) -> Path:
    """Configures and builds a project, every warning an error."""
    configure(source, build, "CMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror", *definitions)
    cross.run(["cmake", "--build", str(build), "--parallel", "2"])
    return build


@pytest.fixture(scope="module")
def prefixes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each build has installed libsv2, moved after that to another folder."""
    need("cmake", "gcc", "g++")
    folder = tmp_path_factory.mktemp("installed")
    found: dict[str, Path] = {}
    for name, shared in (("cmake-shared", "ON"), ("cmake-static", "OFF")):
        build = cmake(
            ROOT,
            folder / f"build-{name}",
            f"BUILD_SHARED_LIBS={shared}",
            f"CMAKE_INSTALL_PREFIX={folder / name}",
        )
        cross.run(["cmake", "--install", str(build)])
        found[name] = (folder / name).rename(folder / f"moved-{name}")
    return found


@pytest.fixture(scope="module")
def meson_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    need("cmake", "gcc", "g++")
    if shutil.which("meson", path=path) is None or shutil.which("ninja", path=path) is None:
        pytest.skip("meson or ninja is not installed")
    folder = tmp_path_factory.mktemp("installed")
    prefix, build = folder / "meson", folder / "build"
    setup = ["meson", "setup", "-Dlibrary=true", f"--prefix={prefix}", str(build), str(ROOT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        cross.run(setup)
        cross.run(["meson", "install", "-C", str(build)])
    return prefix.rename(folder / "moved-meson")


def use_installed(prefix: Path, library: str, build: Path) -> Path:
    return cmake(
        PROJECTS / "find_package", build, f"CMAKE_PREFIX_PATH={prefix}", f"LIBRARY={library}"
    )


def libraries_of(program: Path) -> str:
    return cross.run(["readelf", "-d", str(program)])


@pytest.mark.parametrize(
    ("name", "library"),
    [("cmake-shared", "sv2::sv2"), ("cmake-static", "sv2::sv2"), ("cmake-static", "sv2::static")],
)
def test_find_package_finds_what_cmake_installed(
    name: str, library: str, prefixes: dict[str, Path], tmp_path: Path
) -> None:
    build = use_installed(prefixes[name], library, tmp_path)
    cross.run([str(build / "native")])
    cross.run([str(build / "surface")])
    assert ("libsv2.so" in libraries_of(build / "native")) == (name == "cmake-shared")


@pytest.mark.parametrize("library", ["sv2::sv2", "sv2::static"])
def test_find_package_finds_what_meson_installed(
    library: str, meson_prefix: Path, tmp_path: Path
) -> None:
    build = use_installed(meson_prefix, library, tmp_path)
    cross.run([str(build / "native")])
    cross.run([str(build / "surface")])
    assert ("libsv2.so" in libraries_of(build / "native")) == (library == "sv2::sv2")


def test_another_minor_version_is_not_found(prefixes: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(strict C)\n"
        "find_package(sv2 ${WANTED} REQUIRED)\n"
    )
    prefix = f"CMAKE_PREFIX_PATH={prefixes['cmake-static']}"
    for wanted in ("0.1", "0.1.0"):
        configure(tmp_path, tmp_path / wanted, prefix, f"WANTED={wanted}")
    for wanted in ("0.2", "0.1.99", "0.0.9", "1.0"):
        with pytest.raises(cross.StepFailed, match="not accepted"):
            configure(tmp_path, tmp_path / wanted, prefix, f"WANTED={wanted}")


@pytest.mark.parametrize("shared", ["ON", "OFF"])
def test_add_subdirectory_builds_it_inside_a_project(shared: str, tmp_path: Path) -> None:
    need("cmake", "gcc", "g++")
    build = cmake(
        PROJECTS / "add_subdirectory",
        tmp_path,
        f"SV2_SOURCE={ROOT}",
        f"BUILD_SHARED_LIBS={shared}",
        "SV2_FFI=ON",
    )
    cross.run([str(build / "native")])
    cross.run([str(build / "surface")])


def test_add_subdirectory_installs_nothing_and_can_leave_the_surface_out(tmp_path: Path) -> None:
    need("cmake", "gcc", "g++", "nm")
    build = cmake(
        PROJECTS / "add_subdirectory",
        tmp_path,
        f"SV2_SOURCE={ROOT}",
        "SV2_FFI=OFF",
        "SV2_NAMES=OFF",
    )
    cross.run([str(build / "native")])
    names = cross.run(["nm", "-P", str(build / "sv2" / "libsv2.a")])
    assert "sv2_decode T" in names
    assert "next_frame" not in names
    assert b"SubmitSharesStandard" not in (build / "sv2" / "libsv2.a").read_bytes()
    assert not (build / "sv2" / "cmake").exists()


def test_esp_idf_registers_the_core_in_script_mode() -> None:
    need("cmake")
    script = PROJECTS / "esp_idf" / "requirements.cmake"
    output = cross.run(["cmake", f"-DSV2_SOURCE={ROOT}", "-P", str(script)])
    sources = " ".join(path.relative_to(ROOT).as_posix() for path in cross.core_sources())
    registered = re.search(r"registered (.*)", output)
    assert registered is not None
    wanted = f"SRCS {sources} INCLUDE_DIRS include"
    assert registered[1].replace(";", " ") == wanted


def test_esp_idf_compiles_the_component_for_an_esp32_c3(tmp_path: Path) -> None:
    target = cross.TARGETS["rv32imc"]
    need("cmake", target.compiler)
    cmake(
        PROJECTS / "esp_idf",
        tmp_path,
        f"SV2_SOURCE={ROOT}",
        "CMAKE_SYSTEM_NAME=Generic",
        f"CMAKE_C_COMPILER={target.compiler}",
        f"CMAKE_C_FLAGS={' '.join(target.flags)}",
        f"LIBC_INCLUDE={cross.FIRMWARE / 'include'}",
    )
    assert (tmp_path / "sv2" / "lib__idf_sv2.a").exists()


def test_both_builds_name_the_same_sources() -> None:
    text = (ROOT / "CMakeLists.txt").read_text()
    block = re.search(r"set\(sv2_core_sources\s+(.*?)\)", text, re.DOTALL)
    assert block is not None
    assert [ROOT / name for name in block[1].split()] == cross.core_sources()


def test_the_version_is_the_same_everywhere() -> None:
    base = (ROOT / "include" / "libsv2" / "base.h").read_text()
    parts = re.findall(r"#define SV2_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", base)
    patterns = {
        "meson.build": r"version: '([^']+)'",
        "CMakeLists.txt": r"VERSION (\d+\.\d+\.\d+)\n",
        "idf_component.yml": r'version: "([^"]+)"',
        "pyproject.toml": r'version = "([^"]+)"',
    }
    for name, pattern in patterns.items():
        found = re.search(pattern, (ROOT / name).read_text())
        assert found is not None
        assert found[1] == ".".join(parts), name
