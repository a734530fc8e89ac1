"""CMake: find_package of what either build installs, add_subdirectory, and the ESP-IDF component.

Needs cmake, a C and C++ compiler, and meson for one of them; for Noise's providers pkg-config,
libssl-dev, libmbedtls-dev and a libsecp256k1, which is built where the system's will not do.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c" / "noise"))

import check_symbols
import cross
import noise_native

ROOT = cross.ROOT
PROJECTS = ROOT / "tests" / "cmake"


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def configure(source: Path, build: Path, *definitions: str) -> str:
    options = [f"-D{definition}" for definition in definitions]
    return cross.run(["cmake", "-S", str(source), "-B", str(build), *options])


def cmake(source: Path, build: Path, *definitions: str) -> Path:
    """Configures and builds a project, every warning an error."""
    configure(source, build, "CMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror", *definitions)
    cross.run(["cmake", "--build", str(build), "--parallel", "2"])
    return build


@pytest.fixture(scope="module")
def absent() -> Iterator[dict[str, str]]:
    """Provider of cryptography -> why it cannot be built here, for those that cannot. While the
    fixture lives pkg-config finds a libsecp256k1, if there is one.
    """
    missing: dict[str, str] = {}
    folder = ""
    for provider in noise_native.PROVIDERS:
        try:
            if shutil.which("pkg-config") is None:
                raise noise_native.Unavailable("pkg-config is not installed")
            noise_native.provider_flags(provider)
            folder = noise_native.secp256k1()
        except noise_native.Unavailable as reason:
            missing[provider] = str(reason)
    with pytest.MonkeyPatch.context() as patch:
        if folder:
            patch.setenv("PKG_CONFIG_PATH", folder)
        yield missing


def present(absent: dict[str, str]) -> list[str]:
    return [provider for provider in noise_native.PROVIDERS if provider not in absent]


def provider_options(absent: dict[str, str]) -> list[str]:
    return [f"SV2_NOISE_{provider.upper()}=ON" for provider in present(absent)]


def run_noise(program: str, build: Path, absent: dict[str, str]) -> None:
    """Runs one of the Noise programs, or skips where its provider cannot be built."""
    provider = program.removeprefix("noise_")
    if provider in absent:
        pytest.skip(absent[provider])
    output = cross.run([str(build / program)])
    assert program == "noise_core" or re.search(r"[1-9]\d* checks, 0 failed", output), output


NOISE = ["noise_core", *(f"noise_{provider}" for provider in noise_native.PROVIDERS)]


class Installed:
    """What a build has installed, and the project that uses it, each built once."""

    def __init__(self, folder: Path, absent: dict[str, str]) -> None:
        self.folder = folder
        self.absent = absent
        self.projects: dict[tuple[str, str], Path] = {}

    def prefix(self, name: str) -> Path:
        """Where a build has installed libsv2, moved after that to another folder."""
        moved = self.folder / f"moved-{name}"
        if not moved.exists():
            prefix, build = self.folder / name, self.folder / f"build-{name}"
            install = {"meson": self.install_by_meson}.get(name, self.install_by_cmake)
            install(name, prefix, build)
            prefix.rename(moved)
        return moved

    def install_by_cmake(self, name: str, prefix: Path, build: Path) -> None:
        options = {
            "cmake-shared": ["BUILD_SHARED_LIBS=ON", *provider_options(self.absent)],
            "cmake-static": ["BUILD_SHARED_LIBS=OFF", *provider_options(self.absent)],
            "cmake-codec": ["SV2_NOISE=OFF"],
        }[name]
        cmake(ROOT, build, *options, f"CMAKE_INSTALL_PREFIX={prefix}")
        cross.run(["cmake", "--install", str(build)])

    def install_by_meson(self, _: str, prefix: Path, build: Path) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        if shutil.which("meson", path=path) is None or shutil.which("ninja", path=path) is None:
            pytest.skip("meson or ninja is not installed")
        setup = ["meson", "setup", "-Dlibrary=true", f"--prefix={prefix}", str(build), str(ROOT)]
        setup += [f"-Dnoise_{provider}=enabled" for provider in present(self.absent)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path)
            cross.run(setup)
            cross.run(["meson", "install", "-C", str(build)])

    def project(self, name: str, kind: str) -> Path:
        """The build of tests/cmake/find_package; kind is "_static" for the static libraries."""
        if (name, kind) not in self.projects:
            prefix = self.prefix(name)
            self.projects[name, kind] = cmake(
                PROJECTS / "find_package",
                self.folder / f"use-{name}{kind}",
                f"CMAKE_PREFIX_PATH={prefix}",
                f"KIND={kind}",
                f"PROVIDERS={';'.join(present(self.absent))}",
            )
        return self.projects[name, kind]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, absent: dict[str, str]) -> Installed:
    need("cmake", "gcc", "g++")
    return Installed(tmp_path_factory.mktemp("installed"), absent)


def libraries_of(program: Path) -> str:
    return cross.run(["readelf", "-d", str(program)])


KINDS = pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cmake-shared", ""),
        ("cmake-static", ""),
        ("cmake-static", "_static"),
        ("meson", ""),
        ("meson", "_static"),
    ],
)


@KINDS
def test_find_package_finds_what_was_installed(name: str, kind: str, installed: Installed) -> None:
    build = installed.project(name, kind)
    cross.run([str(build / "native")])
    cross.run([str(build / "surface")])
    shared = name == "cmake-shared" or (name == "meson" and kind == "")
    assert ("libsv2.so" in libraries_of(build / "native")) == shared


@KINDS
@pytest.mark.parametrize("program", NOISE)
def test_find_package_finds_noise_and_its_providers(
    name: str, kind: str, program: str, installed: Installed
) -> None:
    build = installed.project(name, kind)
    run_noise(program, build, installed.absent)
    shared = name == "cmake-shared" or (name == "meson" and kind == "")
    assert ("libsv2-noise.so" in libraries_of(build / program)) == shared


def find(
    folder: Path,
    installed: Installed,
    request: str,
    *definitions: str,
    prefix: str = "cmake-static",
) -> set[str]:
    """The targets that a project gets which only looks for libsv2."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(strict C)\nfind_package(sv2 {request})\n"
        "foreach(name sv2 noise noise_openssl noise_mbedtls)\n"
        '  if(TARGET sv2::${name})\n    message(STATUS "target ${name}")\n  endif()\nendforeach()\n'
    )
    where = f"CMAKE_PREFIX_PATH={installed.prefix(prefix)}"
    output = configure(folder, folder / "build", where, *definitions)
    return set(re.findall(r"-- target (\w+)", output))


