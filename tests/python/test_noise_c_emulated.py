"""Noise with libsecp256k1 and mbedTLS on emulated microcontrollers: both ends in memory, each end
against the Python engine, the whole encrypted device at its test pool, and what all that costs.

Needs the cross compilers and emulators that docs/firmware.md names. The sources of libsecp256k1 and
mbedTLS are fetched once.
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sv2.noise import (
    AuthoritySecretKey,
    CertificatePolicy,
    PythonEngine,
    ServerIdentity,
    Session,
    StaticSecretKey,
    WallClock,
    issue_certificate,
)
from sv2.noise.engine import MAX_CHUNK, SEALED_HEADER_SIZE, sealed_payload_size

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c" / "noise"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "firmware"))

import cross
import noise_bridge
import noise_build
import noise_program
from noise_emulator import Gone, Machine
from noise_native import STATUS

NOW = 1_800_000_000
DAY = 86_400
AUTHORITY = AuthoritySecretKey(b"\x07" * 32)
OTHER = AuthoritySecretKey(b"\x08" * 32)
STATIC = StaticSecretKey(b"\x09" * 32)
OK, NEED_MORE = STATUS["SV2_OK"], STATUS["SV2_NEED_MORE"]
# The machine's limit for a payload; above it a frame is skipped.
LIMIT = MAX_CHUNK + 1
EXAMPLE_README = noise_build.EXAMPLE / "README.md"

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", params=noise_build.TARGETS)
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> noise_program.Measurement:
    """All libraries, compiled for one machine."""
    try:
        sources = noise_build.Sources.fetch()
        folder = tmp_path_factory.mktemp("noise") / request.param
        return noise_program.Measurement(request.param, sources, folder)
    except noise_build.Unavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def dialogue(measured: noise_program.Measurement) -> Path:
    return measured.build.program("noise_dialogue")


@pytest.fixture
def machine(
    measured: noise_program.Measurement, dialogue: Path, tmp_path: Path
) -> Iterator[Machine]:
    """One that is ready for sessions; the test ends it with leave()."""
    with Machine(measured.build.target, dialogue, tmp_path / "machine") as running:
        yield running


def leave(machine: Machine) -> None:
    machine.write(b"q")
    assert machine.end() == 0, machine.printed()


def engine(seed: int) -> PythonEngine:
    """One whose handshakes are the same each time, as the machine's are."""
    return PythonEngine(random.Random(seed).randbytes)


def identity(issuer: AuthoritySecretKey = AUTHORITY, begin: int = NOW - DAY) -> ServerIdentity:
    """A server's, with a certificate of two days."""
    certificate = issue_certificate(
        issuer, STATIC.x_only, valid_from=begin, not_valid_after=begin + 2 * DAY
    )
    return ServerIdentity(STATIC, certificate)


def connect_client(machine: Machine, server: ServerIdentity, seed: int) -> tuple[int, Session]:
    """The machine is the client; what it says of the handshake, and our end of the session."""
    machine.write(b"i" + str(AUTHORITY.public_key).encode())
    machine.write_u32(NOW)
    act_2, session = engine(seed).responder(server).read_act_1(machine.read(64))
    machine.write(act_2)
    status = machine.read_u32()
    assert machine.read(32) == (session.handshake_hash if status == OK else bytes(32))
    return status, session


def connect_server(machine: Machine, seed: int) -> Session:
    """The machine is the server, and ours the client, who checks its certificate."""
    shown = identity()
    machine.write(b"r" + STATIC._secret + shown.certificate().to_wire())
    initiator = engine(seed).initiator()
    machine.write(initiator.write_act_1())
    assert machine.read_u32() == OK
    certificate, session = initiator.read_act_2(machine.read(234))
    CertificatePolicy(AUTHORITY.public_key, WallClock(lambda: NOW)).check(certificate)
    assert machine.read(32) == session.handshake_hash
    return session


def send(machine: Machine, data: bytes) -> None:
    machine.write_u32(len(data))
    machine.write(data)


def frame(size: int) -> tuple[bytes, bytes]:
    """Header and payload of an invented message."""
    return b"\x01\x80\x41" + size.to_bytes(3, "little"), random.Random(size).randbytes(size)


def answer(machine: Machine, session: Session) -> tuple[bytes, bytes]:
    """The frame that came back, opened by the Python engine."""
    assert machine.read_u32() == OK
    sealed = machine.read(machine.read_u32())
    header = session.opener.open_header(sealed[:SEALED_HEADER_SIZE])
    size = int.from_bytes(header[3:], "little")
    assert len(sealed) == SEALED_HEADER_SIZE + sealed_payload_size(size)
    rest, payload = sealed[SEALED_HEADER_SIZE:], b""
    while rest:
        payload += session.opener.open_chunk(rest[: MAX_CHUNK + 16])
        rest = rest[MAX_CHUNK + 16 :]
    return header, payload


