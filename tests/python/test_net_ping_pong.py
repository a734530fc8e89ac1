"""The ping-pong example, as a user runs it: two programs, with and without Noise, and Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from programs import Program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as SIGINT")


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for program in running:
        program.kill()


@pytest.mark.parametrize("plain", [False, True], ids=["noise", "plain"])
def test_pings_are_answered_until_ctrl_c(programs: list[Program], plain: bool) -> None:
    options = ["--plain"] if plain else []
    server = Program("ping-pong", "server.py", *options)
    programs.append(server)
    url = server.line()
    assert url.startswith("stratum2+tcp://127.0.0.1:")
    client = Program("ping-pong", "client.py", *options, "--interval", "0.05", url)
    programs.append(client)
    for _ in range(3):
        assert client.line().startswith("pong of ")
        assert " ping of " in server.line()
    code, out, err = client.interrupt()
    assert (code, err) == (0, "")
    assert out.endswith("stopped\n")
    # The server goes on to serve the next client, and ends as cleanly.
    other = Program("ping-pong", "client.py", *options, "--interval", "0.05", url)
    programs.append(other)
    assert other.line().startswith("pong of ")
    code, out, err = server.interrupt()
    assert (code, err) == (0, "")
    assert out.endswith("stopped\n")
    code, _, err = other.end()
    assert (code, err) == (1, "client: closed by the peer\n")


def test_another_key_is_refused(programs: list[Program]) -> None:
    server = Program("ping-pong", "server.py")
    programs.append(server)
    address = server.line().rpartition("/")[0]
    other = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"
    client = Program("ping-pong", "client.py", f"{address}/{other}")
    programs.append(client)
    code, out, err = client.end()
    assert (code, out) == (1, "")
    assert err == ("client: certificate refused: it is not signed by the expected authority\n")
