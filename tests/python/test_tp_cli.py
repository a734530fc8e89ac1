"""``sv2 tp`` and ``sv2 tdp`` as programs, and the settings they take."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import HERE, program, said
from regtest_helpers import recorded_node, run, running_node, until
from sv2.cli.logs import JsonFormatter, TextFormatter
from sv2.roles.template_provider import Config, ConfigFault, load_config
from sv2.roles.template_provider.app import find_zmq
from sv2.roles.template_provider.check import Level, check
from sv2.roles.template_provider.config import HostPort
from sv2.roles.template_provider.miner import NotSolvable, coinbase_for, script_of, solve
from sv2.roles.template_provider.monitoring import Metric, render
from sv2.roles.template_provider.template import Constraints, build_template
from sv2.services.events import log_event
from sv2.testing.node import Fault, FaultKind, RegtestNode
from tp_helpers import made_template, provider_options, running_provider, snapshot

EXAMPLE = Path(__file__).parents[2] / "contrib" / "sv2-tp.toml"


def options(node: RegtestNode, folder: Path, *more: str) -> list[str]:
    return [*provider_options(node, folder), "--fee-interval=0.5", *more]


async def complained(process: asyncio.subprocess.Process, text: str) -> None:
    """Wait for a line of the log that has the text."""
    assert process.stderr is not None
    while line := (await asyncio.wait_for(process.stderr.readline(), 20)).decode():
        if text in line:
            return
    raise AssertionError(f"it never logged {text!r}")


@pytest.mark.parametrize("noise", [True, False], ids=["noise", "plain"])
def test_tp_and_tdp_from_start_to_a_block_in_the_chain(tmp_path: Path, noise: bool) -> None:
    async def scenario() -> None:
        plain = [] if noise else ["--plain"]
        async with (
            recorded_node(tmp_path, zmq_hashblock="tcp://127.0.0.1:*") as node,
            program(
                "tp",
                *options(node, tmp_path, "--metrics=127.0.0.1:0", "--log-format=json", *plain),
            ) as provider,
        ):
            key = await said(provider, "authority key: ")
            url = await said(provider, "for pools: ")
            metrics = await said(provider, "metrics: http://")
            assert url.endswith(key) is noise
            async with program("tdp", url, "--data", "--solve=2", "--wait=20", *plain) as client:
                out, err = await client.communicate()
            assert client.returncode == 0, err
            events = [json.loads(line) for line in out.splitlines()]
            assert [e["event"] for e in events].count("accepted") == 2
            first = next(e for e in events if e["event"] == "template")
            assert (first["height"], first["path"], first["transactions"]) == (136, 5, "16..31")
            data = next(e for e in events if e["event"] == "data")
            assert data["transactions"] == 18
            tip = next(e for e in events if e["event"] == "tip")
            assert tip["fees"] == 559_086
            assert node.chain.height == 137
            host, _, rest = metrics.partition(":")
            page = await fetch(host, int(rest.partition("/")[0]), "/metrics")
            assert 'sv2_tp_blocks_total{fate="accepted"} 2' in page
            health = await fetch(host, int(rest.partition("/")[0]), "/health")
            assert health.startswith("HTTP/1.1 200")
            assert json.loads(health.partition("\r\n\r\n")[2])["status"] == "ok"
            provider.send_signal(signal.SIGTERM)
            _, log = await asyncio.wait_for(provider.communicate(), 20)
            assert provider.returncode == 0
            assert all(json.loads(line)["event"] for line in log.splitlines())
            saved = tmp_path / "tp" / "authority.key"
            assert saved.exists() is noise
            assert len(list((tmp_path / "tp" / "blocks" / "regtest").glob("*.accepted"))) == 2

    run(scenario())


async def fetch(host: str, port: int, path: str) -> str:
    """An HTTP answer, headers and all."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    try:
        return (await asyncio.wait_for(reader.read(), 10)).decode()
    finally:
        writer.close()


def test_health_fails_while_the_node_is_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path, metrics="127.0.0.1:0") as (node, app):
            address = app.monitor_address
            assert address is not None
            assert (await fetch(address.host, address.port, "/health")).startswith("HTTP/1.1 200")
            node.restart(30.0)
            await until(lambda: not app.provider.source.stats.up)
            answer = await fetch(address.host, address.port, "/health")
            assert answer.startswith("HTTP/1.1 503")
            assert json.loads(answer.partition("\r\n\r\n")[2])["node"] == "down"

    run(scenario())