def test_another_minor_version_is_not_found(installed: Installed, tmp_path: Path) -> None:
    for wanted in ("0.1", "0.1.0"):
        find(tmp_path / wanted, installed, f"{wanted} REQUIRED")
    for wanted in ("0.2", "0.1.99", "0.0.9", "1.0"):
        with pytest.raises(cross.StepFailed, match="not accepted"):
            find(tmp_path / wanted, installed, f"{wanted} REQUIRED")


# Settings under which no libsecp256k1 is found by itself.
ALONE = ("PKG_CONFIG_EXECUTABLE=/nonexistent",)


@pytest.mark.parametrize(
    "request_text",
    ["REQUIRED", "REQUIRED COMPONENTS noise", "REQUIRED OPTIONAL_COMPONENTS noise_openssl"],
)
def test_who_does_not_ask_for_a_provider_needs_no_libraries_of_others(
    request_text: str, installed: Installed, tmp_path: Path
) -> None:
    assert find(tmp_path / "project", installed, request_text, *ALONE) == {"sv2", "noise"}


def test_a_component_whose_libraries_are_missing_is_not_found(
    installed: Installed, tmp_path: Path
) -> None:
    with pytest.raises(cross.StepFailed, match=r"noise_openssl: libsecp256k1\s+was\s+not\s+found"):
        find(tmp_path / "project", installed, "REQUIRED COMPONENTS noise_openssl", *ALONE)


def test_a_component_that_was_not_installed_is_not_found(
    installed: Installed, absent: dict[str, str], tmp_path: Path
) -> None:
    name = "cmake-codec"
    assert find(tmp_path / "codec", installed, "REQUIRED", prefix=name) == {"sv2"}
    for component in ("noise", *(f"noise_{provider}" for provider in present(absent))):
        library = f"libsv2-{component.replace('_', '-')}"
        request = f"REQUIRED COMPONENTS {component}"
        with pytest.raises(cross.StepFailed, match=rf"there\s+is\s+no\s+{library}\s+in"):
            find(tmp_path / component, installed, request, prefix=name)


