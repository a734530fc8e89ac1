"""The ``sv2`` command: keys, decode, ping, and what it prints where."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from connections import (
    AUTHORITY,
    IDENTITY,
    OTHER_AUTHORITY,
    STATIC,
    SUCCESS,
    setup_connection,
    vector_frames,
)
from networking import accept, echo, listen, run_on_asyncio
from sv2.cli import main
from sv2.cli.output import printable
from sv2.net import Stream, serve
from sv2.noise import AuthoritySecretKey, ServerIdentity, issue_certificate

import sv2_ffi
from sv2_ffi import Tlv, UnknownMessage
from sv2_ffi.common import SetupConnection, SetupConnectionError
from sv2_ffi.mining import SubmitSharesExtended, UpdateChannel

# Spec 4.7.1.
KEY = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"
KEY_HEX = "76637000979c1c11af0c300bcd8c7fe48610fce9b9c11e3daee35ae0b08a7455"

Captured = pytest.CaptureFixture[str]


def run_json(capsys: Captured, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    assert main(arguments) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# keys


def test_a_new_key_is_saved_for_its_owner_and_shown_by_its_public_half(
    capsys: Captured, tmp_path: Path
) -> None:
    path = tmp_path / "authority.key"
    (generated,) = run_json(capsys, "keys", "generate", "--json", str(path))
    key = AuthoritySecretKey.load(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert generated == {
        "file": str(path),
        "public": str(key.public_key),
        "hex": bytes(key.public_key).hex(),
    }
    (shown,) = run_json(capsys, "keys", "show", "--json", str(path))
    assert shown == {"public": generated["public"], "hex": generated["hex"]}


def test_an_existing_key_is_overwritten_only_by_force(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "authority.key"
    assert main(["keys", "generate", str(path)]) == 0
    before = path.read_text()
    assert main(["keys", "generate", str(path)]) == 1
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == before
    assert main(["keys", "generate", "--force", str(path)]) == 0
    assert path.read_text() != before


def test_a_key_can_be_printed_instead(capsys: Captured, tmp_path: Path) -> None:
    (shown,) = run_json(capsys, "keys", "generate", "--print", "--json")
    key = AuthoritySecretKey.from_text(shown["secret"])
    assert str(key.public_key) == shown["public"]
    with pytest.raises(SystemExit) as caught:
        main(["keys", "generate"])
    assert caught.value.code == 2


def test_a_public_key_is_checked_and_shown(capsys: Captured) -> None:
    (shown,) = run_json(capsys, "keys", "show", "--json", KEY)
    assert shown == {"public": KEY, "hex": KEY_HEX}


def test_a_bad_key_is_refused_without_being_repeated(capsys: Captured, tmp_path: Path) -> None:
    secret = AUTHORITY.reveal()
    for bad in (KEY[:-1] + "z", secret, "", "no such file"):
        assert main(["keys", "show", bad]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "refused" in captured.err
        assert not bad or bad not in captured.err
    path = tmp_path / "open.key"
    path.write_text(secret)
    path.chmod(0o644)
    assert main(["keys", "show", str(path)]) == 1
    captured = capsys.readouterr()
    assert "0644" in captured.err
    assert secret not in captured.err


def test_a_place_that_cannot_be_written_is_told(capsys: Captured, tmp_path: Path) -> None:
    assert main(["keys", "generate", str(tmp_path / "missing" / "key")]) == 1
    assert "cannot write" in capsys.readouterr().err


# decode


def frames_of_all_messages() -> bytes:
    return b"".join(vector_frames())


def check_all(records: list[dict[str, Any]]) -> None:
    frames = vector_frames()
    assert len(records) == len(frames)
    for record, frame in zip(records, frames, strict=True):
        message = sv2_ffi.decode(frame)
        assert record["message"] == message.name
        assert isinstance(message, sv2_ffi.Message)
        assert list(record["fields"]) == [field.name for field in message.FIELDS]


def test_hex_on_the_command_line_is_decoded(capsys: Captured) -> None:
    (record,) = run_json(capsys, "decode", "--json", sv2_ffi.encode(SUCCESS).hex())
    assert record == {
        "message": "SetupConnection.Success",
        "extension_type": 0,
        "message_type": 1,
        "channel_message": False,
        "fields": {"used_version": 2, "flags": 0},
    }


@pytest.mark.parametrize("form", ["raw", "hex", "hex in lines"])
def test_every_message_in_a_file_is_decoded(capsys: Captured, tmp_path: Path, form: str) -> None:
    data = frames_of_all_messages()
    path = tmp_path / "frames"
    match form:
        case "raw":
            path.write_bytes(data)
        case "hex":
            path.write_text(data.hex())
        case _:
            path.write_text("\n".join(frame.hex(" ") for frame in vector_frames()) + "\n")
    check_all(run_json(capsys, "decode", "--json", str(path)))


class OneByOne(io.RawIOBase):
    """A stream that gives one byte at a time, as a slow pipe does."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read1(self, size: int) -> bytes:
        piece, self._data = self._data[:1], self._data[1:]
        return piece

    def read(self, size: int = -1) -> bytes:
        data, self._data = self._data, b""
        return data


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_stdin_is_decoded_as_it_comes(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    class Stdin:
        buffer = OneByOne(frames_of_all_messages())

    monkeypatch.setattr(sys, "stdin", Stdin)
    check_all(run_json(capsys, "decode", "--json", "--raw", *arguments))


def test_malformed_frames_are_told_and_skipped(capsys: Captured) -> None:
    broken = b"\x00\x00\x01\x05\x00\x00" + bytes(5)
    data = sv2_ffi.encode(SUCCESS) + broken + sv2_ffi.encode(SUCCESS)
    records = run_json(capsys, "decode", "--json", data.hex(), code=1)
    assert [record.get("message") for record in records] == [
        "SetupConnection.Success",
        None,
        "SetupConnection.Success",
    ]
    assert "SetupConnection.Success" in records[1]["error"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("000", "whole bytes"),
        ("zz", "no file and no hex"),
        ("0" * 5000, "left over"),
        (sv2_ffi.encode(SUCCESS).hex()[:-2], "11 bytes are left over"),
    ],
)
def test_input_that_is_no_whole_frame_is_an_error(capsys: Captured, text: str, says: str) -> None:
    text = text if text != "0" * 5000 else "000000ffff00" + "00" * 3000
    assert main(["decode", text]) == 1
    assert says in capsys.readouterr().err


