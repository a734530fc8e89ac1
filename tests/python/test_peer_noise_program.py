"""The Noise peer against itself: what the tests of `sv2.noise` rely on when they drive it.

Needs cargo: tests/peers/build.sh builds the peer. Its options and lines are at the top of
tests/peers/sri-noise/src/main.rs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from peer_programs import peer_program, run

SECONDS = "20"
# Payload sizes: none, the smallest, both sides of a chunk's limit (65,519), two chunks, 1 MiB.
SIZES = (0, 1, 2, 65_518, 65_519, 65_520, 2 * 65_519, 1 << 20)

# The authority key of the specification's examples, as text and as the bytes behind it.
AUTHORITY_TEXT = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"
AUTHORITY_HEX = "76637000979c1c11af0c300bcd8c7fe48610fce9b9c11e3daee35ae0b08a7455"


@dataclass(frozen=True, slots=True)
class End:
    """How one side ended: exit code and lines of stdout."""

    code: int
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Keys:
    secret_hex: str
    secret_text: str
    public_hex: str
    public_text: str


@pytest.fixture(scope="module")
def program() -> Path:
    return peer_program("sri-noise")


def keys_of(program: Path, *secret: str) -> Keys:
    words = run(program, "keys", *secret).stdout.decode().split()
    assert words[0] == "secret"
    assert words[3] == "public"
    return Keys(words[1], words[2], words[4], words[5])


@pytest.fixture(scope="module")
def keys(program: Path) -> Keys:
    return keys_of(program)


def session(
    program: Path,
    keys: Keys,
    server_options: Sequence[str],
    client_options: Sequence[str],
    stdin: bytes = b"",
) -> tuple[End, End]:
    """A responder and an initiator of the program, each to its end: server first."""
    command = [str(program), "listen", "--authority-secret", keys.secret_hex, "--timeout", SECONDS]
    with subprocess.Popen(  # noqa: S603
        [*command, *server_options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        word, port = server.stdout.readline().decode().split()
        assert word == "listening"
        client = run(
            program, "connect", port, "--timeout", SECONDS, *client_options, stdin=stdin, seconds=60
        )
        rest, _ = server.communicate(timeout=60)
    return (
        End(server.returncode, rest.decode().splitlines()),
        End(client.returncode, client.stdout.decode().splitlines()),
    )


def frame_line(size: int) -> bytes:
    payload = bytes(i * 7 & 0xFF for i in range(size))
    return (b"\x01\x00\x07" + size.to_bytes(3, "little") + payload).hex().encode() + b"\n"


def test_keys_are_told_in_hex_and_as_text_and_taken_back_in_both(program: Path, keys: Keys) -> None:
    assert keys_of(program, keys.secret_hex) == keys
    assert keys_of(program, keys.secret_text) == keys


@pytest.mark.parametrize("authority", ["public_hex", "public_text"])
def test_frames_of_all_sizes_come_back_split_at_random_places(
    program: Path, keys: Keys, authority: str
) -> None:
    frames = [frame_line(size) for size in SIZES]
    options = ["--mode", "talk", "--split", "9", "--authority-public", getattr(keys, authority)]
    server, client = session(program, keys, ["--split", "5"], options, b"".join(frames))
    total = sum(size + 6 for size in SIZES)
    assert server == End(0, ["handshake ok", f"closed {len(SIZES)} {total}"])
    echoed = [f"frame {frame.decode().strip()}" for frame in frames]
    assert client == End(0, ["handshake ok", *echoed, f"closed {len(SIZES)} {total}"])


@pytest.mark.parametrize(
    ("server_options", "client_options"),
    [
        ([], ["--authority-public", AUTHORITY_HEX]),
        ([], ["--authority-public", AUTHORITY_TEXT]),
        (["--clock-offset", "-7200", "--validity", "3600"], []),
        (["--clock-offset", "7200"], []),
        ([], ["--clock-offset", "7200"]),
    ],
    ids=["wrong authority", "wrong authority as text", "expired", "not yet valid", "late clock"],
)
def test_a_bad_certificate_is_refused_and_named(
    program: Path, keys: Keys, server_options: list[str], client_options: list[str]
) -> None:
    options = client_options
    if "--authority-public" not in options:
        options = [*options, "--authority-public", keys.public_hex]
    _, client = session(program, keys, server_options, options)
    assert client == End(2, ["error certificate"])


def test_a_flipped_byte_in_the_handshake_ends_it(program: Path, keys: Keys) -> None:
    _, client = session(program, keys, ["--flip", "70"], [])
    assert client == End(2, ["error handshake"])


def test_a_flipped_byte_in_a_frame_is_a_decrypt_error(program: Path, keys: Keys) -> None:
    server, _ = session(program, keys, [], ["--flip", "90", "--mode", "talk"], frame_line(100))
    assert server == End(3, ["handshake ok", "error decrypt"])


def test_a_cut_stream_is_truncated(program: Path, keys: Keys) -> None:
    _, client = session(program, keys, ["--cut", "100"], [])
    assert client == End(2, ["error truncated"])
    server, _ = session(program, keys, [], ["--cut", "100", "--mode", "talk"], frame_line(100))
    assert server == End(3, ["handshake ok", "error truncated"])


def test_a_flood_is_counted(program: Path, keys: Keys) -> None:
    flood = ["--mode", "flood", "--size", "70000", "--count", "50"]
    server, client = session(program, keys, ["--mode", "sink"], flood)
    assert server == End(0, ["handshake ok", f"closed 50 {50 * 70006}"])
    assert client == End(0, ["handshake ok", "closed 0 0"])


def test_expected_frames_end_a_session_whose_peer_stays(program: Path, keys: Keys) -> None:
    server, client = session(
        program,
        keys,
        ["--mode", "flood", "--size", "1", "--count", "3"],
        ["--mode", "sink", "--expect", "3"],
    )
    assert client == End(0, ["handshake ok", "closed 3 21"])
    assert server.code == 0


def test_a_listener_whose_peer_never_comes_ends_by_its_time_out(program: Path, keys: Keys) -> None:
    done = run(program, "listen", "--authority-secret", keys.secret_hex, "--timeout", "1")
    assert done.returncode == 4
    assert done.stdout.decode().splitlines()[1:] == ["error timeout"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["listen"], ["connect"], ["connect", "1", "--nonsense", "1"], ["keys", "00"]],
)
def test_bad_arguments_are_a_usage_error(program: Path, arguments: list[str]) -> None:
    done = run(program, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(b"sri-noise: ")


def test_the_benchmark_prints_its_rates(program: Path) -> None:
    result = json.loads(run(program, "bench", "--seconds", "0").stdout)
    assert set(result) == {"handshakes_per_s", "transport"}
    assert result["handshakes_per_s"] > 0
    assert [row["payload"] for row in result["transport"]] == [64, 1024, 65519, 1 << 20]
    assert all(row["seal_mb_per_s"] > 0 and row["open_mb_per_s"] > 0 for row in result["transport"])