def test_an_unknown_component_is_not_found(installed: Installed, tmp_path: Path) -> None:
    with pytest.raises(cross.StepFailed, match="nois: there is no such component"):
        find(tmp_path / "project", installed, "REQUIRED COMPONENTS nois")


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, absent: dict[str, str]) -> dict[str, Path]:
    """Builds of a project that has libsv2 inside, by the value of BUILD_SHARED_LIBS."""
    need("cmake", "gcc", "g++")
    return {
        shared: cmake(
            PROJECTS / "add_subdirectory",
            tmp_path_factory.mktemp("inside"),
            f"SV2_SOURCE={ROOT}",
            f"BUILD_SHARED_LIBS={shared}",
            "SV2_FFI=ON",
            *provider_options(absent),
        )
        for shared in ("ON", "OFF")
    }


@pytest.mark.parametrize("shared", ["ON", "OFF"])
def test_add_subdirectory_builds_it_inside_a_project(shared: str, inside: dict[str, Path]) -> None:
    cross.run([str(inside[shared] / "native")])
    cross.run([str(inside[shared] / "surface")])


@pytest.mark.parametrize("program", NOISE)
@pytest.mark.parametrize("shared", ["ON", "OFF"])
def test_add_subdirectory_builds_noise_and_its_providers(
    shared: str, program: str, inside: dict[str, Path], absent: dict[str, str]
) -> None:
    run_noise(program, inside[shared], absent)


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
    cross.run([str(build / "noise_core")])
    names = cross.run(["nm", "-P", str(build / "sv2" / "libsv2.a")])
    assert "sv2_decode T" in names
    assert "next_frame" not in names
    assert b"SubmitSharesStandard" not in (build / "sv2" / "libsv2.a").read_bytes()
    assert not (build / "sv2" / "cmake").exists()


# A provider of cryptography whose libraries are the project's own, or not there.


def secp256k1_source() -> Path:
    try:
        return Path(noise_native.secp256k1("--source"))
    except noise_native.Unavailable as missing:
        pytest.skip(str(missing))


def mbedtls_headers(tmp_path: Path) -> Path:
    """A folder with mbedTLS's headers and none of the host's libc."""
    if not Path("/usr/include/mbedtls/version.h").exists():
        pytest.skip("libmbedtls-dev is not installed")
    headers = tmp_path / "headers"
    headers.mkdir()
    for name in ("mbedtls", "psa"):
        (headers / name).symlink_to(Path("/usr/include") / name)
    return headers


def for_target(name: str) -> list[str]:
    target = cross.TARGETS[name]
    need("cmake", target.compiler)
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", *target.flags]
    return [
        "CMAKE_SYSTEM_NAME=Generic",
        f"CMAKE_C_COMPILER={target.compiler}",
        f"CMAKE_C_FLAGS={' '.join(flags)}",
    ]


def test_a_project_hands_in_targets_of_its_own(absent: dict[str, str], tmp_path: Path) -> None:
    need("cmake", "gcc")
    for provider in noise_native.PROVIDERS:
        if provider in absent:
            pytest.skip(absent[provider])
    source = f"SECP256K1_SOURCE={secp256k1_source()}"
    try:
        configure(PROJECTS / "own_targets", tmp_path, source, f"SV2_SOURCE={ROOT}", *ALONE)
    except cross.StepFailed as failed:
        if "or higher is required" in str(failed):
            pytest.skip("cmake is older than libsecp256k1 wants it")
        raise
    cross.run(["cmake", "--build", str(tmp_path), "--parallel", "2"])
    for program in NOISE:
        run_noise(program, tmp_path, absent)