def test_unknown_messages_and_tlvs_are_shown(capsys: Captured) -> None:
    share = SubmitSharesExtended(1, 2, 3, 4, 5, 6, b"\x01")
    frames = sv2_ffi.encode(share, [Tlv(2, 1, b"worker")])
    frames += sv2_ffi.encode(UnknownMessage(0xC001, 9, b"\xaa\xbb"))
    known, unknown = run_json(capsys, "decode", "--json", frames.hex())
    assert known["tlvs"] == [
        {"extension_type": 2, "field_type": 1, "value": b"worker".hex()},
    ]
    assert known["channel_message"] is True
    assert unknown["extension_type"] == 0x4001
    assert unknown["channel_message"] is True
    assert unknown["payload"] == "aabb"


def test_numbers_that_json_lacks_are_strings(capsys: Captured) -> None:
    frame = sv2_ffi.encode(UpdateChannel(1, float("nan"), bytes(32)))
    (record,) = run_json(capsys, "decode", "--json", frame.hex())
    assert record["fields"]["nominal_hash_rate"] == "nan"


def test_text_of_peers_cannot_steer_the_terminal(capsys: Captured) -> None:
    error = SetupConnectionError(0, "\x1b[2J[bold]\r\nsv2: fine\u202e\udcff")
    assert main(["decode", sv2_ffi.encode(error).hex()]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    assert "\\x1b[2J[bold]\\r\\nsv2: fine\\u202e\\udcff" in out
    assert printable("\u00e9 ok") == "\u00e9 ok"


def test_long_values_are_shortened_unless_asked_for(capsys: Captured) -> None:
    frame = sv2_ffi.encode(UnknownMessage(0x4001, 1, bytes(1000)))
    assert main(["decode", frame.hex()]) == 0
    assert "(1000 bytes)" in capsys.readouterr().out
    assert main(["decode", "--full", frame.hex()]) == 0
    assert "00" * 1000 in capsys.readouterr().out


# How it prints.


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sv2", *arguments]


# Not the checkout's root: there, sv2_ffi is a folder without its compiled module.
HERE = Path(__file__).parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")},
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    "TERM": "xterm-256color",
}


