"""examples/firmware: the device mines at the test pool, refuses what it should, and builds for the
machines that it is meant for.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sv2.noise import AuthoritySecretKey

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c" / "noise"))

import check_symbols
import cross
import noise_native

FIRMWARE = cross.ROOT / "examples" / "firmware"
INCLUDE = cross.ROOT / "include"
SECONDS = 90
AUTHORITY = AuthoritySecretKey(b"\x07" * 32)
OTHER = AuthoritySecretKey(b"\x08" * 32)
DEVICE_FLASH = 12_288
DEVICE_RAM = 1_600


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's build, with sanitizers."""
    program = tmp_path_factory.mktemp("device") / "device"
    core = [*cross.core_sources(), *sorted(FIRMWARE.glob("*.c"))]
    try:
        if shutil.which("pkg-config") is None:
            raise noise_native.Unavailable("pkg-config is not installed")
        flags = noise_native.provider_flags("openssl")
        noise = [path for path in noise_native.sources("openssl") if "/noise/" in path]
        noise_native.compile_c(
            *("gcc", "-O2", "-g", "-fsanitize=address,undefined", *noise_native.WARNINGS),
            *("-D_DEFAULT_SOURCE", f"-I{INCLUDE}", f"-I{FIRMWARE}", *map(str, core), *noise),
            *("-o", str(program), *flags),
        )
    except noise_native.Unavailable as missing:
        pytest.skip(str(missing))
    return program


@contextlib.contextmanager
def pool(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The test pool, its port and its authority's key."""
    command = [sys.executable, str(FIRMWARE / "test_pool.py"), *options]
    secret = ["--authority-secret", AUTHORITY.reveal()]
    with subprocess.Popen([*command, *secret], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            word, port, key = process.stdout.readline().split()
            assert word == "listening"
            yield process, port, key
        finally:
            process.kill()


def run_device(device: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [str(device), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )


def numbers(line: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", line)}


def test_the_device_mines_through_all_that_the_pool_does(device: Path) -> None:
    with pool("--shares", "12") as (process, port, key):
        done = run_device(device, "127.0.0.1", port, key, "--shares", "12", "--user", "a.worker")
        assert done.returncode == 0, done.stdout + done.stderr
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(timeout=SECONDS) == 0, told
    assert "accepted 12 bad 0" in told
    assert told.count("setup vendor 'libsv2' flags 1") == 2
    *states, summary = done.stdout.splitlines()
    course = ["handshake", "setup", "opening", "mining"]
    assert states == [*course, "offline: told to reconnect", *course]
    counted = numbers(summary)
    # Two tips and a job for now on the first connection, a tip on the second.
    assert (counted["accepted"], counted["jobs"], counted["connections"]) == (12, 4, 2)
    assert (counted["ignored"], counted["skipped"]) == (1, 1)
    assert counted["submitted"] >= 12


def test_a_pool_of_another_authority_is_refused(device: Path) -> None:
    with pool() as (_, port, _key):
        done = run_device(device, "127.0.0.1", port, str(OTHER.public_key), "--seconds", "2")
    assert done.returncode == 1
    assert "offline: the certificate is not signed by the expected authority" in done.stdout
    assert numbers(done.stdout.splitlines()[-1])["submitted"] == 0


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ([], False),
        (["--earliest", str(int(time.time()))], False),
        (["--earliest", str(int(time.time()) - 7 * 86_400)], True),
    ],
    ids=["clock", "no clock, recent firmware", "no clock, old firmware"],
)
def test_an_expired_certificate_by_each_clock(
    device: Path, options: list[str], accepted: bool
) -> None:
    with pool("--expired") as (_, port, key):
        done = run_device(
            device, "127.0.0.1", port, key, "--shares", "1", "--seconds", "3", *options
        )
    assert done.returncode == (0 if accepted else 1)
    assert ("offline: the certificate has expired" in done.stdout) == (not accepted)


def test_a_pool_that_talks_nonsense_is_left(device: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        port, key = str(listener.getsockname()[1]), str(AUTHORITY.public_key)
        command = [str(device), "127.0.0.1", port, key, "--seconds", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(SECONDS)
                noise_native.receive_exactly(sock, 64)
                sock.sendall(bytes(234))
                assert process.stdout is not None
                assert process.stdout.readline() == "handshake\n"
                assert (
                    process.stdout.readline() == "offline: encrypted data does not authenticate\n"
                )
            process.kill()


@pytest.mark.parametrize("text", ["", "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXi"])
def test_a_bad_key_is_refused_before_anything_is_sent(device: Path, text: str) -> None:
    done = run_device(device, "127.0.0.1", "1", text)
    assert done.returncode == 2
    assert "key" in done.stderr


@pytest.mark.parametrize("name", ["cortex-m4", "rv32imc"])
def test_the_device_builds_without_libc_or_heap(name: str, tmp_path: Path) -> None:
    target = cross.TARGETS[name]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    noise = ("certificate", "handshake", "key_text", "symmetric", "transport")
    files = [FIRMWARE / "device.c", FIRMWARE / "hasher.c"]
    files += [cross.ROOT / "csrc" / "noise" / f"{part}.c" for part in noise]
    library = cross.compile_library(
        target, [*cross.core_sources(), *files], tmp_path, INCLUDE, f"-I{FIRMWARE}"
    )
    assert check_symbols.core_faults([library], target.tool("nm"), target.helpers) == []
    # What a program with one device takes: no provider, no network stack.
    main = tmp_path / "main.c"
    main.write_text(
        '#include "device.h"\n'
        "device the_device;\n"
        "const device_config *volatile config;\n"
        "const device_socket *volatile socket;\n"
        "const sv2_noise_provider *volatile crypto;\n"
        "int main(void)\n{\n    device_init(&the_device, config, socket, crypto);\n"
        "    while (device_step(&the_device, 0, 1000) != DEVICE_LOST) {\n    }\n    return 0;\n}\n"
    )
    entry = cross.compile_c(target, main, tmp_path, INCLUDE, f"-I{FIRMWARE}")
    program = cross.link_for_board(target, [entry], library, tmp_path / "program")
    row = cross.run([target.tool("size"), str(program)]).splitlines()[1].split()
    assert 5_000 < int(row[0]) < DEVICE_FLASH
    symbols = cross.run([target.tool("nm"), "-S", str(program)]).splitlines()
    (ram,) = (int(line.split()[1], 16) for line in symbols if line.endswith(" the_device"))
    assert ram < DEVICE_RAM
    print(f"{name}: {row[0]} bytes of flash, {ram} of RAM")