def test_tp_says_why_it_cannot_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            for more, reason in [
                (["--network=main"], "the node is on 'regtest', not on main"),
                (["--listen=0.0.0.0:0", "--plain"], "loopback"),
                ([f"--authority-key={tmp_path / 'none'}"], "No such file"),
                (["--rpc-url=ftp://x"], "http"),
                ([f"--datadir={node.cookie_path}"], "exists"),
            ]:
                async with program("tp", *options(node, tmp_path, *more)) as provider:
                    _, err = await asyncio.wait_for(provider.communicate(), 20)
                    assert provider.returncode == 1
                    assert reason in err.decode().replace("\n", " ")

    run(scenario())


def test_wrong_credentials_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SV2_TP_RPC_PASSWORD", "sesame-7")

    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            given = [o for o in options(node, tmp_path) if not o.startswith("--rpc-cookie")]
            async with program("tp", *given, "--rpc-user=me") as provider:
                _, err = await asyncio.wait_for(provider.communicate(), 20)
                assert provider.returncode == 1
                assert "401" in err.decode()
                assert "sesame" not in err.decode()

    run(scenario())


def test_tp_that_waits_for_its_node_can_be_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with program(
            "tp",
            "--network=regtest",
            f"--datadir={tmp_path}",
            "--rpc-url=http://127.0.0.1:9",
            f"--rpc-cookie={tmp_path / 'cookie'}",
        ) as provider:
            await said(provider, "authority key: ")
            await complained(provider, "waiting for the node")
            provider.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(provider.wait(), 20) == 0

    run(scenario())


def test_tp_that_waits_for_its_first_template_can_be_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            node.faults.add(Fault(FaultKind.ERROR, method="getblocktemplate", code=-10))
            async with program("tp", *options(node, tmp_path)) as provider:
                await complained(provider, "no new template")
                provider.send_signal(signal.SIGINT)
                out, _ = await asyncio.wait_for(provider.communicate(), 20)
                assert provider.returncode == 0
                assert b"listening" not in out

    run(scenario())


def test_tdp_says_why_it_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path) as (_, app):
            port = app.service.port
            for arguments, reason in [
                ([f"127.0.0.1:{port}"], "no authority key"),
                (["--plain", "127.0.0.1:9"], "refused"),
                (["--plain", "nonsense"], "the address"),
                (["--plain", f"127.0.0.1:{port}", "--size=1000000"], "the connection ended"),
                (["--plain", f"127.0.0.1:{port}", "--payout=x"], "no address"),
            ]:
                async with program("tdp", *arguments) as client:
                    _, err = await asyncio.wait_for(client.communicate(), 20)
                    assert client.returncode == 1
                    assert reason in err.decode(), arguments

    run(scenario())


def test_tdp_ends_after_as_many_templates_as_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path) as (_, app):
            address = f"127.0.0.1:{app.service.port}"
            async with program("tdp", "--plain", address, "--data", "--templates=1") as client:
                out, _ = await asyncio.wait_for(client.communicate(), 20)
                assert client.returncode == 0
                kinds = [json.loads(line)["event"] for line in out.splitlines()]
                assert kinds == ["connected", "template", "tip", "data"]

    run(scenario())


def test_tdp_on_a_terminal_prints_a_table(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path) as (_, app):
            ours, theirs = os.openpty()
            address = f"127.0.0.1:{app.service.port}"
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sv2", "tdp", "--plain", address, "--solve=1", "--wait=20"),
                stdout=theirs,
                cwd=HERE,
                env={**os.environ, "TERM": "xterm"},
            )
            try:
                assert await asyncio.wait_for(process.wait(), 30) == 0
                shown = os.read(ours, 65536).decode()
            finally:
                if process.returncode is None:
                    process.kill()
                os.close(ours)
                os.close(theirs)
            assert "time" in shown.splitlines()[0]
            assert "height 136" in shown
            assert "accepted" in shown
            assert "{" not in shown

    run(scenario())


# What --check finds.


async def findings(config: Config) -> dict[str, tuple[Level, str]]:
    return {f.subject: (f.level, f.text) async for f in check(config)}


