"""The examples of examples/services, each run as a program of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from networking import run_on_asyncio
from programs import EXAMPLES, Program
from servicing import setup
from sv2.connection import Protocol
from sv2.net import connect

from sv2_ffi.mining import (
    NewExtendedMiningJob,
    OpenExtendedMiningChannel,
    OpenExtendedMiningChannelSuccess,
    SetNewPrevHash,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as SIGINT")

URL = re.compile(r"stratum2\+tcp://127\.0\.0\.1:\d+/\w{51}")


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for program in running:
        program.kill()


def start(programs: list[Program], *arguments: str) -> Program:
    program = Program("services", *arguments)
    programs.append(program)
    return program


def url_of(server: Program) -> str:
    url = server.line()
    assert URL.fullmatch(url)
    return url


def test_the_mining_examples_open_a_channel_and_exchange_shares(programs: list[Program]) -> None:
    server = start(programs, "mining_server.py")
    url = url_of(server)
    for number in (1, 2):
        client = start(programs, "mining_client.py", "50", "127.0.0.1:1" + url[-52:], url)
        code, out, err = client.end()
        assert code == 0
        # Nobody listens at the first address of its list.
        nobody = "protocol=MINING host=127.0.0.1 port=1 error=ConnectionRefusedError"
        assert err == f"connect-failed {nobody}\n"
        host_and_port = url.rpartition("/")[0]
        assert out == f"channel 1 at {host_and_port}\n50 shares accepted\n"
        assert server.line() == f"client {number} left with 50 shares"
    assert server.interrupt() == (0, "stopped\n", "")


def test_the_template_examples_follow_tips(programs: list[Program]) -> None:
    server = start(programs, "template_server.py", "0.2")
    client = start(programs, "template_client.py", "3", url_of(server))
    code, out, err = client.end()
    assert (code, err) == (0, "")
    tips = re.findall(r"tip: template (\d+), 5000000000 satoshi\n", out)
    assert len(tips) == 3
    assert [int(tip) for tip in tips] == list(range(int(tips[0]), int(tips[0]) + 3))
    assert out.endswith("done\n")
    assert server.interrupt() == (0, "stopped\n", "")


def test_the_sibling_example_passes_tips_on_to_miners(programs: list[Program]) -> None:
    provider = start(programs, "template_server.py", "0.2")
    pool = start(programs, "siblings.py", url_of(provider))
    url = url_of(pool)

    async def mine() -> None:
        async with await connect(url) as stream:
            await stream.set_up(setup(Protocol.MINING))
            await stream.send(OpenExtendedMiningChannel(1, "", 1.0, b"\xff" * 32, 4))
            assert isinstance(await stream.receive(), OpenExtendedMiningChannelSuccess)
            numbers = []
            for _ in range(3):
                job, tip = await stream.receive(), await stream.receive()
                assert isinstance(job, NewExtendedMiningJob)
                assert isinstance(tip, SetNewPrevHash)
                assert job.job_id == tip.job_id
                numbers.append(job.job_id)
            assert numbers == list(range(numbers[0], numbers[0] + 3))

    run_on_asyncio(mine())
    code, out, err = pool.interrupt()
    assert (code, err) == (0, "")
    assert "went to 1 miners\n" in out
    assert out.endswith("stopped\n")
    assert provider.interrupt() == (0, "stopped\n", "")


@pytest.mark.parametrize("path", sorted((EXAMPLES / "services").glob("*.py")), ids=lambda p: p.name)
def test_an_example_has_less_than_a_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 100