def test_firmware_without_pkg_config_builds_the_mbedtls_provider(tmp_path: Path) -> None:
    build = cmake(
        PROJECTS / "bare_metal",
        tmp_path / "build",
        f"SV2_SOURCE={ROOT}",
        f"LIBC_INCLUDE={cross.FIRMWARE / 'include'}",
        f"MBEDTLS_INCLUDE={mbedtls_headers(tmp_path)}",
        f"SECP256K1_INCLUDE={secp256k1_source() / 'include'}",
        *for_target("cortex-m4"),
        *ALONE,
    )
    libraries = [build / "sv2" / f"libsv2{part}.a" for part in ("", "-noise", "-noise-mbedtls")]
    nm = cross.TARGETS["cortex-m4"].tool("nm")
    faults = check_symbols.core_faults(libraries, nm)
    assert faults
    assert [fault for fault in faults if not re.match("calls (secp256k1|mbedtls)_", fault)] == []


@pytest.mark.parametrize("provider", noise_native.PROVIDERS)
def test_a_provider_whose_libraries_are_missing_is_an_error(provider: str, tmp_path: Path) -> None:
    need("cmake", "gcc")
    option = f"SV2_NOISE_{provider.upper()}"
    with pytest.raises(cross.StepFailed, match=rf"{option}: libsecp256k1 was\s+not\s+found"):
        configure(ROOT, tmp_path, f"{option}=ON", *ALONE)


def test_a_target_that_is_none_is_an_error(tmp_path: Path) -> None:
    need("cmake", "gcc")
    options = ("SV2_NOISE_MBEDTLS=ON", "SV2_SECP256K1_TARGET=secp")
    with pytest.raises(cross.StepFailed, match=r"SV2_SECP256K1_TARGET\s+is\s+secp,"):
        configure(ROOT, tmp_path, *options)


def test_a_provider_without_noise_is_an_error(tmp_path: Path) -> None:
    need("cmake", "gcc")
    with pytest.raises(cross.StepFailed, match="SV2_NOISE_OPENSSL needs SV2_NOISE"):
        configure(ROOT, tmp_path, "SV2_NOISE=OFF", "SV2_NOISE_OPENSSL=ON")


def test_a_libsecp256k1_without_elligator_swift_is_an_error_until_it_is_replaced(
    absent: dict[str, str], tmp_path: Path
) -> None:
    need("cmake", "gcc", "ar")
    if "openssl" in absent:
        pytest.skip(absent["openssl"])

    def write(*functions: str) -> None:
        code = "".join(f"void {name}(void);\nvoid {name}(void)\n{{\n}}\n" for name in functions)
        (tmp_path / "curve.c").write_text(code)
        cross.run(["gcc", "-c", "curve.c"], cwd=tmp_path)
        cross.run(["ar", "rcs", "libsecp256k1.a", "curve.o"], cwd=tmp_path)

    (tmp_path / "libsecp256k1.pc").write_text(
        "Name: curve\nDescription: curve\nVersion: 0.2.0\n"
        f"Cflags: -I{secp256k1_source() / 'include'}\nLibs: -L{tmp_path} -lsecp256k1\n"
    )
    arguments = (ROOT, tmp_path / "build", "SV2_NOISE_OPENSSL=ON")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PKG_CONFIG_PATH", str(tmp_path))
        for functions in ([], ["secp256k1_ellswift_xdh"], ["secp256k1_schnorrsig_sign32"]):
            write("secp256k1_context_create", *functions)
            with pytest.raises(cross.StepFailed, match=r"without\s+ElligatorSwift"):
                configure(*arguments)
        write("secp256k1_ellswift_xdh", "secp256k1_schnorrsig_sign32")
        configure(*arguments)


# ESP-IDF.


def test_esp_idf_registers_the_core_in_script_mode() -> None:
    need("cmake")
    script = PROJECTS / "esp_idf" / "requirements.cmake"
    output = cross.run(["cmake", f"-DSV2_SOURCE={ROOT}", "-P", str(script)])
    files = [*cross.core_sources(), *cross.noise_sources()]
    sources = " ".join(path.relative_to(ROOT).as_posix() for path in files)
    registered = re.search(r"registered (.*)", output)
    assert registered is not None
    wanted = f"SRCS {sources} INCLUDE_DIRS include PRIV_REQUIRES mbedtls"
    assert registered[1].replace(";", " ") == wanted


PROVIDER = ("CONFIG_SV2_NOISE_MBEDTLS=y", "CONFIG_SV2_SECP256K1_COMPONENT=")