def config_for(node: RegtestNode, folder: Path, **changes: Any) -> Config:
    settings = {
        "network": "regtest",
        "datadir": str(folder / "tp"),
        "listen": "127.0.0.1:0",
        "rpc_url": node.rpc_url,
        "rpc_cookie": str(node.cookie_path),
    }
    return load_config(None, {**settings, **changes})


def test_check_of_a_good_set_up_finds_nothing_bad_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path, zmq_hashblock="tcp://127.0.0.1:*") as node:
            found = await findings(config_for(node, tmp_path))
            assert {level for level, _ in found.values()} == {Level.GOOD}
            assert found["template"][1] == "height 136, 18 transactions, 559086 sat of fees"
            assert not (tmp_path / "tp").exists()

    run(scenario())


def test_check_of_a_node_without_blocks_finds_nothing_bad(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_node(tmp_path) as node:
            found = await findings(config_for(node, tmp_path))
            assert found["chain"] == (Level.NOTE, "0 of 0 blocks, in initial download")
            assert found["template"][0] is Level.GOOD
            node.faults.add(Fault(FaultKind.ERROR, method="getblocktemplate", code=-10))
            found = await findings(config_for(node, tmp_path))
            assert found["template"][0] is Level.BAD

    run(scenario())


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            found = await findings(config_for(node, tmp_path, network="signet"))
            assert found["network"] == (Level.BAD, "the node is on regtest")
            found = await findings(config_for(node, tmp_path, rpc_cookie="/nonexistent"))
            assert found["node"][0] is Level.BAD
            found = await findings(config_for(node, tmp_path))
            assert found["zmq_hashblock"][0] is Level.NOTE
            found = await findings(config_for(node, tmp_path, zmq_hashblock="tcp://127.0.0.1:9"))
            assert found["zmq_hashblock"][0] is Level.BAD
            found = await findings(config_for(node, tmp_path, rpc_url="http://127.0.0.1:9"))
            assert found["node"][0] is Level.BAD
            key = tmp_path / "bad.key"
            key.write_text("x")
            key.chmod(0o600)
            found = await findings(config_for(node, tmp_path, authority_key=str(key)))
            assert found["authority key"][0] is Level.BAD
            port = HostPort.parse(node.rpc_url.removeprefix("http://"))
            found = await findings(config_for(node, tmp_path, listen=str(port)))
            assert found["listen"][0] is Level.BAD

    run(scenario())


def test_check_as_a_program_tells_good_from_bad_by_its_exit_code(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with recorded_node(tmp_path) as node:
            for more, code in [([], 0), (["--network=main"], 1)]:
                arguments = options(node, tmp_path, "--check", *more)
                async with program("tp", *arguments) as checker:
                    out, _ = await asyncio.wait_for(checker.communicate(), 20)
                    assert checker.returncode == code
                    assert len(out.splitlines()) <= 24, "one screen"

    run(scenario())


def test_the_address_of_new_tips_is_asked_of_the_node(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_provider(tmp_path, zmq=True) as (node, app):
            told = node.publisher.address("hashblock")
            assert app.provider.source.zmq_hashblock == told
            assert await find_zmq(app.node) == told

    run(scenario())


# Settings


def test_flags_come_over_the_file_and_tables_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tp.toml"
    path.write_text('network = "signet"\n[templates]\nfee_threshold = 5\nfee_interval = 2\n')
    config = load_config(path, {"fee_threshold": 7, "rpc_user": None})
    assert (config.network, config.fee_threshold, config.fee_interval) == ("signet", 7, 2)
    assert config.source_settings().rules == ("segwit", "signet")
    assert config.address == HostPort("127.0.0.1", 38442)
    assert config.cookie_path.parts[-2:] == ("signet", ".cookie")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fee_treshold = 1", "fee_treshold"),
        ("fee_threshold = true", "whole number"),
        ("fee_threshold = 1.5", "whole number"),
        ("fee_threshold = -1", "from 0"),
        ("fee_interval = 0", "from 0.1"),
        ("fee_interval = nan", "from 0.1"),
        ('network = "moon"', "one of"),
        ('listen = "8442"', "looks like"),
        ('listen = "127.0.0.1:99999"', "looks like"),
        ("plain = 1", "true or false"),
        ('plain = true\nlisten = "0.0.0.0:1"', "loopback"),
        ('rpc_user = "a"\nrpc_cookie = "b"', "one of them"),
        ("max_clients = 0", "from 1"),
        ("network =", "Invalid value"),
        ("[a]\nplain = true\n[b]\nplain = true", "twice"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "tp.toml"
    path.write_text(text)
    with pytest.raises(ConfigFault, match=reason):
        load_config(path, {})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="No such file"):
        load_config(tmp_path / "none", {})


def test_the_example_file_names_every_setting_with_its_default(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    live = tmp_path / "all.toml"
    settings = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    live.write_text("\n".join(settings))
    load_config(EXAMPLE, {})
    names = {line.partition("=")[0].strip() for line in settings if "=" in line}
    assert names == {item.name for item in dataclasses.fields(Config)}
    for item in dataclasses.fields(Config):
        if isinstance(item.default, int | float) and not isinstance(item.default, bool):
            shown = re.search(rf"^#?{item.name} = (\S+)", text, re.MULTILINE)
            assert shown is not None
            assert float(shown[1].replace("_", "")) == item.default


def test_the_password_comes_from_a_file_or_the_environment_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SV2_TP_RPC_PASSWORD", raising=False)
    config = load_config(None, {"rpc_user": "me"})
    with pytest.raises(ConfigFault):
        config.credentials()
    monkeypatch.setenv("SV2_TP_RPC_PASSWORD", "hidden-1")
    assert config.credentials().read() == ("me", "hidden-1")
    path = tmp_path / "password"
    path.write_text("hidden-2\n")
    config = load_config(None, {"rpc_user": "me", "rpc_password_file": str(path)})
    assert config.credentials().read() == ("me", "hidden-2")
    assert "hidden" not in repr(config) + repr(config.credentials())


@pytest.mark.parametrize("text", ["1.2.3.4:0", "[::1]:8442", "localhost:65535"])
def test_addresses_are_read_and_written_alike(text: str) -> None:
    assert str(HostPort.parse(text)) == text


# Logs and metrics


def test_logs_show_fields_and_no_control_characters() -> None:
    record = logging.makeLogRecord(
        {"name": "sv2.x", "levelname": "INFO", "msg": "it is %s", "args": ("so",)}
    )
    record.peer = 7
    record.text = "a\x1b[2Jb\nc"
    line = TextFormatter().format(record)
    assert line.endswith(r"INFO it is so peer=7 text=a\x1b[2Jb\nc")
    shown = json.loads(JsonFormatter().format(record))
    assert (shown["event"], shown["peer"], shown["text"]) == ("it is so", 7, r"a\x1b[2Jb\nc")


def test_logs_of_services_are_shown_by_their_fields() -> None:
    records: list[logging.LogRecord] = []
    logger = logging.Logger("sv2.services", logging.INFO)
    logger.handle = records.append  # type: ignore[method-assign]
    log_event(logger, logging.INFO, "connected", peer=3)
    shown = json.loads(JsonFormatter().format(records[0]))
    assert (shown["event"], shown["peer"], shown["level"]) == ("connected", 3, "info")


def test_metrics_are_rendered_for_prometheus() -> None:
    text = render(
        [
            Metric("a_total", "counter", "One.", 3),
            Metric("b", "gauge", "Two.", {'x"y': 1.5, "w": 2}),
        ]
    )
    assert text == (
        "# HELP a_total One.\n# TYPE a_total counter\na_total 3\n"
        '# HELP b Two.\n# TYPE b gauge\nb{kind="w"} 2\nb{kind="x\\"y"} 1.5\n'
    )


# The client's work


def test_only_test_networks_are_solved() -> None:
    node = made_template()
    built = build_template(node, snapshot(node), Constraints(100, 0))
    template = built.new_template(1, future=True)
    previous = built.set_new_prev_hash(1, node.current_time)
    coinbase = coinbase_for(template, script_of(None))
    solution, _ = solve(template, previous, coinbase)
    assert solution.coinbase_tx == coinbase
    previous.target = (1 << 220).to_bytes(32, "little")
    with pytest.raises(NotSolvable):
        solve(template, previous, coinbase)


def test_payouts_go_to_addresses() -> None:
    address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    assert script_of(address).hex() == "0014751e76e8199196d454941c45d1b3a323f1433bd6"
    for bad in ["", "x", "bcrt1qqqq"]:
        with pytest.raises(ValueError, match="no address"):
            script_of(bad)
