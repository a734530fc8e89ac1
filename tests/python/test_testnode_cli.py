"""The test node as a command: start, stop, kill, and bitcoin-cli where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from regtest_helpers import DATA, recorded_template
from sv2.testing.command import main

START_TIMEOUT = 30.0


class Running:
    """A test node in a process of its own; ``lines`` is what it said before it was ready."""

    def __init__(self, process: subprocess.Popen[bytes], lines: list[str]) -> None:
        self.process = process
        self.lines = lines
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", lines[0])[1])  # type: ignore[index]

    @property
    def height(self) -> int:
        return int(self.lines[-1].rpartition(" ")[2])


def read_until_ready(process: subprocess.Popen[bytes], output: Path) -> list[str]:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        lines = output.read_text().splitlines()
        if lines and lines[-1].startswith("ready"):
            return lines
        assert process.poll() is None, "ended before it was ready"
        assert time.monotonic() < deadline, f"not ready after {START_TIMEOUT} s"
        time.sleep(0.02)


@contextmanager
def command(datadir: Path, *options: str) -> Iterator[Running]:
    arguments = ["--datadir", str(datadir), "--rpc-port", "0", *options]
    output = datadir / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "sv2.testing.node", *arguments],
            stdout=file,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        yield Running(process, read_until_ready(process, output))
    finally:
        process.kill()
        process.wait(10)


def test_starts_loads_announces_and_ends_on_sigterm(tmp_path: Path) -> None:
    options = ["--load", str(DATA / "chain.hex"), "--zmq-hashblock", "tcp://127.0.0.1:*"]
    with command(tmp_path, *options) as node:
        assert node.height == 135
        assert re.fullmatch(r"ZMQ hashblock on tcp://127\.0\.0\.1:\d+", node.lines[1])
        assert (tmp_path / "regtest" / ".cookie").exists()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(10) == 0
    assert not (tmp_path / "regtest" / ".cookie").exists()


def test_a_killed_node_comes_back_with_its_blocks(tmp_path: Path) -> None:
    with command(tmp_path, "--load", str(DATA / "chain.hex")) as node:
        node.process.kill()
        node.process.wait(10)
    with command(tmp_path) as node:
        assert node.height == 135


def test_mines_on_its_own_when_asked(tmp_path: Path) -> None:
    with command(tmp_path, "--mine-every", "0.05") as node:
        deadline = time.monotonic() + START_TIMEOUT
        journal = tmp_path / "regtest" / "blocks.dat"
        while journal.stat().st_size == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert node.process.poll() is None


def test_a_data_directory_in_use_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with command(tmp_path):
        assert main(["--datadir", str(tmp_path), "--rpc-port", "0"]) == 1
    assert re.fullmatch(r"error: another node is using .*\n", capsys.readouterr().err)


def test_refuses_to_listen_beyond_loopback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--datadir", str(tmp_path), "--rpc-bind", "0.0.0.0"])  # noqa: S104
    assert "loopback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--rpc-port", "65536"],
        ["--rpc-port", "x"],
        ["--warmup", "-1"],
        ["--warmup", "nan"],
        ["--mine-every", "x"],
    ],
)
def test_options_out_of_range_are_refused(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--datadir", str(tmp_path), *options])
    assert caught.value.code == 2


def test_a_missing_package_is_named_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sv2.testing.node.serve", None)
    assert main(["--datadir", str(tmp_path)]) == 1
    assert "pip install 'sv2-ffi[roles]'" in capsys.readouterr().err


def test_blocks_that_cannot_be_loaded_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (DATA / "chain.hex").read_text("ascii").split()
    bad = tmp_path / "bad.hex"
    bad.write_text(f"{lines[0]}\n{lines[2]}\n")
    assert main(["--datadir", str(tmp_path / "node"), "--rpc-port", "0", "--load", str(bad)]) == 1
    assert "line 2: prev-blk-not-found" in capsys.readouterr().err


def test_bitcoin_cli_of_a_real_bitcoin_core_works(tmp_path: Path) -> None:
    cli = os.environ.get("BITCOIN_CLI") or shutil.which("bitcoin-cli")
    if cli is None:
        pytest.skip("no bitcoin-cli here: tests/peers/bitcoind.sh builds it, BITCOIN_CLI names one")
    with command(tmp_path, "--load", str(DATA / "chain.hex")) as node:

        def call(*arguments: str) -> object:
            base = [str(cli), "-regtest", f"-datadir={tmp_path}", f"-rpcport={node.port}"]
            done = subprocess.run(  # noqa: S603
                [*base, "-rpcclienttimeout=20", *arguments],
                capture_output=True,
                text=True,
                timeout=30,
            )
            if done.returncode != 0:
                return done.stderr.splitlines()[0]
            try:
                return json.loads(done.stdout)
            except ValueError:
                return done.stdout.strip()

        template = recorded_template()
        for item in template["transactions"]:
            assert call("sendrawtransaction", item["data"]) == item["txid"]
        assert call("-named", "getblockhash", "height=135") == template["previousblockhash"]
        answer = call("getblocktemplate", '{"rules": ["segwit"]}')
        assert isinstance(answer, dict)
        assert answer["default_witness_commitment"] == template["default_witness_commitment"]
        solved = (DATA / "solved-block.hex").read_text("ascii").strip()
        assert call("submitblock", solved) == ""
        assert call("submitblock", solved) == "duplicate"
        assert call("getblock", "00") == "error code: -8"
        assert call("nosuch") == "error code: -32601"
        best = call("getbestblockhash")
        assert call("waitfornewblock", "20") == {"hash": best, "height": 136}
        assert call("invalidateblock", str(best)) == ""
        info = call("getblockchaininfo")
        assert isinstance(info, dict)
        assert info["blocks"] == 135
        assert isinstance(call("-getinfo"), str)
        assert call("stop") == "sv2 testnode stopping"
        assert node.process.wait(10) == 0