def build_for_esp_idf(tmp_path: Path, *configuration: str) -> set[str]:
    """The functions in the component as ESP-IDF makes it for an ESP32-C3, beside two that have the
    headers of mbedTLS and of libsecp256k1.
    """
    target = for_target("rv32imc")
    headers = {"mbedtls": mbedtls_headers(tmp_path), "curve": secp256k1_source() / "include"}
    for name, include in headers.items():
        (tmp_path / name).mkdir()
        register = f"idf_component_register(INCLUDE_DIRS {include})\n"
        (tmp_path / name / "CMakeLists.txt").write_text(register)
    build = cmake(
        PROJECTS / "esp_idf",
        tmp_path / "build",
        f"SV2_SOURCE={ROOT}",
        f"LIBC_INCLUDE={cross.FIRMWARE / 'include'}",
        f"COMPONENTS={';'.join(str(tmp_path / name) for name in headers)}",
        *target,
        *configuration,
    )
    nm = cross.TARGETS["rv32imc"].tool("nm")
    library = build / "libsv2" / "lib__idf_libsv2.a"
    output = cross.run([nm, "-P", "--defined-only", str(library)])
    return {line.split()[0] for line in output.splitlines() if " T " in line}


def test_esp_idf_compiles_messages_and_noise(tmp_path: Path) -> None:
    functions = build_for_esp_idf(tmp_path)
    assert {"sv2_message_decode", "sv2_noise_finish"} <= functions
    assert "sv2_noise_mbedtls_init" not in functions


def test_esp_idf_compiles_the_provider_where_the_configuration_has_it(tmp_path: Path) -> None:
    functions = build_for_esp_idf(tmp_path, PROVIDER[0], f"{PROVIDER[1]}curve")
    assert {"sv2_noise_finish", "sv2_noise_mbedtls_init"} <= functions


def test_esp_idf_says_that_the_component_for_libsecp256k1_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(cross.StepFailed, match="of the component 'nowhere'"):
        build_for_esp_idf(tmp_path, PROVIDER[0], f"{PROVIDER[1]}nowhere")


def test_the_components_that_the_docs_describe_make_a_handshake(
    absent: dict[str, str], tmp_path: Path
) -> None:
    """The host's compiler in the place of ESP-IDF's, and its mbedTLS."""
    need("cmake", "gcc")
    if "mbedtls" in absent:
        pytest.skip(absent["mbedtls"])
    text = (ROOT / "examples" / "firmware" / "README.md").read_text()
    (recipe,) = re.findall(r"```cmake\n(idf_component_register.*?)```", text, re.DOTALL)
    curve, mbedtls = tmp_path / "libsecp256k1", tmp_path / "mbedtls"
    for folder, content in ((curve, recipe), (mbedtls, "idf_component_register()\n")):
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(content)
    (curve / "secp256k1").symlink_to(secp256k1_source())
    options = [f"SV2_SOURCE={ROOT}", f"COMPONENTS={curve};{mbedtls}", PROVIDER[0]]
    build = tmp_path / "build"
    configure(PROJECTS / "esp_idf", build, *options, f"{PROVIDER[1]}libsecp256k1")
    cross.run(["cmake", "--build", str(build), "--parallel", "2"])
    assert re.search(r"[1-9]\d* checks, 0 failed", cross.run([str(build / "noise")]))


def test_the_configuration_that_esp_idf_offers_is_the_one_that_is_read() -> None:
    offered = set(re.findall(r"^ *config (\w+)", (ROOT / "Kconfig").read_text(), re.MULTILINE))
    read = set(re.findall(r"CONFIG_(\w+)", (ROOT / "CMakeLists.txt").read_text()))
    assert offered == read


# Both builds.


def test_both_builds_name_the_same_sources() -> None:
    text = (ROOT / "CMakeLists.txt").read_text()
    listed = {
        "core": cross.core_sources(),
        "noise": cross.noise_sources(),
        "noise_openssl": cross.noise_provider_sources("openssl"),
        "noise_mbedtls": cross.noise_provider_sources("mbedtls"),
    }
    for name, files in listed.items():
        block = re.search(rf"set\(sv2_{name}_sources\s+(.*?)\)", text, re.DOTALL)
        assert block is not None
        assert [ROOT / file for file in block[1].split()] == files


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
