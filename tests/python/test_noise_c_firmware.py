"""examples/firmware: the device mines at the test pool, refuses what it should, and builds for the
machines that it is meant for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sv2.noise import AuthoritySecretKey, PythonEngine, ServerIdentity, Session

import sv2_ffi
from sv2_ffi import UnknownMessage, common, mining

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
SUCCESS = common.SetupConnectionSuccess(2, 0)
DEVICE_FLASH = 12_288
DEVICE_RAM = 1_600


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's build, with sanitizers."""
    program = tmp_path_factory.mktemp("device") / "device"
    files = [*noise_native.sources("openssl"), *map(str, sorted(FIRMWARE.glob("*.c")))]
    try:
        if shutil.which("pkg-config") is None:
            raise noise_native.Unavailable("pkg-config is not installed")
        flags = noise_native.provider_flags("openssl")
        noise_native.compile_c(
            *("gcc", "-O2", "-g", "-fsanitize=address,undefined", *noise_native.WARNINGS),
            *("-D_DEFAULT_SOURCE", f"-I{INCLUDE}", f"-I{FIRMWARE}", *files),
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


def answered(device: Path, answers: list[Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the device at a pool that answers in this order: the first message after setup came in,
    the second after the channel was asked for with all that follow."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        port, key = str(listener.getsockname()[1]), str(AUTHORITY.public_key)
        command = [str(device), "127.0.0.1", port, key, *arguments]
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(SECONDS)
                    play(sock, answers)
                    output, errors = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
    assert "ERROR" not in errors, errors
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def play(sock: socket.socket, answers: list[Any]) -> None:
    act_2, session = (
        PythonEngine()
        .responder(ServerIdentity.self_issued(AUTHORITY))
        .read_act_1(noise_native.receive_exactly(sock, 64))
    )
    sock.sendall(act_2)
    read_frame(sock, session)
    for place, answer in enumerate(answers):
        frame = sv2_ffi.encode(answer)
        sock.sendall(session.sealer.seal(frame[:6], frame[6:]))
        if place == 0 and len(answers) > 1 and isinstance(answer, common.SetupConnectionSuccess):
            read_frame(sock, session)


def read_frame(sock: socket.socket, session: Session) -> None:
    header = session.opener.open_header(noise_native.receive_exactly(sock, 22))
    size = int.from_bytes(header[3:], "little")
    session.opener.open_chunk(noise_native.receive_exactly(sock, size + 16))


def test_the_device_mines_through_all_that_the_pool_does(device: Path) -> None:
    with pool("--shares", "12") as (process, port, key):
        done = run_device(device, "127.0.0.1", port, key, "--shares", "12", "--user", "a.worker")
        assert done.returncode == 0, done.stdout + done.stderr
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(timeout=SECONDS) == 0, told
    # Shares that were under way when the device had enough count for the pool alone.
    end = numbers(told.splitlines()[-1])
    assert end["accepted"] >= 12
    assert end["bad"] == 0
    assert told.count("setup vendor 'libsv2' flags 1") == 2
    *states, summary = done.stdout.splitlines()
    course = ["handshake", "setup", "opening", "mining"]
    assert states == [*course, "offline: told to reconnect", *course]
    counted = numbers(summary)
    # Two tips and a job for now on the first connection, a tip on the second.
    assert (counted["jobs"], counted["connections"]) == (4, 2)
    assert counted["accepted"] >= 12
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


# What a pool may do to a device, one thing at a time.

CHANNEL_OPEN = mining.OpenStandardMiningChannelSuccess(1, 7, b"\xff" * 32, b"", 3)
NO_SHARE = mining.OpenStandardMiningChannelSuccess(1, 7, bytes(32), b"", 3)
FUTURE_JOB = mining.NewMiningJob(7, 1, None, 0x20000000, bytes(32))
TIP = mining.SetNewPrevHash(7, 1, bytes(32), 1_800_000_000, 0x1D00FFFF)


def malformed(message_type: int) -> UnknownMessage:
    return UnknownMessage(0x8000, message_type, b"\x07\0\0")


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ([common.SetupConnectionError(0, "unsupported-protocol")], "offline: refused"),
        ([SUCCESS, mining.OpenMiningChannelError(1, "unknown-user")], "offline: refused"),
        ([SUCCESS, CHANNEL_OPEN, mining.CloseChannel(7, "bye")], "offline: refused"),
        ([SUCCESS, CHANNEL_OPEN, CHANNEL_OPEN], "offline: unexpected message"),
        ([CHANNEL_OPEN], "offline: unexpected message"),
        ([SUCCESS, SUCCESS], "offline: unexpected message"),
        ([common.Reconnect("a host\n", 1)], "offline: unexpected message"),
        ([common.Reconnect("x" * 64, 1)], "offline: unexpected message"),
        ([SUCCESS, CHANNEL_OPEN, malformed(0x15)], "offline: the input ends within a field"),
        ([SUCCESS, CHANNEL_OPEN, malformed(0x20)], "offline: the input ends within a field"),
        ([SUCCESS, CHANNEL_OPEN, malformed(0x21)], "offline: the input ends within a field"),
        ([malformed(0x01)], "offline: the input ends within a field"),
    ],
)
def test_what_ends_a_connection(device: Path, answers: list[Any], line: str) -> None:
    done = answered(device, answers, "--seconds", "1")
    assert done.returncode == 1
    assert line in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("answers", "ignored", "jobs"),
    [
        ([NO_SHARE, FUTURE_JOB, TIP], 0, 1),
        ([NO_SHARE, FUTURE_JOB], 0, 0),
        # Of another channel, without a tip, for a job that is not there.
        ([NO_SHARE, dataclasses.replace(FUTURE_JOB, channel_id=8)], 1, 0),
        ([NO_SHARE, dataclasses.replace(FUTURE_JOB, min_ntime=5)], 1, 0),
        ([NO_SHARE, dataclasses.replace(TIP, channel_id=9)], 1, 0),
        ([NO_SHARE, TIP], 1, 0),
        # The fifth job takes the place of the first; a tip ends the jobs that wait.
        ([NO_SHARE, *(dataclasses.replace(FUTURE_JOB, job_id=n) for n in range(1, 6)), TIP], 1, 0),
        ([NO_SHARE, *(dataclasses.replace(FUTURE_JOB, job_id=n) for n in range(4)), TIP], 0, 1),
        ([NO_SHARE, FUTURE_JOB, TIP, TIP], 1, 1),
        ([NO_SHARE, mining.SetTarget(99, bytes(32)), mining.CloseChannel(99, "")], 2, 0),
    ],
)
def test_which_jobs_become_work(device: Path, answers: list[Any], ignored: int, jobs: int) -> None:
    done = answered(device, [SUCCESS, *answers], "--seconds", "1")
    counted = numbers(done.stdout.splitlines()[-1])
    assert "offline" not in done.stdout
    assert (counted["ignored"], counted["jobs"], counted["submitted"]) == (ignored, jobs, 0)


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
    files = [FIRMWARE / "device.c", FIRMWARE / "hasher.c", *cross.noise_sources()]
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