def exchange(machine: Machine, session: Session, sizes: list[int]) -> None:
    """All frames at once, which the machine takes in pieces of its own choice and sends back."""
    frames = [frame(size) for size in sizes]
    send(machine, b"".join(session.sealer.seal(*one) for one in frames))
    for header, payload in frames:
        if len(payload) > LIMIT:
            assert machine.read_u32() == STATUS["SV2_ERR_FRAME_LARGE"]
        else:
            assert answer(machine, session) == (header[:2] + b"\x42" + header[3:], payload)
    assert machine.read_u32() == NEED_MORE


# ---- Handshake and transport ---------------------------------------------------------------------


def test_both_ends_of_a_session_agree_on_the_machine(measured: noise_program.Measurement) -> None:
    authority = AuthoritySecretKey(b"\x01\x02\x03\x04" + bytes(28)).public_key
    done = [
        f"authority {authority}",
        "refused: another authority, expired, not yet valid, tampered",
        "handshake: both ends agree",
        *(f"both ways: {size}" for size in (0, 1, 16, 32, 1000, MAX_CHUNK, LIMIT)),
        "refused: each tampered byte of 54",
    ]
    lines = measured.ends.printed.splitlines()
    assert lines[: len(done)] == done
    assert lines[-1] == noise_program.LAST_LINE


@pytest.mark.parametrize(
    ("name", "was", "becomes"),
    [
        ("expired", "SV2_ERR_CERT_EXPIRED, authority", "SV2_OK, authority"),
        ("tampered", "sealed[i] ^= 0x10;\n        sv2", "sealed[i] ^= 0x00;\n        sv2"),
    ],
)
def test_what_should_be_refused_and_is_not_is_named(
    measured: noise_program.Measurement, name: str, was: str, becomes: str, tmp_path: Path
) -> None:
    text = (noise_build.HERE / "noise_program.c").read_text()
    assert text.count(was) == 1
    source = tmp_path / f"{name}.c"
    source.write_text(text.replace(was, becomes))
    program = measured.build.program(name, source)
    with pytest.raises(cross.StepFailed, match="not so: "):
        cross.emulate(measured.build.target, program)


def test_the_machine_as_client_of_the_python_engine(machine: Machine) -> None:
    for seed in range(2):
        status, session = connect_client(machine, identity(), seed)
        assert status == OK
        exchange(machine, session, [0, 1, 16, 32, 1000, MAX_CHUNK, LIMIT, 70_000, 0, 17])
        machine.write_u32(0)
    leave(machine)


def test_the_machine_as_server_of_the_python_engine(machine: Machine) -> None:
    for seed in range(2):
        session = connect_server(machine, seed)
        exchange(machine, session, [0, 1, 16, 32, 1000, MAX_CHUNK, LIMIT, 70_000, 0, 17])
        machine.write_u32(0)
    leave(machine)


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (identity(OTHER), "SV2_ERR_CERT_SIGNATURE"),
        (identity(begin=NOW - 3 * DAY), "SV2_ERR_CERT_EXPIRED"),
        (identity(begin=NOW + DAY), "SV2_ERR_CERT_EARLY"),
    ],
    ids=["another authority", "expired", "not yet valid"],
)
def test_a_server_that_is_not_to_be_believed(
    machine: Machine, server: ServerIdentity, status: str
) -> None:
    assert connect_client(machine, server, 1)[0] == STATUS[status]
    # And then one that is.
    assert connect_client(machine, identity(), 2)[0] == OK
    machine.write_u32(0)
    leave(machine)


@pytest.mark.parametrize("place", [0, 21, 22, 53])
def test_a_tampered_byte_ends_the_session(machine: Machine, place: int) -> None:
    for session in (connect_client(machine, identity(), 3)[1], None):
        session = session or connect_server(machine, 4)
        exchange(machine, session, [5])
        sealed = bytearray(session.sealer.seal(*frame(16)))
        sealed[place] ^= 1
        send(machine, bytes(sealed) + bytes(40))
        assert machine.read_u32() == STATUS["SV2_ERR_AUTH"]
    leave(machine)


def test_act_2_that_was_tampered_with_gives_no_session(machine: Machine) -> None:
    machine.write(b"i" + str(AUTHORITY.public_key).encode())
    machine.write_u32(NOW)
    act_2, _ = engine(5).responder(identity()).read_act_1(machine.read(64))
    machine.write(act_2[:100] + bytes([act_2[100] ^ 1]) + act_2[101:])
    assert machine.read_u32() == STATUS["SV2_ERR_AUTH"]
    assert machine.read(32) == bytes(32)
    leave(machine)


def test_a_machine_that_ends_early_is_told_from_a_slow_one(machine: Machine) -> None:
    machine.write(b"q")
    with pytest.raises(Gone):
        machine.read(1)


@pytest.mark.full
def test_many_sessions_of_many_sizes(machine: Machine) -> None:
    sizes = random.Random(1)
    for seed in range(40):
        some = [sizes.randrange(0, 3000) for _ in range(20)] + [sizes.randrange(0, 1 << 17)]
        session = connect_client(machine, identity(), seed)[1]
        exchange(machine, session, some)
        machine.write_u32(0)
        exchange(machine, connect_server(machine, seed), some)
        machine.write_u32(0)
    leave(machine)