def test_piped_output_is_plain_and_not_folded() -> None:
    frame = sv2_ffi.encode(UnknownMessage(0x4001, 1, bytes(60)))
    done = subprocess.run(  # noqa: S603
        command("decode", frame.hex()),
        capture_output=True,
        check=True,
        timeout=30,
        env=ENVIRONMENT,
        cwd=HERE,
    )
    assert b"\x1b" not in done.stdout
    assert b"00" * 60 in done.stdout


def test_a_terminal_gets_colour() -> None:
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        with open(theirs, "wb", buffering=0) as end:
            done = subprocess.run(  # noqa: S603
                command("keys", "show", KEY),
                stdout=end,
                check=True,
                timeout=30,
                env=ENVIRONMENT,
                cwd=HERE,
            )
        assert done.returncode == 0
        shown = terminal.read(4096)
    assert b"\x1b[" in shown
    assert KEY.encode() in shown


def test_a_reader_that_stops_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_bytes(frames_of_all_messages() * 50)
    with subprocess.Popen(  # noqa: S603
        command("decode", str(path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=HERE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert errors == b""


def test_wrong_usage_is_exit_code_2(capsys: Captured) -> None:
    for arguments in ([], ["no-such-command"], ["ping"], ["ping", "--count", "0", "h:1"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    capsys.readouterr()


# ping


async def ping(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the first record and stderr of a ping in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *command("ping", "--json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=HERE,
    )
    out, err = await process.communicate()
    lines = out.decode().splitlines()
    assert process.returncode is not None
    return process.returncode, json.loads(lines[0]) if lines else {}, err.decode()


def test_ping_tells_certificate_setup_and_times() -> None:
    async def run() -> None:
        async with await listen(echo) as server:
            url = f"stratum2+tcp://127.0.0.1:{server.port}/{AUTHORITY.public_key}"
            code, record, _ = await ping(url)
            assert code == 0
            assert record["certificate"]["server_key"] == STATIC.x_only.hex()
            assert record["certificate"]["version"] == 0
            assert record["verified"] == "yes"
            assert (record["used_version"], record["flags"]) == (2, "0x00000000")
            for step in ("tcp_ms", "handshake_ms", "setup_ms"):
                assert 0 < record[step] < 20_000

    run_on_asyncio(run())


def test_ping_refuses_another_authority_and_shows_what_it_saw() -> None:
    async def run() -> None:
        async with await listen(echo) as server:
            url = f"stratum2+tcp://127.0.0.1:{server.port}/{OTHER_AUTHORITY.public_key}"
            code, record, _ = await ping(url)
            assert code == 1
            assert "not signed by the expected authority" in record["error"]
            assert record["certificate"]["server_key"] == STATIC.x_only.hex()
            assert "used_version" not in record
            assert server.stats.opened == 0

    run_on_asyncio(run())


def test_ping_says_which_date_is_wrong() -> None:
    shown = issue_certificate(AUTHORITY, STATIC.x_only, valid_from=1000, not_valid_after=2000)

    async def run() -> None:
        identity = ServerIdentity(STATIC, shown)
        async with await serve(echo, "127.0.0.1", 0, security=identity) as server:
            url = f"stratum2+tcp://127.0.0.1:{server.port}/{AUTHORITY.public_key}"
            code, record, _ = await ping(url)
            assert code == 1
            assert "has expired (valid until 1970-01-01T00:33:20Z" in record["error"]

    run_on_asyncio(run())


def test_ping_believes_anybody_only_when_told_to() -> None:
    async def run() -> None:
        async with await listen(echo) as server:
            address = f"127.0.0.1:{server.port}"
            code, record, err = await ping(address)
            assert (code, record) == (1, {})
            assert "--unverified" in err
            code, record, _ = await ping("--unverified", address)
            assert code == 0
            assert record["verified"].startswith("NO")
            code, record, err = await ping("--plain", f"{address}/{AUTHORITY.public_key}")
            assert (code, record) == (1, {})
            assert "--plain" in err

    run_on_asyncio(run())


def test_ping_in_the_clear() -> None:
    async def run() -> None:
        async with await listen(echo, noise=False) as server:
            code, record, _ = await ping("--plain", f"127.0.0.1:{server.port}")
            assert code == 0
            assert "certificate" not in record
            assert record["used_version"] == 2

    run_on_asyncio(run())


def test_ping_shows_a_refusal_with_its_flags() -> None:
    requests = []

    async def refuse(stream: Stream) -> None:
        requests.append(await stream.receive())
        await stream.send(SetupConnectionError(0x80000001, "unsupported-feature-flags"))

    async def run() -> None:
        async with await serve(refuse, "127.0.0.1", 0, security=IDENTITY) as server:
            url = f"stratum2+tcp://127.0.0.1:{server.port}/{AUTHORITY.public_key}"
            code, record, _ = await ping(
                url, "--protocol", "template-distribution", "--flags", "0x80000001"
            )
            assert code == 1
            assert record["error_flags"] == "0x80000001"
            assert record["error_code"] == "unsupported-feature-flags"
            assert record["error"] == "the server refused the setup"
        (request,) = requests
        assert isinstance(request, SetupConnection)
        assert (request.protocol, request.flags) == (2, 0x80000001)

    run_on_asyncio(run())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1", "scheme"),
        ("127.0.0.1", "host:port"),
        (f"127.0.0.1:1/{KEY[:-1]}z", "checksum"),
        ("127.0.0.1:99999", "host and a port"),
    ],
)
def test_ping_refuses_bad_urls(capsys: Captured, url: str, says: str) -> None:
    assert main(["ping", url]) == 1
    assert says in capsys.readouterr().err


def test_ping_tells_when_nobody_listens_or_answers() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            code, record, _ = await ping("--unverified", "--timeout", "0.3", f"127.0.0.1:{port}")
            assert code == 1
            assert record["error"] == "handshake timed out"
        code, record, _ = await ping("--unverified", f"127.0.0.1:{port}")
        assert code == 1
        assert record["error"]

    run_on_asyncio(run())


def test_ping_counts(capsys: Captured) -> None:
    async def run() -> None:
        async with await listen(accept_and_wait, noise=False) as server:
            process = await asyncio.create_subprocess_exec(
                *command("ping", "--plain", "--count", "2", f"127.0.0.1:{server.port}"),
                stdout=asyncio.subprocess.PIPE,
                env=ENVIRONMENT,
                cwd=HERE,
            )
            out, _ = await process.communicate()
            assert process.returncode == 0
            assert out.count(b"setup_ms") == 2
            assert server.stats.opened == 2

    run_on_asyncio(run())


async def accept_and_wait(stream: Stream) -> None:
    await accept(stream)
    async for _ in stream:
        pass


def test_the_setup_of_ping_is_a_complete_one() -> None:
    received = []

    async def handler(stream: Stream) -> None:
        received.append(await stream.receive())
        await stream.send(SUCCESS)

    async def run() -> None:
        async with await listen(handler, noise=False) as server:
            await ping("--plain", f"127.0.0.1:{server.port}")
            (request,) = received
            expected = setup_connection()
            expected.endpoint_host, expected.endpoint_port = "127.0.0.1", server.port
            expected.vendor = "sv2 ping"
            assert request == expected

    run_on_asyncio(run())


def test_a_wrong_choice_of_the_noise_engine_ends_the_command_with_a_word(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SV2_NOISE_ENGINE", "rust")
    assert main(["keys", "generate", "--print"]) == 1
    assert 'SV2_NOISE_ENGINE is neither "python" nor "c"' in capsys.readouterr().err
