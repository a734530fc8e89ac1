"""Noise in C (csrc/noise): its own C programs, then the library against the Python engine and the
Rust peer, on each provider.

Needs a C compiler, Python's headers, pkg-config, libssl-dev and libmbedtls-dev; libsecp256k1 is
taken from the system where it has ElligatorSwift, and else built from a source archive.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_noise as shared
import test_noise_peer as peers
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sv2.connection import Connection
from sv2.noise import (
    AuthorityPublicKey,
    AuthoritySecretKey,
    Certificate,
    CertificateError,
    CertificatePolicy,
    ClockPolicy,
    EarliestTime,
    Engine,
    NoClock,
    PythonEngine,
    ServerIdentity,
    WallClock,
)
from sv2.noise.cipher import FrameOpener
from sv2.noise.engine import MAX_CHUNK, SEALED_HEADER_SIZE

from sv2_ffi import Sv2Error

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c" / "noise"))

import check_symbols
import cross
import noise_native
from noise_native import (
    CERTIFICATE_STATUS,
    HERE,
    PROVIDERS,
    ROOT,
    STATUS,
    Native,
)

VECTORS = ROOT / "tests" / "vectors"
SANITIZERS = "-fsanitize=address,undefined"
CLANG_OR_GCC = ("gcc", "clang")

pytestmark = pytest.mark.usefixtures("secp256k1")


def available(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` gives; skips the test where the machine lacks something for it."""
    try:
        return work(*arguments)
    except noise_native.Unavailable as missing:
        pytest.skip(str(missing))