# ---- The whole device ----------------------------------------------------------------------------


COURSE = ["handshake", "setup", "opening", "mining"]


@pytest.mark.parametrize("shares", [3, pytest.param(12, marks=pytest.mark.full)])
def test_the_encrypted_device_mines(
    measured: noise_program.Measurement, shares: int, tmp_path: Path
) -> None:
    target = measured.build.target
    with noise_bridge.pool("--shares", str(shares)) as (process, port, key):
        done = noise_bridge.mine(target, measured.device, tmp_path / "m", port, key, shares)
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(timeout=60) == 0, told
    assert done.code == 0, done.printed
    assert "bad 0" in told.splitlines()[-1]
    assert done.numbers["accepted"] >= shares
    # Things that a device has no use for come after the second share.
    assert (done.numbers["ignored"], done.numbers["skipped"]) == (1, 1)
    # After the eighth the pool moves.
    moves = ["offline, why 6", *COURSE] if shares > 8 else []
    assert done.printed.splitlines() == COURSE + moves
    assert done.numbers["connections"] == 1 + bool(moves)


@pytest.mark.parametrize(
    ("options", "key", "status"),
    [
        ([], str(OTHER.public_key), "SV2_ERR_CERT_SIGNATURE"),
        (["--expired", "--authority-secret", AUTHORITY.reveal()], "", "SV2_ERR_CERT_EXPIRED"),
    ],
    ids=["another authority", "expired"],
)
def test_the_encrypted_device_refuses_a_pool(
    measured: noise_program.Measurement, options: list[str], key: str, status: str, tmp_path: Path
) -> None:
    with noise_bridge.pool(*options) as (_, port, published):
        done = noise_bridge.mine(
            measured.build.target, measured.device, tmp_path / "m", port, key or published, 1
        )
    assert done.code == 1
    assert done.printed.splitlines() == ["handshake", f"offline, status {STATUS[status]}"]
    assert done.numbers["submitted"] == 0


# ---- What it costs -------------------------------------------------------------------------------


def bounds(found: int, documented: int) -> bool:
    """Whether a documented figure is an upper bound, give or take the compiler's version."""
    return documented / 2 <= found <= documented * 1.1


def test_the_documented_figures_are_upper_bounds(measured: noise_program.Measurement) -> None:
    documented = noise_program.documented()[measured.build.target.title]
    found = measured.figures()
    assert found.keys() == documented.keys()
    wrong = {title: n for title, n in found.items() if not bounds(n, documented[title])}
    assert wrong == {}, "run tests/firmware/noise_program.py --write"


def test_the_examples_page_has_the_figures_of_the_whole_device(
    measured: noise_program.Measurement,
) -> None:
    if measured.build.target.name != "cortex-m4":
        pytest.skip("the page is about the Cortex-M4")
    (text,) = re.findall(r"([\d,]+) bytes of flash, ([\d,]+) of static RAM and ([\d,]+) of stack",
                         EXAMPLE_README.read_text())  # fmt: skip
    flash, ram, stack = (int(number.replace(",", "")) for number in text)
    figures = measured.figures()
    assert bounds(figures["the mining device: flash, all libraries included"], flash)
    assert bounds(figures["the mining device: static RAM, all of it"], ram)
    assert bounds(figures["the mining device: stack"], stack)


def test_no_part_of_it_has_a_heap(measured: noise_program.Measurement, dialogue: Path) -> None:
    for program in (measured.ends.program, measured.device, dialogue):
        names = noise_build.symbols(measured.build, program)
        assert not names & noise_program.HEAP
        assert {"sv2_noise_mbedtls_init", "mbedtls_chachapoly_setkey"} <= names


def test_a_program_with_a_heap_does_not_link(
    measured: noise_program.Measurement, tmp_path: Path
) -> None:
    source = tmp_path / "heap.c"
    source.write_text(
        "#include <secp256k1.h>\n"
        "int main(void)\n{\n    return secp256k1_context_create(SECP256K1_CONTEXT_NONE) == 0;\n}\n"
    )
    with pytest.raises(cross.StepFailed, match="undefined reference to `malloc'"):
        measured.build.program("heap", source)


def test_a_source_that_cannot_be_fetched_is_a_reason_to_skip(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "firmware"
    folder.mkdir(parents=True)
    for name in ("mbedtls.sh", "mbedtls_requirements.txt"):
        copy = folder / name
        copy.write_bytes((noise_build.HERE / name).read_bytes())
        copy.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON", sys.executable)
        for name in [key for key in os.environ if key.startswith("PIP_")]:
            patch.delenv(name)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(tmp_path))
        with pytest.raises(noise_build.Unavailable, match="source of mbedTLS could not be fetched"):
            noise_build._source(folder / "mbedtls.sh")