def rows(name: str) -> list[dict[str, str]]:
    with open(VECTORS / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def secp256k1() -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    available(noise_native.secp256k1)


@pytest.fixture(scope="module")
def built() -> dict[str, Native]:
    """What has been built: pytest takes the parameters below in no fixed order."""
    return {}


@pytest.fixture(scope="module", params=PROVIDERS)
def native(
    request: pytest.FixtureRequest,
    secp256k1: None,
    built: dict[str, Native],
    tmp_path_factory: pytest.TempPathFactory,
) -> Native:
    """The library over each provider in turn."""
    provider = request.param
    if provider not in built:
        folder = tmp_path_factory.mktemp(provider)
        built[provider] = Native(provider, available(noise_native.build, provider, folder))
    return built[provider]


@pytest.fixture(scope="module")
def engine(native: Native) -> Engine:
    """The product's engine over this provider."""
    native_module = pytest.importorskip("sv2.noise.native", exc_type=ImportError)
    engine: Engine = native_module.NativeEngine(native.noise)
    return engine


# What the Python engine has to pass, the C library has to pass. These take the fixture above.

test_acts = shared.test_acts_have_the_sizes_of_the_wire
test_randomness = shared.test_no_two_handshakes_share_a_byte_string
test_act_1_flips = shared.test_a_flipped_byte_in_act_1_is_refused_by_the_client
test_act_2_flips = shared.test_a_flipped_byte_in_act_2_is_refused_by_the_client
test_act_sizes = shared.test_every_wrong_size_of_an_act_is_refused
test_use_of_a_handshake = shared.test_a_handshake_serves_once
test_reflection = shared.test_what_a_side_sent_is_not_accepted_by_itself


# The C programs, each on both providers with the address and undefined-behaviour sanitizers.


def run_program(program: Path, *arguments: str, seconds: float = 120) -> str:
    done = subprocess.run(  # noqa: S603
        [str(program), *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["test_handshake", "test_transport"])
@pytest.mark.parametrize(
    ("provider", "compiler"), [("openssl", "gcc"), ("openssl", "clang"), ("mbedtls", "gcc")]
)
def test_c_program(provider: str, compiler: str, name: str, tmp_path: Path) -> None:
    flags = available(noise_native.provider_flags, provider)
    program = tmp_path / name
    available(
        noise_native.compile_c,
        *(compiler, "-O1", "-g", SANITIZERS, *noise_native.WARNINGS),
        *("-D_DEFAULT_SOURCE", f"-I{ROOT / 'include'}", str(HERE / f"{name}.c")),
        *(*noise_native.sources(provider), "-o", str(program), *flags),
    )
    output = run_program(program)
    checks = re.search(r"(\d+) checks, 0 failed", output)
    assert checks, output
    assert int(checks[1]) > 10_000


@pytest.mark.parametrize("psa", [0, 1])
def test_mbedtls_by_its_own_functions_and_by_psa(psa: int, tmp_path: Path) -> None:
    flags = available(noise_native.provider_flags, "mbedtls")
    program = tmp_path / "program"
    available(
        noise_native.compile_c,
        *("gcc", "-O1", "-g", SANITIZERS, *noise_native.WARNINGS, f"-DSV2_NOISE_PSA={psa}"),
        *("-D_DEFAULT_SOURCE", f"-I{ROOT / 'include'}", str(HERE / "test_transport.c")),
        *(*noise_native.sources("mbedtls"), "-o", str(program), *flags),
    )
    assert " 0 failed" in run_program(program)


@pytest.fixture(scope="module", params=PROVIDERS)
def secrets_program(
    request: pytest.FixtureRequest, secp256k1: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """tests/c/noise/secrets.c, to be run under valgrind."""
    if shutil.which("valgrind") is None or not Path("/usr/include/valgrind").exists():
        pytest.skip("valgrind is not installed")
    flags = available(noise_native.provider_flags, request.param)
    program = tmp_path_factory.mktemp("secrets") / "secrets"
    available(
        noise_native.compile_c,
        *("gcc", "-O2", "-g", *noise_native.WARNINGS, "-D_DEFAULT_SOURCE"),
        *(f"-I{ROOT / 'include'}", str(HERE / "secrets.c"), "-o", str(program)),
        *(*noise_native.sources(request.param), *flags),
    )
    return program


def memcheck(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["valgrind", "--error-exitcode=9", str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603


def test_no_branch_and_no_address_depends_on_a_secret(secrets_program: Path) -> None:
    done = memcheck(secrets_program)
    assert done.returncode == 0, done.stderr
    assert " 0 failed" in done.stdout
    assert "ERROR SUMMARY: 0 errors" in done.stderr


@pytest.mark.parametrize(
    ("leak", "complaint"),
    [("branch", "Conditional jump"), ("index", "Use of uninitialised value")],
)
def test_memcheck_would_find_such_a_leak(secrets_program: Path, leak: str, complaint: str) -> None:
    done = memcheck(secrets_program, leak)
    assert done.returncode == 9
    assert complaint in done.stderr


def fuzz(seconds: int, engine: str) -> None:
    script = ROOT / "tests" / "fuzz" / "noise.sh"
    done = subprocess.run(  # noqa: S603
        [str(script), str(seconds)],
        env=os.environ | {"FUZZ_ENGINE": engine},
        capture_output=True,
        text=True,
        timeout=seconds + 240,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    executions = re.search(r"(\d+) executions, no finding", done.stdout)
    assert executions
    assert int(executions[1]) > 100


def test_a_short_run_of_the_fuzz_harness_finds_nothing() -> None:
    fuzz(3, "standalone")


@pytest.mark.full
def test_a_long_run_of_the_fuzz_harness_finds_nothing() -> None:
    fuzz(60, "")


# What the documents say.


def test_the_example_in_the_docs_compiles_as_it_stands(tmp_path: Path) -> None:
    flags = available(noise_native.provider_flags, "openssl")
    (code,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs/noise-c.md").read_text(), re.DOTALL)
    source = tmp_path / "client.c"
    source.write_text(code)
    include = f"-I{ROOT / 'include'}"
    for compiler in CLANG_OR_GCC:
        arguments = (compiler, *noise_native.WARNINGS, include, "-c", str(source))
        available(
            noise_native.compile_c,
            *(*arguments, "-o", str(tmp_path / "client.o"), *flags[:1]),
        )


@pytest.mark.parametrize("header", ["noise", "noise_openssl", "noise_mbedtls"])
def test_the_headers_are_c_plus_plus_too(header: str) -> None:
    path = ROOT / "include" / "libsv2" / f"{header}.h"
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")
    available(noise_native.compile_c, "g++", *flags, "-x", "c++", str(path))


# What it costs a device.

FLASH_LIMIT = 4096
# ARMv6-M has no instruction for a division: the compiler calls its own function.
DIVISION = {"__aeabi_idiv", "__aeabi_idivmod", "__aeabi_uidiv", "__aeabi_uidivmod"}
RAM_LIMIT = 600


def noise_objects(name: str, folder: Path) -> tuple[cross.Target, list[Path]]:
    """The objects of csrc/noise without a provider."""
    target = cross.TARGETS[name]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    include = ROOT / "include"
    return target, [
        cross.compile_c(target, file, folder, include) for file in cross.noise_sources()
    ]


def test_noise_fits_in_4_kb_of_a_cortex_m4(tmp_path: Path) -> None:
    target, objects = noise_objects("cortex-m4", tmp_path)
    output = cross.run([target.tool("size"), "-t", *map(str, objects)])
    text, data, bss = map(int, output.splitlines()[-1].split()[:3])
    assert 2000 < text <= FLASH_LIMIT
    assert (data, bss) == (0, 0)


@pytest.mark.parametrize("name", cross.TARGETS)
def test_noise_calls_nothing_but_memcpy_memset_and_memcmp(name: str, tmp_path: Path) -> None:
    target, objects = noise_objects(name, tmp_path)
    library = cross.compile_library(
        target, cross.core_sources(), tmp_path / "core", ROOT / "include"
    )
    helpers = target.helpers | (DIVISION if name == "cortex-m0plus" else set())
    assert check_symbols.core_faults([*objects, library], target.tool("nm"), helpers) == []


def test_a_connection_takes_less_than_600_bytes_of_ram(tmp_path: Path) -> None:
    target = cross.TARGETS["cortex-m4"]
    if reason := target.missing_compiler():
        pytest.skip(reason)
    sized = cross.compile_c(target, HERE / "size.c", tmp_path, ROOT / "include")
    lines = cross.run([target.tool("nm"), "-S", str(sized)]).splitlines()
    ram = {line.split()[3]: int(line.split()[1], 16) for line in lines}
    assert len(ram) == 4
    assert sum(ram.values()) < RAM_LIMIT


# Published vectors, through the provider's functions that the handshake calls.


@pytest.mark.parametrize("row", rows("bip324/ellswift_decode_test_vectors.csv"))
def test_bip324_encodings_decode_to_their_x_coordinate(native: Native, row: Any) -> None:
    x = native.array(32)
    assert native.lib.provider_x(x, bytes.fromhex(row["ellswift"]))
    assert native.take(x).hex() == row["x"]


@pytest.mark.parametrize("row", rows("bip324/packet_encoding_test_vectors.csv"))
def test_bip324_key_agreement_gives_the_published_secret(native: Native, row: Any) -> None:
    ours = bytes.fromhex(row["in_ellswift_ours"])
    theirs = bytes.fromhex(row["in_ellswift_theirs"])
    initiating = row["in_initiating"] == "1"
    first, second = (ours, theirs) if initiating else (theirs, ours)
    secret, shared_secret = bytes.fromhex(row["in_priv_ours"]), native.array(32)
    assert native.lib.provider_xdh(shared_secret, first, second, secret, initiating)
    assert native.take(shared_secret).hex() == row["mid_shared_secret"]
    key = native.array(32)
    assert native.lib.sv2_noise_public_key(key, secret, native.provider) == native.lib.SV2_OK
    assert native.take(key).hex() == row["mid_x_ours"]


@pytest.mark.parametrize("row", rows("bip340/test-vectors.csv"))
def test_bip340_signatures_verify_as_published(native: Native, row: Any) -> None:
    if len(row["message"]) != 64:
        pytest.skip("Sv2 signs digests of 32 bytes only")
    message, signature = bytes.fromhex(row["message"]), bytes.fromhex(row["signature"])
    key = bytes.fromhex(row["public key"])
    good = row["verification result"] == "TRUE"
    assert native.lib.provider_verify(signature, message, key) == good
    if good:
        assert native.lib.provider_is_public_key(key)
    if row["secret key"]:
        made, secret = native.array(64), bytes.fromhex(row["secret key"])
        assert native.lib.provider_sign(made, message, secret, bytes.fromhex(row["aux_rand"]))
        assert native.take(made) == signature


@given(data=st.binary(max_size=300))
def test_sha256_is_that_of_hashlib(native: Native, data: bytes) -> None:
    out = native.array(32)
    assert native.lib.provider_sha256(out, data, len(data))
    assert native.take(out) == hashlib.sha256(data).digest()


@given(
    plain=st.binary(max_size=500),
    key=st.binary(min_size=32, max_size=32),
    nonce=st.binary(min_size=12, max_size=12),
    associated=st.binary(max_size=40),
    flip=st.integers(0, 10_000),
)
def test_the_cipher_is_that_of_cryptography(
    native: Native, plain: bytes, key: bytes, nonce: bytes, associated: bytes, flip: int
) -> None:
    size = len(plain)
    data = native.ffi.new("uint8_t[]", size + 16)
    native.ffi.memmove(data, plain, size)
    assert native.lib.provider_seal(data, size, key, nonce, associated, len(associated))
    sealed = native.take(data)
    assert sealed == ChaCha20Poly1305(key).encrypt(nonce, plain, associated)
    assert native.lib.provider_open(data, size, key, nonce, associated, len(associated))
    assert native.take(data)[:size] == plain
    bad = bytearray(sealed)
    bad[flip % len(bad)] ^= 1 + flip % 255
    data = native.ffi.new("uint8_t[]", bytes(bad))
    assert not native.lib.provider_open(data, size, key, nonce, associated, len(associated))


# Against the Python engine.


@pytest.fixture(scope="module", params=["C is the client", "C is the server", "C on both sides"])
def ends(request: pytest.FixtureRequest, engine: Engine) -> tuple[Engine, Engine]:
    python = PythonEngine()
    if request.param == "C is the client":
        return engine, python
    return (python if request.param == "C is the server" else engine), engine


def handshake(ends: tuple[Engine, Engine]) -> tuple[Any, Any]:
    client = ends[0].initiator()
    server = ends[1].responder(ServerIdentity(shared.STATIC, shared.certificate()))
    act_2, server_session = server.read_act_1(client.write_act_1())
    shown, client_session = client.read_act_2(act_2)
    shared.policy().check(shown)
    assert client_session.handshake_hash == server_session.handshake_hash
    return client_session, server_session


class PythonReader:
    """The Python engine's opener, fed as the C reader is."""

    def __init__(self, session: Any) -> None:
        self._opener = session.opener
        self._held = b""
        self._header = b""
        self._payload = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._held += data
        frames = []
        while len(self._held) >= (want := self._wanted()):
            piece, self._held = self._held[:want], self._held[want:]
            if self._header:
                self._payload += self._opener.open_chunk(piece)
            else:
                self._header = self._opener.open_header(piece)
            if len(self._payload) == int.from_bytes(self._header[3:], "little"):
                frames.append(self._header + self._payload)
                self._header = self._payload = b""
        return frames

    def _wanted(self) -> int:
        if not self._header:
            return SEALED_HEADER_SIZE
        left = int.from_bytes(self._header[3:], "little") - len(self._payload)
        return min(left, MAX_CHUNK) + 16


def reader(session: Any) -> Any:
    opener = session.opener
    if isinstance(opener, FrameOpener):
        return PythonReader(session)
    return opener._noise.Reader(opener._receiver, (1 << 20) + 6)


def in_pieces(data: bytes, rng: random.Random, most: int) -> list[bytes]:
    cuts = [0]
    while cuts[-1] < len(data):
        cuts.append(min(len(data), cuts[-1] + rng.randint(1, most)))
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


def blob(size: int) -> bytes:
    return b"\x01\x40\x07" + size.to_bytes(3, "little") + random.Random(size).randbytes(size)


def arrives(sender: Any, receiver: Any, frames: list[bytes], seed: int, most: int) -> None:
    stream = b"".join(sender.sealer.seal(frame[:6], frame[6:]) for frame in frames)
    got: list[bytes] = []
    pieces = reader(receiver)
    for piece in in_pieces(stream, random.Random(seed), most):
        got.extend(pieces.feed(piece))
    assert got == frames


@pytest.mark.parametrize("most", [1, 50, 2000])
def test_every_message_arrives_in_any_pieces(ends: tuple[Engine, Engine], most: int) -> None:
    with open(VECTORS / "messages.jsonl") as lines:
        frames = [bytes.fromhex(json.loads(line)["frame"]) for line in lines]
    frames = [frame for frame in frames if len(frame) < 3000 or most > 1]
    assert len(frames) > 200
    client, server = handshake(ends)
    arrives(client, server, frames, 1, most)
    arrives(server, client, frames, 2, most)


@pytest.mark.parametrize("size", [1, 65_518, 65_519, 65_520, 131_038, 131_039, 1 << 20])
def test_frames_of_every_size_arrive_in_any_pieces(ends: tuple[Engine, Engine], size: int) -> None:
    client, server = handshake(ends)
    for sender, receiver in ((client, server), (server, client)):
        arrives(sender, receiver, [blob(size), blob(0), blob(size)], size, max(2, size // 7))


@given(size=st.integers(0, 1 << 18), seed=st.integers(0, 1000), most=st.integers(1, 1 << 17))
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_random_frames_in_random_pieces(
    ends: tuple[Engine, Engine], size: int, seed: int, most: int
) -> None:
    client, server = handshake(ends)
    arrives(server, client, [blob(size)], seed, max(most, size // 500))


@pytest.mark.parametrize("at", [0, 5, 21, 22, 30, 60])
def test_a_wrong_byte_of_either_engine_is_refused(ends: tuple[Engine, Engine], at: int) -> None:
    client, server = handshake(ends)
    for sender, receiver in ((client, server), (server, client)):
        bad = bytearray(sender.sealer.seal(*(blob(40)[:6], blob(40)[6:])))
        bad[at] ^= 1 << (at % 8)
        with pytest.raises(Sv2Error, match="does not authenticate"):
            list(reader(receiver).feed(bytes(bad)))


# Certificates and keys: both engines have to think the same of each.


def native_policy(native: Native, policy: CertificatePolicy) -> tuple[Any, Any]:
    """The same policy in C, and what it points to."""
    assert policy.authority is not None
    key = native.ffi.new("uint8_t[]", bytes(policy.authority))
    made = native.ffi.new("sv2_noise_policy *", {"authority": key})
    match policy.clock:
        case WallClock(now=now, tolerance=tolerance):
            made.clock = native.lib.SV2_NOISE_CLOCK_NOW
            made.time, made.tolerance = int(now()), int(tolerance)
        case EarliestTime(earliest=earliest):
            made.clock = native.lib.SV2_NOISE_CLOCK_EARLIEST
            made.time = earliest
        case NoClock():
            made.clock = native.lib.SV2_NOISE_CLOCK_REFUSE
    return made, key


def native_check(native: Native, certificate: Certificate, policy: CertificatePolicy) -> int:
    shown = native.ffi.new("sv2_noise_certificate *")
    native.lib.sv2_noise_certificate_decode(shown, certificate.to_wire(), certificate.server_key)
    made, _keep = native_policy(native, policy)
    return int(native.lib.sv2_noise_certificate_check(shown, made, native.provider))


def python_check(certificate: Certificate, policy: CertificatePolicy) -> int:
    try:
        policy.check(certificate)
    except CertificateError as error:
        return STATUS[CERTIFICATE_STATUS[error.fault]]
    return 0


times = st.one_of(
    st.integers(0, 2**32 - 1), st.integers(shared.NOW - 30, shared.NOW + 30), st.just(2**32 - 1)
)
clocks: st.SearchStrategy[ClockPolicy] = st.one_of(
    st.builds(lambda at, off: WallClock(lambda: at, off), times, st.integers(0, 2**32 - 1)),
    st.builds(lambda off: WallClock(lambda: shared.NOW, off), st.integers(0, 20)),
    st.builds(EarliestTime, times),
    st.just(NoClock()),
)


@given(
    version=st.sampled_from([0, 0, 0, 1, 256]),
    valid_from=times,
    not_valid_after=times,
    clock=clocks,
    flip=st.one_of(st.none(), st.integers(0, 73)),
)
@settings(deadline=None, max_examples=300)
def test_both_engines_judge_a_certificate_alike(
    native: Native,
    version: int,
    valid_from: int,
    not_valid_after: int,
    clock: ClockPolicy,
    flip: int | None,
) -> None:
    unsigned = Certificate(version, valid_from, not_valid_after, shared.STATIC.x_only, b"")
    signature = shared.AUTHORITY.sign(unsigned.digest())
    wire = bytearray(unsigned.to_wire() + signature)
    if flip is not None:
        wire[flip] ^= 1
    certificate = Certificate.from_wire(bytes(wire), shared.STATIC.x_only)
    policy = CertificatePolicy(shared.AUTHORITY.public_key, clock)
    assert native_check(native, certificate, policy) == python_check(certificate, policy)


def test_python_believes_a_certificate_that_c_issued(native: Native) -> None:
    made = native.ffi.new("sv2_noise_certificate *")
    made.valid_from, made.not_valid_after = shared.NOW - 5, shared.NOW + 5
    made.server_key = shared.STATIC.x_only
    secret = shared.AUTHORITY._secret
    assert native.lib.sv2_noise_certificate_issue(made, secret, native.provider) == 0
    wire = native.array(74)
    native.lib.sv2_noise_certificate_encode(wire, made)
    certificate = Certificate.from_wire(native.take(wire), shared.STATIC.x_only)
    shared.policy().check(certificate)
    assert ServerIdentity(shared.STATIC, certificate).certificate() is certificate


@given(secret=st.binary(min_size=31, max_size=31))
def test_both_engines_write_a_key_alike(native: Native, secret: bytes) -> None:
    public = AuthoritySecretKey(b"\1" + secret).public_key
    text = native.ffi.new("char[52]")
    assert native.lib.sv2_noise_key_encode(text, bytes(public), native.provider) == 0
    assert native.ffi.string(text).decode() == str(public)
    key = native.array(32)
    assert native.lib.sv2_noise_key_decode(key, str(public).encode(), 51, native.provider) == 0
    assert AuthorityPublicKey(native.take(key)) == public


def test_a_client_with_a_policy_finishes_only_with_the_right_authority(native: Native) -> None:
    noise = native.noise
    right, wrong = bytes(shared.AUTHORITY.public_key), bytes(shared.OTHER_AUTHORITY.public_key)
    identity = ServerIdentity(shared.STATIC, shared.certificate())
    for authority in (right, wrong):
        client = noise.Initiator()
        act_2, _ = PythonEngine().responder(identity).read_act_1(client.act_1)
        policy = noise.Policy.at(authority, shared.NOW)
        if authority is right:
            assert client.finish(act_2, policy).certificate.server_key == shared.STATIC.x_only
            continue
        with pytest.raises(noise.NoiseError, match="authority") as caught:
            client.finish(act_2, policy)
        assert caught.value.certificate.server_key == shared.STATIC.x_only


# Against the Rust peer, through the connection of sv2 on this engine.


@pytest.fixture(scope="module")
def program() -> Path:
    return peers.peer_program("sri-noise")


def test_rust_server_every_message_and_size(engine: Engine, program: Path) -> None:
    with (
        peers.listening_peer(program, "--mode", "talk", "--split", "11") as (peer, port),
        peers.socket.create_connection(("127.0.0.1", port), timeout=peers.SECONDS) as sock,
    ):
        connection = Connection.client(peers.POLICY, engine=engine, max_frame=peers.MAX_FRAME)
        driver = peers.Driver(connection, sock, 11)
        driver.shake_hands()
        assert peer.line() == "handshake ok"
        driver.send(peers.setup_connection())
        assert peer.frame() == peers.sv2_ffi.encode(peers.setup_connection())
        peer.send(peers.sv2_ffi.encode(peers.SUCCESS))
        assert driver.receive() == peers.SUCCESS
        peers.exchange(driver, peer)


def test_rust_client_every_message_and_size(engine: Engine, program: Path) -> None:
    with peers.socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(peers.SECONDS)
        port = str(listener.getsockname()[1])
        options = ("--authority-public", str(peers.AUTHORITY.public_key), "--split", "12")
        with peers.Peer(program, "connect", port, *options, "--mode", "talk") as peer:
            sock, _ = listener.accept()
            with sock:
                connection = Connection.server(
                    peers.IDENTITY, engine=engine, max_frame=peers.MAX_FRAME
                )
                driver = peers.Driver(connection, sock, 12)
                driver.shake_hands()
                assert peer.line() == "handshake ok"
                peer.send(peers.sv2_ffi.encode(peers.setup_connection()))
                assert driver.receive() == peers.setup_connection()
                driver.send(peers.SUCCESS)
                assert peer.frame() == peers.sv2_ffi.encode(peers.SUCCESS)
                peers.exchange(driver, peer)


@pytest.mark.parametrize("size", [0, 39, 70_000])
def test_rust_frames_through_the_c_reader(native: Native, program: Path, size: int) -> None:
    options = ("--mode", "flood", "--size", str(size), "--count", "20", "--split", "13")
    noise = native.noise
    rng = random.Random(size)
    with (
        peers.listening_peer(program, *options) as (_, port),
        peers.socket.create_connection(("127.0.0.1", port), timeout=peers.SECONDS) as sock,
    ):
        client = noise.Initiator()
        sock.sendall(client.act_1)
        act_2 = noise_native.receive_exactly(sock, noise.ACT_2_SIZE)
        session = client.finish(act_2, noise.Policy.at(bytes(peers.AUTHORITY.public_key)))
        frames = noise.Reader(session.receiver, 1 << 17)
        got: list[bytes] = []
        while len(got) < 20:
            data = sock.recv(rng.randint(1, 5000))
            assert data
            got.extend(frames.feed(data))
    flood = b"\0\0\xff" + size.to_bytes(3, "little") + b"\x5a" * size
    assert got == [flood] * 20
